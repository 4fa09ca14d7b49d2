package postmortem

import (
	"path"
	"strings"
)

// names reports whether a text has a file's path, or its last part as a word of its own,
// unless that is the name of the program, which programs put before what they say.
func names(text, file, program string) bool {
	if len(file) <= 3 {
		return false
	}
	if hasWord(text, file) {
		return true
	}
	base := path.Base(file)
	return len(base) > 3 && base != program && (hasWord(text, base) || hasWord(text, "./"+base))
}

// hasWord reports whether a word stands in a text, not as a part of a longer name.
func hasWord(text, word string) bool {
	part := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-/", c) >= 0
	}
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(word)
		after := end == len(text) || !part(text[end]) && !(text[end] == '.' && end+1 < len(text) && part(text[end+1]))
		if after && (i == 0 || !part(text[i-1]) && text[i-1] != '.') {
			return true
		}
		from = i + 1
	}
}
