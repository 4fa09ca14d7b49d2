package recorder

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
)

// loud runs testdata/loud.c in a container of its own and returns its recording.
func loud(t *testing.T, r *Recorder, root, bin string, args ...string) api.Recording {
	t.Helper()
	name := strings.Join(args, "-")
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard // pipes: what goes to /dev/null is not captured
	startIn(t, filepath.Join(root, name), cmd)
	if cmd.Run(); cmd.ProcessState.ExitCode() != 3 {
		t.Fatalf("%v ended with %v, want 3", args, cmd.ProcessState)
	}
	return recordingOf(t, r, name, "its end", func(rec *api.Recording) bool { return rec.Exit != nil })
}

// verdict is what show says of a recording, and lastWords the last line of its output.
func verdict(t *testing.T, r *Recorder, id string) (text, lastLine string) {
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
	if n := len(report.Output.Items); n > 0 {
		lastLine = report.Output.Items[n-1].Text
	}
	return report.Verdict, lastLine
}

func guardTest(t *testing.T) (r *Recorder, root, bin string) {
	t.Helper()
	bin = filepath.Join(t.TempDir(), "loud")
	compile(t, "testdata/loud.c", bin, "-O1", "-pthread", "-w")
	root = testRoot(t)
	return testRecorder(t, Config{RingSize: 1 << 20, Watch: []string{"/" + filepath.Base(root)}, OnlyWatched: true, Hierarchy: "v2"}), root, bin
}

// TestTheLastOfAKindIsKept catches a recording whose last words and last failure are
// missing because there were many before them, and that shows old ones as the last.
func TestTheLastOfAKindIsKept(t *testing.T) {
	r, root, bin := guardTest(t)
	for _, n := range []int{100, 1000, 10_000, 100_000} {
		for _, kind := range []string{"lines", "opens"} {
			t.Run(fmt.Sprint(kind, n), func(t *testing.T) {
				rec := loud(t, r, root, bin, kind, fmt.Sprint(n))
				out := text(t, r, rec.ID, replay.Query{})
				lines := map[string][]string{
					"lines": {"line 0 of the log", fmt.Sprintf("line %d of the log", n-1)},
					"opens": {"missing-0.so", fmt.Sprintf("missing-%d.so", n-1)},
				}
				demand(t, out, append(lines[kind], `execve("`, "first words", "/etc/first.conf", `"/etc/decisive.conf", O_RDONLY) = -1 ENOENT`,
					"loud: cannot go on without /etc/decisive.conf", "+++ exited with 3 +++")...)
				said, last := verdict(t, r, rec.ID)
				if !strings.Contains(said, "/etc/decisive.conf") {
					t.Errorf("the verdict is %q", said)
				}
				if last != "loud: cannot go on without /etc/decisive.conf" {
					t.Errorf("the last line is %q", last)
				}
				apartIsRight(t, dumpOf(t, r, rec.ID), map[string]string{"lines": api.ApartStderr, "opens": api.ApartFailure}[kind], uint64(n))
			})
		}
	}
}

// apartIsRight checks what a dump says of what is kept apart, if n records of a kind and a few
// more were written.
func apartIsRight(t *testing.T, d dumped, kind string, n uint64) {
	t.Helper()
	c := &d.header.Recording.Coverage
	rows := map[string]api.Apart{}
	for _, a := range c.Apart {
		rows[a.Kind] = a
	}
	recent := rows[api.ApartRecent]
	for _, a := range c.Apart {
		// What is no longer in its own lane may still be among the recent ones.
		if a.Lost != 0 || a.Kept > a.Written || a.Kept < a.Written && a.Since == nil && recent.Kept < recent.Written {
			t.Errorf("apart: %+v, recent %+v", a, recent)
		}
	}
	// All that were to be kept are there, or counted as gone.
	ever := rows[api.ApartFirst].Written + recent.Written
	if c.Guarded != uint64(len(d.records[dump.FrameGuard])) || c.Guarded+c.GuardSkips != ever || ever < n || ever > n+100 {
		t.Errorf("%d are kept apart and %d are not, want %d together, %d and a few", c.Guarded, c.GuardSkips, ever, n)
	}
	// Of the kind, some are among the first and all others were in its own lanes.
	if a := rows[kind]; a.Written > n+20 || a.Written+rows[api.ApartFirst].Written < n {
		t.Errorf("%d of the first, and %+v: want %d", rows[api.ApartFirst].Written, a, n)
	}
	// From that time on all of the recent ones are in the dump.
	if since := recent.Since; since != nil {
		later := uint64(0)
		for _, rec := range d.records[dump.FrameGuard] {
			if !d.header.Clock.Time(rec.Time).Before(*since) {
				later++
			}
		}
		if later < recent.Kept {
			t.Errorf("%d are from %v or later, want %d or more", later, since, recent.Kept)
		}
	}
}

// TestAnAttackLeavesOtherKindsAlone catches failing calls that push out new programs, ends
// and last words.
func TestAnAttackLeavesOtherKindsAlone(t *testing.T) {
	r, root, bin := guardTest(t)
	rec := loud(t, r, root, bin, "attack")
	demand(t, text(t, r, rec.ID, replay.Query{}),
		`execve("`, `"kill -SEGV $$"`, "+++ killed by SIGSEGV", "--- SIGSEGV", "first words", "the last words before the attack", "/etc/first.conf",
		`"/etc/decisive.conf", O_RDONLY) = -1 ENOENT`, "loud: cannot go on", "+++ exited with 3 +++")
}

// TestWhoAProcessWas catches short threads, or processes, that make nobody know any more who
// another was.
func TestWhoAProcessWas(t *testing.T) {
	r, root, bin := guardTest(t)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"threads", "1000"}, []string{"who-was-it", "the-last"}},
		{[]string{"children", "3000"}, []string{"decisive"}},
	} {
		rec := loud(t, r, root, bin, c.args...)
		names := map[string]int{}
		for _, task := range dumpOf(t, r, rec.ID).tasks {
			names[string(bytes.TrimRight(task.Comm[:], "\x00"))]++
		}
		for _, name := range append(c.want, "loud") {
			if names[name] == 0 {
				t.Errorf("%v: nobody knows who %s was: %v", c.args, name, names)
			}
		}
	}
}
