// Package cluster talks to the recorderds of a Kubernetes cluster as if they were
// one: it finds the daemon's pod on each node, and which node has the recordings that
// a TARGET means. Connections go through the pods' exec subresource (package podexec).
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/client/podexec"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/internal/kube"
	"github.com/recorderd/recorderd/recorder/replay"
)

// How the daemon is installed (package deploy).
const (
	DefaultNamespace = "recorderd"
	Selector         = "app.kubernetes.io/name=recorderd"
	Container        = "recorderd" // in its pods
	Program          = "/recorderctl"
)

// Options are what New can be told.
type Options struct {
	RecorderNamespace string        // where the daemon's pods are; default DefaultNamespace
	Node              string        // ask this one only
	PerNode           time.Duration // how long a node may take to answer; default 10s
	Version           string        // of the caller, see client.Options
	Warn              func(string)  // gets warnings for people
}

// apiTimeout is for requests to the API server.
const apiTimeout = 20 * time.Second

// atOnce is how many nodes are asked at a time.
const atOnce = 64

// Cluster is all recorderds of a cluster. It is safe for concurrent use.
type Cluster struct {
	opts   Options
	config *kube.Config
	kube   *kube.Client

	mu      sync.Mutex
	clients map[string]*client.Client // by pod
	daemons []daemon                  // once looked up
	said    map[string]bool
}

// New returns a Cluster that connects when it is first used.
func New(config *kube.Config, o Options) (*Cluster, error) {
	k, err := kube.New(config.Rest, config.Where)
	if err != nil {
		return nil, err
	}
	o.RecorderNamespace = cmp.Or(o.RecorderNamespace, DefaultNamespace)
	o.PerNode = cmp.Or(o.PerNode, 10*time.Second)
	return &Cluster{opts: o, config: config, kube: k, clients: map[string]*client.Client{}, said: map[string]bool{}}, nil
}

// Namespace is that of the kubeconfig's context, or of the pod that this runs in.
func (c *Cluster) Namespace() string { return c.config.Namespace }

// Close closes connections that are not in use.
func (c *Cluster) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cl := range c.clients {
		cl.Close()
	}
}

// daemon is the recorderd of a node.
type daemon struct {
	node, pod string
	wrong     string // why it cannot be asked; empty: it can
}

// find looks the daemons up, once.
func (c *Cluster) find(ctx context.Context) ([]daemon, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.daemons != nil {
		return c.daemons, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, apiTimeout, fmt.Errorf("no answer for %s", apiTimeout))
	defer cancel()
	var pods corev1.PodList
	if err := c.kube.List(ctx, kube.Path{Namespace: c.opts.RecorderNamespace, Resource: "pods"}, kube.Select{Labels: Selector}, &pods); err != nil {
		return nil, err
	}
	found := daemons(pods.Items)
	if c.opts.Node != "" {
		found = slices.DeleteFunc(found, func(d daemon) bool { return d.node != c.opts.Node })
		if len(found) == 0 {
			return nil, c.noDaemon(c.opts.Node)
		}
	}
	if len(found) == 0 {
		return nil, &NoDaemonError{fmt.Sprintf("there is no recorderd in namespace %s of %s: --recorder-namespace says where it is, recorderctl deploy installs it",
			c.opts.RecorderNamespace, c.config.Where)}
	}
	c.daemons = found
	return found, nil
}

func (c *Cluster) noDaemon(node string) error {
	return &NoDaemonError{fmt.Sprintf("node %s has no recorderd: no pod with %s in namespace %s runs there", node, Selector, c.opts.RecorderNamespace)}
}

