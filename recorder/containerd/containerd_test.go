package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/recorderd/recorderd/internal/testcontainerd"
	"golang.org/x/sys/unix"
)

// logBuffer collects log lines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), s)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start returns a source of one address that runs until the test ends.
func start(t *testing.T, cfg Config) (*Source, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	src := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		src.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		for _, st := range src.Status() {
			if sv := src.servers[0]; sv.connection() != nil {
				t.Errorf("%s is still connected after Run", st.Address)
			}
		}
	})
	return src, log
}

// idle returns a source of one address that reads only when it is asked to.
func idle(t *testing.T, cfg Config) *Source {
	cfg.Log = slog.New(slog.DiscardHandler)
	src := New(cfg)
	t.Cleanup(src.servers[0].disconnect)
	return src
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func refresh(t *testing.T, src *Source) {
	t.Helper()
	if err := src.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func lookup(t *testing.T, src *Source, id string) Info {
	t.Helper()
	info, ok := src.Lookup(id)
	if !ok {
		t.Fatalf("container %s is not known", id)
	}
	return info
}

// TestNames catches labels, image, times or cgroup that are read wrongly: the
// names under which a recording is found.
func TestNames(t *testing.T) {
	s := testcontainerd.Start(t, testcontainerd.Config{})
	before := time.Now()
	app := s.Run(t, testcontainerd.Options{Labels: map[string]string{
		"io.cri-containerd.kind":       "container",
		"io.kubernetes.pod.name":       "web-0",
		"io.kubernetes.pod.namespace":  "shop",
		"io.kubernetes.pod.uid":        "12fdc709-933e-41d0-917f-cd84de9afa94",
		"io.kubernetes.container.name": "app",
		"tier":                         "front",
	}})
	pause := s.Run(t, testcontainerd.Options{Labels: map[string]string{
		"io.cri-containerd.kind": "sandbox",
		"io.kubernetes.pod.name": "web-0",
	}})
	nerd := s.Run(t, testcontainerd.Options{Labels: map[string]string{"nerdctl/name": "db"}})
	ctr := s.Run(t, testcontainerd.Options{ID: "plain"})
	src := idle(t, Config{Addresses: []string{s.Address}})
	refresh(t, src)

	got := lookup(t, src, app.ID)
	if got.Started.Before(before.Add(-50*time.Millisecond)) || got.Started.After(time.Now()) {
		t.Errorf("started %v, between %v and now", got.Started, before)
	}
	if got.Created.Before(before.Add(-50*time.Millisecond)) || got.Created.After(got.Started.Add(50*time.Millisecond)) {
		t.Errorf("created %v, started %v", got.Created, got.Started)
	}
	if got.Labels["tier"] != "front" {
		t.Errorf("labels %v lack tier=front", got.Labels)
	}
	want := Info{
		ID: app.ID, Namespace: s.Namespace, Name: "app", Image: testcontainerd.BusyboxImage,
		Pid: app.Pid, State: StateRunning, CgroupPath: app.CgroupPath, Attempt: -1,
		PodName: "web-0", PodNamespace: "shop", PodUID: "12fdc709-933e-41d0-917f-cd84de9afa94", ContainerName: "app",
	}
	got.Labels, got.Created, got.Started = nil, time.Time{}, time.Time{}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if i := lookup(t, src, pause.ID); !i.Sandbox || i.Name != "web-0" || i.ContainerName != "" {
		t.Errorf("sandbox is %+v", i)
	}
	if i := lookup(t, src, nerd.ID); i.Name != "db" || i.Sandbox {
		t.Errorf("nerdctl's container is %+v", i)
	}
	// By the cgroups that it really has, and by none below.
	for hierarchy, p := range ctr.Cgroups(t) {
		if i, ok := src.At(p); !ok || i.ID != "plain" {
			t.Errorf("hierarchy %q: At(%q) = %+v, %v, want plain", hierarchy, p, i, ok)
		}
		if i, ok := src.At(p + "/plain"); ok {
			t.Errorf("hierarchy %q: one below it is %+v", hierarchy, i)
		}
	}
	if i, ok := src.At("/" + s.Namespace); ok {
		t.Errorf("the namespace's own cgroup is %+v", i)
	}
	if nss := src.Namespaces(); len(nss) != 1 || nss[0] != s.Namespace {
		t.Errorf("namespaces %q, want %q", nss, s.Namespace)
	}
	st := src.Status()[0]
	if !st.Connected || st.Version == "" || st.Containers != 4 || st.LastError != "" || st.LastRead.Before(before) {
		t.Errorf("status %+v", st)
	}
}

// TestExit catches exit statuses that are lost or late, and containers that
// lose their name with their end.
func TestExit(t *testing.T) {
	s := testcontainerd.Start(t, testcontainerd.Config{})
	src, _ := start(t, Config{Addresses: []string{s.Address}, Interval: time.Hour})
	eventually(t, "connected", func() bool { return src.Status()[0].Connected })

	c := s.Run(t, testcontainerd.Options{Args: []string{"sleep", "1000"}, Labels: map[string]string{"nerdctl/name": "job"}})
	refresh(t, src)
	if i := lookup(t, src, c.ID); i.State != StateRunning || i.ExitCode != nil {
		t.Fatalf("before its end: %+v", i)
	}
	c.Signal(t, unix.SIGKILL)
	if st := c.Wait(t); st != 137 {
		t.Fatalf("exit status %d", st)
	}
	// The event asks for a read, an hour before the next.
	eventually(t, "exit noticed", func() bool { i, _ := src.Lookup(c.ID); return i.State == StateStopped })
	i := lookup(t, src, c.ID)
	if i.ExitCode == nil || *i.ExitCode != 137 || i.Finished.Before(i.Started) || time.Since(i.Finished) > time.Minute {
		t.Errorf("after its end: %+v", i)
	}
	c.Delete(t)
	eventually(t, "deletion noticed", func() bool { i, _ := src.Lookup(c.ID); return !i.Gone.IsZero() })
	i = lookup(t, src, c.ID)
	if i.Name != "job" || i.ExitCode == nil || *i.ExitCode != 137 {
		t.Errorf("after its deletion: %+v", i)
	}
	if i, ok := src.At(c.CgroupPath); !ok || i.ID != c.ID {
		t.Errorf("by its cgroup after its deletion: %+v, %v", i, ok)
	}
	// A new container of the same name is the one that is meant.
	again := s.Run(t, testcontainerd.Options{ID: c.ID, Labels: map[string]string{"nerdctl/name": "job2"}})
	refresh(t, src)
	if i := lookup(t, src, c.ID); i.Name != "job2" || i.Pid != again.Pid || i.ExitCode != nil || !i.Gone.IsZero() {
		t.Errorf("the next one with its id: %+v", i)
	}
}

// TestDeletedAtOnce tells how often an exit status is read although whoever
// waits for the end deletes the task at once, as Kubernetes and Docker do. It
// may be lost, but neither the end nor the name.
func TestDeletedAtOnce(t *testing.T) {
	s := testcontainerd.Start(t, testcontainerd.Config{})
	src, _ := start(t, Config{Addresses: []string{s.Address}, Interval: time.Hour})
	eventually(t, "connected", func() bool { return src.Status()[0].Connected })
	const n = 10
	read := 0
	for range n {
		c := s.Run(t, testcontainerd.Options{Args: []string{"sh", "-c", "sleep 0.1; exit 3"}, Labels: map[string]string{"nerdctl/name": "job"}})
		refresh(t, src)
		c.Wait(t)
		c.DeleteTask(t)
		eventually(t, "end noticed", func() bool { i, _ := src.Lookup(c.ID); return i.State == StateStopped })
		i := lookup(t, src, c.ID)
		if i.Name != "job" {
			t.Errorf("afterwards: %+v", i)
		}
		if i.ExitCode != nil {
			read++
			if *i.ExitCode != 3 {
				t.Errorf("exit code %d", *i.ExitCode)
			}
		}
	}
	t.Logf("%d of %d exit codes read", read, n)
}

// TestExitWithoutEvents catches an end that only an event would have told of:
// without Run there are none. A process that is gone is reason enough to ask.
func TestExitWithoutEvents(t *testing.T) {
	s := testcontainerd.Start(t, testcontainerd.Config{})
	src := idle(t, Config{Addresses: []string{s.Address}})
	exits := s.Run(t, testcontainerd.Options{Args: []string{"sh", "-c", "sleep 0.3; exit 7"}})
	killed := s.Run(t, testcontainerd.Options{})
	refresh(t, src)
	exits.Wait(t)
	killed.DeleteTask(t)
	// containerd says that the process is gone before its task is stopped.
	eventually(t, "the exit with 7", func() bool {
		refresh(t, src)
		i := lookup(t, src, exits.ID)
		return i.State == StateStopped && i.ExitCode != nil && *i.ExitCode == 7
	})
	if i := lookup(t, src, killed.ID); i.State != StateStopped || i.ExitCode != nil {
		t.Errorf("its task was deleted: %+v", i)
	}
}

// TestRestart catches a source that forgets its containers, or stays deaf,
// when containerd crashes and comes back; and one that fills the log meanwhile.
func TestRestart(t *testing.T) {
	s := testcontainerd.Start(t, testcontainerd.Config{})
	src, log := start(t, Config{Addresses: []string{s.Address}, Interval: 20 * time.Millisecond})
	stays := s.Run(t, testcontainerd.Options{})
	ends := s.Run(t, testcontainerd.Options{})
	eventually(t, "containers known", func() bool {
		a, _ := src.Lookup(stays.ID)
		b, _ := src.Lookup(ends.ID)
		return a.State == StateRunning && b.State == StateRunning
	})

	s.Kill(t)
	eventually(t, "loss noticed", func() bool { return !src.Status()[0].Connected })
	if err := src.Refresh(t.Context()); err == nil {
		t.Error("Refresh without containerd: no error")
	}
	if err := unix.Kill(int(ends.Pid), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // some more tries that fail
	if i := lookup(t, src, stays.ID); i.State != StateRunning || !i.Gone.IsZero() {
		t.Errorf("while containerd is down: %+v", i)
	}
	if st := src.Status()[0]; st.LastError == "" || st.Version == "" {
		t.Errorf("status %+v", st)
	}

	s.Restart(t)
	eventually(t, "reconnected", func() bool { return src.Status()[0].Connected })
	// Since 1.7 containerd deletes tasks that it finds ended when it starts, with what it
	// knew of their ends.
	eventually(t, "end while containerd was down read", func() bool {
		i, _ := src.Lookup(ends.ID)
		if i.ExitCode == nil {
			return i.State == StateStopped && !strings.HasPrefix(src.Status()[0].Version, "1.6.")
		}
		return *i.ExitCode == 137
	})
	if i := lookup(t, src, stays.ID); i.State != StateRunning || i.Pid != stays.Pid || i.Started.IsZero() {
		t.Errorf("afterwards: %+v", i)
	}
	later := s.Run(t, testcontainerd.Options{})
	eventually(t, "new container known", func() bool { i, _ := src.Lookup(later.ID); return i.State == StateRunning })

	if n, m := log.count("containerd connected"), log.count("containerd not readable"); n != 2 || m != 1 {
		t.Errorf("connected logged %d times, lost %d times, want 2 and 1:\n%s", n, m, log)
	}
}

// TestAppears catches a daemon that has to be restarted because it came up
// before containerd, and one that complains about sockets nobody has.
func TestAppears(t *testing.T) {
	s := testcontainerd.Start(t, testcontainerd.Config{Stopped: true})
	src, log := start(t, Config{Addresses: []string{filepath.Join(s.Dir, "none.sock"), s.Address}, Interval: 20 * time.Millisecond})
	if err := src.Refresh(t.Context()); !errors.Is(err, ErrNoServer) {
		t.Errorf("Refresh without a socket: %v, want ErrNoServer", err)
	}
	if log.String() != "" {
		t.Errorf("logged: %s", log)
	}
	s.Restart(t)
	c := s.Run(t, testcontainerd.Options{})
	eventually(t, "container known", func() bool { _, ok := src.Lookup(c.ID); return ok })
	if err := src.Refresh(t.Context()); err != nil {
		t.Errorf("Refresh with one of two servers: %v", err)
	}
	if st := src.Status(); st[0].Present || st[0].Connected || st[0].LastError != "" || !st[1].Connected || !st[1].Present {
		t.Errorf("status %+v", st)
	}
}

// TestReplaced catches a source that goes on asking the old server when
// another one has taken its socket.
func TestReplaced(t *testing.T) {
	a := testcontainerd.Start(t, testcontainerd.Config{})
	src, _ := start(t, Config{Addresses: []string{a.Address}, Interval: 20 * time.Millisecond})
	old := a.Run(t, testcontainerd.Options{Labels: map[string]string{"nerdctl/name": "old"}})
	eventually(t, "old container known", func() bool { _, ok := src.Lookup(old.ID); return ok })

	// The first server lives on, without a socket that leads to it.
	if err := os.Rename(a.Address, a.Address+".old"); err != nil {
		t.Fatal(err)
	}
	b := testcontainerd.Start(t, testcontainerd.Config{Address: a.Address})
	new := b.Run(t, testcontainerd.Options{})
	eventually(t, "new container known", func() bool { _, ok := src.Lookup(new.ID); return ok })
	eventually(t, "old container gone", func() bool { i, _ := src.Lookup(old.ID); return !i.Gone.IsZero() })
	if i := lookup(t, src, old.ID); i.Name != "old" {
		t.Errorf("old container is %+v", i)
	}
}

// TestForgets catches memory that grows with every container that ever ran.
func TestForgets(t *testing.T) {
	s := testcontainerd.Start(t, testcontainerd.Config{})
	src := idle(t, Config{Addresses: []string{s.Address}, KeepMax: 1, Keep: time.Hour})
	a := s.Run(t, testcontainerd.Options{ID: "a"})
	b := s.Run(t, testcontainerd.Options{ID: "b"})
	refresh(t, src)
	a.Delete(t)
	refresh(t, src)
	if i := lookup(t, src, "a"); i.Gone.IsZero() || i.State != StateStopped {
		t.Errorf("a is %+v", i)
	}
	b.Delete(t)
	refresh(t, src)
	lookup(t, src, "b")
	if i, ok := src.Lookup("a"); ok {
		t.Errorf("a is still known: %+v", i)
	}
	if _, ok := src.At(a.CgroupPath); ok {
		t.Error("a is still known by its cgroup")
	}
	src.cfg.Keep = time.Nanosecond
	refresh(t, src)
	if len(src.entries)+len(src.byID)+len(src.byName)+src.gone != 0 {
		t.Errorf("left: %v %v %v %d", src.entries, src.byID, src.byName, src.gone)
	}
}

// TestConcurrent catches a Refresh that misses a container created before the
// call because it shared a read that had begun earlier, and data races.
func TestConcurrent(t *testing.T) {
	s := testcontainerd.Start(t, testcontainerd.Config{})
	s.Run(t, testcontainerd.Options{Group: "g"}) // keeps the shim
	src, _ := start(t, Config{Addresses: []string{s.Address}, Interval: 5 * time.Millisecond})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 5 {
				c, err := s.RunContext(t.Context(), testcontainerd.Options{ID: fmt.Sprintf("c%d-%d", i, j), Group: "g", Args: []string{"true"}})
				if err != nil {
					t.Error(err)
					return
				}
				if err := src.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
				if _, ok := src.Lookup(c.ID); !ok {
					t.Errorf("%s is not known after Refresh", c.ID)
				}
				if err := c.DeleteContext(t.Context()); err != nil {
					t.Error(err)
				}
				src.Status()
				src.Namespaces()
				src.At(c.CgroupPath)
			}
		})
	}
	wg.Wait()
}

