// Package soak holds tests of the whole over time: daemons that are killed, disks
// that fail, thousands of containers. They run briefly among all tests, and in full
// with make soak.
package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
)

// full is true for make soak.
var full = os.Getenv("RECORDERD_SOAK") != ""

// times is how much of something a test does, briefly and in full.
func times(brief, all int) int {
	if full {
		return all
	}
	return brief
}

var bin, worker string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "recorderd-soak")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bin, worker = filepath.Join(dir, "recorderd"), filepath.Join(dir, "worker")
	for _, cmd := range []*exec.Cmd{
		exec.Command("go", "build", "-o", bin, "../cmd/recorderd"),
		exec.Command("gcc", "-O2", "-pthread", "-static", "-o", worker, "testdata/worker.c"),
	} {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n%s", cmd, err, out)
			os.Exit(1)
		}
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// node is a recorderd with directories of its own, and a cgroup for its containers.
type node struct {
	t                  *testing.T
	dir, pins, socket  string
	state, root, watch string
	flags              []string
	ended              chan error // of cmd, if somebody waits for it already
	cmd                *exec.Cmd
	log                *os.File
	client             *client.Client
	made               int
	memory             *memcg
	mu                 sync.Mutex
}

func newNode(t *testing.T, flags ...string) *node {
	t.Helper()
	sweep(t)
	dir := t.TempDir()
	name := fmt.Sprintf("recorderd-soak-%d-%s", os.Getpid(), filepath.Base(filepath.Dir(dir)))
	n := &node{
		t: t, dir: dir, pins: "/sys/fs/bpf/" + name, socket: filepath.Join(dir, "run", "s"), state: filepath.Join(dir, "state"),
		watch: "/" + name, flags: flags,
	}
	for _, mount := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		var st syscall.Statfs_t
		if err := syscall.Statfs(mount, &st); err == nil && st.Type == 0x63677270 {
			n.root = filepath.Join(mount, name)
			break
		}
	}
	if n.root == "" {
		t.Fatal("cgroup v2 is not mounted")
	}
	if err := os.Mkdir(n.root, 0o755); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	n.log = log
	n.memory = newMemcg(t, name, flags)
	n.client = client.New(client.Unix(n.socket), client.Options{})
	t.Cleanup(func() {
		n.kill()
		exec.Command(bin, "uninstall", "--pin-dir", n.pins).Run()
		n.emptyRoot()
		n.memory.check(t)
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("the daemon's log ends with:\n%s", b[max(0, len(b)-6000):])
		}
		log.Close()
	})
	return n
}

// sweep takes away what a killed run of these tests has left.
func sweep(t *testing.T) {
	dirs, _ := filepath.Glob("/sys/fs/bpf/recorderd-soak-*")
	for _, dir := range dirs {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), "recorderd-soak-"), "-")
		if n, err := strconv.Atoi(pid); err == nil && syscall.Kill(n, 0) != nil {
			if out, err := exec.Command(bin, "uninstall", "--pin-dir", dir).CombinedOutput(); err != nil {
				t.Logf("sweep: %v: %s", err, out)
			}
		}
	}
}

func (n *node) emptyRoot() {
	eventually(n.t, "remove "+n.root, func() bool {
		var dirs []string
		filepath.WalkDir(n.root, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
				if procs, err := os.ReadFile(filepath.Join(path, "cgroup.procs")); err == nil {
					for _, pid := range strings.Fields(string(procs)) {
						if p, err := strconv.Atoi(pid); err == nil && p > 1 {
							syscall.Kill(p, syscall.SIGKILL)
						}
					}
				}
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			os.Remove(dir)
		}
		_, err := os.Stat(n.root)
		return errors.Is(err, os.ErrNotExist)
	})
}

// start runs a daemon and waits until it is ready.
func (n *node) start() {
	n.t.Helper()
	ready := filepath.Join(n.dir, "ready")
	os.Remove(ready)
	n.spawn()
	ended := make(chan error, 1)
	go func() { ended <- n.cmd.Wait() }()
	n.ended = ended
	eventually(n.t, "the daemon is ready", func() bool {
		select {
		case err := <-ended:
			n.cmd, n.ended = nil, nil
			n.t.Fatalf("the daemon has ended: %v", err)
		default:
		}
		_, err := os.Stat(ready)
		return err == nil
	})
}

