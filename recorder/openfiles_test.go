package recorder

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/recorder/dump"
)

func TestReadOpenFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a file")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	before := monotonic()
	o, err := readOpenFiles("/proc", uint32(os.Getpid()), 7, &openLeft{1000, 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if o.Tgid != uint32(os.Getpid()) || o.Start != 7 || o.From < before || o.To < o.From || o.To > monotonic() {
		t.Errorf("process %d that began at %d, read from %d to %d", o.Tgid, o.Start, o.From, o.To)
	}
	got := map[int32]dump.OpenFD{}
	for _, fd := range o.Fds {
		got[fd.Num] = fd
	}
	if fd := got[int32(f.Fd())]; fd.Link != name || !fd.Cloexec {
		t.Errorf("%+v, want %s, closed on exec", fd, name)
	}
	if fd := got[int32(r.Fd())]; len(fd.Link) < 7 || fd.Link[:6] != "pipe:[" {
		t.Errorf("%+v, want a pipe", fd)
	}
	if wd, _ := os.Getwd(); o.Cwd != wd {
		t.Errorf("in %s, want %s", o.Cwd, wd)
	}
	if _, err := readOpenFiles("/proc", 1<<30, 0, &openLeft{1000, 1 << 20}); err == nil {
		t.Error("a process that is not there has open files")
	}
}

// TestOpenFilesAreLimited catches a container whose processes have so much open that
// reading it takes the daemon's memory, or its time.
func TestOpenFilesAreLimited(t *testing.T) {
	proc := t.TempDir()
	dir := filepath.Join(proc, "1")
	for _, sub := range []string{"fd", "fdinfo", "task/1"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "fdinfo/0"), []byte("pos:\t0\nflags:\t02100000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const each = 1000
	long := "/" + strings.Repeat("long/", 800)
	for i := range each {
		if err := os.Symlink(long, filepath.Join(dir, "fd", strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if err := os.Symlink("0", filepath.Join(dir, "fdinfo", strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	processes := map[uint32]process{}
	for tgid := range uint32(200) {
		processes[tgid+1] = process{threads: 1}
		if tgid > 0 {
			if err := os.Symlink("1", filepath.Join(proc, strconv.Itoa(int(tgid+1)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, read := readAllOpen(proc, processes)
	bytes := 0
	for _, o := range files {
		for _, fd := range o.Fds {
			bytes += len(fd.Link)
		}
	}
	if len(files) == 0 || files[0].Tgid != 1 || len(files[0].Fds) == 0 {
		t.Error("not even the first process was read")
	}
	if read > mostOpen || bytes > mostOpenBytes+len(long) {
		t.Errorf("%d descriptors with %d bytes of names, of %d processes: want at most %d and %d", read, bytes, len(files), mostOpen, mostOpenBytes)
	}
}

// TestOpenFilesOfTheNewborn catches a new container whose open files are read late, or
// never, because somebody asked for a list before the recorder looked.
func TestOpenFilesOfTheNewborn(t *testing.T) {
	sweep(t)
	h, err := FindHierarchy("auto")
	if err != nil {
		t.Fatal(err)
	}
	c := cgroups{t: t, path: fmt.Sprintf("/recorderd-newborn-%d", os.Getpid())}
	c.dir = filepath.Join(h.Mount, c.path)
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, "remove "+c.dir, func() bool { return os.Remove(c.dir) == nil }) })
	// Nobody runs it: the looks are this test's.
	r, err := New(Config{
		PinDir: fmt.Sprintf("/sys/fs/bpf/recorderd-coretest-%d-%d", os.Getpid(), testNumber.Add(1)), Clean: true, Hierarchy: "auto", OnlyWatched: true,
		Watch: []string{c.path}, RingSize: 64 << 10, MemoryBudget: 8 << 20, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	r.look(t.Context(), true)
	run := c.container("a")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run("sleep", "4")
	}()
	defer func() { <-ended }()
	id := c.recording(r, "a").ID // by a list
	time.Sleep(newbornEvery)
	r.look(t.Context(), false)
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.recs[id].opened; len(o.files) == 0 {
		t.Errorf("what it has open is %+v, read at %d", o.files, o.at)
	}
}
