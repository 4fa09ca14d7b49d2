package privacy

import (
	"os"
	"strings"
	"testing"
)

// The table in the documentation is the one that the tests walk.
func TestSecretsTable(t *testing.T) {
	b, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "<!-- privacy.SecretsTable: begin -->\n")
	got, _, ok2 := strings.Cut(rest, "<!-- privacy.SecretsTable: end -->")
	if want := SecretsTable(); !ok || !ok2 || got != want {
		t.Errorf("docs/security.md has not this table between its marks:\n%s", want)
	}
}

func TestSecretsHavePatterns(t *testing.T) {
	for _, s := range Secrets {
		if s.Pattern != "" && Names()[s.Pattern] == "" {
			t.Errorf("%s: no pattern is called %q", s.Case, s.Pattern)
		}
	}
}
