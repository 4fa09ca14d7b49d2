package recorder

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/replay"
)

// The end of a write to standard output or error is kept as well as its beginning, whichever
// call writes it, and text shows the same as without it.
func TestEndOfALongWrite(t *testing.T) {
	r, c := settled(t, policy.Policy{Base: policy.Settings{Blank: []string{"passwords"}}})
	c.container("a")
	cmd := c.command("a", "/usr/bin/python3", "-c", `
import os, fcntl
def lines(n, name): return b''.join(b'%s line %03d, and so on\n' % (name, i) for i in range(n))
os.write(2, lines(100, b'write') + b'password=hunter2 END1')
os.writev(1, [lines(30, b'one'), lines(20, b'two'), b'', lines(50, b'three') + b'END2'])
os.write(2, lines(30, b'short') + b'END3')
os.write(2, b'x' * 505 + b' token=hunter2 END4')
os.write(2, b'y' * 512)
os.write(1, b'z' * 100)
r, w = os.pipe(); os.dup2(w, 1); fcntl.fcntl(1, fcntl.F_SETFL, os.O_NONBLOCK); os.write(1, b'a' * 60000); os.write(1, b'b' * 8000)
`)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rec := c.recording(r, "a")
	eventually(t, "its end", func() bool {
		list, err := r.List(t.Context())
		return err == nil && len(list) > 0 && list[0].Tasks.Live == 0
	})
	out := text(t, r, rec.ID, replay.Query{Format: replay.FormatJSON})
	var writes []replay.Line
	for line := range bytes.Lines([]byte(out)) {
		if !bytes.HasPrefix(line, []byte(`{"type":"call"`)) {
			continue
		}
		var l replay.Line
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if l.Comm == "python3" && (l.Syscall == "write" || l.Syscall == "writev") && (l.Args[0].Raw == 1 || l.Args[0].Raw == 2) {
			writes = append(writes, l)
		}
	}
	if len(writes) != 8 {
		t.Fatalf("%d writes, want 8", len(writes))
	}
	const most = 512
	for i, w := range writes {
		want := max(0, min(int(*w.Ret)-most, most))
		if len(w.Tail) != want {
			t.Errorf("write %d of %d bytes: an end of %d bytes, want %d", i, *w.Ret, len(w.Tail), want)
		}
		if strings.Contains(w.Tail, "hunter2") {
			t.Errorf("write %d: a password: %q", i, w.Tail)
		}
	}
	for i, want := range []string{"line 099, and so on\npassword=******* END1", "line 048, and so on\nthree line 049, and so on\nEND2", "and so on\nEND3", "******* END4"} {
		if !strings.HasSuffix(writes[i].Tail, want) {
			t.Errorf("write %d: the end is %q, want %q", i, writes[i].Tail, want)
		}
	}
	if n := *writes[7].Ret; n >= 8000 {
		t.Errorf("%d bytes were written to a pipe that is nearly full", n)
	}
	if strings.Contains(text(t, r, rec.ID, replay.Query{Format: replay.FormatStrace}), "END") {
		t.Error("-o strace shows the end")
	}
}
