package main

import (
	"context"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
)

// listed are recorders that have a list, the last of which every name means.
type listed struct {
	recorders
	list []api.Recording
}

func (l listed) List(context.Context, target.Filter) (api.RecordingList, error) {
	return api.RecordingList{Recordings: l.list}, nil
}

func (l listed) Get(context.Context, string, target.Selector) (api.Recording, error) {
	return l.list[len(l.list)-1], nil
}

// TestBefore catches a crash loop whose last crash is compared with the crash before it instead of
// the good run, and a recording that is compared with another container's or with itself.
func TestBefore(t *testing.T) {
	run := func(id, name, fingerprint string, minute int) api.Recording {
		return api.Recording{
			ID: id, Started: time.Unix(int64(60*minute), 0), Container: api.Container{Name: name, ID: "x", Cgroup: "/x"},
			Verdict: &api.Verdict{Fingerprint: fingerprint},
		}
	}
	good, other := run("aa", "web", "", 1), run("bb", "db", "", 2)
	first, second := run("cc", "web", "5e6f", 3), run("dd", "web", "5e6f", 4)
	again := second
	again.ID = "dd-2"
	for _, tc := range []struct {
		list []api.Recording
		want string
	}{
		{[]api.Recording{good, other, first, again, second}, "aa"},
		{[]api.Recording{other, first, second}, "cc"},
		{[]api.Recording{other, again, second}, ""},
		{[]api.Recording{run("zz", "web", "", 9), second}, ""},
	} {
		a, b, err := before(t.Context(), listed{list: tc.list}, "web", target.Selector{})
		if a != tc.want || (err != nil) != (tc.want == "") || err == nil && b != "dd" {
			t.Errorf("%s and %s, %v: want %s", a, b, err, tc.want)
		}
	}
}
