// Command bench measures what the recorder costs: the same work untouched, with
// empty programs on sys_enter and sys_exit (the floor that every tracer of all calls
// pays), with the recorder, with perf and with strace, in turn, round after round.
//
// What counts is the time added to no tracing, in units of what the empty programs
// add: machines and their noise differ, the ratio does not much.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/bpf"
	"github.com/recorderd/recorderd/recorder"
	"github.com/recorderd/recorderd/recorder/containerd"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "work" {
		work(os.Args[2], os.Args[3:])
		return
	}
	rounds := flag.Int("rounds", 7, "rounds; each measures everything once")
	calls := flag.Int("calls", 400000, "cheap calls in a measurement; the others make fewer")
	requests := flag.Int("requests", 100000, "redis requests in a measurement, of each kind; 0: no redis")
	only := flag.String("modes", "", "measure only these, comma separated, of none,floor,untraced,traced,perf,strace")
	flag.Parse()
	if *only != "" {
		modes = slices.DeleteFunc(modes, func(m mode) bool { return !slices.Contains(strings.Split(*only, ","), m.name) })
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if err := run(ctx, *rounds, *calls, *requests); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// mode is a way to run the work.
type mode struct {
	name  string
	begin func(b *bench) (end func() error, err error)
	wrap  []string // command put before the work
	in    bool     // in the recorded cgroup
}

var modes = []mode{
	{name: "none", begin: nothing},
	{name: "floor", begin: floor},
	{name: "untraced", begin: record},
	{name: "traced", begin: record, in: true},
	{name: "perf", begin: nothing, wrap: []string{"perf", "record", "-q", "-e", "raw_syscalls:*", "--overwrite", "-o", "/dev/null", "--"}},
	{name: "strace", begin: nothing, wrap: []string{"strace", "-f", "-o", "/dev/null", "--"}},
}

type bench struct {
	ctx     context.Context
	dir     string
	cgroup  string // recorded, when the recorder runs
	root    string
	self    string
	density map[string]float64 // bytes of ring per call, by work
}

func run(ctx context.Context, rounds, calls, requests int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "recorderd-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	h, err := recorder.FindHierarchy("v2")
	if err != nil {
		return err
	}
	b := &bench{ctx: ctx, dir: dir, self: self, density: map[string]float64{}}
	b.root = filepath.Join(h.Mount, fmt.Sprintf("recorderd-bench-%d", os.Getpid()))
	b.cgroup = filepath.Join(b.root, "work")
	if err := os.MkdirAll(b.cgroup, 0o755); err != nil {
		return err
	}
	defer removeCgroups(b.cgroup, b.root)

	loops := []struct {
		name  string
		calls int
		per   int // calls in a turn
	}{{"getppid", calls, 1}, {"open/read/close", calls / 4, 3}, {"failing open", calls / 4, 1}}
	results := map[string]map[string][]float64{}
	add := func(work, mode string, v float64) {
		if results[work] == nil {
			results[work] = map[string][]float64{}
		}
		results[work][mode] = append(results[work][mode], v)
	}
	for round := range rounds {
		for _, m := range modes {
			if err := ctx.Err(); err != nil {
				return err
			}
			for _, l := range loops {
				n := l.calls
				if m.name == "strace" {
					n /= 20
				}
				ns, err := b.loop(m, l.name, n)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", l.name, m.name, err)
				}
				add(l.name, m.name, ns)
			}
			if requests > 0 {
				n := requests
				if m.name == "strace" {
					n /= 10
				}
				rps, err := b.redis(m, n)
				if err != nil {
					return fmt.Errorf("redis, %s: %w", m.name, err)
				}
				for kind, v := range rps {
					add("redis "+kind, m.name, v)
				}
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, rounds)
	}
	report(os.Stdout, results, b.density)
	return nil
}

func nothing(*bench) (func() error, error) { return func() error { return nil }, nil }

func floor(*bench) (func() error, error) {
	f, err := bpf.AttachFloor()
	if err != nil {
		return nil, err
	}
	return f.Close, nil
}

// record runs the recorder as the daemon does, in this process.
func record(b *bench) (func() error, error) {
	r, err := recorder.New(recorder.Config{
		PinDir: fmt.Sprintf("/sys/fs/bpf/recorderd-bench-%d", os.Getpid()), Hierarchy: "v2", Watch: []string{"/" + filepath.Base(b.root)},
		RingSize: 1 << 20, MemoryBudget: 64 << 20, CaptureStdio: 512, Clean: true, Version: "bench",
		Containerd: containerd.Config{Addresses: []string{"/nonexistent"}}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- r.Run(ctx, func() { close(ready) }) }()
	end := func() error {
		cancel()
		err := <-done
		r.Close()
		return err
	}
	select {
	case <-ready:
		return func() error { b.measureRing(r); return end() }, nil
	case err := <-done:
		return nil, errors.Join(err, end())
	}
}

// measureRing notes how many bytes the recorded calls took.
func (b *bench) measureRing(r *recorder.Recorder) {
	list, err := r.List(b.ctx)
	if err != nil {
		return
	}
	for _, rec := range list {
		if w, n := rec.Coverage.Written, rec.Coverage.Bytes; w > 1000 {
			b.density[workOf(rec.Container.Command)] = float64(n) / float64(w)
		}
	}
}

// workOf names the work of a recording by its command line.
func workOf(command []string) string {
	if len(command) > 2 && command[1] == "work" {
		return command[2]
	}
	if len(command) > 0 {
		return filepath.Base(command[0])
	}
	return "?"
}

func (b *bench) command(m mode, args ...string) *exec.Cmd {
	args = append(append([]string{}, m.wrap...), args...)
	cmd := exec.CommandContext(b.ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	return cmd
}

// loop measures a loop of calls, in ns a turn.
func (b *bench) loop(m mode, what string, n int) (float64, error) {
	end, err := m.begin(b)
	if err != nil {
		return 0, err
	}
	cmd := b.command(m, b.self, "work", what, strconv.Itoa(n))
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	done, err := b.place(cmd, m.in)
	if err != nil {
		return 0, errors.Join(err, end())
	}
	err = cmd.Run()
	done()
	if err = errors.Join(err, end()); err != nil {
		return 0, fmt.Errorf("%w: %s", err, strings.TrimSpace(errOut.String()))
	}
	return strconv.ParseFloat(strings.TrimSpace(out.String()), 64)
}

// place lets a command begin in the recorded cgroup.
func (b *bench) place(cmd *exec.Cmd, in bool) (func(), error) {
	if !in {
		return func() {}, nil
	}
	// A cgroup of its own each time: a recording of its own.
	dir, err := os.MkdirTemp(b.root, "work")
	if err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
	return func() { f.Close(); removeCgroups(dir) }, nil
}

// redis measures requests a second of a server that is run in a mode.
func (b *bench) redis(m mode, requests int) (map[string]float64, error) {
	end, err := m.begin(b)
	if err != nil {
		return nil, err
	}
	sock := filepath.Join(b.dir, "redis.sock")
	os.Remove(sock)
	cmd := b.command(m, "redis-server", "--port", "0", "--unixsocket", sock, "--save", "", "--appendonly", "no", "--dir", b.dir)
	done, err := b.place(cmd, m.in)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	stop := func() error {
		exec.Command("redis-cli", "-s", sock, "shutdown", "nosave").Run()
		cmd.Wait() // perf and strace end with it; a status says nothing here
		done()
		return end()
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, end())
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", sock)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(until) {
			cmd.Process.Kill()
			return nil, errors.Join(fmt.Errorf("redis-server does not answer: %w", err), stop())
		}
	}
	out, err := exec.CommandContext(b.ctx, "redis-benchmark", "-s", sock, "-t", "set,get", "-n", strconv.Itoa(requests), "--csv").Output()
	cpu, cpuErr := cpuTime(sock)
	if err = errors.Join(err, cpuErr, stop()); err != nil {
		return nil, err
	}
	rps := map[string]float64{"CPU": cpu / float64(2*requests) * 1e9}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.ReplaceAll(line, `"`, ""), ",")
		if len(f) > 1 && (f[0] == "SET" || f[0] == "GET") {
			if rps[f[0]], err = strconv.ParseFloat(f[1], 64); err != nil {
				return nil, fmt.Errorf("read redis-benchmark's output %q: %w", line, err)
			}
		}
	}
	if len(rps) != 3 {
		return nil, fmt.Errorf("redis-benchmark printed %q", out)
	}
	return rps, nil
}

