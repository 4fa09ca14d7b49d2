package containerd

import (
	"os"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"
)

// TestParseCgroup catches a form of cgroupsPath by which no container is found.
func TestParseCgroup(t *testing.T) {
	for _, tc := range []struct{ in, path, base string }{
		{"", "", ""},
		{"/", "", ""},
		{"/default/web", "/default/web", ""},
		{"/default//web/", "/default/web", ""},
		{"/a:b:c", "/a:b:c", ""},
		{"web", "", ""},
		{"default/web", "/default/web", ""},
		{"../../web", "", ""},
		{"system.slice:nerdctl:abc", "/system.slice/nerdctl-abc.scope", "system.slice:nerdctl:abc"},
		{":runc:abc", "/system.slice/runc-abc.scope", ":runc:abc"},
		{"-.slice:runc:abc", "/runc-abc.scope", "-.slice:runc:abc"},
		{"kubepods-burstable-pod1_2.slice:cri-containerd:abc",
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-abc.scope",
			"kubepods-burstable-pod1_2.slice:cri-containerd:abc"},
		{"a.slice:x:b.slice", "/a.slice/b.slice", "a.slice:x:b.slice"},
		{"bad--slice.slice:x:y", "/bad--slice.slice:x:y", "bad--slice.slice:x:y"},
		{"noslice:x:y", "/noslice:x:y", "noslice:x:y"},
	} {
		got := parseCgroup(tc.in)
		if got.path() != tc.path || got.base != tc.base {
			t.Errorf("parseCgroup(%q) = %q, base %q, want %q, %q", tc.in, got.path(), got.base, tc.path, tc.base)
		}
	}
}

// TestByCgroupMixedDrivers catches a container lost when the kubelet uses
// systemd and the runtime does not: its cgroup is called like the unit's parts.
func TestByCgroupMixedDrivers(t *testing.T) {
	src := New(Config{Addresses: []string{"/none"}})
	spec := &anySpec{`{"linux":{"cgroupsPath":"kubepods-pod1_2.slice:cri-containerd:abc"}}`}
	src.put(newEntry(src.servers[0], "k8s.io", &containers.Container{ID: "abc", Spec: spec}, time.Now()))
	for _, p := range []string{
		"/kubepods.slice/kubepods-pod1_2.slice/cri-containerd-abc.scope",
		"/kubepods.slice/kubepods-pod1_2.slice/cri-containerd-abc.scope/init.scope",
		"/system.slice/containerd.service/kubepods-pod1_2.slice:cri-containerd:abc",
		"/kubepods-pod1_2.slice:cri-containerd:abc (deleted)",
	} {
		if i, ok := src.ByCgroup(p); !ok || i.ID != "abc" {
			t.Errorf("ByCgroup(%q) = %+v, %v, want abc", p, i, ok)
		}
	}
	for _, p := range []string{"", "/", "/kubepods.slice/kubepods-pod1_2.slice", "/abc", ".."} {
		if i, ok := src.ByCgroup(p); ok {
			t.Errorf("ByCgroup(%q) = %+v, want none", p, i)
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
			if i, ok := src.ByCgroup(p); !ok || i.ID != "x" {
				t.Errorf("spec %q: ByCgroup(%q) = %+v, %v", spec, p, i, ok)
			}
		}
		src.drop(e)
		if len(src.entries)+len(src.byID)+len(src.byCgroup)+len(src.byBase) != 0 {
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
