package target

import (
	"slices"
	"strings"

	"github.com/recorderd/recorderd/api"
)

// labelSelector is a Kubernetes label selector: all of its requirements must hold.
// A pod's labels and its container's count; the pod's come first.
type labelSelector []requirement

type requirement struct {
	key    string
	exists bool     // the label must be there; the other way round without
	in     bool     // its value must be one of values
	values []string // nil: the value does not matter
}

func (s labelSelector) match(r *api.Recording) bool {
	for _, req := range s {
		if !req.match(r) {
			return false
		}
	}
	return true
}

func (q requirement) match(r *api.Recording) bool {
	value, ok := "", false
	if r.Pod != nil {
		value, ok = r.Pod.Labels[q.key]
	}
	if !ok {
		value, ok = r.Container.Labels[q.key]
	}
	if q.values == nil {
		return ok == q.exists
	}
	// As in Kubernetes, != and notin hold as well where there is no such label.
	return (ok && slices.Contains(q.values, value)) == q.in
}

// parseLabels reads "a=b, c==d, e!=f, g, !h, i in (j,k), l notin (m)".
func parseLabels(s string) (labelSelector, *api.Error) {
	var sel labelSelector
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	for _, part := range splitOutside(s) {
		req, ok := parseRequirement(strings.TrimSpace(part))
		if !ok {
			return nil, api.Errorf(api.CodeBadRequest,
				"label selector %s: %s is not a requirement: expected key, !key, key=value, key!=value, key in (a,b) or key notin (a,b)",
				quote(s), quote(strings.TrimSpace(part)))
		}
		sel = append(sel, req)
	}
	return sel, nil
}

func parseRequirement(s string) (requirement, bool) {
	if key, ok := strings.CutPrefix(s, "!"); ok {
		key = strings.TrimSpace(key)
		return requirement{key: key}, isWord(key)
	}
	for _, op := range []string{"!=", "==", "="} {
		if key, value, ok := strings.Cut(s, op); ok {
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			return requirement{key: key, in: op != "!=", values: []string{value}}, isWord(key) && (value == "" || isWord(value))
		}
	}
	if head, list, ok := strings.Cut(s, "("); ok {
		words := strings.Fields(head)
		list, closed := strings.CutSuffix(strings.TrimSpace(list), ")")
		if !closed || len(words) != 2 || words[1] != "in" && words[1] != "notin" {
			return requirement{}, false
		}
		req := requirement{key: words[0], in: words[1] == "in"}
		for v := range strings.SplitSeq(list, ",") {
			if v = strings.TrimSpace(v); v != "" && !isWord(v) {
				return requirement{}, false
			}
			req.values = append(req.values, v)
		}
		return req, isWord(req.key)
	}
	return requirement{key: s, exists: true}, isWord(s)
}

// splitOutside splits at the commas that are outside parentheses.
func splitOutside(s string) []string {
	var parts []string
	depth, start := 0, 0
	for i, c := range s {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth <= 0:
			parts, start = append(parts, s[start:i]), i+1
		}
	}
	return append(parts, s[start:])
}

// isWord allows what labels in use have, and container runtimes' looser ones.
func isWord(s string) bool {
	return s != "" && !strings.ContainsAny(s, " \t\r\n,()=!\"'")
}
