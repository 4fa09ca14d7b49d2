// Package install puts recorderd into a cluster, waits until every node records, and
// takes it out again.
package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/recorderd/recorderd/deploy"
	"github.com/recorderd/recorderd/internal/kube"
)

// name is that of the daemon set and of its container.
const name = "recorderd"

// Installer installs into one cluster.
type Installer struct {
	Kube      *kube.Client
	Namespace string
	Say       func(format string, args ...any) // progress, for people
}

// requestTimeout is for one request to the API server.
const requestTimeout = 20 * time.Second

// Apply makes the cluster's objects what the manifests say.
func (in *Installer) Apply(ctx context.Context, v deploy.Values) error {
	objects, err := deploy.Objects(v)
	if err != nil {
		return err
	}
	for _, o := range objects {
		p, err := pathOf(o)
		if err != nil {
			return err
		}
		if o.Kind == "Namespace" {
			if err := in.ending(ctx, p, true); err != nil {
				return err
			}
			if theirs, err := in.foreign(ctx, p); err != nil {
				return err
			} else if theirs {
				continue
			}
		}
		if err := in.request(ctx, func(ctx context.Context) error {
			_, err := in.Kube.Apply(ctx, p, deploy.Manager, o.JSON)
			return err
		}); err != nil {
			return fmt.Errorf("apply %s %s: %w", strings.ToLower(o.Kind), o.Metadata.Name, err)
		}
	}
	return nil
}

// ending waits until a namespace that is being deleted has gone. If it is only to wait
// for one that is, it does not wait for one that is not.
func (in *Installer) ending(ctx context.Context, p kube.Path, only bool) error {
	for said := false; ; {
		var ns corev1.Namespace
		err := in.request(ctx, func(ctx context.Context) error { return in.Kube.Get(ctx, p, &ns) })
		var forbidden *kube.ForbiddenError
		switch {
		case apierrors.IsNotFound(err), errors.As(err, &forbidden):
			return nil
		case err != nil:
			return err
		case only && ns.DeletionTimestamp == nil:
			return nil
		case !said:
			in.Say("waiting for namespace %s to end", p.Name)
			said = true
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return fmt.Errorf("namespace %s has not ended: %w", p.Name, err)
		}
	}
}

// foreign reports whether a namespace is there that we have not made. It is left as it
// is: its labels are others' business.
func (in *Installer) foreign(ctx context.Context, p kube.Path) (bool, error) {
	var ns corev1.Namespace
	err := in.request(ctx, func(ctx context.Context) error { return in.Kube.Get(ctx, p, &ns) })
	var forbidden *kube.ForbiddenError
	switch {
	case apierrors.IsNotFound(err), errors.As(err, &forbidden):
		return false, nil // if it may not be seen, applying it says what is missing
	case err != nil:
		return false, err
	case ns.Labels[managedBy] == deploy.Manager:
		return false, nil
	}
	const enforce = "pod-security.kubernetes.io/enforce"
	if ns.Labels[enforce] != "privileged" {
		in.Say("namespace %s was there before and stays as it is: if no pods appear, kubectl label namespace %s %s=privileged", p.Name, p.Name, enforce)
	}
	return true, nil
}

const managedBy = "app.kubernetes.io/managed-by"

func (in *Installer) request(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, fmt.Errorf("no answer for %s", requestTimeout))
	defer cancel()
	return do(ctx)
}

// kinds are those of the manifests.
var kinds = map[string]kube.Path{
	"Namespace":          {Resource: "namespaces"},
	"ServiceAccount":     {Resource: "serviceaccounts"},
	"ClusterRole":        {Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
	"ClusterRoleBinding": {Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings"},
	"Role":               {Group: "rbac.authorization.k8s.io", Resource: "roles"},
	"DaemonSet":          {Group: "apps", Resource: "daemonsets"},
}

func pathOf(o deploy.Object) (kube.Path, error) {
	p, ok := kinds[o.Kind]
	if !ok {
		return p, fmt.Errorf("%s is a kind that cannot be installed", o.Kind)
	}
	p.Namespace, p.Name = o.Metadata.Namespace, o.Metadata.Name
	return p, nil
}

func (in *Installer) daemonSet(ctx context.Context, name string) (*appsv1.DaemonSet, error) {
	var ds appsv1.DaemonSet
	err := in.request(ctx, func(ctx context.Context) error {
		return in.Kube.Get(ctx, kube.Path{Group: "apps", Resource: "daemonsets", Namespace: in.Namespace, Name: name}, &ds)
	})
	return &ds, err
}

func (in *Installer) pods(ctx context.Context, labels string) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := in.request(ctx, func(ctx context.Context) error {
		return in.Kube.List(ctx, kube.Path{Resource: "pods", Namespace: in.Namespace}, kube.Select{Labels: labels}, &pods)
	})
	return pods.Items, err
}

// Remove takes away what Apply has made, and the programs and rings that are pinned on
// the nodes: these are what goes on recording when the daemon has gone. It first ends
// the daemons, then runs "recorderd uninstall" once on every node where they may have
// been, also where they never came up.
func (in *Installer) Remove(ctx context.Context, v deploy.Values) error {
	objects, err := deploy.Objects(v)
	if err != nil {
		return err
	}
	ds, err := in.daemonSet(ctx, name)
	switch {
	case apierrors.IsNotFound(err):
		// An earlier undeploy may have come this far.
		if _, err := in.daemonSet(ctx, cleaner); apierrors.IsNotFound(err) {
			in.Say("there is no daemon set %s in namespace %s: nothing is pinned by it any more, as far as can be told", name, in.Namespace)
			return in.delete(ctx, objects)
		} else if err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if err := in.applyCleaner(ctx, ds, true); err != nil { // refused before anything has ended
			return err
		}
		if err := in.end(ctx, objects); err != nil {
			return err
		}
		if err := in.applyCleaner(ctx, ds, false); err != nil {
			return err
		}
	}
	in.Say("taking the programs and rings off the nodes")
	if err := in.Wait(ctx, cleaner, "cleaned"); err != nil {
		return fmt.Errorf("%w; what is pinned there goes with recorderd uninstall on the node, or when it restarts. recorderctl undeploy can be run again", err)
	}
	if _, err := in.deletePath(ctx, kube.Path{Group: "apps", Resource: "daemonsets", Namespace: in.Namespace, Name: cleaner}); err != nil {
		return err
	}
	if err := in.gone(ctx, cleaner); err != nil {
		return err
	}
	return in.delete(ctx, objects)
}

// cleaner is the daemon set that takes away what is pinned.
const cleaner = "recorderd-uninstall"

const nameLabel = "app.kubernetes.io/name"

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
	i := indexOf(pod.Spec.Containers)
	if i < 0 {
		return fmt.Errorf("daemon set %s/%s has no container %s: it was not made by recorderctl", in.Namespace, ds.Name, name)
	}
	main := &pod.Spec.Containers[i]
	main.StartupProbe, main.ReadinessProbe, main.LivenessProbe = nil, nil, nil
	main.Command, main.Args = nil, []string{"uninstall", "--wait"}
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

// end deletes the daemon set, and waits until no daemon runs.
func (in *Installer) end(ctx context.Context, objects []deploy.Object) error {
	for _, o := range objects {
		if o.Kind != "DaemonSet" {
			continue
		}
		p, err := pathOf(o)
		if err != nil {
			return err
		}
		if _, err := in.deletePath(ctx, p); err != nil {
			return err
		}
	}
	in.Say("waiting for the daemons to end")
	return in.gone(ctx, name)
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

// pause waits, or returns why there is no more time.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
