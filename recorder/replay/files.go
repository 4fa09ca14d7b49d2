package replay

import (
	"encoding/binary"
	"maps"
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
	off     string                       // why nothing can be known, "" if something can
	lost    uint64                       // records, as the last header says
	read    []*dump.OpenFiles            // what the daemon read, by time, as far as the walk has not come to it
	waiting map[uint32][]*dump.OpenFiles // of processes that have not been met
	scratch []byte
	list    []FD
}

// proc is a process.
type proc struct {
	tab      *fdTable // shared with others after clone(CLONE_FILES)
	since    uint64   // when it was first seen
	threads  int      // seen, ever since it started its program
	whole    bool     // seen from when it had one thread
	strange  bool     // threads have tables of their own, or io_uring opens and closes
	cwd      string   // "" is unknown
	cwdAt    uint64   // when that changed last
	changing uint64   // when a call ended last that may have changed any number
	ownCwd   bool     // threads have working directories of their own
}

type fdTable struct {
	fds   map[int32]fdEntry
	floor uint64 // changes before this are not known
}

// fdEntry is what is known of a number. Without file it is known not to be known.
type fdEntry struct {
	file    *file
	cloexec bool
	changed uint64 // the end of the call that changed it last
}

// file is what one or more descriptors are open on.
type file struct {
	path string
	text string
	sock *sock
}

// forked is a call that made a process.
type forked struct {
	start, end uint64
	tgid       uint32            // the parent
	fds        map[int32]fdEntry // the parent's when the call returned, nil before that
	cwd        string
	cwdAt      uint64
}

const (
	maxDescriptors = 1 << 16 // of a process
	maxForks       = 1 << 12
	cloexecFlag    = 0o2000000 // O_CLOEXEC, SOCK_CLOEXEC, EFD_CLOEXEC … on all ABIs
)

func newFiles() *files {
	return &files{procs: make(map[uint32]*proc), threads: make(map[*Task]bool), forks: make(map[uint32]*forked), waiting: make(map[uint32][]*dump.OpenFiles)}
}

// header looks for what calls a dump may lack without a trace.
func (f *files) header(h *dump.Header) {
	c := &h.Recording.Coverage
	for _, gap := range []struct {
		is   bool
		what string
	}{
		{c.Muted > 0, "calls were muted"}, {c.FrozenCalls > 0, "it was frozen in between"},
		{c.Late > 0, "records are torn"}, {c.Unfinished > 0, "records were being written"},
		{h.Recording.Tasks.Unmarked > 0, "threads are missing"},
	} {
		if gap.is {
			f.off = gap.what
		}
	}
	for _, q := range asked(h) {
		if len(q.Pids)+len(q.Tids)+len(q.Exprs)+len(q.Paths) > 0 || q.Failed || q.Successful {
			f.off = "calls were left out of the dump"
		}
	}
}

// again takes a later header: what was lost while following may have been a close.
func (f *files) again(h *dump.Header, now uint64) {
	f.header(h)
	if lost := h.Recording.Coverage.Overwritten; lost > f.lost {
		f.lost = lost
		f.forget(now)
	}
}

// forget forgets everything, as of a time.
func (f *files) forget(now uint64) {
	for _, p := range f.procs {
		p.forget(now)
	}
	clear(f.forks)
	clear(f.waiting)
}

func (p *proc) forget(now uint64) {
	clear(p.tab.fds)
	p.tab.floor = max(p.tab.floor, now)
	p.cwd, p.cwdAt = "", max(p.cwdAt, now)
}

// fork takes a call that made a process or a thread, before the records around it
// are seen: the child's come first.
func (f *files) fork(rec *record.Record, t *Task) {
	if t == nil || rec.Flags&layout.RecfNodur != 0 {
		return
	}
	if len(f.forks) >= maxForks {
		clear(f.forks)
	}
	f.forks[uint32(rec.Ret)] = &forked{start: rec.Start(), end: rec.Time, tgid: t.Info.Tgid}
}

