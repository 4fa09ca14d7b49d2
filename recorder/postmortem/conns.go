package postmortem

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
)

// connState is how far a connection came.
type connState uint8

const (
	connNone       connState = iota // connect was not called
	connConnecting                  // no answer yet
	connConnected
	connAccepted // by this process: it is the other side that asks
	connClosed   // by the peer
	connFailed   // errno says how
)

// conn is a socket that was connected, or is to be. Blocking and non-blocking ones are
// alike: what counts is what the peer has answered.
type conn struct {
	p        *proc
	address  string
	datagram bool
	unix     bool
	state    connState
	errno    int
	since    uint64 // ns: when it came to be in its state
	refs     int    // descriptors of it
	// What was sent since the peer was heard last.
	asked   uint64 // bytes
	askedAt uint64 // ns: the last time
	asking  uint64 // ns: the first time
	asks    int    // how often
	heard   uint64 // bytes, ever
	tid     uint32 // who asked last
	dns     bool
	name    string // that a DNS server was asked for last
	ev      moment // the call that asked, or connected
}

// maxConns bounds the descriptors of sockets that are followed, in all processes together.
const maxConns = 1 << 13

func (p *proc) conn(num int32) *conn {
	c := p.conns[num]
	if c == nil || c.address == "" {
		return nil
	}
	return c
}

// conns follows what becomes of a process's sockets.
func (b *builder) sockets(ev *replay.Event, p *proc, t *thread, name string) {
	if ev.NoArgs {
		return
	}
	if ev.Guard { // what became of descriptors in between is overwritten
		b.failedBefore(ev, name)
		return
	}
	rec := &ev.Rec
	num, errno := int32(rec.Args[0]), 0
	if ev.Failed() {
		errno = int(-rec.Ret)
	}
	switch name {
	case "socket":
		if errno == 0 {
			b.opened(p, int32(rec.Ret), &conn{datagram: rec.Args[1]&0xf == 2,
				unix: rec.Args[0] == 1})
		}
	case "accept", "accept4":
		if errno == 0 {
			address := ev.Address()
			b.opened(p, int32(rec.Ret), &conn{address: address, state: connAccepted,
				since: ev.Time})
			if to := b.peerAt(hostOf(address), ev.Time); to != nil { // ports of clients differ
				to.Accepted++
			}
		}
	case "connect":
		b.connects(ev, p, t, num, errno)
	case "getpeername":
		if c := p.conn(num); c != nil && errno == 0 {
			c.connected(b, ev)
		}
	case "getsockopt":
		if e, ok := socketError(ev); ok && errno == 0 {
			if c := p.conn(num); c != nil && e == 0 {
				c.connected(b, ev)
			} else if c != nil {
				c.failed(b, ev, e)
			}
		}
	case "close":
		b.closes(ev, p, t, num)
	case "dup", "dup2", "dup3":
		if to := int32(rec.Ret); errno == 0 && to != num {
			b.closes(ev, p, t, to)
			if c := p.conns[num]; c != nil {
				b.copied(p, c, to)
			}
		}
	case "read", "readv", "recvfrom", "recvmsg", "recvmmsg":
		b.hears(ev, p, t, num, errno, name)
	case "write", "writev", "sendto", "sendmsg", "sendmmsg":
		b.asks(ev, p, t, num, errno, name)
	case "poll", "ppoll", "ppoll_time64":
		b.polls(ev, p, t)
	}
}

func (b *builder) opened(p *proc, num int32, c *conn) {
	p.drop(b, num)
	if b.conns >= maxConns {
		return // those that are known say more
	}
	if p.conns == nil {
		p.conns = make(map[int32]*conn)
	}
	c.refs, c.p = 1, p
	p.conns[num] = c
	b.conns++
}

// copied gives a socket another descriptor.
func (b *builder) copied(p *proc, c *conn, to int32) {
	p.drop(b, to)
	if b.conns < maxConns {
		c.refs++
		p.conns[to] = c
		b.conns++
	}
}

// drop forgets a descriptor.
func (p *proc) drop(b *builder, num int32) {
	if c := p.conns[num]; c != nil {
		c.refs--
		b.conns--
		delete(p.conns, num)
	}
}

