package recorder

import (
	"path"
	"reflect"
	"strings"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/identity"
	"github.com/recorderd/recorderd/recorder/kubernetes"
)

// Who may make cgroups in a container chooses what they are called. A cgroup's name
// decides only that it is a container and gets a ring. Whose it is comes
//
//   - from a runtime, if that says that this very cgroup is its container's;
//   - from the path, if no container is around: then only root on the node can have made
//     it, or the kubelet.
//
// All else is inside the nearest container of which that is known: it has its rules, is
// listed as inside it, and has no name.

// inside is the container around a recording's, as it was last seen.
type inside struct {
	around *api.Inside      // nil: there is none
	pod    *api.Pod         // of the one around
	asked  *kubernetes.Info // that pod, by the API server's word; nil if it is not known
}

// around returns the path of the nearest container around a cgroup, "" if there is none.
// r.mu is held.
func (r *Recorder) around(cgroup string) string {
	for at := path.Dir(cgroup); at != "/" && at != "."; at = path.Dir(at) {
		if r.isContainer(at) {
			return at
		}
		if _, root := r.watched[at]; root && r.cfg.OnlyWatched {
			return "" // what is around the root is nobody's concern
		}
	}
	return ""
}

// isContainer reports whether a cgroup is a container's own, by its name or because it is
// recorded or known as one. r.mu is held.
func (r *Recorder) isContainer(cgroup string) bool {
	if r.byPath[cgroup] != nil {
		return true
	}
	if !r.cfg.OnlyWatched && identity.IsContainerName(path.Base(cgroup)) {
		if c, ok := identity.Parse(cgroup); ok && c.Path == cgroup {
			return true
		}
	}
	_, known := r.runtimes.At(cgroup)
	return known
}

// indexLocked notes which recording is a cgroup's: the newest, better one with a ring. And
// in which others recordings go on.
func (r *Recorder) indexLocked() {
	r.byPath = make(map[string]*recording, len(r.recs))
	for _, rec := range r.recs {
		r.indexOneLocked(rec)
	}
	r.next = successors(r.partsLocked())
}

func (r *Recorder) indexOneLocked(rec *recording) {
	old := r.byPath[rec.path]
	if old == nil || (old.kept == nil) == (rec.kept == nil) && !rec.before(old) || old.kept != nil && rec.kept == nil {
		r.byPath[rec.path] = rec
	}
}

// before reports whether a recording is the older one.
func (rec *recording) before(o *recording) bool {
	if rec.kept != nil && o.kept != nil {
		return rec.endedAt.Before(o.endedAt)
	}
	return rec.claimed < o.claimed
}

// own reports whether a recording's container has an identity of its own. r.mu is held.
func (rec *recording) own() bool { return rec.known || rec.recalled || rec.in.around == nil }

// outer returns the path of the nearest container around a recording's that has an
// identity of its own, and its recording if there is one. "": none is around. r.mu is held.
func (r *Recorder) outer(rec *recording) (string, *recording) {
	for at := r.around(rec.path); at != ""; {
		next := r.around(at)
		o := r.byPath[at]
		known := o != nil && (o.known || o.recalled)
		if !known {
			_, known = r.runtimes.At(at)
		}
		if known || next == "" {
			return at, o
		}
		at = next
	}
	return "", nil
}

// lookAroundLocked notes what is around a recording's container. What is no longer there
// stays as it was last seen.
func (r *Recorder) lookAroundLocked(rec *recording) {
	at, o := r.outer(rec)
	if at == "" {
		return
	}
	var out api.Recording
	var asked *kubernetes.Info
	if o != nil {
		out = r.subject(o)
		switch {
		case o.pod.known:
			info := o.pod.info
			asked = &info
		case !o.own():
			asked = o.in.asked
		}
	} else {
		who := r.identify(at)
		out.Container = api.Container{ID: who.ID, Name: who.ID, Runtime: who.Runtime}
		if info, ok := r.runtimes.At(at); ok {
			nameFrom(&out, &info)
		}
	}
	c := &out.Container
	in := inside{around: &api.Inside{
		Recording: out.ID,
		Container: api.Container{ID: c.ID, Name: c.Name, Runtime: c.Runtime, Namespace: c.Namespace, Cgroup: at, Labels: c.Labels},
	}, pod: out.Pod, asked: asked}
	if p := out.Pod; p != nil {
		in.around.Pod = &api.Pod{Namespace: p.Namespace, Name: p.Name, UID: p.UID}
	}
	if reflect.DeepEqual(in, rec.in) {
		return
	}
	rec.renamed = rec.renamed || !reflect.DeepEqual(in.asked, rec.in.asked)
	rec.in = in
	r.applyLocked(rec)
}

// describeInside puts into a description what is around the container. One with no identity
// of its own has no name, and is in that one's pod.
func (r *Recorder) describeInside(rec *recording, out *api.Recording) {
	if rec.in.around == nil {
		return
	}
	in := *rec.in.around
	out.Inside = &in
	if rec.own() {
		in.Container.Labels = nil // the rules that blank them are the other's
		return
	}
	c := &out.Container
	c.Name, c.Runtime, c.Namespace, c.Image, c.Labels = "", "", "", "", nil
	out.Pod = rec.in.pod
}

// podOfPath is the uid of the pod that a recording's path names, as the kubelet makes
// paths: "" if somebody else can have made this one. r.mu is held.
func (r *Recorder) podOfPath(rec *recording) string {
	// What is in a service for a user of the node is that user's to make.
	if rec.who.PodUID == "" || strings.Contains(rec.path, "/user@") || r.around(rec.path) != "" {
		return ""
	}
	return rec.who.PodUID
}

// innerLocked are the recordings with rings that have something inside: how many rings
// there are inside each, counted for the outermost, as the kernel does, and whether any
// of these is live.
func (r *Recorder) innerLocked() (nested map[*recording]uint32, alive map[*recording]bool) {
	nested, alive = map[*recording]uint32{}, map[*recording]bool{}
	withRing := func(cgroup string) *recording {
		if o := r.byPath[cgroup]; o != nil && o.kept == nil {
			return o
		}
		return nil
	}
	for _, rec := range r.bySlot {
		var outermost *recording
		busy := rec.busy()
		for at := path.Dir(rec.path); at != "/" && at != "."; at = path.Dir(at) {
			if o := withRing(at); o != nil && o != rec {
				outermost = o
				alive[o] = alive[o] || busy
			}
		}
		if outermost != nil {
			nested[outermost]++
		}
	}
	return nested, alive
}

// whereIs says where a process runs, for containerd.Config.Where.
func (r *Recorder) whereIs(pid int) (cgroup, container string) {
	cgroup, ok := r.hierarchy.of(pid, r.self.path)
	if !ok {
		return "", ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isContainer(cgroup) {
		return cgroup, cgroup
	}
	if at := r.around(cgroup); at != "" {
		return cgroup, at
	}
	return cgroup, "/"
}
