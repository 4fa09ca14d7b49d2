package postmortem

import (
	"strings"
)

var ruleDNS = rule{
	kind: "dns",
	is: "a name was not found, or questions to port 53 failed or were not answered. With " +
		"`--capture-dns` the name is told, and what the server said",
	sure: "likely; possible if the program went on after it, and does not name it",
	use:  beside | reason,
	find: func(c *facts) []Sign {
		d := &c.b.dns
		if s := c.unresolved(); s != nil {
			return s
		}
		n := d.failed + d.timeouts
		if n == 0 {
			return nil
		}
		server := "a DNS server"
		if d.server != "" {
			server = "the DNS server " + d.server
		}
		text := "questions to " + server + " failed " + times(d.failed)
		if d.failed == 0 {
			text = "questions to " + server + " were not answered " + times(d.timeouts)
		} else if d.timeouts > 0 {
			text += ", and were not answered " + times(d.timeouts)
		}
		return one(Likely, n, text, d.evidence...)
	},
}

// unresolved is a sign of the last name that was not found.
func (c *facts) unresolved() []Sign {
	procs := c.path
	if c.outcome == Running || c.outcome == Ended || c.proc == nil {
		procs = c.b.live(c.main)
	} else if c.status == 0 {
		return nil
	}
	var last *unresolved
	for _, p := range procs {
		if u := c.b.dns.unresolved(p, c.end); u != nil && (last == nil || u.last >= last.last) {
			last = u
		}
	}
	if last == nil {
		return nil
	}
	var evidence []Event
	for _, l := range last.all[max(0, len(last.all)-3):] {
		evidence = append(evidence, l.ev.event(c.b))
	}
	s := one(Likely, 0, last.text(c.end), evidence...)
	const soon = 2 * longBlocked // what a runtime reads to say what went wrong takes less
	wentOn := last.p.tail.worked > last.last && c.end > last.last+soon
	if (wentOn || c.ownReason) && !strings.Contains(strings.ToLower(c.said), last.name) {
		s[0].Certainty, s[0].use = Possible, unused
	}
	return s
}
