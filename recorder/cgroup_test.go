package recorder

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A pod with a cgroup namespace of its own sees the host's hierarchy above itself; a
// mount of a part of a hierarchy is of no use, wherever that part is.
func TestHierarchies(t *testing.T) {
	const cgroup = "9:memory:/\n1:name=systemd:/\n0::/\n"
	line := func(root, mount, kind, opts string) string {
		return "41 31 0:38 " + root + " " + mount + " rw,relatime - " + kind + " " + kind + " " + opts + "\n"
	}
	v2 := func(mount string) Hierarchy { return Hierarchy{Name: "v2", Mount: mount} }
	for name, tc := range map[string]struct {
		mountinfo string
		want      []Hierarchy
	}{
		"host":            {line("/", "/sys/fs/cgroup", "cgroup2", "rw"), []Hierarchy{v2("/sys/fs/cgroup")}},
		"above":           {line("/../../..", "/sys/fs/cgroup", "cgroup2", "rw"), []Hierarchy{v2("/sys/fs/cgroup")}},
		"above, a part":   {line("/..", "/part", "cgroup2", "rw"), nil},
		"beside":          {line("/../../kubepods", "/sys/fs/cgroup", "cgroup2", "rw"), nil},
		"below":           {line("/kubepods", "/sys/fs/cgroup", "cgroup2", "rw"), nil},
		"dots in a name":  {line("/..kubepods", "/sys/fs/cgroup", "cgroup2", "rw"), nil},
		"v1":              {line("/", "/sys/fs/cgroup/memory", "cgroup", "rw,memory"), []Hierarchy{{ID: 9, Name: "memory", Mount: "/sys/fs/cgroup/memory"}}},
		"v1, above":       {line("/..", "/sys/fs/cgroup/memory", "cgroup", "rw,memory"), []Hierarchy{{ID: 9, Name: "memory", Mount: "/sys/fs/cgroup/memory"}}},
		"own, then above": {line("/own", "/own", "cgroup2", "rw") + line("/..", "/host", "cgroup2", "rw"), []Hierarchy{v2("/host")}},
	} {
		got := hierarchies([]byte(tc.mountinfo), []byte(cgroup), func(mount string) bool { return mount != "/part" })
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestIsRootCgroup(t *testing.T) {
	h, err := FindHierarchy("auto")
	if err != nil {
		t.Fatal(err)
	}
	if !isRootCgroup(h.Mount) {
		t.Errorf("%s is not taken for the root of its hierarchy", h.Mount)
	}
	if isRootCgroup(t.TempDir()) {
		t.Error("a directory elsewhere is taken for the root of a hierarchy")
	}
}

// TestOutOfNamespace catches a process, such as containerd, that is looked for in the wrong
// cgroup because recorderd is in a cgroup namespace of its own.
func TestOutOfNamespace(t *testing.T) {
	for _, tc := range []struct{ self, seen, there, want string }{
		{"/system.slice/recorderd.service", "/system.slice/recorderd.service", "/system.slice/containerd.service", "/system.slice/containerd.service"},
		{"/", "/", "/", "/"},
		{"/", "/", "/a", "/a"},
		{"/kubepods/pod1/r", "/", "/", "/kubepods/pod1/r"},
		{"/kubepods/pod1/r", "/", "/x", "/kubepods/pod1/r/x"},
		{"/kubepods/pod1/r", "/", "/../../../system.slice/containerd.service", "/system.slice/containerd.service"},
		{"/kubepods/pod1/r", "/", "/../../..", "/"},
		{"/kubepods/pod1/r/x", "/x", "/../../pod2/s", "/kubepods/pod2/s"},
		{"/kubepods/pod1/r", "/", "/..x", "/kubepods/pod1/r/..x"},
		{"/kubepods/pod1/r", "/", "/../../../../a", ""},
		{"/kubepods/pod1/r", "/../s", "/x", ""},
	} {
		if got, ok := outOfNamespace(tc.self, tc.seen, tc.there); got != tc.want || ok != (tc.want != "") {
			t.Errorf("%s, seen as %s: %s is %q, %v; want %q", tc.self, tc.seen, tc.there, got, ok, tc.want)
		}
	}
	h, err := FindHierarchy("auto")
	if err != nil {
		t.Fatal(err)
	}
	self, _, err := h.self()
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := h.of(os.Getpid(), self); got != self || !ok {
		t.Errorf("this process is in %q, %v; want %q", got, ok, self)
	}
	if got, ok := h.of(1<<30, self); ok {
		t.Errorf("a process that there is not is in %q", got)
	}
}