// daemons returns the best pod of each node, by node.
func daemons(pods []corev1.Pod) []daemon {
	best := map[string]*corev1.Pod{}
	rank := func(p *corev1.Pod) int {
		switch {
		case p.DeletionTimestamp != nil:
			return 0
		case p.Status.Phase != corev1.PodRunning:
			return 1
		}
		return 2
	}
	for i := range pods {
		p := &pods[i]
		node := kube.NodeOf(p)
		if node == "" {
			continue // no daemon set's
		}
		if old := best[node]; old == nil || rank(p) > rank(old) ||
			rank(p) == rank(old) && p.CreationTimestamp.After(old.CreationTimestamp.Time) {
			best[node] = p
		}
	}
	var out []daemon
	for node, p := range best {
		out = append(out, daemon{node: node, pod: p.Name, wrong: notRunning(p)})
	}
	slices.SortFunc(out, func(a, b daemon) int { return strings.Compare(a.node, b.node) })
	return out
}

// notRunning says why one cannot exec in the daemon's container, or nothing.
func notRunning(p *corev1.Pod) string {
	if why := kube.NotScheduled(p); why != "" {
		return why
	}
	for _, cs := range p.Status.ContainerStatuses {
		if cs.Name != Container {
			continue
		}
		switch s := cs.State; {
		case s.Running != nil:
			return ""
		case s.Waiting != nil:
			why := s.Waiting.Reason
			if t := cs.LastTerminationState.Terminated; t != nil && t.Message != "" {
				why += ": " + lastLine(t.Message)
			} else if s.Waiting.Message != "" {
				why += ": " + s.Waiting.Message
			}
			return why
		case s.Terminated != nil:
			return cmp.Or(lastLine(s.Terminated.Message), s.Terminated.Reason)
		}
	}
	return cmp.Or(p.Status.Reason, string(p.Status.Phase), "not started")
}

// lastLine returns the end of a log, which is where recorderd says why it ends.
func lastLine(log string) string {
	log = strings.TrimSpace(log)
	return strings.TrimPrefix(log[strings.LastIndexByte(log, '\n')+1:], "recorderd: ")
}

// NoDaemonError says that a node, or the cluster, has no recorderd.
type NoDaemonError struct{ msg string }

// Error says where there is none.
func (e *NoDaemonError) Error() string { return e.msg }

