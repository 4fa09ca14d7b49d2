package recorder

import (
	"path"

	"github.com/recorderd/recorderd/recorder/identity"
)

// What recorderd does is mostly about recordings. In a container it would be recorded
// in turn, and each dump of that fill it with the next; so its own container has no
// ring unless Config.RecordSelf says so.

func (r *Recorder) findSelf() {
	var err error
	if r.self.path, r.self.id, err = r.hierarchy.self(); err != nil && !r.cfg.RecordSelf {
		r.log.Warn("recorderd itself may be recorded", "error", err)
	}
}

// isSelf reports whether a recording is of the cgroup that this process is in, and not
// wanted. One around that, as a node in a container has it, is.
func (r *Recorder) isSelf(rec *recording) bool { return rec.kept == nil && r.ignored(rec.cgroup) }

func (r *Recorder) ignored(cgroup uint64) bool { return !r.cfg.RecordSelf && cgroup == r.self.id }

// ignoreSelf gives back the ring that this process's container has got, or sees to it
// that it gets none. What is watched later settle sees to.
func (r *Recorder) ignoreSelf() error {
	if r.cfg.RecordSelf || r.self.id == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.recs {
		if r.isSelf(rec) {
			r.ignoreLocked(rec)
			// Before the slot is used again: its tasks are marked as the ring's.
			_, err := r.kernel.Tasks(-1)
			return err
		}
	}
	if r.claimed(r.self.path) {
		return r.kernel.IgnoreCgroup(r.self.id)
	}
	return nil
}

// claimed reports whether the kernel gives a cgroup a ring of its own when it gets a
// task, by what is watched now: the rule of find_ring in the program, as long as
// no cgroup above is a container.
func (r *Recorder) claimed(cgroup string) bool {
	for at := cgroup; at != "/"; at = path.Dir(at) {
		if _, root := r.watched[at]; root {
			return at != cgroup
		}
		if !r.cfg.OnlyWatched && identity.IsContainerName(path.Base(at)) {
			return at == cgroup // else it is a part of that one
		}
	}
	return false
}
