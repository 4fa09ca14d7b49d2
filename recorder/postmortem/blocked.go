package postmortem

import (
	"cmp"

	"github.com/recorderd/recorderd/recorder/replay"
)

// blockedIn describes the call that a thread is in, or was in when it was killed.
func (b *builder) blockedIn(ev *replay.Event, p *proc, t *thread, name string) Blocked {
	in := Blocked{Tid: t.tid, Comm: t.comm, Call: name, Text: b.text(ev), Kind: waitKind(name),
		Killed: ev.State != replay.Blocked, host: t.host, tgid: p.host}
	in.Pid = p.Pid
	until := ev.Time
	if !in.Killed {
		until = b.h.Clock.Monotonic(b.h.Taken)
	}
	if !ev.NoDur() && ev.Start > 0 {
		since := b.time(ev.Start)
		in.Since = &since
		if until > ev.Start {
			in.ForNs = until - ev.Start
		}
	}
	if ev.NoArgs {
		return in
	}
	if name == "connect" {
		in.On = ev.Address()
	} else if in.On = ev.Path(); in.On != "" {
		in.named = true
	} else if c := ev.Call(); c != nil && len(c.Args) > 0 && isFd(c.Args[0].Type) {
		if fd, ok := ev.FD(int32(ev.Rec.Args[c.Args[0].Reg])); ok {
			in.On = cmp.Or(fd.Path, peerOf(fd.Text), fd.Text)
		}
	}
	in.On = replay.Safe(in.On)
	switch name {
	case "futex", "futex_time64":
		const private = 128
		in.futex, in.private = true, ev.Rec.Args[1]&private != 0
		in.timeout = ev.Rec.Args[3] != 0
		in.futexAt, in.mutex = ev.Rec.Args[0], isMutex(ev.Rec.Args[1]&0x17f, uint32(ev.Rec.Args[2]))
	case "flock":
		in.fileLock = true
	case "fcntl", "fcntl64":
		const setLkw, setLkw64, ofdSetLkw = 7, 14, 38
		cmd := ev.Rec.Args[1] & 0xffffffff
		in.fileLock = cmd == setLkw || cmd == setLkw64 || cmd == ofdSetLkw
	case "poll":
		in.timeout = int32(ev.Rec.Args[2]) >= 0
	case "epoll_wait", "epoll_pwait":
		in.timeout = int32(ev.Rec.Args[3]) >= 0
	}
	return in
}

// isMutex reports whether a thread waits in futex for a mutex: glibc's and Rust's has the
// value 2 if somebody waits for it, musl's its owner and the sign bit. Condition variables
// and semaphores, on which idle threads wait, have other operations or values.
func isMutex(op uint64, value uint32) bool {
	const wait, lockPI, waitBitset, lockPI2 = 0, 6, 9, 13 // with FUTEX_CLOCK_REALTIME they differ
	switch op {
	case lockPI, lockPI2:
		return true
	case wait:
		return value == 2 || value == 0x80000010
	case waitBitset:
		return value == 2
	}
	return false
}
