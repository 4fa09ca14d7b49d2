package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/recorderd/recorderd/internal/jsontext"
)

// YAML writes v with the names that it has in JSON. Any string can be written, and nothing in
// one is obeyed or hidden by a terminal: what a parser of YAML would refuse is escaped.
func YAML(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	enc.CompactSeqIndent()
	if err := enc.Encode(node(tree)); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	_, err = w.Write(escapeYAML(b.Bytes()))
	return err
}

// node makes what YAML writes of what encoding/json reads. Keys are sorted.
func node(v any) *yaml.Node {
	switch v := v.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			n.Content = append(n.Content, node(key), node(v[key]))
		}
		if len(v) == 0 {
			n.Style = yaml.FlowStyle
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, e := range v {
			n.Content = append(n.Content, node(e))
		}
		if len(v) == 0 {
			n.Style = yaml.FlowStyle
		}
		return n
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(v.String(), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: v.String()}
	case string:
		n := new(yaml.Node)
		n.SetString(v)
		if strings.IndexFunc(v, func(r rune) bool { return r != '\n' && jsontext.Unsafe(r) }) >= 0 {
			n.Style = yaml.DoubleQuotedStyle // in which it can be escaped
		}
		return n
	}
	n := new(yaml.Node)
	_ = n.Encode(v) // true, false, null
	return n
}

// escapeYAML escapes what is unsafe: it stands in double quotes.
func escapeYAML(text []byte) []byte {
	if bytes.IndexFunc(text, func(r rune) bool { return r != '\n' && jsontext.Unsafe(r) }) < 0 {
		return text
	}
	var b []byte
	for _, r := range string(text) {
		switch {
		case r == '\n' || !jsontext.Unsafe(r):
			b = append(b, string(r)...)
		case r > 0xffff:
			b = fmt.Appendf(b, `\U%08x`, r)
		default:
			b = jsontext.AppendEscape(b, r)
		}
	}
	return b
}
