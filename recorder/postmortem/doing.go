package postmortem

import (
	"strings"
	"time"

	"github.com/recorderd/recorderd/recorder/replay"
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

const (
	longBlocked = uint64(time.Second)
	// Who makes so many calls in a second waits in none of them, whatever a thread happens to
	// be in when somebody looks.
	hurried = 20_000
)

func (c *facts) rate() uint64 {
	return c.b.busy.rate(c.b.h.Recording.Coverage.Overwritten > 0)
}

// lastly says which call the busiest thread makes, if its last ones were alike.
func (c *facts) lastly() string {
	var last *thread
	for _, t := range c.b.threads {
		if t.proc.end == 0 && !t.ended && t.n >= lastCalls && !t.guard &&
			(last == nil || t.n > last.n || t.n == last.n && t.host < last.host) {
			last = t
		}
	}
	if last == nil {
		return ""
	}
	name := ""
	alike := true
	last.each(func(ev *replay.Event) {
		one := nameOf(ev)
		alike = alike && (name == "" || name == one) && ev.Kind == replay.KindCall
		name = one
	})
	if !alike {
		return ""
	}
	return ", the last of " + c.b.thread(last.proc, last.tid, last.comm) + " all " + name
}

func (c *facts) runningVerdict(signs []Sign) string {
	v := c.runs(signs)
	if s := c.b.h.Recording.Spool; s != nil && s.Text != "" { // of a dump that was written by itself
		v += "; written to disk as " + replay.Safe(strings.ToValidUTF8(clip(s.Text, 200), "?"))
	}
	return v
}

func (c *facts) runs(signs []Sign) string {
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
	if rate := c.rate(); rate >= hurried && c.end-c.b.last < 2e9 {
		return v + ", and busy: " + counted(rate, "call") + " in a second" + c.lastly() + extra
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
	if c.b.busy.calls > 0 && c.end-c.b.last < 2e9 {
		return v + ", and busy: " + counted(c.rate(), "call") + " in a second" + c.lastly() + extra
	}
	if c.b.last > 0 && c.end > c.b.last {
		return v + ", but its last call was " + duration(c.end-c.b.last) + " ago" + extra
	}
	return v + extra
}
