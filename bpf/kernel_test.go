package bpf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// These tests run programs on this machine's kernel. They need root, and fail
// without it.

// all six arguments of every call, nothing followed
func plainPlans() []layout.Plan {
	plans := make([]layout.Plan, 2*layout.PlanCalls)
	for i := range plans {
		plans[i].Nargs = 6
	}
	return plans
}

func testConfig(t testing.TB) Config {
	t.Helper()
	sweep(t)
	dir := fmt.Sprintf("/sys/fs/bpf/recorderd-bpftest-%d-%d", os.Getpid(), testDirs.Add(1))
	return Config{PinDir: dir, OnlyWatched: true, Ring: testRing(1 << 20), Plans: plainPlans()}
}

// testRing is a ring with a main lane of so many bytes.
func testRing(main uint64) record.Geometry { return record.NewGeometry(main, 128<<10, 64<<10) }

var testDirs atomic.Int32

// sweep takes away what a killed run of these tests has left pinned.
func sweep(t testing.TB) {
	dirs, _ := filepath.Glob("/sys/fs/bpf/recorderd-bpftest-*")
	for _, dir := range dirs {
		var pid, n int
		fmt.Sscanf(filepath.Base(dir), "recorderd-bpftest-%d-%d", &pid, &n)
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			continue
		}
		if err := Uninstall(dir); err != nil {
			t.Logf("sweep: %v", err)
		}
	}
}

// testKernel loads and attaches the programs for one test.
func testKernel(t testing.TB, cfg Config) *Kernel {
	t.Helper()
	k, err := Load(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Uninstall(); err != nil {
			t.Error(err)
		}
	})
	if err := k.Attach(); err != nil {
		t.Fatal(err)
	}
	return k
}

// cgroupMount is where cgroup v2 is.
func cgroupMount(t testing.TB) string {
	for _, dir := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err == nil && st.Type == 0x63677270 {
			return dir
		}
	}
	t.Fatal("cgroup v2 is mounted neither at /sys/fs/cgroup nor at /sys/fs/cgroup/unified")
	return ""
}

// testRoot makes a watched cgroup, which goes with the test.
func testRoot(t testing.TB, k *Kernel) string {
	t.Helper()
	root := filepath.Join(cgroupMount(t), fmt.Sprintf("recorderd-bpftest-%d-%d", os.Getpid(), testDirs.Add(1)))
	makeCgroup(t, root)
	if err := k.Watch(inode(t, root)); err != nil {
		t.Fatal(err)
	}
	return root
}

func makeCgroup(t testing.TB, path string) string {
	t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		poll(t, "remove "+path, func() bool {
			err := os.Remove(path)
			return err == nil || errors.Is(err, os.ErrNotExist)
		})
	})
	return path
}

func inode(t testing.TB, path string) uint64 {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Sys().(*syscall.Stat_t).Ino
}

func poll(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within 10 s", what)
}

// inCgroup is a command that is born in a cgroup (CLONE_INTO_CGROUP).
func inCgroup(t testing.TB, cgroup string, name string, args ...string) *exec.Cmd {
	t.Helper()
	dir, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	return cmd
}

