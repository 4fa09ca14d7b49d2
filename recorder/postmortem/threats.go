package postmortem

import (
	"encoding/binary"
	"strings"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
)

// threat is something that lets the kernel send a process a signal later on, without a
// call that sends it. The kernel does not tell the sender of a SIGKILL, so these are all
// that can be known of it.
type threat struct {
	sig  int
	ns   uint64
	what string // by what the process was killed
	// when reports whether it can have come true when the process ended; nil: at any time.
	when      func(b *builder, p *proc) bool
	inherited bool // by children
	lost      bool // when the process executes another program
}

const maxThreats = 16 // of a process

func (p *proc) threatened(t threat) {
	if t.sig == 0 {
		return
	}
	if len(p.threats) >= maxThreats {
		p.threats = append(p.threats[:0], p.threats[1:]...)
	}
	p.threats = append(p.threats, t)
}

// threatens takes a call that may have the kernel send a signal later on.
func (b *builder) threatens(ev *replay.Event, p *proc, name string) {
	rec := &ev.Rec
	le := binary.LittleEndian
	mem := func(arg uint8, size int) []byte {
		for _, it := range rec.Items {
			if it.Arg == arg && it.Kind == layout.ItemMem && len(it.Data) >= size {
				return it.Data
			}
		}
		return nil
	}
	switch name {
	case "timer_create", "mq_notify":
		const noSignal, thread = 1, 2 // SIGEV_NONE, SIGEV_THREAD
		if d := mem(1, 16); d != nil && le.Uint32(d[12:]) != noSignal &&
			le.Uint32(d[12:]) != thread {
			what := "a timer that it had set"
			if name == "mq_notify" {
				what = "a message queue that it watched"
			}
			p.threatened(threat{sig: int(le.Uint32(d[8:])), ns: ev.Time, what: what, lost: true})
		}
	case "fcntl", "fcntl64":
		const setSig = 10
		if rec.Args[1]&0xffffffff == setSig {
			p.threatened(threat{sig: int(int32(rec.Args[2])), ns: ev.Time,
				what: "the kernel, as a descriptor for which it had set that signal was ready " +
					"(F_SETSIG)"})
		}
	case "setrlimit":
		if d := mem(1, 16); d != nil {
			p.limitCPU(rec.Args[0], le.Uint64(d[8:]), ev.Time)
		}
	case "prlimit64":
		if d := mem(2, 16); d != nil {
			if q := b.target(p, uint32(rec.Args[0])); q != nil {
				q.limitCPU(rec.Args[1], le.Uint64(d[8:]), ev.Time)
			}
		}
	case "prctl":
		const parentDeath, seccomp, strict = 1, 22, 1
		switch rec.Args[0] & 0xffffffff {
		case parentDeath:
			p.threatened(threat{sig: int(rec.Args[1]), ns: ev.Time,
				what: "the kernel, as its parent had ended (PR_SET_PDEATHSIG)", when: parentEnded})
		case seccomp:
			if rec.Args[1] == strict {
				p.strictly(ev.Time)
			}
		}
	case "seccomp":
		if rec.Args[0]&0xffffffff == 0 {
			p.strictly(ev.Time)
		}
	case "ptrace":
		const setOptions, seize, exitKill = 0x4200, 0x4206, 0x100000
		if op := rec.Args[0]; (op == setOptions || op == seize) && rec.Args[3]&exitKill != 0 {
			if q := b.target(p, uint32(rec.Args[1])); q != nil {
				tracer := p
				q.threatened(threat{sig: sigKILL, ns: ev.Time, what: "the kernel, as its tracer " +
					b.who(p) + " had ended (PTRACE_O_EXITKILL)",
					when: func(b *builder, q *proc) bool {
						return tracer.end != 0 &&
							tracer.end <= q.end+soonAfter
					}})
			}
		}
	case "clone", "clone3":
		const thread, chld = 0x10000, sigCHLD
		flags, ok := cloneFlags(ev, name)
		sig := int(flags & 0xff)
		if d := mem(0, 40); name == "clone3" && d != nil {
			sig = int(le.Uint64(d[32:]))
		}
		if ok && flags&thread == 0 && sig != chld && rec.Ret > 0 {
			p.threatened(threat{sig: sig, ns: ev.Time,
				what: "the kernel, as a child had ended for which it had chosen that signal"})
		}
	case "write":
		if fd, ok := ev.FD(int32(rec.Args[0])); ok && strings.HasSuffix(fd.Path, "/cgroup.kill") {
			b.cgroupKill = append(b.cgroupKill[:0],
				killing{ev: b.line(ev), by: p, group: true, sig: sigKILL})
		}
	}
}

// soonAfter is how much later than its reason an end may be recorded, or earlier.
const soonAfter = uint64(50e6)

func (p *proc) limitCPU(resource, hard, ns uint64) {
	const cpu, long = 0, 1 << 32 // seconds
	if resource == cpu && hard < long {
		p.threatened(threat{sig: sigKILL, ns: ns,
			what: "the kernel, as its limit of CPU time was used up (RLIMIT_CPU)", inherited: true,
			when: func(_ *builder, p *proc) bool {
				return p.start == 0 || p.end-min(p.start, p.end) >= max(hard, 1)*1e9*9/10
			}})
	}
}

func (p *proc) strictly(ns uint64) {
	p.threatened(threat{sig: sigKILL, ns: ns,
		what: "the kernel: seccomp's strict mode, which it had chosen, forbids all calls but " +
			"read, write, exit and sigreturn"})
}

func parentEnded(b *builder, p *proc) bool {
	for _, q := range b.ended {
		if (q.host == p.hostParent || q.Pid == p.Ppid) && q != p && q.end <= p.end+soonAfter &&
			q.end+uint64(1e9) >= p.end {
			return true
		}
	}
	// Who has lost its parent has another one by the time that its own end is recorded.
	return b.procs[p.hostParent] == nil
}

// target is the process that a call means by a number, 0: itself.
func (b *builder) target(p *proc, pid uint32) *proc {
	if pid == 0 || pid == p.Pid {
		return p
	}
	for _, q := range b.procs {
		if q.Pid == pid || q.host == pid {
			return q
		}
	}
	return nil
}

// threat returns what may have let the kernel kill a process with a signal, the last such.
func (b *builder) threat(p *proc, sig int) *threat {
	for i := len(p.threats) - 1; i >= 0; i-- {
		if t := &p.threats[i]; t.sig == sig && (t.when == nil || t.when(b, p)) {
			return t
		}
	}
	seen := 0
	for q := b.parentOf(p); q != nil && seen < 8; q = b.parentOf(q) {
		seen++
		for i := len(q.threats) - 1; i >= 0; i-- {
			if t := &q.threats[i]; t.sig == sig && t.inherited && (t.when == nil || t.when(b, p)) {
				return t
			}
		}
	}
	return nil
}

// parentOf is the parent of a process, nil if the recording does not have it.
func (b *builder) parentOf(p *proc) *proc {
	if q := b.procs[p.hostParent]; q != nil && q != p {
		return q
	}
	for i := len(b.ended) - 1; i >= 0; i-- {
		if q := b.ended[i]; q.host == p.hostParent && q != p && q.born() <= p.born() {
			return q
		}
	}
	return nil
}

// endsByExec reports whether a threat ends when the process executes another program.
func (t threat) endsByExec() bool { return t.lost }
