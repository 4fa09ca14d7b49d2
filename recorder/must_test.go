package recorder

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/recorderd/recorderd/internal/testcontainerd"
	"github.com/recorderd/recorderd/recorder/replay"
)

// Programs that make calls, valid and invalid, with flags known and unknown and
// pointers good, bad and at a page's end, and say beside each the line that must be
// shown for it; see testdata/must/must.h. They run in a container, and what is shown must
// be that to the byte, times aside. So that they do not say what only we believe, they run
// under strace 6.1, too.
func TestMustShow(t *testing.T) {
	sources, err := filepath.Glob("testdata/must/*.c")
	if err != nil || len(sources) < 10 {
		t.Fatalf("%d programs, %v", len(sources), err)
	}
	dir := t.TempDir()
	for _, src := range sources {
		compile(t, src, filepath.Join(dir, strings.TrimSuffix(filepath.Base(src), ".c")), "-static", "-O0", "-Wno-nonnull")
	}
	r, srv := withContainerd(t, Config{RingSize: 8 << 20, CaptureData: 512})
	c := srv.Run(t, testcontainerd.Options{
		Args:   []string{"/bin/sh", "-c", "for p in /must/*; do echo \"= ${p##*/}\"; $p; done"},
		Mounts: []specs.Mount{{Type: "bind", Source: dir, Destination: "/must", Options: []string{"rbind", "ro"}}},
	})
	rec := only(t, r, c.ID, ended)
	if rec.Exit.Code != 0 {
		t.Fatalf("it ended with %d:\n%.2000s", rec.Exit.Code, c.Output(t))
	}
	dumped := text(t, r, rec.ID, replay.Query{Format: replay.FormatStrace})
	names := 0
	for _, part := range strings.Split(c.Output(t), "= ")[:] {
		name, out, ok := strings.Cut(part, "\n@")
		if !ok {
			continue
		}
		names++
		t.Run(name, func(t *testing.T) {
			pid, want := mustLines(t, out)
			compareMust(t, want, marked(t, dumped, pid+" "))
			if bin := filepath.Join(dir, name); straceIs61(t) {
				theirs, said := underStrace(t, bin)
				_, want := mustLines(t, said)
				compareMust(t, want, theirs)
			}
		})
	}
	if names != len(sources) {
		t.Errorf("%d programs spoke, want %d", names, len(sources))
	}
}

func straceIs61(t *testing.T) bool {
	t.Helper()
	out, err := exec.Command("strace", "-V").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(string(out), "strace -- version 6.1\n")
}

// underStrace returns what strace shows of a program's marked part, and what the program says.
func underStrace(t *testing.T, bin string) (lines []string, said string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "strace")
	cmd := exec.Command("timeout", "60", "strace", "-f", "-ttt", "-T", "-o", file, bin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, said, _ = strings.Cut(string(out), "@")
	pid, _, _ := strings.Cut(said, "\n")
	return marked(t, string(b), pid+" "), said
}

// mustLines reads what a program says: its pid, and the lines as they must stand behind
// the pid and the time.
func mustLines(t *testing.T, out string) (pid string, lines []string) {
	t.Helper()
	all := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	pid = all[0]
	if len(all) < 20 || len(all)%2 != 1 {
		t.Fatalf("it says %d lines", len(all))
	}
	// strace's = stands in column 40 of the line, or one blank behind the call.
	const column, times = 39, len("1700000000.000000 ")
	before := max(len(pid), 5) + 1 + times
	for i := 1; i < len(all); i += 2 {
		call := all[i] + ")"
		lines = append(lines, fmt.Sprintf("%-*s = %s", max(column-before, 0), call, all[i+1]))
	}
	return pid, lines
}

var timesAside = regexp.MustCompile(`^(\d+) +\d+\.\d{6} (.*?)(?: <\d+\.\d{6}>)?$`)

// marked returns the lines of a process between its marks, without pid and times.
func marked(t *testing.T, trace, pid string) []string {
	t.Helper()
	var lines []string
	inside, begun := false, ""
	for line := range strings.Lines(trace) {
		m := timesAside.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		switch {
		case m == nil || m[1]+" " != pid:
		case strings.HasPrefix(m[2], `chdir("/must-begin")`):
			inside = true
		case strings.HasPrefix(m[2], `chdir("/must-end")`):
			return lines
		case inside && strings.HasSuffix(m[2], " <unfinished ...>"):
			begun = strings.TrimSuffix(m[2], " <unfinished ...>") // another process was shown in between
		case inside && begun != "":
			_, rest, _ := strings.Cut(m[2], " resumed>")
			lines, begun = append(lines, begun+rest), ""
		case inside:
			lines = append(lines, m[2])
		}
	}
	t.Fatalf("process %sis not in the trace to its end:\n%.500s", pid, trace)
	return nil
}

func compareMust(t *testing.T, want, got []string) {
	t.Helper()
	wrong := 0
	for i := range max(len(want), len(got)) {
		w, g := "(nothing)", "(nothing)"
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g {
			if wrong++; wrong < 30 {
				t.Errorf("line %d\n must %s\n is   %s", i, w, g)
			}
		}
	}
	t.Logf("%d of %d lines are as they must be", len(want)-wrong, len(want))
}
