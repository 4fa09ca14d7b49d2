package pattern

import (
	"regexp/syntax"
	"strings"
	"testing"
)

// TestLarge catches that a short expression takes 100 MB and seconds to compile.
func TestLarge(t *testing.T) {
	for _, expr := range []string{
		"(?:.{1000}){1}" + strings.Repeat("(?:.{1000})", 10), strings.Repeat("a{999}", 100), "(?:(?:[ab]|cd|ef|gh){30}){30}", "[a-z]{1,1000}[a-z]{1,1000}.{1,1000}.{0,1000}.{2,999}",
	} {
		if _, err := Compile(expr); err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("%.40s: %v", expr, err)
		}
	}
	for _, expr := range []string{"a", `session=(\w+)`, `\bsk_live_[0-9A-Za-z]{8,}`, ".{1000}", "[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", "(?i)" + strings.Repeat("x", 1000)} {
		re, err := Compile(expr)
		if err != nil || re.String() != expr {
			t.Errorf("%.40s: %v", expr, err)
		}
	}
	if _, err := Compile("(a"); err == nil || !strings.Contains(err.Error(), "missing closing )") {
		t.Errorf("what is wrong is not said: %v", err)
	}
}

// TestStates holds the count against what is made of an expression.
func TestStates(t *testing.T) {
	for _, expr := range []string{
		"abc", "a{10}", "(ab){10}", "ab|cd|ef", ".*", "(a{10}){10}", "(a{2,10}|b?){3,7}", "[a-z]{1,250}Q", "(?i)secret=(\\w+)", `\bx\b`, "a{3,}", "(?:)", "(?s)^.{1000}$", "((((a))))*",
	} {
		tree, err := syntax.Parse(expr, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		prog, err := syntax.Compile(tree.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		n, err := States(expr)
		if made := len(prog.Inst) - 2; err != nil || n < made-made/5-1 || n > made+made/5+1 { // but for fail and match
			t.Errorf("%s: %d, %v; made are %d", expr, n, err, made)
		}
	}
}
