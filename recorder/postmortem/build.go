package postmortem

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
)

// Options say how much of each list a Report has. The zero Options have what
// recorderctl show -o json has.
type Options struct {
	Items int // of each list; 0: 20
	Lines int // of output; 0: 40
}

// What is remembered while a dump is read. Beyond that, the oldest is forgotten, what says
// least first.
const (
	maxThreads  = 1024 // with their last calls
	maxProcs    = 1024 // that live
	maxEnded    = 512  // that have ended
	maxFailures = 24   // of a process
	maxKinds    = 1024 // of failed calls
	maxFiles    = 2048
	maxPeers    = 1024
	maxBlocked  = 4096
	maxLines    = 256 // of output
	maxText     = 600 // bytes of a line of the recording
	lastCalls   = 6   // of a thread
	floorSlow   = uint64(time.Millisecond)
)

// Build reads a dump to its end and says what became of its container.
//
// An error of the dump (see dump.Reader) comes with a report on all that could be read,
// and so does one that wraps dump.ErrCorrupt if the dump says that parts of it are
// missing; Lacks says so, too.
func Build(r *dump.Reader, o Options) (*Report, error) {
	if o.Items <= 0 {
		o.Items = 20
	}
	if o.Lines <= 0 {
		o.Lines = 40
	}
	h := r.Header()
	b := &builder{
		o: o, h: h, format: replay.NewFormatter(h, 96),
		procs: make(map[uint32]*proc), threads: make(map[*replay.Task]*thread), kinds: make(map[kindKey]*Failure),
		files: make(map[string]*File), peers: make(map[string]*Peer), crowds: make(map[crowdKey]*crowd), said: make(map[string]string),
	}
	if x := h.Recording.Exit; x != nil {
		b.exitAt = h.Clock.Monotonic(x.At)
	}
	stats, err := replay.Walk(r, replay.Query{Fds: true}, time.UTC, func(ev *replay.Event) error {
		b.event(ev)
		return nil
	})
	b.h = r.Header()
	report := b.report(&stats, err)
	if n := len(stats.Damage); err == nil && n > 0 {
		err = fmt.Errorf("%w in %s, the first: %s", dump.ErrCorrupt, counted(uint64(n), "place"), stats.Damage[0].String())
	}
	return report, err
}

type builder struct {
	o      Options
	h      *dump.Header
	format *replay.Formatter
	buf    []byte
	exitAt uint64 // ns: when the main process ended, as the header says; 0: it did not

	first, last uint64 // times of the first and the last event
	procs       map[uint32]*proc
	ended       []*proc
	endedMore   uint64
	main        *proc // that whose end is the header's
	oldest      *proc // the one that was there first
	threads     map[*replay.Task]*thread

	kinds     map[kindKey]*Failure
	kindsMore uint64
	slow      []Slow
	slowMore  uint64
	files     map[string]*File
	filesMore uint64
	peers     map[string]*Peer
	peersMore uint64
	blocked   []Blocked
	moreBlock uint64
	kills     []killing
	damaged   bool  // parts of the dump could not be read
	cutShort  *proc // it died while it sent a signal, the last one
	crowds    map[crowdKey]*crowd
	dns       dnsTrouble
	said      map[string]string // what a verdict has to have so that it has all of a sign
	out       output
	unknown   uint64   // events of threads of which nothing is known but the host's id
	worked    []uint64 // calls by second, the last ones
}

type kindKey struct {
	call  string
	errno int
}

// proc is a process.
type proc struct {
	Process
	host, hostParent uint32
	start            uint64
	firstSeen, seen  uint64
	end              uint64 // 0: it lives
	status           uint32 // as wait(2) has it
	execs            int
	fails            []*failure
	ender            *thread // that ended it by a call
	enderAt          uint64
	waits            []waited // the last ones for children
	signals          []signal
	streams          map[int32]uint8 // which of its descriptors are stdout or stderr
	grown            memory
	looked           look      // for the last file
	stopped          *signal   // that stopped it, and nothing has happened since
	stacks           []uint64  // where the stacks of its threads begin, the last ones
	held             []Blocked // the calls that its threads were in when it was killed
}

type waited struct {
	pid, status uint32
	at          uint64
}

// look is a call that finds a file by its name, or does not.
type look struct {
	short string
	errno int
}

// failure is a failed call that says something.
type failure struct {
	ev     Event
	call   string
	errno  int
	file   string // path or address
	short  string
	weight float64
	count  uint64
	tid    uint32
	found  string // where the same name was found later
	execs  int    // how many programs the process had executed before
}

