package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The program itself, with input that it must refuse: one clear line, the right
// exit status, and nothing left behind. The tests need root.

var binary string

func TestMain(m *testing.M) {
	if caps := os.Getenv(onlyCaps); caps != "" {
		runWith(caps)
	}
	dir, err := os.MkdirTemp("", "recorderd-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "recorderd")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the Makefile has it
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // for the test that is not root
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// testDaemon is a recorderd with directories of its own.
type testDaemon struct {
	t                 *testing.T
	dir, pins, socket string
	cmd               *exec.Cmd
	log               logBuffer
}

// logBuffer is what a daemon logs, which can be read meanwhile.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func newDaemon(t *testing.T) *testDaemon {
	t.Helper()
	dir := t.TempDir()
	d := &testDaemon{t: t, dir: dir, socket: filepath.Join(dir, "run", "s"), pins: fmt.Sprintf("/sys/fs/bpf/recorderd-cmdtest-%d-%s", os.Getpid(), filepath.Base(dir))}
	t.Cleanup(func() {
		if d.cmd != nil && d.cmd.ProcessState == nil {
			d.cmd.Process.Kill()
			d.cmd.Wait()
		}
		exec.Command(binary, "uninstall", "--pin-dir", d.pins).Run()
	})
	return d
}

func (d *testDaemon) args(more ...string) []string {
	return append([]string{"--socket", d.socket, "--pin-dir", d.pins, "--state-dir", filepath.Join(d.dir, "state"), "--watch-only", "--ring-size", "64KiB", "--memory-budget", "8MiB", "--containerd", "/nonexistent/containerd.sock", "--ready-file", filepath.Join(d.dir, "ready"), "--clean"}, more...)
}

// start runs the daemon and waits until it is ready.
func (d *testDaemon) start(more ...string) {
	d.t.Helper()
	d.startAs(exec.Command(binary, d.args(more...)...))
}

// startAs is start for a command that runs the daemon in some way.
func (d *testDaemon) startAs(cmd *exec.Cmd) {
	d.t.Helper()
	d.cmd = cmd
	d.cmd.Stderr = &d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ready := filepath.Join(d.dir, "ready")
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			return
		}
		if time.Now().After(end) {
			d.t.Fatalf("not ready within 20 s:\n%s", d.log.String())
		}
	}
}

// refused runs recorderd with arguments that end it, and returns its status and message.
func refused(t *testing.T, cmd *exec.Cmd) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("it ended with %v, want an error status", err)
	}
	return exit.ExitCode(), errOut.String()
}

func oneLine(t *testing.T, msg string, want ...string) {
	t.Helper()
	var own []string
	for line := range strings.Lines(msg) {
		if strings.HasPrefix(line, "recorderd: ") {
			own = append(own, line)
		}
	}
	if len(own) != 1 {
		t.Errorf("it said %q, want one line", msg)
		return
	}
	for _, w := range want {
		if !strings.Contains(own[0], w) {
			t.Errorf("it said %q, want %q in it", own[0], w)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want []string
	}{
		{[]string{"--ring-size", "100KiB"}, []string{"--ring-size", "power of two"}},
		{[]string{"--ring-size", "1TB"}, []string{"--ring-size", "64KiB"}},
		{[]string{"--ring-size", "128MiB"}, []string{"--ring-size", "64MiB"}},
		{[]string{"--capture-data", "1MiB"}, []string{"--capture-data", "4KiB"}},
		{[]string{"--log-level", "loud"}, []string{"--log-level", "debug"}},
		{[]string{"--kubernetes", "maybe"}, []string{"--kubernetes", "auto"}},
		{[]string{"--no-such-flag"}, []string{"--no-such-flag"}},
		{[]string{"start"}, []string{"start"}},
		{[]string{"uninstall", "now"}, []string{"now"}},
	} {
		status, msg := refused(t, exec.Command(binary, tc.args...))
		if status != exitUsage {
			t.Errorf("%v: status %d, want %d", tc.args, status, exitUsage)
		}
		oneLine(t, msg, tc.want...)
	}
}

func TestRefusals(t *testing.T) {
	d := newDaemon(t)
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		want   []string
	}{
		{"watched path", []string{"--watch", "kubepods"}, exitError, []string{`"kubepods"`, "beginning with /"}},
		{"hierarchy", []string{"--cgroup-hierarchy", "nosuch"}, exitError, []string{"nosuch", "there are:"}},
		{"budget", []string{"--ring-size", "64MiB", "--memory-budget", "1MiB"}, exitError, []string{"memory budget", "two rings"}},
		{"pin directory elsewhere", []string{"--pin-dir", filepath.Join(d.dir, "pins")}, exitError, []string{"not on a BPF file system", "--pin-dir"}},
		{"no API server", []string{"--kubernetes", "on"}, exitError, []string{"ask Kubernetes", "no kubeconfig is given"}},
		{"no kubeconfig", []string{"--kubeconfig", "/nonexistent/kubeconfig"}, exitError, []string{"ask Kubernetes", "/nonexistent/kubeconfig"}},
		{"socket is a file", []string{"--socket", "/etc/hostname"}, exitError, []string{"/etc/hostname", "no socket"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, msg := refused(t, exec.Command(binary, d.args(tc.args...)...))
			if status != tc.status {
				t.Errorf("status %d, want %d", status, tc.status)
			}
			oneLine(t, msg, tc.want...)
			if _, err := os.Stat(filepath.Join(d.pins, "tasks")); err == nil {
				t.Error("it left programs pinned")
			}
		})
	}
}

