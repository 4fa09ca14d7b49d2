package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// minimumDecoded is what the programs of recorder/testdata/must make at least, which
// are fewer on architectures without the old calls.
const minimumDecoded = 300

type version struct{ major, minor int }

func (v version) before(w version) bool {
	return v.major < w.major || v.major == w.major && v.minor < w.minor
}

func parseVersion(s string) (v version, err error) {
	_, err = fmt.Sscanf(s, "%d.%d", &v.major, &v.minor)
	return v, err
}

// result is what a machine's console tells.
type result struct {
	linux    string
	passed   []string
	said     []string // by recorderd, where it has to refuse
	failed   []string
	recorded []string
	without  int // what was taken away, and recorderd said so
	decoded  int // calls shown as they must be
	times    []string
	sizes    map[string]size
	end      bool
}

var passLine = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (\w+)`)

func parse(console []byte) *result {
	r := &result{sizes: map[string]size{}}
	for line := range strings.Lines(string(console)) {
		line = strings.TrimRight(line, "\r\n")
		if m := passLine.FindStringSubmatch(line); m != nil {
			if m[1] == "PASS" {
				r.passed = append(r.passed, m[2])
			} else {
				r.failed = append(r.failed, line)
			}
		}
		_, line, ok := strings.Cut(line, "kerneltest: ")
		if !ok {
			continue
		}
		var name string
		var n size
		if f, _ := fmt.Sscanf(line, "size %s %d %d %d %d", &name, &n.verified, &n.bytes, &n.stack, &n.ms); f == 5 {
			r.sizes[name] = n
		}
		fmt.Sscanf(line, "decoded %d calls", &r.decoded)
		switch {
		case line == "end":
			r.end = true
		case strings.HasPrefix(line, "linux "):
			r.linux = line[len("linux "):]
		case strings.HasPrefix(line, "FAIL "):
			r.failed = append(r.failed, line)
		case strings.HasPrefix(line, "took "):
			r.times = append(r.times, strings.TrimPrefix(line, "took "))
		case strings.HasPrefix(line, "recorderd says: "):
			r.said = append(r.said, strings.TrimPrefix(line, "recorderd says: "))
		case strings.HasPrefix(line, "refused without "):
			r.without++
		case strings.HasPrefix(line, "recorded with cgroups "):
			r.recorded = append(r.recorded, strings.TrimPrefix(line, "recorded with cgroups "))
		}
	}
	return r
}

// check demands that everything was run and passed.
func (r *result) check(want []string, refused bool) error {
	switch {
	case r.linux == "":
		return errors.New("/init has printed nothing")
	case len(r.failed) > 0:
		return fmt.Errorf("failed: %s", strings.Join(r.failed, "; "))
	case !r.end:
		return fmt.Errorf("the machine went off before the tests were done: %d of %d had passed", len(r.passed), len(want))
	case refused:
		if len(r.said) != 1 || !strings.Contains(r.said[0], "this kernel cannot record system calls: Linux ") {
			return fmt.Errorf("recorderd said %q, want one line that says what is missing", r.said)
		}
		return nil
	case len(r.sizes) == 0:
		return errors.New("the sizes of the programs are missing")
	case len(r.recorded) != 3:
		return fmt.Errorf("recorded with cgroups %q only, want v2 beside v1, v1, and v2 alone", r.recorded)
	case r.without != 2:
		return fmt.Errorf("%d times said what is missing, want 2", r.without)
	case r.decoded < minimumDecoded:
		return fmt.Errorf("%d calls were shown as they must be, want at least %d", r.decoded, minimumDecoded)
	}
	for _, name := range want {
		if !slices.Contains(r.passed, name) {
			return fmt.Errorf("%s did not pass: %d of %d tests did", name, len(r.passed), len(want))
		}
	}
	return nil
}

func (r *result) summary() string {
	if len(r.said) > 0 {
		return fmt.Sprintf("%s: refused: %s", r.linux, r.said[0])
	}
	return fmt.Sprintf("%s: %d tests passed, recorded with cgroups %s, %d calls shown as they must be; %s", r.linux, len(r.passed), strings.Join(r.recorded, ", "), r.decoded, strings.Join(r.times, ", "))
}

func tail(b []byte, n int) []byte {
	lines := bytes.SplitAfter(b, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], nil)
}

// size is what the verifier makes of a program.
type size struct {
	verified int // instructions it went through
	bytes    int // of the program as it runs, before the compiler
	stack    int // bytes, of the main function
	ms       int // that the verifier took, in an emulated machine: to look at, not to compare
}

func (n size) String() string {
	return fmt.Sprintf("%d / %d / %d / %d", n.verified, n.bytes, n.stack, n.ms)
}

// grown tells which of the numbers has become larger than the margin allows.
func (n size) grown(was size) string {
	for _, c := range []struct {
		what     string
		now, was int
	}{{"instructions of the verifier", n.verified, was.verified}, {"bytes", n.bytes, was.bytes}, {"bytes of stack", n.stack, was.stack}} {
		// 0: that kernel did not tell.
		if c.was > 0 && float64(c.now) > growth*float64(c.was)+slack {
			return fmt.Sprintf("%d %s, it was %d", c.now, c.what, c.was)
		}
	}
	return ""
}

// table is the one in docs/kernels.md: sizes by kernel and program.
type table map[string]map[string]size

const (
	tableBegin = "<!-- written by make kernels: begin -->\n"
	tableEnd   = "<!-- end -->\n"
	// Kernels of one version differ between packages, too; and of a program of 50
	// instructions a tenth is nothing.
	growth = 1.10
	slack  = 64
)

func readTable(path string) (table, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, rest, ok := strings.Cut(string(text), tableBegin)
	rest, _, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return nil, fmt.Errorf("%s has no table of sizes", path)
	}
	t := table{}
	var kernels []string
	for i, line := range strings.Split(strings.TrimSpace(rest), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		switch {
		case i == 0:
			kernels = cells[1:]
			for _, k := range kernels {
				t[k] = map[string]size{}
			}
		case i > 1 && len(cells) == len(kernels)+1:
			for j, cell := range cells[1:] {
				var n size
				if f, _ := fmt.Sscanf(cell, "%d / %d / %d / %d", &n.verified, &n.bytes, &n.stack, &n.ms); f >= 3 {
					t[kernels[j]][strings.Trim(cells[0], "` ")] = n
				}
			}
		}
	}
	return t, nil
}

