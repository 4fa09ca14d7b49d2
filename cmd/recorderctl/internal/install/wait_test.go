package install

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/recorderd/recorderd/internal/kube"
)

// fake is an API server with one daemon set, its pods and events.
func fake(t *testing.T, ds appsv1.DaemonSet, pods []corev1.Pod, events ...corev1.Event) (*Installer, *[]string) {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(path string, v any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(v)
		})
	}
	ds.TypeMeta = metav1.TypeMeta{Kind: "DaemonSet", APIVersion: "apps/v1"}
	answer("/apis/apps/v1/namespaces/ns/daemonsets/recorderd", ds)
	answer("/api/v1/namespaces/ns/pods", corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: pods})
	answer("/api/v1/namespaces/ns/events", corev1.EventList{TypeMeta: metav1.TypeMeta{Kind: "EventList", APIVersion: "v1"}, Items: events})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	k, err := kube.New(&rest.Config{Host: s.URL}, "the test")
	if err != nil {
		t.Fatal(err)
	}
	said := &[]string{}
	return &Installer{Kube: k, Namespace: "ns", Say: func(format string, args ...any) { *said = append(*said, format) }}, said
}

func set(desired, ready int32) appsv1.DaemonSet {
	return appsv1.DaemonSet{Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: desired, UpdatedNumberScheduled: desired, NumberReady: ready}}
}

func onNode(node string, cs corev1.ContainerStatus) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p-" + node, CreationTimestamp: metav1.Now()}, Spec: corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{cs}}}
}

// A kernel that lacks something does not learn it: nobody waits for that node.
func TestHopeless(t *testing.T) {
	ended := corev1.ContainerStatus{RestartCount: 1, LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: unsupported, Message: "time=1 msg=x\nrecorderd: this kernel (5.4) has no task storage\n"}}}
	in, _ := fake(t, set(1, 0), []corev1.Pod{onNode("a", ended)})
	start := time.Now()
	err := in.Wait(t.Context(), name, "recorded")
	var not *NotReadyError
	if !errors.As(err, &not) || !slices.Equal(not.Nodes, []string{"node a: this kernel (5.4) has no task storage"}) || not.Err != nil {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it waited for %s", took)
	}
}

// TestDiagnose: what is wrong with a pod, in words of whoever knows it.
func TestDiagnose(t *testing.T) {
	waiting := func(reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	mount := corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e"}, Reason: "FailedMount", Message: "hostPath type check failed", LastTimestamp: metav1.Now()}
	old := mount
	old.LastTimestamp = metav1.NewTime(time.Now().Add(-time.Hour))
	for name, tc := range map[string]struct {
		pod    corev1.Pod
		events []corev1.Event
		want   string
	}{
		"image":   {onNode("a", waiting("ImagePullBackOff", "no such image")), nil, "ImagePullBackOff: no such image"},
		"mount":   {onNode("a", waiting("ContainerCreating", "")), []corev1.Event{mount}, "FailedMount: hostPath type check failed"},
		"old":     {onNode("a", waiting("ContainerCreating", "")), []corev1.Event{old}, "its container is being made"},
		"killed":  {onNode("a", corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}}), nil, "recorderd ended with status 137 (OOMKilled)"},
		"running": {onNode("a", corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}), nil, "it runs, and is not ready yet"},
		"evicted": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "disk"}}, nil, "Evicted: disk"},
	} {
		in, _ := fake(t, set(1, 0), nil, tc.events...)
		if why, _ := in.diagnose(t.Context(), &tc.pod); why != tc.want {
			t.Errorf("%s: %q, want %q", name, why, tc.want)
		}
	}
}

// Pod Security refuses pods of the daemon set before there are any.
func TestPodSecurity(t *testing.T) {
	in, _ := fake(t, set(1, 0), nil, corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e"}, Reason: "FailedCreate", LastTimestamp: metav1.Now(),
		Message: `Error creating: pods "recorderd-x" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostPID=true)`})
	why := in.refused(t.Context(), &appsv1.DaemonSet{})
	if !strings.Contains(why, "allows only baseline in namespace ns: kubectl label --overwrite namespace ns") {
		t.Errorf("got %q", why)
	}
}

// No node at all is no success.
func TestNoNodes(t *testing.T) {
	in, _ := fake(t, set(0, 0), nil)
	if err := in.Wait(t.Context(), name, "recorded"); err == nil || !strings.Contains(err.Error(), "no node fits") {
		t.Errorf("got %v", err)
	}
}
