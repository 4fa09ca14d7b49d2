package postmortem

import (
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
)

// lookup is a name that a process has asked a DNS server for.
type lookup struct {
	p           *proc
	name        string // in lower case, without the dot at its end
	server      string
	asks        uint64
	first, last uint64 // ns: when it was asked for, or an answer came
	answer      string // NXDOMAIN and the like; "" if there was none, or a good one
	found       bool   // there was an answer with something in it
	ev          moment
}

const maxLookups = 64 // names that are remembered, the last ones

// message53 is what a call has moved to or from a DNS server, as far as it was captured.
func message53(ev *replay.Event) []byte {
	const most = 512
	var b []byte
	for _, it := range ev.Rec.Items {
		if it.Kind == layout.ItemData || it.Kind == layout.ItemIovdata {
			if b == nil {
				b = it.Data
			} else {
				b = append(b[:len(b):len(b)], it.Data...) // the length of TCP is often apart
			}
		}
		if len(b) >= most {
			return b[:most]
		}
	}
	return b
}

// question reads the beginning of a DNS message. stream: its length stands before it.
func question(b []byte, stream bool) (p dnsmessage.Parser, h dnsmessage.Header, name string, ok bool) {
	const size = 2
	if stream {
		if len(b) <= size {
			return p, h, "", false
		}
		b = b[size:]
	}
	h, err := p.Start(b)
	if err != nil {
		return p, h, "", false
	}
	q, err := p.Question()
	if err != nil {
		return p, h, "", false
	}
	return p, h, nameOfHost(q.Name), true
}

// nameOfHost shows a name of DNS, which may hold anything.
func nameOfHost(n dnsmessage.Name) string {
	name := strings.TrimSuffix(strings.ToLower(n.String()), ".")
	return replay.Safe(strings.ToValidUTF8(name, "?"))
}

// asksName takes a question to a DNS server.
func (b *builder) asksName(ev *replay.Event, p *proc, c *conn) {
	_, h, name, ok := question(message53(ev), !c.datagram)
	if !ok || h.Response || name == "" {
		return
	}
	c.name = name
	l := b.dns.lookup(p, name)
	if l == nil {
		if len(b.dns.lookups) >= maxLookups {
			b.dns.lookups = append(b.dns.lookups[:0], b.dns.lookups[1:]...)
		}
		l = &lookup{p: p, name: name, first: ev.Time}
		b.dns.lookups = append(b.dns.lookups, l)
	}
	if l.answer != "" || l.found {
		l.answer, l.found, l.first, l.asks = "", false, ev.Time, 0 // it is asked for again
	}
	l.server, l.last = serverOf(c.address), ev.Time
	l.asks++
	l.ev.set(b, ev)
}

// hearsName takes an answer of a DNS server.
func (b *builder) hearsName(ev *replay.Event, p *proc, c *conn) {
	msg, h, name, ok := question(message53(ev), !c.datagram)
	l := b.dns.lookup(p, name)
	if !ok || !h.Response || l == nil {
		return
	}
	l.last = ev.Time
	switch {
	case h.RCode == dnsmessage.RCodeSuccess:
		msg.SkipAllQuestions() //nolint:errcheck // then there is no answer either
		if _, err := msg.AnswerHeader(); err == nil {
			l.found = true
		} else if l.answer == "" {
			l.answer = "no address"
		}
	case h.RCode == dnsmessage.RCodeNameError:
		l.answer = "NXDOMAIN"
	case h.RCode == dnsmessage.RCodeServerFailure:
		l.answer = "SERVFAIL"
	case h.RCode == dnsmessage.RCodeRefused:
		l.answer = "REFUSED"
	default:
		l.answer = "error " + itoa(uint64(h.RCode))
	}
	l.ev.set(b, ev)
}

func serverOf(address string) string { return strings.TrimSuffix(address, ":53") }

func (d *dnsTrouble) lookup(p *proc, name string) *lookup {
	for _, l := range slices.Backward(d.lookups) {
		if l.p == p && l.name == name {
			return l
		}
	}
	return nil
}

// unresolved is a name for which nothing was found, with those that were made of it by
// appending domains in which it was searched for.
type unresolved struct {
	*lookup
	domains int
	all     []*lookup
}

// unresolved returns the last name for which a process has found nothing, nil if there is none.
func (d *dnsTrouble) unresolved(p *proc, end uint64) *unresolved {
	var last *lookup
	for _, l := range d.lookups {
		if l.p == p && l.fails(end) && (last == nil || l.last >= last.last) {
			last = l
		}
	}
	if last == nil {
		return nil
	}
	u := &unresolved{lookup: last}
	for _, l := range d.lookups {
		if l.p != p || !sameSearch(l.name, last.name) {
			continue
		}
		if l.found {
			return nil
		}
		u.all = append(u.all, l)
		if len(l.name) < len(u.name) {
			u.lookup = l
		}
	}
	for _, l := range u.all {
		if l.name != u.name {
			u.domains++
		}
	}
	return u
}

// fails reports whether nothing has come of a question up to the end.
func (l *lookup) fails(end uint64) bool {
	return !l.found && (l.answer != "" || l.last+patience <= end)
}

// sameSearch reports whether two names are one, with and without a domain at its end.
func sameSearch(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

// text says what came of it.
func (u *unresolved) text(end uint64) string {
	server := "the DNS server " + u.server
	asks, first, answer := uint64(0), u.first, u.answer
	for _, l := range u.all {
		asks += l.asks
		first = min(first, l.first)
		if l.answer == "" {
			answer = ""
		}
	}
	if answer == "" {
		return "no answer from " + server + " for " + duration(end-min(first, end)) + ": " + u.name +
			" was asked for " + times(asks)
	}
	text := u.name + ": " + answer + " from " + server
	if u.domains > 0 {
		text += ", " + counted(uint64(u.domains), "search domain") + " tried"
	}
	return text
}
