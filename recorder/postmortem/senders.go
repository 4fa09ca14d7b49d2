package postmortem

import (
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/strace"
)

// Who sent a signal is, in this order: a call of the recording that fits; what the kernel
// says; what the sender says. The kernel fills in si_pid for kill and tkill alone. A
// process that queues a signal writes all of the siginfo itself, and may write anything.

// senderOf returns the call of the recording that sent a signal to a process, shortly before a
// time.
func (b *builder) senderOf(p *proc, sig int, at uint64) *killing {
	const before, after = uint64(10e9), soonAfter
	var several *killing
	for i := len(b.kills) - 1; i >= 0; i-- {
		k := &b.kills[i]
		if k.sig != sig || k.ev.ns+before < at || k.ev.ns > at+after {
			continue
		}
		if !k.group && (uint32(k.target) == p.Pid || b.threadAt(p, uint32(k.target)) != nil) {
			return k
		}
		if k.group && several == nil {
			several = k
		}
	}
	for i := range b.cgroupKill {
		if k := &b.cgroupKill[i]; several == nil && sig == sigKILL && k.ev.ns+before >= at &&
			k.ev.ns <= at+after {
			several = k
		}
	}
	return several
}

// sameMoment is how much later than its delivery the call may return that sent a signal.
const sameMoment = uint64(1e6)

// toldByKernel reports whether it is the kernel that says who sent a signal, and not the sender.
func (s *signal) toldByKernel() bool { return s.code == siUser || s.code == siTkill }

// hasSender reports whether a siginfo has the sender's process at all: that of a timer does not.
func (s *signal) hasSender() bool {
	switch s.code {
	case siTimer, siAsyncIO, siSigIO:
		return false
	}
	return s.code <= 0
}

// from says who sent a signal that p was delivered, beginning with a space.
func (b *builder) from(p *proc, s *signal) string {
	if k := b.senderOf(p, s.sig, s.ev.ns); k != nil && !k.group && s.code <= 0 &&
		k.ev.ns <= s.ev.ns+sameMoment && (k.queued || !s.toldByKernel()) {
		if k.by == p {
			return " from itself"
		}
		return " from " + b.who(k.by)
	}
	sent := p.sendingOf(s.sig, s.ev.ns)
	switch {
	case sent != nil && s.code <= 0 && sent.By == replay.SentByProcess:
		return " from " + b.sender(sent)
	case s.code > 0 && ofTerminal[s.sig] != "":
		return " from its terminal (" + ofTerminal[s.sig] + ")"
	case s.code > 0:
		return " from the kernel"
	case s.code == siTimer:
		return " from a timer"
	case !s.hasSender():
		return " from the kernel (a descriptor was ready)"
	case s.pid == 0 && s.toldByKernel():
		return " from outside (si_pid 0)"
	}
	q := b.byPid(uint32(s.pid))
	switch {
	case q != nil && s.toldByKernel():
		return " from " + b.who(q)
	case q != nil:
		return ", as its sender says from " + b.who(q)
	case s.toldByKernel():
		return " from outside (si_pid " + itoa64(int64(s.pid)) + ")"
	}
	return ", as its sender says from si_pid " + itoa64(int64(s.pid)) +
		", which is none of the recording"
}

// killer says who sent the signal that ended the process, behind its name. The first of
// these that is known speaks.
func (c *facts) killer(sig int) string {
	b, s, k := c.b, c.fatal, c.sent
	threat := b.threat(c.proc, sig)
	sent := c.struck(sig)
	switch {
	case sent != nil && sent.By == replay.SentByProcess && sent.Ending:
		return ", sent because " + b.sender(sent) + " ended, as it had asked for"
	case sent != nil && sent.By == replay.SentByProcess && sent.Where == replay.SentHere:
		return " from " + b.sender(sent) + " of the same container"
	case sent != nil && sent.By == replay.SentByProcess:
		return ", sent by " + b.sender(sent)
	case k != nil && !k.group:
		return " from " + b.who(k.by) + " of the same container"
	case s != nil && s.code == siTimer:
		return " from a timer that it had set"
	case s != nil && s.hasSender() && !s.toldByKernel():
		return b.from(c.proc, s)
	case s != nil && s.toldByKernel() && s.pid != 0:
		if p := b.byPid(uint32(s.pid)); p != nil {
			return " from " + b.who(p) + " of the same container"
		}
		return " from outside (si_pid " + itoa64(int64(s.pid)) + " is none of the recording)"
	case s != nil && s.code > 0 && threat == nil:
		return " from the kernel"
	case threat != nil && k == nil:
		return ", probably by " + threat.what
	case sent != nil:
		return " from the kernel: no process sent it"
	case k != nil && k.pidfd:
		return ", probably from " + b.who(k.by) +
			" of the same container, which sent it by a descriptor; to whom is not known"
	case k != nil && len(b.cgroupKill) > 0 && k == &b.cgroupKill[0]:
		return ", probably from " + b.who(k.by) +
			" of the same container, which wrote to cgroup.kill"
	case k != nil:
		return ", probably from " + b.who(k.by) +
			" of the same container, which sent it to several processes"
	case b.cutShort != nil && near(b.cutShort.seen, c.proc.end):
		return ", probably from " + b.who(b.cutShort) +
			" of the same container, which died while it sent a signal"
	case !b.complete():
		return "; who sent it is not in the recording"
	case b.h.Recording.Coverage.Overwritten > 0 && sig == sigKILL:
		// A timer or a limit may have been set in what is overwritten.
		return ", probably from outside: no process of the recording sent it"
	}
	return " from outside: no process of the recording sent it"
}

// ofKernel are signals that the kernel sends for something else than a fault, and of
// whose sender it does not tell.
var ofKernel = map[int]string{
	sigHUP:    "its terminal is gone, or somebody sent it",
	sigPIPE:   "nobody reads what it writes",
	sigALRM:   "a timer that it had set has run out, or somebody sent it",
	sigXCPU:   "its limit of CPU time is reached",
	sigXFSZ:   "it wrote beyond its limit of a file's size",
	sigVTALRM: "a timer that it had set has run out, or somebody sent it",
	sigPROF:   "a timer that it had set has run out, or somebody sent it",
	sigIO:     "a descriptor is ready, or somebody sent it",
}

// ofTerminal are the keys for which a terminal sends a signal.
var ofTerminal = map[int]string{sigINT: "Ctrl-C", sigQUIT: `Ctrl-\`}

// byItself reports whether the process sent itself the signal that ended it.
func (c *facts) byItself() bool {
	if s := c.struck(int(c.proc.status & 0x7f)); s != nil && s.By == replay.SentByProcess {
		return s.by == c.proc
	}
	if c.sent != nil && !c.sent.group {
		return c.sent.by == c.proc
	}
	return c.fatal != nil && c.fatal.toldByKernel() && uint32(c.fatal.pid) == c.proc.Pid
}

// name is a signal's name, with a core if there is one.
func (c *facts) name(sig int) string {
	if c.status&0x80 != 0 {
		return strace.SignalName(sig) + " (core dumped)"
	}
	return strace.SignalName(sig)
}
