package replay

import (
	"errors"
	"io"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// copyRaw writes a dump again, without the records that the query does not want.
// Last does not apply: which lines are the last is known only when records have
// been put together.
func copyRaw(out io.Writer, r *dump.Reader, o *Options) (Stats, error) {
	h := r.Header()
	c := rawCopy{w: dump.NewWriter(out), arch: h.Arch, tasks: table{rows: make(map[uint32][]*Task)}, query: &o.Query}
	q := o.Query
	q.Last = 0
	if q.Filtered() {
		c.filter = newFilter(&q, h, o.Location)
	}
	heads := 0
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return c.stats, nil
		}
		if err != nil {
			// What follows is missing, and so is the end: a reader notices.
			return c.stats, errors.Join(c.w.Flush(), err)
		}
		if f.Type == dump.FrameHeader {
			heads++
		}
		if err := c.frame(r, f); err != nil {
			return c.stats, err
		}
		if o.Follow && heads > 1 {
			if err := c.w.Flush(); err != nil {
				return c.stats, err
			}
			if o.Flush != nil {
				if err := o.Flush(); err != nil {
					return c.stats, err
				}
			}
		}
	}
}

type rawCopy struct {
	w      *dump.Writer
	arch   record.Arch
	tasks  table
	filter *filter // nil: everything
	query  *Query
	ev     Event
	stats  Stats
}

func (c *rawCopy) frame(r *dump.Reader, f dump.Frame) error {
	switch f.Type {
	case dump.FrameHeader:
		h := *r.Header()
		for _, s := range nonEmpty(c.query.filter()) {
			h.Filter = orElse(h.Filter, s)
		}
		return c.w.Header(&h)
	case dump.FrameTasks:
		batch := make(map[*Task]bool)
		for t := range f.Tasks() {
			if c.filter != nil {
				c.tasks.add(t, batch)
			}
			if err := c.w.Task(t); err != nil {
				return err
			}
		}
	case dump.FrameGuard, dump.FrameMain, dump.FrameProgress:
		for raw := range f.Records() {
			if c.filter != nil && !c.wants(raw, f.Type == dump.FrameProgress) {
				continue
			}
			c.stats.Events++
			if err := c.w.Record(f.Type, raw); err != nil {
				return err
			}
		}
	case dump.FrameEnd:
		return c.w.Close()
	}
	return nil
}

func (c *rawCopy) wants(raw []byte, blocked bool) bool {
	ev := &c.ev
	if record.Parse(raw, &ev.Rec) != nil {
		c.stats.Invalid++
		return false
	}
	rec := &ev.Rec
	ev.Time, ev.Start, ev.State = rec.Time, rec.Start(), Finished
	ev.Task = c.tasks.at(rec.Tid, rec.Time)
	if ev.Task == nil {
		ev.Task = &Task{Info: layout.TaskInfo{Tid: rec.Tid}}
	}
	switch rec.Type {
	case layout.RecCall:
		ev.Kind = KindCall
	case layout.RecEnter:
		ev.Kind, ev.State = KindCall, NoReturn
		if blocked {
			ev.State = Blocked
		}
	case layout.RecExec:
		ev.Kind = KindExec
		rec.Ret = 0
		if call := syscalls.ByName(c.arch, "execve"); call != nil {
			rec.Nr = uint16(call.Nr)
		}
	case layout.RecExit:
		ev.Kind = KindExit
	case layout.RecSignal:
		ev.Kind = KindSignal
	case layout.RecOom:
		ev.Kind = KindOOM
	case layout.RecRename:
		ev.Kind = KindRename
	default:
		return false
	}
	return c.filter.wants(ev)
}
