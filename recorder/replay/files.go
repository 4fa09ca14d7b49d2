package replay

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/strace"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// FD is a descriptor of a call of which is known what it is open on.
type FD struct {
	Num    int32  `json:"fd"`             // -100 is the working directory
	Text   string `json:"text"`           // as strace shows it between < and >
	Path   string `json:"path,omitempty"` // the path by which it was opened, "" if it has none
	result bool   // what the call returned, or made
	made   bool   // in memory, rather than as its result
}

// cwdFD is the descriptor that means the working directory.
const cwdFD = -100

// files knows what descriptors are open on, from the calls of a dump alone. It must
// never be wrong, so it knows only what it has seen: a descriptor is known from the
// end of the call that opened it up to the end of the first call that may have closed
// it, and to calls that began after it was known. Where two calls that change the
// same number were under way at once, it is unknown which came first, and so is the
// descriptor.
type files struct {
	procs   map[uint32]*proc // by the host's process id
	threads map[*Task]bool   // those that have been seen
	forks   map[uint32]*forked
	from    uint64                       // when the dump begins
	filter  string                       // of the header
	off     string                       // why nothing can be known, "" if something can
	lost    uint64                       // records, as the last header says
	read    []*dump.OpenFiles            // what the daemon read, by time, as far as the walk has not come to it
	waiting map[uint32][]*dump.OpenFiles // of processes that have not been met
	scratch []byte
	list    []FD
	shown   []FD // of list, what an event has
	room    int  // bytes that may still be shown of this call
	places  map[*syscalls.Call]strace.Descriptors
	listed  map[fdKey]bool // those in list, if they are many
	books   fdBooks
	told    int // bytes of what the daemon read, so far

	era    uint32 // counts how often everything was forgotten: who is of an earlier one does so when met
	cutoff uint64 // as of when
}

// fdKey tells the descriptors of a call apart.
type fdKey struct {
	num    int32
	result bool
}

// proc is a process.
type proc struct {
	tab     *fdTable // shared with others after clone(CLONE_FILES)
	since   uint64   // when it was first seen
	threads int      // seen, ever since it started its program
	whole   bool     // seen from when it had one thread
	strange bool     // threads have tables of their own, or io_uring opens and closes
	cwd     string   // "" is unknown
	cwdAt   uint64   // when that changed last
	// The directory that was shown last, and as what.
	shownCwd, escapedCwd string
	changing             uint64 // when a call ended last that may have changed any number
	ownCwd               bool   // threads have working directories of their own
	era                  uint32 // of cwd
}

type fdTable struct {
	fds   fdTree
	floor uint64 // changes before this are not known
	era   uint32
	books *fdBooks
}

// fdEntry is what is known of a number. Without file it is known not to be known.
type fdEntry struct {
	file    *file
	changed uint64 // the end of the call that changed it last
	cloexec bool
	set     bool // there is an entry
}

// file is what one or more descriptors are open on.
type file struct {
	path    string
	text    string
	sock    *sock
	weighed uint32
}

// newFile returns a file of a path, whose text it shares unless something has to be escaped.
func newFile(path string) *file {
	text := string(appendName(nil, path))
	if text == path {
		text = path
	}
	return &file{path: path, text: text}
}

// size is how many bytes a file takes.
func (fl *file) size() int {
	n := 64 + len(fl.path)
	if len(fl.text) != len(fl.path) {
		n += len(fl.text)
	}
	if fl.sock != nil {
		n += 128 + 2*(len(fl.sock.local)+len(fl.sock.remote))
	}
	return n
}

// forked is a call that made a process.
type forked struct {
	start, end uint64
	tgid       uint32 // the parent
	returned   bool
	fds        fdTree // the parent's when it returned
	cwd        string
	cwdAt      uint64
}

