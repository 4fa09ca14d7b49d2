package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/server/servertest"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/replay"
)

// serve serves a backend on a socket of its own, as recorderd does.
func serve(t *testing.T, b Backend, o Options) (socket string, c *http.Client) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	ln, err := Listen(socket, "")
	if err != nil {
		t.Fatal(err)
	}
	if o.Log == nil {
		o.Log = quiet()
	}
	srv := HTTP(New(b, o), o.Log)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return socket, &http.Client{Transport: tr}
}

// TestBreakOff catches a dump that ends early and looks as if it were whole.
func TestBreakOff(t *testing.T) {
	b := servertest.New()
	whole := servertest.Dump(b.Recordings()[3])
	b.Stream = func(_ context.Context, _ string, q replay.Query, w io.Writer) error {
		if _, err := w.Write(whole[:len(whole)-60]); err != nil {
			return err
		}
		return errors.New("the ring is gone")
	}
	_, c := serve(t, b, Options{})
	for _, format := range []string{"raw", "text", "strace", "json"} {
		resp, err := c.Get("http://recorderd/v1/recordings/worker/dump?follow=true&format=" + format)
		if err != nil {
			if !errors.Is(err, io.EOF) { // nothing was flushed before
				t.Errorf("%s: %v", format, err)
			}
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		switch {
		case resp.StatusCode == http.StatusInternalServerError && strings.Contains(string(body), "the ring is gone"):
			// nothing had been sent
		case !errors.Is(err, io.ErrUnexpectedEOF):
			t.Errorf("%s: read %d %q, %v", format, resp.StatusCode, body, err)
		}
	}
}

// TestPanicOnTheWay catches a daemon that dies of a backend's bug, and a client
// that does not hear of it.
func TestPanicOnTheWay(t *testing.T) {
	var log syncBuffer
	b := servertest.New()
	b.Stream = func(_ context.Context, _ string, q replay.Query, w io.Writer) error {
		w.Write(servertest.Dump(b.Recordings()[3])[:500])
		panic("out of range")
	}
	_, c := serve(t, b, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, format := range []string{"raw", "text"} {
		resp, err := c.Get("http://recorderd/v1/recordings/worker/dump?format=" + format)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusInternalServerError {
				err = io.ErrUnexpectedEOF
			}
		}
		if err == nil {
			t.Errorf("%s: no error", format)
		}
	}
	resp, err := c.Get("http://recorderd/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if s := log.String(); !strings.Contains(s, "out of range") || !strings.Contains(s, "stream_test.go") {
		t.Errorf("no stack in the log: %s", s)
	}
}

// TestStalledClient catches a client that does not read and so holds a snapshot.
func TestStalledClient(t *testing.T) {
	for _, format := range []string{"raw", "text"} {
		b := servertest.New()
		ended := make(chan error, 1)
		b.Stream = func(ctx context.Context, _ string, q replay.Query, w io.Writer) error {
			var err error
			dw := dump.NewWriter(w)
			for err == nil { // more than any socket buffers
				err = dw.Header(servertest.Header(b.Recordings()[0]))
			}
			ended <- err
			return err
		}
		if format == "text" {
			b.Stream = func(ctx context.Context, _ string, q replay.Query, w io.Writer) error {
				raw := servertest.Dump(b.Recordings()[0])
				frames, end := raw[:len(raw)-60], error(nil)
				_, end = w.Write(frames[:12])
				for end == nil {
					_, end = w.Write(mainFrames(t, raw))
				}
				ended <- end
				return end
			}
		}
		socket, _ := serve(t, b, Options{WriteTimeout: 200 * time.Millisecond, MaxDumps: 1})
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /v1/recordings/worker/dump?format=%s HTTP/1.1\r\nHost: recorderd\r\n\r\n", format)
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: the backend has seen no error", format)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the dump goes on for a client that does not read", format)
		}
	}
}

// mainFrames returns the frames of a dump between its preamble and its end.
func mainFrames(t *testing.T, raw []byte) []byte {
	var b bytes.Buffer
	w := dump.NewWriter(&b)
	d, err := dump.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Error(err)
	}
	for {
		f, err := d.Next()
		if err != nil {
			return b.Bytes()[12:]
		}
		switch f.Type {
		case dump.FrameHeader:
			if err := w.Header(d.Header()); err != nil {
				t.Error(err)
			}
		case dump.FrameMain:
			for rec := range f.Records() {
				for range 1000 {
					if err := w.Record(f.Type, rec); err != nil {
						t.Error(err)
					}
				}
			}
			if err := w.Flush(); err != nil {
				t.Error(err)
			}
		case dump.FrameTasks, dump.FrameGuard, dump.FrameProgress, dump.FrameDamage, dump.FrameOpen, dump.FrameEnd:
		}
	}
}

