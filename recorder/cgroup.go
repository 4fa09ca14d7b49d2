package recorder

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/identity"
)

// Hierarchy is the one cgroup hierarchy by which containers are told apart.
type Hierarchy struct {
	ID     int    // as in /proc/self/cgroup; 0: v2
	Name   string // "v2", or the v1 controllers, comma separated
	Mount  string // where it is mounted
	Subsys uint32 // v1: the kernel's index of one of its controllers
}

// V2 reports whether it is the unified hierarchy.
func (h *Hierarchy) V2() bool { return h.ID == 0 }

// hierarchies reads which cgroup hierarchies are mounted below root, from
// mountinfo and cgroup (the files of that name in /proc/self). isRoot says of a mount
// that is above this cgroup namespace whether it is all of the hierarchy.
func hierarchies(mountinfo, cgroup []byte, isRoot func(mount string) bool) []Hierarchy {
	ids := map[string]int{} // controllers -> id
	for line := range strings.Lines(string(cgroup)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if id, err := strconv.Atoi(parts[0]); err == nil {
			ids[parts[1]] = id
		}
	}
	var found []Hierarchy
	seen := map[int]bool{}
	scanner := bufio.NewScanner(bytes.NewReader(mountinfo))
	for scanner.Scan() {
		// 36 35 98:0 /root /mount options - type source superoptions (proc(5))
		left, right, ok := strings.Cut(scanner.Text(), " - ")
		fields, tail := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(tail) < 3 {
			continue
		}
		h := Hierarchy{Mount: unescape(fields[4])}
		// In a pod with a cgroup namespace of its own the host's hierarchy is above:
		// its mount's root reads "/../../..".
		if above := strings.ReplaceAll(fields[3], "/..", ""); above != "/" && (above != "" || !isRoot(h.Mount)) {
			continue
		}
		switch tail[0] {
		case "cgroup2":
			h.Name = "v2"
		case "cgroup":
			opts := map[string]bool{}
			for _, o := range strings.Split(tail[2], ",") {
				opts[o] = true
			}
			for names, id := range ids {
				if names != "" && !strings.HasPrefix(names, "name=") && opts[strings.Split(names, ",")[0]] {
					h.Name, h.ID = names, id
				}
			}
			if h.Name == "" {
				continue
			}
		default:
			continue
		}
		if !seen[h.ID] {
			seen[h.ID] = true
			found = append(found, h)
		}
	}
	return found
}

// isRootCgroup reports whether a directory is the root of a cgroup hierarchy: the first
// inode that the kernel makes there.
func isRootCgroup(mount string) bool {
	var st unix.Stat_t
	return unix.Stat(mount, &st) == nil && st.Ino == 1
}

// unescape undoes mountinfo's octal escapes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// FindHierarchy chooses the hierarchy to track. want is "auto", "v2" or a v1
// controller's name.
//
// auto takes v2 where it is mounted, also on hybrid nodes, since runc puts
// containers there too; but a v1 hierarchy if containers have cgroups in that one only.
func FindHierarchy(want string) (*Hierarchy, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	cgroup, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	found := hierarchies(mountinfo, cgroup, isRootCgroup)
	var chosen *Hierarchy
	var names []string
	for i := range found {
		h := &found[i]
		names = append(names, h.Name)
		switch {
		case want == "auto" && h.V2():
			chosen = h
		case want != "auto" && (h.Name == want || slices.Contains(strings.Split(h.Name, ","), want)):
			chosen = h
		}
	}
	if want == "auto" && (chosen == nil || !holdsContainers(chosen)) {
		if h := bestV1(found); h != nil && (chosen == nil || holdsContainers(h)) {
			chosen = h
		}
	}
	if chosen == nil && len(names) == 0 {
		return nil, errors.New("find cgroups: none are mounted: mount them (mount -t cgroup2 none /sys/fs/cgroup), or give recorderd the node's /sys/fs/cgroup")
	}
	if chosen == nil {
		return nil, fmt.Errorf("find cgroups: no hierarchy %q is mounted; there are: %s", want, strings.Join(names, " "))
	}
	if !chosen.V2() {
		if chosen.Subsys, err = subsysIndex(strings.Split(chosen.Name, ",")[0]); err != nil {
			return nil, fmt.Errorf("find cgroups: %w", err)
		}
	}
	return chosen, nil
}

// bestV1 is the v1 hierarchy that runtimes are surest to put containers into.
func bestV1(found []Hierarchy) *Hierarchy {
	for _, controller := range []string{"memory", "pids", "cpu", "freezer", "devices"} {
		for i := range found {
			if h := &found[i]; !h.V2() && slices.Contains(strings.Split(h.Name, ","), controller) {
				return h
			}
		}
	}
	return nil
}

// subsysIndex is the running kernel's index of a v1 controller, which depends on
// its configuration (enum cgroup_subsys_id).
func subsysIndex(controller string) (uint32, error) {
	// The names in /proc and in the enumeration differ for these.
	kernel := map[string]string{"blkio": "io"}
	if k, ok := kernel[controller]; ok {
		controller = k
	}
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return 0, fmt.Errorf("read the kernel's types: %w", err)
	}
	var e *btf.Enum
	if err := spec.TypeByName("cgroup_subsys_id", &e); err != nil {
		return 0, err
	}
	for _, v := range e.Values {
		if v.Name == controller+"_cgrp_id" {
			return uint32(v.Value), nil
		}
	}
	return 0, fmt.Errorf("the kernel has no cgroup controller %s", controller)
}

