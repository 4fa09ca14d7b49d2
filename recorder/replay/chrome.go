package replay

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/recorderd/recorderd/internal/jsontext"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/strace"
	"github.com/recorderd/recorderd/recorder/syscalls"
	"github.com/recorderd/recorderd/recorder/value"
)

// chromeSink writes Chrome's trace event format, for Perfetto (ui.perfetto.dev): threads are
// tracks, calls slices on them, signals and exits instants; arrows lead from what caused to what
// was caused. Times are microseconds on CLOCK_MONOTONIC.
type chromeSink struct {
	*lines
	header  *dump.Header
	format  formatter
	clock   wallClock
	taken   uint64
	host    bool
	special special
	names   map[chromeThread]Comm // as written last
	procs   map[uint32]bool       // whose name has been written
	text    []byte
	decode  strace.Decoder
	values  value.JSON
	events  uint64
	linker  *Linker
	arrows  uint64          // so far: their ids
	outputs map[uint32]bool // processes whose output has a track
	order   int64           // of processes and threads: as they are seen
	space   bool            // the container has process ids of its own
	main    uint32          // its first process, once that was seen
}

// chromeThread is a track. Threads of which the container's ids are not known are
// of process 0, which no container sees, with the host's id.
type chromeThread struct{ pid, tid uint32 }

func newChrome(out *lines, h *dump.Header, o *Options) *chromeSink {
	c := &chromeSink{
		lines: out, header: h, format: newFormatter(h), clock: newWallClock(h, o.Location), taken: h.Clock.Monotonic(h.Taken), host: o.HostPids,
		special: specialCalls(), names: make(map[chromeThread]Comm), procs: make(map[uint32]bool), linker: NewLinker(), outputs: make(map[uint32]bool),
	}
	if o.Fds {
		c.format.decodeFds()
	}
	c.buf = append(c.buf, `{"displayTimeUnit":"ns","traceEvents":[`...)
	return c
}

func (c *chromeSink) track(t *Task) chromeThread {
	pid, tid := t.IDs(c.host)
	if !t.Known || !c.host && !t.InContainer() {
		pid = 0
	}
	return chromeThread{pid, tid}
}

// begin begins an object of traceEvents; finish ends it.
func (c *chromeSink) begin(name, category, phase string, at chromeThread, ns uint64) {
	if c.events > 0 {
		c.buf = append(c.buf, ',')
	}
	c.events++
	c.buf = append(c.buf, "\n{\"ph\":\""...)
	c.buf = append(append(c.buf, phase...), '"')
	c.buf = jsonString(c.buf, "name", []byte(name))
	if category != "" {
		c.buf = jsonString(c.buf, "cat", []byte(category))
	}
	c.buf = jsonUint(c.buf, "pid", uint64(at.pid))
	c.buf = jsonUint(c.buf, "tid", uint64(at.tid))
	if phase != "M" {
		c.buf = appendChromeTime(jsonKey(c.buf, "ts"), ns)
	}
}

func (c *chromeSink) finish() error {
	c.buf = append(c.buf, '}')
	return c.done()
}

// appendChromeTime appends ns as microseconds.
func appendChromeTime(b []byte, ns uint64) []byte {
	b = appendUint(b, ns/1000)
	ns %= 1000
	return append(b, '.', byte('0'+ns/100), byte('0'+ns/10%10), byte('0'+ns%10))
}

