package postmortem

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// noon on the wall is second 1000 on CLOCK_MONOTONIC.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// at returns noon plus so many milliseconds, on CLOCK_MONOTONIC.
func at(ms int) uint64 { return 1000e9 + uint64(ms)*1e6 }

func header() *dump.Header {
	return &dump.Header{
		Recording: api.Recording{
			ID: "4f3a9c", State: api.StateLive, Node: "node-1", Container: api.Container{Name: "web", Cgroup: "/x"}, Started: noon,
		},
		Arch: record.ArchX86_64, Version: "1.0", Kernel: "6.18.0", Node: "node-1", CaptureStdio: 512,
		Clock: dump.Clock{MonotonicNs: 1000e9, Realtime: noon}, Taken: noon.Add(10 * time.Second), Layout: layout.RecorderLayout,
	}
}

// ended is a header of a container whose first process ended so.
func ended(ms int, exit api.Exit) *dump.Header {
	h := header()
	h.Recording.State = api.StateEnded
	exit.At, exit.Source = noon.Add(time.Duration(ms)*time.Millisecond), "kernel"
	h.Recording.Exit, h.Recording.Ended = &exit, &exit.At
	return h
}

// story makes dumps by hand, of a container in a pid namespace: its ids are the host's
// less 1000. Times are milliseconds since noon.
type story struct {
	t    testing.TB
	w    *dump.Writer
	lane dump.FrameType
	buf  bytes.Buffer
}

func newStory(t testing.TB, h *dump.Header) *story {
	s := &story{t: t, lane: dump.FrameMain}
	s.w = dump.NewWriter(&s.buf)
	s.check(s.w.Header(h))
	return s
}

func (s *story) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *story) task(tid, tgid, parent uint32, start, end int, comm string) {
	s.t.Helper()
	row := layout.TaskInfo{Tid: tid, Tgid: tgid, Ptid: parent, NsTid: tid - 1000, NsTgid: tgid - 1000, NsPtid: max(parent, 1000) - 1000, Start: at(start)}
	if end != 0 {
		row.End = at(end)
	}
	copy(row.Comm[:], comm)
	copy(row.FirstComm[:], comm)
	s.check(s.w.Task(&row))
}

func (s *story) add(r *record.Record) {
	s.t.Helper()
	s.check(s.w.Record(s.lane, record.Append(nil, r)))
}

func number(t testing.TB, name string) uint16 {
	t.Helper()
	c := syscalls.ByName(record.ArchX86_64, name)
	if c == nil {
		t.Fatalf("no call %s", name)
	}
	return uint16(c.Nr)
}

// call adds a call that returned at a time, with items behind the arguments.
func (s *story) call(tid uint32, name string, ms, dur int, ret int64, rest ...any) {
	s.t.Helper()
	r := &record.Record{Type: layout.RecCall, Tid: tid, Nr: number(s.t, name), Ret: ret, Time: at(ms), Dur: uint64(dur) * 1e6}
	s.add(arguments(r, rest))
}

func arguments(r *record.Record, rest []any) *record.Record {
	n := 0
	for _, v := range rest {
		switch v := v.(type) {
		case int:
			r.Args[n] = uint64(v)
			n++
		case record.Item:
			v.Arg = uint8(n - 1)
			r.Items = append(r.Items, v)
		}
	}
	return r
}

func str(v string) record.Item  { return record.Item{Kind: layout.ItemStr, Data: []byte(v)} }
func data(v string) record.Item { return record.Item{Kind: layout.ItemData, Data: []byte(v)} }
func word(v uint32) record.Item {
	return record.Item{Kind: layout.ItemMem, Data: binary.LittleEndian.AppendUint32(nil, v)}
}

// sockaddr is an IPv4 address.
func sockaddr(ip [4]byte, port uint16) record.Item {
	b := append([]byte{2, 0}, byte(port>>8), byte(port))
	return record.Item{Kind: layout.ItemMem, Data: append(append(b, ip[:]...), make([]byte, 8)...)}
}

