package postmortem

import (
	"testing"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

var (
	database = [4]byte{10, 0, 0, 3}
	timedOut = api.Exit{Code: 1}
)

// connects adds a socket and a connect of it.
func (s *story) connects(tid uint32, ms, fd int, ret int64) {
	s.t.Helper()
	s.call(tid, "socket", ms-1, 0, int64(fd), 2, 1, 0)
	s.call(tid, "connect", ms, 0, ret, fd, 0x7000, sockaddr(database, 5432), 16)
}

// polled is a struct pollfd.
func polled(fd uint32, events, got byte) record.Item {
	return record.Item{Kind: layout.ItemMem, Data: []byte{byte(fd), 0, 0, 0, events, 0, got, 0}}
}

// TestPeersTellTheTruth is about what became of connections, blocking or not.
func TestPeersTellTheTruth(t *testing.T) {
	const in, out = 1, 4
	tellAll(t, []told{
		{"given up", ends(timedOut, func(s *story) { // as Go does: no call fails
			s.connects(1001, 100, 5, -eINPROGRESS)
			s.call(1001, "close", 2990, 0, 0, 5)
			s.says(1001, 2995, "startup failed\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because connect to 10.0.0.3:5432 had no answer ` +
			`for 2.8 s, 10 ms before; ` +
			`its last words on stderr: "startup failed"`, "unreachable"},
		{"polled in vain", ends(timedOut, func(s *story) {
			s.connects(1001, 100, 5, -eINPROGRESS)
			s.call(1001, "poll", 2990, 2000, 0, 0x7000, polled(5, out, 0), 1, 2000)
			s.says(1001, 2995, "TimeoutError\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself 10 ms after connect to 10.0.0.3:5432 had no answer for 2.8 ` +
			`s; its last words on stderr: "TimeoutError"`, ""},
		{"no reply", ends(timedOut, func(s *story) { // SO_RCVTIMEO
			s.connects(1001, 100, 5, 0)
			s.call(1001, "sendto", 200, 0, 7, 5, 0x7000, 7, 0, 0, 0)
			s.call(1001, "recvfrom", 2990, 2700, -eAGAIN, 5, 0x7000, 100, 0, 0, 0)
			s.says(1001, 2995, "query failed\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because 10.0.0.3:5432 did not answer 7 bytes for ` +
			`2.7 s, 10 ms before; ` +
			`its last words on stderr: "query failed"`, ""},
		{"closed without an answer", ends(timedOut, func(s *story) {
			s.connects(1001, 100, 5, 0)
			s.call(1001, "sendto", 200, 0, 7, 5, 0x7000, 7, 0, 0, 0)
			s.call(1001, "recvfrom", 2990, 0, 0, 5, 0x7000, 100, 0, 0, 0)
			s.says(1001, 2995, "query failed\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because 10.0.0.3:5432 closed the connection ` +
			`without an answer to 7 bytes, 10 ms before; ` +
			`its last words on stderr: "query failed"`, ""},
		{"closed without an answer, and the words say so", ends(timedOut, func(s *story) { // as Node.js does
			s.connects(1001, 100, 5, 0)
			s.call(1001, "sendto", 200, 0, 7, 5, 0x7000, 7, 0, 0, 0)
			s.call(1001, "recvfrom", 2980, 0, 0, 5, 0x7000, 100, 0, 0, 0)
			s.says(1001, 2990, "Error: socket hang up\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself 20 ms after 10.0.0.3:5432 closed the connection ` +
			`without an answer to 7 bytes; its last words on stderr: "Error: socket hang up"`, ""},
		{"closed when all was said", ends(timedOut, func(s *story) { // as HTTP/1.0 does
			s.connects(1001, 100, 5, 0)
			s.call(1001, "sendto", 200, 0, 7, 5, 0x7000, 7, 0, 0, 0)
			s.call(1001, "recvfrom", 300, 0, 50, 5, 0x7000, 100, 0, 0, 0)
			s.call(1001, "recvfrom", 2990, 0, 0, 5, 0x7000, 100, 0, 0, 0)
			s.says(1001, 2995, "it is not what was wanted\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; its last words on stderr: "it is not what was wanted"`, ""},
		{"reset", ends(timedOut, func(s *story) {
			s.connects(1001, 100, 5, 0)
			s.call(1001, "getpid", 150, 0, 1)
			s.call(1001, "read", 2990, 10, -eCONNRESET, 5, 0x7000, 100)
			s.says(1001, 2995, "query failed\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself, probably because 10.0.0.3:5432 reset the connection (read: ` +
			`ECONNRESET), 10 ms before; its last words on stderr: "query failed"`, "broken-pipe"},
		{"refused in several threads", func(t *testing.T) []byte { // as Go does
			s := newStory(t, ended(3000, timedOut))
			for tid := range uint32(3) {
				s.task(1001+tid, 1001, 0, 0, 3000, "app")
			}
			for i := range 5 {
				s.connects(1001+uint32(i%3), 2900+10*i, 5, -eINPROGRESS)
				s.call(1001+uint32(i%3), "getsockopt", 2905+10*i, 0, 0, 5, 1, 4, 0x7000, word(111), 0x8000)
				s.call(1001+uint32(i%3), "close", 2906+10*i, 0, 0, 5)
			}
			s.says(1002, 2995, "startup failed\n")
			s.end(1001, 3000, 1)
			return s.done()
		}, `exited with 1 by itself, probably because connect to 10.0.0.3:5432 was refused ` +
			`(5 times), 55 ms before; its last words on stderr: "startup failed"`, "refused"},
		{"no answer to datagrams", ends(timedOut, func(s *story) {
			s.call(1001, "socket", 100, 0, 5, 2, 2, 0)
			s.call(1001, "connect", 101, 0, 0, 5, 0x7000, sockaddr(database, 123), 16)
			for i := range 3 {
				s.call(1001, "write", 200+i*900, 0, 48, 5, 0x7000, 48)
				s.call(1001, "poll", 1090+i*900, 800, 0, 0x7000, polled(5, in, 0), 1, 800)
			}
			s.says(1001, 2995, "no time\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself 110 ms after 10.0.0.3:123 did not answer 144 bytes for ` +
			`2.6 s (3 times); its last words on stderr: "no time"`, ""},
		{"nobody takes the metrics", ends(timedOut, func(s *story) {
			s.call(1001, "socket", 100, 0, 5, 2, 2, 0)
			s.call(1001, "connect", 101, 0, 0, 5, 0x7000, sockaddr(database, 8125), 16)
			for i := range 20 {
				s.call(1001, "sendto", 200+i, 0, -int64(eCONNREFUSED), 5, 0x7000, 8, 0, 0, 0)
			}
			s.says(1001, 2995, "broken\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself; its last words on stderr: "broken"`, ""},
		{"of a socket of IPv6", goesOn(func(s *story) {
			mapped := make([]byte, 28)
			mapped[0] = 10
			copy(mapped[2:], []byte{5432 >> 8, 5432 & 0xff})
			copy(mapped[18:], []byte{0xff, 0xff, 10, 0, 0, 3})
			s.call(1001, "socket", 99, 0, 5, 10, 1, 0)
			s.call(1001, "connect", 100, 0, 0, 5, 0x7000,
				record.Item{Kind: layout.ItemMem, Data: mapped}, 28)
			s.call(1001, "write", 2000, 0, 6, 5, 0x7000, 6)
			s.blocked(1001, "read", 2001, 5, 0x7000, 10)
		}), "still running: main thread 1 (app) blocked for 7.9 s in " +
			"read(5<TCPv6:[->10.0.0.3:5432]>), waiting for 10.0.0.3:5432: 6 bytes sent 8.0 s ago, " +
			"nothing since", ""},
		{"asked, and no answer", goesOn(func(s *story) { // an event loop
			s.connects(1001, 100, 5, 0)
			s.call(1001, "write", 2000, 0, 6, 5, 0x7000, 6)
			s.blocked(1001, "epoll_wait", 2001, 4, 0x7000, 10, -1)
		}), "still running: waiting for 10.0.0.3:5432: 6 bytes sent 8.0 s ago, nothing since",
			"waiting-for-peer"},
		{"connecting", goesOn(func(s *story) {
			s.connects(1001, 2000, 5, -eINPROGRESS)
			s.blocked(1001, "epoll_wait", 2001, 4, 0x7000, 10, -1)
		}), "still running: waiting for 10.0.0.3:5432: connect has had no answer for 8.0 s",
			"waiting-for-peer"},
		{"answered", goesOn(func(s *story) { // it is idle
			s.connects(1001, 100, 5, 0)
			s.call(1001, "write", 2000, 0, 6, 5, 0x7000, 6)
			s.call(1001, "read", 2100, 0, 60, 5, 0x7000, 100)
			s.blocked(1001, "epoll_wait", 2101, 4, 0x7000, 10, -1)
		}), "still running: main thread 1 (app) waiting for 7.8 s in epoll_wait(4)", ""},
		{"collector of logs", goesOn(func(s *story) { // it never says anything
			s.connects(1001, 100, 5, 0)
			for ms := 200; ms < 8000; ms += 500 {
				s.call(1001, "write", ms, 0, 60, 5, 0x7000, 60)
			}
			s.blocked(1001, "epoll_wait", 8000, 4, 0x7000, 10, -1)
		}), "still running: main thread 1 (app) waiting for 2.0 s in epoll_wait(4)", ""},
		{"worker that waits", func(t *testing.T) []byte {
			s := newStory(t, header())
			s.task(1001, 1001, 0, 0, 0, "master")
			s.task(1002, 1002, 1001, 10, 0, "worker")
			s.connects(1002, 100, 5, 0)
			s.call(1002, "write", 2000, 0, 6, 5, 0x7000, 6)
			s.blocked(1002, "recvfrom", 2001, 5, 0x7000, 100, 0, 0, 0)
			s.blocked(1001, "pselect6", 9500, 4, 0x7000, 0, 0, 0x7100, 0)
			return s.done()
		}, "still running: its process 2 (worker) is waiting for 10.0.0.3:5432: 6 bytes sent 8.0 " +
			"s ago, nothing since", "waiting-for-peer"},
		{"asked to end while it waited", ends(api.Exit{Signal: "SIGTERM"}, func(s *story) {
			s.connects(1001, 100, 5, -eINPROGRESS)
			s.signal(1001, 2990, 15, siUser, 0, 0, 0)
			s.exit(1001, 1001, 3000, 15)
		}), "killed by SIGTERM from outside: no process of the recording sent it; it was waiting " +
			"for 10.0.0.3:5432: connect has had no answer for 2.9 s", ""},
		{"DNS", ends(timedOut, func(s *story) { // over a datagram socket that is closed in the end
			for i := range 2 {
				s.call(1001, "socket", 100+i*1000, 0, 5, 2, 2, 0)
				s.call(1001, "connect", 101+i*1000, 0, 0, 5, 0x7000, sockaddr(database, 53), 16)
				s.call(1001, "write", 102+i*1000, 0, 40, 5, 0x7000, 40)
				s.call(1001, "close", 1050+i*1000, 0, 0, 5)
			}
			s.says(1001, 2990, "startup failed\n")
			s.end(1001, 3000, 1)
		}), `exited with 1 by itself after questions to the DNS server 10.0.0.3 were not ` +
			`answered twice; its last words on stderr: "startup failed"`, "dns"},
	})
}

// TestPeerStates says in the list of peers what became of connections, and never that one
// was connected which was not.
func TestPeerStates(t *testing.T) {
	const out, hup = 4, 16
	for _, tt := range []struct {
		name  string
		tell  func(s *story)
		state string
		peer  Peer
	}{
		{"under way", func(s *story) { s.connects(1001, 100, 5, -eINPROGRESS) }, "connecting",
			Peer{}},
		{"in a blocking call", func(s *story) {
			s.blocked(1001, "connect", 100, 5, 0x7000, sockaddr(database, 5432), 16)
		}, "connecting", Peer{}},
		{"POLLOUT", func(s *story) {
			s.connects(1001, 100, 5, -eINPROGRESS)
			s.call(1001, "poll", 200, 0, 1, 0x7000, polled(5, out, out), 1, 2000)
		}, "connected", Peer{Connected: 1}},
		{"POLLOUT and POLLHUP", func(s *story) {
			s.connects(1001, 100, 5, -eINPROGRESS)
			s.call(1001, "poll", 200, 0, 1, 0x7000, polled(5, out, out|hup), 1, 2000)
		}, "connecting", Peer{}},
		{"SO_ERROR 0", func(s *story) {
			s.connects(1001, 100, 5, -eINPROGRESS)
			s.call(1001, "getsockopt", 200, 0, 0, 5, 1, 4, 0x7000, word(0), 0x8000)
		}, "connected", Peer{Connected: 1}},
		{"SO_ERROR", func(s *story) {
			s.connects(1001, 100, 5, -eINPROGRESS)
			s.call(1001, "getsockopt", 200, 0, 0, 5, 1, 4, 0x7000, word(111), 0x8000)
		}, "refused", Peer{Failed: 1, Error: "ECONNREFUSED"}},
		{"no way", func(s *story) { s.connects(1001, 100, 5, -eHOSTUNREACH) }, "unreachable",
			Peer{Failed: 1, Error: "EHOSTUNREACH"}},
		{"given up", func(s *story) {
			s.connects(1001, 100, 5, -eINPROGRESS)
			s.call(1001, "close", 2000, 0, 0, 5)
		}, "no answer", Peer{Unanswered: 1}},
		{"closed by a copy of it", func(s *story) { // the other one is still there
			s.connects(1001, 100, 5, -eINPROGRESS)
			s.call(1001, "dup", 200, 0, 6, 5)
			s.call(1001, "close", 2000, 0, 0, 5)
		}, "connecting", Peer{}},
		{"end of file", func(s *story) {
			s.connects(1001, 100, 5, 0)
			s.call(1001, "recvmsg", 200, 0, 0, 5, 0x7000, 0)
		}, "closed", Peer{Connected: 1}},
		{"before what is overwritten", func(s *story) { // descriptors of then are none of now
			s.lane = dump.FrameGuard
			s.connects(1001, 100, 5, -eCONNREFUSED)
			s.lane = dump.FrameMain
			s.call(1001, "close", 2000, 0, 0, 5)
		}, "refused", Peer{Failed: 1, Error: "ECONNREFUSED"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := build(t, goesOn(tt.tell)(t), Options{})
			if len(r.Peers.Items) != 1 {
				t.Fatalf("peers %+v", r.Peers.Items)
			}
			p := r.Peers.Items[0]
			got := Peer{Connected: p.Connected, Failed: p.Failed, Error: p.Error,
				Unanswered: p.Unanswered}
			if p.State != tt.state || got != tt.peer {
				t.Errorf("%s %+v, want %s %+v", p.State, got, tt.state, tt.peer)
			}
		})
	}
}

// TestSocketsAreBounded catches a container whose processes make more descriptors of sockets
// than anybody needs: each of its own number, by dup.
func TestSocketsAreBounded(t *testing.T) {
	b := &builder{procs: make(map[uint32]*proc)}
	var procs []*proc
	for i := range uint32(40) {
		p := &proc{host: 1000 + i}
		procs = append(procs, p)
		b.procs[p.host] = p
		b.opened(p, 3, &conn{address: "10.0.0.3:80"})
		for num := range int32(1000) {
			if c := p.conns[3]; c != nil {
				b.copied(p, c, 10+num)
			}
		}
	}
	total := 0
	for _, p := range procs {
		total += len(p.conns)
	}
	if total > maxConns || total != b.conns {
		t.Errorf("%d descriptors are followed, and %d counted", total, b.conns)
	}
	for _, p := range procs {
		p.forgetConns(b)
	}
	if b.conns != 0 {
		t.Errorf("%d are counted when all are forgotten", b.conns)
	}
}
