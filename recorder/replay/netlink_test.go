package replay

import (
	"strings"
	"testing"
)

// What a message means is known from the call that made its socket, and never from its bytes.
func TestNetlinkProtocols(t *testing.T) {
	b := newBuilder(t, testHeader())
	b.task(1, 1, 1, 1, 0, 0, "sh", "sh")
	const request = "\x14\x00\x00\x00\x12\x00\x01\x03\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // RTM_GETLINK
	at := 0
	send := func(fd int) { at += 10; b.call(1, "sendto", at, 1, 20, fd, 0x1000, data(request), 20, 0, 0, 0) }
	call := func(name string, ret int64, args ...any) { at += 10; b.call(1, name, at, 1, ret, args...) }
	send(3) // open before the dump begins
	call("socket", 4, 16, 3, 0)
	call("socket", 5, 16, 3, 16)
	call("socket", 6, 2, 1, 6)
	send(4)
	send(5)
	send(6)
	call("close", 0, 4)
	call("socket", 4, 2, 1, 6)
	send(4)
	call("socket", 7, 16, 3, 0)
	call("dup2", 7, 6, 7)
	send(7)
	in := b.done()
	plain := `"\24\0\0\0\22\0\1\3\1\0\0\0\0\0\0\0\0\0\0\0"`
	route := `[{nlmsg_len=20, nlmsg_type=RTM_GETLINK, nlmsg_flags=NLM_F_REQUEST|NLM_F_DUMP, nlmsg_seq=1, nlmsg_pid=0}, {ifi_family=AF_UNSPEC, ...}]`
	other := `[{nlmsg_len=20, nlmsg_type=0x12 /* NLMSG_??? */, nlmsg_flags=NLM_F_REQUEST|0x300, nlmsg_seq=1, nlmsg_pid=0}, "\x00\x00\x00\x00"]`
	want := []string{"3, " + plain, "4, " + route, "5, " + other, "6, " + plain, "4, " + plain, "7, " + plain}
	for _, q := range []string{"format=text&time=none&durations=0&e=sendto", "format=strace&time=none&durations=0&e=sendto"} {
		lines := strings.Split(strings.TrimSpace(show(t, in, Options{Query: query(t, q), Quiet: true})), "\n")
		if len(lines) != len(want) {
			t.Fatalf("%d lines: %q", len(lines), lines)
		}
		for i, line := range lines {
			if !strings.Contains(line, "sendto("+want[i]+", 20, 0, NULL, 0) = 20") {
				t.Errorf("%s: got %s, want %s", q, line, want[i])
			}
		}
	}
	if n := sameAsText(t, in); n < 10 {
		t.Errorf("%d calls", n)
	}
}
