// Package manifests checks that the chart and the kustomize base give what recorderctl
// deploy applies, with helm and kustomize themselves.
package manifests

import (
	"encoding/json"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// tool runs a tool of this module, and returns the objects that it prints, by kind.
func tool(t *testing.T, args ...string) map[string]map[string]any {
	t.Helper()
	return parse(t, output(t, append([]string{"tool"}, args...)...))
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

func parse(t *testing.T, docs string) map[string]map[string]any {
	t.Helper()
	objects := map[string]map[string]any{}
	for doc := range strings.SplitSeq("\n"+docs, "\n---\n") {
		var o map[string]any
		if err := yaml.UnmarshalStrict([]byte(doc), &o); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if o == nil {
			continue
		}
		delete(o["metadata"].(map[string]any)["labels"].(map[string]any), "app.kubernetes.io/managed-by")
		objects[o["kind"].(string)] = o
	}
	return objects
}

// applied is what recorderctl deploy would apply.
func applied(t *testing.T, flags ...string) map[string]map[string]any {
	t.Helper()
	return parse(t, output(t, append([]string{"run", "-C", "../..", "./cmd/recorderctl", "deploy", "--dry-run=client"}, flags...)...))
}

func same(t *testing.T, got, want map[string]map[string]any, without ...string) {
	t.Helper()
	for kind, o := range want {
		if slices.Contains(without, kind) {
			continue
		}
		if !reflect.DeepEqual(got[kind], o) {
			a, _ := json.MarshalIndent(got[kind], "", " ")
			b, _ := json.MarshalIndent(o, "", " ")
			t.Errorf("%s is\n%s\nand recorderctl applies\n%s", kind, a, b)
		}
	}
	if len(got) != len(want)-len(without) {
		t.Errorf("%d objects, want %d", len(got), len(want)-len(without))
	}
}

func TestKustomize(t *testing.T) {
	same(t, tool(t, "kustomize", "build", "../../deploy/kustomize"), applied(t))
}

func TestChart(t *testing.T) {
	output(t, "tool", "helm", "lint", "--strict", "../../deploy/chart")
	same(t, tool(t, "helm", "template", "recorderd", "../../deploy/chart", "-n", "recorderd"), applied(t), "Namespace")
	same(t, tool(t, "helm", "template", "x", "../../deploy/chart", "-n", "elsewhere",
		"--set", "createNamespace=true,memoryBudgetMiB=1024,ringSizeKiB=256,image=host:5000/r:v2,imagePullPolicy=Never,containerdDir=/run/k3s/containerd,priorityClassName=mine",
		"--set-json", `nodeSelector={"kubernetes.io/os":"linux"}`),
		applied(t, "-n", "elsewhere", "--memory-budget", "1024MiB", "--ring-size", "256KiB", "--image", "host:5000/r:v2", "--image-pull-policy", "Never",
			"--containerd-dir", "/run/k3s/containerd", "--priority-class", "mine", "--node-selector", "kubernetes.io/os=linux"))
}
