package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/util/jsonpath"
)

// The kinds of Expression, as they stand behind -o.
const (
	JSONPath      = "jsonpath"
	CustomColumns = "custom-columns"
)

// Expression prints what a user has picked of what there is, as kubectl does.
type Expression struct {
	NoHeader bool // of columns: rows alone

	path    string // a template of JSONPath; "" for columns
	columns []picked
	widths  []int
	headed  bool
}

// picked is a column: NAME:.path.
type picked struct{ title, path string }

// ParseExpression reads what is behind jsonpath= or custom-columns=.
func ParseExpression(kind, text string) (*Expression, error) {
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("%s has no expression: want %s", kind, examples[kind])
	}
	if kind == JSONPath {
		e := &Expression{path: relaxed(text)}
		return e, check(kind, e.path)
	}
	e := new(Expression)
	for _, column := range strings.Split(text, ",") {
		title, path, ok := strings.Cut(column, ":")
		title = strings.TrimSpace(title)
		if !ok || title == "" || strings.TrimSpace(path) == "" {
			return nil, fmt.Errorf("column %q is not NAME:.path: want %s", column, examples[kind])
		}
		path = relaxed(path)
		if err := check(kind, path); err != nil {
			return nil, err
		}
		e.columns = append(e.columns, picked{Clean(title), path})
	}
	return e, nil
}

var examples = map[string]string{
	JSONPath:      `such as jsonpath='{.recordings[*].id}'`,
	CustomColumns: `such as custom-columns=ID:.id,NAME:.container.name`,
}

// relaxed is a template also of what has no braces: .a, or a.
func relaxed(text string) string {
	if strings.Contains(text, "{") {
		return text
	}
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, ".") && !strings.HasPrefix(text, "[") && !strings.HasPrefix(text, "$") && !strings.HasPrefix(text, "@") {
		text = "." + text
	}
	return "{" + text + "}"
}

// check tries a template on nothing, which finds what parsing alone does not.
func check(kind, path string) error {
	if _, err := results(path, map[string]any{}); err != nil {
		return fmt.Errorf("%s %q: %w: want %s", kind, path, err, examples[kind])
	}
	return nil
}

// results evaluates a template, which is spent by that.
func results(path string, v any) (found [][]reflect.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it cannot be evaluated: %v", r)
		}
	}()
	j := jsonpath.New("expression").AllowMissingKeys(true)
	if err := j.Parse(path); err != nil {
		return nil, err
	}
	return j.FindResults(v)
}

// Write prints what the expression picks: a path of all that there is, columns of each row.
func (e *Expression) Write(w io.Writer, all any, rows []any) error {
	if e.path != "" {
		return e.writePath(w, all)
	}
	var lines [][]string
	if !e.headed && !e.NoHeader {
		var titles []string
		for _, c := range e.columns {
			titles = append(titles, c.title)
		}
		lines = append(lines, titles)
	}
	e.headed = true
	for _, row := range rows {
		tree, err := safeTree(row)
		if err != nil {
			return err
		}
		var cells []string
		for _, c := range e.columns {
			cell, err := cellOf(c.path, tree)
			if err != nil {
				return fmt.Errorf("column %s: %w", c.title, err)
			}
			cells = append(cells, cell)
		}
		lines = append(lines, cells)
	}
	var err error
	e.widths, err = align(w, lines, 0, e.widths)
	return err
}

func (e *Expression) writePath(w io.Writer, all any) error {
	tree, err := safeTree(all)
	if err != nil {
		return err
	}
	found, err := results(e.path, tree)
	if err != nil {
		return fmt.Errorf("%s %q: %w", JSONPath, e.path, err)
	}
	var b bytes.Buffer
	for _, values := range found {
		if err := new(jsonpath.JSONPath).PrintResults(&b, values); err != nil {
			return err
		}
	}
	if b.Len() > 0 && !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
		b.WriteByte('\n')
	}
	_, err = w.Write(b.Bytes())
	return err
}

// cellOf is what a path leads to, in one line.
func cellOf(path string, tree any) (string, error) {
	found, err := results(path, tree)
	if err != nil {
		return "", err
	}
	var texts []string
	for _, values := range found {
		for _, v := range values {
			if !v.IsValid() || v.Kind() == reflect.Interface && v.IsNil() {
				continue
			}
			var b bytes.Buffer
			if err := new(jsonpath.JSONPath).PrintResults(&b, []reflect.Value{v}); err != nil {
				return "", err
			}
			texts = append(texts, b.String())
		}
	}
	if len(texts) == 0 {
		return "<none>", nil
	}
	return strings.Join(texts, ","), nil
}

// safeTree is v as JSON has it. What a container chose cannot give a terminal an order, wherever
// an expression puts it.
func safeTree(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := utiljson.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	return cleaned(tree), nil
}

func cleaned(v any) any {
	switch v := v.(type) {
	case string:
		return Clean(v)
	case []any:
		for i := range v {
			v[i] = cleaned(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			out[Clean(key)] = cleaned(e)
		}
		return out
	}
	return v
}
