package bpf

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// ProgramSize is what the verifier makes of a program.
type ProgramSize struct {
	Name     string
	Verified int           // instructions that the verifier went through; 0 where it does not tell (before 5.16)
	Bytes    int           // of the program as it runs, before it is compiled to machine code
	Stack    int           // bytes of stack that its main function takes
	Time     time.Duration // that the verifier took; 0 where it does not tell
}

// The main function's comes first; since 7.x each function has a line of its own.
var stackLine = regexp.MustCompile(`(?m)^(?:stack depth |subprog 0 .* stack )(\d+)`)

var timeLine = regexp.MustCompile(`(?m)^verification time (\d+) usec`)

// ProgramSizes loads all programs for this kernel, attaches none, and tells their
// sizes, by name. Nothing is left loaded.
func ProgramSizes() ([]ProgramSize, error) {
	if err := Supported(); err != nil {
		return nil, err
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise RLIMIT_MEMLOCK: %w", err)
	}
	cfg := Config{Ring: record.NewGeometry(layout.RingMin, layout.RingMin, layout.RingMin)}
	spec, err := cfg.spec()
	if err != nil {
		return nil, err
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats}})
	if err != nil {
		return nil, fmt.Errorf("load programs: %w", err)
	}
	defer coll.Close()
	var sizes []ProgramSize
	for name, p := range coll.Programs {
		if strings.HasSuffix(name, second) {
			continue // as large as its first
		}
		info, err := p.Info()
		if err != nil {
			return nil, fmt.Errorf("ask for %s: %w", name, err)
		}
		s := ProgramSize{Name: name}
		if n, ok := info.VerifiedInstructions(); ok {
			s.Verified = int(n)
		}
		if n, err := info.TranslatedSize(); err == nil {
			s.Bytes = n
		}
		if m := stackLine.FindStringSubmatch(p.VerifierLog); m != nil {
			s.Stack, _ = strconv.Atoi(m[1])
		}
		if m := timeLine.FindStringSubmatch(p.VerifierLog); m != nil {
			s.Time, _ = time.ParseDuration(m[1] + "us")
		}
		sizes = append(sizes, s)
	}
	slices.SortFunc(sizes, func(a, b ProgramSize) int { return strings.Compare(a.Name, b.Name) })
	return sizes, nil
}
