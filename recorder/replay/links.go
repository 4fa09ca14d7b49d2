package replay

import "sync"

// LinkKind is what a link tells.
type LinkKind string

// The kinds of links.
const (
	LinkFork   LinkKind = "fork"       // from a call that made a thread to what that did first
	LinkSignal LinkKind = "signal"     // from a kill to the signal
	LinkWake   LinkKind = "futex wake" // from a futex wake to the wait that it ended
)

// LinkEnd is one of the two events of a link.
type LinkEnd struct {
	Task       *Task  // who made the call
	Start, End uint64 // ns
	Mark       uint64 // what Linker.See was given with it

	left int64 // of a wake: threads that it woke and that are not known yet
}

// Link is what one thread did to another.
type Link struct {
	Kind     LinkKind
	From, To LinkEnd
}

// What waits for its other end is bounded; the oldest is forgotten.
const (
	mostForks  = 4096
	mostKills  = 256
	mostFutexs = 64
	// killSoon is how much later a signal may be delivered than it was sent: one that was blocked
	// meanwhile may be another one's.
	killSoon = uint64(1e9)
)

type killKey struct {
	target uint32 // process or thread, as the container sees it
	sig    uint16
	code   int64 // that the siginfo has
}

type futexKey struct {
	pid  uint32 // the host's
	addr uint64
}

// futexEnd is a wake, or a wait that was woken.
type futexEnd struct {
	futexKey
	LinkEnd
}

// Linker finds links among the events that it sees, in the order of Walk.
type Linker struct {
	special  special
	forks    map[uint32]LinkEnd // calls that made a thread, by its id
	children map[uint32]LinkEnd // the first calls of threads, by id
	begun    map[*Task]bool     // had their first call
	kills    map[killKey]LinkEnd
	wakes    []futexEnd // the newest last
	waits    []futexEnd // likewise
}

// NewLinker returns a Linker that has seen nothing.
func NewLinker() *Linker {
	return &Linker{
		special: specialCalls(), forks: map[uint32]LinkEnd{}, children: map[uint32]LinkEnd{}, begun: map[*Task]bool{}, kills: map[killKey]LinkEnd{},
	}
}

// See takes an event, and gives the links that it completes to found. end is when it ended, ns;
// mark is kept in the ends of links. Of a call whose beginning or end is not known nothing is known.
func (l *Linker) See(ev *Event, end, mark uint64, found func(*Link) error) error {
	by := ev.Task
	if ev.Was != nil {
		by = ev.Was // this thread called it
	}
	switch {
	case ev.Kind == KindSignal:
		return l.signal(ev, LinkEnd{Task: by, Start: ev.Time, End: ev.Time, Mark: mark}, found)
	case !kinds[ev.Kind].calls, !ev.Task.Known, end <= ev.Start:
		return nil
	}
	here := LinkEnd{Task: by, Start: ev.Start, End: end, Mark: mark}
	if err := l.first(ev, here, found); err != nil {
		return err
	}
	if ev.State != Finished || ev.Rec.Ret < 0 || ev.NoArgs {
		return nil
	}
	is, nr, args := linkCalls(), ev.Rec.Nr, &ev.Rec.Args
	switch {
	case ev.Rec.Ret > 0 && l.special.fork.has(ev.abi, nr):
		return l.fork(uint32(ev.Rec.Ret), here, found)
	case is.kill.has(ev.abi, nr):
		l.sent(killKey{uint32(args[0]), uint16(args[1]), 0}, here)
	case is.tkill.has(ev.abi, nr):
		l.sent(killKey{uint32(args[0]), uint16(args[1]), siTkill}, here)
	case is.tgkill.has(ev.abi, nr):
		l.sent(killKey{uint32(args[1]), uint16(args[2]), siTkill}, here)
	case is.futex.has(ev.abi, nr):
		return l.futex(ev, here, found)
	}
	return nil
}

// first is for the first call of a thread, which may be the end of a fork's link.
func (l *Linker) first(ev *Event, here LinkEnd, found func(*Link) error) error {
	if l.begun[here.Task] {
		return nil
	}
	if len(l.begun) >= maxThreads {
		clear(l.begun)
	}
	l.begun[here.Task] = true
	_, tid := ev.Task.IDs(false)
	if by, ok := l.forks[tid]; ok && made(&by, &here) {
		delete(l.forks, tid)
		return found(&Link{LinkFork, by, here})
	}
	if len(l.children) >= mostForks {
		clear(l.children)
	}
	l.children[tid] = here
	return nil
}

