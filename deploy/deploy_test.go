package deploy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestGenerated fails if the kustomize base or the chart is not what the source gives.
func TestGenerated(t *testing.T) {
	dir := t.TempDir()
	gen := filepath.Join(dir, "gendeploy")
	if out, err := exec.Command("go", "build", "-o", gen, "../internal/gendeploy").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(gen)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n := 0
	for _, glob := range []string{"kustomize/*.yaml", "chart/templates/*.yaml"} {
		fresh, _ := filepath.Glob(filepath.Join(dir, glob))
		have, _ := filepath.Glob(glob)
		if len(fresh) != len(have) {
			t.Errorf("%s: %d files are there, %d are generated", glob, len(have), len(fresh))
		}
		for _, file := range fresh {
			rel, _ := filepath.Rel(dir, file)
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(rel); err != nil || string(got) != string(want) {
				t.Errorf("%s is not current (%v): go generate ./deploy", rel, err)
			}
			n++
		}
	}
	if n < 12 {
		t.Errorf("only %d files are generated", n)
	}
}

func daemonSet(t *testing.T, o Options) appsv1.DaemonSet {
	t.Helper()
	v, err := o.Values()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := Objects(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range objects {
		if obj.Kind == "DaemonSet" {
			var ds appsv1.DaemonSet
			if err := yaml.UnmarshalStrict(obj.YAML, &ds); err != nil {
				t.Fatal(err)
			}
			return ds
		}
	}
	t.Fatal("there is no DaemonSet")
	return appsv1.DaemonSet{}
}

// Memory follows the budget, and the options arrive where they belong.
func TestOptions(t *testing.T) {
	o := Default()
	o.MemoryBudget, o.RingSize, o.Image, o.Namespace = 1<<30, 4<<20, "host:5000/a/b@sha256:0123", "x"
	o.NodeSelector, o.ContainerdDir = map[string]string{"kubernetes.io/os": "linux"}, "/run/k3s/containerd"
	ds := daemonSet(t, o)
	pod := ds.Spec.Template.Spec
	c := pod.Containers[0]
	if got := c.Resources.Requests.Memory().Value(); got != (1024+BaseRequest)<<20 {
		t.Errorf("memory request %d", got)
	}
	if got := c.Resources.Limits.Memory().Value(); got != (1024+BaseLimit+64)<<20 {
		t.Errorf("memory limit %d", got)
	}
	args := strings.Join(c.Args, " ")
	for _, want := range []string{"--memory-budget=1024MiB", "--ring-size=4096KiB", "--containerd=/run/k3s/containerd/containerd.sock", "--node=$(NODE_NAME)"} {
		if !strings.Contains(args, want) {
			t.Errorf("args %s lack %s", args, want)
		}
	}
	if ds.Namespace != "x" || c.Image != o.Image || pod.NodeSelector["kubernetes.io/os"] != "linux" {
		t.Errorf("namespace %s, image %s, selector %v", ds.Namespace, c.Image, pod.NodeSelector)
	}
	sc := c.SecurityContext
	if *sc.Privileged || *sc.AllowPrivilegeEscalation || !*sc.ReadOnlyRootFilesystem || len(sc.Capabilities.Add) != len(Capabilities) || sc.Capabilities.Drop[0] != "ALL" {
		b, _ := json.Marshal(sc)
		t.Errorf("security context %s", b)
	}
}

// Every directory of the node follows the node's mounts. The daemon must not keep a copy
// of a mount that the node has given up: a pod's memory would stay with it.
func TestMountsFollowTheNode(t *testing.T) {
	pod := daemonSet(t, Default()).Spec.Template.Spec
	ofNode := map[string]bool{}
	for _, v := range pod.Volumes {
		ofNode[v.Name] = v.HostPath != nil
	}
	n := 0
	for _, m := range pod.Containers[0].VolumeMounts {
		if !ofNode[m.Name] {
			continue
		}
		n++
		if m.MountPropagation == nil || *m.MountPropagation != corev1.MountPropagationHostToContainer {
			t.Errorf("%s: the node's mounts do not propagate to it", m.MountPath)
		}
		if writes := m.Name == "bpf" || m.Name == "run" || m.Name == "state"; m.ReadOnly == writes {
			t.Errorf("%s: read-only is %v", m.MountPath, m.ReadOnly)
		}
	}
	if n < 5 {
		t.Errorf("there are only %d directories of the node", n)
	}
}

// TestBadOptions: what could not be, or would end up as other YAML, is refused.
func TestBadOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"namespace":       func(o *Options) { o.Namespace = "A" },
		"namespace, YAML": func(o *Options) { o.Namespace = "a\nb: c" },
		"image":           func(o *Options) { o.Image = "" },
		"image, YAML":     func(o *Options) { o.Image = "a\n          privileged: true" },
		"pull policy":     func(o *Options) { o.PullPolicy = "never" },
		"directory":       func(o *Options) { o.ContainerdDir = "run" },
		"ring size":       func(o *Options) { o.RingSize = 3 << 20 },
		"budget":          func(o *Options) { o.MemoryBudget = 1 << 20 },
		"priority class":  func(o *Options) { o.PriorityClass = "a b" },
		"label":           func(o *Options) { o.NodeSelector = map[string]string{"a b": "c"} },
	} {
		o := Default()
		change(&o)
		if _, err := o.Values(); err == nil {
			t.Errorf("%s: it is accepted", name)
		}
	}
}
