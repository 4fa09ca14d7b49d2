package postmortem

var ruleDNS = rule{
	kind: "dns",
	is:   "questions to port 53 failed or were not answered. The names are not recorded",
	sure: "likely",
	use:  beside | reason,
	find: func(c *facts) []Sign {
		d := &c.b.dns
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
