package soak

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
)

// crash runs a container that makes 100 calls and exits with 1, and returns it.
func (n *node) crash() *container {
	n.t.Helper()
	c, err := n.run(worker, "100", "0", "1")
	if err != nil {
		n.t.Fatal(err)
	}
	c.end()
	return c
}

func (n *node) status() api.Status {
	n.t.Helper()
	st, err := n.client.Status(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	return st
}

// onDisk reports whether a container's only recording is on disk.
func (n *node) onDisk(c *container) bool {
	recs := n.list()[c.name]
	return len(recs) == 1 && recs[0].Spool != nil
}

// A disk that is full, or cannot be written, costs the dumps on disk for as long as
// it is so: recording goes on, what ended stays in memory, the error is told, and
// when the disk is well again what waited is written.
func TestDiskTroubles(t *testing.T) {
	n := newNode(t, "--ring-size", "64KiB", "--memory-budget", "16MiB", "--spool-free", "0")
	if err := os.Mkdir(n.state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", n.state, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.kill()
		if err := syscall.Unmount(n.state, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	remount := func(flags uintptr, options string) {
		t.Helper()
		if err := syscall.Mount("tmpfs", n.state, "tmpfs", syscall.MS_REMOUNT|flags, options); err != nil {
			t.Fatal(err)
		}
	}
	n.start()
	good := n.crash()
	eventually(t, "a crash is on disk", func() bool { return n.onDisk(good) })

	trouble := func(want string) {
		t.Helper()
		c := n.crash()
		eventually(t, "the error is told: "+want, func() bool { return strings.Contains(n.status().Spool.Error, want) })
		recs := n.list()[c.name]
		if len(recs) != 1 || recs[0].State != api.StateEnded || recs[0].Spool != nil {
			t.Fatalf("recordings of a crash that could not be written: %+v", recs)
		}
		if got, err := n.numbers(recs[0].ID); err != nil || got.count != 100 || !got.exec {
			t.Errorf("%d numbers, exec seen: %v, %v; want all 100", got.count, got.exec, err)
		}
		if err := n.client.Ready(t.Context()); err != nil {
			t.Errorf("the daemon is not ready any more: %v", err)
		}
		remount(0, "size=32m")
		eventually(t, "what waited is on disk", func() bool { return n.onDisk(c) && n.status().Spool.Error == "" })
	}
	fill := filepath.Join(n.state, "filler")
	if err := os.WriteFile(fill, make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("2 MiB fit into a disk of 1")
	}
	trouble("no space left")
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	remount(syscall.MS_RDONLY, "size=32m")
	trouble("read-only file system")
	if !n.onDisk(good) {
		t.Error("a dump that was on disk before the trouble is not there any more")
	}
}

// Whatever somebody removes or adds in the pin directory: the next daemon records,
// and keeps what can still be read.
func TestDamagedPins(t *testing.T) {
	damage := map[string]func(pins string) error{
		"a program":     func(pins string) error { return os.Remove(filepath.Join(pins, "prog-on_sys_exit")) },
		"a link":        func(pins string) error { return os.Remove(filepath.Join(pins, "link-on_fork")) },
		"a map":         func(pins string) error { return os.Remove(filepath.Join(pins, "claims")) },
		"the marker":    func(pins string) error { return removeGlob(pins, "id-*") },
		"a ring":        func(pins string) error { return removeGlob(pins, "ring/*") },
		"what was kept": func(pins string) error { return os.RemoveAll(filepath.Join(pins, "kept")) },
		"foreign things": func(pins string) error {
			return firstError(os.Mkdir(filepath.Join(pins, "ring", "x"), 0o700), os.Mkdir(filepath.Join(pins, "kept", "y"), 0o700), os.Mkdir(filepath.Join(pins, "z"), 0o700))
		},
	}
	for what, do := range damage {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			n := newNode(t, "--ring-size", "64KiB", "--memory-budget", "16MiB")
			n.start()
			live, err := n.run(worker, "1000000", "1000", "0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { live.cmd.Process.Kill(); live.end() }()
			dead := n.crash()
			eventually(t, "the crash is on disk", func() bool { return n.onDisk(dead) })
			n.kill()
			if err := do(n.pins); err != nil {
				t.Fatal(err)
			}
			n.start()
			if !n.onDisk(dead) {
				t.Errorf("the crash is not on disk any more: %+v", n.list()[dead.name])
			}
			eventually(t, "the container that lives is recorded", func() bool {
				for _, rec := range n.list()[live.name] {
					if rec.State != api.StateLive {
						continue
					}
					before, err := n.numbers(rec.ID)
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(100 * time.Millisecond)
					after, err := n.numbers(rec.ID)
					return err == nil && after.last > before.last
				}
				return false
			})
		})
	}
}

func removeGlob(dir, pattern string) error {
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(paths) == 0 {
		return firstError(err, os.ErrNotExist)
	}
	return os.Remove(paths[0])
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A daemon with other settings takes the place of one: what the old rings held is
// kept, and of a container that goes on nothing is missing but what it did between.
func TestUpgrade(t *testing.T) {
	n := newNode(t, "--ring-size", "256KiB", "--memory-budget", "16MiB")
	n.start()
	live, err := n.run(worker, "1000000", "1000", "0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { live.cmd.Process.Kill(); live.end() }()
	dead := n.crash()
	eventually(t, "the container counts", func() bool {
		recs := n.list()[live.name]
		if len(recs) != 1 {
			return false
		}
		got, err := n.numbers(recs[0].ID)
		return err == nil && got.last > 100
	})
	n.kill()
	unattended := n.crash() // while nobody is there
	n.flags = append(n.flags, "--ring-size", "512KiB")
	n.start()

	var old, now api.Recording
	eventually(t, "the old recording is kept and a new one begins", func() bool {
		old, now = api.Recording{}, api.Recording{}
		for _, rec := range n.list()[live.name] {
			if rec.State == api.StateLive {
				now = rec
			} else {
				old = rec
			}
		}
		return old.ID != "" && old.Spool != nil && now.ID != ""
	})
	if old.Spool.Reason != "resized" || now.Ring.Size != 512<<10 || old.GoesOnAs != now.ID {
		t.Errorf("the old one is on disk for %q and goes on as %q (%s), the new ring has %d bytes; want resized, 512 KiB",
			old.Spool.Reason, old.GoesOnAs, now.ID, now.Ring.Size)
	}
	first, err := n.numbers(old.ID)
	if err != nil || !first.exec || first.first != 1 || first.gap != "" {
		t.Errorf("the old recording has numbers %d to %d, exec seen: %v, %s, %v", first.first, first.last, first.exec, first.gap, err)
	}
	var second numbers
	eventually(t, "the new recording goes on", func() bool {
		second, err = n.numbers(now.ID)
		return err == nil && second.count > 50
	})
	if second.first <= first.last || second.gap != "" {
		t.Errorf("the new recording has numbers from %d on, %s; the old one ended with %d", second.first, second.gap, first.last)
	}
	t.Logf("%s numbers were made between the two", strconv.FormatUint(second.first-first.last-1, 10))
	for _, c := range []*container{dead, unattended} {
		recs := n.list()[c.name]
		if len(recs) != 1 {
			t.Errorf("%d recordings of a crash before the change, want 1", len(recs))
			continue
		}
		if got, err := n.numbers(recs[0].ID); err != nil || got.count != 100 || !got.exec || recs[0].Exit == nil || recs[0].Exit.Code != 1 {
			t.Errorf("a crash before the change: %d numbers, exec seen: %v, exit %+v, %v", got.count, got.exec, recs[0].Exit, err)
		}
	}
}
