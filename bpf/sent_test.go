package bpf

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// sentTest is a process in a container, and what was recorded of the signals to it.
type sentTest struct {
	t    *testing.T
	k    *Kernel
	view *record.Ring
	cg   string
	cmd  *exec.Cmd
}

// waits lets a shell wait without a child: while it forks it blocks all signals, and the kernel
// queues a signal that is blocked, also one that is ignored.
const waits = "; while :; do read -r line; done"

// newSent starts a shell script in a container, and waits for it to say "ready".
func newSent(t *testing.T, script string) *sentTest {
	t.Helper()
	return newSentOn(t, byKernel, script)
}

func newSentOn(t *testing.T, p preempt, script string) *sentTest {
	t.Helper()
	cfg := testConfig(t)
	cfg.preempt = p
	k := testKernel(t, cfg)
	root := testRoot(t, k)
	_, view := newRing(t, k, 1, 1, 0)
	s := &sentTest{t: t, k: k, view: view, cg: makeCgroup(t, root+"/a")}
	s.cmd = inCgroup(t, s.cg, "/bin/sh", "-c", script)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.cmd.StdinPipe(); err != nil { // which stays open, and empty
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.cmd.Process.Kill() //nolint:errcheck // it may have ended
		s.cmd.Wait()         //nolint:errcheck // killed
	})
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sentTest) pid() int { return s.cmd.Process.Pid }

func (s *sentTest) send(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.pid(), sig); err != nil {
		s.t.Fatal(err)
	}
}

// of are the records of a signal that was sent, in the lanes of a role.
func (s *sentTest) of(role layout.LaneRole, sig syscall.Signal) []record.Record {
	s.t.Helper()
	return slices.DeleteFunc(records(s.t, s.k, s.view, role), func(r record.Record) bool {
		return r.Type != layout.RecSent || r.Nr != uint16(sig)
	})
}

func names(r *record.Record) (all []string) {
	for _, it := range r.Items {
		all = append(all, string(it.Data))
	}
	return all
}

// Who sent a signal is in the target's ring, with what the kernel made of it.
func TestWhoSentASignal(t *testing.T) {
	t.Run("once", func(t *testing.T) { whoSentASignal(t, preemptOff) })
	// Two programs look at each, and write one record.
	t.Run("twice", func(t *testing.T) { whoSentASignal(t, preemptOn) })
}

func whoSentASignal(t *testing.T, p preempt) {
	s := newSentOn(t, p, "trap '' HUP; trap : TERM; echo ready"+waits)
	s.send(syscall.SIGHUP)
	s.send(syscall.SIGTERM)
	s.send(syscall.SIGWINCH)
	want := func(r []record.Record, result, handler uint64) {
		t.Helper()
		if len(r) != 1 {
			t.Fatalf("%d records, want 1: %v", len(r), r)
		}
		own := r[0].Args[1] == handler || handler > 1 && r[0].Args[1] > 1
		flags := layout.SentFlag(r[0].Args[2])
		if r[0].Args[0] != result || !own || flags != layout.SentByProcess|layout.SentToGroup || r[0].Args[3] != uint64(os.Getpid()) {
			t.Errorf("%+v: want the result %d, handler %d, from this process", r[0], result, handler)
		}
		n := names(&r[0])
		self, _ := os.ReadFile("/proc/self/comm")
		if len(n) < 2 || n[0] != strings.TrimSpace(string(self)) {
			t.Errorf("names %q: want those of this process and its parent", n)
		}
	}
	want(s.of(layout.RoleMain, syscall.SIGHUP), 1, 1)
	want(s.of(layout.RoleMain, syscall.SIGTERM), 0, 2)
	want(s.of(layout.RoleGuard, syscall.SIGHUP), 1, 1)
	if r := s.of(layout.RoleMain, syscall.SIGWINCH); len(r) != 0 {
		t.Errorf("SIGWINCH, which does nothing: %v", r)
	}
	if r := s.of(layout.RoleMain, syscall.SIGCHLD); len(r) != 0 {
		t.Errorf("SIGCHLD: %v", r)
	}
	// From another process of the container, as that is seen there.
	other := inCgroup(t, s.cg, "/bin/sh", "-c", "kill -HUP "+strconv.Itoa(s.pid()))
	if err := other.Run(); err != nil {
		t.Fatal(err)
	}
	r := s.of(layout.RoleMain, syscall.SIGHUP)
	if len(r) != 2 || layout.SentFlag(r[1].Args[2])&layout.SentSame == 0 || r[1].Args[4] != uint64(other.Process.Pid) {
		t.Errorf("from the same container: %+v", r)
	}
	s.send(syscall.SIGKILL)
	if err := s.cmd.Wait(); err == nil {
		t.Fatal("it was not killed")
	}
	want(s.of(layout.RoleMain, syscall.SIGKILL), 0, 0)
	want(s.of(layout.RoleGuard, syscall.SIGKILL), 0, 0)
}

