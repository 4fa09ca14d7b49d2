package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/internal/kube"
)

// defaultContainer names the container of a pod that is meant if none is named, for
// kubectl too.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// locate returns the recording that name means, and where it is. Besides what
// target.Resolve knows, name may be a workload: deploy/NAME, and so on. Without
// sel.Namespace names are those of the namespace of the context; ids are of any.
//
// A pod that the API server knows is asked for at its node. What it does not know, or
// what is not recorded there, is asked for at all nodes.
func (c *Cluster) locate(ctx context.Context, name string, sel target.Selector) (api.Recording, daemon, error) {
	t, err := c.parse(ctx, name, sel)
	if err != nil {
		return api.Recording{}, daemon{}, err
	}
	ds, err := c.find(ctx)
	if err != nil {
		return api.Recording{}, daemon{}, err
	}
	if t.pod != nil && t.pod.Spec.NodeName != "" {
		i := slices.IndexFunc(ds, func(d daemon) bool { return d.node == t.pod.Spec.NodeName })
		switch {
		case i < 0 && c.opts.Node != "": // another node is asked for: a pod of this name may have been there
		case i < 0:
			return api.Recording{}, daemon{}, fmt.Errorf("pod %s/%s: %w", t.pod.Namespace, t.pod.Name, c.noDaemon(t.pod.Spec.NodeName))
		default:
			recs, err := c.list(ctx, ds[i:i+1], target.Filter{Namespace: t.sel.Namespace})
			if err != nil {
				return api.Recording{}, daemon{}, err
			}
			if rec, bad := c.resolve(recs, t); bad == nil {
				return rec, ds[i], nil
			} else if bad.Code != api.CodeNotFound {
				return api.Recording{}, daemon{}, bad
			}
		}
	}
	recs, err := c.list(ctx, ds, target.Filter{})
	var partial *PartialError
	if err != nil && (!errors.As(err, &partial) || partial.All()) {
		return api.Recording{}, daemon{}, err
	}
	rec, bad := c.resolve(recs, t)
	switch {
	case bad != nil && bad.Code == api.CodeNotFound && partial != nil:
		return api.Recording{}, daemon{}, &MissingError{Partial: partial, Err: bad}
	case bad != nil && bad.Code == api.CodeNotFound && t.pod != nil && t.pod.Spec.NodeName == "":
		return api.Recording{}, daemon{}, api.Errorf(api.CodeNotFound, "pod %s/%s is not scheduled to a node yet: nothing of it has run", t.pod.Namespace, t.pod.Name)
	case bad != nil:
		return api.Recording{}, daemon{}, bad
	}
	if partial != nil { // one that did not answer may have a newer one
		c.warn(partial.Error())
	}
	i := slices.IndexFunc(ds, func(d daemon) bool { return d.node == rec.Node })
	return rec, ds[i], nil
}

// MissingError says that a recording was not found while some nodes did not answer.
type MissingError struct {
	Partial *PartialError
	Err     *api.Error
}

// Error has a line for each node.
func (e *MissingError) Error() string { return errors.Join(e.Unwrap()...).Error() }

// Unwrap returns both.
func (e *MissingError) Unwrap() []error { return append([]error{e.Err}, e.Partial.Unwrap()...) }

// meant is what a TARGET on the command line means.
type meant struct {
	name     string // for target.Resolve
	sel      target.Selector
	explicit bool // the namespace was named
	pod      *corev1.Pod
	dflt     string                // container to take if none is named and it has a recording
	labels   *metav1.LabelSelector // of a workload without pods
	workload string                // its name, as the user has it
}

