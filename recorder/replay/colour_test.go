package replay

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/record"
)

// testDumps are the dumps of this package's tests, and recordings of real programs.
func testDumps(t *testing.T) map[string][]byte {
	t.Helper()
	dumps := map[string][]byte{"story": story(t), "descriptors": fdStory(t), "holed": holed(t), "large": large(t, 600), "hostile": hostile(t)}
	read := func(name string, in io.Reader) {
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		dumps[filepath.Base(name)] = b
	}
	real, err := os.Open("testdata/real.rec")
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	read("real", real)
	packed, _ := filepath.Glob("../postmortem/testdata/*.rec.gz")
	if len(packed) < 10 {
		t.Fatalf("%d recordings of real programs", len(packed))
	}
	for _, name := range packed {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		read(name, z)
	}
	return dumps
}

// evil is what must not reach a terminal: sequences that begin with ESC and with the
// one byte CSI (raw, and as UTF-8), line ends, a bell, and an override of direction.
const evil = "\x1b[31mred\x1b[0m\x1b]0;title\a\x9b2J\u009b2J\r\n\b\u202e) = -1 ENOENT <unfinished ...>"

// hostile is a dump in which all that a container or a foreign file can choose is evil.
func hostile(t testing.TB) []byte {
	h := testHeader()
	r := &h.Recording
	r.ID, r.Container.ID, r.Container.Name, r.Container.Image, r.Container.Cgroup = evil, evil, evil, evil, evil
	r.Container.Command, r.Pod.Name, r.Node, r.Container.Runtime = []string{"sh", evil}, evil, evil, evil
	r.State = "live" + evil
	h.Version, h.Kernel, h.Node, h.Arch = evil, evil, evil, record.ArchX86_64
	b := newBuilder(t, h)
	b.task(1, 1, 1, 1, 0, 0, "\x1b[31mred\r\n", "\x9b2J\u009b2J")
	b.call(1, "openat", 10, 1, 3, atCwd, 1, "/"+evil, 0)
	b.call(1, "openat", 20, 1, -2, atCwd, 1, evil, 0)
	b.call(1, "read", 30, 1, 5, 3, 1, data(evil), 100) // from what has that name
	b.call(1, "dup", 40, 1, 4, 3)
	b.call(1, "write", 50, 1, -5, 3, 1, data(evil), 100)
	b.rename(1, 60, "\x1b]0;x\a\u202e")
	b.enter(1, "execve", 70, 0x1000, evil, 0x2000, []string{evil, evil}, 0x3000, count(1))
	b.exec(1, 1, 75, evil, evil+"\x00")
	b.call(1, "execve", 70, 10, 0)
	b.signal(1, 90, 11, 1)
	b.check(b.w.Damage(&dump.Damage{Text: evil}))
	b.exit(1, 1, 100, 9, true, "read", 95)
	b.lane = dump.FrameProgress
	b.enter(1, "openat", 110, atCwd, 1, evil, 0)
	return b.done()
}

// colours are the escape sequences that there may be.
var colours = regexp.MustCompile("\x1b\\[(0|2|31|32|33|36|1;33)m")

// checkColour holds text with colours against the same without.
func checkColour(t *testing.T, in []byte, q Query) (coloured string) {
	t.Helper()
	var without, with bytes.Buffer
	_, errWithout := run(&without, in, Options{Query: q})
	_, errWith := run(&with, in, Options{Query: q, Colour: true})
	if (errWithout == nil) != (errWith == nil) {
		t.Fatalf("%v without colours, %v with them", errWithout, errWith)
	}
	coloured = with.String()
	if diff := cmp.Diff(without.String(), colours.ReplaceAllString(coloured, "")); diff != "" {
		t.Fatalf("colours change the text (-without +with, stripped):\n%s", diff)
	}
	if !utf8.Valid(without.Bytes()) {
		t.Fatalf("no UTF-8: %q", without.String())
	}
	for i, r := range without.String() {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("%U in text: …%q", r, without.String()[max(0, i-40):i+1])
		}
	}
	for line := range strings.Lines(coloured) {
		if all := colours.FindAllString(line, -1); len(all) > 0 && all[len(all)-1] != plain {
			t.Fatalf("a colour goes on behind its line: %q", line)
		}
	}
	return coloured
}

