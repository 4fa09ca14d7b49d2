package postmortem

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/recorderd/recorderd/recorder/strace"
)

// mainProc is the process whose end is the container's.
func (b *builder) mainProc() *proc {
	all := b.all()
	if m := b.main; m != nil && m.execs == 0 && m.Pid != 1 && m.setsUp() {
		// A helper of the runtime's, which ends when it has made process 1.
		for _, p := range all {
			if p.Pid == 1 && p.HostPid != 1 && p.end != 0 {
				return p
			}
		}
	}
	if b.main != nil {
		return b.main
	}
	var first *proc
	for _, p := range all {
		if p.Pid == 1 && p.HostPid != 1 {
			b.endUnseen(p)
			return p
		}
		if first == nil || p.born() < first.born() || p.born() == first.born() &&
			p.host < first.host {
			first = p
		}
	}
	if b.h.Recording.Exit != nil && first != nil && first.end != 0 &&
		!sameEnd(first.status, b.h.Recording.Exit.Code, b.h.Recording.Exit.Signal) {
		return nil // the header knows better, and it is none of these
	}
	if len(all) == 1 {
		b.endUnseen(first)
	}
	return first
}

// endUnseen lets a main process end as the header says, if the dump does not have its end.
func (b *builder) endUnseen(p *proc) {
	x := b.h.Recording.Exit
	if x == nil || p.end != 0 {
		return
	}
	p.end, p.status = max(b.exitAt, p.seen), uint32(x.Code&0xff)<<8
	if x.Signal != "" {
		p.status = uint32(strace.SignalNumber(x.Signal))
		if x.CoreDumped {
			p.status |= 0x80
		}
	}
}

// all are the processes that are known, in the order in which they were seen to end or live.
func (b *builder) all() []*proc {
	list := slices.Clone(b.ended)
	live := slices.SortedFunc(maps.Values(b.procs), func(x, y *proc) int {
		return cmp.Or(cmp.Compare(x.born(), y.born()), cmp.Compare(x.host, y.host))
	})
	return append(list, live...)
}

// facts are what the verdict is made of.
type facts struct {
	b       *builder
	outcome Outcome
	main    *proc
	proc    *proc   // where the reason lies: main, or a child whose end main handed on
	path    []*proc // from main to proc
	status  uint32
	end     uint64   // ns: the end, or when the dump was taken
	anchor  uint64   // ns: the first sign of the end
	fatal   *signal  // that ended proc
	sent    *killing // by whom in the recording, if so
	self    bool     // by itself
	causes  []scored // failed calls before the end, the weightiest first
	chosen  *scored  // the one that the verdict names
	caught  *signal  // a fault that was caught, and of which a report was written
	words   *Line    // the last words
	said    string   // with what was written along with them
	// What the last words say: an error, or that something was wrong with a value.
	saidErrno int
	ownReason bool
	ender     *thread   // that ended proc, nil: none of them alone
	running   []Blocked // of the main process, the first thread first
	noStart   bool      // the main process has executed nothing
}

func (b *builder) investigate(main *proc, lines []Line) *facts {
	c := &facts{b: b, main: main, proc: main}
	rec := &b.h.Recording
	c.end = max(b.last, b.exitAt)
	switch x := rec.Exit; {
	case x != nil && x.OOMKilled || main != nil && main.end != 0 && main.OOM &&
		main.status&0x7f == 9:
		c.outcome = OOM
	case x != nil && x.Signal != "":
		c.outcome = Killed
	case x != nil:
		c.outcome = Exited
	case rec.Ended != nil:
		c.outcome = Ended
	default:
		c.outcome = Running
		c.end = max(c.end, b.h.Clock.Monotonic(b.h.Taken))
	}
	if main == nil {
		return c
	}
	c.status = main.status
	if c.outcome == Ended && main.end != 0 && main.Pid == 1 && main.HostPid != 1 {
		c.outcome = Exited
		if main.status&0x7f != 0 {
			c.outcome = Killed
		}
	}
	if main.end != 0 && c.outcome != Running {
		c.end = main.end
	}
	c.anchor = c.end
	if c.outcome == Ended {
		if p := b.unstarted(); p != nil {
			c.noStart, c.main, c.proc, c.status, c.end = true, p, p, p.status, p.end
			c.anchor, c.path = p.end, []*proc{p}
			c.look(lines)
			return c
		}
	}
	if c.outcome == Running || c.outcome == Ended && main.end == 0 {
		return c
	}
	c.path = []*proc{main}
	c.look(lines)
	for len(c.path) < 5 {
		child := b.reasonIn(c.proc)
		if child == nil || child != b.handedOn(c.proc) && c.chosen != nil && c.chosen.named {
			break
		}
		c.path = append(c.path, child)
		c.proc = child
		c.look(lines)
	}
	c.noStart = main.execs == 0 && (main.setsUp() ||
		slices.ContainsFunc(main.fails, func(f *failure) bool { return executes(f.call) }))
	return c
}