// blocked adds a call that a thread is in since a time.
func (s *story) blocked(tid uint32, name string, ms int, rest ...any) {
	s.t.Helper()
	s.lane = dump.FrameProgress
	s.add(arguments(&record.Record{Type: layout.RecEnter, Tid: tid, Nr: number(s.t, name), Time: at(ms)}, rest))
	s.lane = dump.FrameMain
}

func (s *story) noReturn(tid uint32, ms, code int) {
	s.t.Helper()
	s.add(&record.Record{Type: layout.RecEnter, Tid: tid, Nr: number(s.t, "exit_group"), Time: at(ms), Flags: layout.RecfNodur, Args: [6]uint64{uint64(code)}})
}

// exit adds the end of a process by its last thread.
func (s *story) exit(tid, tgid uint32, ms int, status uint64) {
	s.t.Helper()
	s.add(&record.Record{
		Type: layout.RecExit, Tid: tid, Time: at(ms), Ret: int64(status), Flags: layout.RecfNodur, Args: [6]uint64{uint64(tgid), 1, 0, 0, status},
	})
}

// signal adds a signal with a siginfo: who is si_pid, or the address or call.
func (s *story) signal(tid uint32, ms, sig int, code int32, who uint64, call uint32, handler uint64) {
	s.t.Helper()
	le := binary.LittleEndian
	info := make([]byte, 32)
	le.PutUint32(info, uint32(sig))
	le.PutUint32(info[8:], uint32(code))
	le.PutUint64(info[16:], who)
	le.PutUint32(info[24:], call)
	s.add(&record.Record{
		Type: layout.RecSignal, Tid: tid, Time: at(ms), Nr: uint16(sig), Ret: int64(code), Flags: layout.RecfNodur, Args: [6]uint64{0, handler},
		Items: []record.Item{{Kind: layout.ItemMem, Data: info}},
	})
}

func (s *story) done() []byte {
	s.t.Helper()
	s.check(s.w.Close())
	return s.buf.Bytes()
}

const atCwd = -100

