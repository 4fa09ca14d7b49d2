package replay

import (
	"cmp"
	"slices"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/strace"
)

// straceSink writes what strace -f -ttt -T -o FILE would have written: in the order
// in which calls began, cut in two where something else happened in between. So
// it holds what comes until mark says that it is complete.
type straceSink struct {
	*lines
	format  formatter
	clock   stamper
	brief   bool // no durations
	host    bool
	special special
	taken   uint64 // ns

	arena   arena
	events  []held
	bytes   int               // that they take
	ending  map[*Task]uint32  // threads whose last call is exit, or was interrupted: where in events
	calls   map[*Task]uint16  // threads that were interrupted in a call which they will resume: its number
	leaders map[uint32]uint32 // host thread ids of leaders that ended before their process: where in events
	ev      Event
}

// restarts reports whether a result says that the call was interrupted and would
// begin again: ERESTARTSYS and the like.
func restarts(ret int64) bool { return ret <= -512 && ret >= -516 && ret != -515 }

// restartBlock is ERESTART_RESTARTBLOCK: the thread goes on by restart_syscall.
const restartBlock = -516

// maxStrace is how much is held at most, in bytes: what the largest ring can hold, and more.
// What comes behind is sorted by itself.
const maxStrace = 512 << 20

// sigstop stops whoever gets it, which strace says in a line of its own. Of the other signals that
// may stop a process it is not recorded whether they did.
const sigstop = 19

// straceLimit is how many bytes of strings strace shows.
const straceLimit = 32

func newStrace(out *lines, h *dump.Header, o *Options) *straceSink {
	s := &straceSink{
		lines: out, format: newFormatter(h), clock: newStamper(h, o, StampUnix), brief: o.NoDuration, host: o.HostPids,
		taken: h.Clock.Monotonic(h.Taken), special: specialCalls(), ending: make(map[*Task]uint32),
		calls: make(map[*Task]uint16), leaders: make(map[uint32]uint32),
	}
	s.format.opt.StringLimit, s.format.opt.Align = cmp.Or(o.StringLimit, straceLimit), 40
	if o.Fds {
		s.format.decodeFds()
	}
	return s
}

func (s *straceSink) event(ev *Event) error {
	if kinds[ev.Kind].shown.strace == straceNone {
		return nil
	}
	if ev.Kind == KindCall {
		// A new thread comes out of a call that it never made.
		if ev.Rec.Ret == 0 && ev.NoDur() && ev.State == Finished && s.special.fork.has(s.format.abi(ev), ev.Rec.Nr) {
			return nil
		}
		if ev.State == NoReturn || ev.State == Finished && restarts(ev.Rec.Ret) {
			s.ending[ev.Task] = uint32(len(s.events))
		} else {
			delete(s.ending, ev.Task)
		}
	}
	if ev.Kind == KindExec {
		// The leader gives its id away in silence.
		if i, ok := s.leaders[ev.Task.Info.Tid]; ok && ev.Was != nil {
			s.events[i].drop = true
		}
	}
	if ev.Kind == KindExit {
		if ev.Rec.Args[1] == 0 && uint64(ev.Task.Info.Tid) == ev.Rec.Args[0] {
			s.leaders[ev.Task.Info.Tid] = uint32(len(s.events))
		}
		if i, ok := s.ending[ev.Task]; ok {
			h := &s.events[i]
			if h.state == NoReturn || ev.struck {
				h.time = max(h.time, ev.Time)
			}
			if h.state == Finished && ev.struck {
				h.state = Killed // strace is not told what it returned
			}
			delete(s.ending, ev.Task)
		}
	}
	h := ev.hold(&s.arena)
	if ev.Kind == KindCall {
		nr, known := s.calls[ev.Task]
		switch restart := s.special.restart.has(s.format.abi(ev), ev.Rec.Nr); {
		case restart:
			h.resumes, h.resumed = known, nr
		case ev.State == Finished && ev.Rec.Ret == restartBlock:
			s.calls[ev.Task] = ev.Rec.Nr
		case known:
			delete(s.calls, ev.Task)
		}
	}
	if ev.Kind == KindExit {
		delete(s.calls, ev.Task)
	}
	if ev.State == Blocked && ev.NoDur() {
		h.start = s.taken // nobody knows
	}
	s.events = append(s.events, h)
	s.bytes += h.size()
	if s.bytes >= maxStrace {
		return s.release()
	}
	return nil
}

func (s *straceSink) mark(live bool) error {
	if live {
		if err := s.release(); err != nil {
			return err
		}
	}
	return s.lines.mark(live)
}

func (s *straceSink) again(*dump.Header) error { return nil }

// damage writes what strace has no line for: what was before, and what is missing behind it.
func (s *straceSink) damage(d *dump.Damage) error {
	if err := s.release(); err != nil {
		return err
	}
	s.buf = append(append(append(s.buf, "# … "...), safe(d.String())...), " …\n"...)
	return s.done()
}

func (s *straceSink) end(*Stats, error) error {
	if err := s.release(); err != nil {
		return err
	}
	return s.write()
}

