package soak

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
)

// overBudget watches that the memory of recordings never exceeds the budget.
func (n *node) overBudget(ctx context.Context) func() {
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	wg.Go(func() {
		for ctx.Err() == nil {
			st, err := n.client.Status(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				n.t.Errorf("status: %v", err)
				return
			}
			if st.Rings.Bytes > st.Rings.Budget {
				n.t.Errorf("%d bytes of recordings with a budget of %d", st.Rings.Bytes, st.Rings.Budget)
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// Thousands of containers that start and crash, hundreds alive at once: memory
// stays within the budget, and what is kept is of the right container.
func TestManyContainers(t *testing.T) {
	crashes, alive := times(300, 2000), times(100, 300)
	const calls = 50
	n := newNode(t, "--ring-size", "64KiB", "--memory-budget", "64MiB", "--spool-size", "64MiB", "--spool-burst", "0")
	n.start()
	done := n.overBudget(t.Context())
	defer done()

	var living []*container
	for i := range alive {
		c, err := n.run(worker, strconv.Itoa(calls), "0", "stay", strconv.Itoa(1000*(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		living = append(living, c)
		if i%16 == 15 {
			// As fast as a node starts containers; spares are made meanwhile.
			time.Sleep(50 * time.Millisecond)
		}
	}
	var next, noRing atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(crashes) {
					return
				}
				c, err := n.run(worker, strconv.Itoa(calls), "0", []string{"1", "segv"}[i%2], strconv.Itoa(int(1_000_000+1000*i)))
				if err != nil {
					t.Error(err)
					return
				}
				c.end()
				time.Sleep(50 * time.Millisecond) // as fast as runtimes are, at most
			}
		})
	}
	wg.Wait()
	eventually(t, "all ends were dealt with", func() bool {
		st, err := n.client.Status(t.Context())
		noRing.Store(int64(st.Lost.NoRing))
		return err == nil && st.Rings.Live == alive && st.Rings.Ended == 0 && st.Lost.Unrecorded == 0
	})
	all := n.list()
	check := func(name string, base uint64) (kept bool) {
		recs := all[name]
		if len(recs) == 0 {
			return false
		}
		got, err := n.numbers(recs[0].ID)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return true
		}
		if got.count > 0 && (got.gap != "" || got.last != base+calls || got.first <= base) {
			t.Errorf("%s: numbers %d to %d, want them from %d on; %s", name, got.first, got.last, base+1, got.gap)
		}
		return true
	}
	for i, c := range living {
		if !check(c.name, uint64(1000*(i+1))) {
			t.Errorf("%s is alive and has no recording", c.name)
		}
	}
	kept := 0
	for i := 1; i <= crashes; i++ {
		// Containers are named in the order in which they were made, their numbers
		// were given before: found by what they called.
		if len(all[fmt.Sprintf("c%d", alive+i)]) > 0 {
			kept++
		}
	}
	st, err := n.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d crashes are kept (%d in memory, %d on disk), %d containers found no ring at once, %d dropped for memory",
		kept, crashes, st.Rings.Kept, st.Spool.Files, noRing.Load(), st.Lost.Evicted)
	if uint64(kept)+uint64(noRing.Load())+st.Lost.Evicted < uint64(crashes) || kept < crashes/2 {
		t.Errorf("of %d crashes %d are kept: that is not explained, or not much", crashes, kept)
	}
	for _, c := range living {
		c.cmd.Process.Kill()
		c.end()
	}
	eventually(t, "the rings are back", func() bool {
		st, err := n.client.Status(t.Context())
		return err == nil && st.Rings.Live+st.Rings.Ended == 0 && n.rings() == st.Rings.Spare
	})
}

// Containers that do the worst that containers do, beside one that counts.
func TestHostileContainers(t *testing.T) {
	n := newNode(t, "--ring-size", "256KiB", "--memory-budget", "64MiB")
	n.start()
	done := n.overBudget(t.Context())
	defer done()
	depth := strconv.Itoa(times(9, 12)) // 2^depth processes
	storm := fmt.Sprintf("i=0; while [ $i -lt %d ]; do /bin/true; i=$((i+1)); done", times(500, 20000))
	nested := `for i in 1 2 3; do mkdir -p CG/in$i; echo $$ >CG/in$i/cgroup.procs; /bin/true; done
		unshare --mount --uts --ipc --pid --fork sh -c 'mount -t tmpfs none /mnt && mkdir /mnt/old && hostname inside && true'
		echo $$ >CG/cgroup.procs; rmdir CG/in1 CG/in2 CG/in3; exit 5`

	counting, err := n.run(worker, "2000000000", "500", "0", "7000000")
	if err != nil {
		t.Fatal(err)
	}
	run := func(what string, want int, args ...string) {
		t.Helper()
		c, err := n.run(args...)
		if err != nil {
			t.Fatal(err)
		}
		c.end()
		if code := c.cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("%s: it ended with %d, want %d", what, code, want)
		}
		var rec api.Recording
		eventually(t, what+": its end is known", func() bool {
			recs := n.list()[c.name]
			if len(recs) != 1 {
				return false
			}
			rec = recs[0]
			return rec.State == api.StateEnded && rec.Exit != nil
		})
		if rec.Exit.Code != want || rec.Tasks.Live != 0 {
			t.Errorf("%s: exit %+v, %d tasks live; want %d and none", what, rec.Exit, rec.Tasks.Live, want)
		}
		if rec.Tasks.Unmarked != 0 {
			t.Logf("%s: %d tasks could not be marked at once", what, rec.Tasks.Unmarked)
		}
		if what == "fork bomb" {
			d, _ := strconv.Atoi(depth)
			if rec.Tasks.Ever != 1<<d {
				t.Errorf("%s: %d tasks, want %d", what, rec.Tasks.Ever, 1<<d)
			}
		}
		if _, err := n.numbers(rec.ID); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	run("fork bomb", 0, worker, depth, "0", "bomb")
	run("exec storm", 0, "/bin/sh", "-c", storm)
	run("64 threads", 4, worker, strconv.Itoa(times(5000, 100000)), "0", "4", "9000000", "64")
	n.mu.Lock()
	cg := filepath.Join(n.root, fmt.Sprintf("c%d", n.made+1))
	n.mu.Unlock()
	run("nested cgroups and namespaces", 5, "/bin/sh", "-c", strings.ReplaceAll(nested, "CG", cg))

	counting.cmd.Process.Kill()
	counting.end()
	recs := n.list()[counting.name]
	if len(recs) != 1 {
		t.Fatalf("%d recordings of the container that counts", len(recs))
	}
	got, err := n.numbers(recs[0].ID)
	if err != nil || got.gap != "" || got.count == 0 || got.first <= 7000000 {
		t.Errorf("the container that counts: numbers %d to %d, %s, %v", got.first, got.last, got.gap, err)
	}
}

// sample is what a daemon holds.
type sample struct {
	rss                 uint64
	files, rings, progs int
	kept                int
}

func (n *node) sample() sample {
	var s sample
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.cmd.Process.Pid))
	if f := strings.Fields(string(b)); len(f) > 2 {
		resident, _ := strconv.ParseUint(f[1], 10, 64)
		shared, _ := strconv.ParseUint(f[2], 10, 64)
		s.rss = (resident - shared) * uint64(os.Getpagesize()) // without the rings, which are mapped
	}
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.cmd.Process.Pid))
	s.files = len(fds)
	s.rings = n.rings()
	kept, _ := os.ReadDir(filepath.Join(n.pins, "kept"))
	s.kept = len(kept)
	progs, _ := filepath.Glob(filepath.Join(n.pins, "prog-*"))
	s.progs = len(progs)
	return s
}

