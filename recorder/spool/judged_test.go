package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/api"
)

// TestJudged catches a verdict that is lost with the daemon, that changes the dump, or that stays
// when its dump goes.
func TestJudged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := openStore(t, dir, Limits{}, nil)
	e := save(t, s, metaOf("aaaa", "k"), rawDump(t, 10, 1, true))
	file, beside := filepath.Join(dir, e.Name), filepath.Join(dir, JudgedName(e.Name))
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := e.Describe()
	if d.Verdict != nil {
		t.Fatalf("a verdict from nowhere: %+v", d.Verdict)
	}
	d.Container.Name, d.Exit = "late", &api.Exit{Code: 3, Reason: "Error"}
	d.Verdict = &api.Verdict{Text: "exited with 3", How: "exited", Cause: "status", Rules: 1}
	if err := s.Judge("aaaa", &d); err != nil {
		t.Fatal(err)
	}
	if err := s.Judge("bbbb", &d); err == nil {
		t.Error("a verdict on a dump that is not there")
	}
	is := func(s *Store) {
		t.Helper()
		now, err := s.Get("aaaa")
		if err != nil {
			t.Fatal(err)
		}
		got := now.Describe()
		if got.Verdict == nil || got.Verdict.Text != "exited with 3" || got.Container.Name != "late" || got.Exit.Reason != "Error" {
			t.Errorf("described as %+v, %+v, %+v", got.Verdict, got.Container, got.Exit)
		}
		if got.ID != "aaaa" || got.State != api.StateSpooled || got.Spool == nil || got.Spool.Reason != "exit" {
			t.Errorf("described as %+v", got)
		}
	}
	is(s)
	is(openStore(t, dir, Limits{}, nil))
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the dump was changed: %v", err)
	}
	// One that cannot be read is none.
	for _, bad := range []string{"", "{", `{"version":9}`, `{"version":1,"recording":{"id":"aaaa"}}`, `{"x":"` + strings.Repeat("x", maxJudged) + `"}`} {
		if err := os.WriteFile(beside, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		other := openStore(t, dir, Limits{}, nil)
		if now, err := other.Get("aaaa"); err != nil || now.Judged != nil {
			t.Errorf("%.20q is taken for a verdict: %+v, %v", bad, now.Judged, err)
		}
	}
	if err := s.Delete("aaaa"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(beside); err == nil {
		t.Error("the verdict stays when its dump goes")
	}
	// So it does if somebody else takes the dump away. Other files are left alone.
	save(t, s, metaOf("cccc", "k"), rawDump(t, 10, 1, true))
	if err := s.Judge("cccc", &d); err != nil {
		t.Fatal(err)
	}
	c, _ := s.Get("cccc")
	foreign := filepath.Join(dir, "notes.verdict")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, c.Name)); err != nil {
		t.Fatal(err)
	}
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, JudgedName(c.Name))); err == nil {
		t.Error("the verdict stays when its dump was taken away")
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error("a file of somebody else was removed")
	}
}
