package replay

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// ErrTooLarge: the part of a dump that has to be held in memory is larger than
// any that recorderd writes.
var ErrTooLarge = errors.New("dump is too large")

// maxHeld bounds the records of the guard lane, and the calls in progress, in bytes.
const maxHeld = 32 << 20

// Stats counts what was read and shown.
type Stats struct {
	Events  uint64            // that passed the filters
	Records map[string]uint64 // that were read, by type of frame, as in dump.End
	Doubles uint64            // left out because both lanes had them
	Invalid uint64            // that made no sense
	Unknown uint64            // records of types that this version does not know
	Damage  []dump.Damage     // what is missing, as the dump says
}

// Walk reads a dump to its end and calls fn for everything that q wants, calls at
// the time when they returned. The Event is valid until fn returns. Times of day
// in q are in zone loc, nil is UTC. Format and HostPids as output are of no interest here.
//
// An error of the dump (see dump.Reader) comes after everything that could be
// read; one of fn comes as it is.
func Walk(r *dump.Reader, q Query, loc *time.Location, fn func(*Event) error) (Stats, error) {
	if loc == nil {
		loc = time.UTC
	}
	return walk(r, &q, loc, func(*dump.Header) (sink, error) { return funcSink(fn), nil })
}

// sink takes events. An Event is valid until event returns.
type sink interface {
	event(*Event) error
	// mark comes after each frame. live: what comes now is new, and should be
	// shown at once.
	mark(live bool) error
	// again comes with every header but the first.
	again(h *dump.Header) error
	// damage comes where the dump says that something is missing.
	damage(d *dump.Damage) error
	// end comes last. err is why the dump could not be read to its end, or nil.
	end(s *Stats, err error) error
}

type funcSink func(*Event) error

func (f funcSink) event(ev *Event) error    { return f(ev) }
func (f funcSink) mark(bool) error          { return nil }
func (f funcSink) again(*dump.Header) error { return nil }

func (f funcSink) damage(*dump.Damage) error { return nil }
func (f funcSink) end(*Stats, error) error   { return nil }

func walk(r *dump.Reader, q *Query, loc *time.Location, open func(*dump.Header) (sink, error)) (Stats, error) {
	h := r.Header()
	made, err := asked(h)
	if err != nil {
		return Stats{}, err
	}
	out, err := open(h)
	if err != nil {
		return Stats{}, err
	}
	if q.Last > 0 {
		out = &lastSink{sink: out, n: q.Last}
	}
	w := &walker{
		arch:     h.Arch,
		filters:  filtersOf(q, made, h, loc),
		follow:   q.Follow,
		out:      out,
		tasks:    table{rows: make(map[uint32][]*Task)},
		threads:  make(map[uint32]*thread),
		progress: make(map[uint32]*thread),
		holding:  make(map[*thread]bool),
		names:    make(changes),
		special:  specialCalls(),
		netlink:  newNetlinks(h),
	}
	if q.Fds || len(q.Paths) > 0 {
		w.files = newFiles()
		w.files.header(h)
	}
	readErr, err := w.run(r)
	w.stats.Records = make(map[string]uint64)
	for _, t := range []dump.FrameType{dump.FrameTasks, dump.FrameGuard, dump.FrameMain, dump.FrameProgress} {
		w.stats.Records[string(t)] = r.Records(t)
	}
	w.stats.Damage = r.Damage()
	if err == nil {
		err = out.end(&w.stats, readErr)
	}
	if err == nil {
		err = readErr
	}
	return w.stats, err
}

