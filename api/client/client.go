// Package client talks to recorderd over any connection to its API: the Unix
// socket on this machine, or one that is carried through a cluster.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
)

// DefaultSocket is where recorderd listens if it is not told otherwise.
const DefaultSocket = "/run/recorderd/recorderd.sock"

// Bounds of what is taken from a server, which may be anything that listens there.
const (
	// maxAnswer bounds an answer that is read as a whole: the longest list of a node, and more.
	maxAnswer = 32 << 20
	// maxRecordings bounds a list: a few bytes of JSON are hundreds in memory.
	maxRecordings = 1 << 16
	// maxRaw bounds a raw dump that has an end. A ring and a spooled file are shorter.
	maxRaw = 512 << 20
	// maxHeader bounds the head of an answer.
	maxHeader = 64 << 10
)

// ErrTooLong: an answer is longer than any of recorderd's.
var ErrTooLong = errors.New("the answer is longer than any of recorderd's")

// limited reads at most so many bytes. More are an error, not an end.
type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		var one [1]byte
		if n, err := l.ReadCloser.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, ErrTooLong
	}
	n, err := l.ReadCloser.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}

// Dialer connects to the API. If nobody answers, its error should be an
// *UnreachableError.
type Dialer func(ctx context.Context) (net.Conn, error)

// Options are what New can be told. The zero Options work.
type Options struct {
	// Version is the caller's. If the daemon's is another, Warn is told, once.
	Version string
	Warn    func(message string)
	// Timeout is for every request but dumps; default 30s.
	Timeout time.Duration
	// Compress has dumps compressed on their way. It pays where bytes are dearer than
	// on a socket of this machine. A daemon that does not know it sends them as they are.
	Compress bool
}

// Client is a connection to one recorderd. It is safe for concurrent use.
type Client struct {
	http http.Client
	opts Options
	warn sync.Once
}

// New returns a client that connects when it is first used.
func New(dial Dialer, o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	return &Client{opts: o, http: http.Client{
		Transport: &http.Transport{
			DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			DisableCompression: true,
			MaxIdleConns:       2,
			IdleConnTimeout:    time.Minute,
			ReadBufferSize:     64 << 10, // dumps come in pieces of this size

			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// List returns the recordings that fit the filter.
func (c *Client) List(ctx context.Context, f target.Filter) (api.RecordingList, error) {
	var list api.RecordingList
	err := c.call(ctx, http.MethodGet, "/v1/recordings", f.Values(), &struct {
		*api.RecordingList
		Recordings *recordings `json:"recordings"`
	}{&list, (*recordings)(&list.Recordings)})
	return list, err
}

// recordings are at most maxRecordings.
type recordings []api.Recording

// UnmarshalJSON implements json.Unmarshaler.
func (rs *recordings) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	switch open, err := dec.Token(); {
	case err != nil || open == nil: // null
		return err
	case open != json.Delim('['):
		return fmt.Errorf("recordings begin with %v, want a list", open)
	}
	*rs = []api.Recording{}
	for dec.More() {
		if len(*rs) == maxRecordings {
			return ErrTooLong
		}
		var one api.Recording
		if err := dec.Decode(&one); err != nil {
			return err
		}
		*rs = append(*rs, one)
	}
	return nil
}

// Get returns the recording that name means; see target.Resolve.
func (c *Client) Get(ctx context.Context, name string, sel target.Selector) (api.Recording, error) {
	var rec api.Recording
	path, err := recordingPath(name, "")
	if err != nil {
		return rec, err
	}
	err = c.call(ctx, http.MethodGet, path, sel.Values(), &rec)
	return rec, err
}

// Dump returns a stream of what a recording holds, in the format of q, until all
// is read, ctx is done or it is closed. A stream that breaks off ends with
// io.ErrUnexpectedEOF.
func (c *Client) Dump(ctx context.Context, name string, sel target.Selector, q replay.Query) (io.ReadCloser, error) {
	path, err := recordingPath(name, "/dump")
	if err != nil {
		return nil, err
	}
	v := q.Values()
	for key, values := range sel.Values() {
		v[key] = values
	}
	var header http.Header
	if c.opts.Compress {
		header = http.Header{"Accept-Encoding": {"zstd"}}
	}
	resp, err := c.do(ctx, http.MethodGet, path, v, header)
	if err != nil {
		return nil, err
	}
	body := resp.Body
	if resp.Header.Get("Content-Encoding") == "zstd" {
		z, err := zstd.NewReader(resp.Body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			resp.Body.Close()
			return nil, fmt.Errorf("read the answer of recorderd: %w", err)
		}
		body = &compressed{z, resp.Body}
	}
	if q.Format == replay.FormatRaw && !q.Follow {
		body = &limited{body, maxRaw}
	}
	return body, nil
}

// compressed is the body of an answer in zstd. The decoder has nothing to close, which
// is as well: a body may be closed while it is read.
type compressed struct {
	*zstd.Decoder
	body io.Closer
}

func (c *compressed) Close() error { return c.body.Close() }

// Report returns what became of a container, as recorderd's rules see it.
func (c *Client) Report(ctx context.Context, name string, sel target.Selector) (*postmortem.Report, error) {
	path, err := recordingPath(name, "/report")
	if err != nil {
		return nil, err
	}
	report := new(postmortem.Report)
	return report, c.call(ctx, http.MethodGet, path, sel.Values(), report)
}

// Freeze stops recording. It returns the recording, as do those below; of an earlier daemon
// an empty one.
func (c *Client) Freeze(ctx context.Context, name string, sel target.Selector) (api.Recording, error) {
	return c.act(ctx, http.MethodPost, name, "/freeze", sel)
}

// Resume goes on with recording.
func (c *Client) Resume(ctx context.Context, name string, sel target.Selector) (api.Recording, error) {
	return c.act(ctx, http.MethodPost, name, "/resume", sel)
}

// Save puts a dump into the spool, and returns it as it is listed there.
func (c *Client) Save(ctx context.Context, name string, sel target.Selector) (api.Recording, error) {
	return c.act(ctx, http.MethodPost, name, "/save", sel)
}

// Delete forgets a recording that has ended.
func (c *Client) Delete(ctx context.Context, name string, sel target.Selector) (api.Recording, error) {
	return c.act(ctx, http.MethodDelete, name, "", sel)
}

// Status returns what the recorder costs and what it lost.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	var st api.Status
	err := c.call(ctx, http.MethodGet, "/v1/status", nil, &st)
	return st, err
}

// Costs is Status with what the recorder's programs cost, counted for so long.
func (c *Client) Costs(ctx context.Context, d time.Duration) (api.Status, error) {
	var st api.Status
	err := c.call(ctx, http.MethodGet, "/v1/status", url.Values{"cost": {d.String()}}, &st)
	return st, err
}

// Healthy returns nil if the daemon answers.
func (c *Client) Healthy(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "/healthz", nil, nil)
}

// Ready returns nil if the daemon records.
func (c *Client) Ready(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "/readyz", nil, nil)
}

