package recorder

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/testcontainerd"
	"github.com/recorderd/recorderd/recorder/containerd"
	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/replay"
)

// A container that may make cgroups below its own chooses their names. These tests hold
// that a name is only a name.

// cgroupWriter makes a container's options such that its script finds its own cgroup,
// writable, at $CG.
func cgroupWriter(r *Recorder, srv *testcontainerd.Server, name string, labels map[string]string, script string) testcontainerd.Options {
	return writerAt(r, path.Join("/", srv.Namespace, name), name, labels, script)
}

func writerAt(r *Recorder, cgroup, id string, labels map[string]string, script string) testcontainerd.Options {
	return testcontainerd.Options{
		ID: id, CgroupPath: cgroup, Labels: labels,
		Args:   []string{"/bin/sh", "-c", "CG=/cg" + cgroup + "; " + script},
		Mounts: []specs.Mount{{Type: "bind", Source: r.hierarchy.Mount, Destination: "/cg", Options: []string{"rbind", "rw"}}},
	}
}

// pod makes the labels of a container of Kubernetes'.
func podLabels(kind, pod, container string) map[string]string {
	return map[string]string{
		"io.cri-containerd.kind": kind, "io.kubernetes.container.name": container,
		"io.kubernetes.pod.name": pod, "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": "uid-of-" + pod,
	}
}

func hexID(c byte) string { return strings.Repeat(string(c), 64) }

// at waits for the recording of a cgroup.
func at(t *testing.T, r *Recorder, cgroup string, ok func(api.Recording) bool) api.Recording {
	t.Helper()
	var found api.Recording
	eventually(t, "recording of "+cgroup, func() bool {
		list, err := r.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range list {
			if rec.Container.Cgroup == cgroup && ok(rec) {
				found = rec
				return true
			}
		}
		return false
	})
	return found
}