// walker turns the records of a dump into events.
//
// Records come in the order in which they were written: of each thread exactly,
// of all threads nearly. Those that only the guard lane has are merged by time.
type walker struct {
	arch    record.Arch
	filters []*filter
	follow  bool
	live    bool // what comes now happened after the dump was asked for
	heads   int
	rows    bool // there were records
	out     sink
	stats   Stats

	tasks   table
	threads map[uint32]*thread // by host thread id
	last    *thread            // the one that was looked up last
	kept    int                // bytes of records that threads keep
	holding map[*thread]bool   // the threads that keep some
	era     uint32             // how often something was missing: what a thread knows may be older
	names   changes            // of names, among the records at hand
	special special
	files   *files // nil: nobody asked for descriptors
	netlink netlinks

	held     []byte      // the records of the guard lane
	guard    []entry     // their index, sorted when the main lane begins
	shown    int         // of these
	guarded  map[key]int // where in guard a record is
	sieve    []uint64    // bits of their times, so that most others need no look
	index    []entry     // of a frame
	began    bool        // the main lane has
	from, to uint64      // times of its first record, and of the last so far

	progress     map[uint32]*thread // calls that were not over when the dump was taken
	blockedBytes int                // of their records

	ev, side Event         // side: what comes out of pending records
	tmp      record.Record // a part of ev, while it is put together
}

// entry is where a record stands in a buffer.
type entry struct {
	time   uint64
	off, n uint32
}

// key is the same for a record in both lanes.
type key struct {
	time    uint64
	tid, nr uint32 // nr: with the type above it
}

// thread is what is known of a thread so far.
type thread struct {
	tid     uint32
	task    *Task
	version int // of the table of tasks, when task was looked up
	comm    Comm
	before  Comm // the name before the last change
	named   bool // comm is from a record
	renamed bool // by the last record
	struck  bool // by SIGKILL, with the last record

	enter    []byte // a REC_ENTER without its end
	program  []byte // a REC_EXEC whose REC_CALL has not come
	was      *Task  // who called that, if it was a thread with another id
	shown    uint64 // time of the REC_EXEC that was shown without waiting for its REC_CALL, 0: none
	noReturn bool   // exit or exit_group has begun
	era      uint32 // the walker's when the thread was met last
	over     uint64 // when its last call returned
}

const sigkill = 9

// special are the calls that are put together from several records.
type special struct {
	exec, exit, fork, restart *callSet
}

var specialCalls = sync.OnceValue(func() special {
	set := func(names ...string) *callSet {
		var e Expr
		for _, name := range names {
			e.with = append(e.with, term{name: name})
		}
		return compile([]Expr{e})
	}
	return special{
		exec:    set("execve", "execveat"),
		exit:    set("exit", "exit_group"),
		fork:    set("fork", "vfork", "clone", "clone3"),
		restart: set("restart_syscall"),
	}
})

// run returns the error of the dump and that of the sink.
func (w *walker) run(r *dump.Reader) (readErr, err error) {
	for {
		f, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				readErr = err
			}
			return readErr, w.finish()
		}
		w.seen(f.Type)
		if err := w.frame(f, r.Header()); err != nil {
			return nil, err
		}
		if err := w.out.mark(w.live); err != nil {
			return nil, err
		}
	}
}

// seen notices when what was there is complete and what is new begins: with a
// header or tasks behind records.
func (w *walker) seen(t dump.FrameType) {
	switch t {
	case dump.FrameHeader, dump.FrameTasks:
		w.live = w.live || w.follow && w.rows
	case dump.FrameGuard, dump.FrameMain, dump.FrameProgress:
		w.rows = true
	case dump.FrameDamage, dump.FrameOpen, dump.FrameEnd: // neither old nor new
	}
}

func (w *walker) frame(f dump.Frame, h *dump.Header) error {
	if w.live {
		// What only the guard lane has was before. Without a main lane nothing
		// else has shown it.
		if err := w.drain(1<<64 - 1); err != nil {
			return err
		}
	}
	switch f.Type {
	case dump.FrameHeader:
		if w.heads++; w.heads > 1 {
			w.netlink.again(h)
			if w.files != nil {
				w.files.again(h, w.to)
			}
			return w.out.again(h)
		}
	case dump.FrameTasks:
		batch := make(map[*Task]bool)
		for t := range f.Tasks() {
			w.tasks.add(t, batch)
		}
		w.tasks.forget(w.to)
	case dump.FrameOpen:
		if w.files != nil {
			w.files.open(f.Open())
		}
	case dump.FrameGuard:
		if w.began || w.shown > 0 {
			return nil // belongs before the main lane
		}
		if len(w.held)+len(f.Payload) > maxHeld {
			return fmt.Errorf("%w: more than %d MiB of guarded records", ErrTooLarge, maxHeld>>20)
		}
		start := len(w.held)
		w.held = append(w.held, f.Payload...)
		w.guard = w.scan(w.guard, w.held, start)
	case dump.FrameMain:
		if w.began && len(w.names) > 0 {
			w.names = make(changes)
		}
		w.index = w.scan(w.index[:0], f.Payload, 0)
		sortEntries(w.index)
		return w.main(f.Payload)
	case dump.FrameProgress:
		return w.blocked(f)
	case dump.FrameDamage:
		if d, ok := f.Damage(); ok {
			return w.damage(&d)
		}
	case dump.FrameEnd: // the reader has held it against what came
	}
	return nil
}

