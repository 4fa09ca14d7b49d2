package kubernetes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/recorderd/recorderd/api"
)

var made = time.Date(2026, 11, 22, 15, 10, 0, 0, time.UTC)

func somePod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(made)},
		Spec:       corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "main", Image: "cart:1"}}},
	}
}

func running(id string, restarts int32) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name: "main", ContainerID: "containerd://" + id, RestartCount: restarts, ImageID: "sha256:1",
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}
}

func ended(id string, code int32, reason string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: "containerd://" + id, ExitCode: code, Reason: reason, FinishedAt: metav1.NewTime(made)}}
}

// TestOwner catches a workload that is made up, or not recognised, from names.
func TestOwner(t *testing.T) {
	due := made.Unix() / 60
	for _, tc := range []struct {
		version, kind, name, hash string
		want                      Owner
	}{
		{"apps/v1", "ReplicaSet", "web-5d9c7b", "5d9c7b", Owner{"Deployment", "web"}},
		{"apps/v1", "ReplicaSet", "web-1-5d9c7b", "5d9c7b", Owner{"Deployment", "web-1"}},
		{"apps/v1", "ReplicaSet", "web", "", Owner{"ReplicaSet", "web"}},
		{"apps/v1", "ReplicaSet", "web-5d9c7b", "other", Owner{"ReplicaSet", "web-5d9c7b"}},
		{"apps/v1", "ReplicaSet", "-5d9c7b", "5d9c7b", Owner{"ReplicaSet", "-5d9c7b"}},
		{"example.com/v1", "ReplicaSet", "web-5d9c7b", "5d9c7b", Owner{"ReplicaSet", "web-5d9c7b"}},
		{"apps/v1", "DaemonSet", "agent", "", Owner{"DaemonSet", "agent"}},
		{"batch/v1", "Job", "once", "", Owner{"Job", "once"}},
		{"batch/v1", "Job", fmt.Sprintf("nightly-%d", due), "", Owner{"CronJob", "nightly"}},
		{"batch/v1", "Job", fmt.Sprintf("nightly-%d", due-600), "", Owner{"CronJob", "nightly"}},
		{"batch/v1", "Job", "import-20261122", "", Owner{"Job", "import-20261122"}},
		{"batch/v1", "Job", fmt.Sprintf("nightly-%d", due+60), "", Owner{"Job", fmt.Sprintf("nightly-%d", due+60)}},
		{"v1", "Node", "n1", "", Owner{"Node", "n1"}},
	} {
		p := somePod("p")
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "x/v1", Kind: "Other", Name: "no controller"}, {APIVersion: tc.version, Kind: tc.kind, Name: tc.name, Controller: &yes}}
		if tc.hash != "" {
			p.Labels = map[string]string{"pod-template-hash": tc.hash}
		}
		if got := newPod(p).info.Owner; got != tc.want {
			t.Errorf("%s %s: %v, want %v", tc.kind, tc.name, got, tc.want)
		}
	}
	if got := newPod(somePod("p")).info.Owner; got != (Owner{}) {
		t.Errorf("a pod without an owner is %v's", got)
	}
}

// TestInstances follows a container through a crash loop: each run keeps its
// number, and its end, when the status has moved on to the next.
func TestInstances(t *testing.T) {
	p := somePod("p")
	var have *pod
	step := func(s corev1.ContainerStatus) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{s}
		small, err := trim(p)
		if err != nil {
			t.Fatal(err)
		}
		next := newPod(small.(*corev1.Pod))
		if have != nil {
			next.inherit(have)
		}
		have = next
	}
	step(corev1.ContainerStatus{Name: "main", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}})
	step(running("a", 0))
	s := running("a", 0)
	s.State = ended("a", 137, "OOMKilled")
	step(s)
	s = running("b", 1)
	s.LastTerminationState = ended("a", 137, "OOMKilled")
	step(s)
	// In a back-off the last container is the one that ended, and counts.
	s = running("b", 1)
	s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	s.LastTerminationState = ended("b", 1, "Error")
	step(s)
	// c came and went unseen but for its end.
	s = running("d", 3)
	s.LastTerminationState = ended("c", 2, "Error")
	step(s)
	// A status that knows nothing of its container must not do harm.
	step(corev1.ContainerStatus{Name: "main", RestartCount: 3, LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "ContainerStatusUnknown"}}})

	type run struct {
		id       string
		restarts int
		code     int
		reason   string
	}
	var got []run
	for _, in := range have.instances {
		r := run{id: in.id, restarts: in.restarts, code: -1}
		if in.exit != nil {
			r.code, r.reason = in.exit.Code, in.exit.Reason
		}
		got = append(got, r)
	}
	want := []run{{"a", 0, 137, "OOMKilled"}, {"b", 1, 1, "Error"}, {"c", 2, 2, "Error"}, {"d", 3, -1, ""}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(run{})); diff != "" {
		t.Error(diff)
	}
	for i := range 3 * maxInstances {
		step(running(fmt.Sprintf("e%d", i), int32(4+i)))
	}
	if n := len(have.instances); n != maxInstances || have.instances[n-1].id != fmt.Sprintf("e%d", 3*maxInstances-1) {
		t.Errorf("%d containers are remembered, the last is %s", n, have.instances[n-1].id)
	}
}

