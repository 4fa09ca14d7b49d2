package postmortem

import (
	"slices"
	"time"

	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/strace"
)

// sending is a signal that was sent, as the kernel saw it. Recordings of before recorderd kept
// these have none.
type sending struct {
	ev  Event
	sig int
	replay.Sent
	by *proc // that sent it, if the recording knows it
}

// sendsEach is how many of each signal are remembered of a process: the first, and the last ones.
const sendsEach = 4

// sends takes a signal that was sent to a process.
func (b *builder) sends(ev *replay.Event, p *proc, _ *thread) {
	s := sending{ev: b.line(ev), sig: int(ev.Rec.Nr), Sent: ev.Sent()}
	if s.Where == replay.SentHere {
		s.by = b.hostAt(s.HostPid, s.ev.ns)
	}
	if u := ev.Usage(); u != nil {
		p.usage = u
	}
	n, second := 0, -1
	for i := range p.sendings {
		if p.sendings[i].sig == s.sig {
			if n++; n == 2 {
				second = i
			}
		}
	}
	if n >= sendsEach {
		p.sendings = slices.Delete(p.sendings, second, second+1)
	}
	p.sendings = append(p.sendings, s)
}

// hostAt returns the process that had an id on the node at a time.
func (b *builder) hostAt(host uint32, at uint64) *proc {
	for _, p := range slices.Backward(b.ended) {
		if p.host == host && p.born() <= at && at <= p.end {
			return p
		}
	}
	return b.procs[host]
}

// waits reports whether a signal was to be delivered when it was sent.
func (s *sending) waits() bool {
	return s.Outcome == replay.SentQueued || s.Outcome == replay.SentBare
}

// struck returns the sending of the signal that ended the process, nil if there is none.
func (c *facts) struck(sig int) *sending {
	at := c.end
	switch {
	case c.fatal != nil:
		at = c.fatal.ev.ns
	case c.proc.end != 0:
		at = c.proc.end
	}
	return c.proc.sendingOf(sig, at)
}

// sendingOf returns the last sending of a signal that was delivered at a time.
func (p *proc) sendingOf(sig int, at uint64) *sending {
	for i := len(p.sendings) - 1; i >= 0; i-- {
		if s := &p.sendings[i]; s.sig == sig && s.waits() && s.ev.ns <= at {
			return s
		}
	}
	return nil
}

// sender names who sent a signal: "runc for containerd-shim, on the node".
func (b *builder) sender(s *sending) string {
	switch {
	case s.By != replay.SentByProcess:
		return "the kernel"
	case s.by != nil:
		return b.who(s.by)
	case s.Where == replay.SentHere:
		return s.From()
	case s.Comm == "":
		return "a process" + s.Place()
	}
	return replay.Safe(s.Comm) + s.Place()
}

// asking is a signal that asked the main process to end before another ended it.
type asking struct {
	sig  int
	ev   Event
	from string // who sent it, beginning with a space; "" if that is who sent the last one, too
	fate string // what became of it, behind a comma
	deaf bool   // the process did not end on it
}

// askedBefore returns the first signal that asked the main process to end, in the minutes
// before the one that did, whether it was delivered or not.
func (c *facts) askedBefore(sig int) *asking {
	var a *asking
	if s := c.earlier(sig); s != nil {
		a = &asking{sig: s.sig, ev: s.ev, from: c.b.from(c.main, s)}
		switch {
		case s.handled:
			a.fate = ", which it caught"
		case s.ignored:
			a.fate = ", which it ignored"
		}
		a.deaf = s.code <= 0 && (s.handled || s.ignored)
		if sent := c.main.sendingOf(s.sig, s.ev.ns); sent != nil && c.sameSender(sent, sig) {
			a.from = ""
		}
	}
	for i := range c.main.sendings {
		s := &c.main.sendings[i]
		if !asksToEnd(s.sig) || s.sig == sig || s.ev.ns+askedWithin < c.end ||
			a != nil && a.ev.ns <= s.ev.ns || c.main.got(s) {
			continue
		}
		a = &asking{sig: s.sig, ev: s.ev, from: " from " + c.b.sender(s), deaf: true}
		if c.sameSender(s, sig) {
			a.from = ""
		}
		who := "process " + c.b.who(c.main)
		switch {
		case s.Outcome == replay.SentIgnored && s.Handler == replay.HandlerDefault:
			a.fate = ", which " + who + " ignored because it has no handler"
		case s.Outcome == replay.SentIgnored, s.Handler == replay.HandlerIgnored:
			a.fate = ", which " + who + " ignored"
		case c.b.complete():
			a.fate = ", which " + who + " never took"
		}
	}
	return a
}

// askedWithin is how long before its end a process was asked to end, at most.
const askedWithin = uint64(5 * time.Minute)

func asksToEnd(sig int) bool {
	switch sig {
	case sigHUP, sigINT, sigQUIT, sigTERM:
		return true
	}
	return false
}

// got reports whether a process was delivered a signal that was sent to it, or took it by a call.
func (p *proc) got(s *sending) bool {
	return slices.ContainsFunc(p.signals, func(d signal) bool {
		return d.sig == s.sig && d.ev.ns >= s.ev.ns
	}) || slices.ContainsFunc(p.taken, func(t taken) bool { return t.sig == s.sig && t.ns >= s.ev.ns })
}

// sameSender reports whether a signal is from whoever sent the one that ended the process: a
// runtime starts a process for each.
func (c *facts) sameSender(s *sending, last int) bool {
	k := c.struck(last)
	return k != nil && k.By == s.By && k.Where == s.Where && k.Comm == s.Comm && k.Parent == s.Parent &&
		k.by == s.by
}

// name of the signal, and how long before the end it was.
func (a *asking) says(end uint64) string {
	return ", " + duration(end-min(end, a.ev.ns)) + " after " + strace.SignalName(a.sig) + a.from + a.fate
}

// fromElsewhere says who outside of the container sent the signal that ended a process, beginning
// with a comma; "" if nobody did.
func (c *facts) fromElsewhere(sig int) string {
	s := c.struck(sig)
	if s == nil || s.By != replay.SentByProcess || s.Where == replay.SentHere || s.Ending {
		return ""
	}
	return ", sent by " + c.b.sender(s)
}

// sendings are the signals sent to the process in question that belong to how it ended.
func (c *facts) sendings() []Event {
	var list []Event
	sig := int(c.proc.status & 0x7f)
	if s := c.struck(sig); s != nil {
		list = append(list, s.ev)
	}
	if c.proc == c.main && sig != 0 {
		if a := c.askedBefore(sig); a != nil {
			list = append(list, a.ev)
		}
	}
	return list
}
