package install

import (
	"context"
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/recorderd/recorderd/api"
)

// What keeps a daemon from its node's runtime is told with the cure for that node.
func TestRuntimeOf(t *testing.T) {
	up := api.RuntimeInfo{Name: "containerd", Address: "/run/containerd/containerd.sock", Connected: true}
	down := api.RuntimeInfo{Name: "containerd", Address: "/run/containerd/containerd.sock", Error: "no answer"}
	kubernetes := api.RuntimeInfo{Name: "kubernetes", Connected: true}
	node := func(runtime, kubelet string) corev1.NodeSystemInfo {
		return corev1.NodeSystemInfo{ContainerRuntimeVersion: runtime, KubeletVersion: kubelet}
	}
	for name, tc := range map[string]struct {
		runtimes []api.RuntimeInfo
		node     corev1.NodeSystemInfo
		want     string
	}{
		"reached":       {[]api.RuntimeInfo{up, kubernetes}, node("containerd://2.0", "v1.30.0"), ""},
		"one of two":    {[]api.RuntimeInfo{down, up}, node("containerd://2.0", "v1.30.0"), ""},
		"no answer":     {[]api.RuntimeInfo{down, kubernetes}, node("containerd://2.0", "v1.30.0"), "does not answer: no answer"},
		"k3s":           {[]api.RuntimeInfo{kubernetes}, node("containerd://2.0", "v1.30.0+k3s1"), "recorderctl deploy --containerd-dir /run/k3s/containerd"},
		"elsewhere":     {nil, node("containerd://2.0", "v1.30.0"), "--containerd-dir DIRECTORY"},
		"nothing known": {nil, corev1.NodeSystemInfo{}, "no socket /run/containerd/containerd.sock"},
		"another kind":  {nil, node("cri-o://1.30", "v1.30.0"), ""},
	} {
		got := runtimeOf(&api.Status{Runtimes: tc.runtimes}, tc.node, "/run/containerd")
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// A broken configuration fails at once. Daemons that may not be asked fail nothing, and
// nothing is claimed of them.
func TestCheck(t *testing.T) {
	in, said := fake(t, set(1, 1), nil)
	up := []api.RuntimeInfo{{Name: "containerd", Connected: true}}
	ask := func(sts []api.Status, err error) func(context.Context) ([]api.Status, error) {
		return func(context.Context) ([]api.Status, error) { return sts, err }
	}
	err := in.Check(t.Context(), "/run/containerd", ask([]api.Status{{Node: "a", Runtimes: up}, {Node: "b", Runtimes: up, Configuration: &api.ConfigStatus{Error: "r.yaml:1: bad"}}}, nil))
	var not *NotReadyError
	if !errors.As(err, &not) || len(not.Nodes) != 1 || !strings.Contains(err.Error(), "node b: the configuration is broken, and the last good one is in force: r.yaml:1: bad\n1 of 2 nodes are in order") {
		t.Errorf("got %v", err)
	}
	if err := in.Check(t.Context(), "/run/containerd", ask(nil, errors.New("forbidden"))); err != nil || len(*said) != 1 || !strings.Contains((*said)[0], "was not found out") {
		t.Errorf("%v, said %q", err, *said)
	}
}

// What others have installed is theirs.
func TestOwned(t *testing.T) {
	for _, tc := range []struct {
		labels, annotations map[string]string
		want                string
	}{
		{map[string]string{managedBy: "recorderctl"}, nil, ""},
		{nil, nil, ""},
		{map[string]string{managedBy: "kustomize"}, nil, "installed with kustomize"},
		{map[string]string{managedBy: "Helm"}, map[string]string{"meta.helm.sh/release-name": "r"}, "Helm release r"},
	} {
		in, _ := fake(t, appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: tc.labels, Annotations: tc.annotations}}, nil)
		err := in.owned(t.Context())
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: %v, want %q", tc.labels, err, tc.want)
		}
	}
}
