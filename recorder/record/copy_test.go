package record

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"unsafe"

	"github.com/recorderd/recorderd/recorder/layout"
)

// reserveIn and storeIn do what keep_in in recorder.bpf.c does.
func (s *simRing) reserveIn(lane int, raw []byte) uint64 {
	l := &s.ring.Head().Small[lane]
	old := l.Head
	l.Head += uint64(len(raw)/8)<<layout.HeadSeqBits + 1
	return old >> layout.HeadSeqBits
}

func (s *simRing) storeIn(lane int, pos uint64, raw []byte) {
	g := s.ring.Head().Group[layout.LaneFail]
	if lane < layout.SmallFail {
		g = s.ring.Head().Group[layout.LaneFirst+layout.LaneKind(lane)]
	}
	base, size := int(g.At), int(g.Size)
	base += max(lane-layout.SmallFail, 0) * size
	put := func(from int, b []byte) {
		at := (int(pos)*8 + from) % size
		n := copy(s.mem[base+at:base+size], b)
		copy(s.mem[base:], b[n:])
	}
	put(8, raw[8:])
	h := s.ring.Head()
	put(0, binary.LittleEndian.AppendUint64(nil, (pos<<layout.HeadSeqBits|binary.LittleEndian.Uint64(raw))^h.Cookie))
	l := &h.Small[lane]
	if now := l.Head >> layout.HeadSeqBits; now-pos > uint64(size)/8 {
		if l.Late.Head = max(l.Late.Head, now); l.Lates == 0 {
			l.Late.Pos, l.Late.Len = pos, uint64(len(raw))
		}
		l.Lates++
	}
}

func small(kind layout.LaneKind) int { return int(kind - layout.LaneFirst) }

func (s *simRing) keepIn(kind layout.LaneKind, raw []byte) {
	s.storeIn(small(kind), s.reserveIn(small(kind), raw), raw)
}

// TestCopyMerges catches records of several lanes that are not in the order of their times, stand
// twice, are miscounted, or are torn where a lane ends.
func TestCopyMerges(t *testing.T) {
	s := newSim(t)
	rnd := rand.New(rand.NewPCG(5, 6))
	kinds := []layout.LaneKind{layout.LaneErr, layout.LaneExec, layout.LaneCrash}
	wrote := map[layout.LaneKind]uint64{}
	all := uint64(0)
	for ; all < 3000; all++ {
		// The loud one of these kinds is loud for a while.
		kind := kinds[all/500%3]
		if rnd.IntN(20) == 0 {
			kind = kinds[rnd.IntN(3)]
		}
		raw := numbered(all, rnd.IntN(300))
		if all < 10 {
			s.keepIn(layout.LaneFirst, raw)
			continue
		}
		wrote[kind]++
		s.keepIn(layout.LaneRecent, raw)
		s.keepIn(kind, raw)
	}
	s.keepIn(layout.LaneProc, numbered(1, 88))
	s.write(numbered(2, 8))
	c, err := s.ring.Copy(nil, noGrace, layout.RoleMain, layout.RoleGuard, layout.RoleTasks)
	if err != nil {
		t.Fatal(err)
	}
	if c.Main.Kept != 1 || c.Tasks.Kept != 1 || c.Tasks.Written != 1 {
		t.Errorf("main %+v, tasks %+v", c.Main, c.Tasks)
	}
	got := numbers(t, Snapshot{Records: c.Guard.Records, Kept: c.Guard.Kept, Written: c.Guard.Kept})
	there := map[uint64]bool{}
	for i, n := range got {
		if i > 0 && n <= got[i-1] {
			t.Fatalf("%d follows %d", n, got[i-1])
		}
		there[n] = true
	}
	for n := range uint64(10) {
		if !there[n] {
			t.Errorf("%d of the first is missing", n)
		}
	}
	if c.Guard.Written != all || !there[all-1] {
		t.Errorf("%d were written, want %d; the newest is there: %v", c.Guard.Written, all, there[all-1])
	}
	for _, l := range c.Guard.Lanes {
		if n, ok := wrote[l.Kind]; ok && (l.Written != n || l.Kept == 0 || l.Kept >= n || l.Lost != 0 || l.Since == 0) {
			t.Errorf("the lane of kind %d: %+v, want %d written", l.Kind, l, n)
		}
	}
	// Since means what it says: from then on none of the kind is missing. The times are the
	// numbers plus 1, and all are of one of the kinds.
	since := uint64(0)
	for _, l := range c.Guard.Lanes {
		if _, ok := wrote[l.Kind]; ok {
			since = max(since, l.Since)
		}
	}
	for n := since - 1; n < all; n++ {
		if !there[n] {
			t.Fatalf("all are there since %d, but %d is not", since-1, n)
		}
	}

	// What comes later is all that a copy from its marks has.
	s.keepIn(layout.LaneProc, numbered(7, 88))
	again, err := s.ring.Copy(c.End, noGrace, layout.RoleMain, layout.RoleTasks)
	if err != nil {
		t.Fatal(err)
	}
	if got := numbers(t, Snapshot{Records: again.Tasks.Records, Kept: again.Tasks.Kept, Written: again.Tasks.Kept}); len(got) != 1 || got[0] != 7 || again.Main.Kept != 0 {
		t.Errorf("from the marks: tasks %v, main %d", got, again.Main.Kept)
	}
}

