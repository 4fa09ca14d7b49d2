//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/kubernetes"
	"github.com/recorderd/recorderd/recorder/layout"
)

// container is a container in a manifest.
func container(name, script string, more ...string) string {
	return fmt.Sprintf(`{name: %s, image: %s, imagePullPolicy: Never, command: [sh, -c, %q]%s}`, name, image, script, strings.Join(append([]string{""}, more...), ", "))
}

// podSpec is a pod's spec in a manifest, on one line.
func podSpec(containers []string, more ...string) string {
	return fmt.Sprintf(`{terminationGracePeriodSeconds: 0, automountServiceAccountToken: false, containers: [%s]%s}`,
		strings.Join(containers, ", "), strings.Join(append([]string{""}, more...), ", "))
}

func podYAML(name, spec string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: %s}, annotations: {recorderd.github.io/keep: 10m, example.com/other: not-ours}}\nspec: %s\n", name, name, spec)
}

func hasExit(rec *api.Recording) bool { return rec.Exit != nil && rec.Exit.Reason != "" }

func anyState(*api.Recording) bool { return true }

// check compares what every recording of a pod must have right.
func check(t *testing.T, d *daemon, rec api.Recording, kind string, owner *api.Owner, entry string) {
	t.Helper()
	name := rec.Pod.Namespace + "/" + rec.Pod.Name + "/" + rec.Container.Name
	if rec.Container.Kind != kind {
		t.Errorf("%s: it is a container of kind %q, want %q", name, rec.Container.Kind, kind)
	}
	if want, have := toJSON(owner), toJSON(rec.Pod.Owner); want != have {
		t.Errorf("%s: its owner is %s, want %s", name, have, want)
	}
	if rec.Container.Image != image || !strings.HasPrefix(rec.Container.ImageID, "sha256:") && rec.Container.ImageID != "" {
		t.Errorf("%s: image %q, id %q", name, rec.Container.Image, rec.Container.ImageID)
	}
	if rec.Container.Restarts == nil {
		t.Errorf("%s: how often it was restarted is not known", name)
	}
	// The first thing a container does is its entrypoint's execve.
	out, err := d.ctl("dump", rec.ID)
	if err != nil {
		t.Errorf("%s: dump: %v: %s", name, err, out)
		return
	}
	var execs []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "execve(") {
			execs = append(execs, line)
		}
	}
	if !slices.ContainsFunc(execs, func(s string) bool { return strings.Contains(s, entry) }) {
		t.Errorf("%s: no execve of %q; there are\n%s", name, entry, strings.Join(execs, ""))
	}
}

func toJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// One of everything that people put into pods, all at once; each recording says
// whose it is and how it ended.
func TestPods(t *testing.T) {
	d := startDaemon(t)
	ns := namespace(t)
	static := "e2e-static-" + fmt.Sprint(os.Getpid())
	// A container's first process does not die of a signal that it sends itself, but
	// of SIGSEGV when its stack is used up.
	apply(t, ns, podYAML("crash", podSpec([]string{container("main", "echo about to fail; f() { f; }; f")},
		"initContainers: ["+container("prep", "exit 0")+", "+container("side", "exec sleep 1000", "restartPolicy: Always")+"]"))+
		podYAML("oom", podSpec([]string{fmt.Sprintf(`{name: main, image: %s, imagePullPolicy: Never, command: [tail, /dev/zero], resources: {limits: {memory: 32Mi}}}`, image)}, "restartPolicy: Never"))+
		podYAML("initfail", podSpec([]string{container("main", "exit 0")}, "restartPolicy: Never", "initContainers: ["+container("setup", "exit 3")+"]"))+
		podYAML("deleted", podSpec([]string{container("main", "exec sleep 1000")}))+
		podYAML("hostnet", podSpec([]string{container("main", "exit 5")}, "hostNetwork: true", "restartPolicy: Never"))+
		podYAML("hostpid", podSpec([]string{container("main", "exit 6")}, "hostPID: true", "restartPolicy: Never"))+
		podYAML("debugged", podSpec([]string{container("main", "exec sleep 1000")}))+
		podYAML("nostart", podSpec([]string{fmt.Sprintf(`{name: main, image: %s, imagePullPolicy: Never, command: [/no/such/program]}`, image)}, "restartPolicy: Never"))+
		workload("batch/v1", "Job", "job", fmt.Sprintf("{backoffLimit: 0, template: {spec: %s}}", podSpec([]string{container("main", "exit 8")}, "restartPolicy: Never")))+
		workload("batch/v1", "CronJob", "cron", fmt.Sprintf(`{schedule: "* * * * *", jobTemplate: {spec: {template: {spec: %s}}}}`, podSpec([]string{container("main", "exit 9")}, "restartPolicy: Never")))+
		workload("apps/v1", "Deployment", "web-1", selected("web-1", "replicas: 1"))+
		workload("apps/v1", "ReplicaSet", "bare-set", selected("bare-set", "replicas: 1"))+
		workload("apps/v1", "StatefulSet", "db", selected("db", "replicas: 1", "serviceName: db"))+
		workload("apps/v1", "DaemonSet", "agent", selected("agent")))
	manifest := filepath.Join(cluster, "state", "manifests", static+".yaml")
	if err := os.WriteFile(manifest, []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: "+static+", namespace: "+ns+"}\nspec: "+podSpec([]string{container("main", "exec sleep 1000")})+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(manifest) })

	t.Run("crash loop", func(t *testing.T) {
		d := d.in(t)
		recs := d.find(ns, "crash", "main", 2, func(rec *api.Recording) bool { return hasExit(rec) && *rec.Container.Restarts < 2 })
		slices.SortFunc(recs, func(a, b api.Recording) int { return a.Started.Compare(b.Started) })
		for i, rec := range recs {
			check(t, d, rec, "regular", nil, `["sh", "-c", "echo about to fail`)
			if n := *rec.Container.Restarts; n != i {
				t.Errorf("run %d had been restarted %d times before", i, n)
			}
			if x := rec.Exit; x.Signal != "SIGSEGV" || x.Source != "kernel" || x.Reason != "Error" {
				t.Errorf("run %d: it ended with %+v", i, x)
			}
			if rec.Pod.Labels["app"] != "crash" || toJSON(rec.Pod.Annotations) != `{"recorderd.github.io/keep":"10m"}` {
				t.Errorf("run %d: labels %v, annotations %v", i, rec.Pod.Labels, rec.Pod.Annotations)
			}
		}
		out := d.must("dump", "-n", ns, "-c", "main", "--previous", "pod/crash")
		if !strings.Contains(out, "about to fail") || !strings.Contains(out, "+++ killed by SIGSEGV +++") {
			t.Errorf("dump --previous:\n%s", out)
		}
		// The dump was saved without anybody asking, and the pod says so.
		eventually(t, "an event on the pod", time.Minute, func() bool {
			out := kubectl(t, "describe", "pod", "-n", ns, "crash")
			return strings.Contains(out, "killed by SIGSEGV") && strings.Contains(out, "system calls: recorderctl show -n "+ns+" crash -c main --previous")
		})
		for container, kind := range map[string]string{"prep": "init", "side": "sidecar"} {
			rec := d.find(ns, "crash", container, 1, func(rec *api.Recording) bool { return rec.Container.Kind != "" })[0]
			check(t, d, rec, kind, nil, `["sh", "-c", "ex`)
			if (rec.State == api.StateLive) != (container == "side") {
				t.Errorf("%s is %s", container, rec.State)
			}
		}
		// As people see it.
		row := d.must("list", "-n", ns, "-l", "app=crash", "-o", "wide")
		for _, want := range []string{ns + "/crash", "SIGSEGV", "sidecar", "init", "Error"} {
			if !strings.Contains(row, want) {
				t.Errorf("list -o wide lacks %q:\n%s", want, row)
			}
		}
	})
	t.Run("out of memory", func(t *testing.T) {
		d := d.in(t)
		rec := d.find(ns, "oom", "main", 1, hasExit)[0]
		check(t, d, rec, "regular", nil, `["tail", "/dev/zero"]`)
		if x := rec.Exit; !x.OOMKilled || x.Signal != "SIGKILL" || x.Reason != "OOMKilled" {
			t.Errorf("it ended with %+v", x)
		}
	})
	t.Run("init container fails", func(t *testing.T) {
		d := d.in(t)
		rec := d.find(ns, "initfail", "setup", 1, hasExit)[0]
		check(t, d, rec, "init", nil, `"exit 3"]`)
		if x := rec.Exit; x.Code != 3 || x.Reason != "Error" {
			t.Errorf("it ended with %+v", x)
		}
		for _, rec := range d.list(ns) {
			if rec.Pod.Name == "initfail" && rec.Container.Name != "setup" {
				t.Errorf("there is a recording of %s, which never began", rec.Container.Name)
			}
		}
	})
	t.Run("deleted", func(t *testing.T) {
		d := d.in(t)
		d.find(ns, "deleted", "main", 1, func(rec *api.Recording) bool { return rec.Container.Kind != "" })
		kubectl(t, "delete", "pod", "-n", ns, "deleted")
		rec := d.find(ns, "deleted", "main", 1, func(rec *api.Recording) bool { return rec.State == api.StateEnded })[0]
		check(t, d, rec, "regular", nil, `"exec sleep 1000"]`)
		if rec.Exit == nil || rec.Exit.Signal != "SIGKILL" {
			t.Errorf("it ended with %+v", rec.Exit)
		}
	})
	for pod, want := range map[string]int{"hostnet": 5, "hostpid": 6} {
		t.Run(pod, func(t *testing.T) {
			d := d.in(t)
			rec := d.find(ns, pod, "main", 1, hasExit)[0]
			check(t, d, rec, "regular", nil, fmt.Sprintf(`"exit %d"]`, want))
			if rec.Exit.Code != want || pod == "hostnet" && rec.Exit.Source != "kernel" || rec.Pod.HostNetwork != (pod == "hostnet") || rec.Pod.HostPID != (pod == "hostpid") {
				t.Errorf("pod %+v ended with %+v", rec.Pod, rec.Exit)
			}
		})
	}
	t.Run("ephemeral container", func(t *testing.T) {
		d := d.in(t)
		d.find(ns, "debugged", "main", 1, anyState)
		kubectl(t, "debug", "-q", "-n", ns, "debugged", "--image", image, "--image-pull-policy", "Never", "-c", "dbg", "--profile", "general", "--", "sh", "-c", "exit 4")
		rec := d.find(ns, "debugged", "dbg", 1, hasExit)[0]
		check(t, d, rec, "ephemeral", nil, `"exit 4"]`)
		if rec.Exit.Code != 4 {
			t.Errorf("it ended with %+v", rec.Exit)
		}
	})
	t.Run("cannot start", func(t *testing.T) {
		// runc ends before it gets as far as the program: what it did is there.
		d := d.in(t)
		rec := d.find(ns, "nostart", "main", 1, hasExit)[0]
		if !strings.Contains(rec.Exit.Message, "/no/such/program") || rec.Exit.Reason != "StartError" && rec.Exit.Reason != "ContainerCannotRun" {
			t.Errorf("it ended with %+v", rec.Exit)
		}
	})
	t.Run("static", func(t *testing.T) {
		d := d.in(t)
		pod := static + "-" + nodeName
		rec := d.find(ns, pod, "main", 1, func(rec *api.Recording) bool { return rec.Container.Kind != "" })[0]
		check(t, d, rec, "regular", &api.Owner{Kind: "Node", Name: nodeName}, `"exec sleep 1000"]`)
		if uid := kubectl(t, "get", "pod", "-n", ns, pod, "-o", "jsonpath={.metadata.uid}"); !rec.Pod.Static || rec.Pod.UID != uid || strings.Contains(rec.Container.Cgroup, uid) {
			t.Errorf("the mirror's uid is %s; the recording's pod is %+v in %s", uid, rec.Pod, rec.Container.Cgroup)
		}
	})
	for kind, name := range map[string]string{"Job": "job", "CronJob": "cron", "Deployment": "web-1", "ReplicaSet": "bare-set", "StatefulSet": "db", "DaemonSet": "agent"} {
		t.Run(kind, func(t *testing.T) {
			d := d.in(t)
			var found *api.Recording
			eventually(t, "a recording of it", 100*time.Second, func() bool {
				for _, rec := range d.list(ns) {
					if rec.Pod.Owner != nil && rec.Pod.Owner.Kind == kind && rec.Container.Kind != "" && rec.Container.Restarts != nil && rec.Container.Command != nil {
						found = &rec
					}
				}
				return found != nil
			})
			check(t, d, *found, "regular", &api.Owner{Kind: kind, Name: name}, `["sh", "-c", "ex`)
		})
	}
	t.Run("no pause", func(t *testing.T) {
		d := d.in(t)
		eventually(t, "pause containers are not kept", 20*time.Second, func() bool {
			return !slices.ContainsFunc(d.list(ns), func(rec api.Recording) bool {
				return slices.Equal(rec.Container.Command, []string{"/pause"})
			})
		})
		if lost := d.status().Lost; lost.NoRing != 0 {
			t.Errorf("lost: %+v", lost)
		}
	})
}

