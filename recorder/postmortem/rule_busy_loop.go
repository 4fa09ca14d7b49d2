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
			short, _ := b.short(&ev, name)
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
	return found[:min(3, len(found))]
}
