package privacy

import (
	"bytes"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/recorderd/recorderd/recorder/layout"
)

// A pattern fits a name in a DNS message as it fits the name elsewhere, though there are no dots.
func TestNamesOfDNS(t *testing.T) {
	r := compile(t, Policy{Blank: []string{`/[a-z]+\.shop/`}})
	name := dnsmessage.MustNewName("cart.shop.svc.cluster.local.")
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, Response: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
		Answers: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("cart.shop.example.org.")},
		}},
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "\x00\x55"} {
		for _, kind := range []layout.ItemKind{layout.ItemData, layout.ItemIovdata} {
			got := blanked(t, r, kind, prefix+string(b))
			if bytes.Contains([]byte(got), []byte("cart")) || bytes.Contains([]byte(got), []byte("shop")) {
				t.Errorf("%q", got)
			}
			var p dnsmessage.Parser
			if _, err := p.Start([]byte(got[len(prefix):])); err != nil {
				t.Fatal(err)
			}
			if q, err := p.Question(); err != nil || q.Name.String() != "****.****.svc.cluster.local." {
				t.Errorf("%v, %v", q.Name, err)
			}
		}
	}
	other := compile(t, Policy{Blank: []string{"/nothing/"}})
	if got := blanked(t, other, layout.ItemData, string(b)); got != string(b) {
		t.Errorf("%q was changed", got)
	}
	// What is no message, or is cut, is searched as other contents.
	for _, in := range []string{"", "\x00\x00\x00\x00\x00\x01", "\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x3fcart",
		"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c cart.shop"} {
		got := blanked(t, r, layout.ItemData, in)
		if len(got) != len(in) || bytes.Contains([]byte(got), []byte("cart.shop")) {
			t.Errorf("%q", got)
		}
	}
}
