// Package target picks recordings out of a list: the one that a TARGET on the
// command line means, and those that fit a filter.
package target

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"

	"github.com/recorderd/recorderd/api"
)

// minPrefix is how much of a container's id must be given, so that a short word
// which happens to be hexadecimal is not taken for one.
const minPrefix = 4

// minName is the same for names.
const minName = 2

// podPrefix before a target says that it is a pod's name, as kubectl has it.
const podPrefix = "pod/"

// Selector narrows down what a target may mean.
type Selector struct {
	Namespace string // of the pod
	Container string // the container's name
	Previous  bool   // the instance of the container before the one that is meant
	// WholeName asks for names in full: it is for what changes a recording, and for names that are
	// known to be whole. It is not part of a request.
	WholeName bool
}

// Resolve returns the recording that target means, among those that fit q. The
// first of these rules that finds any decides:
//
//  1. the id of a recording or of a container; a cgroup's path, if it begins with /
//  2. the name of a container or of a pod; only of a pod after "pod/".
//     A container that has both names comes before others
//  3. the beginning of a recording's id, or at least 4 characters of a container's
//  4. the beginning of the name of a container or of a pod, at least 2 characters of it and
//     whole numbers, if q takes that: "web-1" is no beginning of "web-10"
//
// What somebody in a container has made, and no runtime of the node knows, is never found
// by a container's id, which is what its maker called it; by its pod, which is the other's,
// only if nothing else is found.
//
// Several recordings are fine if they are of one and the same container, started
// again and again: then the live one is meant, else the newest. In all other cases
// several are an error of api.CodeAmbiguous.
//
// With q.Previous it is the newest recording of the same container that ended
// before the one that is meant, or, where none is live, the newest that ended.
func Resolve(recs []api.Recording, target string, q Selector) (api.Recording, *api.Error) {
	if target == "" || target == podPrefix {
		return api.Recording{}, api.Errorf(api.CodeBadRequest, "the target is empty: give the id of a recording, or the name of a container or pod")
	}
	var fit []*api.Recording
	for i := range recs {
		if q.fits(&recs[i]) {
			fit = append(fit, &recs[i])
		}
	}
	found, by := find(fit, target, q.WholeName)
	if len(found) == 0 {
		return api.Recording{}, notFound(recs, target, q)
	}
	if len(found) > 1 && (by == byID || !sameContainer(found)) {
		return api.Recording{}, ambiguous(found, target, q)
	}
	rec := current(found)
	if rec == nil {
		return api.Recording{}, ambiguous(found, target, q)
	}
	if q.Previous {
		prev := previous(fit, rec, by == byID)
		if prev == nil {
			return api.Recording{}, api.Errorf(api.CodeNotFound, "no earlier recording of %s is kept", describe(rec))
		}
		rec = prev
	}
	return *rec, nil
}

// How recordings were found: byID, each is meant for itself; byContainer, all of a
// container are.
const (
	byContainer = iota
	byID
)

// find applies the rules of Resolve.
func find(recs []*api.Recording, target string, whole bool) (found []*api.Recording, by int) {
	if !strings.HasPrefix(target, "/") {
		named := slices.DeleteFunc(slices.Clone(recs), func(r *api.Recording) bool { return r.Nameless() && r.ID != target })
		if found, by = findIn(named, target, whole); len(found) > 0 {
			return found, by
		}
	}
	return findIn(recs, target, whole)
}

// containerID is the id of a recording's container, "" if nobody vouches for it.
func containerID(r *api.Recording) string {
	if r.Nameless() {
		return ""
	}
	return r.Container.ID
}

func findIn(recs []*api.Recording, target string, whole bool) (found []*api.Recording, by int) {
	match := func(f func(r *api.Recording) bool) bool {
		for _, r := range recs {
			if f(r) && !slices.Contains(found, r) {
				found = append(found, r)
			}
		}
		return len(found) > 0
	}
	if pod, ok := strings.CutPrefix(target, podPrefix); ok {
		if !match(func(r *api.Recording) bool { return podName(r) == pod }) && !whole {
			match(func(r *api.Recording) bool { return begins(podName(r), pod) })
		}
		return found, byContainer
	}
	if strings.HasPrefix(target, "/") {
		path := "/" + strings.Trim(target, "/")
		match(func(r *api.Recording) bool { return r.Container.Cgroup == path })
		return found, byContainer
	}
	if match(func(r *api.Recording) bool { return r.ID == target }) {
		return found, byID
	}
	if match(func(r *api.Recording) bool { return containerID(r) == target }) ||
		match(func(r *api.Recording) bool { return r.Container.Name == target && podName(r) == target }) ||
		match(func(r *api.Recording) bool { return r.Container.Name == target || podName(r) == target }) {
		return found, byContainer
	}
	if match(func(r *api.Recording) bool { return strings.HasPrefix(r.ID, target) }) {
		found, by = withoutDumps(found), byID
	}
	if len(target) >= minPrefix {
		match(func(r *api.Recording) bool { return strings.HasPrefix(containerID(r), target) })
		for _, r := range found {
			if r.Container.ID != found[0].Container.ID { // two of one name are two all the same
				by = byID
			}
		}
	}
	if len(found) == 0 && !whole {
		match(func(r *api.Recording) bool { return begins(r.Container.Name, target) || begins(podName(r), target) })
	}
	return found, by
}

