package recorder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/replay"
)

// TestRenamedCgroup catches a recording that ends because its cgroup, or one above it, gets
// another name, which cgroup v1 has a call for.
func TestRenamedCgroup(t *testing.T) {
	h, err := FindHierarchy("memory")
	if err != nil {
		t.Fatal(err)
	}
	root := "/recorderd-" + strings.ToLower(t.Name())
	dir := filepath.Join(h.Mount, root)
	remove := func(path string) {
		t.Cleanup(func() {
			eventually(t, "remove "+path, func() bool { err := os.Remove(path); return err == nil || os.IsNotExist(err) })
		})
	}
	for _, d := range []string{dir, dir + "/a", dir + "/a/b"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	remove(dir)
	remove(dir + "/A")
	remove(dir + "/A/B")
	r := testRecorder(t, Config{Watch: []string{root}, OnlyWatched: true, Hierarchy: "memory"})
	c := cgroups{t: t, dir: dir, path: root}
	cmd := c.command("a/b", "/bin/sh", "-c", "read x; cat /etc/after-the-rename; exit 3")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() }) //nolint:errcheck // 3
	was := at(t, r, root+"/a/b", func(rec api.Recording) bool { return rec.Tasks.Live == 1 })
	for _, names := range [][2]string{{"/a/b", "/a/B"}, {"/a", "/A"}} {
		if err := os.Rename(dir+names[0], dir+names[1]); err != nil {
			t.Fatal(err)
		}
		only := at(t, r, root+"/a/b", func(api.Recording) bool { return true })
		if only.State != api.StateLive {
			t.Errorf("renamed to %s it is %s", names[1], only.State)
		}
	}
	began := time.Now()
	eventually(t, "several looks", func() bool {
		if rec := at(t, r, root+"/a/b", func(api.Recording) bool { return true }); rec.State != api.StateLive || rec.ID != was.ID {
			t.Fatalf("renamed it is %s, %s; want %s, live", rec.ID, rec.State, was.ID)
		}
		return time.Since(began) > missAfter+time.Second
	})
	in.Close()
	rec := at(t, r, root+"/a/b", ended)
	if rec.ID != was.ID || rec.Exit.Code != 3 {
		t.Errorf("%s ended with %+v, want %s with 3", rec.ID, rec.Exit, was.ID)
	}
	demand(t, text(t, r, rec.ID, replay.Query{}), `"/etc/after-the-rename"`)
	// Removed, it has ended at once.
	if err := os.Remove(dir + "/A/B"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ended", func() bool {
		return at(t, r, root+"/a/b", func(api.Recording) bool { return true }).State == api.StateEnded
	})
}
