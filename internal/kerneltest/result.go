package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

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
	verified map[string]int
	end      bool
}

var passLine = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (\w+)`)

func parse(console []byte) *result {
	r := &result{verified: map[string]int{}}
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
		if f := strings.Fields(line); len(f) == 3 && f[0] == "verified" {
			r.verified[f[1]], _ = strconv.Atoi(f[2])
		}
		switch {
		case line == "end":
			r.end = true
		case strings.HasPrefix(line, "linux "):
			r.linux = line[len("linux "):]
		case strings.HasPrefix(line, "FAIL "):
			r.failed = append(r.failed, line)
		case strings.HasPrefix(line, "recorderd says: "):
			r.said = append(r.said, strings.TrimPrefix(line, "recorderd says: "))
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
		return errors.New("the machine went off before the tests were done")
	case refused:
		if len(r.said) != 1 || !strings.Contains(r.said[0], "this kernel cannot record system calls: Linux ") {
			return fmt.Errorf("recorderd said %q, want one line that says what is missing", r.said)
		}
		return nil
	case len(r.recorded) != 2:
		return fmt.Errorf("recorded with cgroups %q only, want v2 and v1", r.recorded)
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
	return fmt.Sprintf("%s: %d tests passed, recorded with cgroups %s", r.linux, len(r.passed), strings.Join(r.recorded, " and "))
}

func tail(b []byte, n int) []byte {
	lines := bytes.SplitAfter(b, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], nil)
}

// table is the one in docs/kernels.md: instructions that the verifier went
// through, by kernel and program.
type table map[string]map[string]int

const (
	tableBegin = "<!-- written by make kernels: begin -->\n"
	tableEnd   = "<!-- end -->\n"
	growth     = 1.10 // kernels of one version differ between packages, too
)

func readTable(path string) (table, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, rest, ok := strings.Cut(string(text), tableBegin)
	rest, _, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return nil, fmt.Errorf("%s has no table of verified instructions", path)
	}
	t := table{}
	var kernels []string
	for i, line := range strings.Split(strings.TrimSpace(rest), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		switch {
		case i == 0:
			kernels = cells[1:]
			for _, k := range kernels {
				t[k] = map[string]int{}
			}
		case i > 1 && len(cells) == len(kernels)+1:
			for j, cell := range cells[1:] {
				if n, err := strconv.Atoi(strings.TrimSpace(cell)); err == nil {
					t[kernels[j]][strings.Trim(cells[0], "` ")] = n
				}
			}
		}
	}
	return t, nil
}

// compare tells of programs that have grown on this kernel. A kernel that is not
// in the table has nothing to compare with.
func (t table) compare(kernel string, got map[string]int) error {
	var errs []error
	for name, n := range got {
		if was, ok := t[kernel][name]; ok && float64(n) > growth*float64(was) {
			errs = append(errs, fmt.Errorf("%s takes the verifier %d instructions, it was %d: see what has grown, then make kernels KERNELTEST=-update", name, n, was))
		}
	}
	return errors.Join(errs...)
}

func (t table) set(kernel string, verified map[string]int) {
	if len(verified) > 0 {
		t[kernel] = verified
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
				cell = strconv.Itoa(n)
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	b.WriteString(tableEnd + after)
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
