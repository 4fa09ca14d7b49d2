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
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// minimum is the oldest version that may not refuse: bpf.Supported says the same.
var minimum = version{5, 15}

type options struct {
	arch    string
	cpus    int
	boot    time.Duration
	limit   time.Duration
	table   string
	update  bool
	root    string
	busybox string
	cc      string
	run     string
	verbose bool
}

func main() {
	var o options
	flag.StringVar(&o.arch, "arch", "amd64", "architecture of the kernels: amd64 or arm64")
	flag.IntVar(&o.cpus, "smp", 2, "CPUs of the machine")
	flag.DurationVar(&o.boot, "boot", 4*time.Minute, "time for one kernel from power on to the first test; it gets a second try")
	flag.DurationVar(&o.limit, "limit", 20*time.Minute, "time for one kernel from power on to power off")
	flag.StringVar(&o.table, "table", "docs/kernels.md", "file with the table of the programs' sizes")
	flag.BoolVar(&o.update, "update", false, "write the table instead of comparing with it")
	flag.StringVar(&o.root, "root", "", "directory with a system of its own in which qemu runs, and the compiler of another architecture; none: this machine's")
	flag.StringVar(&o.run, "run", "", "run only tests of ./bpf that match")
	flag.StringVar(&o.busybox, "busybox", "/bin/busybox", "a static busybox of that architecture")
	flag.StringVar(&o.cc, "cc", "gcc", "C compiler for that architecture, and for static programs")
	flag.BoolVar(&o.verbose, "v", false, "show each console as it goes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "kerneltest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, kernels []string) error {
	dir, err := os.MkdirTemp(filepath.Join(o.root, "/tmp"), "recorderd-kerneltest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	only, err := regexp.Compile(o.run)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	start := time.Now()
	want, err := build(ctx, o, dir)
	if err != nil {
		return err
	}
	want = slices.DeleteFunc(want, func(name string) bool { return !only.MatchString(name) })
	if len(want) == 0 {
		return fmt.Errorf("no test of ./bpf matches %q", o.run)
	}
	fmt.Printf("built in %.0f s: %d tests\n", time.Since(start).Seconds(), len(want))
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
		m := machine{o: o, dir: dir, image: image, refused: v.before(minimum)}
		console, err := m.run(ctx)
		if errors.Is(err, errNoStart) && ctx.Err() == nil {
			// Emulation on a busy machine: it happened once in some hundred boots.
			fmt.Printf("     %-12s %4.0f s  %v: once more\n%s\n", name, time.Since(start).Seconds(), err, tail(console, 20))
			console, err = m.run(ctx)
		}
		res := parse(console)
		if err == nil {
			err = res.check(want, m.refused)
		}
		if err == nil && !o.update {
			err = table.compare(name, res.sizes)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("kernel %s: %w", name, err))
			fmt.Printf("FAIL %-12s %4.0f s  %v\n%s\n", name, time.Since(start).Seconds(), err, tail(console, 60))
			continue
		}
		fmt.Printf("ok   %-12s %4.0f s  %s\n", name, time.Since(start).Seconds(), res.summary())
		table.set(name, res.sizes)
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
	command := func(cmd *exec.Cmd) error {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+o.arch)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
		}
		return nil
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	// Stripped: the machine takes its time to unpack them.
	for _, c := range [][]string{
		{"build", "-ldflags=-s -w", "-o", at("init"), "./internal/kerneltest/guest"},
		{"build", "-ldflags=-s -w", "-o", at("recorderd"), "./cmd/recorderd"},
		{"build", "-ldflags=-s -w", "-o", at("recorderctl"), "./cmd/recorderctl"},
		{"test", "-c", "-ldflags=-s -w", "-o", at("bpf.test"), "./bpf"},
		{"test", "-c", "-ldflags=-s -w", "-o", at("recorder.test"), "./recorder"},
	} {
		if err := command(exec.CommandContext(ctx, "go", c...)); err != nil {
			return nil, err
		}
	}
	programs, err := compile(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	fs := &initramfs{}
	for _, d := range []string{"bin", "dev", "etc", "must", "proc", "run", "sys", "tmp"} {
		fs.dir(d)
	}
	fs.device("dev/console", 5, 1)
	for name, from := range map[string]string{
		"init": at("init"), "bpf.test": at("bpf.test"), "recorder.test": at("recorder.test"),
		"bin/recorderd": at("recorderd"), "bin/recorderctl": at("recorderctl"), "bin/busybox": o.busybox,
	} {
		if err := fs.file(name, from); err != nil {
			return nil, err
		}
	}
	for name, from := range programs {
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
	if o.run == "" {
		names = append(names, "TestTheNextDaemonGoesOn")
	}
	return names, nil
}

// compile compiles the test programs for the guest, and returns the files by their
// names there.
func compile(ctx context.Context, o options, dir string) (map[string]string, error) {
	sources, err := filepath.Glob("recorder/testdata/must/*.[ch]")
	if err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		return nil, errors.New("recorder/testdata/must has no programs")
	}
	sources = append(sources, "bpf/testdata/numbered.c")
	for _, source := range sources { // to where the compiler's root has them too
		b, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(source)), b, 0o600); err != nil {
			return nil, err
		}
	}
	programs := map[string]string{}
	for _, source := range sources {
		name, ok := strings.CutSuffix(filepath.Base(source), ".c")
		if !ok {
			continue
		}
		cc := exec.CommandContext(ctx, o.cc, "-O0", "-w", "-static", "-s", "-pthread", "-o", "program-"+name, name+".c")
		cc.Dir = dir
		if o.arch != runtime.GOARCH {
			inRoot(cc, o.root)
		}
		if out, err := cc.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cc.Args, " "), err, out)
		}
		in := "must/"
		if name == "numbered" {
			in = "bin/"
		}
		programs[in+name] = filepath.Join(dir, "program-"+name)
	}
	return programs, nil
}
