package recorder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/policy"
)

// A recorder says that it is not ready while the next container would find no ring, and
// while its pins are gone: then the next daemon would find nothing.
func TestNotReady(t *testing.T) {
	r, c := settled(t, policy.Policy{})
	if err := r.Ready(); err != nil {
		t.Fatal(err)
	}
	notReady := func(want string) {
		t.Helper()
		eventually(t, "not ready: "+want, func() bool { err := r.Ready(); return err != nil && strings.Contains(err.Error(), want) })
	}
	rings := filepath.Join(r.cfg.PinDir, "ring")
	if err := unix.Mount("tmpfs", rings, "tmpfs", 0, ""); err != nil { // maps cannot be pinned there
		t.Fatal(err)
	}
	c.container("one")("true")
	notReady("no ring can be made")
	if err := unix.Unmount(rings, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready again", func() bool { return r.Ready() == nil })

	if err := os.Rename(rings, rings+"-aside"); err != nil {
		t.Fatal(err)
	}
	notReady("pins are gone")
	if err := os.Rename(rings+"-aside", rings); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready with its pins", func() bool { return r.Ready() == nil })
}

// A budget that live containers take whole is told, until one of them ends.
func TestNotReadyWithoutBudget(t *testing.T) {
	c := makeCgroups(t, "budget")
	r := testRecorder(t, Config{Watch: []string{c.path}, OnlyWatched: true, RingSize: 64 << 10, MemoryBudget: 340 << 10})
	end := func(name string) (kill func()) {
		c.container(name)
		cmd := c.command(name, "sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		return func() { cmd.Process.Kill(); cmd.Wait() }
	}
	first, second := end("first"), end("second")
	eventually(t, "not ready", func() bool {
		err := r.Ready()
		return err != nil && strings.Contains(err.Error(), "memory budget of 340KiB")
	})
	first()
	second()
	eventually(t, "ready again", func() bool { return r.Ready() == nil })
}

// A status lists the runtimes that have a socket. It does not list the usual places that
// this node does not have.
func TestStatusListsRuntimesThatAreThere(t *testing.T) {
	r, _ := settled(t, policy.Policy{})
	eventually(t, "a look at the socket", func() bool {
		st, err := r.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(st.Runtimes) == 0
	})
}
