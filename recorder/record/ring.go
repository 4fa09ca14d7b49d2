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
	mem   []byte
	geo   Geometry
	lanes []lane
	main  *lane
}

// lane is one of a ring's lanes.
type lane struct {
	mem   []byte // the ring
	kind  layout.LaneKind
	role  layout.LaneRole
	base  uint64 // where it begins in the ring
	size  uint64 // in bytes
	room  uint64 // with the tail behind it
	state uint64 // where its state is in the ring
	notes uint64 // how many late writers that has room for
}

// NewRing looks at mem as a ring. Its header says where its lanes are. mem must be 8-byte
// aligned and stay mapped.
func NewRing(mem []byte) (*Ring, error) {
	geo, err := ReadGeometry(mem)
	if err != nil {
		return nil, err
	}
	r := &Ring{mem: mem, geo: geo}
	for _, g := range geo {
		for i := range uint64(g.Lanes) {
			r.lanes = append(r.lanes, lane{
				mem: mem, kind: g.Kind, role: g.Role, base: g.At + i*(g.Size+g.Tail), size: g.Size, room: g.Size + g.Tail,
				state: g.State + i*g.Stride, notes: g.Notes,
			})
		}
	}
	for i := range r.lanes {
		if r.lanes[i].role == layout.RoleMain {
			r.main = &r.lanes[i]
		}
	}
	return r, nil
}

// Head is the ring's first page. The kernel changes its counters: load them
// atomically.
func (r *Ring) Head() *layout.RingHead {
	return (*layout.RingHead)(unsafe.Pointer(unsafe.SliceData(r.mem)))
}

// Geometry says where the ring has its lanes.
func (r *Ring) Geometry() Geometry { return r.geo }

// word is a number in the state of a lane; the kernel changes it.
func (l *lane) word(offset uintptr) *uint64 {
	return (*uint64)(unsafe.Pointer(&l.mem[l.state+uint64(offset)]))
}

func (l *lane) head() uint64 { return atomic.LoadUint64(l.word(unsafe.Offsetof(layout.Lane{}.Head))) }

func (l *lane) epochs() uint64 {
	return atomic.LoadUint64(l.word(unsafe.Offsetof(layout.Lane{}.Epochs)))
}

func (l *lane) lates() uint64 { return atomic.LoadUint64(l.word(unsafe.Offsetof(layout.Lane{}.Lates))) }

// late is what a writer noted that was late.
func (l *lane) late(i uint64) layout.Late {
	at := unsafe.Offsetof(layout.Lane{}.Late) + uintptr(i)*layout.SizeofLate
	return layout.Late{
		Pos:  atomic.LoadUint64(l.word(at + unsafe.Offsetof(layout.Late{}.Pos))),
		Len:  atomic.LoadUint64(l.word(at + unsafe.Offsetof(layout.Late{}.Len))),
		Head: atomic.LoadUint64(l.word(at + unsafe.Offsetof(layout.Late{}.Head))),
	}
}

func (l *lane) cookie() uint64 { return *(*uint64)(unsafe.Pointer(unsafe.SliceData(l.mem))) }

// stamp is where the stamp of a record at a position / 8 is.
func (l *lane) stamp(pos uint64) *uint64 {
	return (*uint64)(unsafe.Pointer(&l.mem[l.base+pos*8&(l.size-1)]))
}

// behind is where the time of a record at a position / 8 is: behind its stamp.
func (l *lane) behind(pos uint64) *uint64 {
	at := pos*8&(l.size-1) + 8
	if at+8 > l.room { // no tail: it goes on at the beginning
		at = 0
	}
	return (*uint64)(unsafe.Pointer(&l.mem[l.base+at]))
}

// appendTo appends the n bytes at a position / 8: in a lane without a tail they may go on at its
// beginning.
func (l *lane) appendTo(buf []byte, pos, n uint64) []byte {
	at := pos * 8 & (l.size - 1)
	first := min(n, l.room-at)
	buf = append(buf, l.mem[l.base+at:l.base+at+first]...)
	return append(buf, l.mem[l.base:l.base+n-first]...)
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
	// End is where the next snapshot can go on. More: there were records behind it.
	End  Mark
	More bool
}

const (
	posMask = 1<<layout.HeadPosBits - 1
	seqMask = 1<<layout.HeadSeqBits - 1
	// patience is how long a snapshot waits, all in all, for records that are
	// just being written. A writer takes some 100 ns, unless its CPU is taken away.
	patience = 5 * time.Millisecond
)