// thread is a thread with its last calls.
type thread struct {
	proc     *proc
	tid      uint32
	host     uint32
	comm     string
	calls    [lastCalls]replay.Copy
	n        int
	seen     uint64
	over     uint64 // when its last call returned, but for the ends of signal handlers
	prev     runKey // the last call
	runs     [6]run
	dnsAt    uint64 // when it asked a DNS server through dnsFd, which is not connected
	dnsFd    int32
	blocked  bool
	ended    bool
	inKilled *Blocked
}

type runKey struct {
	nr    uint16
	errno int32
}

// run is a row of calls that fail alike.
type run struct {
	runKey
	count       uint64
	first, last uint64
	call        replay.Copy
}

// signal is one that was delivered.
type signal struct {
	ev      Event
	sig     int
	code    int32
	pid     int32 // who sent it, if somebody did
	addr    uint64
	handled bool // by a function
	ignored bool
	tid     uint32
	host    uint32
	pidHere uint32
	call    int32 // SIGSYS
}

// killing is a call that sends a signal.
type killing struct {
	ev     Event
	by     *proc
	target int32
	group  bool // of the target is known only that it is several, or one of many
	sig    int
}

type crowdKey struct {
	comm   string
	status uint32
}

// crowd is processes of one name that ended alike, badly.
type crowd struct {
	count uint64
	last  *proc
}

type dnsTrouble struct {
	failed, timeouts uint64
	evidence         []Event
}

func (b *builder) time(ns uint64) time.Time {
	t := b.h.Clock.Time(ns).UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return time.Time{} // JSON has no such year
	}
	return t
}

func (b *builder) text(ev *replay.Event) string {
	b.buf = b.format.Append(b.buf[:0], ev)
	if len(b.buf) > maxText {
		b.buf = append(b.buf[:maxText], "…"...)
	}
	return replay.Safe(strings.ToValidUTF8(string(b.buf), "?"))
}

// line makes an Event of ev.
func (b *builder) line(ev *replay.Event) Event {
	pid, tid := ev.Task.IDs(false)
	return Event{Time: b.time(ev.Time), Pid: pid, Tid: tid, Comm: commOf(ev), Text: b.text(ev), ns: ev.Time}
}

func commOf(ev *replay.Event) string { return replay.Safe(string(ev.Comm.Bytes())) }

func (b *builder) event(ev *replay.Event) {
	if b.first == 0 || ev.Time < b.first {
		b.first = ev.Time
	}
	if ev.State != replay.Blocked {
		b.last = max(b.last, ev.Time)
	}
	if !ev.Task.Known {
		b.unknown++
	}
	p := b.procOf(ev)
	t := b.threadOf(ev, p)
	switch ev.Kind {
	case replay.KindCall, replay.KindExec:
		b.call(ev, p, t)
	case replay.KindSignal:
		b.signal(ev, p)
		t.push(ev)
	case replay.KindExit:
		b.exit(ev, p, t)
	case replay.KindOOM:
		b.victim(ev, p)
	case replay.KindRename: // the name is the task's
	case replay.KindUnknown: // counted as missing
	}
}

// procOf returns the process of an event.
func (b *builder) procOf(ev *replay.Event) *proc {
	info := &ev.Task.Info
	host := cmp.Or(info.Tgid, info.Tid)
	p := b.procs[host]
	leader := info.Tid == host
	if p != nil && leader && p.start != 0 && info.Start != 0 && p.start != info.Start {
		b.finish(p) // the id has been used again
		p = nil
	}
	if p == nil {
		if len(b.procs) >= maxProcs {
			b.forgetProcs()
		}
		p = &proc{host: host, hostParent: info.Ptid, firstSeen: ev.Time}
		p.Pid, _ = ev.Task.IDs(false)
		if p.Pid == 0 {
			p.Pid = host
		}
		p.HostPid, p.Ppid = host, info.NsPtid
		if !ev.Task.InContainer() {
			p.Ppid = info.Ptid
		}
		p.streams = map[int32]uint8{1: 1, 2: 2}
		if parent := b.procs[info.Ptid]; parent != nil && parent != p {
			p.streams = make(map[int32]uint8, len(parent.streams))
			for fd, s := range parent.streams {
				p.streams[fd] = s
			}
		}
		b.procs[host] = p
		if b.oldest == nil || p.born() < b.oldest.born() {
			b.oldest = p
		}
	}
	if leader {
		p.start = cmp.Or(p.start, info.Start)
		if b.oldest != p && p.end == 0 && b.oldest != nil && p.born() < b.oldest.born() {
			b.oldest = p
		}
	}
	if leader || p.Comm == "" {
		p.Comm = cmp.Or(commOf(ev), p.Comm)
	}
	p.seen = max(p.seen, ev.Time)
	return p
}

