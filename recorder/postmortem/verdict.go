package postmortem

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/strace"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// report draws the conclusions from what was read. readErr: why not all of it was.
func (b *builder) report(stats *replay.Stats, readErr error) *Report {
	rec := &b.h.Recording
	b.damaged = readErr != nil || len(stats.Damage) > 0
	r := &Report{
		Type: "postmortem", Recording: rec, Node: cmp.Or(rec.Node, b.h.Node), Kernel: b.h.Kernel, Taken: b.h.Taken,
		Covers: replay.Coverage(&rec.Coverage, time.UTC), Chain: []Event{}, Lacks: b.lacks(stats, readErr),
	}
	lines := b.out.all()
	main := b.mainProc()
	c := b.investigate(main, append(b.out.heads, lines...)) // stacks can be long
	c.running = b.running(main)
	r.Outcome = c.outcome
	r.Signs = cut(b.signs(c), b.o.Items, 0)
	r.Verdict = c.verdict(r.Signs.Items)
	r.Chain = c.chain()
	n := max(0, len(lines)-b.o.Lines)
	r.Output = List[Line]{Items: append([]Line{}, lines[n:]...), More: b.out.more + uint64(n)}
	r.Blocked = b.blockedList(c)
	r.Failures = b.failures()
	r.Slowest = List[Slow]{Items: append([]Slow{}, b.slow...), More: b.slowMore}
	r.Files = b.fileList()
	r.Peers = b.peerList()
	r.Processes = b.processes(main)
	if main != nil {
		p := b.describe(main)
		r.Main = &p
	}
	return r
}

func cut[T any](all []T, n int, more uint64) List[T] {
	if len(all) > n {
		return List[T]{all[:n:n], more + uint64(len(all)-n)}
	}
	return List[T]{append([]T{}, all...), more}
}

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

