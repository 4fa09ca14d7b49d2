package render

import (
	"strings"
	"testing"

	"github.com/recorderd/recorderd/api"
)

// TestExpressions catches an expression that makes the program panic, and one that brings to the
// terminal what a container chose.
func TestExpressions(t *testing.T) {
	rec := api.Recording{ID: "1\x1b", Container: api.Container{Name: "n\x1b[31m", Command: []string{"a", "\u202eb\n"}, Labels: map[string]string{"k\x1b": "v\x07"}}}
	for _, text := range []string{
		`{.id}`, `.id`, `id`, `[0]`, `{range .labels[*]}{@}{end}`, `{range .a}`, `{end}`, `{.a[?(@.b=="c")]}`, `{.a[?(@.b`, `{..}`, `{..id}`, `{.container.*}`,
		`{.container['name','image']}`, `{.a[-1:2:0]}`, `{"\n"}`, `{'x}`, `{}`, `{{}}`, `{.command[9]}`, `{.container.labels.io\.kubernetes}`, `{.a[99999999999999999999]}`, `{$}`,
		`{.container.command[1:0:-1]}`, `{.coverage[?(@>1)]}`,
	} {
		for kind, text := range map[string]string{JSONPath: text, CustomColumns: "A:" + text} {
			e, err := ParseExpression(kind, text)
			if err != nil {
				continue
			}
			for range 2 {
				var b strings.Builder
				if err := e.Write(&b, rec, []any{rec}); err != nil {
					t.Logf("%s=%s: %v", kind, text, err)
				}
				if strings.ContainsAny(b.String(), "\x1b\x07\u202e") {
					t.Errorf("%s=%s writes %q", kind, text, b.String())
				}
			}
		}
	}
}