func TestNotRoot(t *testing.T) {
	d := newDaemon(t)
	cmd := exec.Command(binary, d.args()...) // the socket's directory is root's, as in /run
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	status, msg := refused(t, cmd)
	if status != exitUnsupported {
		t.Errorf("status %d, want %d", status, exitUnsupported)
	}
	oneLine(t, msg, "CAP_PERFMON, CAP_BPF", "run as root", "65534")
}

// Two daemons cannot share a pin directory, a socket or a state directory; the first goes on.
func TestSecondDaemon(t *testing.T) {
	first := newDaemon(t)
	first.start()
	second := newDaemon(t)
	for _, tc := range []struct {
		name string
		args []string
		want []string
	}{
		{"pin directory", second.args("--pin-dir", first.pins), []string{"in use", first.pins}},
		{"socket", second.args("--socket", first.socket), []string{"in use", first.socket, fmt.Sprint(first.cmd.Process.Pid)}},
		{"state directory", second.args("--state-dir", filepath.Join(first.dir, "state")), []string{"in use", filepath.Join(first.dir, "state"), fmt.Sprint(first.cmd.Process.Pid)}},
	} {
		status, msg := refused(t, exec.Command(binary, tc.args...))
		if status != exitInUse {
			t.Errorf("same %s: status %d, want %d", tc.name, status, exitInUse)
		}
		oneLine(t, msg, tc.want...)
	}
	if err := first.cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the first daemon is gone: %v", err)
	}
	if status, msg := refused(t, exec.Command(binary, "uninstall", "--pin-dir", first.pins)); status != exitInUse {
		t.Errorf("uninstall beside a running daemon: status %d, %s", status, msg)
	}
}

// A daemon that was killed leaves a stale socket and its pins; the next one replaces
// the one and takes over the other. --clean takes all of it away.
func TestKilledAndStartedAgain(t *testing.T) {
	d := newDaemon(t)
	d.start()
	d.cmd.Process.Kill()
	d.cmd.Wait()
	os.Remove(filepath.Join(d.dir, "ready")) // it is what start waits for
	if _, err := os.Lstat(d.socket); err != nil {
		t.Fatalf("no stale socket to replace: %v", err)
	}
	d.log.Reset()
	d.start()
	d.cmd.Process.Signal(syscall.SIGTERM)
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("on SIGTERM it ended with %v", err)
	}
	if !strings.Contains(d.log.String(), "adopted=true") {
		t.Errorf("the programs were not taken over:\n%s", d.log.String())
	}
	for _, path := range []string{d.pins, d.socket, filepath.Join(d.dir, "ready")} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
}

// TestHangup catches a daemon without a configuration file that systemctl reload ends, and
// systemd then takes that for a clean end.
func TestHangup(t *testing.T) {
	d := newDaemon(t)
	d.start()
	d.cmd.Process.Signal(syscall.SIGHUP)
	poll(t, "what it says to SIGHUP", func() bool { return strings.Contains(d.log.String(), "no configuration to be read again") })
	d.cmd.Process.Signal(syscall.SIGTERM)
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("on SIGTERM it ended with %v", err)
	}
}

// TestStaleReadyFile catches the ready file of a recorderd that was killed, which says that
// the next one is ready before it is.
func TestStaleReadyFile(t *testing.T) {
	d := newDaemon(t)
	ready := filepath.Join(d.dir, "ready")
	if err := os.WriteFile(ready, []byte("ready\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// Nothing can be pinned there: it ends before it is ready.
	status, msg := refused(t, exec.Command(binary, d.args("--pin-dir", filepath.Join(d.dir, "pins"))...))
	if _, err := os.Stat(ready); status != exitError || err == nil {
		t.Errorf("status %d, %s, and the ready file: %v", status, msg, err)
	}
}