func (p *proc) born() uint64 { return cmp.Or(p.start, p.firstSeen) }

func (b *builder) forgetProcs() {
	all := make([]*proc, 0, len(b.procs))
	for _, p := range b.procs {
		all = append(all, p)
	}
	slices.SortFunc(all, func(x, y *proc) int { return cmp.Or(cmp.Compare(x.seen, y.seen), cmp.Compare(x.host, y.host)) })
	var first *proc // of those that are process 1 of a namespace, of which there may be any number
	for _, p := range all {
		if p.Pid == 1 && (first == nil || p.born() < first.born()) {
			first = p
		}
	}
	for _, p := range all[:len(all)/2] {
		if p != b.oldest && p != first {
			delete(b.procs, p.host)
			b.endedMore++
		}
	}
}

func (b *builder) threadOf(ev *replay.Event, p *proc) *thread {
	t := b.threads[ev.Task]
	if t == nil {
		if len(b.threads) >= maxThreads {
			b.forgetThreads()
		}
		t = &thread{proc: p, host: ev.Task.Info.Tid}
		_, t.tid = ev.Task.IDs(false)
		b.threads[ev.Task] = t
		p.Threads++
	}
	t.comm, t.seen = cmp.Or(commOf(ev), t.comm), max(t.seen, ev.Time)
	return t
}

func (b *builder) forgetThreads() {
	tasks := make([]*replay.Task, 0, len(b.threads))
	for task := range b.threads {
		tasks = append(tasks, task)
	}
	slices.SortFunc(tasks, func(x, y *replay.Task) int {
		return cmp.Or(cmp.Compare(b.threads[x].seen, b.threads[y].seen), cmp.Compare(x.Info.Tid, y.Info.Tid))
	})
	for _, task := range tasks[:len(tasks)/2] {
		delete(b.threads, task)
	}
}

// push remembers an event as one of the last of its thread.
func (t *thread) push(ev *replay.Event) {
	t.calls[t.n%lastCalls].Set(ev)
	t.n++
}

// each calls f with the last events of a thread, the oldest first.
func (t *thread) each(f func(*replay.Event)) {
	var ev replay.Event
	for i := max(0, t.n-lastCalls); i < t.n; i++ {
		if t.calls[i%lastCalls].Event(&ev) {
			f(&ev)
		}
	}
}

func nameOf(ev *replay.Event) string {
	if c := ev.Call(); c != nil {
		return c.Name
	}
	return "syscall_" + itoa(uint64(ev.Rec.Nr))
}

func (b *builder) call(ev *replay.Event, p *proc, t *thread) {
	name := nameOf(ev)
	if p.stopped != nil && ev.Start > p.stopped.ev.ns+uint64(time.Millisecond) {
		p.stopped = nil // a call began after that
	}
	switch ev.State {
	case replay.Finished, replay.Unfinished:
	case replay.Blocked:
		t.blocked = true
		if len(b.blocked) >= maxBlocked {
			b.moreBlock++
			return
		}
		b.blocked = append(b.blocked, b.blockedIn(ev, p, t, name))
		return
	case replay.Killed:
		in := b.blockedIn(ev, p, t, name)
		t.inKilled = &in
		switch name {
		case "kill", "tkill", "tgkill", "rt_sigqueueinfo", "pidfd_send_signal":
			b.cutShort = p
		}
		t.push(ev)
		return
	case replay.NoReturn:
		if name == "exit_group" || p.ender == nil {
			p.ender, p.enderAt = t, ev.Time
		}
		t.push(ev)
		return
	}
	t.push(ev)
	if ev.State != replay.Finished {
		return
	}
	p.Calls++
	if name != "rt_sigreturn" && name != "sigreturn" {
		t.over = max(t.over, ev.Time)
	}
	b.count(ev.Time)
	b.repeat(ev, t, name)
	if looked[name] && runtimes(p.Comm) && ev.Path() != "" {
		p.looked = look{}
		if ev.Failed() {
			p.looked.short, _ = b.short(ev, name)
			p.looked.errno = int(-ev.Rec.Ret)
		}
	}
	if ev.Failed() {
		if !transient(name, int(-ev.Rec.Ret)) {
			p.Failed++
		}
		b.failed(ev, p, t, name)
	} else {
		b.succeeded(ev, p, t, name)
	}
	b.peer(ev, p, t, name)
	if !ev.NoDur() && ev.Rec.Dur >= floorSlow && waitKind(name) == "io" && !runtimes(commOf(ev)) {
		b.slowCall(ev)
	}
}

