package timeline

import (
	"time"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
)

// Spark is how many calls there were over time, and how many of them failed in a way that says
// something.
type Spark struct {
	Calls  []uint64  `json:"calls"`
	Failed []uint64  `json:"failed"`
	From   time.Time `json:"from"` // of the first span; all have the same length
	To     time.Time `json:"to"`   // of the end of the last one
}

// sparkSpans is how many spans a Spark has at most.
const sparkSpans = 96

// BuildSpark reads a dump to its end. As with Build, an error comes with what could be read.
func BuildSpark(r *dump.Reader) (*Spark, error) {
	const telling = .1
	var calls, failed [sparkSpans]uint64
	var first, last uint64
	wide := uint64(time.Millisecond)
	_, err := postmortem.Build(r, postmortem.Options{Items: 1, Lines: 1, Also: func(s *postmortem.Seen) {
		if s.Call == "" || s.Guard || s.State != replay.Finished {
			return
		}
		if first == 0 {
			first = s.Time
		}
		at := max(s.Time, first) - first
		for at/wide >= sparkSpans {
			for i := range sparkSpans / 2 {
				calls[i] = calls[2*i] + calls[2*i+1]
				failed[i] = failed[2*i] + failed[2*i+1]
			}
			clear(calls[sparkSpans/2:])
			clear(failed[sparkSpans/2:])
			wide *= 2
		}
		last = max(last, at/wide*wide)
		calls[at/wide]++
		if s.Weight >= telling {
			failed[at/wide]++
		}
	}})
	sp := &Spark{Calls: []uint64{}, Failed: []uint64{}}
	if first > 0 {
		n := min(last/wide+1, sparkSpans)
		sp.Calls, sp.Failed = calls[:n], failed[:n]
		h := r.Header()
		sp.From, sp.To = h.Clock.UTC(first), h.Clock.UTC(first+n*wide)
	}
	return sp, err
}