const (
	maxDescriptors = 1 << 16 // of a process
	maxForks       = 1 << 12
	maxPath        = 4096 // PATH_MAX: the kernel tells no longer one either
	// maxListed and maxShown bound what is added to one call: how many descriptors, and how
	// many bytes.
	maxListed = 1024
	maxShown  = 16 << 10
	// maxKnown bounds what is known of all descriptors together, in bytes. What takes more
	// is forgotten.
	maxKnown = 32 << 20
	procSize = 256
	// Visits of nodes that each call adds to those that are allowed: what looks at whole
	// tables takes no more time than what comes of single calls.
	visitsFirst, visitsEach = 1 << 20, 32
	cloexecFlag             = 0o2000000 // O_CLOEXEC, SOCK_CLOEXEC, EFD_CLOEXEC … on all ABIs
)

func newFiles() *files {
	return &files{
		procs: make(map[uint32]*proc), threads: make(map[*Task]bool), forks: make(map[uint32]*forked),
		waiting: make(map[uint32][]*dump.OpenFiles), listed: make(map[fdKey]bool), books: fdBooks{allowed: visitsFirst},
		places: make(map[*syscalls.Call]strace.Descriptors),
	}
}

// header looks for what calls a dump may lack without a trace.
func (f *files) header(h *dump.Header) {
	f.gaps(h)
	made, err := asked(h)
	if err != nil {
		f.off = "calls were left out of the dump"
	}
	f.filter = h.Filter
	for _, q := range made {
		if len(q.Pids)+len(q.Tids)+len(q.Exprs)+len(q.Paths) > 0 || q.Failed || q.Successful {
			f.off = "calls were left out of the dump"
		}
	}
}

// gaps looks for what the recorder says it did not see.
func (f *files) gaps(h *dump.Header) {
	c := &h.Recording.Coverage
	for _, gap := range []struct {
		is   bool
		what string
	}{
		{c.Muted > 0 && !c.MutedHarmless, "calls were muted"}, {c.FrozenCalls > 0, "it was frozen in between"},
		{c.Late > 0, "records are torn"}, {c.Unfinished > 0, "records were being written"},
		{h.Recording.Tasks.Unmarked > 0, "threads are missing"},
	} {
		if gap.is {
			f.off = gap.what
		}
	}
}

// again takes a later header: what was lost while following may have been a close.
func (f *files) again(h *dump.Header, now uint64) {
	if h.Filter != f.filter {
		f.off = "calls were left out of the dump"
	} else if f.off == "" {
		f.gaps(h)
	}
	if lost := h.Recording.Coverage.Overwritten; lost > f.lost {
		f.lost = lost
		f.forget(now)
	}
}

// forget forgets everything, as of a time. It takes no longer where much is known.
func (f *files) forget(now uint64) {
	f.era, f.cutoff = f.era+1, max(f.cutoff, now)
	if len(f.forks) > 0 {
		f.forks = make(map[uint32]*forked)
	}
	if len(f.waiting) > 0 {
		f.waiting = make(map[uint32][]*dump.OpenFiles)
	}
}

// met returns the process with an id, which forgets now what it should have before; nil:
// there is none.
func (f *files) met(tgid uint32) *proc {
	p := f.procs[tgid]
	if p != nil {
		f.renew(p)
	}
	return p
}

func (f *files) renew(p *proc) {
	if p.era != f.era {
		p.era, p.cwd, p.cwdAt = f.era, "", max(p.cwdAt, f.cutoff)
	}
	if t := p.tab; t.era != f.era {
		t.era, t.fds, t.floor = f.era, fdTree{}, max(t.floor, f.cutoff)
	}
}

func (p *proc) forget(now uint64) {
	p.tab.fds = fdTree{}
	p.tab.floor = max(p.tab.floor, now)
	p.cwd, p.cwdAt = "", max(p.cwdAt, now)
}

// weigh counts what is known, when so much was allocated that it may be too much. Too much
// is forgotten.
func (f *files) weigh(now uint64) {
	if f.books.spent <= maxKnown {
		return
	}
	f.books.round++
	rest := procSize*len(f.procs) + 64*len(f.threads)
	known := rest
	for _, p := range f.procs {
		f.renew(p)
		known += p.tab.fds.weigh(&f.books) + len(p.cwd)
	}
	for _, from := range f.forks {
		known += from.fds.weigh(&f.books) + len(from.cwd)
	}
	if known > maxKnown/2 {
		f.forget(now)
		for _, p := range f.procs {
			f.renew(p)
		}
		known = rest
	}
	if known > maxKnown/2 {
		f.off, known = "there are too many processes", 0
		f.procs, f.threads, f.read = nil, nil, nil
	}
	f.books.spent = known
}

