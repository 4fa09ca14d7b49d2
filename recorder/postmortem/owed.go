package postmortem

// owed says for which peer a process waited when a signal ended it, or it was asked to end:
// what it was about then. "" if for none.
func (c *facts) owed() string {
	if c.chosen != nil && (c.chosen.peer || c.chosen.call == "connect") || c.caught != nil {
		return ""
	}
	if c.status&0x7f == 0 && c.asked() == nil {
		return ""
	}
	if text := c.waitingFor(c.proc, c.end); text != "" {
		return "it was waiting for " + text
	}
	return ""
}

// waitingFor says which peer owes a process an answer, and for how long: the one that was
// asked last. "" if none does.
func (c *facts) waitingFor(p *proc, now uint64) string {
	o := c.debtor(p, now)
	switch {
	case o == nil:
		return ""
	case o.state == connConnecting:
		return o.address + ": connect has had no answer for " + duration(now-o.begun())
	}
	if o.name != "" {
		return o.address + ": " + o.name + " was asked for " + duration(now-o.begun()) + " ago, nothing since"
	}
	return o.address + ": " + counted(o.asked, "byte") + " sent " + duration(now-o.begun()) +
		" ago, nothing since"
}

// debtor is the peer that owes a process an answer for a second or more.
func (c *facts) debtor(p *proc, now uint64) *conn {
	var last *conn
	for _, o := range append(p.open(), p.unanswered...) {
		if !o.everyday() && (o.state == connConnecting || o.waits()) &&
			o.begun()+longBlocked <= now && (last == nil || o.begun() > last.begun()) {
			last = o
		}
	}
	return last
}

// lastAsked is when the peer was asked for which a process waits.
func (c *facts) lastAsked(p *proc) uint64 {
	if o := c.debtor(p, c.end); o != nil {
		return o.begun()
	}
	return c.end
}

// begun is when the peer was asked last.
func (c *conn) begun() uint64 {
	if c.state == connConnecting {
		return c.since
	}
	return c.askedAt
}
