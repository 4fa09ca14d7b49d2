package cluster

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client"
	apiserver "github.com/recorderd/recorderd/api/server"
	"github.com/recorderd/recorderd/api/server/servertest"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/internal/kube"
)

func daemonPod(name, node string, phase corev1.PodPhase, change func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: phase}}
	cs := corev1.ContainerStatus{Name: Container}
	if phase == corev1.PodRunning {
		cs.State.Running = &corev1.ContainerStateRunning{}
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{cs}
	if change != nil {
		change(&p)
	}
	return p
}

// Of several pods of a node the one that runs is asked; of one that does not, it is
// known why.
func TestDaemons(t *testing.T) {
	ending := func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Now()} }
	got := daemons([]corev1.Pod{
		daemonPod("old", "a", corev1.PodRunning, ending),
		daemonPod("new", "a", corev1.PodRunning, nil),
		daemonPod("failed", "b", corev1.PodFailed, nil),
		daemonPod("crash", "c", corev1.PodRunning, func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0] = corev1.ContainerStatus{
				Name: Container, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: "time=1 msg=x\nrecorderd: this kernel is too old\n"}},
			}
		}),
		daemonPod("wanted", "", corev1.PodPending, func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "no room"}}
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"d"}}}}},
			}}}
		}),
		daemonPod("stray", "", corev1.PodPending, nil),
	})
	want := []daemon{
		{"a", "new", ""}, {"b", "failed", "Failed"}, {"c", "crash", "CrashLoopBackOff: this kernel is too old"}, {"d", "wanted", "not scheduled: no room"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestWorst picks the pod that people look at.
func TestWorst(t *testing.T) {
	at := func(s int64) metav1.Time { return metav1.Unix(1e9+s, 0) }
	pod := func(name string, made int64, failed int64, code int32) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: at(made)}}
		if failed > 0 {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: at(failed)}}}}
		}
		return p
	}
	if got := worst([]corev1.Pod{pod("a", 1, 0, 0), pod("b", 3, 0, 0), pod("c", 2, 0, 0)}).Name; got != "b" {
		t.Errorf("all are well: %s, want the newest", got)
	}
	if got := worst([]corev1.Pod{pod("a", 1, 20, 1), pod("b", 3, 30, 0), pod("c", 2, 10, 1)}).Name; got != "a" {
		t.Errorf("two have failed: %s, want the one that did so last", got)
	}
}

func rec(id, ns, pod, container string, started int64, labels map[string]string) api.Recording {
	return api.Recording{ID: id, Node: "n", State: api.StateEnded, Started: time.Unix(started, 0),
		Container: api.Container{ID: strings.Repeat(id[:1], 64), Name: container}, Pod: &api.Pod{Namespace: ns, Name: pod, Labels: labels}}
}

// TestResolve: names are those of a namespace, ids of all; the first container of a pod
// is meant where it has a recording.
func TestResolve(t *testing.T) {
	recs := []api.Recording{
		rec("aaaa01", "shop", "web", "app", 1, nil), rec("bbbb02", "shop", "web", "side", 2, nil), rec("cccc03", "other", "db", "db", 3, nil),
		rec("dddd04", "shop", "old-1", "app", 4, map[string]string{"app": "old"}), rec("eeee05", "shop", "old-2", "app", 5, map[string]string{"app": "old"}),
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "init"}}, Containers: []corev1.Container{{Name: "app"}, {Name: "side"}},
	}}
	var said []string
	c := &Cluster{opts: Options{Warn: func(s string) { said = append(said, s) }}, said: map[string]bool{}}
	shop := target.Selector{Namespace: "shop"}
	for name, tc := range map[string]struct {
		t    meant
		want string // id, or the code of the error
		says string
	}{
		"first container":     {meant{name: "pod/web", sel: shop, pod: pod, dflt: "app"}, "aaaa01", "container app of init, app, side"},
		"it has none":         {meant{name: "pod/web", sel: shop, pod: pod, dflt: "init"}, api.CodeAmbiguous, ""},
		"named":               {meant{name: "pod/web", sel: target.Selector{Namespace: "shop", Container: "side"}, pod: pod}, "bbbb02", ""},
		"id elsewhere":        {meant{name: "cccc", sel: shop}, "cccc03", ""},
		"id, other namespace": {meant{name: "cccc", sel: shop, explicit: true}, api.CodeNotFound, ""},
		"name elsewhere":      {meant{name: "db", sel: shop}, api.CodeNotFound, ""},
		"gone workload":       {meant{name: "deploy/old", workload: "deploy/old", sel: shop, labels: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "old"}}}, "eeee05", "pod/old-2, which is gone"},
		"nothing of it":       {meant{name: "deploy/x", workload: "deploy/x", sel: shop, labels: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}}, api.CodeNotFound, ""},
	} {
		said = nil
		got, bad := c.resolve(recs, tc.t)
		id := got.ID
		if bad != nil {
			id = bad.Code
		}
		if id != tc.want || !strings.Contains(strings.Join(said, "\n"), tc.says) {
			t.Errorf("%s: %s (%v), said %q; want %s and %q", name, id, bad, said, tc.want, tc.says)
		}
	}
}