// forgetConns forgets all descriptors, but keeps those to whom something is owed.
func (p *proc) forgetConns(b *builder) {
	const most = 8
	for _, c := range p.open() {
		if len(p.unanswered) < most && (c.state == connConnecting || c.waits()) {
			p.unanswered = append(p.unanswered, c)
		}
	}
	for num := range p.conns {
		p.drop(b, num)
	}
}

// open lists connections, those of the lowest descriptors first.
func (p *proc) open() []*conn {
	nums := make([]int32, 0, len(p.conns))
	for num := range p.conns {
		nums = append(nums, num)
	}
	slices.Sort(nums)
	var list []*conn
	for _, num := range nums {
		if c := p.conns[num]; c.address != "" && !slices.Contains(list[max(0, len(list)-4):], c) {
			list = append(list, c)
		}
	}
	return list
}

func (b *builder) connects(ev *replay.Event, p *proc, t *thread, num int32, errno int) {
	address := ev.Address()
	if address == "" {
		return
	}
	c := p.conns[num]
	if c == nil {
		c = &conn{unix: strings.HasPrefix(address, `"`) || strings.HasPrefix(address, "@")}
		b.opened(p, num, c)
	}
	again := c.address == address && c.state == connConnecting
	c.address, c.dns, c.tid = address, strings.HasSuffix(address, ":53"), t.tid
	if b.peerAt(address, ev.Time) == nil {
		return
	}
	switch {
	case errno == 0 || errno == eISCONN:
		if c.datagram {
			c.state, c.since = connConnected, ev.Time
			c.ev.set(b, ev)
			return
		}
		c.state = connConnecting
		c.connected(b, ev)
	case errno == eINPROGRESS || errno == eALREADY || errno == eINTR:
		if !again {
			c.state, c.since = connConnecting, ev.Time
			c.ev.set(b, ev)
			b.peerAt(address, ev.Time).is("connecting", ev.Time)
		}
	default:
		c.failed(b, ev, errno)
	}
}

// connected says that the peer has answered.
func (c *conn) connected(b *builder, ev *replay.Event) {
	if c.state != connConnecting {
		return
	}
	c.state, c.since = connConnected, ev.Time
	b.recovered(c.p, c.address)
	if to := b.peerAt(c.address, ev.Time); to != nil {
		to.Connected++
		to.is("connected", ev.Time)
	}
}

func (c *conn) failed(b *builder, ev *replay.Event, errno int) {
	c.state, c.errno, c.since = connFailed, errno, ev.Time
	c.asked = 0
	if to := b.peerAt(c.address, ev.Time); to != nil {
		to.Failed++
		to.Error = errnoName(errno)
		to.is(failedState(errno), ev.Time)
	}
	if c.dns {
		b.dns.failed++
		b.dns.note(b.line(ev), c.address)
	}
}

func failedState(errno int) string {
	switch errno {
	case eCONNREFUSED:
		return "refused"
	case eCONNRESET:
		return "reset"
	case eHOSTUNREACH, eNETUNREACH:
		return "unreachable"
	case eTIMEDOUT:
		return "no answer"
	case ePIPE:
		return "closed"
	}
	return "failed"
}

// hears takes a call that reads.
func (b *builder) hears(ev *replay.Event, p *proc, t *thread, num int32, errno int, name string) {
	c := p.conn(num)
	if c == nil {
		if name == "recvmmsg" || name == "read" || name == "readv" {
			return
		}
		c = p.conns[num] // a datagram socket that is not connected
		if c == nil || !c.dns {
			return
		}
	}
	switch {
	case errno == 0 && ev.Rec.Ret > 0:
		c.connected(b, ev)
		c.heard += uint64(ev.Rec.Ret)
		if c.dns {
			b.hearsName(ev, p, c)
		}
		c.asked, c.asking, c.asks = 0, 0, 0
	case errno == 0 && !c.datagram && (name == "recvmsg" || name == "readv" ||
		ev.Rec.Args[2] != 0) && c.state == connConnected:
		c.state, c.since = connClosed, ev.Time
		if c.address == "" {
			return
		}
		if to := b.peerAt(c.address, ev.Time); to != nil {
			to.is("closed", ev.Time)
		}
		b.peerFailed(ev, p, t, c, 0, closedBy(c))
	case errno == eAGAIN && ev.Rec.Dur >= patience && !ev.NoDur():
		b.noReply(ev, p, t, c, ev.Rec.Dur) // SO_RCVTIMEO
	case errno != 0 && !replay.Transient(name, unix.Errno(errno)):
		c.failed(b, ev, errno)
	}
}

