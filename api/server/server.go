// Package server is the recorder's HTTP API: routes, checks and errors over a
// Backend that does the work. api/openapi.yaml describes what it serves.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	stdlog "log"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/internal/jsontext"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
)

// Backend is the recorder behind the API. Its methods are called from several
// goroutines at a time. An *api.Error among what an error wraps is told to the
// client; any other error is logged, and told as internal.
type Backend interface {
	// List returns all recordings, oldest first, without their Activity.
	List(ctx context.Context) ([]api.Recording, error)
	// Activity says what the containers that live are doing, by the ids of their recordings. It
	// looks into each ring, so it is asked for lists alone.
	Activity(ctx context.Context) (map[string]api.Activity, error)
	// Dump writes a recording as a raw dump (package dump). What does not fit q may
	// be left out, but need not be. With q.Follow it goes on until ctx is done or the
	// container ends, in writes that each end with a whole frame. It returns when
	// a write fails.
	Dump(ctx context.Context, id string, q replay.Query, w io.Writer) error
	// Report builds the report on a recording, as recorderctl show -o json has it.
	Report(ctx context.Context, id string) (*postmortem.Report, error)
	// Freeze stops recording a container; it goes on unrecorded.
	Freeze(ctx context.Context, id string) error
	// Resume goes on with recording.
	Resume(ctx context.Context, id string) error
	// Save puts a dump into the spool, of a live recording as it is now, and returns it as it is
	// listed there.
	Save(ctx context.Context, id string) (api.Recording, error)
	// Delete forgets a recording that has ended, in memory and in the spool.
	Delete(ctx context.Context, id string) error
	// Status says what the recorder costs and what it lost.
	Status(ctx context.Context) (api.Status, error)
	// Costs counts for a while what the recorder's programs cost.
	Costs(ctx context.Context, d time.Duration) (api.CostStatus, error)
	// Ready returns nil if containers are being recorded, else why not.
	Ready() error
}

// Options are what New can be told. The zero Options work.
type Options struct {
	Version      string        // of the daemon, in each answer's Recorder-Version
	Log          *slog.Logger  // default: slog.Default()
	MaxDumps     int           // at a time; default 8; see places
	MaxFollows   int           // of dumps that go on, at a time; default 32
	WriteTimeout time.Duration // for each piece of an answer; default 10s
	Notice       func() string // what /readyz says behind "ok"; empty: nothing. Default: nothing
}

// Defaults of Options.
const (
	DefaultMaxDumps     = 8
	DefaultMaxFollows   = 32
	DefaultWriteTimeout = 10 * time.Second
)

// VersionHeader is the header of each answer that says the daemon's version.
const VersionHeader = api.VersionHeader

// server holds what the handlers share.
type server struct {
	Options
	backend Backend
	metrics *metrics
	router  *mux.Router
	dumps   *places // of dumps under way
	follows *places // of those that go on

	lists      shared[[]api.Recording]
	activities shared[map[string]api.Activity]
	statuses   shared[api.Status]

	requests requests
}

// Handler serves the API.
type Handler struct {
	http.Handler
	requests *requests
	version  string // in answers that do not get so far as Handler
}

// Close ends the requests under way, refuses those that come later, and returns when
// none is left or, with the context's error, when that is done. Closing an http.Server
// waits for no request that it breaks off: they use the backend until this returns nil.
func (h *Handler) Close(ctx context.Context) error { return h.requests.close(ctx) }

// handler answers a request or returns an error, which then is the answer.
type handler func(w http.ResponseWriter, r *http.Request) error

// New returns the handler of the whole API. Serve it with HTTP, which sets limits
// and finds out who asks.
func New(b Backend, o Options) *Handler {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.MaxDumps <= 0 {
		o.MaxDumps = DefaultMaxDumps
	}
	if o.MaxFollows <= 0 {
		o.MaxFollows = DefaultMaxFollows
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = DefaultWriteTimeout
	}
	s := &server{
		Options: o, backend: b,
		dumps: newPlaces(o.MaxDumps, max(o.MaxDumps*3/8, 1)), follows: newPlaces(o.MaxFollows, max(o.MaxFollows*3/8, 1)),
	}
	s.lists.ask, s.activities.ask, s.statuses.ask = b.List, b.Activity, b.Status
	s.metrics = newMetrics(s.statuses.get)
	s.requests.init()
	s.router = mux.NewRouter().UseEncodedPath().SkipClean(true)
	for _, rt := range s.routes() {
		s.router.Handle(rt.path, s.handle(rt.handler)).Methods(rt.method)
	}
	s.router.NotFoundHandler = s.handle(func(w http.ResponseWriter, r *http.Request) error {
		return api.Errorf(api.CodeNotFound, "there is nothing at %s: /openapi.yaml has what there is", clip(r.URL.Path))
	})
	s.router.MethodNotAllowedHandler = s.handle(s.methodNotAllowed)
	return &Handler{s.guard(s.enclose(s.router)), &s.requests, s.Version}
}

