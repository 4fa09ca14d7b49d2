package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/bpf"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
)

// followEvery is how often a followed ring is read.
const followEvery = 200 * time.Millisecond

// mostProgress is how many bytes of calls that go on have with them what their arguments
// point to: a container can have any number of threads, each in a call with a long path.
const mostProgress = 8 << 20

// snapshot is what a ring held at one moment, all of it.
type snapshot struct {
	live         []layout.TaskDump
	progress     []byte // records of the calls that they were in
	open         []dump.OpenFiles
	main         record.Snapshot
	guard, tasks record.Kept
	end          record.Marks // where the lanes ended
	clock        dump.Clock
	stdio, data  uint32 // bytes that are kept of contents
}

// release lets the copies of the lanes go; where they ended stays.
func (s *snapshot) release() {
	s.main.Records, s.guard.Records, s.tasks.Records, s.progress = nil, nil, nil, nil
}

// take copies a ring while the kernel goes on writing to it.
func (r *Recorder) take(rec *recording) (snapshot, error) {
	return r.takeFrom(r.kernel, rec, r.kernel.Grace)
}

// takeFrom is take for the ring of any recorder, with its way to wait for programs
// that are running. Live tasks are listed first: one that ends meanwhile is then in
// the tasks lane as well.
func (r *Recorder) takeFrom(k *bpf.Kernel, rec *recording, grace func() error) (snapshot, error) {
	var s snapshot
	var err error
	if s.live, err = k.Tasks(int(rec.slot)); err != nil {
		return s, err
	}
	// At once: a little later a thread may do something else, or be another.
	for i := range s.live {
		if t := &s.live[i]; t.InCall != 0 {
			if call := r.progressSoon(t, len(s.progress) < mostProgress); sameTask(t) {
				s.progress = record.Append(s.progress, call)
			}
		}
	}
	if err := s.read(rec, grace); err != nil {
		return s, err
	}
	r.complement(rec, &s)
	return s, nil
}

// noWait is the wait for programs where none can be running.
func noWait() error { return nil }

// takeEnded is take for a ring that nobody writes to any more: there are no tasks to
// list, and no programs to wait for.
func (r *Recorder) takeEnded(rec *recording) (snapshot, error) {
	var s snapshot
	if err := s.read(rec, noWait); err != nil {
		return s, err
	}
	r.complement(rec, &s)
	return s, nil
}

// complement adds to a snapshot what was open, and blanks what is not to be told.
func (r *Recorder) complement(rec *recording, s *snapshot) {
	r.mu.Lock()
	s.open = slices.Clone(rec.opened.files)
	r.mu.Unlock()
	r.blank(rec, s)
}

// read copies a ring's lanes. Recorder.mu is not held, nor taken: who drops a ring
// holds it and waits here.
func (s *snapshot) read(rec *recording, grace func() error) (err error) {
	rec.ringMu.RLock()
	defer rec.ringMu.RUnlock()
	if rec.view == nil {
		return errDropped(rec.id)
	}
	c, err := rec.view.Copy(nil, grace, layout.RoleMain, layout.RoleGuard, layout.RoleTasks)
	if err != nil {
		return fmt.Errorf("snapshot ring %d: %w", rec.slot, err)
	}
	s.main, s.guard, s.tasks, s.end = c.Main, c.Guard, c.Tasks, c.End
	s.clock = clock()
	return nil
}

// Dump writes a recording as a raw dump (package dump). With q.Follow it goes on
// with what is recorded from then on, until the container has ended or ctx does.
func (r *Recorder) Dump(ctx context.Context, id string, q replay.Query, w io.Writer) error {
	rec, err := r.find(id)
	if err != nil {
		return r.dumpSpooled(id, w)
	}
	if err := r.refused(rec); err != nil {
		return err
	}
	// A ring that is followed stays until its end was read.
	rec.followers.Add(1)
	defer func() {
		if rec.followers.Add(-1) == 0 {
			r.wakeFinisher()
		}
	}()
	if d, ok := r.isKept(rec); ok {
		return r.dumpKept(&d, w)
	}
	s, err := r.take(rec)
	if err != nil {
		return err
	}
	out := dump.NewWriter(w)
	if err := out.Header(r.header(rec, &s)); err != nil {
		return err
	}
	if err := write(out, &s); err != nil {
		return err
	}
	if q.Follow {
		s.release() // it may go on for hours
		if err := r.follow(ctx, rec, out, &s); err != nil {
			return err
		}
	}
	return out.Close()
}

