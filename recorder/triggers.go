package recorder

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/recorderd/recorderd/recorder/spool"
)

// What happens to a container that lives on can be the reason why somebody asks: what its ring
// holds then is written to disk, with what follows for a while.
const (
	triggerAfter = 5 * time.Second  // what follows
	triggerEvery = 10 * time.Minute // between two of one recording
)

// trigger is what of that is known of a recording. r.mu is held.
type trigger struct {
	seen  bool
	kills uint32    // by the OOM killer, when it was looked at last
	hangs bool      // and has been written for that
	due   time.Time // zero: nothing is
	why   spool.Reason
	last  time.Time
}

// noteTriggers looks at all live containers for what their rings are to be written for.
func (r *Recorder) noteTriggers(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := false
	for _, rec := range r.bySlot {
		if rec.ended {
			continue
		}
		t := &rec.trigger
		kills := atomic.LoadUint32(&rec.ring.Head().OomKills)
		if n := kills - t.kills; t.seen && n > 0 && r.store.wants(spool.KindChildOOM) {
			text := "a process of it was killed for want of memory"
			if n > 1 {
				text = fmt.Sprintf("%d processes of it were killed for want of memory", n)
			}
			t.set(now, spool.Reason{Kind: spool.KindChildOOM, Text: text + "; it lives on"})
		}
		t.seen, t.kills = true, kills
		hang, hangs := r.hangs[rec.slot]
		if hangs && !t.hangs && r.cfg.Hang > 0 && hang.since >= r.cfg.Hang {
			t.hangs = true
			t.set(now, spool.Reason{Kind: spool.KindHang, Text: "it was " + hang.text})
		}
		t.hangs = t.hangs && hangs
		due = due || !t.due.IsZero()
	}
	if due {
		wake(r.spoolKick)
	}
}

// set asks for a dump, unless there has just been one.
func (t *trigger) set(now time.Time, why spool.Reason) {
	if t.due.IsZero() && (t.last.IsZero() || now.Sub(t.last) >= triggerEvery) {
		t.due, t.why = now.Add(triggerAfter), why
	}
}

// saveTriggered writes the rings to disk whose time has come. A container that has ended
// meanwhile has the dump of its end.
func (r *Recorder) saveTriggered(ctx context.Context, now time.Time) {
	type one struct {
		rec *recording
		why spool.Reason
	}
	var all []one
	r.mu.Lock()
	for _, rec := range r.bySlot {
		t := &rec.trigger
		if t.due.IsZero() || now.Before(t.due) {
			continue
		}
		t.due, t.last = time.Time{}, now
		if !rec.ended {
			all = append(all, one{rec, t.why})
		}
	}
	r.mu.Unlock()
	for _, o := range all {
		if ctx.Err() != nil {
			return
		}
		if r.refused(o.rec) != nil {
			continue // a rule says that nothing is told of it
		}
		sp := r.store.get()
		if sp == nil {
			return
		}
		entry, why, err := r.saveLive(ctx, sp, o.rec, o.why, true)
		switch {
		case err != nil:
			r.log.Warn("not written to disk", "id", o.rec.id, "for", o.why.Text, "error", err)
		case why != "":
			r.log.Info("not written to disk", "id", o.rec.id, "for", o.why.Text, "why", why)
		default:
			r.log.Info("written to disk while it lives", "id", entry.ID, "container", entry.Meta.Recording.Container.Name, "for", o.why.Text, "bytes", entry.Bytes)
		}
	}
}