// TestStories is about what testdata has no recordings of.
func TestStories(t *testing.T) {
	for _, tt := range []struct {
		name    string
		tell    func(t *testing.T) []byte
		verdict string // a part of it
		signs   string
	}{
		{"kubelet", func(t *testing.T) []byte {
			s := newStory(t, ended(40000, api.Exit{Signal: "SIGKILL"}))
			s.task(1001, 1001, 0, 0, 40000, "app")
			s.signal(1001, 10000, 15, 0, 0, 0, 1) // ignored, from another pid namespace
			s.call(1001, "read", 39999, 35000, -512, 3, 0x7000, 10)
			s.exit(1001, 1001, 40000, 9)
			return s.done()
		}, "killed by SIGKILL from outside: no process of the recording sent it, 30.0 s after SIGTERM from outside (si_pid 0), which it ignored; " +
			"its main thread was in read(3) for 35.0 s", "grace-period"},
		{"frozen", func(t *testing.T) []byte {
			h := ended(5000, api.Exit{Signal: "SIGTERM"})
			h.Recording.Coverage.FrozenCalls = 7 // a kill may be among them
			s := newStory(t, h)
			s.task(1001, 1001, 0, 0, 5000, "app")
			s.exit(1001, 1001, 5000, 15)
			return s.done()
		}, "killed by SIGTERM; who sent it is not in the recording", ""},
		{"child", func(t *testing.T) []byte {
			s := newStory(t, ended(300, api.Exit{Code: 5}))
			s.task(1001, 1001, 0, 0, 300, "entry.sh")
			s.task(1002, 1002, 1001, 10, 290, "migrate")
			s.call(1002, "openat", 280, 0, -13, atCwd, 0x7000, str("/data/orders.db"), 2)
			s.call(1002, "write", 281, 0, 33, 2, 0x7000, data("migrate: cannot open the database"), 33)
			s.noReturn(1002, 289, 5)
			s.exit(1002, 1002, 290, 5<<8)
			s.call(1001, "wait4", 292, 280, 2, -1, 0x7000, word(5<<8), 0, 0)
			s.noReturn(1001, 299, 5)
			s.exit(1001, 1001, 300, 5<<8)
			return s.done()
		}, `exited with 5 after its child 2 (migrate) exited with 5, probably because ` +
			`openat("/data/orders.db") failed with EACCES, 9.0 ms before; ` +
			`its last words on stderr: "migrate: cannot open the database"`, "denied"},
		{"seccomp", func(t *testing.T) []byte {
			s := newStory(t, ended(300, api.Exit{Signal: "SIGSYS", CoreDumped: true}))
			s.task(1001, 1001, 0, 0, 300, "app")
			s.signal(1001, 299, 31, 1, 0x401000, 272, 0)
			s.exit(1001, 1001, 300, 31|0x80)
			return s.done()
		}, "killed by SIGSYS (SYS_SECCOMP: a seccomp filter forbids unshare) (core dumped) in main thread 1 (app)", "seccomp"},
		{"group", func(t *testing.T) []byte { // whose group it was is not known
			s := newStory(t, ended(300, api.Exit{Signal: "SIGTERM"}))
			s.task(1001, 1001, 0, 0, 300, "app")
			s.task(1002, 1002, 0, 0, 0, "init")
			s.call(1002, "kill", 299, 0, 0, -7, 15)
			s.exit(1001, 1001, 300, 15)
			return s.done()
		}, "killed by SIGTERM, probably from 2 (init) of the same container, which sent it to several processes", ""},
		{"real-time signal", func(t *testing.T) []byte { // as earlier recorders wrote it
			s := newStory(t, ended(300, api.Exit{Signal: "SIG35"}))
			s.task(1005, 1005, 0, 0, 300, "app")
			s.call(1005, "kill", 299, 0, 0, 5, 35)
			s.exit(1005, 1005, 300, 35)
			return s.done()
		}, "killed by SIGRT_3, which it sent to itself", ""},
		{"alarm", func(t *testing.T) []byte {
			s := newStory(t, ended(300, api.Exit{Signal: "SIGALRM"}))
			s.task(1001, 1001, 0, 0, 300, "app")
			s.exit(1001, 1001, 300, 14)
			return s.done()
		}, "killed by SIGALRM: a timer that it had set has run out, or somebody sent it", ""},
		{"child out of memory", func(t *testing.T) []byte {
			s := newStory(t, ended(300, api.Exit{Code: 137}))
			s.task(1001, 1001, 0, 0, 300, "sh")
			s.task(1002, 1002, 1001, 10, 290, "java")
			s.call(1002, "getpid", 100, 0, 2)
			s.exit(1002, 1002, 290, 9)
			s.add(&record.Record{Type: layout.RecOom, Tid: 1002, Time: at(290) + 1, Ret: 1002, Flags: layout.RecfNodur})
			s.call(1001, "wait4", 292, 280, 2, -1, 0x7000, word(9), 0, 0)
			s.noReturn(1001, 299, 137)
			s.exit(1001, 1001, 300, 137<<8)
			return s.done()
		}, "exited with 137 after its child 2 (java) was chosen by the OOM killer", "oom"},
		{"search path", func(t *testing.T) []byte { // what is found later was not the reason
			s := newStory(t, ended(300, api.Exit{Code: 1}))
			s.task(1001, 1001, 0, 0, 300, "app")
			s.call(1001, "openat", 280, 0, -2, atCwd, 0x7000, str("/etc/app.conf"), 0)
			s.call(1001, "openat", 281, 0, 3, atCwd, 0x7000, str("/usr/local/etc/app.conf"), 0)
			s.noReturn(1001, 299, 1)
			s.exit(1001, 1001, 300, 1<<8)
			return s.done()
		}, "exited with 1 by itself", ""},
		{"database", func(t *testing.T) []byte {
			s := newStory(t, header())
			s.task(1001, 1001, 0, 0, 0, "app")
			s.task(1002, 1001, 0, 0, 0, "pool")
			s.blocked(1001, "epoll_wait", 4000, 4, 0x7000, 10, -1)
			s.blocked(1002, "connect", 2000, 5, 0x7000, sockaddr([4]byte{10, 0, 0, 3}, 5432), 16)
			return s.done()
		}, "still running: thread 2 (pool) blocked for 8.0 s in connect to 10.0.0.3:5432", ""},
		{"pool of threads", func(t *testing.T) []byte { // one thread waits for events: no deadlock
			s := newStory(t, header())
			s.task(1001, 1001, 0, 0, 0, "app")
			s.task(1002, 1001, 0, 0, 0, "pool")
			s.task(1003, 1001, 0, 0, 0, "pool")
			s.blocked(1001, "epoll_wait", 1000, 4, 0x7000, 10, -1)
			s.blocked(1002, "futex", 1000, 0x7000, 393, 0, 0)
			s.blocked(1003, "futex", 1000, 0x7004, 393, 0, 0)
			return s.done()
		}, "still running: main thread 1 (app) waiting for 9.0 s in epoll_wait(4)", ""},
		{"timeouts", func(t *testing.T) []byte { // threads that wait only so long
			s := newStory(t, header())
			s.task(1001, 1001, 0, 0, 0, "app")
			s.task(1002, 1001, 0, 0, 0, "pool")
			s.blocked(1001, "futex", 1000, 0x7000, 393, 0, 0)
			s.blocked(1002, "futex", 1000, 0x7004, 393, 0, 0x8000)
			return s.done()
		}, "still running: main thread 1 (app) waiting for 9.0 s in futex", ""},
		{"computes", func(t *testing.T) []byte {
			s := newStory(t, header())
			s.task(1001, 1001, 0, 0, 0, "app")
			s.call(1001, "getpid", 1000, 0, 1)
			return s.done()
		}, "still running: main thread 1 (app) is in no call and has made none for 9.0 s: it computes, is stopped, or does not get the CPU", "no-calls"},
		{"asynchronous connect", func(t *testing.T) []byte {
			s := newStory(t, ended(300, api.Exit{Code: 1}))
			s.task(1001, 1001, 0, 0, 300, "app")
			s.call(1001, "socket", 90, 0, 3, 2, 1, 0)
			s.call(1001, "connect", 100, 0, -115, 3, 0x7000, sockaddr([4]byte{10, 0, 0, 3}, 5432), 16)
			s.call(1001, "getsockopt", 280, 0, 0, 3, 1, 4, 0x7000, word(111), 0x8000)
			s.noReturn(1001, 299, 1)
			s.exit(1001, 1001, 300, 1<<8)
			return s.done()
		}, "exited with 1 by itself, probably because connect to 10.0.0.3:5432 was refused, 19 " +
			"ms before", "refused missing"},
		{"end unseen", func(t *testing.T) []byte { // the runtime's word alone
			s := newStory(t, ended(300, api.Exit{Code: 4}))
			s.task(1001, 1001, 0, 0, 0, "app")
			s.call(1001, "openat", 290, 0, -30, atCwd, 0x7000, str("/data/lock"), 0x42)
			return s.done()
		}, `exited with 4 by itself, probably because openat("/data/lock") failed with EROFS, 10 ` +
			`ms before`, "read-only missing"},
		{"nothing", func(t *testing.T) []byte { return newStory(t, ended(300, api.Exit{Code: 7})).done() },
			"exited with 7; the recording has nothing of how it came to that", ""},
		{"empty", func(t *testing.T) []byte { return newStory(t, header()).done() }, "still running", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := build(t, tt.tell(t), Options{})
			if !strings.Contains(r.Verdict, tt.verdict) || tt.signs == "" && !strings.HasSuffix(r.Verdict, tt.verdict) {
				t.Errorf("verdict %s\nwant    %s", r.Verdict, tt.verdict)
			}
			var kinds []string
			for _, s := range r.Signs.Items {
				kinds = append(kinds, s.Kind)
			}
			if got, want := strings.Join(kinds, " "), strings.TrimSuffix(tt.signs, " missing"); got != want {
				t.Errorf("signs %q, want %q", got, want)
			}
			checkSchema(t, asJSON(t, r))
			screenOf(t, r)
		})
	}
}

