package postmortem

import (
	"encoding/binary"
	"strings"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
)

type dnsTrouble struct {
	failed, timeouts uint64
	evidence         []Event
}

// polled looks for answers of DNS servers that did not come.
func (b *builder) polled(ev *replay.Event, t *thread) {
	const pollErr, size = 8, 8
	for _, it := range ev.Rec.Items {
		if it.Arg != 0 || it.Kind != layout.ItemMem {
			continue
		}
		for one := it.Data; len(one) >= size; one = one[size:] {
			num := int32(binary.LittleEndian.Uint32(one))
			fd, _ := ev.FD(num)
			if asks := strings.HasSuffix(peerOf(fd.Text), ":53") || t.dnsAt != 0 && t.dnsFd == num && ev.Time-t.dnsAt < 30e9; !asks {
				continue
			}
			switch {
			case ev.Rec.Ret == 0 && ev.Rec.Dur >= floorSlow:
				b.dns.timeouts++
				b.dns.note(b.line(ev))
			case ev.Rec.Ret > 0 && binary.LittleEndian.Uint16(one[6:])&pollErr != 0:
				b.dns.failed++
				b.dns.note(b.line(ev))
			}
			return
		}
	}
}

// peer takes what a call says about an address at the other end.
func (b *builder) peer(ev *replay.Event, p *proc, t *thread, name string) {
	errno := 0
	if ev.Failed() {
		errno = int(-ev.Rec.Ret)
	}
	var to *Peer
	switch name {
	case "connect":
		address := ev.Address()
		if to = b.peerAt(address, ev.Time); to == nil {
			return
		}
		if errno == 0 || errno == eINPROGRESS {
			to.Connected++
			return
		}
	case "accept", "accept4":
		if errno == 0 {
			if to = b.peerAt(hostOf(ev.Address()), ev.Time); to != nil {
				to.Accepted++
			}
		}
		return
	case "getsockopt", "read", "write", "recvfrom", "sendto", "recvmsg", "sendmsg", "sendmmsg", "recvmmsg", "readv", "writev":
		if name == "sendto" && toPort53(ev) {
			t.dnsFd, t.dnsAt = int32(ev.Rec.Args[0]), ev.Time
		}
		if fd, ok := ev.FD(int32(ev.Rec.Args[0])); ok {
			address := peerOf(fd.Text)
			if address == "" {
				return
			}
			if strings.HasSuffix(address, ":53") {
				if errno != 0 && !transient(name, errno) {
					b.dns.failed++
					b.dns.note(b.line(ev))
				}
			}
			if name == "getsockopt" {
				return
			}
			if errno != 0 && !transient(name, errno) {
				to = b.peerAt(address, ev.Time)
			}
		}
	}
	if to != nil && errno != 0 && !transient(name, errno) {
		to.Failed++
		to.Error = errnoName(errno)
	}
}

// toPort53 reports whether a sendto names a DNS server's port.
func toPort53(ev *replay.Event) bool {
	for _, it := range ev.Rec.Items {
		if it.Arg == 4 && it.Kind == layout.ItemMem && len(it.Data) >= 8 {
			family := binary.LittleEndian.Uint16(it.Data)
			return (family == 2 || family == 10) && binary.BigEndian.Uint16(it.Data[2:]) == 53
		}
	}
	return false
}

func (d *dnsTrouble) note(ev Event) {
	if len(d.evidence) >= 3 {
		d.evidence = append(d.evidence[:1], d.evidence[2:]...)
	}
	d.evidence = append(d.evidence, ev)
}

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
