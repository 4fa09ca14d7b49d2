package postmortem

import (
	"strings"
)

var ruleWaitingForPeer = rule{
	kind: "waiting-for-peer",
	is: "a process has sent something to a peer, or wants to connect to it, and has had no " +
		"answer for a second or more; whatever its threads " +
		"are in. Peers that have never answered anything, and are told things again and again, " +
		"need not answer",
	sure: "likely",
	use:  doing,
	find: func(c *facts) []Sign {
		if c.outcome != Running || c.main == nil || c.blockedIO() != nil {
			return nil
		}
		for _, p := range c.b.live(c.main) {
			text := c.waitingFor(p, c.end)
			var evidence []Event
			if o := c.debtor(p, c.end); o != nil {
				evidence = append(evidence, o.ev.event(c.b))
			} else if in := c.b.atPeer(p); in != nil {
				text = in.On + ": in " + in.Call + " for " + duration(in.ForNs)
				if in.Since != nil {
					evidence = append(evidence, Event{Time: *in.Since, Pid: in.Pid, Tid: in.Tid,
						Comm: in.Comm, Text: in.Text})
				}
			}
			if text == "" {
				continue
			}
			text = "waiting for " + text
			if p != c.main {
				text = "its process " + c.b.who(p) + " is " + text
			}
			s := one(Likely, 0, text, evidence...)
			if p.tail.worked > c.lastAsked(p)+longBlocked { // it does other things as well
				s[0].use = beside
			}
			return s
		}
		return nil
	},
}

// blockedIO is the thread of the main process that waits for a file or peer, nil if none does.
func (c *facts) blockedIO() *Blocked {
	for i := range c.running {
		if in := &c.running[i]; in.Kind == "io" && in.ForNs >= longBlocked {
			return in
		}
	}
	return nil
}

// live are the processes that live, the main one first.
func (b *builder) live(main *proc) []*proc {
	list := []*proc{}
	if main != nil && main.end == 0 {
		list = append(list, main)
	}
	for _, p := range b.all() {
		if p.end == 0 && p != main && !b.fromOutside(p.host) {
			list = append(list, p)
		}
	}
	return list
}

// atPeer is a thread of a process that has been in a call on a peer for long.
func (b *builder) atPeer(p *proc) *Blocked {
	for i := range b.blocked {
		in := &b.blocked[i]
		if in.tgid == p.host && in.Kind == "io" && in.ForNs >= longBlocked &&
			(ofSocket(in.On) || in.Call == "connect") && !strings.Contains(in.On, "pipe:") {
			return in
		}
	}
	return nil
}
