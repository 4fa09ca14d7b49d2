package replay

import (
	"strings"
	"testing"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// Every format says who sent a signal; a name that a program chose does nothing to a terminal.
func TestSentInAllFormats(t *testing.T) {
	b := newBuilder(t, testHeader())
	b.task(1000, 1000, 1, 1, 0, 0, "sh", "sh")
	b.call(1000, "getpid", 1_000_000, 1, 1)
	text := func(arg uint8, s string) record.Item {
		return record.Item{Arg: arg, Kind: layout.ItemStr, Data: []byte(s)}
	}
	const node = uint64(layout.SentByProcess | layout.SentToGroup)
	b.add(&record.Record{
		Type: layout.RecSent, Time: at(1_000_100), Tid: 1000, Nr: 15, Flags: layout.RecfNodur,
		Args:  [6]uint64{1, 0, node, 4711, 0, 3},
		Items: []record.Item{text(0, "ru\x1b[2Jnc"), text(1, "containerd-shim"), text(2, "cri-01.scope")},
	})
	b.add(&record.Record{
		Type: layout.RecSent, Time: at(1_000_200), Tid: 1000, Nr: 15, Flags: layout.RecfNodur,
		Args:  [6]uint64{0, 0x4000, node | uint64(layout.SentSame), 1001, 7},
		Items: []record.Item{text(0, "ls\xff"), text(1, "sh")},
	})
	b.call(1000, "pause", 1_000_250, 600, -4)
	b.add(&record.Record{
		Type: layout.RecSent, Time: at(1_000_300), Tid: 1000, Nr: 9, Ret: 0x80, Flags: layout.RecfNodur,
		Args: [6]uint64{77, 1, 0},
	})
	in := b.done()
	for _, c := range []struct{ query, want string }{
		{"format=text", "sh] >>> SIGTERM from ru?[2Jnc (host pid 4711) for containerd-shim, on the node: ignored, there is no handler, 3 before it are left out <<<"},
		{"format=text", ">>> SIGTERM from ls? (pid 7): queued <<<"},
		{"format=text", ">>> SIGKILL from the kernel: with an unknown result <<<"},
		{"format=text&failed", ">>> SIGKILL from the kernel"},
		{"format=strace&time=none", "# 1     >>> SIGTERM from ls? (pid 7): queued <<<"},
		{"format=json", `"signal":"SIGTERM","code":0,"sent":{"outcome":"ignored","handler":"default","group":true,"by":"process",` +
			`"where":"node","hostPid":4711,"comm":"ru\u001b[2Jnc","parent":"containerd-shim","cgroup":"cri-01.scope","leftOut":3}`},
		{"format=json", `"base64":{"/sent/comm":"bHP/"}`},
		{"format=json", `"signal":"SIGKILL","code":128,"sent":{"outcome":"unknown","handler":"ignored","by":"kernel"}`},
		{"format=chrome", `"name":"SIGTERM sent"`},
	} {
		got := show(t, in, Options{Query: query(t, c.query)})
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: want %q in\n%s", c.query, c.want, got)
		}
		switch {
		case strings.Contains(c.query, "json"):
			checkSchema(t, []byte(got))
		case strings.Contains(c.query, "chrome"):
			checkChrome(t, []byte(got))
		}
	}
	// A comment parts no call in two.
	if got := show(t, in, Options{Query: query(t, "format=strace")}); strings.Contains(got, "unfinished") {
		t.Errorf("a call is parted:\n%s", got)
	}
}
