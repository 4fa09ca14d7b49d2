package containerd

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"
)

// TestParseCgroup catches a form of cgroupsPath by which no container is found.
func TestParseCgroup(t *testing.T) {
	for _, tc := range []struct{ in, path, below string }{
		{"", "", ""},
		{"/", "", ""},
		{"/default/web", "/default/web", ""},
		{"/default//web/", "/default/web", ""},
		{"/a:b:c", "/a:b:c", ""},
		{"web", "", "web"},
		{"default/web", "", "default/web"},
		{"../../web", "", "web"},
		{"system.slice:nerdctl:abc", "/system.slice/nerdctl-abc.scope", "system.slice:nerdctl:abc"},
		{":runc:abc", "/system.slice/runc-abc.scope", ":runc:abc"},
		{"-.slice:runc:abc", "/runc-abc.scope", "-.slice:runc:abc"},
		{"kubepods-burstable-pod1_2.slice:cri-containerd:abc",
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-abc.scope",
			"kubepods-burstable-pod1_2.slice:cri-containerd:abc"},
		{"a.slice:x:b.slice", "/a.slice/b.slice", "a.slice:x:b.slice"},
		{"bad--slice.slice:x:y", "", "bad--slice.slice:x:y"},
		{"noslice:x:y", "", "noslice:x:y"},
	} {
		got := parseCgroup(tc.in)
		if got.path != tc.path || got.below != tc.below {
			t.Errorf("parseCgroup(%q) = %q, below runc's own %q, want %q, %q", tc.in, got.path, got.below, tc.path, tc.below)
		}
	}
}

// TestAt catches a cgroup that is taken for a container's because it is called like it or
// lies in it, and a container that is not known by its own, whatever the drivers: when the
// kubelet uses systemd and the runtime does not, the cgroup is called like the unit's parts.
func TestAt(t *testing.T) {
	const unit = "kubepods-pod1_2.slice:cri-containerd:abc"
	const scope = "/kubepods.slice/kubepods-pod1_2.slice/cri-containerd-abc.scope"
	const node = "/docker/0123"
	for _, tc := range []struct {
		name    string
		spec    string
		where   place
		yes, no []string
	}{
		{"systemd", unit, place{"/system.slice/containerd.service", "/"},
			[]string{scope, scope + " (deleted)", "/" + unit, "/system.slice/containerd.service/" + unit},
			[]string{"", "/", "..", "/abc", "/kubepods.slice/kubepods-pod1_2.slice", scope + "/init.scope", scope + scope, node + scope,
				"/user.slice/" + unit, node + "/" + unit, "/kubepods.slice/cri-containerd-abc.scope"}},
		{"systemd, its place is not known", unit, place{"", "/"},
			[]string{scope, "/" + unit},
			[]string{"/system.slice/containerd.service/" + unit, node + scope}},
		{"cgroupfs", "/kubepods/pod1-2/abc", place{"/system.slice/containerd.service", "/"},
			[]string{"/kubepods/pod1-2/abc"},
			[]string{"/kubepods/pod1-2/abc/abc", "/abc", node + "/kubepods/pod1-2/abc", "/system.slice/containerd.service/kubepods/pod1-2/abc"}},
		{"relative", "x/abc", place{"/system.slice/containerd.service", "/"},
			[]string{"/x/abc", "/system.slice/containerd.service/x/abc"}, []string{"/y/x/abc", "/abc"}},
		{"in a container", "/kubepods/pod1-2/abc", place{node + "/system.slice/containerd.service", node},
			[]string{node + "/kubepods/pod1-2/abc"},
			[]string{"/kubepods/pod1-2/abc", "/docker/0124/kubepods/pod1-2/abc", node + "4/kubepods/pod1-2/abc"}},
		{"in a container, in the node's cgroup namespace", node + "/docker/abc", place{node + "/dockerd", node},
			[]string{node + "/docker/abc"}, []string{"/docker/abc", "/docker/0124/docker/abc"}},
		{"in a container, about one outside", "/docker/0124", place{node + "/dockerd", node},
			nil, []string{"/docker/0124", node}},
		{"in a container, mixed drivers", unit, place{node + "/containerd", node},
			[]string{node + scope, node + "/" + unit, node + "/containerd/" + unit}, []string{scope, "/" + unit}},
	} {
		src := New(Config{Addresses: []string{"/none"}})
		src.places[src.servers[0]] = tc.where
		spec := &anySpec{fmt.Sprintf(`{"linux":{"cgroupsPath":%q}}`, tc.spec)}
		src.put(newEntry(src.servers[0], "k8s.io", &containers.Container{ID: "abc", Spec: spec}, time.Now()))
		for _, p := range tc.yes {
			if i, ok := src.At(p); !ok || i.ID != "abc" {
				t.Errorf("%s: At(%q) = %+v, %v, want abc", tc.name, p, i, ok)
			}
		}
		for _, p := range tc.no {
			if i, ok := src.At(p); ok {
				t.Errorf("%s: At(%q) = %+v, want none", tc.name, p, i)
			}
		}
	}
}

