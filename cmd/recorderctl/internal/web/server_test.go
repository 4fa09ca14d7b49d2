package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/testrecording"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/timeline"
)

// fake has recordings of the tests, by made up ids.
type fake struct {
	dumps map[string][]byte
	list  api.RecordingList
	err   error
	lists atomic.Int32
}

const recordings = "../../../../recorder/postmortem/testdata"

func newFake(t *testing.T, dir string) *fake {
	t.Helper()
	f := &fake{dumps: make(map[string][]byte)}
	all, err := filepath.Glob(dir + "/*.rec.gz")
	if err != nil || len(all) == 0 {
		t.Fatal("no recordings", err)
	}
	for i, file := range all {
		raw := testrecording.Raw(t, file)
		d := testrecording.Reader(t, raw)
		rec := d.Header().Recording
		report, _ := postmortem.Build(d, postmortem.Options{})
		rec.ID = fmt.Sprintf("%012x", i+1)
		rec.Verdict = &api.Verdict{Text: report.Verdict, How: string(report.Outcome)}
		if rec.Exit != nil && (rec.Exit.Code != 0 || rec.Exit.Signal != "") {
			rec.Verdict.Fingerprint = fmt.Sprint(rec.Exit.Code, rec.Exit.Signal)
		}
		if strings.Contains(file, "deadlock") {
			rec.Verdict.Text = "hanging: all 3 threads have been in futex"
		}
		f.dumps[rec.ID] = raw
		f.list.Recordings = append(f.list.Recordings, rec)
	}
	return f
}

func (f *fake) List(context.Context) (api.RecordingList, error) {
	f.lists.Add(1)
	return f.list, f.err
}

func (f *fake) Dump(_ context.Context, id string) (io.ReadCloser, error) {
	raw, ok := f.dumps[id]
	if !ok {
		return nil, api.Errorf(api.CodeNotFound, "there is no recording %s", id)
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

// bearer gives each request of a client the token.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// uiTest is a server, and a client with its token.
func uiTest(t *testing.T, f *fake) (*Server, *httptest.Server, *http.Client) {
	t.Helper()
	ui := httptest.NewUnstartedServer(nil)
	s := NewServer(ui.Listener.Addr(), f)
	ui.Config.Handler = s.Handler()
	ui.Start()
	t.Cleanup(ui.Close)
	return s, ui, &http.Client{Transport: bearer(s.token), Timeout: time.Minute}
}

func get[T any](t *testing.T, c *http.Client, url string, want int) (v T) {
	t.Helper()
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != want {
		t.Fatalf("%s: %s, want %d: %s", url, r.Status, want, b)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v: %.200s", url, err, b)
	}
	return v
}

// Nobody without the token gets anything, by whatever way they ask.
func TestGuard(t *testing.T) {
	s, ui, with := uiTest(t, newFake(t, recordings))
	ask := func(c *http.Client, path string, change func(*http.Request)) int {
		r, err := http.NewRequest(http.MethodGet, ui.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(r)
		}
		a, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		if b, _ := io.ReadAll(a.Body); path == "/" && bytes.Contains(b, []byte(s.token)) {
			t.Error("the page has the token")
		}
		return a.StatusCode
	}
	without := &http.Client{}
	if got := ask(without, "/", nil); got != http.StatusOK {
		t.Errorf("the page, which has no data: %d", got)
	}
	for _, path := range []string{"/api/recordings", "/api/recordings/000000000001/timeline", "/api/recordings?token=" + s.token, "/none"} {
		for name, change := range map[string]func(*http.Request){
			"without a token": nil,
			"with another":    func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") },
			"with none":       func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
			"as a cookie":     func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "token", Value: s.token}) },
		} {
			if got := ask(without, path, change); got != http.StatusForbidden {
				t.Errorf("%s %s: %d", path, name, got)
			}
		}
	}
	if u, err := url.Parse(s.URL()); err != nil || strings.Contains(u.RequestURI(), s.token) {
		t.Errorf("a server would get the token of %s", s.URL())
	}
	for name, change := range map[string]func(*http.Request){
		"another name of the address": func(r *http.Request) { r.Host = "evil.example:80" },
		"another port":                func(r *http.Request) { r.Host = "127.0.0.1:1" },
	} {
		if got := ask(with, "/api/recordings", change); got != http.StatusMisdirectedRequest {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := ask(with, "/api/recordings", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); got != http.StatusForbidden {
		t.Errorf("another site: %d", got)
	}
	if got := ask(with, "/api/recordings", nil); got != http.StatusOK {
		t.Errorf("with the token: %d", got)
	}
	post, err := with.Post(ui.URL+"/api/recordings", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	post.Body.Close()
	if post.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", post.Status)
	}
}

// Each recording has a timeline, a spark, and a page; two have a difference.
func TestServer(t *testing.T) {
	f := newFake(t, recordings)
	f.err = &Partial{errors.New("node-2 did not answer")}
	_, ui, c := uiTest(t, f)
	type list struct {
		Recordings []Item
		Warning    string
	}
	l := get[list](t, c, ui.URL+"/api/recordings", http.StatusOK)
	if len(l.Recordings) != len(f.dumps) || l.Warning != "node-2 did not answer" {
		t.Fatalf("%d recordings, warning %q", len(l.Recordings), l.Warning)
	}
	crashed, hanging := 0, 0
	for _, r := range l.Recordings {
		if r.Crashed {
			crashed++
		}
		if r.Hanging {
			hanging++
		}
		tl := get[timeline.Timeline](t, c, ui.URL+"/api/recordings/"+r.ID+"/timeline", http.StatusOK)
		if tl.Report.Verdict == "" || len(tl.Events.Age) == 0 {
			t.Errorf("%s: verdict %q, %d events", r.ID, tl.Report.Verdict, len(tl.Events.Age))
		}
		sp := get[timeline.Spark](t, c, ui.URL+"/api/recordings/"+r.ID+"/spark", http.StatusOK)
		if len(sp.Calls) == 0 {
			t.Errorf("%s: no calls in its spark", r.ID)
		}
	}
	if crashed < 5 || hanging != 1 {
		t.Errorf("%d crashed, %d hanging", crashed, hanging)
	}
	if n := f.lists.Load(); n > 30 {
		t.Errorf("the nodes were asked for a list %d times", n)
	}
	a, b := l.Recordings[0].ID, l.Recordings[1].ID
	if d := get[postmortem.Difference](t, c, ui.URL+"/api/diff/"+a+"/"+b, http.StatusOK); d.A.Verdict == d.B.Verdict {
		t.Errorf("both: %s", d.A.Verdict)
	}
	r, err := c.Get(ui.URL + "/api/recordings/" + a + "/page")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, _ := io.ReadAll(r.Body); !bytes.Contains(b, []byte(`id="data"`)) || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%s: %.200s", r.Header, b)
	}
	get[map[string]string](t, c, ui.URL+"/api/recordings/abcdef/timeline", http.StatusNotFound)
	get[map[string]string](t, c, ui.URL+"/api/recordings/web/timeline", http.StatusNotFound)
	f.err = errors.New("no node answers")
	time.Sleep(listEvery)
	if e := get[map[string]string](t, c, ui.URL+"/api/recordings", http.StatusBadGateway); e["error"] != "no node answers" {
		t.Errorf("%v", e)
	}
}