// look finds out how the process ended in which the reason is looked for.
func (c *facts) look(lines []Line) {
	b, p := c.b, c.proc
	c.fatal, c.sent, c.self, c.causes, c.chosen, c.caught = nil, nil, false, nil, nil, nil
	c.ender, c.anchor = p.ender, cmp.Or(p.enderAt, p.end, c.end)
	if sig := int(p.status & 0x7f); sig != 0 {
		c.ender, c.anchor = nil, cmp.Or(p.end, c.end)
		for i := range p.signals {
			if s := &p.signals[i]; s.sig == sig && !s.handled {
				c.fatal, c.anchor = s, s.ev.ns
				c.ender = b.threadAt(p, s.tid)
			}
		}
		c.sent = b.senderOf(p, sig, p.end)
		c.self = c.byItself()
		if c.self && c.sent != nil && c.ender == nil {
			c.ender = b.threadAt(p, c.sent.ev.Tid)
		}
	}
	c.lastWords(lines)
	c.caught = c.caughtFault(lines)
	c.weighCauses()
}

// caughtFault returns a fault that the process caught and of which it, or its runtime,
// wrote a report: it is the reason of what came then. Virtual machines catch faults all
// the time, and go on.
func (c *facts) caughtFault(lines []Line) *signal {
	const long = uint64(30 * time.Second)
	p := c.proc
	for i := len(p.signals) - 1; i >= 0; i-- {
		s := &p.signals[i]
		if s.code <= 0 || !s.handled || codeSets[s.sig] == nil || s.ev.ns+long < c.anchor {
			continue
		}
		if c.self && (int(p.status&0x7f) == s.sig || p.status&0x7f == sigABRT) &&
			p.tail.worked < s.ev.ns {
			return s
		}
		for j := range lines {
			if l := &lines[j]; l.host == p.host && l.ns >= s.ev.ns && ofFault(l.Text, s.sig) {
				return s
			}
		}
	}
	return nil
}

// ofFault reports whether a line tells of a signal.
func ofFault(text string, sig int) bool {
	if hasWord(text, strace.SignalName(sig)) {
		return true
	}
	lower := strings.ToLower(text)
	return slices.ContainsFunc(faults[sig], func(s string) bool {
		return strings.Contains(lower, s)
	})
}

var faults = map[int][]string{
	sigSEGV: {"invalid memory address", "nil pointer dereference", "segmentation fault",
		"segmentation violation", "segv on unknown address"},
	sigBUS: {"bus error"},
	sigFPE: {"floating point exception", "floating-point exception", "divide by zero",
		"division by zero"},
	sigILL:  {"illegal instruction"},
	sigTRAP: {"trace/breakpoint trap"},
	sigSYS:  {"bad system call"},
}

func (b *builder) threadAt(p *proc, tid uint32) *thread {
	for _, t := range b.threads {
		if t.proc == p && t.tid == tid {
			return t
		}
	}
	return nil
}

// victim returns the process that the OOM killer chose shortly before the main one ended
// by itself.
func (c *facts) victim() *proc {
	const window = uint64(5 * time.Second)
	for _, p := range slices.Backward(c.b.ended) {
		if p.OOM && p != c.main && !slices.Contains(c.path, p) && p.end+window > c.end &&
			c.status&0x7f == 0 {
			return p
		}
	}
	return nil
}

// first returns the signal from somebody else that a process caught shortly before it
// sent the same to itself, as programs do that tidy up first; so does every one in Go.
func (c *facts) first(sig int) *signal {
	const window = uint64(time.Minute)
	for i := range c.proc.signals {
		s := &c.proc.signals[i]
		if s.sig == sig && s.handled && (s.code > 0 || uint32(s.pid) != c.proc.Pid) &&
			s.ev.ns+window > c.end {
			return s
		}
	}
	return nil
}

// asked returns the signal that asked the main process to end, and that it caught, before
// it exited.
func (c *facts) asked() *signal {
	const window = uint64(time.Minute)
	for i := range c.main.signals {
		s := &c.main.signals[i]
		switch s.sig {
		case 2, 3, 15: // INT, QUIT, TERM
			if s.handled && s.ev.ns+window > c.end {
				return s
			}
		}
	}
	return nil
}

// complete reports whether a call at the end of the recording would have been seen.
func (b *builder) complete() bool {
	c := &b.h.Recording.Coverage
	return !b.damaged && b.h.Filter == "" && c.Muted == 0 && c.FrozenCalls == 0 &&
		!b.h.Recording.Frozen && b.h.Recording.Tasks.Unmarked == 0 && c.Late == 0
}

func (b *builder) byPid(pid uint32) *proc {
	all := b.all()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Pid == pid {
			return all[i]
		}
	}
	return nil
}

// earlier returns the signal that asked the process to end before the one that did.
func (c *facts) earlier(sig int) *signal {
	const window = uint64(5 * time.Minute)
	for i := range c.main.signals {
		s := &c.main.signals[i]
		switch s.sig {
		case 1, 2, 3, 12, 15: // HUP, INT, QUIT, USR2, TERM
			if s.sig != sig && s.ev.ns+window > c.end {
				return s
			}
		}
	}
	return nil
}

func (c *facts) brokenPipe() *failure {
	for i := len(c.proc.fails) - 1; i >= 0; i-- {
		if c.proc.fails[i].errno == ePIPE {
			return c.proc.fails[i]
		}
	}
	return nil
}

// running returns what the threads of the main process are in.
func (b *builder) running(main *proc) []Blocked {
	var list []Blocked
	for _, in := range b.blocked {
		if main != nil && in.tgid == main.host {
			list = append(list, in)
		}
	}
	slices.SortStableFunc(list, func(x, y Blocked) int {
		return cmp.Or(cmp.Compare(firstIf(x.Tid != main.Pid), firstIf(y.Tid != main.Pid)),
			cmp.Compare(y.ForNs, x.ForNs))
	})
	return list
}