type route struct {
	method, path string
	handler      handler
}

// routes are all there are; openapi.yaml has the same, and a test compares them.
func (s *server) routes() []route {
	const one = "/v1/recordings/{id}"
	return []route{
		{http.MethodGet, "/v1/recordings", s.list},
		{http.MethodGet, one, s.get},
		{http.MethodDelete, one, s.change("delete", s.delete)},
		{http.MethodGet, one + "/dump", s.dump},
		{http.MethodGet, one + "/report", s.report},
		{http.MethodPost, one + "/freeze", s.change("freeze", s.freeze)},
		{http.MethodPost, one + "/resume", s.change("resume", s.resume)},
		{http.MethodPost, one + "/save", s.save},
		{http.MethodGet, "/v1/status", s.status},
		{http.MethodGet, "/healthz", s.healthz},
		{http.MethodGet, "/readyz", s.readyz},
		{http.MethodGet, "/metrics", s.metrics.serve},
		{http.MethodGet, "/openapi.yaml", s.openapi},
	}
}

// HTTP returns a server for h with the limits that a daemon needs which anything
// may connect to. It answers root and the members of groups, by the credentials that
// the kernel has of the connection, and nobody else. Nothing here limits an answer as
// a whole: dumps are followed for hours; New limits their pieces.
func HTTP(h http.Handler, log *slog.Logger, groups ...uint32) *http.Server {
	if log == nil {
		log = slog.Default()
	}
	return &http.Server{
		Handler:           admit(h, log, groups),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ConnContext:       ConnContext,
		ErrorLog:          stdlog.New(errorLog{log}, "", 0),
	}
}

// errorLog logs what net/http has to say, with a message that is always the same.
type errorLog struct{ log *slog.Logger }