// client returns the client for a daemon.
func (c *Cluster) client(d daemon) (*client.Client, error) {
	if d.wrong != "" {
		return nil, &client.UnreachableError{Addr: d.node, Said: fmt.Sprintf("its recorderd (pod %s/%s) does not run: %s", c.opts.RecorderNamespace, d.pod, d.wrong)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl := c.clients[d.pod]; cl != nil {
		return cl, nil
	}
	dial, err := podexec.Dialer(c.config.Rest, podexec.Target{
		Namespace: c.opts.RecorderNamespace, Pod: d.pod, Container: Container, Name: fmt.Sprintf("node %s (pod %s/%s)", d.node, c.opts.RecorderNamespace, d.pod),
		Command: []string{Program, "dial-stdio", "--greet"},
	})
	if err != nil {
		return nil, err
	}
	cl := client.New(dial, client.Options{
		Version: c.opts.Version,
		Warn:    func(msg string) { c.warn("node " + d.node + ": " + msg) },
		// Five programs handle each byte on its way.
		Compress: true,
	})
	c.clients[d.pod] = cl
	return cl, nil
}

// warn tells people something, once.
func (c *Cluster) warn(msg string) {
	c.mu.Lock()
	again := c.said[msg]
	c.said[msg] = true
	c.mu.Unlock()
	if !again && c.opts.Warn != nil {
		c.opts.Warn(msg)
	}
}

// NodeError is why a node did not answer.
type NodeError struct {
	Node string
	Err  error
}

// Error names the node.
func (e *NodeError) Error() string { return "node " + e.Node + ": " + e.Err.Error() }

// Unwrap returns the error without the node.
func (e *NodeError) Unwrap() error { return e.Err }

// PartialError says that some nodes did not answer, or that none did.
type PartialError struct {
	Nodes []*NodeError // at least one
	Asked int
}

// Error has a line for each node.
func (e *PartialError) Error() string { return errors.Join(e.Unwrap()...).Error() }

// Unwrap returns the error of each node, and one that counts them.
func (e *PartialError) Unwrap() []error {
	var errs []error
	for _, n := range e.Nodes {
		errs = append(errs, n)
	}
	if e.Asked > 1 {
		errs = append(errs, fmt.Errorf("%d of %d nodes did not answer", len(e.Nodes), e.Asked))
	}
	return errs
}

// All reports whether no node answered.
func (e *PartialError) All() bool { return len(e.Nodes) == e.Asked }

// ask does something with each daemon, at once, for so long at most. The error is nil or a *PartialError;
// if it is one and the same missing right everywhere, that.
func (c *Cluster) ask(ctx context.Context, ds []daemon, limit time.Duration, do func(ctx context.Context, d daemon, cl *client.Client) error) error {
	errs := make([]error, len(ds))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, d := range ds {
		g.Go(func() error {
			ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer for %s", limit))
			defer cancel()
			errs[i] = c.one(ctx, d, do)
			return nil
		})
	}
	g.Wait() //nolint:errcheck // always nil
	p := &PartialError{Asked: len(ds)}
	for i, err := range errs {
		var f *kube.ForbiddenError
		if errors.As(err, &f) {
			return f // it is the same for all
		}
		if err != nil {
			p.Nodes = append(p.Nodes, &NodeError{ds[i].node, err})
		}
	}
	if len(p.Nodes) == 0 {
		return nil
	}
	return p
}

func (c *Cluster) one(ctx context.Context, d daemon, do func(ctx context.Context, d daemon, cl *client.Client) error) error {
	cl, err := c.client(d)
	if err != nil {
		return err
	}
	return c.explain(ctx, d, do(ctx, d, cl))
}

// explain makes of the error of a connection what a user can do something about.
func (c *Cluster) explain(ctx context.Context, d daemon, err error) error {
	var un *client.UnreachableError
	if !errors.As(err, &un) || un.Said != "" {
		return err
	}
	if f, ok := kube.Forbidden(err, "create", "pods/exec", c.opts.RecorderNamespace); ok {
		return f
	}
	var said *podexec.CommandError
	if errors.As(err, &said) {
		un.Said = fmt.Sprintf("%s (in pod %s/%s, whose log may say more)", said.Said, c.opts.RecorderNamespace, d.pod)
		return un
	}
	if e := kube.Explain(ctx, c.config.Where, un.Err); e != un.Err {
		return e
	}
	un.Said = fmt.Sprintf("exec in pod %s/%s: %v", c.opts.RecorderNamespace, d.pod, un.Err)
	return un
}

// List returns the recordings of all nodes that fit the filter, oldest first. With a
// *PartialError it returns those of the nodes that answered.
func (c *Cluster) List(ctx context.Context, f target.Filter) (api.RecordingList, error) {
	ds, err := c.find(ctx)
	if err != nil {
		return api.RecordingList{Recordings: []api.Recording{}}, err
	}
	recs, err := c.list(ctx, ds, f)
	return api.RecordingList{Recordings: recs}, err
}

func (c *Cluster) list(ctx context.Context, ds []daemon, f target.Filter) ([]api.Recording, error) {
	recs := []api.Recording{} // not nil: it becomes JSON
	var mu sync.Mutex
	err := c.ask(ctx, ds, c.opts.PerNode, func(ctx context.Context, d daemon, cl *client.Client) error {
		list, err := cl.List(ctx, f)
		if err != nil {
			return err
		}
		for i := range list.Recordings {
			list.Recordings[i].Node = d.node // as the cluster calls it
		}
		mu.Lock()
		defer mu.Unlock()
		recs = append(recs, list.Recordings...)
		return nil
	})
	slices.SortFunc(recs, func(a, b api.Recording) int {
		return cmp.Or(a.Started.Compare(b.Started), strings.Compare(a.Node, b.Node), strings.Compare(a.ID, b.ID))
	})
	return recs, badRequest(err)
}

// badRequest returns what all nodes say is wrong with the request itself, if that is what
// an error of each has for all, else the error.
func badRequest(err error) error {
	var p *PartialError
	var e *api.Error
	if errors.As(err, &p) && p.All() && errors.As(p.Nodes[0].Err, &e) && e.Code == api.CodeBadRequest {
		return e
	}
	return err
}

// Statuses returns the status of each node, by name; if cost is not 0, with what the
// programs cost, counted for so long. With a *PartialError it returns those of the nodes
// that answered.
func (c *Cluster) Statuses(ctx context.Context, cost time.Duration) ([]api.Status, error) {
	ds, err := c.find(ctx)
	if err != nil {
		return nil, err
	}
	sts := []api.Status{}
	var mu sync.Mutex
	err = c.ask(ctx, ds, c.opts.PerNode+max(cost, 0), func(ctx context.Context, d daemon, cl *client.Client) error {
		get := cl.Status
		if cost != 0 {
			get = func(ctx context.Context) (api.Status, error) { return cl.Costs(ctx, cost) }
		}
		st, err := get(ctx)
		if err != nil {
			return err
		}
		st.Node = d.node
		mu.Lock()
		defer mu.Unlock()
		sts = append(sts, st)
		return nil
	})
	slices.SortFunc(sts, func(a, b api.Status) int { return strings.Compare(a.Node, b.Node) })
	return sts, badRequest(err)
}

// Get returns the recording that name means; see locate.
func (c *Cluster) Get(ctx context.Context, name string, sel target.Selector) (api.Recording, error) {
	rec, _, err := c.locate(ctx, name, sel)
	return rec, err
}

// Dump is as that of client.Client, from whatever node has the recording.
func (c *Cluster) Dump(ctx context.Context, name string, sel target.Selector, q replay.Query) (io.ReadCloser, error) {
	var body io.ReadCloser
	err := c.at(ctx, name, sel, func(cl *client.Client, id string) (err error) {
		body, err = cl.Dump(ctx, id, target.Selector{}, q)
		return err
	})
	return body, err
}

// Freeze is as that of client.Client.
func (c *Cluster) Freeze(ctx context.Context, name string, sel target.Selector) (api.Recording, error) {
	return c.change(ctx, name, sel, func(cl *client.Client, id string) (api.Recording, error) {
		return cl.Freeze(ctx, id, target.Selector{})
	})
}

// Resume is as that of client.Client.
func (c *Cluster) Resume(ctx context.Context, name string, sel target.Selector) (api.Recording, error) {
	return c.change(ctx, name, sel, func(cl *client.Client, id string) (api.Recording, error) {
		return cl.Resume(ctx, id, target.Selector{})
	})
}

// Save is as that of client.Client.
func (c *Cluster) Save(ctx context.Context, name string, sel target.Selector) (api.Recording, error) {
	return c.change(ctx, name, sel, func(cl *client.Client, id string) (api.Recording, error) { return cl.Save(ctx, id, target.Selector{}) })
}

// Delete is as that of client.Client.
func (c *Cluster) Delete(ctx context.Context, name string, sel target.Selector) (api.Recording, error) {
	return c.change(ctx, name, sel, func(cl *client.Client, id string) (api.Recording, error) {
		return cl.Delete(ctx, id, target.Selector{})
	})
}

// change does something to a recording that is named in full, at its node.
func (c *Cluster) change(ctx context.Context, name string, sel target.Selector, do func(cl *client.Client, id string) (api.Recording, error)) (rec api.Recording, err error) {
	sel.WholeName = true
	err = c.at(ctx, name, sel, func(cl *client.Client, id string) (err error) {
		rec, err = do(cl, id)
		return err
	})
	return rec, err
}

// at does something with a recording, at its node.
func (c *Cluster) at(ctx context.Context, name string, sel target.Selector, do func(cl *client.Client, id string) error) error {
	rec, d, err := c.locate(ctx, name, sel)
	if err != nil {
		return err
	}
	cl, err := c.client(d)
	if err != nil {
		return &NodeError{d.node, err}
	}
	if err := c.explain(ctx, d, do(cl, rec.ID)); err != nil {
		var f *kube.ForbiddenError
		if errors.As(err, &f) {
			return f
		}
		return &NodeError{d.node, err}
	}
	return nil
}
