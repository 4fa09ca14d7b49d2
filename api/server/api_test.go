package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/server/servertest"
)

func init() {
	// Bodies are looked at as text, whatever they are.
	for _, t := range []string{"application/vnd.recorderd.dump", "application/x-ndjson"} {
		openapi3filter.RegisterBodyDecoder(t, openapi3filter.FileBodyDecoder)
	}
}

func spec(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	r, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, r
}

// TestRoutesAreDescribed catches a route without description, and the other way round.
func TestRoutesAreDescribed(t *testing.T) {
	doc, _ := spec(t)
	described := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described[method+" "+path] = true
		}
	}
	served := map[string]bool{}
	for _, rt := range (&server{backend: servertest.New(), metrics: &metrics{}}).routes() {
		served[rt.method+" "+rt.path] = true
	}
	if !maps.Equal(described, served) {
		t.Errorf("openapi.yaml has\n%s\nserved are\n%s", list(described), list(served))
	}
	var codes []string
	for _, c := range doc.Components.Schemas["ErrorBody"].Value.Properties["error"].Value.Properties["code"].Value.Enum {
		codes = append(codes, c.(string))
	}
	for _, c := range codes {
		if c != api.CodeInternal && api.StatusOf(c) == http.StatusInternalServerError {
			t.Errorf("code %s has no status", c)
		}
	}
}

// TestTypesAreDescribed catches a field that only one of types.go and openapi.yaml
// has, or that one of them thinks optional.
func TestTypesAreDescribed(t *testing.T) {
	doc, _ := spec(t)
	schemas := doc.Components.Schemas
	for name, v := range map[string]any{
		"RecordingList": api.RecordingList{}, "Recording": api.Recording{}, "Status": api.Status{}, "ErrorBody": api.ErrorBody{},
	} {
		compare(t, name, reflect.TypeOf(v), schemas[name].Value)
	}
}

func compare(t *testing.T, where string, typ reflect.Type, s *openapi3.Schema) {
	t.Helper()
	switch {
	case typ == reflect.TypeFor[time.Time]():
		if s.Format != "date-time" {
			t.Errorf("%s: format %q", where, s.Format)
		}
		return
	case typ.Kind() == reflect.Pointer:
		compare(t, where, typ.Elem(), s)
		return
	case typ.Kind() == reflect.Slice:
		compare(t, where+"[]", typ.Elem(), s.Items.Value)
		return
	case typ.Kind() != reflect.Struct:
		return
	}
	fields := map[string]bool{}
	var required []string
	for f := range typ.Fields() {
		name, opt, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		fields[name] = true
		if !strings.Contains(opt, "omit") {
			required = append(required, name)
		}
		if p := s.Properties[name]; p == nil {
			t.Errorf("%s.%s is not described", where, name)
		} else {
			compare(t, where+"."+name, f.Type, p.Value)
		}
	}
	for name := range s.Properties {
		if !fields[name] {
			t.Errorf("%s.%s is described, and not there", where, name)
		}
	}
	slices.Sort(required)
	described := slices.Sorted(slices.Values(s.Required))
	if !slices.Equal(required, described) {
		t.Errorf("%s: %v are always there, described as required are %v", where, required, described)
	}
}

func list(set map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(set)), "\n") }

// TestDumpParametersAreDescribed catches a filter that only one side knows.
func TestDumpParametersAreDescribed(t *testing.T) {
	doc, _ := spec(t)
	var described []string
	for _, p := range doc.Paths.Find("/v1/recordings/{id}/dump").Get.Parameters {
		described = append(described, p.Value.Name)
	}
	slices.Sort(described)
	if want := slices.Sorted(slices.Values(dumpParams)); !slices.Equal(described, want) {
		t.Errorf("openapi.yaml has %v, replay %v", described, want)
	}
}

func get(path string) *http.Request { return httptest.NewRequest("GET", "http://recorderd"+path, nil) }