// TestRefreshCost catches a Refresh that asks every shim of the node: it is
// called whenever a container starts.
func TestRefreshCost(t *testing.T) {
	s := testcontainerd.Start(t, testcontainerd.Config{})
	for range 30 {
		s.Run(t, testcontainerd.Options{Group: "g"})
	}
	src := idle(t, Config{Addresses: []string{s.Address}})
	begin := time.Now()
	refresh(t, src)
	t.Logf("first read of 30 containers: %v", time.Since(begin))
	if asked, all := src.servers[0].unsettled(s.Namespace, true); len(asked) != 0 || len(all) != 30 {
		t.Errorf("%d of %d tasks would be asked for again, want 0 of 30", len(asked), len(all))
	}
	begin = time.Now()
	for range 10 {
		refresh(t, src)
	}
	t.Logf("further reads: %v each", time.Since(begin)/10)
	if d := time.Since(begin) / 10; d > 500*time.Millisecond {
		t.Errorf("a read takes %v", d)
	}
}

// TestMute catches a read that hangs on a server that does, and a goroutine or
// connection that stays behind.
func TestMute(t *testing.T) {
	addr := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	goroutines := runtime.NumGoroutine()
	src := New(Config{Addresses: []string{addr}, Timeout: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	begin := time.Now()
	if err := src.Refresh(t.Context()); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNoServer) {
		t.Errorf("Refresh of a mute server: %v", err)
	}
	// Not asked again before its time: the error is the last one.
	for range 100 {
		if err := src.Refresh(t.Context()); err == nil {
			t.Fatal("no error")
		}
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("101 reads of a mute server take %v", d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	src.Run(ctx)
	eventually(t, "goroutines ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	if st := src.Status()[0]; st.Connected || st.LastError == "" {
		t.Errorf("status %+v", st)
	}
}

// TestBabble catches a panic over a server that is no containerd.
func TestBabble(t *testing.T) {
	addr := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			c.Close()
		}
	}()
	src := New(Config{Addresses: []string{addr}, Timeout: time.Second, Log: slog.New(slog.DiscardHandler)})
	if err := src.Refresh(t.Context()); err == nil || errors.Is(err, ErrNoServer) {
		t.Errorf("Refresh of something else: %v", err)
	}
}

// TestWhere catches a runtime whose process is not found, so that what it says of cgroups
// in its own place is not believed, or what one in a container says is.
func TestWhere(t *testing.T) {
	s := testcontainerd.Start(t, testcontainerd.Config{})
	asked := make(chan int, 8)
	src, _ := start(t, Config{Addresses: []string{s.Address}, Interval: time.Hour, Where: func(pid int) (string, string) {
		asked <- pid
		return "/docker/0123/containerd", "/docker/0123"
	}})
	c := s.Run(t, testcontainerd.Options{})
	refresh(t, src)
	if pid := <-asked; pid != s.Pid() {
		t.Errorf("the place of process %d was asked for, want that of containerd, %d", pid, s.Pid())
	}
	if i, ok := src.At(c.CgroupPath); ok {
		t.Errorf("a runtime in a container is believed about one outside: %+v", i)
	}
	if i, ok := src.At("/docker/0123" + c.CgroupPath); !ok || i.ID != c.ID {
		t.Errorf("what it says of one beside it is not: %+v, %v", i, ok)
	}
}
