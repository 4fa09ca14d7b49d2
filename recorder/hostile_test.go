package recorder

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/policy"
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
