// Package kubernetes knows the pods of a node from the API server: what they and
// their containers are called, to which workload they belong, how often each was
// restarted and, by the kubelet's word, how it ended. It tells users about
// recordings by events on their pods.
//
// It takes the rights to get, list and watch pods and namespaces, and to create
// events (events.k8s.io). An API server that is away costs names, for as long as
// it is away, and nothing else: everything here waits and tries again.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// ErrNoConfig is returned by [New] when nothing says where the API server is.
var ErrNoConfig = errors.New("no kubeconfig is given, and this is no pod with a service account")

// Config configures a [Source]. Node is needed.
type Config struct {
	// Kubeconfig is the file that says where the API server is and who this is.
	// Default: the service account of the pod that this process runs in.
	Kubeconfig string

	// Node is the name of the node whose pods are read.
	Node string

	// Agent is how this program calls itself. Default: "recorderd".
	Agent string

	// Keep is for how long a pod is remembered that the API server has no more.
	// Default: 24 h.
	Keep time.Duration

	// KeepMax bounds how many of those are remembered; the first to go are the
	// first to be forgotten. Default: 1024.
	KeepMax int

	// Changed is called whenever something was learnt. It must not block.
	Changed func()

	// Log gets a line when the API server is reached or lost. Default: slog's.
	Log *slog.Logger
}

// Source knows the pods of a node. Its methods may be called by several
// goroutines.
type Source struct {
	cfg    Config
	server string
	core   rest.Interface
	meta   metadata.Interface
	events *Events
	synced atomic.Int32 // informers that have a whole list
	gen    atomic.Uint64

	mu          sync.RWMutex
	byUID       map[string]*pod
	byStatic    map[string]*pod // by the uid in the cgroups of static pods
	byContainer map[string]*pod // by the ids of their instances
	spaces      map[string]map[string]string
	gone        int // pods that the API server has no more
	links       map[string]*link
}

// link is how one kind of question to the API server is doing.
type link struct {
	err    error
	asked  bool
	logged bool // that it fails
}

// What is asked for.
const (
	askPods       = "pods"
	askNamespaces = "namespaces"
)

// Status says how a source is doing.
type Status struct {
	// Server is the API server's URL.
	Server string

	// Connected tells whether the pods are known, and were the last time that
	// the API server was asked.
	Connected bool

	// Pods and Containers are how many of the node's are known, without those
	// that are gone.
	Pods, Containers int

	// LastError says what does not work at present, "" if all does.
	LastError string

	// Events says what became of the events.
	Events EventCounts
}

// InPod reports whether this process has a pod's service account, so that New
// needs no kubeconfig.
func InPod() bool {
	_, err := rest.InClusterConfig()
	return err == nil
}

// New returns a source that knows nothing yet, and asks nothing until Run. It
// fails only over its configuration: with ErrNoConfig if there is none.
func New(cfg Config) (*Source, error) {
	if cfg.Node == "" {
		return nil, errors.New("the node's name is empty")
	}
	if cfg.Agent == "" {
		cfg.Agent = "recorderd"
	}
	if cfg.Keep <= 0 {
		cfg.Keep = 24 * time.Hour
	}
	if cfg.KeepMax <= 0 {
		cfg.KeepMax = 1024
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	rc, core, meta, err := clients(cfg.Kubeconfig, cfg.Agent)
	if err != nil {
		return nil, err
	}
	events, err := newEvents(rc, cfg.Node, cfg.Agent, cfg.Log)
	if err != nil {
		return nil, err
	}
	return &Source{
		cfg: cfg, server: rc.Host, core: core, meta: meta, events: events,
		byUID: map[string]*pod{}, byStatic: map[string]*pod{}, byContainer: map[string]*pod{},
		spaces: map[string]map[string]string{}, links: map[string]*link{askPods: {}, askNamespaces: {}},
	}, nil
}

func restConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		rc, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) || errors.Is(err, os.ErrNotExist) {
			return nil, ErrNoConfig
		}
		if err != nil {
			return nil, fmt.Errorf("read the pod's service account: %w", err)
		}
		return rc, nil
	}
	rc, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	return rc, nil
}

// Run keeps up with the API server, and hands events to it, until the context ends.
func (s *Source) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.events.run(ctx) })
	wg.Go(func() { s.inform(ctx, askPods, s.pods(), &corev1.Pod{}, trim, s.podHandler()) })
	wg.Go(func() {
		s.inform(ctx, askNamespaces, s.namespaces(), &metav1.PartialObjectMetadata{}, trimNamespace, s.namespaceHandler())
	})
}

