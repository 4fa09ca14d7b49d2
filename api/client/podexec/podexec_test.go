package podexec

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/recorder/replay"
)

// command is an executor whose command is a function.
type command func(ctx context.Context, in io.Reader, out, errs io.Writer) error

func (c command) Stream(o remotecommand.StreamOptions) error {
	return c.StreamWithContext(context.Background(), o)
}

func (c command) StreamWithContext(ctx context.Context, o remotecommand.StreamOptions) error {
	done := make(chan error, 1)
	go func() { done <- c(ctx, o.Stdin, o.Stdout, o.Stderr) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// greeted writes the greeting, then runs rest.
func greeted(rest command) command {
	return func(ctx context.Context, in io.Reader, out, errs io.Writer) error {
		if _, err := io.WriteString(out, Greeting); err != nil {
			return err
		}
		return rest(ctx, in, out, errs)
	}
}

// One exec carries request after request.
func TestKeepAlive(t *testing.T) {
	var execs atomic.Int32
	c := client.New(func(ctx context.Context) (net.Conn, error) {
		execs.Add(1)
		return dial(ctx, greeted(serve(`{"recordings":[]}`)), "node n")
	}, client.Options{})
	defer c.Close()
	for range 3 {
		if _, err := c.List(t.Context(), target.Filter{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := execs.Load(); n != 1 {
		t.Errorf("%d execs for 3 requests", n)
	}
}

// serve answers each request with the same JSON.
func serve(body string) command {
	return func(_ context.Context, in io.Reader, out, _ io.Writer) error {
		r := bufio.NewReader(in)
		for {
			req, err := http.ReadRequest(r)
			if errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			resp := &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Request: req, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
			if err := resp.Write(out); err != nil {
				return err
			}
		}
	}
}

// A dump that breaks off ends with an error, however the exec ends.
func TestCut(t *testing.T) {
	for name, end := range map[string]error{"the command ends as if all were well": nil, "it is killed": errors.New("command terminated with exit code 137")} {
		c := client.New(func(ctx context.Context) (net.Conn, error) {
			return dial(ctx, greeted(func(_ context.Context, in io.Reader, out, _ io.Writer) error {
				if _, err := http.ReadRequest(bufio.NewReader(in)); err != nil {
					return err
				}
				io.WriteString(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n") // and no last chunk
				return end
			}), "node n")
		}, client.Options{})
		body, err := c.Dump(t.Context(), "x", target.Selector{}, replay.Query{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		if string(b) != "hello" || err == nil {
			t.Errorf("%s: read %q and %v, want an error", name, b, err)
		}
		if end != nil && (err == nil || !strings.Contains(err.Error(), "137") || !strings.Contains(err.Error(), "node n")) {
			t.Errorf("%s: %v, want how it ended and where", name, err)
		}
		body.Close()
		c.Close()
	}
}

// What the command says on standard error is the error; what is no recorderd is told.
func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		do   command
		want string
	}{
		"says why": {func(_ context.Context, _ io.Reader, _, errs io.Writer) error {
			io.WriteString(errs, "warning: x\nrecorderctl: recorderd does not answer yet\n")
			return errors.New("command terminated with exit code 4")
		}, "recorderd does not answer yet"},
		"says nothing": {func(context.Context, io.Reader, io.Writer, io.Writer) error { return errors.New("no such file") }, "no such file"},
		"ends at once": {func(context.Context, io.Reader, io.Writer, io.Writer) error { return nil }, "without an answer"},
		"another thing": {func(_ context.Context, _ io.Reader, out, _ io.Writer) error {
			_, err := out.Write([]byte("usage: recorderctl [flags]\n"))
			return err
		}, "usage: recorderctl"},
	} {
		c, err := dial(t.Context(), tc.do, "node n")
		var un *client.UnreachableError
		if c != nil || !errors.As(err, &un) || !strings.Contains(un.Err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// Nobody waits longer than they want, for the connection or on it, and nothing is left.
func TestDeadlines(t *testing.T) {
	gone := make(chan struct{})
	silent := command(func(ctx context.Context, _ io.Reader, _, _ io.Writer) error {
		<-ctx.Done()
		close(gone)
		return ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if c, err := dial(ctx, silent, "node n"); c != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dial: %v, want that the time is over", err)
	}
	waitFor(t, gone)

	gone = make(chan struct{})
	ctx, cancel = context.WithCancel(t.Context())
	c, err := dial(ctx, greeted(silent), "node n")
	if err != nil {
		t.Fatal(err)
	}
	cancel() // the request that it was made for is over; the connection is not
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	var timeout net.Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read: %v, want a timeout", err)
	}
	c.Close()
	waitFor(t, gone)
}

func waitFor(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the exec has not ended")
	}
}

// A server that knows no WebSocket is asked by SPDY.
func TestFallback(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+strings.ToLower(r.Header.Get("Upgrade"))+" "+r.URL.Path+" "+r.URL.Query().Get("container")+" "+strings.Join(r.URL.Query()["command"], ","))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"pods \"p\" is forbidden: User \"u\" cannot create resource \"pods/exec\"","reason":"Forbidden","code":403}`)
	}))
	defer s.Close()
	d, err := Dialer(&rest.Config{Host: s.URL}, Target{Namespace: "ns", Pod: "p", Container: "c", Command: []string{"/x", "y"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d(t.Context())
	var un *client.UnreachableError
	if !errors.As(err, &un) || !strings.Contains(un.Err.Error(), `User "u" cannot create`) {
		t.Errorf("got %v, want the server's words", err)
	}
	const path = " /api/v1/namespaces/ns/pods/p/exec c /x,y"
	if len(asked) != 2 || asked[0] != "GET websocket"+path || asked[1] != "POST spdy/3.1"+path {
		t.Errorf("asked %q, want a WebSocket, then SPDY", asked)
	}
}
