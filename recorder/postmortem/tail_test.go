package postmortem

import (
	"testing"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// The message of an exception is the last line of what a logger writes at once.
func TestEndOfALongWrite(t *testing.T) {
	wrote := func(ret int64, head, tail string) func(t *testing.T) []byte {
		return ends(api.Exit{Code: 1}, func(s *story) {
			end := record.Item{Kind: layout.ItemTail, Data: []byte(tail)}
			s.call(1001, "write", 2900, 0, ret, 2, 0x7000, data(head), end, int(ret))
			s.noReturn(1001, 2950, 1)
			s.exit(1001, 1001, 3000, 1<<8)
		})
	}
	const head, tail = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    conv", "ert(x)\nValueError: no such currency\n"
	const said = `exited with 1 by itself; its last words on stderr: "ValueError: no such currency"`
	tellAll(t, []told{
		{"with a gap", wrote(4000, head, tail), said, ""},
		{"without one", wrote(int64(len(head)+len(tail)), head, tail), said, ""},
	})
	for _, tt := range []struct {
		ret  int64
		want string
	}{
		{4000, "…ert(x)"}, {int64(len(head) + len(tail)), "    convert(x)"},
	} {
		r := build(t, wrote(tt.ret, head, tail)(t), Options{})
		if lines := r.Output.Items; len(lines) < 2 || lines[len(lines)-2].Text != tt.want {
			t.Errorf("of %d bytes: %+v, want the line %q before the last", tt.ret, lines, tt.want)
		}
	}
}