// Snapshot copies what the main lane holds, from the mark on (zero: from its oldest
// record). The kernel goes on writing meanwhile. grace must wait until all programs
// that run when it is called have ended (bpf.Kernel.Grace); with it, no record
// that was damaged by a writer slower than a whole turn of the ring is believed.
// buf is reused for the records.
//
// A record is believed if its stamp names its own position, if no later write can
// have reached it before it was copied, and if no late writer hit it.
//
// A buf of the lane's size does not grow: no more can come.
func (r *Ring) Snapshot(from Mark, grace func() error, buf []byte) (Snapshot, error) {
	began := r.main.begin(from, 0, buf)
	if err := grace(); err != nil {
		return Snapshot{}, err
	}
	return began.finish(grace)
}

// begun is a snapshot of a lane until a grace period has passed.
type begun struct {
	*lane
	from          Mark
	first, second uint64 // the head, before and after
	start         uint64 // position / 8
	passed        uint64 // records and gaps that were copied or stepped over
	recs          found
}

// begin copies what a lane holds, up to the first record that reaches most bytes (0: all).
// Without a buf it makes one that will not grow.
func (l *lane) begin(from Mark, most int, buf []byte) begun {
	units := l.size / 8
	first := l.head()
	end := first >> layout.HeadSeqBits
	start := l.oldest(end)
	if from.set {
		// Between a mark and the head lie less than 2^39 units, or the mark is lost.
		if ahead := (end - from.pos) & posMask; ahead <= units {
			start = from.pos
		}
	}
	// A mark is where a record begins, and so is 0 in a ring that has not gone round.
	synced := start == 0 && end <= units || from.set && start == from.pos
	if room := (end - start) & posMask * 8; buf == nil && room > 0 {
		if most > 0 {
			room = min(room, uint64(most)+layout.RecMax)
		}
		buf = make([]byte, 0, room)
	}
	recs := l.walk(start, end, synced, most, buf[:0])
	return begun{lane: l, from: from, first: first, second: l.head(), start: start, passed: uint64(recs.n + len(recs.holes)), recs: recs}
}

// finish drops what may not be believed. Between begin and it lies a grace period.
func (b *begun) finish(grace func() error) (Snapshot, error) {
	head, units := b.first>>layout.HeadSeqBits, b.size/8
	end := b.recs.to
	written, err := b.count(b.first, b.second, grace)
	if err != nil {
		return Snapshot{}, err
	}
	b.recs.dropBefore((b.second>>layout.HeadSeqBits-units)&posMask, head)
	before := b.recs.n
	late := b.dropLate(&b.recs, head)

	s := Snapshot{
		Records: b.recs.bytes(), Kept: uint64(b.recs.n), Unfinished: uint64(len(b.recs.holes)), Late: late,
		Damaged: uint64(before - b.recs.n), More: end != head,
	}
	switch {
	case !s.More:
	case b.from.set && b.start == b.from.pos:
		written = min(b.from.seq+b.passed, written)
	default: // nobody knows how many were before the first
		written = max(written-min(b.scan(end, head).Records, written), b.from.seq+b.passed)
	}
	s.Written = written
	s.End = Mark{pos: end, seq: written, set: true}
	if b.from.set {
		s.Written -= min(b.from.seq, written)
	}
	s.Overwritten = s.Written - min(s.Written, s.Kept+s.Unfinished)
	return s, nil
}

// oldest is where the oldest record can begin.
func (l *lane) oldest(end uint64) uint64 {
	units := l.size / 8
	if end <= units && l.epochs() == 0 {
		return 0
	}
	return (end - units) & posMask
}

// found is what a walk copied: the records in one row. Until bytes is called each begins
// with its stamp, without the cookie, which says where in the lane it stood.
type found struct {
	buf   []byte
	n     int      // records
	from  int      // bytes of buf that are dropped
	to    uint64   // where the walk ended
	holes []uint64 // positions at which a record should have begun
}

// stamped returns position and length of the record at the beginning of b.
func stamped(b []byte) (pos uint64, n int) {
	stamp := binary.LittleEndian.Uint64(b)
	return stamp >> layout.HeadSeqBits, metaLen(stamp & seqMask)
}

// bytes returns the records with plain meta words in place of stamps. Call it once.
func (f *found) bytes() []byte {
	for off := f.from; off < len(f.buf); {
		_, n := stamped(f.buf[off:])
		binary.LittleEndian.PutUint64(f.buf[off:], binary.LittleEndian.Uint64(f.buf[off:])&seqMask)
		off += n
	}
	return f.buf[f.from:]
}

