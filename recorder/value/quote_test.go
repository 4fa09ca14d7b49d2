package value

import "testing"

// TestQuote checks strace's escapes: octal with as few digits as stay unambiguous.
func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"":                        `""`,
		"a\n\t\r\v\f\"\\b":        `"a\n\t\r\v\f\"\\b"`,
		"\x00\x001\x07z\x1b8":     `"\0\0001\7z\338"`,
		"\xff9\xff\x7f\x80 caf é": `"\3779\377\177\200 caf \303\251"`,
	} {
		if got := string(appendQuoted(nil, []byte(in), 0, false)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	if got := string(appendQuoted(nil, []byte("abcdef"), 3, false)); got != `"abc"...` {
		t.Errorf("cut: %s", got)
	}
}
