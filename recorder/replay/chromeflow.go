package replay

import (
	"sync"

	"github.com/recorderd/recorderd/recorder/layout"
)

// Arrows of a Chrome trace: from a call that makes a thread to its first call, from a kill to the
// signal, from a futex wake to the wait that it ended. One is drawn only where both ends are in
// what is shown. What waits for its other end is bounded; the oldest is forgotten.
const (
	mostForks  = 4096
	mostKills  = 256
	mostFutexs = 64
	// killSoon is how much later a signal may be delivered than it was sent: one that was blocked
	// meanwhile may be another one's.
	killSoon = uint64(1e9)
)

// flowEnd is a slice that an arrow may begin or end at.
type flowEnd struct {
	at         chromeThread
	start, end uint64 // ns
	born       uint64 // of a thread's first slice: when the thread began
	left       int64  // of a wake: threads that it woke and that are not known yet
}

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
	flowEnd
}

// flows are the ends that wait for others.
type flows struct {
	n        uint64                // arrows so far: their ids
	forks    map[uint32]flowEnd    // calls that made a thread, by its id
	children map[uint32]flowEnd    // the first slices of threads, by id
	begun    map[chromeThread]bool // had their first slice
	kills    map[killKey]flowEnd   // sent
	wakes    []futexEnd            // the newest last
	waits    []futexEnd            // likewise
}

func newFlows() flows {
	return flows{forks: map[uint32]flowEnd{}, children: map[uint32]flowEnd{}, begun: map[chromeThread]bool{}, kills: map[killKey]flowEnd{}}
}

// flowCalls are the calls at which arrows may begin or end.
type flowCalls struct{ kill, tkill, tgkill, futex, waits, output *callSet }

var chromeCalls = sync.OnceValue(func() flowCalls {
	set := func(names ...string) *callSet {
		var e Expr
		for _, name := range names {
			e.with = append(e.with, term{name: name})
		}
		return compile([]Expr{e})
	}
	return flowCalls{
		kill: set("kill"), tkill: set("tkill"), tgkill: set("tgkill"), futex: set("futex"), output: set("write", "writev", "pwrite64", "pwritev", "pwritev2"),
		waits: set("futex_wait", "futex_waitv", "poll", "ppoll", "select", "_newselect", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2", "nanosleep",
			"clock_nanosleep", "wait4", "waitid", "waitpid", "accept", "accept4", "pause", "rt_sigsuspend", "rt_sigtimedwait", "restart_syscall",
			"io_getevents", "io_pgetevents", "io_uring_enter", "msgrcv", "semop", "semtimedop", "mq_timedreceive"),
	}
})

// waits reports whether a call waits by design. Of those of futex that are wakes do not.
func waits(ev *Event) bool {
	is := chromeCalls()
	if is.futex.has(ev.abi, ev.Rec.Nr) {
		switch ev.Rec.Args[1] & futexOperation {
		case futexWait, futexWaitBitset, futexLockPI, futexLockPI2, futexWaitRequeuePI:
			return true
		}
		return false
	}
	return is.waits.has(ev.abi, ev.Rec.Nr)
}

// Operations of futex.
const (
	futexWait, futexWake, futexLockPI, futexWaitBitset, futexWakeBitset, futexWaitRequeuePI, futexLockPI2 = 0, 1, 6, 9, 10, 11, 13

	futexOperation = 0x7f // without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME
)

// arrow draws an arrow between two slices that have been written.
func (c *chromeSink) arrow(name string, from, to chromeThread, fromNs, toNs uint64) error {
	c.flows.n++
	if err := c.arrowEnd(name, "s", from, fromNs, true); err != nil {
		return err
	}
	return c.arrowEnd(name, "f", to, toNs, true)
}

// arrowEnd draws one end of the last arrow. within: it is at the slice around, not at the next one.
func (c *chromeSink) arrowEnd(name, phase string, at chromeThread, ns uint64, within bool) error {
	c.begin(name, "flow", phase, at, ns)
	c.buf = jsonUint(c.buf, "id", c.flows.n)
	if within && phase == "f" {
		c.buf = jsonString(c.buf, "bp", []byte("e"))
	}
	return c.finish()
}

// flow draws the arrows that begin or end at a slice.
func (c *chromeSink) flow(ev *Event, at chromeThread, end uint64) error {
	if !ev.Task.Known || end <= ev.Start {
		return nil // no arrow can be at a slice without length
	}
	here := flowEnd{at: at, start: ev.Start, end: end, born: ev.Task.Info.Start}
	if err := c.flowFirst(ev, here); err != nil {
		return err
	}
	if ev.State != Finished || ev.Rec.Ret < 0 || ev.NoArgs {
		return nil
	}
	is, nr, args := chromeCalls(), ev.Rec.Nr, &ev.Rec.Args
	switch {
	case ev.Rec.Ret > 0 && c.special.fork.has(ev.abi, nr):
		return c.flowFork(uint32(ev.Rec.Ret), here)
	case is.kill.has(ev.abi, nr):
		c.sent(killKey{uint32(args[0]), uint16(args[1]), 0}, here)
	case is.tkill.has(ev.abi, nr):
		c.sent(killKey{uint32(args[0]), uint16(args[1]), -6}, here)
	case is.tgkill.has(ev.abi, nr):
		c.sent(killKey{uint32(args[1]), uint16(args[2]), -6}, here)
	case is.futex.has(ev.abi, nr):
		return c.flowFutex(ev, here)
	}
	return nil
}

