package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strings"
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
