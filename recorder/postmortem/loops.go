package postmortem

import (
	"time"

	"golang.org/x/sys/unix"

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

// busy counts calls by second, so that the report can say how busy the end was.
type busy struct {
	seconds     [4]struct{ sec, calls uint64 } // a ring of the last ones
	n           int                            // ever
	first, last uint64                         // ns
	calls       uint64
}

func (b *busy) count(ns uint64) {
	if b.calls == 0 {
		b.first = ns
	}
	b.calls++
	b.last = max(b.last, ns)
	sec := ns / 1e9
	at := &b.seconds[max(b.n-1, 0)%len(b.seconds)]
	if b.n == 0 || at.sec != sec {
		at = &b.seconds[b.n%len(b.seconds)]
		at.sec, at.calls = sec, 0
		b.n++
	}
	at.calls++
}

// rate is how many calls there were in a second at the end: in the last whole one, if that is
// known. If older calls are overwritten, as many as there would have been in one.
func (b *busy) rate(overwritten bool) uint64 {
	last := func(i int) uint64 { return b.seconds[(b.n-i)%len(b.seconds)].calls }
	switch took := b.last - b.first; {
	case b.calls == 0:
		return 0
	case b.n > 2:
		return last(2)
	case overwritten && took > 0:
		return uint64(float64(b.calls) * 1e9 / float64(took))
	case b.n == 2:
		return max(last(1), last(2))
	}
	return last(1)
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
	if ev.Guard || (k.errno == 0 || replay.Transient(name, unix.Errno(int(k.errno)))) && !again {
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