// count counts calls by second, so that the report can say how busy the end was.
func (b *builder) count(ns uint64) {
	const kept = 4
	sec := ns / 1e9
	if n := len(b.worked); n >= 2 && b.worked[n-2] == sec {
		b.worked[n-1]++
		return
	}
	b.worked = append(b.worked, sec, 1)
	if len(b.worked) > 2*kept {
		b.worked = append(b.worked[:0], b.worked[2:]...)
	}
}

// repeat notices calls that fail again and again.
func (b *builder) repeat(ev *replay.Event, t *thread, name string) {
	k := runKey{nr: ev.Rec.Nr}
	switch {
	case ev.Failed():
		k.errno = int32(-ev.Rec.Ret)
	case ev.Rec.Ret == 0 && (name == "read" || name == "recvfrom"):
		// the end of a file, again and again
	default:
		t.prev = runKey{errno: -1}
		return
	}
	again := t.prev == k
	t.prev = k
	if ev.Guard || (k.errno == 0 || transient(name, int(k.errno))) && !again {
		return
	}
	oldest := &t.runs[0]
	for i := range t.runs {
		r := &t.runs[i]
		if r.runKey == k && r.count > 0 {
			oldest = r
			break
		}
		if r.last < oldest.last {
			oldest = r
		}
	}
	r := oldest
	const pause = uint64(time.Second)
	if r.runKey != k || r.count == 0 || ev.Time > r.last+pause {
		r.runKey, r.count, r.first = k, 0, ev.Time
	}
	r.count++
	r.last = ev.Time
	if r.count < 2 || r.count%64 == 0 {
		r.call.Set(ev)
	}
}

// short shows a call with what it was about.
func (b *builder) short(ev *replay.Event, name string) (text, about string) {
	about = ev.Path()
	quoted := about
	switch {
	case about != "":
		quoted = `"` + clip(about, 80) + `"`
	case name == "connect" || name == "bind":
		about = ev.Address()
		quoted = about
	default:
		if c := ev.Call(); c != nil && len(c.Args) > 0 && isFd(c.Args[0].Type) && !ev.NoArgs {
			num := int32(ev.Rec.Args[c.Args[0].Reg])
			quoted = itoa64(int64(num))
			if fd, ok := ev.FD(num); ok {
				about = cmp.Or(fd.Path, peerOf(fd.Text))
				quoted += "<" + clip(fd.Text, 80) + ">"
			}
		}
	}
	return replay.Safe(name + "(" + quoted + ")"), about
}

// failed takes a failed call.
func (b *builder) failed(ev *replay.Event, p *proc, t *thread, name string) {
	errno := int(-ev.Rec.Ret)
	if transient(name, errno) {
		return
	}
	b.failedFor(ev, p, t, name, errno)
}

// failedFor takes a call that says that another one (name) has failed, or that call itself.
func (b *builder) failedFor(ev *replay.Event, p *proc, t *thread, name string, errno int) {
	short, about := b.short(ev, nameOf(ev))
	w := weigh(name, errno, pathOnly(about))
	if runtimes(commOf(ev)) && name != "execve" && name != "execveat" {
		w *= runtimeFactor
	}
	k := b.kind(kindKey{name, errno}, ev.Time)
	if k != nil {
		k.Count++
		if w >= everydayWeight {
			k.telling++
		}
		k.first, k.last = min(k.first, ev.Time), max(k.last, ev.Time)
		if w >= k.weight {
			k.weight = w
			if k.Count < 4 || k.Count%64 == 0 || w > k.Example.Weight {
				k.Example = b.line(ev)
				k.Example.Weight = round(w)
			}
		}
	}
	if name == "open" || name == "openat" || name == "openat2" || name == "creat" {
		if f := b.file(about, ev); f != nil {
			f.Failed++
			f.Error = errnoName(errno)
			f.Write = f.Write || opensToWrite(ev, name)
		}
	}
	for _, f := range p.fails {
		if f.call == name && f.errno == errno && f.short == short && f.tid == t.tid && f.execs == p.execs {
			f.count++
			if f.count < 4 || f.count%64 == 0 {
				f.ev = b.line(ev)
			}
			f.ev.ns, f.ev.Time = ev.Time, b.time(ev.Time)
			return
		}
	}
	p.remember(&failure{ev: b.line(ev), call: name, errno: errno, file: about, short: short, weight: w, count: 1, tid: t.tid, execs: p.execs})
}

// remember adds a failure, in the place of the oldest of those that say least.
func (p *proc) remember(f *failure) {
	if len(p.fails) < maxFailures {
		p.fails = append(p.fails, f)
		return
	}
	least := 0
	for i, other := range p.fails {
		if other.weight < p.fails[least].weight || other.weight == p.fails[least].weight && other.ev.ns < p.fails[least].ev.ns {
			least = i
		}
	}
	if p.fails[least].weight <= f.weight {
		p.fails[least] = f
	}
}

