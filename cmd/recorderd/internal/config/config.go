// Package config reads recorderd's configuration file: YAML, with the names of the
// flags as keys, and rules by container.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/recorderd/recorderd/recorder/policy"
)

// Max is how large a file can be, in bytes.
const Max = 1 << 20

// File is what a file says. The zero File says nothing.
type File struct {
	name    string
	values  []value
	Rules   []policy.Rule
	Ignored []string // keys whose value is another than the command line's, which wins; set by Apply
}

type value struct {
	key  string
	line int
	list []string
}

// Read returns a file's bytes, of which there may be Max.
func Read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, Max+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(b) > Max {
		return nil, fmt.Errorf("read the configuration: %s has more than %d bytes", name, Max)
	}
	return b, nil
}

// Parse reads a file's bytes. What is not understood is an error that names the file
// and the line, "recorderd.yaml:7: …"; there may be several, joined. The rest is returned with it;
// nil: the file is no YAML.
func Parse(name string, b []byte) (*File, error) {
	p := parser{file: &File{name: name}}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(b))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return p.file, nil // empty, or comments only
	case err != nil:
		return nil, yamlError(name, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: there is more behind the first document (---)", name)
	}
	if len(doc.Content) != 1 {
		return p.file, nil
	}
	p.mapping(doc.Content[0], "the file", func(key, v *yaml.Node) {
		if key.Value == "rules" {
			p.rules(v)
			return
		}
		wrong := len(p.errs)
		if list := p.scalars(v); len(p.errs) == wrong {
			p.file.values = append(p.file.values, value{key.Value, key.Line, list})
		}
	})
	return p.file, errors.Join(p.errs...)
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// yamlError puts the line in front, where it is known.
func yamlError(name string, err error) error {
	text := err.Error()
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s:%s: %s", name, m[1], text[len(m[0]):])
	}
	return fmt.Errorf("%s: %s", name, strings.TrimPrefix(text, "yaml: "))
}

type parser struct {
	file *File
	errs []error
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s:%d: %w", p.file.name, n.Line, fmt.Errorf(format, args...)))
}

// mapping calls f with each key and value of a mapping.
func (p *parser) mapping(n *yaml.Node, what string, f func(key, v *yaml.Node)) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		if n.Tag != "!!null" {
			p.fail(n, "%s: want names and values, one \"name: value\" a line", what)
		}
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			p.fail(key, "%s: want a name here", what)
			continue
		}
		if line, twice := seen[key.Value]; twice {
			p.fail(key, "%s: it was said before, in line %d", key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		f(key, resolve(n.Content[i+1]))
	}
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// scalars are a value or a list of such. Nothing said is the empty list.
func (p *parser) scalars(n *yaml.Node) []string {
	switch {
	case n.Tag == "!!null":
		return nil
	case n.Kind == yaml.ScalarNode:
		return []string{n.Value}
	case n.Kind != yaml.SequenceNode:
		p.fail(n, "want a value, or a list of values")
		return nil
	}
	list := []string{}
	for _, item := range n.Content {
		if item = resolve(item); item.Kind != yaml.ScalarNode {
			p.fail(item, "want a value here")
			continue
		}
		list = append(list, item.Value)
	}
	return list
}

func (p *parser) rules(n *yaml.Node) {
	if n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.SequenceNode {
		p.fail(n, "rules: want a list, each of whose elements begins with \"- match:\"")
		return
	}
	for _, one := range n.Content {
		p.rule(resolve(one))
	}
}

func (p *parser) rule(n *yaml.Node) {
	var r policy.Rule
	matched := false
	p.mapping(n, "a rule", func(key, v *yaml.Node) {
		if key.Value == "match" {
			matched = true
			p.mapping(v, "match", func(key, v *yaml.Node) {
				if v.Kind != yaml.ScalarNode {
					p.fail(v, "match %s: want one value", key.Value)
				} else if err := r.Match.Set(key.Value, v.Value); err != nil {
					p.fail(key, "match %s: %w", key.Value, err)
				}
			})
			return
		}
		list := p.scalars(v)
		if len(list) != 1 && !slices.Contains([]string{"mute", "blank"}, key.Value) {
			p.fail(key, "%s: want one value", key.Value)
			return
		}
		for _, s := range list {
			if err := r.Settings.Set(key.Value, s); err != nil {
				p.fail(key, "%s: %w", key.Value, err)
			}
		}
	})
	if !matched && n.Kind == yaml.MappingNode {
		p.fail(n, "a rule says with match which containers it is for (match: {} is for all)")
	}
	p.file.Rules = append(p.file.Rules, r)
}

// Apply sets the flags that the file names, but for those that the command line has.
func (f *File) Apply(fs *pflag.FlagSet, given func(name string) bool) error {
	var errs []error
	for _, v := range f.values {
		fail := func(err error) { errs = append(errs, fmt.Errorf("%s:%d: %s: %w", f.name, v.line, v.key, err)) }
		flag := fs.Lookup(v.key)
		switch {
		case flag == nil:
			fail(fmt.Errorf("there is no such key: there are %s", strings.Join(keys(fs), ", ")))
			continue
		case v.key == "config":
			fail(errors.New("one configuration file cannot name another"))
			continue
		}
		set := func() error {
			if list, ok := flag.Value.(pflag.SliceValue); ok {
				return list.Replace(v.list)
			}
			if len(v.list) != 1 {
				return errors.New("want one value")
			}
			return Wanted(flag, v.list[0], flag.Value.Set(v.list[0]))
		}
		// Also what the command line overrides must be right: it may not always.
		old := flag.Value.String()
		if given(v.key) {
			list, isList := flag.Value.(pflag.SliceValue)
			var was []string
			if isList {
				was = list.GetSlice()
			}
			if err := set(); err != nil {
				fail(err)
			}
			if flag.Value.String() != old {
				f.Ignored = append(f.Ignored, v.key)
			}
			back := func() error { return flag.Value.Set(old) }
			if isList {
				back = func() error { return list.Replace(was) }
			}
			if err := back(); err != nil {
				fail(err)
			}
			continue
		}
		if err := set(); err != nil {
			fail(err)
		}
	}
	return errors.Join(errs...)
}

// Wanted returns the error of setting a flag, if there is one, with what is allowed.
func Wanted(flag *pflag.Flag, s string, err error) error {
	if err == nil {
		return nil
	}
	switch flag.Value.Type() {
	case "bool":
		return fmt.Errorf("%q: want true or false", s)
	case "duration":
		return fmt.Errorf("%q: want a duration such as 90s, 10m or 24h", s)
	case "int":
		return fmt.Errorf("%q: want a whole number", s)
	}
	if !strings.Contains(err.Error(), s) {
		return fmt.Errorf("%s: %w", s, err)
	}
	return err
}

// Wrap says where the file has a key whose value an error is about; one that it does
// not have, or that given has, is not its fault.
func (f *File) Wrap(key string, given func(name string) bool, err error) error {
	for _, v := range f.values {
		if v.key == key && !given(key) {
			return fmt.Errorf("%s:%d: %w", f.name, v.line, err)
		}
	}
	return err
}

func keys(fs *pflag.FlagSet) []string {
	names := []string{"rules"}
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" && f.Name != "help" && f.Name != "version" {
			names = append(names, f.Name)
		}
	})
	slices.Sort(names)
	return names
}