// fork is for a call that made a thread of an id, as the caller sees it.
func (l *Linker) fork(tid uint32, here LinkEnd, found func(*Link) error) error {
	if child, ok := l.children[tid]; ok && made(&here, &child) {
		delete(l.children, tid)
		return found(&Link{LinkFork, here, child})
	}
	if len(l.forks) >= mostForks {
		clear(l.forks)
	}
	l.forks[tid] = here
	return nil
}

// made reports whether a thread began in a call: in another namespace the id is another thread's.
func made(by, child *LinkEnd) bool {
	born := child.Task.Info.Start
	return by.Start <= born && born <= by.End
}

func (l *Linker) sent(key killKey, here LinkEnd) {
	if len(l.kills) >= mostKills {
		clear(l.kills)
	}
	l.kills[key] = here
}

func (l *Linker) signal(ev *Event, here LinkEnd, found func(*Link) error) error {
	if !ev.Task.InContainer() {
		return nil
	}
	for _, target := range [...]uint32{ev.Task.Info.NsTid, ev.Task.Info.NsTgid} {
		key := killKey{target, ev.Rec.Nr, ev.Rec.Ret}
		by, ok := l.kills[key]
		if !ok || ev.Time < by.Start || ev.Time > by.End+killSoon {
			continue
		}
		delete(l.kills, key)
		return found(&Link{LinkSignal, by, here})
	}
	return nil
}

// futex is for a futex call: a wake, or a wait that was woken.
func (l *Linker) futex(ev *Event, here LinkEnd, found func(*Link) error) error {
	one := futexEnd{futexKey{ev.Task.Info.Tgid, ev.Rec.Args[0]}, here}
	switch ev.Rec.Args[1] & futexOperation {
	case futexWait, futexWaitBitset:
		if ev.Rec.Ret != 0 {
			return nil
		}
		for i := len(l.wakes) - 1; i >= 0; i-- {
			if w := &l.wakes[i]; w.futexKey == one.futexKey && w.left > 0 && woke(w, &one) {
				w.left--
				return found(&Link{LinkWake, w.LinkEnd, here})
			}
		}
		l.waits = push(l.waits, one)
	case futexWake, futexWakeBitset:
		one.left = ev.Rec.Ret
		for i := len(l.waits) - 1; i >= 0 && one.left > 0; i-- {
			if w := l.waits[i]; w.futexKey == one.futexKey && woke(&one, &w) {
				one.left--
				l.waits = append(l.waits[:i], l.waits[i+1:]...)
				if err := found(&Link{LinkWake, here, w.LinkEnd}); err != nil {
					return err
				}
			}
		}
		if one.left > 0 {
			l.wakes = push(l.wakes, one)
		}
	}
	return nil
}

// woke reports whether a wake can have ended a wait: it began meanwhile, in another thread.
func woke(wake, wait *futexEnd) bool {
	return wake.Task != wait.Task && wait.Start <= wake.Start && wake.Start < wait.End && wait.End <= wake.End+killSoon
}

func push(list []futexEnd, one futexEnd) []futexEnd {
	if len(list) >= mostFutexs {
		list = append(list[:0], list[1:]...)
	}
	return append(list, one)
}

// siTkill is the si_code of signals by tkill and tgkill.
const siTkill = -6

// Operations of futex.
const (
	futexWait, futexWake, futexLockPI, futexWaitBitset, futexWakeBitset, futexWaitRequeuePI, futexLockPI2 = 0, 1, 6, 9, 10, 11, 13

	futexOperation = 0x7f // without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME
)

// linkedCalls are the calls at which links may begin or end.
type linkedCalls struct{ kill, tkill, tgkill, futex *callSet }

var linkCalls = sync.OnceValue(func() linkedCalls {
	return linkedCalls{setOf("kill"), setOf("tkill"), setOf("tgkill"), setOf("futex")}
})

// setOf is a set of calls by their names.
func setOf(names ...string) *callSet {
	var e Expr
	for _, name := range names {
		e.with = append(e.with, term{name: name})
	}
	return compile([]Expr{e})
}
