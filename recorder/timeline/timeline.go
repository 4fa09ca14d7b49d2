// Package timeline makes of a dump what a picture of it needs: which thread did what when,
// counted back from the end, in the order in which a person wants to see it, beside the
// report of package postmortem. Like that it is a function of the dump, and its memory does
// not grow with it.
package timeline

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/strace"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Timeline is what happened in a container, in columns: the same index is the same event.
// Times are ns before End unless said otherwise.
type Timeline struct {
	Report *postmortem.Report `json:"report"`
	// End is when the container ended; of one that is running, when the dump was taken.
	End  time.Time `json:"end"`
	Live bool      `json:"live,omitempty"`

	Threads []Thread `json:"threads"`
	Lanes   []Lane   `json:"lanes"`
	Names   []Name   `json:"names"`
	Errors  []string `json:"errors"`
	Events  Events   `json:"events"`
	Links   []Link   `json:"links"`

	// Quiet is the age of the last event of a container that is running: since then each thread
	// has been in the same call, or computes.
	Quiet int64 `json:"quiet,omitempty"`

	// Omitted counts what Events leaves out, oldest first; Left is their sum.
	Omitted []Omitted `json:"omitted"`
	Left    uint64    `json:"left"`

	Summary []Summary `json:"summary"` // of all calls, also those left out; the longest first
	// Began is the age of the oldest event, Whole that from which on every call is there (that
	// the ring of all calls has), Lived that of the container; -1: not known.
	Began int64 `json:"began"`
	Whole int64 `json:"whole"`
	Lived int64 `json:"lived"`
}

// Thread is a thread of the container.
type Thread struct {
	Pid  uint32 `json:"pid"`
	Tid  uint32 `json:"tid"`
	Ppid uint32 `json:"ppid,omitempty"`
	Comm string `json:"comm,omitempty"`
	// Started and Ended are ages; -1: not known, or not yet.
	Started int64  `json:"started"`
	Ended   int64  `json:"ended"`
	Status  string `json:"status,omitempty"` // how it ended: "exit 1", "SIGSEGV"
	Bad     bool   `json:"bad,omitempty"`    // it did not end with 0
	Blocked bool   `json:"blocked,omitempty"`
	Calls   uint64 `json:"calls"`
	Failed  uint64 `json:"failed"`
}

// Lane is a row of the picture: a thread, or several children of one name.
type Lane struct {
	Label   string `json:"label"`
	Threads []int  `json:"threads"`
	Leader  bool   `json:"leader,omitempty"` // the first of a process
	Folded  bool   `json:"folded,omitempty"` // not shown until it is asked for
}

// Class is what a call is about, for its colour.
type Class string

// The classes.
const (
	Files     Class = "files"
	Network   Class = "network"
	Processes Class = "processes"
	Memory    Class = "memory"
	Waiting   Class = "waiting"
	Signals   Class = "signals"
	Other     Class = "other"
)

// Name is the name of calls or of other events.
type Name struct {
	Name  string `json:"name"`
	Class Class  `json:"class"`
}

// State is what an event is. It is no byte: JSON has lists of bytes in base64.
type State int

// The states.
const (
	Returned State = iota
	Failed
	Blocked   // the thread was in it at the end
	Killed    // its thread ended in it
	Lost      // how it ended is missing
	NoReturn  // exit and exit_group
	Signalled // a signal was delivered
	Ended     // a thread ended
	Sent      // a signal was sent
	OOM       // the OOM killer chose the process
	Renamed
	Unknown
)