// TestPieces puts lines together that several processes write in pieces.
func TestPieces(t *testing.T) {
	s := newStory(t, header())
	s.task(1001, 1001, 0, 0, 0, "one")
	s.task(1002, 1002, 0, 0, 0, "two")
	write := func(tid uint32, ms, fd int, text string) {
		s.call(tid, "write", ms, 0, int64(len(text)), fd, 0x7000, data(text), len(text))
	}
	write(1001, 10, 1, "al")
	write(1002, 11, 1, "other\r\n")
	write(1001, 12, 1, "pha\nbe")
	write(1001, 13, 2, "error\n")
	write(1001, 14, 1, "ta\n")
	s.call(1001, "write", 15, 0, 900, 1, 0x7000, data("long"), 900) // cut when it was captured
	s.call(1001, "dup2", 16, 0, 1, 2, 1)                            // stdout is stderr now
	write(1001, 17, 1, "\x1b[2J\u202eopen")
	s.call(1001, "openat", 18, 0, 5, atCwd, 0x7000, str("/log"), 1)
	s.call(1001, "dup2", 19, 0, 2, 5, 2)
	write(1001, 20, 2, "logged\n")
	write(1001, 21, 3, "not captured in earnest\n")
	r := build(t, s.done(), Options{})
	var got strings.Builder
	for _, l := range r.Output.Items {
		fmt.Fprintf(&got, "%d %s %s %s", l.Pid, l.Stream, l.To, l.Text)
		if l.Cut {
			got.WriteString("…")
		}
		got.WriteString("\n")
	}
	want := "2 stdout  other\n1 stdout  alpha\n1 stderr  error\n1 stdout  beta\n1 stdout  long…\n" +
		"1 stderr  \\x1b[2J\\u202eopen\n1 stderr /log logged\n"
	if got.String() != want {
		t.Errorf("%s\nwant\n%s", got.String(), want)
	}
}

