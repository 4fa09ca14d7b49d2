package replay

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// noon on the wall is second 1000 on CLOCK_MONOTONIC.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// at returns noon plus so many microseconds, on CLOCK_MONOTONIC.
func at(us int) uint64 { return 1000e9 + uint64(us)*1000 }

func testHeader() *dump.Header {
	from, to := noon.Add(time.Second), noon.Add(9*time.Second)
	return &dump.Header{
		Recording: api.Recording{
			ID: "4f3a9c", State: api.StateLive, Node: "node-1",
			Container: api.Container{ID: "c0ffee", Name: "web", Runtime: "containerd", Image: "nginx:1.27", Cgroup: "/kubepods/x", Command: []string{"sh", "-c", "exec nginx"}},
			Pod:       &api.Pod{Namespace: "shop", Name: "web-7d4b9"},
			Started:   noon,
			Coverage:  api.Coverage{From: &from, To: &to, Written: 2000113, Kept: 18213, Overwritten: 1981900, Cut: 2},
		},
		Arch: record.ArchX86_64, PageSize: 4096, Version: "1.0", Kernel: "6.18.0", Node: "node-1",
		Clock:  dump.Clock{MonotonicNs: 1000e9, Realtime: noon},
		Taken:  noon.Add(10 * time.Second),
		Layout: layout.RecorderLayout,
	}
}

// builder makes dumps by hand. Times are microseconds since noon.
type builder struct {
	t    testing.TB
	w    *dump.Writer
	lane dump.FrameType
	buf  bytes.Buffer
}

func newBuilder(t testing.TB, h *dump.Header) *builder {
	b := &builder{t: t, lane: dump.FrameMain}
	b.w = dump.NewWriter(&b.buf)
	b.check(b.w.Header(h))
	return b
}

func (b *builder) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *builder) done() []byte {
	b.t.Helper()
	b.check(b.w.Close())
	return b.buf.Bytes()
}

func (b *builder) add(r *record.Record) {
	b.t.Helper()
	b.check(b.w.Record(b.lane, record.Append(nil, r)))
}

// task adds a row: end 0 is alive.
func (b *builder) task(tid, tgid, nsTid, nsTgid uint32, start, end int, first, comm string) {
	b.t.Helper()
	t := layout.TaskInfo{Tid: tid, Tgid: tgid, NsTid: nsTid, NsTgid: nsTgid, Start: at(start)}
	if end != 0 {
		t.End = at(end)
	}
	copy(t.FirstComm[:], first)
	copy(t.Comm[:], comm)
	b.check(b.w.Task(&t))
}

func number(t testing.TB, name string) uint16 {
	t.Helper()
	c := syscalls.ByName(record.ArchX86_64, name)
	if c == nil {
		t.Fatalf("no call %s", name)
	}
	return uint16(c.Nr)
}

// call adds a call that began at start and took dur microseconds; dur -1: not known.
func (b *builder) call(tid uint32, name string, start, dur int, ret int64, rest ...any) {
	b.t.Helper()
	r := &record.Record{Type: layout.RecCall, Tid: tid, Nr: number(b.t, name), Ret: ret}
	if dur < 0 {
		r.Time, r.Flags = at(start), layout.RecfNodur
	} else {
		r.Time, r.Dur = at(start+dur), uint64(dur)*1000
	}
	b.add(fill(r, rest))
}

// enter adds the beginning of a call.
func (b *builder) enter(tid uint32, name string, start int, rest ...any) {
	b.t.Helper()
	r := &record.Record{Type: layout.RecEnter, Tid: tid, Nr: number(b.t, name), Time: at(start), Flags: layout.RecfNodur}
	if b.lane == dump.FrameProgress {
		r.Flags = 0
	}
	fill(r, rest)
	for i := range r.Items {
		if r.Items[i].Kind != layout.ItemCount && b.lane != dump.FrameProgress {
			r.Items[i].Flags |= layout.ItemEntry
		}
	}
	b.add(r)
}

// fill takes arguments (int) and what they point to (a string behind its pointer).
func fill(r *record.Record, rest []any) *record.Record {
	n := 0
	for _, v := range rest {
		switch v := v.(type) {
		case int:
			r.Args[n] = uint64(v)
			n++
		case string:
			r.Items = append(r.Items, record.Item{Arg: uint8(n - 1), Kind: layout.ItemStr, Data: []byte(v)})
		case []string:
			for _, s := range v {
				r.Items = append(r.Items, record.Item{Arg: uint8(n - 1), Kind: layout.ItemStrv, Data: []byte(s)})
			}
		case data:
			r.Items = append(r.Items, record.Item{Arg: uint8(n - 1), Kind: layout.ItemData, Data: []byte(v)})
		case count:
			r.Items = append(r.Items, record.Item{Arg: uint8(n - 1), Kind: layout.ItemCount, Data: binary.LittleEndian.AppendUint32(nil, uint32(v))})
		case layout.RecFlag:
			r.Flags |= v
		}
	}
	return r
}

type (
	data  string
	count uint32
)

func (b *builder) exec(tid, was uint32, when int, file, argv string) {
	b.t.Helper()
	b.add(&record.Record{
		Type: layout.RecExec, Tid: tid, Time: at(when), Ret: int64(was), Flags: layout.RecfNodur,
		Items: []record.Item{{Arg: 0, Kind: layout.ItemStr, Data: []byte(file)}, {Arg: 2, Kind: layout.ItemArgv, Data: []byte(argv)}},
	})
}

