package replay

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// mem is memory at the pointer before it.
func (b *builder) mem(tid uint32, name string, start, dur int, ret int64, arg int, mem []byte, args ...uint64) {
	b.t.Helper()
	r := &record.Record{Type: layout.RecCall, Tid: tid, Nr: number(b.t, name), Ret: ret, Time: at(start + dur), Dur: uint64(dur) * 1000}
	if dur < 0 {
		r.Time, r.Dur, r.Flags = at(start), 0, layout.RecfNodur
	}
	copy(r.Args[:], args)
	r.Items = []record.Item{{Arg: uint8(arg), Kind: layout.ItemMem, Data: mem}}
	b.add(r)
}

func inet(port uint16, ip ...byte) []byte {
	d := binary.BigEndian.AppendUint16([]byte{2, 0}, port)
	return append(append(d, ip...), make([]byte, 8)...)
}

func ints(v ...uint32) (b []byte) {
	for _, n := range v {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

// fdHeader is a dump that lacks nothing.
func fdHeader() *dump.Header {
	h := testHeader()
	h.Recording.Coverage.Overwritten = 0
	return h
}

const oCloexec = 0o2000000

// fdStory goes through the life of descriptors.
func fdStory(t testing.TB) []byte {
	b := newBuilder(t, fdHeader())
	b.task(1, 1, 1, 1, 0, 0, "app", "app")
	b.task(2, 2, 2, 2, 2_000_100, 0, "app", "sh")     // forked by 1
	b.task(3, 1, 3, 1, 3_000_100, 0, "app", "worker") // a thread of 1
	b.task(4, 4, 4, 4, 4_000_100, 0, "app", "vfork")  // its parent's call returns after its exec
	us := 0
	next := func() int { us += 100; return us }
	one := func(name string, ret int64, rest ...any) { b.t.Helper(); b.call(1, name, next(), 10, ret, rest...) }

	one("read", 0, 3, 0, 0)                     // from before: unknown
	one("openat", 4, atCwd, 1, "conf/x", 0)     // nobody knows where
	one("chdir", 0, 1, "/srv//app/.")           //
	one("openat", 3, atCwd, 1, "conf/<x>", 0)   //
	one("read", 0, 3, 0, 0)                     //
	one("openat", 5, atCwd, 1, "/etc", 0x10000) // O_DIRECTORY
	one("openat", 6, 5, 1, "hosts", oCloexec)   // relative to it
	one("openat", 7, 9, 1, "lost", 0)           // relative to what is not known
	one("openat", -2, 5, 1, "nothing", 0)       //
	one("dup2", 8, 3, 8)                        //
	one("dup2", 8, 6, 8)                        // another over it; loses O_CLOEXEC
	one("fcntl", 10, 8, 1030, 10)               // F_DUPFD_CLOEXEC
	one("dup", 11, 99)                          // unknown
	one("close", 0, 3)                          //
	one("read", -9, 3, 0, 0)                    // EBADF
	one("close", -5, 4)                         // it is closed even so
	one("epoll_create1", 3, oCloexec)           //
	one("eventfd2", 4, 0, 0)                    //
	one("memfd_create", 12, 1, "mem", 0)        //
	b.mem(1, "pipe2", next(), 10, 0, 0, ints(13, 14), 1, 0)
	one("write", 1, 14, 0, 1)
	b.mem(1, "socketpair", next(), 10, 0, 3, ints(15, 16), 1, 1, 0, 1)
	one("socket", 17, 2, 1|oCloexec, 0)
	b.mem(1, "connect", next(), 10, -115, 1, inet(443, 1, 2, 3, 4), 17, 1, 16)
	one("sendto", 1, 17, 0, 0, 0, 0, 0)
	b.mem(1, "getsockname", next(), 10, 0, 1, inet(5000, 10, 0, 0, 2), 17, 1, 16)
	one("recvfrom", 1, 17, 0, 0, 0, 0, 0)
	one("socket", 18, 2, 1, 0)
	b.mem(1, "bind", next(), 10, 0, 1, inet(80, 0, 0, 0, 0), 18, 1, 16)
	b.mem(1, "accept4", next(), 10, 19, 1, inet(1234, 9, 9, 9, 9), 18, 1, 1, 0)
	one("read", 0, 19, 0, 0)
	b.mem(1, "poll", next(), 10, 0, 0, append(ints(18, 1), ints(99, 1)...), 1, 2, 0)
	one("signalfd4", 20, -1, 0, 8, 0)
	one("close_range", 0, 19, 20, 0)
	one("read", 0, 19, 0, 0)
	one("close_range", 0, 13, 13, 4) // CLOSE_RANGE_CLOEXEC
	// two at once, nobody knows in which order
	b.call(1, "dup2", 1_500_000, 100, 21, 5, 21)
	b.call(1, "close", 1_500_050, 100, 0, 21)
	b.call(1, "openat", 1_500_120, 100, 21, atCwd, 1, "/x", 0)
	b.call(1, "read", 1_600_000, 1, 0, 21, 0, 0)
	// began before the descriptor was known
	b.call(1, "openat", 1_700_010, 10, 22, atCwd, 1, "/y", 0)
	b.call(1, "read", 1_700_000, 90, 0, 22, 0, 0)
	b.call(1, "read", 1_700_100, 90, 0, 22, 0, 0)
	// fork: the child sees what its parent had, and loses O_CLOEXEC in execve
	b.call(2, "clone", 2_000_110, -1, 0, 0x1200011)
	b.call(1, "clone", 2_000_000, 200, 2, 0x1200011)
	b.call(1, "close", 2_000_250, 1, 0, 8)
	b.call(2, "read", 2_000_300, 1, 0, 8, 0, 0)
	b.call(2, "openat", 2_000_400, 1, 30, atCwd, 1, "child", 0)
	b.enter(2, "execve", 2_100_000, 0x1000, "/bin/sh", 0x2000, []string{"sh"}, 0x3000, count(0))
	b.exec(2, 2, 2_100_100, "/bin/sh", "sh\x00")
	b.call(2, "execve", 2_100_000, 200, 0)
	for _, fd := range []int{6, 8, 10, 13, 14, 17, 30} {
		b.call(2, "read", 2_200_000+fd, 1, 0, fd, 0, 0)
	}
	// a thread shares
	b.call(3, "clone", 3_000_110, -1, 0, 0x3d0f00)
	b.call(1, "clone", 3_000_000, 200, 3, 0x3d0f00)
	b.call(3, "close", 3_000_300, 1, 0, 5)
	b.call(1, "fstat", 3_000_400, 1, -9, 5, 0)
	b.call(3, "openat", 3_000_500, 1, 5, atCwd, 1, "/five", 0)
	b.call(1, "read", 3_000_600, 1, 0, 5, 0, 0)
	// the child of vfork is long gone on when its parent wakes up
	b.call(4, "vfork", 4_000_110, -1, 0)
	b.call(4, "dup2", 4_000_200, 1, 1, 5, 1)
	b.enter(4, "execve", 4_000_300, 0x1000, "/bin/x", 0x2000, []string{"x"}, 0x3000, count(0))
	b.exec(4, 4, 4_000_400, "/bin/x", "x\x00")
	b.call(1, "vfork", 4_000_000, 450, 4)
	b.call(4, "execve", 4_000_300, 200, 0)
	b.call(4, "write", 4_000_700, 1, 1, 1, 0, 1)
	// what io_uring does is not seen
	b.call(1, "io_uring_enter", 5_000_000, 1, 0, 40, 1, 0, 0, 0, 0)
	b.call(1, "read", 5_000_100, 1, 0, 5, 0, 0)
	b.lane = dump.FrameProgress
	b.enter(4, "read", 6_000_000, 1, 0, 1)
	return b.done()
}

func TestFds(t *testing.T) {
	in := fdStory(t)
	golden(t, "fds.strace", show(t, in, Options{Query: query(t, "format=strace&decode-fds=true&time=none&durations=false")}))
	golden(t, "fds.path.text", show(t, in, Options{Quiet: true, Query: query(t, "path=/etc/hosts&path=/srv/app/conf/<x>&decode-fds&time=none")}))
	golden(t, "fds.json", show(t, in, Options{Query: query(t, "format=json&decode-fds&last=5")}))
	plain := show(t, in, Options{Query: query(t, "format=strace")})
	if strings.Contains(plain, "</") {
		t.Error("descriptors are decoded that nobody asked for")
	}
}

// Knowledge must not survive where calls are missing.
func TestFdsUnknown(t *testing.T) {
	const asked = "format=strace&decode-fds&time=none&durations=false&e=read"
	for name, c := range map[string]struct {
		header func(h *dump.Header)
		middle func(b *builder)
		known  bool
	}{
		"nothing missing": {known: true},
		"muted":           {header: func(h *dump.Header) { h.Recording.Coverage.Muted = 1 }},
		"muted without effect": {header: func(h *dump.Header) {
			h.Recording.Coverage.Muted, h.Recording.Coverage.MutedHarmless = 1, true
		}, known: true},
		"frozen":        {header: func(h *dump.Header) { h.Recording.Coverage.FrozenCalls = 1 }},
		"torn":          {header: func(h *dump.Header) { h.Recording.Coverage.Late = 1 }},
		"being written": {header: func(h *dump.Header) { h.Recording.Coverage.Unfinished = 1 }},
		"unmarked":      {header: func(h *dump.Header) { h.Recording.Tasks.Unmarked = 1 }},
		"filtered":      {header: func(h *dump.Header) { h.Filter = "pid=1" }},
		"only later":    {header: func(h *dump.Header) { h.Filter = "since=12:00:00" }, known: true},
		"lost while following": {middle: func(b *builder) {
			h := fdHeader()
			h.Recording.Coverage.Overwritten = 1
			b.check(b.w.Header(h))
		}},
		"more while following":     {middle: func(b *builder) { b.check(b.w.Header(fdHeader())) }, known: true},
		"a stranger closes":        {middle: func(b *builder) { b.call(77, "close", 50, 1, 0, 3) }},
		"a stranger reads":         {middle: func(b *builder) { b.call(77, "read", 50, 1, 0, 3) }, known: true},
		"killed in it":             {middle: func(b *builder) { b.exit(2, 1, 60, 9, false, "close", 50) }},
		"a thread with its own":    {middle: func(b *builder) { b.call(2, "unshare", 50, 1, 0, 0x400) }},
		"a thread that came late":  {middle: func(b *builder) { b.task(3, 1, 3, 1, 40, 0, "a", "a"); b.call(3, "getpid", 50, 1, 1) }},
		"another root":             {middle: func(b *builder) { b.call(2, "pivot_root", 50, 1, 0, 1, "/a", 2, "/b") }},
		"shared with who knows":    {middle: func(b *builder) { b.task(9, 9, 9, 9, 40, 0, "a", "a"); b.call(9, "clone", 50, -1, 0, 0x400) }},
		"a close without an end":   {middle: func(b *builder) { b.exit(1, 1, 60, 9, true, "close", 50) }},
		"the same number anew":     {middle: func(b *builder) { b.call(2, "openat", 50, 1, 3, atCwd, 1, "", 0) }},
		"from another process":     {middle: func(b *builder) { b.call(2, "pidfd_getfd", 50, 1, 3, 1, 1, 0) }},
		"close under way for long": {middle: func(b *builder) { b.call(2, "close", 5, 80, 0, 3) }},
	} {
		t.Run(name, func(t *testing.T) {
			h := fdHeader()
			if c.header != nil {
				c.header(h)
			}
			b := newBuilder(t, h)
			b.task(1, 1, 1, 1, 0, 0, "a", "a")
			b.task(2, 1, 2, 1, 0, 0, "a", "a")
			b.call(2, "getpid", 1, 1, 1)
			b.call(1, "openat", 10, 1, 3, atCwd, 1, "/x", 0)
			if c.middle != nil {
				c.middle(b)
			}
			b.call(1, "read", 100, 1, 0, 3, 0, 0)
			got := show(t, b.done(), Options{Query: query(t, asked)})
			lines := strings.Split(strings.TrimSpace(got), "\n")
			last := ""
			for _, line := range lines {
				if strings.HasPrefix(line, "1 ") && strings.Contains(line, "read(") {
					last = line
				}
			}
			if is := strings.Contains(last, "read(3</x>"); is != c.known || last == "" {
				t.Errorf("known: %v, want %v\n%s", is, c.known, got)
			}
		})
	}
}

func TestTidyPath(t *testing.T) {
	for _, c := range [][3]string{
		{"", "/a//b/./c/", "/a/b/c"}, {"/a", "b", "/a/b"}, {"/a", "../b", "/a/../b"}, {"", "b/./c", "b/./c"}, {"/", ".", "/"}, {"/a", "/", "/"},
	} {
		if diff := cmp.Diff(c[2], tidyPath(c[0], c[1])); diff != "" {
			t.Errorf("%q, %q: %s", c[0], c[1], diff)
		}
	}
}