func request(method, path string) *http.Request {
	return httptest.NewRequest(method, "http://recorderd"+path, nil)
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// TestAnswers makes every kind of request, and holds each answer against
// openapi.yaml: status, type and every field of the body.
func TestAnswers(t *testing.T) {
	_, router := spec(t)
	ready := servertest.New()
	unready := servertest.New()
	unready.NotReady = errors.New("no BTF in this kernel")
	unready.Before = func(_ context.Context, method, _ string) error {
		return api.Errorf(api.CodeNotReady, "the programs are not loaded")
	}
	broken := servertest.New()
	broken.Before = func(context.Context, string, string) error { return errors.New("map is gone") }
	panics := servertest.New()
	panics.Before = func(_ context.Context, method, _ string) error {
		if method != "List" {
			panic("ring 7")
		}
		return nil
	}
	empty := servertest.New()
	empty.Info = api.Status{}
	for _, r := range empty.Recordings() {
		if r.State != api.StateLive {
			if err := empty.Delete(context.Background(), r.ID); err != nil {
				t.Fatal(err)
			}
		}
	}

	cases := []struct {
		name    string
		backend Backend
		req     *http.Request
		status  int
		want    string // in the body
	}{
		{"list", ready, get("/v1/recordings"), 200, `"node":"node1"`},
		{"list of a namespace", ready, get("/v1/recordings?namespace=shop&pod=web-0&container=app"), 200, servertest.Web},
		{"list by labels", ready, get("/v1/recordings?l=app%3Dweb,tier!%3Ddb"), 200, servertest.Sidecar},
		{"list by states", ready, get("/v1/recordings?state=ended&state=spooled"), 200, servertest.Crashed},
		{"list of nothing", ready, get("/v1/recordings?namespace=none"), 200, `"recordings":[]`},
		{"list, bad state", ready, get("/v1/recordings?state=dead"), 400, `state \"dead\" is not known`},
		{"list, bad labels", ready, get("/v1/recordings?l=a%20b"), 400, `is not a requirement`},
		{"list, unknown parameter", ready, get("/v1/recordings?stat=live"), 400, `parameter \"stat\" is not known`},
		{"list, twice", ready, get("/v1/recordings?pod=a&pod=b"), 400, `given 2 times`},
		{"list, bad query", ready, get("/v1/recordings?a=%zz"), 400, `query`},
		{"list, not ready", unready, get("/v1/recordings"), 503, `programs are not loaded`},
		{"list, broken", broken, get("/v1/recordings"), 500, `map is gone`},
		{"get by id", ready, get("/v1/recordings/" + servertest.Web), 200, `"cgroup":"/kubepods/podx/bbbb2222"`},
		{"get by pod", ready, get("/v1/recordings/pod%2Fweb-0?container=app&namespace=shop"), 200, servertest.Web},
		{"get by cgroup", ready, get("/v1/recordings/%2Frecorderctl%2Fworker"), 200, servertest.Worker},
		{"get previous", ready, get("/v1/recordings/app?previous=true"), 200, servertest.Crashed},
		{"get, ambiguous", ready, get("/v1/recordings/web-0"), 409, `"matches":[`},
		{"get, unknown", ready, get("/v1/recordings/nope"), 404, `\"nope\"`},
		{"get, bad previous", ready, get("/v1/recordings/app?previous=2"), 400, `true or false`},
		{"get, bad escape", ready, get("/v1/recordings/%2525zz"), 404, `%25zz`},
		{"get, dots", ready, get("/v1/recordings/.."), 404, `\"..\"`},
		{"dump", ready, get("/v1/recordings/worker/dump"), 200, ""},
		{"dump raw", ready, get("/v1/recordings/worker/dump?format=raw"), 200, "RECDUMP\n"},
		{"dump json", ready, get("/v1/recordings/worker/dump?format=json&last=2&pid=7&failed=true"), 200, ""},
		{"dump strace", ready, get("/v1/recordings/worker/dump?format=strace&host-pids=true"), 200, ""},
		{"dump, bad format", ready, get("/v1/recordings/worker/dump?format=xml"), 400, `\"xml\"`},
		{"dump, bad since", ready, get("/v1/recordings/worker/dump?since=yesterday"), 400, `since: \"yesterday\"`},
		{"dump, unknown parameter", ready, get("/v1/recordings/worker/dump?fial=true"), 400, `parameter \"fial\"`},
		{"dump, unknown", ready, get("/v1/recordings/nope/dump"), 404, `\"nope\"`},
		{"dump, broken", broken, get("/v1/recordings/worker/dump"), 500, `map is gone`},
		{"dump, panic", panics, get("/v1/recordings/worker/dump?format=raw"), 500, `internal error`},
		{"dump, panic in its goroutine", panics, get("/v1/recordings/worker/dump"), 500, `internal error`},
		{"freeze", ready, request("POST", "/v1/recordings/app/freeze"), 200, `"frozen":true`},
		{"freeze, ended", ready, request("POST", "/v1/recordings/worker/freeze"), 409, `has ended`},
		{"freeze, unknown", ready, request("POST", "/v1/recordings/nope/freeze"), 404, `nope`},
		{"freeze, panic", panics, request("POST", "/v1/recordings/app/freeze"), 500, `internal error`},
		{"resume", ready, request("POST", "/v1/recordings/app/resume"), 200, `"id":"3fa40001"`},
		{"resume, not ready", unready, request("POST", "/v1/recordings/app/resume"), 503, `not loaded`},
		{"save", ready, request("POST", "/v1/recordings/app/save"), 200, `"id":"3fa40001-1"`},
		{"report", ready, request("GET", "/v1/recordings/worker/report"), 200, `"type":"postmortem"`},
		{"report, unknown", ready, request("GET", "/v1/recordings/nope/report"), 404, `nope`},
		{"report, bad", ready, request("GET", "/v1/recordings/worker/report?x=1"), 400, `x`},
		{"cost", ready, request("GET", "/v1/status?cost=2s"), 200, `"on_sys_exit":{"runs":1000`},
		{"cost, no duration", ready, request("GET", "/v1/status?cost=x"), 400, `want a duration`},
		{"cost, too long", ready, request("GET", "/v1/status?cost=1h"), 400, `at most 20s`},
		{"save, unknown", ready, request("POST", "/v1/recordings/nope/save"), 404, `nope`},
		{"delete, live", ready, request("DELETE", "/v1/recordings/app"), 409, `is live`},
		{"delete", ready, request("DELETE", "/v1/recordings/app?previous=1"), 200, `"id":"b7710003"`},
		{"delete, gone", ready, request("DELETE", "/v1/recordings/app?previous=1"), 404, `no earlier recording`},
		{"status", ready, get("/v1/status"), 200, `"recordsPerSecond":12.5`},
		{"status, empty", empty, get("/v1/status"), 200, `"runtimes":[]`},
		{"status, parameter", ready, get("/v1/status?x=1"), 400, `there are cost`},
		{"status, panic", panics, get("/v1/status"), 500, `internal error`},
		{"health", ready, get("/healthz"), 200, "ok"},
		{"ready", ready, get("/readyz"), 200, "ok\nthe last good one\n"},
		{"not ready", unready, get("/readyz"), 503, `no BTF`},
		{"metrics", ready, get("/metrics"), 200, "recorderd_records_written_total 2.000113e+06"},
		{"metrics, panic", panics, get("/metrics"), 500, `internal error`},
		{"openapi", ready, get("/openapi.yaml"), 200, "openapi: 3"},
	}
	seen := map[string]bool{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			New(c.backend, Options{Version: "v1.2.3", Log: quiet(), Notice: func() string { return "the last good one" }}).ServeHTTP(w, c.req)
			body := w.Body.Bytes()
			if w.Code != c.status || !strings.Contains(string(body), c.want) {
				t.Fatalf("got %d %s\nwant %d with %s", w.Code, body, c.status, c.want)
			}
			if w.Header().Get(VersionHeader) != "v1.2.3" {
				t.Error("no version")
			}
			// What of it does not fit the description?
			rt, params, err := router.FindRoute(c.req)
			if err != nil {
				t.Fatal(err)
			}
			seen[rt.Method+" "+rt.Path] = true
			in := &openapi3filter.RequestValidationInput{Request: c.req, PathParams: params, Route: rt}
			if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil && c.status/100 == 2 {
				t.Errorf("the request: %v", err)
			}
			err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
				RequestValidationInput: in, Status: w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(body)),
				Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
			})
			if err != nil {
				t.Errorf("the answer: %v", err)
			}
		})
	}
	for _, rt := range (&server{backend: ready, metrics: &metrics{}}).routes() {
		if !seen[rt.method+" "+rt.path] {
			t.Errorf("no answer of %s %s was looked at", rt.method, rt.path)
		}
	}
}

