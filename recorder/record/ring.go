package record

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/recorderd/recorderd/recorder/layout"
)

// Ring is a container's ring in memory, while the kernel may be writing to it.
// It holds no state of its own: any number of readers can look at one ring.
type Ring struct {
	mem  []byte
	base [layout.Lanes]uint64
	size [layout.Lanes]uint64
}

// NewRing looks at mem as a ring whose lanes have these sizes in bytes (powers of
// two). mem must be 8-byte aligned and stay mapped.
func NewRing(mem []byte, size [layout.Lanes]uint64) (*Ring, error) {
	r := &Ring{mem: mem, size: size}
	at := uint64(layout.RingHeader)
	for i, n := range size {
		if n == 0 || n&(n-1) != 0 || n > layout.RingMax {
			return nil, fmt.Errorf("%w: lane %d of %d bytes", ErrInvalid, i, n)
		}
		r.base[i] = at
		at += n + layout.RingTail
	}
	if uint64(len(mem)) < at {
		return nil, fmt.Errorf("%w: a ring of %d bytes, want %d", ErrShort, len(mem), at)
	}
	if uintptr(unsafe.Pointer(unsafe.SliceData(mem)))%8 != 0 {
		return nil, fmt.Errorf("%w: a ring at an odd address", ErrInvalid)
	}
	return r, nil
}

// Head is the ring's first page. The kernel changes its counters: load them
// atomically.
func (r *Ring) Head() *layout.RingHead {
	return (*layout.RingHead)(unsafe.Pointer(unsafe.SliceData(r.mem)))
}

// Mark is a place in a lane: everything before it has been seen.
type Mark struct {
	pos uint64 // position / 8, mod 2^HeadPosBits
	seq uint64 // records written before it, all of them
	set bool
}

// Snapshot is what a lane held at a moment, copied out of it.
type Snapshot struct {
	// Records are whole records in the order in which they were written, as
	// Append writes them and Next takes them apart.
	Records []byte
	// Written counts all records ever written up to the moment, or since the
	// Mark that the snapshot began at. Kept of them are in Records. Unfinished is
	// how many gaps there were: of records that were reserved but not written yet.
	// Overwritten is the rest.
	Written, Kept, Unfinished, Overwritten uint64
	// Late counts writers, ever, that were held up for a whole turn of the ring
	// and scribbled over newer records. Damaged of those were found, and are not in
	// Records.
	Late, Damaged uint64
	// End is where the next snapshot can go on.
	End Mark
}

const (
	posMask = 1<<layout.HeadPosBits - 1
	seqMask = 1<<layout.HeadSeqBits - 1
	// patience is how long a snapshot waits, all in all, for records that are
	// just being written. A writer takes some 100 ns, unless its CPU is taken away.
	patience = 5 * time.Millisecond
)

// Snapshot copies what a lane holds, from the mark on (zero: from its oldest
// record). The kernel goes on writing meanwhile. grace must wait until all programs
// that run when it is called have ended (bpf.Kernel.Grace); with it, no record
// that was damaged by a writer slower than a whole turn of the ring is believed.
// buf is reused for the records.
//
// A record is believed if its stamp names its own position, if no later write can
// have reached it before it was copied, and if no late writer hit it.
func (r *Ring) Snapshot(id layout.LaneId, from Mark, grace func() error, buf []byte) (Snapshot, error) {
	if id >= layout.Lanes {
		return Snapshot{}, fmt.Errorf("%w: lane %d", ErrInvalid, id)
	}
	lane := &r.Head().Lane[id]
	units := r.size[id] / 8
	first := atomic.LoadUint64(&lane.Head)
	end := first >> layout.HeadSeqBits

	start := r.oldest(lane, end, units)
	if from.set {
		// Between a mark and the head lie less than 2^39 units, or the mark is lost.
		if ahead := (end - from.pos) & posMask; ahead <= units {
			start = from.pos
		}
	}
	// A mark is where a record begins, and so is 0 in a ring that has not gone round.
	synced := start == 0 && end <= units || from.set && start == from.pos
	recs := r.walk(id, start, end, synced, buf[:0])

	second := atomic.LoadUint64(&lane.Head)
	if err := grace(); err != nil {
		return Snapshot{}, err
	}
	written, err := r.count(lane, first, second, grace)
	if err != nil {
		return Snapshot{}, err
	}
	recs.dropBefore((second>>layout.HeadSeqBits-units)&posMask, end)
	before := len(recs.at)
	late := r.dropLate(id, &recs, end)

	s := Snapshot{Records: recs.bytes(), Kept: uint64(len(recs.at)), Unfinished: uint64(len(recs.holes)), Late: late, Damaged: uint64(before - len(recs.at))}
	s.Written = written
	s.End = Mark{pos: end, seq: written, set: true}
	if from.set {
		s.Written -= min(from.seq, written)
	}
	s.Overwritten = s.Written - min(s.Written, s.Kept+s.Unfinished)
	return s, nil
}