// findings are what the verdict is made of.
type findings struct {
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

func (b *builder) investigate(main *proc, lines []Line) *findings {
	c := &findings{b: b, main: main, proc: main}
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

// senderOf returns the call of the recording that sent a signal to a process, just before its end.
func (b *builder) senderOf(p *proc, sig int) *killing {
	const before, after = uint64(10 * time.Second), uint64(50 * time.Millisecond)
	for i := len(b.kills) - 1; i >= 0; i-- {
		k := &b.kills[i]
		if k.sig != sig || k.ev.ns+before < p.end || k.ev.ns > p.end+after {
			continue
		}
		if !k.group && (uint32(k.target) == p.Pid || b.threadAt(p, uint32(k.target)) != nil) || k.group {
			return k
		}
	}
	return nil
}

// lastWords returns the line that says most of what was written just before the end.
func lastWords(lines []Line, procs []*proc, end uint64) *Line {
	const window = uint64(5 * time.Second)
	best, better := -1, 0
	for i := range lines {
		l := &lines[i]
		if l.ns+window < end || strings.TrimSpace(l.Text) == "" || l.unheard() {
			continue
		}
		rank := 1
		if l.Stream == "stderr" {
			rank = 3
		}
		if slices.ContainsFunc(procs, func(p *proc) bool { return p.Pid == l.Pid }) {
			rank++
		}
		rank += heads(l.Text)
		if rank >= better {
			best, better = i, rank
		}
	}
	if best < 0 {
		return nil
	}
	words := lines[best]
	if strings.HasSuffix(words.Text, ":") && heads(words.Text) > 0 { // what it announces is in the next line
		for i := best + 1; i < len(lines); i++ {
			if l := &lines[i]; l.Pid == words.Pid && l.Stream == words.Stream {
				words.Text += " " + strings.TrimSpace(l.Text)
				break
			}
		}
	}
	return &words
}

// heads is how much a line looks like the one that says why, above a stack or below one.
func heads(text string) int {
	for _, begins := range [...]string{"panic: ", "fatal error: ", `Exception in thread "`, "FATAL", "Fatal", "fatal: "} {
		if strings.HasPrefix(text, begins) {
			return 8
		}
	}
	if strings.HasPrefix(text, "thread '") && strings.Contains(text, " panicked at ") { // Rust
		return 8
	}
	if head, _, ok := strings.Cut(text, ": "); ok {
		head, _, _ = strings.Cut(head, " [") // AssertionError [ERR_ASSERTION]
		if strings.HasSuffix(head, "Error") && !strings.ContainsAny(head, " \t") {
			return 4
		}
	}
	if strings.HasPrefix(text, "Node.js v") { // ends what is said of an exception
		return -3
	}
	return 0
}

// weighCauses sorts the failed calls of the process by how much they say about its end.
func (c *findings) weighCauses(lines []Line) {
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

// names reports whether a text has a file's path, or its last part as a word of its own,
// unless that is the name of the program, which programs put before what they say.
func names(text, file, program string) bool {
	if len(file) <= 3 {
		return false
	}
	if hasWord(text, file) {
		return true
	}
	base := path.Base(file)
	return len(base) > 3 && base != program && (hasWord(text, base) || hasWord(text, "./"+base))
}

// hasWord reports whether a word stands in a text, not as a part of a longer name.
func hasWord(text, word string) bool {
	part := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-/", c) >= 0
	}
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(word)
		after := end == len(text) || !part(text[end]) && !(text[end] == '.' && end+1 < len(text) && part(text[end+1]))
		if after && (i == 0 || !part(text[i-1]) && text[i-1] != '.') {
			return true
		}
		from = i + 1
	}
}

// cause is the failed call that the verdict names, nil if none says enough.
func (c *findings) cause() *scored {
	if len(c.causes) > 0 && c.causes[0].score >= verdictWeight {
		return &c.causes[0]
	}
	return nil
}

func (c *findings) verdict(signs []Sign) string {
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
	} else if i := slices.IndexFunc(signs, func(s Sign) bool { return s.Kind == "dns" }); i >= 0 && c.status&0x7f == 0 {
		v += also + " after " + signs[i].Text
	} else if p := c.victim(); p != nil {
		v += also + " after the OOM killer chose process " + c.b.who(p)
	} else if i := slices.IndexFunc(signs, func(s Sign) bool { return s.Kind == "crashed-child" && s.after(c.end-min(c.end, 5e9)) }); i >= 0 && c.status&0x7f == 0 {
		v += also + " after " + signs[i].Text
	}
	if c.words != nil && (c.fatal == nil || c.words.Stream == "stderr") && c.outcome != Killed || c.words != nil && c.self {
		v += `; its last words on ` + c.words.Stream + `: "` + clip(strings.TrimSpace(c.words.Text), 160) + `"`
	}
	return v
}

// lookedInVain is the last file that the process looked for, if it did not find it. What a
// runtime says of it, it says to another process.
func (c *findings) lookedInVain() string {
	if c.proc.looked.errno == 0 {
		return ""
	}
	return c.proc.looked.short + " failed with " + errnoName(c.proc.looked.errno)
}

func (c *findings) failedWith(f *scored) string {
	return f.short + " failed with " + errnoName(f.errno)
}

// victim returns the process that the OOM killer chose shortly before the main one ended
// by itself.
func (c *findings) victim() *proc {
	const window = uint64(5 * time.Second)
	for _, p := range slices.Backward(c.b.ended) {
		if p.OOM && p != c.main && !slices.Contains(c.path, p) && p.end+window > c.end && c.status&0x7f == 0 {
			return p
		}
	}
	return nil
}

// after reports whether the last evidence of a sign is after a time.
func (s *Sign) after(ns uint64) bool {
	n := len(s.Evidence)
	return n > 0 && s.Evidence[n-1].ns > ns
}

func (c *findings) childEnd() string {
	if c.proc.OOM {
		return "was chosen by the OOM killer"
	}
	if c.fatal != nil {
		return "was killed by " + c.b.signalText(c.fatal)
	}
	if c.proc.status&0x7f != 0 {
		return "was " + endOf(c.proc.status)
	}
	return endOf(c.proc.status)
}

