package server

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/recorderd/recorderd/api"
)

// Lists and the status take the backend's lock for as long as there is to look at. Users
// other than root who ask at about the same time have one answer together, so that they
// cannot hold it all the time.

const (
	// shareFor is how long an answer is given again, and shareTimes the least time for it
	// in times of what it took.
	shareFor   = 200 * time.Millisecond
	shareTimes = 3
)

// shared is an answer that several have together.
type shared[T any] struct {
	ask func(context.Context) (T, error)

	mu   sync.Mutex
	last *answer[T]
}

type answer[T any] struct {
	done  chan struct{} // closed: the rest is there
	value T
	err   error
	until time.Time // it is given again
}

// get returns the last answer, the one that is being made, or a new one.
func (s *shared[T]) get(ctx context.Context) (T, error) {
	s.mu.Lock()
	a := s.last
	if a == nil || a.over(time.Now()) {
		a = &answer[T]{done: make(chan struct{})}
		s.last = a
		go a.make(context.WithoutCancel(ctx), s.ask)
	}
	s.mu.Unlock()
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// over reports whether another answer is to be made.
func (a *answer[T]) over(now time.Time) bool {
	select {
	case <-a.done:
		return !now.Before(a.until)
	default:
		return false
	}
}

func (a *answer[T]) make(ctx context.Context, ask func(context.Context) (T, error)) {
	began := time.Now()
	a.err = safely(func() (err error) {
		a.value, err = ask(ctx)
		return err
	})
	now := time.Now()
	a.until = now.Add(max(shareFor, shareTimes*now.Sub(began)))
	close(a.done)
}

// recordings lists all recordings: as they are now for root, as they were a moment ago for
// others. The list is the caller's.
func (s *server) recordings(r *http.Request) ([]api.Recording, error) {
	if p, known := PeerFrom(r.Context()); !known || p.root() {
		return s.backend.List(r.Context())
	}
	recs, err := s.lists.get(r.Context())
	return slices.Clone(recs), err
}

// activity is the same for the activity. The map is not the caller's.
func (s *server) activity(r *http.Request) (map[string]api.Activity, error) {
	if p, known := PeerFrom(r.Context()); !known || p.root() {
		return s.backend.Activity(r.Context())
	}
	return s.activities.get(r.Context())
}

// backendStatus is the same for the status.
func (s *server) backendStatus(r *http.Request) (api.Status, error) {
	if p, known := PeerFrom(r.Context()); !known || p.root() {
		return s.backend.Status(r.Context())
	}
	return s.statuses.get(r.Context())
}
