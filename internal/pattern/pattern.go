// Package pattern compiles regular expressions that others have written, and bounds what
// they cost: a few bytes such as (a|b){1000} can make a large machine.
package pattern

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

// Most is how many states a regular expression may have. At worst each byte of a text is
// held against all of them, and each takes some 40 bytes.
const Most = 4096

// Compile is regexp.Compile for expressions of at most Most states.
func Compile(expr string) (*regexp.Regexp, error) {
	n, err := States(expr)
	if err != nil {
		return nil, err
	}
	if n > Most {
		return nil, fmt.Errorf("it is too large: it has some %d states, want at most %d", n, Most)
	}
	return regexp.Compile(expr)
}

// States returns about how many states an expression has, without making them.
func States(expr string) (int, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return 0, err
	}
	return states(tree), nil
}

func states(re *syntax.Regexp) int {
	n := 0
	for _, sub := range re.Sub {
		n += states(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpConcat:
	case syntax.OpAlternate:
		n += len(re.Sub) - 1
	case syntax.OpCapture:
		n += 2
	case syntax.OpRepeat:
		times := max(re.Min, re.Max, 1)
		n = n*times + times - re.Min
	default: // one of a class, an assertion; *, + and ? beside what they repeat
		n++
	}
	return min(n, 1<<30)
}