// in is the daemon for a part of a test.
func (d *daemon) in(t *testing.T) *daemon {
	part := *d
	part.t = t
	return &part
}

func workload(version, kind, name, spec string) string {
	return fmt.Sprintf("---\napiVersion: %s\nkind: %s\nmetadata: {name: %s}\nspec: %s\n", version, kind, name, spec)
}

func selected(app string, more ...string) string {
	return fmt.Sprintf("{selector: {matchLabels: {app: %s}}, template: {metadata: {labels: {app: %s}}, spec: %s}%s}", app, app,
		podSpec([]string{container("main", "exec sleep 1000")}), strings.Join(append([]string{""}, more...), ", "))
}

// A hundred pods, made and deleted in waves: every recording is under its right
// name and says how its container ended; nothing is left of those that are gone.
func TestWaves(t *testing.T) {
	const waves, size = 4, 25
	d := startDaemon(t)
	ns := namespace(t)
	for wave := range waves {
		var yaml strings.Builder
		for i := range size {
			n := wave*size + i
			yaml.WriteString(podYAML(fmt.Sprintf("n%d", n), podSpec([]string{container(fmt.Sprintf("c%d", n), fmt.Sprintf("exit %d", n))}, "restartPolicy: Never")))
		}
		apply(t, ns, yaml.String())
		eventually(t, fmt.Sprintf("wave %d has run", wave), 3*time.Minute, func() bool {
			phases := strings.Fields(kubectl(t, "get", "pods", "-n", ns, "-o", "jsonpath={.items[*].status.phase}"))
			return len(phases) == size && !slices.ContainsFunc(phases, func(p string) bool { return p != "Failed" && p != "Succeeded" })
		})
		kubectl(t, "delete", "pods", "-n", ns, "--all", "--wait=true")
	}
	byPod := map[string][]api.Recording{}
	eventually(t, "all have ended and are named", time.Minute, func() bool {
		clear(byPod)
		n := 0
		for _, rec := range d.list(ns) {
			byPod[rec.Pod.Name] = append(byPod[rec.Pod.Name], rec)
			if rec.State == api.StateEnded && rec.Exit != nil && rec.Container.Kind != "" {
				n++
			}
		}
		return n >= waves*size
	})
	reasons := 0
	for n := range waves * size {
		recs := byPod[fmt.Sprintf("n%d", n)]
		if len(recs) != 1 {
			t.Errorf("pod n%d has %d recordings", n, len(recs))
			continue
		}
		rec := recs[0]
		if want := []string{"sh", "-c", fmt.Sprintf("exit %d", n)}; !slices.Equal(rec.Container.Command, want) || rec.Container.Name != fmt.Sprintf("c%d", n) {
			t.Errorf("pod n%d: container %s, command %q", n, rec.Container.Name, rec.Container.Command)
		}
		if rec.Exit.Code != n || rec.Exit.Source != "kernel" {
			t.Errorf("pod n%d ended with %+v", n, rec.Exit)
		}
		if rec.Exit.Reason != "" {
			reasons++
		}
	}
	if reasons != waves*size {
		t.Errorf("the kubelet's word is there for %d of %d", reasons, waves*size)
	}
	if len(byPod) != waves*size {
		t.Errorf("there are recordings of %d pods", len(byPod))
	}
	// Of the pause containers nothing is left, in the kernel neither.
	claims, err := ebpf.LoadPinnedMap(filepath.Join(d.pins, "claims"), &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer claims.Close()
	eventually(t, "no pause container is remembered", 20*time.Second, func() bool {
		var id uint64
		var c layout.Claim
		ignored := 0
		for it := claims.Iterate(); it.Next(&id, &c); {
			if c.Slot == layout.NoSlot {
				ignored++
			}
		}
		out := strings.Fields(kubectl(t, "get", "pods", "-A", "-o", "name"))
		return ignored <= len(out)
	})
	for _, rec := range d.list(ns) {
		d.must("delete", rec.ID)
	}
	if left := d.list(ns); len(left) > 0 {
		t.Errorf("%d recordings are left", len(left))
	}
	if lost := d.status().Lost; lost.NoRing != 0 || lost.ClaimFull != 0 {
		t.Errorf("lost: %+v", lost)
	}
}

// An API server that is away costs names, never recordings; they are joined when
// it is back, and stay when pods go while it is away.
func TestServerAway(t *testing.T) {
	p := newProxy(t)
	d := startDaemon(t, "--kubeconfig", p.kubeconfig("recorder"))
	ns := namespace(t)
	apply(t, ns, workload("apps/v1", "Deployment", "web", fmt.Sprintf("{selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: %s}}",
		podSpec([]string{container("main", "echo up; sleep 2; exit 7")}))))
	// The runtime knows the pod's name, not who made it.
	var first api.Recording
	eventually(t, "it is recorded without the API server", time.Minute, func() bool {
		for _, rec := range d.list(ns) {
			if rec.Exit != nil && rec.Pod.Owner == nil && rec.Container.Name == "main" {
				first = rec
				return true
			}
		}
		return false
	})
	if first.Exit.Code != 7 || first.Exit.Reason != "" || first.Container.Restarts == nil || *first.Container.Restarts != 0 {
		t.Errorf("without the API server: %s", toJSON(first))
	}
	rt := kubernetesStatus(t, d)
	if rt.Connected || !strings.Contains(rt.Error, "refused") {
		t.Errorf("status without the API server: %+v", rt)
	}
	p.on()
	joined := func(rec *api.Recording) bool {
		return rec.ID == first.ID && rec.Pod.Owner != nil && rec.Exit.Reason == "Error"
	}
	got := d.find(ns, first.Pod.Name, "main", 1, joined)[0]
	if o := got.Pod.Owner; o.Kind != "Deployment" || o.Name != "web" {
		t.Errorf("it is of %+v", o)
	}
	eventually(t, "the status says that all is well", time.Minute, func() bool {
		rt := kubernetesStatus(t, d)
		return rt.Connected && rt.Error == "" && rt.Containers > 0
	})
	// A server that goes, and pods that go meanwhile.
	p.off()
	eventually(t, "the status says that it is away again", time.Minute, func() bool { return !kubernetesStatus(t, d).Connected })
	kubectl(t, "delete", "deployment", "-n", ns, "web")
	d.find(ns, first.Pod.Name, "main", 1, joined)
	p.on()
	eventually(t, "the status says that it is back", 90*time.Second, func() bool { return kubernetesStatus(t, d).Connected })
	d.find(ns, first.Pod.Name, "main", 1, joined)
}

func kubernetesStatus(t *testing.T, d *daemon) api.RuntimeInfo {
	t.Helper()
	for _, rt := range d.in(t).status().Runtimes {
		if rt.Name == "kubernetes" {
			return rt
		}
	}
	t.Fatal("the status says nothing of Kubernetes")
	return api.RuntimeInfo{}
}

// Where the runtime cannot be asked, as with CRI-O or Docker, the API server's names
// are enough, also to tell the pause container.
func TestWithoutRuntime(t *testing.T) {
	d := startDaemon(t, "--containerd", "/nonexistent/containerd.sock")
	ns := namespace(t)
	apply(t, ns, podYAML("plain", podSpec([]string{container("main", "sleep 1; exit 2"), container("pause", "exec sleep 1000")})))
	recs := d.find(ns, "plain", "main", 2, func(rec *api.Recording) bool {
		return hasExit(rec) && rec.Container.Restarts != nil && *rec.Container.Restarts < 2
	})
	for _, rec := range recs {
		check(t, d, rec, "regular", nil, `"sleep 1; exit 2"]`)
		if rec.Exit.Code != 2 || rec.Exit.Source != "kernel" {
			t.Errorf("it ended with %+v", rec.Exit)
		}
	}
	if *recs[0].Container.Restarts == *recs[1].Container.Restarts {
		t.Errorf("both are run %d", *recs[0].Container.Restarts)
	}
	// A container that is only called so is kept.
	check(t, d, d.find(ns, "plain", "pause", 1, anyState)[0], "regular", nil, `"exec sleep 1000"]`)
	eventually(t, "the pause container is not kept", 20*time.Second, func() bool {
		return !slices.ContainsFunc(d.list(ns), func(rec api.Recording) bool { return slices.Equal(rec.Container.Command, []string{"/pause"}) })
	})
}

// The next daemon knows what a pod was called that was deleted before it began.
func TestNextDaemon(t *testing.T) {
	d := startDaemon(t)
	ns := namespace(t)
	apply(t, ns, podYAML("gone", podSpec([]string{container("main", "exec sleep 1000")})))
	d.find(ns, "gone", "main", 1, func(rec *api.Recording) bool { return rec.Container.Kind != "" && rec.Container.Command != nil })
	kubectl(t, "delete", "pod", "-n", ns, "gone")
	rec := d.find(ns, "gone", "main", 1, func(rec *api.Recording) bool { return rec.State == api.StateEnded && rec.Exit != nil })[0]
	d.stop(syscall.SIGTERM)
	d.start()
	again := d.find(ns, "gone", "main", 1, func(rec *api.Recording) bool { return rec.State == api.StateEnded })[0]
	if again.ID != rec.ID {
		t.Errorf("it was %s and is %s", rec.ID, again.ID)
	}
	check(t, d, again, "regular", nil, `"exec sleep 1000"]`)
	if toJSON(again.Pod) != toJSON(rec.Pod) {
		t.Errorf("its pod was %s and is %s", toJSON(rec.Pod), toJSON(again.Pod))
	}
}

// Without rights there are names from the runtime, and a status that says what is
// missing.
func TestWithoutRights(t *testing.T) {
	d := startDaemon(t, "--kubeconfig", kubeconfig("nobody"))
	ns := namespace(t)
	apply(t, ns, podYAML("plain", podSpec([]string{container("main", "exit 2")}, "restartPolicy: Never")))
	rec := d.find(ns, "plain", "main", 1, func(rec *api.Recording) bool { return rec.Exit != nil })[0]
	if rec.Exit.Code != 2 || rec.Container.Kind != "" {
		t.Errorf("it is %s", toJSON(rec))
	}
	rt := kubernetesStatus(t, d)
	if rt.Connected || !strings.Contains(rt.Error, `cannot list resource "pods"`) {
		t.Errorf("status: %+v", rt)
	}
}

// Events are created with the right to create them alone, on the right pod, and are
// where kubectl describe shows them.
func TestEvents(t *testing.T) {
	ns := namespace(t)
	apply(t, ns, podYAML("cart", podSpec([]string{container("main", "exec sleep 1000")})))
	src, err := kubernetes.New(kubernetes.Config{Kubeconfig: kubeconfig("recorder"), Node: nodeName})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); src.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
	uid := kubectl(t, "get", "pod", "-n", ns, "cart", "-o", "jsonpath={.metadata.uid}")
	var info kubernetes.Info
	eventually(t, "the pod is known", 20*time.Second, func() bool {
		var ok bool
		info, ok = src.ByPod(uid, "main")
		return ok
	})
	for i := range 8 {
		src.Events().Tell(info, kubernetes.ReasonSaved, fmt.Sprintf("saved %d system calls", i))
	}
	eventually(t, "events are created", 20*time.Second, func() bool { return src.Events().Counts().Created == 5 })
	if c := src.Events().Counts(); c.Limited != 3 || c.Failed != 0 {
		t.Errorf("of 8 events for one pod: %+v", c)
	}
	out := kubectl(t, "describe", "pod", "-n", ns, "cart")
	for _, want := range []string{"FlightRecorderSaved", "saved 4 system calls", "recorderd"} {
		if !strings.Contains(out, want) {
			t.Errorf("kubectl describe lacks %q:\n%s", want, out)
		}
	}
	got := kubectl(t, "get", "events", "-n", ns, "--field-selector", "reason=FlightRecorderSaved", "-o", "jsonpath={.items[0].involvedObject.name} {.items[0].involvedObject.fieldPath} {.items[0].type}")
	if got != "cart spec.containers{main} Normal" {
		t.Errorf("the event is on %s", got)
	}
}