// write adds a snapshot to a dump: who the tasks were, what only the guard lane
// still has, the calls, and those that are going on.
func write(out *dump.Writer, s *snapshot) error {
	if err := writeTasks(out, s, nil); err != nil {
		return err
	}
	for _, o := range s.open {
		if err := out.Open(o); err != nil {
			return err
		}
	}
	for _, part := range []struct {
		frame dump.FrameType
		rows  []byte
	}{{dump.FrameGuard, s.guard.Records}, {dump.FrameMain, s.main.Records}, {dump.FrameProgress, s.progress}} {
		if err := writeRecords(out, part.frame, part.rows); err != nil {
			return err
		}
	}
	return out.Flush()
}

// told is who the threads are as far as a dump has said it.
type told map[uint32]layout.TaskInfo

// new reports whether a row says something that has not been said, and notes it.
func (t told) new(info *layout.TaskInfo) bool {
	if t == nil {
		return true
	}
	now := *info
	now.Calls = 0
	if t[info.Tid] == now {
		return false
	}
	t[info.Tid] = now
	return true
}

// eachTask calls do with each of the ended tasks in a lane's records, and where it stands
// there.
func eachTask(rest []byte, do func(info *layout.TaskInfo, data []byte) error) error {
	var rec record.Record
	var info layout.TaskInfo
	for len(rest) > 0 {
		raw, next, err := record.Next(rest)
		if err != nil {
			return fmt.Errorf("read ended tasks: %w", err)
		}
		rest = next
		if err := record.Parse(raw, &rec); err != nil || len(rec.Items) != 1 {
			continue // a lane holds what the kernel wrote; a foreign record is no task
		}
		if !decodeTask(rec.Items[0].Data, &info) {
			continue
		}
		if err := do(&info, rec.Items[0].Data); err != nil {
			return err
		}
	}
	return nil
}

// writeTasks adds who the ended and the live tasks were, but for what was told.
func writeTasks(out *dump.Writer, s *snapshot, before told) error {
	if err := eachTask(s.tasks.Records, func(info *layout.TaskInfo, _ []byte) error {
		if !before.new(info) {
			return nil
		}
		return out.Task(info)
	}); err != nil {
		return err
	}
	for i := range s.live {
		if !before.new(&s.live[i].Info) {
			continue
		}
		if err := out.Task(&s.live[i].Info); err != nil {
			return err
		}
	}
	return nil
}

func writeRecords(out *dump.Writer, t dump.FrameType, rest []byte) error {
	for len(rest) > 0 {
		raw, next, err := record.Next(rest)
		if err != nil {
			return fmt.Errorf("read records: %w", err)
		}
		if err := out.Record(t, raw); err != nil {
			return err
		}
		rest = next
	}
	return nil
}

func (r *Recorder) header(rec *recording, s *snapshot) *dump.Header {
	r.mu.Lock()
	described := r.describeLocked(rec)
	r.mu.Unlock()
	cover(&described.Coverage, s)
	return &dump.Header{
		Recording: described, Arch: r.native, PageSize: os.Getpagesize(), Version: r.cfg.Version,
		Kernel: r.release, Node: r.cfg.Node, Clock: s.clock, Taken: s.clock.Realtime, Layout: layout.RecorderLayout,
		CaptureStdio: s.stdio, CaptureData: s.data,
	}
}

// cover says exactly what a snapshot has and lacks.
func cover(c *api.Coverage, s *snapshot) {
	c.Written, c.Kept, c.Overwritten, c.Unfinished = s.main.Written, s.main.Kept, s.main.Overwritten, s.main.Unfinished
	c.Guarded, c.Late = s.guard.Kept, s.main.Late
	c.GuardSkips += s.guard.Written - min(s.guard.Written, s.guard.Kept) // beside what an older ring did not take
	c.Apart = apart(s)
	from, to := span(s.main.Records)
	if c.Kept > 0 {
		f, t := s.clock.Time(from), s.clock.Time(to)
		c.From, c.To = &f, &t
	}
}

