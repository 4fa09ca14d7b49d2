package recorder

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/record"
)

// TestHugeCommandLine catches a recording that can be neither dumped nor put together,
// because its container's command line does not fit into a dump's header.
func TestHugeCommandLine(t *testing.T) {
	r, c := settled(t, policy.Policy{})
	dir := filepath.Join(c.dir, "huge")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, "remove "+dir, func() bool { return os.Remove(dir) == nil }) })
	args := []string{"-c", "read x"}
	for range 12 {
		args = append(args, strings.Repeat("<", 120<<10))
	}
	cmd := exec.Command("/bin/sh", args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	// It is there before its recording: nobody sees it exec.
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, cmd.Process.Pid), 0); err != nil {
		t.Fatal(err)
	}
	rec := c.recording(r, "huge")
	if got := rec.Container.Command; len(got) != 4 || got[0] != "/bin/sh" || got[2] != "read x" || len(strings.Join(got, " ")) != layout.ArgsMax {
		t.Errorf("%d arguments, of %d bytes: %.100q", len(got), len(strings.Join(got, " ")), got)
	}
	dumpOf(t, r, rec.ID)
}

// TestCommandOfAHangingProcess catches one process that hangs in the kernel and takes
// the recorder with it.
func TestCommandOfAHangingProcess(t *testing.T) {
	proc := t.TempDir()
	dir := filepath.Join(proc, "4711")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Who opens it waits for a writer.
	name := filepath.Join(dir, "cmdline")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	told := make(chan []string, 1)
	go func() { told <- commandOf(proc, &layout.RingHead{InitTid: 4711}) }()
	select {
	case got := <-told:
		if got != nil {
			t.Errorf("its command line is %q", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("it is waited for")
	}
	if w, err := os.OpenFile(name, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
		w.Close()
	}
}

// TestFollowForgetsThreads catches a follower whose memory grows with each thread that
// the container ever had.
func TestFollowForgetsThreads(t *testing.T) {
	known := told{}
	for tid := range uint32(10000) {
		known.new(&layout.TaskInfo{Tid: tid})
	}
	live := []layout.TaskDump{{Info: layout.TaskInfo{Tid: 7}}, {Info: layout.TaskInfo{Tid: 20000}}}
	known.only(live)
	if len(known) != 1 || known.new(&live[0].Info) || !known.new(&live[1].Info) {
		t.Errorf("%d threads are known, want the one that lives", len(known))
	}
}

// TestProgressWithoutArguments catches a dump of very many threads that takes what the
// arguments of all their calls point to into memory.
func TestProgressWithoutArguments(t *testing.T) {
	r := &Recorder{native: nativeArch(), hierarchy: &Hierarchy{}, cfg: Config{RingSize: 64 << 10}}
	cfg := r.kernelConfig()
	r.plans, r.subPlans = cfg.Plans, cfg.SubPlans
	path := []byte("/etc/hosts\x00")
	task := &layout.TaskDump{InCall: 1, Nr: unix.SYS_OPENAT, Enter: 1, Info: layout.TaskInfo{Tid: uint32(unix.Gettid())}}
	task.Args = [6]uint64{1<<64 - 100, uint64(uintptr(unsafe.Pointer(&path[0])))}
	if call := r.progress(task, true); len(call.Items) != 1 || string(call.Items[0].Data) != "/etc/hosts" || call.Flags&layout.RecfCut != 0 {
		t.Errorf("%+v: want its path", call)
	}
	if call := r.progress(task, false); len(call.Items) != 0 || call.Flags&layout.RecfCut == 0 || call.Args[1] != task.Args[1] {
		t.Errorf("%+v: want that its path was left out", call)
	}
}

// TestDumpOfAHangingProcess catches a dump, or a change of version, that waits for ever
// for memory of a process in a call.
func TestDumpOfAHangingProcess(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "stuck")
	if out, err := exec.Command("gcc", "-O1", "-o", bin, "testdata/stuck.c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r, c := settled(t, policy.Policy{})
	dir := filepath.Join(c.dir, "stuck")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, "remove "+dir, func() bool { return os.Remove(dir) == nil }) })
	cmd := exec.Command("/bin/sh", "-c", `echo $$ >"$0" && exec "$1"`, filepath.Join(dir, "cgroup.procs"), bin)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() { cmd.Process.Kill(); cmd.Wait() }
	t.Cleanup(end)
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	id := c.recording(r, "stuck").ID
	eventually(t, "it is in its call", func() bool {
		tasks, err := r.kernel.Tasks(-1)
		return err == nil && slices.ContainsFunc(tasks, func(task layout.TaskDump) bool {
			return task.InCall != 0 && task.Nr == unix.SYS_OPENAT && int(task.Info.Tid) == cmd.Process.Pid
		})
	})
	calls := make(chan []record.Record, 1)
	go func() { calls <- dumpOf(t, r, id).records[dump.FrameProgress] }()
	select {
	case got := <-calls:
		if len(got) != 1 || got[0].Nr != unix.SYS_OPENAT || len(got[0].Items) != 0 || got[0].Flags&layout.RecfCut == 0 {
			t.Errorf("the calls that go on are %+v, want an open without its path", got)
		}
		end()
		eventually(t, "who was given up returns", func() bool { return r.stuck.Load() == 0 })
	case <-time.After(15 * time.Second):
		t.Error("a dump waits for its memory")
		end()
		<-calls
	}
}