// release writes what is held.
//
// Each call is two points in time, everything else is one. Both rows of points
// are sorted, and merged; a call whose points are next to each other is one line.
func (s *straceSink) release() error {
	starts, ends := make([]uint32, 0, len(s.events)), make([]uint32, 0, len(s.events))
	var comments []uint32 // they part no call
	for i := range s.events {
		if kinds[s.events[i].kind].shown.strace == straceComment {
			comments = append(comments, uint32(i))
			continue
		}
		starts = append(starts, uint32(i))
		if s.events[i].ends() {
			ends = append(ends, uint32(i))
		}
	}
	sortBy(starts, func(i uint32) uint64 { return s.events[i].start })
	sortBy(ends, func(i uint32) uint64 { return s.events[i].time })
	sortBy(comments, func(i uint32) uint64 { return s.events[i].time })
	for len(starts)+len(ends) > 0 {
		if len(starts) == 0 || len(ends) > 0 && s.events[ends[0]].endsBefore(&s.events[starts[0]]) {
			if err := s.comments(&comments, s.events[ends[0]].time); err != nil {
				return err
			}
			if err := s.line(ends[0], s.second); err != nil {
				return err
			}
			ends = ends[1:]
			continue
		}
		i := starts[0]
		if err := s.comments(&comments, s.events[i].start); err != nil {
			return err
		}
		starts = starts[1:]
		h := &s.events[i]
		h.begun = true
		write := s.first
		switch {
		case !kinds[h.kind].calls:
			write = s.whole
		case len(ends) > 0 && ends[0] == i && (len(starts) == 0 || h.time <= s.events[starts[0]].start):
			write = s.whole // its own end is the next point
			ends = ends[1:]
		}
		if err := s.line(i, write); err != nil {
			return err
		}
	}
	if err := s.comments(&comments, 1<<64-1); err != nil {
		return err
	}
	s.events, s.bytes, s.arena = nil, 0, arena{}
	s.ending, s.leaders = make(map[*Task]uint32), make(map[uint32]uint32)
	return nil
}

// comments writes those of a time, and takes them away.
func (s *straceSink) comments(left *[]uint32, until uint64) error {
	for len(*left) > 0 && s.events[(*left)[0]].time <= until {
		if err := s.line((*left)[0], s.whole); err != nil {
			return err
		}
		*left = (*left)[1:]
	}
	return nil
}

// ends reports whether h is a call with an end.
func (h *held) ends() bool {
	return h.kind <= KindExec && h.state != Blocked && h.state != Unfinished
}

// endsBefore reports whether the end of h, if h has begun, is due before other begins.
func (h *held) endsBefore(other *held) bool { return h.begun && h.time <= other.start }

func sortBy(index []uint32, time func(uint32) uint64) {
	slices.SortStableFunc(index, func(a, b uint32) int { return cmp.Compare(time(a), time(b)) })
}

func (s *straceSink) line(i uint32, write func(*Event)) error {
	if s.events[i].drop {
		return nil
	}
	h := &s.events[i]
	h.restore(&s.ev)
	s.format.opt.Resumes = ""
	if h.resumes {
		s.format.opt.Resumes = string(strace.AppendName(nil, s.format.abi(&s.ev), int64(h.resumed)))
	}
	write(&s.ev)
	return s.done()
}

// whole writes a call that nothing interrupted, or what is no call.
func (s *straceSink) whole(ev *Event) {
	if ev.Was != nil {
		s.begin(ev)
		_, tid := ev.Task.IDs(s.host)
		s.buf = append(s.buf, " <pid changed to "...)
		s.buf = append(appendUint(s.buf, uint64(tid)), " ...>\n"...)
		s.second(ev)
		return
	}
	shown := kinds[ev.Kind].shown
	if shown.strace == straceComment {
		s.buf = append(s.buf, "# "...)
	}
	column := s.leader(ev.Task, ev.Start)
	if kinds[ev.Kind].calls {
		s.buf = s.format.call(s.buf, ev, column)
		s.duration(ev)
	} else {
		s.buf = shown.text(&s.format, s.buf, ev)
	}
	if ev.Kind == KindSignal && ev.Rec.Nr == sigstop {
		s.buf = append(s.buf, '\n')
		s.leader(ev.Task, ev.Start)
		s.buf = append(s.buf, "--- stopped by SIGSTOP ---"...)
	}
	s.buf = append(s.buf, '\n')
}

// first writes the beginning of a call.
func (s *straceSink) first(ev *Event) {
	s.begin(ev)
	s.buf = append(s.buf, unfinished...)
	s.buf = append(s.buf, '\n')
}

func (s *straceSink) begin(ev *Event) {
	task := ev.Task
	if ev.Was != nil {
		task = ev.Was
	}
	s.leader(task, ev.Start)
	s.buf = s.format.entry(s.buf, ev)
}

// second writes the end of a call whose beginning has been written.
func (s *straceSink) second(ev *Event) {
	if ev.Was != nil {
		s.leader(ev.Task, ev.Time)
		_, tid := ev.Was.IDs(s.host)
		s.buf = append(s.buf, "+++ superseded by execve in pid "...)
		s.buf = appendUint(s.buf, uint64(tid))
		s.buf = append(s.buf, " +++\n"...)
	}
	column := s.leader(ev.Task, ev.Time)
	s.buf = s.format.resumed(s.buf, ev, column)
	s.duration(ev)
	s.buf = append(s.buf, '\n')
}

func (s *straceSink) duration(ev *Event) {
	if !s.brief && ev.State == Finished && !ev.NoDur() {
		s.buf = append(s.buf, " <"...)
		s.buf = append(appendSeconds(s.buf, ev.Rec.Dur), '>')
	}
}

// leader begins a line and returns how many columns it took.
func (s *straceSink) leader(task *Task, mono uint64) int {
	start := len(s.buf)
	_, tid := task.IDs(s.host)
	s.buf = appendUint(s.buf, uint64(tid))
	for len(s.buf)-start < 5 {
		s.buf = append(s.buf, ' ')
	}
	s.buf = append(s.buf, ' ')
	s.buf, _ = s.clock.append(s.buf, mono)
	return len(s.buf) - start
}