// large returns a dump with n calls on many threads of many processes, which open other
// files, reach other peers and fail in other ways all the time.
func large(tb testing.TB, n int) []byte {
	tb.Helper()
	s := newStory(tb, header())
	const threads = 4000
	for i := range uint32(threads) {
		s.task(2000+i, 2000+i/2*2, 0, 0, 0, "busy")
	}
	var nr [6]uint16
	for i, name := range []string{"openat", "read", "connect", "write", "futex", "close"} {
		nr[i] = number(tb, name)
	}
	var raw []byte
	for i := range n {
		r := record.Record{Type: layout.RecCall, Tid: 2000 + uint32(i/6%threads), Nr: nr[i%6], Time: at(0) + uint64(i)*5000, Dur: uint64(i%4000) * 1000}
		switch i % 6 {
		case 0:
			r.Ret, r.Args = []int64{5, -2, -13}[i/6%3], [6]uint64{1<<64 - 100, 0x7000, 0}
			r.Items = []record.Item{{Arg: 1, Kind: layout.ItemStr, Data: fmt.Appendf(nil, "/srv/data/%d/object-%d", i%100, i)}}
		case 1:
			r.Ret, r.Args = 4096, [6]uint64{5, 0x7000, 4096}
		case 2:
			r.Ret, r.Args = -111, [6]uint64{6, 0x7000, 16}
			item := sockaddr([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}, 80)
			item.Arg = 1
			r.Items = []record.Item{item}
		case 3:
			text := fmt.Sprintf("request %d was served\npart", i)
			r.Ret, r.Args = int64(len(text)), [6]uint64{1, 0x7000, uint64(len(text))}
			r.Items = []record.Item{{Arg: 1, Kind: layout.ItemData, Data: []byte(text)}}
		case 4:
			r.Ret, r.Args = -11, [6]uint64{0x7000, 0x80, 2}
		case 5:
			r.Args = [6]uint64{5}
		}
		raw = record.Append(raw[:0], &r)
		if err := s.w.Record(dump.FrameMain, raw); err != nil {
			tb.Fatal(err)
		}
	}
	return s.done()
}

const of64MiB = 930_000 // calls