// Colours add nothing but themselves, and nothing but them is an escape sequence.
func TestColoursOnly(t *testing.T) {
	for name, in := range testDumps(t) {
		for _, q := range []string{"", "decode-fds", "time=none&durations=false", "host-pids&last=5", "follow", "failed", "e=none"} {
			t.Run(name+" "+q, func(t *testing.T) {
				if text := checkColour(t, in, query(t, q)); !strings.Contains(text, dim) {
					t.Error("no colours")
				}
			})
		}
		for _, q := range []string{"format=strace", "format=json", "format=chrome", "summary=call", "summary=thread", "format=json&decode-fds", "format=json&summary=thread", "format=chrome&decode-fds"} {
			text := show(t, in, Options{Query: query(t, q), Colour: true})
			if strings.IndexFunc(text, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) >= 0 {
				t.Errorf("%s: control characters in %s", name, q)
			}
		}
	}
}

// What has which colour.
func TestColours(t *testing.T) {
	b := newBuilder(t, testHeader())
	b.task(1, 1, 1, 1, 0, 0, "sh", "sh")
	b.task(2, 2, 2, 2, 0, 0, "sh", "sh")
	b.task(3, 3, 3, 3, 0, 0, "sh", "sh")
	b.call(1, "getpid", 10, 1, 1)
	b.call(1, "openat", 20, 1, -2, atCwd, 1, "/a = -1 b(", 0)
	b.call(1, "pause", 30, 1, -514)
	b.signal(1, 40, 15, 0)
	b.check(b.w.Damage(&dump.Damage{Text: "a hole"}))
	b.exit(1, 1, 50, 0, true, "", 0)
	b.exit(2, 2, 60, 3<<8, true, "", 0)
	b.exit(3, 3, 70, 9, true, "read", 65)
	b.lane = dump.FrameProgress
	b.enter(4, "openat", 80, atCwd, 1, "x <unfinished ...>", 0)
	in := b.done()
	want := []string{
		"{cyan getpid}() = 1{dim  <0.000001>}",
		`{cyan openat}(AT_FDCWD, "/a = -1 b(", O_RDONLY) {red = -1 ENOENT (No such file or directory)}{dim  <0.000001>}`,
		"{cyan pause}() {dim = ? ERESTARTNOHAND (To be restarted if no handler)}{dim  <0.000001>}",
		"{signalled --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER} ---}",
		"{yellow # … a hole …}",
		"{green +++ exited with 0 +++}",
		"{red +++ exited with 3 +++}",
		"{cyan read}({dim  <unfinished ...>}) = ?{dim  <0.000005>}",
		"{red +++ killed by SIGKILL +++}",
		"{dim # … in progress when the dump was taken …}",
		`{cyan openat}(AT_FDCWD, "x <unfinished ...>", O_RDONLY{dim  <unfinished ...>}{dim  <blocked for 9.999920>}`,
	}
	legible := strings.NewReplacer(dim, "{dim ", red, "{red ", green, "{green ", yellow, "{yellow ", cyan, "{cyan ", signalled, "{signalled ", plain, "}")
	var got []string
	for line := range strings.Lines(show(t, in, Options{Query: query(t, "time=none"), Quiet: true, Colour: true})) {
		line = strings.TrimSuffix(line, "\n")
		if who := regexp.MustCompile(`^\x1b\[2m\[(host )?[pt]id [^]]*] +\x1b\[0m`).FindString(line); who != "" {
			line = line[len(who):]
		} else if !strings.Contains(line, "# …") {
			t.Errorf("who it was is not dim: %q", line)
		}
		line = strings.TrimSuffix(line, plain)
		if open := strings.Count(line, "\x1b[") - 2*strings.Count(line, plain); open > 0 {
			line += plain
		}
		got = append(got, legible.Replace(line))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func BenchmarkColour(b *testing.B) {
	const n = 200000
	in := large(b, n)
	for b.Loop() {
		if _, err := run(io.Discard, in, Options{Colour: true}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
