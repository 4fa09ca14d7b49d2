package recorder

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/recorderd/recorderd/internal/must"
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
		Args:   []string{"/bin/sh", "-c", must.Script("/must")},
		Mounts: []specs.Mount{{Type: "bind", Source: dir, Destination: "/must", Options: []string{"rbind", "ro"}}},
	})
	rec := only(t, r, c.ID, ended)
	if rec.Exit.Code != 0 {
		t.Fatalf("it ended with %d:\n%.2000s", rec.Exit.Code, c.Output(t))
	}
	dumped := text(t, r, rec.ID, replay.Query{Format: replay.FormatStrace})
	asJSON := callsOf(t, text(t, r, rec.ID, replay.Query{Format: replay.FormatJSON}))
	programs, err := must.Parse(c.Output(t))
	if err != nil || len(programs) != len(sources) {
		t.Fatalf("%d programs spoke, want %d: %v", len(programs), len(sources), err)
	}
	compare := func(t *testing.T, p must.Program, trace string) {
		t.Helper()
		lines, err := must.Marked(trace, p.Pid)
		if err == nil {
			err = must.Compare(p.Lines, lines)
		}
		if err != nil {
			t.Error(err)
		}
	}
	for _, p := range programs {
		t.Run(p.Name, func(t *testing.T) {
			compare(t, p, dumped)
			compareJSON(t, p, asJSON[p.Pid])
			if straceIs61(t) {
				p, theirs := underStrace(t, filepath.Join(dir, p.Name))
				compare(t, p, theirs)
			}
		})
	}
}

// callsOf returns the lines of JSON about calls that have ended, by process.
func callsOf(t *testing.T, dumped string) map[string][]string {
	t.Helper()
	calls := map[string][]string{}
	for line := range strings.Lines(dumped) {
		var of struct {
			Type, State string
			Pid         int
		}
		if err := json.Unmarshal([]byte(line), &of); err != nil {
			t.Fatal(err)
		}
		if of.Type == "call" && of.State == "" {
			calls[strconv.Itoa(of.Pid)] = append(calls[strconv.Itoa(of.Pid)], line)
		}
	}
	return calls
}

// compareJSON demands that each line that must be shown can be made from the JSON.
func compareJSON(t *testing.T, p must.Program, calls []string) {
	t.Helper()
	for len(calls) > 0 && !strings.Contains(calls[0], `"/must-begin"`) {
		calls = calls[1:]
	}
	if len(calls) == 0 {
		t.Fatal("JSON has none of its calls")
	}
	calls = calls[1:]
	compared := 0
	for _, line := range p.Lines {
		if !finishedCall.MatchString(line) {
			continue // a signal, or what has not ended
		}
		if len(calls) == 0 {
			t.Fatalf("JSON ends before %s", line)
		}
		if err := must.SameAsJSON(line, []byte(calls[0])); err != nil {
			t.Error(err)
		}
		calls = calls[1:]
		compared++
	}
	if compared < 8 {
		t.Errorf("only %d calls were compared with JSON", compared)
	}
}

var finishedCall = regexp.MustCompile(`^\w+\(.*\) += `)

func straceIs61(t *testing.T) bool {
	t.Helper()
	out, err := exec.Command("strace", "-V").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(string(out), "strace -- version 6.1\n")
}

// underStrace returns what strace shows of a program, and what the program says.
func underStrace(t *testing.T, bin string) (p must.Program, trace string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "strace")
	out, err := exec.Command("timeout", "60", "strace", "-f", "-ttt", "-T", "-o", file, bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, said, _ := strings.Cut(string(out), "@")
	if p, err = must.ParseOne(said); err != nil {
		t.Fatal(err)
	}
	return p, string(b)
}
