package postmortem

import (
	"time"
)

// senderOf returns the call of the recording that sent a signal to a process, just before its end.
func (b *builder) senderOf(p *proc, sig int) *killing {
	const before, after = uint64(10 * time.Second), uint64(50 * time.Millisecond)
	for i := len(b.kills) - 1; i >= 0; i-- {
		k := &b.kills[i]
		if k.sig != sig || k.ev.ns+before < p.end || k.ev.ns > p.end+after {
			continue
		}
		if !k.group && (uint32(k.target) == p.Pid || b.threadAt(p, uint32(k.target)) != nil) || k.group {
			return k
		}
	}
	return nil
}

func (b *builder) from(s *signal) string {
	switch {
	case s.code > 0 && ofTerminal[s.sig] != "":
		return " from its terminal (" + ofTerminal[s.sig] + ")"
	case s.code > 0:
		return " from the kernel"
	case s.pid == 0:
		return " from outside (si_pid 0)"
	}
	if p := b.byPid(uint32(s.pid)); p != nil {
		return " from " + b.who(p)
	}
	return " from outside (si_pid " + itoa64(int64(s.pid)) + ")"
}
