package target

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/api"
)

// rec makes a recording: "id state container-id name [namespace/pod]".
func rec(minute int, s string) api.Recording {
	f := strings.Fields(s)
	r := api.Recording{
		ID: f[0], State: api.State(f[1]), Started: time.Unix(int64(minute)*60, 0),
		Container: api.Container{ID: f[2], Name: f[3], Runtime: "containerd", Cgroup: "/pods/" + f[2]},
	}
	if len(f) > 4 {
		ns, pod, _ := strings.Cut(f[4], "/")
		r.Pod = &api.Pod{Namespace: ns, Name: pod}
	}
	if f[2] == "-" {
		r.Container.ID, r.Container.Runtime, r.Container.Cgroup = "", "", "/run/"+f[3]
	}
	return r
}

// plain makes a recording of a cgroup that no runtime made: "id state name path".
func plain(minute int, s string) api.Recording {
	f := strings.Fields(s)
	return api.Recording{
		ID: f[0], State: api.State(f[1]), Started: time.Unix(int64(minute)*60, 0), Container: api.Container{ID: f[2], Name: f[2], Cgroup: f[3]},
	}
}

var recs = []api.Recording{
	rec(1, "aa01 ended 1111aaaa app shop/web-0"),
	rec(2, "aa02 ended 2222aaaa app shop/web-0"),
	rec(3, "ab03 live 3333aaaa app shop/web-0"),
	rec(3, "ab04 live 4444aaaa proxy shop/web-0"),
	rec(4, "ac05 live 5555aaaa db shop/db-0"),
	rec(4, "ac06 live 6666aaaa db test/db-0"),
	rec(5, "ad07 ended 7777aaaa job shop/job-x"),
	rec(6, "ad08 ended 8888aaaa job shop/job-x"),
	rec(7, "ae09 live 9999aaaa redis default/redis"),
	rec(7, "ae10 live 9998aaaa sidecar default/redis"),
	rec(8, "af11 live - worker"),
	rec(8, "af12 live - feed"), // its name is the beginning of an id
	rec(9, "feed0013 live 4321bbbb other"),
	rec(9, "ba14 live 4321cccc"+" twin"),
	rec(9, "ba15 live 4321dddd"+" twin"),
	rec(9, "ba16 spooled abcdabcd late shop/late"),
	plain(5, "da01 ended r10 /a/r10"),
	plain(5, "ca01 ended same /a/same"),
	plain(6, "ca02 ended same /a/same"),
	plain(7, "cb03 ended same /b/same"),
}