const closedIt = " closed the connection"

func closedBy(c *conn) string {
	text := c.address + closedIt
	if c.asked > 0 {
		text += " without an answer to " + counted(c.asked, "byte")
	}
	return text
}

// asks takes a call that writes.
func (b *builder) asks(ev *replay.Event, p *proc, t *thread, num int32, errno int, name string) {
	c := p.conn(num)
	if name == "sendto" && errno == 0 {
		if address := sentTo(ev); address != "" {
			if c = p.conns[num]; c == nil {
				c = &conn{datagram: true}
				b.opened(p, num, c)
			}
			c.address, c.dns, c.state = address, strings.HasSuffix(address, ":53"), connConnected
		}
	}
	switch {
	case c == nil:
	case errno == 0 && ev.Rec.Ret > 0:
		c.connected(b, ev)
		n := uint64(ev.Rec.Ret)
		if name == "sendmmsg" {
			n = 1
		}
		if c.asked == 0 {
			c.asking = ev.Time
		}
		c.asked += n
		c.asks++
		c.askedAt, c.tid = ev.Time, t.tid
		if c.dns {
			b.dns.asked++
			b.asksName(ev, p, c)
		}
		c.ev.set(b, ev)
	case errno != 0 && !replay.Transient(name, unix.Errno(errno)):
		c.failed(b, ev, errno)
	}
}

// sentTo is the address that a sendto names.
func sentTo(ev *replay.Event) string {
	for _, it := range ev.Rec.Items {
		if it.Arg == 4 && it.Kind == layout.ItemMem && !it.Cut() && !it.Fault() {
			return replay.SocketAddress(it.Data)
		}
	}
	return ""
}

// polls takes a poll that ran out of time, or that says that a connection came to something.
func (b *builder) polls(ev *replay.Event, p *proc, t *thread) {
	const pollOut, pollErr, pollHup, size = 4, 8, 16, 8
	for _, it := range ev.Rec.Items {
		if it.Arg != 0 || it.Kind != layout.ItemMem {
			continue
		}
		for one := it.Data; len(one) >= size; one = one[size:] {
			c := p.conn(int32(binary.LittleEndian.Uint32(one)))
			if c == nil {
				continue
			}
			got := binary.LittleEndian.Uint16(one[6:])
			switch {
			case ev.Rec.Ret == 0 && ev.Rec.Dur >= patience && !ev.NoDur():
				b.noReply(ev, p, t, c, ev.Rec.Dur)
			case ev.Rec.Ret > 0 && got&pollErr != 0 && c.dns:
				c.pollFailed(b, ev)
			case ev.Rec.Ret > 0 && got&pollOut != 0 && got&(pollErr|pollHup) == 0:
				c.connected(b, ev)
			}
		}
		return
	}
}

// pollFailed takes an error of a socket of which poll does not say which.
func (c *conn) pollFailed(b *builder, ev *replay.Event) {
	b.dns.failed++
	b.dns.note(b.line(ev), c.address)
	if to := b.peerAt(c.address, ev.Time); to != nil {
		to.Failed++
		to.is("failed", ev.Time)
	}
}

// noReply notes that a peer has not answered in a time that the program had set.
func (b *builder) noReply(ev *replay.Event, p *proc, t *thread, c *conn, waited uint64) {
	text := c.silence(ev.Time)
	if c.datagram && c.state == connConnected && c.asked > 0 && waited >= patience && !c.dns {
		// Who waits for a datagram in particular expects one.
		text = c.address + " did not answer " + counted(c.asked, "byte") + " for " +
			duration(ev.Time-min(c.asking, ev.Time))
	}
	if text == "" {
		return
	}
	if c.dns {
		b.dns.timeouts++
		b.dns.note(b.line(ev), c.address)
		if c.datagram {
			return
		}
	}
	b.peerFailed(ev, p, t, c, 0, text)
}

// patience is how long a program has to wait for an answer for its want to count.
const patience = uint64(100 * time.Millisecond)