// name writes what a track is called, when it is new or was called otherwise.
func (c *chromeSink) name(at chromeThread, comm Comm) error {
	if old, ok := c.names[at]; ok && old == comm {
		return nil
	}
	if len(c.names) >= maxThreads { // what is written again says the same
		c.names, c.procs = make(map[chromeThread]Comm), make(map[uint32]bool)
	}
	_, again := c.names[at]
	c.names[at] = comm
	name := safe(string(comm.Bytes()))
	known := c.procs[at.pid]
	switch {
	case at.pid == 0 && !known:
		c.procs[0] = true
		if err := c.meta("process_name", at, "name", "unknown"); err != nil {
			return err
		}
		if err := c.sortIndex("process_sort_index", at, 1<<30); err != nil {
			return err
		}
	case at.pid == at.tid || !known:
		c.procs[at.pid] = true
		if err := c.meta("process_name", at, "name", name); err != nil {
			return err
		}
	}
	if !again {
		c.order++
		if !known && at.pid != 0 {
			if err := c.process(at); err != nil {
				return err
			}
		}
		index := c.order
		if at.pid == at.tid {
			index = 0
		}
		if err := c.sortIndex("thread_sort_index", at, index); err != nil {
			return err
		}
	}
	return c.meta("thread_name", at, "name", name)
}

// process writes where a process stands, and what of the recording is about the first of a
// container.
func (c *chromeSink) process(at chromeThread) error {
	index := c.order
	if at.pid == 1 && !c.host || c.main == 0 && (c.host || !c.space) {
		index, c.main = 0, at.pid
		r := &c.header.Recording
		var labels []string
		if len(r.Container.Command) > 0 {
			labels = append(labels, labelOf(Command(r.Container.Command), mostLabel))
		}
		if r.Verdict != nil {
			labels = append(labels, labelOf(r.Verdict.Sentence(), 2*mostLabel))
		}
		if len(labels) > 0 {
			if err := c.meta("process_labels", at, "labels", strings.Join(labels, "; ")); err != nil {
				return err
			}
		}
	}
	return c.sortIndex("process_sort_index", at, index)
}

// mostLabel is how many bytes of a command line a label has.
const mostLabel = 200

// labelOf is a text on one line that fits a label.
func labelOf(text string, most int) string {
	text = safe(strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "?"))
	if len(text) > most {
		end := most
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "…"
	}
	if text == "" {
		return "(blanks)"
	}
	return text
}

// meta writes a text about a track or its process.
func (c *chromeSink) meta(what string, at chromeThread, key, text string) error {
	c.begin(what, "", "M", at, 0)
	c.buf = append(append(append(c.buf, `,"args":{"`...), key...), `":`...)
	c.quote([]byte(text))
	c.buf = append(c.buf, '}')
	return c.finish()
}

func (c *chromeSink) sortIndex(what string, at chromeThread, index int64) error {
	c.begin(what, "", "M", at, 0)
	c.buf = append(appendInt(append(c.buf, `,"args":{"sort_index":`...), index), '}')
	return c.finish()
}

func (c *chromeSink) event(ev *Event) error {
	shown := kinds[ev.Kind].shown
	if shown.silent {
		return nil // of a rename: what comes next has the new name
	}
	at := c.track(ev.Task)
	if ev.Was != nil {
		at = c.track(ev.Was) // this thread called it
	}
	c.space = c.space || ev.Task.InContainer() && ev.Task.Info.NsTid != ev.Task.Info.Tid
	if err := c.name(at, ev.Comm); err != nil {
		return err
	}
	if kinds[ev.Kind].calls {
		return c.call(ev, at)
	}
	c.text = shown.text(&c.format, c.text[:0], ev)
	if ev.Kind == KindSignal {
		if err := c.links(ev, ev.Time); err != nil {
			return err
		}
	}
	name, scope := shown.mark(ev)
	return c.instant(name, ev.Kind.String(), scope, at, ev)
}

func (c *chromeSink) instant(name, category, scope string, at chromeThread, ev *Event) error {
	c.begin(name, category, "i", at, ev.Time)
	c.buf = jsonString(c.buf, "s", []byte(scope))
	c.buf = append(c.buf, `,"args":{"line":`...)
	c.quote(c.text)
	c.buf = append(c.buf, '}')
	return c.finish()
}