// TestACgroupsNameIsOnlyAName catches a container that hides its calls, or puts them
// under another's name, by what it calls a cgroup below its own: after its own sandbox,
// after a container of another pod, after one that is off.
func TestACgroupsNameIsOnlyAName(t *testing.T) {
	yes := true
	r, srv := withContainerd(t, Config{Hierarchy: "v2", Policy: policy.Policy{Rules: []policy.Rule{
		{Match: policy.Match{Pod: "secret-0"}, Settings: policy.Settings{Off: &yes}},
		{Match: policy.Match{Pod: "attacker-0"}, Settings: policy.Settings{Mute: []string{"getppid"}}},
	}}})
	sleep := []string{"/bin/sh", "-c", "while :; do sleep 1; done"}
	run := func(id string, labels map[string]string) *testcontainerd.Container {
		return srv.Run(t, testcontainerd.Options{ID: id, Args: sleep, Labels: labels})
	}
	sandbox := run(hexID('a'), podLabels("sandbox", "attacker-0", ""))
	victim := run(hexID('b'), podLabels("container", "victim-0", "app"))
	secret := run(hexID('c'), podLabels("container", "secret-0", "app"))
	only(t, r, victim.ID, func(rec api.Recording) bool { return rec.Container.Name == "app" })
	only(t, r, secret.ID, func(rec api.Recording) bool { return rec.Off })

	var script strings.Builder
	for _, id := range []string{sandbox.ID, victim.ID, secret.ID} {
		fmt.Fprintf(&script, "mkdir $CG/%[1]s && (echo 0 >$CG/%[1]s/cgroup.procs; cat /etc/evil-%.4[1]s; sleep 1; cat /etc/again-%.4[1]s; exec sleep 1000) & ", id)
	}
	attacker := srv.Run(t, cgroupWriter(r, srv, hexID('d'), podLabels("container", "attacker-0", "evil"), script.String()+"wait"))
	outer := at(t, r, attacker.CgroupPath, func(rec api.Recording) bool { return rec.Container.Name == "evil" })
	for _, id := range []string{sandbox.ID, victim.ID, secret.ID} {
		want := []string{fmt.Sprintf(`"/etc/evil-%.4s"`, id), fmt.Sprintf(`"/etc/again-%.4s"`, id)}
		inner := at(t, r, path.Join(attacker.CgroupPath, id), func(rec api.Recording) bool {
			return !rec.Off && strings.Contains(text(t, r, rec.ID, replay.Query{}), want[1])
		})
		demand(t, text(t, r, inner.ID, replay.Query{}), want...)
		in := inner.Inside
		if in == nil || in.Recording != outer.ID || in.Container.Name != "evil" || in.Container.Cgroup != attacker.CgroupPath {
			t.Errorf("%.4s: it is inside %+v, want %s", id, in, outer.ID)
		}
		if c := inner.Container; c.Name != "" || c.Image != "" || c.Labels != nil || inner.Pod == nil || inner.Pod.Name != "attacker-0" {
			t.Errorf("%.4s: it is %+v of pod %+v, want no name in pod attacker-0", id, c, inner.Pod)
		}
		rec, err := r.find(inner.ID)
		if err != nil {
			t.Fatal(err)
		}
		r.mu.Lock()
		s := rec.applied.settings
		r.mu.Unlock()
		if is(s.Off) || len(s.Mute) != 1 {
			t.Errorf("%.4s: its settings are %+v, want those of the container around it", id, s)
		}
		if inner.ContainerKey() == outer.ContainerKey() || inner.OwnerKey() != outer.ContainerKey() {
			t.Errorf("%.4s: its key is %s, its owner's %s; the container around it has %s", id, inner.ContainerKey(), inner.OwnerKey(), outer.ContainerKey())
		}
	}
	// What was imitated is as it was.
	if rec := at(t, r, victim.CgroupPath, func(api.Recording) bool { return true }); rec.Container.Name != "app" || rec.Pod.Name != "victim-0" || rec.Inside != nil {
		t.Errorf("the one that was imitated is %+v of %+v, inside %+v", rec.Container, rec.Pod, rec.Inside)
	}
	if rec := at(t, r, secret.CgroupPath, func(api.Recording) bool { return true }); !rec.Off {
		t.Error("the one that is off is recorded")
	}
	list, err := r.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range list {
		if rec.Container.Cgroup == sandbox.CgroupPath {
			t.Error("the sandbox is recorded")
		}
	}
}

// TestAPodsPathInsideAContainer catches a container that takes another pod's identity by
// making the cgroups that the kubelet would make for it.
func TestAPodsPathInsideAContainer(t *testing.T) {
	uid := "12fdc709-933e-41d0-917f-cd84de9afa94"
	r := &Recorder{hierarchy: &Hierarchy{}, watched: map[string]uint64{}, recs: map[string]*recording{}, runtimes: containerd.New(containerd.Config{})}
	outer := "/kubepods/pod" + strings.Repeat("0", 32) + "/" + hexID('a')
	for cgroup, want := range map[string]string{
		"/kubepods/burstable/pod" + uid + "/" + hexID('b'):                                                      uid,
		outer + "/kubepods/burstable/pod" + uid + "/" + hexID('b'):                                              "",
		"/user.slice/user-1000.slice/user@1000.service/kubepods/burstable/pod" + uid + "/" + hexID('b'):         "",
		"/user.slice/user-1000.slice/user@1000.service/app.slice/kubepods-pod" + uid + ".slice:x:" + hexID('b'): "",
	} {
		rec := &recording{path: cgroup, who: r.identify(cgroup)}
		if got := r.podOfPath(rec); got != want {
			t.Errorf("%s: the pod is %q, want %q", cgroup, got, want)
		}
	}
}

