package postmortem

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/strace"
)

// grave is the order of signs.
var grave = []string{
	"oom", "stopped", "deadlock", "busy-loop", "no-calls", "exec-failed", "null-pointer", "stack-overflow", "mapped-file", "seccomp", "grace-period", "out-of-descriptors", "no-space", "no-memory",
	"read-only", "io-error", "address-in-use", "denied", "refused", "unreachable", "dns", "missing-file", "broken-pipe", "crashed-child", "failing-children",
}

// signs lists what stands out, the gravest first.
func (b *builder) signs(c *findings) []Sign {
	var list []Sign
	add := func(kind string, how Certainty, count uint64, text string, evidence ...Event) {
		if evidence == nil {
			evidence = []Event{}
		}
		list = append(list, Sign{Kind: kind, Certainty: how, Text: text, Count: count, Evidence: evidence, said: b.said[text]})
	}
	if c.outcome == OOM {
		text := "the OOM killer chose process " + orSome(b, c.main)
		b.said[text] = "OOM"
		add("oom", Certain, 0, text)
	}
	for _, p := range b.all() {
		if p.OOM && (p != c.main || c.outcome != OOM) {
			add("oom", Certain, 0, "the OOM killer chose process "+b.who(p))
		}
	}
	if c.outcome == Running && c.main != nil && c.main.stopped != nil {
		s := c.main.stopped
		add("stopped", Certain, 0, "stopped by "+strace.SignalName(s.sig)+b.from(s)+" "+duration(c.end-min(s.ev.ns, c.end))+" ago, and not continued", s.ev)
	}
	b.deadlock(c, add)
	b.loops(c, add)
	b.computing(c, add)
	if s := c.fatal; s != nil && s.code > 0 {
		switch {
		case s.sig == 11 && s.code == 1 && s.addr < 4096:
			add("null-pointer", Likely, 0, "a null pointer was followed: there is nothing at "+hex(s.addr), s.ev)
		case s.sig == 11 && b.beyondStack(c, s):
			add("stack-overflow", Possible, 0, "the stack may have overflowed: "+hex(s.addr)+" is where that of "+b.thread(c.proc, s.tid, s.ev.Comm)+" ends", s.ev)
		case s.sig == 7 && s.code == 2:
			add("mapped-file", Possible, 0, "a mapped file may have become shorter, or its file system (such as /dev/shm) is full: there is no page at "+hex(s.addr), s.ev)
		case s.sig == 31:
			add("seccomp", Certain, 0, b.signalText(s), s.ev)
		}
	}
	if c.main != nil && c.outcome == Killed && c.status&0x7f == 9 {
		if s := c.earlier(9); s != nil && s.code <= 0 && (s.handled || s.ignored) && c.end-s.ev.ns >= uint64(time.Second) {
			add("grace-period", Likely, 0, "it was asked to end with "+strace.SignalName(s.sig)+" and had not "+duration(c.end-s.ev.ns)+" later, when it was killed", s.ev)
		}
	}
	b.byError(c, add)
	b.children(c, add)
	if n := b.dns.failed + b.dns.timeouts; n > 0 {
		text := "questions to a DNS server failed " + times(b.dns.failed)
		if b.dns.failed == 0 {
			text = "questions to a DNS server were not answered " + times(b.dns.timeouts)
		} else if b.dns.timeouts > 0 {
			text += ", and were not answered " + times(b.dns.timeouts)
		}
		add("dns", Likely, n, text, b.dns.evidence...)
	}
	slices.SortStableFunc(list, func(x, y Sign) int { return cmp.Compare(slices.Index(grave, x.Kind), slices.Index(grave, y.Kind)) })
	return list
}

// beyondStack reports whether a fault is at the end of the thread's stack: of the main
// thread, whose stack is the highest mapping, where it does not grow any more; of others
// in the guard page.
func (b *builder) beyondStack(c *findings, s *signal) bool {
	const mapErr, guard = 1, 64 << 10
	if s.tid != c.proc.Pid {
		return slices.ContainsFunc(c.proc.stacks, func(at uint64) bool { return s.addr >= at && s.addr-at < guard })
	}
	// The kernel puts it by chance at most so far below the highest address.
	var top, most uint64
	switch b.h.Arch {
	case record.ArchX86_64:
		top, most = 1<<47, 16<<30
	case record.ArchARM64:
		top, most = 1<<48, 1<<30
	default:
		return false
	}
	const size = 16 << 20 // of the stack, 8 MiB mostly
	return s.code == mapErr && s.addr < top && s.addr >= top-most-size
}

type adder func(kind string, how Certainty, count uint64, text string, evidence ...Event)