func (c *chromeSink) call(ev *Event, at chromeThread) error {
	if ev.State == Finished && ev.Rec.Ret == 0 && ev.NoDur() && c.special.fork.has(ev.abi, ev.Rec.Nr) {
		return nil // a new thread comes out of a call that it never made
	}
	var dur uint64
	slice := false
	switch {
	case ev.State == Finished && !ev.NoDur():
		dur, slice = ev.Rec.Dur, true
	case ev.State == Killed:
		dur, slice = ev.Time-min(ev.Start, ev.Time), true
	case ev.State == Blocked && !ev.NoDur():
		dur, slice = max(c.taken, ev.Start)-ev.Start, true
	}
	t := c.decode.Call(ev.abi, &ev.Rec, ev.State != Finished, ev.netlink)
	name, errno := string(c.decode.AppendName(nil)), ""
	category := "syscall"
	if ev.Failed() {
		errno, _ = syscalls.Errno(int(-ev.Rec.Ret))
	}
	switch {
	case ev.Failure():
		category = "syscall,failed"
		if errno != "" {
			name += " " + errno
		}
	case ev.State == Blocked:
		category = "syscall,blocked"
		name += " (blocked)"
	case waits(ev):
		category = "syscall,waiting"
	}
	if slice {
		c.begin(name, category, "X", at, ev.Start)
		c.buf = appendChromeTime(jsonKey(c.buf, "dur"), dur)
	} else {
		c.begin(name, category, "i", at, ev.Time)
		c.buf = append(c.buf, `,"s":"t"`...)
	}
	c.buf = append(c.buf, `,"args":{"line":`...)
	c.text = c.format.call(c.text[:0], ev, 0)
	c.quote(c.text)
	switch {
	case ev.State != Finished:
		c.buf = jsonString(c.buf, "state", []byte(ev.State.String()))
	case ev.Failed():
		if errno != "" {
			c.buf = jsonString(c.buf, "error", []byte(errno))
		}
		c.buf = jsonInt(c.buf, "ret", -1)
	default:
		c.buf = c.values.Append(append(c.buf, `,"ret":`...), t, t.Ret)
	}
	if !ev.NoArgs {
		c.buf = c.values.Values(append(c.buf, `,"arguments":`...), t)
	}
	c.buf = append(c.buf, '}')
	if err := c.finish(); err != nil {
		return err
	}
	if p, ok := ev.Program(); ok && len(p.Argv) > 0 && ev.Task.Known && at.pid != c.main {
		of := c.track(ev.Task)
		if err := c.name(of, ev.Comm); err != nil {
			return err
		}
		if err := c.meta("process_labels", of, "labels", labelOf(Command(p.Argv), mostLabel)); err != nil {
			return err
		}
	}
	if slice {
		if err := c.links(ev, ev.Start+dur); err != nil {
			return err
		}
	}
	return c.written(ev, at)
}

func (c *chromeSink) quote(text []byte) {
	start := len(c.buf)
	c.buf = jsonString(c.buf, "", text) // ,"":"text"
	c.buf = append(c.buf[:start], c.buf[start+len(`,"":`):]...)
}

func (c *chromeSink) again(*dump.Header) error { return nil }

func (c *chromeSink) damage(*dump.Damage) error { return nil }

func (c *chromeSink) end(s *Stats, err error) error {
	r := &c.header.Recording
	other := map[string]string{
		"recording": r.ID, "container": r.Container.Name, "node": orElse(c.header.Node, r.Node), "kernel": c.header.Kernel,
		"architecture": c.header.Arch.String(), "recorderd": c.header.Version,
		"zero": c.clock.time(0).UTC().Format("2006-01-02T15:04:05.000000000Z07:00"), // when ts is 0
	}
	if err != nil {
		other["error"] = err.Error()
	}
	var lost []string
	for i := range s.Damage {
		lost = append(lost, safe(s.Damage[i].String()))
	}
	other["damage"] = strings.Join(lost, "; ")
	for name, value := range other {
		if value == "" {
			delete(other, name)
		}
	}
	text, err := json.Marshal(other)
	if err != nil {
		return err
	}
	c.buf = append(c.buf, "\n],\"otherData\":"...)
	c.buf = append(append(c.buf, jsontext.Escape(text)...), "}\n"...)
	return c.write()
}