// TestPartsOfSmallLanes catches a part that holds more of small lanes than it may, or parts
// that lack something or have it twice, also around a lane's end.
func TestPartsOfSmallLanes(t *testing.T) {
	s := newSim(t)
	kinds := []layout.LaneKind{layout.LaneProc, layout.LaneBad, layout.LaneThread}
	const most = 8 << 10
	var marks Marks
	var n, lost uint64
	seen := map[uint64]bool{}
	rnd := rand.New(rand.NewPCG(9, 8))
	for round := range 400 {
		for range rnd.IntN(20) {
			s.keepIn(kinds[rnd.IntN(3)], numbered(n, 8*rnd.IntN(8)))
			n++
		}
		if round%100 == 50 { // more than a lane holds
			for range 200 {
				s.keepIn(layout.LaneProc, numbered(n, 40))
				n++
			}
		}
		for more := true; more; {
			c, err := s.ring.Part(marks, most, noGrace, nil, layout.RoleTasks)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Tasks.Records) > len(kinds)*(most/16+200) {
				t.Fatalf("%d bytes in a part", len(c.Tasks.Records))
			}
			for _, g := range numbers(t, Snapshot{Records: c.Tasks.Records, Kept: c.Tasks.Kept, Written: c.Tasks.Kept}) {
				if seen[g] {
					t.Fatalf("record %d came again", g)
				}
				seen[g] = true
			}
			lost += c.Tasks.Written - c.Tasks.Kept
			marks, more = c.End, c.Tasks.More
		}
	}
	if lost == 0 || uint64(len(seen))+lost != n {
		t.Errorf("%d of %d came, %d are said to be lost", len(seen), n, lost)
	}
}

// TestLateWriterInALaneThatWraps catches a record that is believed though a late writer ran
// over it, also around the lane's end.
func TestLateWriterInALaneThatWraps(t *testing.T) {
	size := int(newSim(t).ring.Head().Group[layout.LaneExec].Size)
	for start := 0; start < size; start += 104 {
		s := newSim(t)
		lane := small(layout.LaneExec)
		n := uint64(0)
		for filled := 0; filled < start; n++ {
			raw := numbered(n, 60)
			s.keepIn(layout.LaneExec, raw)
			filled += len(raw)
		}
		held := numbered(1<<40, 900)
		pos := s.reserveIn(lane, held)
		for first := n; n < first+200; n++ {
			s.keepIn(layout.LaneExec, numbered(n, 40))
		}
		for i := range held[8:] {
			held[8+i] = 0xee
		}
		s.storeIn(lane, pos, held)
		for range 5 {
			s.keepIn(layout.LaneExec, numbered(n, 40))
			n++
		}
		c, err := s.ring.Copy(nil, noGrace, layout.RoleGuard)
		if err != nil {
			t.Fatal(err)
		}
		var rec Record
		seen := map[uint64]bool{}
		for rest := c.Guard.Records; len(rest) > 0; {
			var raw []byte
			if raw, rest, err = Next(rest); err != nil {
				t.Fatal(err)
			}
			if err := Parse(raw, &rec); err != nil || rec.Args[1] != ^rec.Args[0] || bytes.Count(rec.Items[0].Data, []byte{0}) != len(rec.Items[0].Data) {
				t.Fatalf("from byte %d: a record that was run over is believed: %+v, %v", start, rec, err)
			}
			seen[rec.Args[0]] = true
		}
		// The one that began where the lane's head was then is not believed either.
		for i := n - 4; i < n; i++ {
			if !seen[i] {
				t.Errorf("from byte %d: record %d, written after it, is missing", start, i)
			}
		}
		for _, l := range c.Guard.Lanes {
			if l.Kind == layout.LaneExec && l.Lost == 0 {
				t.Errorf("from byte %d: what was lost is not told: %+v", start, l)
			}
		}
	}
}

