package replay

import (
	"bytes"
	"slices"

	"github.com/recorderd/recorderd/recorder/layout"
)

// Comm is a thread's name as the kernel has it, filled up with NULs.
type Comm [layout.CommLen]byte

// Bytes returns the name without its NULs. It may hold anything.
func (c *Comm) Bytes() []byte {
	if i := bytes.IndexByte(c[:], 0); i >= 0 {
		return c[:i]
	}
	return c[:]
}

func (c *Comm) set(name []byte) {
	*c = Comm{}
	copy(c[:len(c)-1], name) // the kernel cuts at 15, too
}

// Task is a thread.
type Task struct {
	// Info is the thread's row in the dump. Without one, it holds nothing but the
	// host's Tid.
	Info  layout.TaskInfo
	Known bool // there is a row
}

// InContainer reports whether the ids that the container sees are known.
func (t *Task) InContainer() bool { return t.Known && t.Info.NsTid != 0 && t.Info.NsTgid != 0 }

// IDs returns process and thread id as the container sees them, or the host's if
// host is true or the container's are not known. pid is 0 if there is none.
func (t *Task) IDs(host bool) (pid, tid uint32) {
	if host || !t.InContainer() {
		return t.Info.Tgid, t.Info.Tid
	}
	return t.Info.NsTgid, t.Info.NsTid
}

func (t *Task) covers(time uint64) bool {
	return t.Info.Start <= time && (t.Info.End == 0 || time <= t.Info.End)
}

// Limits of what is remembered of a dump that has more threads than any container.
const (
	maxTasks   = 1 << 18
	maxThreads = 1 << 17
	maxReuse   = 64   // of one id
	maxChanges = 4096 // of one thread's name, among the records at hand
)

// table knows who a thread id was at which time: the kernel uses ids again.
type table struct {
	rows    map[uint32][]*Task // by host thread id
	n       int
	swept   int // n when forget last looked
	version int // counts changes
	lost    uint64
}

// add takes a row. batch: the rows that arrived together, so far.
func (t *table) add(info *layout.TaskInfo, batch map[*Task]bool) {
	rows := t.rows[info.Tid]
	for _, old := range rows {
		if old.Info.Start != info.Start {
			continue
		}
		// An execve by another thread gives it the id and the start time of its
		// process's leader, whose own row says that it ended. Of rows that arrive
		// together the one that lives on counts, or ended last.
		if batch[old] && info.End != 0 && (old.Info.End == 0 || old.Info.End > info.End) {
			return
		}
		if !batch[old] && old.Info.End > info.End && info.End != 0 {
			return
		}
		if old.Info != *info {
			old.Info = *info
			t.version++
		}
		batch[old] = true
		return
	}
	if t.n >= maxTasks {
		t.lost++
		return
	}
	if len(rows) >= maxReuse {
		rows = slices.Delete(rows, 0, 1)
		t.n--
		t.lost++
	}
	row := &Task{Info: *info, Known: true}
	t.rows[info.Tid] = append(rows, row)
	t.n++
	t.version++
	batch[row] = true
}

// at returns the row of a thread that lived at a time, nil if there is none.
func (t *table) at(tid uint32, time uint64) *Task {
	var best *Task
	for _, row := range t.rows[tid] {
		if row.covers(time) && (best == nil || row.Info.Start > best.Info.Start) {
			best = row
		}
	}
	return best
}

// forget drops the rows of threads that ended before a time, if there are many.
func (t *table) forget(before uint64) {
	if t.n < maxTasks/2 || t.n-t.swept < maxTasks/16 {
		return
	}
	for tid, rows := range t.rows {
		kept := rows[:0]
		for _, row := range rows {
			if row.Info.End == 0 || row.Info.End >= before {
				kept = append(kept, row)
			}
		}
		t.n -= len(rows) - len(kept)
		if len(kept) == 0 {
			delete(t.rows, tid)
		} else {
			clear(rows[len(kept):])
			t.rows[tid] = kept
		}
	}
	t.swept = t.n
}

// changes are the times at which threads get other names, sorted, by host thread id.
type changes map[uint32][]uint64

func (c changes) add(tid uint32, time uint64) {
	times := c[tid]
	if len(times) >= maxChanges || len(times) == 0 && len(c) >= maxThreads {
		return
	}
	i := len(times)
	if i > 0 && times[i-1] > time {
		i, _ = slices.BinarySearch(times, time)
	}
	c[tid] = slices.Insert(times, i, time)
}

// next returns the time of the first change from a time on, 0 if there is none.
func (c changes) next(tid uint32, time uint64) uint64 {
	times := c[tid]
	if i, _ := slices.BinarySearch(times, time); i < len(times) {
		return times[i]
	}
	return 0
}