// damage forgets what a record that is missing may have changed.
func (w *walker) damage(d *dump.Damage) error {
	w.netlink.forget()
	if w.files != nil {
		w.files.forget(w.to)
	}
	// All threads forget, but those that show nothing do so when they are met: there may be
	// as many marks as threads.
	w.era++
	pending := slices.SortedFunc(maps.Keys(w.holding), func(a, b *thread) int { return cmp.Compare(a.tid, b.tid) })
	for _, th := range pending {
		if err := w.abandon(th, 0); err != nil {
			return err
		}
	}
	return w.out.damage(d)
}

// scan adds the records in b[start:] to an index, and notes who changes its name when.
func (w *walker) scan(index []entry, b []byte, start int) []entry {
	le := binary.LittleEndian
	for off := start; off < len(b); {
		one, _, err := record.Next(b[off:])
		if err != nil {
			break // the reader has checked it
		}
		e := entry{time: le.Uint64(one[8:]), off: uint32(off), n: uint32(len(one))}
		if t := layout.RecType(one[0] & 0xf); t == layout.RecExec || t == layout.RecRename {
			w.names.add(le.Uint32(one[16:]), e.time)
		}
		if w.files != nil && layout.RecType(one[0]&0xf) == layout.RecCall {
			w.forked(one)
		}
		index = append(index, e)
		off += len(one)
	}
	return index
}

// forked notes a call that made a process.
func (w *walker) forked(raw []byte) {
	flags := layout.RecFlag(binary.LittleEndian.Uint64(raw) >> 4 & 0x3ff)
	if !w.special.fork.has(w.arch.ABI(flags), nrOf(raw)) {
		return
	}
	if rec := &w.tmp; record.Parse(raw, rec) == nil && rec.Ret > 0 {
		w.files.fork(rec, w.tasks.at(rec.Tid, rec.Time))
	}
}

// sortEntries sorts by time what is nearly sorted; records of the same time stay in order.
func sortEntries(index []entry) {
	budget := 8 * len(index)
	for i := 1; i < len(index); i++ {
		e := index[i]
		j := i
		for ; j > 0 && index[j-1].time > e.time; j-- {
			index[j] = index[j-1]
			budget--
		}
		index[j] = e
		if budget < 0 {
			slices.SortStableFunc(index, func(a, b entry) int { return cmp.Compare(a.time, b.time) })
			return
		}
	}
}

func keyOf(raw []byte) key {
	le := binary.LittleEndian
	return key{le.Uint64(raw[8:]), le.Uint32(raw[16:]), uint32(raw[0]&0xf)<<16 | uint32(le.Uint16(raw[20:]))}
}