func (c *findings) lived() string {
	if b := c.main.born(); c.main.start != 0 && c.end > b {
		return " after " + duration(c.end-b)
	}
	return ""
}

func (b *builder) who(p *proc) string {
	if p.Comm == "" {
		return itoa(uint64(p.Pid))
	}
	return itoa(uint64(p.Pid)) + " (" + p.Comm + ")"
}

func (b *builder) thread(p *proc, tid uint32, comm string) string {
	name := itoa(uint64(tid))
	if comm != "" {
		name += " (" + comm + ")"
	}
	if tid == p.Pid {
		return "main thread " + name
	}
	return "thread " + name
}

// signalText names a signal with what the kernel says about it.
func (b *builder) signalText(s *signal) string {
	text := strace.SignalName(s.sig)
	code := codeName(s.sig, s.code, b.h.Arch)
	switch {
	case s.code <= 0 || s.code == 0x80 /* SI_KERNEL */ || code == "":
	case s.sig == 31 && code == "SYS_SECCOMP":
		call := itoa64(int64(s.call))
		if row := syscalls.Lookup(b.h.Arch, uint32(s.call)); row != nil {
			call = row.Name
		}
		text += " (SYS_SECCOMP: a seccomp filter forbids " + call + ")"
	case s.sig == 4 || s.sig == 7 || s.sig == 8 || s.sig == 11 || s.sig == 5:
		text += fmt.Sprintf(" (%s at %#x)", code, s.addr)
	default:
		text += " (" + code + ")"
	}
	return text
}

var codeSets = map[int]*syscalls.Set{
	4: syscalls.SetByName("sicode_ill"), 5: syscalls.SetByName("sicode_trap"), 7: syscalls.SetByName("sicode_bus"), 8: syscalls.SetByName("sicode_fpe"),
	11: syscalls.SetByName("sicode_segv"), 31: syscalls.SetByName("sicode_sys"),
}

func codeName(sig int, code int32, arch record.Arch) string {
	if set := codeSets[sig]; set != nil && code > 0 {
		return set.On(arch).Enum(uint64(code))
	}
	return ""
}