// waits reports whether the peer owes an answer.
func (c *conn) waits() bool {
	// Who is told something again and again, and has never said a word, need not answer.
	const again = 8
	oneWay := c.datagram || c.heard == 0 && c.asks >= again && c.askedAt > c.asking+longSleep
	if c.dns {
		oneWay = false
	}
	return c.state == connConnected && c.asked > 0 && !oneWay
}

// silence says what the peer has not answered up to a time, "" if it owes nothing.
func (c *conn) silence(now uint64) string {
	switch {
	case c.state == connConnecting:
		return "connect to " + c.address + " had no answer for " + duration(now-min(c.since, now))
	case c.waits():
		return c.address + " did not answer " + counted(c.asked, "byte") + " for " +
			duration(now-min(c.askedAt, now))
	}
	return ""
}

// closes takes the end of a descriptor: what was not answered until then was given up.
func (b *builder) closes(ev *replay.Event, p *proc, t *thread, num int32) {
	c := p.conns[num]
	if c == nil {
		return
	}
	if c.refs == 1 && c.address != "" {
		b.givenUp(ev, p, t, c)
	}
	p.drop(b, num)
}

func (b *builder) givenUp(ev *replay.Event, p *proc, t *thread, c *conn) {
	begun := c.since
	if c.state == connConnected {
		begun = c.askedAt
	}
	text := c.silence(ev.Time)
	if text == "" || ev.Time < begun+patience {
		return
	}
	if to := b.peerAt(c.address, ev.Time); to != nil {
		to.Unanswered++
		to.is("no answer", ev.Time)
	}
	if c.dns {
		b.dns.timeouts++
		b.dns.note(c.ev.event(b), c.address)
		return
	}
	b.peerFailed(ev, p, t, c, eTIMEDOUT, text)
}

// peerFailed makes a failure of what no call says that it failed.
func (b *builder) peerFailed(ev *replay.Event, p *proc, t *thread, c *conn, errno int,
	text string) {
	if c.state == connAccepted || everydayPath(strings.Trim(c.address, `"`)) {
		return
	}
	line := b.line(ev)
	for _, f := range p.fails {
		if f.peer && f.file == c.address && f.errno == errno && f.tid == t.tid {
			f.count++
			f.ev, f.said = line, text
			return
		}
	}
	weight := 1.2
	if c.state == connClosed && c.asked == 0 {
		weight = .3 // all was said, so it may be in peace
	}
	p.remember(&failure{
		ev: line, first: ev.Time, call: "connect", errno: errno, file: c.address,
		short: "connect(" + c.address + ")", said: text, peer: true,
		weight: weight, count: 1, tid: t.tid, execs: p.execs,
	})
}

// socketError is what getsockopt(SO_ERROR) says.
func socketError(ev *replay.Event) (errno int, ok bool) {
	const socketLevel, soError = 1, 4
	if ev.Rec.Args[1] != socketLevel || ev.Rec.Args[2] != soError {
		return 0, false
	}
	for _, it := range ev.Rec.Items {
		if it.Arg == 3 && len(it.Data) >= 4 {
			errno = int(int32(binary.LittleEndian.Uint32(it.Data)))
			return errno, errno >= 0 && errno < 4096
		}
	}
	return 0, false
}

// cloneFlags are the flags of a call that makes a thread or a process.
func cloneFlags(ev *replay.Event, name string) (uint64, bool) {
	if name == "clone" {
		return ev.Rec.Args[0], !ev.NoArgs
	}
	for _, it := range ev.Rec.Items {
		if it.Arg == 0 && it.Kind == layout.ItemMem && len(it.Data) >= 8 {
			return binary.LittleEndian.Uint64(it.Data), true
		}
	}
	return 0, false
}

// failedBefore takes a connect that only the guard lane has.
func (b *builder) failedBefore(ev *replay.Event, name string) {
	errno := int(-ev.Rec.Ret)
	if name != "connect" || !ev.Failed() || ev.Waits() {
		return
	}
	if to := b.peerAt(ev.Address(), ev.Time); to != nil {
		to.Failed++
		to.Error = errnoName(errno)
		to.is(failedState(errno), ev.Time)
	}
}

func (c *conn) everyday() bool { return everydayPath(strings.Trim(c.address, `"`)) }
