package recorder

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/bpf"
	"github.com/recorderd/recorderd/internal/testcontainerd"
	"github.com/recorderd/recorderd/recorder/containerd"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
)

var testNumber atomic.Int32

// testRecorder runs a recorder with a pin directory of its own until the test ends.
func testRecorder(t *testing.T, cfg Config) *Recorder {
	t.Helper()
	sweep(t)
	cfg.PinDir = fmt.Sprintf("/sys/fs/bpf/recorderd-coretest-%d-%d", os.Getpid(), testNumber.Add(1))
	cfg.Clean = true
	if cfg.Hierarchy == "" {
		cfg.Hierarchy = "auto"
	}
	if cfg.RingSize == 0 {
		cfg.RingSize = 256 << 10
	}
	if cfg.MemoryBudget == 0 {
		cfg.MemoryBudget = 256 << 20
	}
	if cfg.CaptureStdio == 0 {
		cfg.CaptureStdio = 512
	}
	if cfg.Containerd.Addresses == nil {
		cfg.Containerd.Addresses = []string{"/nonexistent/containerd.sock"}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- r.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.Close()
	})
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		t.Fatal("not ready within 30 s")
	}
	return r
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimRight(b, "\n"))
	return len(b), nil
}

// sweep takes away what a killed run of these tests has left pinned.
func sweep(t *testing.T) {
	dirs, _ := filepath.Glob("/sys/fs/bpf/recorderd-coretest-*")
	for _, dir := range dirs {
		var pid, n int
		fmt.Sscanf(filepath.Base(dir), "recorderd-coretest-%d-%d", &pid, &n)
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			continue
		}
		if err := bpf.Uninstall(dir); err != nil {
			t.Logf("sweep: %v", err)
		}
	}
}

// dumped is a dump, read back.
type dumped struct {
	header  dump.Header
	tasks   []layout.TaskInfo
	records map[dump.FrameType][]record.Record
}

func dumpOf(t *testing.T, r *Recorder, id string) dumped {
	t.Helper()
	var b bytes.Buffer
	if err := r.Dump(t.Context(), id, replay.Query{}, &b); err != nil {
		t.Fatal(err)
	}
	in, err := dump.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	d := dumped{header: *in.Header(), records: map[dump.FrameType][]record.Record{}}
	for {
		f, err := in.Next()
		if err == io.EOF {
			return d
		}
		if err != nil {
			t.Fatal(err)
		}
		for raw := range f.Records() {
			var rec record.Record
			if err := record.Parse(bytes.Clone(raw), &rec); err != nil {
				t.Fatal(err)
			}
			d.records[f.Type] = append(d.records[f.Type], rec)
		}
		for task := range f.Tasks() {
			d.tasks = append(d.tasks, *task)
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within 60 s", what)
}

// From the first call: containers are started back to back under containerd, and
// each one's recording has the execve of its entrypoint with its arguments, its
// name and its exit code. None is missing, none is mixed up.
func TestTwoHundredContainers(t *testing.T) {
	const containers, parallel = 200, 4
	srv := testcontainerd.Start(t, testcontainerd.Config{})
	r := testRecorder(t, Config{
		Watch:      []string{"/" + srv.Namespace},
		Containerd: containerd.Config{Addresses: []string{srv.Address}, Interval: time.Second},
	})
	type made struct {
		id   string
		args []string
		code int
	}
	next, results := make(chan int), make(chan made, containers)
	for range parallel {
		go func() {
			for i := range next {
				m := made{code: i % 120, args: []string{"/bin/sh", "-c", fmt.Sprintf("exit %d", i%120), fmt.Sprintf("number-%d", i)}}
				c, err := srv.RunContext(srv.Context(context.WithoutCancel(t.Context())), testcontainerd.Options{Args: m.args, Labels: map[string]string{"nerdctl/name": fmt.Sprintf("n%d", i)}})
				if err != nil {
					t.Errorf("container %d: %v", i, err)
					results <- made{}
					continue
				}
				m.id = c.ID
				results <- m
			}
		}()
	}
	go func() {
		for i := range containers {
			next <- i
		}
		close(next)
	}()
	want := map[string]made{}
	for range containers {
		if m := <-results; m.id != "" {
			want[m.id] = m
		}
	}
	byID := map[string]api.Recording{}
	eventually(t, "all recordings have ended and are named", func() bool {
		list, err := r.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		clear(byID)
		for _, rec := range list {
			if rec.Exit != nil && rec.Container.Image != "" {
				byID[rec.Container.ID] = rec
			}
		}
		return len(byID) >= len(want)
	})
	for id, m := range want {
		rec, ok := byID[id]
		if !ok {
			t.Errorf("container %s (%v) has no recording", id, m.args)
			continue
		}
		if !slices.Equal(rec.Container.Command, m.args) {
			t.Errorf("container %s: its command is %q, want %q", id, rec.Container.Command, m.args)
		}
		if rec.Exit.Code != m.code || rec.Exit.Signal != "" || rec.Exit.Source != "kernel" {
			t.Errorf("container %s: it ended with %+v, want code %d", id, rec.Exit, m.code)
		}
		if want := "n" + strings.TrimPrefix(m.args[3], "number-"); rec.Container.Name != want {
			t.Errorf("container %s: its name is %s, want %s", id, rec.Container.Name, want)
		}
		d := dumpOf(t, r, rec.ID)
		var execs int
		for _, x := range d.records[dump.FrameGuard] {
			if x.Type != layout.RecExec {
				continue
			}
			for _, it := range x.Items {
				if it.Kind == layout.ItemArgv && string(it.Data) == strings.Join(m.args, "\x00")+"\x00" {
					execs++
				}
			}
		}
		if execs != 1 {
			t.Errorf("container %s: the execve of %q is there %d times", id, m.args, execs)
		}
	}
	status, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A mark can fail while the pass over all tasks is preempted in the same place;
	// the next pass, or the task's exec, makes up for it, as everything above shows.
	if status.Lost.NoRing != 0 || status.Lost.Stale != 0 || status.Lost.NoStorage > containers/20 {
		t.Errorf("lost: %+v", status.Lost)
	}
}