// fork takes a call that made a process or a thread, before the records around it
// are seen: the child's come first.
func (f *files) fork(rec *record.Record, t *Task) {
	if t == nil || rec.Flags&layout.RecfNodur != 0 {
		return
	}
	if len(f.forks) >= maxForks || f.off != "" {
		f.forks = make(map[uint32]*forked)
	}
	f.forks[uint32(rec.Ret)] = &forked{start: rec.Start(), end: rec.Time, tgid: t.Info.Tgid}
}

// see adds to a call what its descriptors are open on, and learns from it.
func (f *files) see(ev *Event) {
	ev.fds, ev.cwd = nil, ""
	if f.off != "" || ev.Guard {
		return
	}
	if ev.Kind == KindExit {
		f.exit(ev)
		return
	}
	if !kinds[ev.Kind].calls {
		return // touches no descriptor
	}
	c := syscalls.Lookup(ev.abi, uint32(ev.Rec.Nr))
	if c == nil {
		return
	}
	c = c.Variant(&ev.Rec.Args)
	f.books.allowed += visitsEach
	f.weigh(ev.Time)
	if f.off != "" {
		return
	}
	f.reached(ev.Time)
	if !ev.Task.Known || ev.Task.Info.Tgid == 0 {
		if changesFds(c.Name) {
			f.forget(ev.Time) // of a process that nobody knows
		}
		return
	}
	p := f.proc(ev, c)
	f.list = f.list[:0]
	ev.cwd = p.base(cwdFD, ev)
	if !ev.NoArgs {
		f.collect(ev, c, p)
	}
	if changesFds(c.Name) {
		p.changing = max(p.changing, ev.Time)
	}
	if !p.strange || ev.Kind == KindExec {
		f.apply(ev, c, p)
	}
	for i := range f.list {
		if fd := &f.list[i]; fd.result {
			fd.Text, fd.Path = p.tab.show(fd.Num, math.MaxUint64)
		}
	}
	f.shown = f.shown[:0]
	for i := range f.list {
		if f.list[i].Text != "" {
			f.shown = append(f.shown, f.list[i])
		}
	}
	ev.fds = f.shown
}

// collect lists the descriptors that the text of a call will show, with what was
// known of them when it began.
func (f *files) collect(ev *Event, c *syscalls.Call, p *proc) {
	if len(f.listed) > 0 {
		f.listed = make(map[fdKey]bool)
	}
	f.room = maxShown
	if ev.State == Finished {
		at, ok := f.places[c]
		if !ok {
			at = strace.DescriptorsOf(ev.abi, c)
			f.places[c] = at
		}
		if at.Known {
			for _, reg := range at.Regs {
				f.collectOne(ev, p, FD{Num: int32(ev.Rec.Args[reg])})
			}
			if at.Result && !ev.Failed() {
				f.collectOne(ev, p, FD{Num: int32(ev.Rec.Ret), result: true})
			}
			return
		}
	}
	f.collectDecoded(ev, c, p)
}

// collectDecoded lists the descriptors of any call.
func (f *files) collectDecoded(ev *Event, c *syscalls.Call, p *proc) {
	made := c.Name == "pipe" || c.Name == "pipe2" || c.Name == "socketpair"
	opt := strace.Options{StringLimit: 1, Verbose: true, Fd: func(num int32, result bool) string {
		f.collectOne(ev, p, FD{Num: num, result: result || made, made: made})
		return ""
	}}
	if ev.State == Finished {
		f.scratch = strace.AppendCall(f.scratch[:0], ev.abi, &ev.Rec, opt)
	} else {
		f.scratch = strace.AppendEntry(f.scratch[:0], ev.abi, &ev.Rec, opt)
	}
}

