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
	sig    int
}

func (b *builder) sent(ev *replay.Event, p *proc, target int32, sig int, group bool) {
	if sig == 0 {
		return
	}
	if len(b.kills) >= 64 {
		b.kills = append(b.kills[:0], b.kills[32:]...)
	}
	b.kills = append(b.kills, killing{b.line(ev), p, target, group, sig})
}

// signal takes a signal that was delivered.
func (b *builder) signal(ev *replay.Event, p *proc) {
	rec := &ev.Rec
	s := signal{sig: int(rec.Nr), code: int32(rec.Ret), handled: rec.Args[1] > 1, ignored: rec.Args[1] == 1, host: ev.Task.Info.Tid, pidHere: p.Pid}
	switch s.sig {
	case 17, 18, 23, 26, 27, 28: // CHLD, CONT, URG, VTALRM, PROF, WINCH
		return
	}
	for _, it := range rec.Items {
		if it.Arg == 0 && it.Kind == layout.ItemMem && len(it.Data) >= 24 {
			s.pid, s.addr = int32(binary.LittleEndian.Uint32(it.Data[16:])), binary.LittleEndian.Uint64(it.Data[16:])
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
	case 19, 20, 21, 22: // STOP, TSTP, TTIN, TTOU
		if !s.handled && !s.ignored {
			p.stopped = &s
		}
	}
}
