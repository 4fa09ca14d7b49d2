package postmortem

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/replay"
)

// Options say how much of each list a Report has. The zero Options have what
// recorderctl show -o json has.
type Options struct {
	Items int // of each list; 0: 20
	Lines int // of output; 0: 40
	// Also, if it is not nil, sees each event, too. What it is given is valid until it returns.
	Also func(*Seen)
}

// Seen is an event of a dump, and what Build makes of it.
type Seen struct {
	*replay.Event
	Call string // its name, "" if it is no call
	Comm string // of its thread, safe to show
	// Weight is how much a failed call says, see Event. 0: it has not failed, or that it
	// has is how it waits.
	Weight float64
	Waits  string // what a call waits for: event, sleep, child, lock, or io

	b *builder
}

// Text shows the event as dump does, cut at 600 bytes.
func (s *Seen) Text() string { return s.b.text(s.Event) }

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
	if o.Also == nil {
		return buildAlso(r, o, nil)
	}
	var s Seen
	return buildAlso(r, o, func(b *builder, ev *replay.Event) {
		s = Seen{Event: ev, Comm: b.commOf(ev), b: b}
		switch ev.Kind {
		case replay.KindCall, replay.KindExec:
			s.Call = nameOf(ev)
			s.Waits = waitKind(s.Call)
			if ev.Failed() {
				s.Weight = b.weighed
			}
		case replay.KindExit, replay.KindSignal, replay.KindOOM, replay.KindSent, replay.KindRename, replay.KindUnknown:
		}
		o.Also(&s)
	})
}