// server is an API server with pods, that refuses all execs.
func server(t *testing.T, exec http.HandlerFunc, pods ...corev1.Pod) *Cluster {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/recorderd/pods", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: pods})
	})
	mux.HandleFunc("/api/v1/namespaces/recorderd/pods/{pod}/exec", exec)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	c, err := New(&kube.Config{Rest: &rest.Config{Host: s.URL}, Namespace: "default", Where: "the test"}, Options{PerNode: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Each node has its own deadline, and all are named that did not keep it.
func TestAway(t *testing.T) {
	over := make(chan struct{})
	c := server(t, func(http.ResponseWriter, *http.Request) { <-over },
		daemonPod("x", "a", corev1.PodRunning, nil), daemonPod("y", "b", corev1.PodRunning, nil), daemonPod("z", "c", corev1.PodPending, nil))
	t.Cleanup(func() { close(over) })
	start := time.Now()
	_, err := c.List(t.Context(), target.Filter{})
	var p *PartialError
	if !errors.As(err, &p) || !p.All() || len(p.Nodes) != 3 {
		t.Fatalf("got %v, want that 3 nodes did not answer", err)
	}
	for _, want := range []string{"node a: ", "node b: ", "no answer for 300ms", "node c: its recorderd (pod recorderd/z) does not run: Pending", "3 of 3 nodes did not answer"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
}

// A missing right is the same for all nodes: it is said once.
func TestForbidden(t *testing.T) {
	c := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: 403, Reason: metav1.StatusReasonForbidden,
			Message: `pods "x" is forbidden: User "dev" cannot create resource "pods/exec" in API group "" in the namespace "recorderd"`})
	}, daemonPod("x", "a", corev1.PodRunning, nil), daemonPod("y", "b", corev1.PodRunning, nil))
	_, err := c.List(t.Context(), target.Filter{})
	var f *kube.ForbiddenError
	if !errors.As(err, &f) || f.Error() != "user dev lacks the right to pods/exec: create in namespace recorderd" {
		t.Errorf("got %v", err)
	}
}

func TestNoDaemon(t *testing.T) {
	c := server(t, http.NotFound)
	_, err := c.List(t.Context(), target.Filter{})
	var none *NoDaemonError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "no recorderd in namespace recorderd of the test") {
		t.Errorf("got %v", err)
	}
}

// A server that is away is said to be, with its address once.
func TestServerAway(t *testing.T) {
	c, err := New(&kube.Config{Rest: &rest.Config{Host: "http://127.0.0.1:1"}, Where: "the test"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.List(t.Context(), target.Filter{})
	var un *client.UnreachableError
	if !errors.As(err, &un) || !strings.HasPrefix(err.Error(), "the test does not answer: dial tcp 127.0.0.1:1") {
		t.Errorf("got %v", err)
	}
}

// TestBadRequest catches that a cost which no daemon counts passes for nodes that are away.
func TestBadRequest(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := apiserver.Listen(socket, "")
	if err != nil {
		t.Fatal(err)
	}
	srv := apiserver.HTTP(apiserver.New(servertest.New(), apiserver.Options{Log: log}), log)
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	c := &Cluster{
		opts: Options{PerNode: 10 * time.Second}, daemons: []daemon{{node: "a", pod: "x"}, {node: "b", pod: "y"}},
		clients: map[string]*client.Client{"x": client.New(client.Unix(socket), client.Options{}), "y": client.New(client.Unix(socket), client.Options{})},
	}
	t.Cleanup(c.Close)
	_, err = c.Statuses(t.Context(), time.Hour)
	var bad *api.Error
	var partial *PartialError
	if !errors.As(err, &bad) || bad.Code != api.CodeBadRequest || errors.As(err, &partial) || !strings.Contains(err.Error(), "at most 20s") {
		t.Errorf("got %v", err)
	}
}
