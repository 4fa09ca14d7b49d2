package postmortem

import (
	"cmp"
	"slices"
	"time"

	"github.com/recorderd/recorderd/recorder/replay"
)

var ruleBusyLoop = rule{
	kind: "busy-loop",
	is: "a call fails, or reads nothing, 500 times and more at 100 a second and more, up to the " +
		"end. `EAGAIN` counts only if nothing else " +
		"is done in between",
	sure: "likely",
	use:  doing,
	find: findLoops,
}

// findLoops looks for threads that make the same call in vain again and again.
func findLoops(c *facts) []Sign {
	b := c.b
	const least, perSecond, others = 500, 100, 64
	var found []Sign
	for _, t := range b.threads {
		for i := range t.runs {
			r := &t.runs[i]
			span := r.last - r.first
			if t.n > r.nth+others {
				continue // that is over
			}
			if r.count < least || span > 0 && float64(r.count)/(float64(span)/1e9) < perSecond ||
				r.last+uint64(time.Second) < min(c.end, max(b.last, r.last)) {
				continue
			}
			var ev replay.Event
			if !r.call.Event(&ev) {
				continue
			}
			name := nameOf(&ev)
			short := b.about(&ev, name).short(name)
			how := "failed " + times(r.count) + " with " + errnoName(int(r.errno))
			if r.errno == 0 {
				how = "returned 0 " + times(r.count)
			}
			who := b.thread(t.proc, t.tid, t.comm)
			text := who + " is in a loop: " + short + " " + how + " in " + duration(max(span, 1))
			if t.ended || c.outcome != Running {
				text = who + " was in a loop: " + short + " " + how + " in the last " +
					duration(max(span, 1))
			}
			found = append(found, Sign{Certainty: Likely, Text: text, Count: r.count,
				Evidence: []Event{b.line(&ev)}})
		}
	}
	slices.SortFunc(found, func(x, y Sign) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count),
			cmp.Compare(x.Text, y.Text))
	})
	if len(found) == 0 {
		return c.tooFast()
	}
	return found[:min(3, len(found))]
}

// tooFast tells of a container that overwrites its ring before anybody can read it. The
// guard lane has what kind of call it is, if nearly all that is kept there is of one kind.
func (c *facts) tooFast() []Sign {
	const least = 10_000
	rec := &c.b.h.Recording
	cover := &rec.Coverage
	took := c.b.h.Taken.Sub(rec.Started)
	if c.outcome != Running || cover.Kept > 0 || cover.Overwritten < least || took <= 0 {
		return nil
	}
	text := "busy: " + counted(cover.Written, "call") + " in " + duration(uint64(took)) +
		", which were overwritten before they could be read"
	var most *Failure
	all := uint64(0)
	for _, k := range c.b.kinds {
		all += k.Count
		if most == nil || k.Count > most.Count {
			most = k
		}
	}
	var evidence []Event
	if most != nil && most.Count >= 50 && most.Count*10 >= all*9 && cover.GuardSkips > least/2 {
		text += "; nearly all that failed, and were kept for that, are " + most.Call + " with " +
			most.Error
		evidence = append(evidence, most.Example)
	}
	return one(Possible, cover.Written, text, evidence...)
}