func TestResolve(t *testing.T) {
	ambiguous := func(ids ...string) string { return "ambiguous " + strings.Join(ids, " ") }
	for _, c := range []struct {
		target string
		sel    Selector
		want   string
	}{
		{"aa01", Selector{}, "aa01"},
		{"aa0", Selector{}, ambiguous("aa02", "aa01")},
		{"af11", Selector{}, "af11"},
		{"ad", Selector{}, ambiguous("ad08", "ad07")}, // prefixes of ids are no name
		{"3333aaaa", Selector{}, "ab03"},
		{"3333", Selector{}, "ab03"},
		{"333", Selector{}, "not_found"},
		{"4321", Selector{}, ambiguous("feed0013", "ba15", "ba14")},
		{"4321b", Selector{}, "feed0013"},
		{"app", Selector{}, "ab03"},
		{"app", Selector{Previous: true}, "aa02"},
		{"ab03", Selector{Previous: true}, "aa02"},
		{"aa02", Selector{Previous: true}, "aa01"},
		{"aa01", Selector{Previous: true}, "not_found"},
		{"job", Selector{}, "ad08"},
		{"job", Selector{Previous: true}, "ad08"},
		{"ad08", Selector{Previous: true}, "ad07"},
		{"proxy", Selector{Previous: true}, "not_found"},
		{"web-0", Selector{}, ambiguous("ab04", "ab03", "aa02", "aa01")},
		{"web-0", Selector{Container: "app"}, "ab03"},
		{"pod/web-0", Selector{Container: "proxy"}, "ab04"},
		{"pod/app", Selector{}, "not_found"},
		{"web-0", Selector{Container: "nope"}, "not_found"},
		{"db", Selector{}, ambiguous("ac06", "ac05")},
		{"db", Selector{Namespace: "test"}, "ac06"},
		{"db-0", Selector{Namespace: "shop"}, "ac05"},
		{"db", Selector{Namespace: "none"}, "not_found"},
		{"redis", Selector{}, "ae09"}, // both container and pod
		{"pod/redis", Selector{}, ambiguous("ae10", "ae09")},
		{"worker", Selector{}, "af11"},
		{"worker", Selector{Namespace: "shop"}, "not_found"},
		{"/run/worker", Selector{}, "af11"},
		{"/run/worker/", Selector{}, "af11"},
		{"/run", Selector{}, "not_found"},
		{"feed", Selector{}, "af12"},
		{"feed0", Selector{}, "feed0013"},
		{"twin", Selector{}, ambiguous("ba15", "ba14")},
		{"late", Selector{Previous: true}, "ba16"},
		{"same", Selector{}, ambiguous("cb03", "ca02", "ca01")},
		{"/a/same", Selector{}, "ca02"},
		{"/b/same", Selector{}, "cb03"},
		{"cb03", Selector{Previous: true}, "not_found"},
		{"ca02", Selector{Previous: true}, "ca01"},
		{"wor", Selector{}, "af11"}, // beginnings of names
		{"wor", Selector{WholeName: true}, "not_found"},
		{"w", Selector{}, "not_found"},
		{"pod/job", Selector{}, "ad08"},
		{"pod/job", Selector{WholeName: true}, "not_found"},
		{"pod/we", Selector{}, ambiguous("ab04", "ab03", "aa02", "aa01")},
		{"sidec", Selector{Namespace: "default"}, "ae10"},
		{"sidec", Selector{Namespace: "shop"}, "not_found"},
		{"r1", Selector{}, "not_found"}, // not r10
		{"r10", Selector{}, "da01"},
		{"", Selector{}, "bad_request"},
		{"pod/", Selector{}, "bad_request"},
		{"/", Selector{}, "not_found"},
		{"\x00\xff", Selector{}, "not_found"},
		{strings.Repeat("x", 1<<16), Selector{}, "not_found"},
	} {
		got, err := Resolve(recs, c.target, c.sel)
		desc := got.ID
		if err != nil {
			desc = strings.TrimSpace(err.Code + " " + strings.Join(err.Matches, " "))
			if err.Status != api.StatusOf(err.Code) || err.Message == "" || len(err.Message) > 600 {
				t.Errorf("%.20q %+v: %+v", c.target, c.sel, err)
			}
		}
		if desc != c.want {
			t.Errorf("%.20q %+v: got %s, want %s (%v)", c.target, c.sel, desc, c.want, err)
		}
	}
	if _, err := Resolve(nil, "x", Selector{}); err == nil || err.Code != api.CodeNotFound {
		t.Errorf("no recordings: %v", err)
	}
}

// TestResolveInside catches a name that means a recording which only calls itself so.
func TestResolveInside(t *testing.T) {
	fake := rec(20, "fa01 live 1111aaaa x shop/web-0")
	fake.Container.Name, fake.Container.Cgroup = "", "/pods/evil/1111aaaa"
	fake.Inside = &api.Inside{Container: api.Container{Name: "app"}}
	lone := rec(20, "fa02 live 7654eeee x shop/gone-0")
	lone.Container.Name, lone.Inside = "", fake.Inside
	all := append([]api.Recording{fake, lone}, recs...)
	for _, tc := range []struct{ target, want string }{
		{"1111aaaa", "aa01"}, {"1111", "aa01"}, {"db-0", ""}, {"proxy", "ab04"}, {"pod/late", "ba16"},
		{"fa01", "fa01"}, {"/pods/evil/1111aaaa", "fa01"}, {"7654eeee", ""}, {"7654", ""}, {"gone-0", "fa02"}, {"fa", ""},
	} {
		r, err := Resolve(all, tc.target, Selector{})
		if (err == nil) != (tc.want != "") || r.ID != tc.want {
			t.Errorf("%s is %s, %v; want %q", tc.target, r.ID, err, tc.want)
		}
	}
	// Of its own pod it is not one more container.
	if r, err := Resolve(all, "web-0", Selector{Container: "app"}); err != nil || r.ID != "ab03" {
		t.Errorf("app of web-0 is %s, %v", r.ID, err)
	}
}