// kind is what follows the version in a kernel's name: flavour, architecture.
func kind(name string) string { return strings.TrimLeft(name, "0123456789.") }

// like is the kernel to compare with: the same, or the newest one before it of the
// same kind. "": there is none.
func (t table) like(kernel string) string {
	v, _ := parseVersion(kernel)
	best, at := "", version{}
	for k := range t {
		if w, _ := parseVersion(k); kind(k) == kind(kernel) && !v.before(w) && !w.before(at) {
			best, at = k, w
		}
	}
	return best
}

// compare tells of programs that have grown on this kernel. A kernel that is newer
// than the table's is compared with the newest of them.
func (t table) compare(kernel string, got map[string]size) error {
	var errs []error
	like := t.like(kernel)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		was, ok := t[like][name]
		if !ok {
			continue
		}
		if how := got[name].grown(was); how != "" {
			errs = append(errs, fmt.Errorf("%s takes %s on %s: see what has grown, then make kernels KERNELTEST=-update", name, how, like))
		}
	}
	return errors.Join(errs...)
}

func (t table) set(kernel string, sizes map[string]size) {
	if len(sizes) > 0 {
		t[kernel] = sizes
	}
}

func (t table) write(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, _ := strings.Cut(string(text), tableBegin)
	_, after, _ := strings.Cut(rest, tableEnd)
	kernels := slices.SortedFunc(maps.Keys(t), func(a, b string) int {
		v, _ := parseVersion(a)
		w, _ := parseVersion(b)
		if v == w {
			return strings.Compare(a, b)
		}
		if v.before(w) {
			return -1
		}
		return 1
	})
	programs := map[string]bool{}
	for _, sizes := range t {
		for name := range sizes {
			programs[name] = true
		}
	}
	var b strings.Builder
	b.WriteString(before + tableBegin)
	fmt.Fprintf(&b, "| program | %s |\n|---%s|\n", strings.Join(kernels, " | "), strings.Repeat("|---:", len(kernels)))
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		fmt.Fprintf(&b, "| `%s` |", name)
		for _, k := range kernels {
			cell := "-"
			if n, ok := t[k][name]; ok {
				cell = n.String()
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	b.WriteString(tableEnd + after)
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
