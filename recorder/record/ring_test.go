package record

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/recorderd/recorderd/recorder/layout"
)

const testMain = 16 << 10

func testGeometry() Geometry { return NewGeometry(testMain, 32<<10, 16<<10) }

// simRing is a ring and a writer that does what commit in recorder.bpf.c does.
type simRing struct {
	mem  []byte
	ring *Ring
}

func newSim(t testing.TB) *simRing {
	t.Helper()
	geo := testGeometry()
	mem := aligned(geo.Bytes())
	geo.Note((*layout.RingHead)(unsafe.Pointer(unsafe.SliceData(mem))))
	r, err := NewRing(mem)
	if err != nil {
		t.Fatal(err)
	}
	r.Head().Cookie = 0x0123456789abcdef
	return &simRing{mem, r}
}

// aligned is memory as a mapping has it.
func aligned(n uint64) []byte {
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), n)
}

// reserve is the atomic add; store is what follows it.
func (s *simRing) reserve(raw []byte) uint64 {
	lane := &s.ring.Head().Main
	old := lane.Head
	lane.Head += uint64(len(raw)/8)<<layout.HeadSeqBits + 1
	if old&seqMask == seqMask {
		lane.Epochs++
	}
	return old >> layout.HeadSeqBits
}

func (s *simRing) store(pos uint64, raw []byte) {
	off := s.ring.main.base + pos*8&(testMain-1)
	copy(s.mem[off+8:], raw[8:])
	stamp := pos<<layout.HeadSeqBits | binary.LittleEndian.Uint64(raw)
	binary.LittleEndian.PutUint64(s.mem[off:], stamp^s.ring.Head().Cookie)
	lane := &s.ring.Head().Main
	now := lane.Head >> layout.HeadSeqBits
	if (now-pos)&posMask > testMain/8 {
		lane.Late[lane.Lates%layout.Lates] = layout.Late{Pos: pos, Len: uint64(len(raw)), Head: now}
		lane.Lates++
	}
}

func (s *simRing) write(raw []byte) { s.store(s.reserve(raw), raw) }

func numbered(n uint64, size int) []byte {
	return Append(nil, &Record{
		Type: layout.RecCall, Time: n + 1, Tid: uint32(n), Args: [6]uint64{n, ^n},
		Items: []Item{{Kind: layout.ItemMem, Data: make([]byte, size)}},
	})
}

func noGrace() error { return nil }

// numbers takes a snapshot apart, and fails if a record is not what numbered made.
func numbers(t *testing.T, s Snapshot) []uint64 {
	t.Helper()
	var out []uint64
	for rest := s.Records; len(rest) > 0; {
		raw, next, err := Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		rest = next
		var rec Record
		if err := Parse(raw, &rec); err != nil {
			t.Fatal(err)
		}
		if rec.Args[1] != ^rec.Args[0] || rec.Time != rec.Args[0]+1 {
			t.Fatalf("a torn record was believed: %+v", rec)
		}
		out = append(out, rec.Args[0])
	}
	if uint64(len(out)) != s.Kept || s.Written != s.Kept+s.Overwritten+s.Unfinished+s.Damaged {
		t.Fatalf("the counts disagree: %d records; written %d, kept %d, overwritten %d, unfinished %d, damaged %d", len(out), s.Written, s.Kept, s.Overwritten, s.Unfinished, s.Damaged)
	}
	return out
}

