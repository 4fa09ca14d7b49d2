package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/testcontainerd"
	"github.com/recorderd/recorderd/recorder/containerd"
)

// A daemon with a smaller budget gives back the spare rings of the last one, and no
// live container's; what it has then it goes on giving to new containers.
func TestSmallerBudget(t *testing.T) {
	srv := testcontainerd.Start(t, testcontainerd.Config{})
	a := startAgain(t, Config{Watch: []string{"/" + srv.Namespace}, Containerd: containerd.Config{Addresses: []string{srv.Address}, Interval: time.Second}})
	status := func() api.Status {
		t.Helper()
		s, err := a.r.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	live := func() *testcontainerd.Container {
		t.Helper()
		c := srv.Run(t, testcontainerd.Options{Args: []string{"/bin/sh", "-c", "while :; do sleep 0.05; done"}})
		only(t, a.r, c.ID, func(rec api.Recording) bool { return rec.State == api.StateLive })
		return c
	}
	// pinned is how many rings there are, whoever knows them.
	pinned := func() int {
		rings, _ := filepath.Glob(filepath.Join(a.cfg.PinDir, "ring", "*"))
		return len(rings)
	}
	// waiting is how many of them the next containers would get.
	waiting := func() int {
		slots, err := a.r.kernel.Spares()
		if err != nil {
			t.Fatal(err)
		}
		return len(slots)
	}
	restart := func(rings uint64) {
		t.Helper()
		a.stop()
		a.cfg.MemoryBudget = rings * a.r.ringBytes
		a.start()
	}
	containers := []*testcontainerd.Container{live(), live(), live()}
	spares := status().Rings.Spare
	if spares < 7 {
		t.Fatalf("%d spare rings: too few for this test", spares)
	}
	demand := func(when string, live, spare int) {
		t.Helper()
		eventually(t, when, func() bool {
			s := status().Rings
			return s.Live == live && s.Spare == spare && s.Bytes <= s.Budget && pinned() == live+spare && waiting() == spare
		})
	}
	restart(20)
	demand("room for 20 rings", 3, 4)
	containers = append(containers, live())
	demand("one more container", 4, 4)
	restart(6)
	demand("room for 6 rings", 4, 1)
	restart(4)
	demand("room for those that live alone", 4, 0)
	restart(3)
	eventually(t, "less than those that live", func() bool { s := status().Rings; return s.Live == 4 && s.Spare == 0 })
	for _, c := range containers {
		rec := only(t, a.r, c.ID, func(rec api.Recording) bool { return rec.State == api.StateLive })
		only(t, a.r, c.ID, func(now api.Recording) bool { return now.Coverage.Written > rec.Coverage.Written+20 })
	}
	for _, c := range containers[1:] {
		c.Delete(t)
	}
	eventually(t, "the next container has a ring again", func() bool { return status().Rings.Spare > 0 })
	live()
	if s := status(); s.Rings.Bytes > s.Rings.Budget || s.Lost.NoRing != 0 || s.Lost.Stale != 0 {
		t.Errorf("%d bytes of %d; lost %+v", s.Rings.Bytes, s.Rings.Budget, s.Lost)
	}
}

// Ends are kept by container: two plain cgroups of one name below different parents
// are two, of each of which the last end goes last.
func TestLastEndsOfEachContainer(t *testing.T) {
	below := map[string]cgroups{"a": makeCgroups(t, "a"), "b": makeCgroups(t, "b")}
	r := testRecorder(t, Config{Watch: []string{below["a"].path, below["b"].path}, OnlyWatched: true, KeepLast: 1})
	// end is the recording of a container that ran once and is gone.
	ids := map[string]bool{}
	end := func(parent string) string {
		t.Helper()
		dir := filepath.Join(below[parent].dir, "web")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		below[parent].exec("web", "/bin/true")
		eventually(t, "remove "+dir, func() bool { return os.Remove(dir) == nil })
		var id string
		eventually(t, "the recording is put together", func() bool {
			r.collect()
			r.settle(false)
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, rec := range r.recs {
				if rec.kept != nil && !ids[rec.id] {
					id = rec.id
				}
			}
			return id != ""
		})
		ids[id] = true
		return id
	}
	onlyOfA := end("a")
	firstOfB, lastOfB := end("b"), end("b")
	list, err := r.List(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("recordings %+v, %v; want 3", list, err)
	}
	for _, rec := range list {
		if rec.Container.Name != "web" || rec.Container.ID != "web" {
			t.Errorf("it is called %+v", rec.Container)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, want := range []string{firstOfB, onlyOfA, lastOfB} {
		for _, rec := range r.recs {
			rec.kept.done = true // it is not to be written to a disk
		}
		victim := r.victimLocked(time.Now())
		if victim.id != want {
			t.Fatalf("%s goes; want the surplus one of b (%s), then the oldest: %s, %s", victim.id, firstOfB, onlyOfA, lastOfB)
		}
		r.evictLocked(victim)
	}
}

// TestLoudGivesWay catches one container that pushes out what is kept of all others, by
// making very many inside it: each of those is another, and all are newer.
func TestLoudGivesWay(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		name        string
		loud, quiet uint64 // memory of one
		waiting     bool   // the loud one's are to be written to disk, and are not yet
	}{
		{"of one size", 100, 100, false},
		{"small ones", 10, 4000, false},
		{"large ones", 4000, 10, false},
		{"that wait for the disk", 100, 100, true},
	} {
		r := &Recorder{recs: map[string]*recording{}, cfg: Config{KeepMin: time.Hour, KeepLast: 3}}
		for i := range 300 {
			id := fmt.Sprint("inside-", i)
			r.recs[id] = &recording{id: id, endedAt: now.Add(-time.Duration(i) * time.Millisecond), kept: &kept{key: "inside/" + id, owner: "loud", memory: tc.loud, done: !tc.waiting}}
		}
		for i := range 20 { // long ago, and on disk
			id := fmt.Sprint("quiet-", i)
			owner := fmt.Sprint("owner-", i/5)
			r.recs[id] = &recording{id: id, endedAt: now.Add(-24 * time.Hour), kept: &kept{key: owner, owner: owner, memory: tc.quiet, done: true}}
		}
		for len(r.recs) > 20+30 {
			victim := r.victimLocked(now)
			if victim.kept.owner != "loud" {
				t.Errorf("%s: with %d there one of %s goes", tc.name, len(r.recs), victim.kept.owner)
				break
			}
			delete(r.recs, victim.id)
		}
	}
	// Where nobody is loud, it is the oldest.
	r := &Recorder{recs: map[string]*recording{}, cfg: Config{KeepLast: 3}}
	for i := range 100 {
		id := fmt.Sprint(i)
		r.recs[id] = &recording{id: id, endedAt: now.Add(time.Duration(i) * time.Second), kept: &kept{key: fmt.Sprint(i / 4), owner: fmt.Sprint(i / 4), memory: uint64(100 + i), done: true}}
	}
	if victim := r.victimLocked(now.Add(time.Hour)); victim.id != "0" {
		t.Errorf("%s goes, want the oldest, which is one too many of its container", victim.id)
	}
}
