// Command guest is /init of the machines that internal/kerneltest boots. It makes
// the system that the tests expect, runs them, makes one recording for each version
// of cgroups and one of programs that know how their calls must be shown, and switches
// the machine off.
//
// What it finds goes to the console in lines that begin with "kerneltest:". The
// host demands each of them, so whatever is missing is a failure.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/bpf"
	"github.com/recorderd/recorderd/internal/must"
)

const (
	pins   = "/sys/fs/bpf/recorderd-kerneltest"
	socket = "/run/recorderd.sock"
	ready  = "/run/recorderd.ready"
)

func main() {
	if slices.Equal(os.Args[1:], []string{"sizes"}) {
		sizes()
		return
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: it is /init of an emulated machine, and nothing else")
		os.Exit(2)
	}
	if err := system(); err != nil {
		say("FAIL system: %v", err)
		off()
	}
	var uts unix.Utsname
	unix.Uname(&uts)
	say("linux %s %s", unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Machine[:]))
	only := ""
	for _, arg := range os.Args[1:] {
		if value, ok := strings.CutPrefix(arg, "-run="); ok {
			only = value
		}
	}
	switch {
	case slices.Contains(os.Args[1:], "refused"):
		refused()
	default:
		// In a process of its own: ebpf looks at /proc when it is initialized.
		cmd := exec.Command("/init", "sizes")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
		if err := cmd.Run(); err != nil {
			say("FAIL sizes: %v", err)
			off() // nothing can be recorded
		}
		if only != "" {
			tests("bpf", only)
		} else {
			tests("bpf", ".")
			tests("recorder", "^TestTheNextDaemonGoesOn$")
		}
		for _, hierarchy := range []string{"v2", "pids"} {
			if err := recording(hierarchy); err != nil {
				say("FAIL recording with cgroups %s: %v", hierarchy, err)
			} else {
				say("recorded with cgroups %s", hierarchy)
			}
		}
		if lines, err := decoding(); err != nil {
			say("FAIL decoding: %v", err)
		} else {
			say("decoded %d calls", lines)
		}
		if err := clockBack(); err != nil {
			say("FAIL clock set back: %v", err)
		}
		bare()
	}
	say("end")
	off()
}

func say(format string, args ...any) {
	fmt.Printf("kerneltest: "+format+"\n", args...)
}

func off() {
	unix.Sync()
	time.Sleep(100 * time.Millisecond) // the serial line
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		say("FAIL power off: %v", err)
	}
	select {}
}

// system mounts what a distribution would have.
func system() error {
	for _, m := range []struct{ dir, kind, options string }{
		{"/proc", "proc", ""},
		{"/sys", "sysfs", ""},
		{"/dev", "devtmpfs", ""},
		{"/tmp", "tmpfs", ""},
		{"/run", "tmpfs", ""},
		{"/sys/kernel/tracing", "tracefs", ""},
		{"/sys/fs/bpf", "bpf", ""},
		{"/sys/fs/cgroup", "tmpfs", ""},
		{"/sys/fs/cgroup/unified", "cgroup2", ""},
		{"/sys/fs/cgroup/pids", "cgroup", "pids"}, // v1; memory is not v1's on all kernels now
	} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, m.options); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	os.Setenv("PATH", "/bin")
	os.Setenv("HOME", "/")
	return os.Chdir("/tmp")
}

// tests runs a compiled test binary. Its PASS lines are what the host counts.
func tests(name, pattern string) {
	start := time.Now()
	cmd := exec.Command("/"+name+".test", "-test.v", "-test.run", pattern, "-test.timeout", "18m")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	cmd.Env = append(os.Environ(), "RECORDERD_TEST_NUMBERED=/bin/numbered", "RECORDERD_TEST_SLOWER=50")
	if err := cmd.Run(); err != nil {
		say("FAIL %s: %v", name, err)
		return
	}
	say("took tests of %s %.0f s", name, time.Since(start).Seconds())
}

