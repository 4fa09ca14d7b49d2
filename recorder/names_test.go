package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/testcontainerd"
	"github.com/recorderd/recorderd/recorder/containerd"
	"github.com/recorderd/recorderd/recorder/replay"
)

// testNames are names in a directory of their own; ready changes them before their
// goroutine begins.
func testNames(t *testing.T, ready func(n *names)) *names {
	t.Helper()
	n := &names{}
	n.init(&Config{StateDir: t.TempDir(), PinDir: "/sys/fs/bpf/x", Log: slog.New(slog.NewTextHandler(testLog{t}, nil))})
	ready(n)
	go n.run()
	return n
}

func (n *names) waiting() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.wanted)
}

// While the disk hangs, wishes cost nobody time and do not pile up; then the last one
// for each recording is what counts, a removal above all.
func TestLastNameCounts(t *testing.T) {
	hang, begun := make(chan struct{}), make(chan struct{}, 1000)
	n := testNames(t, func(n *names) {
		n.write = func(path string, b []byte) error {
			begun <- struct{}{}
			<-hang
			return writeFile(path, b)
		}
	})
	n.keep("dropped", []byte("1"))
	<-begun // its write hangs
	n.forget("dropped")
	for i := range 1000 {
		n.keep("renamed", fmt.Append(nil, i))
		id := fmt.Sprint("brief", i)
		n.keep(id, []byte("x"))
		n.forget(id) // never written: nothing to remove
	}
	n.keep("never", []byte("x"))
	n.forget("never")
	n.forget("unknown")
	if w := n.waiting(); w != 2 {
		t.Errorf("%d wishes wait, want 2: dropped and renamed", w)
	}
	close(hang)
	n.close(false, time.Minute)
	entries, err := os.ReadDir(n.dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("files %v, %v; want one", entries, err)
	}
	if b, err := os.ReadFile(n.file("renamed")); err != nil || string(b) != "999" {
		t.Errorf("renamed has %q, %v", b, err)
	}
	if len(n.there) != 1 {
		t.Errorf("it believes in the files of %v", n.there)
	}
}

// A disk that never answers does not keep the daemon from ending.
func TestCloseOnAHangingDisk(t *testing.T) {
	hang := make(chan struct{})
	n := testNames(t, func(n *names) {
		n.write = func(string, []byte) error { <-hang; return nil }
	})
	n.keep("a", []byte("x"))
	began := time.Now()
	n.close(false, 50*time.Millisecond)
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	close(hang)
	<-n.ended
}

// What could not be written or removed is tried again, at the end too.
func TestNamesAreTriedAgain(t *testing.T) {
	var broken atomic.Bool
	tried := make(chan struct{}, 10)
	n := testNames(t, func(n *names) {
		n.write = func(path string, b []byte) error {
			if broken.Load() {
				tried <- struct{}{}
				return unix.ENOSPC
			}
			return writeFile(path, b)
		}
		n.remove = func(path string) error {
			if broken.Load() {
				tried <- struct{}{}
				return unix.EROFS
			}
			return os.Remove(path)
		}
	})
	n.keep("old", []byte("x"))
	eventually(t, "it is written", func() bool { _, err := os.Stat(n.file("old")); return err == nil })
	broken.Store(true)
	n.keep("new", []byte("y"))
	<-tried
	n.forget("old") // while nothing is tried
	eventually(t, "what failed is wanted still", func() bool { return n.waiting() == 2 })
	broken.Store(false)
	n.close(false, time.Minute)
	if b, err := os.ReadFile(n.file("new")); err != nil || string(b) != "y" {
		t.Errorf("new has %q, %v", b, err)
	}
	if _, err := os.Stat(n.file("old")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("old is still there: %v", err)
	}
}