// collectOne lists a descriptor, with what is known of it as long as there is room.
func (f *files) collectOne(ev *Event, p *proc, fd FD) {
	if f.lists(fd.Num, fd.result) {
		return
	}
	known := !ev.NoDur() && !p.strange && ev.Rec.Ret != -9 // EBADF
	switch {
	case f.room <= 0 || fd.result:
	case known && fd.Num == cwdFD:
		if !p.ownCwd && p.cwdAt <= ev.Start && strings.HasPrefix(p.cwd, "/") {
			fd.Text, fd.Path = p.cwdText(), p.cwd
		}
	case known:
		fd.Text, fd.Path = p.tab.show(fd.Num, ev.Start)
	}
	f.room -= len(fd.Text) + len(fd.Path)
	f.list = append(f.list, fd)
}

// cwdText is the working directory as strace shows it.
func (p *proc) cwdText() string {
	if p.shownCwd != p.cwd {
		p.shownCwd, p.escapedCwd = p.cwd, newFile(p.cwd).text
	}
	return p.escapedCwd
}

// lists reports whether a descriptor is in the list, or the list is full.
func (f *files) lists(num int32, result bool) bool {
	if len(f.list) < 32 {
		for i := range f.list {
			if f.list[i].Num == num && f.list[i].result == result {
				return true
			}
		}
		return false
	}
	if len(f.listed) == 0 {
		for _, fd := range f.list {
			f.listed[fdKey{fd.Num, fd.result}] = true
		}
	}
	key := fdKey{num, result}
	if len(f.list) >= maxListed || f.listed[key] {
		return true
	}
	f.listed[key] = true
	return false
}

// show returns what is known of a number to a call that began at a time.
func (t *fdTable) show(num int32, start uint64) (text, path string) {
	e, ok := t.fds.get(num)
	if !ok || e.file == nil || e.changed > start {
		return "", ""
	}
	if e.file.sock != nil {
		return e.file.sock.String(), e.file.path
	}
	return e.file.text, e.file.path
}

// set says that a call that was under way from start to end opened a number.
func (t *fdTable) set(num int32, fl *file, cloexec bool, ev *Event) {
	if num < 0 {
		return
	}
	if t.fds.len() >= maxDescriptors {
		t.fds = fdTree{}
		t.floor = max(t.floor, ev.Time)
	}
	before, _ := t.fds.get(num)
	if ev.NoDur() || max(before.changed, t.floor) > ev.Start {
		fl = nil
	}
	if fl != nil {
		t.books.spent += fl.size()
	}
	t.fds.put(t.books, num, fdEntry{file: fl, cloexec: cloexec, changed: max(before.changed, ev.Time)})
}

func (t *fdTable) drop(num int32, now uint64) {
	if before, ok := t.fds.get(num); ok || t.fds.len() < maxDescriptors {
		t.fds.put(t.books, num, fdEntry{changed: max(before.changed, now)})
	}
}

// mark sets whether a number is closed by execve.
func (t *fdTable) mark(num int32, cloexec bool, ev *Event) {
	if e, ok := t.fds.get(num); ok {
		e.mark(cloexec, ev)
		t.fds.put(t.books, num, e)
	}
}

func (e *fdEntry) mark(cloexec bool, ev *Event) {
	if ev.NoDur() || e.changed > ev.Start {
		e.file = nil
	}
	e.cloexec, e.changed = cloexec, max(e.changed, ev.Time)
}

// proc returns the process of an event, and lets it inherit if this is its beginning.
func (f *files) proc(ev *Event, c *syscalls.Call) *proc {
	info := &ev.Task.Info
	p := f.met(info.Tgid)
	if p != nil && info.Tid == info.Tgid && !f.threads[ev.Task] && info.Start > p.since {
		p = nil // the id has been used again
	}
	if p != nil && f.threads[ev.Task] {
		return p
	}
	if len(f.threads) >= maxThreads {
		f.forget(ev.Time)
		f.threads = make(map[*Task]bool)
	}
	f.threads[ev.Task] = true
	f.books.spent += 64
	born := ev.Kind == KindCall && ev.State == Finished && ev.NoDur() && ev.Rec.Ret == 0 && forks(c)
	if p != nil {
		p.threads++
		const cloneFiles = 0x400
		if flags, ok := cloneFlags(ev, c); born && ok && flags&cloneFiles == 0 {
			p.forget(ev.Time)
			p.strange = true
		}
		if !born && info.Start > f.from {
			p.forget(ev.Time) // nobody saw what it did before
		}
		return p
	}
	p = &proc{tab: &fdTable{era: f.era, books: &f.books}, since: ev.Time, threads: 1, era: f.era}
	f.books.spent += procSize
	p.tab.floor = max(info.Start, f.from)
	p.cwdAt, p.whole = p.tab.floor, born
	f.procs[info.Tgid] = p
	if born {
		f.inherit(ev, c, p)
	}
	for _, o := range f.waiting[info.Tgid] {
		if !born && !ev.NoDur() && (o.Start == 0 || info.Tid != info.Tgid || o.Start == info.Start) {
			p.learn(o)
		}
	}
	delete(f.waiting, info.Tgid)
	return p
}