// Events are in the order of time, the oldest first. Columns that begin with a number have
// differences to the event before, for compression.
type Events struct {
	// Age is ns before the end when the event happened or the call returned: the difference to
	// the one before (which is older).
	Age    []int64  `json:"age"`
	Took   []int64  `json:"took"` // ns; -1: not known
	Thread []int    `json:"thread"`
	Name   []int    `json:"name"`
	State  []State  `json:"state"`
	Error  []int    `json:"error"`  // 1 + index in Errors; 0: none
	Weight []int    `json:"weight"` // of a failed call, in hundredths; see postmortem.Event
	Stream []int    `json:"stream"` // 1, 2: it writes to stdout, to stderr
	Guard  []int    `json:"guard"`  // 1: older than where every call is kept
	Text   []string `json:"text"`   // as dump shows it, without its result's duration
}

// LinkKind is what an event did to another thread.
type LinkKind string

// The kinds of links.
const (
	Fork LinkKind = "fork"
	Kill LinkKind = "kill"
	Wake LinkKind = "wake"
)

// Link is an arrow from an event to a thread.
type Link struct {
	Kind   LinkKind `json:"kind"`
	From   int      `json:"from"`   // event
	To     int      `json:"to"`     // event; -1: the beginning of Thread
	Thread int      `json:"thread"` // that it points to
}

// Omitted counts events that are left out in a span of time.
type Omitted struct {
	From   int64  `json:"from"` // age of its older end
	To     int64  `json:"to"`
	Calls  uint64 `json:"calls"`
	Failed uint64 `json:"failed"`
}

// Summary counts the calls of a name. Times are ns.
type Summary struct {
	Name    string `json:"name"`
	Calls   uint64 `json:"calls"`
	Failed  uint64 `json:"failed"`
	TotalNs uint64 `json:"totalNs"`
	MaxNs   uint64 `json:"maxNs"`
}

// Options say how much a Timeline has.
type Options struct {
	Events int // at most; 0: 28,000, which no dump of 20,000 calls has
}

const (
	maxSpans   = 512 // of what is left out
	maxNames   = 2048
	maxThreads = 4000
)

// item is an event that is kept.
type item struct {
	at, start uint64
	task      *replay.Task
	comm      string
	text      string
	name      int
	error     int
	weight    float64
	state     State
	stream    int
	guard     bool
	noDur     bool
	serial    uint64
	links     bool // it makes a thread, or sends a signal
}

// telling reports whether an event is kept longer than others.
func (it *item) telling() bool {
	const grave, long = .1, uint64(50 * time.Millisecond)
	return it.state != Returned && it.state != Failed || it.weight >= grave || it.stream != 0 || it.links || it.at-it.start >= long
}

// ring keeps the last of what is put into it.
type ring[T any] struct {
	items []T
	at    int // of the oldest, once it is full
}

// put returns what it had to drop, and whether it had to.
func (r *ring[T]) put(it T, most int) (dropped T, full bool) {
	if most <= 0 {
		return it, true
	}
	if len(r.items) < most {
		r.items = append(r.items, it)
		return dropped, false
	}
	old := r.items[r.at]
	r.items[r.at] = it
	if r.at++; r.at == len(r.items) {
		r.at = 0
	}
	return old, true
}

type maker struct {
	head, last []item     // of the beginning; calls that threads are in at the end
	told, tail ring[item] // what says most of what came between; the end
	most       int
	names      map[string]int
	errors     map[string]int
	t          *Timeline
	spans      []span
	wide       uint64 // ns of a span
	first, end uint64
	whole      uint64
	serial     uint64
	sums       map[string]*Summary
	threads    map[*replay.Task]*counts
	linker     *replay.Linker
	found      ring[replay.Link]
}

type counts struct {
	calls, failed uint64
	blocked       bool
}

type span struct {
	from, to      uint64
	calls, failed uint64
}

// Build reads a dump to its end. As with postmortem.Build, an error comes with what could be read.
func Build(r *dump.Reader, o Options) (*Timeline, error) {
	m := &maker{
		most: cmp.Or(max(o.Events, 0), 28_000), names: make(map[string]int), errors: make(map[string]int),
		t: &Timeline{}, wide: uint64(time.Millisecond), sums: make(map[string]*Summary), threads: make(map[*replay.Task]*counts), linker: replay.NewLinker(),
	}
	const items, lines = 200, 250 // of the report's lists
	report, err := postmortem.Build(r, postmortem.Options{Items: items, Lines: lines, Also: m.see})
	m.t.Report = report
	m.finish(r.Header())
	return m.t, err
}