// refused shows what recorderd says on a kernel that it cannot use.
func refused() {
	out, err := exec.Command("/bin/recorderd", "--socket", socket, "--pin-dir", pins, "--state-dir", "/run/state").CombinedOutput()
	if err == nil {
		say("FAIL refused: recorderd ended well")
	}
	for line := range strings.Lines(string(out)) {
		say("recorderd says: %s", strings.TrimSpace(line))
	}
}

// bare takes parts of the system away: recorderd says what is missing. Then there is v2
// alone, where distributions of today have it.
func bare() {
	const btf, cgroups = "/sys/kernel/btf", "/sys/fs/cgroup"
	without := func(what, want string) {
		out, err := exec.Command("/bin/recorderd", "--socket", socket, "--pin-dir", pins, "--state-dir", "/run/state").CombinedOutput()
		line := strings.TrimSuffix(string(out), "\n")
		if err == nil || strings.Contains(line, "\n") || !strings.Contains(line, want) {
			say("FAIL without %s: %v, want one line with %q: %s", what, err, want, out)
			return
		}
		say("refused without %s: %s", what, line)
	}
	if err := unix.Mount("none", btf, "tmpfs", 0, ""); err != nil {
		say("FAIL hide %s: %v", btf, err)
	}
	without("type information", "has no /sys/kernel/btf/vmlinux")
	if err := unix.Unmount(btf, 0); err != nil {
		say("FAIL show %s: %v", btf, err)
	}
	for _, dir := range []string{cgroups + "/unified", cgroups + "/pids", cgroups} {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			say("FAIL unmount %s: %v", dir, err)
		}
	}
	without("cgroups", "find cgroups: none are mounted")
	if err := unix.Mount("cgroup2", cgroups, "cgroup2", 0, ""); err != nil {
		say("FAIL mount %s: %v", cgroups, err)
	}
	if err := recording("auto"); err != nil {
		say("FAIL recording with cgroups v2 alone: %v", err)
	} else {
		say("recorded with cgroups v2 alone")
	}
}

// recording is the whole way, as a user goes it: daemon, run, dump.
func recording(hierarchy string) error {
	return withDaemon(hierarchy, func() error {
		run := recorderctl("run", "--name", "case", "--", "/bin/sh", "-c", "read x </the/missing/file; (exit 3); exit 5")
		out, err := run.CombinedOutput()
		if run.ProcessState.ExitCode() != 5 {
			return fmt.Errorf("recorderctl run ended with %d, want 5: %w\n%s", run.ProcessState.ExitCode(), err, out)
		}
		text, err := recorderctl("dump", "case").CombinedOutput()
		if err != nil {
			return fmt.Errorf("recorderctl dump: %w\n%s", err, text)
		}
		for _, want := range []string{`execve("/bin/sh", ["/bin/sh", "-c"`, `"/the/missing/file", O_RDONLY`, "ENOENT", "+++ exited with 3 +++", "+++ exited with 5 +++"} {
			if !strings.Contains(string(text), want) {
				return fmt.Errorf("the dump lacks %q:\n%s", want, text)
			}
		}
		return nil
	})
}

// decoding runs the programs that say which line must be shown for each of their calls,
// and returns the number of these lines.
func decoding() (lines int, err error) {
	return lines, withDaemon("v2", func() error {
		out, err := recorderctl("run", "--name", "must", "--", "/bin/sh", "-c", must.Script("/must")).Output()
		if err != nil {
			return fmt.Errorf("recorderctl run: %w\n%s", err, out)
		}
		programs, err := must.Parse(string(out))
		if err != nil {
			return err
		}
		trace, err := recorderctl("dump", "-o", "strace", "must").Output()
		if err != nil {
			return fmt.Errorf("recorderctl dump: %w", err)
		}
		var errs []error
		for _, p := range programs {
			shown, err := must.Marked(string(trace), p.Pid)
			if err == nil {
				err = must.Compare(p.Lines, shown)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", p.Name, err))
			}
			lines += len(p.Lines)
		}
		return errors.Join(errs...)
	})
}

