package recorder

import (
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/bpf"
	"github.com/recorderd/recorderd/internal/race"
	"github.com/recorderd/recorderd/recorder/replay"
)

// TestTakesOverWhatIsBeingTaken catches a ring that a program is just giving to a
// container, when the daemon starts, and that is taken for a recording: if another CPU
// was first the program gives it back, and two containers get it.
func TestTakesOverWhatIsBeingTaken(t *testing.T) {
	h, err := FindHierarchy("auto")
	if err != nil {
		t.Fatal(err)
	}
	root := "/recorderd-" + strings.ToLower(t.Name())
	dir := filepath.Join(h.Mount, root)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, "remove "+dir, func() bool { return os.Remove(dir) == nil }) })
	a := startAgain(t, Config{Watch: []string{root}})
	a.stop()

	// As claim_ring in recorder.bpf.c leaves it between its first store and its claim.
	k, err := bpf.Load(a.r.kernelConfig())
	if err != nil {
		t.Fatal(err)
	}
	rings, err := k.PinnedRings()
	if err != nil || len(rings) == 0 || !k.Adopted() {
		t.Fatalf("%d rings, %v", len(rings), err)
	}
	slot := rings[0].Slot
	if rings[0].Head().Cgroup, err = h.id(root); err != nil {
		t.Fatal(err)
	}
	for _, ring := range rings {
		ring.Close()
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}

	a.start()
	a.r.mu.Lock()
	defer a.r.mu.Unlock()
	if a.r.spares[slot] == nil || a.r.bySlot[slot] != nil {
		t.Errorf("ring %d, which nobody has claimed, is a spare: %v, a recording: %v", slot, a.r.spares[slot] != nil, a.r.bySlot[slot] != nil)
	}
}

// TestRescueIsQuick catches a change of version in which nothing is recorded for longer
// the more containers there are.
func TestRescueIsQuick(t *testing.T) {
	h, err := FindHierarchy("auto")
	if err != nil {
		t.Fatal(err)
	}
	c := cgroups{t: t, path: "/recorderd-" + strings.ToLower(t.Name())}
	c.dir = filepath.Join(h.Mount, c.path)
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, "remove "+c.dir, func() bool { return os.Remove(c.dir) == nil }) })
	a := startAgain(t, Config{Watch: []string{c.path}})
	const n = 24
	for i := range n {
		name := fmt.Sprint("c", i)
		run := c.container(name)
		eventually(t, "a spare ring", func() bool {
			spares, err := a.r.kernel.Spares()
			return err == nil && len(spares) > 0
		})
		run("true")
		c.recording(a.r, name)
	}
	a.stop()
	a.cfg.RingSize *= 2
	var took time.Duration
	rescued := 0
	r := &Recorder{}
	*r = Recorder{cfg: a.cfg, log: a.r.log, hierarchy: a.r.hierarchy, runtimes: a.r.runtimes, policy: a.r.policy, native: a.r.native, release: a.r.release, plans: a.r.plans, subPlans: a.r.subPlans}
	kcfg := r.kernelConfig()
	kcfg.Rescue = func(old *bpf.Kernel) {
		began := time.Now()
		r.rescue(old)
		took = time.Since(began)
		names, err := old.KeptNames()
		if err != nil {
			t.Error(err)
		}
		rescued = len(names)
	}
	k, err := bpf.Load(kcfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Discard(); err != nil {
		t.Error(err)
	}
	t.Logf("%d recordings in %v", rescued, took)
	if rescued != n {
		t.Errorf("%d recordings were kept, want %d", rescued, n)
	}
	limit := n * 40 * time.Millisecond
	if race.Enabled {
		limit *= 10
	}
	if took > limit {
		t.Errorf("%v for %d recordings", took, n)
	}
}

// TestWatchedAgain catches a watched cgroup that was made in a moment in which the
// kernel's programs did not see it, and below which nothing is ever recorded.
func TestWatchedAgain(t *testing.T) {
	h, err := FindHierarchy("auto")
	if err != nil {
		t.Fatal(err)
	}
	c := cgroups{t: t, path: "/recorderd-" + strings.ToLower(t.Name())}
	c.dir = filepath.Join(h.Mount, c.path)
	r := testRecorder(t, Config{Watch: []string{c.path}, OnlyWatched: true})
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, "remove "+c.dir, func() bool { return os.Remove(c.dir) == nil }) })
	if err := r.kernel.OnlyRoots(map[string]uint64{c.path: 0}); err != nil {
		t.Fatal(err)
	}
	id, err := h.id(c.path)
	if err != nil {
		t.Fatal(err)
	}
	r.scan.Store(true)
	r.lookSoon()
	eventually(t, "it is watched", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.watched[c.path] == id
	})
	c.container("a")("true")
	c.recording(r, "a")
}

// TestRingsOfGeometry1AreKept catches a daemon that throws away, or reads only in part, the
// rings of one before the guard lane was divided.
func TestRingsOfGeometry1AreKept(t *testing.T) {
	a := startAgain(t, Config{Watch: []string{"/recorderd-" + strings.ToLower(t.Name())}})
	a.stop()

	// What that one left: a ring of its own, which the kernel wrote, and no sign of ours.
	f, err := os.Open("record/testdata/geometry-1.ring.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	mem, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "recorder_ring", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(mem)), MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Put(uint32(0), mem); err != nil {
		t.Fatal(err)
	}
	gen := binary.LittleEndian.Uint32(mem[8:])
	if err := m.Pin(filepath.Join(a.cfg.PinDir, "ring", fmt.Sprintf("1000-%d", gen))); err != nil {
		t.Fatal(err)
	}
	ids, err := filepath.Glob(filepath.Join(a.cfg.PinDir, "id-*"))
	if err != nil || len(ids) != 1 {
		t.Fatalf("%v, %v", ids, err)
	}
	if err := os.Remove(ids[0]); err != nil {
		t.Fatal(err)
	}

	a.start()
	const id = "d6bb32840640"
	list, err := a.r.List(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != id {
		t.Fatalf("%+v, %v: want recording %s", list, err, id)
	}
	rec := list[0]
	c := &rec.Coverage
	if rec.State != api.StateEnded || rec.Exit == nil || rec.Exit.Code != 9 || rec.Tasks.Ever != 3 || c.Written != 39212 || c.Kept != 1580 || c.Guarded != 138 || c.GuardSkips != 5895 {
		t.Errorf("%+v, exit %+v", rec, rec.Exit)
	}
	demand(t, text(t, a.r, id, replay.Query{}), `execve("/bin/sh", ["/bin/sh", "-c", "read x </the/missing/file`, `"/the/missing/file", O_RDONLY`, "first words",
		"on stderr", "--- SIGSEGV", "+++ killed by SIGSEGV", "+++ exited with 3 +++", "last words", "+++ exited with 9 +++")
}