// parse finds out what is meant, with the API server's help if the user may ask it.
func (c *Cluster) parse(ctx context.Context, name string, sel target.Selector) (meant, error) {
	t := meant{name: name, sel: sel, explicit: sel.Namespace != ""}
	if !t.explicit {
		t.sel.Namespace = c.config.Namespace
	}
	if strings.HasPrefix(name, "/") { // a cgroup
		if !t.explicit {
			t.sel.Namespace = ""
		}
		return t, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, apiTimeout, fmt.Errorf("no answer for %s", apiTimeout))
	defer cancel()
	kind, base, slash := strings.Cut(name, "/")
	if !slash {
		base = name
	} else if w, ok := workloads[strings.ToLower(kind)]; ok {
		return t, c.workload(ctx, &t, w, base)
	} else if !slices.Contains([]string{"pod", "pods", "po"}, strings.ToLower(kind)) {
		return t, api.Errorf(api.CodeBadRequest, "%q: there are pod/, deploy/, sts/, ds/, job/ and rs/", kind+"/")
	} else {
		t.name = "pod/" + base
	}
	if base == "" {
		return t, api.Errorf(api.CodeBadRequest, "the target is empty: give the id of a recording, or the name of a container or pod")
	}
	var pod corev1.Pod
	err := c.kube.Get(ctx, kube.Path{Namespace: t.sel.Namespace, Resource: "pods", Name: base}, &pod)
	var forbidden *kube.ForbiddenError
	var status apierrors.APIStatus
	switch {
	case err == nil:
		t.pod, t.name, t.sel.WholeName = &pod, "pod/"+base, true
		t.dflt = c.containerOf(&pod, sel)
	case errors.As(err, &forbidden), errors.As(err, &status): // no such pod, no such name, or not this user's to see
	default:
		return t, err
	}
	return t, nil
}

// containerOf returns the container of a pod that is meant if none is named: kubectl's
// choice. It is empty where there is no choice.
func (c *Cluster) containerOf(pod *corev1.Pod, sel target.Selector) string {
	n := len(pod.Spec.InitContainers) + len(pod.Spec.Containers) + len(pod.Spec.EphemeralContainers)
	if sel.Container != "" || n == 0 || len(pod.Spec.Containers) == 0 {
		return ""
	}
	if name := pod.Annotations[defaultContainer]; name != "" {
		return name
	}
	return pod.Spec.Containers[0].Name
}

// resolve picks what is meant out of what there is.
func (c *Cluster) resolve(recs []api.Recording, t meant) (api.Recording, *api.Error) {
	if t.labels != nil {
		return c.newestOf(recs, t)
	}
	if t.dflt != "" {
		sel := t.sel
		sel.Container = t.dflt
		if rec, bad := target.Resolve(recs, t.name, sel); bad == nil {
			if all := containers(t.pod); all != t.dflt {
				c.warn(fmt.Sprintf("this is container %s of %s: -c chooses another", t.dflt, all))
			}
			return rec, nil
		}
	}
	rec, bad := target.Resolve(recs, t.name, t.sel)
	if bad == nil || bad.Code != api.CodeNotFound || t.explicit || t.pod != nil {
		return rec, bad
	}
	everywhere := t.sel
	everywhere.Namespace = ""
	other, e := target.Resolve(recs, t.name, everywhere)
	if e == nil && isID(&other, t.name) {
		return other, nil
	}
	if e != nil && e.Code == api.CodeAmbiguous && strings.Trim(t.name, "0123456789abcdef") == "" {
		return api.Recording{}, e // ids, of which more is needed
	}
	return rec, bad
}

// isID reports whether name is an id of the recording, or the beginning of one.
func isID(r *api.Recording, name string) bool {
	return strings.HasPrefix(r.ID, name) || !r.Nameless() && strings.HasPrefix(r.Container.ID, name)
}

func containers(pod *corev1.Pod) string {
	var names []string
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			names = append(names, list[i].Name)
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		names = append(names, pod.Spec.EphemeralContainers[i].Name)
	}
	return strings.Join(names, ", ")
}

// workloads are the kinds that have pods, by the names that kubectl knows them by.
var workloads = map[string]kube.Path{}

func init() {
	for _, w := range []struct {
		names []string
		group string
	}{
		{[]string{"deployments", "deployment", "deploy"}, "apps"},
		{[]string{"statefulsets", "statefulset", "sts"}, "apps"},
		{[]string{"daemonsets", "daemonset", "ds"}, "apps"},
		{[]string{"replicasets", "replicaset", "rs"}, "apps"},
		{[]string{"jobs", "job"}, "batch"},
	} {
		for _, name := range w.names {
			workloads[name] = kube.Path{Group: w.group, Resource: w.names[0]}
			workloads[name+"."+w.group] = workloads[name]
		}
	}
}

