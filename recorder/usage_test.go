package recorder

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/replay"
)

// limited returns a cgroup in which a controller has a limit, whichever version has the
// controller: beside the container's, or the container's own.
func limited(t *testing.T, c cgroups, controller, v1, v2, limit string) string {
	t.Helper()
	dir, file := filepath.Join("/sys/fs/cgroup", controller, filepath.Base(c.dir)), v1
	if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", controller)); errors.Is(err, fs.ErrNotExist) {
		for _, at := range []string{filepath.Dir(c.dir), c.dir} {
			if err := os.WriteFile(filepath.Join(at, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		dir, file = filepath.Join(c.dir, "a"), v2
	} else if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	} else {
		t.Cleanup(func() { eventually(t, "remove "+dir, func() bool { return os.Remove(dir) == nil }) })
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(limit), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What a container used is the kernel's own figure: when the OOM killer chooses, and when the
// first process ends.
func TestUsageAtTheEnd(t *testing.T) {
	r, c := settled(t, policy.Policy{})
	c.container("a")
	memory := limited(t, c, "memory", "memory.limit_in_bytes", "memory.max", "33554432")
	pids := limited(t, c, "pids", "pids.max", "pids.max", "30")
	script := "echo $$ >" + memory + "/cgroup.procs; echo $$ >" + pids + "/cgroup.procs; " +
		"/usr/bin/python3 -c 'a = bytearray(100 << 20)'; true; exit 3"
	if err := c.command("a", "/bin/sh", "-c", script).Run(); err == nil {
		t.Fatal("it ended well")
	}
	rec := c.recording(r, "a")
	eventually(t, "its end", func() bool {
		list, err := r.List(t.Context())
		return err == nil && len(list) > 0 && list[0].Tasks.Live == 0
	})
	var killed, ended *replay.Usage
	for line := range bytes.Lines([]byte(text(t, r, rec.ID, replay.Query{Format: replay.FormatJSON}))) {
		var l replay.Line
		switch {
		case bytes.HasPrefix(line, []byte(`{"type":"sent"`)):
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatal(err)
			}
			killed = l.Usage
			if l.Signal != "SIGKILL" || l.Sent.By != replay.SentByKernel {
				t.Errorf("a signal that is not the OOM killer's: %s", line)
			}
		case bytes.HasPrefix(line, []byte(`{"type":"exit"`)):
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatal(err)
			}
			if l.Usage != nil {
				ended = l.Usage
			}
		}
	}
	const limit = 32 << 20
	if killed == nil || killed.MemoryMax != limit || killed.Memory < limit-limit/16 || killed.Memory > limit+limit/16 {
		t.Errorf("when the OOM killer chose: %+v", killed)
	} else if rss := killed.Anon + killed.Shmem; rss < limit/2 || rss > limit {
		t.Errorf("of the process %d bytes were in memory, of %d", rss, killed.Memory)
	}
	if ended == nil || ended.MemoryMax != limit || ended.Memory > limit/2 || ended.PidsMax != 30 || ended.Pids == 0 || ended.Pids > 2 {
		t.Errorf("when the first process ended: %+v", ended)
	}
}