// inherit gives a new process what its parent had when it began.
func (f *files) inherit(ev *Event, c *syscalls.Call, p *proc) {
	const cloneFiles, cloneFs = 0x400, 0x200
	flags, ok := cloneFlags(ev, c)
	info := &ev.Task.Info
	from := f.forks[info.NsTid]
	if from == nil || info.Start < from.start || info.Start > from.end {
		from = f.forks[info.Tid]
	}
	if from != nil && (info.Start < from.start || info.Start > from.end) {
		from = nil
	}
	var parent *proc
	if from != nil {
		parent = f.met(from.tgid)
	}
	switch {
	case !ok, flags&cloneFiles != 0 && parent == nil:
		// It may share its descriptors with a process, and nobody knows with which.
		f.off = "processes share descriptors"
		f.forget(ev.Time)
		return
	case flags&cloneFiles != 0:
		p.tab = parent.tab
		parent.threads++ // it is as if it were one
		p.threads++
		p.strange = parent.strange
		return
	case from == nil || parent == nil && !from.returned:
		return
	}
	cwd, cwdAt := from.cwd, from.cwdAt
	switch {
	case from.returned:
		p.tab.fds = from.fds.share()
	case parent.strange:
		return
	default:
		p.tab.fds, cwd, cwdAt = parent.tab.fds.share(), parent.cwd, parent.cwdAt
	}
	p.tab.fds.settle(&f.books, info.Start)
	if cwdAt <= info.Start && flags&cloneFs == 0 {
		p.cwd, p.cwdAt = cwd, cwdAt
	}
	p.ownCwd = flags&cloneFs != 0 // it changes with the parent's
}

func forks(c *syscalls.Call) bool {
	return c.Name == "fork" || c.Name == "vfork" || c.Name == "clone" || c.Name == "clone3"
}

// cloneFlags returns the flags of a call that made a process or a thread.
func cloneFlags(ev *Event, c *syscalls.Call) (uint64, bool) {
	switch c.Name {
	case "fork", "vfork":
		return 0, true
	case "clone":
		return ev.Rec.Args[0], !ev.NoArgs
	case "clone3":
		if it := itemOf(&ev.Rec, 0, layout.ItemMem); it != nil && len(it.Data) >= 8 {
			return binary.LittleEndian.Uint64(it.Data), true
		}
	}
	return 0, false
}

func (f *files) exit(ev *Event) {
	delete(f.threads, ev.Task)
	if ev.Rec.Args[1] != 0 {
		delete(f.procs, ev.Task.Info.Tgid)
	}
}

// exec closes what execve closes. The other threads are gone.
func (f *files) exec(ev *Event, p *proc) {
	tab := &fdTable{floor: p.tab.floor, era: p.tab.era, books: &f.books}
	if !p.strange {
		tab.fds = p.tab.fds.share()
		tab.fds.exec(&f.books, ev.Time)
	}
	p.tab, p.threads, p.strange, p.whole = tab, 1, false, true
}

// left remembers for a child what its parent had when the call that made it returned.
func (f *files) left(ev *Event, p *proc) {
	from := f.forks[uint32(ev.Rec.Ret)]
	if from != nil && from.end == ev.Time && !p.strange {
		from.returned, from.fds, from.cwd, from.cwdAt = true, p.tab.fds.share(), p.cwd, p.cwdAt
	}
}