// holdsContainers reports whether a container has a cgroup in h now.
func holdsContainers(h *Hierarchy) bool { return len(h.containers(1)) > 0 }

// containers lists up to max cgroups whose names are containers', as paths.
func (h *Hierarchy) containers(max int) []string {
	var found []string
	depth := strings.Count(h.Mount, "/")
	filepath.WalkDir(h.Mount, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // a cgroup that went away meanwhile
		case !d.IsDir():
			return nil
		case strings.Count(path, "/")-depth > 16:
			return fs.SkipDir
		}
		if identity.IsContainerName(d.Name()) {
			found = append(found, strings.TrimPrefix(path, h.Mount))
			if len(found) >= max {
				return fs.SkipAll
			}
		}
		return nil
	})
	return found
}

// self returns the path and the id of the cgroup that this process is in.
func (h *Hierarchy) self() (path string, id uint64, err error) {
	pid := os.Getpid()
	path, ok := h.selfPath()
	if !ok || !h.holds(path, pid) {
		// In a cgroup namespace of its own a process is told a path from there: its
		// cgroup is the one that lists it.
		path = ""
		filepath.WalkDir(h.Mount, func(at string, d fs.DirEntry, err error) error { //nolint:errcheck // what went away is not it
			if err == nil && d.IsDir() && h.holds(strings.TrimPrefix(at, h.Mount), pid) {
				path = "/" + strings.TrimPrefix(strings.TrimPrefix(at, h.Mount), "/")
				return fs.SkipAll
			}
			return nil
		})
	}
	if path == "" {
		return "", 0, fmt.Errorf("find recorderd's own cgroup: none below %s lists it", h.Mount)
	}
	if id, err = h.id(path); err != nil {
		return "", 0, fmt.Errorf("find recorderd's own cgroup: %w", err)
	}
	return path, id, nil
}

// selfPath is the path of this process's cgroup as its cgroup namespace has it.
func (h *Hierarchy) selfPath() (string, bool) { return h.pathOf("self") }

// of returns the path of a process's cgroup. self is that of this process.
func (h *Hierarchy) of(pid int, self string) (string, bool) {
	seen, ok := h.selfPath()
	there, found := h.pathOf(strconv.Itoa(pid))
	if !ok || !found {
		return "", false
	}
	return outOfNamespace(self, seen, there)
}

// outOfNamespace returns the path of a cgroup that is there as this process's cgroup
// namespace has it, where the one at self is seen.
func outOfNamespace(self, seen, there string) (string, bool) {
	root, ok := strings.CutSuffix(self, strings.TrimSuffix(seen, "/"))
	if !ok {
		return "", false // this process is not below the namespace's root
	}
	for there == "/.." || strings.HasPrefix(there, "/../") {
		if root == "" {
			return "", false
		}
		there, root = there[len("/.."):], root[:strings.LastIndexByte(root, '/')]
	}
	return filepath.Join("/", root, there), true
}

// pathOf is the path of a process's cgroup as this one's cgroup namespace has it.
func (h *Hierarchy) pathOf(pid string) (string, bool) {
	b, err := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) == 3 && parts[0] == strconv.Itoa(h.ID) {
			return parts[2], true
		}
	}
	return "", false
}

// holds reports whether a process is in the cgroup at path itself.
func (h *Hierarchy) holds(path string, pid int) bool {
	b, err := os.ReadFile(filepath.Join(h.Mount, path, "cgroup.procs"))
	if err != nil {
		return false // it went away, or has threads only
	}
	want := strconv.Itoa(pid)
	for line := range strings.Lines(string(b)) {
		if strings.TrimSuffix(line, "\n") == want {
			return true
		}
	}
	return false
}

// find returns the path of the cgroup with this id.
func (h *Hierarchy) find(id uint64) (path string, ok bool) {
	path, ok = h.locate(map[uint64]bool{id: true})[id]
	return path, ok
}

// locate returns the paths of the cgroups with these ids, as far as there are such.
func (h *Hierarchy) locate(ids map[uint64]bool) map[uint64]string {
	found := map[uint64]string{}
	filepath.WalkDir(h.Mount, func(at string, d fs.DirEntry, err error) error { //nolint:errcheck // what went away is not it
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // a cgroup that went away meanwhile
		}
		if fi, err := d.Info(); err == nil {
			if st, isStat := fi.Sys().(*syscall.Stat_t); isStat && ids[st.Ino] {
				found[st.Ino] = strings.TrimPrefix(at, h.Mount)
				if len(found) == len(ids) {
					return fs.SkipAll
				}
			}
		}
		return nil
	})
	return found
}

// id returns the id of a cgroup given by its path in the hierarchy: the inode
// number of its directory, which on 64-bit kernels is the whole kernfs id.
func (h *Hierarchy) id(path string) (uint64, error) {
	fi, err := os.Stat(filepath.Join(h.Mount, path))
	if err != nil {
		return 0, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || !fi.IsDir() {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: unix.ENOTDIR}
	}
	return st.Ino, nil
}

// exists reports whether the cgroup at path is still there and is the same one.
func (h *Hierarchy) exists(path string, id uint64) bool {
	now, err := h.id(path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return now == id
}