func (m *maker) see(s *postmortem.Seen) {
	if m.first == 0 || s.Time < m.first {
		m.first = s.Time
	}
	if !s.Guard && (m.whole == 0 || s.Time < m.whole) {
		m.whole = s.Time
	}
	if s.State != replay.Blocked {
		m.end = max(m.end, s.Time)
	}
	it := item{at: s.Time, start: s.Start, task: s.Task, comm: s.Comm, guard: s.Guard, noDur: s.NoDur(), serial: m.serial, weight: s.Weight}
	m.link(s)
	m.serial++
	name := s.Call
	switch s.Kind {
	case replay.KindCall, replay.KindExec:
		m.call(s, &it)
	case replay.KindExit:
		it.state, name = Ended, "exit"
	case replay.KindSignal:
		it.state, name = Signalled, strace.SignalName(int(s.Rec.Nr))
	case replay.KindSent:
		it.state, name = Sent, strace.SignalName(int(s.Rec.Nr))
	case replay.KindOOM:
		it.state, name = OOM, "OOM"
	case replay.KindRename:
		it.state, name = Renamed, "rename"
	case replay.KindUnknown:
		it.state, name = Unknown, "unknown"
	}
	it.name = m.name(name, s)
	m.count(s, &it)
	it.text = s.Text()
	m.keep(it)
}

func (m *maker) call(s *postmortem.Seen, it *item) {
	switch s.State {
	case replay.Finished:
		if s.Failed() {
			it.state = Failed
			name, _ := syscalls.Errno(int(-s.Rec.Ret))
			it.error = 1 + m.errorOf(name)
		}
	case replay.NoReturn:
		it.state = NoReturn
	case replay.Killed:
		it.state = Killed
	case replay.Unfinished:
		it.state = Lost
	case replay.Blocked:
		it.state = Blocked
	}
	switch s.Call {
	case "fork", "vfork", "clone", "clone3", "kill", "tkill", "tgkill":
		it.links = it.state == Returned
	case "write", "writev", "pwrite64", "pwritev":
		if fd := s.Rec.Args[0]; !s.NoArgs && (fd == 1 || fd == 2) && it.state == Returned {
			it.stream = int(fd)
		}
	}
}

func (m *maker) errorOf(name string) int {
	i, ok := m.errors[name]
	if !ok {
		i = len(m.errors)
		m.errors[name] = i
		m.t.Errors = append(m.t.Errors, name)
	}
	return i
}

func (m *maker) name(name string, s *postmortem.Seen) int {
	i, ok := m.names[name]
	if ok {
		return i
	}
	if len(m.names) >= maxNames { // numbers that are no calls
		const other = "other"
		if i, ok = m.names[other]; !ok {
			i = len(m.names)
			m.names[other] = i
			m.t.Names = append(m.t.Names, Name{other, Other})
		}
		return i
	}
	i = len(m.names)
	m.names[name] = i
	m.t.Names = append(m.t.Names, Name{name, classOf(s)})
	return i
}

func classOf(s *postmortem.Seen) Class {
	if s.Call == "" {
		return Signals
	}
	if s.Waits != "io" {
		return Waiting
	}
	c := s.Event.Call()
	if c == nil {
		return Other
	}
	switch {
	case c.Class&syscalls.ClassNetwork != 0:
		return Network
	case c.Class&syscalls.ClassProcess != 0:
		return Processes
	case c.Class&syscalls.ClassMemory != 0:
		return Memory
	case c.Class&syscalls.ClassSignal != 0:
		return Signals
	case c.Class&(syscalls.ClassFile|syscalls.ClassDesc) != 0:
		return Files
	}
	return Other
}

