// Command kerneltest boots other kernels in qemu and runs the privileged tests
// there. `make kernels` fetches the kernels and calls it.
//
//	kerneltest [flags] NAME=IMAGE...
//
// NAME begins with the kernel's version, as 6.12 or 6.12-rt. On a version below the
// minimum recorderd has to refuse with one line; on all others each test has to pass.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// minimum is the oldest version that may not refuse: bpf.Supported says the same.
var minimum = version{5, 15}

type options struct {
	arch    string
	cpus    int
	limit   time.Duration
	table   string
	update  bool
	busybox string
	cc      string
	verbose bool
}

func main() {
	var o options
	flag.StringVar(&o.arch, "arch", "amd64", "architecture of the kernels: amd64 or arm64")
	flag.IntVar(&o.cpus, "smp", 2, "CPUs of the machine")
	flag.DurationVar(&o.limit, "limit", 2*time.Minute, "time for one kernel from boot to power off")
	flag.StringVar(&o.table, "table", "docs/kernels.md", "file with the table of verified instructions")
	flag.BoolVar(&o.update, "update", false, "write the table instead of comparing with it")
	flag.StringVar(&o.busybox, "busybox", "/bin/busybox", "a static busybox of that architecture")
	flag.StringVar(&o.cc, "cc", "gcc", "C compiler for that architecture, and for static programs")
	flag.BoolVar(&o.verbose, "v", false, "show each console whole")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "kerneltest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, kernels []string) error {
	dir, err := os.MkdirTemp("", "recorderd-kerneltest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	want, err := build(ctx, o, dir)
	if err != nil {
		return err
	}
	table, err := readTable(o.table)
	if err != nil {
		return err
	}
	var errs []error
	for _, kernel := range kernels {
		name, image, ok := strings.Cut(kernel, "=")
		v, err := parseVersion(name)
		if !ok || err != nil {
			return fmt.Errorf("%q: want NAME=IMAGE, with a name that begins with the kernel's version", kernel)
		}
		if o.arch != "amd64" {
			name += " " + o.arch
		}
		start := time.Now()
		console, err := boot(ctx, o, image, filepath.Join(dir, "initramfs"), v.before(minimum))
		res := parse(console)
		if err == nil {
			err = res.check(want, v.before(minimum))
		}
		if err == nil && !o.update {
			err = table.compare(name, res.verified)
		}
		if o.verbose {
			os.Stdout.Write(console)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("kernel %s: %w", name, err))
			fmt.Printf("FAIL %-12s %4.0f s  %v\n%s\n", name, time.Since(start).Seconds(), err, tail(console, 60))
			continue
		}
		fmt.Printf("ok   %-12s %4.0f s  %s\n", name, time.Since(start).Seconds(), res.summary())
		table.set(name, res.verified)
	}
	if len(errs) > 0 {
		return fmt.Errorf("%d kernels of %d failed: %w", len(errs), len(kernels), errors.Join(errs...))
	}
	if o.update {
		return table.write(o.table)
	}
	return nil
}

// build compiles what runs in the guest, writes the initramfs into dir, and returns
// the names of the tests that have to pass.
func build(ctx context.Context, o options, dir string) ([]string, error) {
	command := func(name string, args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+o.arch)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
		}
		return out, nil
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range [][]string{
		{"go", "build", "-o", at("init"), "./internal/kerneltest/guest"},
		{"go", "build", "-o", at("recorderd"), "./cmd/recorderd"},
		{"go", "build", "-o", at("recorderctl"), "./cmd/recorderctl"},
		{"go", "test", "-c", "-o", at("bpf.test"), "./bpf"},
		{"go", "test", "-c", "-o", at("recorder.test"), "./recorder"},
		{o.cc, "-O2", "-static", "-pthread", "-o", at("numbered"), "bpf/testdata/numbered.c"},
	} {
		if _, err := command(c[0], c[1:]...); err != nil {
			return nil, err
		}
	}
	fs := &initramfs{}
	for _, d := range []string{"bin", "dev", "etc", "proc", "run", "sys", "tmp"} {
		fs.dir(d)
	}
	fs.device("dev/console", 5, 1)
	for name, from := range map[string]string{
		"init": at("init"), "bpf.test": at("bpf.test"), "recorder.test": at("recorder.test"), "bin/numbered": at("numbered"),
		"bin/recorderd": at("recorderd"), "bin/recorderctl": at("recorderctl"), "bin/busybox": o.busybox,
	} {
		if err := fs.file(name, from); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"sh", "sleep", "true", "cat"} {
		fs.link("bin/"+name, "busybox")
	}
	if err := os.WriteFile(at("initramfs"), fs.bytes(), 0o600); err != nil {
		return nil, err
	}
	list := exec.CommandContext(ctx, "go", "test", "-list", "^Test", "./bpf")
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests of ./bpf: %w", err)
	}
	names := regexp.MustCompile(`(?m)^Test\w+$`).FindAllString(string(out), -1)
	if len(names) == 0 {
		return nil, errors.New("./bpf has no tests")
	}
	return append(names, "TestTheNextDaemonGoesOn"), nil
}

// boot runs a machine until it is off, and returns what came over its serial line.
//
// One thread emulates all CPUs: with several, kernel 6.1 hung. qemu must be 10 or
// later: 7.2 corrupts flags in cmpxchg16b, which newer kernels' allocators use.
func boot(ctx context.Context, o options, image, initrd string, refused bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	qemu, tty, args := "qemu-system-x86_64", "ttyS0", []string{"-cpu", "max"}
	if o.arch == "arm64" {
		qemu, tty, args = "qemu-system-aarch64", "ttyAMA0", []string{"-M", "virt", "-cpu", "cortex-a72"}
	}
	line := "console=" + tty + " loglevel=4 panic=-1 oops=panic"
	if refused {
		line += " -- refused" // what follows the dashes is given to /init
	}
	args = append(args, "-accel", "tcg,thread=single", "-smp", fmt.Sprint(o.cpus), "-m", "1536M", "-nographic", "-no-reboot",
		"-nic", "none", "-kernel", image, "-initrd", initrd, "-append", line)
	cmd := exec.CommandContext(ctx, qemu, args...)
	cmd.WaitDelay = 5 * time.Second
	console, err := cmd.CombinedOutput()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return console, fmt.Errorf("not off after %v", o.limit)
	} else if ctx.Err() != nil {
		return console, ctx.Err()
	}
	if err != nil {
		return console, fmt.Errorf("%s: %w", qemu, err)
	}
	return console, nil
}
