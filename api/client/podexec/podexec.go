// Package podexec carries connections to a recorderd's socket through the exec
// subresource of its pod: what kubectl exec may do is all the rights it needs.
//
// Each connection is an exec of "recorderctl dial-stdio" in the pod, whose standard
// input and output are the two directions. It goes over a WebSocket, or over SPDY
// where the API server or a proxy on the way knows no WebSocket, as with kubectl.
package podexec

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/recorderd/recorderd/api/client"
)

// Greeting is the line that dial-stdio --greet writes when it is connected. What
// comes before it is no answer of recorderd.
const Greeting = "recorderd is connected\n"

// Target is the container to exec in, and what to exec there.
type Target struct {
	Namespace string
	Pod       string
	Container string
	Command   []string // must write Greeting, then carry the connection over its standard input and output
	Name      string   // what errors call it; default: the pod
}

// maxErrorText is how much of the command's standard error is kept for errors.
const maxErrorText = 4 << 10

var params = parameterCodec()

// parameterCodec encodes options of requests; the scheme of all of Kubernetes' types
// would cost megabytes.
func parameterCodec() runtime.ParameterCodec {
	s := runtime.NewScheme()
	if err := corev1.AddToScheme(s); err != nil {
		panic(err) // the types are compiled in: a test would not pass
	}
	return runtime.NewParameterCodec(s)
}

// Dialer returns a dialer that makes an exec for each connection.
func Dialer(config *rest.Config, t Target) (client.Dialer, error) {
	cfg := rest.CopyConfig(config)
	cfg.APIPath, cfg.GroupVersion = "/api", &schema.GroupVersion{Version: "v1"}
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion()
	cfg.Timeout = 0 // of a request as a whole: a connection lives longer
	rc, err := rest.RESTClientFor(cfg)
	if err != nil {
		return nil, err
	}
	t.Name = cmp.Or(t.Name, "pod "+t.Namespace+"/"+t.Pod)
	return func(ctx context.Context) (net.Conn, error) {
		u := rc.Post().Resource("pods").Namespace(t.Namespace).Name(t.Pod).SubResource("exec").
			VersionedParams(&corev1.PodExecOptions{
				Container: t.Container, Command: t.Command, Stdin: true, Stdout: true, Stderr: true,
			}, params).URL()
		websocket, err := remotecommand.NewWebSocketExecutor(cfg, "GET", u.String())
		if err != nil {
			return nil, err
		}
		spdy, err := remotecommand.NewSPDYExecutor(cfg, "POST", u)
		if err != nil {
			return nil, err
		}
		exec, err := remotecommand.NewFallbackExecutor(websocket, spdy, func(err error) bool {
			return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
		})
		if err != nil {
			return nil, err
		}
		return dial(ctx, exec, t.Name)
	}, nil
}

// dial starts the command and waits for its greeting.
func dial(ctx context.Context, exec remotecommand.Executor, name string) (net.Conn, error) {
	// The connection outlives the request that it was made for, and ctx with it.
	life, end := context.WithCancel(context.Background())
	near, far := net.Pipe()
	c := &conn{Conn: near, name: name, end: end, done: make(chan struct{})}
	var stderr tail
	go func() {
		defer close(c.done)
		err := exec.StreamWithContext(life, remotecommand.StreamOptions{
			Stdin: far, Stdout: far, Stderr: &stderr,
		})
		if said := stderr.String(); err != nil && said != "" {
			err = &CommandError{Said: said, Err: err}
		}
		c.err = err
		far.Close()
	}()
	stop := context.AfterFunc(ctx, func() { near.SetReadDeadline(time.Unix(1, 0)) })
	greeting := make([]byte, len(Greeting))
	n, err := io.ReadFull(c, greeting)
	if !stop() && ctx.Err() != nil {
		// The client for Kubernetes does not give up a handshake that nobody answers:
		// it is not waited for.
		near.Close()
		end()
		return nil, &client.UnreachableError{Addr: name, Err: context.Cause(ctx)}
	}
	switch {
	case err != nil:
		c.Close()
		if c.err != nil {
			err = c.err
		} else if n > 0 {
			err = fmt.Errorf("it answers %q", greeting[:n])
		} else {
			err = errors.New("the exec ended at once, without an answer")
		}
		return nil, &client.UnreachableError{Addr: name, Err: err}
	case string(greeting) != Greeting:
		c.Close()
		return nil, &client.UnreachableError{Addr: name, Err: fmt.Errorf("it answers %q: is the image recorderd's?", greeting)}
	}
	return c, nil
}

// CommandError is what the command in the pod said on standard error before it failed.
type CommandError struct {
	Said string // one line
	Err  error
}

// Error returns what the command said.
func (e *CommandError) Error() string { return e.Said }

// Unwrap returns how the exec ended.
func (e *CommandError) Unwrap() error { return e.Err }

// conn is the near end of a pipe whose far end the exec reads and writes. Deadlines
// are the pipe's.
type conn struct {
	net.Conn
	name string
	end  context.CancelFunc
	done chan struct{}
	err  error // how the exec ended, when done is closed
}

// Read returns how the exec failed instead of io.EOF, so that a connection that was
// cut is never taken for one that has ended.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		<-c.done // the pipe's far end was closed just before
		if c.err != nil {
			err = fmt.Errorf("connection to %s is cut: %w", c.name, c.err)
		}
	}
	return n, err
}

// Close ends the exec.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.end()
	return err
}

// LocalAddr says what carries the connection.
func (c *conn) LocalAddr() net.Addr { return addr("exec") }

// RemoteAddr names the pod.
func (c *conn) RemoteAddr() net.Addr { return addr(c.name) }

type addr string

// Network says what carries the connection.
func (addr) Network() string { return "exec" }

// String is the address.
func (a addr) String() string { return string(a) }

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - maxErrorText; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// String is the last line that says something.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(t.buf), []byte("\n"))
	return strings.TrimPrefix(strings.TrimSpace(string(lines[len(lines)-1])), "recorderctl: ")
}
