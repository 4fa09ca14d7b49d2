package testcontainerd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cleanup ends and removes everything that belongs to the server. It asks no
// containerd for it: the test may have left that in any state.
func (s *Server) cleanup(t testing.TB) {
	t.Helper()
	_ = s.end(unix.SIGKILL) // it is gone afterwards in any case
	if err := remove(s.Dir, s.Address, s.cgroups.leaves(), s.cgroups.parents()); err != nil {
		t.Errorf("testcontainerd: clean up: %v", err)
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

// sweep removes what test binaries left that were killed: directories whose
// lock nobody holds.
func sweep(t testing.TB) {
	t.Helper()
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range dirs {
		if err := sweepDir(dir); err != nil {
			t.Logf("testcontainerd: remove %s, left by a killed test: %v", dir, err)
		}
	}
}

func sweepDir(dir string) error {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		return nil // just being made or removed
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil // in use
	}
	marker, err := os.ReadFile(filepath.Join(dir, markerName))
	if err != nil {
		return nil // just being made: the marker is written under the lock
	}
	address, ns, _ := strings.Cut(string(marker), "\n")
	var leaves []string
	if ns != "" {
		leaves = []string{"/" + ns}
	}
	return remove(dir, address, leaves, nil)
}

// remove ends the processes and removes the mounts, cgroups, sockets and files
// of a server. What runs in or below leaves is killed: these are the cgroups of
// its containers. Those that still have a task are added. parents are cgroup
// directories made for them, deepest first, which go only if they are empty.
func remove(dir, address string, leaves, parents []string) error {
	bundles, _ := filepath.Glob(filepath.Join(dir, "state/io.containerd.runtime.v2.task/*/*"))
	leaves = append(bundleCgroups(bundles), leaves...)

	var errs []error
	deadline := time.Now().Add(20 * time.Second)
	for {
		// Again until none is left: some fork while they are being killed. The
		// containers' processes first, so that their shims reap them.
		alive := killCgroups(leaves)
		if alive == 0 {
			alive = killServer(dir, address)
		}
		busy := removeCgroups(leaves)
		if alive == 0 && len(busy) == 0 {
			break
		}
		if time.Now().After(deadline) {
			errs = append(errs, fmt.Errorf("%d processes and the cgroups %v are still there", alive, busy))
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, p := range parents {
		_ = unix.Rmdir(p) // another server's containers may be in it by now
	}
	errs = append(errs, unmountBelow(dir))
	for _, bundle := range bundles {
		if socket, err := os.ReadFile(filepath.Join(bundle, "address")); err == nil {
			_ = os.Remove(strings.TrimPrefix(string(socket), "unix://"))
		}
	}
	for _, bundle := range bundles {
		ns, id := filepath.Base(filepath.Dir(bundle)), filepath.Base(bundle)
		_ = os.RemoveAll(filepath.Join("/run/containerd/runc", ns, id)) // runc's state
	}
	namespaces, _ := filepath.Glob(filepath.Join(dir, "state/io.containerd.runtime.v2.task/*"))
	for _, ns := range namespaces {
		_ = unix.Rmdir(filepath.Join("/run/containerd/runc", filepath.Base(ns))) // if empty
	}
	for _, sock := range []string{address, address + ".ttrpc"} {
		if err := os.Remove(sock); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, os.RemoveAll(dir))...)
}

// bundleCgroups returns the cgroups of containers that still have a task.
func bundleCgroups(bundles []string) []string {
	var cgroups []string
	for _, bundle := range bundles {
		var config struct {
			Linux struct {
				CgroupsPath string `json:"cgroupsPath"`
			} `json:"linux"`
		}
		b, err := os.ReadFile(filepath.Join(bundle, "config.json"))
		if err == nil && json.Unmarshal(b, &config) == nil && strings.HasPrefix(config.Linux.CgroupsPath, "/") {
			cgroups = append(cgroups, config.Linux.CgroupsPath)
		}
	}
	return cgroups
}

// killServer kills the server's own processes, containerd, shims and runc, which
// have its address or directory among their arguments. It returns how many it
// found.
func killServer(dir, address string) int {
	found := 0
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || len(b) == 0 { // a kernel thread or a zombie
			continue
		}
		args := strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00")
		switch filepath.Base(args[0]) {
		case "containerd", "containerd-shim-runc-v2", "runc":
			if slices.ContainsFunc(args, func(a string) bool { return a == address || strings.HasPrefix(a, dir+"/") }) {
				found++
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
	return found
}

// killCgroups kills what runs in or below the cgroups in any hierarchy, and
// returns how many processes that were.
func killCgroups(cgroups []string) int {
	found := 0
	for _, root := range hierarchies() {
		for _, cgroup := range cgroups {
			for _, dir := range subtree(filepath.Join(root, cgroup)) {
				b, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
				for field := range strings.FieldsSeq(string(b)) {
					// 0 is a process of another pid namespace.
					if pid, err := strconv.Atoi(field); err == nil && pid > 1 && pid != os.Getpid() {
						found++
						_ = unix.Kill(pid, unix.SIGKILL)
					}
				}
			}
		}
	}
	return found
}

// removeCgroups removes cgroups and what is below them from all hierarchies,
// and returns those that did not go.
func removeCgroups(cgroups []string) (busy []string) {
	for _, root := range hierarchies() {
		for _, cgroup := range cgroups {
			for _, dir := range subtree(filepath.Join(root, cgroup)) {
				if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
					busy = append(busy, dir)
				}
			}
		}
	}
	return busy
}

// subtree returns the directories at and below dir, deepest first.
func subtree(dir string) []string {
	var dirs []string
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		return nil // what vanishes meanwhile is no loss
	})
	slices.Reverse(dirs)
	return dirs
}

// unmountBelow unmounts everything below dir, later mounts first.
func unmountBelow(dir string) error {
	var errs []error
	points, err := mounts(func(_, point string) bool { return strings.HasPrefix(point, dir+"/") })
	if err != nil {
		return err
	}
	slices.Reverse(points)
	for _, p := range points {
		if err := unix.Unmount(p, unix.MNT_DETACH); err != nil && err != unix.EINVAL {
			errs = append(errs, fmt.Errorf("unmount %s: %w", p, err))
		}
	}
	return errors.Join(errs...)
}

// mounts returns the mount points that keep wants, in the order of mounting.
func mounts(keep func(fstype, point string) bool) ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var points []string
	for line := range bytes.Lines(b) {
		before, after, ok := strings.Cut(string(line), " - ")
		f := strings.Fields(before)
		fstype, _, _ := strings.Cut(after, " ")
		if ok && len(f) > 4 && keep(fstype, f[4]) {
			points = append(points, f[4])
		}
	}
	return points, nil
}