func (m *maker) count(s *postmortem.Seen, it *item) {
	c := m.threads[s.Task]
	if c == nil {
		if len(m.threads) >= 1<<16 { // their numbers begin again
			clear(m.threads)
		}
		c = &counts{}
		m.threads[s.Task] = c
	}
	switch it.state {
	case Blocked, Killed:
		c.blocked = true
	case Returned, Failed:
		failure := s.Failure()
		c.calls++
		if failure {
			c.failed++
		}
		sum := m.sums[s.Call]
		if sum == nil {
			if len(m.sums) >= maxNames {
				return
			}
			sum = &Summary{Name: s.Call}
			m.sums[s.Call] = sum
		}
		sum.Calls++
		if failure {
			sum.Failed++
		}
		if !s.NoDur() {
			sum.TotalNs += s.Rec.Dur
			sum.MaxNs = max(sum.MaxNs, s.Rec.Dur)
		}
	case Lost, NoReturn, Signalled, Ended, Sent, OOM, Renamed, Unknown:
	}
}

// keep keeps an event: of the beginning, of the end, and between these what says most.
func (m *maker) keep(it item) {
	first, told, blocked := m.most/32, m.most/8, m.most/16
	if it.state == Blocked {
		if len(m.last) < blocked {
			m.last = append(m.last, it)
		} else {
			m.omit(&it)
		}
		return
	}
	if len(m.head) < first {
		m.head = append(m.head, it)
		return
	}
	old, full := m.tail.put(it, m.most-first-told-blocked)
	if !full {
		return
	}
	if old.telling() {
		if old, full = m.told.put(old, told); !full {
			return
		}
	}
	m.omit(&old)
}

// omit counts what is left out, in spans of time that become longer when there are many.
func (m *maker) omit(it *item) {
	m.t.Left++
	at := it.at / m.wide
	i, ok := slices.BinarySearchFunc(m.spans, at, func(s span, at uint64) int { return cmp.Compare(s.from/m.wide, at) })
	if !ok {
		if len(m.spans) >= maxSpans {
			m.widen()
			m.t.Left--
			m.omit(it)
			return
		}
		m.spans = slices.Insert(m.spans, i, span{from: it.at, to: it.at})
	}
	s := &m.spans[i]
	s.from, s.to = min(s.from, it.at), max(s.to, it.at)
	s.calls++
	if it.state == Failed && it.weight > 0 {
		s.failed++
	}
}

func (m *maker) widen() {
	for len(m.spans) > maxSpans/2 && m.wide < math.MaxUint64/4 {
		m.wide *= 2
		merged := m.spans[:1]
		for _, s := range m.spans[1:] {
			last := &merged[len(merged)-1]
			if last.from/m.wide != s.from/m.wide {
				merged = append(merged, s)
				continue
			}
			last.from, last.to = min(last.from, s.from), max(last.to, s.to)
			last.calls += s.calls
			last.failed += s.failed
		}
		m.spans = merged
	}
}

func (m *maker) finish(h *dump.Header) {
	t := m.t
	all := slices.Concat(m.head, m.told.items, m.tail.items, m.last)
	rec := &h.Recording
	taken := h.Clock.Monotonic(h.Taken)
	acted := m.end
	switch {
	case t.Report.Outcome == postmortem.Running:
		t.Live = true
		m.end = max(m.end, taken)
		t.Quiet = m.age(acted)
	case rec.Exit != nil:
		m.end = max(m.end, h.Clock.Monotonic(rec.Exit.At))
	}
	t.End = h.Clock.UTC(m.end)
	for i := range all {
		if all[i].state == Blocked { // it lasts until the end
			all[i].at = m.end
		}
	}
	slices.SortFunc(all, func(x, y item) int { return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.serial, y.serial)) })
	index := m.threadsOf(all)
	m.columns(all, index)
	m.links(all, index)
	m.lanes(all, index)
	for _, s := range m.spans {
		t.Omitted = append(t.Omitted, Omitted{m.age(s.from), m.age(s.to), s.calls, s.failed})
	}
	for _, s := range m.sums {
		t.Summary = append(t.Summary, *s)
	}
	slices.SortFunc(t.Summary, func(x, y Summary) int {
		return cmp.Or(cmp.Compare(y.TotalNs, x.TotalNs), cmp.Compare(y.Calls, x.Calls), strings.Compare(x.Name, y.Name))
	})
	t.Began, t.Whole, t.Lived = -1, -1, -1
	if m.first > 0 {
		t.Began = m.age(m.first)
	}
	if m.whole > 0 {
		t.Whole = m.age(m.whole)
	}
	if !rec.Started.IsZero() {
		if at := h.Clock.Monotonic(rec.Started); at <= m.end {
			t.Lived = m.age(at)
		}
	}
}

