package recorder

import (
	"context"
	"fmt"
	"io"
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
	mem          []byte // in which the main lane's records are, see release
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
	if err := r.list(k, rec, &s); err != nil {
		return s, err
	}
	if err := s.read(rec, grace, layout.RoleMain, layout.RoleGuard, layout.RoleTasks); err != nil {
		s.release()
		return s, err
	}
	r.complement(rec, &s)
	return s, nil
}

// list adds the live tasks, and the calls that they are in.
func (r *Recorder) list(k *bpf.Kernel, rec *recording, s *snapshot) (err error) {
	if s.live, err = k.Tasks(int(rec.slot)); err != nil {
		return err
	}
	// At once: a little later a thread may do something else, or be another.
	for i := range s.live {
		if t := &s.live[i]; t.InCall != 0 {
			if call := r.progressSoon(t, len(s.progress) < mostProgress); sameTask(t) {
				s.progress = record.Append(s.progress, call)
			}
		}
	}
	return nil
}

// noWait is the wait for programs where none can be running.
func noWait() error { return nil }

// takeEnded is take for a ring that nobody writes to any more: there are no tasks to
// list, and no programs to wait for.
func (r *Recorder) takeEnded(rec *recording) (snapshot, error) {
	var s snapshot
	if err := s.read(rec, noWait, layout.RoleMain, layout.RoleGuard, layout.RoleTasks); err != nil {
		s.release()
		return s, err
	}
	r.complement(rec, &s)
	return s, nil
}

// takeSmall is take without the main lane; without tasks if the container has ended.
func (r *Recorder) takeSmall(rec *recording, ended bool) (snapshot, error) {
	var s snapshot
	if !ended {
		if err := r.list(r.kernel, rec, &s); err != nil {
			return s, err
		}
	}
	if err := s.read(rec, r.kernel.Grace, layout.RoleGuard, layout.RoleTasks); err != nil {
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

// read copies a ring's lanes of these roles. Recorder.mu is not held, nor taken: who drops a
// ring holds it and waits here.
func (s *snapshot) read(rec *recording, grace func() error, roles ...layout.LaneRole) (err error) {
	rec.ringMu.RLock()
	defer rec.ringMu.RUnlock()
	if rec.view == nil {
		return errDropped(rec.id)
	}
	var buf []byte
	if slices.Contains(roles, layout.RoleMain) {
		buf = s.room(rec.view.Geometry().Main().Size)
	}
	c, err := rec.view.Part(nil, 0, grace, buf, roles...)
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
	if n := q.Memory(r.ringBytes); n > 0 {
		done, err := r.copies.decode(n)
		if err != nil {
			return err
		}
		defer done()
	}
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
	r.mu.Lock()
	ended := rec.ended
	r.mu.Unlock()
	out := dump.NewWriter(w)
	if q.Follow || ended {
		return r.dumpParts(ctx, rec, out, q.Follow, ended)
	}
	s, err := r.copies.of(r, rec, whole)
	if err != nil {
		return err
	}
	defer r.copies.leave(s)
	if err := out.Header(r.header(rec, &s.snapshot)); err != nil {
		return err
	}
	if err := write(out, &s.snapshot); err != nil {
		return err
	}
	return out.Close()
}

// write adds a snapshot to a dump: who the tasks were, what only the guard lane
// still has, the calls, and those that are going on.
func write(out *dump.Writer, s *snapshot) error {
	if err := writeBefore(out, s); err != nil {
		return err
	}
	if err := writeRecords(out, dump.FrameMain, s.main.Records); err != nil {
		return err
	}
	if err := writeRecords(out, dump.FrameProgress, s.progress); err != nil {
		return err
	}
	return out.Flush()
}

// writeBefore adds what stands before the main lane's records.
func writeBefore(out *dump.Writer, s *snapshot) error {
	if err := writeTasks(out, s, nil); err != nil {
		return err
	}
	for _, o := range s.open {
		if err := out.Open(o); err != nil {
			return err
		}
	}
	return writeRecords(out, dump.FrameGuard, s.guard.Records)
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
	h := r.headerAbout(rec, s)
	from, to := span(s.main.Records)
	coverMain(&h.Recording.Coverage, &s.main, s.clock, from, to)
	return h
}

// headerAbout is header with the main lane's counts as a list has them, which are about right.
func (r *Recorder) headerAbout(rec *recording, s *snapshot) *dump.Header {
	r.mu.Lock()
	described := r.describeLocked(rec)
	r.mu.Unlock()
	if described.State == api.StateLive {
		described.Verdict = nil // a dump tells more of what lives
	}
	coverSmall(&described.Coverage, s)
	return &dump.Header{
		Recording: described, Arch: r.native, PageSize: os.Getpagesize(), Version: r.cfg.Version,
		Kernel: r.release, Node: r.cfg.Node, Clock: s.clock, Taken: s.clock.Realtime, Layout: layout.RecorderLayout,
		CaptureStdio: s.stdio, CaptureData: s.data,
	}
}

// coverMain says exactly what a snapshot has and lacks of the main lane. from and to are the
// times of its first and its latest record (span).
func coverMain(c *api.Coverage, s *record.Snapshot, clock dump.Clock, from, to uint64) {
	c.Written, c.Kept, c.Overwritten, c.Unfinished, c.Late = s.Written, s.Kept, s.Overwritten, s.Unfinished, s.Late
	if c.Kept > 0 {
		f, t := clock.Time(from), clock.Time(to)
		c.From, c.To = &f, &t
	}
}

// coverSmall says exactly what a snapshot has and lacks of the small lanes.
func coverSmall(c *api.Coverage, s *snapshot) {
	c.Guarded = s.guard.Kept
	c.GuardSkips += s.guard.Written - min(s.guard.Written, s.guard.Kept) // beside what an older ring did not take
	c.Apart = apart(s)
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
