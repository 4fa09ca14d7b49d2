package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/internal/privilege"
	"github.com/recorderd/recorderd/recorder"
	"github.com/recorderd/recorderd/recorder/replay"
)

// onlyCaps in the environment makes this binary a program that gives up all
// capabilities but those in it, and becomes its arguments.
const onlyCaps = "RECORDERD_TEST_ONLY_CAPS"

func runWith(caps string) {
	runtime.LockOSThread()
	set, err := strconv.ParseUint(caps, 16, 64)
	if err == nil {
		_, err = privilege.KeepInThread(privilege.Set(set))
	}
	if err == nil {
		os.Unsetenv(onlyCaps)
		err = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(99)
}

// with is a command that has these capabilities and no others.
func with(t *testing.T, caps privilege.Set, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%x", onlyCaps, uint64(caps)))
	return cmd
}

// Every thread of the daemon has the rights that it needs and no others, and no way
// to more.
func TestRightsAreDropped(t *testing.T) {
	d := newDaemon(t)
	d.start()
	statuses, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.cmd.Process.Pid))
	if err != nil || len(statuses) < 3 {
		t.Fatalf("threads %v, %v", statuses, err)
	}
	kept := fmt.Sprintf("%016x", uint64(rights))
	none := fmt.Sprintf("%016x", 0)
	for _, path := range statuses {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		got := map[string]string{}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(line, ":")
			got[name] = strings.TrimSpace(value)
		}
		for name, want := range map[string]string{"CapEff": kept, "CapPrm": kept, "CapBnd": kept, "CapInh": none, "CapAmb": none, "NoNewPrivs": "1"} {
			if got[name] != want {
				t.Errorf("%s: %s is %s, want %s", path, name, got[name], want)
			}
		}
	}
}

// docs/security.md lists the same capabilities as the program keeps.
func TestRightsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(b), "\n| capability | why |")
	if !ok {
		t.Fatal("docs/security.md has no table of capabilities")
	}
	var listed privilege.Set
	for line := range strings.Lines(strings.TrimPrefix(table, "\n")) {
		if !strings.HasPrefix(line, "| `CAP_") && !strings.HasPrefix(line, "| --- ") {
			if strings.HasPrefix(line, "|") {
				t.Errorf("what is %q?", line)
			}
			break
		}
		for c := range 64 {
			if strings.HasPrefix(line, "| `"+privilege.Of(c).String()+"` |") {
				listed |= privilege.Of(c)
			}
		}
	}
	if listed != rights {
		t.Errorf("docs/security.md lists %s; kept are %s", listed, rights)
	}
}

// blocked runs a program in a container of the daemon's that is blocked in an
// open of a path, and returns the path.
func blocked(t *testing.T, watched string) string {
	t.Helper()
	h, err := recorder.FindHierarchy("auto")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(h.Mount, watched, "blocked")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(t.TempDir(), "nobody-writes")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `echo $$ >"$0" && exec cat "$1"`, filepath.Join(dir, "cgroup.procs"), fifo)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		for _, d := range []string{dir, filepath.Dir(dir)} {
			poll(t, "remove "+d, func() bool { return os.Remove(d) == nil })
		}
	})
	return fifo
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within 20 s", what)
}

