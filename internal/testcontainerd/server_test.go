package testcontainerd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLeavesNothing catches processes, mounts, cgroups, sockets or files that
// a server leaves behind: they would add up over the tests, and fail others.
func TestLeavesNothing(t *testing.T) {
	var dir, ns string
	var pid uint32
	parent := "/testctd-parent-" + randomHex(6)
	t.Run("server", func(t *testing.T) {
		s := Start(t, Config{})
		dir, ns = s.Dir, s.Namespace
		start := time.Now()
		c := s.Run(t, Options{})
		t.Logf("first container after %v", time.Since(start))
		pid = c.Pid
		t.Logf("cgroups: %q", c.Cgroups(t))
		s.Run(t, Options{Group: "g", Args: []string{"sh", "-c", "sleep 1000 & sleep 1000 & wait"}})
		s.Run(t, Options{Group: "g", CgroupPath: parent + "/a/b"})
		start = time.Now()
		exiting := s.Run(t, Options{Args: []string{"sh", "-c", "echo hello; exit 7"}})
		if st := exiting.Wait(t); st != 7 {
			t.Errorf("exit status %d, want 7", st)
		}
		t.Logf("run to exit: %v", time.Since(start))
		out := ""
		for end := time.Now().Add(5 * time.Second); out != "hello\n" && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			out = exiting.Output(t) // the shim writes it by and by
		}
		if out != "hello\n" {
			t.Errorf("output %q, want hello", out)
		}
		exiting.Delete(t)
		start = time.Now()
		s.Kill(t)
		s.Restart(t)
		t.Logf("kill and restart: %v", time.Since(start))
		c.Signal(t, unix.SIGKILL)
		if st := c.Wait(t); st != 137 {
			t.Errorf("exit status %d after SIGKILL, want 137", st)
		}
		start = time.Now()
		t.Cleanup(func() { t.Logf("clean up from %v", time.Since(start)) })
	})
	for _, root := range hierarchies() {
		for _, p := range []string{ns, parent} {
			if _, err := os.Stat(filepath.Join(root, p)); err == nil {
				t.Errorf("cgroup %s%s is left", root, p)
			}
		}
	}
	if b, _ := os.ReadFile("/proc/self/mountinfo"); bytes.Contains(b, []byte(dir)) {
		t.Error("a mount is left")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is left", dir)
	}
	if _, err := os.Stat("/run/containerd/runc/" + ns); err == nil {
		t.Errorf("/run/containerd/runc/%s is left", ns)
	}
	if n := processesWith(dir); n > 0 {
		t.Errorf("%d processes are left", n)
	}
	if alive(pid, ns) {
		t.Errorf("container process %d is left", pid)
	}
}

// TestMany catches a helper that is too slow or too racy for the end-to-end
// tests, which run 200 containers.
func TestMany(t *testing.T) {
	s := Start(t, Config{})
	n := 24
	if v, err := strconv.Atoi(os.Getenv("TESTCONTAINERD_MANY")); err == nil {
		n = v
	}
	if _, err := s.Image(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range jobs {
				_, err := s.RunContext(t.Context(), Options{ID: fmt.Sprintf("c%d", i), Group: fmt.Sprintf("g%d", i%4)})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	t.Logf("%v per container", time.Since(start)/time.Duration(n))
}

// TestSweep catches leftovers of a killed test binary that stay: a lock that
// nobody holds stands for the dead one.
func TestSweep(t *testing.T) {
	s := Start(t, Config{})
	c := s.Run(t, Options{})
	s.lock.Close()
	sweep(t)
	if _, err := os.Stat(s.Dir); err == nil {
		t.Errorf("%s is left", s.Dir)
	}
	if alive(c.Pid, s.Namespace) {
		t.Errorf("container process %d is left", c.Pid)
	}
}

// alive reports whether a container's process is more than a zombie.
func alive(pid uint32, ns string) bool {
	cgroup, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || !strings.Contains(string(cgroup), ns) {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}

func processesWith(arg string) int {
	n := 0
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(arg)) {
			n++
		}
	}
	return n
}
