package main

import (
	"os"
	"strings"
	"testing"
)

func TestVocabulary(t *testing.T) {
	src, err := os.ReadFile("../../bpf/vocabulary.txt")
	if err != nil {
		t.Fatal(err)
	}
	good := string(src)
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"a number used twice", "EXEC     3 ", "EXEC     2 ", "no 2 is there twice"},
		{"a name used twice", "EXEC     3 ", "CALL     9 ", "name CALL is there twice"},
		{"an event that is not listed", "3   exec    keep", "3   spawn   keep", `event "spawn" is not in [events]`},
		{"a number that has no room in a stamp", "TASK     8 ", "TASK     16 ", "number 16 is not 1 to 15"},
		{"a counter that leaves a hole", "MOVED_OUT     7", "MOVED_OUT     70", "number 70, want 7"},
		{"a filter that does not exist", "call    match", "call    maybe", `filter "maybe"`},
		{"a missing column", "CLAIM    1   a ring was claimed", "CLAIM    1", "what"},
		{"a section that does not exist", "[hints]", "[guesses]", "unknown section [guesses]"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Fatalf("%s: %q is not in the file", c.name, c.old)
		}
		if _, err := parse(bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
