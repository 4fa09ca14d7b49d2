package bpf

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// What is kept outlives the process and a change of the programs, and goes when it
// is forgotten or the programs are taken off the node.
func TestKept(t *testing.T) {
	cfg := testConfig(t)
	k, err := Load(cfg)
	if err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("recorder"), 100_000)
	for name, data := range map[string][]byte{"empty": nil, "big": big} {
		if err := k.Keep(name, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Keep("big", big); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second piece of one name: %v, want fs.ErrExist", err)
	}
	if err := k.Keep("../ring/1-1", big); err == nil {
		t.Error("a name with slashes was taken")
	}
	stranger, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := stranger.Pin(filepath.Join(cfg.PinDir, keptDir, "stranger")); err != nil {
		t.Fatal(err)
	}
	k.Close()

	cfg.Ring = testRing(64 << 10)
	k, err = Load(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Uninstall()
	names, err := k.KeptNames()
	if err != nil || len(names) != 3 {
		t.Fatalf("%v are kept, %v; want big, empty and the stranger", names, err)
	}
	if _, err := k.OpenKept("stranger"); err == nil || !strings.Contains(err.Error(), "kept stranger: ") {
		t.Errorf("a pinned map that is none of ours: %v, want an error with its name", err)
	}
	for name, want := range map[string][]byte{"big": big, "empty": nil} {
		for marked := range 2 {
			p, err := k.OpenKept(name)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(p.Bytes(), want) {
				t.Errorf("%s has %d bytes, want %d", name, len(p.Bytes()), len(want))
			}
			if p.Memory() != KeptMemory(len(want)) {
				t.Errorf("%s takes %d bytes of memory, KeptMemory says %d", name, p.Memory(), KeptMemory(len(want)))
			}
			if p.Marked() != (marked == 1) {
				t.Errorf("%s is marked: %v, want %v", name, p.Marked(), marked == 1)
			}
			p.Mark()
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := k.Forget(name); err != nil {
			t.Error(err)
		}
		if _, err := k.OpenKept(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was forgotten and opens: %v, want fs.ErrNotExist", name, err)
		}
	}
}

// A recorder with other sizes reads the old one's rings before they go: all of
// their records, and who the tasks are that live.
func TestRescue(t *testing.T) {
	cfg := testConfig(t)
	k, err := Load(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer Uninstall(cfg.PinDir)
	if err := k.Attach(); err != nil {
		t.Fatal(err)
	}
	root := testRoot(t, k)
	newRing(t, k, 1, 1, 0)
	newRing(t, k, 2, 2, 0)
	cmd := inCgroup(t, makeCgroup(t, filepath.Join(root, "a")), "sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	poll(t, "sleep is marked", func() bool {
		tasks, err := k.Tasks(-1)
		return err == nil && len(tasks) == 1 && tasks[0].InCall != 0
	})
	slot := func() uint32 { tasks, _ := k.Tasks(-1); return tasks[0].Slot }()
	k.Close()

	old := cfg.Ring.Bytes()
	cfg.Ring = testRing(64 << 10)
	calls := 0
	cfg.Rescue = func(was *Kernel) {
		calls++
		rings, err := was.PinnedRings()
		if err != nil || len(rings) != 2 {
			t.Errorf("%d rings, %v; want 2", len(rings), err)
		}
		for _, r := range rings {
			defer r.Close()
			if n := uint64(len(r.Bytes())); n != old {
				t.Errorf("ring %d has %d bytes, want %d", r.Slot, n, old)
			}
			if r.Slot != slot {
				continue
			}
			view, err := record.NewRing(r.Bytes())
			if err != nil {
				t.Error(err)
				continue
			}
			execs := 0
			for _, rec := range records(t, was, view, layout.RoleMain) {
				if rec.Type == layout.RecExec {
					execs++
				}
			}
			if execs != 1 {
				t.Errorf("%d execs in the old ring, want 1", execs)
			}
		}
		tasks, err := was.Tasks(int(slot))
		if err != nil || len(tasks) != 1 || tasks[0].Info.Tid != uint32(cmd.Process.Pid) {
			t.Errorf("the old recorder's tasks are %d, %v; want the one of sleep", len(tasks), err)
		}
	}
	k, err = Load(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if calls != 1 {
		t.Errorf("Rescue was called %d times, want once", calls)
	}
	if rings, err := k.PinnedRings(); len(rings) != 0 || err != nil {
		t.Errorf("%d rings are there after the change, %v; want none", len(rings), err)
	}
	if _, err := os.Stat(filepath.Join(cfg.PinDir, "link-on_sys_exit")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link of the old programs: %v, want none before Attach", err)
	}
}

// Containers inside a container have rings of their own up to a number; what comes
// then is recorded with the one around it.
func TestNestedContainersAreLimited(t *testing.T) {
	cfg := testConfig(t)
	cfg.OnlyWatched = false // names make containers inside a container
	k := testKernel(t, cfg)
	root := testRoot(t, k)
	const most = 3
	for slot := uint32(1); slot <= 40; slot++ { // other tests' containers may take some
		ring, err := k.NewRing(RingConfig{Slot: slot, Gen: slot, NestedMax: most})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ring.Close() })
	}
	outer := makeCgroup(t, filepath.Join(root, "outer"))
	inCgroup(t, outer, "true").Run()
	for i := range 6 {
		name := strings.Repeat(string(rune('a'+i)), 64)
		if out, err := inCgroup(t, makeCgroup(t, filepath.Join(outer, name)), "true").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	full, err := k.Stat(layout.StatNestedFull)
	if err != nil || full == 0 {
		t.Errorf("%d containers inside found no ring, %v; want them counted", full, err)
	}
	// Each once, however many tasks come and are looked at.
	last := filepath.Join(outer, strings.Repeat("f", 64))
	for range 3 {
		cmd := inCgroup(t, last, "sleep", "100")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, err := k.Tasks(-1)
		cmd.Process.Kill()
		cmd.Wait()
		if err != nil {
			t.Fatal(err)
		}
	}
	if again, err := k.Stat(layout.StatNestedFull); again != full || err != nil {
		t.Errorf("%d containers inside found no ring, %d by now, %v; want as many", full, again, err)
	}
	if n, err := k.Refused(); n != 0 || err != nil {
		t.Errorf("%d containers are not recorded, %v; want none, they are recorded with the one around them", n, err)
	}
	rings, err := k.PinnedRings()
	if err != nil {
		t.Fatal(err)
	}
	inside := 0
	for _, r := range rings {
		defer r.Close()
		if h := r.Head(); h.Cgroup != 0 && unix.ByteSliceToString(h.Path[1][:]) == "outer" {
			inside++
		}
		if h := r.Head(); h.Cgroup == inode(t, outer) && h.Execs != 1+6-most+3 {
			t.Errorf("%d execs in the container's own ring, want its own and %d of those inside", h.Execs, 6-most+3)
		}
	}
	if inside != most {
		t.Errorf("%d containers inside have rings of their own, want %d", inside, most)
	}
}

// A container for which no ring was free is counted as such until it gets one or goes.
func TestRefused(t *testing.T) {
	k := testKernel(t, testConfig(t))
	root := testRoot(t, k)
	want := func(what string, n int) {
		t.Helper()
		if got, err := k.Refused(); got != n || err != nil {
			t.Errorf("%s: %d containers without a ring, %v; want %d", what, got, err, n)
		}
	}
	a := filepath.Join(root, "a")
	if err := os.Mkdir(a, 0o755); err != nil {
		t.Fatal(err)
	}
	inCgroup(t, a, "true").Run()
	b := makeCgroup(t, filepath.Join(root, "b"))
	cmd := inCgroup(t, b, "sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	want("two were started", 2)
	poll(t, "remove "+a, func() bool { return os.Remove(a) == nil })
	want("one was removed", 1)
	ring, _ := newRing(t, k, 1, 1, 0)
	if _, err := k.Tasks(-1); err != nil {
		t.Fatal(err)
	}
	want("the other got a ring", 0)
	if ring.Head().Cgroup != inode(t, b) || ring.Head().BeganLate != 1 {
		t.Errorf("the ring belongs to cgroup %d, began late %d; want %d, 1", ring.Head().Cgroup, ring.Head().BeganLate, inode(t, b))
	}
}
