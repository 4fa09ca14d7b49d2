package jsontext

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":"b"}`: `{"a":"b"}`, "\"\x7f\"": `"\u007f"`, "\"\u0085x\u009b31m\"": `"\u0085x\u009b31m"`, "\"ä漢😀\"": "\"ä漢😀\"",
		"\"\u202eevil\u2066\u200f\u061c\"": `"\u202eevil\u2066\u200f\u061c"`, "\"\u2028\u2029\ufeff\u200b\"": `"\u2028\u2029\ufeff\u200b"`,
		"\"\U000e0041\"": `"\udb40\udc41"`, "{\n \"a\": 1\n}": "{\n \"a\": 1\n}",
	} {
		if got := string(Escape([]byte(in))); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// FuzzEscape holds that escaping changes nothing that JSON means, and leaves nothing unsafe.
func FuzzEscape(f *testing.F) {
	f.Add("\x7f\u0090 \u202e \U000e0001 \xff \\u202e \"")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var before, after string
		out := Escape(b)
		if json.Unmarshal(b, &before) != nil || json.Unmarshal(out, &after) != nil || before != after {
			t.Errorf("%q became %q", before, after)
		}
		if i := strings.IndexFunc(string(out), func(r rune) bool { return Unsafe(r) || unicode.Is(unicode.Bidi_Control, r) }); i >= 0 {
			t.Errorf("%q has %q", out, out[i:])
		}
	})
}
