package bpf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Whatever takes the pins away is noticed: the next daemon could not take over.
func TestPinned(t *testing.T) {
	k := testKernel(t, testConfig(t))
	dir := k.cfg.PinDir
	if err := k.Pinned(); err != nil {
		t.Fatalf("all is pinned, and yet: %v", err)
	}
	gone := func(what, want string) {
		t.Helper()
		if err := k.Pinned(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", what, err, want)
		}
	}
	aside := dir + "-aside"
	if err := os.Rename(dir, aside); err != nil {
		t.Fatal(err)
	}
	gone("the directory was moved", "is gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	gone("another directory is there", "is another")
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	gone("another file system is there", "is another")
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, dir); err != nil {
		t.Fatal(err)
	}
	if err := k.Pinned(); err != nil {
		t.Errorf("it is back, and yet: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "claims")); err != nil {
		t.Fatal(err)
	}
	gone("a map's pin was removed", "pins are gone")
}

// A container keeps its own mount of a BPF file system that the node has unmounted.
func TestHasDevice(t *testing.T) {
	const mounts = "22 26 0:21 / /sys rw - sysfs sysfs rw\n41 22 0:38 / /sys/fs/bpf rw - bpf bpf rw\n99 1 0:40 / /x rw,lowerdir=" + "/a:/b" + " - overlay overlay rw\n"
	for minor, want := range map[uint32]bool{38: true, 3: false, 380: false} {
		if got, err := hasDevice(strings.NewReader(mounts), 0, minor); err != nil || got != want {
			t.Errorf("0:%d: %v, %v; want %v", minor, got, err, want)
		}
	}
}
