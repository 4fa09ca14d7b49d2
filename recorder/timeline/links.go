package timeline

import (
	"time"

	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
)

// mark is what an event has for links.
type mark struct {
	op   op
	id   uint32 // process or thread that a call is about, as the container sees it
	sig  int
	addr uint64 // of a futex
	n    int64  // how many it woke
}

type op uint8

const (
	noLink op = iota
	forks
	kills
	signalled
	futexWait
	futexWake
)

// markOf returns what an event has for links. Arguments are as in fork(2), kill(2), tgkill(2)
// and futex(2).
func markOf(s *postmortem.Seen) mark {
	rec := &s.Rec
	switch s.Kind {
	case replay.KindSignal:
		return mark{op: signalled, sig: int(rec.Nr)}
	case replay.KindCall:
	case replay.KindExec, replay.KindExit, replay.KindSent, replay.KindOOM, replay.KindRename, replay.KindUnknown:
		return mark{}
	}
	if s.NoArgs && s.Call != "fork" && s.Call != "vfork" {
		return mark{}
	}
	switch s.Call {
	case "fork", "vfork", "clone", "clone3":
		if s.State == replay.Finished && rec.Ret > 0 {
			return mark{op: forks, id: uint32(rec.Ret)}
		}
	case "kill", "tkill", "rt_sigqueueinfo":
		if int32(rec.Args[0]) > 0 && rec.Args[1] != 0 {
			return mark{op: kills, id: uint32(rec.Args[0]), sig: int(int32(rec.Args[1]))}
		}
	case "tgkill", "rt_tgsigqueueinfo":
		if rec.Args[2] != 0 {
			return mark{op: kills, id: uint32(rec.Args[1]), sig: int(int32(rec.Args[2]))}
		}
	case "futex", "futex_time64":
		const (
			wait, wake, wakeOp, waitBitset, wakeBitset = 0, 1, 5, 9, 10
			command                                    = 0x7f
		)
		if s.State != replay.Finished {
			break
		}
		switch rec.Args[1] & command {
		case wait, waitBitset:
			if rec.Ret == 0 {
				return mark{op: futexWait, addr: rec.Args[0]}
			}
		case wake, wakeOp, wakeBitset:
			if rec.Ret > 0 {
				return mark{op: futexWake, addr: rec.Args[0], n: rec.Ret}
			}
		}
	}
	return mark{}
}

// maxLinks is how many links there are at most: the last ones.
const maxLinks = 4000

// links finds out which thread each fork made, which signal each kill was, and whom each wake
// of a futex woke.
func (m *maker) links(all []item, index map[*replay.Task]int) {
	const soon = uint64(10 * time.Millisecond) // a signal is delivered, a thread woken
	type futex struct {
		tgid uint32
		addr uint64
	}
	// Made are threads by their id in the container; of those with one id the call's is the
	// first that began after it.
	made := make(map[uint32][]*replay.Task)
	for task, k := range index {
		if k >= 0 {
			_, tid := task.IDs(false)
			made[tid] = append(made[tid], task)
		}
	}
	type wait struct {
		event int
		taken bool
	}
	waits, signals := make(map[futex][]wait), make(map[int][]wait)
	for i := range all {
		switch l := &all[i].link; l.op {
		case futexWait:
			f := futex{all[i].task.Info.Tgid, l.addr}
			waits[f] = append(waits[f], wait{event: i})
		case signalled:
			signals[l.sig] = append(signals[l.sig], wait{event: i})
		case noLink, forks, kills, futexWake:
		}
	}
	var found []Link
	for i := range all {
		it := &all[i]
		from := index[it.task]
		if from < 0 {
			continue
		}
		switch it.link.op {
		case forks:
			var best *replay.Task
			for _, task := range made[it.link.id] {
				// Its clock starts within the call.
				if s := task.Info.Start; s >= it.start && s <= it.at+soon && (best == nil || s < best.Info.Start) {
					best = task
				}
			}
			if best != nil && best != it.task {
				found = append(found, Link{Fork, i, -1, index[best]})
			}
		case kills:
			for k := range signals[it.link.sig] {
				w := &signals[it.link.sig][k]
				to := &all[w.event]
				pid, tid := to.task.IDs(false)
				if !w.taken && to.at >= it.start && to.at <= it.at+soon && (pid == it.link.id || tid == it.link.id) {
					w.taken = true
					found = append(found, Link{Kill, i, w.event, index[to.task]})
					break
				}
			}
		case futexWake:
			f := futex{it.task.Info.Tgid, it.link.addr}
			left := it.link.n
			for k := range waits[f] {
				w := &waits[f][k]
				to := &all[w.event]
				if left == 0 || to.at > it.at+soon {
					break
				}
				if !w.taken && to.task != it.task && to.at >= it.start && to.start <= it.at && index[to.task] >= 0 {
					w.taken = true
					left--
					found = append(found, Link{Wake, i, w.event, index[to.task]})
				}
			}
		case noLink, signalled, futexWait:
		}
	}
	if len(found) > maxLinks {
		found = found[len(found)-maxLinks:]
	}
	m.t.Links = found
}
