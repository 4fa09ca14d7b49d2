package server

import (
	"context"
	"net/http"
	"sync"

	"github.com/recorderd/recorderd/api"
)

// requests are those under way.
type requests struct {
	base   context.Context // of all of them
	cancel context.CancelFunc

	mu     sync.Mutex
	n      int
	closed bool
	ended  chan struct{} // closed: there is none, and none comes
}

func (q *requests) init() {
	q.base, q.cancel = context.WithCancel(context.Background())
	q.ended = make(chan struct{})
}

// enclose counts the requests that next gets, and ends their contexts with close.
func (s *server) enclose(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.requests.enter() {
			w.Header().Set("Connection", "close")
			s.fail(w, r, api.Errorf(api.CodeNotReady, "recorderd is ending"))
			return
		}
		defer s.requests.leave()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.requests.base, cancel)()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (q *requests) enter() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.n++
	return true
}

func (q *requests) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n--; q.n == 0 && q.closed {
		close(q.ended)
	}
}

func (q *requests) close(ctx context.Context) error {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		if q.n == 0 {
			close(q.ended)
		}
	}
	q.mu.Unlock()
	q.cancel()
	select {
	case <-q.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