// walk copies the records between start and end, both positions / 8, up to the first that
// reaches most bytes (0: all). synced: a record begins at start.
func (l *lane) walk(start, end uint64, synced bool, most int, buf []byte) found {
	f := found{buf: buf, to: end}
	cookie := l.cookie()
	left := (end - start) & posMask
	waited := false
	deadline := time.Time{}
	hole, holeAt := uint64(0), uint64(0)
	for left > 0 {
		pos := (end - left) & posMask
		word := l.stamp(pos)
		meta := atomic.LoadUint64(word) ^ cookie
		n := metaLen(meta)
		if meta>>layout.HeadSeqBits != pos || n < layout.RecHead || uint64(n/8) > left || uint64(n) > l.size {
			// Not a record's beginning: the rest of one that was overwritten
			// (before the first), one that is being written, or the 8 bytes
			// that a wrap of the count leaves.
			// One that has come and makes no sense is not waited for.
			if synced && hole == 0 && meta>>layout.HeadSeqBits != pos {
				if !waited {
					waited, deadline = true, time.Now().Add(patience)
				}
				if l.spin(word, cookie, pos, deadline) {
					continue
				}
			}
			if hole == 0 {
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
		f.buf = l.appendTo(f.buf, pos, uint64(n))
		binary.LittleEndian.PutUint64(f.buf[at:], meta)
		f.n++
		left -= uint64(n / 8)
		if most > 0 && len(f.buf) >= most {
			f.to = (end - left) & posMask
			return f
		}
	}
	if synced && hole >= layout.RecHead/8 {
		f.holes = append(f.holes, holeAt)
	}
	return f
}

// spin waits for the stamp of the record at pos, and says whether it came. It does
// not wait for one that has been overwritten meanwhile.
func (l *lane) spin(word *uint64, cookie, pos uint64, deadline time.Time) bool {
	for i := 0; ; i++ {
		if (atomic.LoadUint64(word)^cookie)>>layout.HeadSeqBits == pos {
			return true
		}
		if (l.head()>>layout.HeadSeqBits-pos)&posMask > l.size/8 {
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
	for f.from < len(f.buf) {
		pos, n := stamped(f.buf[f.from:])
		if (end-pos)&posMask <= ahead {
			break
		}
		f.from += n
		f.n--
	}
}

// dropLate drops the records that late writers hit, and returns how many late
// writers there ever were.
func (l *lane) dropLate(f *found, end uint64) uint64 {
	lates := l.lates()
	if lates == 0 {
		return 0
	}
	mask := l.size - 1
	type hit struct{ from, to, head uint64 } // bytes in the lane; distance of head to end
	var hits []hit
	forgotten := uint64(0) // distance to end up to which older late writers may have hit
	for i := range min(lates, l.notes) {
		note := l.late(i)
		from := note.Pos * 8 & mask
		head := (end - note.Head) & posMask
		if head > posMask/2 {
			head = 0
		}
		hits = append(hits, hit{from, from + min(note.Len, layout.RecMax), head})
		forgotten = max(forgotten, head)
	}
	if lates <= l.notes {
		forgotten = posMask
	}
	wraps := l.room == l.size // what runs over the end is at the beginning
	kept, out := 0, f.buf[:f.from]
	for off := f.from; off < len(f.buf); {
		pos, n := stamped(f.buf[off:])
		one := f.buf[off : off+n]
		off += n
		begin := pos * 8 & mask
		stop := begin + uint64(n)
		dist := (end - pos) & posMask
		bad := dist > forgotten
		for _, h := range hits {
			// It hit what was written before it noticed, one turn of the ring back.
			if dist >= h.head && (overlap(begin, stop, h.from, h.to) || wraps &&
				(overlap(begin+l.size, stop+l.size, h.from, h.to) || overlap(begin, stop, h.from+l.size, h.to+l.size))) {
				bad = true
			}
		}
		if bad {
			continue
		}
		kept, out = kept+1, append(out, one...)
	}
	f.n, f.buf = kept, out
	return lates
}

func overlap(from, to, from2, to2 uint64) bool { return from < to2 && from2 < to }

// count returns how many records had ever been written when the head was `first`.
// second is a later head, read before the grace period that has just passed.
//
// A writer that wraps the count adds to Epochs after it has moved the head, so the
// two agree only if no writer is between them: after a grace period, if
// the count did not wrap meanwhile.
func (l *lane) count(first, second uint64, grace func() error) (uint64, error) {
	wraps := uint64(0)
	if second&seqMask < first&seqMask {
		wraps = 1
	}
	for range 10 {
		epochs := l.epochs()
		now := l.head()
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

// written returns how many records a lane has seen, without waiting for writers: for a
// moment after each 2^24 records it may be 2^24 too low.
func (l *lane) written() uint64 {
	for {
		epochs := l.epochs()
		head := l.head()
		if epochs == l.epochs() {
			return epochs<<layout.HeadSeqBits + head&seqMask
		}
	}
}

// Written returns how many records the main lane has seen, without waiting for writers:
// for a moment after each 2^24 records it may be 2^24 too low.
func (r *Ring) Written() uint64 { return r.main.written() }

// Guarded is Written for the guard lanes. A record that is in two of them counts once.
func (r *Ring) Guarded() uint64 {
	var n uint64
	for i := range r.lanes {
		if l := &r.lanes[i]; l.role == layout.RoleGuard && !doubles(l.kind) {
			n += l.written()
		}
	}
	return n
}

// Failed is Written for calls that failed, but for those errors that programs get all day long
// (EAGAIN, EINTR, ETIMEDOUT, EINPROGRESS), which are not kept apart. Renames of threads share the
// lanes of failed calls, and are counted but for the first ones. It walks over the lane of the
// first, some 40 µs. 0: the ring does not tell failed calls apart.
func (r *Ring) Failed() uint64 {
	var n uint64
	for i := range r.lanes {
		switch l := &r.lanes[i]; l.kind {
		case layout.LaneFail, layout.LaneLong:
			n += l.written()
		case layout.LaneFirst:
			n += l.failed()
		case layout.LaneMain, layout.LaneGuard, layout.LaneTasks, layout.LaneRecent, layout.LaneOut, layout.LaneErr, layout.LaneExec, layout.LaneExit,
			layout.LaneCrash, layout.LaneSignal, layout.LaneProcFirst, layout.LaneProc, layout.LaneBad, layout.LaneThreadFirst, layout.LaneThread, layout.LaneKinds:
		}
	}
	return n
}

// failed counts the calls in a lane that failed.
func (l *lane) failed() (n uint64) {
	end := l.head() >> layout.HeadSeqBits
	buf := make([]byte, 0, layout.RecMax)
	var rec Record
	l.each(l.oldest(end), end, func(pos, meta uint64) {
		if size := metaLen(meta); metaType(meta) == layout.RecCall && size <= layout.RecMax {
			buf = l.appendTo(buf[:0], pos, uint64(size))
			binary.LittleEndian.PutUint64(buf, meta&seqMask)
			if Parse(buf, &rec) == nil && rec.Ret < 0 && rec.Ret > -4096 {
				n++
			}
		}
	})
	return n
}

// Bytes returns how many bytes the records of the main lane took, modulo 2^43 (8 TiB).
func (r *Ring) Bytes() uint64 { return r.main.head() >> layout.HeadSeqBits * 8 }

// Late returns how many writers to the main lane were held up for a whole turn of it.
func (r *Ring) Late() uint64 { return r.main.lates() }

// Extent says how much a lane holds, about: it is read without stopping the clock.
type Extent struct {
	Records  uint64
	From, To uint64 // time of the first and the last record, ns on CLOCK_MONOTONIC
}

// Scan walks over the main lane's stamps and copies nothing: some 0.1 ms for each MiB.
// What it counts may be overwritten meanwhile; Snapshot is exact.
func (r *Ring) Scan() Extent {
	end := r.main.head() >> layout.HeadSeqBits
	return r.main.scan(r.main.oldest(end), end)
}

// scan is Scan of a lane, between two positions / 8.
func (l *lane) scan(start, end uint64) Extent {
	var e Extent
	l.each(start, end, func(pos, _ uint64) {
		e.Records++
		e.To = atomic.LoadUint64(l.behind(pos))
		if e.From == 0 {
			e.From = e.To
		}
	})
	return e
}

// each calls f with the position / 8 and the stamp, without the cookie, of each record of a lane
// between two positions / 8.
func (l *lane) each(start, end uint64, f func(pos, meta uint64)) {
	cookie := l.cookie()
	for left := (end - start) & posMask; left > 0; {
		pos := (end - left) & posMask
		meta := atomic.LoadUint64(l.stamp(pos)) ^ cookie
		n := uint64(metaLen(meta))
		if meta>>layout.HeadSeqBits != pos || n < layout.RecHead || n/8 > left {
			left--
			continue
		}
		f(pos, meta)
		left -= n / 8
	}
}