// buildAlso is Build. also, if it is not nil, sees each event after the builder has.
func buildAlso(r *dump.Reader, o Options, also func(*builder, *replay.Event)) (*Report, error) {
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
		files: make(map[string]*File), peers: make(map[string]*Peer),
		crowds: make(map[crowdKey]*crowd), comms: make(map[replay.Comm]string),
	}
	if x := h.Recording.Exit; x != nil {
		b.exitAt = h.Clock.Monotonic(x.At)
	}
	stats, err := replay.Walk(r, replay.Query{Fds: true}, time.UTC, func(ev *replay.Event) error {
		b.event(ev)
		if also != nil {
			also(b, ev)
		}
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

	kinds      map[kindKey]*Failure
	kindsMore  uint64
	slow       []Slow
	slowMore   uint64
	files      map[string]*File
	filesMore  uint64
	peers      map[string]*Peer
	peersMore  uint64
	blocked    []Blocked
	moreBlock  uint64
	kills      []killing
	cgroupKill []killing // the last write to a cgroup.kill
	damaged    bool      // parts of the dump could not be read
	cutShort   *proc     // it died while it sent a signal, the last one
	crowds     map[crowdKey]*crowd
	dns        dnsTrouble
	uring      uring
	conns      int // descriptors of sockets that are followed
	out        output
	comms      map[replay.Comm]string
	comm       replay.Comm // the one that was looked up last
	commText   string
	unknown    uint64  // events of threads of which nothing is known but the host's id
	weighed    float64 // what the event at hand weighs, if it is a failed call
	busy       busy    // how many calls there were lately
}

func (b *builder) time(ns uint64) time.Time { return b.h.Clock.UTC(ns) }

func (b *builder) text(ev *replay.Event) string {
	b.buf = b.format.Append(b.buf[:0], ev)
	if len(b.buf) > maxText {
		b.buf = append(b.buf[:maxText], "…"...)
	}
	return replay.Safe(strings.ToValidUTF8(string(b.buf), "?"))
}

// line makes an Event of ev.
func (b *builder) line(ev *replay.Event) Event {
	e := b.untold(ev)
	e.Text = b.text(ev)
	return e
}

// untold makes an Event of ev without its text.
func (b *builder) untold(ev *replay.Event) Event {
	pid, tid := ev.Task.IDs(false)
	return Event{Time: b.time(ev.Time), Pid: pid, Tid: tid, Comm: b.commOf(ev), ns: ev.Time}
}

// commOf is the name of an event's thread.
func (b *builder) commOf(ev *replay.Event) string {
	const most = 1024
	if ev.Comm == b.comm {
		return b.commText
	}
	text, ok := b.comms[ev.Comm]
	if !ok {
		if len(b.comms) >= most {
			clear(b.comms)
		}
		text = replay.Safe(string(ev.Comm.Bytes()))
		b.comms[ev.Comm] = text
	}
	b.comm, b.commText = ev.Comm, text
	return text
}

func (b *builder) event(ev *replay.Event) {
	b.weighed = 0
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
	b.uring.sees(b, ev, p)
	if int(ev.Kind) < len(takers) && takers[ev.Kind] != nil {
		takers[ev.Kind](b, ev, p, t)
	}
}

// takers take events by their kind. A name is the task's, and a record of a type that is not
// known is counted as missing.
var takers = [...]func(*builder, *replay.Event, *proc, *thread){
	replay.KindCall: (*builder).call,
	replay.KindExec: (*builder).call,
	replay.KindSignal: func(b *builder, ev *replay.Event, p *proc, t *thread) {
		b.signal(ev, p)
		t.push(ev)
	},
	replay.KindExit: (*builder).exit,
	replay.KindSent: (*builder).sends,
	replay.KindOOM:  func(b *builder, ev *replay.Event, p *proc, _ *thread) { b.victim(ev, p) },
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
		if name == "connect" {
			if to := b.peerAt(ev.Address(), ev.Start); to != nil {
				to.is("connecting", ev.Start)
			}
		}
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
		case "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal":
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
	if !ev.Guard {
		b.busy.count(ev.Time)
	}
	b.repeat(ev, t, name)
	if looks(name) && p.setsUp() && ev.Path() != "" {
		p.looked = look{}
		if ev.Failed() {
			p.looked.short = b.about(ev, name).short(name)
			p.looked.errno = int(-ev.Rec.Ret)
		}
	}
	if ev.Failed() {
		if !ev.Waits() {
			p.Failed++
		}
		b.failed(ev, p, t, name)
		if name == "connect" && ev.Rec.Ret == -eINPROGRESS {
			b.works(ev, p, t, name)
		}
	} else {
		b.works(ev, p, t, name)
		b.succeeded(ev, p, t, name)
		b.threatens(ev, p, name)
	}
	b.sockets(ev, p, t, name)
	if !ev.NoDur() && ev.Rec.Dur >= floorSlow && waitKind(name) == "io" && !runtimes(b.commOf(ev)) {
		b.slowCall(ev)
	}
}

// succeeded takes a call that did not fail.
func (b *builder) succeeded(ev *replay.Event, p *proc, t *thread, name string) {
	rec := &ev.Rec
	b.streams(ev, p, name)
	b.reads(ev, p, name)
	if len(p.fails) > 0 {
		if looks(name) {
			b.found(p, ev.Path())
		}
		b.tried(ev, p, name)
	}
	switch name {
	case "open", "openat", "openat2", "creat":
		if f := b.file(ev.Path(), ev); f != nil {
			f.Opened++
			f.Write = f.Write || opensToWrite(ev, name)
		}
	case "execve", "execveat":
		p.execs++
		p.stacks, p.mapped, p.threats = nil, nil, slices.DeleteFunc(p.threats, threat.endsByExec)
		p.forgetConns(b)
		p.input = input{}
		if prog, ok := ev.Program(); ok {
			p.Command = p.Command[:0:0]
			for _, arg := range prog.Argv[:min(len(prog.Argv), 64)] {
				p.Command = append(p.Command, strings.ToValidUTF8(clip(arg, 256), "?"))
			}
			p.Comm = replay.Safe(clip(path.Base(prog.File), 15))
		}
	case "waitid":
		b.waitid(ev, p)
	case "wait4", "waitpid":
		if rec.Ret > 0 {
			p.reaped++
			for _, it := range rec.Items {
				if it.Arg == 1 && len(it.Data) >= 4 {
					b.waited(p, waited{uint32(rec.Ret), binary.LittleEndian.Uint32(it.Data),
						ev.Time})
				}
			}
		}
	case "kill", "tkill":
		b.sent(ev, p, int32(rec.Args[0]), int(int32(rec.Args[1])), name == "kill" && int32(rec.Args[0]) <= 0)
	case "tgkill":
		b.sent(ev, p, int32(rec.Args[1]), int(int32(rec.Args[2])), false)
	case "rt_tgsigqueueinfo":
		b.sent(ev, p, int32(rec.Args[1]), int(int32(rec.Args[2])), false).queued = true
	case "rt_sigqueueinfo":
		b.sent(ev, p, int32(rec.Args[0]), int(int32(rec.Args[1])), false).queued = true
	case "pidfd_open":
		p.pidfd(int32(rec.Ret), uint32(rec.Args[0]))
	case "pidfd_send_signal":
		b.sentByFd(ev, p)
	case "mmap", "mmap2":
		const anonymous, stack = 0x20, 0x20000
		if rec.Args[3]&stack != 0 {
			if len(p.stacks) >= 256 {
				p.stacks = append(p.stacks[:0], p.stacks[1:]...)
			}
			p.stacks = append(p.stacks, uint64(rec.Ret))
		}
		if rec.Args[3]&anonymous == 0 {
			if fd, ok := ev.FD(int32(rec.Args[4])); ok && fd.Path != "" {
				p.maps(mapping{uint64(rec.Ret), rec.Args[1], fd.Path})
			}
		}
	case "rt_sigtimedwait", "rt_sigtimedwait_time64":
		b.takes(ev, p)
	case "rt_sigaction":
		if rec.Args[0] == sigCHLD {
			p.ignoresChildren = ignores(ev)
		}
	case "getsockopt":
		if errno, ok := socketError(ev); ok && errno > 0 && !replay.Transient("connect", unix.Errno(errno)) {
			b.failedFor(ev, p, t, "connect", errno)
		}
	}
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