func (b *builder) kind(key kindKey, ns uint64) *Failure {
	k := b.kinds[key]
	if k == nil {
		if len(b.kinds) >= maxKinds {
			b.kindsMore++
			return nil
		}
		k = &Failure{Call: key.call, Error: errnoName(key.errno), first: ns}
		b.kinds[key] = k
	}
	return k
}

// looked are calls that find a file by its name.
var looked = map[string]bool{
	"open": true, "openat": true, "openat2": true, "execve": true, "execveat": true, "stat": true, "newfstatat": true, "statx": true, "access": true,
	"faccessat": true, "faccessat2": true, "lstat": true, "fstatat64": true, "stat64": true,
}

// succeeded takes a call that did not fail.
func (b *builder) succeeded(ev *replay.Event, p *proc, t *thread, name string) {
	rec := &ev.Rec
	b.streams(ev, p, name)
	if looked[name] && len(p.fails) > 0 {
		b.found(p, ev.Path())
	}
	switch name {
	case "open", "openat", "openat2", "creat":
		if f := b.file(ev.Path(), ev); f != nil {
			f.Opened++
			f.Write = f.Write || opensToWrite(ev, name)
		}
	case "execve", "execveat":
		p.execs++
		p.stacks = nil
		p.grown = memory{}
		if prog, ok := ev.Program(); ok {
			p.Command = p.Command[:0:0]
			for _, arg := range prog.Argv[:min(len(prog.Argv), 64)] {
				p.Command = append(p.Command, strings.ToValidUTF8(clip(arg, 256), "?"))
			}
			p.Comm = replay.Safe(clip(path.Base(prog.File), 15))
		}
	case "wait4", "waitpid":
		if rec.Ret > 0 {
			for _, it := range rec.Items {
				if it.Arg == 1 && len(it.Data) >= 4 {
					if len(p.waits) >= 8 {
						p.waits = append(p.waits[:0], p.waits[1:]...)
					}
					p.waits = append(p.waits, waited{uint32(rec.Ret), binary.LittleEndian.Uint32(it.Data), ev.Time})
				}
			}
		}
	case "kill", "tkill":
		b.sent(ev, p, int32(rec.Args[0]), int(int32(rec.Args[1])), name == "kill" && int32(rec.Args[0]) <= 0)
	case "tgkill":
		b.sent(ev, p, int32(rec.Args[0]), int(int32(rec.Args[2])), false)
	case "pidfd_send_signal":
		b.sent(ev, p, 0, int(int32(rec.Args[1])), true) // whose descriptor it is, is not known
	case "rt_sigqueueinfo":
		b.sent(ev, p, int32(rec.Args[0]), int(int32(rec.Args[1])), false)
	case "mmap", "mmap2":
		const anonymous, stack = 0x20, 0x20000
		if rec.Args[3]&stack != 0 {
			if len(p.stacks) >= 256 {
				p.stacks = append(p.stacks[:0], p.stacks[1:]...)
			}
			p.stacks = append(p.stacks, uint64(rec.Ret))
		}
		if rec.Args[3]&anonymous != 0 {
			p.grown.add(ev.Time, rec.Args[1])
		}
	case "brk":
		p.grown.brk(ev.Time, uint64(rec.Ret))
	case "poll", "ppoll", "ppoll_time64":
		b.polled(ev, t)
	case "getsockopt":
		const socketLevel, soError = 1, 4
		if rec.Args[1] == socketLevel && rec.Args[2] == soError {
			for _, it := range rec.Items {
				if it.Arg == 3 && len(it.Data) >= 4 {
					if errno := int(int32(binary.LittleEndian.Uint32(it.Data))); errno > 0 && errno < 4096 && !transient("connect", errno) {
						b.failedFor(ev, p, t, "connect", errno)
					}
				}
			}
		}
	}
}

// polled looks for answers of DNS servers that did not come.
func (b *builder) polled(ev *replay.Event, t *thread) {
	const pollErr, size = 8, 8
	for _, it := range ev.Rec.Items {
		if it.Arg != 0 || it.Kind != layout.ItemMem {
			continue
		}
		for one := it.Data; len(one) >= size; one = one[size:] {
			num := int32(binary.LittleEndian.Uint32(one))
			fd, _ := ev.FD(num)
			if asks := strings.HasSuffix(peerOf(fd.Text), ":53") || t.dnsAt != 0 && t.dnsFd == num && ev.Time-t.dnsAt < 30e9; !asks {
				continue
			}
			switch {
			case ev.Rec.Ret == 0 && ev.Rec.Dur >= floorSlow:
				b.dns.timeouts++
				b.dns.note(b.line(ev))
			case ev.Rec.Ret > 0 && binary.LittleEndian.Uint16(one[6:])&pollErr != 0:
				b.dns.failed++
				b.dns.note(b.line(ev))
			}
			return
		}
	}
}

