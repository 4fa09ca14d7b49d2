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
}

func (l *lastSink) event(ev *Event) error {
	if l.live {
		return l.sink.event(ev)
	}
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

func (l *lastSink) end(s *Stats, err error) error {
	if err := l.release(); err != nil {
		return err
	}
	return l.sink.end(s, err)
}

func (l *lastSink) release() error {
	var ev Event
	for i := range l.events {
		l.events[(l.at+i)%len(l.events)].restore(&ev)
		if err := l.sink.event(&ev); err != nil {
			return err
		}
	}
	l.events = nil
	return nil
}