// At full load for hours nothing grows: memory, file descriptors, rings, programs.
func TestNothingGrows(t *testing.T) {
	long := 30 * time.Second
	if full {
		long = 2 * time.Hour
	}
	if v := os.Getenv("RECORDERD_SOAK_LOAD"); v != "" {
		var err error
		if long, err = time.ParseDuration(v); err != nil {
			t.Fatalf("RECORDERD_SOAK_LOAD: %v", err)
		}
	}
	n := newNode(t, "--ring-size", "256KiB", "--memory-budget", "32MiB", "--spool-size", "8MiB", "--spool-burst", "0")
	n.start()
	done := n.overBudget(t.Context())
	defer done()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	var made, dumps atomic.Int64
	flat, err := n.run(worker, "4000000000", "0", "0") // as fast as it can
	if err != nil {
		t.Fatal(err)
	}
	defer func() { flat.cmd.Process.Kill(); flat.end() }()
	wg.Go(func() {
		for ctx.Err() == nil {
			c, err := n.run(worker, "200", "0", "1")
			if err != nil {
				t.Error(err)
				return
			}
			c.end()
			made.Add(1)
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			for _, recs := range n.list() {
				if _, err := n.numbers(recs[0].ID); err == nil {
					dumps.Add(1)
				}
				if ctx.Err() != nil {
					return
				}
			}
		}
	})
	time.Sleep(long / 3) // until everything has been used that is going to be
	before := n.sample()
	time.Sleep(long * 2 / 3)
	after := n.sample()
	stop()
	wg.Wait()
	t.Logf("%d containers, %d dumps; before %+v, after %+v", made.Load(), dumps.Load(), before, after)
	if after.rss > before.rss*3/2+16<<20 {
		t.Errorf("memory grew from %d to %d MiB", before.rss>>20, after.rss>>20)
	}
	// Rings of what has just ended are descriptors, too. On a busy machine they wait for their
	// turn: what leaks does not go when the load has gone.
	eventually(t, fmt.Sprintf("no more than %d descriptors, as before", before.files+20), func() bool {
		return n.sample().files <= before.files+20
	})
	if after.progs != before.progs {
		t.Errorf("programs: %d, before %d", after.progs, before.progs)
	}
	if made.Load() < 20 || dumps.Load() < 20 {
		t.Errorf("only %d containers and %d dumps: that was no load", made.Load(), dumps.Load())
	}
}