func recordingPath(name, action string) (string, error) {
	if name == "" {
		return "", api.Errorf(api.CodeBadRequest, "the target is empty: give the id of a recording, or the name of a container or pod")
	}
	return "/v1/recordings/" + url.PathEscape(name) + action, nil
}

func (c *Client) act(ctx context.Context, method, name, action string, sel target.Selector) (api.Recording, error) {
	var rec api.Recording
	path, err := recordingPath(name, action)
	if err == nil {
		err = c.call(ctx, method, path, sel.Values(), &rec)
	}
	return rec, err
}

// call does a request and decodes its answer into out, if both are there.
func (c *Client) call(ctx context.Context, method, path string, v url.Values, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.opts.Timeout, fmt.Errorf("recorderd has not answered for %s", c.opts.Timeout))
	defer cancel()
	resp, err := c.do(ctx, method, path, v, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(&limited{resp.Body, maxAnswer}).Decode(out); err != nil {
		return c.broken(ctx, fmt.Errorf("read the answer of recorderd: %w", err))
	}
	return nil
}

// do returns the answer to a request if it is a success.
func (c *Client) do(ctx context.Context, method, path string, v url.Values, header http.Header) (*http.Response, error) {
	u := "http://recorderd" + path
	if len(v) > 0 {
		u += "?" + v.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	c.compare(resp.Header.Get(api.VersionHeader))
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, errorOf(resp)
}

// broken turns the error of a request without an answer into what a user can use.
func (c *Client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var un *UnreachableError
	if errors.As(err, &un) {
		return un
	}
	var ue *url.Error
	if errors.As(err, &ue) { // it repeats a URL that nobody has asked for
		err = ue.Err
	}
	if hungUp(err) {
		return errors.New("recorderd closed the connection: its log says why (journalctl -u recorderd)")
	}
	return err
}

// hungUp reports whether the other end has closed the connection: what of that is seen
// first is a matter of luck. The last is net/http's, and has no name.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) ||
		strings.HasSuffix(err.Error(), "server closed idle connection")
}

// errorOf reads the error in an answer.
func errorOf(resp *http.Response) error {
	var body api.ErrorBody
	err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body)
	if err != nil || body.Error.Message == "" {
		return &api.Error{
			Code: api.CodeInternal, Status: resp.StatusCode,
			Message: fmt.Sprintf("the answer is %s, and not one of recorderd: is something else listening there?", resp.Status),
		}
	}
	body.Error.Status = resp.StatusCode
	return &body.Error
}