func TestResolveMessages(t *testing.T) {
	for _, c := range []struct {
		target string
		sel    Selector
		want   string
	}{
		{"web-0", Selector{}, "name the container, or give an id"},
		{"db", Selector{}, "name the namespace, or give an id: ac06 (test/db-0/db, live), ac05 (shop/db-0/db, live)"},
		{"twin", Selector{}, "2 recordings, give an id"},
		{"web-0", Selector{Container: "x"}, `"web-0" has no recording, container "x", but there is shop/web-0/app`},
		{"nope", Selector{Namespace: "y"}, `there is no recording of "nope", namespace "y": recorderctl list`},
		{"porxy", Selector{}, "there is no recording of \"porxy\": recorderctl list"},
		{"proxi", Selector{}, "there is no recording of \"proxi\": is it \"proxy\"?"},
		{"rker", Selector{}, "is it \"worker\"?"},
		{"proxi", Selector{Namespace: "test"}, "recorderctl list"},
		{"proxy", Selector{Previous: true}, "no earlier recording of shop/web-0/proxy, live is kept"},
	} {
		if _, err := Resolve(recs, c.target, c.sel); err == nil || !strings.Contains(err.Message, c.want) {
			t.Errorf("%q: %v\nwant %s", c.target, err, c.want)
		}
	}
}

func TestLabels(t *testing.T) {
	r := api.Recording{
		Pod:       &api.Pod{Labels: map[string]string{"app": "web", "env": "prod", "empty": ""}},
		Container: api.Container{Labels: map[string]string{"app": "other", "io.x/y": "z z"}},
	}
	for sel, want := range map[string]bool{
		"": true, " ": true, "app=web": true, "app == web": true, "app=other": false, "app!=web": false, "app!=x": true,
		"none!=x": true, "none=": false, "empty=": true, "app": true, "none": false, "!none": true, "! app": false,
		"app=web,env=prod": true, "app=web,env=test": false, "env in (test,prod)": true, "env in (test)": false,
		"env notin (test)": true, "env notin ( prod , x ),app": false, "none notin (x)": true, "io.x/y": true, "empty in (,a)": true,
	} {
		sl, err := parseLabels(sel)
		if err != nil {
			t.Errorf("%q: %v", sel, err)
		} else if sl.match(&r) != want {
			t.Errorf("%q: got %v", sel, !want)
		}
	}
	for _, bad := range []string{",", "a,", "=x", "a b", "a in", "a in (", "a in x", "a of (b)", "in (a)", "!", "a=b=c", "a=b)", "a in (b))", "a in (b c)", "(", ")", "a=(b)"} {
		if sl, err := parseLabels(bad); err == nil {
			t.Errorf("%q: %+v", bad, sl)
		}
	}
}

func TestFilterValues(t *testing.T) {
	f := Filter{Namespace: "n", Pod: "p", Container: "c", Labels: "a in (b,c)", States: []api.State{api.StateLive, api.StateSpooled}}
	got, err := ParseFilter(f.Values())
	if err != nil || !cmp.Equal(got, f) {
		t.Errorf("%v: %s", err, cmp.Diff(f, got))
	}
	s := Selector{Namespace: "n", Container: "c", Previous: true}
	v := s.Values()
	v.Set("other", "1")
	back, err := ParseSelector(v)
	if err != nil || back != s {
		t.Errorf("%+v, %v", back, err)
	}
	if !cmp.Equal(v, url.Values{"other": {"1"}}) {
		t.Errorf("left over: %v", v)
	}
}

// TestPreviousAlone catches that DELETE …?previous deletes another recording than the one
// that is meant. Other parameters need no value either.
func TestPreviousAlone(t *testing.T) {
	for query, want := range map[string]bool{"previous": true, "previous=": true, "previous=1": true, "previous=false": false, "": false} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if s, bad := ParseSelector(v); bad != nil || s.Previous != want || len(v) != 0 {
			t.Errorf("%q: %+v, %v", query, s, bad)
		}
	}
}

// FuzzResolve catches a panic over what a client sends, and an answer that is none
// of the recordings asked among.
func FuzzResolve(f *testing.F) {
	f.Add("web-0", "shop", "app", "a=b, c in (d)", true)
	f.Add("pod/", "", "", "!", false)
	f.Add("/run/x", "\xff", "", "a in (", false)
	f.Fuzz(func(t *testing.T, target, namespace, container, labels string, previous bool) {
		fit, err := Filter{Namespace: namespace, Container: container, Labels: labels}.Select(recs)
		if err == nil {
			for _, r := range fit {
				if namespace != "" && r.Pod.Namespace != namespace {
					t.Errorf("%+v", r)
				}
			}
		}
		r, err := Resolve(recs, target, Selector{Namespace: namespace, Container: container, Previous: previous})
		switch {
		case err != nil && err.Message == "":
			t.Error("an error without a word")
		case err == nil && (namespace != "" && r.Pod.Namespace != namespace || container != "" && r.Container.Name != container || previous && r.State == api.StateLive):
			t.Errorf("%+v", r)
		}
	})
}

