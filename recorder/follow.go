package recorder

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// A dump that follows a recording, or that reads a ring which nobody writes to any more,
// holds no copy of the main lane: it goes through it in parts, and says what it missed. The
// small lanes it holds at first, in a copy that it shares (copies).

const (
	// partBytes is how much of the main lane is held at a time, and of the tasks lanes
	// together as much again at most (record.Ring.Part).
	partBytes = 512 << 10
	// mostTold is how many threads are remembered as told. More are told again.
	mostTold = 1 << 15
)

// told is who the threads are as far as a dump has said it: a hash of each row.
type told map[uint32]uint64

var toldSeed = maphash.MakeSeed()

// new reports whether a row says something that has not been said, and notes it.
func (t told) new(info *layout.TaskInfo) bool {
	if t == nil {
		return true
	}
	now := *info
	now.Calls = 0
	sum := maphash.Comparable(toldSeed, now)
	if old, ok := t[info.Tid]; ok && old == sum {
		return false
	}
	if len(t) >= mostTold {
		clear(t)
	}
	t[info.Tid] = sum
	return true
}

// only forgets all threads but these: a recording that is followed for hours may have
// had millions.
func (t told) only(live []layout.TaskDump) {
	there := make(map[uint32]bool, len(live))
	for i := range live {
		there[live[i].Info.Tid] = true
	}
	maps.DeleteFunc(t, func(tid uint32, _ uint64) bool { return !there[tid] })
}

// all reports whether the threads of all records are known, under their present names.
func (t told) all(rest []byte) bool {
	var rec record.Record
	for len(rest) > 0 {
		raw, next, err := record.Next(rest)
		if err != nil {
			return true
		}
		rest = next
		if record.Parse(raw, &rec) != nil {
			continue
		}
		if _, ok := t[rec.Tid]; !ok || rec.Type == layout.RecExec || rec.Type == layout.RecRename {
			return false
		}
	}
	return true
}

// reader goes through a recording's ring.
type reader struct {
	r     *Recorder
	rec   *recording
	grace func() error
	from  record.Marks
	known told
	buf   []byte
	lost  uint64 // of the main lane, since the first header
}

// part reads the next part of the lanes of these roles. What is not to be told is blanked.
func (d *reader) part(roles ...layout.LaneRole) (s snapshot, err error) {
	d.rec.ringMu.RLock()
	defer d.rec.ringMu.RUnlock()
	if d.rec.view == nil {
		return s, errDropped(d.rec.id)
	}
	c, err := d.rec.view.Part(d.from, partBytes, d.grace, d.buf, roles...)
	if err != nil {
		return s, fmt.Errorf("snapshot ring %d: %w", d.rec.slot, err)
	}
	d.from = c.End
	s.main, s.tasks, s.clock = c.Main, c.Tasks, clock()
	return s, nil
}

// mainLane does something with all that the main lane holds, in parts. It ends behind what
// the lane can hold, also when the container writes faster than it is read.
func (d *reader) mainLane(do func(s *snapshot) error) error {
	for read := uint64(0); ; {
		s, err := d.part(layout.RoleMain)
		if err != nil {
			return err
		}
		if read > 0 { // what was missing before the first part is in the header
			d.lost += s.main.Overwritten
		}
		read += uint64(len(s.main.Records))
		d.r.blank(d.rec, &s)
		if err := do(&s); err != nil {
			return err
		}
		if !s.main.More || read >= d.rec.mainBytes() {
			return nil
		}
	}
}

// mainBytes is the size of the main lane, 0 if the ring has been dropped.
func (rec *recording) mainBytes() uint64 {
	rec.ringMu.RLock()
	defer rec.ringMu.RUnlock()
	if rec.view == nil {
		return 0
	}
	return rec.view.Geometry().Main().Size
}

// dumpParts writes a dump without holding a copy of the main lane.
func (r *Recorder) dumpParts(ctx context.Context, rec *recording, out *dump.Writer, follow, ended bool) error {
	room := min(partBytes, rec.mainBytes()) + layout.RecMax
	d := &reader{r: r, rec: rec, grace: r.kernel.Grace, known: told{}, buf: make([]byte, 0, room)}
	if err := d.first(out, follow, ended); err != nil {
		return err
	}
	if follow {
		if err := d.follow(ctx, out); err != nil {
			return err
		}
	}
	return out.Close()
}

