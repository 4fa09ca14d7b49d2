package timeline

import (
	"slices"

	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
)

// maxLinks is how many links there are at most: the last ones.
const maxLinks = 4000

// link takes the links that an event completes. Their marks are the serial numbers of events.
func (m *maker) link(s *postmortem.Seen) {
	_ = m.linker.See(s.Event, s.Time, m.serial, func(l *replay.Link) error {
		m.found.put(*l, maxLinks)
		return nil
	})
}

var linkKinds = map[replay.LinkKind]LinkKind{replay.LinkFork: Fork, replay.LinkSignal: Kill, replay.LinkWake: Wake}

// links are those whose events are there. A thread whose first call is left out has a beginning
// all the same.
func (m *maker) links(all []item, index map[*replay.Task]int) {
	bySerial := make(map[uint64]int, len(all))
	for i := range all {
		bySerial[all[i].serial] = i
	}
	m.t.Links = []Link{}
	for _, l := range slices.Concat(m.found.items[m.found.at:], m.found.items[:m.found.at]) {
		from, ok := bySerial[l.From.Mark]
		thread, known := index[l.To.Task]
		if !ok || !known || thread < 0 {
			continue
		}
		to, ok := bySerial[l.To.Mark]
		switch {
		case l.Kind == replay.LinkFork:
			to = -1
		case !ok:
			continue
		}
		m.t.Links = append(m.t.Links, Link{linkKinds[l.Kind], from, to, thread})
	}
}
