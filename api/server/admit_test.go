package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/server/servertest"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/replay"
)

// TestWhoMayAsk catches a user who gets through to recordings without right, by the
// socket's mode having been changed, and refusals that nobody hears of. It needs root.
func TestWhoMayAsk(t *testing.T) {
	const group = 54321
	for _, tc := range []struct {
		name   string
		groups []uint32 // that may
		cred   syscall.Credential
		want   int
		say    string
	}{
		{"root", nil, syscall.Credential{}, 200, ""},
		{"root in some group", nil, syscall.Credential{Gid: 4}, 200, ""},
		{"a user", nil, syscall.Credential{Uid: 65534, Gid: 65534}, 403, "user 65534 may not use this socket: only root may"},
		{"a user in root's group", nil, syscall.Credential{Uid: 65534, Gid: 0}, 403, "only root may"},
		{"by primary group", []uint32{group}, syscall.Credential{Uid: 65534, Gid: group}, 200, ""},
		{"by another group", []uint32{group}, syscall.Credential{Uid: 65534, Gid: 65534, Groups: []uint32{7, group, 9}}, 200, ""},
		{"in other groups", []uint32{group}, syscall.Credential{Uid: 65534, Gid: 65534, Groups: []uint32{7, 9}}, 403, "members of group 54321"},
		{"in very many groups", []uint32{group}, syscall.Credential{Uid: 65534, Gid: 65534, Groups: append(manyGroups(300), group)}, 200, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log syncBuffer
			socket := everybodys(t, HTTP(New(servertest.New(), Options{Log: quiet()}), slog.New(slog.NewTextHandler(&log, nil)), tc.groups...))
			cmd := exec.Command("curl", "-sS", "-w", "\n%{http_code}", "--unix-socket", socket, "http://recorderd/v1/recordings")
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &tc.cred}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			body, status, _ := strings.Cut(string(out), "\n")
			if strings.TrimSpace(status) != fmt.Sprint(tc.want) {
				t.Fatalf("status %s, want %d: %s", status, tc.want, body)
			}
			if tc.want == 200 {
				return
			}
			var e api.ErrorBody
			if err := json.Unmarshal([]byte(body), &e); err != nil || e.Error.Code != api.CodeForbidden || !strings.Contains(e.Error.Message, tc.say) {
				t.Errorf("got %s, want %q", body, tc.say)
			}
			for _, want := range []string{"level=WARN msg=refused", "method=GET", `path="\"/v1/recordings\""`, "peer.uid=65534", "peer.comm=curl", "curl\n"} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log lacks %q: %s", want, log.String())
				}
			}
		})
	}
}

func manyGroups(n int) []uint32 {
	var g []uint32
	for i := range n {
		g = append(g, uint32(1000+i))
	}
	return g
}

// everybodys serves on a socket that everybody can connect to.
func everybodys(t *testing.T, srv *http.Server) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "recorderd-servertest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	ln, err := Listen(socket, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(socket, 0o666)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return socket
}