// TestGoldenGeometry1 catches a ring of the geometry before this one that is not read, or
// not whole. It was written by the kernel for a shell.
func TestGoldenGeometry1(t *testing.T) {
	f, err := os.Open("testdata/geometry-1.ring.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	mem := aligned(uint64(len(b)))
	copy(mem, b)
	r, err := NewRing(mem)
	if err != nil {
		t.Fatal(err)
	}
	h := r.Head()
	if got := string(h.Path[0][:6]); r.Geometry().Bytes() != uint64(len(b)) || got != "golden" || h.TasksEver != 3 || h.InitExit != 9<<8 {
		t.Errorf("%d bytes of %d, path %q, %d tasks, status %#x", r.Geometry().Bytes(), len(b), got, h.TasksEver, h.InitExit)
	}
	c, err := r.Copy(nil, noGrace, layout.RoleMain, layout.RoleGuard, layout.RoleTasks)
	if err != nil {
		t.Fatal(err)
	}
	if c.Main.Written != 39212 || c.Main.Kept != 1580 || c.Guard.Kept != 138 || c.Guard.Written != 138 || c.Tasks.Kept != 3 {
		t.Errorf("main %d of %d, guard %d of %d, tasks %d", c.Main.Kept, c.Main.Written, c.Guard.Kept, c.Guard.Written, c.Tasks.Kept)
	}
	if e := r.Scan(); e.Records != 1580 || r.Written() != 39212 || r.Guarded() != 138 {
		t.Errorf("a scan finds %d records of %d, %d are guarded", e.Records, r.Written(), r.Guarded())
	}
	var rec Record
	for rest := c.Guard.Records; len(rest) > 0; {
		var raw []byte
		if raw, rest, err = Next(rest); err != nil {
			t.Fatal(err)
		}
		if err := Parse(raw, &rec); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzGeometry catches a header, whatever stands in it, that makes a reader panic or look
// for ever.
func FuzzGeometry(f *testing.F) {
	f.Add(uint32(0), []byte{})
	f.Add(uint32(808+24*6+4), []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(uint32(768), []byte{1, 0, 0, 0, 16, 15, 14})
	f.Fuzz(func(t *testing.T, at uint32, stuff []byte) {
		s := newSim(t)
		for n := range uint64(200) {
			s.keepIn(layout.LaneErr, numbered(n, 30))
			s.write(numbered(n, 30))
		}
		head := unsafe.Slice((*byte)(unsafe.Pointer(s.ring.Head())), layout.RingHeader)
		copy(head[int(at)%len(head):], stuff)
		r, err := NewRing(s.mem)
		if err != nil {
			return
		}
		if c, err := r.Copy(nil, noGrace, layout.RoleMain, layout.RoleGuard, layout.RoleTasks); err == nil {
			for _, rest := range [][]byte{c.Main.Records, c.Guard.Records, c.Tasks.Records} {
				for len(rest) > 0 {
					if _, rest, err = Next(rest); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		r.Scan()
		r.Guarded()
	})
}

// TestFailed catches failed calls that are not counted because they were among the first of their
// kind, those that are counted twice, and others that pass for failed ones.
func TestFailed(t *testing.T) {
	s := newSim(t)
	if n := s.ring.Failed(); n != 0 {
		t.Errorf("%d calls of an empty ring failed", n)
	}
	call := func(ret int64, size int) []byte {
		return Append(nil, &Record{Type: layout.RecCall, Ret: ret, Tid: 1, Items: []Item{{Kind: layout.ItemMem, Data: make([]byte, size)}}})
	}
	for range 3 {
		s.keepIn(layout.LaneFirst, call(-2, 20))
		s.keepIn(layout.LaneFirst, call(7, 20))           // words on stdout
		s.keepIn(layout.LaneFirst, call(-0x7f000000, 20)) // an address
		s.keepIn(layout.LaneFirst, Append(nil, &Record{Type: layout.RecExit, Ret: -2, Tid: 1}))
	}
	for range 10_000 { // turns of the lanes
		for _, kind := range []layout.LaneKind{layout.LaneRecent, layout.LaneFail} {
			s.keepIn(kind, call(-13, 20))
		}
	}
	for _, kind := range []layout.LaneKind{layout.LaneRecent, layout.LaneLong} {
		s.keepIn(kind, call(-13, 3000))
	}
	if n := s.ring.Failed(); n != 3+10_000+1 {
		t.Errorf("%d calls failed, want %d", n, 3+10_000+1)
	}
}
