package target

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/recorderd/recorderd/api"
)

// Filter says which recordings to list. The zero Filter lets all pass.
type Filter struct {
	Namespace string      // of the pod
	Pod       string      // its name
	Container string      // the container's name
	Labels    string      // a Kubernetes label selector: "app=web,tier!=db,!canary,env in (a,b)"
	States    []api.State // any of these
}

// Select returns the recordings that pass, in their order.
func (f Filter) Select(recs []api.Recording) ([]api.Recording, *api.Error) {
	labels, err := parseLabels(f.Labels)
	if err != nil {
		return nil, err
	}
	out := []api.Recording{} // not nil: it becomes JSON
	for i := range recs {
		r := &recs[i]
		if f.Namespace != "" && (r.Pod == nil || r.Pod.Namespace != f.Namespace) ||
			f.Pod != "" && podName(r) != f.Pod ||
			f.Container != "" && r.Container.Name != f.Container ||
			len(f.States) > 0 && !slices.Contains(f.States, r.State) ||
			!labels.match(r) {
			continue
		}
		out = append(out, *r)
	}
	return out, nil
}

// Parameters of a query.
const (
	paramNamespace = "namespace"
	paramPod       = "pod"
	paramContainer = "container"
	paramLabels    = "l"
	paramState     = "state"
	paramPrevious  = "previous"
)

// Values returns the filter as the query of GET /v1/recordings.
func (f Filter) Values() url.Values {
	v := url.Values{}
	set(v, paramNamespace, f.Namespace)
	set(v, paramPod, f.Pod)
	set(v, paramContainer, f.Container)
	set(v, paramLabels, f.Labels)
	for _, s := range f.States {
		v.Add(paramState, string(s))
	}
	return v
}

// ParseFilter reads the query of GET /v1/recordings.
func ParseFilter(v url.Values) (Filter, *api.Error) {
	var f Filter
	if err := Only(v, paramNamespace, paramPod, paramContainer, paramLabels, paramState); err != nil {
		return f, err
	}
	if err := once(v, paramNamespace, paramPod, paramContainer, paramLabels); err != nil {
		return f, err
	}
	f.Namespace, f.Pod, f.Container, f.Labels = v.Get(paramNamespace), v.Get(paramPod), v.Get(paramContainer), v.Get(paramLabels)
	for _, s := range v[paramState] {
		st, err := ParseState(s)
		if err != nil {
			return f, err
		}
		f.States = append(f.States, st)
	}
	_, err := parseLabels(f.Labels)
	return f, err
}

// ParseState reads the name of a state.
func ParseState(s string) (api.State, *api.Error) {
	switch st := api.State(s); st {
	case api.StateLive, api.StateEnded, api.StateSpooled:
		return st, nil
	}
	return "", api.Errorf(api.CodeBadRequest, "state %s is not known: it is live, ended or spooled", quote(s))
}

// Values returns the selector as the query of a request about one recording.
func (q Selector) Values() url.Values {
	v := url.Values{}
	set(v, paramNamespace, q.Namespace)
	set(v, paramContainer, q.Container)
	if q.Previous {
		v.Set(paramPrevious, "true")
	}
	return v
}

// ParseSelector takes the parameters of a selector out of v; the others stay.
func ParseSelector(v url.Values) (Selector, *api.Error) {
	q := Selector{Namespace: v.Get(paramNamespace), Container: v.Get(paramContainer)}
	if err := once(v, paramNamespace, paramContainer, paramPrevious); err != nil {
		return q, err
	}
	if s := v.Get(paramPrevious); s == "" {
		q.Previous = v.Has(paramPrevious) // ?previous
	} else {
		var err error
		if q.Previous, err = strconv.ParseBool(s); err != nil {
			return q, api.Errorf(api.CodeBadRequest, "parameter previous is %s: it is true or false", quote(s))
		}
	}
	v.Del(paramNamespace)
	v.Del(paramContainer)
	v.Del(paramPrevious)
	return q, nil
}

// Only checks that a query has no parameters but the known ones. A misspelt
// filter would otherwise pass for one that lets everything through.
func Only(v url.Values, known ...string) *api.Error {
	for name := range v {
		if slices.Contains(known, name) {
			continue
		}
		if len(known) == 0 {
			return api.Errorf(api.CodeBadRequest, "parameter %s is not known: there are none here", quote(name))
		}
		return api.Errorf(api.CodeBadRequest, "parameter %s is not known: there are %s", quote(name), strings.Join(known, ", "))
	}
	return nil
}

// once refuses a parameter of which only one value would be looked at.
func once(v url.Values, names ...string) *api.Error {
	for _, name := range names {
		if n := len(v[name]); n > 1 {
			return api.Errorf(api.CodeBadRequest, "parameter %s is given %d times: once is possible", name, n)
		}
	}
	return nil
}

func set(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

// quote quotes what came from outside, cut to what a line of an error bears.
func quote(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strconv.Quote(s)
}
