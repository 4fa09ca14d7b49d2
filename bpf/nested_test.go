package bpf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/layout"
)

func named(c byte) string { return strings.Repeat(string(c), 64) }

// namedKernel loads the programs such that names make containers, with n rings.
func namedKernel(t *testing.T, n, nestedMax uint32) *Kernel {
	t.Helper()
	cfg := testConfig(t)
	cfg.OnlyWatched = false
	k := testKernel(t, cfg)
	for slot := uint32(1); slot <= n; slot++ {
		ring, err := k.NewRing(RingConfig{Slot: slot, Gen: slot, NestedMax: nestedMax})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ring.Close() })
	}
	return k
}

// rings are those of a kernel, by the paths of their cgroups below root.
func ringsBelow(t *testing.T, k *Kernel, root string) map[string]*Ring {
	t.Helper()
	rings, err := k.PinnedRings()
	if err != nil {
		t.Fatal(err)
	}
	below := map[string]*Ring{}
	for _, r := range rings {
		t.Cleanup(func() { r.Close() })
		var parts []string
		for i := range r.Head().Path {
			part := unix.ByteSliceToString(r.Head().Path[i][:])
			if part == filepath.Base(root) {
				below["/"+strings.Join(parts, "/")] = r
				break
			}
			parts = append([]string{part}, parts...)
		}
	}
	return below
}

// TestNestedCountForTheOutermost catches a container that takes all rings of the node by
// making containers inside containers: each of those had as many inside as the first.
func TestNestedCountForTheOutermost(t *testing.T) {
	const most = 3
	k := namedKernel(t, 40, most)
	root := testRoot(t, k)
	outer := makeCgroup(t, filepath.Join(root, "outer"))
	inCgroup(t, outer, "true").Run()
	for i := range byte(3) {
		middle := makeCgroup(t, filepath.Join(outer, named('a'+i)))
		inCgroup(t, middle, "true").Run()
		for j := range byte(3) {
			inCgroup(t, makeCgroup(t, filepath.Join(middle, named('1'+j))), "true").Run()
		}
	}
	rings := ringsBelow(t, k, root)
	if len(rings) != 1+most {
		t.Errorf("%d rings, want the container's and %d inside", len(rings), most)
	}
	var execs uint64
	for _, r := range rings {
		execs += r.Head().Execs
	}
	if execs != 1+3+9 {
		t.Errorf("%d execs are recorded, want all 13", execs)
	}
}

// TestTheOutermostIsClaimedFirst catches a container that is not recorded, and whose
// rings inside nobody counts, because all its tasks are in cgroups inside that are named
// like containers.
func TestTheOutermostIsClaimedFirst(t *testing.T) {
	k := namedKernel(t, 40, 8)
	root := makeCgroup(t, filepath.Join(cgroupMount(t), fmt.Sprintf("recorderd-bpftest-%d-%d", os.Getpid(), testDirs.Add(1))))
	outer := makeCgroup(t, filepath.Join(root, named('a')))
	inner := makeCgroup(t, filepath.Join(outer, named('b')))
	inCgroup(t, inner, "true").Run()
	if rings := ringsBelow(t, k, root); len(rings) != 1 || rings["/"+named('a')] == nil || rings["/"+named('a')].Head().Execs != 1 {
		t.Fatalf("rings of %v, want the outermost's alone, with an exec", rings)
	}
	inCgroup(t, inner, "true").Run()
	rings := ringsBelow(t, k, root)
	r := rings["/"+named('a')+"/"+named('b')]
	if len(rings) != 2 || r == nil || r.Head().Execs != 1 || rings["/"+named('a')].Head().Nested != 1 {
		t.Errorf("rings of %v, want one inside as well, with an exec", rings)
	}
	// A pod of Podman's is called like a container, and is none.
	pods := makeCgroup(t, filepath.Join(root, "libpod_parent"))
	pod := makeCgroup(t, filepath.Join(pods, named('c')))
	inCgroup(t, makeCgroup(t, filepath.Join(pod, "libpod-"+named('d'))), "true").Run()
	rings = ringsBelow(t, k, root)
	if rings["/libpod_parent/"+named('c')] != nil || rings["/libpod_parent/"+named('c')+"/libpod-"+named('d')] == nil {
		t.Errorf("rings of %v, want that of the container in Podman's pod, not of the pod", rings)
	}
}

// TestNestedWithoutASpare catches calls that are lost because a container inside another
// finds no ring: the one around it has one.
func TestNestedWithoutASpare(t *testing.T) {
	k := namedKernel(t, 40, 8)
	root := testRoot(t, k)
	outer := makeCgroup(t, filepath.Join(root, "outer"))
	inCgroup(t, outer, "true").Run()
	for {
		if _, ok, err := k.TakeSpare(); err != nil {
			t.Fatal(err)
		} else if !ok {
			break
		}
	}
	inCgroup(t, makeCgroup(t, filepath.Join(outer, named('a'))), "true").Run()
	rings := ringsBelow(t, k, root)
	if len(rings) != 1 || rings["/outer"].Head().Execs != 2 {
		t.Errorf("rings of %v, want the container's alone, with the exec inside as well", rings)
	}
	if n, err := k.Stat(layout.StatNoRing); n == 0 || err != nil {
		t.Errorf("%d containers found no ring, %v; want it counted", n, err)
	}
}

// TestMovedOut catches tasks that leave a container and nobody can tell; and what is not
// that, counted as such.
func TestMovedOut(t *testing.T) {
	k := namedKernel(t, 40, 8)
	root := testRoot(t, k)
	outer := makeCgroup(t, filepath.Join(root, "outer"))
	inner := makeCgroup(t, filepath.Join(outer, named('a')))
	plain := makeCgroup(t, filepath.Join(outer, "plain"))
	beside := makeCgroup(t, filepath.Join(root, "beside"))
	outside := makeCgroup(t, filepath.Join(cgroupMount(t), fmt.Sprintf("recorderd-bpftest-%d-%d", os.Getpid(), testDirs.Add(1))))
	count := func() uint64 {
		n, err := k.Stat(layout.StatMovedOut)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	want := func(what string, script string, n uint64) {
		t.Helper()
		before := count()
		if out, err := inCgroup(t, outer, "sh", "-c", script).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", what, err, out)
		}
		if got := count() - before; got != n {
			t.Errorf("%s: %d tasks moved out, want %d", what, got, n)
		}
	}
	to := func(dir string) string { return "echo 0 >" + filepath.Join(dir, "cgroup.procs") + "; " }
	want("down and up again inside", to(plain)+to(outer), 0)
	want("into a container inside", to(inner)+"true", 0)
	want("out of every container", to(outside)+"true", 1)
	want("into another container", to(beside)+"true", 1)
	for at, r := range ringsBelow(t, k, root) {
		if want := map[string]uint64{"/outer": 2}[at]; r.Head().MovedOut != want {
			t.Errorf("%s: %d tasks moved out, want %d", at, r.Head().MovedOut, want)
		}
	}
}
