package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api/server/servertest"
)

// TestCloseWaits catches a request that uses the recorder after it was closed: what
// breaks a connection off does not wait for it.
func TestCloseWaits(t *testing.T) {
	b := servertest.New()
	var using atomic.Bool
	inside, released := make(chan struct{}), make(chan struct{})
	b.Before = func(ctx context.Context, method, _ string) error {
		if method != "Status" {
			return nil
		}
		using.Store(true)
		defer using.Store(false)
		close(inside)
		<-ctx.Done()
		<-released
		return ctx.Err()
	}
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := Listen(socket, "")
	if err != nil {
		t.Fatal(err)
	}
	h := New(b, Options{Log: quiet()})
	srv := HTTP(h, quiet())
	go srv.Serve(ln)
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer tr.CloseIdleConnections()
	go func() {
		if res, err := (&http.Client{Transport: tr}).Get("http://recorderd/v1/status"); err == nil {
			res.Body.Close()
		}
	}()
	<-inside
	srv.Close()
	if !using.Load() {
		t.Fatal("the request has ended: this test tests nothing")
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := h.Close(short); !errors.Is(err, context.DeadlineExceeded) || !using.Load() {
		t.Errorf("%v with a request under way, want that the time is over", err)
	}
	close(released)
	if err := h.Close(t.Context()); err != nil || using.Load() {
		t.Errorf("%v, and the request is under way: %v", err, using.Load())
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "http://recorderd/v1/status", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("a request after the end gets %d %s", w.Code, w.Body)
	}
}

// TestCloseCancels catches a request that goes on as long as its client stays.
func TestCloseCancels(t *testing.T) {
	b := servertest.New()
	inside := make(chan struct{})
	b.Before = func(ctx context.Context, method, _ string) error {
		if method != "Status" {
			return nil
		}
		close(inside)
		<-ctx.Done()
		return ctx.Err()
	}
	h := New(b, Options{Log: quiet()})
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://recorderd/v1/status", nil))
	}()
	<-inside
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	<-answered
}

// TestSlowSaveIsAnswered catches an answer that is lost because the work took longer
// than a client may take to read it.
func TestSlowSaveIsAnswered(t *testing.T) {
	b := servertest.New()
	b.Before = func(_ context.Context, method, _ string) error {
		if method == "Save" {
			time.Sleep(300 * time.Millisecond) // a slow disk
		}
		return nil
	}
	_, c := serve(t, b, Options{WriteTimeout: 100 * time.Millisecond})
	for _, path := range []string{servertest.Worker, "worker"} {
		res, err := c.Post("http://recorderd/v1/recordings/"+path+"/save", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("the answer is %s", res.Status)
		}
	}
}
