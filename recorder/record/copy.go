package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/recorderd/recorderd/recorder/layout"
)

// Copy is what the lanes of a ring held at a moment.
type Copy struct {
	Main         Snapshot
	Guard, Tasks Kept
	// End is where the next copy can go on.
	End Marks
}

// Marks are places in all lanes of one ring. Nil: their oldest records.
type Marks []Mark

// Kept is what the lanes of one role held together.
type Kept struct {
	Records []byte // in the order of their times; one that was in two lanes stands once
	Kept    uint64 // how many these are
	Written uint64 // ever, up to the moment or since the marks; Written - Kept are lost
	More    bool   // one of the lanes holds more than this part
	Lanes   []LaneKept
}

// LaneKept is what one lane held, in records.
type LaneKept struct {
	Kind layout.LaneKind
	// Since: all records of the lane's kind from this time on (ns, CLOCK_MONOTONIC) are
	// there, but for those that are Lost. 0: all that there ever were, or none was.
	Since   uint64
	Written uint64 // to this lane
	Kept    uint64 // of these, still in this lane
	Lost    uint64 // of these, damaged or unfinished, the newest maybe among them
}

// doubles reports whether what is in lanes of a kind is or was in LaneRecent as well.
func doubles(kind layout.LaneKind) bool {
	switch kind {
	case layout.LaneOut, layout.LaneErr, layout.LaneExec, layout.LaneExit, layout.LaneCrash, layout.LaneSignal, layout.LaneLong, layout.LaneFail:
		return true
	case layout.LaneMain, layout.LaneGuard, layout.LaneTasks, layout.LaneFirst, layout.LaneRecent,
		layout.LaneProcFirst, layout.LaneProc, layout.LaneBad, layout.LaneThreadFirst, layout.LaneThread, layout.LaneKinds:
	}
	return false
}

// Copy copies the lanes of these roles as Snapshot does, with one wait for all of them.
func (r *Ring) Copy(from Marks, grace func() error, roles ...layout.LaneRole) (Copy, error) {
	return r.Part(from, 0, grace, nil, roles...)
}

// Part is Copy with bounds, so that a reader holds little of a large ring. Of the main lane
// it ends with the first record that reaches most bytes (0: no limit), of each small lane
// with the first that reaches a sixteenth of it. The next part goes on at End. While More is
// to come, the number of records missing before a part is about right. The counts of all
// parts up to the last are right together.
//
// buf is reused for the main lane's records. It does not grow if it has room for most bytes
// and a record, or for the lane.
func (r *Ring) Part(from Marks, most int, grace func() error, buf []byte, roles ...layout.LaneRole) (Copy, error) {
	c := Copy{End: make(Marks, len(r.lanes))}
	copy(c.End, from)
	var begun []begun
	var index []int
	// The main lane goes first. What is shared goes last: a program writes a record there
	// before it does so anywhere else, so that none is seen which is not counted.
	for i := len(r.lanes) - 1; i >= 0; i-- {
		if l := &r.lanes[i]; slices.Contains(roles, l.role) {
			limit, room := most, buf
			if l.role != layout.RoleMain {
				limit, room = (most+15)/16, nil
			}
			begun, index = append(begun, l.begin(c.End[i], limit, room)), append(index, i)
		}
	}
	if err := grace(); err != nil {
		return Copy{}, err
	}
	var guard, tasks merger
	for at := len(begun) - 1; at >= 0; at-- { // in the order of the ring
		b := &begun[at]
		s, err := b.finish(grace)
		if err != nil {
			return Copy{}, err
		}
		c.End[index[at]] = s.End
		switch b.role {
		case layout.RoleMain:
			c.Main = s
		case layout.RoleGuard:
			guard.add(b.kind, s)
		case layout.RoleTasks:
			tasks.add(b.kind, s)
		}
	}
	c.Guard, c.Tasks = guard.merge(), tasks.merge()
	return c, nil
}

// SnapshotOf is Snapshot for the first lane of a kind.
func (r *Ring) SnapshotOf(kind layout.LaneKind, grace func() error) (Snapshot, error) {
	for i := range r.lanes {
		if l := &r.lanes[i]; l.kind == kind {
			began := l.begin(Mark{}, 0, nil)
			if err := grace(); err != nil {
				return Snapshot{}, err
			}
			return began.finish(grace)
		}
	}
	return Snapshot{}, fmt.Errorf("%w: no lane of kind %d", ErrInvalid, kind)
}

// merger puts the records of several lanes into one row.
type merger struct {
	kept Kept
	recs []timed
}

type timed struct {
	time uint64
	raw  []byte
}

func (m *merger) add(kind layout.LaneKind, s Snapshot) {
	k := LaneKept{Kind: kind, Written: s.Written, Kept: s.Kept, Lost: s.Unfinished + s.Damaged}
	oldest := uint64(0)
	m.recs = slices.Grow(m.recs, int(s.Kept))
	for rest := s.Records; len(rest) > 0; {
		raw, next, err := Next(rest)
		if err != nil {
			break // walk wrote them
		}
		rest = next
		t := timed{binary.LittleEndian.Uint64(raw[8:]), raw}
		if oldest == 0 || t.time < oldest {
			oldest = t.time
		}
		m.recs = append(m.recs, t)
	}
	if s.Overwritten > 0 {
		k.Since = oldest
	}
	if !doubles(kind) {
		m.kept.Written += s.Written
	}
	m.kept.More = m.kept.More || s.More
	m.kept.Lanes = append(m.kept.Lanes, k)
}

// merge sorts by time. Of one time, the order is that of the ring's lanes: the shared one,
// in which all kinds are in the order in which they were written, comes before the others.
func (m *merger) merge() Kept {
	slices.SortStableFunc(m.recs, func(a, b timed) int {
		switch {
		case a.time < b.time:
			return -1
		case a.time > b.time:
			return 1
		}
		return 0
	})
	size := 0
	for _, t := range m.recs {
		size += len(t.raw)
	}
	out := make([]byte, 0, size)
	for i, t := range m.recs {
		if m.double(i) {
			continue
		}
		out = append(out, t.raw...)
		m.kept.Kept++
	}
	m.kept.Records = out
	for _, shared := range m.kept.Lanes {
		if shared.Kind != layout.LaneRecent {
			continue
		}
		for i := range m.kept.Lanes { // what is not in its own lane any more may be there
			if l := &m.kept.Lanes[i]; doubles(l.Kind) {
				l.Since = min(l.Since, shared.Since)
			}
		}
	}
	return m.kept
}

// double reports whether the same record stands before this one.
func (m *merger) double(i int) bool {
	for j := i - 1; j >= 0 && m.recs[j].time == m.recs[i].time; j-- {
		if bytes.Equal(m.recs[j].raw, m.recs[i].raw) {
			return true
		}
	}
	return false
}
