package replay

import (
	"encoding/binary"

	"github.com/recorderd/recorderd/recorder/layout"
)

// Usage is what a container and a process of it used, by the kernel's own figures, in bytes and
// processes: when the kernel sent it a SIGKILL, as the OOM killer does, and when the first process
// ended. Of the cgroups around the process it is the one that was nearest to its limit.
type Usage struct {
	// Without a limit it is of the memory cgroup that the process was in, which may hold more than
	// the container: where cgroup v1 and v2 are mixed, or a command has no cgroup of its own there.
	Memory    uint64 `json:"memory,omitempty"`
	MemoryMax uint64 `json:"memoryMax,omitempty"` // 0: there is no limit
	// What the process has of it in memory by mappings: its own pages, those of files, and shared
	// ones; and what is in swap. The kernel sums these up lazily: some MiB may be missing.
	Anon  uint64 `json:"anon,omitempty"`
	File  uint64 `json:"file,omitempty"`
	Shmem uint64 `json:"shmem,omitempty"`
	Swap  uint64 `json:"swap,omitempty"`

	Pids    uint64 `json:"pids,omitempty"`
	PidsMax uint64 `json:"pidsMax,omitempty"`
}

// Usage returns what a record says of it, nil if it says nothing.
func (ev *Event) Usage() *Usage {
	arg := uint8(0) // of an exit
	if ev.Kind == KindSent {
		arg = 3
	}
	if ev.Kind != KindExit && ev.Kind != KindSent {
		return nil
	}
	for _, it := range ev.Rec.Items {
		if it.Arg != arg || it.Kind != layout.ItemMem || len(it.Data) < layout.SizeofUsage {
			continue
		}
		at := func(i int) uint64 { return binary.LittleEndian.Uint64(it.Data[8*i:]) }
		return &Usage{
			Memory: at(0), MemoryMax: at(1), Anon: at(2), File: at(3), Shmem: at(4), Swap: at(5), Pids: at(6), PidsMax: at(7),
		}
	}
	return nil
}