func newRing(t testing.TB, k *Kernel, slot, gen, stdio uint32) (*Ring, *record.Ring) {
	t.Helper()
	r, err := k.NewRing(RingConfig{Slot: slot, Gen: gen, Stdio: stdio, NestedMax: 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.mem != nil {
			r.Close()
		}
	})
	view, err := record.NewRing(r.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return r, view
}

// each takes a snapshot apart. rec is valid until fn returns.
func each(t testing.TB, s record.Snapshot, fn func(raw []byte, rec *record.Record)) {
	t.Helper()
	var rec record.Record
	for rest := s.Records; len(rest) > 0; {
		raw, next, err := record.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		if err := record.Parse(raw, &rec); err != nil {
			t.Fatal(err)
		}
		fn(raw, &rec)
		rest = next
	}
}

// records takes a snapshot of the lanes of a role apart. Items are copied.
func records(t testing.TB, k *Kernel, view *record.Ring, role layout.LaneRole) []record.Record {
	t.Helper()
	c, err := view.Copy(nil, k.Grace, role)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Main
	switch role {
	case layout.RoleGuard:
		s = kept(t, c.Guard)
	case layout.RoleTasks:
		s = kept(t, c.Tasks)
	}
	var out []record.Record
	each(t, s, func(_ []byte, rec *record.Record) {
		copied := *rec
		copied.Items = slices.Clone(rec.Items)
		out = append(out, copied)
	})
	if uint64(len(out)) != s.Kept || s.Written != s.Kept+s.Overwritten+s.Unfinished {
		t.Fatalf("the counts disagree: %d records; written %d, kept %d, overwritten %d, unfinished %d", len(out), s.Written, s.Kept, s.Overwritten, s.Unfinished)
	}
	return out
}

// kept is what the lanes of a role hold, as that of one lane.
func kept(t testing.TB, k record.Kept) record.Snapshot {
	t.Helper()
	if k.Written < k.Kept {
		t.Fatalf("%d records are kept of %d that were written", k.Kept, k.Written)
	}
	return record.Snapshot{Records: k.Records, Kept: k.Kept, Written: k.Written, Overwritten: k.Written - k.Kept}
}

// A recording's life: the first task that enters a watched cgroup claims a ring,
// its calls, exec and end are there, in the lanes where they belong.
func TestRecordsACommand(t *testing.T) {
	k := testKernel(t, testConfig(t))
	root := testRoot(t, k)
	ring, view := newRing(t, k, 3, 7, 512)
	cg := makeCgroup(t, filepath.Join(root, "a"))
	cmd := inCgroup(t, cg, "/bin/sh", "-c", "kill -11 $$")
	cmd.Run()

	h := ring.Head()
	if h.Cgroup != inode(t, cg) {
		t.Fatalf("the ring belongs to cgroup %d, want %d", h.Cgroup, inode(t, cg))
	}
	claims, err := k.Claims()
	if err != nil || claims[h.Cgroup] != (layout.Claim{Slot: 3, Gen: 7}) {
		t.Errorf("claims are %v, %v", claims, err)
	}
	if got := string(h.Args[:h.ArgsLen]); got != "/bin/sh\x00-c\x00kill -11 $$\x00" {
		t.Errorf("command line is %q", got)
	}
	if h.TasksLive != 0 || h.TasksEver != 1 || h.InitGone != 1 || h.InitExit&0x7f != 11 {
		t.Errorf("live %d, ever %d, init gone %d with status %#x; want 0, 1, 1, signal 11", h.TasksLive, h.TasksEver, h.InitGone, h.InitExit)
	}
	types := map[layout.LaneRole]map[layout.RecType]int{}
	for _, lane := range []layout.LaneRole{layout.RoleMain, layout.RoleGuard, layout.RoleTasks} {
		types[lane] = map[layout.RecType]int{}
		for _, rec := range records(t, k, view, lane) {
			types[lane][rec.Type]++
			if rec.Type == layout.RecExec && (len(rec.Items) != 2 || string(rec.Items[0].Data) != "/bin/sh") {
				t.Errorf("exec record has items %+v", rec.Items)
			}
		}
	}
	for lane, want := range map[layout.LaneRole]map[layout.RecType]int{
		layout.RoleMain:  {layout.RecExec: 1, layout.RecExit: 1, layout.RecSignal: 1},
		layout.RoleGuard: {layout.RecExec: 1, layout.RecExit: 1, layout.RecSignal: 1},
		layout.RoleTasks: {layout.RecTask: 1},
	} {
		for typ, n := range want {
			if types[lane][typ] != n {
				t.Errorf("lanes of role %d have %d records of type %d, want %d", lane, types[lane][typ], typ, n)
			}
		}
	}
	if types[layout.RoleMain][layout.RecCall] < 20 {
		t.Errorf("only %d calls of a shell", types[layout.RoleMain][layout.RecCall])
	}
}

// numbered is the program of testdata/numbered.c. Where there is no compiler
// (internal/kerneltest) it is there already.
func numbered(t testing.TB) string {
	t.Helper()
	if bin := os.Getenv("RECORDERD_TEST_NUMBERED"); bin != "" {
		return bin
	}
	bin := filepath.Join(t.TempDir(), "numbered")
	if out, err := exec.Command("gcc", "-O2", "-pthread", "-o", bin, "testdata/numbered.c").CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	return bin
}

// emulated is how much slower this machine says it is than a real one, at least 1.
func emulated() int {
	n, _ := strconv.Atoi(os.Getenv("RECORDERD_TEST_SLOWER"))
	return max(n, 1)
}

// Records are believed only if they are whole and genuine, whatever happens in the
// ring meanwhile: two threads make numbered calls, a third forges records, and
// snapshots are taken in a loop.
func TestNothingTornNothingInvented(t *testing.T) {
	bin := numbered(t)
	for _, tc := range []struct {
		name  string
		size  uint64
		calls int
		forge string
		way   preempt
		all   bool // on emulated machines too, where loading alone takes ten seconds
	}{
		{"64KiB", 64 << 10, 2_000_000, "0", byKernel, false},
		{"64KiB forged", 64 << 10, 500_000, "1", byKernel, true},
		{"1MiB", 1 << 20, 2_000_000, "0", byKernel, true},
		{"64MiB", 64 << 20, 2_000_000, "0", byKernel, false},
		{"1MiB by perf", 1 << 20, 500_000, "0", preemptOn, false},
	} {
		if emulated() > 1 && !tc.all {
			continue
		}
		t.Run(tc.name, func(t *testing.T) { torn(t, bin, tc.size, tc.calls/emulated(), tc.forge, tc.way) })
	}
}

func torn(t *testing.T, bin string, size uint64, calls int, forge string, way preempt) {
	cfg := testConfig(t)
	cfg.preempt = way
	cfg.Ring = testRing(size)
	// write(fd, buf, count): its contents
	cfg.Plans[unix.SYS_WRITE] = layout.Plan{Nargs: 3, Nops: 1}
	cfg.Plans[unix.SYS_WRITE].Op[0] = layout.PlanOp{Arg: 1, Kind: uint8(layout.OpData), Count: uint8(layout.CountRet), Size: 1, Max: 4096}
	k := testKernel(t, cfg)
	root := testRoot(t, k)
	_, view := newRing(t, k, 1, 1, 4096)
	threads := max(2, runtime.NumCPU())
	cmd := inCgroup(t, makeCgroup(t, filepath.Join(root, "a")), bin, fmt.Sprint(threads), fmt.Sprint(calls), forge)
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	var buf []byte
	snaps, believed, overwritten, unfinished := 0, uint64(0), uint64(0), uint64(0)
	check := func() {
		s, err := view.Snapshot(record.Mark{}, k.Grace, buf)
		if err != nil {
			t.Fatal(err)
		}
		buf = s.Records
		snaps++
		believed += s.Kept
		unfinished += s.Unfinished
		if s.Overwritten < overwritten {
			t.Fatalf("overwritten went back from %d to %d", overwritten, s.Overwritten)
		}
		overwritten = s.Overwritten
		last := map[uint64]uint64{}
		n := uint64(0)
		each(t, s, func(_ []byte, rec *record.Record) {
			n++
			if rec.Tid == 0xdeadbeef {
				t.Fatal("a forged record was believed")
			}
			if rec.Type != layout.RecCall || rec.Nr != unix.SYS_GETPPID {
				return
			}
			num, thread := rec.Args[0], rec.Args[1]
			if rec.Args[2] != ^num || rec.Args[3] != num*2654435761 {
				t.Fatalf("a torn record was believed: %+v", *rec)
			}
			if prev, ok := last[thread]; ok && num != prev+1 && s.Unfinished == 0 && s.Damaged == 0 {
				missed, _ := k.Missed()
				t.Fatalf("thread %d: number %d comes after %d (%d late, missed %v)", thread, num, prev, s.Late, missed)
			}
			last[thread] = num
		})
		if n != s.Kept || s.Written != s.Kept+s.Overwritten+s.Unfinished {
			t.Fatalf("the counts disagree: %d records; written %d, kept %d, overwritten %d, unfinished %d", n, s.Written, s.Kept, s.Overwritten, s.Unfinished)
		}
	}
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			check()
			s, _ := view.Snapshot(record.Mark{}, k.Grace, nil)
			missed, _ := k.Missed()
			// Every call of the threads was counted: so many were written.
			if want := uint64(threads * calls); s.Written < want || (forge == "0" && s.Written > want+1000) {
				t.Errorf("%d records written, want a little more than %d (missed %v)", s.Written, want, missed)
			}
			t.Logf("%d snapshots, %d records believed, %d overwritten, %d unfinished, %d late, missed %v; %.0f ns a call",
				snaps, believed, s.Overwritten, unfinished, s.Late, missed["on_sys_exit"], float64(time.Since(start).Nanoseconds())/float64(calls))
			return
		default:
			check()
		}
	}
}

