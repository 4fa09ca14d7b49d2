package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// errNoStart says that a machine hung before its first test.
var errNoStart = errors.New("/init has not begun")

// machine is an emulated one.
type machine struct {
	o       options
	dir     string // below o.root, with the initramfs
	image   string // of the kernel
	refused bool   // recorderd has to refuse this kernel
}

// inRoot makes a command run with root as its root directory. Its Dir is below it.
func inRoot(cmd *exec.Cmd, root string) {
	if root == "" {
		return
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	// Found by its name there, not here.
	cmd.Path, cmd.Err = "/usr/bin/"+cmd.Args[0], nil
	cmd.Dir = strings.TrimPrefix(cmd.Dir, strings.TrimRight(root, "/"))
}

// run lets the machine run until it is off, and returns what came over its serial line.
//
// One thread emulates all CPUs: with several, kernel 6.1 hung. qemu must be 10 or
// later: 7.2 corrupts flags in cmpxchg16b, which newer kernels' allocators use.
func (m *machine) run(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, m.o.limit)
	defer cancel()
	qemu, tty, args := "qemu-system-x86_64", "ttyS0", []string{"-cpu", "max"}
	if m.o.arch == "arm64" {
		qemu, tty, args = "qemu-system-aarch64", "ttyAMA0", []string{"-M", "virt", "-cpu", "cortex-a72"}
	}
	line := "console=" + tty + " loglevel=4 panic=-1 oops=panic"
	if m.refused || m.o.run != "" {
		line += " --" // what follows the dashes is given to /init
		if m.refused {
			line += " refused"
		} else {
			line += " -run=" + m.o.run
		}
	}
	if err := copyFile(filepath.Join(m.dir, "image"), m.image); err != nil {
		return nil, err
	}
	args = append(args, "-accel", "tcg,thread=single", "-smp", fmt.Sprint(m.o.cpus), "-m", "1536M", "-nographic", "-no-reboot",
		"-nic", "none", "-kernel", "image", "-initrd", "initramfs", "-append", line)
	cmd := exec.CommandContext(ctx, qemu, args...)
	cmd.Dir = m.dir
	inRoot(cmd, m.o.root)
	began := make(chan struct{})
	out := &console{mark: []byte("kerneltest: linux "), seen: func() { close(began) }}
	cmd.Stdout = out
	if m.o.verbose {
		cmd.Stdout = io.MultiWriter(out, os.Stdout)
	}
	cmd.Stderr = cmd.Stdout
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", qemu, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case <-began:
		err = <-ended
	case err = <-ended:
	case <-time.After(m.o.boot):
		cancel()
		<-ended
		return out.bytes(), fmt.Errorf("%w after %v", errNoStart, m.o.boot)
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return out.bytes(), fmt.Errorf("not off after %v", m.o.limit)
	case ctx.Err() != nil:
		return out.bytes(), ctx.Err()
	case err != nil:
		return out.bytes(), fmt.Errorf("%s: %w", qemu, err)
	}
	return out.bytes(), nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// console collects what is written, and calls seen when mark has come.
type console struct {
	mu   sync.Mutex
	b    bytes.Buffer
	mark []byte
	seen func()
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := max(0, c.b.Len()-len(c.mark))
	c.b.Write(b)
	if c.seen != nil && bytes.Contains(c.b.Bytes()[from:], c.mark) {
		c.seen()
		c.seen = nil
	}
	return len(b), nil
}

func (c *console) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.b.Bytes())
}
