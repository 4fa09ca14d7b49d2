package postmortem

import (
	"path"
	"strings"
)

// names reports whether a text has a file's path, or its last part as a word of its own,
// unless that is the name of the program, which programs put before what they say. An
// ordinary word, such as "data" or "server", counts only where it is marked as a name.
func names(text, file, program string) bool {
	if len(file) <= 3 {
		return false
	}
	base := path.Base(file)
	if base != file && hasWord(text, file) {
		return true
	}
	switch {
	case len(base) <= 3 || base == program:
		return false
	case ordinary(base):
		return text == base || hasWord(text, "./"+base) || strings.Contains(text, `"`+base+`"`) ||
			strings.Contains(text, "'"+base+"'") ||
			hasWord(text, base+":")
	}
	return hasWord(text, base) || hasWord(text, "./"+base)
}

// ordinary reports whether a name is a word such as programs use in what they say.
func ordinary(name string) bool {
	for _, c := range name {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

// hasWord reports whether a word stands in a text, not as a part of a longer name.
func hasWord(text, word string) bool {
	part := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte("_-/", c) >= 0
	}
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(word)
		after := end == len(text) || !part(text[end]) &&
			!(text[end] == '.' && end+1 < len(text) && part(text[end+1]))
		if after && (i == 0 || !part(text[i-1]) && text[i-1] != '.') {
			return true
		}
		from = i + 1
	}
}
