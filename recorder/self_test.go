package recorder

import (
	"os"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/recorder/policy"
)

// By user space's rule a cgroup gets a ring exactly if it does by the kernel's.
func TestClaimed(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	r := &Recorder{watched: map[string]uint64{"/watched": 1, "/deep/er": 2, "/node/" + id + "/inner": 3, "/named/" + id: 4}}
	for path, want := range map[string][2]bool{ // without and with OnlyWatched
		"/":                               {false, false},
		"/system.slice/recorderd.service": {false, false},
		"/watched":                        {false, false},
		"/watched/x":                      {true, true},
		"/watched/x/y":                    {true, true},
		"/watchedx/y":                     {false, false},
		"/deep":                           {false, false},
		"/deep/x":                         {false, false},
		"/deep/er/x":                      {true, true},
		"/kubepods/pod1/" + id:            {true, false},
		"/x.slice/cri-containerd-" + id + ".scope":          {true, false},
		"/docker/" + id + "/system.slice/recorderd.service": {false, false}, // the node in a container is one
		"/watched/" + id:           {true, true},
		"/watched/" + id + "/x":    {false, true},
		"/node/" + id + "/inner":   {false, false},
		"/node/" + id + "/inner/x": {true, true},
		"/named/" + id:             {false, false},
	} {
		for i, only := range []bool{false, true} {
			r.cfg.OnlyWatched = only
			if got := r.claimed(path); got != want[i] {
				t.Errorf("%s, only watched %v: %v", path, only, got)
			}
		}
	}
}

// This process is found by the path that the kernel tells it, and without.
func TestSelf(t *testing.T) {
	h, err := FindHierarchy("auto")
	if err != nil {
		t.Fatal(err)
	}
	path, id, err := h.self()
	if err != nil {
		t.Fatal(err)
	}
	if now, err := h.id(path); err != nil || now != id || !h.holds(path, os.Getpid()) {
		t.Errorf("it is in %s with id %d; %d, %v", path, id, now, err)
	}
	lost := *h
	lost.ID = 1 << 20 // a hierarchy of which /proc/self/cgroup tells nothing
	if p, i, err := lost.self(); err != nil || p != path || i != id {
		t.Errorf("searched for, it is in %s with id %d, %v; want %s, %d", p, i, err, path, id)
	}
	lost.Mount = t.TempDir()
	if p, _, err := lost.self(); err == nil {
		t.Errorf("in an empty directory it is in %s", p)
	}
}

// What is found to be this process's container only when it has a ring, since it was
// not watched before, gives it back for good; what is beside it stays.
func TestSelfGivesItsRingBack(t *testing.T) {
	r, c := settled(t, policy.Policy{})
	loop := func(name string) {
		t.Helper()
		c.container(name)
		cmd := c.command(name, "/bin/sh", "-c", "while :; do sleep 0.05; done")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) //nolint:errcheck // killed
		c.recording(r, name)
	}
	loop("self")
	loop("beside")
	id, err := r.hierarchy.id(c.path + "/self")
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.self.id = id
	r.mu.Unlock()
	for range 3 {
		list, err := r.List(t.Context())
		if err != nil || len(list) != 1 || list[0].Container.Name != "beside" {
			t.Fatalf("recorded are %+v, %v", list, err)
		}
		if _, err := r.kernel.Tasks(-1); err != nil { // when it would get another
			t.Fatal(err)
		}
	}
}
