package postmortem

import (
	"strconv"
	"strings"

	"github.com/recorderd/recorderd/recorder/replay"
)

// The figures of memory are the kernel's own, when the OOM killer chose. What a process reserves
// says nothing of what it uses.

// full reports whether a container was at its limit of memory.
func full(u *replay.Usage) bool {
	return u.MemoryMax != 0 && u.Memory >= u.MemoryMax-u.MemoryMax/16
}

// usedUp says what memory was used up when the OOM killer chose a process, beginning with a
// space or comma; "" if it is not known.
func (p *proc) usedUp() string {
	u := p.usage
	switch {
	case u == nil || u.Memory == 0:
		return ""
	case full(u):
		return " at a limit of " + size(u.MemoryMax) + " of memory (" + size(u.Memory) + " were used)"
	case u.MemoryMax != 0:
		return ", as the node or a cgroup around it had no memory left (of its limit of " + size(u.MemoryMax) +
			" " + size(u.Memory) + " were used)"
	}
	return ", as the node had no memory left (it has no limit)"
}

// share says how much of that the process had, beginning with a comma.
func (p *proc) share() string {
	u := p.usage
	if u == nil || u.Memory == 0 || u.Anon+u.Shmem == 0 {
		return ""
	}
	v := ", which had " + size(u.Anon+u.Shmem) + " of it"
	if full(u) && u.Anon+u.Shmem < u.Memory/2 {
		v += "; the rest is of other processes, or files in memory such as in /dev/shm"
	}
	return v
}

// used says what a container used, with its limits.
func used(u *replay.Usage) string {
	var parts []string
	// A memory cgroup without a limit may hold more than the container.
	if u != nil && u.Memory != 0 && u.MemoryMax != 0 {
		parts = append(parts, size(u.Memory)+" of "+size(u.MemoryMax)+" of memory")
	}
	if u != nil && u.PidsMax != 0 {
		parts = append(parts, itoa(u.Pids)+" of "+itoa(u.PidsMax)+" processes and threads")
	}
	return strings.Join(parts, ", ")
}

// size shows bytes with one decimal, if they are no whole number.
func size(n uint64) string {
	v, unit := float64(n)/(1<<20), " MiB"
	if v >= 1024 {
		v, unit = v/1024, " GiB"
	}
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + unit
}
