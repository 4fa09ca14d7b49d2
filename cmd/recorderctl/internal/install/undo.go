package install

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"

	"github.com/recorderd/recorderd/deploy"
	"github.com/recorderd/recorderd/internal/kube"
)

// Override is what Remove takes in place of what the daemon set says. What is empty, and
// what is needed where there is no daemon set, is the manifests'.
type Override struct {
	Image         bool
	PullPolicy    bool
	NodeSelector  bool
	PriorityClass bool
}

// Remove takes away what Apply has made, and the programs and rings that are pinned on
// the nodes: these are what goes on recording when the daemon has gone. It cleans the
// nodes before it deletes anything, so that it can be run again if that fails: the
// daemons end, then "recorderd uninstall" runs once on every node where they may have
// been, also where they never came up.
//
// It does the same where there is no daemon set: what one has left on the nodes is known
// only by looking.
func (in *Installer) Remove(ctx context.Context, v deploy.Values, o Override) error {
	objects, err := deploy.Objects(v)
	if err != nil {
		return err
	}
	manifest, err := manifestOf(objects)
	if err != nil {
		return err
	}
	ds, err := in.daemonSet(ctx, name)
	found := err == nil
	switch {
	case apierrors.IsNotFound(err):
		in.Say("there is no daemon set %s in namespace %s: looking at what one has left on the nodes", name, in.Namespace)
		ds = manifest
		// Others than the installation's may have the ServiceAccount and its rights now.
		ds.Spec.Template.Spec.ServiceAccountName = ""
		if err := in.applyNamespace(ctx, objects); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		override(&ds.Spec.Template.Spec, &manifest.Spec.Template.Spec, o)
	}
	if err := in.applyCleaner(ctx, ds, true); err != nil { // refused before anything has ended
		return err
	}
	if found {
		if err := in.park(ctx, ds); err != nil {
			return err
		}
		in.Say("waiting for the daemons to end")
		if err := in.gone(ctx, name); err != nil {
			return err
		}
	}
	if err := in.applyCleaner(ctx, ds, false); err != nil {
		return err
	}
	in.Say("taking the programs and rings off the nodes")
	if err := in.cleaned(ctx); err != nil {
		return err
	}
	if _, err := in.deletePath(ctx, kube.Path{Group: "apps", Resource: "daemonsets", Namespace: in.Namespace, Name: cleaner}); err != nil {
		return err
	}
	if err := in.gone(ctx, cleaner); err != nil {
		return err
	}
	if err := in.delete(ctx, objects); err != nil {
		return err
	}
	if release := helmRelease(ds); found && release != "" {
		in.Say("Helm still lists its release %s: helm uninstall -n %s %s makes it forget it", release, in.Namespace, release)
	}
	return nil
}

// manifestOf returns the daemon set of the manifests.
func manifestOf(objects []deploy.Object) (*appsv1.DaemonSet, error) {
	for _, o := range objects {
		if o.Kind == "DaemonSet" {
			var ds appsv1.DaemonSet
			err := yaml.UnmarshalStrict(o.YAML, &ds)
			return &ds, err
		}
	}
	return nil, errors.New("there is no daemon set among the manifests")
}

// override puts what was asked for into a pod.
func override(pod, manifest *corev1.PodSpec, o Override) {
	i := indexOf(pod.Containers)
	if i < 0 {
		return // applyCleaner says it
	}
	if o.Image {
		pod.Containers[i].Image = manifest.Containers[0].Image
	}
	if o.PullPolicy {
		pod.Containers[i].ImagePullPolicy = manifest.Containers[0].ImagePullPolicy
	}
	if o.NodeSelector {
		pod.NodeSelector = manifest.NodeSelector
	}
	if o.PriorityClass {
		pod.PriorityClassName, pod.Priority, pod.PreemptionPolicy = manifest.PriorityClassName, nil, nil
	}
}

// applyNamespace makes the namespace if it is not there: the cleaner's pods need one.
func (in *Installer) applyNamespace(ctx context.Context, objects []deploy.Object) error {
	for _, o := range objects {
		if o.Kind != "Namespace" {
			continue
		}
		p, err := pathOf(o)
		if err != nil {
			return err
		}
		return in.applyOne(ctx, o, p)
	}
	return nil
}

// parked is a label that no node has. A daemon set that wants it has no pods, and is
// there as long as the nodes are not clean.
const parked = "recorderd.github.io/undeploy"

// park ends the daemons, and leaves their daemon set.
func (in *Installer) park(ctx context.Context, ds *appsv1.DaemonSet) error {
	selector := maps.Clone(ds.Spec.Template.Spec.NodeSelector)
	if selector == nil {
		selector = map[string]string{}
	}
	selector[parked] = "true"
	type object map[string]any
	body, err := json.Marshal(object{
		"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": object{"name": ds.Name, "namespace": in.Namespace},
		"spec": object{"template": object{"spec": object{"nodeSelector": selector}}},
	})
	if err != nil {
		return err
	}
	p := kube.Path{Group: "apps", Resource: "daemonsets", Namespace: in.Namespace, Name: ds.Name}
	return in.request(ctx, func(ctx context.Context) error {
		_, err := in.Kube.Apply(ctx, p, deploy.Manager+"-undeploy", body)
		return err
	})
}

// cleaner is the daemon set that takes away what is pinned.
const cleaner = "recorderd-uninstall"

const nameLabel = "app.kubernetes.io/name"

// reportTo is where recorderd uninstall writes what it has found.
const reportTo = "RECORDERD_REPORT"

