package postmortem

import (
	"strings"
	"time"
)

// waitsFor says what the child is in for which a process waits, if one is blocked: as a
// shell waits for what it runs.
func (b *builder) waitsFor(parent *proc, depth int) string {
	last := func(in *Blocked) int { // of a pipeline the part that others wait for is not at a pipe
		return 2*rankOf(in.Kind) + firstIf(strings.HasPrefix(in.On, "pipe"))
	}
	var in *Blocked
	for i := range b.blocked {
		one := &b.blocked[i]
		p := b.procs[one.tgid]
		if p == nil || p.hostParent != parent.host || one.host != one.tgid ||
			one.ForNs < longBlocked {
			continue
		}
		if in == nil || last(one) < last(in) {
			in = one
		}
	}
	if in == nil {
		return ""
	}
	p := b.procs[in.tgid]
	text := " for its child " + b.who(p) + ", which has been in " + in.what() + " for " +
		duration(in.ForNs)
	if in.Kind == "child" && depth > 0 {
		text += b.waitsFor(p, depth-1)
	}
	return text
}

// waitsAt says what the peer owes that a thread waits for in a call, with a comma; "" if that is
// not known.
func (c *facts) waitsAt(in *Blocked) string {
	o := c.debtor(c.main, c.end)
	if o == nil || o.address != in.On || o.state == connConnecting {
		return ""
	}
	return ", waiting for " + c.waitingFor(c.main, c.end)
}

const longBlocked = uint64(time.Second)

func (c *facts) runningVerdict(signs []Sign) string {
	v := "still running"
	if c.b.h.Recording.Frozen {
		v += " (recording is frozen)"
	}
	extra := ""
	for _, s := range signs {
		if s.use&doing != 0 {
			return v + ": " + s.Text
		}
		if s.use&beside != 0 && extra == "" {
			extra = "; " + s.Text
		}
	}
	for i := range c.running {
		if in := &c.running[i]; in.Kind == "io" && in.ForNs >= longBlocked {
			return v + ": " + c.b.thread(c.main, in.Tid, in.Comm) + " blocked for " +
				duration(in.ForNs) + " in " + in.what() + c.waitsAt(in) + extra
		}
	}
	if len(c.running) > 0 {
		if in := &c.running[0]; in.Tid == c.main.Pid {
			text := ": " + c.b.thread(c.main, in.Tid, in.Comm) + " waiting"
			if in.ForNs > 0 {
				text += " for " + duration(in.ForNs)
			}
			text += " in " + in.what()
			if in.Kind == "child" {
				text += c.b.waitsFor(c.main, 4)
			}
			return v + text + extra
		}
	}
	if n := len(c.b.busy); n >= 2 && c.end-c.b.last < 2e9 {
		rate := c.b.busy[n-1]
		if n >= 4 {
			rate = c.b.busy[n-3]
		}
		return v + ", and busy: " + counted(rate, "call") + " in a second" + extra
	}
	if c.b.last > 0 && c.end > c.b.last {
		return v + ", but its last call was " + duration(c.end-c.b.last) + " ago" + extra
	}
	return v + extra
}
