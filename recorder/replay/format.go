package replay

import (
	"bytes"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/strace"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// formatter shows events as strace does.
type formatter struct {
	arch    record.Arch
	opt     strace.Options
	fds     []FD // of the event at hand
	fdAt    int  // the one that was looked up last, and one
	fdBytes int  // of their text, in this event so far
	scratch []byte
}

func newFormatter(h *dump.Header) formatter { return formatter{arch: h.Arch} }

// decodeFds lets calls be shown with what their descriptors are open on.
func (f *formatter) decodeFds() {
	f.opt.Fd = func(num int32, result bool) string {
		if f.fdBytes >= maxShown {
			return ""
		}
		for range f.fds { // calls name them in the order in which they are listed
			fd := &f.fds[f.fdAt%len(f.fds)]
			f.fdAt++
			if fd.Num == num && (fd.result == result || fd.made) {
				f.fdBytes += len(fd.Text)
				return fd.Text
			}
		}
		return ""
	}
}

func (f *formatter) abi(ev *Event) record.Arch { return f.arch.ABI(ev.Rec.Flags) }

const unfinished = " <unfinished ...>"

// call appends a call in whatever state. column: where in its line it begins.
func (f *formatter) call(b []byte, ev *Event, column int) []byte {
	f.opt.Column, f.opt.Netlink = column, ev.netlink
	f.fds, f.fdAt, f.fdBytes = ev.fds, 0, 0
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
		if f.incomplete(b, ev) {
			b = append(b, unfinished...)
		}
		return strace.AppendNoReturn(b, start, f.opt)
	}
	return append(f.entry(b, ev), unfinished...)
}

// incomplete reports whether arguments are missing from what entry appended.
func (f *formatter) incomplete(b []byte, ev *Event) bool {
	if bytes.HasSuffix(b, []byte("(")) {
		c := syscalls.Lookup(f.abi(ev), uint32(ev.Rec.Nr))
		return c == nil || len(c.Args) > 0
	}
	return bytes.HasSuffix(b, []byte(", "))
}

// entry appends what strace shows when a call begins.
func (f *formatter) entry(b []byte, ev *Event) []byte {
	f.fds, f.fdAt, f.fdBytes = ev.fds, 0, 0
	f.opt.Netlink = ev.netlink
	if !ev.NoArgs && ev.State == Finished {
		first, _ := f.halves(ev)
		return append(b, first...)
	}
	if !ev.NoArgs {
		return strace.AppendEntry(b, f.abi(ev), &ev.Rec, f.opt)
	}
	if ev.Kind != KindExec {
		return append(strace.AppendName(b, f.abi(ev), ev.Rec.Number()), '(')
	}
	// File and argv are known, but neither where they stood nor the environment.
	rec := ev.Rec
	rec.Args = [6]uint64{1, 1}
	b = strace.AppendEntry(b, f.abi(ev), &rec, f.opt)
	return append(bytes.TrimSuffix(b, []byte("NULL")), "..."...)
}

// halves returns a finished call in two, valid until the next call of halves: what
// strace shows when it begins, and the rest. Nothing is in both or in none.
func (f *formatter) halves(ev *Event) (first, rest []byte) {
	f.fds, f.fdAt, f.fdBytes = ev.fds, 0, 0
	f.opt.Netlink = ev.netlink
	opt := f.opt
	opt.Align = 0 // "<... x resumed>)" is beyond it anyway
	b := strace.AppendEntry(f.scratch[:0], f.abi(ev), &ev.Rec, opt)
	n := len(b)
	b = strace.AppendCall(b, f.abi(ev), &ev.Rec, opt)
	f.scratch = b
	first, whole := b[:n], b[n:]
	if !bytes.HasPrefix(whole, first) {
		first = bytes.TrimSuffix(first, []byte(", "))
	}
	if !bytes.HasPrefix(whole, first) { // shown otherwise when it has ended
		first = whole[:bytes.IndexByte(whole, '(')+1]
	}
	return first, whole[len(first):]
}

// resumed appends what strace shows when a call returns after another line.
func (f *formatter) resumed(b []byte, ev *Event, column int) []byte {
	f.opt.Column, f.opt.Netlink = column, ev.netlink
	f.fds, f.fdAt, f.fdBytes = ev.fds, 0, 0
	start := len(b)
	if ev.State == Finished && !ev.NoArgs {
		_, rest := f.halves(ev)
		b = append(b, "<... "...)
		b = strace.AppendName(b, f.abi(ev), ev.Rec.Number())
		b = append(b, " resumed>"...)
		return append(b, rest...)
	}
	more := false
	if ev.State == Killed {
		b = f.entry(b, ev)
		more = f.incomplete(b, ev)
		b = b[:start]
	}
	b = append(b, "<... "...)
	b = strace.AppendName(b, f.abi(ev), ev.Rec.Number())
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