// TestClientGoesAway catches a followed dump that outlives its reader.
func TestClientGoesAway(t *testing.T) {
	for _, format := range []string{"raw", "json"} {
		b := servertest.New()
		begun, ended := make(chan bool, 1), make(chan error, 1)
		b.Stream = func(ctx context.Context, _ string, q replay.Query, w io.Writer) error {
			if !q.Follow {
				t.Error("follow is lost")
			}
			raw := servertest.Dump(b.Recordings()[0])
			w.Write(raw[:12])
			w.Write(mainFrames(t, raw))
			begun <- true
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}
		_, c := serve(t, b, Options{})
		ctx, cancel := context.WithCancel(context.Background())
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://recorderd/v1/recordings/worker/dump?follow=true&format="+format, nil)
		go func() {
			<-begun
			cancel()
		}()
		if resp, err := c.Do(req); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the dump goes on", format)
		}
	}
}

// TestParallelDumps catches more snapshots at a time than memory was planned for, and
// dumps that go on and so keep others out.
func TestParallelDumps(t *testing.T) {
	for _, follow := range []string{"", "&follow=true"} {
		b := servertest.New()
		release := make(chan struct{})
		var first atomic.Int32
		b.Stream = func(ctx context.Context, id string, q replay.Query, w io.Writer) error {
			raw := servertest.Dump(b.Recordings()[3])
			if _, err := w.Write(raw); err != nil {
				return err
			}
			if first.Add(1) <= 2 { // the others are not to wait
				select {
				case <-release:
				case <-ctx.Done():
				}
			}
			return nil
		}
		_, c := serve(t, b, Options{MaxDumps: 2, MaxFollows: 2})
		get := func(query string) *http.Response {
			resp, err := c.Get("http://recorderd/v1/recordings/worker/dump?format=raw" + query)
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		var wg sync.WaitGroup
		for range 2 {
			started := first.Load()
			wg.Go(func() {
				resp, err := c.Get("http://recorderd/v1/recordings/worker/dump?format=raw" + follow)
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				if _, err := io.ReadAll(resp.Body); err != nil {
					t.Error(err)
				}
			})
			for deadline := time.Now().Add(10 * time.Second); first.Load() == started; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the dump does not begin")
				}
			}
		}
		resp := get(follow)
		var e api.ErrorBody
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 429 || e.Error.Code != api.CodeTooMany || resp.Header.Get("Retry-After") == "" {
			t.Errorf("the third: %d %+v", resp.StatusCode, e)
		}
		if follow != "" {
			resp := get("")
			io.Copy(io.Discard, resp.Body)
			if resp.Body.Close(); resp.StatusCode != 200 {
				t.Errorf("one that ends, beside two that go on: %d", resp.StatusCode)
			}
		}
		close(release)
		wg.Wait()
		// A place is free as soon as the handler has returned.
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			resp := get(follow)
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == 200 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("no place gets free")
			}
		}
	}
}

// TestFollowIsFlushed catches live lines that wait in a buffer.
func TestFollowIsFlushed(t *testing.T) {
	for _, format := range []string{"raw", "text", "json"} {
		b := servertest.New()
		goOn := make(chan bool)
		b.Stream = func(ctx context.Context, _ string, q replay.Query, w io.Writer) error {
			raw := servertest.Dump(b.Recordings()[3])
			w.Write(raw[:12])
			frames := mainFrames(t, raw)
			w.Write(frames)
			w.Write(frames) // its header says that what comes now is new
			<-goOn
			return nil
		}
		_, c := serve(t, b, Options{})
		resp, err := c.Get("http://recorderd/v1/recordings/worker/dump?follow=true&format=" + format)
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(bufio.NewReader(resp.Body), make([]byte, 300))
			got <- err
		}()
		select {
		case err := <-got:
			if err != nil {
				t.Errorf("%s: %v", format, err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: nothing comes", format)
		}
		close(goOn)
		resp.Body.Close()
	}
}

// TestLog catches an access that nobody can trace to who made it.
func TestLog(t *testing.T) {
	var log syncBuffer
	_, c := serve(t, servertest.New(), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, do := range [][2]string{{"GET", "/dump?format=raw"}, {"POST", "/freeze"}, {"POST", "/resume"}, {"DELETE", "?previous=1"}} {
		req, _ := http.NewRequest(do[0], "http://recorderd/v1/recordings/app"+do[1], nil)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			t.Errorf("%s: %d", do, resp.StatusCode)
		}
	}
	for _, what := range []string{"dump", "freeze", "resume", "delete"} {
		want := fmt.Sprintf("msg=%s recording=", what)
		peer := fmt.Sprintf("peer.pid=%d peer.uid=%d", os.Getpid(), os.Getuid())
		found := false
		for line := range strings.Lines(log.String()) {
			found = found || strings.Contains(line, want) && strings.Contains(line, peer)
		}
		if !found {
			t.Errorf("no %s with %s in\n%s", want, peer, log.String())
		}
	}
}

// TestMetricNames catches names and units that Prometheus' users do not expect.
func TestMetricNames(t *testing.T) {
	b := servertest.New()
	b.Info.Runtimes = append(b.Info.Runtimes, b.Info.Runtimes[0], api.RuntimeInfo{Name: "cri-o\xff"})
	m := newMetrics(b.Status)
	m.dumps.WithLabelValues("raw", "ok").Inc()
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
