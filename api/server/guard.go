package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/mux"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
)

// hosts are the names under which the API can be asked for. A web page that talks
// a browser into connecting here has another one in its request.
var hosts = map[string]bool{"": true, "recorderd": true, "localhost": true, "unix": true}

// guard is around everything: it refuses what no client of ours sends, and limits
// how long an answer can take.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(VersionHeader, s.Version)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		rc := http.NewResponseController(w)
		_ = rc.SetWriteDeadline(time.Now().Add(s.WriteTimeout))
		if err := check(r); err != nil {
			// What is left of the body is not waited for.
			_ = rc.SetReadDeadline(time.Now().Add(time.Second))
			w.Header().Set("Connection", "close")
			s.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func check(r *http.Request) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	switch {
	case !hosts[strings.ToLower(host)]:
		return api.Errorf(api.CodeForbidden, "host %s is not served here: use recorderd, localhost or unix", clip(r.Host))
	case r.Header.Get("Origin") != "":
		return api.Errorf(api.CodeForbidden, "requests of web pages are not served: leave out the header Origin")
	case r.ContentLength != 0:
		return api.Errorf(api.CodeBadRequest, "no request here has a body: leave it out")
	}
	return nil
}

// handle makes an http.Handler that answers errors and survives panics.
func (s *server) handle(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &tracker{ResponseWriter: w, timeout: s.WriteTimeout}
		err := safely(func() error { return h(t, r) })
		if err == nil {
			return
		}
		if t.begun {
			// The beginning is on its way: only a broken connection tells the client.
			s.logError(r, err)
			panic(http.ErrAbortHandler)
		}
		s.fail(t, r, err)
	})
}

// tracker knows whether an answer has begun. The client's time to read it begins with it:
// what was asked for may have waited for a disk.
type tracker struct {
	http.ResponseWriter
	timeout time.Duration
	begun   bool
}

func (t *tracker) begin() {
	if !t.begun {
		t.begun = true
		_ = http.NewResponseController(t.ResponseWriter).SetWriteDeadline(time.Now().Add(t.timeout))
	}
}

// WriteHeader begins the answer.
func (t *tracker) WriteHeader(status int) {
	t.begin()
	t.ResponseWriter.WriteHeader(status)
}

// Write begins or continues the answer.
func (t *tracker) Write(b []byte) (int, error) {
	t.begin()
	return t.ResponseWriter.Write(b)
}

// FlushError begins the answer and sends what there is of it.
func (t *tracker) FlushError() error {
	t.begin()
	return http.NewResponseController(t.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (t *tracker) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// panicError is a panic that was caught.
type panicError struct {
	value any
	stack []byte
}

// Error names what was panicked with.
func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// safely calls f and returns a panic of it as an error.
func safely(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return f()
}

// fail answers with an error.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var e *api.Error
	if !errors.As(err, &e) {
		s.logError(r, err)
		e = api.Errorf(api.CodeInternal, "internal error: recorderd's log has more")
		var p *panicError
		if !errors.As(err, &p) {
			e.Message = err.Error()
		}
	}
	status := e.Status
	if status == 0 {
		status = api.StatusOf(e.Code)
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	if err := writeJSON(w, status, api.ErrorBody{Error: *e}); err != nil {
		s.logError(r, err)
	}
}

// clientGone reports whether an error comes of a client that has left, or does not read.
func clientGone(r *http.Request, err error) bool {
	return err != nil && (r.Context().Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET))
}

func (s *server) logError(r *http.Request, err error) {
	level := slog.LevelError
	if clientGone(r, err) {
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", clip(r.URL.Path)), slog.Any("err", err), peerAttr(r.Context()),
	}
	var p *panicError
	if errors.As(err, &p) {
		level = slog.LevelError
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	s.Log.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attrs...)
}

// methodNotAllowed answers a known path with another method.
func (s *server) methodNotAllowed(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		var m mux.RouteMatch
		if s.router.Match(other, &m) && m.MatchErr == nil {
			allowed = append(allowed, method)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return api.Errorf(api.CodeMethodNotAllowed, "%s cannot be used here: use %s", clip(r.Method), strings.Join(allowed, " or "))
}

// find returns the recording that {id} means.
func (s *server) find(r *http.Request, sel target.Selector) (api.Recording, error) {
	id, err := url.PathUnescape(mux.Vars(r)["id"])
	if err != nil {
		return api.Recording{}, api.Errorf(api.CodeBadRequest, "target %s: %v", clip(mux.Vars(r)["id"]), err)
	}
	recs, err := s.recordings(r)
	if err != nil {
		return api.Recording{}, err
	}
	sel.WholeName = r.Method != http.MethodGet // what is typed in part is read, and never deleted
	rec, bad := target.Resolve(recs, id, sel)
	if bad != nil {
		return api.Recording{}, bad
	}
	return rec, nil
}
