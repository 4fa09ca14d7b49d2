package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// server is an API server as far as a source asks it, which can fail as real ones
// cannot be made to. What it says is JSON.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	fail   int // status of all answers, if not 0
	asked  map[string]int
	pods   []corev1.Pod
	spaces []metav1.PartialObjectMetadata
	events []eventsv1.Event
	gone   chan struct{} // closed: watches end
}

func newServer(t *testing.T) *server {
	s := &server{asked: map[string]int{}, gone: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() { s.drop(); s.Close() })
	return s
}

// drop ends the watches, as a server does that goes down.
func (s *server) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.gone)
	s.gone = make(chan struct{})
}

func (s *server) set(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
}

func (s *server) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[what]
}

func (s *server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	what := req.URL.Path[strings.LastIndex(req.URL.Path, "/")+1:]
	s.mu.Lock()
	s.asked[what]++
	fail, gone := s.fail, s.gone
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if fail != 0 {
		w.WriteHeader(fail)
		json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: int32(fail), Message: "made to fail"})
		return
	}
	q := req.URL.Query()
	switch {
	case req.Method == http.MethodPost && what == "events":
		// As it is sent: protobuf, behind four bytes and in an envelope.
		b, _ := io.ReadAll(req.Body)
		ev, err := decodeEvent(b)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.set(func() { s.events = append(s.events, ev) })
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(ev)
	case q.Get("watch") != "" && q.Get("sendInitialEvents") != "":
		// An old server: lists have to be asked for.
		w.WriteHeader(http.StatusUnprocessableEntity)
		json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: 422, Reason: metav1.StatusReasonInvalid, Message: "sendInitialEvents is forbidden"})
	case q.Get("watch") != "":
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		select {
		case <-gone:
		case <-req.Context().Done():
		}
	case what == "pods":
		if sel := q.Get("fieldSelector"); sel != "spec.nodeName=n1" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		json.NewEncoder(w).Encode(corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, ListMeta: metav1.ListMeta{ResourceVersion: "7"}, Items: s.pods})
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		json.NewEncoder(w).Encode(metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{Kind: "PartialObjectMetadataList", APIVersion: "meta.k8s.io/v1"}, ListMeta: metav1.ListMeta{ResourceVersion: "7"}, Items: s.spaces})
	}
}