// The newest records are kept, without a gap, and the rest is counted exactly,
// wherever in a turn the ring is.
func TestSnapshotOfAWrappedRing(t *testing.T) {
	s := newSim(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := uint64(0); n < 5000; n++ {
		s.write(numbered(n, rnd.IntN(600)))
		if n%7 != 0 {
			continue
		}
		snap, err := s.ring.Snapshot(Mark{}, noGrace, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := numbers(t, snap)
		if len(got) == 0 || got[len(got)-1] != n || snap.Written != n+1 {
			t.Fatalf("after %d records the snapshot ends with %v, written %d", n+1, got[max(0, len(got)-1):], snap.Written)
		}
		for i := range got[1:] {
			if got[i+1] != got[i]+1 {
				t.Fatalf("%d follows %d", got[i+1], got[i])
			}
		}
		if snap.Overwritten != got[0] {
			t.Fatalf("the oldest record is number %d, but %d are counted as overwritten", got[0], snap.Overwritten)
		}
	}
}

// The count of records and the position wrap; both go on being right.
func TestSnapshotAcrossTheCountersWrap(t *testing.T) {
	s := newSim(t)
	lane := &s.ring.Head().Main
	lane.Head = uint64(posMask-2000)<<layout.HeadSeqBits | (seqMask - 100)
	lane.Epochs = 7
	before := 7<<layout.HeadSeqBits + uint64(seqMask) - 100
	for n := uint64(0); n < 1000; n++ {
		s.write(numbered(n, 16))
		snap, err := s.ring.Snapshot(Mark{}, noGrace, nil)
		if err != nil {
			t.Fatal(err)
		}
		if snap.Written != before+n+1 {
			t.Fatalf("after record %d: %d were written, want %d", n, snap.Written, before+n+1)
		}
		got := numbers(t, Snapshot{Records: snap.Records, Kept: snap.Kept, Written: snap.Kept})
		if want := min(n+1, 100); uint64(len(got)) < want || got[len(got)-1] != n {
			t.Fatalf("after record %d: kept %d", n, len(got))
		}
	}
}

// A record that is reserved and not written shows as unfinished, and what follows it is kept.
func TestUnfinishedRecord(t *testing.T) {
	s := newSim(t)
	for n := range uint64(10) {
		s.write(numbered(n, 16))
	}
	held := numbered(10, 16)
	pos := s.reserve(held)
	for n := range uint64(5) {
		s.write(numbered(11+n, 16))
	}
	snap, err := s.ring.Snapshot(Mark{}, noGrace, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := numbers(t, snap); len(got) != 15 || snap.Unfinished != 1 || snap.Overwritten != 0 {
		t.Errorf("%d records, %d unfinished, %d overwritten", len(got), snap.Unfinished, snap.Overwritten)
	}
	s.store(pos, held)
	snap, _ = s.ring.Snapshot(Mark{}, noGrace, nil)
	if got := numbers(t, snap); len(got) != 16 || snap.Unfinished != 0 {
		t.Errorf("after it was written: %d records, %d unfinished", len(got), snap.Unfinished)
	}
}

// A writer that is late by a turn scribbles over newer records. It must not be
// believed, nor what it hit.
func TestLateWriter(t *testing.T) {
	for _, late := range []int{60, 900, 3000} {
		s := newSim(t)
		held := numbered(1<<40, late)
		pos := s.reserve(held)
		n := uint64(0)
		for ; n < 300; n++ {
			s.write(numbered(n, 40))
		}
		for i := range held[8:] {
			held[8+i] = 0xee
		}
		s.store(pos, held)
		for ; n < 310; n++ {
			s.write(numbered(n, 40))
		}
		snap, err := s.ring.Snapshot(Mark{}, noGrace, nil)
		if err != nil {
			t.Fatal(err)
		}
		var rec Record
		seen := map[uint64]bool{}
		for rest := snap.Records; len(rest) > 0; {
			var raw []byte
			if raw, rest, err = Next(rest); err != nil {
				t.Fatal(err)
			}
			if err := Parse(raw, &rec); err != nil || rec.Args[1] != ^rec.Args[0] || rec.Args[0] > 310 {
				t.Fatalf("late by %d: a record that was scribbled over is believed: %+v, %v", late, rec, err)
			}
			for _, b := range rec.Items[0].Data {
				if b != 0 {
					t.Fatalf("late by %d: contents that were scribbled over are believed", late)
				}
			}
			seen[rec.Args[0]] = true
		}
		for n := uint64(300); n < 310; n++ {
			if !seen[n] {
				t.Errorf("late by %d: record %d, written after it, is missing", late, n)
			}
		}
		if snap.Late != 1 || snap.Damaged+snap.Unfinished == 0 {
			t.Errorf("late by %d: late %d, damaged %d, unfinished %d, kept %d", late, snap.Late, snap.Damaged, snap.Unfinished, snap.Kept)
		}
	}
}

// What was written while a snapshot was copied is not half there.
func TestOverwrittenWhileCopied(t *testing.T) {
	s := newSim(t)
	n := uint64(0)
	for ; n < 400; n++ {
		s.write(numbered(n, 64))
	}
	grace := func() error { // stands for the time that copying takes
		for i := uint64(0); i < 50; i++ {
			s.write(numbered(n+i, 64))
		}
		n += 50
		return nil
	}
	// The head is read for the second time before the grace period: write there.
	lane := &s.ring.Head().Main
	recs := s.ring.main.walk((lane.Head>>layout.HeadSeqBits-testMain/8)&posMask, lane.Head>>layout.HeadSeqBits, false, 0, nil)
	all := recs.n
	end := lane.Head >> layout.HeadSeqBits
	grace()
	recs.dropBefore((lane.Head>>layout.HeadSeqBits-testMain/8)&posMask, end)
	if dropped := all - recs.n; dropped < 50 || dropped > 52 {
		t.Errorf("50 records were written over, %d were dropped", dropped)
	}
}

// A mark lets a reader go on where it was, and says what it missed.
func TestFollow(t *testing.T) {
	s := newSim(t)
	var mark Mark
	var next uint64
	n := uint64(0)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		for range rnd.IntN(400) {
			s.write(numbered(n, 16))
			n++
		}
		snap, err := s.ring.Snapshot(mark, noGrace, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := numbers(t, snap)
		next += snap.Overwritten
		for _, g := range got {
			if g != next {
				t.Fatalf("got record %d, want %d", g, next)
			}
			next++
		}
		if next != n {
			t.Fatalf("read up to %d of %d", next, n)
		}
		mark = snap.End
	}
}

// TestParts reads a ring in pieces, sometimes slower than it is written.
func TestParts(t *testing.T) {
	s := newSim(t)
	var marks Marks
	var next, lost, n uint64
	rnd := rand.New(rand.NewPCG(5, 6))
	buf := make([]byte, 0, testMain)
	for round := range 600 {
		for range rnd.IntN(60) {
			s.write(numbered(n, 16))
			n++
		}
		for {
			c, err := s.ring.Part(marks, 300, noGrace, buf, layout.RoleMain)
			if err != nil {
				t.Fatal(err)
			}
			snap := c.Main
			if len(snap.Records) > 300+layout.RecMax || cap(snap.Records) > cap(buf) {
				t.Fatalf("%d bytes in a part, in a buffer of %d", len(snap.Records), cap(snap.Records))
			}
			lost += snap.Overwritten
			for _, g := range numbers(t, snap) {
				if g < next {
					t.Fatalf("record %d came again", g)
				}
				if g != next && snap.Overwritten == 0 {
					t.Fatalf("record %d is missing, and it is not said", next)
				}
				next = g + 1
			}
			marks = c.End
			if !snap.More || rnd.IntN(4) > 0 && round%100 < 99 {
				break
			}
		}
	}
	got := n - lost
	if next != n || lost == 0 || got == 0 {
		t.Errorf("read up to %d of %d, %d lost", next, n, lost)
	}
	all, err := s.ring.Snapshot(Mark{}, noGrace, buf)
	if err != nil || &all.Records[0] != &buf[:1][0] || all.Written != n {
		t.Errorf("a buffer that is large enough is not used: %v, %d written of %d", err, all.Written, n)
	}
}

func TestNewRingRefuses(t *testing.T) {
	good := func() []byte { return newSim(t).mem }
	change := func(do func(h *layout.RingHead)) []byte {
		mem := good()
		do((*layout.RingHead)(unsafe.Pointer(unsafe.SliceData(mem))))
		return mem
	}
	err := func(h *layout.RingHead) *layout.LaneGroup { return &h.Group[layout.LaneErr] }
	for name, c := range map[string]struct {
		mem  []byte
		want error
	}{
		"short":                          {good()[:layout.RingHeader-8], ErrShort},
		"cut":                            {good()[:testGeometry().Bytes()-8], ErrShort},
		"at an odd address":              {aligned(1 << 20)[1:], ErrInvalid},
		"of a later geometry":            {change(func(h *layout.RingHead) { h.Geometry++ }), ErrNewer},
		"with records of a later layout": {change(func(h *layout.RingHead) { h.Records++ }), ErrNewer},
		"without a main lane":            {change(func(h *layout.RingHead) { h.Group[layout.LaneMain].Lanes = 0 }), ErrInvalid},
		"odd size":                       {change(func(h *layout.RingHead) { err(h).Size = 3000 }), ErrInvalid},
		"no size":                        {change(func(h *layout.RingHead) { err(h).Size = 0 }), ErrInvalid},
		"too large":                      {change(func(h *layout.RingHead) { err(h).Size = 1 << 30 }), ErrInvalid},
		"lanes in the header":            {change(func(h *layout.RingHead) { err(h).At = 64 }), ErrInvalid},
		"lanes behind the end":           {change(func(h *layout.RingHead) { err(h).Lanes = 60; err(h).Size = 1 << 20; err(h).State = 64 }), ErrShort},
		"states behind the header":       {change(func(h *layout.RingHead) { err(h).State = layout.RingHeader - 8 }), ErrInvalid},
		"states that overlap":            {change(func(h *layout.RingHead) { err(h).Stride = 8 }), ErrInvalid},
		"more notes than have room":      {change(func(h *layout.RingHead) { err(h).Notes = 400 }), ErrInvalid},
	} {
		if _, err := NewRing(c.mem); !errors.Is(err, c.want) {
			t.Errorf("a ring %s: %v, want %v", name, err, c.want)
		}
	}
}

// Whatever stands in a ring, a reader ends, and what it returns can be taken apart.
func FuzzSnapshot(f *testing.F) {
	f.Add(uint64(0), uint64(0), []byte{})
	f.Add(uint64(500)<<24|7, uint64(3), []byte("forged"))
	f.Fuzz(func(t *testing.T, head, seed uint64, stuff []byte) {
		s := newSim(t)
		rnd := rand.New(rand.NewPCG(seed, 1))
		for i := layout.RingHeader; i+8 <= len(s.mem); i += 8 {
			binary.LittleEndian.PutUint64(s.mem[i:], rnd.Uint64())
		}
		for n := range seed % 300 {
			s.write(numbered(n, int(n%90)))
		}
		copy(s.mem[s.ring.main.base+rnd.Uint64N(8<<10):], stuff)
		lane := &s.ring.Head().Main
		lane.Head += head
		lane.Lates, lane.Late[0] = seed%7, layout.Late{Pos: seed, Len: head, Head: seed * head}
		snap, err := s.ring.Snapshot(Mark{}, noGrace, nil)
		if err != nil {
			return // the count wrapped again and again: only in a made-up ring
		}
		var rec Record
		for rest := snap.Records; len(rest) > 0; {
			var raw []byte
			if raw, rest, err = Next(rest); err != nil {
				t.Fatal(err)
			}
			Parse(raw, &rec)
		}
	})
}

// A record comes back as it was, whatever its values.
func FuzzParse(f *testing.F) {
	f.Add(Append(nil, &Record{Type: layout.RecCall, Ret: -2, Dur: 1 << 40, Args: [6]uint64{1, 0, 1 << 63}, Items: []Item{{Arg: 1, Kind: layout.ItemStr, Data: []byte("/etc/hostname")}}}))
	f.Add(numbered(7, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		var rec, again Record
		if Parse(b, &rec) != nil {
			return
		}
		raw := Append(nil, &rec)
		if err := Parse(raw, &again); err != nil {
			t.Fatalf("what Append wrote is refused: %v", err)
		}
		if again.Ret != rec.Ret || again.Args != rec.Args || again.Dur != rec.Dur || again.Tid != rec.Tid || again.Type != rec.Type {
			t.Fatalf("%+v came back as %+v", rec, again)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	s := newSim(b)
	for n := range uint64(5000) {
		s.write(numbered(n, 16))
	}
	for b.Loop() {
		if e := s.ring.Scan(); e.To != 5000 || e.Records < 200 {
			b.Fatal(e)
		}
	}
	b.SetBytes(testMain)
}

func BenchmarkSnapshot(b *testing.B) {
	s := newSim(b)
	for n := range uint64(5000) {
		s.write(numbered(n, 16))
	}
	var buf []byte
	var bytes int64
	for b.Loop() {
		snap, err := s.ring.Snapshot(Mark{}, noGrace, buf)
		if err != nil {
			b.Fatal(err)
		}
		buf = snap.Records
		bytes = int64(len(buf))
	}
	b.SetBytes(bytes)
	_ = atomic.LoadUint64(&s.ring.Head().Cookie)
}
