package postmortem

import (
	"time"

	"github.com/recorderd/recorderd/recorder/replay"
)

// input is what a process has found on its standard input. A program that reads commands from
// there, such as a shell, ends with 0 when there are no more: at once, if nobody gave it any.
type input struct {
	ended     uint64 // ns: a read returned nothing, and none returned anything since; 0: no
	what      string // it is open on
	exchanged bool   // the process itself has put something else there
}

// reads follows standard input, by calls that did not fail.
func (b *builder) reads(ev *replay.Event, p *proc, name string) {
	if ev.NoArgs {
		return
	}
	rec := &ev.Rec
	switch name {
	case "open", "openat", "openat2", "dup", "dup2", "dup3", "socket", "accept", "accept4":
		if rec.Ret == 0 {
			p.input = input{exchanged: true}
		}
	case "read", "readv", "recvfrom", "recvmsg":
		if int32(rec.Args[0]) != 0 || p.input.exchanged || name == "read" && rec.Args[2] == 0 {
			return
		}
		p.input.ended = 0
		if rec.Ret == 0 {
			p.input.ended = ev.Time
			if fd, ok := ev.FD(0); ok {
				p.input.what = replay.Safe(clip(fd.Text, 80))
			}
		}
	}
}

// inputEnded says that the main process ended as its standard input had, "" if it did not.
func (c *facts) inputEnded() string {
	const soon = uint64(5 * time.Second)
	in := &c.main.input
	if in.ended == 0 || in.ended > c.end || in.ended+soon < c.end || in.ended < c.main.tail.worked {
		return ""
	}
	text := ", as its standard input"
	if in.what != "" {
		text += " (" + in.what + ")"
	}
	return text + " had ended"
}
