package replay

import "github.com/recorderd/recorderd/recorder/dump"

// lastSink lets only the last n events pass.
type lastSink struct {
	sink
	n      int
	events []held // a ring once it is full
	at     int
	arena  arena
	live   bool
	seen   uint64 // events so far
	gaps   []gap  // among the last events
}

// maxGaps is how many are kept apart.
const maxGaps = 256

// gap is damage behind so many events.
type gap struct {
	seen   uint64
	damage dump.Damage
}

func (l *lastSink) event(ev *Event) error {
	if l.live {
		return l.sink.event(ev)
	}
	l.seen++
	if len(l.events) < l.n {
		l.events = append(l.events, ev.hold(&l.arena))
		return nil
	}
	l.events[l.at] = ev.hold(&l.arena)
	l.at = (l.at + 1) % l.n
	return nil
}

func (l *lastSink) mark(live bool) error {
	if live && !l.live {
		if err := l.release(); err != nil {
			return err
		}
		l.live = true
	}
	return l.sink.mark(live)
}

func (l *lastSink) again(h *dump.Header) error {
	if !l.live {
		return nil
	}
	return l.sink.again(h)
}

func (l *lastSink) damage(d *dump.Damage) error {
	if l.live {
		return l.sink.damage(d)
	}
	if n := len(l.gaps); n < maxGaps {
		l.gaps = append(l.gaps, gap{l.seen, *d})
	} else {
		l.gaps[n-1].damage.Add(*d)
	}
	for uint64(l.n) < l.seen && l.gaps[0].seen < l.seen-uint64(l.n) {
		l.gaps = l.gaps[1:]
	}
	return nil
}

func (l *lastSink) end(s *Stats, err error) error {
	if err := l.release(); err != nil {
		return err
	}
	return l.sink.end(s, err)
}

func (l *lastSink) release() error {
	var ev Event
	before := l.seen - uint64(len(l.events))
	for i := range l.events {
		if err := l.showGaps(before, before+uint64(i)); err != nil {
			return err
		}
		l.events[(l.at+i)%len(l.events)].restore(&ev)
		if err := l.sink.event(&ev); err != nil {
			return err
		}
	}
	l.events = nil
	return l.showGaps(before, l.seen)
}

// showGaps shows the damage that was met behind at most so many events. What lies
// before all that are kept is none of theirs.
func (l *lastSink) showGaps(from, to uint64) error {
	for len(l.gaps) > 0 && l.gaps[0].seen <= to {
		g := l.gaps[0]
		l.gaps = l.gaps[1:]
		if g.seen < from {
			continue
		}
		if err := l.sink.damage(&g.damage); err != nil {
			return err
		}
	}
	return nil
}
