// Package jsontext makes JSON that a terminal, an editor and a YAML parser show as it is:
// nothing in a string is obeyed or hidden. What a container chose stands in such strings.
package jsontext

import (
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Unsafe reports whether a character is shown by its number: control characters (DEL and C1
// among them, of which U+009B begins an escape sequence), those that change the direction of
// text or are invisible, the ends of lines and paragraphs that are not "\n", and the last two
// of each plane, which are no characters.
func Unsafe(r rune) bool {
	return r < 0x20 || r >= 0x7f && (r&0xfffe == 0xfffe || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp))
}

// AppendEscape appends a character as \uXXXX, or as two of them.
func AppendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return AppendEscape(AppendEscape(b, high), low)
	}
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// Escape returns JSON with what is Unsafe in its strings escaped, which means the same. What
// is below 0x20 stays: outside of strings it is blanks and ends of lines, inside JSON has none.
func Escape(text []byte) []byte {
	var out []byte
	done := 0
	for i := 0; i < len(text); {
		if c := text[i]; c < 0x7f {
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 || !Unsafe(r) {
			i += n
			continue
		}
		out = AppendEscape(append(out, text[done:i]...), r)
		i += n
		done = i
	}
	if done == 0 {
		return text
	}
	return append(out, text[done:]...)
}
