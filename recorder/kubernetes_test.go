package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/bpf"
	"github.com/recorderd/recorderd/internal/testcontainerd"
	"github.com/recorderd/recorderd/recorder/containerd"
	"github.com/recorderd/recorderd/recorder/kubernetes"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
)

// again is a recorder that can be ended and started again, over the same pins and
// the same state.
type again struct {
	t    *testing.T
	cfg  Config
	r    *Recorder
	stop func()
}

func startAgain(t *testing.T, cfg Config) *again {
	t.Helper()
	sweep(t)
	cfg.PinDir = fmt.Sprintf("/sys/fs/bpf/recorderd-coretest-%d-%d", os.Getpid(), testNumber.Add(1))
	cfg.StateDir, cfg.Hierarchy, cfg.OnlyWatched = t.TempDir(), "auto", true
	cfg.RingSize, cfg.MemoryBudget = 64<<10, 10<<20
	cfg.Log = slog.New(slog.NewTextHandler(testLog{t}, nil))
	a := &again{t: t, cfg: cfg, stop: func() {}}
	t.Cleanup(func() {
		a.stop()
		if err := bpf.Uninstall(cfg.PinDir); err != nil {
			t.Error(err)
		}
	})
	a.start()
	return a
}

func (a *again) start() {
	a.t.Helper()
	r, err := New(a.cfg)
	if err != nil {
		a.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(a.t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- r.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		a.t.Fatal("not ready within 30 s")
	}
	a.r = r
	a.stop = func() {
		cancel()
		if err := <-done; err != nil {
			a.t.Error(err)
		}
		r.Close()
		a.stop = func() {}
	}
}

// claimOf is what the kernel has for a container's cgroup.
func (a *again) claimOf(id string) (layout.Claim, bool) {
	a.t.Helper()
	claims, err := a.r.kernel.Claims()
	if err != nil {
		a.t.Fatal(err)
	}
	cg, err := a.r.hierarchy.id(id)
	if err != nil {
		return layout.Claim{}, false
	}
	c, ok := claims[cg]
	return c, ok
}

// A pod's pause container gets a ring like any other, since nobody knows better
// then. It gives it back, gets no other one, also not from the next daemon, and
// leaves nothing behind when it goes.
func TestPauseIsNotKept(t *testing.T) {
	srv := testcontainerd.Start(t, testcontainerd.Config{})
	a := startAgain(t, Config{Watch: []string{"/" + srv.Namespace}, Containerd: containerd.Config{Addresses: []string{srv.Address}, Interval: time.Second}})
	pod := map[string]string{"io.kubernetes.pod.name": "web-0", "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": "12fdc709-933e-41d0-917f-cd84de9afa94"}
	with := func(kind, name string) map[string]string {
		l := map[string]string{"io.cri-containerd.kind": kind, "io.kubernetes.container.name": name}
		for k, v := range pod {
			l[k] = v
		}
		return l
	}
	pause := srv.Run(t, testcontainerd.Options{Args: []string{"/bin/sh", "-c", "while :; do sleep 0.05; done"}, Labels: with("sandbox", "")})
	app := srv.Run(t, testcontainerd.Options{Labels: with("container", "app")})
	rec := only(t, a.r, app.ID, func(rec api.Recording) bool { return rec.Pod != nil && rec.Pod.Name == "web-0" })
	path := strings.Replace(rec.Container.Cgroup, app.ID, pause.ID, 1)
	ignored := func() bool {
		list, err := a.r.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range list {
			if rec.Container.ID == pause.ID {
				return false
			}
		}
		c, ok := a.claimOf(path)
		return ok && c.Slot == layout.NoSlot
	}
	eventually(t, "the pause container is not kept", ignored)
	// A look at all tasks is when it would get another ring.
	for range 3 {
		if _, err := a.r.kernel.Tasks(-1); err != nil {
			t.Fatal(err)
		}
		if !ignored() {
			t.Fatal("it has a ring again")
		}
	}
	before, err := a.r.kernel.Stat(layout.StatStale)
	if err != nil {
		t.Fatal(err)
	}
	a.stop()
	a.start()
	if !ignored() {
		t.Error("the next daemon records it")
	}
	// It forks all the time: its tasks are no ring's any more.
	stale := func() uint64 {
		n, err := a.r.kernel.Stat(layout.StatStale)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	last := stale()
	eventually(t, "its calls are not counted as lost", func() bool {
		was := last
		last = stale()
		time.Sleep(200 * time.Millisecond)
		return was == stale()
	})
	t.Logf("%d calls of it were counted as stale", last-before)
	only(t, a.r, app.ID, func(rec api.Recording) bool { return rec.State == api.StateLive && rec.Container.Name == "app" })
	claims, _ := a.r.kernel.Claims()
	pause.DeleteTask(t)
	eventually(t, "the kernel forgets it with its cgroup", func() bool {
		now, err := a.r.kernel.Claims()
		return err == nil && len(now) == len(claims)-1
	})
}

// What a container was called stays, although both it and the daemon that knew are
// gone; it goes with the recording.
func TestNamesOutliveTheDaemon(t *testing.T) {
	srv := testcontainerd.Start(t, testcontainerd.Config{})
	a := startAgain(t, Config{Watch: []string{"/" + srv.Namespace}, Containerd: containerd.Config{Addresses: []string{srv.Address}, Interval: time.Second}})
	c := srv.Run(t, testcontainerd.Options{Args: []string{"/bin/sh", "-c", "exit 3"}, Labels: map[string]string{
		"io.cri-containerd.kind": "container", "io.kubernetes.container.name": "app", "io.kubernetes.pod.name": "web-0", "io.kubernetes.pod.namespace": "shop",
	}})
	rec := only(t, a.r, c.ID, func(rec api.Recording) bool { return rec.Exit != nil && rec.Container.Name == "app" })
	// What Kubernetes says goes the same way.
	a.r.mu.Lock()
	mine := a.r.recs[rec.ID]
	mine.renamed = mine.pod.learn(kubernetes.Info{
		Namespace: "shop", Pod: "web-0", UID: "u", Container: "app", Kind: kubernetes.KindRegular, Owner: kubernetes.Owner{Kind: "Deployment", Name: "web"},
		Restarts: 2, Exit: &kubernetes.Exit{Code: 3, Reason: "Error"},
	})
	a.r.mu.Unlock()
	eventually(t, "it is written down", func() bool {
		b, err := os.ReadFile(a.r.names.file(rec.ID))
		return err == nil && strings.Contains(string(b), "Deployment")
	})
	a.stop()
	c.Delete(t)
	a.cfg.Containerd.Addresses = []string{"/nonexistent/containerd.sock"}
	if err := os.WriteFile(a.r.names.file("0123456789ab"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.start()
	got := only(t, a.r, c.ID, ended)
	if got.ID != rec.ID || got.Container.Name != "app" || got.Container.Image != rec.Container.Image || got.Container.Kind != "regular" || *got.Container.Restarts != 2 {
		t.Errorf("the next daemon has %+v", got.Container)
	}
	if p := got.Pod; p == nil || p.Name != "web-0" || p.Namespace != "shop" || p.Owner == nil || p.Owner.Name != "web" {
		t.Errorf("its pod is %+v", p)
	}
	if got.Exit.Code != 3 || got.Exit.Reason != "Error" || got.Exit.Source != "kernel" {
		t.Errorf("it ended with %+v", got.Exit)
	}
	if _, err := os.Stat(a.r.names.file("0123456789ab")); err == nil {
		t.Error("names of a recording that is gone are still there")
	}
	if err := a.r.Delete(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its names are deleted, too", func() bool {
		_, err := os.Stat(a.r.names.file(rec.ID))
		return errors.Is(err, fs.ErrNotExist)
	})
}

// TestBrokenNames catches a file that costs the daemon its start.
func TestBrokenNames(t *testing.T) {
	r := &Recorder{log: slog.New(slog.DiscardHandler)}
	r.names.init(&Config{StateDir: t.TempDir(), PinDir: "/pins", Log: r.log})
	for _, b := range []string{"", "{", "[]", `{"runtime":7}`, `{"pod":{"Restarts":"x"}}`, "\x00"} {
		if err := writeFile(r.names.file("a"), []byte(b)); err != nil {
			t.Fatal(err)
		}
		rec := &recording{id: "a"}
		r.recallNames(rec)
		if rec.recalled || rec.pod.known {
			t.Errorf("%q gives names", b)
		}
	}
}

// TestPodNames catches what is known of a container and lost when a later status
// does not repeat it, and names of one pod on another.
func TestPodNames(t *testing.T) {
	var p podName
	base := kubernetes.Info{Namespace: "shop", Pod: "web-0", UID: "u", Labels: map[string]string{"app": "web"}, Restarts: -1}
	full := base
	full.Container, full.Kind, full.Image, full.ImageID, full.Restarts = "app", kubernetes.KindSidecar, "web:1", "sha256:1", 4
	full.Exit = &kubernetes.Exit{Code: 137, Reason: "OOMKilled"}
	for i, step := range []struct {
		info kubernetes.Info
		news bool
	}{{base, true}, {base, false}, {full, true}, {base, false}, {full, false}} {
		if news := p.learn(step.info); news != step.news {
			t.Errorf("step %d is news: %v", i, news)
		}
	}
	var out api.Recording
	p.describe(&out)
	if c := out.Container; c.Name != "app" || c.Kind != "sidecar" || c.Image != "web:1" || c.ImageID != "sha256:1" || *c.Restarts != 4 || out.Pod.Labels["app"] != "web" {
		t.Errorf("it is %+v in %+v", c, out.Pod)
	}
	for _, seen := range []*api.Exit{nil, {Source: "kernel", Signal: "SIGKILL", OOMKilled: true}} {
		x := p.exit(seen)
		if x.Reason != "OOMKilled" || !x.OOMKilled || (seen == nil) != (x.Source == "kubernetes") || seen == nil && x.Code != 137 {
			t.Errorf("it ended with %+v", x)
		}
	}
	other := base
	other.UID = "v"
	p.learn(other)
	if p.info.Container != "" || p.info.Exit != nil {
		t.Errorf("another pod has %+v", p.info)
	}
	if x := (&podName{}).exit(nil); x != nil {
		t.Errorf("of nothing is known %+v", x)
	}
}

// TestHelperTakenForInit catches a runtime's helper whose end is taken for the
// container's, in the host's pid namespace.
func TestHelperTakenForInit(t *testing.T) {
	six, zero := uint32(6), uint32(0)
	kubelet := func(code int) podName {
		return podName{known: true, info: kubernetes.Info{Exit: &kubernetes.Exit{Code: code, Reason: "Error"}}}
	}
	for _, tc := range []struct {
		name   string
		status uint32 // as the kernel has it
		level  uint32
		ctr    *uint32
		pod    podName
		code   int
		signal string
		source string
	}{
		{"nobody else knows", 0, 0, nil, podName{}, 0, "", "kernel"},
		{"the kubelet knows better", 0, 0, nil, kubelet(6), 6, "", "kubernetes"},
		{"the runtime knows better", 0, 0, &six, kubelet(6), 6, "", "containerd"},
		{"all agree", 6 << 8, 0, &six, kubelet(6), 6, "", "kernel"},
		{"all agree on a signal", 11, 0, nil, kubelet(139), 0, "SIGSEGV", "kernel"},
		{"all agree on a real-time signal", 35, 0, nil, kubelet(163), 0, "SIGRT_3", "kernel"},
		{"a pid namespace of its own", 6 << 8, 1, &zero, kubelet(0), 6, "", "kernel"},
	} {
		rec := &recording{known: tc.ctr != nil, info: containerd.Info{ExitCode: tc.ctr}, pod: tc.pod}
		x := rec.exit(&layout.RingHead{InitGone: 1, InitExit: tc.status, InitExeced: 1, PidLevel: tc.level})
		if x.Code != tc.code || x.Signal != tc.signal || x.Source != tc.source {
			t.Errorf("%s: it ended with %+v", tc.name, x)
		}
		if tc.pod.known && x.Reason != "Error" {
			t.Errorf("%s: the kubelet's reason is lost: %+v", tc.name, x)
		}
	}
}

// TestSavedNote catches an event that tells people a command which does not work.
func TestSavedNote(t *testing.T) {
	rec := api.Recording{Pod: &api.Pod{Namespace: "shop", Name: "cart-7d4"}, Container: api.Container{Name: "main"}, Coverage: api.Coverage{Kept: 18213}}
	for _, tc := range []struct {
		exit  *api.Exit
		alone bool
		want  string
	}{
		{&api.Exit{Signal: "SIGSEGV"}, true, "saved 18,213 system calls before SIGSEGV: recorderctl show -n shop cart-7d4 --previous"},
		{&api.Exit{Signal: "SIGKILL", OOMKilled: true}, true, "saved 18,213 system calls before it was killed for want of memory: recorderctl show -n shop cart-7d4 --previous"},
		{&api.Exit{Code: 3}, false, "saved 18,213 system calls before it exited with 3: recorderctl show -n shop cart-7d4 -c main --previous"},
		{nil, true, "saved 18,213 system calls: recorderctl show -n shop cart-7d4 --previous"},
	} {
		rec.Exit = tc.exit
		if got := savedNote(&rec, tc.alone); got != tc.want {
			t.Errorf("%s\nwant %s", got, tc.want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := replay.Thousands(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
	// Without Kubernetes there is nobody to tell.
	(&Recorder{recs: map[string]*recording{"a": {}}}).tellSaved("a")
}

// TestSavedIsToldLater catches an event that is lost because the pod was not known
// when the dump was saved.
func TestSavedIsToldLater(t *testing.T) {
	told := make(chan string, 4)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if req.Method != http.MethodPost {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		b, _ := io.ReadAll(req.Body)
		told <- string(b)
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"kind":"Event","apiVersion":"events.k8s.io/v1"}`)
	}))
	defer srv.Close()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: %q}}],
contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {token: t}}]}`, srv.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := kubernetes.New(kubernetes.Config{Kubeconfig: kubeconfig, Node: "n1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); src.Run(ctx) }()
	defer func() { cancel(); <-done }()
	rec := &recording{id: "a", ended: true, judged: judged{since: time.Now()}}
	r := &Recorder{pods: src, recs: map[string]*recording{"a": rec}}
	r.tellSaved("a")
	r.tellEnds(time.Now().Add(time.Hour))
	select {
	case ev := <-told:
		t.Fatalf("of a pod that is not known it is told %q", ev)
	case <-time.After(100 * time.Millisecond):
	}
	rec.pod.learn(kubernetes.Info{Namespace: "shop", Pod: "cart-7d4", UID: "u", Container: "main", Kind: kubernetes.KindRegular, Alone: true, Restarts: -1})
	rec.judged.verdict = &api.Verdict{Text: "exited with 3 by itself", How: "exited", Cause: "status"}
	r.tellEnds(time.Now())
	select {
	case ev := <-told:
		t.Fatalf("it does not wait for Kubernetes' reason: %q", ev)
	case <-time.After(100 * time.Millisecond):
	}
	rec.pod.info.Exit = &kubernetes.Exit{Code: 3, Reason: "Error"}
	r.tellEnds(time.Now())
	r.tellEnds(time.Now())
	select {
	case ev := <-told:
		if !strings.Contains(ev, "exited with 3 by itself; saved 0 system calls: recorderctl show -n shop cart-7d4 --previous") {
			t.Errorf("it is told %q", ev)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("not told within 20 s")
	}
	if n := src.Events().Counts().Created + uint64(len(told)); n > 1 {
		t.Errorf("it is told %d times", n)
	}
}
