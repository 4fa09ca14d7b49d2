package postmortem

import (
	"slices"
	"strings"
	"time"

	"github.com/recorderd/recorderd/recorder/replay"
)

// ending is a way in which a container came to its end, and how the verdict says so. The
// first of endings that holds speaks.
type ending struct {
	holds func(*facts) bool
	says  func(*facts) string
	whole bool // there is nothing to add: no reason, no last words
}

var endings = []ending{
	{func(c *facts) bool { return c.noStart && c.outcome == Ended }, (*facts).noStartVerdict, true},
	{func(c *facts) bool { return c.outcome == Ended }, func(*facts) string {
		return "it has ended; how is not known: nobody saw the end of its first process"
	}, true},
	{func(c *facts) bool { return c.main == nil || c.main.end == 0 }, (*facts).unseenVerdict, true},
	{func(c *facts) bool { return c.outcome == OOM }, (*facts).oomVerdict, true},
	{func(c *facts) bool { return c.noStart }, (*facts).noStartVerdict, true},
	{func(c *facts) bool { return c.outcome == Killed && c.proc == c.main }, (*facts).killedVerdict,
		false},
	{func(c *facts) bool { return c.proc != c.main }, func(c *facts) string {
		return endOf(c.status) + " after its child " + c.b.who(c.proc) + " " + c.childEnd()
	}, false},
	{func(c *facts) bool { return c.status == 0 && c.asked() != nil },
		func(c *facts) string { return "exited with 0" + c.ofItself() }, true},
	{func(c *facts) bool { return c.status == 0 && c.leftBehind() != nil }, func(c *facts) string {
		return "exited with 0 by itself" + c.lived() + ", while its child " +
			c.b.who(c.leftBehind()) + " still ran: it put itself into the background"
	}, true},
	{func(c *facts) bool { return c.status == 0 },
		func(c *facts) string { return "exited with 0 by itself" + c.lived() + c.inputEnded() }, true},
	{func(*facts) bool { return true }, func(c *facts) string {
		return endOf(c.status) +
			c.ofItself()
	}, false},
}

func (c *facts) verdict(signs []Sign) string {
	if c.outcome == Running {
		return c.runningVerdict(signs)
	}
	i := slices.IndexFunc(endings, func(e ending) bool { return e.holds(c) })
	v := endings[i].says(c)
	if endings[i].whole {
		return v
	}
	if asked := c.asked(); asked != nil && c.outcome == Exited && c.proc == c.main {
		v += c.reason(signs, ", and")
	} else {
		v += c.reason(signs, "")
	}
	if w := c.owed(); w != "" {
		v += "; " + w
	}
	if c.words != nil && (c.fatal == nil || c.words.Stream == "stderr") && c.outcome != Killed ||
		c.words != nil && c.self {
		v += c.quote()
	}
	return v
}

// reason says after what it ended, beginning with a space or comma: the first of these
// that is known. also: it is said already that it was after something.
func (c *facts) reason(signs []Sign, also string) string {
	find := func(want func(*Sign) bool) *Sign {
		for i := range signs {
			if want(&signs[i]) {
				return &signs[i]
			}
		}
		return nil
	}
	exited := c.status&0x7f == 0
	byOthers := c.proc.status&0x7f != 0 && !c.self && !(c.fatal != nil && c.fatal.code > 0)
	switch cause := c.cause(); {
	case c.caught != nil && !byOthers:
		s := c.caught
		return also + c.before(s.ev.ns) + " after " + c.b.signalText(s) + " in " +
			c.b.thread(c.proc, s.tid, s.ev.Comm) + ", which it caught"
	case cause != nil && !byOthers && cause.named:
		v := also + c.before(cause.ev.ns) + " after " + cause.sentence()
		if n := c.proc.often(cause.failure); n > 1 {
			v += " (" + times(n) + ")"
		}
		return v
	case cause != nil && !byOthers:
		v := ", probably because " + cause.sentence()
		if n := c.proc.often(cause.failure); n > 1 {
			v += " (" + times(n) + ")"
		}
		if d := c.before(cause.ev.ns); d != "" {
			v += "," + d + " before"
		}
		return v
	}
	if s := find(func(s *Sign) bool { return s.use&reason != 0 && s.use&recent == 0 }); s != nil &&
		exited {
		return also + " after " + s.Text
	}
	if p := c.victim(); p != nil {
		return also + " after the OOM killer chose process " + c.b.who(p) + p.usedUp()
	}
	if s := find(func(s *Sign) bool {
		return s.use&recent != 0 &&
			s.after(c.end-min(c.end, 5e9))
	}); s != nil && exited {
		return also + " after " + s.Text
	}
	return ""
}

// before is the time from ns to the first sign of the end, with a space; "" if it says nothing.
func (c *facts) before(ns uint64) string {
	if d := c.anchor - min(ns, c.anchor); d >= 1000 {
		return " " + duration(d)
	}
	return ""
}

