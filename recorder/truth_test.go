package recorder

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
)

// aside is a recorder that records cgroups below one of its own, and nothing else.
type aside struct {
	*Recorder
	root string
	bin  string
	n    int
}

func newAside(t *testing.T, source string, cfg Config) *aside {
	t.Helper()
	a := &aside{root: testRoot(t), bin: filepath.Join(t.TempDir(), "program")}
	compile(t, filepath.Join("testdata", source), a.bin, "-static", "-O0", "-pthread")
	cfg.Watch, cfg.OnlyWatched, cfg.Hierarchy = []string{"/" + filepath.Base(a.root)}, true, "v2"
	a.Recorder = testRecorder(t, cfg)
	return a
}

// run lets the program run in a new container to its end, and returns its recording and
// what it wrote.
func (a *aside) run(t *testing.T, args ...string) (api.Recording, string) {
	t.Helper()
	a.n++
	name := fmt.Sprintf("c%d", a.n)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, a.bin, args...)
	startIn(t, filepath.Join(a.root, name), cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	ended := func(rec *api.Recording) bool { return rec.Tasks.Live == 0 }
	return recordingOf(t, a.Recorder, name, "the recording of "+name, ended), string(out)
}

// calls are the lines of a recording that match, without time and thread.
func (a *aside) calls(t *testing.T, id, match string) []string {
	t.Helper()
	return regexp.MustCompile(match).FindAllString(text(t, a.Recorder, id, replay.Query{Fds: true}), -1)
}

// A process whose last thread is one that the kernel made for io_uring has ended with its
// status, and not vanished; its recording says what it cannot show.
func TestEndsWithAKernelThread(t *testing.T) {
	a := newAside(t, "sqpoll.c", Config{})
	file := filepath.Join(t.TempDir(), "written")
	for range 20 {
		rec, _ := a.run(t, file)
		eventually(t, "its end", func() bool {
			list, err := a.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range list {
				if r.ID == rec.ID {
					rec = r
				}
			}
			return rec.Exit != nil
		})
		if rec.Exit.Code != 0 || rec.Exit.Signal != "" || rec.Exit.Source != "kernel" {
			t.Errorf("it ended with %+v, want 0", rec.Exit)
		}
		report := reportOf(t, a.Recorder, rec.ID)
		if !slices.ContainsFunc(report.Signs.Items, func(s postmortem.Sign) bool { return s.Kind == "io-uring" }) ||
			!slices.Contains(report.Lacks, "what was done through io_uring") {
			t.Errorf("signs %+v, lacks %q: want io_uring named", report.Signs, report.Lacks)
		}
	}
	rec, _ := a.run(t, file, "without a kernel thread")
	if lacks := reportOf(t, a.Recorder, rec.ID).Lacks; !slices.Contains(lacks, "what was done through io_uring, 1 request at least") {
		t.Errorf("it lacks %q: want the request through io_uring", lacks)
	}
}

