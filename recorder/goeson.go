package recorder

import (
	"cmp"
	"slices"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/spool"
)

// A recorderd with other programs or ring sizes cannot go on in the rings that are there:
// a container has two recordings then, the second of which began late.

// goesOn reports whether a recording ended for that, and its container did not.
func goesOn(kind spool.Kind) bool { return kind == spool.KindUpgrade || kind == spool.KindResized }

// part is a recording as far as that matters.
type part struct {
	id, cgroup string
	started    time.Time
	late       bool // it began when the container was there
	split      bool // it ended, and its container did not
}

// successors are the recordings in which others go on, by their ids: the next of the same
// cgroup, if that began late.
func successors(parts []part) map[string]string {
	split := map[string]bool{}
	for i := range parts {
		if parts[i].split {
			split[parts[i].cgroup] = true
		}
	}
	if len(split) == 0 {
		return nil
	}
	parts = slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return !split[p.cgroup] })
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(cmp.Compare(a.cgroup, b.cgroup), a.started.Compare(b.started), cmp.Compare(a.id, b.id))
	})
	next := map[string]string{}
	for i, p := range parts {
		if !p.split {
			continue
		}
		for _, q := range parts[i+1:] {
			if q.cgroup != p.cgroup {
				break
			}
			if api.BaseID(q.id) == api.BaseID(p.id) {
				continue // another dump of the same
			}
			if q.late {
				next[p.id] = q.id
			}
			break
		}
	}
	return next
}

// partLocked is that of a recording in memory.
func (rec *recording) partLocked() part {
	if k := rec.kept; k != nil {
		return part{rec.id, rec.path, k.desc.Started, k.desc.Coverage.BeganLate, goesOn(k.reason.Kind)}
	}
	return part{rec.id, rec.path, wallTime(rec.claimed), rec.ring.Head().BeganLate != 0, false}
}

// partsLocked are those of all recordings in memory.
func (r *Recorder) partsLocked() []part {
	parts := make([]part, 0, len(r.recs))
	for _, rec := range r.recs {
		parts = append(parts, rec.partLocked())
	}
	return parts
}

// linkLocked says of dumps on disk in which recordings they go on. r.mu is held.
func (r *Recorder) linkLocked(dumps []api.Recording) {
	var parts []part
	some := false
	for i := range dumps {
		d := &dumps[i]
		split := d.Spool != nil && goesOn(spool.Kind(d.Spool.Reason))
		some = some || split
		parts = append(parts, part{d.ID, d.Container.Cgroup, d.Started, d.Coverage.BeganLate, split})
	}
	if !some {
		return
	}
	next := successors(append(parts, r.partsLocked()...))
	for i := range dumps {
		dumps[i].GoesOnAs = next[dumps[i].ID]
	}
}