// oldest is where the oldest record can begin.
func (r *Ring) oldest(lane *layout.Lane, end, units uint64) uint64 {
	if end <= units && atomic.LoadUint64(&lane.Epochs) == 0 {
		return 0
	}
	return (end - units) & posMask
}

// found is what a walk copied: the records in one row, and where each stood.
type found struct {
	buf   []byte
	at    []place
	from  int      // bytes of buf that are dropped
	holes []uint64 // positions at which a record should have begun
}

type place struct {
	pos uint64
	off int // in buf
	len int
}

func (f *found) bytes() []byte { return f.buf[f.from:] }

// walk copies the records between start and end, both positions / 8.
// synced: a record begins at start.
func (r *Ring) walk(id layout.LaneId, start, end uint64, synced bool, buf []byte) found {
	f := found{buf: buf}
	base, mask := r.base[id], r.size[id]-1
	cookie := r.Head().Cookie
	left := (end - start) & posMask
	waited := false
	deadline := time.Time{}
	hole, holeAt := uint64(0), uint64(0)
	for left > 0 {
		pos := (end - left) & posMask
		off := base + pos*8&mask
		word := (*uint64)(unsafe.Pointer(&r.mem[off]))
		meta := atomic.LoadUint64(word) ^ cookie
		n := metaLen(meta)
		if meta>>layout.HeadSeqBits != pos || n < layout.RecHead || uint64(n/8) > left {
			// Not a record's beginning: the rest of one that was overwritten
			// (before the first), one that is being written, or the 8 bytes
			// that a wrap of the count leaves.
			if synced && hole == 0 {
				if !waited {
					waited, deadline = true, time.Now().Add(patience)
				}
				if r.spin(id, word, cookie, pos, deadline) {
					continue
				}
				holeAt = pos
			}
			hole++
			left--
			continue
		}
		if synced && hole >= layout.RecHead/8 {
			f.holes = append(f.holes, holeAt)
		}
		synced, hole = true, 0
		at := len(f.buf)
		f.buf = append(f.buf, r.mem[off:off+uint64(n)]...)
		binary.LittleEndian.PutUint64(f.buf[at:], meta&seqMask)
		f.at = append(f.at, place{pos, at, n})
		left -= uint64(n / 8)
	}
	if synced && hole >= layout.RecHead/8 {
		f.holes = append(f.holes, holeAt)
	}
	return f
}

// spin waits for the stamp of the record at pos, and says whether it came. It does
// not wait for one that has been overwritten meanwhile.
func (r *Ring) spin(id layout.LaneId, word *uint64, cookie, pos uint64, deadline time.Time) bool {
	head, units := &r.Head().Lane[id].Head, r.size[id]/8
	for i := 0; ; i++ {
		if (atomic.LoadUint64(word)^cookie)>>layout.HeadSeqBits == pos {
			return true
		}
		if (atomic.LoadUint64(head)>>layout.HeadSeqBits-pos)&posMask > units {
			return false
		}
		if i < 200 {
			continue
		}
		if !time.Now().Before(deadline) {
			return false
		}
		time.Sleep(20 * time.Microsecond)
	}
}

// dropBefore drops the records that begin before limit: newer ones may have
// reached them while they were copied. Positions are compared by their distance to end.
func (f *found) dropBefore(limit, end uint64) {
	ahead := (end - limit) & posMask
	if ahead > posMask/2 {
		// More than a whole turn was written: limit lies behind end.
		ahead = 0
	}
	f.holes = slices.DeleteFunc(f.holes, func(pos uint64) bool { return (end-pos)&posMask > ahead })
	n := 0
	for n < len(f.at) && (end-f.at[n].pos)&posMask > ahead {
		n++
	}
	if n > 0 {
		last := f.at[n-1]
		f.from = last.off + last.len
		f.at = f.at[n:]
	}
}

