package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestListenRights(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "recorderd")
	path := filepath.Join(dir, "s")
	ln, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	mode(t, dir, 0o700)
	mode(t, path, 0o600)
	if ln.Addr().String() != path {
		t.Errorf("address %s", ln.Addr())
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("left behind: %v %v", names, err)
	}
}

func TestListenGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("needs root")
	}
	dir := filepath.Join(t.TempDir(), "recorderd")
	path := filepath.Join(dir, "s")
	ln, err := Listen(path, "12345")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	mode(t, dir, 0o750)
	mode(t, path, 0o660)
	for _, p := range []string{dir, path} {
		fi, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if gid := fi.Sys().(*syscall.Stat_t).Gid; gid != 12345 {
			t.Errorf("%s: group %d", p, gid)
		}
	}
	if _, err := Listen(filepath.Join(dir, "t"), "no-such-group"); err == nil || !strings.Contains(err.Error(), "no-such-group") {
		t.Errorf("unknown group: %v", err)
	}
}

func mode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fi.Mode().Perm(); got != want {
		t.Errorf("%s: mode %o, want %o", path, got, want)
	}
}

func TestListenReplacesStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close() // as kill -9 leaves it
	ln, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	ln.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Close has left the socket: %v", err)
	}
}

func TestListenInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	want := fmt.Sprintf("socket is in use: another recorderd (pid %d) has %s", os.Getpid(), path)
	if _, err := Listen(path, ""); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the first is gone: %v", err)
	} else {
		c.Close()
	}
}

func TestListenRefusesFiles(t *testing.T) {
	dir := t.TempDir()
	file, sub, link := filepath.Join(dir, "file"), filepath.Join(dir, "dir"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("precious"), 0o600), os.Mkdir(sub, 0o700), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, sub, link} {
		if ln, err := Listen(path, ""); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Errorf("%s: %v %v", path, ln, err)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file is now %q, %v", b, err)
	}
	if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 120)), ""); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("long path: %v", err)
	}
	open := filepath.Join(dir, "open")
	if err := errors.Join(os.Mkdir(open, 0o777), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(filepath.Join(open, "s"), ""); err == nil || !strings.Contains(err.Error(), "everybody") {
		t.Errorf("open directory: %v", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 4 {
		t.Errorf("left behind: %v %v", names, err)
	}
}

// TestListenRace catches two daemons that both take a stale socket for theirs, and
// one that removes the other's socket when it ends.
func TestListenRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for range 20 {
		old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		old.SetUnlinkOnClose(false)
		old.Close()
		var mu sync.Mutex
		var won []net.Listener
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				ln, err := Listen(path, "")
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, ln)
				} else if !strings.Contains(err.Error(), "in use") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d daemons listen", len(won))
		}
		won[0].Close()
	}
}

func TestCloseLeavesSuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // somebody tidies up
		t.Fatal(err)
	}
	second, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	first.Close()
	if c, err := net.DialTimeout("unix", path, time.Second); err != nil {
		t.Errorf("the second is gone: %v", err)
	} else {
		c.Close()
	}
}
