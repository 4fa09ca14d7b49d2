package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const days = 24 * time.Hour

// filled is a store with so many dumps of crashes.
func filled(t *testing.T, dir string, l Limits, c *clock, n int) *Store {
	t.Helper()
	s := openStore(t, dir, l, c)
	raw := rawDump(t, 5, 10, false)
	for i := range n {
		crash(t, s, fmt.Sprintf("%04d", i), fmt.Sprint("key", i), raw)
		c.forward(time.Second)
	}
	return s
}

// TestClockIsSet catches a time of day that was wrong, or is, and costs the dumps of weeks:
// only time that was seen to pass makes them old.
func TestClockIsSet(t *testing.T) {
	limits := Limits{MaxAge: 30 * days, LoopGap: time.Hour}
	for _, tc := range []struct {
		name  string
		saved time.Time // what the clock said when the dumps were saved
		then  time.Time // what it is set to
	}{
		{"before NTP it was 1970", time.Unix(40, 0), noon},
		{"it is set 31 days ahead", noon, noon.Add(31 * days)},
		{"it was 31 days ahead", noon.Add(31 * days), noon},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, c := t.TempDir(), &clock{at: tc.saved}
			s := filled(t, dir, limits, c, 20)
			c.set(tc.then)
			check := func(when string, want int) {
				t.Helper()
				for range 3 {
					if err := s.Tidy(t.Context()); err != nil {
						t.Fatal(err)
					}
					c.forward(2 * agedEvery)
				}
				if got := ids(t, s); len(got) != want {
					t.Errorf("%s: %d dumps are left of 20: %v", when, len(got), got)
				}
			}
			check("at once", 20)
			s.Close()
			s = openStore(t, dir, limits, c)
			check("a new recorderd", 20)
			c.reboot(400 * days) // how long it was off nobody saw
			s.Close()
			s = openStore(t, dir, limits, c)
			check("after a reboot", 20)
			c.forward(31 * days)
			check("31 days later", 0)
			if got := s.Stats().Removed; got[RemovedAge] != 20 {
				t.Errorf("removed are %v", got)
			}
		})
	}
}

// TestAgeIsOverBoots catches nodes that start anew each day and keep dumps for ever.
func TestAgeIsOverBoots(t *testing.T) {
	limits := Limits{MaxAge: 10 * days}
	dir, c := t.TempDir(), &clock{at: noon}
	s := filled(t, dir, limits, c, 1)
	for day := 1; day <= 11; day++ {
		c.forward(days)
		if err := s.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if day%2 == 0 { // the others as if the power failed
			s.Close()
		}
		c.reboot(time.Hour)
		s = openStore(t, dir, limits, c)
		if got := len(ids(t, s)); (got == 1) != (day < 10) {
			t.Errorf("on day %d there are %d", day, got)
		}
	}
}

// TestOldFiles catches dumps of an earlier recorderd, or another node's, that go at once for
// what their names say, and such that never go.
func TestOldFiles(t *testing.T) {
	dir, c := t.TempDir(), &clock{at: noon}
	limits := Limits{MaxAge: 30 * days}
	raw := rawDump(t, 5, 10, false)
	for i := range 40 {
		m := metaOf(fmt.Sprintf("%04d", i), "")
		m.Saved = time.Unix(int64(i), 0)
		name := fileName(m.Saved, "web", "app", m.Recording.ID)
		if err := os.WriteFile(filepath.Join(dir, name), pack(t, &m, raw), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir, limits, c)
	if got := len(ids(t, s)); got != 40 {
		t.Fatalf("%d are left", got)
	}
	c.forward(29 * days)
	s.Close()
	s = openStore(t, dir, limits, c)
	if got := len(ids(t, s)); got != 40 {
		t.Errorf("%d are left after 29 days", got)
	}
	c.forward(2 * days)
	var left []int
	for range 5 { // never many at once
		if err := s.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		left = append(left, len(ids(t, s)))
		c.forward(agedEvery / 2)
	}
	if want := []int{24, 24, 8, 8, 0}; !cmp.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
	if n := len(s.passing.state.First); n != 0 {
		t.Errorf("%d files that are gone are remembered", n)
	}
}

// TestBrokenClock catches a file that costs the store, or the dumps.
func TestBrokenClock(t *testing.T) {
	for _, b := range []string{"", "{", "[]", `{"id":"x","passedNs":-1}`, `{"id":"x","passedNs":99999999999999999,"first":{"y":-5}}`, "\x00"} {
		dir, c := t.TempDir(), &clock{at: noon}
		s := filled(t, dir, Limits{MaxAge: 30 * days}, c, 3)
		s.Close()
		if err := os.WriteFile(filepath.Join(dir, clockFile), []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, dir, Limits{MaxAge: 30 * days}, c)
		if err := s.Tidy(t.Context()); err != nil {
			t.Error(err)
		}
		if got := ids(t, s); len(got) != 3 {
			t.Errorf("%q: left are %v", b, got)
		}
	}
}