// found notes that a name that failed was found in another place.
func (b *builder) found(p *proc, file string) {
	if file == "" {
		return
	}
	base := path.Base(file)
	for _, f := range p.fails {
		if (f.errno == eNOENT || f.errno == eNOTDIR || f.errno == eACCES) && f.found == "" && f.file != "" && path.Base(f.file) == base && looked[f.call] {
			if k := b.kinds[kindKey{f.call, f.errno}]; k != nil && f.weight >= everydayWeight {
				k.telling -= min(k.telling, f.count)
			}
			f.found = file
			f.weight *= .03
		}
	}
}

func (b *builder) sent(ev *replay.Event, p *proc, target int32, sig int, group bool) {
	if sig == 0 {
		return
	}
	if len(b.kills) >= 64 {
		b.kills = append(b.kills[:0], b.kills[32:]...)
	}
	b.kills = append(b.kills, killing{b.line(ev), p, target, group, sig})
}

func opensToWrite(ev *replay.Event, name string) bool {
	const accessMode = 3
	switch name {
	case "creat":
		return true
	case "open":
		return ev.Rec.Args[1]&accessMode != 0
	case "openat":
		return ev.Rec.Args[2]&accessMode != 0
	}
	for _, it := range ev.Rec.Items {
		if it.Arg == 2 && it.Kind == layout.ItemMem && len(it.Data) >= 8 {
			return it.Data[0]&accessMode != 0
		}
	}
	return false
}

func (b *builder) file(name string, ev *replay.Event) *File {
	if name == "" || runtimes(commOf(ev)) {
		return nil
	}
	name = strings.ToValidUTF8(clip(name, 512), "?")
	f := b.files[name]
	if f == nil {
		if len(b.files) >= maxFiles {
			b.filesMore += forget(b.files, func(f *File) uint64 {
				if f.everyday {
					return 0
				}
				return f.last
			})
		}
		f = &File{Path: name, everyday: everydayPath(name)}
		b.files[name] = f
	}
	f.last = max(f.last, ev.Time)
	return f
}

// peer takes what a call says about an address at the other end.
func (b *builder) peer(ev *replay.Event, p *proc, t *thread, name string) {
	errno := 0
	if ev.Failed() {
		errno = int(-ev.Rec.Ret)
	}
	var to *Peer
	switch name {
	case "connect":
		address := ev.Address()
		if to = b.peerAt(address, ev.Time); to == nil {
			return
		}
		if errno == 0 || errno == eINPROGRESS {
			to.Connected++
			return
		}
	case "accept", "accept4":
		if errno == 0 {
			if to = b.peerAt(hostOf(ev.Address()), ev.Time); to != nil {
				to.Accepted++
			}
		}
		return
	case "getsockopt", "read", "write", "recvfrom", "sendto", "recvmsg", "sendmsg", "sendmmsg", "recvmmsg", "readv", "writev":
		if name == "sendto" && toPort53(ev) {
			t.dnsFd, t.dnsAt = int32(ev.Rec.Args[0]), ev.Time
		}
		if fd, ok := ev.FD(int32(ev.Rec.Args[0])); ok {
			address := peerOf(fd.Text)
			if address == "" {
				return
			}
			if strings.HasSuffix(address, ":53") {
				if errno != 0 && !transient(name, errno) {
					b.dns.failed++
					b.dns.note(b.line(ev))
				}
			}
			if name == "getsockopt" {
				return
			}
			if errno != 0 && !transient(name, errno) {
				to = b.peerAt(address, ev.Time)
			}
		}
	}
	if to != nil && errno != 0 && !transient(name, errno) {
		to.Failed++
		to.Error = errnoName(errno)
	}
}

// toPort53 reports whether a sendto names a DNS server's port.
func toPort53(ev *replay.Event) bool {
	for _, it := range ev.Rec.Items {
		if it.Arg == 4 && it.Kind == layout.ItemMem && len(it.Data) >= 8 {
			family := binary.LittleEndian.Uint16(it.Data)
			return (family == 2 || family == 10) && binary.BigEndian.Uint16(it.Data[2:]) == 53
		}
	}
	return false
}

func (d *dnsTrouble) note(ev Event) {
	if len(d.evidence) >= 3 {
		d.evidence = append(d.evidence[:1], d.evidence[2:]...)
	}
	d.evidence = append(d.evidence, ev)
}