// cpuTime is what a redis-server has used since it started, in seconds.
func cpuTime(sock string) (float64, error) {
	out, err := exec.Command("redis-cli", "-s", sock, "info", "cpu").Output()
	if err != nil {
		return 0, fmt.Errorf("ask redis for its CPU time: %w", err)
	}
	var sum float64
	for line := range strings.Lines(string(out)) {
		for _, name := range []string{"used_cpu_sys:", "used_cpu_user:"} {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok {
				v, err := strconv.ParseFloat(rest, 64)
				if err != nil {
					return 0, fmt.Errorf("read redis's CPU time %q: %w", line, err)
				}
				sum += v
			}
		}
	}
	return sum, nil
}

// work is the measured process. It prints ns a turn, the least of ten parts: what
// disturbs a part only ever adds.
func work(what string, args []string) {
	runtime.LockOSThread()
	n := 100000
	if len(args) > 0 {
		n, _ = strconv.Atoi(args[0])
	}
	n = max(n/10, 1)
	path, _ := unix.BytePtrFromString("/etc/hostname")
	missing, _ := unix.BytePtrFromString("/etc/not-there")
	buf := make([]byte, 128)
	least := math.Inf(1)
	for range 10 {
		start := time.Now()
		switch what {
		case "getppid":
			for range n {
				rawCall0(unix.SYS_GETPPID)
			}
		case "open/read/close":
			for range n {
				fd := rawOpen(path)
				rawCall3(unix.SYS_READ, fd, bufAddr(buf), uintptr(len(buf)))
				rawCall3(unix.SYS_CLOSE, fd, 0, 0)
			}
		case "failing open":
			for range n {
				rawOpen(missing)
			}
		default:
			fmt.Fprintf(os.Stderr, "no such work: %s\n", what)
			os.Exit(2)
		}
		least = min(least, float64(time.Since(start).Nanoseconds())/float64(n))
	}
	fmt.Printf("%.2f\n", least)
}

