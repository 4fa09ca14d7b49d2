// Package deploy has what is installed into a Kubernetes cluster, from one source:
// recorderd.yaml.tmpl. The kustomize base and the chart beside it are generated from
// it.
package deploy

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"

	"github.com/recorderd/recorderd/internal/size"
)

//go:generate go run ../internal/gendeploy

//go:embed recorderd.yaml.tmpl
var source string

// Capabilities are those that the daemon runs with, and no others.
var Capabilities = []string{"BPF", "PERFMON", "SYS_PTRACE"}

// Values are what varies in the manifests, each as it stands in YAML.
type Values struct {
	Namespace     string
	ClusterName   string // of what is in no namespace
	ManagedBy     string
	Image         string
	PullPolicy    string
	RingSize      string
	MemoryBudget  string
	MemoryRequest string
	MemoryLimit   string
	NodeSelector  string // JSON
	PriorityClass string
	ContainerdDir string
	Capabilities  string // JSON
}

// Options are what recorderctl deploy can be told.
type Options struct {
	Namespace     string
	Image         string
	PullPolicy    string // Always, IfNotPresent or Never
	RingSize      size.Bytes
	MemoryBudget  size.Bytes
	NodeSelector  map[string]string
	PriorityClass string // empty: the cluster's default
	ContainerdDir string // where containerd's socket is on the nodes
}

// Default returns what is installed if nothing else is asked for.
func Default() Options {
	return Options{
		Namespace: "recorderd", Image: "recorderd/recorderd:latest", PullPolicy: "IfNotPresent",
		RingSize: 1 << 20, MemoryBudget: 256 << 20, ContainerdDir: "/run/containerd",
		PriorityClass: "system-node-critical",
	}
}

// What the daemon needs besides its rings, in MiB: itself; and with dumps under way,
// each of which copies a ring.
const (
	BaseRequest = 64
	BaseLimit   = 256
	LimitRings  = 16
)

var (
	dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	dnsName  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
	imageRef = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}$`)
	dirPath  = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`)
	label    = regexp.MustCompile(`^([A-Za-z0-9./_-]{0,316})$`)
)

// Values checks the options, and returns what stands in the manifests.
func (o Options) Values() (Values, error) {
	selector := o.NodeSelector
	if selector == nil {
		selector = map[string]string{}
	}
	for k, v := range selector {
		if k == "" || !label.MatchString(k) || !label.MatchString(v) {
			return Values{}, fmt.Errorf("node selector %q: %q is not a label", k+"="+v, k)
		}
	}
	const mib = 1 << 20
	switch {
	case !dnsLabel.MatchString(o.Namespace):
		return Values{}, fmt.Errorf("namespace %q: it is of small letters, digits and -, 63 at most", o.Namespace)
	case !imageRef.MatchString(o.Image):
		return Values{}, fmt.Errorf("image %q is not the name of an image", o.Image)
	case o.PullPolicy != "Always" && o.PullPolicy != "IfNotPresent" && o.PullPolicy != "Never":
		return Values{}, fmt.Errorf("pull policy %q: it is Always, IfNotPresent or Never", o.PullPolicy)
	case o.PriorityClass != "" && !dnsName.MatchString(o.PriorityClass):
		return Values{}, fmt.Errorf("priority class %q: want small letters, digits, dots and hyphens", o.PriorityClass)
	case !dirPath.MatchString(o.ContainerdDir):
		return Values{}, fmt.Errorf("containerd's directory %q: it is like /run/containerd", o.ContainerdDir)
	case o.RingSize < 64<<10 || o.RingSize > 64*mib || o.RingSize&(o.RingSize-1) != 0:
		return Values{}, fmt.Errorf("ring size %s: it is a power of two from 64KiB to 64MiB", o.RingSize)
	case o.MemoryBudget < 4*o.RingSize || o.MemoryBudget > 1<<40:
		return Values{}, fmt.Errorf("memory budget %s: it is for all rings of a node, of %s each, and at most 1TiB", o.MemoryBudget, o.RingSize)
	}
	budget := (uint64(o.MemoryBudget) + mib - 1) / mib
	rings := (uint64(o.RingSize)*LimitRings + mib - 1) / mib
	return Values{
		Namespace: o.Namespace, ClusterName: clusterName(o.Namespace), ManagedBy: Manager, Image: o.Image, PullPolicy: o.PullPolicy,
		RingSize: fmt.Sprintf("%dKiB", o.RingSize>>10), MemoryBudget: fmt.Sprintf("%dMiB", budget), // in the chart's units
		MemoryRequest: fmt.Sprintf("%dMi", budget+BaseRequest), MemoryLimit: fmt.Sprintf("%dMi", budget+BaseLimit+rings),
		NodeSelector: jsonOf(selector), PriorityClass: jsonOf(o.PriorityClass), ContainerdDir: o.ContainerdDir, Capabilities: jsonOf(Capabilities),
	}, nil
}

// Manager is the field manager of what recorderctl applies, and a label on it.
const Manager = "recorderctl"

// clusterName is the name of objects that are in no namespace: two installations do
// not share them.
func clusterName(namespace string) string {
	if namespace == "recorderd" {
		return namespace
	}
	return "recorderd-" + namespace
}

func jsonOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(b)
}

// Object is one object of the manifests.
type Object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	YAML []byte `json:"-"` // with the comments of the source
	JSON []byte `json:"-"`
}

// YAML returns the manifests in the order in which they are to be applied.
func YAML(v Values) ([]byte, error) {
	t, err := template.New("recorderd.yaml").Option("missingkey=error").Parse(source)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, v)
	return b.Bytes(), err
}

// Objects returns the objects of the manifests.
func Objects(v Values) ([]Object, error) {
	all, err := YAML(v)
	if err != nil {
		return nil, err
	}
	var objects []Object
	for _, doc := range strings.Split(string(all), "\n---\n") {
		o := Object{YAML: []byte(strings.TrimSuffix(doc, "\n") + "\n")}
		if o.JSON, err = yaml.YAMLToJSONStrict(o.YAML); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(o.JSON, &o); err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}
