package recorder

import (
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
)

// TestResizedGoesOn catches a recording that another ring size cuts in two without a word.
func TestResizedGoesOn(t *testing.T) {
	c := makeCgroups(t, "resized")
	c.container("x")
	a := startAgain(t, Config{Watch: []string{c.path}})
	cmd := c.command("x", "/bin/sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) //nolint:errcheck // killed
	live := func() api.Recording {
		return at(t, a.r, c.path+"/x", func(rec api.Recording) bool { return rec.State == api.StateLive })
	}
	byID := func(id string) (found api.Recording) {
		list, err := a.r.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range list {
			if rec.ID == id {
				found = rec
			}
		}
		return found
	}
	first := live()
	a.stop()
	a.cfg.RingSize *= 2
	a.start()
	second := live()
	a.stop()
	a.cfg.RingSize *= 2
	a.start()
	third := live()
	check := func(when string, state api.State) {
		t.Helper()
		for _, step := range [][2]string{{first.ID, second.ID}, {second.ID, third.ID}} {
			eventually(t, "it is on disk", func() bool { rec := byID(step[0]); return rec.Spool != nil && rec.State == state })
			rec := byID(step[0])
			if rec.GoesOnAs != step[1] || rec.Spool.Reason != "resized" || rec.Exit != nil {
				t.Errorf("%s: %s goes on as %q, want %s; it is on disk for %+v", when, step[0], rec.GoesOnAs, step[1], rec.Spool)
			}
		}
		if third.GoesOnAs != "" {
			t.Errorf("%s: the live one goes on as %s", when, third.GoesOnAs)
		}
	}
	check("in memory", api.StateEnded)
	for _, id := range []string{first.ID, second.ID} {
		if _, err := a.r.dropEnded(id); err != nil {
			t.Fatal(err)
		}
	}
	check("on disk", api.StateSpooled)
}

// TestSuccessors catches another container, in a cgroup of the same path, that is taken for
// the same one.
func TestSuccessors(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	got := successors([]part{
		{"a", "/x", at(1), false, true}, {"b", "/x", at(2), true, true}, {"b-1", "/x", at(2), true, true}, {"c", "/x", at(3), true, false},
		{"d", "/y", at(1), false, true}, {"e", "/y", at(2), false, false}, {"f", "/y", at(3), true, false},
		{"g", "/z", at(1), false, true}, {"h", "/w", at(2), true, false},
	})
	want := map[string]string{"a": "b", "b": "c", "b-1": "c"}
	if len(got) != len(want) {
		t.Errorf("%v, want %v", got, want)
	}
	for id, next := range want {
		if got[id] != next {
			t.Errorf("%s goes on as %q, want %s", id, got[id], next)
		}
	}
}
