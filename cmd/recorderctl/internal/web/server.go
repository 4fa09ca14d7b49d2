package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/timeline"
)

// Source is where a Server has recordings from.
type Source interface {
	// List returns what there is. With some of it missing, it returns the rest and a Partial error.
	List(ctx context.Context) (api.RecordingList, error)
	// Dump opens a raw dump, by a recording's id. It has been fetched: a daemon does not wait for
	// who reads slowly.
	Dump(ctx context.Context, id string) (io.ReadCloser, error)
}

// Partial is an error that does not keep a list from being shown.
type Partial struct{ Err error }

func (p *Partial) Error() string { return p.Err.Error() }
func (p *Partial) Unwrap() error { return p.Err }

// Server serves pages on a loopback address to whoever has its token: a user of this machine
// that is not the one who runs it has not, nor has a page of somebody else in their browser.
type Server struct {
	source Source
	host   string // with the port
	token  string
	busy   chan struct{} // one for each dump that is read

	mu     sync.Mutex
	list   listed
	asking chan struct{} // closed when the list that is being asked for is there
	sparks map[string]sparked
}

// listed is the last list, which browsers share for a moment.
type listed struct {
	at   time.Time
	list api.RecordingList
	err  error
}

type sparked struct {
	written uint64
	spark   *timeline.Spark
}

const (
	listEvery = time.Second
	maxBusy   = 2 // dumps that are read at a time
	maxSparks = 1000
	perDump   = 2 * time.Minute
)

// NewServer returns a server for a listener's address.
func NewServer(addr net.Addr, source Source) *Server {
	var b [24]byte
	rand.Read(b[:]) //nolint:errcheck // it never fails
	return &Server{
		source: source, host: addr.String(), token: base64.RawURLEncoding.EncodeToString(b[:]),
		busy: make(chan struct{}, maxBusy), sparks: make(map[string]sparked),
	}
}

// URL is what a browser opens. The token is behind the #, which no server ever gets and no other
// page sees.
func (s *Server) URL() string { return "http://" + s.host + "/#token=" + s.token }

// Handler serves the pages and what they ask for.
func (s *Server) Handler() http.Handler {
	r := http.NewServeMux()
	r.HandleFunc("GET /{$}", s.root)
	r.HandleFunc("GET /api/recordings", s.recordings)
	r.HandleFunc("GET /api/recordings/{id}/timeline", s.timeline)
	r.HandleFunc("GET /api/recordings/{id}/spark", s.spark)
	r.HandleFunc("GET /api/recordings/{id}/page", s.download)
	r.HandleFunc("GET /api/diff/{id}/{other}", s.diff)
	return s.guard(r)
}

// guard lets nobody have data who has not the token, and no page of another site have anything,
// whatever name it has given to this address. The page itself has no data.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if r.Host != s.host && r.Host+":80" != s.host { // browsers leave that port out
			fail(w, http.StatusMisdirectedRequest, fmt.Errorf("this is %s", s.host))
			return
		}
		if r.Method != http.MethodGet {
			fail(w, http.StatusMethodNotAllowed, errors.New("there is nothing but GET: the pages change nothing"))
			return
		}
		if r.URL.Path == "/" {
			next.ServeHTTP(w, r)
			return
		}
		if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
			fail(w, http.StatusForbidden, errors.New("a page of another site asks"))
			return
		}
		// A header, and no cookie: those go to all ports of an address.
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || !s.is(token) {
			fail(w, http.StatusForbidden, errors.New("open the address that recorderctl ui has printed: it has the token that this needs"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) is(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) == 1
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

// failed answers with an error of the recorders.
func failed(w http.ResponseWriter, err error) {
	status := http.StatusBadGateway
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.CodeNotFound {
		status = http.StatusNotFound
	}
	fail(w, status, err)
}

// answer writes JSON, compressed: all of it, or an error.
func answer(w http.ResponseWriter, v any) {
	var b bytes.Buffer
	zip, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err == nil {
		err = json.NewEncoder(zip).Encode(v)
	}
	if err == nil {
		err = zip.Close()
	}
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Encoding", "gzip")
	_, _ = w.Write(b.Bytes()) // a browser that has gone
}

func (s *Server) root(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page(w, "; connect-src 'self'", nil)
}

// Item is a row of the list.
type Item struct {
	*api.Recording
	Crashed bool      `json:"crashed,omitempty"`
	Hanging bool      `json:"hanging,omitempty"`
	Last    time.Time `json:"last"` // when it ended, else when it began
}

func (s *Server) recordings(w http.ResponseWriter, r *http.Request) {
	list, err := s.listNow(r.Context())
	var partial *Partial
	if err != nil && !errors.As(err, &partial) {
		failed(w, err)
		return
	}
	out := struct {
		Recordings []Item    `json:"recordings"`
		Warning    string    `json:"warning,omitempty"`
		Now        time.Time `json:"now"`
	}{Recordings: []Item{}, Now: time.Now().UTC()}
	if partial != nil {
		out.Warning = partial.Error()
	}
	for i := range list.Recordings {
		rec := &list.Recordings[i]
		out.Recordings = append(out.Recordings, Item{rec, rec.Crashed(), rec.Hanging(), rec.Last()})
	}
	answer(w, out)
}

// listNow returns a list that is at most a second old: however many pages are open, the nodes are
// asked once.
func (s *Server) listNow(ctx context.Context) (api.RecordingList, error) {
	for {
		s.mu.Lock()
		if time.Since(s.list.at) < listEvery {
			l := s.list
			s.mu.Unlock()
			return l.list, l.err
		}
		asking := s.asking
		if asking == nil {
			asking = make(chan struct{})
			s.asking = asking
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), perDump)
				defer cancel()
				list, err := s.source.List(ctx)
				s.mu.Lock()
				s.list = listed{time.Now(), list, err}
				s.asking = nil
				s.mu.Unlock()
				close(asking)
			}()
		}
		s.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return api.RecordingList{}, ctx.Err()
		}
	}
}