// workload finds the pod of a workload that is most likely meant.
func (c *Cluster) workload(ctx context.Context, t *meant, p kube.Path, base string) error {
	p.Namespace, p.Name = t.sel.Namespace, base
	if base == "" {
		return api.Errorf(api.CodeBadRequest, "the target is empty: %s/ wants a name", p.Resource)
	}
	t.workload = t.name
	selector, err := c.selector(ctx, p)
	if apierrors.IsNotFound(err) {
		return api.Errorf(api.CodeNotFound, "there is no %s in namespace %s", t.workload, t.sel.Namespace)
	} else if err != nil {
		return err
	}
	labels, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return fmt.Errorf("selector of %s: %w", t.workload, err)
	}
	var pods corev1.PodList
	if err := c.kube.List(ctx, kube.Path{Namespace: t.sel.Namespace, Resource: "pods"}, kube.Select{Labels: labels.String()}, &pods); err != nil {
		return err
	}
	if len(pods.Items) == 0 {
		t.labels = selector
		return nil
	}
	pod := worst(pods.Items)
	if len(pods.Items) > 1 {
		c.warn(fmt.Sprintf("%s has %d pods: this is pod/%s", t.workload, len(pods.Items), pod.Name))
	}
	t.pod, t.name = pod, "pod/"+pod.Name
	t.dflt = c.containerOf(pod, t.sel)
	return nil
}

func (c *Cluster) selector(ctx context.Context, p kube.Path) (*metav1.LabelSelector, error) {
	switch p.Resource {
	case "deployments":
		var d appsv1.Deployment
		err := c.kube.Get(ctx, p, &d)
		return d.Spec.Selector, err
	case "statefulsets":
		var s appsv1.StatefulSet
		err := c.kube.Get(ctx, p, &s)
		return s.Spec.Selector, err
	case "daemonsets":
		var d appsv1.DaemonSet
		err := c.kube.Get(ctx, p, &d)
		return d.Spec.Selector, err
	case "replicasets":
		var r appsv1.ReplicaSet
		err := c.kube.Get(ctx, p, &r)
		return r.Spec.Selector, err
	}
	var j batchv1.Job
	err := c.kube.Get(ctx, p, &j)
	return j.Spec.Selector, err
}

// worst returns the pod that people look at: the one that failed last, else the newest.
func worst(pods []corev1.Pod) *corev1.Pod {
	newest := slices.MaxFunc(pods, func(a, b corev1.Pod) int {
		if x, y := failedAt(&a), failedAt(&b); !x.Equal(&y) {
			return x.Compare(y.Time)
		}
		if n := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); n != 0 {
			return n
		}
		return strings.Compare(a.Name, b.Name)
	})
	return &newest
}

// failedAt returns when a container of the pod last failed; zero if none did.
func failedAt(p *corev1.Pod) metav1.Time {
	var last metav1.Time
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for i := range list {
			for _, t := range []*corev1.ContainerStateTerminated{list[i].State.Terminated, list[i].LastTerminationState.Terminated} {
				if t != nil && (t.ExitCode != 0 || t.Signal != 0) && t.FinishedAt.After(last.Time) {
					last = t.FinishedAt
				}
			}
		}
	}
	return last
}

// newestOf returns the newest recording of a workload whose pods are gone.
func (c *Cluster) newestOf(recs []api.Recording, t meant) (api.Recording, *api.Error) {
	labels, err := metav1.LabelSelectorAsSelector(t.labels)
	if err != nil {
		return api.Recording{}, api.Errorf(api.CodeBadRequest, "selector of %s: %v", t.workload, err)
	}
	filter := target.Filter{Namespace: t.sel.Namespace, Container: t.sel.Container, Labels: labels.String()}
	fit, bad := filter.Select(recs)
	if bad != nil {
		return api.Recording{}, bad
	}
	if len(fit) == 0 {
		return api.Recording{}, api.Errorf(api.CodeNotFound, "%s has no pods, and there is no recording of one that it had", t.workload)
	}
	newest := slices.MaxFunc(fit, func(a, b api.Recording) int { return a.Started.Compare(b.Started) })
	if newest.Pod == nil {
		return newest, nil
	}
	c.warn(fmt.Sprintf("%s has no pods: this is pod/%s, which is gone", t.workload, newest.Pod.Name))
	t.sel.WholeName = true
	return target.Resolve(recs, "pod/"+newest.Pod.Name, t.sel)
}
