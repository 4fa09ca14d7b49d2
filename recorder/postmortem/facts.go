package postmortem

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/recorderd/recorderd/recorder/strace"
)

// mainProc is the process whose end is the container's.
func (b *builder) mainProc() *proc {
	if b.main != nil {
		return b.main
	}
	var first *proc
	all := b.all()
	for _, p := range all {
		if p.Pid == 1 && p.HostPid != 1 {
			b.endUnseen(p)
			return p
		}
		if first == nil || p.born() < first.born() || p.born() == first.born() && p.host < first.host {
			first = p
		}
	}
	if b.h.Recording.Exit != nil && first != nil && first.end != 0 && !sameEnd(first.status, b.h.Recording.Exit.Code, b.h.Recording.Exit.Signal) {
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
	end     uint64    // ns: the end, or when the dump was taken
	anchor  uint64    // ns: the first sign of the end
	fatal   *signal   // that ended proc
	sent    *killing  // by whom in the recording, if so
	self    bool      // by itself
	causes  []scored  // failed calls before the end, the weightiest first
	words   *Line     // the last words
	ender   *thread   // that ended proc, nil: none of them alone
	running []Blocked // of the main process, the first thread first
	noStart bool      // the main process has executed nothing
}

type scored struct {
	*failure
	score float64
	named bool // by the last words
	why   string
}

func (b *builder) investigate(main *proc, lines []Line) *facts {
	c := &facts{b: b, main: main, proc: main}
	rec := &b.h.Recording
	c.end = max(b.last, b.exitAt)
	switch x := rec.Exit; {
	case x != nil && x.OOMKilled || main != nil && main.end != 0 && main.OOM && main.status&0x7f == 9:
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
	if c.outcome == Running || c.outcome == Ended && main.end == 0 {
		return c
	}
	c.path = []*proc{main}
	for len(c.path) < 5 {
		child := b.handedOn(c.proc)
		if child == nil {
			break
		}
		c.proc = child
		c.path = append(c.path, child)
	}
	p := c.proc
	c.noStart = main.execs == 0 && (runtimes(main.Comm) ||
		slices.ContainsFunc(main.fails, func(f *failure) bool { return f.call == "execve" || f.call == "execveat" }))
	c.ender, c.anchor = p.ender, cmp.Or(p.enderAt, p.end, c.end)
	if sig := int(p.status & 0x7f); sig != 0 {
		c.ender, c.anchor = nil, cmp.Or(p.end, c.end)
		for i := range p.signals {
			if s := &p.signals[i]; s.sig == sig && !s.handled {
				c.fatal, c.anchor = s, s.ev.ns
				c.ender = b.threadAt(p, s.tid)
			}
		}
		c.sent = b.senderOf(p, sig)
		c.self = c.sent != nil && c.sent.by == p && !c.sent.group || c.fatal != nil && c.fatal.code <= 0 && uint32(c.fatal.pid) == p.Pid
	}
	c.words = lastWords(lines, c.path, c.end)
	c.weighCauses(lines)
	return c
}

// handedOn returns the child whose bad end a process handed on as its own: the last one
// that it waited for, or of a pipeline one whose neighbours ended well.
func (b *builder) handedOn(p *proc) *proc {
	const soon = uint64(2 * time.Second)
	if p.status == 0 || p.status&0x7f != 0 {
		return nil
	}
	code := p.status >> 8 & 0xff
	for i := len(p.waits) - 1; i >= 0; i-- {
		w := &p.waits[i]
		child := b.childOf(p, w)
		if child == nil || p.end-w.at > soon {
			return nil
		}
		if w.status == 0 && i > 0 && child.born() < p.waits[i-1].at {
			continue // it ran beside the one before
		}
		if w.status&0x7f == 0 && w.status>>8&0xff == code || w.status&0x7f != 0 && code == 128+w.status&0x7f {
			return child
		}
		return nil
	}
	return nil
}

// childOf returns the process that a wait was for.
func (b *builder) childOf(p *proc, w *waited) *proc {
	for i := len(b.ended) - 1; i >= 0; i-- {
		if q := b.ended[i]; q != p && (q.Pid == w.pid || q.host == w.pid) && q.end <= w.at+uint64(time.Second) && (q.Ppid == p.Pid || q.hostParent == p.host) {
			return q
		}
	}
	return nil
}

func (b *builder) threadAt(p *proc, tid uint32) *thread {
	for _, t := range b.threads {
		if t.proc == p && t.tid == tid {
			return t
		}
	}
	return nil
}

// weighCauses sorts the failed calls of the process by how much they say about its end.
func (c *facts) weighCauses(lines []Line) {
	if c.proc.status == 0 || c.outcome == OOM {
		return
	}
	var said strings.Builder
	const window = uint64(10 * time.Second)
	for i := range lines {
		if l := &lines[i]; l.ns+window >= c.end && !l.unheard() && slices.ContainsFunc(c.path, func(p *proc) bool { return p.Pid == l.Pid }) {
			said.WriteString(l.Text)
			said.WriteByte('\n')
		}
	}
	text := said.String()
	for _, f := range c.proc.fails {
		if f.ev.ns > c.end {
			continue
		}
		s := scored{failure: f, score: f.weight}
		why := []string{"weight " + fmt.Sprint(round(f.weight))}
		switch {
		case names(text, strings.Trim(f.file, `"`), c.proc.Comm):
			s.score, s.named = max(5*s.score, 1), f.found == ""
			why = append(why, "the last words name it")
		case text != "" && errnoText(f.errno) != "" && strings.Contains(text, errnoText(f.errno)):
			s.score *= 1.5
			why = append(why, "the last words have its error")
		}
		if before := c.anchor - min(f.ev.ns, c.anchor); before > 0 {
			s.score /= 1 + float64(before)/10e9
		}
		if c.ender != nil && f.tid != c.ender.tid {
			s.score *= .6
			why = append(why, "another thread")
		}
		if f.count > 100 {
			s.score *= .5
			why = append(why, "happens often")
		}
		if f.execs < c.proc.execs && !s.named {
			s.score *= earlierFactor
			why = append(why, "of the program before this one")
		}
		if f.found != "" {
			why = append(why, "found later as "+f.found)
		}
		s.why = strings.Join(why, ", ")
		c.causes = append(c.causes, s)
	}
	slices.SortStableFunc(c.causes, func(x, y scored) int { return cmp.Or(cmp.Compare(y.score, x.score), cmp.Compare(y.ev.ns, x.ev.ns)) })
}

// cause is the failed call that the verdict names, nil if none says enough.
func (c *facts) cause() *scored {
	if len(c.causes) > 0 && c.causes[0].score >= verdictWeight {
		return &c.causes[0]
	}
	return nil
}

// victim returns the process that the OOM killer chose shortly before the main one ended
// by itself.
func (c *facts) victim() *proc {
	const window = uint64(5 * time.Second)
	for _, p := range slices.Backward(c.b.ended) {
		if p.OOM && p != c.main && !slices.Contains(c.path, p) && p.end+window > c.end && c.status&0x7f == 0 {
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
		if s.sig == sig && s.handled && (s.code > 0 || uint32(s.pid) != c.proc.Pid) && s.ev.ns+window > c.end {
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
	return !b.damaged && b.h.Filter == "" && c.Muted == 0 && c.FrozenCalls == 0 && !b.h.Recording.Frozen && b.h.Recording.Tasks.Unmarked == 0 && c.Late == 0
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
		return cmp.Or(cmp.Compare(firstIf(x.Tid != main.Pid), firstIf(y.Tid != main.Pid)), cmp.Compare(y.ForNs, x.ForNs))
	})
	return list
}
