package postmortem

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestRulesAreDocumented holds docs/show.md's table and the schema's enumeration against
// the rules, from which -update writes them.
func TestRulesAreDocumented(t *testing.T) {
	const guide = "../../docs/show.md"
	var table, kinds strings.Builder
	table.WriteString("| kind | means | certainty |\n| --- | --- | --- |\n")
	seen := make(map[string]bool)
	for i, r := range rules {
		if seen[r.kind] || r.kind == "" || r.is == "" || r.sure == "" || r.find == nil {
			t.Errorf("rule %d (%q) is there twice, or lacks a part", i, r.kind)
		}
		seen[r.kind] = true
		table.WriteString("| `" + r.kind + "` | " + r.is + " | " + r.sure + " |\n")
		if i > 0 {
			kinds.WriteString(",")
			if i%10 == 0 {
				kinds.WriteString("\n            ")
			} else {
				kinds.WriteString(" ")
			}
		}
		kinds.WriteString(`"` + r.kind + `"`)
	}
	between(t, guide, "<!-- rules -->\n", "<!-- /rules -->", table.String())
	between(t, schemaFile, "\"kind\": {\n          \"enum\": [", "]", kinds.String())
}

// between holds what stands between two marks of a file against what is wanted.
func between(t *testing.T, file, from, to, want string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile("(?s)(" + regexp.QuoteMeta(from) + ")(.*?)(" + regexp.QuoteMeta(to) +
		")")
	m := re.FindSubmatchIndex(text)
	if m == nil {
		t.Fatalf("%s has no %q", file, from)
	}
	if *update {
		text = append(text[:m[4]:m[4]], append([]byte(want), text[m[5]:]...)...)
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := string(text[m[4]:m[5]]); got != want {
		t.Errorf("%s is not what the rules say (-update writes it):\n%s\nwant\n%s", file, got, want)
	}
}