// inform keeps a list of objects current, and hands changes on.
func (s *Source) inform(ctx context.Context, what string, lw *cache.ListWatch, example runtime.Object, trim cache.TransformFunc, handler cache.ResourceEventHandler) {
	informer := cache.NewSharedIndexInformerWithOptions(s.observed(what, lw), example, cache.SharedIndexInformerOptions{ObjectDescription: what})
	// Each of these only refuses an informer that runs already.
	err := errors.Join(
		informer.SetTransform(trim),
		informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
			if ctx.Err() == nil {
				s.asked(what, err)
			}
		}),
	)
	reg, add := informer.AddEventHandler(handler)
	if err := errors.Join(err, add); err != nil {
		s.asked(what, err)
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), reg.HasSynced) {
			s.synced.Add(1)
			s.changed()
		}
	})
	informer.RunWithContext(ctx)
}

// pods are those of the node.
func (s *Source) pods() *cache.ListWatch {
	return cache.NewListWatchFromClient(s.core, "pods", metav1.NamespaceAll, fields.OneTermEqualSelector("spec.nodeName", s.cfg.Node))
}

// namespaces are read without what is in them but their metadata.
func (s *Source) namespaces() *cache.ListWatch {
	all := s.meta.Resource(corev1.SchemeGroupVersion.WithResource("namespaces"))
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return all.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return all.Watch(ctx, o)
		},
	}
}

// observed notes for each question whether it was answered.
func (s *Source) observed(what string, lw *cache.ListWatch) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := lw.ListWithContext(ctx, o)
			if ctx.Err() == nil {
				s.asked(what, err)
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			w, err := lw.WatchWithContext(ctx, o)
			if ctx.Err() == nil {
				s.asked(what, err)
			}
			return w, err
		},
	}
}

// asked notes how a question went. That it fails is logged once, until it works.
func (s *Source) asked(what string, err error) {
	s.mu.Lock()
	l := s.links[what]
	news := !l.asked || (err != nil) != l.logged
	l.err, l.asked, l.logged = err, true, err != nil
	s.mu.Unlock()
	switch {
	case !news:
	case err != nil:
		s.cfg.Log.Warn("Kubernetes does not tell of its "+what, "server", s.server, "error", err)
	default:
		s.cfg.Log.Info("Kubernetes tells of its "+what, "server", s.server, "node", s.cfg.Node)
	}
}

func (s *Source) podHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { s.put(obj) },
		UpdateFunc: func(_, obj any) { s.put(obj) },
		DeleteFunc: func(obj any) { s.remove(obj) },
	}
}

func (s *Source) namespaceHandler() cache.ResourceEventHandler {
	put := func(obj any) {
		if ns, ok := obj.(*metav1.PartialObjectMetadata); ok {
			s.mu.Lock()
			old := s.spaces[ns.Name]
			if len(ns.Annotations) == 0 {
				delete(s.spaces, ns.Name)
			} else {
				s.spaces[ns.Name] = ns.Annotations
			}
			s.mu.Unlock()
			if !maps.Equal(old, ns.Annotations) {
				s.changed()
			}
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    put,
		UpdateFunc: func(_, obj any) { put(obj) },
		DeleteFunc: func(obj any) {
			if ns, ok := last(obj).(*metav1.PartialObjectMetadata); ok {
				s.mu.Lock()
				delete(s.spaces, ns.Name)
				s.mu.Unlock()
				s.changed()
			}
		},
	}
}

func trimNamespace(obj any) (any, error) {
	ns, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return obj, nil
	}
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: ns.Name, UID: ns.UID, ResourceVersion: ns.ResourceVersion, Annotations: ours(ns.Annotations),
	}}, nil
}

// last is the object that a deletion is about, if it is known.
func last(obj any) any {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		return unknown.Obj
	}
	return obj
}

func (s *Source) changed() {
	s.gen.Add(1)
	s.cfg.Changed()
}

// put takes in a pod as it is now.
func (s *Source) put(obj any) {
	p, ok := obj.(*corev1.Pod)
	if !ok || p.UID == "" {
		return
	}
	n := newPod(p)
	now := time.Now()
	s.mu.Lock()
	s.putLocked(n, now)
	s.pruneLocked(now)
	s.mu.Unlock()
	s.changed()
}