// apartKinds are the names of the guard lanes.
var apartKinds = map[layout.LaneKind]string{
	layout.LaneFirst: api.ApartFirst, layout.LaneRecent: api.ApartRecent, layout.LaneOut: api.ApartStdout, layout.LaneErr: api.ApartStderr,
	layout.LaneExec: api.ApartExec, layout.LaneExit: api.ApartExit, layout.LaneCrash: api.ApartCrash, layout.LaneSignal: api.ApartSignal,
	layout.LaneFail: api.ApartFailure, layout.LaneLong: api.ApartLongFailure, layout.LaneGuard: api.ApartAll,
}

// apart says what the guard lanes have, by kind.
func apart(s *snapshot) []api.Apart {
	var all []api.Apart
	since := uint64(0)
	for i, l := range s.guard.Lanes {
		if i == 0 || s.guard.Lanes[i-1].Kind != l.Kind {
			name, ok := apartKinds[l.Kind]
			if !ok {
				name = fmt.Sprintf("kind-%d", l.Kind)
			}
			all, since = append(all, api.Apart{Kind: name}), 0
		}
		a := &all[len(all)-1]
		a.Written, a.Kept, a.Lost = a.Written+l.Written, a.Kept+l.Kept, a.Lost+l.Lost
		if l.Since > since { // of lanes side by side each has what its hash gives it
			since = l.Since
			at := s.clock.Time(since)
			a.Since = &at
		}
	}
	return all
}

// span is the time of the first and of the latest record, in ns on CLOCK_MONOTONIC.
func span(rest []byte) (from, to uint64) {
	var rec record.Record
	for len(rest) > 0 {
		raw, next, err := record.Next(rest)
		if err != nil {
			return from, to
		}
		rest = next
		if record.Parse(raw, &rec) != nil {
			continue
		}
		if from == 0 || rec.Time < from {
			from = rec.Time
		}
		to = max(to, rec.Time)
	}
	return from, to
}

// more reads what a ring got since the marks: calls, and who ended. The
// live tasks are listed only if someone is new among them: that looks at all
// tasks of the node.
func (r *Recorder) more(rec *recording, from record.Marks, known told) (snapshot, error) {
	var s snapshot
	rec.ringMu.RLock()
	if rec.view == nil {
		rec.ringMu.RUnlock()
		return s, errDropped(rec.id)
	}
	c, err := rec.view.Copy(from, r.kernel.Grace, layout.RoleMain, layout.RoleTasks)
	rec.ringMu.RUnlock()
	if err != nil {
		return s, fmt.Errorf("snapshot ring %d: %w", rec.slot, err)
	}
	s.main, s.tasks, s.end = c.Main, c.Tasks, c.End
	s.clock = clock()
	if !known.all(s.main.Records) {
		if s.live, err = r.kernel.Tasks(int(rec.slot)); err != nil {
			return s, err
		}
		known.only(s.live)
	}
	r.blank(rec, &s)
	return s, nil
}

// only forgets all threads but these: a recording that is followed for hours may have
// had millions.
func (t told) only(live []layout.TaskDump) {
	there := make(map[uint32]bool, len(live))
	for i := range live {
		there[live[i].Info.Tid] = true
	}
	maps.DeleteFunc(t, func(tid uint32, _ layout.TaskInfo) bool { return !there[tid] })
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

// follow goes on from a snapshot that has been written.
func (r *Recorder) follow(ctx context.Context, rec *recording, out *dump.Writer, first *snapshot) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	from, known := first.end, told{}
	for i := range first.live {
		known.new(&first.live[i].Info)
	}
	var lost uint64
	for turn := 0; ; turn++ {
		r.mu.Lock()
		ended := rec.ended
		r.mu.Unlock()
		s, err := r.more(rec, from, known)
		if err != nil {
			var gone *api.Error
			if errors.As(err, &gone) && gone.Code == api.CodeNotFound {
				return nil // dropped: it had ended
			}
			return err
		}
		from = s.end
		lost += s.main.Overwritten
		if turn == 0 || s.main.Overwritten > 0 || ended {
			// From here on it is live; or the reader was slower than the container; or
			// this is the end.
			h := r.header(rec, &s)
			h.Recording.Coverage.Overwritten = lost
			if err := out.Header(h); err != nil {
				return err
			}
		}
		if err := writeTasks(out, &s, known); err != nil {
			return err
		}
		if err := writeRecords(out, dump.FrameMain, s.main.Records); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if ended {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
