package bpf

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// calls counts the records of one call in a lane, and exec and exit records.
func calls(recs []record.Record, nr uint16) (n, execs, exits int) {
	for _, rec := range recs {
		switch {
		case rec.Type == layout.RecExec:
			execs++
		case rec.Type == layout.RecExit:
			exits++
		case rec.Nr == nr:
			n++
		}
	}
	return n, execs, exits
}

// A muted call leaves no record, wherever it is muted, and is counted; execs and
// exits are recorded all the same. What is muted of one ABI is not of the other.
func TestMute(t *testing.T) {
	const openat, execve, exitGroup = unix.SYS_OPENAT, unix.SYS_EXECVE, unix.SYS_EXIT_GROUP
	cfg := testConfig(t)
	cfg.Plans[execve].Flags |= uint8(layout.PlanEnter)
	cfg.Plans[exitGroup].Flags |= uint8(layout.PlanEnter)
	k := testKernel(t, cfg)
	root := testRoot(t, k)
	gen := uint32(0)
	// run runs a program in a cgroup and ring of its own.
	run := func(t *testing.T, set func(*Ring), args ...string) (*layout.RingHead, []record.Record) {
		gen++
		r, view := newRing(t, k, gen, gen, 0)
		if set != nil {
			set(r)
		}
		cmd := inCgroup(t, makeCgroup(t, filepath.Join(root, strings.ReplaceAll(t.Name(), "/", "-"))), args[0], args[1:]...)
		cmd.Run()
		return r.Head(), records(t, k, view, layout.RoleMain)
	}
	shell := []string{"/bin/sh", "-c", ": </proc/self/stat; /bin/true; exit 3"}
	mute := func(indexes ...int) (c Calls) {
		for _, i := range indexes {
			c.Add(i)
		}
		return c
	}
	if err := k.SetMute(mute(openat + layout.PlanCalls)); err != nil {
		t.Fatal(err)
	}
	var all int
	t.Run("other ABI", func(t *testing.T) {
		h, recs := run(t, nil, shell...)
		n, execs, exits := calls(recs, openat)
		if all = n; n < 1 || execs != 2 || exits != 2 || h.Muted != 0 {
			t.Errorf("%d openat, %d execs, %d exits, %d muted: want some, 2, 2, none", n, execs, exits, h.Muted)
		}
	})
	t.Run("everywhere", func(t *testing.T) {
		if err := k.SetMute(mute(openat, execve, exitGroup)); err != nil {
			t.Fatal(err)
		}
		h, recs := run(t, nil, shell...)
		n, execs, exits := calls(recs, openat)
		begun, _, _ := calls(recs, execve)
		ended, _, _ := calls(recs, exitGroup)
		if n != 0 || begun != 0 || ended != 0 || execs != 2 || exits != 2 || h.Muted < uint64(all) {
			t.Errorf("%d openat, %d execve, %d exit_group, %d execs, %d exits, %d muted: want none, none, none, 2, 2, at least %d", n, begun, ended, execs, exits, h.Muted, all)
		}
		if err := k.SetMute(Calls{}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("one ring", func(t *testing.T) {
		h, recs := run(t, func(r *Ring) { r.SetMute(mute(openat, execve, exitGroup)) }, shell...)
		n, execs, exits := calls(recs, openat)
		begun, _, _ := calls(recs, execve)
		ended, _, _ := calls(recs, exitGroup)
		if n != 0 || begun != 0 || ended != 0 || execs != 2 || exits != 2 || h.Muted < uint64(all) {
			t.Errorf("%d openat, %d execve, %d exit_group, %d execs, %d exits, %d muted: want none, none, none, 2, 2, at least %d", n, begun, ended, execs, exits, h.Muted, all)
		}
	})
	t.Run("no more", func(t *testing.T) {
		h, recs := run(t, func(r *Ring) { r.SetMute(mute(openat)); r.SetMute(Calls{}) }, shell...)
		if n, _, _ := calls(recs, openat); n != all || h.Flags != 0 || h.Muted != 0 {
			t.Errorf("%d openat, flags %d, %d muted: want %d, 0, none", n, h.Flags, h.Muted, all)
		}
	})
	t.Run("off", func(t *testing.T) {
		h, recs := run(t, func(r *Ring) { r.SetFlag(layout.RingOff, true) }, shell...)
		if len(recs) != 0 || h.Muted < 20 || h.ArgsLen != 0 || h.Execs != 2 || h.InitGone != 1 || h.InitExit>>8 != 3 {
			t.Errorf("%d records, %d muted, %d bytes of arguments, %d execs, init gone %d with %#x: want none, some, none, 2, 1, 0x300", len(recs), h.Muted, h.ArgsLen, h.Execs, h.InitGone, h.InitExit)
		}
	})
}