func (b *builder) peerAt(address string, ns uint64) *Peer {
	if address == "" {
		return nil
	}
	to := b.peers[address]
	if to == nil {
		if len(b.peers) >= maxPeers {
			b.peersMore += forget(b.peers, func(p *Peer) uint64 { return p.last })
		}
		to = &Peer{Address: strings.ToValidUTF8(address, "?")}
		b.peers[address] = to
	}
	to.last = max(to.last, ns)
	return to
}

// forget drops the older half of a table, and says how many that were.
func forget[T any](m map[string]*T, last func(*T) uint64) uint64 {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y string) int { return cmp.Or(cmp.Compare(last(m[x]), last(m[y])), cmp.Compare(x, y)) })
	for _, k := range keys[:len(keys)/2] {
		delete(m, k)
	}
	return uint64(len(keys) / 2)
}

func (b *builder) slowCall(ev *replay.Event) {
	i, _ := slices.BinarySearchFunc(b.slow, ev.Rec.Dur, func(s Slow, d uint64) int { return cmp.Compare(d, s.DurationNs) })
	if i >= b.o.Items {
		b.slowMore++
		return
	}
	if len(b.slow) >= b.o.Items {
		b.slow = b.slow[:b.o.Items-1]
		b.slowMore++
	}
	b.slow = slices.Insert(b.slow, i, Slow{Event: b.line(ev), DurationNs: ev.Rec.Dur})
}

// blockedIn describes the call that a thread is in, or was in when it was killed.
func (b *builder) blockedIn(ev *replay.Event, p *proc, t *thread, name string) Blocked {
	in := Blocked{Tid: t.tid, Comm: t.comm, Call: name, Text: b.text(ev), Kind: waitKind(name), Killed: ev.State != replay.Blocked, host: t.host, tgid: p.host}
	in.Pid = p.Pid
	until := ev.Time
	if !in.Killed {
		until = b.h.Clock.Monotonic(b.h.Taken)
	}
	if !ev.NoDur() && ev.Start > 0 {
		since := b.time(ev.Start)
		in.Since = &since
		if until > ev.Start {
			in.ForNs = until - ev.Start
		}
	}
	if ev.NoArgs {
		return in
	}
	if name == "connect" {
		in.On = ev.Address()
	} else if c := ev.Call(); c != nil && len(c.Args) > 0 && isFd(c.Args[0].Type) {
		if fd, ok := ev.FD(int32(ev.Rec.Args[c.Args[0].Reg])); ok {
			in.On = cmp.Or(fd.Path, peerOf(fd.Text), fd.Text)
		}
	}
	if in.On == "" {
		in.On = ev.Path()
		in.named = in.On != ""
	}
	in.On = replay.Safe(in.On)
	switch name {
	case "futex", "futex_time64":
		const private = 128
		in.futex, in.private = true, ev.Rec.Args[1]&private != 0
		in.timeout = ev.Rec.Args[3] != 0
	case "poll":
		in.timeout = int32(ev.Rec.Args[2]) >= 0
	case "epoll_wait", "epoll_pwait":
		in.timeout = int32(ev.Rec.Args[3]) >= 0
	}
	return in
}

// signal takes a signal that was delivered.
func (b *builder) signal(ev *replay.Event, p *proc) {
	rec := &ev.Rec
	s := signal{sig: int(rec.Nr), code: int32(rec.Ret), handled: rec.Args[1] > 1, ignored: rec.Args[1] == 1, host: ev.Task.Info.Tid, pidHere: p.Pid}
	switch s.sig {
	case 17, 18, 23, 26, 27, 28: // CHLD, CONT, URG, VTALRM, PROF, WINCH
		return
	}
	for _, it := range rec.Items {
		if it.Arg == 0 && it.Kind == layout.ItemMem && len(it.Data) >= 24 {
			s.pid, s.addr = int32(binary.LittleEndian.Uint32(it.Data[16:])), binary.LittleEndian.Uint64(it.Data[16:])
			if len(it.Data) >= 28 {
				s.call = int32(binary.LittleEndian.Uint32(it.Data[24:]))
			}
		}
	}
	s.ev = b.line(ev)
	s.tid = s.ev.Tid
	if len(p.signals) >= 16 {
		p.signals = append(p.signals[:0], p.signals[8:]...)
	}
	p.signals = append(p.signals, s)
	switch s.sig {
	case 19, 20, 21, 22: // STOP, TSTP, TTIN, TTOU
		if !s.handled && !s.ignored {
			p.stopped = &s
		}
	}
}