func (c *findings) killedVerdict() string {
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

// ofTerminal are the keys for which a terminal sends a signal.
var ofTerminal = map[int]string{2: "Ctrl-C", 3: `Ctrl-\`}

// first returns the signal from somebody else that a process caught shortly before it
// sent the same to itself, as programs do that tidy up first; so does every one in Go.
func (c *findings) first(sig int) *signal {
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
func (c *findings) asked() *signal {
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

// ofItself says whether an exit was by itself, or after somebody asked for it.
func (c *findings) ofItself() string {
	s := c.asked()
	if s == nil {
		return " by itself"
	}
	return " " + duration(c.end-min(s.ev.ns, c.end)) + " after " + strace.SignalName(s.sig) + c.b.from(s) + ", which it caught"
}

// ofKernel are signals that the kernel sends for something else than a fault, and of
// whose sender it does not tell.
var ofKernel = map[int]string{
	1:  "its terminal is gone, or somebody sent it", // SIGHUP
	13: "nobody reads what it writes",
	14: "a timer that it had set has run out, or somebody sent it", // SIGALRM
	24: "its limit of CPU time is reached",
	25: "it wrote beyond its limit of a file's size",
	26: "a timer that it had set has run out, or somebody sent it", // SIGVTALRM
	27: "a timer that it had set has run out, or somebody sent it", // SIGPROF
	29: "a descriptor is ready, or somebody sent it",               // SIGIO
}

func (c *findings) inThread() string {
	tid := uint32(0)
	comm := ""
	switch {
	case c.sent != nil && c.sent.by == c.proc:
		tid, comm = c.sent.ev.Tid, c.sent.ev.Comm
	case c.fatal != nil:
		tid, comm = c.fatal.tid, c.fatal.ev.Comm
	}
	if tid == 0 || tid == c.proc.Pid {
		return ""
	}
	return " in " + c.b.thread(c.proc, tid, comm)
}

// complete reports whether a call at the end of the recording would have been seen.
func (b *builder) complete() bool {
	c := &b.h.Recording.Coverage
	return !b.damaged && b.h.Filter == "" && c.Muted == 0 && c.FrozenCalls == 0 && !b.h.Recording.Frozen && b.h.Recording.Tasks.Unmarked == 0 && c.Late == 0
}

func (b *builder) from(s *signal) string {
	switch {
	case s.code > 0 && ofTerminal[s.sig] != "":
		return " from its terminal (" + ofTerminal[s.sig] + ")"
	case s.code > 0:
		return " from the kernel"
	case s.pid == 0:
		return " from outside (si_pid 0)"
	}
	if p := b.byPid(uint32(s.pid)); p != nil {
		return " from " + b.who(p)
	}
	return " from outside (si_pid " + itoa64(int64(s.pid)) + ")"
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
func (c *findings) earlier(sig int) *signal {
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

func (c *findings) brokenPipe() *failure {
	for i := len(c.proc.fails) - 1; i >= 0; i-- {
		if c.proc.fails[i].errno == ePIPE {
			return c.proc.fails[i]
		}
	}
	return nil
}

func (c *findings) oomVerdict() string {
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

// waitsFor says what the child is in for which a process waits, if one is blocked: as a
// shell waits for what it runs.
func (b *builder) waitsFor(parent *proc, depth int) string {
	last := func(in *Blocked) int { // of a pipeline the part that others wait for is not at a pipe
		return 2*rankOf(in.Kind) + firstIf(strings.HasPrefix(in.On, "pipe"))
	}
	var in *Blocked
	for i := range b.blocked {
		one := &b.blocked[i]
		p := b.procs[one.tgid]
		if p == nil || p.hostParent != parent.host || one.host != one.tgid || one.ForNs < longBlocked {
			continue
		}
		if in == nil || last(one) < last(in) {
			in = one
		}
	}
	if in == nil {
		return ""
	}
	p := b.procs[in.tgid]
	text := " for its child " + b.who(p) + ", which has been in " + in.what() + " for " + duration(in.ForNs)
	if in.Kind == "child" && depth > 0 {
		text += b.waitsFor(p, depth-1)
	}
	return text
}

func firstIf(later bool) int {
	if later {
		return 1
	}
	return 0
}

// what shows the call of a blocked thread in a few words.
func (in *Blocked) what() string {
	if in.Call == "connect" && in.On != "" {
		return "connect to " + in.On
	}
	if in.named {
		return in.Call + `("` + clip(in.On, 80) + `")`
	}
	text := strings.TrimSuffix(in.Text, " <unfinished ...>")
	if head, _, ok := strings.Cut(text, ", "); ok {
		text = head
	}
	text = strings.TrimRight(text, ", ")
	if in.futex {
		return in.Call
	}
	if _, after, ok := strings.Cut(text, " = "); ok && after != "" {
		text = text[:len(text)-len(after)-3]
	}
	return strings.TrimRight(strings.TrimSuffix(text, ")"), " ") + ")"
}

const longBlocked = uint64(time.Second)

func (c *findings) runningVerdict(signs []Sign) string {
	v := "still running"
	if c.b.h.Recording.Frozen {
		v += " (recording is frozen)"
	}
	extra := ""
	for _, s := range signs {
		switch s.Kind {
		case "stopped", "deadlock", "busy-loop", "no-calls":
			return v + ": " + s.Text
		case "oom", "failing-children", "out-of-descriptors", "no-space", "no-memory", "refused", "dns", "crashed-child":
			if extra == "" {
				extra = "; " + s.Text
			}
		}
	}
	for i := range c.running {
		if in := &c.running[i]; in.Kind == "io" && in.ForNs >= longBlocked {
			return v + ": " + c.b.thread(c.main, in.Tid, in.Comm) + " blocked for " + duration(in.ForNs) + " in " + in.what() + extra
		}
	}
	if len(c.running) > 0 {
		if in := &c.running[0]; in.Tid == c.main.Pid {
			text := ": " + c.b.thread(c.main, in.Tid, in.Comm) + " waiting"
			if in.ForNs > 0 {
				text += " for " + duration(in.ForNs)
			}
			text += " in " + in.what()
			if in.Kind == "child" {
				text += c.b.waitsFor(c.main, 4)
			}
			return v + text + extra
		}
	}
	if n := len(c.b.worked); n >= 2 && c.end-c.b.last < 2e9 {
		rate := c.b.worked[n-1]
		if n >= 4 {
			rate = c.b.worked[n-3]
		}
		return v + ", and busy: " + counted(rate, "call") + " in a second" + extra
	}
	if c.b.last > 0 && c.end > c.b.last {
		return v + ", but its last call was " + duration(c.end-c.b.last) + " ago" + extra
	}
	return v + extra
}

// chain lists what led to the end: the failures that weigh enough, signals, and the
// last calls of the thread that ended it.
func (c *findings) chain() []Event {
	list := []Event{}
	if c.proc == nil || c.outcome == Running || c.outcome == Ended {
		return list
	}
	for i := range c.causes {
		if s := &c.causes[i]; i < 5 && s.score >= chainWeight {
			ev := s.ev
			ev.Weight, ev.Why = round(s.score), s.why
			if s.count > 1 {
				ev.Times = s.count
			}
			list = append(list, ev)
		}
	}
	for i := range c.proc.signals {
		if s := &c.proc.signals[i]; s.ev.ns+60e9 > c.end {
			list = append(list, s.ev)
		}
	}
	if c.sent != nil {
		list = append(list, c.sent.ev)
	}
	if n := len(c.b.dns.evidence); n > 0 && c.cause() == nil && c.status != 0 {
		list = append(list, c.b.dns.evidence[n-1])
	}
	t := c.ender
	if t == nil {
		t = c.b.threadAt(c.proc, c.proc.Pid)
	}
	if t != nil {
		t.each(func(ev *replay.Event) { list = append(list, c.b.line(ev)) })
	}
	slices.SortStableFunc(list, func(x, y Event) int { return cmp.Compare(x.ns, y.ns) })
	list = slices.CompactFunc(list, func(x, y Event) bool { return x.ns == y.ns && x.Tid == y.Tid && x.Text == y.Text })
	if n := len(list) - 14; n > 0 {
		list = list[n:]
	}
	return list
}

func (b *builder) lacks(stats *replay.Stats, readErr error) []string {
	rec := &b.h.Recording
	list := []string{}
	if readErr != nil {
		list = append(list, "the rest of the dump: "+replay.Safe(strings.ToValidUTF8(readErr.Error(), "?")))
	}
	for i := range stats.Damage {
		if i == 3 {
			list = append(list, "what is missing in "+counted(uint64(len(stats.Damage)-i), "other damaged place"))
			break
		}
		list = append(list, replay.Safe(strings.ToValidUTF8(stats.Damage[i].String(), "?")))
	}
	if b.h.Filter != "" {
		list = append(list, "what was left out when the dump was made: "+replay.Safe(b.h.Filter))
	}
	if n := rec.Coverage.Overwritten; n > 0 {
		list = append(list, counted(n, "call")+" before that, overwritten; of these only failed calls, execs, exits, signals and output may be here")
	}
	if s := replay.Missing(rec); s != "" {
		list = append(list, "calls or parts of them: "+s)
	}
	if b.h.CaptureStdio == 0 {
		list = append(list, "what was written to stdout and stderr (--capture-stdio is 0)")
	}
	if stats.Invalid > 0 {
		list = append(list, counted(stats.Invalid, "record")+" that made no sense")
	}
	if stats.Unknown > 0 {
		list = append(list, counted(stats.Unknown, "record")+" of types that this version does not know")
	}
	if b.unknown > 0 {
		list = append(list, "who the threads of "+counted(b.unknown, "event")+" were")
	}
	return list
}

func (b *builder) blockedList(c *findings) List[Blocked] {
	all := slices.Clone(b.blocked)
	if c.outcome != Running && c.proc != nil {
		for _, p := range c.path {
			all = append(all, p.held...)
		}
	}
	for i := range all {
		all[i].Main = c.main != nil && all[i].tgid == c.main.host && all[i].Tid == c.main.Pid
	}
	slices.SortStableFunc(all, func(x, y Blocked) int {
		return cmp.Or(cmp.Compare(firstIf(!x.Main), firstIf(!y.Main)), cmp.Compare(rankOf(x.Kind), rankOf(y.Kind)), cmp.Compare(y.ForNs, x.ForNs), cmp.Compare(x.Tid, y.Tid))
	})
	return cut(all, b.o.Items, b.moreBlock)
}

func rankOf(kind string) int {
	return slices.Index([]string{"io", "lock", "child", "sleep", "event"}, kind)
}

func (b *builder) failures() List[Failure] {
	var all []Failure
	for _, f := range b.kinds {
		f.First, f.Last, f.Everyday = b.time(f.first), b.time(f.last), f.telling == 0
		all = append(all, *f)
	}
	slices.SortFunc(all, func(x, y Failure) int {
		return cmp.Or(cmp.Compare(firstIf(x.Everyday), firstIf(y.Everyday)), cmp.Compare(y.weight, x.weight), cmp.Compare(y.Count, x.Count),
			cmp.Compare(x.Call, y.Call), cmp.Compare(x.Error, y.Error))
	})
	return cut(all, b.o.Items, b.kindsMore)
}

func (b *builder) fileList() List[File] {
	var all []File
	for _, f := range b.files {
		f.Last = b.time(f.last)
		all = append(all, *f)
	}
	slices.SortFunc(all, func(x, y File) int {
		return cmp.Or(cmp.Compare(firstIf(x.everyday), firstIf(y.everyday)), cmp.Compare(y.last, x.last), cmp.Compare(x.Path, y.Path))
	})
	return cut(all, b.o.Items, b.filesMore)
}

func (b *builder) peerList() List[Peer] {
	var all []Peer
	for _, p := range b.peers {
		p.Last = b.time(p.last)
		all = append(all, *p)
	}
	slices.SortFunc(all, func(x, y Peer) int { return cmp.Or(cmp.Compare(y.last, x.last), cmp.Compare(x.Address, y.Address)) })
	return cut(all, b.o.Items, b.peersMore)
}

func (b *builder) processes(main *proc) List[Process] {
	all := b.all()
	rank := func(p *proc) int {
		switch {
		case p == main:
			return 0
		case p.end != 0 && p.status&0x7f != 0:
			return 1
		case p.end != 0 && p.status != 0:
			return 2
		case p.end == 0:
			return 3
		}
		return 4
	}
	slices.SortStableFunc(all, func(x, y *proc) int { return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(y.seen, x.seen)) })
	var list []Process
	for _, p := range all[:min(len(all), b.o.Items)] {
		list = append(list, b.describe(p))
	}
	return List[Process]{append([]Process{}, list...), b.endedMore + uint64(len(all)-len(list))}
}

func (b *builder) describe(p *proc) Process {
	d := p.Process
	if p.start != 0 {
		t := b.time(p.start)
		d.Started = &t
	}
	if p.end != 0 {
		t := b.time(p.end)
		d.Ended = &t
		if sig := int(p.status & 0x7f); sig != 0 {
			d.Signal, d.CoreDumped = strace.SignalName(sig), p.status&0x80 != 0
		} else {
			code := int(p.status >> 8 & 0xff)
			d.Code = &code
		}
	}
	return d
}
