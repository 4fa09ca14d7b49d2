package recorder

import (
	"fmt"
	"path"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/identity"
	"github.com/recorderd/recorderd/recorder/kubernetes"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/strace"
)

// podName is what Kubernetes says of a recording's container. It stays when the
// pod goes.
type podName struct {
	info  kubernetes.Info
	known bool
	asked uint64 // the source's generation at the last question
	with  bool   // the container's name in its pod was known then
	owed  bool   // an event that a dump was saved
	// owedAt is since when.
	owedAt time.Time
}

// askKubernetes makes the source of pods' names, none if cfg is nil.
func (r *Recorder) askKubernetes(cfg *kubernetes.Config) (*kubernetes.Source, error) {
	if cfg == nil {
		return nil, nil
	}
	c := *cfg
	c.Log, c.Changed = r.log, r.lookSoon
	c.Agent = "recorderd"
	if r.cfg.Version != "" {
		c.Agent += "/" + r.cfg.Version
	}
	src, err := kubernetes.New(c)
	if err != nil {
		return nil, fmt.Errorf("ask Kubernetes for pods: %w", err)
	}
	return src, nil
}

// namePod joins what Kubernetes knows of a recording's container, again whenever
// it knows more. r.mu is held.
func (r *Recorder) namePod(rec *recording) {
	if r.pods == nil {
		return
	}
	// Before the questions, so that what is learnt meanwhile is asked for again.
	gen := r.pods.Generation()
	p := &rec.pod
	if p.asked == gen+1 && p.with == rec.known {
		return
	}
	p.asked, p.with = gen+1, rec.known
	info, ok := r.podOf(rec)
	if ok && p.learn(info) {
		rec.renamed = true
		r.applyLocked(rec) // settings go by pods' names and labels, too
	}
}

// podOf asks for the pod of a recording's container. Which pod that is the runtime says, or
// the path; that a status names a container's id says nothing of whose cgroup is called so.
// r.mu is held.
func (r *Recorder) podOf(rec *recording) (kubernetes.Info, bool) {
	uid, id := "", rec.who.ID
	if rec.known || rec.recalled {
		uid, id = rec.info.PodUID, rec.info.ID
	}
	if uid == "" {
		uid = r.podOfPath(rec)
	}
	if uid == "" {
		return kubernetes.Info{}, false
	}
	info, ok := r.pods.ByPod(uid, rec.info.ContainerName)
	if one, named := r.pods.Lookup(id); named && ok && one.UID == info.UID {
		return one, true
	}
	return info, ok
}

// learn takes over what is known now, and reports whether that is news. What a
// status says of a container it says only for a while.
func (p *podName) learn(info kubernetes.Info) bool {
	old := &p.info
	if p.known && old.UID == info.UID {
		if info.Container == "" {
			info.Container, info.Kind, info.Image, info.RestartAlways = old.Container, old.Kind, old.Image, old.RestartAlways
		}
		if info.Restarts < 0 {
			info.Restarts = old.Restarts
		}
		if info.Exit == nil {
			info.Exit = old.Exit
		}
		if info.ImageID == "" {
			info.ImageID = old.ImageID
		}
		if info.Going == nil {
			info.Going = old.Going
		}
	}
	if p.known && reflect.DeepEqual(*old, info) {
		return false
	}
	p.info, p.known = info, true
	return true
}

// describe adds what Kubernetes knows to a recording.
func (p *podName) describe(out *api.Recording) {
	if !p.known {
		return
	}
	i := &p.info
	out.Pod = &api.Pod{
		Namespace: i.Namespace, Name: i.Pod, UID: i.UID, Labels: i.Labels, Annotations: i.Annotations,
		HostNetwork: i.HostNetwork, HostPID: i.HostPID, Static: i.Static,
	}
	out.Pod.Going = p.going()
	if i.Owner.Name != "" {
		out.Pod.Owner = &api.Owner{Kind: i.Owner.Kind, Name: i.Owner.Name}
	}
	c := &out.Container
	if i.Container != "" {
		c.Name = i.Container
	}
	c.Kind, c.ImageID, c.RestartAlways = i.Kind, i.ImageID, i.RestartAlways
	// What the pod asks for says more to people than what a runtime makes of it.
	if i.Image != "" {
		c.Image = i.Image
	}
	if c.Restarts == nil && i.Restarts >= 0 {
		n := i.Restarts
		c.Restarts = &n
	}
}

