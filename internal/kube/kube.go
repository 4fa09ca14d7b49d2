// Package kube makes the few requests to a Kubernetes API server that recorderctl
// needs. It knows the types of core, apps and batch only: the client for all of
// Kubernetes would more than double the program.
package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/recorderd/recorderd/api/client"
)

// Client talks to one API server. It is safe for concurrent use.
type Client struct {
	rest  rest.Interface
	where string
}

// New returns a client. where names the cluster in errors.
func New(config *rest.Config, where string) (*Client, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	metav1.AddToGroupVersion(s, corev1.SchemeGroupVersion)
	cfg := rest.CopyConfig(config)
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(s).WithoutConversion()
	cfg.QPS = -1 // a command makes a handful of requests: the server's own limits do
	rc, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, err
	}
	return &Client{rest: rc, where: where}, nil
}

// Path says what a request is about. Name and Namespace may be empty.
type Path struct {
	Group     string // "" is core
	Version   string // "" is v1
	Namespace string
	Resource  string // in the plural, as "pods"
	Name      string
}

// String is the path on the API server.
func (p Path) String() string {
	var b strings.Builder
	version := cmp.Or(p.Version, "v1")
	if p.Group == "" {
		b.WriteString("/api/" + version)
	} else {
		b.WriteString("/apis/" + p.Group + "/" + version)
	}
	if p.Namespace != "" {
		b.WriteString("/namespaces/" + url.PathEscape(p.Namespace))
	}
	b.WriteString("/" + p.Resource)
	if p.Name != "" {
		b.WriteString("/" + url.PathEscape(p.Name))
	}
	return b.String()
}

// Select narrows a list.
type Select struct{ Labels, Fields string }

// Get reads one object.
func (c *Client) Get(ctx context.Context, p Path, into runtime.Object) error {
	return c.explain(ctx, "get", p, c.rest.Get().AbsPath(p.String()).Do(ctx).Into(into))
}

// List reads a list.
func (c *Client) List(ctx context.Context, p Path, s Select, into runtime.Object) error {
	r := c.rest.Get().AbsPath(p.String())
	if s.Labels != "" {
		r = r.Param("labelSelector", s.Labels)
	}
	if s.Fields != "" {
		r = r.Param("fieldSelector", s.Fields)
	}
	return c.explain(ctx, "list", p, r.Do(ctx).Into(into))
}

// Apply makes an object what body says (server-side apply, with force: whoever else
// has set these fields loses them). body is its JSON. The answer is the object's JSON.
func (c *Client) Apply(ctx context.Context, p Path, manager string, body []byte) ([]byte, error) {
	return c.ApplyDry(ctx, p, manager, body, false)
}

// ApplyDry is as Apply; with dry the server only says whether it would do it.
func (c *Client) ApplyDry(ctx context.Context, p Path, manager string, body []byte, dry bool) ([]byte, error) {
	r := c.rest.Patch(types.ApplyPatchType).AbsPath(p.String()).
		Param("fieldManager", manager).Param("force", "true").Body(body)
	if dry {
		r = r.Param("dryRun", "All")
	}
	out, err := r.Do(ctx).Raw()
	return out, c.explain(ctx, "patch", p, statusIn(out, err))
}

// Delete removes an object, and what it owns. It is no error if there is none; found
// says whether there was.
func (c *Client) Delete(ctx context.Context, p Path) (found bool, err error) {
	policy := metav1.DeletePropagationForeground
	body, err := json.Marshal(metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{Kind: "DeleteOptions", APIVersion: "v1"}, PropagationPolicy: &policy})
	if err != nil {
		return false, err
	}
	out, err := c.rest.Delete().AbsPath(p.String()).SetHeader("Content-Type", runtime.ContentTypeJSON).Body(body).Do(ctx).Raw()
	err = statusIn(out, err)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, c.explain(ctx, "delete", p, err)
}

// statusIn returns the whole status that is in the body of a failed request: Raw
// gives an error that lacks it.
func statusIn(body []byte, err error) error {
	if err == nil {
		return nil
	}
	var st metav1.Status
	if json.Unmarshal(body, &st) == nil && st.Kind == "Status" && st.Message != "" {
		return &apierrors.StatusError{ErrStatus: st}
	}
	return err
}