// TestDumpsOnDisk catches a dump that was saved while its container lived, and is taken for
// the end of it, or for the container's run before; and a beginning of an id that means
// nothing any more because of it.
func TestDumpsOnDisk(t *testing.T) {
	at := func(minute int) *time.Time { t := time.Unix(int64(minute)*60, 0); return &t }
	saved := func(r api.Recording, minute int) api.Recording {
		r.Spool = &api.SpoolInfo{SavedAt: *at(minute)}
		return r
	}
	before := rec(1, "aa01 spooled 1111aaaa app shop/web-0")
	before.Ended = at(2)
	first, second := saved(rec(3, "bb02-1 spooled 2222aaaa app shop/web-0"), 4), saved(rec(3, "bb02-2 spooled 2222aaaa app shop/web-0"), 5)
	first.Started = first.Started.Add(time.Microsecond) // its time was told by another clock
	second.Started = second.Started.Add(-time.Microsecond)
	live := rec(3, "bb02 live 2222aaaa app shop/web-0")
	ended := rec(3, "bb02 ended 2222aaaa app shop/web-0")
	ended.Ended = at(6)
	crash := saved(ended, 6)
	crash.State = api.StateSpooled
	other := saved(rec(3, "bb02-3 spooled 2222aaaa app shop/web-0"), 7)
	other.Ended = at(6)
	for _, tc := range []struct {
		name   string
		recs   []api.Recording
		target string
		prev   bool
		want   string
	}{
		{"lives", []api.Recording{before, first, second, live}, "app", false, "bb02"},
		{"lives, by a beginning", []api.Recording{before, first, second, live}, "bb", false, "bb02"},
		{"lives, previous", []api.Recording{before, first, second, live}, "app", true, "aa01"},
		{"lives, previous by id", []api.Recording{before, first, second, live}, "bb02", true, "aa01"},
		{"lives, a dump", []api.Recording{before, first, second, live}, "bb02-1", false, "bb02-1"},
		{"before a dump", []api.Recording{before, first, second, live}, "bb02-1", true, "aa01"},
		{"ended", []api.Recording{before, first, second, ended}, "app", false, "bb02"},
		{"ended, previous", []api.Recording{before, first, second, ended}, "app", true, "bb02"},
		{"on disk", []api.Recording{before, first, second, crash}, "web-0", false, "bb02"},
		{"ended and twice on disk", []api.Recording{before, first, ended, other}, "app", false, "bb02"},
		{"its end alone", []api.Recording{before, other, first}, "app", false, "bb02-3"},
		{"no end", []api.Recording{before, second, first}, "app", false, "bb02-2"},
	} {
		got, err := Resolve(tc.recs, tc.target, Selector{Previous: tc.prev})
		if err != nil || got.ID != tc.want || tc.want == "bb02" && got.State != tc.recs[len(tc.recs)-1].State && tc.name != "ended and twice on disk" {
			t.Errorf("%s: %s (%s), %v; want %s", tc.name, got.ID, got.State, err, tc.want)
		}
	}
	if _, err := Resolve([]api.Recording{first, second}, "bb", Selector{}); err == nil || err.Code != api.CodeAmbiguous {
		t.Errorf("the beginning of two ids: %v", err)
	}
}

// TestCurrent catches a container that is missing or there twice among those that labels choose,
// and another of its recordings than its name means.
func TestCurrent(t *testing.T) {
	at := func(id string, state api.State, pod string, started int) api.Recording {
		return api.Recording{ID: id, State: state, Started: time.Unix(int64(started), 0), Pod: &api.Pod{Namespace: "n", Name: pod}, Container: api.Container{Name: "c", Cgroup: "/" + id}}
	}
	recs := []api.Recording{
		at("a1", api.StateEnded, "a", 1), at("a2", api.StateLive, "a", 2), at("b1", api.StateEnded, "b", 1), at("b2", api.StateEnded, "b", 3), at("b2-1", api.StateSpooled, "b", 3),
		at("c1", api.StateLive, "c", 1), at("c2", api.StateLive, "c", 2), at("c0", api.StateEnded, "c", 0),
	}
	var ids []string
	for _, r := range Current(recs) {
		ids = append(ids, r.ID)
	}
	if got := strings.Join(ids, " "); got != "a2 b2 c1 c2" {
		t.Errorf("%s, want of each container the live one, or all live ones, else the newest", got)
	}
}
