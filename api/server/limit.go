package server

import (
	"math"
	"net"
	"sync"
)

// Connections at a time, each of which costs some 10 KiB and a goroutine. Those of
// users other than root are fewer, and not all of them one's.
const (
	maxConns       = 256
	maxConnsOfUser = 64
)

// limiter is a listener that hangs up on connections that are too many, rather than
// let them wait: who holds all of them would keep everybody else waiting.
type limiter struct {
	net.Listener
	most, ofUser int
	peer         func(net.Conn) (Peer, bool)

	mu     sync.Mutex
	all    int
	others int            // not root's
	byUser map[uint32]int // the same by user
}

func limit(ln net.Listener, most, ofUser int) *limiter {
	return &limiter{Listener: ln, most: most, ofUser: ofUser, peer: peerOf, byUser: map[uint32]int{}}
}

// Accept waits for the next connection that there is a place for.
func (l *limiter) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		p, known := l.peer(c)
		if !known {
			p.UID = math.MaxUint32 // nobody; what it asks is refused
		}
		if l.enter(&p) {
			return &limitedConn{Conn: c, leave: func() { l.leave(&p) }}, nil
		}
		c.Close()
	}
}

func (l *limiter) enter(p *Peer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.most || !p.root() && (l.others >= l.most-l.most/4 || l.byUser[p.UID] >= l.ofUser) {
		return false
	}
	l.all++
	if !p.root() {
		l.others++
		l.byUser[p.UID]++
	}
	return true
}

func (l *limiter) leave(p *Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if p.root() {
		return
	}
	l.others--
	if l.byUser[p.UID]--; l.byUser[p.UID] == 0 {
		delete(l.byUser, p.UID)
	}
}

// limitedConn gives its place up when it is closed.
type limitedConn struct {
	net.Conn
	leave func()
	once  sync.Once
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}