// hierarchies returns the mount points of all cgroup hierarchies.
func hierarchies() []string {
	points, _ := mounts(func(fstype, _ string) bool { return fstype == "cgroup" || fstype == "cgroup2" })
	return points
}

// cgroupTracker remembers the cgroups of containers, and which directories come
// into being above them: runc makes those, and leaves them.
type cgroupTracker struct {
	mu   sync.Mutex
	leaf map[string]bool // paths in every hierarchy
	made map[string]bool // directories
}

// add notes a cgroup that is about to be made for a container.
func (c *cgroupTracker) add(cgroup string) error {
	if !strings.HasPrefix(cgroup, "/") || path.Clean(cgroup) != cgroup || cgroup == "/" {
		return fmt.Errorf("cgroup path %q is not clean and absolute", cgroup)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaf == nil {
		c.leaf, c.made = map[string]bool{}, map[string]bool{}
	}
	c.leaf[cgroup] = true
	for _, root := range hierarchies() {
		for dir := path.Dir(path.Join(root, cgroup)); dir != root && !c.made[dir]; dir = path.Dir(dir) {
			if _, err := os.Stat(dir); err == nil {
				break
			}
			c.made[dir] = true
		}
	}
	return nil
}

func (c *cgroupTracker) leaves() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.leaf))
}

// parents returns the directories above the leaves that were not there before,
// deepest first.
func (c *cgroupTracker) parents() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Keys(c.made), func(a, b string) int { return len(b) - len(a) })
}
