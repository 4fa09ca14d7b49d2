package recorder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/spool"
)

// onDisk are the dumps in the spool that were written for a reason.
func onDisk(t *testing.T, r *Recorder, kind spool.Kind) (all []api.Recording) {
	t.Helper()
	list, err := r.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range list {
		if rec.Spool != nil && rec.Spool.Reason == string(kind) {
			all = append(all, rec)
		}
	}
	return all
}

// triggered is a recorder that writes to disk, with a container's cgroup.
func triggered(t *testing.T, cfg Config) (*Recorder, cgroups) {
	t.Helper()
	c := makeCgroups(t, strings.ToLower(t.Name()))
	cfg.Watch, cfg.OnlyWatched, cfg.StateDir, cfg.Spool = []string{c.path}, true, t.TempDir(), spool.DefaultLimits()
	return testRecorder(t, cfg), c
}

// A container of which the OOM killer took a child, and that lives on, is on disk once, with what
// followed; its end is another dump.
func TestChildKilledForMemory(t *testing.T) {
	r, c := triggered(t, Config{SpoolOn: SpoolKinds})
	c.container("a")
	memory := limited(t, c, "memory", "memory.limit_in_bytes", "memory.max", "33554432")
	stop := filepath.Join(t.TempDir(), "stop")
	// The child alone is in the limited cgroup where that is another hierarchy's; else it is
	// what takes most.
	script := "echo $$ >" + memory + "/cgroup.procs; for i in 1 2; do /usr/bin/python3 -c 'a = bytearray(100 << 20)'; done; " +
		"while [ ! -e " + stop + " ]; do sleep 0.1; done; exit 3"
	cmd := c.command("a", "/bin/sh", "-c", script)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // killed
	})
	rec := c.recording(r, "a")
	var found []api.Recording
	eventually(t, "a dump for the child", func() bool {
		found = onDisk(t, r, spool.KindChildOOM)
		return len(found) > 0
	})
	if len(found) != 1 || found[0].ID != rec.ID+"-1" || !strings.Contains(found[0].Spool.Text, "killed for want of memory; it lives on") {
		t.Fatalf("%+v", found)
	}
	// Its verdict says what it was written for.
	var b strings.Builder
	if err := r.dumpSpooled(found[0].ID, &b); err != nil {
		t.Fatal(err)
	}
	d, err := dump.NewReader(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	report, err := postmortem.Build(d, postmortem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(report.Verdict, "still running") || !strings.Contains(report.Verdict, "written to disk as ") {
		t.Errorf("verdict: %s", report.Verdict)
	}
	if err := os.WriteFile(stop, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it ended well")
	}
	eventually(t, "the dump of its end", func() bool { return len(onDisk(t, r, spool.KindExit)) == 1 })
	if n := len(onDisk(t, r, spool.KindChildOOM)); n > 1 {
		t.Errorf("%d dumps for the child", n)
	}
}

// The first reason counts, and the next is heard after ten minutes.
func TestTriggers(t *testing.T) {
	now := time.Now()
	var tr trigger
	tr.set(now, spool.Reason{Text: "first"})
	tr.set(now.Add(time.Second), spool.Reason{Text: "second"})
	if tr.why.Text != "first" || !tr.due.Equal(now.Add(triggerAfter)) {
		t.Errorf("%+v", tr)
	}
	tr.due, tr.last = time.Time{}, now
	if tr.set(now.Add(triggerEvery-1), spool.Reason{}); !tr.due.IsZero() {
		t.Error("again within ten minutes")
	}
	if tr.set(now.Add(triggerEvery), spool.Reason{}); tr.due.IsZero() {
		t.Error("never again")
	}
}

// A container that hangs is on disk once for as long as it does.
func TestHangOnDisk(t *testing.T) {
	r, c := triggered(t, Config{Hang: HangAfter})
	c.container("a")
	cmd := c.command("a", "/bin/sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // killed
	})
	rec := c.recording(r, "a")
	slot := func() uint32 {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.recs[rec.ID].slot
	}()
	hangs := func(since time.Duration) {
		r.mu.Lock()
		r.hangs = map[uint32]hang{slot: {"hanging: in openat for 1m30s", since}}
		r.mu.Unlock()
		r.noteTriggers(time.Now())
	}
	due := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return !r.recs[rec.ID].trigger.due.IsZero()
	}
	if hangs(HangAfter - 1); due() {
		t.Error("it hangs for too short")
	}
	if hangs(HangAfter + time.Second); !due() {
		t.Fatal("nothing is due")
	}
	r.saveTriggered(t.Context(), time.Now().Add(triggerAfter+time.Second))
	found := onDisk(t, r, spool.KindHang)
	if len(found) != 1 || found[0].Spool.Text != "it was hanging: in openat for 1m30s" {
		t.Fatalf("%+v", found)
	}
	hangs(HangAfter + 2*triggerEvery)
	r.mu.Lock()
	r.recs[rec.ID].trigger.last = time.Time{}
	r.mu.Unlock()
	if hangs(HangAfter + 2*triggerEvery); due() {
		t.Error("the same hang again")
	}
}