// TestNoCredentials catches a request that comes by another way than the socket.
func TestNoCredentials(t *testing.T) {
	srv := HTTP(New(servertest.New(), Options{Log: quiet()}), quiet())
	w := httptest.NewRecorder()
	srv.Handler.ServeHTTP(w, get("/v1/recordings"))
	if w.Code != 403 || !strings.Contains(w.Body.String(), "who asks is not known") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestFailedChangesAreLogged catches an attempt to delete that leaves no trace.
func TestFailedChangesAreLogged(t *testing.T) {
	var log syncBuffer
	_, c := serve(t, servertest.New(), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	req, _ := http.NewRequest("DELETE", "http://recorderd/v1/recordings/"+servertest.Web, nil)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 409 || !strings.Contains(log.String(), "msg=delete recording="+servertest.Web) || !strings.Contains(log.String(), "is live") {
		t.Errorf("%d, log: %s", resp.StatusCode, log.String())
	}
}

// fakeConn is a connection of a user.
type fakeConn struct {
	net.Conn
	uid uint32
}

func (fakeConn) Close() error { return nil }

type fakeListener struct{ conns chan net.Conn }

func (l fakeListener) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (fakeListener) Close() error   { return nil }
func (fakeListener) Addr() net.Addr { return nil }

// TestPlaces catches a user who takes all connections for himself, and places that
// are not given back.
func TestPlaces(t *testing.T) {
	for round := range 3 {
		conns := make(chan net.Conn, 1000)
		l := limit(fakeListener{conns}, 16, 5)
		l.peer = func(c net.Conn) (Peer, bool) { return Peer{UID: c.(fakeConn).uid}, true }
		for _, uid := range []uint32{1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0} {
			conns <- fakeConn{uid: uid}
		}
		close(conns)
		got := map[uint32]int{}
		var open []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			got[c.(*limitedConn).Conn.(fakeConn).uid]++
			open = append(open, c)
		}
		// 5 each, 12 of users together, and the rest is root's.
		if got[1] != 5 || got[2] != 5 || got[3] != 2 || got[0] != 4 {
			t.Errorf("round %d: places %v", round, got)
		}
		for _, c := range open {
			c.Close()
			c.Close() // once is meant
		}
		if l.all != 0 || l.others != 0 || len(l.byUser) != 0 {
			t.Errorf("not given back: %d, %d, %v", l.all, l.others, l.byUser)
		}
	}
}

// TestStallingClients catches clients that hold memory, dumps or connections by doing
// nothing: a thousand of them, that never send a request, send it byte by byte, never
// read, or read a byte now and then. All are got rid of, and meanwhile memory is bounded.
func TestStallingClients(t *testing.T) {
	const clients, timeout = 1000, 700 * time.Millisecond
	b := servertest.New()
	big := bigDump(t, b)
	b.Stream = func(_ context.Context, _ string, _ replay.Query, w io.Writer) error {
		raw := append([]byte(nil), big...) // a snapshot of its own
		_, err := w.Write(raw)
		return err
	}
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := Listen(socket, "")
	if err != nil {
		t.Fatal(err)
	}
	srv := HTTP(New(b, Options{Log: quiet(), WriteTimeout: timeout}), quiet())
	srv.ReadHeaderTimeout, srv.IdleTimeout = timeout, timeout
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })

	goroutines := runtime.NumGoroutine()
	before := heap()
	var wg sync.WaitGroup
	var mu sync.Mutex
	gone := 0
	start := time.Now()
	slots := make(chan struct{}, 400)
	for i := range clients {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c, err := net.Dial("unix", socket)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			request := "GET /v1/recordings/" + servertest.Worker + "/dump?format=raw HTTP/1.1\r\nHost: recorderd\r\n\r\n"
			end := time.Now().Add(20 * time.Second)
			_ = c.SetDeadline(end)
			switch i % 4 {
			case 0: // nothing at all
				_, _ = c.Read(make([]byte, 1))
			case 1: // byte by byte
				for j := 0; err == nil; j = (j + 1) % (len(request) - 4) {
					_, err = c.Write([]byte{request[j]})
					time.Sleep(30 * time.Millisecond)
				}
			default: // a dump that is not read, or slowly
				fmt.Fprint(c, request)
				for err == nil {
					time.Sleep(50 * time.Millisecond)
					if i%4 == 3 {
						_, err = c.Read(make([]byte, 1))
					}
					if err == nil {
						_, err = c.Write([]byte("\r\n")) // is it still there? What it sent last may be unread.
					}
				}
			}
			if time.Now().Before(end) {
				mu.Lock()
				gone++
				mu.Unlock()
			}
		})
	}
	most := uint64(0)
	finished := make(chan bool)
	go func() { wg.Wait(); close(finished) }()
	for running := true; running; {
		most = max(most, heap())
		select {
		case <-finished:
			running = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	// 8 dumps of 4 MiB at a time, and 256 connections.
	t.Logf("%d stalling clients were got rid of in %.1f s; memory grew by %.1f MiB at most", gone, time.Since(start).Seconds(), float64(most-before)/(1<<20))
	if gone != clients {
		t.Errorf("%d of %d clients could stay", clients-gone, clients)
	}
	if most > before+(64<<20) {
		t.Errorf("memory grew by %d MiB", (most-before)>>20)
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines+3; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines are left, before there were %d", runtime.NumGoroutine(), goroutines)
		}
	}
	if left := heap(); left > before+(8<<20) {
		t.Errorf("%d MiB are left", (left-before)>>20)
	}
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer c.CloseIdleConnections()
	resp, err := c.Get("http://recorderd/v1/recordings/" + servertest.Worker + "/dump?format=raw")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 || n != int64(len(big)) {
		t.Errorf("afterwards a dump is answered with %d, %d bytes, %v", resp.StatusCode, n, err)
	}
}

// heap is what is in use, after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// bigDump is a dump of 4 MiB.
func bigDump(t *testing.T, b *servertest.Backend) []byte {
	t.Helper()
	var out writer
	w := dump.NewWriter(&out)
	for len(out) < 4<<20 {
		if err := w.Header(servertest.Header(b.Recordings()[0])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

type writer []byte

func (w *writer) Write(b []byte) (int, error) {
	*w = append(*w, b...)
	return len(b), nil
}

// slowly is an answer whose reader takes 30 ms for each piece.
type slowly struct {
	http.ResponseWriter
	left time.Duration // until the deadline, when it was set
}

func (w *slowly) SetWriteDeadline(t time.Time) error { w.left = time.Until(t); return nil }
func (w *slowly) Write(b []byte) (int, error) {
	time.Sleep(30 * time.Millisecond)
	return len(b), nil
}

// TestSlowReader catches a client that reads just enough, piece by piece, not to be
// taken for one that does not read, and so holds a place and a copy of a ring for hours;
// and one that is let go although it is fast enough, or follows.
func TestSlowReader(t *testing.T) {
	const timeout = 3 * time.Second
	for _, tc := range []struct {
		name    string
		bounded bool
		written int64
		waited  time.Duration
		want    time.Duration
	}{
		{"first", true, 0, 0, timeout},
		{"slow from the start", true, 100, 2 * time.Second, time.Second},
		{"too slow", true, 2 * slowest, 6 * time.Second, -time.Second},
		{"just so", true, 100 * slowest, 100 * time.Second, timeout},
		{"fast", true, 100 * slowest, 10 * time.Second, timeout},
		{"followed", false, 100, time.Hour, timeout},
	} {
		w := &slowly{ResponseWriter: httptest.NewRecorder()}
		out := &stream{w: w, rc: http.NewResponseController(w), timeout: timeout, bounded: tc.bounded, written: tc.written, waited: tc.waited}
		if _, err := out.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if late := tc.want - w.left; late < -10*time.Millisecond || late > 500*time.Millisecond {
			t.Errorf("%s: it may take %v, want %v", tc.name, w.left, tc.want)
		}
		if out.waited < tc.waited+30*time.Millisecond {
			t.Errorf("%s: the wait is not counted: %v", tc.name, out.waited-tc.waited)
		}
	}
}
