package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/server"
	"github.com/recorderd/recorderd/api/server/servertest"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/replay"
)

func serve(t *testing.T, h http.Handler) client.Dialer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Listener.Close()
	srv.Listener = ln
	srv.Start()
	t.Cleanup(srv.Close)
	return client.Unix(path)
}

func recorder(b server.Backend) http.Handler {
	return server.New(b, server.Options{Version: "v1.2.3", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

// TestCalls makes each call against a real server.
func TestCalls(t *testing.T) {
	ctx := context.Background()
	b := servertest.New()
	c := client.New(serve(t, recorder(b)), client.Options{})
	defer c.Close()
	list, err := c.List(ctx, target.Filter{Namespace: "shop", States: []api.State{api.StateLive}})
	if err != nil || len(list.Recordings) != 2 || list.Node != "node1" {
		t.Errorf("list: %+v, %v", list, err)
	}
	// A target goes through the URL whatever is in it.
	rec, err := c.Get(ctx, "pod/web-0", target.Selector{Container: "app", Previous: true})
	if err != nil || rec.ID != servertest.Crashed {
		t.Errorf("get: %s, %v", rec.ID, err)
	}
	for _, odd := range []string{"..", ".", "a?b=c#d", "50%", "ä/ö", "/", "a b\n"} {
		var e *api.Error
		if _, err := c.Get(ctx, odd, target.Selector{}); !errors.As(err, &e) || e.Code != api.CodeNotFound || e.Status != 404 {
			t.Errorf("get %q: %v", odd, err)
		}
	}
	var e *api.Error
	if _, err := c.Get(ctx, "", target.Selector{}); !errors.As(err, &e) || e.Code != api.CodeBadRequest {
		t.Errorf("get nothing: %v", err)
	}
	if _, err := c.Get(ctx, "web-0", target.Selector{}); !errors.As(err, &e) || e.Code != api.CodeAmbiguous || len(e.Matches) != 3 {
		t.Errorf("get one of several: %v", err)
	}
	if rec, err := c.Save(ctx, "app", target.Selector{}); err != nil || rec.ID != servertest.Web+"-1" || rec.Spool == nil {
		t.Errorf("save: %+v, %v", rec, err)
	}
	if rec, err := c.Freeze(ctx, "app", target.Selector{}); err != nil || rec.ID != servertest.Web || !rec.Frozen {
		t.Errorf("freeze: %+v, %v", rec, err)
	}
	if rec, err := c.Resume(ctx, "app", target.Selector{}); err != nil || rec.ID != servertest.Web || rec.Frozen {
		t.Errorf("resume: %+v, %v", rec, err)
	}
	if err := c.Ready(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Delete(ctx, "app", target.Selector{}); !errors.As(err, &e) || e.Code != api.CodeConflict {
		t.Errorf("delete: %v", err)
	}
	if st, err := c.Status(ctx); err != nil || st.Version != "v1.2.3" {
		t.Errorf("status: %+v, %v", st, err)
	}
	body, err := c.Dump(ctx, "worker", target.Selector{}, replay.Query{Format: replay.FormatRaw})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	d, err := dump.NewReader(body)
	for err == nil {
		_, err = d.Next()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("dump: %v", err)
	}
}

// TestUnreachable catches an error that leaves a user alone.
func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "is it running? (systemctl status recorderd)",
		stale:                      "is it running?",
		filepath.Join(dir, strings.Repeat("long", 100)): "is not a socket of recorderd: invalid argument",
	} {
		_, err := client.New(client.Unix(path), client.Options{}).Status(context.Background())
		var un *client.UnreachableError
		if !errors.As(err, &un) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "http:") {
			t.Errorf("%s: %v", path, err)
		}
	}
	denied := &client.UnreachableError{Addr: "/run/s", Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", os.ErrPermission)}}
	if got := denied.Error(); got != "no permission to use /run/s: run as root" {
		t.Error(got)
	}
}

// TestStrangers catches a client that takes everything for an answer.
func TestStrangers(t *testing.T) {
	cases := map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"web server": {func(w http.ResponseWriter, r *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }, "502 Bad Gateway, and not one of recorderd"},
		"redirect":   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://evil/", http.StatusFound) }, "302 Found"},
		"no JSON":    {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }, "read the answer of recorderd: invalid character"},
		"cut short":  {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"version":`) }, "closed the connection"},
		"broken off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "closed the connection"},
		"slow":       {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "has not answered for 100ms"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cl := client.New(serve(t, c.answer), client.Options{Timeout: 100 * time.Millisecond})
			defer cl.Close()
			_, err := cl.Status(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "http:") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestSkew catches a missing warning, and one for each request.
func TestSkew(t *testing.T) {
	for version, want := range map[string]int{
		"v1.2.3": 0, "v1.2.9": 0, "1.2.0": 0, "v1.3.0": 1, "v2.2.3": 1, "(devel)": 0, "": 0, "v0.0.0-20260101000000-abcdef": 0,
	} {
		var said []string
		c := client.New(serve(t, recorder(servertest.New())), client.Options{Version: version, Warn: func(m string) { said = append(said, m) }})
		for range 3 {
			if err := c.Ready(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		if len(said) != want {
			t.Errorf("%s: %q", version, said)
		}
	}
}

// TestBrokenDump catches a dump that ends early and looks whole.
func TestBrokenDump(t *testing.T) {
	b := servertest.New()
	b.Stream = func(_ context.Context, _ string, _ replay.Query, w io.Writer) error {
		whole := servertest.Dump(b.Recordings()[0])
		w.Write(whole[:len(whole)/2])
		return errors.New("gone")
	}
	c := client.New(serve(t, recorder(b)), client.Options{})
	defer c.Close()
	body, err := c.Dump(context.Background(), "worker", target.Selector{}, replay.Query{Format: replay.FormatRaw, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.ReadAll(body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read: %v", err)
	}
}

// TestCompressed: what was compressed on its way is the same, and seen to be cut.
func TestCompressed(t *testing.T) {
	b := servertest.New()
	whole := bytes.Repeat(servertest.Dump(b.Recordings()[0]), 5000)
	if len(whole) < 4<<20 {
		t.Fatalf("a dump of %d bytes is no test", len(whole))
	}
	cut := false
	b.Stream = func(_ context.Context, _ string, _ replay.Query, w io.Writer) error {
		for rest := whole; len(rest) > 0; {
			n, err := w.Write(rest[:min(len(rest), 100_000)])
			if err != nil {
				return err
			}
			rest = rest[n:]
			if cut && len(rest) < len(whole)/4 {
				return errors.New("gone")
			}
		}
		return nil
	}
	dial := serve(t, recorder(b))
	get := func(compress bool, q replay.Query) (body []byte, wire int64, err error) {
		t.Helper()
		var n atomic.Int64
		c := client.New(func(ctx context.Context) (net.Conn, error) {
			conn, err := dial(ctx)
			return &counted{conn, &n}, err
		}, client.Options{Compress: compress})
		defer c.Close()
		q.Format = replay.FormatRaw
		r, err := c.Dump(context.Background(), "worker", target.Selector{}, q)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		body, err = io.ReadAll(r)
		return body, n.Load(), err
	}
	for _, compress := range []bool{false, true} {
		body, wire, err := get(compress, replay.Query{})
		if err != nil || !bytes.Equal(body, whole) {
			t.Errorf("compressed %v: %d bytes of %d, %v", compress, len(body), len(whole), err)
		}
		if (wire < int64(len(whole))/2) != compress {
			t.Errorf("compressed %v: %d bytes for %d", compress, wire, len(whole))
		}
	}
	// What goes on is sent as it comes.
	if body, wire, err := get(true, replay.Query{Follow: true}); err != nil || len(body) != len(whole) || wire < int64(len(whole)) {
		t.Errorf("follow: %d bytes for %d of %d, %v", wire, len(body), len(whole), err)
	}
	cut = true
	rand.NewChaCha8([32]byte{}).Read(whole) // it does not become small: some of it is sent
	if body, _, err := get(true, replay.Query{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut after %d bytes: %v", len(body), err)
	}
}

// counted counts what comes over a connection.
type counted struct {
	net.Conn
	n *atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// TestChangedWithoutAWord catches a change that passes for one that went wrong because an earlier
// recorderd answers it with nothing.
func TestChangedWithoutAWord(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer srv.Close()
	c := client.New(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", srv.Listener.Addr().String())
	}, client.Options{})
	defer c.Close()
	if rec, err := c.Save(t.Context(), "app", target.Selector{}); err != nil || rec.ID != "" {
		t.Errorf("%+v, %v", rec, err)
	}
}
