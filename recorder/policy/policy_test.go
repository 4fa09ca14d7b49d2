package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/size"
)

func of[T any](v T) *T { return &v }

func web() *api.Recording {
	return &api.Recording{
		Pod:       &api.Pod{Namespace: "shop", Name: "web-7d9f", Labels: map[string]string{"app": "web"}},
		Container: api.Container{Name: "app", Cgroup: "/kubepods/podx/abc"},
	}
}

func TestSettingsByName(t *testing.T) {
	var s Settings
	for name, value := range map[string]string{
		"off": "false", "mute": "futex,%clock", "capture-stdio": "1KiB", "capture-data": "64", "no-args": "true", "capture-dns": "false", "blank": "passwords,/x/", "keep": "90m",
	} {
		if err := s.Set(name, value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	want := Settings{
		Off: of(false), Mute: []string{"futex,%clock"}, CaptureStdio: of(size.Bytes(1024)), CaptureData: of(size.Bytes(64)), NoArgs: of(true), CaptureDNS: of(false),
		Blank: []string{"passwords", "/x/"}, Keep: of(90 * time.Minute),
	}
	if d := cmp.Diff(want, s); d != "" {
		t.Error(d)
	}
	for _, tc := range [][3]string{
		{"off", "maybe", "true or false"}, {"mute", "futx", `"futex"`}, {"capture-data", "5KiB", "at most 4KiB"}, {"capture-stdio", "much", "amount of memory"},
		{"keep", "-3s", "length of time"}, {"keep", "3", "length of time"}, {"blank", "nosuch", "card-numbers"}, {"colour", "red", "capture-data"},
	} {
		if err := new(Settings).Set(tc[0], tc[1]); err == nil || !strings.Contains(err.Error(), tc[2]) {
			t.Errorf("%s=%s: %v, want %q", tc[0], tc[1], err, tc[2])
		}
	}
	if len(Names()) != 10 {
		t.Errorf("names are %v", Names())
	}
}

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		set [2]string
		fit bool
	}{
		{[2]string{"namespace", "shop"}, true},
		{[2]string{"namespace", "sh?p"}, true},
		{[2]string{"namespace", "kube-*"}, false},
		{[2]string{"pod", "web-*"}, true},
		{[2]string{"container", "app"}, true},
		{[2]string{"container", "ap"}, false},
		{[2]string{"labels", "app in (web,api),!canary"}, true},
		{[2]string{"labels", "app!=web"}, false},
		{[2]string{"cgroup", "/kubepods/*/*"}, true},
		{[2]string{"cgroup", "/kubepods/*"}, false},
	} {
		var m Match
		if err := m.Set(tc.set[0], tc.set[1]); err != nil {
			t.Fatal(err)
		}
		if got := m.fits(web()); got != tc.fit {
			t.Errorf("%s %q: %v", tc.set[0], tc.set[1], got)
		}
	}
	if !(&Match{}).fits(&api.Recording{}) || (&Match{Namespace: "shop"}).fits(&api.Recording{}) {
		t.Error("a container without a pod is in a namespace, or nothing fits all")
	}
	for _, bad := range [][2]string{{"pod", "[a"}, {"labels", "a in b"}, {"node", "x"}} {
		if err := new(Match).Set(bad[0], bad[1]); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}

func TestFor(t *testing.T) {
	p := Policy{
		Base: Settings{CaptureStdio: of(size.Bytes(512)), Mute: []string{"futex"}, Blank: []string{"passwords"}},
		Rules: []Rule{
			{Match{Namespace: "shop"}, Settings{NoArgs: of(true), Mute: []string{"poll"}, CaptureData: of(size.Bytes(100))}},
			{Match{Container: "proxy"}, Settings{Off: of(true)}},
			{Match{Labels: "app=web"}, Settings{NoArgs: of(false), Blank: []string{"/x/"}}},
		},
	}
	want := Settings{
		CaptureStdio: of(size.Bytes(512)), CaptureData: of(size.Bytes(100)), NoArgs: of(false),
		Mute: []string{"futex", "poll"}, Blank: []string{"passwords", "/x/"},
	}
	for range 2 { // one answer must not change the next
		if d := cmp.Diff(want, p.For(web())); d != "" {
			t.Error(d)
		}
	}
	if d := cmp.Diff(p.Base, p.For(&api.Recording{})); d != "" {
		t.Error(d)
	}
}

// TestForOneInside catches a container that gets rid of its rules, or gets another's, by
// what it calls a cgroup inside it.
func TestForOneInside(t *testing.T) {
	p := Policy{Rules: []Rule{
		{Match{Container: "app"}, Settings{NoArgs: of(true)}},
		{Match{Labels: "tier=db"}, Settings{Mute: []string{"poll"}}},
		{Match{Cgroup: "/kubepods/pod1/*"}, Settings{Blank: []string{"passwords"}}},
		{Match{Cgroup: "/kubepods/pod1/*/*"}, Settings{Off: of(true)}},
		{Match{Container: "other"}, Settings{Off: of(true)}},
	}}
	r := web()
	r.Inside = &api.Inside{Container: api.Container{Name: "app", Cgroup: "/kubepods/pod1/aa", Labels: map[string]string{"tier": "db"}}}
	r.Container = api.Container{ID: "other", Cgroup: "/kubepods/pod1/aa/other"}
	want := Settings{NoArgs: of(true), Mute: []string{"poll"}, Blank: []string{"passwords"}}
	if d := cmp.Diff(want, p.For(r)); d != "" {
		t.Error(d)
	}
	r.Container.Name = "other" // a runtime says so
	if got := p.For(r); got.Off == nil || !*got.Off || got.NoArgs != nil {
		t.Errorf("a known one has %+v, want its own", got)
	}
}

// Annotations are written by those whose containers are recorded.
func TestAnnotations(t *testing.T) {
	s, err := Annotations(map[string]string{
		"recorderd.github.io/mute": "futex", "recorderd.github.io/capture-data": "4KiB", "recorderd.github.io/no-args": "false", "recorderd.github.io/off": "false",
		"recorderd.github.io/capture-stdio": "0", "recorderd.github.io/keep": "soon", "recorderd.github.io/of": "true", "other.io/off": "true",
	})
	if err == nil || err.Error() != "annotation recorderd.github.io/keep: want a length of time such as 90s, 30m or 24h\n"+
		"annotation recorderd.github.io/of: there is no such setting: there are off, mute, capture-stdio, capture-stdio-files, capture-dns, capture-data, no-args, blank, save-completed, keep" {
		t.Errorf("error %v", err)
	}
	base := Settings{NoArgs: of(true), CaptureData: of(size.Bytes(100)), CaptureStdio: of(size.Bytes(512)), Off: of(true), Mute: []string{"poll"}}
	want := Settings{NoArgs: of(true), CaptureData: of(size.Bytes(100)), CaptureStdio: of(size.Bytes(0)), Off: of(true), Mute: []string{"poll", "futex"}}
	if d := cmp.Diff(want, s.Narrow(base)); d != "" {
		t.Error(d)
	}
	yes, no := Settings{CaptureStdioFiles: of(true)}, Settings{CaptureStdioFiles: of(false)}
	if is := func(s Settings) bool { return s.CaptureStdioFiles != nil && *s.CaptureStdioFiles }; is(yes.Narrow(no)) ||
		is(yes.Narrow(Settings{})) || is(no.Narrow(yes)) || !is(yes.Narrow(yes)) || !is(Settings{}.Narrow(yes)) {
		t.Error("files are captured as standard output where the base or the annotation says no")
	}
	if got := (Settings{CaptureDNS: of(true)}).Narrow(Settings{CaptureDNS: of(false)}); *got.CaptureDNS {
		t.Error("messages to port 53 are captured where the base says no")
	}
	// Where nothing is said, nothing is captured of other reads and writes.
	if got := s.Narrow(Settings{}); got.CaptureData != nil {
		t.Errorf("it captures %v", *got.CaptureData)
	}
}

// TestAnnotationsAreBounded catches that whoever may make a pod keeps the daemon busy for
// minutes, or has it run out of memory, with what it asks to be blanked or muted.
func TestAnnotationsAreBounded(t *testing.T) {
	for name, values := range map[string][]string{
		"blank": {strings.Repeat("/a/,", 300) + "/a/", "/(?:.{1000}){1}" + strings.Repeat("(?:.{1000})", 60) + "/", "/.{200}/,/.{100}/", "/" + strings.Repeat("[ab]{90}", 3) + "/"},
		"mute":  {strings.Repeat("read,", 300) + "read", "trace=/(?:.{50}){4,9}/", "!/.{200}/,/.{100}/"},
	} {
		for _, value := range values {
			begun := time.Now()
			s, err := Annotations(map[string]string{AnnotationPrefix + name: value})
			if err == nil || s.Blank != nil || s.Mute != nil || len(err.Error()) > 300 {
				t.Errorf("%s %.40s: %v, %.300v", name, value, s, err)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("%s %.40s: it took %v", name, value, took)
			}
		}
	}
	s, err := Annotations(map[string]string{AnnotationPrefix + "blank": `passwords,private-keys,/session=(\w+)/,/\bsk_live_[0-9A-Za-z]{8,}/,/[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}/`, AnnotationPrefix + "mute": "/^epoll_/,%clock,futex"})
	if err != nil || len(s.Blank) != 5 || len(s.Mute) != 1 {
		t.Errorf("what is usual: %+v, %v", s, err)
	}
}
