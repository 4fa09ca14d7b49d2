package recorder

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
)

// TestActivity catches a list that counts other failed calls than a program has made, or does not
// see that one of its threads is blocked.
func TestActivity(t *testing.T) {
	root := testRoot(t)
	r := testRecorder(t, Config{RingSize: 256 << 10, Watch: []string{"/" + filepath.Base(root)}, OnlyWatched: true, Hierarchy: "v2"})
	for _, n := range []uint64{3, 30, 3000} {
		name := fmt.Sprint("fails-", n)
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", fmt.Sprintf("i=0; while [ $i -lt %d ]; do [ -e /nonexistent/x ]; i=$((i+1)); done; read x <%s", n, fifo))
		startIn(t, filepath.Join(root, name), cmd)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		const own = 20 // what a shell and its loader look for in vain
		rec := recordingOf(t, r, name, "all calls that fail, and a thread that is blocked", func(rec *api.Recording) bool {
			return rec.Activity != nil && rec.Activity.Failed >= n && rec.Activity.Blocked == 1
		})
		if rec.Activity.Failed > n+own {
			t.Errorf("%d calls failed, want %d and at most %d of the shell", rec.Activity.Failed, n, own)
		}
		cmd.Process.Kill()
		cmd.Wait()
		recordingOf(t, r, name, "its end, without activity", func(rec *api.Recording) bool { return rec.State == api.StateEnded && rec.Activity == nil })
	}
}
