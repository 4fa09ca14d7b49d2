package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Pinned returns nil if all that the next process would adopt is still pinned. Programs
// whose pins are gone run on as long as this process does, and no longer.
func (k *Kernel) Pinned() error {
	var here, held unix.Stat_t
	if err := unix.Stat(k.cfg.PinDir, &here); errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("pin directory %s is gone, or its BPF file system was unmounted", k.cfg.PinDir)
	} else if err != nil {
		return fmt.Errorf("pin directory %s: %w", k.cfg.PinDir, err)
	}
	if err := unix.Fstat(int(k.lock.Fd()), &held); err != nil {
		return fmt.Errorf("pin directory %s: %w", k.cfg.PinDir, err)
	}
	if here.Dev != held.Dev || here.Ino != held.Ino {
		return fmt.Errorf("pin directory %s is another than the one with the pins: it was removed, or another BPF file system is mounted there", k.cfg.PinDir)
	}
	want := []string{k.pin("id-" + k.cfg.id()), k.pin("ring"), k.pin(keptDir)}
	for _, name := range k.cfg.programs() {
		want = append(want, k.pin("link-"+name))
	}
	for _, name := range pinnedMaps {
		want = append(want, k.pin(name))
	}
	var gone []string
	for _, path := range want {
		if err := unix.Lstat(path, new(unix.Stat_t)); errors.Is(err, unix.ENOENT) {
			gone = append(gone, filepath.Base(path))
		} else if err != nil {
			return fmt.Errorf("look at pin %s: %w", path, err)
		}
	}
	if len(gone) > 0 {
		return fmt.Errorf("%d of %d pins are gone from %s, such as %s", len(gone), len(want), k.cfg.PinDir, gone[0])
	}
	if mounts, err := os.Open("/proc/1/mountinfo"); err == nil {
		defer mounts.Close()
		if there, err := hasDevice(mounts, unix.Major(here.Dev), unix.Minor(here.Dev)); err == nil && !there {
			return fmt.Errorf("the BPF file system of %s was unmounted on the node: only this recorderd still has it", k.cfg.PinDir)
		}
	}
	return nil
}

// hasDevice reports whether a file system is among the mounts that mountinfo lists
// (proc_pid_mountinfo(5)). In a container that is asked of the node's first process: the
// container has its own mount of what the node has unmounted.
func hasDevice(mountinfo io.Reader, major, minor uint32) (bool, error) {
	device := fmt.Sprintf("%d:%d", major, minor)
	lines := bufio.NewScanner(mountinfo)
	lines.Buffer(nil, 1<<20) // overlays have long options
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 2 && fields[2] == device {
			return true, nil
		}
	}
	return false, lines.Err()
}
