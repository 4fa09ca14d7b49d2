package postmortem

import (
	"strings"

	"github.com/recorderd/recorderd/recorder/replay"
)

// uring is what is known of a container's use of io_uring. What a process submits to it is
// done without a system call, and is not recorded.
type uring struct {
	procs     map[*proc]bool
	submitted uint64 // by io_uring_enter; what a kernel thread takes by itself is not counted
	first     *Event
	called    bool // a call was seen, and not just a thread with such a name
}

// uringThreads are the names that the kernel gives to threads of io_uring.
var uringThreads = [...]string{"iou-sqp-", "iou-wrk-"}

// sees takes an event of a process.
func (u *uring) sees(b *builder, ev *replay.Event, p *proc) {
	switch {
	case ev.Kind == replay.KindCall && ev.State == replay.Finished && !ev.Failed():
		switch nameOf(ev) {
		case "io_uring_setup":
		case "io_uring_enter":
			u.submitted += uint64(ev.Rec.Ret)
		default:
			return
		}
		u.called = true
	case ev.Kind == replay.KindExit:
		name := b.commOf(ev)
		if !strings.HasPrefix(name, uringThreads[0]) && !strings.HasPrefix(name, uringThreads[1]) {
			return
		}
	default:
		return
	}
	if u.first == nil {
		first := b.line(ev)
		u.first = &first
	}
	if u.procs == nil {
		u.procs = make(map[*proc]bool)
	}
	if len(u.procs) < maxProcs {
		u.procs[p] = true
	}
}

// lacks is what is missing in the recording for it, or "".
func (u *uring) lacks() string {
	switch {
	case u.first == nil:
		return ""
	case u.submitted == 0:
		return "what was done through io_uring"
	}
	return "what was done through io_uring, " + counted(u.submitted, "request") + " at least"
}
