package postmortem

import (
	"encoding/binary"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
)

// signal is one that was delivered.
type signal struct {
	ev      Event
	sig     int
	code    int32
	pid     int32 // who sent it, if somebody did
	addr    uint64
	handled bool // by a function
	ignored bool
	tid     uint32
	host    uint32
	pidHere uint32
	call    int32 // SIGSYS
}

// killing is a call that sends a signal.
type killing struct {
	ev     Event
	by     *proc
	target int32
	group  bool // of the target is known only that it is several, or one of many
	queued bool // its siginfo is the sender's
	pidfd  bool // it was sent by a descriptor, of which is not known whose it is
	sig    int
}

func (b *builder) sent(ev *replay.Event, p *proc, target int32, sig int, group bool) *killing {
	if sig == 0 {
		return new(killing) // it asks whether somebody is there
	}
	if len(b.kills) >= 64 {
		b.kills = append(b.kills[:0], b.kills[32:]...)
	}
	b.kills = append(b.kills, killing{ev: b.line(ev), by: p, target: target, group: group,
		sig: sig})
	return &b.kills[len(b.kills)-1]
}

// signal takes a signal that was delivered.
func (b *builder) signal(ev *replay.Event, p *proc) {
	rec := &ev.Rec
	s := signal{sig: int(rec.Nr), code: int32(rec.Ret), handled: rec.Args[1] > 1,
		ignored: rec.Args[1] == 1, host: ev.Task.Info.Tid, pidHere: p.Pid}
	switch s.sig {
	case sigCHLD, sigCONT, sigURG, sigVTALRM, sigPROF, sigWINCH:
		return
	}
	for _, it := range rec.Items {
		if it.Arg == 0 && it.Kind == layout.ItemMem && len(it.Data) >= 24 {
			s.pid, s.addr = int32(binary.LittleEndian.Uint32(it.Data[16:])),
				binary.LittleEndian.Uint64(it.Data[16:])
			if len(it.Data) >= 28 {
				s.call = int32(binary.LittleEndian.Uint32(it.Data[24:]))
			}
		}
	}
	s.ev = b.line(ev)
	s.tid = s.ev.Tid
	if len(p.signals) >= 16 {
		p.signals = append(p.signals[:0], p.signals[8:]...)
	}
	p.signals = append(p.signals, s)
	switch s.sig {
	case sigSTOP, sigTSTP, sigTTIN, sigTTOU:
		if !s.handled && !s.ignored {
			p.stopped = &s
		}
	}
}

const maxPidfds = 256 // of a process

// pidfd notes whose process a descriptor is.
func (p *proc) pidfd(num int32, pid uint32) {
	if p.pidfds == nil || len(p.pidfds) >= maxPidfds {
		p.pidfds = make(map[int32]uint32)
	}
	p.pidfds[num] = pid
}

// sentByFd takes a pidfd_send_signal.
func (b *builder) sentByFd(ev *replay.Event, p *proc) {
	const group = 4 // PIDFD_SIGNAL_PROCESS_GROUP
	sig := int(int32(ev.Rec.Args[1]))
	pid, known := p.pidfds[int32(ev.Rec.Args[0])]
	k := b.sent(ev, p, int32(pid), sig, !known || ev.Rec.Args[3]&group != 0)
	k.pidfd, k.queued = !known, ev.Rec.Args[2] != 0
}

// ignores reports whether a rt_sigaction lets the kernel reap children by itself.
func ignores(ev *replay.Event) bool {
	const ignore, noCldWait = 1, 2
	for _, it := range ev.Rec.Items {
		if it.Arg == 1 && it.Kind == layout.ItemMem && len(it.Data) >= 16 {
			return binary.LittleEndian.Uint64(it.Data) == ignore ||
				binary.LittleEndian.Uint64(it.Data[8:])&noCldWait != 0
		}
	}
	return false
}
