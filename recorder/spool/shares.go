package spool

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/recorderd/recorderd/api"
)

// Account is at whose cost a dump is kept. Namespaces share the spool, in a namespace
// those that own pods, and of an owner its containers.
type Account struct {
	Namespace string `json:"namespace,omitempty"` // of Kubernetes'; empty: of no pod
	Owner     string `json:"owner"`               // what made the pod; without one, the container itself
	Container string `json:"container"`
}

// AccountOf is the account of a container that is inside no other.
func AccountOf(r *api.Recording) Account {
	a := Account{Container: r.ContainerKey()}
	a.Owner = a.Container
	if p := r.Pod; p != nil && p.Name != "" {
		a.Namespace, a.Owner = p.Namespace, "Pod/"+p.Name
		if p.Owner != nil {
			a.Owner = p.Owner.Kind + "/" + p.Owner.Name
		}
	}
	return a
}

// account is at whose cost a dump is.
func (m *Meta) account() Account {
	if m.Outer != nil {
		return *m.Outer
	}
	return AccountOf(&m.Recording)
}

// levels are the keys of an account's namespace, owner and container.
func (a *Account) levels() [3]string {
	ns := strings.ReplaceAll(a.Namespace, "\x00", "")
	owner := ns + "\x00" + strings.ReplaceAll(a.Owner, "\x00", "")
	return [3]string{ns, owner, owner + "\x00" + a.Container}
}

// served is when, on the spool's clock, and in which order accounts had a dump written.
type served struct {
	n  uint64
	by map[string]turn // by level
}

type turn struct {
	n  uint64
	at time.Duration
}

// note notes that an account had its turn.
func (s *served) note(a Account, now time.Duration) {
	s.n++
	for _, key := range a.levels() {
		s.by[key] = turn{s.n, now}
	}
	if len(s.by) > 3*maxKeys {
		oldest := slices.SortedFunc(maps.Keys(s.by), func(a, b string) int { return cmp.Compare(s.by[a].n, s.by[b].n) })
		for _, key := range oldest[:maxKeys] { // many at once: it takes a while
			delete(s.by, key)
		}
	}
}

// fresh reports whether nothing of this level was written for so long.
func (s *served) fresh(key string, now, gap time.Duration) bool {
	t, ok := s.by[key]
	return !ok || now-t.at >= gap
}

// Waiting is a crash that waits for its turn.
type Waiting struct {
	Account Account
	Lesser  bool
	Ended   time.Time
}

// Order returns in which order crashes that wait have their turn: by turns among
// namespaces, owners and containers, whoever waited longest for one before others.
func (s *Store) Order(waiting []Waiting) []int {
	type place struct {
		turn [3]uint64
		w    *Waiting
		i    int
	}
	places := make([]place, len(waiting))
	s.mu.Lock()
	for i := range waiting {
		places[i] = place{w: &waiting[i], i: i}
		for l, key := range waiting[i].Account.levels() {
			places[i].turn[l] = s.rate.served.by[key].n
		}
	}
	s.mu.Unlock()
	slices.SortStableFunc(places, func(a, b place) int {
		lesser := 0
		if a.w.Lesser != b.w.Lesser {
			lesser = -1
			if a.w.Lesser {
				lesser = 1
			}
		}
		return cmp.Or(slices.Compare(a.turn[:], b.turn[:]), lesser, a.w.Ended.Compare(b.w.Ended))
	})
	order := make([]int, len(places))
	for i, p := range places {
		order[i] = p.i
	}
	return order
}

// share is what a namespace, an owner or a container takes of the spool.
type share struct {
	bytes   int64
	files   int
	parts   map[string]*share
	entries []*Entry // of a container: those that can go, the first to go first
}

// shares divides entries, which come in the order in which they go; saved is one that
// takes room and cannot go.
func shares(list []*Entry, saved string) *share {
	root := &share{}
	for _, e := range list {
		account := e.Meta.account()
		at := root
		for _, key := range account.levels() {
			at.bytes += e.Bytes
			at.files++
			if at.parts == nil {
				at.parts = map[string]*share{}
			}
			if at.parts[key] == nil {
				at.parts[key] = &share{}
			}
			at = at.parts[key]
		}
		at.bytes += e.Bytes
		at.files++
		if e.ID != saved {
			at.entries = append(at.entries, e)
		}
	}
	return root
}

// next is what goes first of a part; nil: nothing can.
func (s *share) next(byBytes bool) *Entry {
	if s.parts == nil {
		if len(s.entries) == 0 {
			return nil
		}
		return s.entries[0]
	}
	var best *share
	var victim *Entry
	for _, part := range s.parts {
		e := part.next(byBytes)
		if e == nil {
			continue
		}
		larger := 0
		if best != nil {
			larger = cmp.Compare(part.files, best.files)
			if byBytes {
				larger = cmp.Compare(part.bytes, best.bytes)
			}
		}
		// Of equal shares the oldest dump goes.
		if best == nil || larger > 0 || larger == 0 && (e.At < victim.At || e.At == victim.At && e.Name < victim.Name) {
			best, victim = part, e
		}
	}
	return victim
}

// drop takes an entry out.
func (s *share) drop(e *Entry) {
	account := e.Meta.account()
	at := s
	for _, key := range account.levels() {
		at.bytes -= e.Bytes
		at.files--
		at = at.parts[key]
	}
	at.bytes -= e.Bytes
	at.files--
	at.entries = slices.DeleteFunc(at.entries, func(o *Entry) bool { return o == e })
}
