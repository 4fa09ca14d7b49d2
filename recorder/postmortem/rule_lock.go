package postmortem

import (
	"strings"

	"github.com/recorderd/recorderd/recorder/replay"
)

var ruleLockHeld = rule{
	kind: "lock-held",
	is: "`flock` or `fcntl(F_SETLK)` failed, or has been waiting for a second or more: " +
		"somebody else holds the lock of a file",
	sure: "certain",
	find: func(c *facts) []Sign {
		if in := c.waitsForLock(); in != nil {
			s := one(Certain, 0, c.b.threadOfAny(in)+" has been waiting for "+duration(in.ForNs)+
				" in "+in.what()+": "+heldElsewhere)
			s[0].use = doing
			return s
		}
		var last *failure
		var by *proc
		for _, p := range c.procs() {
			for _, f := range p.fails {
				if strings.HasSuffix(f.said, heldElsewhere) && f.found == "" &&
					f.execs == p.execs && (last == nil || f.ev.ns > last.ev.ns) {
					last, by = f, p
				}
			}
		}
		if last == nil {
			return nil
		}
		const still = 2 * longBlocked
		text := last.said
		if c.outcome == Running && last.count >= 3 && last.ev.ns+still > c.end &&
			last.ev.ns-last.first >= longBlocked {
			text = "process " + c.b.who(by) + " has tried " + times(last.count) + " in " +
				duration(last.ev.ns-last.first) + " to lock " +
				replay.Safe(lockOf(last)) + ": " + last.said
			s := one(Certain, last.count, text, last.ev)
			s[0].use = doing
			return s
		}
		s := one(Certain, last.count, text, last.ev)
		s[0].said, s[0].use = last.said, beside|reason|recent
		return s
	},
}

func lockOf(f *failure) string {
	if f.file == "" {
		return "a file"
	}
	return f.file
}

// waitsForLock is a thread that waits for the lock of a file.
func (c *facts) waitsForLock() *Blocked {
	if c.outcome != Running {
		return nil
	}
	for i := range c.b.blocked {
		if in := &c.b.blocked[i]; in.fileLock && in.ForNs >= longBlocked {
			return in
		}
	}
	return nil
}

// procs are the processes that the report is about: all, if the container is running.
func (c *facts) procs() []*proc {
	if c.outcome == Running || c.outcome == Ended || c.proc == nil {
		return c.b.all()
	}
	if c.status == 0 {
		return nil
	}
	return c.path
}

// threadOfAny names a thread, with its process if that is another than the thread.
func (b *builder) threadOfAny(in *Blocked) string {
	p := b.procs[in.tgid]
	if p == nil {
		return "thread " + itoa(uint64(in.Tid))
	}
	return b.thread(p, in.Tid, in.Comm)
}