// first writes what the ring holds now.
func (d *reader) first(out *dump.Writer, follow, ended bool) error {
	what := smallLive
	if ended {
		what = smallEnded
	}
	s, err := d.r.copies.of(d.r, d.rec, what)
	if err != nil {
		return err
	}
	defer d.r.copies.leave(s)
	h := d.r.headerAbout(d.rec, &s.snapshot)
	if ended && !follow {
		// Nobody writes, and the copy has waited for those who did: what is counted now
		// is what will be read.
		d.grace = noWait
		if err := d.count(&h.Recording.Coverage, s.clock); err != nil {
			return err
		}
	}
	d.from = s.end
	if err := out.Header(h); err != nil {
		return err
	}
	if err := writeBefore(out, &s.snapshot); err != nil {
		return err
	}
	if err := d.mainLane(func(part *snapshot) error {
		return writeRecords(out, dump.FrameMain, part.main.Records)
	}); err != nil {
		return err
	}
	if err := writeRecords(out, dump.FrameProgress, s.progress); err != nil {
		return err
	}
	for i := range s.live {
		d.known.new(&s.live[i].Info)
	}
	return out.Flush()
}

// count says exactly what the main lane of a ring that nobody writes to has and lacks.
func (d *reader) count(c *api.Coverage, clock dump.Clock) error {
	var all record.Snapshot
	var from, to uint64
	if err := d.mainLane(func(s *snapshot) error {
		all.Written += s.main.Written
		all.Kept += s.main.Kept
		all.Overwritten += s.main.Overwritten
		all.Unfinished += s.main.Unfinished
		all.Late = s.main.Late
		f, t := span(s.main.Records)
		if from == 0 {
			from = f
		}
		to = max(to, t)
		return nil
	}); err != nil {
		return err
	}
	coverMain(c, &all, clock, from, to)
	return nil
}

// follow goes on from what has been written.
func (d *reader) follow(ctx context.Context, out *dump.Writer) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		d.r.mu.Lock()
		ended := d.rec.ended
		d.r.mu.Unlock()
		more, err := d.turn(out, turn == 0 || ended)
		var gone *api.Error
		switch {
		case errors.As(err, &gone) && gone.Code == api.CodeNotFound:
			return nil // dropped: it had ended
		case err != nil:
			return err
		case more && ctx.Err() == nil:
			continue
		case ended && !more:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// turn writes what is new, as much as a part holds, and reports whether there is more.
// head: from here on it is live, or this is the end. The live tasks are listed only if
// someone is new among them: that looks at all tasks of the node.
func (d *reader) turn(out *dump.Writer, head bool) (more bool, err error) {
	s, err := d.part(layout.RoleMain, layout.RoleTasks)
	if err != nil {
		return false, err
	}
	d.lost += s.main.Overwritten
	if !d.known.all(s.main.Records) {
		if s.live, err = d.r.kernel.Tasks(int(d.rec.slot)); err != nil {
			return false, err
		}
		d.known.only(s.live)
	}
	d.r.blank(d.rec, &s)
	if head || s.main.Overwritten > 0 { // the reader was slower than the container
		h := d.r.header(d.rec, &s)
		h.Recording.Coverage.Overwritten = d.lost
		if err := out.Header(h); err != nil {
			return false, err
		}
	}
	if err := d.tasks(out, &s); err != nil {
		return false, err
	}
	if err := writeRecords(out, dump.FrameMain, s.main.Records); err != nil {
		return false, err
	}
	return s.main.More, out.Flush()
}

// tasks writes who the threads were that ended since the last time, and who those are that
// live. It ends behind what the lanes can hold, as mainLane does.
func (d *reader) tasks(out *dump.Writer, s *snapshot) (err error) {
	part := snapshot{tasks: s.tasks}
	for read := uint64(0); ; {
		if err := writeTasks(out, &part, d.known); err != nil {
			return err
		}
		read += uint64(len(part.tasks.Records))
		if !part.tasks.More || read >= d.rec.mainBytes()/16 {
			break
		}
		if part, err = d.part(layout.RoleTasks); err != nil {
			return err
		}
		d.r.blank(d.rec, &part)
	}
	return writeTasks(out, &snapshot{live: s.live}, d.known)
}
