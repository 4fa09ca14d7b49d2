package replay

import (
	"sync"

	"github.com/recorderd/recorderd/recorder/layout"
)

// chromeSets are calls that a Chrome trace shows otherwise than others.
type chromeSets struct{ waits, output *callSet }

var chromeCalls = sync.OnceValue(func() chromeSets {
	return chromeSets{
		output: setOf("write", "writev", "pwrite64", "pwritev", "pwritev2"),
		waits: setOf("futex_wait", "futex_waitv", "poll", "ppoll", "select", "_newselect", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2", "nanosleep",
			"clock_nanosleep", "wait4", "waitid", "waitpid", "accept", "accept4", "pause", "rt_sigsuspend", "rt_sigtimedwait", "restart_syscall",
			"io_getevents", "io_pgetevents", "io_uring_enter", "msgrcv", "semop", "semtimedop", "mq_timedreceive"),
	}
})

// waits reports whether a call waits by design. Of those of futex that are wakes do not.
func waits(ev *Event) bool {
	is := chromeCalls()
	if linkCalls().futex.has(ev.abi, ev.Rec.Nr) {
		switch ev.Rec.Args[1] & futexOperation {
		case futexWait, futexWaitBitset, futexLockPI, futexLockPI2, futexWaitRequeuePI:
			return true
		}
		return false
	}
	return is.waits.has(ev.abi, ev.Rec.Nr)
}

// links draws an arrow for each link that an event completes. Its slice has been written, or its
// instant is written next.
func (c *chromeSink) links(ev *Event, end uint64) error {
	return c.linker.See(ev, end, 0, func(l *Link) error {
		c.arrows++
		to := l.To.Start
		if l.Kind == LinkWake {
			to = l.From.Start
		}
		if err := c.arrowEnd(string(l.Kind), "s", c.track(l.From.Task), l.From.Start, true); err != nil {
			return err
		}
		return c.arrowEnd(string(l.Kind), "f", c.track(l.To.Task), to, l.Kind != LinkSignal)
	})
}

// arrowEnd draws one end of the last arrow. within: it is at the slice around, not at the next one.
func (c *chromeSink) arrowEnd(name, phase string, at chromeThread, ns uint64, within bool) error {
	c.begin(name, "flow", phase, at, ns)
	c.buf = jsonUint(c.buf, "id", c.arrows)
	if within && phase == "f" {
		c.buf = jsonString(c.buf, "bp", []byte("e"))
	}
	return c.finish()
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