// begins reports whether a name begins with what somebody has typed.
func begins(name, typed string) bool {
	rest, ok := strings.CutPrefix(name, typed)
	if !ok || len(typed) < minName {
		return false
	}
	return rest == "" || !isDigit(typed[len(typed)-1]) || !isDigit(rest[0])
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// withoutDumps leaves the further dumps of recordings out that are there themselves.
func withoutDumps(recs []*api.Recording) []*api.Recording {
	there := map[string]bool{}
	for _, r := range recs {
		there[r.ID] = true
	}
	return slices.DeleteFunc(recs, func(r *api.Recording) bool {
		base := api.BaseID(r.ID)
		return base != r.ID && there[base]
	})
}

// fits reports whether the recording is in the namespace and of the container asked for.
func (q Selector) fits(r *api.Recording) bool {
	if q.Namespace != "" && (r.Pod == nil || r.Pod.Namespace != q.Namespace) {
		return false
	}
	return q.Container == "" || r.Container.Name == q.Container
}

func sameContainer(recs []*api.Recording) bool {
	for _, r := range recs[1:] {
		if r.ContainerKey() != recs[0].ContainerKey() {
			return false
		}
	}
	return true
}

// Current returns, of each container, the recording that is meant by its name: the live one, else
// the newest. They stay in their order.
func Current(recs []api.Recording) []api.Recording {
	of := map[string][]*api.Recording{}
	for i := range recs {
		key := recs[i].ContainerKey()
		of[key] = append(of[key], &recs[i])
	}
	var out []api.Recording
	for i := range recs {
		r := &recs[i]
		same := of[r.ContainerKey()]
		if rec := current(same); rec == r || rec == nil && r.State == api.StateLive {
			out = append(out, *r)
		}
	}
	return out
}

// current returns the live recording of one container, else the newest; nil if
// several are live.
func current(recs []*api.Recording) *api.Recording {
	var live []*api.Recording
	for _, r := range recs {
		if r.State == api.StateLive {
			live = append(live, r)
		}
	}
	switch len(live) {
	case 0:
		return newest(recs)
	case 1:
		return live[0]
	}
	return nil
}

// previous returns the newest ended recording of rec's container. An ended rec
// counts as one itself, unless it was asked for by its id.
func previous(recs []*api.Recording, rec *api.Recording, exact bool) *api.Recording {
	var earlier []*api.Recording
	for _, r := range recs {
		if r.State == api.StateLive || r.ContainerKey() != rec.ContainerKey() {
			continue
		}
		if exact && !r.Started.Before(rec.Started) {
			continue
		}
		if (exact || rec.State == api.StateLive) && api.BaseID(r.ID) == api.BaseID(rec.ID) {
			continue // another dump of the same
		}
		earlier = append(earlier, r)
	}
	if len(earlier) == 0 {
		return nil
	}
	return newest(earlier)
}

func byStart(a, b *api.Recording) int {
	return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
}

// newest returns the recording that began last; of several dumps of it that which has its
// end, better from memory, else that which was saved last. Their starts can differ a
// little: each was told by the clock of its time.
func newest(recs []*api.Recording) *api.Recording {
	best := slices.MaxFunc(recs, byStart)
	for _, r := range recs {
		if api.BaseID(r.ID) == api.BaseID(best.ID) && cmp.Or(
			cmp.Compare(rank(r), rank(best)), savedAt(r).Compare(savedAt(best)), cmp.Compare(r.ID, best.ID)) > 0 {
			best = r
		}
	}
	return best
}

func rank(r *api.Recording) int {
	switch {
	case r.State != api.StateSpooled:
		return 2
	case r.Ended != nil:
		return 1
	}
	return 0
}

func savedAt(r *api.Recording) (at time.Time) {
	if r.Spool != nil {
		at = r.Spool.SavedAt
	}
	return at
}

func ambiguous(found []*api.Recording, target string, q Selector) *api.Error {
	slices.SortFunc(found, func(a, b *api.Recording) int { return byStart(b, a) })
	const shown = 8
	var ids, lines []string
	for i, r := range found {
		ids = append(ids, r.ID)
		if i < shown {
			lines = append(lines, r.ID+" ("+describe(r)+")")
		}
	}
	if len(found) > shown {
		lines = append(lines, "…")
	}
	hint := "give an id"
	switch {
	case q.Container == "" && samePod(found):
		hint = "name the container, or give an id"
	case q.Namespace == "" && namespaces(found) > 1:
		hint = "name the namespace, or give an id"
	}
	e := api.Errorf(api.CodeAmbiguous, "%s means %d recordings, %s: %s", quote(target), len(found), hint, strings.Join(lines, ", "))
	e.Matches = ids
	return e
}

func samePod(recs []*api.Recording) bool {
	for _, r := range recs {
		if r.Pod == nil || recs[0].Pod == nil || r.Pod.Name != recs[0].Pod.Name || r.Pod.Namespace != recs[0].Pod.Namespace {
			return false
		}
	}
	return true
}

func namespaces(recs []*api.Recording) int {
	seen := map[string]bool{}
	for _, r := range recs {
		if r.Pod != nil {
			seen[r.Pod.Namespace] = true
		}
	}
	return len(seen)
}

// notFound says which part of what was asked for has no match.
func notFound(recs []api.Recording, target string, q Selector) *api.Error {
	all := make([]*api.Recording, len(recs))
	for i := range recs {
		all[i] = &recs[i]
	}
	where := ""
	if q.Container != "" {
		where += ", container " + quote(q.Container)
	}
	if q.Namespace != "" {
		where += ", namespace " + quote(q.Namespace)
	}
	found, _ := find(all, target, true)
	pod := strings.TrimPrefix(target, podPrefix)
	for _, r := range all { // whoever has the name, also where another rule comes first
		if (r.Container.Name == target || podName(r) == pod) && !slices.Contains(found, r) {
			found = append(found, r)
		}
	}
	// What runs, then what ran last: there may be many dumps of old on disk.
	slices.SortStableFunc(found, func(a, b *api.Recording) int {
		if live := a.State == api.StateLive; live != (b.State == api.StateLive) {
			if live {
				return -1
			}
			return 1
		}
		return b.Started.Compare(a.Started)
	})
	if where != "" && len(found) > 0 {
		var have []string
		for _, r := range found {
			if d := describe(r); !slices.Contains(have, d) && len(have) < 8 {
				have = append(have, d)
			}
		}
		return api.Errorf(api.CodeNotFound, "%s has no recording%s, but there is %s", quote(target), where, strings.Join(have, ", "))
	}
	hint := "recorderctl list shows what there is"
	if near := nearest(all, pod, q); len(near) > 0 {
		hint = "is it " + strings.Join(near, " or ") + "?"
	}
	return api.Errorf(api.CodeNotFound, "there is no recording of %s%s: %s", quote(target), where, hint)
}

// nearest are at most three names of containers and pods that target may be a typing error for, or
// a part of: the most alike first.
func nearest(recs []*api.Recording, target string, q Selector) []string {
	if len(target) < minName || len(target) > maxTyped {
		return nil
	}
	type name struct {
		text string
		far  int
	}
	var near []name
	seen := map[string]bool{}
	for _, r := range recs {
		if !q.fits(r) {
			continue
		}
		for _, text := range []string{r.Container.Name, podName(r)} {
			if text == "" || len(text) > maxTyped || seen[text] {
				continue
			}
			seen[text] = true
			far := levenshtein.ComputeDistance(target, text)
			if strings.Contains(text, target) {
				far = 0
			}
			if far <= max(1, len(target)/4) {
				near = append(near, name{text, far})
			}
		}
	}
	slices.SortStableFunc(near, func(a, b name) int { return cmp.Or(a.far-b.far, strings.Compare(a.text, b.text)) })
	var out []string
	for _, n := range near[:min(len(near), 3)] {
		out = append(out, quote(n.text))
	}
	return out
}

// maxTyped is how long a name can be that people type, in bytes: longer ones are not compared.
const maxTyped = 253

// describe names a recording's container in an error.
func describe(r *api.Recording) string {
	name := r.Container.Name
	if name == "" {
		name = r.Container.ID
	}
	if name == "" {
		name = r.Container.Cgroup
	}
	if r.Pod != nil && r.Pod.Name != "" {
		name = r.Pod.Namespace + "/" + r.Pod.Name + "/" + name
	}
	return name + ", " + string(r.State)
}

func podName(r *api.Recording) string {
	if r.Pod == nil {
		return ""
	}
	return r.Pod.Name
}
