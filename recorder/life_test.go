package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/oci"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/testcontainerd"
	"github.com/recorderd/recorderd/recorder/containerd"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
)

// only waits for the recording of one container and returns it.
func only(t *testing.T, r *Recorder, id string, ok func(api.Recording) bool) api.Recording {
	t.Helper()
	var found api.Recording
	eventually(t, "recording of "+id, func() bool {
		list, err := r.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range list {
			if rec.Container.ID == id && ok(rec) {
				found = rec
				return true
			}
		}
		return false
	})
	return found
}

func ended(rec api.Recording) bool { return rec.Exit != nil }

func withContainerd(t *testing.T, cfg Config) (*Recorder, *testcontainerd.Server) {
	t.Helper()
	srv := testcontainerd.Start(t, testcontainerd.Config{})
	cfg.Watch = append(cfg.Watch, "/"+srv.Namespace)
	cfg.Containerd = containerd.Config{Addresses: []string{srv.Address}, Interval: time.Second}
	return testRecorder(t, cfg), srv
}

// text is a dump as recorderctl shows it.
func text(t *testing.T, r *Recorder, id string, q replay.Query) string {
	t.Helper()
	var raw, out bytes.Buffer
	if err := r.Dump(t.Context(), id, replay.Query{}, &raw); err != nil {
		t.Fatal(err)
	}
	in, err := dump.NewReader(&raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replay.Run(&out, in, replay.Options{Query: q}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func demand(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if !strings.Contains(text, want) {
			tail := strings.Split(text, "\n")
			t.Errorf("the dump lacks %q; it ends:\n%s", want, strings.Join(tail[max(0, len(tail)-15):], "\n"))
		}
	}
}

// On cgroup v1 a container is found, followed and ended as on v2.
func TestCgroupV1(t *testing.T) {
	r, srv := withContainerd(t, Config{Hierarchy: "memory"})
	if r.hierarchy.V2() {
		t.Fatal("v2 was chosen")
	}
	c := srv.Run(t, testcontainerd.Options{Args: []string{"/bin/sh", "-c", "(exit 3); exit 5"}})
	rec := only(t, r, c.ID, ended)
	if rec.Exit.Code != 5 || len(rec.Container.Command) != 3 {
		t.Errorf("exit %+v, command %q", rec.Exit, rec.Container.Command)
	}
	demand(t, text(t, r, rec.ID, replay.Query{}), `execve("/bin/sh", ["/bin/sh", "-c", "(exit 3); exit 5"]`, "+++ exited with 3 +++", "+++ exited with 5 +++")
}

// A helper of the runtime's may do exec in the container and end before the entrypoint
// is there: so soon that is nobody's end as long as others live.
func TestAnEndAtTheStart(t *testing.T) {
	root := testRoot(t)
	r := testRecorder(t, Config{Watch: []string{"/" + filepath.Base(root)}, OnlyWatched: true, Hierarchy: "v2"})
	sh := shellIn(t, root, "c", "sleep 1000 & sleep 0.1; exit 3")
	t.Cleanup(func() {
		if err := os.WriteFile(filepath.Join(r.hierarchy.Mount, filepath.Base(root), "c/cgroup.kill"), []byte("1"), 0); err != nil {
			t.Error(err)
		}
	})
	if err := sh.Wait(); sh.ProcessState.ExitCode() != 3 {
		t.Fatal(err)
	}
	began := time.Now()
	one := func() api.Recording {
		list, err := r.List(t.Context())
		if err != nil || len(list) != 1 || list[0].Tasks.Live != 1 {
			t.Fatalf("%+v, %v: want one recording with a task that lives", list, err)
		}
		return list[0]
	}
	if x := one().Exit; x != nil && time.Since(began) < layout.StartupMs/2*time.Millisecond {
		t.Errorf("it ended with %+v while another may become its first", x)
	}
	eventually(t, "the end of its first process told", func() bool { return one().Exit != nil })
	if x := one().Exit; x.Code != 3 || x.Source != "kernel" {
		t.Errorf("it ended with %+v, want 3", x)
	}
}

// startIn makes a cgroup, in which a command will start.
func startIn(t *testing.T, cgroup string, cmd *exec.Cmd) {
	t.Helper()
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
}

// recordingOf waits for the recording of a cgroup to be as it is wanted, and returns it.
func recordingOf(t *testing.T, r *Recorder, cgroup, what string, wanted func(*api.Recording) bool) (found api.Recording) {
	t.Helper()
	eventually(t, what, func() bool {
		list, err := r.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			if strings.HasSuffix(list[i].Container.Cgroup, "/"+cgroup) && wanted(&list[i]) {
				found = list[i]
				return true
			}
		}
		return false
	})
	return found
}

// shellIn starts a shell in a new cgroup below root.
func shellIn(t *testing.T, root, name, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	startIn(t, filepath.Join(root, name), cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// Pids are the container's in text, and the host's stand beside them.
func TestPidsAreTheContainers(t *testing.T) {
	r, srv := withContainerd(t, Config{})
	c := srv.Run(t, testcontainerd.Options{Args: []string{"/bin/sh", "-c", "sleep 1000 & wait"}})
	rec := only(t, r, c.ID, func(rec api.Recording) bool { return rec.Tasks.Live == 2 })
	var pids []uint32
	for _, task := range dumpOf(t, r, rec.ID).tasks {
		if task.End == 0 {
			pids = append(pids, task.NsTgid)
			if task.NsTgid == 1 && task.Tgid != c.Pid {
				t.Errorf("pid 1 of the container is %d on the host, want %d", task.Tgid, c.Pid)
			}
		}
	}
	if len(pids) != 2 || min(pids[0], pids[1]) != 1 || max(pids[0], pids[1]) > 10 {
		t.Errorf("the container's pids are %v", pids)
	}
	// What they are doing now is in no record yet.
	const sleeps = "clock_nanosleep(CLOCK_REALTIME, 0, {tv_sec=1000, tv_nsec=0}"
	out := ""
	eventually(t, "the shell waits, and its child sleeps", func() bool {
		out = text(t, r, rec.ID, replay.Query{})
		return strings.Contains(out, sleeps)
	})
	demand(t, out, "[pid 1 sh]", "wait4(-1", "<unfinished ...>", sleeps)
	c.Signal(t, syscall.SIGKILL)
	rec = only(t, r, c.ID, ended)
	if rec.Exit.Signal != "SIGKILL" || rec.Exit.OOMKilled {
		t.Errorf("it ended with %+v, want SIGKILL", rec.Exit)
	}
}

// A container that the OOM killer ends says so.
func TestOOMKill(t *testing.T) {
	r, srv := withContainerd(t, Config{Hierarchy: "v2"})
	c := srv.Run(t, testcontainerd.Options{
		Args: []string{"/bin/sh", "-c", "x=a; while true; do x=$x$x; done"},
		Spec: []oci.SpecOpts{oci.WithMemoryLimit(16 << 20)},
	})
	rec := only(t, r, c.ID, ended)
	if !rec.Exit.OOMKilled || rec.Exit.Signal != "SIGKILL" {
		t.Errorf("it ended with %+v, want an OOM kill", rec.Exit)
	}
	var oom int
	for _, x := range dumpOf(t, r, rec.ID).records[dump.FrameGuard] {
		if x.Type == layout.RecOom {
			oom++
		}
	}
	if oom != 1 {
		t.Errorf("%d OOM records, want 1", oom)
	}
}

// The one failed call is kept, whatever comes after it in whatever number.
func TestTheOneFailedCallIsKept(t *testing.T) {
	r, srv := withContainerd(t, Config{RingSize: 64 << 10})
	c := srv.Run(t, testcontainerd.Options{Args: []string{"/bin/sh", "-c",
		"read x </the/missing/file; i=0; while [ $i -lt 20000 ]; do read x </etc/passwd; i=$((i+1)); done; j=0; while [ $j -lt 5000 ]; do read x </also/missing; j=$((j+1)); done; exit 9"}})
	rec := only(t, r, c.ID, ended)
	d := dumpOf(t, r, rec.ID)
	if d.header.Recording.Coverage.Overwritten < 10000 {
		t.Fatalf("only %d records were overwritten", d.header.Recording.Coverage.Overwritten)
	}
	demand(t, text(t, r, rec.ID, replay.Query{}), `execve("/bin/sh"`, `"/the/missing/file", O_RDONLY`, `"/also/missing"`, "can't open /the/missing/file", "+++ exited with 9 +++")
}

// Freeze stops, resume goes on, and what was not recorded is counted. A live
// recording cannot be deleted, an ended one is gone then.
func TestFreezeResumeDelete(t *testing.T) {
	r, srv := withContainerd(t, Config{})
	c := srv.Run(t, testcontainerd.Options{Args: []string{"/bin/sh", "-c", "while true; do read x </etc/passwd; sleep 0.01; done"}})
	rec := only(t, r, c.ID, func(api.Recording) bool { return true })
	written := func() uint64 {
		return only(t, r, c.ID, func(api.Recording) bool { return true }).Coverage.Written
	}
	if err := r.Freeze(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.kernel.Grace(); err != nil {
		t.Fatal(err)
	}
	n := written()
	eventually(t, "calls are made while frozen", func() bool {
		return only(t, r, c.ID, func(api.Recording) bool { return true }).Coverage.FrozenCalls > 20
	})
	if now := written(); now != n {
		t.Errorf("frozen, it still wrote %d records", now-n)
	}
	var refused *api.Error
	if err := r.Delete(t.Context(), rec.ID); !errors.As(err, &refused) || refused.Code != api.CodeConflict {
		t.Errorf("deleting a live recording: %v, want a conflict", err)
	}
	if err := r.Resume(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "recording goes on", func() bool { return written() > n+20 })
	c.Delete(t)
	only(t, r, c.ID, func(rec api.Recording) bool { return rec.State == api.StateEnded })
	if err := r.Delete(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.Dump(t.Context(), rec.ID, replay.Query{}, io.Discard); !errors.As(err, &refused) || refused.Code != api.CodeNotFound {
		t.Errorf("dumping a deleted recording: %v, want not found", err)
	}
}

// What a container's first process inherited, and no call of it opened, is known by
// what /proc said while it ran.
func TestInheritedDescriptors(t *testing.T) {
	r, srv := withContainerd(t, Config{})
	var out string
	for range 5 { // of a reading that falls on the program's start nothing is believed
		c := srv.Run(t, testcontainerd.Options{Args: []string{"/bin/sh", "-c", "trap 'echo inherited; exit 2' USR1; while :; do sleep 0.1; done"}})
		live := only(t, r, c.ID, func(api.Recording) bool { return true })
		eventually(t, "what it has open is known", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, rec := range r.bySlot {
				if rec.id == live.ID && len(rec.opened.files) > 0 {
					return true
				}
			}
			return false
		})
		c.Signal(t, syscall.SIGUSR1)
		c.Wait(t)
		rec := only(t, r, c.ID, ended)
		out = text(t, r, rec.ID, replay.Query{Fds: true})
		if regexp.MustCompile(`write\(1<[^>]+>, "inherited\\n", 10\)`).MatchString(out) {
			return
		}
	}
	t.Errorf("standard output has no name:\n%s", out[max(0, len(out)-1500):])
}

// The budget holds: the oldest ended recording gives way, a live one never does.
func TestBudget(t *testing.T) {
	srv := testcontainerd.Start(t, testcontainerd.Config{})
	r := testRecorder(t, Config{RingSize: 64 << 10, MemoryBudget: 640 << 10, Watch: []string{"/" + srv.Namespace}, OnlyWatched: true, Containerd: containerd.Config{Addresses: []string{srv.Address}}})
	alive := srv.Run(t, testcontainerd.Options{})
	only(t, r, alive.ID, func(api.Recording) bool { return true })
	var last string
	for range 30 {
		c := srv.Run(t, testcontainerd.Options{Args: []string{"/bin/true"}})
		c.Wait(t)
		c.Delete(t)
		last = c.ID
		eventually(t, "a spare ring", func() bool {
			s, err := r.Status(t.Context())
			return err == nil && s.Rings.Spare > 0
		})
	}
	only(t, r, alive.ID, func(rec api.Recording) bool { return rec.State == api.StateLive })
	only(t, r, last, ended)
	eventually(t, "the rings of ended containers are free", func() bool {
		s, err := r.Status(t.Context())
		return err == nil && s.Rings.Ended == 0
	})
	s, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Rings.Bytes > s.Rings.Budget || s.Lost.Evicted == 0 || s.Lost.NoRing != 0 {
		t.Errorf("%d bytes of rings with a budget of %d, %d evicted, %d containers without a ring", s.Rings.Bytes, s.Rings.Budget, s.Lost.Evicted, s.Lost.NoRing)
	}
}

// A daemon that ends leaves recording on; the next one has all of it.
func TestTheNextDaemonGoesOn(t *testing.T) {
	root := testRoot(t)
	sweep(t)
	cfg := Config{
		PinDir: fmt.Sprintf("/sys/fs/bpf/recorderd-coretest-%d-%d", os.Getpid(), testNumber.Add(1)), Hierarchy: "v2",
		Log:      slog.New(slog.NewTextHandler(testLog{t}, nil)),
		RingSize: 64 << 10, MemoryBudget: 8 << 20, Watch: []string{"/" + filepath.Base(root)}, OnlyWatched: true, Containerd: containerd.Config{Addresses: []string{"/nonexistent"}},
	}
	begin := func() (*Recorder, func()) {
		r, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ready, done := make(chan struct{}), make(chan error, 1)
		go func() { done <- r.Run(ctx, func() { close(ready) }) }()
		<-ready
		return r, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			r.Close()
		}
	}
	byName := func(r *Recorder, name string) api.Recording {
		list, err := r.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range list {
			if strings.HasSuffix(rec.Container.Cgroup, "/"+name) {
				return rec
			}
		}
		t.Fatalf("no recording of %s", name)
		return api.Recording{}
	}
	r, stop := begin()
	across := shellIn(t, root, "across", "sleep 0.3; exit 4")
	id := byName(r, "across").ID
	stop()
	meanwhile := shellIn(t, root, "meanwhile", "exit 6")
	across.Wait()
	meanwhile.Wait()

	cfg.Clean = true
	r, stop = begin()
	defer stop()
	if rec := byName(r, "across"); rec.ID != id || rec.Exit == nil || rec.Exit.Code != 4 {
		t.Errorf("the recording that ran on has id %s (was %s), exit %+v", rec.ID, id, rec.Exit)
	}
	rec := byName(r, "meanwhile")
	if rec.Exit == nil || rec.Exit.Code != 6 {
		t.Errorf("the container that nobody saw ended with %+v, want 6", rec.Exit)
	}
	demand(t, text(t, r, rec.ID, replay.Query{}), `execve("/bin/sh", ["/bin/sh", "-c", "exit 6"]`, "exit_group(6)")
	after := shellIn(t, root, "after", "exit 8")
	after.Wait()
	if rec := byName(r, "after"); rec.Exit == nil || rec.Exit.Code != 8 {
		t.Errorf("a container after the take-over ended with %+v, want 8", rec.Exit)
	}
}

// What was there before recording began says so, also when it has ended; what came
// later does not.
func TestBeganLate(t *testing.T) {
	c := makeCgroups(t, "late")
	c.container("there")
	cmd := c.command("there", "/bin/sh", "-c", "sleep 0.3; echo; read x; exit 3")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() }) //nolint:errcheck // as it was told to end
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	r := testRecorder(t, Config{Watch: []string{c.path}, OnlyWatched: true})
	check := func(when string) {
		t.Helper()
		rec := c.recording(r, "there")
		if v := &rec.Coverage; !v.BeganLate || v.BeganLateNs < 300e6 || v.BeganLateNs > 60e9 {
			t.Errorf("%s: it began late: %v, by %v", when, v.BeganLate, time.Duration(v.BeganLateNs))
		}
		demand(t, text(t, r, rec.ID, replay.Query{}), "; processes ran already when it began, the first for ")
	}
	check("live")
	c.container("later")("/bin/true")
	if v := c.recording(r, "later").Coverage; v.BeganLate || v.BeganLateNs != 0 {
		t.Errorf("what came later: %+v", v)
	}
	in.Close()
	cmd.Wait() //nolint:errcheck // 3
	eventually(t, "it has ended", func() bool { return ended(c.recording(r, "there")) })
	check("ended")
}

// Following shows what happens until the container ends, each call once.
func TestFollowALiveContainer(t *testing.T) {
	r, srv := withContainerd(t, Config{})
	c := srv.Run(t, testcontainerd.Options{Args: []string{"/bin/sh", "-c", "i=0; while [ $i -lt 40 ]; do echo line-$i; i=$((i+1)); sleep 0.05; done"}})
	rec := only(t, r, c.ID, func(api.Recording) bool { return true })
	pr, pw := io.Pipe()
	go func() {
		pw.CloseWithError(r.Dump(t.Context(), rec.ID, replay.Query{Follow: true}, pw))
	}()
	deleted := make(chan struct{})
	go func() {
		defer close(deleted)
		c.Wait(t)
		c.Delete(t)
	}()
	defer func() { <-deleted }()
	in, err := dump.NewReader(pr)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := replay.Run(&out, in, replay.Options{Query: replay.Query{Follow: true}}); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		if n := strings.Count(out.String(), fmt.Sprintf(`"line-%d\n"`, i)); n != 1 {
			t.Errorf("line-%d is there %d times", i, n)
		}
	}
	demand(t, out.String(), "+++ exited with 0 +++")
}