// main takes the records of a frame of the main lane, w.index in b.
func (w *walker) main(b []byte) error {
	if len(w.index) == 0 {
		return nil
	}
	if !w.began {
		w.began, w.from = true, w.index[0].time
		if w.files != nil {
			w.files.from = w.from
		}
		w.sortGuard()
	}
	for _, e := range w.index {
		raw := b[e.off : e.off+e.n]
		if len(w.guarded) > 0 {
			if word, bit := sieveOf(e.time); w.sieve[word]&bit != 0 {
				k := keyOf(raw)
				if i, ok := w.guarded[k]; ok { // it is in both lanes
					delete(w.guarded, k)
					w.stats.Doubles++
					if i < w.shown {
						continue
					}
					w.guard[i].n = 0
				}
			}
			if err := w.drain(e.time); err != nil {
				return err
			}
		}
		w.to = max(w.to, e.time)
		if err := w.record(raw, false); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) sortGuard() {
	sortEntries(w.guard)
	w.guarded = make(map[key]int, len(w.guard))
	w.sieve = make([]uint64, sieveWords)
	for i, e := range w.guard {
		w.guarded[keyOf(w.held[e.off:])] = i
		word, bit := sieveOf(e.time)
		w.sieve[word] |= bit
	}
}

const sieveWords = 1 << 10

// sieveOf returns the place of a time in walker.sieve.
func sieveOf(time uint64) (word int, bit uint64) {
	h := time * 0x9e3779b97f4a7c15 >> 48
	return int(h >> 6 % sieveWords), 1 << (h & 63)
}

// drain shows the records of the guard lane up to a time.
func (w *walker) drain(until uint64) error {
	if w.guarded == nil {
		w.sortGuard()
	}
	for w.shown < len(w.guard) && w.guard[w.shown].time <= until {
		e := w.guard[w.shown]
		w.shown++
		if e.n == 0 {
			continue
		}
		if err := w.record(w.held[e.off:e.off+e.n], true); err != nil {
			return err
		}
	}
	return nil
}

// finish shows what is left at the end.
func (w *walker) finish() error {
	if err := w.drain(1<<64 - 1); err != nil {
		return err
	}
	var left []*thread
	for th := range w.holding {
		p := w.progress[th.tid]
		if p != nil && th.enter != nil && nrOf(p.enter) == nrOf(th.enter) {
			continue // this is the call it is in
		}
		if th.enter != nil || th.program != nil {
			left = append(left, th)
		}
	}
	slices.SortFunc(left, func(a, b *thread) int { return cmp.Compare(a.tid, b.tid) })
	for _, th := range left {
		if err := w.abandon(th, 0); err != nil {
			return err
		}
	}
	return w.finishProgress()
}

// thread returns what is known of a thread at a time.
func (w *walker) thread(tid uint32, time uint64) (*thread, error) {
	th := w.last
	if th == nil || th.tid != tid {
		if th = w.threads[tid]; th == nil {
			if len(w.threads) >= maxThreads {
				w.threads, w.holding = make(map[uint32]*thread), make(map[*thread]bool)
				w.kept = 0
			}
			th = &thread{tid: tid, era: w.era}
			w.threads[tid] = th
		}
		w.last = th
	}
	if th.era != w.era {
		th.era, th.named, th.shown, th.struck, th.renamed = w.era, false, 0, false, false
	}
	if th.task != nil && th.version == w.tasks.version && (th.task.Info.End == 0 || time <= th.task.Info.End) {
		return th, nil
	}
	row := w.tasks.at(tid, time)
	if th.task != nil && row != th.task && (th.task.Known || row != nil) {
		if th.task.Known {
			// the id has been used again
			if err := w.abandon(th, 0); err != nil {
				return nil, err
			}
			*th = thread{tid: tid, era: w.era}
		}
		th.task = nil
	}
	if th.task == nil {
		th.task = row
		if row == nil {
			th.task = &Task{Info: layout.TaskInfo{Tid: tid}}
		}
	}
	th.version = w.tasks.version
	if !th.named {
		th.comm = w.name(th.task, time)
	}
	return th, nil
}

// name returns the name of a thread at a time from which on no record about its
// name has been seen.
func (w *walker) name(t *Task, time uint64) Comm {
	switch change := w.names.next(t.Info.Tid, time); {
	case change != 0 && (t.Info.End == 0 || change <= t.Info.End):
		return t.Info.FirstComm // it changes later
	case w.began && t.Info.Start >= w.from && t.Info.Start > 0:
		return t.Info.FirstComm // a change would have been seen
	}
	return t.Info.Comm
}

// emit hands an event about a thread on, if it is wanted.
func (w *walker) emit(ev *Event, th *thread) error {
	ev.Task = th.task
	if ev.Kind == KindExec {
		ev.Comm = th.before
	} else {
		ev.Comm = th.comm
	}
	ev.abi = w.arch.ABI(ev.Rec.Flags)
	ev.netlink = w.netlink.see(ev)
	if w.files != nil {
		w.files.see(ev)
	}
	for _, f := range w.filters {
		if !f.wants(ev) {
			return nil
		}
	}
	w.stats.Events++
	return w.out.event(ev)
}

// record takes the next record. guard: the main lane doesn't have it.
func (w *walker) record(raw []byte, guard bool) error {
	ev := &w.ev
	items := ev.Rec.Items
	*ev = Event{Raw: raw}
	ev.Rec.Items = items
	if record.Parse(raw, &ev.Rec) != nil {
		w.stats.Invalid++
		w.netlink.forget()
		if w.files != nil {
			w.files.forget(w.to)
		}
		return nil
	}
	ev.Time, ev.Start = ev.Rec.Time, ev.Rec.Start()
	ev.Guard = guard && w.older(ev.Time)
	th, err := w.thread(ev.Rec.Tid, ev.Time)
	if err != nil {
		return err
	}
	if len(w.progress) > 0 {
		w.progressed(&ev.Rec)
	}
	take := takers[ev.Rec.Type]
	if take == nil {
		// What happened to the thread, not what it did: its own records go on behind it.
		if ev.Kind = kindOf(ev.Rec.Type); ev.Kind == KindUnknown {
			w.stats.Unknown++
		}
		return w.emit(ev, th)
	}
	renamed := th.renamed
	th.renamed = false
	if ev.Rec.Type != layout.RecExit {
		th.struck = false
	}
	return take(w, ev, th, guard, renamed)
}

// takers take the records that are not an event each, as they stand.
var takers = [len(layout.RecordTypes)]func(w *walker, ev *Event, th *thread, guard, renamed bool) error{
	layout.RecCall: func(w *walker, ev *Event, th *thread, _, _ bool) error { return w.call(ev, th) },
	layout.RecEnter: func(w *walker, ev *Event, th *thread, _, _ bool) error {
		return w.enter(ev, th)
	},
	layout.RecExec: (*walker).exec,
	layout.RecExit: func(w *walker, ev *Event, th *thread, _, _ bool) error { return w.exit(ev, th) },
	layout.RecSignal: func(w *walker, ev *Event, th *thread, _, _ bool) error {
		if ev.Rec.Nr == sigkill {
			// Every thread of a process that ends gets it, even of one that exits
			// in peace. The thread's end says how it was.
			th.struck = true
			return nil
		}
		ev.Kind = KindSignal
		return w.emit(ev, th)
	},
	layout.RecRename: func(w *walker, ev *Event, th *thread, _, _ bool) error {
		return w.rename(ev, th)
	},
	layout.RecTask: func(w *walker, _ *Event, _ *thread, _, _ bool) error {
		w.stats.Invalid++ // stands in the tasks lane alone
		return nil
	},
}

// older reports whether a time lies before all of the main lane.
func (w *walker) older(time uint64) bool { return !w.began || time < w.from }

func (w *walker) is(s *callSet, rec *record.Record) bool {
	return s.has(w.arch.ABI(rec.Flags), rec.Nr)
}

// call takes the end of a call.
func (w *walker) call(ev *Event, th *thread) error {
	th.over = ev.Time
	if th.shown != 0 {
		shown := th.shown
		th.shown = 0
		if w.endsExec(&ev.Rec, shown) {
			return nil
		}
	}
	if th.enter == nil && th.program == nil {
		return w.emit(ev, th)
	}
	switch {
	case th.program != nil && w.endsExec(&ev.Rec, timeOf(th.program)):
		w.joinExec(ev, th)
	case th.program != nil:
		if err := w.abandon(th, 0); err != nil {
			return err
		}
	case nrOf(th.enter) != ev.Rec.Nr || timeOf(th.enter) > ev.Time:
		if err := w.abandon(th, 0); err != nil {
			return err
		}
	case ev.Rec.Ret == 0 && w.is(w.special.exec, &ev.Rec):
		th.before = th.comm
		w.joinExec(ev, th)
	}
	w.drop(th)
	return w.emit(ev, th)
}

func timeOf(raw []byte) uint64 { return binary.LittleEndian.Uint64(raw[8:]) }
func nrOf(raw []byte) uint16   { return binary.LittleEndian.Uint16(raw[20:]) }

// endsExec reports whether a REC_CALL is that of an execve whose REC_EXEC is of a
// time. Its number may be one of another ABI: that of the new program.
func (w *walker) endsExec(rec *record.Record, time uint64) bool {
	if rec.Ret != 0 || rec.Time < time {
		return false
	}
	if rec.Flags&layout.RecfNodur != 0 {
		return w.is(w.special.exec, rec)
	}
	return rec.Start() <= time
}

// joinExec makes the event of a successful execve, whose Rec is its REC_CALL or,
// if there is none, its REC_EXEC. The registers are cleared by then: arguments
// are from the REC_ENTER, or from the new program (and then nobody knows whether
// it was an execve or an execveat).
func (w *walker) joinExec(ev *Event, th *thread) {
	ev.Kind, ev.Raw, ev.program, ev.Was = KindExec, nil, th.program, th.was
	rec, enter := &ev.Rec, &w.tmp
	rec.Type, rec.Ret = layout.RecCall, 0
	if th.enter != nil && record.Parse(th.enter, enter) == nil {
		const of = layout.RecfCompat | layout.RecfX32 | layout.RecfCut | layout.RecfFault
		rec.Flags = rec.Flags&^of | enter.Flags&of
		rec.Nr, rec.Args = enter.Nr, enter.Args
		rec.Items, enter.Items = enter.Items, rec.Items
		for i := range rec.Items {
			rec.Items[i].Flags &^= layout.ItemEntry // all of this call's are
		}
		if rec.Flags&layout.RecfNodur != 0 && rec.Time >= enter.Time {
			rec.Flags &^= layout.RecfNodur
			rec.Dur = rec.Time - enter.Time
		}
		ev.Start = rec.Start()
	} else {
		ev.NoArgs = true
		rec.Flags &^= layout.RecfCompat | layout.RecfX32
		rec.Nr, rec.Args = w.execNr(), [6]uint64{}
	}
	file := uint8(0)
	if c := syscalls.Lookup(w.arch.ABI(rec.Flags), uint32(rec.Nr)); c != nil && c.Name == "execveat" {
		file = 1
	}
	if th.program == nil {
		return
	}
	if ev.NoArgs || !slices.ContainsFunc(rec.Items, func(it record.Item) bool {
		return it.Arg == file && it.Kind == layout.ItemStr && !it.Fault()
	}) {
		w.itemsOfProgram(rec, th.program, file)
	}
}

// itemsOfProgram replaces the items of an execve by those of the new program.
func (w *walker) itemsOfProgram(rec *record.Record, program []byte, file uint8) {
	var p record.Record
	if record.Parse(program, &p) != nil {
		return
	}
	rec.Items = rec.Items[:0]
	for _, it := range p.Items {
		switch {
		case it.Arg == 0 && it.Kind == layout.ItemStr:
			it.Arg = file
			rec.Items = append(rec.Items, it)
		case it.Arg == 2 && it.Kind == layout.ItemArgv:
			argv := splitArgv(it.Data)
			for i, arg := range argv {
				one := record.Item{Arg: file + 1, Kind: layout.ItemStrv, Data: arg}
				if i == len(argv)-1 && !bytes.HasSuffix(it.Data, []byte{0}) {
					one.Flags = it.Flags
				}
				rec.Items = append(rec.Items, one)
			}
			if it.Cut() && bytes.HasSuffix(it.Data, []byte{0}) { // between two strings
				rec.Items = append(rec.Items, record.Item{Arg: file + 1, Kind: layout.ItemStrv, Flags: it.Flags})
			}
		}
	}
}

// enter takes the beginning of a call that may not return.
func (w *walker) enter(ev *Event, th *thread) error {
	if err := w.abandon(th, 0); err != nil {
		return err
	}
	if w.is(w.special.exit, &ev.Rec) {
		th.noReturn = true
		ev.State = NoReturn
		return w.emit(ev, th)
	}
	w.keep(th, &th.enter, ev.Raw)
	if w.kept > maxHeld {
		return fmt.Errorf("%w: more than %d MiB of calls that began", ErrTooLarge, maxHeld>>20)
	}
	return nil
}

// exec takes the start of a new program.
func (w *walker) exec(ev *Event, th *thread, guard, renamed bool) error {
	if th.program != nil {
		if err := w.abandon(th, 0); err != nil {
			return err
		}
	}
	th.was = nil
	if was := uint32(ev.Rec.Ret); was != th.tid && was != 0 {
		if err := w.succeed(th, was, ev.Time, renamed); err != nil {
			return err
		}
	}
	if !renamed {
		th.before = th.comm
		for _, it := range ev.Rec.Items {
			if it.Arg == 0 && it.Kind == layout.ItemStr {
				th.comm.set(it.Data[bytes.LastIndexByte(it.Data, '/')+1:])
				th.named = true
			}
		}
	}
	w.keep(th, &th.program, ev.Raw)
	if guard {
		// Its REC_CALL is not in the guard lane, so there is nothing to wait for.
		th.shown = ev.Time
		return w.abandon(th, 0)
	}
	return nil
}

// succeed lets a thread id take over from that of the thread that executed a
// program: the thread gets the id of its process's leader.
func (w *walker) succeed(th *thread, was uint32, time uint64, renamed bool) error {
	old := w.threads[was]
	if old == nil {
		if th.was = w.tasks.at(was, time); th.was == nil {
			th.was = &Task{Info: layout.TaskInfo{Tid: was}}
		}
		return nil
	}
	if err := w.abandon(th, 0); err != nil {
		return err
	}
	th.was = old.task
	th.enter, old.enter = old.enter, nil
	if delete(w.holding, old); th.enter != nil {
		w.holding[th] = true
	}
	if old.program != nil {
		w.holding[old] = true
	}
	th.before = old.comm
	if !renamed {
		th.comm = old.comm
	}
	w.last = nil
	err := w.abandon(old, 0)
	delete(w.threads, was)
	return err
}

// keep copies a record into a thread's state.
func (w *walker) keep(th *thread, to *[]byte, raw []byte) {
	*to = bytes.Clone(raw)
	w.kept += len(raw)
	w.holding[th] = true
}

// drop forgets the pending records of a thread.
func (w *walker) drop(th *thread) {
	w.kept -= len(th.enter) + len(th.program)
	th.enter, th.program, th.was = nil, nil, nil
	delete(w.holding, th)
}

func (w *walker) rename(ev *Event, th *thread) error {
	ev.Kind = KindRename
	for _, it := range ev.Rec.Items {
		if it.Arg == 0 && it.Kind == layout.ItemStr {
			th.before, th.named, th.renamed = th.comm, true, true
			name, _, _ := bytes.Cut(it.Data, []byte{0})
			th.comm.set(name)
		}
	}
	if th.enter != nil {
		return nil // a part of an execve
	}
	return w.emit(ev, th)
}

// exit takes the end of a thread.
func (w *walker) exit(ev *Event, th *thread) error {
	ev.Kind = KindExit
	rec := &ev.Rec
	if th.enter != nil || th.program != nil {
		if err := w.abandon(th, ev.Time); err != nil {
			return err
		}
	} else if in := rec.Nr; in != 0 && !th.noReturn {
		side := w.pending()
		side.State, side.NoArgs = Killed, true
		side.Guard = ev.Guard
		side.Time, side.Start = ev.Time, min(rec.Args[2], ev.Time)
		side.Rec.Type, side.Rec.Nr, side.Rec.Tid = layout.RecEnter, in-1, rec.Tid
		side.Rec.Flags, side.Rec.Time = rec.Flags, side.Start
		if side.Start == 0 {
			side.Start = ev.Time
		}
		if !w.is(w.special.exit, &side.Rec) {
			if err := w.emit(side, th); err != nil {
				return err
			}
		}
	}
	ev.struck = th.struck
	err := w.emit(ev, th)
	delete(w.threads, th.tid)
	w.last = nil
	return err
}

// pending returns an empty event besides the one that is being made.
func (w *walker) pending() *Event {
	side := &w.side
	items := side.Rec.Items[:0]
	*side = Event{}
	side.Rec.Items = items
	return side
}

// abandon shows the beginning of a call of a thread as far as it came, as the
// end will not come. ended: when the thread ended, 0: not known.
func (w *walker) abandon(th *thread, ended uint64) error {
	enter, program := th.enter, th.program
	if enter == nil && program == nil {
		return nil
	}
	side := w.pending()
	defer w.drop(th)
	if program != nil {
		if record.Parse(program, &side.Rec) != nil {
			return nil
		}
		side.Time, side.Start = side.Rec.Time, side.Rec.Time
		side.Guard = w.older(side.Time)
		w.joinExec(side, th)
		return w.emit(side, th)
	}
	if record.Parse(enter, &side.Rec) != nil {
		return nil
	}
	side.State, side.Raw = Unfinished, enter
	side.Start = side.Rec.Time
	side.Time = max(side.Start, ended)
	if ended != 0 {
		side.State = Killed
	}
	return w.emit(side, th)
}

func (w *walker) execNr() uint16 {
	if c := syscalls.ByName(w.arch, "execve"); c != nil {
		return uint16(c.Nr)
	}
	return 0xffff
}

// blocked takes the calls that threads were in when the dump was taken. They are
// shown last. The lanes may be of a little later or earlier than these.
func (w *walker) blocked(f dump.Frame) error {
	var rec record.Record
	for raw := range f.Records() {
		if record.Parse(raw, &rec) != nil {
			w.stats.Invalid++
			continue
		}
		if w.blockedBytes += len(raw); w.blockedBytes > maxHeld {
			return fmt.Errorf("%w: more than %d MiB of calls in progress", ErrTooLarge, maxHeld>>20)
		}
		if th := w.threads[rec.Tid]; th != nil && (th.noReturn || rec.Flags&layout.RecfNodur == 0 && th.over >= rec.Time) {
			continue // was shown already
		}
		w.progress[rec.Tid] = &thread{tid: rec.Tid, enter: bytes.Clone(raw)}
	}
	return nil
}

// progressed drops a thread's call in progress when a record says that it is over.
func (w *walker) progressed(rec *record.Record) {
	p := w.progress[rec.Tid]
	if p == nil {
		return
	}
	start, known := timeOf(p.enter), layout.RecFlag(binary.LittleEndian.Uint64(p.enter)>>4&0x3ff)&layout.RecfNodur == 0
	over := false // all other types may come within a call
	if t := rec.Type; t == layout.RecCall || t == layout.RecExit || t == layout.RecExec {
		over = !known || rec.Time >= start
	} else if t == layout.RecEnter {
		over = known && rec.Time > start
	}
	if over {
		delete(w.progress, rec.Tid)
	}
}

func (w *walker) finishProgress() error {
	left := slices.SortedFunc(maps.Values(w.progress), func(a, b *thread) int {
		return cmp.Or(cmp.Compare(timeOf(a.enter), timeOf(b.enter)), cmp.Compare(a.tid, b.tid))
	})
	for _, p := range left {
		side := w.pending()
		if record.Parse(p.enter, &side.Rec) != nil {
			continue
		}
		th, err := w.thread(p.tid, max(w.to, side.Rec.Time))
		if err != nil {
			return err
		}
		side = w.pending() // finding the thread may have used it
		if record.Parse(p.enter, &side.Rec) != nil {
			continue
		}
		for i := range side.Rec.Items {
			if it := &side.Rec.Items[i]; it.Kind != layout.ItemCount {
				it.Flags |= layout.ItemEntry // who took the dump read them while the call went on
			}
		}
		side.State = Blocked
		side.Time, side.Start = side.Rec.Time, side.Rec.Time
		if err := w.emit(side, th); err != nil {
			return err
		}
	}
	return nil
}