// everyday returns a dump with n calls as a server makes them that talks to others and
// looks for files. Its descriptors are known.
func everyday(tb testing.TB, n int) []byte {
	tb.Helper()
	s := newStory(tb, header())
	for i := range uint32(4) {
		s.task(1001+i, 1001, 0, 10, 0, "server")
	}
	poll := record.Item{Arg: 0, Kind: layout.ItemMem, Data: []byte{5, 0, 0, 0, 1, 0, 1, 0}}
	peer := sockaddr([4]byte{10, 0, 0, 3}, 80)
	peer.Arg = 1
	path := func(i int) record.Item {
		return record.Item{Arg: 1, Kind: layout.ItemStr,
			Data: fmt.Appendf(nil, "/srv/conf.d/%d.conf", i%500)}
	}
	cwd := uint64(1<<64 - 100)
	for i := 0; i < n; {
		fd := uint64(5 + i/400%4)
		for _, one := range []record.Record{
			{Nr: number(tb, "socket"), Ret: int64(fd), Args: [6]uint64{2, 1, 0}},
			{Nr: number(tb, "connect"), Args: [6]uint64{fd, 0x7000, 16}, Items: []record.Item{peer}},
			{Nr: number(tb, "sendto"), Ret: 60, Args: [6]uint64{fd, 0x7000, 60}},
			{Nr: number(tb, "poll"), Ret: 1, Args: [6]uint64{0x7000, 1, 1000}, Items: []record.Item{poll}},
			{Nr: number(tb, "recvfrom"), Ret: 60, Args: [6]uint64{fd, 0x7000, 512}},
			{Nr: number(tb, "futex"), Ret: -11, Args: [6]uint64{0x7000, 0x80, 2}},
			{Nr: number(tb, "close"), Args: [6]uint64{fd}},
			{Nr: number(tb, "openat"), Ret: -2, Args: [6]uint64{cwd, 0x7000, 0}, Items: []record.Item{path(i)}},
			{Nr: number(tb, "openat"), Ret: 9, Args: [6]uint64{cwd, 0x7000, 0}, Items: []record.Item{path(i)}},
			{Nr: number(tb, "close"), Args: [6]uint64{9}},
		} {
			one.Type, one.Tid = layout.RecCall, 1001+uint32(fd-5)
			one.Time, one.Dur = at(20)+uint64(i)*2000, 900
			s.add(&one)
			i++
		}
	}
	return s.done()
}

func BenchmarkEveryday(b *testing.B) {
	in := everyday(b, of64MiB)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		build(b, in, Options{})
	}
}

func BenchmarkBuild(b *testing.B) {
	in := large(b, of64MiB)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		build(b, in, Options{})
	}
}

// meter notes how large the heap becomes while a dump is read.
type meter struct {
	r     io.Reader
	heap  uint64
	reads int
}

func (m *meter) Read(b []byte) (int, error) {
	if len(b) < 1000 {
		return m.r.Read(b)
	}
	if m.reads++; m.reads%4 == 0 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		m.heap = max(m.heap, s.HeapAlloc)
	}
	return m.r.Read(b)
}

// Memory must not grow with the dump.
func TestMemory(t *testing.T) {
	heap := func(calls int) int64 {
		in := large(t, calls)
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		m := &meter{r: bytes.NewReader(in)}
		r, err := dump.NewReader(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Build(r, Options{}); err != nil {
			t.Fatal(err)
		}
		grown := int64(m.heap) - int64(before.HeapAlloc)
		t.Logf("%d KiB for a dump of %d KiB", grown>>10, len(in)>>10)
		return grown
	}
	small, big := heap(of64MiB/16), heap(of64MiB/4)
	const limit = 48 << 20
	if big > limit || big > small+small/2 {
		t.Errorf("%d KiB, for four times the dump %d KiB", small>>10, big>>10)
	}
}

// anything must be shown, or refused with an error that says why.
func anything(t *testing.T, in []byte) {
	r, err := dump.NewReader(bytes.NewReader(in))
	if err != nil {
		return
	}
	report, err := Build(r, Options{Items: 3, Lines: 3})
	switch {
	case err == nil, errors.Is(err, dump.ErrTruncated), errors.Is(err, dump.ErrCorrupt), errors.Is(err, dump.ErrNewer), errors.Is(err, replay.ErrTooLarge):
	default:
		t.Fatal(err)
	}
	checkSchema(t, asJSON(t, report))
	for line := range strings.Lines(screenOf(t, report)) {
		if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }) {
			t.Fatalf("%q reaches the terminal", line)
		}
	}
}