// FuzzSpec catches a panic over a container whose spec is someone else's.
func FuzzSpec(f *testing.F) {
	f.Add(`{"linux":{"cgroupsPath":"a-b.slice:c:d"}}`)
	f.Add(`{"linux":{"cgroupsPath":"/a/../b"}}`)
	f.Add(`{"linux":7}`)
	f.Add(`["linux"]`)
	f.Fuzz(func(t *testing.T, spec string) {
		src := New(Config{Addresses: []string{"/none"}})
		e := newEntry(src.servers[0], "default", &containers.Container{ID: "x", Spec: &anySpec{spec}}, time.Now())
		src.put(e)
		if p := e.info.CgroupPath; p != "" {
			if i, ok := src.At(p); !ok || i.ID != "x" {
				t.Errorf("spec %q: At(%q) = %+v, %v", spec, p, i, ok)
			}
		}
		src.drop(e)
		if len(src.entries)+len(src.byID)+len(src.byName) != 0 {
			t.Errorf("spec %q: entries left", spec)
		}
	})
}

// TestProcessStart catches a misread /proc, where a name may look like fields.
func TestProcessStart(t *testing.T) {
	ticks, ok := processStart("", uint32(os.Getpid()))
	if at := wallTime(ticks); !ok || time.Since(at) > time.Hour || time.Since(at) < -time.Second {
		t.Errorf("this process started %v, %v", at, ok)
	}
	dir := t.TempDir()
	for content, want := range map[string]uint64{
		"1 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20\n": 4242,
		"1 (a) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20\n":    0,
		"1 (a) S 1 2 3": 0,
		"1 (a":          0,
		"":              0,
	} {
		if err := os.MkdirAll(dir+"/proc/1", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/proc/1/stat", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := processStart(dir, 1); got != want || ok != (want != 0) {
			t.Errorf("stat %q: %d, %v, want %d", content, got, ok, want)
		}
	}
}

// TestAttempt catches a count of restarts that is made up.
func TestAttempt(t *testing.T) {
	for in, want := range map[string]int{
		`{"Version":"v1","Metadata":{"ID":"5741","Config":{"metadata":{"name":"main","attempt":3},"image":{}}}}`: 3,
		`{"Version":"v1","Metadata":{"ID":"5741","Config":{"metadata":{"name":"main"}}}}`:                        0,
		`{"Version":"v1","Metadata":{"ID":"5741","Config":{"metadata":{"name":"main","attempt":-1}}}}`:           -1,
		`{"Version":"v9","Metadata":{}}`: -1,
		`{"Metadata":7}`:                 -1,
		``:                               -1,
	} {
		if got := attempt([]byte(in)); got != want {
			t.Errorf("attempt(%s) = %d, want %d", in, got, want)
		}
	}
}

type anySpec struct{ json string }

var _ typeurl.Any = (*anySpec)(nil)

func (a *anySpec) GetTypeUrl() string {
	return "types.containerd.io/opencontainers/runtime-spec/1/Spec"
}
func (a *anySpec) GetValue() []byte { return []byte(a.json) }