// TestNamesWhileTheRuntimeIsAway catches a recording that is dropped, renamed or given
// to another while containerd is stopped, slow or started again, and one that gets no
// name afterwards.
func TestNamesWhileTheRuntimeIsAway(t *testing.T) {
	srv := testcontainerd.Start(t, testcontainerd.Config{})
	a := startAgain(t, Config{Watch: []string{"/" + srv.Namespace}, Containerd: containerd.Config{Addresses: []string{srv.Address}, Interval: time.Second, Timeout: 2 * time.Second}})
	c := srv.Run(t, testcontainerd.Options{Labels: podLabels("container", "web-0", "app")})
	was := only(t, a.r, c.ID, func(rec api.Recording) bool { return rec.Container.Name == "app" })
	srv.Stop(t)
	eventually(t, "containerd is away", func() bool {
		a.r.runtimes.Refresh(t.Context()) //nolint:errcheck // it is away
		return !a.r.runtimes.Status()[0].Connected
	})
	check := func(when string) {
		t.Helper()
		rec := only(t, a.r, c.ID, func(api.Recording) bool { return true })
		if rec.ID != was.ID || rec.Container.Name != "app" || rec.Pod == nil || rec.Pod.Name != "web-0" || rec.State != api.StateLive {
			t.Errorf("%s: %+v of pod %+v, %s; want app of web-0, as before", when, rec.Container, rec.Pod, rec.State)
		}
	}
	check("away")
	a.stop()
	a.start()
	check("the next daemon, away")
	srv.Restart(t)
	eventually(t, "containerd is back", func() bool { return a.r.runtimes.Status()[0].Connected })
	check("back")
	// One that hangs is asked in vain.
	if err := unix.Kill(srv.Pid(), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer unix.Kill(srv.Pid(), unix.SIGCONT) //nolint:errcheck // it is there
	eventually(t, "containerd does not answer", func() bool {
		a.r.runtimes.Refresh(t.Context()) //nolint:errcheck // it hangs
		return !a.r.runtimes.Status()[0].Connected
	})
	check("hanging")
}

// TestANodeInAContainer catches containers inside a container that are lost, take another's
// name, or do not get the one that a runtime gives them.
func TestANodeInAContainer(t *testing.T) {
	r, srv := withContainerd(t, Config{Hierarchy: "v2"})
	uid := "12fdc709-933e-41d0-917f-cd84de9afa94"
	slice := "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + strings.ReplaceAll(uid, "-", "_") + ".slice"
	inner := []string{ // as a kubelet in there makes them, by either driver, and one in one of them
		"/kubelet/kubepods/burstable/pod" + uid + "/" + hexID('1'),
		"/" + slice + "/cri-containerd-" + hexID('2') + ".scope",
		"/kubelet/kubepods/burstable/pod" + uid + "/" + hexID('1') + "/docker/" + hexID('3'),
	}
	script := "mkdir $CG/init && echo 0 >$CG/init/cgroup.procs; "
	for _, p := range inner {
		script += fmt.Sprintf("mkdir -p $CG%[1]s && (echo 0 >$CG%[1]s/cgroup.procs; exec sleep 1000) & sleep 0.3; ", p)
	}
	script += "(echo 0 >/cg/cgroup.procs; true); "
	node := srv.Run(t, cgroupWriter(r, srv, hexID('a'), podLabels("container", "kind-0", "node"), script+"wait"))
	outer := at(t, r, node.CgroupPath, func(rec api.Recording) bool { return rec.Container.Name == "node" })
	for _, p := range inner {
		rec := at(t, r, node.CgroupPath+p, func(rec api.Recording) bool { return rec.Inside != nil && rec.Inside.Container.Name == "node" })
		if rec.Inside.Recording != outer.ID || rec.Container.Name != "" || rec.Pod == nil || rec.Pod.Name != "kind-0" || rec.OwnerKey() != outer.ContainerKey() {
			t.Errorf("%s: %+v of %+v, inside %+v", p, rec.Container, rec.Pod, rec.Inside)
		}
	}
	// A process that leaves for the root of the hierarchy is missed.
	at(t, r, node.CgroupPath, func(rec api.Recording) bool { return rec.Tasks.MovedOut == 1 })
	if s, err := r.Status(t.Context()); err != nil || s.Lost.MovedOut == 0 {
		t.Errorf("of the node's tasks %d moved out, %v", s.Lost.MovedOut, err)
	}
	// One that a runtime of the node knows by this very cgroup has its own name.
	known := node.CgroupPath + "/docker/" + hexID('4')
	srv.Run(t, testcontainerd.Options{ID: hexID('4'), CgroupPath: known, Labels: map[string]string{"nerdctl/name": "db"}})
	rec := at(t, r, known, func(rec api.Recording) bool { return rec.Container.Name == "db" })
	if rec.Inside == nil || rec.Inside.Recording != outer.ID || rec.Pod != nil || rec.OwnerKey() != outer.ContainerKey() {
		t.Errorf("a known one is %+v of %+v, inside %+v", rec.Container, rec.Pod, rec.Inside)
	}
}

// TestInsideAcrossDaemons catches a container that ends, in the daemon's eyes, when its
// tasks are all in cgroups inside that are named like containers, and rules that those get
// rid of with the next daemon.
func TestInsideAcrossDaemons(t *testing.T) {
	yes := true
	srv := testcontainerd.Start(t, testcontainerd.Config{})
	a := startAgain(t, Config{
		Watch: []string{"/" + srv.Namespace}, Containerd: containerd.Config{Addresses: []string{srv.Address}, Interval: time.Second},
		Policy: policy.Policy{Rules: []policy.Rule{{Match: policy.Match{Container: "evil"}, Settings: policy.Settings{Off: &yes}}}},
	})
	a.stop()
	a.cfg.OnlyWatched, a.cfg.Hierarchy = false, "v2"
	a.start()
	script := fmt.Sprintf("mkdir $CG/%[1]s && echo 0 >$CG/%[1]s/cgroup.procs; exec sleep 1000", hexID('1'))
	c := srv.Run(t, cgroupWriter(a.r, srv, hexID('a'), podLabels("container", "web-0", "evil"), script))
	check := func(when string) (outer, inner api.Recording) {
		t.Helper()
		outer = at(t, a.r, c.CgroupPath, func(rec api.Recording) bool { return rec.Off && rec.Tasks.Live == 0 })
		inner = at(t, a.r, c.CgroupPath+"/"+hexID('1'), func(rec api.Recording) bool { return rec.Off && rec.Tasks.Live == 1 })
		if inner.Inside == nil || inner.Inside.Recording != outer.ID || inner.Container.Name != "" || outer.State != api.StateLive {
			t.Errorf("%s: %+v inside %+v; the one around it is %s, %s", when, inner.Container, inner.Inside, outer.ID, outer.State)
		}
		return outer, inner
	}
	outer, inner := check("at first")
	began := time.Now()
	eventually(t, "an idle container would have ended", func() bool { return time.Since(began) > settleTime+time.Second })
	check("later")
	srv.Stop(t)
	a.stop()
	a.start()
	if o, i := check("the next daemon, without containerd"); o.ID != outer.ID || i.ID != inner.ID {
		t.Errorf("the next daemon has %s and %s, want %s and %s", o.ID, i.ID, outer.ID, inner.ID)
	}
	srv.Restart(t)
	c.DeleteTask(t)
	kept := at(t, a.r, c.CgroupPath+"/"+hexID('1'), func(rec api.Recording) bool { return rec.State == api.StateEnded })
	eventually(t, "both have ended", func() bool {
		return at(t, a.r, c.CgroupPath, func(api.Recording) bool { return true }).State == api.StateEnded
	})
	a.stop()
	a.start()
	if got := at(t, a.r, kept.Container.Cgroup, func(api.Recording) bool { return true }); !got.Off || got.Inside == nil || got.Inside.Container.Name != "evil" {
		t.Errorf("ended, the next daemon has it off: %v, inside %+v", got.Off, got.Inside)
	}
}