// quote says the last words, behind a semicolon.
func (c *facts) quote() string {
	how, words := c.spoken()
	return "; " + how + `: "` + words + `"`
}

// spoken are the last words, and how they came.
func (c *facts) spoken() (how, words string) {
	const old = uint64(5 * time.Second)
	w := c.words
	how = "its last words on " + w.Stream
	if age := c.end - min(w.ns, c.end); w.missing {
		how = "of its words on " + w.Stream + " the last are missing, before them"
		if heads(w.Text) >= headRank {
			how = "it said on " + w.Stream // what came then is the report
		}
	} else if age > old {
		how += ", " + duration(age) + " before"
	}
	return how, clip(strings.TrimSpace(w.Text), 160)
}

func (c *facts) unseenVerdict() string {
	x := c.b.h.Recording.Exit
	end := "exited with " + itoa64(int64(x.Code))
	if x.Signal != "" {
		end = "killed by " + x.Signal
	}
	if x.OOMKilled {
		end += ", chosen by the OOM killer"
	}
	return end + "; the recording has nothing of how it came to that"
}

func (c *facts) noStartVerdict() string {
	v := "could not start: "
	if cause := c.cause(); cause != nil {
		v += cause.sentence()
		if why := c.b.h.Recording.NotStarted; why != "" {
			v += ": " + replay.Safe(clip(strings.ToValidUTF8(why, "?"), 400))
		}
		return v + "; " + endOf(c.status)
	}
	if !c.main.setsUp() {
		return v + endOf(c.status)
	}
	end := endOf(c.status)
	if c.status&0x7f != 0 {
		end = "was " + end
	}
	if what := c.lookedInVain(); what != "" {
		return v + what + "; the runtime " + end
	}
	return v + "the runtime " + end + " before it executed the container's program"
}

// leftBehind is a child that still ran when process 1 of a container ended, which ends all others.
func (c *facts) leftBehind() *proc {
	p := c.main
	if p.Pid != 1 || p.HostPid == 1 {
		return nil
	}
	for _, q := range c.b.all() {
		if q != p && q.Pid != 1 && !c.b.fromOutside(q.host) && q.born() >= p.born() &&
			q.born() < p.end &&
			(q.end == 0 || q.end+soonAfter > p.end && q.status&0x7f == sigKILL &&
				q.end >= p.enderAt) {
			return q
		}
	}
	return nil
}

// lookedInVain is the last file that the process looked for, if it did not find it. What a
// runtime says of it, it says to another process.
func (c *facts) lookedInVain() string {
	if c.proc.looked.errno == 0 {
		return ""
	}
	return c.proc.looked.short + " failed with " + errnoName(c.proc.looked.errno)
}

func (c *facts) killedVerdict() string {
	b, s := c.b, c.fatal
	sig := int(c.status & 0x7f)
	name := c.name(sig)
	switch {
	case s != nil && s.code > 0 && codeSets[sig] != nil: // by the kernel, for what the thread did
		v := "killed by " + b.signalText(s)
		if c.status&0x80 != 0 {
			v += " (core dumped)"
		}
		v += " in " + b.thread(c.proc, s.tid, s.ev.Comm)
		if file := c.proc.fileAt(s.addr); file != "" {
			v += ", where " + replay.Safe(file) + " was mapped"
		}
		return v
	case s != nil && s.code == siKernel && ofTerminal[sig] != "":
		return "killed by " + name + " from its terminal (" + ofTerminal[sig] + ")"
	case ofKernel[sig] != "" && c.sent == nil && b.threat(c.proc, sig) == nil &&
		!(s != nil && s.code <= 0 && uint32(s.pid) != c.proc.Pid):
		v := "killed by " + name + ": " + ofKernel[sig]
		if f := c.brokenPipe(); f != nil && sig == sigPIPE {
			v += "; " + f.sentence()
		}
		return v
	case c.self && sig == sigABRT:
		return "aborted itself with " + name + c.inThread()
	case c.self && c.first(sig) != nil:
		return "killed by " + name + b.from(c.proc, c.first(sig)) +
			", which it caught, and then sent to itself" + c.inThread()
	case c.self:
		return "killed by " + name + ", which it sent to itself" + c.inThread()
	}
	v := "killed by " + name + c.killer(sig)
	if asked := c.askedBefore(sig); asked != nil {
		v += asked.says(c.end)
	} else if sig == sigKILL {
		v += c.passedOn()
	}
	const long = uint64(time.Second)
	for i := range c.proc.held {
		if in := &c.proc.held[i]; in.Tid == c.proc.Pid && in.ForNs >= long {
			v += "; its main thread was in " + in.what() + " for " + duration(in.ForNs)
			break
		}
	}
	return v
}

func (c *facts) oomVerdict() string {
	v := "OOM-killed" + c.main.usedUp() + ": the kernel chose process " + c.b.who(c.main) + c.main.share()
	if c.words != nil {
		v += c.quote()
	}
	return v
}
