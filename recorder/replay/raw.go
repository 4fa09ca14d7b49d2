package replay

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// copyRaw writes a dump again, without the calls that the query does not want. The
// few records that others need to be understood stay; the header says what was
// asked, and who reads the copy leaves them out then. Last does not apply.
func copyRaw(out io.Writer, r *dump.Reader, o *Options) (Stats, error) {
	h := r.Header()
	c := rawCopy{w: dump.NewWriter(out), tasks: table{rows: make(map[uint32][]*Task)}, special: specialCalls()}
	q := o.Query.Absolute(endOf(h), o.Location)
	q.Last = 0
	if q.Filtered() {
		c.filter = newFilter(&q, h, o.Location)
		c.asked = q.filter().Encode()
	}
	made, err := asked(h)
	if err == nil && c.filter != nil && len(made) == maxFilters {
		err = fmt.Errorf("%w: it was made with %d filters, which is as many as may be", ErrTooLarge, maxFilters)
	}
	if err != nil {
		return c.stats, err
	}
	rows := false
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return c.stats, nil
		}
		if err != nil {
			// What follows is missing, and so is the end: a reader notices.
			return c.stats, errors.Join(c.w.Flush(), err)
		}
		if err := c.frame(r, f); err != nil {
			return c.stats, err
		}
		rows = rows || f.Type != dump.FrameHeader && f.Type != dump.FrameTasks && f.Type != dump.FrameOpen
		if o.Follow && rows {
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
	w       *dump.Writer
	tasks   table
	filter  *filter // nil: everything
	asked   string
	special special
	ev      Event
	stats   Stats
}

func (c *rawCopy) frame(r *dump.Reader, f dump.Frame) error {
	switch f.Type {
	case dump.FrameHeader:
		h := *r.Header()
		h.Filter = strings.Join(nonEmpty(h.Filter, c.asked), " ")
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
	case dump.FrameOpen:
		if o := f.Open(); o != nil {
			return c.w.Open(*o)
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
	case dump.FrameDamage:
		d, _ := f.Damage()
		c.stats.Damage = r.Damage()
		return c.w.Damage(&d)
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
	if !rec.Type.Known() {
		c.stats.Unknown++
		ev.Kind = KindUnknown
		return c.filter.wants(ev)
	}
	switch layout.RecordTypes[rec.Type].Filter {
	case layout.FilterKeep:
		if rec.Type != layout.RecEnter || !blocked {
			return true
		}
		ev.Kind, ev.State = KindCall, Blocked
	case layout.FilterMatch:
		if rec.Type == layout.RecCall && rec.Ret == 0 && c.special.exec.has(c.filter.arch.ABI(rec.Flags), rec.Nr) {
			return true
		}
		ev.Kind = kindOf(rec.Type)
	case layout.FilterNone:
		return false
	}
	return c.filter.wants(ev)
}
