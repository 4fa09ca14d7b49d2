package postmortem

import (
	"maps"
	"slices"
)

var ruleDeadlock = rule{
	kind: "deadlock",
	is: "all threads of a process have been in `futex` for a second or more, none with a " +
		"timeout; or the only thread of one that was forked, and has " +
		"not executed another program",
	sure: "likely; possible if there are threads that are not known",
	use:  doing,
	find: findDeadlock,
}

// findDeadlock looks for processes all of whose threads wait for a lock without a limit.
func findDeadlock(c *facts) []Sign {
	b := c.b
	if c.outcome != Running || b.moreBlock > 0 {
		return nil
	}
	var list []Sign
	type waiters struct {
		all, locks, private int
		least               uint64
		evidence            []Event
	}
	by := make(map[uint32]*waiters)
	for i := range b.blocked {
		in := &b.blocked[i]
		w := by[in.tgid]
		if w == nil {
			w = &waiters{least: in.ForNs}
			by[in.tgid] = w
		}
		w.all++
		if !in.futex || in.timeout || in.ForNs < longBlocked {
			continue
		}
		w.locks++
		if in.private {
			w.private++
		}
		w.least = min(w.least, in.ForNs)
		if len(w.evidence) < 4 && in.Since != nil {
			w.evidence = append(w.evidence, Event{Time: *in.Since, Pid: in.Pid, Tid: in.Tid,
				Comm: in.Comm, Text: in.Text})
		}
	}
	for _, host := range slices.Sorted(maps.Keys(by)) {
		w, p := by[host], b.procs[host]
		if p == nil || w.locks < w.all || uint64(w.all) < b.alive(p) || w.locks == 1 &&
			(w.private == 0 || p.execs > 0 || p == c.main) {
			continue
		}
		if w.locks == 1 {
			// Nobody else can wake it: a fork took over a lock that another thread held.
			how := Likely
			if live := b.h.Recording.Tasks.Live; live > uint64(len(b.blocked)) {
				how = Possible
			}
			list = append(list, one(how, 1, "process "+b.who(p)+" hangs: its only thread has "+
				"been waiting in futex for "+duration(w.least)+" without a timeout, and nobody "+
				"else can wake it; it was forked, perhaps while another thread held that lock",
				w.evidence...)...)
			continue
		}
		how := Likely
		text := "all " + itoa(uint64(w.all)) + " threads"
		if len(by) > 1 || p != c.main {
			text += " of process " + b.who(p)
		}
		if live := b.h.Recording.Tasks.Live; live > uint64(len(b.blocked)) {
			how, text = Possible, text+" that are known"
		}
		text += " have been waiting in futex for " + duration(w.least) +
			" or longer, none with a timeout: it looks like a deadlock"
		list = append(list, one(how, uint64(w.all), text, w.evidence...)...)
	}
	return list
}

// alive is how many threads of a process are known to live.
func (b *builder) alive(p *proc) (n uint64) {
	for _, t := range b.threads {
		if t.proc == p && !t.ended {
			n++
		}
	}
	return n
}

// inFutex is how many threads of a process have waited in futex for long, without a timeout.
func (b *builder) inFutex(p *proc) (n uint64) {
	for i := range b.blocked {
		if in := &b.blocked[i]; in.tgid == p.host && in.futex && !in.timeout &&
			in.ForNs >= longBlocked {
			n++
		}
	}
	return n
}
