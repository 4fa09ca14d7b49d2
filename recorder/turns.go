package recorder

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/identity"
	"github.com/recorderd/recorderd/recorder/spool"
)

// Who of those that are to be written to disk has the next turn. A crash that was refused
// keeps waiting, in the memory that it is kept in, until there is room for it.

// waitMost is how many refused crashes of one owner wait. Those beyond it, the last to
// have ended, are given up.
const waitMost = 128

// admission is what the spool said of a crash. It is counted there once.
type admission struct {
	crash   *spool.Crash  // nil: not asked yet
	refused spool.Refused // the last answer
	granted bool
}

// candidate is a recording that waits to be dealt with.
type candidate struct {
	rec  *recording
	key  string
	turn spool.Waiting
}

// spoolNext deals with one of the recordings that were not dealt with. It returns false if
// there is none, or none for which there is room now, or if the disk did not take it.
func (r *Recorder) spoolNext(ctx context.Context) bool {
	waiting, done := r.candidates(time.Now())
	if done || len(waiting) == 0 {
		return done
	}
	sp := r.store.get()
	if sp == nil {
		return false
	}
	turns := make([]spool.Waiting, len(waiting))
	for i := range waiting {
		turns[i] = waiting[i].turn
	}
	var refused []candidate
	for _, i := range sp.Order(turns) {
		c := waiting[i]
		ok, err := r.spoolOne(ctx, sp, c.rec)
		r.mu.Lock()
		switch {
		case err != nil:
			c.rec.retryAt = time.Now().Add(retryAfter)
		case ok && r.recs[c.rec.id] == c.rec:
			r.markLocked(c.rec)
		}
		r.mu.Unlock()
		if err != nil || ok {
			return ok
		}
		refused = append(refused, c)
	}
	r.giveUp(sp, refused)
	return false
}

// candidates returns the recordings that wait to be written. done: it dealt with one that
// is not to be.
func (r *Recorder) candidates(now time.Time) (waiting []candidate, done bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.recs {
		if rec.kept == nil || rec.kept.done || now.Before(rec.retryAt) {
			continue
		}
		if now.Before(rec.nameBy) && (r.unnamed(rec) || r.unjudged(rec)) {
			continue
		}
		r.judgeCompletedLocked(rec)
		if is(rec.applied.settings.Off) || !r.store.wants(rec.kept.reason.Kind) {
			r.markLocked(rec)
			return nil, true
		}
		d := r.subject(rec)
		d.Exit = rec.keptExit(d.Exit)
		if x := d.Exit; x != nil && x.Deliberate != "" && !goesOn(rec.kept.reason.Kind) {
			r.log.Info("not written to disk", "id", rec.id, "container", d.Container.Name, "end", rec.kept.reason.Text+endedHow(&d), "why", "deliberate")
			r.markLocked(rec)
			return nil, true
		}
		waiting = append(waiting, candidate{rec, d.ContainerKey(), spool.Waiting{Account: r.account(rec, &d), Lesser: lesser(&d), Ended: rec.endedAt}})
	}
	return waiting, false
}

// unjudged reports whether Kubernetes may yet tell that a recording's end was wanted.
func (r *Recorder) unjudged(rec *recording) bool {
	x := rec.kept.desc.Exit
	return r.pods != nil && x != nil && x.Deliberate == "" && askedFor(x) &&
		(rec.who.PodUID != "" || rec.pod.known) && rec.pod.info.Going == nil && r.pods.Status().Connected
}

// lesser reports whether somebody wanted an end, if not this one: other crashes come first.
func lesser(d *api.Recording) bool {
	x := d.Exit
	if x == nil {
		return false
	}
	return x.Outside || x.TermAt != nil && askedFor(x) || during(x, goingOf(d))
}

// giveUp ends the waiting of crashes that were refused and are too many of one owner, or
// only the latest of a loop that has a later one.
func (r *Recorder) giveUp(sp *spool.Store, refused []candidate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	later := map[string]time.Time{} // by key
	for _, c := range refused {
		if c.rec.endedAt.After(later[c.key]) {
			later[c.key] = c.rec.endedAt
		}
	}
	type owner struct{ namespace, name string }
	owners := map[owner]int{}
	for _, c := range refused {
		if c.rec.kept == nil || c.rec.admission.crash == nil {
			continue
		}
		of := owner{c.turn.Account.Namespace, c.turn.Account.Owner}
		old := c.rec.admission.crash.Role == spool.RoleLatest && later[c.key].After(c.rec.endedAt)
		if owners[of]++; owners[of] <= waitMost && !old {
			continue
		}
		why := c.rec.admission.refused
		sp.GiveUp(why)
		r.log.Info("not written to disk", "id", c.rec.id, "container", c.rec.kept.desc.Container.Name, "end", c.rec.kept.reason.Text, "why", why)
		r.markLocked(c.rec)
	}
}

