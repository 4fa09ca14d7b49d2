package postmortem

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// about53 is a message about a name: a question, or an answer with a code and so many addresses.
func about53(t testing.TB, name string, answer bool, code dnsmessage.RCode, addresses int) record.Item {
	t.Helper()
	m := dnsmessage.Message{
		Header: dnsmessage.Header{ID: 7, Response: answer, RCode: code},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name + "."),
			Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	for range addresses {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte{10, 0, 0, 3}},
		})
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return record.Item{Kind: layout.ItemData, Data: b}
}

// asks adds a question, and the answer if there is one.
func (s *story) asks(ms int, name string, code dnsmessage.RCode, addresses int) {
	s.t.Helper()
	s.call(1001, "socket", ms, 0, 5, 2, 2, 0)
	s.call(1001, "connect", ms, 0, 0, 5, 0x7000, sockaddr([4]byte{10, 96, 0, 10}, 53), 16)
	s.call(1001, "sendto", ms+1, 0, 40, 5, 0x7000, about53(s.t, name, false, 0, 0), 40, 0, 0, 0)
	if code < 100 {
		s.call(1001, "recvfrom", ms+2, 0, 60, 5, 0x7000, about53(s.t, name, true, code, addresses), 512,
			0, 0, 0)
	}
	s.call(1001, "close", ms+900, 0, 0, 5)
}

// TestNamesThatAreNotFound says which names a container asked for, and what came of it.
func TestNamesThatAreNotFound(t *testing.T) {
	const nobody, refused, servfail, silence = dnsmessage.RCodeNameError, dnsmessage.RCodeRefused,
		dnsmessage.RCodeServerFailure, dnsmessage.RCode(200)
	const words = `; its last words on stderr: "startup failed"`
	tellAll(t, []told{
		{"with search domains", ends(timedOut, func(s *story) {
			for i, domain := range []string{".shop.svc.cluster.local", ".svc.cluster.local",
				".cluster.local", ""} {
				s.asks(100+i*10, "cart.shop"+domain, nobody, 0)
			}
			s.says(1001, 1990, "startup failed\n")
			s.end(1001, 2000, 1)
		}), "exited with 1 by itself after cart.shop: NXDOMAIN from the DNS server 10.96.0.10, 3 " +
			"search domains tried" + words, "dns"},
		{"server failure", ends(timedOut, func(s *story) {
			s.asks(100, "cart.shop", servfail, 0)
			s.says(1001, 1990, "startup failed\n")
			s.end(1001, 2000, 1)
		}), "exited with 1 by itself after cart.shop: SERVFAIL from the DNS server 10.96.0.10" + words,
			"dns"},
		{"refused", ends(timedOut, func(s *story) {
			s.asks(100, "cart.shop", refused, 0)
			s.says(1001, 1990, "startup failed\n")
			s.end(1001, 2000, 1)
		}), "exited with 1 by itself after cart.shop: REFUSED from the DNS server 10.96.0.10" + words,
			"dns"},
		{"no address", ends(timedOut, func(s *story) {
			s.asks(100, "cart.shop", dnsmessage.RCodeSuccess, 0)
			s.says(1001, 1990, "startup failed\n")
			s.end(1001, 2000, 1)
		}), "exited with 1 by itself after cart.shop: no address from the DNS server 10.96.0.10" +
			words, "dns"},
		{"no answer", ends(timedOut, func(s *story) {
			s.asks(100, "cart.shop", silence, 0)
			s.asks(1200, "cart.shop", silence, 0)
			s.says(1001, 2990, "startup failed\n")
			s.end(1001, 3000, 1)
		}), "exited with 1 by itself after no answer from the DNS server 10.96.0.10 for 2.8 s: " +
			"cart.shop was asked for twice" + words, "dns"},
		{"found in a search domain", ends(timedOut, func(s *story) {
			s.asks(100, "cart.shop", nobody, 0)
			s.asks(110, "cart.shop.cluster.local", dnsmessage.RCodeSuccess, 1)
			s.says(1001, 1990, "startup failed\n")
			s.end(1001, 2000, 1)
		}), "exited with 1 by itself" + words, ""},
		{"found when asked again", ends(timedOut, func(s *story) {
			s.asks(100, "cart.shop", servfail, 0)
			s.asks(1200, "CART.shop", dnsmessage.RCodeSuccess, 1)
			s.says(1001, 1990, "startup failed\n")
			s.end(1001, 2000, 1)
		}), "exited with 1 by itself" + words, ""},
		{"it went on without it", ends(timedOut, func(s *story) {
			s.asks(100, "metrics.shop", nobody, 0)
			s.opens(1001, 1500, "/srv/state.db", 3)
			s.says(1001, 2990, "startup failed\n")
			s.end(1001, 3000, 1)
		}), "exited with 1 by itself" + words, "dns"},
		{"the words are of something else", ends(timedOut, func(s *story) {
			s.asks(100, "metrics.shop", nobody, 0)
			s.says(1001, 990, "ValueError: port must be a number\n")
			s.end(1001, 1000, 1)
		}), `exited with 1 by itself; its last words on stderr: "ValueError: port must be a number"`,
			"dns"},
		{"still waiting", goesOn(func(s *story) {
			s.call(1001, "socket", 99, 0, 5, 2, 2, 0)
			s.call(1001, "connect", 100, 0, 0, 5, 0x7000, sockaddr([4]byte{10, 96, 0, 10}, 53), 16)
			s.call(1001, "sendto", 2000, 0, 40, 5, 0x7000, about53(s.t, "cart.shop", false, 0, 0), 40,
				0, 0, 0)
			s.blocked(1001, "epoll_wait", 2001, 4, 0x7000, 10, -1)
		}), "still running: waiting for 10.96.0.10:53: cart.shop was asked for 8.0 s ago, nothing " +
			"since", "waiting-for-peer dns"},
	})
}

// TestNamesAreUntrusted catches a name that a terminal would obey, and messages that are none.
func TestNamesAreUntrusted(t *testing.T) {
	for _, name := range []string{"\x1b[2Jcart.shop", "\u202ecart.shop", "cart\n.shop", "\xff\xfe.shop"} {
		r := build(t, ends(timedOut, func(s *story) {
			s.asks(100, name, dnsmessage.RCodeNameError, 0)
			s.end(1001, 1000, 1)
		})(t), Options{})
		if !strings.Contains(r.Verdict, "shop: NXDOMAIN") || strings.ContainsAny(r.Verdict,
			"\x1b\u202e\n") || !utf8.ValidString(r.Verdict) {
			t.Errorf("%q: %q", name, r.Verdict)
		}
		checkSchema(t, asJSON(t, r))
	}
	for _, b := range [][]byte{nil, {0}, make([]byte, 12), make([]byte, 512),
		append(make([]byte, 5), 1, 0, 0, 0, 0, 0, 0, 0xc0, 12)} {
		for _, stream := range []bool{false, true} {
			if _, _, name, ok := question(b, stream); ok && name != "" {
				t.Errorf("%q is a question for %q", b, name)
			}
		}
	}
}

// TestLookupsAreBounded catches a container that asks for more names than anybody needs.
func TestLookupsAreBounded(t *testing.T) {
	r := build(t, ends(timedOut, func(s *story) {
		for i := range 3 * maxLookups {
			s.asks(10+i, "n"+itoa(uint64(i))+".shop", dnsmessage.RCodeNameError, 0)
		}
		s.end(1001, 3000, 1)
	})(t), Options{})
	if !strings.Contains(r.Verdict, "n191.shop: NXDOMAIN") {
		t.Errorf("verdict %s", r.Verdict)
	}
}
