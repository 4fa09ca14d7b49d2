package postmortem

import (
	"encoding/binary"
	"time"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/strace"
)

// taken is a signal that a process waited for, as inits such as tini do, rather than one
// that was delivered to it.
type taken struct {
	sig int
	ns  uint64
	ev  Event
	pid int32
}

// takes takes a rt_sigtimedwait that returned a signal, or a read of a signalfd.
func (b *builder) takes(ev *replay.Event, p *proc) {
	sig := int(ev.Rec.Ret)
	switch sig {
	case sigTERM, sigINT, sigQUIT, sigHUP:
	default:
		return
	}
	t := taken{sig: sig, ns: ev.Time, ev: b.line(ev)}
	for _, it := range ev.Rec.Items {
		if it.Arg == 1 && it.Kind == layout.ItemMem && len(it.Data) >= 20 {
			t.pid = int32(binary.LittleEndian.Uint32(it.Data[16:]))
		}
	}
	p.taken = append(p.taken[:0], t)
}

// passedOn says that process 1 took a signal that asks to end and handed it on, before it
// was killed.
func (c *facts) passedOn() string {
	if len(c.main.taken) == 0 {
		return ""
	}
	t := &c.main.taken[0]
	const window = uint64(5 * time.Minute)
	if t.ns+window < c.end {
		return ""
	}
	v := ", " + duration(c.end-t.ns) + " after " + strace.SignalName(t.sig) + ", which it took"
	for i := range c.b.kills {
		k := &c.b.kills[i]
		if k.by != c.main || k.sig != t.sig || k.ev.ns < t.ns {
			continue
		}
		for _, q := range c.b.all() {
			if q.Pid == uint32(k.target) && !k.group {
				v += " and passed on to " + c.b.who(q)
				if q.end == 0 || q.end+soonAfter > c.end {
					v += ", which went on"
				}
				return v
			}
		}
		return v + " and passed on"
	}
	return v
}
