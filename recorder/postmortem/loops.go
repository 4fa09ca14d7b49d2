package postmortem

import (
	"time"

	"github.com/recorderd/recorderd/recorder/replay"
)

type runKey struct {
	nr    uint16
	errno int32
}

// run is a row of calls that fail alike.
type run struct {
	runKey
	count       uint64
	first, last uint64
	nth         int // event of its thread, the last one
	call        replay.Copy
}

// count counts calls by second, so that the report can say how busy the end was.
func (b *builder) count(ns uint64) {
	const kept = 4
	sec := ns / 1e9
	if n := len(b.busy); n >= 2 && b.busy[n-2] == sec {
		b.busy[n-1]++
		return
	}
	b.busy = append(b.busy, sec, 1)
	if len(b.busy) > 2*kept {
		b.busy = append(b.busy[:0], b.busy[2:]...)
	}
}

// repeat notices calls that fail again and again.
func (b *builder) repeat(ev *replay.Event, t *thread, name string) {
	k := runKey{nr: ev.Rec.Nr}
	switch {
	case ev.Failed():
		k.errno = int32(-ev.Rec.Ret)
	case ev.Rec.Ret == 0 && (name == "read" || name == "recvfrom"):
		// the end of a file, again and again
	default:
		t.prev = runKey{errno: -1}
		return
	}
	again := t.prev == k
	t.prev = k
	if ev.Guard || (k.errno == 0 || transient(name, int(k.errno))) && !again {
		return
	}
	oldest := &t.runs[0]
	for i := range t.runs {
		r := &t.runs[i]
		if r.runKey == k && r.count > 0 {
			oldest = r
			break
		}
		if r.last < oldest.last {
			oldest = r
		}
	}
	r := oldest
	const pause = uint64(time.Second)
	if r.runKey != k || r.count == 0 || ev.Time > r.last+pause {
		r.runKey, r.count, r.first = k, 0, ev.Time
	}
	r.count++
	r.last, r.nth = ev.Time, t.n
	if r.count < 2 || r.count%64 == 0 {
		r.call.Set(ev)
	}
}