// exit takes the end of a thread.
func (b *builder) exit(ev *replay.Event, p *proc, t *thread) {
	rec := &ev.Rec
	killed := rec.Ret&0x7f != 0
	if killed {
		b.interrupted(ev, p, t)
	}
	t.push(ev)
	t.ended = true
	if rec.Args[3] != 0 {
		p.OOM = true
	}
	if rec.Args[1] == 0 {
		return
	}
	p.end, p.status = ev.Time, uint32(rec.Args[4])
	if p.status == 0 {
		p.status = uint32(rec.Ret)
	}
	b.finish(p)
}

// interrupted notes what a thread that is killed was in.
func (b *builder) interrupted(ev *replay.Event, p *proc, t *thread) {
	in := t.inKilled
	if in == nil && t.n > 0 {
		var last replay.Event
		for i := t.n - 1; i >= max(0, t.n-2) && in == nil; i-- {
			if !t.calls[i%lastCalls].Event(&last) || last.Kind != replay.KindCall || last.State != replay.Finished {
				continue
			}
			const restart, restartLast = 512, 516
			if e := -last.Rec.Ret; e >= restart && e <= restartLast && ev.Time-last.Time < 50e6 || e == eINTR && ev.Time-last.Time < 5e6 {
				last.State = replay.Killed
				one := b.blockedIn(&last, p, t, nameOf(&last))
				in = &one
			}
		}
	}
	if in != nil && len(p.held) < 64 {
		p.held = append(p.held, *in)
	}
}

// victim takes the OOM killer's choice. The process may have ended before.
func (b *builder) victim(ev *replay.Event, p *proc) {
	p.OOM = true
	for i := len(b.ended) - 1; i >= 0 && i >= len(b.ended)-16; i-- {
		if q := b.ended[i]; q.host == p.host && p.Calls == 0 && p.end == 0 {
			q.OOM = true
			delete(b.procs, p.host) // it was made for this event alone
			if b.oldest == p {
				b.oldest = q
			}
			return
		}
	}
}

// finish takes a process that has ended.
func (b *builder) finish(p *proc) {
	if b.procs[p.host] == p {
		delete(b.procs, p.host)
	}
	if p.end == 0 {
		p.end = p.seen // its id has been used again: its end is missing
	}
	if x := b.h.Recording.Exit; x != nil && near(p.end, b.exitAt) && sameEnd(p.status, x.Code, x.Signal) &&
		(b.main == nil || apart(p.end, b.exitAt) < apart(b.main.end, b.exitAt)) { // a child may have ended alike just before
		b.main = p
	}
	if p.status != 0 {
		key := crowdKey{p.Comm, p.status & 0xff7f}
		c := b.crowds[key]
		if c == nil && len(b.crowds) < 256 {
			c = new(crowd)
			b.crowds[key] = c
		}
		if c != nil {
			c.count++
			c.last = p
		}
	}
	b.ended = append(b.ended, p)
	if len(b.ended) <= maxEnded {
		return
	}
	i := slices.IndexFunc(b.ended, func(q *proc) bool { return q.status == 0 && q != b.main && q != b.oldest })
	if i < 0 {
		i = slices.IndexFunc(b.ended, func(q *proc) bool { return q != b.main && q != b.oldest })
	}
	b.ended = slices.Delete(b.ended, i, i+1)
	b.endedMore++
}

func near(a, b uint64) bool { return a != 0 && apart(a, b) < uint64(time.Millisecond) }

func apart(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// memory is how much a process has mapped lately, by second.
type memory struct {
	by   []int64 // a ring of seconds
	sec  uint64  // the last one
	prev uint64  // the last brk
}

const memorySeconds = 60

func (m *memory) add(ns, bytes uint64) {
	if bytes > 1<<46 {
		return // makes no sense
	}
	m.roll(ns)
	m.by[m.sec%memorySeconds] += int64(bytes)
}

func (m *memory) brk(ns, to uint64) {
	if m.prev != 0 && to > m.prev {
		m.add(ns, to-m.prev)
	}
	m.prev = to
}

func (m *memory) roll(ns uint64) {
	sec := ns / 1e9
	if m.by == nil {
		m.by, m.sec = make([]int64, memorySeconds), sec
	}
	for n := 0; m.sec < sec && n < memorySeconds; n++ {
		m.sec++
		m.by[m.sec%memorySeconds] = 0
	}
	m.sec = max(m.sec, sec)
}

// lately is how much was mapped in the last minute before ns.
func (m *memory) lately(ns uint64) (sum int64) {
	if m.by == nil {
		return 0
	}
	m.roll(ns)
	for _, n := range m.by {
		sum += n
	}
	return sum
}
