package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// installed is an API server with a daemon's pod, its DaemonSet and its ServiceAccount.
type installed struct {
	mu      sync.Mutex
	status  int // of answers about the DaemonSet
	ds      metav1.PartialObjectMetadata
	deleted chan struct{} // closed: the ServiceAccount is deleted
	watched chan struct{} // closed: it is watched
	once    sync.Once
}

func (s *installed) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	metaOnly := func(kind string) metav1.TypeMeta {
		return metav1.TypeMeta{Kind: kind, APIVersion: "meta.k8s.io/v1"}
	}
	account := metav1.PartialObjectMetadata{TypeMeta: metaOnly("PartialObjectMetadata"), ObjectMeta: metav1.ObjectMeta{Name: "sa", Namespace: "ns", ResourceVersion: "1"}}
	q := req.URL.Query()
	switch path := req.URL.Path; {
	case path == "/api/v1/namespaces/ns/pods/p":
		yes := true
		json.NewEncoder(w).Encode(corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, Spec: corev1.PodSpec{ServiceAccountName: "sa"},
			ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Name: "d", UID: "1", Controller: &yes}}}})
	case path == "/apis/apps/v1/namespaces/ns/daemonsets/d":
		s.mu.Lock()
		status, ds := s.status, s.ds
		s.mu.Unlock()
		if status != 200 {
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: int32(status),
				Reason: map[int]metav1.StatusReason{404: metav1.StatusReasonNotFound, 401: metav1.StatusReasonUnauthorized, 403: metav1.StatusReasonForbidden}[status]})
			return
		}
		ds.TypeMeta = metaOnly("PartialObjectMetadata")
		json.NewEncoder(w).Encode(ds)
	case q.Get("fieldSelector") != "metadata.name=sa":
		w.WriteHeader(http.StatusBadRequest)
	case q.Get("watch") == "":
		json.NewEncoder(w).Encode(metav1.PartialObjectMetadataList{TypeMeta: metaOnly("PartialObjectMetadataList"), ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: []metav1.PartialObjectMetadata{account}})
	case q.Get("sendInitialEvents") != "":
		w.WriteHeader(http.StatusUnprocessableEntity)
		json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: 422, Reason: metav1.StatusReasonInvalid})
	default:
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		s.once.Do(func() { close(s.watched) })
		select {
		case <-s.deleted:
			json.NewEncoder(w).Encode(map[string]any{"type": "DELETED", "object": account})
			w.(http.Flusher).Flush()
			<-req.Context().Done()
		case <-req.Context().Done():
		}
	}
}

// A daemon that is to end knows for certain whether it is being uninstalled, or else takes
// it that it is not.
func TestRemoved(t *testing.T) {
	now := metav1.NewTime(time.Now())
	for name, tc := range map[string]struct {
		status  int
		uid     types.UID
		ending  *metav1.Time
		account bool // it is deleted, too
		want    bool
	}{
		"a rollout":                       {200, "1", nil, false, false},
		"deleted in the foreground":       {200, "1", &now, false, true},
		"another one of its name":         {200, "2", nil, false, true},
		"deleted":                         {404, "", nil, false, true},
		"deleted with its ServiceAccount": {401, "", nil, true, true},
		"deleted with its rights":         {403, "", nil, true, true},
		"its pod deleted by force":        {401, "", nil, false, false},
		"a server in trouble":             {500, "", nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &installed{status: tc.status, deleted: make(chan struct{}), watched: make(chan struct{})}
			s.ds.Name, s.ds.UID, s.ds.DeletionTimestamp = "d", tc.uid, tc.ending
			srv := httptest.NewServer(s)
			t.Cleanup(srv.Close)
			file := filepath.Join(t.TempDir(), "kubeconfig")
			config := fmt.Sprintf("{apiVersion: v1, kind: Config, clusters: [{name: a, cluster: {server: %q}}], contexts: [{name: a, context: {cluster: a}}], current-context: a}", srv.URL)
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			in, err := NewInstallation(InstallationConfig{Kubeconfig: file, Namespace: "ns", Pod: "p", Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { in.Run(ctx) })
			t.Cleanup(func() { cancel(); wg.Wait() })
			select {
			case <-s.watched:
			case <-time.After(20 * time.Second):
				t.Fatal("the ServiceAccount is not watched")
			}
			if tc.account { // a moment after the daemon asks
				time.AfterFunc(300*time.Millisecond, func() { close(s.deleted) })
			}
			if got := in.Removed(t.Context()); got != tc.want {
				t.Errorf("removed: %v, want %v", got, tc.want)
			}
			if certain := tc.want || tc.status == 200; certain != (log.Len() == 0) {
				t.Errorf("certain is %v, and the log says %q", certain, log.String())
			}
		})
	}
}
