package replay

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/recorderd/recorderd/internal/pattern"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Expr chooses system calls as strace's -e does: names, classes (%file) and
// regular expressions (/^epoll_/), separated by commas. Those behind a "!" are
// left out; if there is nothing before it, of all. "trace=" may stand in front.
type Expr struct {
	text     string
	with     []term
	without  []term
	withAll  bool // "all"
	withNone bool // "none"
	states   int  // of the regular expressions
}

type term struct {
	name  string
	class syscalls.Class
	re    *regexp.Regexp
}

// ParseExpr reads an expression. An unknown name is an error that names the nearest one.
func ParseExpr(s string) (Expr, error) {
	e := Expr{text: s}
	body := s
	for _, prefix := range []string{"trace=", "t="} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			body = rest
			break
		}
	}
	without := false
	for _, word := range splitExpr(body) {
		word = strings.TrimSpace(word)
		if rest, ok := strings.CutPrefix(word, "!"); ok {
			word = strings.TrimSpace(rest)
			without = true
		}
		switch {
		case word == "":
			return Expr{}, fmt.Errorf("%q: a name is missing", s)
		case word == "all" && !without:
			e.withAll = true
			continue
		case word == "none" && !without:
			e.withNone = true
			continue
		}
		t, err := parseTerm(word)
		if err != nil {
			return Expr{}, fmt.Errorf("%q: %w", s, err)
		}
		if without {
			e.without = append(e.without, t)
		} else {
			e.with = append(e.with, t)
		}
		if t.re != nil {
			states, _ := pattern.States(t.re.String()) //nolint:errcheck // it was compiled
			e.states += states
		}
		if err := (&size{terms: len(e.with) + len(e.without), states: e.states}).check(); err != nil {
			return Expr{}, err
		}
	}
	return e, nil
}

// splitExpr splits at commas, but not at those in /regular expressions/.
func splitExpr(s string) []string {
	var words []string
	start, in := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && in:
			i++
		case s[i] == '/' && in:
			in = false
		case s[i] == '/' && strings.Trim(s[start:i], " !") == "":
			in = true
		case s[i] == ',' && !in:
			words = append(words, s[start:i])
			start = i + 1
		}
	}
	return append(words, s[start:])
}

func parseTerm(word string) (term, error) {
	switch {
	case word[0] == '?' && len(word) > 1: // a name that another kernel may have
		t, err := parseTerm(word[1:])
		if err != nil {
			return term{name: word}, nil // no call's
		}
		return t, nil
	case word[0] == '%':
		if c := syscalls.ClassByName(word); c != 0 {
			return term{class: c}, nil
		}
		return term{}, fmt.Errorf("no class of system calls is called %s; there are %%%s", word, strings.Join(syscalls.ClassNames(), ", %"))
	case word[0] == '/':
		body, ok := strings.CutSuffix(word[1:], "/")
		if !ok {
			return term{}, fmt.Errorf("the regular expression %s has no / at its end", word)
		}
		re, err := pattern.Compile(body)
		if err != nil {
			return term{}, err
		}
		return term{re: re}, nil
	}
	for a := record.ArchX86_64; syscalls.Index(a) >= 0; a++ {
		if syscalls.ByName(a, word) != nil {
			return term{name: word}, nil
		}
	}
	if syscalls.ClassByName(word) != 0 {
		return term{}, fmt.Errorf("no system call is called %q; the class is %%%s", word, word)
	}
	if near := nearest(word); near != "" {
		return term{}, fmt.Errorf("no system call is called %q; the nearest is %q", word, near)
	}
	return term{}, fmt.Errorf("no system call is called %q", word)
}

// Cost is about how many states all its regular expressions have together, with which each
// name of a call is compared at worst.
func (e Expr) Cost() int { return e.states }

// String returns what ParseExpr reads.
func (e Expr) String() string { return e.text }

// Calls returns for each number of an ABI's table whether one of the expressions
// chooses it; none chooses nothing.
func Calls(arch record.Arch, exprs ...Expr) []bool {
	i := syscalls.Index(arch)
	if i < 0 || len(exprs) == 0 {
		return nil
	}
	return compile(exprs).known[i]
}

// callSet is which numbers of each ABI are wanted. Numbers that no table has are
// wanted if everything is.
type callSet struct {
	known [syscalls.Archs][]bool
	other bool
}

// compile joins expressions: what any of them has, without what any leaves out.
func compile(exprs []Expr) *callSet {
	if len(exprs) == 0 {
		return nil
	}
	s := new(callSet)
	var with, without []term
	none := false
	for _, e := range exprs {
		with, without = append(with, e.with...), append(without, e.without...)
		s.other = s.other || e.withAll
		none = none || e.withNone
	}
	if len(with) == 0 && !none {
		s.other = true // there is nothing before the "!"
	}
	type same struct {
		name  string
		class syscalls.Class
	}
	wanted := make(map[same]bool) // most tables have the same calls
	for i := range s.known {
		calls := syscalls.All(record.ArchX86_64 + record.Arch(i))
		s.known[i] = make([]bool, len(calls))
		for nr := range calls {
			c := &calls[nr]
			is, ok := wanted[same{c.Name, c.Class}]
			if !ok {
				match := func(t term) bool { return t.match(c) }
				is = (s.other || slices.ContainsFunc(with, match)) && !slices.ContainsFunc(without, match)
				wanted[same{c.Name, c.Class}] = is
			}
			s.known[i][nr] = is
		}
	}
	return s
}

func (t term) match(c *syscalls.Call) bool {
	switch {
	case t.re != nil:
		return c.Name != "" && t.re.MatchString(c.Name)
	case t.class != 0:
		return c.Class&t.class != 0
	}
	return c.Name == t.name
}

func (s *callSet) has(arch record.Arch, nr uint16) bool {
	if i := syscalls.Index(arch); i >= 0 && int(nr) < len(s.known[i]) {
		return s.known[i][nr]
	}
	return s.other
}

// nearest returns the name of the call that is spelled most like word, "" if none is near.
func nearest(word string) string {
	if len(word) > 40 {
		return ""
	}
	best, most := "", len(word)/3+2
	for a := record.ArchX86_64; syscalls.Index(a) >= 0; a++ {
		for _, c := range syscalls.All(a) {
			if c.Name == "" || c.Name == best {
				continue
			}
			if d := distance(word, c.Name, most); d < most {
				best, most = c.Name, d
			}
		}
	}
	return best
}

// distance is Levenshtein's, or limit if it is not less.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return min(row[len(b)], limit)
}