// Threads that were there before, nested cgroups, leaving, and a cgroup that is
// made after its path was given.
func TestMembership(t *testing.T) {
	k := testKernel(t, testConfig(t))
	root := testRoot(t, k)
	ring1, _ := newRing(t, k, 1, 1, 0)
	cg := makeCgroup(t, filepath.Join(root, "a"))
	nested := makeCgroup(t, filepath.Join(cg, "inner"))

	sleep := inCgroup(t, nested, "sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { sleep.Process.Kill(); sleep.Wait() }()
	// inner got the task, so inner is the container: a had none.
	if got := ring1.Head().Cgroup; got != inode(t, nested) {
		t.Errorf("the ring belongs to %d, want the cgroup that got the task, %d", got, inode(t, nested))
	}
	newRing(t, k, 2, 2, 0)
	deeper := makeCgroup(t, filepath.Join(nested, "deeper"))
	move := func(pid int, to string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte(fmt.Sprint(pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	move(sleep.Process.Pid, deeper)
	if n := atomic.LoadUint64(&ring1.Head().TasksLive); n != 1 {
		t.Errorf("after a move into a nested cgroup %d tasks live in the ring, want 1", n)
	}
	move(sleep.Process.Pid, cgroupMount(t))
	if n := atomic.LoadUint64(&ring1.Head().TasksLive); n != 0 {
		t.Errorf("after it left, %d tasks live in the ring, want 0", n)
	}
	move(sleep.Process.Pid, nested)
	tasks, err := k.Tasks(1)
	if err != nil || len(tasks) != 1 || tasks[0].Info.Tgid != uint32(sleep.Process.Pid) {
		t.Errorf("tasks of the ring: %+v, %v", tasks, err)
	}

	// A path that does not exist yet is watched from the moment it is made.
	later := filepath.Join(cgroupMount(t), fmt.Sprintf("recorderd-bpftest-later-%d", os.Getpid()))
	if err := k.WatchPath("/" + filepath.Base(later)); err != nil {
		t.Fatal(err)
	}
	ring3, _ := newRing(t, k, 3, 3, 0)
	makeCgroup(t, later)
	c := makeCgroup(t, filepath.Join(later, "c"))
	// slot 2 comes first in the queue
	inCgroup(t, c, "true").Run()
	d := makeCgroup(t, filepath.Join(later, "d"))
	inCgroup(t, d, "true").Run()
	if ring3.Head().Cgroup != inode(t, d) {
		t.Errorf("the second cgroup below a path given beforehand has no ring")
	}
}

// A process with threads that is moved as a whole: the event names its leader
// only, and the pass over all tasks finds the others.
func TestThreadsOfAMovedProcess(t *testing.T) {
	k := testKernel(t, testConfig(t))
	root := testRoot(t, k)
	ring, _ := newRing(t, k, 1, 1, 0)
	cg := makeCgroup(t, filepath.Join(root, "a"))
	cmd := exec.Command(numbered(t), "5", "sleep")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	poll(t, "six threads asleep", func() bool {
		stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", cmd.Process.Pid))
		for _, name := range stats {
			if stat, err := os.ReadFile(name); err != nil || !strings.Contains(string(stat), ") S ") {
				return false
			}
		}
		return len(stats) == 6
	})
	if err := os.WriteFile(filepath.Join(cg, "cgroup.procs"), []byte(fmt.Sprint(cmd.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	tasks, err := k.Tasks(1)
	if err != nil {
		t.Fatal(err)
	}
	if len(tasks) != 6 || ring.Head().TasksLive != 6 {
		t.Errorf("%d of 6 threads are marked, %d live", len(tasks), ring.Head().TasksLive)
	}
	found, _ := k.Stat(layout.StatFound)
	if found < 5 {
		t.Errorf("%d tasks were counted as found late, want 5", found)
	}
	for _, task := range tasks {
		if task.InCall == 0 {
			t.Errorf("thread %d sleeps in a call, but none is reported", task.Info.Tid)
		}
	}
}

// The pins outlive the process that made them, and the next one takes them over.
func TestAdopt(t *testing.T) {
	cfg := testConfig(t)
	k, err := Load(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Attach(); err != nil {
		t.Fatal(err)
	}
	root := testRoot(t, k)
	newRing(t, k, 1, 1, 0)
	newRing(t, k, 2, 2, 0)
	inCgroup(t, makeCgroup(t, filepath.Join(root, "a")), "true").Run()
	if _, err := Load(cfg); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), cfg.PinDir) {
		t.Errorf("a second Load of the same directory: %v, want ErrInUse with its name", err)
	}
	k.Close()

	// Nobody is there: a container that starts now is recorded all the same.
	inCgroup(t, makeCgroup(t, filepath.Join(root, "b")), "true").Run()

	k, err = Load(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Uninstall()
	if !k.Adopted() {
		t.Fatal("the programs were not adopted")
	}
	rings, err := k.PinnedRings()
	if err != nil || len(rings) != 2 {
		t.Fatalf("%d rings, %v", len(rings), err)
	}
	for _, r := range rings {
		if r.Head().Cgroup == 0 || r.Head().Execs != 1 {
			t.Errorf("ring %d: cgroup %d, %d execs", r.Slot, r.Head().Cgroup, r.Head().Execs)
		}
		if err := k.DropRing(r); err != nil {
			t.Error(err)
		}
	}
	k.Close()
	// Another configuration replaces what is there.
	cfg.Ring = testRing(64 << 10)
	if k, err = Load(cfg); err != nil {
		t.Fatal(err)
	}
	if k.Adopted() {
		t.Error("programs with another ring size were adopted")
	}
}

// What a ring costs: bytes for the calls that programs make most.
func TestDense(t *testing.T) {
	k := testKernel(t, testConfig(t))
	root := testRoot(t, k)
	_, view := newRing(t, k, 1, 1, 0)
	bin := numbered(t)
	if err := inCgroup(t, makeCgroup(t, filepath.Join(root, "a")), bin, "1", "10", "0").Run(); err != nil {
		t.Fatal(err)
	}
	s, err := view.Snapshot(record.Mark{}, k.Grace, nil)
	if err != nil {
		t.Fatal(err)
	}
	each(t, s, func(raw []byte, rec *record.Record) {
		// close(fd): all six argument registers are kept here, five more than a plan would
		if rec.Type == layout.RecCall && len(raw) > layout.RecHead+8*8 {
			t.Errorf("call %d takes %d bytes", rec.Nr, len(raw))
		}
	})
}

// Passes over all tasks race with forks and exits, and must neither count a task
// twice nor mark one that is ending: a recording would stay live for ever.
func TestTasksAreCountedOnce(t *testing.T) {
	k := testKernel(t, testConfig(t))
	root := testRoot(t, k)
	ring, _ := newRing(t, k, 1, 1, 0)
	forks := max(1500/emulated(), 100)
	cmd := inCgroup(t, makeCgroup(t, filepath.Join(root, "a")), "/bin/sh", "-c",
		// forks, and ends of processes with memory, which take their time
		fmt.Sprintf("i=0; while [ $i -lt %d ]; do (:) & (:); i=$((i+1)); done; ", forks)+"for i in 1 2 3; do python3 -c 'x = bytearray(300 << 20)'; done; wait")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	passes := 0
	for done := false; !done; passes++ {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
		}
		if _, err := k.Tasks(-1); err != nil {
			t.Fatal(err)
		}
	}
	if live := int64(atomic.LoadUint64(&ring.Head().TasksLive)); live != 0 {
		t.Errorf("after %d passes %d of %d tasks still count as live", passes, live, ring.Head().TasksEver)
	}
	if ring.Head().TasksEver < uint64(2*forks) {
		t.Errorf("only %d tasks were seen", ring.Head().TasksEver)
	}
}

// A task whose ring was given to another container writes nothing there, and
// neither do its children.
func TestStaleTask(t *testing.T) {
	k := testKernel(t, testConfig(t))
	root := testRoot(t, k)
	old, _ := newRing(t, k, 1, 1, 0)
	cg := makeCgroup(t, filepath.Join(root, "a"))
	stale := inCgroup(t, cg, "/bin/sh", "-c", "while true; do (:); done")
	if err := stale.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stale.Process.Kill(); stale.Wait() }()
	if err := k.DropRing(old); err != nil {
		t.Fatal(err)
	}
	ring, _ := newRing(t, k, 1, 2, 0)
	other := makeCgroup(t, filepath.Join(root, "b"))
	// The stale task's next fork may take the ring for its own cgroup; what must not
	// happen is that it counts in a ring of another one.
	inCgroup(t, other, "/bin/sh", "-c", "exit 3").Run()
	owner := map[uint64]string{inode(t, cg): "a", inode(t, other): "b"}[ring.Head().Cgroup]
	time.Sleep(100 * time.Millisecond) // forks go on meanwhile
	h := ring.Head()
	if owner == "b" && (h.TasksEver != 1 || h.TasksLive != 0 || h.InitExit != 3<<8) {
		t.Errorf("another container's tasks count in the ring: ever %d, live %d, init ended with %#x", h.TasksEver, h.TasksLive, h.InitExit)
	}
	if owner == "" {
		t.Errorf("the ring belongs to cgroup %d, which is neither", h.Cgroup)
	}
}
