package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStart catches a command that does not begin in its cgroup: both ways into it,
// on each kind of hierarchy that there is.
func TestStart(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("needs root")
	}
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpuset"} {
		var st unix.Statfs_t
		if unix.Statfs(mount, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC && st.Type != unix.CGROUP_SUPER_MAGIC {
			continue
		}
		root := fmt.Sprintf("/recorderctl-test-%d", os.Getpid())
		t.Cleanup(func() { os.Remove(mount + root) })
		g, err := Make(mount, root+"/one")
		if err != nil {
			t.Errorf("%s: %v", mount, err)
			continue
		}
		starts := map[string]func(string, []string) error{
			"enter": func(p string, a []string) error { return wait(g.enter(p, a)) },
			"start": func(p string, a []string) error { return wait(g.Start(p, a)) },
		}
		if g.v2 {
			starts["clone"] = func(p string, a []string) error { return wait(g.clone(p, a)) }
		}
		for name, start := range starts {
			if err := start("/bin/grep", []string{"grep", "-q", root + "/one$", "/proc/self/cgroup"}); err != nil {
				t.Errorf("%s, %s: %v", mount, name, err)
			}
		}
		if err := g.Remove(); err != nil {
			t.Errorf("%s: %v", mount, err)
		}
		if err := g.Remove(); err != nil {
			t.Errorf("%s, once more: %v", mount, err)
		}
	}
}

func wait(cmd interface{ Wait() error }, err error) error {
	if err != nil {
		return err
	}
	return cmd.Wait()
}

// TestRemoveLeavesNothing catches cgroups that stay behind above a command's, and one that
// goes although it was there before or another command is in it.
func TestRemoveLeavesNothing(t *testing.T) {
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpuset"} {
		var st unix.Statfs_t
		if unix.Statfs(mount, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC && st.Type != unix.CGROUP_SUPER_MAGIC {
			continue
		}
		root := fmt.Sprintf("/recorderctl-test-%d", os.Getpid())
		there := func(path string) bool { _, err := os.Stat(mount + root + path); return err == nil }
		t.Cleanup(func() {
			for _, p := range []string{"/a/b/one", "/a/b", "/a/two", "/a", ""} {
				os.Remove(mount + root + p)
			}
		})
		mk := func(path string) *Group {
			t.Helper()
			g, err := Make(mount, root+path)
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		rm := func(g *Group) {
			t.Helper()
			if err := g.Remove(); err != nil {
				t.Fatal(err)
			}
		}
		one, two := mk("/a/b/one"), mk("/a/two")
		rm(one) // which made what is above both
		if there("/a/b") || !there("/a/two") {
			t.Errorf("%s: /a/b is there: %v; /a/two: %v", mount, there("/a/b"), there("/a/two"))
		}
		rm(two)
		if there("") {
			t.Errorf("%s: %s is left behind", mount, root)
		}
		if err := os.Mkdir(mount+root, 0o755); err != nil {
			t.Fatal(err)
		}
		rm(mk("/one"))
		if !there("") {
			t.Errorf("%s: %s is gone, which was there before", mount, root)
		}
		os.Remove(mount + root)
		// Others come and go meanwhile.
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for range 20 {
					g, err := Make(mount, fmt.Sprintf("%s/x/n%d", root, i))
					if err == nil {
						err = g.Remove()
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if there("") {
			t.Errorf("%s: %s is left behind by several", mount, root)
		}
	}
}

func TestMakeRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range [][3]string{
		{dir, "/x", "no cgroup file system"},
		{dir + "/none", "/x", "no such file"},
		{dir, "x", "not the clean path"},
		{dir, "/../x", "not the clean path"},
		{dir, "/", "not the clean path"},
	} {
		if _, err := Make(c[0], c[1]); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func TestExitStatus(t *testing.T) {
	for err, want := range map[error]int{os.ErrNotExist: 127, os.ErrPermission: 126, errors.New("other"): 126} {
		if got := ExitStatus(err); got != want {
			t.Errorf("%v: %d", err, got)
		}
	}
}