// A flood of signals is counted, and fills neither the ring nor the lanes of what is rare.
func TestFloodOfSignals(t *testing.T) {
	s := newSent(t, "trap '' USR1 HUP; echo ready"+waits)
	s.send(syscall.SIGHUP)
	began := time.Now()
	const sent = 20000
	for range sent {
		s.send(syscall.SIGUSR1)
	}
	took := time.Since(began)
	time.Sleep(1100 * time.Millisecond)
	s.send(syscall.SIGUSR1)
	r := s.of(layout.RoleMain, syscall.SIGUSR1)
	if most := layout.SentMost * (int(took/time.Second) + 2); len(r) > most+1 || len(r) < 2 {
		t.Errorf("%d records of %d signals in %v: want at most %d", len(r), sent, took, most)
	}
	left := uint64(0)
	for i := range r {
		left += r[i].Args[5]
	}
	if int(left)+len(r) != sent+1 {
		t.Errorf("%d left out and %d recorded: want %d together", left, len(r), sent+1)
	}
	s.send(syscall.SIGKILL)
	s.cmd.Wait() //nolint:errcheck // killed
	if r := s.of(layout.RoleGuard, syscall.SIGKILL); len(r) != 1 {
		t.Errorf("SIGKILL behind the flood: %v", r)
	}
	if r := s.of(layout.RoleGuard, syscall.SIGHUP); len(r) != 1 {
		t.Errorf("SIGHUP before the flood: %v", r)
	}
}

// Signals to each of many threads are counted together.
func TestFloodOfSignalsToThreads(t *testing.T) {
	s := newSent(t, `exec /usr/bin/python3 -c '
import signal, threading, time
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
for _ in range(50): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("ready", flush=True)
time.sleep(1000)'`)
	tids, err := os.ReadDir("/proc/" + strconv.Itoa(s.pid()) + "/task")
	if err != nil || len(tids) < 50 {
		t.Fatal(len(tids), err)
	}
	began := time.Now()
	for range 20 {
		for _, tid := range tids {
			n, _ := strconv.Atoi(tid.Name())
			if err := unix.Tgkill(s.pid(), n, syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
		}
	}
	most := layout.SentMost * (int(time.Since(began)/time.Second) + 2)
	if r := s.of(layout.RoleMain, syscall.SIGUSR1); len(r) > most || len(r) == 0 {
		t.Errorf("%d records of %d signals: want at most %d", len(r), 20*len(tids), most)
	}
}

// A process that queues a signal writes its si_code, and cannot pass for a timer; a timer is no
// process, and may run out ten thousand times a second.
func TestSignalOfATimer(t *testing.T) {
	s := newSent(t, "trap '' TERM; echo ready"+waits)
	const siTimer = -2
	info := [32]int32{int32(unix.SIGTERM), 0, siTimer}
	if _, _, e := unix.Syscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(s.pid()), uintptr(unix.SIGTERM), uintptr(unsafe.Pointer(&info))); e != 0 {
		t.Fatal(e)
	}
	r := s.of(layout.RoleMain, syscall.SIGTERM)
	if len(r) != 1 || layout.SentFlag(r[0].Args[2])&layout.SentByProcess == 0 || r[0].Ret != siTimer {
		t.Errorf("queued as a timer's: %+v", r)
	}
	perl := inCgroup(t, s.cg, "/usr/bin/perl", "-e", `
		use Time::HiRes qw(setitimer ITIMER_REAL ITIMER_PROF);
		$SIG{ALRM} = 'IGNORE'; $SIG{PROF} = 'IGNORE';
		setitimer(ITIMER_REAL, 0.0001, 0.0001); setitimer(ITIMER_PROF, 0.001, 0.001);
		my $end = Time::HiRes::time() + 0.5; 1 while Time::HiRes::time() < $end;`)
	if err := perl.Run(); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGALRM, syscall.SIGPROF} {
		if r := s.of(layout.RoleMain, sig); len(r) != 0 {
			t.Errorf("%d records of %v of a timer", len(r), sig)
		}
	}
}

// BenchmarkKill measures what a signal costs its sender: without the programs, to a process that
// is not recorded, and to one that is (of which but SENT_MOST a second are). ns/program is the time
// in on_sent alone, which does not depend on what else the machine does.
func BenchmarkKill(b *testing.B) {
	run := func(b *testing.B, k *Kernel, cgroup string) {
		script := "trap '' USR1; echo ready; exec sleep 1000"
		cmd := exec.Command("/bin/sh", "-c", script)
		if cgroup != "" {
			cmd = inCgroup(b, cgroup, "/bin/sh", "-c", script)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		defer cmd.Wait()         //nolint:errcheck // killed
		defer cmd.Process.Kill() //nolint:errcheck // it lives
		if _, err := out.Read(make([]byte, 8)); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			syscall.Kill(cmd.Process.Pid, syscall.SIGUSR1) //nolint:errcheck // as above
		}
		if k == nil {
			return
		}
		stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
		if err != nil {
			b.Fatal(err)
		}
		defer stats.Close()
		before, err := k.costs()
		if err != nil {
			b.Fatal(err)
		}
		for range 100000 {
			syscall.Kill(cmd.Process.Pid, syscall.SIGUSR1) //nolint:errcheck // as above
		}
		after, err := k.costs()
		if err != nil {
			b.Fatal(err)
		}
		runs := after["on_sent"].Runs - before["on_sent"].Runs
		b.ReportMetric(float64(after["on_sent"].Time-before["on_sent"].Time)/float64(runs), "ns/program")
	}
	b.Run("alone", func(b *testing.B) { run(b, nil, "") })
	k := testKernel(b, testConfig(b))
	root := testRoot(b, k)
	newRing(b, k, 1, 1, 0)
	b.Run("unmarked", func(b *testing.B) { run(b, k, "") })
	cg := makeCgroup(b, root+"/a")
	b.Run("marked", func(b *testing.B) { run(b, k, cg) })
}
