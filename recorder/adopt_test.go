package recorder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/bpf"
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
