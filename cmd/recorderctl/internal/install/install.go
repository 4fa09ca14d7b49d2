// Package install puts recorderd into a cluster, waits until every node records, and
// takes it out again.
package install

import (
	"context"
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
	if err := in.owned(ctx); err != nil {
		return err
	}
	for _, o := range objects {
		p, err := pathOf(o)
		if err != nil {
			return err
		}
		if err := in.applyOne(ctx, o, p); err != nil {
			return err
		}
	}
	return nil
}

// applyOne applies an object, but for a namespace that others have made.
func (in *Installer) applyOne(ctx context.Context, o deploy.Object, p kube.Path) error {
	if o.Kind == "Namespace" {
		if err := in.ending(ctx, p, true); err != nil {
			return err
		}
		if theirs, err := in.foreign(ctx, p); err != nil || theirs {
			return err
		}
	}
	if err := in.request(ctx, func(ctx context.Context) error {
		_, err := in.Kube.Apply(ctx, p, deploy.Manager, o.JSON)
		return err
	}); err != nil {
		return fmt.Errorf("apply %s %s: %w", strings.ToLower(o.Kind), o.Metadata.Name, err)
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

// owned is an error if somebody else has installed the daemon set: changing it behind
// their back would make two of it.
func (in *Installer) owned(ctx context.Context) error {
	ds, err := in.daemonSet(ctx, name)
	var forbidden *kube.ForbiddenError
	switch {
	case apierrors.IsNotFound(err), errors.As(err, &forbidden):
		return nil // if it may not be seen, applying it says what is missing
	case err != nil:
		return err
	}
	if release := helmRelease(ds); release != "" {
		return fmt.Errorf("daemon set %s in namespace %s is of the Helm release %s: change it with helm upgrade, or run helm uninstall -n %s %s first", name, in.Namespace, release, in.Namespace, release)
	}
	if by := ds.Labels[managedBy]; by != "" && by != deploy.Manager {
		return fmt.Errorf("daemon set %s in namespace %s was installed with %s: change it with that, or take it away with that first", name, in.Namespace, by)
	}
	return nil
}

// helmRelease returns the Helm release that an object is of; empty: of none.
func helmRelease(ds *appsv1.DaemonSet) string {
	return ds.Annotations["meta.helm.sh/release-name"]
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
