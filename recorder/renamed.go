package recorder

import (
	"sync/atomic"
	"time"
)

// In a v1 hierarchy a cgroup can be renamed, with all that is in it, and is the same
// cgroup. The kernel tells of one that is removed; of one that is not at its path and of
// which that was not told, the hierarchy is searched.

// lost is what is known of a cgroup that is not at its path.
type lost struct {
	at    string    // where it was found; "": at the path that the kernel noted
	since time.Time // since when it is found nowhere; zero: it is there
}

// missAfter is how long a cgroup must be nowhere before it counts as removed though the
// kernel did not tell: while it is renamed again and again, a search may miss it.
const missAfter = 5 * time.Second

// thereLocked reports whether a recording's cgroup exists still. r.mu is held.
func (r *Recorder) thereLocked(rec *recording) bool {
	if rec.gone || atomic.LoadUint32(&rec.ring.Head().Removed) != 0 {
		return false
	}
	if rec.deep || r.hierarchy.exists(rec.place(), rec.cgroup) {
		rec.lost.since = time.Time{}
		return true
	}
	if r.hierarchy.V2() {
		return false // nothing is renamed there
	}
	if rec.lost.since.IsZero() {
		rec.lost.since = time.Now()
	}
	return time.Since(rec.lost.since) < missAfter
}

// place is the path of a recording's cgroup now. The one that it had when recording began is
// what it is known by.
func (rec *recording) place() string {
	if rec.lost.at != "" {
		return rec.lost.at
	}
	return rec.path
}

// searchLocked looks once for all cgroups that are not where they were. r.mu is held.
func (r *Recorder) searchLocked() {
	if r.hierarchy.V2() || time.Since(r.searched) < lookEvery/2 {
		return
	}
	ids := map[uint64]bool{}
	for _, rec := range r.bySlot {
		if !rec.lost.since.IsZero() && !rec.gone {
			ids[rec.cgroup] = true
		}
	}
	if len(ids) == 0 {
		return
	}
	r.searched = time.Now()
	found := r.hierarchy.locate(ids)
	for _, rec := range r.bySlot {
		if at, ok := found[rec.cgroup]; ok {
			rec.lost = lost{at: at}
		}
	}
}
