package replay

import (
	"bytes"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/strace"
)

// formatter shows events as strace does.
type formatter struct {
	arch record.Arch
	opt  strace.Options
}

func newFormatter(h *dump.Header) formatter { return formatter{arch: h.Arch} }

func (f *formatter) abi(ev *Event) record.Arch { return f.arch.ABI(ev.Rec.Flags) }

const unfinished = " <unfinished ...>"

// call appends a call in whatever state. column: where in its line it begins.
func (f *formatter) call(b []byte, ev *Event, column int) []byte {
	f.opt.Column = column
	start := len(b)
	switch {
	case ev.State == Finished && !ev.NoArgs:
		return strace.AppendCall(b, f.abi(ev), &ev.Rec, f.opt)
	case ev.State == Finished:
		b = f.entry(b, ev)
		b = strace.AppendNoReturn(b, start, f.opt)
		b[len(b)-1] = '0' // only an execve that succeeded is finished without arguments
		return b
	case ev.State == NoReturn:
		return strace.AppendNoReturn(f.entry(b, ev), start, f.opt)
	case ev.State == Killed:
		b = f.entry(b, ev)
		if incomplete(b) {
			b = append(b, unfinished...)
		}
		return strace.AppendNoReturn(b, start, f.opt)
	}
	return append(f.entry(b, ev), unfinished...)
}

// incomplete reports whether arguments are missing from what entry appended.
func incomplete(b []byte) bool {
	return bytes.HasSuffix(b, []byte("(")) || bytes.HasSuffix(b, []byte(", "))
}

// entry appends what strace shows when a call begins.
func (f *formatter) entry(b []byte, ev *Event) []byte {
	if !ev.NoArgs {
		return strace.AppendEntry(b, f.abi(ev), &ev.Rec, f.opt)
	}
	if ev.Kind != KindExec {
		return append(strace.AppendName(b, f.abi(ev), uint32(ev.Rec.Nr)), '(')
	}
	// File and argv are known, but neither where they stood nor the environment.
	rec := ev.Rec
	rec.Args = [6]uint64{1, 1}
	b = strace.AppendEntry(b, f.abi(ev), &rec, f.opt)
	return append(bytes.TrimSuffix(b, []byte("NULL")), "..."...)
}

// resumed appends what strace shows when a call returns after another line.
func (f *formatter) resumed(b []byte, ev *Event, column int) []byte {
	f.opt.Column = column
	if ev.State == Finished && !ev.NoArgs {
		return strace.AppendResumed(b, f.abi(ev), &ev.Rec, f.opt)
	}
	start := len(b)
	more := false
	if ev.State == Killed {
		b = f.entry(b, ev)
		more = incomplete(b)
		b = b[:start]
	}
	b = append(b, "<... "...)
	b = strace.AppendName(b, f.abi(ev), uint32(ev.Rec.Nr))
	b = append(b, " resumed>"...)
	if more {
		b = append(b, unfinished...)
	}
	b = strace.AppendNoReturn(b, start, f.opt)
	if ev.State == Finished {
		b[len(b)-1] = '0'
	}
	return b
}

func (f *formatter) signal(b []byte, ev *Event) []byte {
	f.opt.Column = 0
	return strace.AppendSignal(b, f.abi(ev), &ev.Rec, f.opt)
}

func (f *formatter) exit(b []byte, ev *Event) []byte {
	return strace.AppendExit(b, &ev.Rec)
}