// dump is a recording as text, "" if it is not there yet.
func (d *testDaemon) dump(name string) string {
	d.t.Helper()
	c := client.New(client.Unix(d.socket), client.Options{})
	defer c.Close()
	body, err := c.Dump(d.t.Context(), name, target.Selector{}, replay.Query{Format: replay.FormatText})
	if err != nil {
		var e *api.Error
		if errors.As(err, &e) && e.Code == api.CodeNotFound {
			return ""
		}
		list, _ := c.List(d.t.Context(), target.Filter{})
		for _, r := range list.Recordings {
			d.t.Logf("%s %s %s %v", r.ID, r.Container.Cgroup, r.State, r.Tasks)
		}
		d.t.Fatal(err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(b)
}

func (d *testDaemon) watched() string {
	return fmt.Sprintf("/recorderd-cmdtest-%d-%s", os.Getpid(), filepath.Base(d.dir))
}

// With the listed capabilities and no others recorderd does all that it is for: it
// records, lists, dumps a thread that is blocked with what its arguments point to, is
// killed, takes over, and is uninstalled. Without any one of them something is missing.
func TestListedRightsSuffice(t *testing.T) {
	d := newDaemon(t)
	path := blocked(t, d.watched())
	run := func(caps privilege.Set) {
		t.Helper()
		os.Remove(filepath.Join(d.dir, "ready"))
		d.log.Reset()
		d.startAs(with(t, caps, append([]string{binary}, d.args("--watch", d.watched(), "--watch-only", "--clean=false")...)...))
	}
	run(rights)
	poll(t, "a blocked open in the dump", func() bool {
		return strings.Contains(d.dump("blocked"), `"`+path+`", O_RDONLY <unfinished ...>`)
	})
	d.kill()
	run(rights)
	if !strings.Contains(d.log.String(), "adopted=true") {
		t.Errorf("the programs were not taken over:\n%s", d.log.String())
	}
	poll(t, "the same after taking over", func() bool { return strings.Contains(d.dump("blocked"), `"`+path+`", O_RDONLY <unfinished`) })
	if strings.Contains(d.log.String(), "level=WARN") || strings.Contains(d.log.String(), "level=ERROR") {
		t.Errorf("it complains:\n%s", d.log.String())
	}
	d.costs(t)
	d.kill()
	run(rights &^ privilege.Of(unix.CAP_SYS_PTRACE))
	if text := d.dump("blocked"); strings.Contains(text, `openat(AT_FDCWD, "`) || !strings.Contains(text, "<unfinished ...>") {
		t.Errorf("without CAP_SYS_PTRACE: is it needed?\n%s", text)
	}
	if !strings.Contains(d.log.String(), "missing=CAP_SYS_PTRACE") {
		t.Errorf("nothing is said about the missing right:\n%s", d.log.String())
	}
	d.kill()
	for _, missing := range []privilege.Set{privilege.Of(unix.CAP_BPF), privilege.Of(unix.CAP_PERFMON)} {
		status, msg := refused(t, with(t, rights&^missing, append([]string{binary}, d.args()...)...))
		if status != exitUnsupported {
			t.Errorf("without %s: status %d, want %d", missing, status, exitUnsupported)
		}
		oneLine(t, msg, "missing "+missing.String()+":")
	}
	if out, err := with(t, 0, binary, "uninstall", "--pin-dir", d.pins).CombinedOutput(); err != nil {
		t.Errorf("uninstall without any rights: %v\n%s", err, out)
	}
	if _, err := os.Stat(d.pins); err == nil {
		t.Errorf("%s is still there", d.pins)
	}
}

// costs demands that what the programs cost is told as soon as somebody else, who is
// allowed to, has switched the kernel's statistics on.
func (d *testDaemon) costs(t *testing.T) {
	t.Helper()
	c := client.New(client.Unix(d.socket), client.Options{})
	defer c.Close()
	// Another test may have them on.
	if _, err := c.Costs(t.Context(), 300*time.Millisecond); err != nil && !strings.Contains(err.Error(), "CAP_SYS_ADMIN") {
		t.Errorf("costs without statistics: %v, want what is missing", err)
	}
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		t.Fatal(err)
	}
	defer stats.Close()
	st, err := c.Costs(t.Context(), 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if exit := st.Cost.Programs["on_sys_exit"]; exit.Runs == 0 || exit.Ns < exit.Runs {
		t.Errorf("costs: %+v", st.Cost)
	}
}

// kill ends the daemon as a crash would.
func (d *testDaemon) kill() {
	d.cmd.Process.Kill()
	d.cmd.Wait()
}