// TestTrim catches a field that is read, but not kept.
func TestTrim(t *testing.T) {
	p := somePod("p")
	always, yes := corev1.ContainerRestartPolicyAlways, true
	p.Labels = map[string]string{"app": "cart", "pod-template-hash": "5d9c7b"}
	p.Annotations = map[string]string{
		AnnotationPrefix + "keep": "10m", "other": strings.Repeat("x", 1<<16), corev1.MirrorPodAnnotationKey: "0a1b",
	}
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "cart-5d9c7b", Controller: &yes}}
	p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	p.Spec.HostPID, p.Spec.HostNetwork, p.Spec.RestartPolicy = true, true, corev1.RestartPolicyAlways
	p.Spec.InitContainers = []corev1.Container{{Name: "prep"}, {Name: "side", RestartPolicy: &always}}
	p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PASSWORD", Value: "secret"}}
	p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "dbg", Image: "tools:1"}}}
	s := running("a", 2)
	s.LastTerminationState = ended("b", 137, "OOMKilled")
	p.Status.ContainerStatuses = []corev1.ContainerStatus{s}
	s.Name = "dbg"
	p.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{s}
	at := metav1.Now()
	p.DeletionTimestamp = &at
	p.Status.Reason, p.Status.Message, p.Status.Conditions = "Evicted", "the node was low", disrupted("TerminationByKubelet").Conditions
	trimmed, err := trim(p)
	if err != nil {
		t.Fatal(err)
	}
	small := trimmed.(*corev1.Pod)
	if diff := cmp.Diff(newPod(p), newPod(small), cmp.AllowUnexported(pod{}, container{}, instance{})); diff != "" {
		t.Errorf("what is read changes: %s", diff)
	}
	if b, _ := small.Marshal(); len(b) > 1500 || strings.Contains(string(b), "secret") || len(small.ManagedFields) > 0 {
		t.Errorf("%d bytes are kept", len(b))
	}
	kinds := map[string]string{}
	for name, c := range newPod(small).containers {
		kinds[name] = c.kind
		if always := name == "main" || name == "side"; c.always != always {
			t.Errorf("%s is started again: %t", name, c.always)
		}
	}
	if diff := cmp.Diff(map[string]string{"main": KindRegular, "prep": KindInit, "side": KindSidecar, "dbg": KindEphemeral}, kinds); diff != "" {
		t.Error(diff)
	}
}

// FuzzPod catches a panic over a pod that somebody wrote, or bytes that are none.
func FuzzPod(f *testing.F) {
	seed := somePod("p")
	seed.Status.ContainerStatuses = []corev1.ContainerStatus{running("a", 1)}
	b, err := seed.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var p corev1.Pod
		if p.Unmarshal(b) != nil {
			return
		}
		small, err := trim(&p)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(newPod(&p), newPod(small.(*corev1.Pod)), cmp.AllowUnexported(pod{}, container{}, instance{})); diff != "" {
			t.Errorf("what is read changes: %s", diff)
		}
	})
}

// TestLabelsAreBounded catches that some pods with a megabyte of labels, annotations or
// containers each take all of the daemon's memory, and cannot be dumped.
func TestLabelsAreBounded(t *testing.T) {
	p := somePod("p")
	p.Labels, p.Annotations = map[string]string{}, map[string]string{}
	for i := range 10000 {
		p.Labels[fmt.Sprintf("k%05d", i)] = strings.Repeat("v", 63)
		p.Annotations[fmt.Sprintf("%sk%05d", AnnotationPrefix, i)] = strings.Repeat("v", 63)
	}
	p.Annotations[AnnotationPrefix+"blank"] = strings.Repeat("x", 200000)
	for i := range 5000 {
		c := corev1.Container{Name: fmt.Sprintf("c%d", i), Image: strings.Repeat("x", 100000)}
		p.Spec.Containers, p.Spec.InitContainers = append(p.Spec.Containers, c), append(p.Spec.InitContainers, c)
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "e" + c.Name, Image: c.Image}})
	}
	obj, err := trim(p)
	if err != nil {
		t.Fatal(err)
	}
	small := obj.(*corev1.Pod)
	for what, m := range map[string]map[string]string{"labels": small.Labels, "annotations": small.Annotations, "info's labels": newPod(p).info.Labels, "info's annotations": newPod(p).info.Annotations} {
		n := 0
		for k, v := range m {
			n += len(k) + len(v)
		}
		if n == 0 || n > api.MaxLabels {
			t.Errorf("%s: %d bytes are kept", what, n)
		}
	}
	if n := len(newPod(p).info.Annotations[AnnotationPrefix+"blank"]); n != maxAnnotation {
		t.Errorf("of a long annotation %d bytes are kept", n)
	}
	for _, c := range newPod(small).containers {
		if len(c.image) > maxImage {
			t.Fatalf("an image's name of %d bytes is kept", len(c.image))
		}
	}
	if n := len(newPod(small).containers); n > 3*maxContainers {
		t.Errorf("%d containers are kept", n)
	}
	if len(p.Labels) != 10000 {
		t.Error("the object was changed")
	}
}