// FuzzBuild feeds whole files.
func FuzzBuild(f *testing.F) {
	for _, name := range []string{"segv", "deadlock", "stubborn"} {
		f.Add(recording(f, name))
	}
	f.Add([]byte(dump.Magic))
	f.Fuzz(anything)
}

// FuzzRecords makes dumps whose frames and records are well formed, of few threads at few
// times, so that they have to do with each other. Each record takes 12 bytes: what, tid,
// time (2), nr (2), result (2), argument, flags, items, length of an item.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("\x11\x01\x05\x00\x01\x01\xfe\xff\x01\x00\x11\x05\x14\x01\x06\x00\xe8\x00\x00\x01\x01\x00\x00\x00"), byte(1))
	f.Add(bytes.Repeat([]byte("\x51\x01\x05\x00\x01\x00\x07\x00\x01\x00\x31\x20"), 9), byte(0x8b))
	f.Fuzz(func(t *testing.T, script []byte, status byte) {
		h := header()
		if status != 0 {
			h = ended(60, api.Exit{Code: int(status >> 1 & 3), Signal: []string{"", "SIGSEGV"}[status&1], OOMKilled: status&0x80 != 0})
		}
		s := newStory(t, h)
		num := binary.LittleEndian.Uint16
		for ; len(script) >= 12; script = script[12:] {
			b := script[:12]
			when := at(0) + uint64(num(b[2:]))<<12
			if b[0]>>6 == 0 && b[0]&1 == 0 {
				row := layout.TaskInfo{Tid: uint32(b[1] & 3), Tgid: uint32(b[1] >> 2 & 3), NsTid: uint32(b[1] >> 4 & 3), NsTgid: uint32(b[1] >> 6), Ptid: uint32(b[5] & 3), Start: when, Comm: [16]byte{b[8], b[9]}}
				if b[4]&1 != 0 {
					row.End = when + uint64(num(b[4:]))<<12
				}
				s.check(s.w.Task(&row))
				continue
			}
			r := record.Record{
				Type: layout.RecType(b[0] & 15), Tid: uint32(b[1] & 3), Time: when, Nr: num(b[4:]) & 0x1ff, Ret: int64(int16(num(b[6:]))),
				Dur: uint64(b[8]) << 16, Flags: layout.RecFlag(b[9] & 0x1f), Args: [6]uint64{uint64(b[8]), uint64(b[1] >> 2), uint64(b[3]), uint64(b[9] >> 5), uint64(b[6])},
			}
			if n := int(b[11]); b[10] != 0 && n < len(script) {
				r.Items = append(r.Items, record.Item{Arg: b[10] & 3, Kind: layout.ItemKind(b[10] >> 4), Flags: layout.ItemFlag(b[9] & 0x60), Data: script[:n]})
			}
			s.lane = []dump.FrameType{dump.FrameMain, dump.FrameGuard, dump.FrameMain, dump.FrameProgress}[b[0]>>4&3]
			s.add(&r)
		}
		anything(t, s.done())
	})
}

// TestManyInits catches that time and memory grow with the square of the processes that are
// the first of a namespace: builders and browsers make one for each sandbox.
func TestManyInits(t *testing.T) {
	s := newStory(t, header())
	const n = 30000
	for i := range n {
		tid := uint32(5000 + i)
		s.check(s.w.Task(&layout.TaskInfo{Tid: tid, Tgid: tid, Ptid: 1, NsTid: 1, NsTgid: 1, Start: at(i), PidNs: 7}))
	}
	for i := range n {
		s.call(uint32(5000+i), "getpid", n+i, 0, 2)
	}
	d, err := dump.NewReader(bytes.NewReader(s.done()))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	r, err := Build(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 20*time.Second { // it was a minute and more
		t.Errorf("it took %v", took)
	}
	if r.Main == nil || r.Main.HostPid != 5000 {
		t.Errorf("the first of them is not the main process: %+v", r.Main)
	}
}