// TestTooManySaves catches an answer that openapi.yaml does not have.
func TestTooManySaves(t *testing.T) {
	_, router := spec(t)
	b := servertest.New()
	inside, release := make(chan struct{}), make(chan struct{})
	b.Before = func(_ context.Context, method, _ string) error {
		if method == "Save" {
			close(inside)
			<-release
		}
		return nil
	}
	h := New(b, Options{MaxDumps: 1, Log: quiet()})
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ServeHTTP(httptest.NewRecorder(), request("POST", "/v1/recordings/app/save"))
	}()
	<-inside
	w, req := httptest.NewRecorder(), request("POST", "/v1/recordings/app/save")
	h.ServeHTTP(w, req)
	close(release)
	<-done
	rt, params, err := router.FindRoute(req)
	if err != nil {
		t.Fatal(err)
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: rt}, Status: w.Code, Header: w.Header(),
		Body: io.NopCloser(w.Body), Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if w.Code != 429 || err != nil {
		t.Errorf("the second: %d, %v", w.Code, err)
	}
}

// TestRefused catches a hole in what is refused before any handler sees it, and
// answers that are not JSON.
func TestRefused(t *testing.T) {
	with := func(r *http.Request, change func(r *http.Request)) *http.Request { change(r); return r }
	body := httptest.NewRequest("POST", "http://recorderd/v1/recordings/app/freeze", strings.NewReader("{}"))
	cases := []struct {
		name   string
		req    *http.Request
		status int
		code   string
	}{
		{"not found", get("/v2"), 404, api.CodeNotFound},
		{"root", get("/"), 404, api.CodeNotFound},
		{"slash", get("/v1/recordings/"), 404, api.CodeNotFound},
		{"double slash", get("//v1/recordings"), 404, api.CodeNotFound},
		{"traversal", get("/v1/recordings/../status"), 404, api.CodeNotFound},
		{"method", request("PUT", "/v1/recordings"), 405, api.CodeMethodNotAllowed},
		{"delete all", request("DELETE", "/v1/recordings"), 405, api.CodeMethodNotAllowed},
		{"get freeze", get("/v1/recordings/app/freeze"), 405, api.CodeMethodNotAllowed},
		{"host", with(get("/v1/status"), func(r *http.Request) { r.Host = "evil.example" }), 403, api.CodeForbidden},
		{"host with port", with(get("/v1/status"), func(r *http.Request) { r.Host = "evil.example:80" }), 403, api.CodeForbidden},
		{"origin", with(get("/v1/status"), func(r *http.Request) { r.Header.Set("Origin", "http://localhost") }), 403, api.CodeForbidden},
		{"body", body, 400, api.CodeBadRequest},
	}
	h := New(servertest.New(), Options{Log: quiet()})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, c.req)
			var e api.ErrorBody
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("%v: %s", err, w.Body)
			}
			if w.Code != c.status || e.Error.Code != c.code || e.Error.Message == "" {
				t.Errorf("got %d %+v, want %d %s", w.Code, e, c.status, c.code)
			}
			if c.status == 405 && w.Header().Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
	for _, host := range []string{"recorderd", "localhost", "localhost:8080", "unix", "LOCALHOST", ""} {
		r := get("/healthz")
		r.Host = host
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 200 {
			t.Errorf("host %q: %d", host, w.Code)
		}
	}
}

// FuzzRequest catches a request that makes the server fail, or answer something
// that is no error of the API.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/v1/recordings", "l=a in (b)&state=live")
	f.Add("GET", "/v1/recordings/app/dump", "format=json&e=%25file,!futex&since=1s&last=3&pid=7")
	f.Add("DELETE", "/v1/recordings/%2f", "previous=1;")
	f.Add("POST", "/v1/recordings/%zz/save", "=&&")
	h := New(servertest.New(), Options{Log: quiet()})
	f.Fuzz(func(t *testing.T, method, path, query string) {
		r := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, Host: "unix", Header: http.Header{}, Proto: "HTTP/1.1"}
		if u, err := url.ParseRequestURI(path); err == nil {
			r.URL.Path, r.URL.RawPath = u.Path, u.RawPath
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code/100 == 2 {
			return
		}
		var e api.ErrorBody
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error.Message == "" || w.Code == http.StatusInternalServerError {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
