// Command gendeploy writes the kustomize base and the templates of the chart out of
// the manifests that recorderctl deploy applies. It runs in deploy/.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/recorderd/recorderd/deploy"
)

const header = "# Generated from deploy/recorderd.yaml.tmpl: go generate ./deploy\n"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gendeploy:", err)
		os.Exit(1)
	}
}

func run() error {
	if err := kustomize(); err != nil {
		return err
	}
	return chart()
}

// kustomize writes the manifests as they are by default, a file for each object.
func kustomize() error {
	v, err := deploy.Default().Values()
	if err != nil {
		return err
	}
	v.ManagedBy = "kustomize"
	objects, err := deploy.Objects(v)
	if err != nil {
		return err
	}
	list := bytes.NewBufferString(header + "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n")
	for _, o := range objects {
		name := strings.ToLower(o.Kind) + ".yaml"
		fmt.Fprintf(list, "  - %s\n", name)
		if err := write("kustomize/"+name, o.YAML); err != nil {
			return err
		}
	}
	return os.WriteFile("kustomize/kustomization.yaml", list.Bytes(), 0o644)
}

// chart writes the same with what varies as the chart's values. Both fill in the same
// places, so that they cannot drift apart.
func chart() error {
	v := deploy.Values{
		Namespace:     "{{ .Release.Namespace }}",
		ClusterName:   `{{ eq .Release.Namespace "recorderd" | ternary "recorderd" (printf "recorderd-%s" .Release.Namespace) }}`,
		ManagedBy:     "{{ .Release.Service }}",
		Image:         "{{ .Values.image | quote }}",
		PullPolicy:    "{{ .Values.imagePullPolicy | quote }}",
		RingSize:      "{{ int64 .Values.ringSizeKiB }}KiB",
		MemoryBudget:  "{{ int64 .Values.memoryBudgetMiB }}MiB",
		MemoryRequest: fmt.Sprintf("{{ add .Values.memoryBudgetMiB %d }}Mi", deploy.BaseRequest),
		MemoryLimit:   fmt.Sprintf("{{ add .Values.memoryBudgetMiB %d (div (add (mul .Values.ringSizeKiB %d) 1023) 1024) }}Mi", deploy.BaseLimit, deploy.LimitRings),
		NodeSelector:  "{{ toJson .Values.nodeSelector }}",
		PriorityClass: "{{ .Values.priorityClassName | quote }}",
		ContainerdDir: "{{ .Values.containerdDir }}",
		Capabilities:  strings.ReplaceAll(fmt.Sprintf("%q", deploy.Capabilities), " ", ", "),
	}
	all, err := deploy.YAML(v)
	if err != nil {
		return err
	}
	for _, doc := range strings.Split(string(all), "\n---\n") {
		kind := ""
		for line := range strings.Lines(doc) {
			if k, ok := strings.CutPrefix(line, "kind: "); ok {
				kind = strings.ToLower(strings.TrimSpace(k))
				break
			}
		}
		if kind == "" {
			return fmt.Errorf("an object without kind: %.80q", doc)
		}
		doc = strings.TrimSuffix(doc, "\n") + "\n"
		if kind == "namespace" { // helm wants it there before the chart
			doc = "{{- if .Values.createNamespace }}\n" + doc + "{{- end }}\n"
		}
		if err := write("chart/templates/"+kind+".yaml", []byte(doc)); err != nil {
			return err
		}
	}
	return nil
}

func write(name string, doc []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, append([]byte(header), doc...), 0o644)
}
