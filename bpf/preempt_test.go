package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/recorderd/recorderd/recorder/layout"
)

// Which kernels preempt programs on tracepoints goes by their release's name.
func TestPreemptibleSince(t *testing.T) {
	for release, want := range map[string]bool{
		"5.15.0-generic": false, "6.1.0-50-cloud-amd64": false, "6.18.44-fc-v669": false, "6.19.14": false,
		"7.0": true, "7.3.4+deb13-cloud-amd64": true, "10.1.2": true, "": false,
	} {
		if got := preemptibleSince(release); got != want {
			t.Errorf("%q: %v, want %v", release, got, want)
		}
	}
}

// All ways are loaded and record on this kernel, and the next process adopts what
// the first left, also with the links to perf events.
func TestBothWays(t *testing.T) {
	for name, way := range map[string]preempt{"by itself": preemptOff, "preemptible": preemptOn, "no perf events": preemptNoPerf} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.preempt = way
			k, err := Load(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Attach(); err != nil {
				t.Fatal(err)
			}
			root := testRoot(t, k)
			_, view := newRing(t, k, 1, 1, 0)
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
			// Nobody is there, and it is recorded all the same.
			inCgroup(t, makeCgroup(t, filepath.Join(root, "a")), "/bin/sh", "-c", "exit 3").Run()
			if k, err = Load(cfg); err != nil {
				t.Fatal(err)
			}
			defer k.Uninstall()
			if !k.Adopted() {
				t.Error("the programs were not adopted")
			}
			types := map[layout.RecType]int{}
			for _, rec := range records(t, k, view, layout.RoleMain) {
				types[rec.Type]++
				if rec.Type == layout.RecCall && rec.Flags&layout.RecfNodur == 0 && (rec.Time == 0 || rec.Dur > uint64(time.Hour)) {
					t.Errorf("%+v: not the times of a call", rec)
				}
			}
			if types[layout.RecExec] != 1 || types[layout.RecExit] != 1 || types[layout.RecCall] < 5 {
				t.Errorf("records by type: %v, want an exec, an exit and the calls of a shell", types)
			}
		})
	}
}

// What is seen twice is recorded once, also when one of the two was not run: all the
// time, or now and then.
func TestSeenTwice(t *testing.T) {
	for name, missing := range map[string]string{"both": "", "the first alone": "_2", "the second alone": "_1"} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.preempt = preemptOn
			if !cfg.twice() {
				if cfg.preempt = byKernel; cfg.preemptible() {
					t.Error("this kernel preempts programs, and they cannot turn it off")
				}
				return // nothing is loaded twice, as nothing need be
			}
			k := testKernel(t, cfg)
			a, err := attachments()
			if err != nil {
				t.Fatal(err)
			}
			for i, l := range k.links {
				first, is2 := strings.CutSuffix(cfg.programs()[i], second)
				if !slices.Contains(a.again, first) || missing == "" || is2 != (missing == "_2") {
					continue
				}
				if err := errors.Join(l.Unpin(), l.Close()); err != nil {
					t.Fatal(err)
				}
			}
			root := filepath.Join(cgroupMount(t), fmt.Sprintf("recorderd-bpftest-twice-%d", os.Getpid()))
			if err := k.WatchPath("/" + filepath.Base(root)); err != nil {
				t.Fatal(err)
			}
			makeCgroup(t, root)
			id, one := inode(t, root), uint32(0)
			ring, view := newRing(t, k, 1, 1, 0)
			cg := makeCgroup(t, filepath.Join(root, "a"))
			cmd := inCgroup(t, cg, "/bin/sh", "-c",
				"trap : USR1; for i in 1 2 3; do kill -USR1 $$; (exec /bin/true); echo renamed >/proc/$$/comm; done; exit 3")
			if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 3 {
				t.Fatal(err)
			}
			types := map[layout.RecType]int{}
			for _, rec := range records(t, k, view, layout.RoleMain) {
				types[rec.Type]++
				if rec.Type == layout.RecSignal && rec.Nr == uint16(syscall.SIGCHLD) {
					types[rec.Type]--
				}
			}
			want := map[layout.RecType]int{layout.RecExec: 4, layout.RecExit: 4, layout.RecSignal: 3, layout.RecRename: 4 + 3}
			for typ, n := range want {
				if types[typ] != n {
					t.Errorf("records by type: %v, want %v", types, want)
				}
			}
			h := ring.Head()
			if h.TasksEver != 4 || h.TasksLive != 0 || h.Execs != 4 || h.InitExit != 3<<8 {
				t.Errorf("%d tasks, %d live, %d execs, end %#x: want 4, 0, 4, 0x300", h.TasksEver, h.TasksLive, h.Execs, h.InitExit)
			}
			if err := errors.Join(os.Remove(cg), os.Remove(root)); err != nil {
				t.Fatal(err)
			}
			if err := k.maps["roots"].Lookup(id, &one); !errors.Is(err, ebpf.ErrKeyNotExist) {
				t.Errorf("a watched cgroup that is gone is still watched: %v", err)
			}
		})
	}
}

// Every program is loaded and measured: what make kernels compares.
func TestProgramSizes(t *testing.T) {
	sizes, err := ProgramSizes()
	if err != nil {
		t.Fatal(err)
	}
	a, err := attachments()
	if err != nil {
		t.Fatal(err)
	}
	if want := len(a.programs) + 1; len(sizes) != want { // and the iterator
		t.Errorf("%d sizes: want one for each of %d programs", len(sizes), want)
	}
	for _, s := range sizes {
		t.Logf("%+v", s)
		if s.Bytes < 100 || s.Verified == 0 && s.Stack == 0 {
			t.Errorf("%+v: not the size of a program", s)
		}
	}
}

// The programs ask for nothing that Linux 5.15 does not have: no helper that is newer,
// no kernel function that is not weak, no map of a newer type. What its verifier makes
// of them is another matter, and was not seen.
func TestHelpersOf515(t *testing.T) {
	spec, err := loadRecorder()
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for name, p := range spec.Programs {
		for _, ins := range p.Instructions {
			switch {
			case ins.IsBuiltinCall():
				calls++
				// include/uapi/linux/bpf.h: the last ones of 5.15 and of 5.14
				if f := asm.BuiltinFunc(ins.Constant); f > asm.FnTaskPtRegs {
					t.Errorf("%s calls %v, which came after 5.15", name, f)
				}
			case ins.IsKfuncCall():
				if !strings.HasPrefix(ins.Reference(), "bpf_preempt_") && !strings.HasPrefix(ins.Reference(), "bpf_local_irq_") {
					t.Errorf("%s calls %s, which nothing guards", name, ins.Reference())
				}
			}
		}
	}
	if calls < 100 {
		t.Errorf("only %d calls of helpers were looked at", calls)
	}
	for name, m := range spec.Maps {
		if m.Type > ebpf.TaskStorage {
			t.Errorf("map %s is a %v, which came after 5.15", name, m.Type)
		}
	}
}