// applyCleaner makes the cleaner out of the daemon set that is installed: the same
// image, on the same nodes, with the same rights. dry only asks whether it can be made.
func (in *Installer) applyCleaner(ctx context.Context, ds *appsv1.DaemonSet, dry bool) error {
	c := ds.DeepCopy()
	c.TypeMeta.APIVersion, c.TypeMeta.Kind = "apps/v1", "DaemonSet"
	c.ObjectMeta.Reset()
	c.Name, c.Namespace = cleaner, in.Namespace
	c.Labels = map[string]string{nameLabel: cleaner, managedBy: deploy.Manager}
	c.Spec.Selector.MatchLabels = map[string]string{nameLabel: cleaner}
	pod := &c.Spec.Template
	pod.ObjectMeta.Reset()
	pod.Labels = c.Spec.Selector.MatchLabels
	delete(pod.Spec.NodeSelector, parked)
	i := indexOf(pod.Spec.Containers)
	if i < 0 {
		return fmt.Errorf("daemon set %s/%s has no container %s: it was not made by recorderctl", in.Namespace, ds.Name, name)
	}
	no := false
	pod.Spec.AutomountServiceAccountToken = &no
	main := &pod.Spec.Containers[i]
	main.StartupProbe, main.ReadinessProbe, main.LivenessProbe = nil, nil, nil
	main.Command, main.Args = nil, []string{"uninstall", "--wait"}
	main.Env = append(main.Env, corev1.EnvVar{Name: reportTo, Value: cmp.Or(main.TerminationMessagePath, corev1.TerminationMessagePathDefault)})
	// It needs the pins alone: another directory may not be there, or not be to be mounted.
	notBPF := func(m corev1.VolumeMount) bool { return m.Name != "bpf" }
	main.VolumeMounts = slices.DeleteFunc(main.VolumeMounts, notBPF)
	for i := range main.VolumeMounts {
		main.VolumeMounts[i].MountPropagation = nil
	}
	pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name != "bpf" })
	main.Resources = corev1.ResourceRequirements{} // it must find room wherever the daemon was
	first := main.DeepCopy()
	first.Name, first.Args = "uninstall", []string{"uninstall"}
	pod.Spec.InitContainers, pod.Spec.Containers = []corev1.Container{*first}, []corev1.Container{*main}
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	p := kube.Path{Group: "apps", Resource: "daemonsets", Namespace: in.Namespace, Name: cleaner}
	return in.request(ctx, func(ctx context.Context) error {
		_, err := in.Kube.ApplyDry(ctx, p, deploy.Manager, body, dry)
		return err
	})
}

func indexOf(containers []corev1.Container) int {
	for i := range containers {
		if containers[i].Name == name {
			return i
		}
	}
	return -1
}

// mostReports is how many nodes are told of one by one.
const mostReports = 20

// cleaned waits until the cleaner has been on every node, and says what it has found. A
// node where the daemon of another installation runs is left to that.
func (in *Installer) cleaned(ctx context.Context) error {
	err := in.Wait(ctx, cleaner, "cleaned")
	var nodes *NotReadyError
	switch {
	case errors.As(err, &nodes) && nodes.Others:
		for _, line := range nodes.Nodes {
			in.Say("%s: it is left as it is", line)
		}
	case err != nil:
		return fmt.Errorf("%w; nothing was deleted: recorderctl undeploy can be run again, and recorderctl deploy starts the daemons again", err)
	}
	pods, err := in.pods(ctx, nameLabel+"="+cleaner)
	if err != nil {
		return err
	}
	var lines []string
	for i := range pods {
		for _, cs := range pods[i].Status.InitContainerStatuses {
			if t := cs.State.Terminated; t != nil && t.ExitCode == 0 && t.Message != "" {
				lines = append(lines, fmt.Sprintf("node %s: %s", kube.NodeOf(&pods[i]), strings.TrimSpace(t.Message)))
			}
		}
	}
	if len(lines) <= mostReports {
		for _, line := range lines {
			in.Say("%s", line)
		}
	}
	return nil
}

// gone waits until there are no pods of that name.
func (in *Installer) gone(ctx context.Context, name string) error {
	for {
		pods, err := in.pods(ctx, nameLabel+"="+name)
		if err != nil {
			return err
		}
		if len(pods) == 0 {
			return nil
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			var nodes []string
			for i := range pods {
				nodes = append(nodes, pods[i].Name+" on "+pods[i].Spec.NodeName)
			}
			return fmt.Errorf("pods that have not ended: %s: %w", strings.Join(nodes, ", "), err)
		}
	}
}

// delete removes the objects, the last first.
func (in *Installer) delete(ctx context.Context, objects []deploy.Object) error {
	for i := len(objects) - 1; i >= 0; i-- {
		p, err := pathOf(objects[i])
		if err != nil {
			return err
		}
		if objects[i].Kind == "Namespace" {
			if theirs, err := in.foreign(ctx, p); err != nil {
				return err
			} else if theirs {
				in.Say("namespace %s stays: it was there before", p.Name)
				continue
			}
		}
		if _, err := in.deletePath(ctx, p); err != nil {
			return err
		}
		if objects[i].Kind == "Namespace" {
			if err := in.ending(ctx, p, false); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *Installer) deletePath(ctx context.Context, p kube.Path) (found bool, err error) {
	err = in.request(ctx, func(ctx context.Context) error {
		found, err = in.Kube.Delete(ctx, p)
		return err
	})
	return found, err
}
