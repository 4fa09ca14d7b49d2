package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
)

// followEvery is how often a followed ring is read.
const followEvery = 200 * time.Millisecond

// snapshot is what a ring held at one moment, all of it.
type snapshot struct {
	live               []layout.TaskDump
	main, guard, tasks record.Snapshot
	clock              dump.Clock
}

// take copies a ring while the kernel goes on writing to it. Live tasks are listed
// first: one that ends meanwhile is then in the tasks lane as well.
func (r *Recorder) take(rec *recording, from record.Mark) (snapshot, error) {
	var s snapshot
	var err error
	if s.live, err = r.kernel.Tasks(int(rec.slot)); err != nil {
		return s, err
	}
	rec.ringMu.RLock()
	defer rec.ringMu.RUnlock()
	if rec.view == nil {
		return s, errDropped(rec.id)
	}
	for _, lane := range []struct {
		id   layout.LaneId
		from record.Mark
		to   *record.Snapshot
	}{{layout.LaneMain, from, &s.main}, {layout.LaneGuard, record.Mark{}, &s.guard}, {layout.LaneTasks, record.Mark{}, &s.tasks}} {
		if *lane.to, err = rec.view.Snapshot(lane.id, lane.from, r.kernel.Grace, nil); err != nil {
			return s, fmt.Errorf("snapshot ring %d: %w", rec.slot, err)
		}
	}
	s.clock = clock()
	return s, nil
}

// Dump writes a recording as a raw dump (package dump). With q.Follow it goes on
// with what is recorded from then on, until the container has ended or ctx does.
func (r *Recorder) Dump(ctx context.Context, id string, q replay.Query, w io.Writer) error {
	rec, err := r.find(id)
	if err != nil {
		return err
	}
	s, err := r.take(rec, record.Mark{})
	if err != nil {
		return err
	}
	out := dump.NewWriter(w)
	header := r.header(rec, &s, q)
	if err := out.Header(header); err != nil {
		return err
	}
	if err := r.write(out, rec, &s, true); err != nil {
		return err
	}
	if q.Follow {
		if err := r.follow(ctx, rec, out, s.main.End, q); err != nil {
			return err
		}
	}
	return out.Close()
}

// write adds a snapshot to a dump: who the tasks were, what only the guard lane
// still has, the calls, and those that are going on.
func (r *Recorder) write(out *dump.Writer, rec *recording, s *snapshot, whole bool) error {
	if err := writeTasks(out, s); err != nil {
		return err
	}
	if whole {
		if err := writeRecords(out, dump.FrameGuard, s.guard.Records); err != nil {
			return err
		}
	}
	if err := writeRecords(out, dump.FrameMain, s.main.Records); err != nil {
		return err
	}
	if whole {
		for _, t := range s.live {
			if t.InCall == 0 || t.Info.Tid == uint32(os.Getpid()) {
				continue
			}
			raw := record.Append(nil, r.progress(&t))
			if err := out.Record(dump.FrameProgress, raw); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

func writeTasks(out *dump.Writer, s *snapshot) error {
	var rec record.Record
	var info layout.TaskInfo
	for rest := s.tasks.Records; len(rest) > 0; {
		raw, next, err := record.Next(rest)
		if err != nil {
			return fmt.Errorf("read ended tasks: %w", err)
		}
		rest = next
		if err := record.Parse(raw, &rec); err != nil || len(rec.Items) != 1 {
			continue // a lane holds what the kernel wrote; a foreign record is no task
		}
		if decodeTask(rec.Items[0].Data, &info) {
			if err := out.Task(&info); err != nil {
				return err
			}
		}
	}
	for i := range s.live {
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

func (r *Recorder) header(rec *recording, s *snapshot, q replay.Query) *dump.Header {
	r.mu.Lock()
	described := r.describeLocked(rec)
	r.mu.Unlock()
	cover(&described.Coverage, s)
	return &dump.Header{
		Recording: described, Arch: r.native, PageSize: os.Getpagesize(), Version: r.cfg.Version,
		Kernel: r.release, Node: r.cfg.Node, Clock: s.clock, Taken: s.clock.Realtime, Layout: layout.RecorderLayout,
		CaptureStdio: r.cfg.CaptureStdio, CaptureData: r.cfg.CaptureData,
	}
}

// cover says exactly what a snapshot has and lacks.
func cover(c *api.Coverage, s *snapshot) {
	c.Written, c.Kept, c.Overwritten, c.Unfinished = s.main.Written, s.main.Kept, s.main.Overwritten, s.main.Unfinished
	c.Guarded, c.Late = s.guard.Kept, s.main.Late
	from, to := span(s.main.Records)
	if c.Kept > 0 {
		f, t := s.clock.Time(from), s.clock.Time(to)
		c.From, c.To = &f, &t
	}
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

// follow goes on from a mark.
func (r *Recorder) follow(ctx context.Context, rec *recording, out *dump.Writer, from record.Mark, q replay.Query) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var lost uint64
	for {
		r.mu.Lock()
		ended := rec.ended
		r.mu.Unlock()
		s, err := r.take(rec, from)
		if err != nil {
			var gone *api.Error
			if errors.As(err, &gone) && gone.Code == api.CodeNotFound {
				return nil // dropped: it had ended
			}
			return err
		}
		from = s.main.End
		if s.main.Overwritten > 0 {
			// The reader was slower than the container: say so at once.
			lost += s.main.Overwritten
			h := r.header(rec, &s, q)
			h.Recording.Coverage.Overwritten = lost
			if err := out.Header(h); err != nil {
				return err
			}
		}
		if err := r.write(out, rec, &s, false); err != nil {
			return err
		}
		if ended {
			h := r.header(rec, &s, q)
			return out.Header(h)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