func removeCgroups(dirs ...string) {
	for _, dir := range dirs {
		for range 100 {
			if entries, _ := filepath.Glob(filepath.Join(dir, "work*")); len(entries) > 0 {
				removeCgroups(entries...)
			}
			if err := unix.Rmdir(dir); err == nil || errors.Is(err, unix.ENOENT) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// report prints medians, and the ratio to the floor with its quartiles.
func report(w io.Writer, results map[string]map[string][]float64, density map[string]float64) {
	var names []string
	for name := range results {
		names = append(names, name)
	}
	sort.Strings(names)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "WORK\tMODE\tMEDIAN\tADDED\tIN UNITS OF THE FLOOR (QUARTILES)")
	for _, name := range names {
		byMode := results[name]
		rates := strings.HasPrefix(name, "redis") && name != "redis CPU"
		for _, m := range modes {
			v := byMode[m.name]
			if len(v) == 0 {
				continue
			}
			if rates {
				ratios := each(v, byMode["floor"], func(x, f float64) float64 { return x / f })
				fmt.Fprintf(t, "%s\t%s\t%.0f/s\t\t%.3f of its throughput (%.3f to %.3f)\n", name, m.name, quantile(v, .5), quantile(ratios, .5), quantile(ratios, .25), quantile(ratios, .75))
				continue
			}
			none, floor := byMode["none"], byMode["floor"]
			added := each(v, none, func(x, n float64) float64 { return x - n })
			base := quantile(each(floor, none, func(x, n float64) float64 { return x - n }), .5)
			fmt.Fprintf(t, "%s\t%s\t%.0f ns\t%+.0f ns\t%.2f (%.2f to %.2f)\n", name, m.name, quantile(v, .5), quantile(added, .5), quantile(added, .5)/base, quantile(added, .25)/base, quantile(added, .75)/base)
		}
	}
	t.Flush()
	for _, name := range []string{"getppid", "open/read/close", "redis-server"} {
		if d, ok := density[name]; ok {
			fmt.Fprintf(w, "%s: %.1f bytes of ring per record\n", name, d)
		}
	}
}

// each combines the values of the same rounds.
func each(a, b []float64, f func(a, b float64) float64) []float64 {
	var out []float64
	for i := range min(len(a), len(b)) {
		out = append(out, f(a[i], b[i]))
	}
	return out
}

func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := append([]float64{}, v...)
	sort.Float64s(s)
	return s[int(math.Round(q*float64(len(s)-1)))]
}