// exit is how the container ended, by all that is known. r.mu is held.
func (rec *recording) exit(h *layout.RingHead) *api.Exit {
	x := exitOf(h, rec.ended, &rec.info, rec.known || rec.recalled, identity.IsContainerName(path.Base(rec.path)))
	if x != nil && x.Source == "kernel" && atomic.LoadUint32(&h.PidLevel) == 0 {
		x = rec.doubted(x)
	}
	return rec.pod.exit(x)
}

// keptExit is exit for a recording that has been put together, perhaps before all was
// known. r.mu is held.
func (rec *recording) keptExit(x *api.Exit) *api.Exit {
	if x != nil && x.Source == "kernel" && rec.pod.known && rec.pod.info.HostPID {
		x = rec.doubted(x)
	}
	return rec.pod.exit(x)
}

// doubted is for a container without a pid namespace of its own (hostPID). Which of
// its processes is the first the kernel can only guess there, and may have taken a
// helper of the runtime's for it; the runtime started it, and knows.
func (rec *recording) doubted(x *api.Exit) *api.Exit {
	code := x.Code
	if n := strace.SignalNumber(x.Signal); n != 0 {
		code = 128 + n
	}
	if c := rec.info.ExitCode; c != nil && (rec.known || rec.recalled) {
		if int(*c) != code {
			return &api.Exit{Source: "containerd", Code: int(*c), At: rec.info.Finished}
		}
		return x
	}
	if p := rec.pod.info.Exit; p != nil && p.Code != code {
		return nil // the kubelet's word alone counts
	}
	return x
}

// exit adds what the kubelet says of a container's end to what others saw of it,
// and is alone if they saw nothing.
func (p *podName) exit(seen *api.Exit) *api.Exit {
	return judge(p.reported(seen), p.going())
}

// going is why the pod goes, nil if nothing says that it does.
func (p *podName) going() *api.Going {
	g := p.info.Going
	if !p.known || g == nil {
		return nil
	}
	return &api.Going{Why: g.Why, Message: g.Message, Seen: g.Seen}
}

// reported is exit without whether it was deliberate.
func (p *podName) reported(seen *api.Exit) *api.Exit {
	x := p.info.Exit
	if !p.known || x == nil {
		return seen
	}
	if seen == nil {
		seen = &api.Exit{Source: "kubernetes", Code: x.Code, At: x.Finished, OOMKilled: x.Reason == "OOMKilled"}
		if x.Signal != 0 { // few runtimes tell it apart
			seen.Code, seen.Signal = 0, strace.SignalName(x.Signal)
		}
	}
	both := *seen // it may be of a description that is kept
	both.Reason, both.Message = x.Reason, x.Message
	return &both
}

// pauseAfter is how long a container must have been there before it is taken for one that
// only holds a pod's namespaces without its runtime having said so: by then the kubelet has
// told the API server of all that are not.
const pauseAfter = time.Minute

// isPause reports whether a recording is of the container that only holds a pod's
// namespaces. r.mu is held.
func (r *Recorder) isPause(rec *recording) bool {
	if rec.known {
		return rec.info.Sandbox
	}
	// Where no runtime tells: it is in a pod by its path, the pod has no container of that
	// id, though it has others, and it calls itself so.
	if r.pods == nil || rec.ring == nil || monotonic()-min(rec.claimed, monotonic()) < uint64(pauseAfter) {
		return false
	}
	if !rec.pod.known || !rec.pod.info.Started || r.podOfPath(rec) == "" || !r.pods.Status().Connected {
		return false
	}
	for _, s := range r.runtimes.Status() {
		if s.LastError != "" {
			return false // it may yet tell
		}
	}
	if _, ok := r.pods.Lookup(rec.who.ID); ok {
		return false
	}
	command := argv(rec.ring.Head())
	if command == nil {
		command = rec.command
	}
	return len(command) == 1 && path.Base(command[0]) == "pause"
}