func (s *Source) putLocked(n *pod, now time.Time) {
	old := s.byUID[n.info.UID]
	n.see(old, now)
	if old != nil {
		n.inherit(old)
		s.dropLocked(old)
	}
	s.byUID[n.info.UID] = n
	// Anybody may write that annotation: a pod that is there for itself comes first,
	// and so does one that was there before.
	if was := s.byStatic[n.static]; n.static != "" && (was == nil || !was.info.Deleted.IsZero()) {
		s.byStatic[n.static] = n
	}
	for _, in := range n.instances {
		s.byContainer[in.id] = n
	}
	if !n.info.Deleted.IsZero() {
		s.gone++
	}
}

func (s *Source) dropLocked(p *pod) {
	delete(s.byUID, p.info.UID)
	if s.byStatic[p.static] == p {
		delete(s.byStatic, p.static)
	}
	for _, in := range p.instances {
		if s.byContainer[in.id] == p {
			delete(s.byContainer, in.id)
		}
	}
	if !p.info.Deleted.IsZero() {
		s.gone--
	}
}

// remove notes that a pod is gone. It is remembered with the last that was known.
func (s *Source) remove(obj any) {
	p, ok := last(obj).(*corev1.Pod)
	if !ok {
		return
	}
	now := time.Now()
	s.mu.Lock()
	n := newPod(p)
	n.info.Deleted = now
	s.putLocked(n, now)
	s.pruneLocked(now)
	s.mu.Unlock()
	s.changed()
}

// pruneLocked forgets pods that are gone for too long, or are too many.
func (s *Source) pruneLocked(now time.Time) {
	if s.gone == 0 {
		return
	}
	gone := make([]*pod, 0, s.gone)
	for _, p := range s.byUID {
		if !p.info.Deleted.IsZero() {
			gone = append(gone, p)
		}
	}
	slices.SortFunc(gone, func(a, b *pod) int { return a.info.Deleted.Compare(b.info.Deleted) })
	for i, p := range gone {
		if len(gone)-i <= s.cfg.KeepMax && now.Sub(p.info.Deleted) < s.cfg.Keep {
			break
		}
		s.dropLocked(p)
	}
}

// Generation grows with everything that is learnt: as long as it stays the same,
// so do the answers.
func (s *Source) Generation() uint64 { return s.gen.Load() }

// Lookup returns what is known of the container with this id of its runtime's.
func (s *Source) Lookup(id string) (Info, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.byContainer[id]
	if p == nil {
		return Info{}, false
	}
	for _, in := range p.instances {
		if in.id == id {
			return s.withSpace(p.about(in.name, in)), true
		}
	}
	return Info{}, false
}

// ByPod returns what is known of a pod and of its container of this name, which
// may be "". uid is the one in the cgroup's path or the API server's.
//
// It is for containers that no status of the pod has named: those that have only
// just begun, or that came and went between two of them.
func (s *Source) ByPod(uid, name string) (Info, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.byUID[uid]
	if p == nil {
		p = s.byStatic[uid]
	}
	if p == nil {
		return Info{}, false
	}
	return s.withSpace(p.about(name, nil)), true
}

// withSpace adds what the namespace says. s.mu is held.
func (s *Source) withSpace(info Info) Info {
	info.NamespaceAnnotations = s.spaces[info.Namespace]
	return info
}

// Synced reports whether all pods of the node, and all namespaces, were read once.
func (s *Source) Synced() bool { return s.synced.Load() == int32(len(s.links)) }

// Events returns what tells users about recordings.
func (s *Source) Events() *Events { return s.events }

// Status returns how the source is doing.
func (s *Source) Status() Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := Status{Server: s.server, Events: s.events.Counts()}
	for _, p := range s.byUID {
		if p.info.Deleted.IsZero() {
			st.Pods++
			st.Containers += len(p.containers)
		}
	}
	pods := s.links[askPods]
	st.Connected = pods.asked && pods.err == nil
	for _, what := range []string{askPods, askNamespaces} {
		if err := s.links[what].err; err != nil {
			st.LastError = fmt.Sprintf("read %s: %v", what, err)
			break
		}
	}
	if st.LastError == "" && st.Events.LastError != "" {
		st.LastError = "create events: " + st.Events.LastError
	}
	return st
}