// source returns one of this server's, not running yet.
func (s *server) source(t *testing.T, cfg Config) *Source {
	t.Helper()
	cfg.Kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(cfg.Kubeconfig, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c,
clusters: [{name: c, cluster: {server: %q}}], contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {token: t}}]}`, s.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg.Node == "" {
		cfg.Node = "n1"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	src, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func start(t *testing.T, src *Source) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); src.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Error("Run has not returned 20 s after its context ended")
		}
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	return len(b), nil
}

func (l *logLines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.lines {
		if strings.Contains(line, s) {
			n++
		}
	}
	return n
}

// TestServerFails follows a source through an API server that refuses, answers,
// fails and comes back without a pod: names come late, stay, and the log says each
// turn once.
func TestServerFails(t *testing.T) {
	s := newServer(t)
	p := somePod("cart")
	p.Status.ContainerStatuses = []corev1.ContainerStatus{running("a", 0)}
	p.ResourceVersion = "5"
	s.pods = []corev1.Pod{*p}
	s.spaces = []metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Name: "shop", Annotations: map[string]string{AnnotationPrefix + "off": "true", "x": "y"}}}}
	s.fail = http.StatusServiceUnavailable
	log := &logLines{}
	var changes sync.WaitGroup
	src := s.source(t, Config{Log: slog.New(slog.NewTextHandler(log, nil)), Changed: func() { changes.Go(func() {}) }})
	start(t, src)
	eventually(t, "several tries", func() bool { return s.count("pods") > 2 })
	if st := src.Status(); st.Connected || !strings.Contains(st.LastError, "made to fail") {
		t.Errorf("status of a server that fails: %+v", st)
	}
	if n := log.count("does not tell of its pods"); n != 1 {
		t.Errorf("%d lines in the log say that it fails", n)
	}
	before := src.Generation()
	s.set(func() { s.fail = 0 })
	eventually(t, "synced", src.Synced)
	if src.Generation() == before {
		t.Error("what was learnt shows in no generation")
	}
	info, ok := src.Lookup("a")
	if !ok || info.Pod != "cart" || info.Container != "main" || info.Restarts != 0 || !info.Alone ||
		!maps.Equal(info.NamespaceAnnotations, map[string]string{AnnotationPrefix + "off": "true"}) {
		t.Errorf("the container is %+v, %v", info, ok)
	}
	if st := src.Status(); !st.Connected || st.LastError != "" || st.Pods != 1 || st.Containers != 1 {
		t.Errorf("status of a server that answers: %+v", st)
	}
	// The pod goes while nobody can tell.
	s.set(func() { s.fail, s.pods = http.StatusInternalServerError, nil })
	s.drop()
	eventually(t, "it is away", func() bool { return !src.Status().Connected })
	if _, ok := src.Lookup("a"); !ok {
		t.Error("the container lost its name while the server was away")
	}
	s.set(func() { s.fail = 0 })
	eventually(t, "the deletion is known", func() bool { return src.Status().Connected && src.Status().Pods == 0 })
	if info, ok := src.Lookup("a"); !ok || info.Pod != "cart" || info.Deleted.IsZero() {
		t.Errorf("of the deleted pod there is %+v, %v", info, ok)
	}
	if n := log.count("does not tell of its pods"); n != 2 {
		t.Errorf("%d lines in the log say that it fails, want 2", n)
	}
	changes.Wait()
}

// TestForgets catches memory that grows with the pods that ever were, and
// deletions that forget one that is there.
func TestForgets(t *testing.T) {
	src := newServer(t).source(t, Config{KeepMax: 10})
	live := somePod("live")
	live.Status.ContainerStatuses = []corev1.ContainerStatus{running("live", 0)}
	src.put(live)
	for i := range 100 {
		p := somePod(fmt.Sprint("p", i))
		p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: fmt.Sprint("hash", i)}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{running(fmt.Sprint("c", i), 0)}
		src.put(p)
		src.remove(p)
		src.remove(p) // told twice
	}
	if len(src.byUID) != 11 || len(src.byContainer) != 11 || len(src.byStatic) != 10 || src.gone != 10 {
		t.Errorf("%d pods, %d containers, %d static ones are remembered, %d of them gone", len(src.byUID), len(src.byContainer), len(src.byStatic), src.gone)
	}
	for id, want := range map[string]bool{"live": true, "c99": true, "c90": true, "c89": false} {
		if _, ok := src.Lookup(id); ok != want {
			t.Errorf("container %s is known: %v", id, ok)
		}
	}
	src.mu.Lock()
	src.pruneLocked(time.Now().Add(25 * time.Hour))
	src.mu.Unlock()
	if _, ok := src.Lookup("live"); !ok || len(src.byUID) != 1 {
		t.Errorf("a day later %d pods are remembered", len(src.byUID))
	}
}

// TestStatic catches a pod that takes a static pod's name by writing its
// annotation.
func TestStatic(t *testing.T) {
	src := newServer(t).source(t, Config{})
	mirror := somePod("etcd-n1")
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "0a1b"}
	src.put(mirror)
	thief := somePod("thief")
	thief.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "0a1b"}
	src.put(thief)
	other := somePod("other")
	other.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "uid-etcd-n1"}
	src.put(other)
	for uid, want := range map[string]string{"0a1b": "etcd-n1", "uid-etcd-n1": "etcd-n1", "uid-thief": "thief"} {
		if info, ok := src.ByPod(uid, "main"); !ok || info.Pod != want || info.Container != "main" || info.Kind != KindRegular {
			t.Errorf("pod %s is %+v, %v, want %s", uid, info, ok, want)
		}
	}
	if info, ok := src.ByPod("uid-thief", "nosuch"); !ok || info.Container != "" || info.Restarts != -1 {
		t.Errorf("a container that the pod has not: %+v, %v", info, ok)
	}
}

// TestNoConfig catches a refusal that does not say what is missing.
func TestNoConfig(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := New(Config{Node: "n1"}); err != ErrNoConfig {
		t.Errorf("without a service account: %v", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no node's name is fine")
	}
	if InPod() {
		t.Error("this is taken for a pod")
	}
}