// open opens a dump, and holds a place for it until done is called.
func (s *Server) open(ctx context.Context, id string) (d *dump.Reader, done func(), err error) {
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, perDump)
	d, body, err := s.fetch(ctx, id)
	done = func() {
		cancel()
		if body != nil {
			body.Close()
		}
		<-s.busy
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return d, done, nil
}

func (s *Server) fetch(ctx context.Context, id string) (*dump.Reader, io.Closer, error) {
	if strings.Trim(id, "0123456789abcdef-") != "" { // a name might be of several
		return nil, nil, api.Errorf(api.CodeNotFound, "%q is no id of a recording", id)
	}
	body, err := s.source.Dump(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	d, err := dump.NewReader(body)
	return d, body, err
}

// readable reports whether an error of a dump comes with all that could be read, which says so.
func readable(err error) bool {
	return err == nil || errors.Is(err, dump.ErrCorrupt) || errors.Is(err, dump.ErrTruncated)
}

func (s *Server) build(ctx context.Context, id string) (*timeline.Timeline, error) {
	d, done, err := s.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer done()
	t, err := timeline.Build(d, timeline.Options{})
	if !readable(err) {
		return nil, err
	}
	return t, nil
}

func (s *Server) timeline(w http.ResponseWriter, r *http.Request) {
	t, err := s.build(r.Context(), r.PathValue("id"))
	if err != nil {
		failed(w, err)
		return
	}
	answer(w, t)
}

// download is the report as a file.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	t, err := s.build(r.Context(), id)
	if err != nil {
		failed(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="report-`+id+`.html"`)
	_ = WriteReport(w, t)
}

func (s *Server) spark(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	list, err := s.listNow(r.Context())
	var partial *Partial
	if err != nil && !errors.As(err, &partial) {
		failed(w, err)
		return
	}
	var written uint64
	for i := range list.Recordings {
		if list.Recordings[i].ID == id {
			written = list.Recordings[i].Coverage.Written
		}
	}
	s.mu.Lock()
	old := s.sparks[id]
	s.mu.Unlock()
	if old.spark != nil && old.written == written {
		answer(w, old.spark)
		return
	}
	d, done, err := s.open(r.Context(), id)
	if err != nil {
		failed(w, err)
		return
	}
	defer done()
	sp, err := timeline.BuildSpark(d)
	if !readable(err) {
		failed(w, err)
		return
	}
	s.mu.Lock()
	if len(s.sparks) >= maxSparks {
		clear(s.sparks)
	}
	s.sparks[id] = sparked{written, sp}
	s.mu.Unlock()
	answer(w, sp)
}

func (s *Server) diff(w http.ResponseWriter, r *http.Request) {
	// One after the other: two that wait for a second place each would wait for ever.
	a, done, err := s.open(r.Context(), r.PathValue("id"))
	if err != nil {
		failed(w, err)
		return
	}
	defer done()
	ctx, cancel := context.WithTimeout(r.Context(), perDump)
	defer cancel()
	b, body, err := s.fetch(ctx, r.PathValue("other"))
	if body != nil {
		defer body.Close()
	}
	if err != nil {
		failed(w, err)
		return
	}
	diff, err := postmortem.Compare(a, b, 50)
	if err != nil {
		failed(w, err)
		return
	}
	answer(w, diff)
}
