package bpf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// intoDeep tells this test's binary to be what a container of TestDeepCgroups runs.
const intoDeep = "RECORDERD_TEST_INTO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(intoDeep); dir != "" {
		if err := goInto(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// goInto moves to a cgroup and starts programs there, and above it.
func goInto(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, os.Getpid()), 0); err != nil {
		return err
	}
	if err := exec.Command("true").Run(); err != nil {
		return err
	}
	for _, at := range []string{dir, filepath.Dir(dir)} {
		f, err := os.Open(at)
		if err != nil {
			return err
		}
		cmd := exec.Command("true")
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
		if err := errors.Join(cmd.Run(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// TestDeepCgroups catches a container that gets out of its recording by going down in
// cgroups of its own, further than the programs look up, or gets all the node's rings so.
func TestDeepCgroups(t *testing.T) {
	for name, way := range map[string]preempt{"by itself": preemptOff, "preemptible": preemptOn} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.OnlyWatched = false // names make containers inside a container
			cfg.preempt = way
			k := testKernel(t, cfg)
			root := testRoot(t, k)
			for slot := uint32(1); slot <= 8; slot++ {
				newRing(t, k, slot, slot, 0)
			}
			outer := makeCgroup(t, filepath.Join(root, "outer"))
			deep := outer
			for i := range 40 {
				deep = makeCgroup(t, filepath.Join(deep, fmt.Sprintf("d%d", i)))
			}
			deep = makeCgroup(t, filepath.Join(deep, strings.Repeat("a", 64)))
			cmd := inCgroup(t, outer, os.Args[0])
			cmd.Env = append(os.Environ(), intoDeep+"="+deep)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			rings, err := k.PinnedRings()
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rings {
				defer r.Close()
				h := r.Head()
				switch {
				case h.Cgroup == inode(t, outer):
					if h.Execs != 1+3 || h.TasksLive != 0 {
						t.Errorf("%d execs and %d live tasks in the container's ring, want its own and three, 0", h.Execs, h.TasksLive)
					}
				case h.Cgroup == inode(t, deep):
					t.Error("the container got another ring, so far down that nobody counts it")
				}
			}
		})
	}
}