// see adds to a call what its descriptors are open on, and learns from it.
func (f *files) see(ev *Event) {
	ev.fds, ev.cwd = nil, ""
	if f.off != "" || ev.Guard {
		return
	}
	switch ev.Kind {
	case KindCall, KindExec:
	case KindExit:
		f.exit(ev)
		return
	case KindSignal, KindOOM, KindRename, KindUnknown: // touch no descriptor
		return
	}
	c := syscalls.Lookup(ev.abi, uint32(ev.Rec.Nr))
	if c == nil {
		return
	}
	c = c.Variant(&ev.Rec.Args)
	f.reached(ev.Time)
	if !ev.Task.Known || ev.Task.Info.Tgid == 0 {
		if changing[c.Name] {
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
	if changing[c.Name] {
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
	for _, fd := range f.list {
		if fd.Text != "" {
			ev.fds = append(ev.fds, fd)
		}
	}
}

// collect lists the descriptors that the text of a call will show, with what was
// known of them when it began.
func (f *files) collect(ev *Event, c *syscalls.Call, p *proc) {
	made := c.Name == "pipe" || c.Name == "pipe2" || c.Name == "socketpair"
	opt := strace.Options{StringLimit: 1, Verbose: true, Fd: func(num int32, result bool) string {
		fd := FD{Num: num, result: result || made, made: made}
		for _, other := range f.list {
			if other.Num == num && other.result == fd.result {
				return ""
			}
		}
		known := !ev.NoDur() && !p.strange && ev.Rec.Ret != -9 // EBADF
		switch {
		case fd.result:
		case known && num == cwdFD:
			if !p.ownCwd && p.cwdAt <= ev.Start && strings.HasPrefix(p.cwd, "/") {
				fd.Text, fd.Path = string(appendName(nil, p.cwd)), p.cwd
			}
		case known:
			fd.Text, fd.Path = p.tab.show(num, ev.Start)
		}
		f.list = append(f.list, fd)
		return ""
	}}
	if ev.State == Finished {
		f.scratch = strace.AppendCall(f.scratch[:0], ev.abi, &ev.Rec, opt)
	} else {
		f.scratch = strace.AppendEntry(f.scratch[:0], ev.abi, &ev.Rec, opt)
	}
}

// show returns what is known of a number to a call that began at a time.
func (t *fdTable) show(num int32, start uint64) (text, path string) {
	e, ok := t.fds[num]
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
	if len(t.fds) >= maxDescriptors {
		clear(t.fds)
		t.floor = max(t.floor, ev.Time)
	}
	before := t.fds[num]
	if ev.NoDur() || max(before.changed, t.floor) > ev.Start {
		fl = nil
	}
	t.fds[num] = fdEntry{file: fl, cloexec: cloexec, changed: max(before.changed, ev.Time)}
}

func (t *fdTable) drop(num int32, now uint64) {
	if _, ok := t.fds[num]; ok || len(t.fds) < maxDescriptors {
		t.fds[num] = fdEntry{changed: max(t.fds[num].changed, now)}
	}
}

// mark sets whether a number is closed by execve.
func (t *fdTable) mark(num int32, cloexec bool, ev *Event) {
	e, ok := t.fds[num]
	if !ok {
		return
	}
	if ev.NoDur() || e.changed > ev.Start {
		e.file = nil
	}
	e.cloexec, e.changed = cloexec, max(e.changed, ev.Time)
	t.fds[num] = e
}

// proc returns the process of an event, and lets it inherit if this is its beginning.
func (f *files) proc(ev *Event, c *syscalls.Call) *proc {
	info := &ev.Task.Info
	p := f.procs[info.Tgid]
	if p != nil && info.Tid == info.Tgid && !f.threads[ev.Task] && info.Start > p.since {
		p = nil // the id has been used again
	}
	if p != nil && f.threads[ev.Task] {
		return p
	}
	if len(f.threads) >= maxThreads {
		f.forget(ev.Time)
		clear(f.threads)
	}
	f.threads[ev.Task] = true
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
	p = &proc{tab: &fdTable{fds: make(map[int32]fdEntry)}, since: ev.Time, threads: 1}
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
		parent = f.procs[from.tgid]
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
	case from == nil || parent == nil && from.fds == nil:
		return
	}
	fds, cwd, cwdAt := from.fds, from.cwd, from.cwdAt
	if fds == nil && !parent.strange {
		fds, cwd, cwdAt = parent.tab.fds, parent.cwd, parent.cwdAt
	}
	if fds == nil {
		return
	}
	for num, e := range fds {
		if e.file != nil && e.changed <= info.Start {
			p.tab.fds[num] = e
		}
	}
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
	tab := &fdTable{fds: make(map[int32]fdEntry), floor: p.tab.floor}
	if !p.strange {
		for num, e := range p.tab.fds {
			if e.file != nil && !e.cloexec && e.changed <= ev.Time {
				tab.fds[num] = e
			}
		}
	}
	p.tab, p.threads, p.strange, p.whole = tab, 1, false, true
}

// left remembers for a child what its parent had when the call that made it returned.
func (f *files) left(ev *Event, p *proc) {
	from := f.forks[uint32(ev.Rec.Ret)]
	if from != nil && from.end == ev.Time && !p.strange {
		from.fds, from.cwd, from.cwdAt = maps.Clone(p.tab.fds), p.cwd, p.cwdAt
	}
}