// exit adds the end of a thread. in: the call it was in, since when; "": none.
func (b *builder) exit(tid, tgid uint32, when int, status int64, last bool, in string, since int) {
	b.t.Helper()
	r := &record.Record{Type: layout.RecExit, Tid: tid, Time: at(when), Ret: status, Flags: layout.RecfNodur, Args: [6]uint64{uint64(tgid)}}
	if last {
		r.Args[1] = 1
	}
	if in != "" {
		r.Nr, r.Args[2] = number(b.t, in)+1, at(since)
	}
	b.add(r)
}

func (b *builder) signal(tid uint32, when int, sig uint16, code int64) {
	b.t.Helper()
	b.add(&record.Record{Type: layout.RecSignal, Tid: tid, Time: at(when), Nr: sig, Ret: code, Flags: layout.RecfNodur})
}

func (b *builder) rename(tid uint32, when int, name string) {
	b.t.Helper()
	comm := make([]byte, layout.CommLen)
	copy(comm, name)
	b.add(&record.Record{
		Type: layout.RecRename, Tid: tid, Time: at(when), Flags: layout.RecfNodur,
		Items: []record.Item{{Arg: 0, Kind: layout.ItemStr, Data: comm}},
	})
}

const atCwd = -100

// story is a dump with a bit of everything.
func story(t testing.TB) []byte {
	t.Helper()
	b := newBuilder(t, testHeader())
	const sh, ls, worker, leader = 1000, 1001, 1003, 1004
	b.task(sh, sh, 1, 1, 0, 0, "runc:[2:INIT]", "sh")
	b.task(ls, ls, 7, 7, 2_000_000, 2_600_000, "sh", "ls") // and the same id again
	b.task(ls, ls, 9, 9, 4_000_000, 0, "sh", "again")
	b.task(worker, leader, 12, 11, 5_000_000, 0, "app", "app")
	b.task(leader, leader, 11, 11, 4_900_000, 0, "sh", "true")

	b.lane = dump.FrameGuard
	b.call(sh, "openat", 300_000, 20, -2, atCwd, 0x7000, "/etc/old.conf", 0)
	b.rename(sh, 199_900, "sh")
	b.exec(sh, sh, 200_000, "/bin/sh", "sh\x00-c\x00exec nginx\x00") // displaced
	b.call(sh, "openat", 1_000_100, 20, -2, atCwd, 0x7000, "/etc/both.conf", 0, layout.RecfGuard)

	b.lane = dump.FrameMain
	b.call(sh, "openat", 1_000_000, 12, 3, atCwd, 0x7000, "/etc/app.conf", 0x80000)
	b.call(sh, "openat", 1_000_100, 20, -2, atCwd, 0x7000, "/etc/both.conf", 0, layout.RecfGuard)
	b.call(sh, "close", 1_000_200, 1, 0, 3)
	// a child that becomes ls
	b.call(ls, "clone", 2_000_010, -1, 0)
	b.call(sh, "clone", 1_999_900, 150, 7)
	b.enter(ls, "execve", 2_100_000, 0x1000, "/bin/ls", 0x2000, []string{"ls", "-l"}, 0x3000, count(23))
	b.rename(ls, 2_100_300, "ls")
	b.exec(ls, ls, 2_100_310, "/bin/ls", "ls\x00-l\x00")
	b.call(ls, "execve", 2_100_000, 400, 0)
	b.enter(ls, "execve", 2_200_000, 0x1000, "/nowhere", 0x2000, []string{"x"}, 0x3000, count(1))
	b.call(ls, "execve", 2_200_000, 40, -2, 0x1000, "/nowhere", 0x2000, []string{"x"}, 0x3000, count(1))
	b.call(ls, "write", 2_500_000, 9, 6, 1, 0x5000, data("hello\n"), 6)
	b.enter(ls, "exit_group", 2_599_000, 3)
	b.exit(ls, ls, 2_600_000, 3<<8, true, "exit_group", 2_599_000)
	b.signal(sh, 2_600_050, 17, 1)
	b.call(5555, "getpid", 3_000_000, 1, 42) // nobody knows this thread
	// the id 1001 again
	b.call(ls, "getpid", 4_100_000, 1, 9)
	b.enter(ls, "execve", 4_200_000, 0x1000, "/bin/again", 0x2000, []string{"again"}, 0x3000, count(0))
	b.exec(ls, ls, 4_200_100, "/bin/again", "again\x00")
	b.call(ls, "execve", 4_200_000, 200, 0)
	// a thread that does not lead executes; the leader dies in a read
	b.enter(worker, "execve", 5_100_000, 0x1000, "/bin/true", 0x2000, []string{"true"}, 0x3000, count(0))
	b.exit(leader, leader, 5_100_100, 0, false, "read", 5_000_000)
	b.exec(leader, worker, 5_100_200, "/bin/true", "true\x00")
	b.call(leader, "execve", 5_100_000, 300, 0)
	b.call(leader, "getpid", 5_200_000, 1, 11)
	// an execve that never ended
	b.enter(sh, "execve", 8_000_000, 0x1000, "/bin/never", 0x2000, []string{"never"}, 0x3000, count(0))

	b.lane = dump.FrameProgress
	b.enter(leader, "read", 6_500_000, 0, 0x7ffc0000, 4096)
	b.enter(sh, "openat", 9_000_000, atCwd, 0x7000, "/mnt/hangs", 0)
	b.enter(ls, "getpid", 4_100_000) // came back between the looks at tasks and ring
	return b.done()
}
