package replay

import (
	"fmt"
	"time"

	"github.com/recorderd/recorderd/recorder/dump"
)

// Moment is a point in time as people give it: absolute, a time of day, or so
// long before the end. The zero Moment is none.
type Moment struct {
	text string
	kind momentKind
	ago  time.Duration // before the end; or since midnight
	at   time.Time
}

type momentKind uint8

const (
	momentNone momentKind = iota
	momentAgo
	momentClock // a time of day
	momentLocal // a date and time without a zone, kept as if it were UTC
	momentAbsolute
)

// ParseMoment reads "30s" or "1h30m" (before the end), "15:04", "15:04:05.123"
// (the last time that the clock showed this), "2006-01-02T15:04:05" (in the zone
// of who asks) or RFC 3339. "" is no Moment.
func ParseMoment(s string) (Moment, error) {
	if s == "" {
		return Moment{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		if d < 0 {
			return Moment{}, fmt.Errorf("%q is negative: a duration counts back from the end", s)
		}
		if d > 0 || s != "0" {
			return Moment{text: s, kind: momentAgo, ago: d}, nil
		}
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return Moment{text: s, kind: momentAbsolute, at: t}, nil
	}
	for _, form := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(form, s); err == nil {
			midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
			return Moment{text: s, kind: momentClock, ago: t.Sub(midnight)}, nil
		}
	}
	for _, form := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(form, s); err == nil {
			return Moment{text: s, kind: momentLocal, at: t}, nil
		}
	}
	return Moment{}, fmt.Errorf("%q is neither a duration (30s), a time of day (15:04:05) nor a time (2006-01-02T15:04:05Z)", s)
}

// IsZero reports whether m is none.
func (m Moment) IsZero() bool { return m.kind == momentNone }

// String returns what ParseMoment reads.
func (m Moment) String() string { return m.text }

// Time returns when m is, for someone in zone loc, on a recording that ends at end.
func (m Moment) Time(end time.Time, loc *time.Location) time.Time {
	switch m.kind {
	case momentAgo:
		return end.Add(-m.ago)
	case momentClock:
		e := end.In(loc)
		h, rest := int(m.ago/time.Hour), m.ago%time.Hour
		min, rest := int(rest/time.Minute), rest%time.Minute
		day := func(n int) time.Time {
			return time.Date(e.Year(), e.Month(), e.Day()-n, h, min, int(rest/time.Second), int(rest%time.Second), loc)
		}
		if t := day(0); !t.After(e) {
			return t
		}
		return day(1)
	case momentLocal:
		t := m.at
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), loc)
	}
	return m.at
}

// absolute returns the same moment, no longer depending on the zone of who asks.
func (m Moment) absolute(now time.Time, loc *time.Location) Moment {
	if m.kind != momentClock && m.kind != momentLocal {
		return m
	}
	t := m.Time(now, loc)
	return Moment{text: t.Format(time.RFC3339Nano), kind: momentAbsolute, at: t}
}

// endOf returns when a dump's recording ends: with its container, or when it was taken.
func endOf(h *dump.Header) time.Time {
	if e := h.Recording.Ended; e != nil && e.Before(h.Taken) {
		return *e
	}
	return h.Taken
}