// ForbiddenError says which right is missing.
type ForbiddenError struct {
	Verb, Resource, Namespace string
	User                      string // who asked, if the server said it
	Err                       error
}

// Error names the right as RBAC does.
func (e *ForbiddenError) Error() string {
	where := "in the whole cluster"
	if e.Namespace != "" {
		where = "in namespace " + e.Namespace
	}
	who := "you lack"
	if e.User != "" {
		who = "user " + e.User + " lacks"
	}
	return fmt.Sprintf("%s the right to %s: %s %s", who, e.Resource, e.Verb, where)
}

// Unwrap returns the server's answer.
func (e *ForbiddenError) Unwrap() error { return e.Err }

// refusal is how RBAC words it; an exec that is refused has only the words.
var refusal = regexp.MustCompile(`User "([^"]*)" cannot (\w+) resource`)

// Forbidden returns a ForbiddenError if err says that a right is missing: this verb on
// this resource, as it was asked for. What admission plugins and quotas refuse is none.
func Forbidden(err error, verb, resource, namespace string) (*ForbiddenError, bool) {
	m := refusal.FindStringSubmatch(err.Error())
	if m == nil {
		return nil, false
	}
	return &ForbiddenError{Verb: verb, Resource: resource, Namespace: namespace, User: m[1], Err: err}, true
}

// explain says what the failure of a request means.
func (c *Client) explain(ctx context.Context, verb string, p Path, err error) error {
	if err == nil {
		return nil
	}
	resource := p.Resource
	if p.Group != "" {
		resource += "." + p.Group
	}
	if f, ok := Forbidden(err, verb, resource, p.Namespace); ok {
		return f
	}
	return Explain(ctx, c.where, err)
}

// Explain says what an error means that is no answer of a server, or that says who
// asks is not known. Other errors it returns as they are.
func Explain(ctx context.Context, where string, err error) error {
	var status apierrors.APIStatus
	switch {
	case ctx.Err() != nil:
		return &client.UnreachableError{Addr: where, Err: err, Said: fmt.Sprintf("%s: %v", where, context.Cause(ctx))}
	case apierrors.IsUnauthorized(err):
		return &UnauthorizedError{where, err}
	case errors.As(err, &status) && status.Status().Code != 0:
		return err
	}
	var ue *url.Error
	if !errors.As(err, &ue) {
		return err
	}
	inner := ue.Err
	if ue.Op == "" || inner == nil {
		inner = err
	}
	return &client.UnreachableError{Addr: where, Err: err, Said: fmt.Sprintf("%s does not answer: %v", where, inner)}
}

// UnauthorizedError says that the server does not accept the credentials.
type UnauthorizedError struct {
	Where string
	Err   error
}

// Error says so.
func (e *UnauthorizedError) Error() string {
	return fmt.Sprintf("%s does not accept the credentials (%d): they are wrong, or have expired", e.Where, http.StatusUnauthorized)
}

// Unwrap returns the server's answer.
func (e *UnauthorizedError) Unwrap() error { return e.Err }

// NodeOf returns the node of a daemon set's pod, also before it is scheduled; empty if
// it is not known.
func NodeOf(p *corev1.Pod) string {
	if p.Spec.NodeName != "" {
		return p.Spec.NodeName
	}
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range t.MatchFields {
			if f.Key == "metadata.name" && len(f.Values) == 1 {
				return f.Values[0]
			}
		}
	}
	return ""
}

// NotScheduled says why a pod has no node yet; empty if it has.
func NotScheduled(p *corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "not scheduled: " + c.Message
		}
	}
	return ""
}

// ListNames reads the names and labels of a list only.
func (c *Client) ListNames(ctx context.Context, p Path, into *metav1.PartialObjectMetadataList) error {
	b, err := c.rest.Get().AbsPath(p.String()).
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").Do(ctx).Raw()
	if err := c.explain(ctx, "list", p, statusIn(b, err)); err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
