package recorder

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
)

// TestActivity catches failed calls that are counted otherwise than a program has made them, or a
// thread that is blocked and not seen.
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
		activity := func(id string) (api.Activity, bool) {
			all, err := r.Activity(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			a, ok := all[id]
			return a, ok
		}
		var a api.Activity
		recordingOf(t, r, name, "all calls that fail, and a thread that is blocked", func(rec *api.Recording) bool {
			a, _ = activity(rec.ID)
			return a.Failed >= n && a.Blocked == 1
		})
		if a.Failed > n+own {
			t.Errorf("%d calls failed, want %d and at most %d of the shell", a.Failed, n, own)
		}
		cmd.Process.Kill()
		cmd.Wait()
		recordingOf(t, r, name, "its end, without activity", func(rec *api.Recording) bool {
			_, ok := activity(rec.ID)
			return rec.State == api.StateEnded && !ok
		})
	}
}
