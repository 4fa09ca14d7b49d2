package render

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/recorderd/recorderd/api"
)

// Status writes a status for people: what is lost only where something is.
func Status(w io.Writer, s *api.Status, now time.Time) error {
	var rows [][]string
	add := func(name, format string, args ...any) {
		rows = append(rows, []string{name, fmt.Sprintf(format, args...)})
	}

	up := age(s.Started, now)
	if s.Adopted {
		up += ", recording since an earlier daemon"
	}
	add("version", "%s", s.Version)
	add("node", "%s, Linux %s, %s", s.Node, s.Kernel, s.Arch)
	add("running for", "%s", up)
	add("cgroups", "%s at %s", s.Cgroups.Hierarchy, s.Cgroups.Mount)
	for _, root := range s.Cgroups.Watched {
		add("  watched", "%s", root)
	}
	for _, rt := range s.Runtimes {
		switch {
		case rt.Connected:
			add("runtime", "%s %s at %s, %d containers", rt.Name, rt.Version, rt.Address, rt.Containers)
		case rt.Error != "":
			add("runtime", "%s at %s does not answer: %s", rt.Name, rt.Address, rt.Error)
		default:
			add("runtime", "%s at %s does not answer", rt.Name, rt.Address)
		}
	}
	add("recordings", "%d live, %d ended", s.Rings.Live, s.Rings.Ended)
	add("memory", "%s of %s in rings of %s, %d spare", Bytes(s.Rings.Bytes), Bytes(s.Rings.Budget), Bytes(s.Rings.Size), s.Rings.Spare)
	add("records", "%.0f a second, %d written, %d overwritten", s.RecordingRate, s.Calls.Written, s.Calls.Overwritten)
	add("incomplete", "%d cut at a limit, %d with unreadable memory, %d muted", s.Calls.Cut, s.Calls.Fault, s.Calls.Muted)
	rows = append(rows, lost(&s.Lost)...)
	return table(w, rows)
}

func lost(l *api.LostStatus) [][]string {
	var parts []string
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{l.NoRing, "containers found no free ring"},
		{l.ClaimFull, "containers had no room in the map of cgroups"},
		{l.NoStorage, "tasks could not be marked at once"},
		{l.FoundLate, "tasks were found late"},
		{l.Stale, "calls came after their ring was given away"},
		{l.Evicted, "ended recordings were dropped for memory"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	for _, program := range slices.Sorted(maps.Keys(l.Missed)) {
		if n := l.Missed[program]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d runs of %s were skipped by the kernel", n, program))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing"}
	}
	var rows [][]string
	for _, p := range parts {
		rows = append(rows, []string{"lost", p})
	}
	return rows
}
