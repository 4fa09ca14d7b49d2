package kubernetes

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// InstallationConfig configures an [Installation]. Namespace and Pod are needed.
type InstallationConfig struct {
	// Kubeconfig is as in [Config].
	Kubeconfig string

	// Namespace and Pod name the pod that this process runs in.
	Namespace, Pod string

	// Log gets a line when it is not known whether the installation was removed.
	// Default: slog's.
	Log *slog.Logger
}

// Installation knows whether the DaemonSet whose pod this is was deleted. It has to know
// for certain: a pod also ends in a rollout, or because somebody deleted it by force.
//
// The API server is asked when the process is to end. Often it does not answer then:
// helm uninstall and kubectl delete take away the ServiceAccount at the same moment. So
// that is watched from the beginning. It never changes, and a watch of it costs nothing.
//
// It takes the rights to get pods and daemonsets, and to list and watch serviceaccounts.
type Installation struct {
	cfg  InstallationConfig
	core rest.Interface
	meta metadata.Interface

	mu      sync.Mutex
	set     string // the DaemonSet; empty: not known
	uid     types.UID
	account string

	accountGone atomic.Bool
}

// NewInstallation returns one that knows nothing before Run.
func NewInstallation(cfg InstallationConfig) (*Installation, error) {
	if cfg.Namespace == "" || cfg.Pod == "" {
		return nil, errors.New("the pod's name or namespace is empty")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	_, core, meta, err := clients(cfg.Kubeconfig, "")
	if err != nil {
		return nil, err
	}
	return &Installation{cfg: cfg, core: core, meta: meta}, nil
}

// Run finds out what the pod belongs to, and watches the ServiceAccount until the context
// ends.
func (in *Installation) Run(ctx context.Context) {
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		err := in.find(ctx)
		if err == nil {
			break
		}
		in.cfg.Log.Debug("find the DaemonSet of this pod", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
	if in.account == "" {
		return
	}
	accounts := in.meta.Resource(corev1.SchemeGroupVersion.WithResource("serviceaccounts")).Namespace(in.cfg.Namespace)
	only := func(o metav1.ListOptions) metav1.ListOptions {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", in.account).String()
		return o
	}
	informer := cache.NewSharedIndexInformerWithOptions(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return accounts.List(ctx, only(o))
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return accounts.Watch(ctx, only(o))
		},
	}, &metav1.PartialObjectMetadata{}, cache.SharedIndexInformerOptions{ObjectDescription: "serviceaccount"})
	err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		in.cfg.Log.Debug("watch the ServiceAccount of this pod", "error", err)
	})
	_, add := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { in.accountGone.Store(false) },
		DeleteFunc: func(any) { in.accountGone.Store(true) },
	})
	if err := errors.Join(err, add); err != nil { // refused only by an informer that runs
		in.cfg.Log.Error("watch the ServiceAccount of this pod", "error", err)
		return
	}
	informer.RunWithContext(ctx)
}

// find learns from the pod which DaemonSet and ServiceAccount it has. A pod without a
// DaemonSet is no error.
func (in *Installation) find(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var pod corev1.Pod
	if err := in.core.Get().Namespace(in.cfg.Namespace).Resource("pods").Name(in.cfg.Pod).Do(ctx).Into(&pod); err != nil {
		return err
	}
	owner := metav1.GetControllerOf(&pod)
	if owner == nil || owner.Kind != "DaemonSet" {
		in.cfg.Log.Warn("this pod is not one of a DaemonSet's: what is pinned stays when it ends", "pod", in.cfg.Namespace+"/"+in.cfg.Pod)
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.set, in.uid, in.account = owner.Name, owner.UID, pod.Spec.ServiceAccountName
	return nil
}

// askTime is how long Removed waits for certainty.
const askTime = 4 * time.Second

var daemonSets = schema.GroupVersionResource{Group: appsv1.GroupName, Version: "v1", Resource: "daemonsets"}

// Removed reports whether the DaemonSet was deleted. It returns false if that is not
// certain. It is called when the process is to end, while Run still runs.
func (in *Installation) Removed(ctx context.Context) bool {
	in.mu.Lock()
	set, uid := in.set, in.uid
	in.mu.Unlock()
	if set == "" {
		return in.unknown(errors.New("the API server did not tell which DaemonSet this pod has"))
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	for {
		ds, err := in.meta.Resource(daemonSets).Namespace(in.cfg.Namespace).Get(ctx, set, metav1.GetOptions{})
		switch {
		case err == nil && ds.UID == uid && ds.DeletionTimestamp == nil:
			return false
		case err == nil, apierrors.IsNotFound(err):
			return true
		case in.accountGone.Load():
			return true
		}
		// The news of the ServiceAccount may be on its way.
		select {
		case <-ctx.Done():
			return in.accountGone.Load() || in.unknown(err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (in *Installation) unknown(err error) bool {
	in.cfg.Log.Warn("it is not known whether recorderd is being uninstalled: what is pinned stays, and goes on recording", "error", err)
	return false
}
