package replay

import (
	"testing"

	"github.com/recorderd/recorderd/internal/columns"
	"github.com/recorderd/recorderd/recorder/layout"
)

// TestWideNames catches calls that do not stand below each other because the name of a thread takes
// other columns of a terminal than bytes.
func TestWideNames(t *testing.T) {
	sink := textSink{lines: &lines{}}
	for _, name := range []string{"日本語の名", "worker-with-15c", "ärger", "sh", "e\u0301\u0301"} {
		at := len(sink.buf)
		ev := Event{Task: &Task{Known: true, Info: layout.TaskInfo{Tgid: 7, Tid: 7}}}
		ev.Comm.set([]byte(name))
		sink.who(&ev, at)
		got, want := columns.Width(string(sink.buf[at:])), len("[host pid 7 worker-with-15c] ")
		if name == "日本語の名" {
			want = len("[host pid 7 ] ") + 10
		}
		if got != want {
			t.Errorf("%s: %d columns, want %d: %q", name, got, want, sink.buf[at:])
		}
	}
}
