package recorder

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/containerd"
	"github.com/recorderd/recorderd/recorder/layout"
)

// TestExitOfHelper does not take the end of a helper of the runtime's for the container's,
// of which nobody executed the program.
func TestExitOfHelper(t *testing.T) {
	head := func(change func(h *layout.RingHead), args string) *layout.RingHead {
		h := &layout.RingHead{InitTid: 4711, InitGone: 1}
		h.ArgsLen = uint32(copy(h.Args[:], args))
		change(h)
		return h
	}
	one := uint32(1)
	for _, tt := range []struct {
		name  string
		head  *layout.RingHead
		known bool
		made  bool
		code  *uint32 // containerd's
		want  string
	}{
		{"executed nothing", head(func(*layout.RingHead) {}, ""), true, false, nil, ""},
		{"executed nothing, and containerd knows", head(func(*layout.RingHead) {}, ""), true, false, &one, "containerd"},
		{"executed itself", head(func(h *layout.RingHead) { h.InitExeced = 1 }, "runc\x00init\x00"), false, false, nil, ""},
		{"executed itself, by its path", head(func(h *layout.RingHead) { h.InitExeced = 1 }, "/usr/sbin/runc\x00init\x00"), false, false, nil, ""},
		{"a program", head(func(h *layout.RingHead) { h.InitExeced = 1 }, "server\x00init\x00"), true, false, nil, "kernel"},
		{"a pid namespace", head(func(h *layout.RingHead) { h.InitExeced, h.PidLevel = 1, 1 }, "runc\x00init\x00"), true, false, nil, "kernel"},
		{"there before", head(func(h *layout.RingHead) { h.BeganLate = 1 }, ""), true, false, nil, "kernel"},
		{"executed nothing, in a cgroup of a runtime's", head(func(*layout.RingHead) {}, ""), false, true, nil, ""},
		{"a runtime's process", head(func(h *layout.RingHead) { copy(h.InitComm[:], "runc:[0:PARENT]") }, ""), false, false, nil, ""},
		{"called a little like one", head(func(h *layout.RingHead) { copy(h.InitComm[:], "runcible") }, ""), false, false, nil, "kernel"},
		{"no container of a runtime's", head(func(*layout.RingHead) {}, ""), false, false, nil, "kernel"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := exitOf(tt.head, true, &containerd.Info{ExitCode: tt.code}, tt.known, tt.made)
			if source(got) != tt.want {
				t.Errorf("%+v, want the word of %q", got, tt.want)
			}
		})
	}
}

func source(x *api.Exit) string {
	if x == nil {
		return ""
	}
	return x.Source
}

// TestCostsNotAllowed says what else there is.
func TestCostsNotAllowed(t *testing.T) {
	if err := costsError(fmt.Errorf("switch on: %w", unix.EPERM)); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_SYS_ADMIN") {
		t.Errorf("error %v", err)
	}
	if err := costsError(unix.EINVAL); err != unix.EINVAL {
		t.Errorf("error %v", err)
	}
}