// clockBack sets the clock back by more than a day between two crashes. Both are
// recorded, written to disk, and found there by the next daemon.
func clockBack() error {
	crashes := map[string]int{"early": 3, "late": 4}
	crash := func(name string) error {
		run := recorderctl("run", "--name", name, "--", "/bin/sh", "-c", fmt.Sprintf("read x </the/%s/file; exit %d", name, crashes[name]))
		if out, err := run.CombinedOutput(); run.ProcessState.ExitCode() != crashes[name] {
			return fmt.Errorf("recorderctl run: %w\n%s", err, out)
		}
		return nil
	}
	dumps := func() error {
		for name, code := range crashes {
			out, err := recorderctl("dump", name).CombinedOutput()
			if err != nil {
				return fmt.Errorf("dump %s: %w\n%s", name, err, out)
			}
			for _, want := range []string{"/the/" + name + "/file", fmt.Sprintf("+++ exited with %d +++", code)} {
				if !strings.Contains(string(out), want) {
					return fmt.Errorf("the dump of %s lacks %q:\n%s", name, want, out)
				}
			}
		}
		return nil
	}
	err := withDaemon("v2", func() error {
		if err := crash("early"); err != nil {
			return err
		}
		var now unix.Timeval
		if err := unix.Gettimeofday(&now); err != nil {
			return err
		}
		now.Sec -= 26 * 3600
		if err := unix.Settimeofday(&now); err != nil {
			return fmt.Errorf("set the clock: %w", err)
		}
		if err := crash("late"); err != nil {
			return err
		}
		return dumps()
	})
	if err != nil {
		return err
	}
	return withDaemon("v2", dumps) // which has only the disk
}

func recorderctl(args ...string) *exec.Cmd {
	return exec.Command("/bin/recorderctl", append([]string{"--socket", socket}, args...)...)
}

// withDaemon calls use while recorderd runs, which must end well and leave nothing.
func withDaemon(hierarchy string, use func() error) (err error) {
	os.Remove(ready)
	var log bytes.Buffer
	daemon := exec.Command("/bin/recorderd", "--socket", socket, "--pin-dir", pins, "--state-dir", "/run/state", "--cgroup-hierarchy", hierarchy,
		"--watch", "/recorderctl", "--ring-size", "4MiB", "--memory-budget", "64MiB", "--capture-data", "512", "--ready-file", ready, "--clean")
	daemon.Stdout, daemon.Stderr = &log, &log
	if err := daemon.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	defer func() {
		daemon.Process.Signal(syscall.SIGTERM)
		if e := <-ended; e != nil || err != nil {
			err = errors.Join(err, e, fmt.Errorf("the daemon's log: %s", &log))
		}
		if _, e := os.Stat(pins); e == nil && err == nil {
			err = fmt.Errorf("%s is left", pins)
		}
	}()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		if time.Now().After(end) {
			return errors.New("recorderd is not ready within 3 minutes")
		}
	}
	return use()
}

// sizes prints what the verifier makes of each program.
func sizes() {
	start := time.Now()
	programs, err := bpf.ProgramSizes()
	if err != nil {
		say("FAIL sizes: %v", err)
		var refused *ebpf.VerifierError
		if errors.As(err, &refused) {
			for _, line := range refused.Log[max(0, len(refused.Log)-30):] {
				say("verifier: %s", line)
			}
		}
		os.Exit(1)
	}
	for _, p := range programs {
		say("size %s %d %d %d %d", p.Name, p.Verified, p.Bytes, p.Stack, p.Time.Milliseconds())
	}
	say("took loading %.1f s", time.Since(start).Seconds())
}