// spoolOne writes a kept recording to disk. It returns false if there is no room for it
// now. Only this goroutine touches rec.admission.
func (r *Recorder) spoolOne(ctx context.Context, sp *spool.Store, rec *recording) (bool, error) {
	r.mu.Lock()
	if rec.kept == nil || r.recs[rec.id] != rec {
		r.mu.Unlock()
		return true, nil // dropped meanwhile
	}
	d, why, outer := r.describeLocked(rec), rec.kept.reason, rec.kept.outer
	r.mu.Unlock()
	if sp.Has(d.ID, why.Kind) {
		return true, nil // by a daemon that died before it could note that
	}
	meta := r.meta(&d, why, outer)
	if !goesOn(why.Kind) { // nothing has crashed
		meta.Reason.Text += endedHow(&d)
		meta.Lesser = lesser(&d)
		if a := &rec.admission; !a.granted {
			meta.Crash = a.crash
			a.granted, a.refused = sp.Admit(meta)
			if a.crash == nil && !a.granted {
				r.log.Info("waits for room on the disk", "id", d.ID, "container", d.Container.Name, "end", why.Text, "why", a.refused)
			}
			if a.crash = meta.Crash; !a.granted {
				return false, nil
			}
		}
		meta.Crash = rec.admission.crash
	}
	return r.writeOne(ctx, sp, meta, &d)
}

// writeOne writes a kept recording to disk that has been admitted.
func (r *Recorder) writeOne(ctx context.Context, sp *spool.Store, meta *spool.Meta, d *api.Recording) (bool, error) {
	entry, err := sp.Save(ctx, *meta, r.keptWriter(d))
	var gone *api.Error
	if errors.As(err, &gone) && gone.Code == api.CodeNotFound {
		return true, nil // dropped meanwhile
	}
	r.store.outcome(err)
	var disk *spool.Error
	if errors.As(err, &disk) && disk.Kind == spool.ErrTooLarge {
		return true, nil // it will never fit
	}
	if err != nil {
		return false, err
	}
	r.log.Info("written to disk", "id", d.ID, "container", d.Container.Name, "end", meta.Reason.Text, "bytes", entry.Bytes)
	if !goesOn(meta.Reason.Kind) {
		r.tellSaved(d.ID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.recs[d.ID]; rec != nil {
		rec.judged.toDisk = true
	}
	return true, nil
}

// account is at whose cost a recording is on disk.
func (r *Recorder) account(rec *recording, d *api.Recording) spool.Account {
	if rec.kept != nil && rec.kept.outer != nil {
		return *rec.kept.outer
	}
	return spool.AccountOf(d)
}

// outermostLocked says whose the outermost container is that a recording's is inside; nil
// if it is inside none. A cgroup above is a container if it has a recording, or a
// container's name. r.mu is held.
func (r *Recorder) outermostLocked(rec *recording) *spool.Account {
	if strings.Count(rec.path, "/") < 2 {
		return nil
	}
	byPath := make(map[string]*recording, len(r.recs))
	for _, o := range r.recs {
		if was := byPath[o.path]; was == nil || o.claimed > was.claimed {
			byPath[o.path] = o
		}
	}
	for i := 1; i < len(rec.path); i++ {
		if rec.path[i] != '/' {
			continue
		}
		above := rec.path[:i]
		if outer := byPath[above]; outer != nil && outer != rec {
			d := r.subject(outer)
			account := spool.AccountOf(&d)
			return &account
		}
		if !identity.IsContainerName(above[strings.LastIndexByte(above, '/')+1:]) {
			continue
		}
		d := api.Recording{Node: r.cfg.Node, Container: api.Container{Cgroup: above}}
		if c, ok := identity.Parse(above); ok && c.PodUID != "" && r.pods != nil {
			if info, known := r.pods.ByPod(c.PodUID, ""); known {
				p := podName{info: info, known: true}
				p.describe(&d)
				d.Container.Name = c.ID
			}
		}
		account := spool.AccountOf(&d)
		return &account
	}
	return nil
}