// deadlock looks for processes all of whose threads wait for a lock without a limit.
func (b *builder) deadlock(c *findings, add adder) {
	if c.outcome != Running || b.moreBlock > 0 {
		return
	}
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
			w.evidence = append(w.evidence, Event{Time: *in.Since, Pid: in.Pid, Tid: in.Tid, Comm: in.Comm, Text: in.Text})
		}
	}
	for _, host := range slices.Sorted(maps.Keys(by)) {
		w, p := by[host], b.procs[host]
		if p == nil || w.locks < 2 || w.locks < w.all || uint64(w.all) < b.alive(p) {
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
		text += " have been waiting in futex for " + duration(w.least) + " or longer, none with a timeout: it looks like a deadlock"
		add("deadlock", how, uint64(w.all), text, w.evidence...)
	}
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

// loops looks for threads that make the same call in vain again and again.
func (b *builder) loops(c *findings, add adder) {
	const least, perSecond = 500, 100
	var found []Sign
	for _, t := range b.threads {
		for i := range t.runs {
			r := &t.runs[i]
			span := r.last - r.first
			if r.count < least || span > 0 && float64(r.count)/(float64(span)/1e9) < perSecond || r.last+uint64(time.Second) < min(c.end, max(b.last, r.last)) {
				continue
			}
			var ev replay.Event
			if !r.call.Event(&ev) {
				continue
			}
			name := nameOf(&ev)
			short, _ := b.short(&ev, name)
			how := "failed " + times(r.count) + " with " + errnoName(int(r.errno))
			if r.errno == 0 {
				how = "returned 0 " + times(r.count)
			}
			who := b.thread(t.proc, t.tid, t.comm)
			text := who + " is in a loop: " + short + " " + how + " in " + duration(max(span, 1))
			if t.ended || c.outcome != Running {
				text = who + " was in a loop: " + short + " " + how + " in the last " + duration(max(span, 1))
			}
			found = append(found, Sign{Kind: "busy-loop", Certainty: Likely, Text: text, Count: r.count, Evidence: []Event{b.line(&ev)}})
		}
	}
	slices.SortFunc(found, func(x, y Sign) int { return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Text, y.Text)) })
	for _, s := range found[:min(3, len(found))] {
		add(s.Kind, s.Certainty, s.Count, s.Text, s.Evidence...)
	}
}

