package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/server/servertest"
)

// asks is a request of a user's.
func asks(uid uint32, path string) *http.Request {
	r := get(path)
	return r.WithContext(context.WithValue(r.Context(), peerKey{}, Peer{UID: uid, GID: 7}))
}

// TestRates catches a member of the socket's group who asks as fast as he can: the locks
// that he has taken are those that making rings takes, too.
func TestRates(t *testing.T) {
	var asked atomic.Int64
	srv := HTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }), quiet(), 7)
	storm := func(uid uint32, n int, d time.Duration) (served, refused int64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		before := asked.Load()
		var no atomic.Int64
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				for ctx.Err() == nil {
					w := httptest.NewRecorder()
					srv.Handler.ServeHTTP(w, asks(uid, "/v1/recordings").WithContext(context.WithValue(ctx, peerKey{}, Peer{UID: uid, GID: 7})))
					if w.Code == 429 {
						no.Add(1)
						if w.Header().Get("Retry-After") == "" {
							t.Error("it does not say when to come again")
						}
					}
				}
			})
		}
		wg.Wait()
		return asked.Load() - before, no.Load()
	}
	const d = time.Second
	if served, refused := storm(1000, 64, d); served < asksAtOnce || served > asksAtOnce+2*asksPerSecond || refused > 128 {
		t.Errorf("a user: %d were served and %d refused", served, refused)
	}
	if served, _ := storm(1001, 64, d); served < asksAtOnce/2 || served > asksAtOnce+2*asksPerSecond {
		t.Errorf("another user: %d were served", served)
	}
	if served, refused := storm(0, 2, d/4); served < 1000 || refused > 0 {
		t.Errorf("root: %d were served and %d refused", served, refused)
	}
}

// TestManyUsers catches memory that grows with those who ask.
func TestManyUsers(t *testing.T) {
	l := newRates(10, 4, rate.NewLimiter(rate.Inf, 1))
	for uid := range uint32(5 * maxUsers) {
		l.wait(&Peer{UID: uid + 1}, 0)
	}
	if n := len(l.byUser); n > maxUsers+1 {
		t.Errorf("%d users are remembered", n)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, ok := l.wait(&Peer{UID: 3}, 0); ok {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a user has to wait for others that are gone")
		}
	}
}

// TestOneUsersDumps catches a user who takes all dumps that are not root's.
func TestOneUsersDumps(t *testing.T) {
	l := newPlaces(8, 3)
	var leave []func()
	for _, step := range []struct {
		uid  uint32
		want int
	}{{1000, 3}, {1001, 3}, {1002, 0}, {0, 2}} {
		n := 0
		for range 10 {
			if done, ok := enter(asks(step.uid, "/"), l); ok {
				leave = append(leave, done)
				n++
			}
		}
		if n != step.want {
			t.Errorf("user %d has %d places, want %d", step.uid, n, step.want)
		}
	}
	for _, done := range leave {
		done()
	}
	if l.all != 0 || l.others != 0 || len(l.byUser) != 0 {
		t.Errorf("not given back: %d, %d, %v", l.all, l.others, l.byUser)
	}
}

// TestShared catches an answer that is made for each of those who ask at once, one that is
// given for too long, and an error or a panic that stays.
func TestShared(t *testing.T) {
	var made atomic.Int64
	var fail atomic.Bool
	goOn := make(chan struct{})
	s := shared[int]{ask: func(context.Context) (int, error) {
		n := made.Add(1)
		if n == 1 {
			<-goOn
		}
		if fail.Load() {
			panic("it fails")
		}
		return int(n), nil
	}}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if v, err := s.get(t.Context()); v != 1 || err != nil {
				t.Errorf("%d, %v", v, err)
			}
		})
	}
	left, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.get(left); !errors.Is(err, context.Canceled) {
		t.Errorf("who has left waits: %v", err)
	}
	close(goOn)
	wg.Wait()
	fail.Store(true)
	s.mu.Lock()
	s.last.until = time.Now()
	s.mu.Unlock()
	if _, err := s.get(t.Context()); err == nil {
		t.Error("no error")
	}
	fail.Store(false)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if v, err := s.get(t.Context()); err == nil && v > 2 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the error stays")
		}
	}
}

// TestListIsShared catches lists that others than root have made one by one, and changes
// that root does not see at once.
func TestListIsShared(t *testing.T) {
	b := &counting{Backend: servertest.New()}
	h := New(b, Options{Log: quiet()})
	list := func(uid uint32, path string) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, asks(uid, path))
		if w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for range 50 {
		list(1000, "/v1/recordings")
		list(1001, fmt.Sprint("/v1/recordings/", servertest.Worker))
	}
	if n := b.lists.Load(); n > 10 {
		t.Errorf("users had %d lists made", n)
	}
	if n := b.activities.Load(); n > 10 {
		t.Errorf("users had activity looked at %d times", n)
	}
	before := b.lists.Load()
	for range 5 {
		list(0, "/v1/recordings")
	}
	if n := b.lists.Load() - before; n != 5 {
		t.Errorf("root had %d lists made of 5", n)
	}
}

// TestActivityIsForLists catches a request about one recording, or about those that have ended,
// for which all rings are looked into.
func TestActivityIsForLists(t *testing.T) {
	const has = `"activity":{"failed":2,"blocked":1}`
	b := &counting{Backend: servertest.New()}
	h := New(b, Options{Log: quiet()})
	one := "/v1/recordings/" + servertest.Web
	for _, tc := range []struct {
		method, path string
		asked        int64
	}{
		{http.MethodGet, "/v1/recordings", 1}, {http.MethodGet, "/v1/recordings?container=app&state=live", 1}, {http.MethodGet, "/v1/recordings?state=ended", 0},
		{http.MethodGet, one, 0}, {http.MethodPost, one + "/freeze", 0}, {http.MethodPost, one + "/resume", 0}, {http.MethodPost, one + "/save", 0},
		{http.MethodGet, one + "/report", 0}, {http.MethodGet, one + "/dump", 0}, {http.MethodDelete, "/v1/recordings/" + servertest.Worker, 0},
	} {
		for _, uid := range []uint32{0, 1000} {
			if tc.method == http.MethodDelete && uid != 0 {
				continue // it is gone
			}
			before := b.activities.Load()
			r := asks(uid, tc.path)
			r.Method = tc.method
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			asked := b.activities.Load() - before
			if w.Code != http.StatusOK || strings.Contains(w.Body.String(), has) != (tc.asked > 0) {
				t.Errorf("%s %s of user %d: %d %s", tc.method, tc.path, uid, w.Code, w.Body)
			}
			if asked > tc.asked || uid == 0 && asked != tc.asked {
				t.Errorf("%s %s of user %d: activity was asked for %d times, want %d", tc.method, tc.path, uid, asked, tc.asked)
			}
		}
	}
}

// counting counts what is asked of a backend.
type counting struct {
	*servertest.Backend
	lists, activities atomic.Int64
}

func (c *counting) Activity(ctx context.Context) (map[string]api.Activity, error) {
	c.activities.Add(1)
	return c.Backend.Activity(ctx)
}

func (c *counting) List(ctx context.Context) ([]api.Recording, error) {
	c.lists.Add(1)
	return c.Backend.List(ctx)
}
