package client_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/replay"
)

// endless writes b again and again until the client closes the connection.
func endless(w io.Writer, b string) {
	b = strings.Repeat(b, 64<<10/len(b))
	for {
		if _, err := io.WriteString(w, b); err != nil {
			return
		}
	}
}

// TestEndlessAnswer asks servers whose answers have no end: memory has one, and so has the time.
func TestEndlessAnswer(t *testing.T) {
	for name, answer := range map[string]string{
		"one string": `{"recordings":[{"id":"` + "\x00x",
		"blanks":     "\x00 ",
	} {
		head, again, _ := strings.Cut(answer, "\x00")
		c := client.New(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, head)
			endless(w, again)
		})), client.Options{})
		start := time.Now()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := c.List(t.Context(), target.Filter{})
		runtime.ReadMemStats(&after)
		c.Close()
		if !errors.Is(err, client.ErrTooLong) {
			t.Errorf("%s: %v after %s", name, err, time.Since(start))
		}
		if grown := int64(after.Sys) - int64(before.Sys); grown > 600<<20 {
			t.Errorf("%s: %d MiB of memory were taken", name, grown>>20)
		}
	}
}

// TestLongList has an answer that is not too long, of more recordings than a node has.
func TestLongList(t *testing.T) {
	c := client.New(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"node":"n","recordings":[`+strings.Repeat("{},", 5<<20)+"{}]}")
	})), client.Options{})
	defer c.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.List(t.Context(), target.Filter{})
	runtime.ReadMemStats(&after)
	if !errors.Is(err, client.ErrTooLong) {
		t.Errorf("%v", err)
	}
	if grown := int64(after.Sys) - int64(before.Sys); grown > 400<<20 {
		t.Errorf("%d MiB of memory were taken", grown>>20)
	}
}

// TestEndlessHead has an answer whose head has no end.
func TestEndlessHead(t *testing.T) {
	c := client.New(func(context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			// An answer that comes before its question is refused for that, and not for its length.
			if _, err := http.ReadRequest(bufio.NewReader(there)); err != nil {
				return
			}
			io.WriteString(there, "HTTP/1.1 200 OK\r\n")
			endless(there, "X: "+strings.Repeat("x", 4000)+"\r\n")
		}()
		return here, nil
	}, client.Options{})
	defer c.Close()
	if _, err := c.List(t.Context(), target.Filter{}); err == nil || !strings.Contains(err.Error(), "header") {
		t.Errorf("%v", err)
	}
}

// TestEndlessDump serves a dump without an end to a client that did not ask to follow.
func TestEndlessDump(t *testing.T) {
	frame := string(dump.AppendFrame(nil, 'Z', make([]byte, 60<<10))) // of an unknown type: left out
	c := client.New(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { endless(w, frame) })), client.Options{})
	defer c.Close()
	body, err := c.Dump(t.Context(), "x", target.Selector{}, replay.Query{Format: replay.FormatRaw})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	n, err := io.Copy(io.Discard, body)
	if !errors.Is(err, client.ErrTooLong) || n != 512<<20 {
		t.Errorf("%d MiB, %v", n>>20, err)
	}
}

// FuzzAnswers lets a server answer anything.
func FuzzAnswers(f *testing.F) {
	f.Add(200, "", "", []byte(`{"node":"n","recordings":[{"id":"a","coverage":{"from":"2026-11-22T12:00:00Z"}}]}`))
	f.Add(429, "", "", []byte(`{"error":{"code":"too_many","message":"m"}}`))
	f.Add(200, "zstd", "v1", []byte("\x28\xb5\x2f\xfd\x04\x00\x09\x00\x00abc"))
	f.Add(204, "gzip", "v9.9", []byte{})
	var answer http.HandlerFunc
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	f.Cleanup(srv.Close)
	c := client.New(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", srv.Listener.Addr().String())
	}, client.Options{Version: "v1.0", Compress: true, Warn: func(string) {}})
	f.Cleanup(c.Close)
	f.Fuzz(func(t *testing.T, status int, encoding, version string, body []byte) {
		if status < 200 || status > 599 {
			status = 200
		}
		answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", encoding)
			w.Header().Set(api.VersionHeader, version)
			w.WriteHeader(status)
			w.Write(body)
		}
		ctx := t.Context()
		list, err := c.List(ctx, target.Filter{})
		if err == nil && status/100 != 2 {
			t.Errorf("status %d is a success: %+v", status, list)
		}
		_, _ = c.Get(ctx, "x", target.Selector{})
		_, _ = c.Status(ctx)
		if r, err := c.Dump(ctx, "x", target.Selector{}, replay.Query{Format: replay.FormatRaw}); err == nil {
			if d, err := dump.NewReader(r); err == nil {
				_, _ = replay.Run(io.Discard, d, replay.Options{})
			}
			r.Close()
		}
	})
}