func reportOf(t *testing.T, r *Recorder, id string) *postmortem.Report {
	t.Helper()
	var raw bytes.Buffer
	if err := r.Dump(t.Context(), id, replay.Query{}, &raw); err != nil {
		t.Fatal(err)
	}
	in, err := dump.NewReader(&raw)
	if err != nil {
		t.Fatal(err)
	}
	report, err := postmortem.Build(in, postmortem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// The child of clone3 shows the arguments that its parent passed, and not what the parent
// has made of its stack since; what the process has open stays known.
func TestChildOfClone3(t *testing.T) {
	a := newAside(t, "threadborn.c", Config{RingSize: 1 << 20})
	file := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		rec, _ := a.run(t, file)
		lines := a.calls(t, rec.ID, `clone3\(.* = 0\b`)
		if len(lines) != 101 {
			t.Fatalf("%d children: %q", len(lines), lines)
		}
		for _, line := range lines[1:] { // the first's parent is not in the container
			if !strings.HasPrefix(line, "clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|") {
				t.Fatalf("the child shows %s", line)
			}
		}
		demand(t, text(t, a.Recorder, rec.ID, replay.Query{Fds: true}), "read(3<"+file+">")
	}
}

// A call that has put its output where its input was does not show the one as the other.
func TestOverwrittenInput(t *testing.T) {
	a := newAside(t, "overwritten.c", Config{})
	dir := t.TempDir()
	link, to := filepath.Join(dir, "link"), filepath.Join(dir, "a-long-name-of-a-file")
	if err := os.WriteFile(to, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, link); err != nil {
		t.Fatal(err)
	}
	rec, _ := a.run(t, link, to)
	got := a.calls(t, rec.ID, `(readlink|newfstatat|statfs|rt_sigprocmask)\(.* = \S+`)
	want := []string{
		`readlink\(0x\w+, "` + to + `", 4096\)`,
		`readlink\("` + link + `", "` + to + `", 4096\)`,
		`readlink\(0x\w+, "` + to + `", 4096\)`,
		`newfstatat\(AT_FDCWD\S*, 0x\w+, \{st_mode=`,
		`newfstatat\(AT_FDCWD\S*, "` + to + `", \{st_mode=`,
		`newfstatat\(AT_FDCWD\S*, "/nonexistent/file", 0x\w+, 0\) = -1`,
		`statfs\(0x\w+, \{f_type=`,
		`rt_sigprocmask\(SIG_BLOCK, \[USR1\], \[\], 8\)`, // of this one the input is read when the call begins
		`rt_sigprocmask\(SIG_BLOCK, \[USR1\], \[USR1\], 8\)`,
	}
	at := 0
	for _, line := range got {
		if at < len(want) && regexp.MustCompile(want[at]).MatchString(line) {
			at++
		}
	}
	if at < len(want) {
		t.Errorf("no line is like %s:\n%s", want[at], strings.Join(got, "\n"))
	}
}

// Where nothing has touched the page of a name, because seccomp or a notifier answered, the
// line says so: an address alone would look like a bad pointer.
func TestAnsweredBeforeItWasRead(t *testing.T) {
	a := newAside(t, "answered.c", Config{})
	file := filepath.Join(t.TempDir(), "path")
	if err := os.WriteFile(file, append([]byte("/secret/of/a/file\x00"), make([]byte, 4096)...), 0o600); err != nil {
		t.Fatal(err)
	}
	rec, _ := a.run(t, file)
	dumped := text(t, a.Recorder, rec.ID, replay.Query{})
	for _, want := range []string{
		`openat\(AT_FDCWD, "/in/memory", O_RDONLY\|O_SYNC\) += -1 EPERM`,
		`openat\(AT_FDCWD, 0x\w+ /\* page not in memory \*/, O_RDONLY\|O_SYNC\) += -1 EPERM`,
		`openat\(AT_FDCWD, 0x\w+ /\* page not in memory \*/, O_RDONLY\|O_DSYNC\) += -1 EACCES`,
		`openat\(AT_FDCWD, 0x10, O_RDONLY\) += -1 EFAULT`,
	} {
		if !regexp.MustCompile(want).MatchString(dumped) {
			t.Errorf("no line is like %s:\n%s", want, strings.Join(a.calls(t, rec.ID, `openat.*`), "\n"))
		}
	}
}

// Standard output is what somebody listens to. A database whose file has the number of it
// is not.
func TestWhatStandardOutputIs(t *testing.T) {
	says := []string{"pipe", "fifo", "pty", "pair", "journal"}
	others := []string{"database", "null", "memfd", "unix", "tcp"}
	yes := true
	for _, tc := range []struct {
		name  string
		cfg   Config
		shown []string
	}{
		{"by default", Config{}, says},
		{"with files", Config{Policy: policy.Policy{Base: policy.Settings{CaptureStdioFiles: &yes}}}, slices.Concat(says, others)},
		{"with all contents", Config{CaptureData: 64}, slices.Concat(says, others)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAside(t, "contents.c", tc.cfg)
			rec, _ := a.run(t, t.TempDir())
			dumped := text(t, a.Recorder, rec.ID, replay.Query{})
			for _, what := range slices.Concat(says, others) {
				want := 0
				if slices.Contains(tc.shown, what) {
					want = 2 // write, writev
				}
				if n := strings.Count(dumped, `"contents-`+what+`-end"`); n != want {
					t.Errorf("what was written to a %s is shown %d times, want %d", what, n, want)
				}
			}
		})
	}
}
