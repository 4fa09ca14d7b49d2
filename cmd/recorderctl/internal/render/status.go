package render

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
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
	if c := s.Configuration; c != nil {
		add("configuration", "%s", c.File)
		switch {
		case c.LastGood:
			add("  broken", "%s; the last good one is in force, from before the start", c.Error)
		case c.Error != "":
			add("  broken", "%s; the last good one is in force", c.Error)
		}
		if len(c.Ignored) > 0 {
			add("  no effect", "%s: flags on the command line win", strings.Join(c.Ignored, ", "))
		}
	}
	add("cgroups", "%s at %s", s.Cgroups.Hierarchy, s.Cgroups.Mount)
	for _, root := range s.Cgroups.Watched {
		add("  watched", "%s", root)
	}
	if !slices.ContainsFunc(s.Runtimes, func(rt api.RuntimeInfo) bool { return rt.Name != "kubernetes" }) {
		add("runtime", "none: there is no socket of containerd where recorderd looks for it (--containerd)")
	}
	for _, rt := range s.Runtimes {
		switch {
		case rt.Connected && rt.Error != "": // as when a right is missing
			add("runtime", "%s %s at %s, %d containers, but: %s", rt.Name, rt.Version, rt.Address, rt.Containers, rt.Error)
		case rt.Connected:
			add("runtime", "%s %s at %s, %d containers", rt.Name, rt.Version, rt.Address, rt.Containers)
		case rt.Error != "":
			add("runtime", "%s at %s does not answer: %s", rt.Name, rt.Address, rt.Error)
		default:
			add("runtime", "%s at %s does not answer", rt.Name, rt.Address)
		}
	}
	add("recordings", "%d live, %d ended", s.Rings.Live, s.Rings.Ended+s.Rings.Kept)
	m := &s.Memory
	add("memory", "%s of %s: live %s, ended %s, spare %s (%d rings of %s)", Bytes(s.Rings.Bytes), Bytes(s.Rings.Budget),
		Bytes(m.Live), Bytes(m.Ended+m.Kept), Bytes(m.Spare), s.Rings.Spare, Bytes(s.Rings.Size))
	add("  besides", "tables %s, recorderd %s resident", Bytes(m.Maps), Bytes(m.Daemon))
	rows = append(rows, spooled(&s.Spool)...)
	add("records", "%.0f a second, %d written, %d overwritten", s.RecordingRate, s.Calls.Written, s.Calls.Overwritten)
	add("incomplete", "%d cut at a limit, %d with unreadable memory, %d muted", s.Calls.Cut, s.Calls.Fault, s.Calls.Muted)
	rows = append(rows, lost(s)...)
	rows = append(rows, seen(s)...)
	rows = append(rows, costs(s.Cost)...)
	return table(w, rows, 0)
}

func spooled(s *api.SpoolStatus) [][]string {
	if s.Dir == "" {
		return [][]string{{"spool", "none: dumps are not kept on disk"}}
	}
	rows := [][]string{{"spool", fmt.Sprintf("%d dumps, %s of %s in %s", s.Files, Bytes(s.Bytes), Bytes(s.Limit), s.Dir)}}
	for _, part := range []struct {
		name string
		by   map[string]uint64
	}{{"  refused", s.Refused}, {"  removed", s.Removed}} {
		for _, why := range slices.Sorted(maps.Keys(part.by)) {
			if n := part.by[why]; n > 0 {
				rows = append(rows, []string{part.name, fmt.Sprintf("%d: %s", n, why)})
			}
		}
	}
	if s.Waiting > 0 {
		rows = append(rows, []string{"  waiting", fmt.Sprintf("%d dumps are not written yet", s.Waiting)})
	}
	if s.Error != "" {
		rows = append(rows, []string{"  error", s.Error})
	}
	return rows
}

// costs says what the programs take, dearest first.
func costs(c *api.CostStatus) [][]string {
	if c == nil || c.Seconds <= 0 {
		return nil
	}
	names := slices.SortedFunc(maps.Keys(c.Programs), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.Programs[b].Ns, c.Programs[a].Ns), cmp.Compare(a, b))
	})
	var all uint64
	var rows [][]string
	for _, name := range names {
		p := c.Programs[name]
		all += p.Ns
		if p.Runs > 0 {
			rows = append(rows, []string{"  " + name, fmt.Sprintf("%.0f runs a second, %.0f ns each", float64(p.Runs)/c.Seconds, float64(p.Ns)/float64(p.Runs))})
		}
	}
	share := float64(all) / 1e9 / c.Seconds / float64(max(c.CPUs, 1)) * 100
	return append([][]string{{"cost", fmt.Sprintf("%.2f%% of %d CPUs over %.1f s", share, c.CPUs, c.Seconds)}}, rows...)
}

// Statuses writes a line for each node.
func Statuses(w io.Writer, sts []api.Status, now time.Time) error {
	rows := [][]string{{"NODE", "VERSION", "KERNEL", "UP", "LIVE", "ENDED", "MEMORY", "BUDGET", "RECORDS/S", "LOST"}}
	for i := range sts {
		s := &sts[i]
		what := "nothing"
		if l := lost(s); len(l) > 1 || l[0][1] != what {
			what = l[0][1]
			if len(l) > 1 {
				what += ", and more"
			}
		}
		rows = append(rows, []string{
			s.Node, s.Version, s.Kernel, age(s.Started, now), strconv.Itoa(s.Rings.Live), strconv.Itoa(s.Rings.Ended + s.Rings.Kept),
			Bytes(s.Rings.Bytes), Bytes(s.Rings.Budget), fmt.Sprintf("%.0f", s.RecordingRate), what,
		})
	}
	return table(w, rows, 0)
}

// lost says what was not recorded as it should have been, the gravest first.
func lost(s *api.Status) [][]string {
	var parts []string
	add := func(n uint64, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	l := &s.Lost
	add(l.Unrecorded, "containers are not recorded now: no ring is free")
	for _, c := range api.NodeCounters {
		if c.Lost {
			add(*c.Of(s), c.Text)
		}
	}
	add(l.Evicted, "ended recordings were dropped for memory")
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

// seen says what else the programs counted, of which nothing was lost.
func seen(s *api.Status) [][]string {
	var rows [][]string
	for _, c := range api.NodeCounters {
		if n := *c.Of(s); n > 0 && !c.Lost {
			rows = append(rows, []string{"seen", fmt.Sprintf("%d %s", n, c.Text)})
		}
	}
	return rows
}
