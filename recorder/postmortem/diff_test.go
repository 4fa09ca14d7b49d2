package postmortem

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/recorder/dump"
)

func differenceOf(t *testing.T, a, b []byte) *Difference {
	t.Helper()
	var readers [2]*dump.Reader
	for i, in := range [][]byte{a, b} {
		r, err := dump.NewReader(bytes.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		readers[i] = r
	}
	d, err := Compare(readers[0], readers[1], 0)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func differenceText(t *testing.T, d *Difference) string {
	t.Helper()
	var b strings.Builder
	if err := WriteDifference(&b, d, TextOptions{Width: 160}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDifference catches something that only one of two recordings has and that is not told, and
// something that is told though both have it.
func TestDifference(t *testing.T) {
	ok, refused := recording(t, "ok"), recording(t, "refused")
	same := differenceOf(t, ok, ok)
	if same.Part != nil || len(same.OnlyA.Items)+len(same.OnlyB.Items) > 0 {
		t.Errorf("a recording differs from itself: %+v", same)
	}
	if text := differenceText(t, same); !strings.Contains(text, "do the same from the beginning to the end") {
		t.Error(text)
	}
	d := differenceOf(t, ok, refused)
	if d.Part == nil || len(d.OnlyB.Items) == 0 {
		t.Fatalf("%+v", d)
	}
	if first := d.OnlyB.Items[0]; first.Kind != DiffError || !strings.Contains(first.Text, "ECONNREFUSED") || first.Count != 3 {
		t.Errorf("the weightiest that only B has is %+v", first)
	}
	text := differenceText(t, d)
	for _, want := range []string{"A  ok (", "B  refused (", "exited with 1 by itself", "They part after 0 steps", "Only A", "/usr/bin/ls was executed", "Only B"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if b, err := json.Marshal(d); err != nil || !strings.Contains(string(b), `"type":"difference"`) || strings.Contains(string(b), "\x1b") {
		t.Errorf("%v\n%s", err, b)
	}
	// What is cut short is compared as far as it goes.
	d = differenceOf(t, ok, refused[:len(refused)-200])
	if len(d.Lacks) == 0 || !strings.HasPrefix(d.Lacks[0], "B: ") {
		t.Errorf("it lacks %q", d.Lacks)
	}
}

// TestParting catches two runs that part at the wrong place: where one of them does a little more
// in between, where both end, or not where a call has another result.
func TestParting(t *testing.T) {
	row := func(text string) (list []step) {
		for _, word := range strings.Fields(text) {
			what, result, _ := strings.Cut(word, "=")
			list = append(list, step{what: hash(what), result: hash(result), last: what == "exit", ev: Event{Text: word}})
		}
		return list
	}
	for _, tc := range []struct {
		a, b, at string // at: steps, A's and B's next
	}{
		{"x y z exit=0", "x y z exit=0", ""},
		{"x y z exit=0", "x y z exit=1", "3 exit=0 exit=1"},
		{"x open=ok z exit=0", "x open=ENOENT z exit=0", "1 open=ok open=ENOENT"},
		{"x p q y z exit=0", "x y z exit=0", ""},
		{"x y z exit=0", "x p y q z w exit=0", "1 y p"}, // one step is not enough to meet again
		{"x y z u v exit=0", "x y p exit=0", "2 z p"},
		{"x y", "x y z", "2 - z"},
		{"", "", ""},
	} {
		got := ""
		if p := part(row(tc.a), row(tc.b)); p != nil {
			text := func(e *Event) string {
				if e == nil {
					return "-"
				}
				return e.Text
			}
			got = itoa(uint64(p.Steps)) + " " + text(p.A) + " " + text(p.B)
		}
		if got != tc.at {
			t.Errorf("%s | %s: they part at %q, want %q", tc.a, tc.b, got, tc.at)
		}
	}
	// Two long runs that have nothing in common take no long time.
	var a, b []step
	for i := range maxSteps {
		a, b = append(a, step{what: uint64(2 * i)}), append(b, step{what: uint64(2*i + 1)})
	}
	if p := part(a, b); p == nil || p.Steps != 0 {
		t.Errorf("%+v", p)
	}
}