// The daemon that takes all away takes names away, also those that were never written.
func TestCleanTakesNamesAway(t *testing.T) {
	n := testNames(t, func(n *names) {
		for _, id := range []string{"mine", "gone"} {
			if err := writeFile(n.file(id), []byte("{}")); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.sweep(func(id string) bool { return id == "mine" }); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(n.file("gone")); err == nil || !n.there["mine"] || len(n.there) != 1 {
			t.Errorf("after the first look: %v, gone: %v", n.there, err)
		}
	})
	n.keep("late", []byte("x"))
	n.close(true, time.Minute)
	if entries, err := os.ReadDir(n.dir); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// freezable is a file system on which changes hang from freeze until thaw.
func freezable(t *testing.T) (dir string, freeze, thaw func()) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(16<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	const fifreeze, fithaw = 0xc0045877, 0xc0045878 // linux/fs.h
	frozen := false
	thaw = func() {
		t.Helper()
		if frozen {
			frozen = false
			if err := unix.IoctlSetInt(int(d.Fd()), fithaw, 0); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(func() {
		thaw()
		d.Close()
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return dir, func() {
		t.Helper()
		if err := unix.IoctlSetInt(int(d.Fd()), fifreeze, 0); err != nil {
			t.Fatal(err)
		}
		frozen = true
	}, thaw
}

// The disk hangs: what runs is recorded and named, what was recorded can be listed,
// dumped and deleted, and all of it is on the disk when it answers again.
func TestDiskHangs(t *testing.T) {
	dir, freeze, thaw := freezable(t)
	srv := testcontainerd.Start(t, testcontainerd.Config{})
	r := testRecorder(t, Config{
		StateDir: dir, SpoolOn: SpoolKinds, Watch: []string{"/" + srv.Namespace}, OnlyWatched: true,
		Containerd: containerd.Config{Addresses: []string{srv.Address}, Interval: time.Second},
	})
	t.Cleanup(thaw) // before the recorder is waited for
	run := func(name, script string) *testcontainerd.Container {
		return srv.Run(t, testcontainerd.Options{Args: []string{"/bin/sh", "-c", script}, Labels: map[string]string{"nerdctl/name": name}})
	}
	file := func(rec api.Recording) bool {
		b, err := os.ReadFile(r.names.file(rec.ID))
		return err == nil && strings.Contains(string(b), rec.Container.Name)
	}
	first := run("first", "exit 0")
	old := only(t, r, first.ID, func(rec api.Recording) bool { return ended(rec) && rec.Container.Name == "first" })
	eventually(t, "the names of the first are written", func() bool { return file(old) })
	eventually(t, "its recording is put together", func() bool {
		rec, err := r.find(old.ID)
		if err != nil {
			t.Fatal(err)
		}
		_, kept := r.isKept(rec)
		return kept
	})

	freeze()
	within := func(what string, do func()) {
		t.Helper()
		done := make(chan struct{})
		go func() { defer close(done); do() }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			thaw()
			<-done
			t.Errorf("%s hung with the disk", what)
		}
	}
	var second, third api.Recording
	within("a crash", func() {
		c := run("second", "exit 7")
		second = only(t, r, c.ID, func(rec api.Recording) bool { return ended(rec) && rec.Container.Name == "second" })
	})
	within("deleting", func() {
		if err := r.Delete(t.Context(), old.ID); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "wishes wait for the disk", func() bool { return r.names.waiting() > 0 })
	within("a look", func() {
		c := run("third", "while :; do sleep 0.05; done")
		third = only(t, r, c.ID, func(rec api.Recording) bool { return rec.Container.Name == "third" })
		was := third.Coverage.Written
		only(t, r, c.ID, func(rec api.Recording) bool { return rec.Coverage.Written > was+20 })
	})
	within("a dump", func() { demand(t, text(t, r, second.ID, replay.Query{}), "exit_group(7)") })
	within("the status", func() {
		if _, err := r.Status(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if file(second) || file(third) || !file(old) {
		t.Error("the disk did not hang")
	}

	thaw()
	eventually(t, "names are written", func() bool { return file(second) && file(third) })
	eventually(t, "names of what was deleted are gone", func() bool { return !file(old) })
	eventually(t, "the crash is on disk", func() bool {
		_, err := r.store.peek().Get(second.ID)
		return err == nil
	})
}