// Write logs a line.
func (l errorLog) Write(line []byte) (int, error) {
	l.log.Warn("http server", "error", strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

func (s *server) list(w http.ResponseWriter, r *http.Request) error {
	v, err := query(r)
	if err != nil {
		return err
	}
	filter, bad := target.ParseFilter(v)
	if bad != nil {
		return bad
	}
	recs, err := s.recordings(r)
	if err != nil {
		return err
	}
	out := api.RecordingList{}
	if len(recs) > 0 {
		out.Node = recs[0].Node
	}
	if out.Recordings, bad = filter.Select(recs); bad != nil {
		return bad
	}
	if err := s.addActivity(r, out.Recordings); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// addActivity adds what the containers that live are doing.
func (s *server) addActivity(r *http.Request, recs []api.Recording) error {
	if !slices.ContainsFunc(recs, func(rec api.Recording) bool { return rec.State == api.StateLive }) {
		return nil
	}
	activities, err := s.activity(r)
	if err != nil {
		return err
	}
	for i := range recs {
		if a, ok := activities[recs[i].ID]; ok && recs[i].State == api.StateLive {
			recs[i].Activity = &a
		}
	}
	return nil
}

func (s *server) get(w http.ResponseWriter, r *http.Request) error {
	rec, err := s.only(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, rec)
}

// change is what does something to one recording, and answers as which it is known since.
func (s *server) change(what string, do func(ctx context.Context, rec *api.Recording) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		rec, err := s.only(r)
		if err != nil {
			return err
		}
		attrs := append(recordingAttrs(rec), peerAttr(r.Context()))
		if err := do(r.Context(), &rec); err != nil {
			s.Log.LogAttrs(r.Context(), slog.LevelInfo, what, append(attrs, slog.Any("err", err))...)
			return err
		}
		s.Log.LogAttrs(r.Context(), slog.LevelInfo, what, attrs...)
		return writeJSON(w, http.StatusOK, rec)
	}
}

func (s *server) freeze(ctx context.Context, rec *api.Recording) error {
	rec.Frozen = true
	return s.backend.Freeze(ctx, rec.ID)
}

func (s *server) resume(ctx context.Context, rec *api.Recording) error {
	rec.Frozen = false
	return s.backend.Resume(ctx, rec.ID)
}

func (s *server) delete(ctx context.Context, rec *api.Recording) error {
	return s.backend.Delete(ctx, rec.ID)
}

// save is a change that takes a place among the dumps, whose memory it takes.
func (s *server) save(w http.ResponseWriter, r *http.Request) error {
	done, ok := enter(r, s.dumps)
	if !ok {
		return api.Errorf(api.CodeTooMany, "%d dumps are under way, which is as many as can be: wait for one to end", s.MaxDumps)
	}
	defer done()
	return s.change("save", func(ctx context.Context, rec *api.Recording) (err error) {
		*rec, err = s.backend.Save(ctx, rec.ID)
		return err
	})(w, r)
}

// report answers what became of a container. It takes a place among the dumps, whose memory it
// takes.
func (s *server) report(w http.ResponseWriter, r *http.Request) error {
	rec, err := s.only(r)
	if err != nil {
		return err
	}
	done, ok := enter(r, s.dumps)
	if !ok {
		return api.Errorf(api.CodeTooMany, "%d dumps are under way, which is as many as can be: wait for one to end", s.MaxDumps)
	}
	defer done()
	var report *postmortem.Report
	err = safely(func() (err error) {
		report, err = s.backend.Report(r.Context(), rec.ID)
		return err
	})
	attrs := append(recordingAttrs(rec), peerAttr(r.Context()))
	if err != nil {
		s.Log.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelInfo, "report", append(attrs, slog.Any("err", err))...)
		return err
	}
	s.Log.LogAttrs(r.Context(), slog.LevelInfo, "report", attrs...)
	return writeJSON(w, http.StatusOK, report)
}

// longestCost is how long a client can have the kernel's statistics switched on,
// which cost the whole node a little.
const longestCost = 20 * time.Second

func (s *server) status(w http.ResponseWriter, r *http.Request) error {
	v, err := query(r)
	if err != nil {
		return err
	}
	if bad := target.Only(v, "cost"); bad != nil {
		return bad
	}
	var cost time.Duration
	if v.Has("cost") {
		cost, err = time.ParseDuration(v.Get("cost"))
		if err != nil || cost <= 0 || cost > longestCost {
			return api.Errorf(api.CodeBadRequest, "cost %s: want a duration such as 2s, at most %s", clip(v.Get("cost")), longestCost)
		}
	}
	st, err := s.backendStatus(r)
	if err != nil {
		return err
	}
	if cost > 0 {
		c, err := s.backend.Costs(r.Context(), cost)
		if err != nil {
			return err
		}
		st.Cost = &c
	}
	if st.Runtimes == nil {
		st.Runtimes = []api.RuntimeInfo{}
	}
	if st.Lost.Missed == nil {
		st.Lost.Missed = map[string]uint64{}
	}
	return writeJSON(w, http.StatusOK, st)
}

func (s *server) healthz(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	return writeText(w, "ok\n")
}

func (s *server) readyz(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	if err := s.backend.Ready(); err != nil {
		var e *api.Error
		if errors.As(err, &e) {
			return e
		}
		return api.Errorf(api.CodeNotReady, "%v", err)
	}
	said := "ok\n"
	if s.Notice != nil {
		if notice := s.Notice(); notice != "" {
			said += notice + "\n"
		}
	}
	return writeText(w, said)
}

func (s *server) openapi(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/yaml")
	_, err := w.Write(api.OpenAPI)
	return err
}

// only returns the recording that a request without further parameters is about.
func (s *server) only(r *http.Request) (api.Recording, error) {
	v, err := query(r)
	if err != nil {
		return api.Recording{}, err
	}
	sel, bad := target.ParseSelector(v)
	if bad != nil {
		return api.Recording{}, bad
	}
	if bad := target.Only(v); bad != nil {
		return api.Recording{}, bad
	}
	return s.find(r, sel)
}

// query returns the parameters of a request.
func query(r *http.Request) (url.Values, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, api.Errorf(api.CodeBadRequest, "query %s: %v", clip(r.URL.RawQuery), err)
	}
	return v, nil
}

func noQuery(r *http.Request) error {
	v, err := query(r)
	if err != nil {
		return err
	}
	if bad := target.Only(v); bad != nil {
		return bad
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b = jsontext.Escape(b)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(status)
	_, err = w.Write(append(b, '\n'))
	return err
}

func writeText(w http.ResponseWriter, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := io.WriteString(w, text)
	return err
}

// clip quotes what a client sent, and cuts it to what an error's line bears.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}

func recordingAttrs(r api.Recording) []slog.Attr {
	attrs := []slog.Attr{slog.String("recording", r.ID), slog.String("container", r.Container.Name)}
	if r.Pod != nil {
		attrs = append(attrs, slog.String("pod", r.Pod.Namespace+"/"+r.Pod.Name))
	}
	return attrs
}
