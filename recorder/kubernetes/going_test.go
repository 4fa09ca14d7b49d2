package kubernetes

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/recorderd/recorderd/api"
)

func disrupted(reason string) corev1.PodStatus {
	return corev1.PodStatus{Conditions: []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "EvictionByEvictionAPI"},
		{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, Message: "as it is"},
	}}
}

// TestGoing catches a pod's end that is wanted and not seen to be, and one for what the pod
// used that is taken for wanted.
func TestGoing(t *testing.T) {
	now := metav1.Now()
	for _, tc := range []struct {
		name    string
		status  corev1.PodStatus
		deleted *metav1.Time
		want    string
		wanted  bool
	}{
		{"it stays", corev1.PodStatus{}, nil, "", false},
		{"deleted", corev1.PodStatus{}, &now, api.GoingDeleted, true},
		{"drained", disrupted("EvictionByEvictionAPI"), &now, api.GoingDrained, true},
		{"drained, and not deleted yet", disrupted("EvictionByEvictionAPI"), nil, api.GoingDrained, true},
		{"tainted", disrupted("DeletionByTaintManager"), &now, api.GoingDrained, true},
		{"preempted", disrupted("PreemptionByScheduler"), &now, api.GoingPreempted, true},
		{"preempted by the kubelet", corev1.PodStatus{Reason: "Preempting"}, nil, api.GoingPreempted, true},
		{"the node shuts down", corev1.PodStatus{Reason: "Terminated", Conditions: disrupted("TerminationByKubelet").Conditions}, nil, api.GoingShutdown, true},
		{"the node is short of memory", corev1.PodStatus{Reason: "Evicted", Conditions: disrupted("TerminationByKubelet").Conditions}, nil, api.GoingEvicted, false},
		{"the same, of which the status does not tell yet", disrupted("TerminationByKubelet"), &now, api.GoingEvicted, false},
		{"it used too much disk, and was deleted then", corev1.PodStatus{Reason: "Evicted", Message: "Usage of EmptyDir"}, &now, api.GoingEvicted, false},
		{"its time was over", corev1.PodStatus{Reason: "DeadlineExceeded"}, nil, "", false},
		{"not true any more", corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionFalse, Reason: "EvictionByEvictionAPI"}}}, nil, "", false},
	} {
		p := somePod("p")
		p.Status, p.DeletionTimestamp = tc.status, tc.deleted
		small, err := trim(p)
		if err != nil {
			t.Fatal(err)
		}
		got := newPod(small.(*corev1.Pod)).info.Going
		why := ""
		var g *api.Going
		if got != nil {
			why, g = got.Why, &api.Going{Why: got.Why}
		}
		if why != tc.want || g.Wanted() != tc.wanted {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}

// TestGoingSince catches a moment that moves with each status, and an eviction that becomes
// a deletion when somebody tidies up.
func TestGoingSince(t *testing.T) {
	s := newServer(t).source(t, Config{})
	now := metav1.Now()
	going := func(p *corev1.Pod) *Going {
		t.Helper()
		info, ok := s.ByPod(string(p.UID), "main")
		if !ok {
			t.Fatal("the pod is not known")
		}
		return info.Going
	}
	p := somePod("p")
	s.put(p)
	if g := going(p); g != nil {
		t.Fatalf("it goes: %+v", g)
	}
	before := time.Now()
	p = p.DeepCopy()
	p.Status.Reason, p.Status.Message = "Evicted", strings.Repeat("x", 5000)
	s.put(p)
	first := going(p)
	if first == nil || first.Why != api.GoingEvicted || first.Seen.Before(before.Round(0)) || len(first.Message) != maxMessage {
		t.Fatalf("it goes: %+v", first)
	}
	p = p.DeepCopy()
	p.Status, p.DeletionTimestamp = corev1.PodStatus{}, &now
	s.put(p)
	s.remove(p)
	if g := going(p); g.Why != api.GoingEvicted || !g.Seen.Equal(first.Seen) {
		t.Errorf("later it goes: %+v, at first: %+v", g, first)
	}
	// Forced: it is gone before anything says that it goes.
	q := somePod("q")
	s.put(q)
	s.remove(q)
	if g := going(q); g == nil || g.Why != api.GoingDeleted || g.Seen.IsZero() {
		t.Errorf("it was deleted by force: %+v", g)
	}
	// Deleted, and then drained all the same: since the first of them.
	d := somePod("d")
	d.DeletionTimestamp = &now
	s.put(d)
	since := going(d).Seen
	d = d.DeepCopy()
	d.Status = disrupted("EvictionByEvictionAPI")
	s.put(d)
	if g := going(d); g.Why != api.GoingDrained || !g.Seen.Equal(since) {
		t.Errorf("it is drained: %+v", g)
	}
}