// ignoreLocked forgets a recording, for good: as long as its container is there,
// it gets no other ring.
func (r *Recorder) ignoreLocked(rec *recording) {
	r.log.Debug("not kept", "id", rec.id, "cgroup", rec.path)
	if rec.ended && !rec.busy() {
		r.dropLocked(rec)
		return
	}
	r.letGoLocked(rec, r.kernel.Ignore)
	// The kernel forgets it with its cgroup. If that went just before, it can't.
	if !r.hierarchy.exists(rec.path, rec.cgroup) {
		if err := r.kernel.Unclaim(rec.cgroup); err != nil {
			r.log.Error("forget a container that is not kept", "cgroup", rec.path, "error", err)
		}
	}
	r.scan.Store(true) // its tasks are marked as the ring's
}

// forgetIgnored gives back the places of containers that were ignored and are
// gone, in case that nobody saw them go.
func (r *Recorder) forgetIgnored() error {
	claims, err := r.kernel.Claims()
	if err != nil {
		return err
	}
	there := map[uint64]bool{}
	for _, path := range r.hierarchy.containers(len(claims) + maxContainers) {
		if id, err := r.hierarchy.id(path); err == nil {
			there[id] = true
		}
	}
	if r.cfg.RecordSelf {
		delete(there, r.self.id) // the last daemon may have been told otherwise
	}
	for id, c := range claims {
		if c.Slot == layout.NoSlot && !there[id] {
			if err := r.kernel.Unclaim(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxContainers is more than a node has.
const maxContainers = 16384

// kubernetesStatus says how the API server is doing, for Status.
func (r *Recorder) kubernetesStatus() []api.RuntimeInfo {
	if r.pods == nil {
		return nil
	}
	s := r.pods.Status()
	return []api.RuntimeInfo{{Name: "kubernetes", Address: s.Server, Connected: s.Connected, Containers: s.Containers, Error: s.LastError}}
}

// tellSaved wants an event on the pod of a recording of which a dump was saved
// without anybody asking for it: that is where people look first. tellEnds makes it, when the pod
// is known and the verdict is there, with Kubernetes' reason if that comes soon.
func (r *Recorder) tellSaved(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.recs[id]; rec != nil && r.pods != nil {
		rec.pod.owed, rec.pod.owedAt = true, time.Now()
		wake(r.judge.kick)
	}
}

// tellSavedLocked makes the event. r.mu is held.
func (r *Recorder) tellSavedLocked(rec *recording) {
	rec.pod.owed = false
	out := r.describeLocked(rec)
	r.pods.Events().Tell(rec.pod.info, kubernetes.ReasonSaved, savedNote(&out, rec.pod.info.Alone))
}

// maxNoted is how many bytes of a verdict an event has. The command behind it must fit in as well.
const maxNoted = 600

// savedNote is what an event says. alone: the pod has no other container. The words of the
// container are not in it: who may read events may not be allowed to read logs.
func savedNote(rec *api.Recording, alone bool) string {
	var b strings.Builder
	if v := rec.Verdict; v != nil {
		text := v.Text
		if len(text) > maxNoted {
			text = strings.ToValidUTF8(text[:maxNoted], "") + "…"
		}
		b.WriteString(text + "; ")
	}
	fmt.Fprintf(&b, "saved %s system calls", replay.Thousands(rec.Coverage.Kept))
	switch x := rec.Exit; {
	case x == nil || rec.Verdict != nil:
	case x.OOMKilled:
		b.WriteString(" before it was killed for want of memory")
	case x.Signal != "":
		b.WriteString(" before " + x.Signal)
	default:
		fmt.Fprintf(&b, " before it exited with %d", x.Code)
	}
	fmt.Fprintf(&b, ": recorderctl show -n %s %s", rec.Pod.Namespace, rec.Pod.Name)
	if !alone {
		b.WriteString(" -c " + rec.Container.Name)
	}
	b.WriteString(" --previous")
	return b.String()
}