// flowFirst is for the first slice of a thread, which may be the end of a fork's arrow.
func (c *chromeSink) flowFirst(ev *Event, here flowEnd) error {
	f := &c.flows
	if f.begun[here.at] {
		return nil
	}
	if len(f.begun) >= maxThreads {
		clear(f.begun)
	}
	f.begun[here.at] = true
	_, tid := ev.Task.IDs(false)
	if by, ok := f.forks[tid]; ok && made(by, here) {
		delete(f.forks, tid)
		return c.arrow("fork", by.at, here.at, by.start, here.start)
	}
	if len(f.children) >= mostForks {
		clear(f.children)
	}
	f.children[tid] = here
	return nil
}

// flowFork is for a call that made a thread of an id, as the caller sees it.
func (c *chromeSink) flowFork(tid uint32, here flowEnd) error {
	f := &c.flows
	if child, ok := f.children[tid]; ok && made(here, child) {
		delete(f.children, tid)
		return c.arrow("fork", here.at, child.at, here.start, child.start)
	}
	if len(f.forks) >= mostForks {
		clear(f.forks)
	}
	f.forks[tid] = here
	return nil
}

// made reports whether a thread began in a call: in another namespace the id is another thread's.
func made(by, child flowEnd) bool { return by.start <= child.born && child.born <= by.end }

func (c *chromeSink) sent(key killKey, here flowEnd) {
	if len(c.flows.kills) >= mostKills {
		clear(c.flows.kills)
	}
	c.flows.kills[key] = here
}

// flowSignal is for a signal, whose instant is written next.
func (c *chromeSink) flowSignal(ev *Event, at chromeThread) error {
	if !ev.Task.InContainer() {
		return nil
	}
	for _, target := range [...]uint32{ev.Task.Info.NsTid, ev.Task.Info.NsTgid} {
		key := killKey{target, ev.Rec.Nr, ev.Rec.Ret}
		by, ok := c.flows.kills[key]
		if !ok || ev.Time < by.start || ev.Time > by.end+killSoon {
			continue
		}
		delete(c.flows.kills, key)
		c.flows.n++
		if err := c.arrowEnd("signal", "s", by.at, by.start, true); err != nil {
			return err
		}
		return c.arrowEnd("signal", "f", at, ev.Time, false)
	}
	return nil
}

// flowFutex is for a futex call: a wake, or a wait that was woken.
func (c *chromeSink) flowFutex(ev *Event, here flowEnd) error {
	f, one := &c.flows, futexEnd{futexKey{ev.Task.Info.Tgid, ev.Rec.Args[0]}, here}
	switch ev.Rec.Args[1] & futexOperation {
	case futexWait, futexWaitBitset:
		if ev.Rec.Ret != 0 {
			return nil
		}
		for i := len(f.wakes) - 1; i >= 0; i-- {
			if w := &f.wakes[i]; w.futexKey == one.futexKey && w.left > 0 && woke(w, &one) {
				w.left--
				return c.arrow("futex wake", w.at, one.at, w.start, w.start)
			}
		}
		f.waits = push(f.waits, one)
	case futexWake, futexWakeBitset:
		one.left = ev.Rec.Ret
		for i := len(f.waits) - 1; i >= 0 && one.left > 0; i-- {
			if w := &f.waits[i]; w.futexKey == one.futexKey && woke(&one, w) {
				one.left--
				to := w.at
				f.waits = append(f.waits[:i], f.waits[i+1:]...)
				if err := c.arrow("futex wake", one.at, to, one.start, one.start); err != nil {
					return err
				}
			}
		}
		if one.left > 0 {
			f.wakes = push(f.wakes, one)
		}
	}
	return nil
}

// woke reports whether a wake can have ended a wait: it began meanwhile, in another thread.
func woke(wake, wait *futexEnd) bool {
	return wake.at != wait.at && wait.start <= wake.start && wake.start < wait.end && wait.end <= wake.end+killSoon
}

func push(list []futexEnd, one futexEnd) []futexEnd {
	if len(list) >= mostFutexs {
		list = append(list[:0], list[1:]...)
	}
	return append(list, one)
}

// outputTrack is where what a process writes to descriptors 1 and 2 is shown. No thread has such
// an id.
func outputTrack(pid uint32) chromeThread { return chromeThread{pid, 1<<30 | pid&(1<<30-1)} }

// written shows what a call wrote to descriptor 1 or 2, as far as it was captured.
func (c *chromeSink) written(ev *Event, at chromeThread) error {
	fd := ev.Rec.Args[0]
	if ev.State != Finished || ev.Rec.Ret <= 0 || ev.NoArgs || fd != 1 && fd != 2 || at.pid == 0 || !chromeCalls().output.has(ev.abi, ev.Rec.Nr) {
		return nil
	}
	for i := range ev.Rec.Items {
		it := &ev.Rec.Items[i]
		if it.Kind != layout.ItemData && it.Kind != layout.ItemIovdata {
			continue
		}
		data := ev.Rec.Pieces(i)[0].Data
		data = data[:min(int64(len(data)), ev.Rec.Ret)]
		if len(data) == 0 {
			return nil
		}
		to := outputTrack(at.pid)
		if !c.outputs[at.pid] {
			if len(c.outputs) >= maxThreads {
				clear(c.outputs)
			}
			c.outputs[at.pid] = true
			if err := c.meta("thread_name", to, "name", "output"); err != nil {
				return err
			}
			if err := c.sortIndex("thread_sort_index", to, 1<<30); err != nil {
				return err
			}
		}
		stream := "stdout"
		if fd == 2 {
			stream = "stderr"
		}
		c.text = append(c.text[:0], data...)
		return c.instant(labelOf(string(data), 100), stream, "t", to, ev)
	}
	return nil
}