// age is how long before the end something was, in ns. What was later, by clocks that differ,
// was at the end.
func (m *maker) age(at uint64) int64 {
	if at >= m.end {
		return 0
	}
	return int64(min(m.end-at, math.MaxInt64))
}

// threadsOf makes the threads that have events.
func (m *maker) threadsOf(all []item) map[*replay.Task]int {
	index := make(map[*replay.Task]int)
	for i := range all {
		it := &all[i]
		k, ok := index[it.task]
		if !ok {
			if len(index) >= maxThreads {
				index[it.task] = -1
				continue
			}
			k = len(m.t.Threads)
			index[it.task] = k
			m.t.Threads = append(m.t.Threads, m.thread(it.task))
		}
		if k >= 0 && it.comm != "" {
			m.t.Threads[k].Comm = it.comm
		}
	}
	return index
}

func (m *maker) thread(task *replay.Task) Thread {
	info := &task.Info
	pid, tid := task.IDs(false)
	th := Thread{Pid: pid, Tid: tid, Ppid: info.NsPtid, Started: -1, Ended: -1}
	if !task.InContainer() {
		th.Ppid = info.Ptid
	}
	if c := m.threads[task]; c != nil {
		th.Calls, th.Failed, th.Blocked = c.calls, c.failed, c.blocked
	}
	if info.Start > 0 && info.Start <= m.end {
		th.Started = m.age(info.Start)
	}
	if info.End > 0 {
		th.Ended = m.age(info.End)
		th.Status, th.Bad = status(info)
	}
	return th
}

// status is how a thread ended.
func status(info *layout.TaskInfo) (text string, bad bool) {
	sig := int(info.ExitCode & 0x7f)
	if sig != 0 {
		return strace.SignalName(sig), true
	}
	code := info.ExitCode >> 8 & 0xff
	return "exit " + strconv.Itoa(int(code)), code != 0
}

func (m *maker) columns(all []item, index map[*replay.Task]int) {
	e := &m.t.Events
	before := int64(0)
	for i := range all {
		it := &all[i]
		age := m.age(it.at)
		if i == 0 {
			before = age
			e.Age = append(e.Age, age)
		} else {
			e.Age = append(e.Age, before-age)
			before = age
		}
		took := int64(-1)
		if it.at >= it.start && !it.noDur && it.state <= NoReturn && it.state != NoReturn && it.state != Lost {
			took = int64(it.at - it.start)
		}
		weight := int(math.Round(it.weight * 100))
		if it.weight > 0 {
			weight = max(weight, 1)
		}
		guard := 0
		if it.guard {
			guard = 1
		}
		e.Took = append(e.Took, took)
		e.Thread = append(e.Thread, index[it.task])
		e.Name = append(e.Name, it.name)
		e.State = append(e.State, it.state)
		e.Error = append(e.Error, it.error)
		e.Weight = append(e.Weight, weight)
		e.Stream = append(e.Stream, it.stream)
		e.Guard = append(e.Guard, guard)
		e.Text = append(e.Text, it.text)
	}
}
