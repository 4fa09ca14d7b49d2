package postmortem

import (
	"strings"
)

// dnsTrouble is what came of questions to DNS servers.
type dnsTrouble struct {
	asked, failed, timeouts uint64
	server                  string // the last one that did not answer
	evidence                []Event
	lookups                 []*lookup
}

func (d *dnsTrouble) note(ev Event, server string) {
	d.server = strings.TrimSuffix(server, ":53")
	if len(d.evidence) >= 3 {
		d.evidence = append(d.evidence[:1], d.evidence[2:]...)
	}
	d.evidence = append(d.evidence, ev)
}

// is says what became of the last connection to a peer.
func (p *Peer) is(state string, ns uint64) { p.State, p.since = state, ns }

func (b *builder) peerAt(address string, ns uint64) *Peer {
	if address == "" {
		return nil
	}
	to := b.peers[address]
	if to == nil {
		if len(b.peers) >= maxPeers {
			b.peersMore += forget(b.peers, func(p *Peer) uint64 { return p.last })
		}
		to = &Peer{Address: strings.ToValidUTF8(address, "?")}
		b.peers[address] = to
	}
	to.last = max(to.last, ns)
	return to
}
