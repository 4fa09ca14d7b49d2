package postmortem

import (
	"slices"
	"strings"
	"time"

	"github.com/recorderd/recorderd/recorder/strace"
)

func (c *facts) verdict(signs []Sign) string {
	x := c.b.h.Recording.Exit
	switch {
	case c.outcome == Running:
		return c.runningVerdict(signs)
	case c.outcome == Ended:
		return "it has ended; how is not known: nobody saw the end of its first process"
	case c.main == nil || c.main.end == 0:
		end := "exited with " + itoa64(int64(x.Code))
		if x.Signal != "" {
			end = "killed by " + x.Signal
		}
		if x.OOMKilled {
			end += ", chosen by the OOM killer"
		}
		return end + "; the recording has nothing of how it came to that"
	case c.outcome == OOM:
		return c.oomVerdict()
	}
	v := ""
	switch {
	case c.noStart:
		v = "could not start: "
		if cause := c.cause(); cause != nil {
			return v + c.failedWith(cause) + "; " + endOf(c.status)
		}
		if runtimes(c.main.Comm) {
			if what := c.lookedInVain(); what != "" {
				return v + what + "; the runtime " + endOf(c.status)
			}
			return v + "the runtime " + endOf(c.status) + " before it executed the container's program"
		}
		v += endOf(c.status)
	case c.outcome == Killed && c.proc == c.main:
		v = c.killedVerdict()
	case c.proc != c.main:
		v = endOf(c.status) + " after its child " + c.b.who(c.proc) + " " + c.childEnd()
	case c.status == 0:
		if c.asked() != nil {
			return "exited with 0" + c.ofItself()
		}
		return "exited with 0 by itself" + c.lived()
	default:
		v = endOf(c.status) + c.ofItself()
	}
	asked := c.asked()
	also := "" // it is after two things
	if asked != nil && c.outcome == Exited && c.proc == c.main {
		also = ", and"
	}
	if cause := c.cause(); cause != nil && !(c.fatal != nil && c.fatal.code <= 0 && !c.self) && !(c.fatal == nil && c.status&0x7f != 0) {
		between := ""
		if d := c.anchor - min(cause.ev.ns, c.anchor); d >= 1000 {
			between = " " + duration(d)
		}
		v += also + between + " after " + c.failedWith(cause)
		if cause.count > 1 {
			v += " (" + times(cause.count) + ")"
		}
	} else if i := slices.IndexFunc(signs, func(s Sign) bool { return s.use&reason != 0 && s.use&recent == 0 }); i >= 0 && c.status&0x7f == 0 {
		v += also + " after " + signs[i].Text
	} else if p := c.victim(); p != nil {
		v += also + " after the OOM killer chose process " + c.b.who(p)
	} else if i := slices.IndexFunc(signs, func(s Sign) bool { return s.use&recent != 0 && s.after(c.end-min(c.end, 5e9)) }); i >= 0 && c.status&0x7f == 0 {
		v += also + " after " + signs[i].Text
	}
	if c.words != nil && (c.fatal == nil || c.words.Stream == "stderr") && c.outcome != Killed || c.words != nil && c.self {
		v += `; its last words on ` + c.words.Stream + `: "` + clip(strings.TrimSpace(c.words.Text), 160) + `"`
	}
	return v
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
	core := ""
	if c.status&0x80 != 0 {
		core = " (core dumped)"
	}
	sig := int(c.status & 0x7f)
	switch {
	case s != nil && s.code > 0 && codeSets[sig] != nil: // by the kernel, for what the thread did
		return "killed by " + b.signalText(s) + core + " in " + b.thread(c.proc, s.tid, s.ev.Comm)
	case s != nil && s.code == 0x80 /* SI_KERNEL */ && ofTerminal[sig] != "":
		return "killed by " + strace.SignalName(sig) + core + " from its terminal (" + ofTerminal[sig] + ")"
	case ofKernel[sig] != "" && c.sent == nil && !(s != nil && s.code <= 0 && uint32(s.pid) != c.proc.Pid):
		v := "killed by " + strace.SignalName(sig) + core + ": " + ofKernel[sig]
		if f := c.brokenPipe(); f != nil && sig == 13 {
			v += "; " + f.short + " failed with EPIPE"
		}
		return v
	case c.self && sig == 6:
		return "aborted itself with SIGABRT" + core + c.inThread()
	case c.self && c.first(sig) != nil:
		return "killed by " + strace.SignalName(sig) + core + c.b.from(c.first(sig)) + ", which it caught, and then sent to itself" + c.inThread()
	case c.self:
		return "killed by " + strace.SignalName(sig) + core + ", which it sent to itself" + c.inThread()
	}
	v := "killed by " + strace.SignalName(sig) + core
	switch {
	case c.sent != nil && c.sent.group:
		v += ", probably from " + b.who(c.sent.by) + " of the same container, which sent it to several processes"
	case c.sent != nil:
		v += " from " + b.who(c.sent.by) + " of the same container"
	case s != nil && s.pid != 0:
		if p := b.byPid(uint32(s.pid)); p != nil {
			v += " from " + b.who(p) + " of the same container"
		} else {
			v += " from outside (si_pid " + itoa64(int64(s.pid)) + " is none of the recording)"
		}
	case b.cutShort != nil && near(b.cutShort.seen, c.proc.end):
		v += ", probably from " + b.who(b.cutShort) + " of the same container, which died while it sent a signal"
	case b.complete():
		v += " from outside: no process of the recording sent it"
	default:
		v += "; who sent it is not in the recording"
	}
	if earlier := c.earlier(sig); earlier != nil {
		v += ", " + duration(c.end-earlier.ev.ns) + " after " + strace.SignalName(earlier.sig) + b.from(earlier)
		switch {
		case earlier.handled:
			v += ", which it caught"
		case earlier.ignored:
			v += ", which it ignored"
		}
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
	p := c.main
	v := "OOM-killed: the kernel chose process " + c.b.who(p)
	if p.grown.by != nil {
		if n := p.grown.lately(p.end); n >= 1<<20 {
			over := "in the last minute"
			if d := p.end - p.born(); p.start != 0 && d < 60e9 {
				over = "in its " + duration(d)
			}
			v += ", which had mapped " + mib(n) + " " + over
		}
	}
	if c.words != nil {
		v += `; its last words on ` + c.words.Stream + `: "` + clip(strings.TrimSpace(c.words.Text), 160) + `"`
	}
	return v
}