// dropLate drops the records that late writers hit, and returns how many late
// writers there ever were.
func (r *Ring) dropLate(id layout.LaneId, f *found, end uint64) uint64 {
	lane := &r.Head().Lane[id]
	lates := atomic.LoadUint64(&lane.Lates)
	if lates == 0 {
		return 0
	}
	mask := r.size[id] - 1
	type hit struct{ from, to, head uint64 } // bytes in the lane; distance of head to end
	var hits []hit
	forgotten := uint64(0) // distance to end up to which older late writers may have hit
	for i := range min(lates, layout.Lates) {
		l := &lane.Late[i]
		from := atomic.LoadUint64(&l.Pos) * 8 & mask
		head := (end - atomic.LoadUint64(&l.Head)) & posMask
		if head > posMask/2 {
			head = 0
		}
		hits = append(hits, hit{from, from + min(atomic.LoadUint64(&l.Len), layout.RecMax), head})
		forgotten = max(forgotten, head)
	}
	if lates <= layout.Lates {
		forgotten = posMask
	}
	kept, out := f.at[:0], f.buf[:f.from]
	for _, p := range f.at {
		begin := p.pos * 8 & mask
		stop := begin + uint64(p.len)
		dist := (end - p.pos) & posMask
		bad := dist > forgotten
		for _, h := range hits {
			// It hit what was written before it noticed, one turn of the ring back.
			if dist >= h.head && begin < h.to && h.from < stop {
				bad = true
			}
		}
		if bad {
			continue
		}
		p.off, out = len(out), append(out, f.buf[p.off:p.off+p.len]...)
		kept = append(kept, p)
	}
	f.at, f.buf = kept, out
	return lates
}

// count returns how many records had ever been written when the head was `first`.
// second is a later head, read before the grace period that has just passed.
//
// A writer that wraps the count adds to Epochs after it has moved the head, so the
// two agree only if no writer is between them: after a grace period, if
// the count did not wrap meanwhile.
func (r *Ring) count(lane *layout.Lane, first, second uint64, grace func() error) (uint64, error) {
	wraps := uint64(0)
	if second&seqMask < first&seqMask {
		wraps = 1
	}
	for range 10 {
		epochs := atomic.LoadUint64(&lane.Epochs)
		now := atomic.LoadUint64(&lane.Head)
		if now&seqMask >= second&seqMask {
			return (epochs-min(wraps, epochs))<<layout.HeadSeqBits + first&seqMask, nil
		}
		wraps++
		second = now
		if err := grace(); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("count records: they wrapped their counter ten times in a row")
}

// Written returns how many records a lane has seen, without waiting for writers:
// for a moment after each 2^24 records it may be 2^24 too low.
func (r *Ring) Written(id layout.LaneId) uint64 {
	lane := &r.Head().Lane[id]
	for {
		epochs := atomic.LoadUint64(&lane.Epochs)
		head := atomic.LoadUint64(&lane.Head)
		if epochs == atomic.LoadUint64(&lane.Epochs) {
			return epochs<<layout.HeadSeqBits + head&seqMask
		}
	}
}

// Bytes returns how many bytes the records of a lane took, modulo 2^43 (8 TiB).
func (r *Ring) Bytes(id layout.LaneId) uint64 {
	return atomic.LoadUint64(&r.Head().Lane[id].Head) >> layout.HeadSeqBits * 8
}

// Extent says how much a lane holds, about: it is read without stopping the clock.
type Extent struct {
	Records  uint64
	From, To uint64 // time of the first and the last record, ns on CLOCK_MONOTONIC
}

// Scan walks over a lane's stamps and copies nothing: some 0.1 ms for each MiB. What
// it counts may be overwritten meanwhile; Snapshot is exact.
func (r *Ring) Scan(id layout.LaneId) Extent {
	var e Extent
	lane := &r.Head().Lane[id]
	base, mask, units := r.base[id], r.size[id]-1, r.size[id]/8
	cookie := r.Head().Cookie
	end := atomic.LoadUint64(&lane.Head) >> layout.HeadSeqBits
	for left := (end - r.oldest(lane, end, units)) & posMask; left > 0; {
		pos := (end - left) & posMask
		off := base + pos*8&mask
		meta := atomic.LoadUint64((*uint64)(unsafe.Pointer(&r.mem[off]))) ^ cookie
		n := uint64(metaLen(meta))
		if meta>>layout.HeadSeqBits != pos || n < layout.RecHead || n/8 > left {
			left--
			continue
		}
		e.Records++
		e.To = atomic.LoadUint64((*uint64)(unsafe.Pointer(&r.mem[off+8])))
		if e.From == 0 {
			e.From = e.To
		}
		left -= n / 8
	}
	return e
}
