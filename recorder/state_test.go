package recorder

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/bpf"
)

// TestStateOfTwo catches two daemons that save each crash twice, into one directory.
func TestStateOfTwo(t *testing.T) {
	a := startAgain(t, Config{})
	second := a.cfg
	second.PinDir = fmt.Sprintf("/sys/fs/bpf/recorderd-coretest-%d-%d", os.Getpid(), testNumber.Add(1))
	r, err := New(second)
	if err == nil {
		r.Close()
		bpf.Uninstall(second.PinDir) //nolint:errcheck // the test has failed
	}
	if !errors.Is(err, ErrStateInUse) || !strings.Contains(err.Error(), a.cfg.StateDir) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Fatalf("a second daemon: %v, want ErrStateInUse, of whom and where", err)
	}
	if _, err := os.Stat(second.PinDir); err == nil {
		t.Error("it has left pins behind")
	}
	a.stop()
	a.start() // one after the other is fine
}
