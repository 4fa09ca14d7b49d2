package server

import (
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Connections at a time, each of which costs some 10 KiB and a goroutine. Those of
// users other than root are fewer, and not all of them one's.
const (
	maxConns       = 256
	maxConnsOfUser = 64
)

// places are how many of something there are at a time. The last quarter is root's:
// others cannot keep it out. One user other than root has so many at most.
type places struct {
	most, ofUser int

	mu     sync.Mutex
	all    int
	others int            // not root's
	byUser map[uint32]int // the same by user
}

func newPlaces(most, ofUser int) *places {
	return &places{most: most, ofUser: ofUser, byUser: map[uint32]int{}}
}

// enter takes a place, unless all are taken that this user may have.
func (l *places) enter(p *Peer) bool {
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

func (l *places) leave(p *Peer) {
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

// enter takes one of the places for a request, unless there is none for it.
func enter(r *http.Request, l *places) (leave func(), ok bool) {
	p, _ := PeerFrom(r.Context()) // without one it is a test's: as root
	if !l.enter(&p) {
		return nil, false
	}
	return func() { l.leave(&p) }, true
}

// How often users other than root may connect and ask. What they ask takes locks that
// making rings takes as well, so that without an end to it others' containers find none.
const (
	connsPerSecond, connsAtOnce     = 50, 2 * maxConnsOfUser
	asksPerSecond, asksAtOnce       = 10, 40 // of one user
	allAsksPerSecond, allAsksAtOnce = 20, 80 // of all of them
	maxWait                         = 2 * time.Second
	maxUsers                        = 1024 // whose rates are remembered
)

// rates are how often each user does something. Root has none.
type rates struct {
	each  rate.Limit
	burst int
	all   *rate.Limiter // of all together; nil: none

	mu     sync.Mutex
	byUser map[uint32]*rate.Limiter
}

func newRates(each float64, burst int, all *rate.Limiter) *rates {
	return &rates{each: rate.Limit(each), burst: burst, all: all, byUser: map[uint32]*rate.Limiter{}}
}

// of is the rate of a user.
func (l *rates) of(uid uint32) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u := l.byUser[uid]; u != nil {
		return u
	}
	if len(l.byUser) >= maxUsers {
		now := time.Now()
		for uid, u := range l.byUser {
			if u.TokensAt(now) >= float64(l.burst) { // as if it were new
				delete(l.byUser, uid)
			}
		}
		if len(l.byUser) >= maxUsers { // they share one
			uid = math.MaxUint32
			if u := l.byUser[uid]; u != nil {
				return u
			}
		}
	}
	u := rate.NewLimiter(l.each, l.burst)
	l.byUser[uid] = u
	return u
}

// wait returns how long a user has to wait until it is its turn. ok is false if that is
// too long.
func (l *rates) wait(p *Peer, most time.Duration) (d time.Duration, ok bool) {
	if p.root() {
		return 0, true
	}
	now := time.Now()
	own := l.of(p.UID).ReserveN(now, 1)
	d = own.DelayFrom(now)
	if d > most {
		own.CancelAt(now)
		return d, false
	}
	if l.all == nil {
		return d, true
	}
	all := l.all.ReserveN(now, 1)
	if d = max(d, all.DelayFrom(now)); d > most {
		all.CancelAt(now)
		own.CancelAt(now)
		return d, false
	}
	return d, true
}

// limiter is a listener that hangs up on connections that are too many, rather than
// let them wait: who holds all of them would keep everybody else waiting.
type limiter struct {
	net.Listener
	*places
	rates *rates
	peer  func(net.Conn) (Peer, bool)
}

func limit(ln net.Listener, most, ofUser int) *limiter {
	return &limiter{Listener: ln, places: newPlaces(most, ofUser), rates: newRates(connsPerSecond, connsAtOnce, nil), peer: peerOf}
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
			p.UID = math.MaxUint32 // no user has this id, so the request is refused
		}
		if _, ok := l.rates.wait(&p, 0); ok && l.enter(&p) {
			return &limitedConn{Conn: c, leave: func() { l.leave(&p) }}, nil
		}
		c.Close()
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
