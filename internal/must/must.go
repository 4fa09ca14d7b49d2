// Package must compares what the programs of recorder/testdata/must say with what is
// shown of them. Such a program makes calls between two marks and says of each the line
// that has to be shown for it, as strace would; see must.h there.
package must

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A Program is what one of them has said.
type Program struct {
	Name  string
	Pid   string   // as it sees itself
	Lines []string // that must be shown, as they stand behind pid and time
}

// Script is for /bin/sh: it runs all programs of a directory, so that Parse can tell them apart.
func Script(dir string) string {
	return `for p in ` + dir + `/*; do echo "= ${p##*/}"; $p; done`
}

// Parse reads the output of Script. A program that died in the middle is an error.
func Parse(out string) ([]Program, error) {
	var all []Program
	for _, part := range strings.Split("\n"+strings.TrimSuffix(out, "\n"), "\n= ")[1:] {
		name, said, ok := strings.Cut(part, "\n@")
		if !ok {
			return nil, fmt.Errorf("program %.100q said nothing", name)
		}
		p, err := ParseOne(said + "\n")
		if err != nil {
			return nil, fmt.Errorf("program %s: %w", name, err)
		}
		p.Name = name
		all = append(all, p)
	}
	return all, nil
}

// ParseOne reads what one program says, from its pid on: a line with that, then two
// for each call, the second empty for what is none.
func ParseOne(said string) (Program, error) {
	all := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
	p := Program{Pid: all[0]}
	if len(all) < 20 || len(all)%2 != 1 {
		return p, fmt.Errorf("it says %d lines", len(all))
	}
	// strace's = stands in column 40 of the line, or one blank behind the call.
	const column, times = 39, len("1700000000.000000 ")
	before := max(len(p.Pid), 5) + 1 + times
	for i := 1; i < len(all); i += 2 {
		if all[i+1] == "" { // no call
			p.Lines = append(p.Lines, all[i])
			continue
		}
		p.Lines = append(p.Lines, fmt.Sprintf("%-*s = %s", max(column-before, 0), all[i]+")", all[i+1]))
	}
	return p, nil
}

var timesAside = regexp.MustCompile(`^(\d+) +\d+\.\d{6} (.*?)(?: <\d+\.\d{6}>)?$`)

// Marked returns a process's lines between its marks, from strace's output or ours,
// without pid and times.
func Marked(trace, pid string) ([]string, error) {
	var lines []string
	inside, begun := false, ""
	for line := range strings.Lines(trace) {
		m := timesAside.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		switch {
		case m == nil || m[1] != pid:
		case strings.HasPrefix(m[2], `chdir("/must-begin")`):
			inside = true
		case strings.HasPrefix(m[2], `chdir("/must-end")`):
			return lines, nil
		case inside && strings.HasSuffix(m[2], " <unfinished ...>"):
			begun = strings.TrimSuffix(m[2], " <unfinished ...>") // another process was shown in between
		case inside && begun != "":
			_, rest, _ := strings.Cut(m[2], " resumed>")
			lines, begun = append(lines, begun+rest), ""
		case inside:
			lines = append(lines, m[2])
		}
	}
	if !inside {
		return nil, fmt.Errorf("process %s is not in the trace", pid)
	}
	return nil, fmt.Errorf("process %s is not in the trace to its end, but for %d lines", pid, len(lines))
}

// Compare returns an error for each line that is not as it must be, thirty at most.
func Compare(want, got []string) error {
	var errs []error
	for i := range max(len(want), len(got)) {
		w, g := "(nothing)", "(nothing)"
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g && len(errs) < 30 {
			errs = append(errs, fmt.Errorf("line %d\n must %s\n is   %s", i, w, g))
		}
	}
	return errors.Join(errs...)
}
