package privacy

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

func dnsAnswer(t *testing.T) []byte {
	t.Helper()
	name := dnsmessage.MustNewName("db.secret.example.")
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 77, Response: true, RecursionDesired: true})
	b.EnableCompression()
	for _, err := range []error{
		b.StartQuestions(),
		b.Question(dnsmessage.Question{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}),
		b.StartAnswers(),
		b.CNAMEResource(dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 60}, dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("one.secret.example.")}),
		b.AResource(dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("one.secret.example."), Class: dnsmessage.ClassINET}, dnsmessage.AResource{A: [4]byte{10, 1, 2, 3}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	msg, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// A pattern for a name as people write it covers the labels of it in DNS messages: in the question,
// in answers that point back to it, over TCP, and where the message was cut.
func TestDNSNames(t *testing.T) {
	rules, err := Compile(Policy{Blank: []string{`/[a-z]+\.secret\.example/`}})
	if err != nil {
		t.Fatal(err)
	}
	msg := dnsAnswer(t)
	tcp := append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
	for name, data := range map[string][]byte{
		"message": msg, "over TCP": tcp, "two over TCP": append(bytes.Clone(tcp), tcp...), "cut": msg[:len(msg)-20],
	} {
		for _, kind := range []layout.ItemKind{layout.ItemData, layout.ItemIovdata} {
			rec := record.Record{Type: layout.RecCall, Items: []record.Item{{Arg: 1, Kind: kind, Data: bytes.Clone(data)}}}
			raw := rules.Record(record.Append(nil, &rec))
			var got record.Record
			if err := record.Parse(raw, &got); err != nil {
				t.Fatal(err)
			}
			out := got.Items[0].Data
			if len(out) != len(data) {
				t.Fatalf("%s: %d bytes, were %d", name, len(out), len(data))
			}
			for _, word := range []string{"secret", "example", "db", "one"} {
				if bytes.Contains(out, []byte(word)) {
					t.Errorf("%s: %q is still in %q", name, word, out)
				}
			}
			if name == "message" {
				var p dnsmessage.Parser
				if _, err := p.Start(out); err != nil {
					t.Errorf("what is left is no message: %v", err)
				} else if q, err := p.Question(); err != nil || q.Name.String() != "**.******.*******." {
					t.Errorf("the question is %s, %v", q.Name, err)
				}
			}
		}
	}
	// The question stays, and the name that answers it does not.
	one, err := Compile(Policy{Blank: []string{`/one\.secret\.example/`}})
	if err != nil {
		t.Fatal(err)
	}
	rec := record.Record{Type: layout.RecCall, Items: []record.Item{{Arg: 1, Kind: layout.ItemData, Data: bytes.Clone(msg)}}}
	if raw := one.Record(record.Append(nil, &rec)); bytes.Contains(raw, []byte("one")) || !bytes.Contains(raw, []byte("db")) {
		t.Errorf("of the answer's name: %q", raw)
	}
	other := []byte("GET / HTTP/1.1\r\nHost: other.example\r\n")
	rec = record.Record{Type: layout.RecCall, Items: []record.Item{{Arg: 1, Kind: layout.ItemData, Data: bytes.Clone(other)}}}
	if raw := rules.Record(record.Append(nil, &rec)); !bytes.Contains(raw, other) {
		t.Errorf("changed: %q", raw)
	}
}

// What is made to be searched long is not.
func TestDNSNamesOfAnAttacker(t *testing.T) {
	rules, err := Compile(Policy{Blank: []string{`/[a-z]+\.secret\.example/`}})
	if err != nil {
		t.Fatal(err)
	}
	head := []byte{0, 1, 0, 0, 0, 1, 0, 20, 0, 20, 0, 20}
	loop := append(bytes.Clone(head), 1, 'a', 0xc0, 12)
	chain := bytes.Clone(head)
	for len(chain) < 4000 {
		chain = append(chain, 1, 'a', 0xc0, 12)
	}
	digits := append(bytes.Clone(head), bytes.Repeat([]byte("0"), 4000)...)
	noise := append(bytes.Clone(head), make([]byte, 4000)...)
	for i := range noise[len(head):] {
		noise[len(head)+i] = byte(rand.IntN(64))
	}
	start := time.Now()
	var w work
	for _, b := range [][]byte{loop, chain, digits, noise, head, nil, {0}, {0, 12}} {
		for range 20 {
			rules.dns(&w, bytes.Clone(b))
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("%v for 80 messages", took)
	}
}