// spawn runs a daemon without waiting for it.
func (n *node) spawn() {
	n.t.Helper()
	args := append([]string{
		"--socket", n.socket, "--pin-dir", n.pins, "--state-dir", n.state, "--watch", n.watch, "--watch-only",
		"--containerd", "/nonexistent/containerd.sock", "--ready-file", filepath.Join(n.dir, "ready"),
	}, n.flags...)
	n.cmd = exec.Command(bin, args...)
	n.cmd.Stderr = n.log
	n.cmd.Env = append(os.Environ(), "GOMEMLIMIT=192MiB") // as in the manifests
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.memory.add(n.t, n.cmd.Process.Pid)
}

// kill ends the daemon with SIGKILL.
func (n *node) kill() {
	if n.cmd != nil {
		n.cmd.Process.Kill()
		if n.ended != nil {
			<-n.ended
		} else {
			n.cmd.Wait()
		}
		n.cmd, n.ended = nil, nil
	}
}

// container is a cgroup with one program in it.
type container struct {
	name string
	path string // of the cgroup
	cmd  *exec.Cmd
}

// run starts a program in a container of its own.
func (n *node) run(args ...string) (*container, error) {
	n.mu.Lock()
	n.made++
	name := fmt.Sprintf("c%d", n.made)
	n.mu.Unlock()
	return n.runAt(name, args...)
}

// runAt is run in a cgroup of this path below the node's.
func (n *node) runAt(cgroup string, args ...string) (*container, error) {
	c := &container{name: filepath.Base(cgroup), path: filepath.Join(n.root, cgroup)}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(c.path, 0o755); err != nil {
		return nil, err
	}
	dir, err := os.Open(c.path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	c.cmd = exec.Command(args[0], args[1:]...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Pdeathsig: syscall.SIGKILL}
	return c, c.cmd.Start()
}

// end waits for the program and removes the cgroup, as a runtime does.
func (c *container) end() {
	c.cmd.Wait()
	for range 200 {
		if err := os.Remove(c.path); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within a minute", what)
}

// list returns the recordings by their container's name.
func (n *node) list() map[string][]api.Recording {
	n.t.Helper()
	l, err := n.client.List(context.Background(), target.Filter{})
	if err != nil {
		n.t.Fatal(err)
	}
	all := map[string][]api.Recording{}
	for _, r := range l.Recordings {
		name := filepath.Base(r.Container.Cgroup)
		all[name] = append(all[name], r)
	}
	return all
}

// numbers are the calls of a worker in a dump, and whether its execve is there.
type numbers struct {
	first, last, count uint64
	gap                string
	exec               bool
	header             *dump.Header
}

func (n *node) numbers(id string) (numbers, error) {
	body, err := n.client.Dump(context.Background(), id, target.Selector{}, replay.Query{Format: replay.FormatRaw})
	if err != nil {
		return numbers{}, err
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	if err != nil {
		return numbers{}, err
	}
	return readNumbers(raw)
}

func readNumbers(raw []byte) (numbers, error) {
	var got numbers
	in, err := dump.NewReader(bytes.NewReader(raw))
	if err != nil {
		return got, err
	}
	for {
		f, err := in.Next()
		if errors.Is(err, io.EOF) {
			got.header = in.Header()
			return got, nil
		}
		if err != nil {
			return got, err
		}
		var rec record.Record
		for raw := range f.Records() {
			if err := record.Parse(raw, &rec); err != nil {
				return got, err
			}
			if rec.Type == layout.RecExec {
				got.exec = true
			}
			if f.Type != dump.FrameMain || rec.Type != layout.RecCall || rec.Nr != lseek || rec.Args[2] != 0 {
				continue
			}
			v := rec.Args[1]
			if got.count > 0 && v != got.last+1 {
				got.gap = fmt.Sprintf("%d follows %d", v, got.last)
			}
			if got.count == 0 {
				got.first = v
			}
			got.last = v
			got.count++
		}
	}
}

// lseek is its number on x86-64.
const lseek = 8

// rings counts the rings that are pinned.
func (n *node) rings() int {
	dirs, _ := os.ReadDir(filepath.Join(n.pins, "ring"))
	return len(dirs)
}
