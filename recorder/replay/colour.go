package replay

import "bytes"

// Colours, as ANSI escape sequences. Nothing else writes any: what comes from a
// container has none left when it is shown.
const (
	plain     = "\x1b[0m"
	dim       = "\x1b[2m"
	red       = "\x1b[31m"
	green     = "\x1b[32m"
	yellow    = "\x1b[33m"
	cyan      = "\x1b[36m"
	signalled = "\x1b[1;33m" // bold and yellow
)

func (t *textSink) paint(code string) {
	if t.colour {
		t.buf = append(t.buf, code...)
	}
}

// span writes text in a colour.
func (t *textSink) span(code string, text []byte) {
	if len(text) > 0 {
		t.buf = append(append(append(t.buf, code...), text...), plain...)
	}
}

// noReturn is what strace.AppendNoReturn appends.
const noReturn = ") = ?"

// paintCall writes the call that stands in buf from start on again, in colours: its
// name, what it failed with, and that its end is missing.
//
// Where these stand needs no marks. A name is from a table, and so is all that is
// behind the last " = " of a call that failed; " <unfinished ...>" is looked for only
// at the end, where arguments have quotes around what a process wrote, and names of
// files have no "<".
func (t *textSink) paintCall(start int, ev *Event) {
	t.painted = append(t.painted[:0], t.buf[start:]...)
	t.buf = t.buf[:start]
	text := t.painted
	name := max(bytes.IndexByte(text, '('), 0)
	t.span(cyan, text[:name])
	text = text[name:]
	if ev.Failed() {
		at := bytes.LastIndex(text, []byte(" = "))
		t.buf = append(t.buf, text[:at+1]...) // the blank is no part of it
		if ev.Failure() {
			t.span(red, text[at+1:])
		} else {
			t.span(dim, text[at+1:])
		}
		return
	}
	var end []byte
	if ev.State == Killed && bytes.HasSuffix(text, []byte(noReturn)) {
		text, end = text[:len(text)-len(noReturn)], []byte(noReturn)
	}
	if ev.State != Finished && bytes.HasSuffix(text, []byte(unfinished)) {
		t.buf = append(t.buf, text[:len(text)-len(unfinished)]...)
		t.span(dim, text[len(text)-len(unfinished):])
	} else {
		t.buf = append(t.buf, text...)
	}
	t.buf = append(t.buf, end...)
}