// computing looks for threads that live, are in no call and have made none for long.
func (b *builder) computing(c *findings, add adder) {
	const long = uint64(5 * time.Second)
	if c.outcome != Running || b.moreBlock > 0 || b.h.Recording.Frozen || b.h.Filter != "" {
		return
	}
	var found []*thread
	for task, t := range b.threads {
		if !t.blocked && !t.ended && t.proc.end == 0 && t.proc.stopped == nil && task.Known && task.Info.End == 0 && t.over > 0 && c.end > t.over+long {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(x, y *thread) int { return cmp.Or(cmp.Compare(x.over, y.over), cmp.Compare(x.host, y.host)) })
	for _, t := range found[:min(3, len(found))] {
		var last Event
		t.each(func(ev *replay.Event) { last = b.line(ev) })
		add("no-calls", Possible, 0, b.thread(t.proc, t.tid, t.comm)+" is in no call and has made none for "+duration(c.end-t.over)+
			": it computes, is stopped, or does not get the CPU", last)
	}
}

// byError are the signs that an error number makes, wherever it comes from.
var byError = []struct {
	kind   string
	errnos []int
	what   string
	how    Certainty
}{
	{"out-of-descriptors", []int{eMFILE, eNFILE}, "there were no descriptors left", Certain},
	{"no-space", []int{eNOSPC, eDQUOT}, "there was no space left", Certain},
	{"no-memory", []int{eNOMEM}, "the kernel refused memory", Certain},
	{"read-only", []int{eROFS}, "a file system is mounted read-only", Certain},
	{"io-error", []int{eIO}, "a device failed", Likely},
	{"address-in-use", []int{eADDRINUSE}, "an address is in use already", Certain},
	{"denied", []int{eACCES, ePERM}, "permission was denied", Certain},
	{"refused", []int{eCONNREFUSED}, "nobody listens there", Certain},
	{"unreachable", []int{eHOSTUNREACH, 101, eTIMEDOUT}, "a peer could not be reached", Certain},
	{"broken-pipe", []int{ePIPE, 104}, "the other end was gone", Certain},
}

func (b *builder) byError(c *findings, add adder) {
	all := b.failuresOf(c)
	pick := func(kind, what string, how Certainty, want func(*failure) bool) {
		var count, few uint64
		var worst *failure
		var evidence []Event
		for _, f := range all {
			if !want(f) || f.weight < chainWeight {
				continue
			}
			count += f.count
			few++
			if worst == nil || f.weight > worst.weight || f.weight == worst.weight && f.ev.ns > worst.ev.ns {
				worst = f
			}
			if len(evidence) >= 3 {
				evidence = slices.Delete(evidence, 0, 1)
			}
			ev := f.ev
			ev.Weight = round(f.weight)
			if f.count > 1 {
				ev.Times = f.count
			}
			evidence = append(evidence, ev)
		}
		if worst == nil {
			return
		}
		text := what + ": " + worst.short + " failed"
		if worst.count > 1 {
			text += " " + times(worst.count)
		}
		text += " with " + errnoName(worst.errno)
		if few > 1 {
			text += ", and " + counted(few-1, "other call")
		}
		if few == 1 {
			b.said[text] = worst.short + " failed"
		}
		add(kind, how, count, text, evidence...)
	}
	pick("exec-failed", "a program could not be executed", Certain, func(f *failure) bool {
		return (f.call == "execve" || f.call == "execveat") && f.found == ""
	})
	if i := slices.IndexFunc(all, func(f *failure) bool {
		return strings.HasPrefix(f.call, "execve") && f.errno == eNOENT && f.found == ""
	}); i >= 0 {
		add("exec-failed", Possible, 0, "if "+replay.Safe(all[i].file)+" is there, the interpreter in its first line or its loader is missing: the kernel says ENOENT for both", all[i].ev)
	}
	for _, e := range byError {
		pick(e.kind, e.what, e.how, func(f *failure) bool {
			return slices.Contains(e.errnos, f.errno) && f.call != "execve" && f.call != "execveat" && !strings.HasSuffix(f.file, ":53") &&
				!(f.errno == ePERM && f.weight < 1)
		})
	}
	for i := range c.causes {
		if s := &c.causes[i]; s.errno == eNOENT && s.file != "" && !strings.HasPrefix(s.call, "execve") && s.score >= verdictWeight && s.named {
			text := "a file that it could not do without is missing: " + s.short + " failed with ENOENT, and the last words name it"
			b.said[text] = s.short + " failed"
			add("missing-file", Likely, s.count, text, s.ev)
			return
		}
	}
	for i := range c.causes {
		if s := &c.causes[i]; s.errno == eNOENT && s.file != "" && !strings.HasPrefix(s.call, "execve") && s.score >= verdictWeight {
			text := "a file that it looked for just before is missing: " + s.short + " failed with ENOENT"
			b.said[text] = s.short + " failed"
			add("missing-file", Possible, s.count, text, s.ev)
			return
		}
	}
}

// failuresOf are the failures that say something, of all processes if the container is
// running, else those of the processes that the end has to do with.
func (b *builder) failuresOf(c *findings) []*failure {
	procs := c.path
	if c.outcome == Running || c.outcome == Ended || c.proc == nil {
		procs = b.all()
	} else if c.status == 0 {
		return nil
	}
	var all []*failure
	for _, p := range procs {
		for _, f := range p.fails {
			if f.execs == p.execs { // not of a program that it was before
				all = append(all, f)
			}
		}
	}
	slices.SortStableFunc(all, func(x, y *failure) int { return cmp.Compare(x.ev.ns, y.ev.ns) })
	return all
}

// children looks for processes that end badly again and again, or crash.
func (b *builder) children(c *findings, add adder) {
	var all []*crowd
	for _, one := range b.crowds {
		all = append(all, one)
	}
	slices.SortFunc(all, func(x, y *crowd) int {
		return cmp.Or(cmp.Compare(y.count, x.count), cmp.Compare(x.last.end, y.last.end), cmp.Compare(x.last.host, y.last.host))
	})
	shown := 0
	for _, one := range all {
		p := one.last
		if p == c.main || slices.Contains(c.path, p) {
			continue
		}
		sig := int(p.status & 0x7f)
		crash := sig == 4 || sig == 5 || sig == 6 || sig == 7 || sig == 8 || sig == 11 || sig == 31
		if !crash && one.count < 3 || shown == 3 {
			continue
		}
		shown++
		kind, text := "failing-children", counted(one.count, p.Comm+" process")+" "+endOf(p.status)
		if sig != 0 {
			text = counted(one.count, p.Comm+" process") + " ended, " + endOf(p.status)
		}
		if crash {
			kind = "crashed-child"
		}
		var evidence []Event
		if f := p.weightiest(); f != nil {
			text += ", the last one after " + f.short + " failed with " + errnoName(f.errno)
			evidence = append(evidence, f.ev)
		}
		for i := range p.signals {
			if p.signals[i].sig == sig {
				evidence = append(evidence, p.signals[i].ev)
			}
		}
		add(kind, Certain, one.count, text, evidence...)
	}
}

func (p *proc) weightiest() *failure {
	var best *failure
	for _, f := range p.fails {
		if f.weight >= verdictWeight && (best == nil || f.weight >= best.weight) {
			best = f
		}
	}
	return best
}

func orSome(b *builder, p *proc) string {
	if p == nil {
		return "of which the recording has nothing"
	}
	return b.who(p)
}

func hex(n uint64) string {
	const digits = "0123456789abcdef"
	if n == 0 {
		return "0x0"
	}
	var b []byte
	for ; n > 0; n >>= 4 {
		b = append(b, digits[n&15])
	}
	slices.Reverse(b)
	return "0x" + string(b)
}
