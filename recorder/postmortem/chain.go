package postmortem

import (
	"cmp"
	"slices"

	"github.com/recorderd/recorderd/recorder/replay"
)

// chain lists what led to the end: the failures that weigh enough, signals, and the
// last calls of the thread that ended it.
func (c *facts) chain() []Event {
	list := []Event{}
	if c.proc == nil || c.outcome == Running || c.outcome == Ended {
		return list
	}
	for i := range c.causes {
		if s := &c.causes[i]; i < 5 && s.score >= chainWeight {
			ev := s.ev
			ev.Weight, ev.Why = round(s.score), s.why
			if s.count > 1 {
				ev.Times = s.count
			}
			list = append(list, ev)
		}
	}
	for i := range c.proc.signals {
		if s := &c.proc.signals[i]; s.ev.ns+60e9 > c.end {
			list = append(list, s.ev)
		}
	}
	if c.sent != nil {
		list = append(list, c.sent.ev)
	}
	list = append(list, c.sendings()...)
	if n := len(c.b.dns.evidence); n > 0 && c.cause() == nil && c.status != 0 {
		list = append(list, c.b.dns.evidence[n-1])
	}
	t := c.ender
	if t == nil {
		t = c.b.threadAt(c.proc, c.proc.Pid)
	}
	if t != nil {
		t.each(func(ev *replay.Event) { list = append(list, c.b.line(ev)) })
	}
	slices.SortStableFunc(list, func(x, y Event) int { return cmp.Compare(x.ns, y.ns) })
	list = slices.CompactFunc(list, func(x, y Event) bool {
		return x.ns == y.ns && x.Tid == y.Tid &&
			x.Text == y.Text
	})
	if n := len(list) - 14; n > 0 {
		list = list[n:]
	}
	return list
}
