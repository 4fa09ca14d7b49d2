package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
)

// maxOpenFiles is how many descriptors of a process are read.
const maxOpenFiles = 4096

// readOpenFiles reads what the descriptors and the working directory of a process
// are, from proc, which is "/proc". tgid is the host's, start the process's as in its
// TaskInfo. All its threads must be recorded already: the decoder takes it that every
// later change is in the ring.
//
// It gives what it can: a process that has ended has nothing, descriptors that come
// and go meanwhile may be missing. The time that it took is in the result, and the
// decoder believes nothing that a call changed within. err says that the process is gone.
func readOpenFiles(proc string, tgid uint32, start uint64) (dump.OpenFiles, error) {
	o := dump.OpenFiles{Tgid: tgid, Start: start, From: monotonic()}
	dir := filepath.Join(proc, strconv.FormatUint(uint64(tgid), 10))
	fds, err := os.Open(filepath.Join(dir, "fd"))
	if err != nil {
		return o, fmt.Errorf("read open files: %w", err)
	}
	defer fds.Close()
	names, err := fds.Readdirnames(maxOpenFiles)
	if err != nil && len(names) == 0 {
		names = nil // none are open, or it has just ended
	}
	for _, name := range names {
		num, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			continue
		}
		link, err := os.Readlink(filepath.Join(dir, "fd", name))
		if err != nil {
			continue // closed meanwhile
		}
		cloexec, ok := closesOnExec(filepath.Join(dir, "fdinfo", name))
		if !ok {
			continue
		}
		o.Fds = append(o.Fds, dump.OpenFD{Num: int32(num), Link: link, Cloexec: cloexec})
	}
	if cwd, err := os.Readlink(filepath.Join(dir, "cwd")); err == nil {
		o.Cwd = cwd
	}
	o.To = monotonic()
	return o, nil
}

// closesOnExec reads the flags of a descriptor from its fdinfo, which are octal.
func closesOnExec(path string) (cloexec, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return false, false
	}
	for line := range strings.Lines(string(b)) {
		if rest, found := strings.CutPrefix(line, "flags:"); found {
			const closeOnExec = 0o2000000
			flags, err := strconv.ParseUint(strings.TrimSpace(rest), 8, 64)
			return flags&closeOnExec != 0, err == nil
		}
	}
	return false, false
}

const (
	// openEvery is the least time between two readings of a recording's processes,
	// openBudget how many descriptors are read in one pass over the tasks: some 10 µs each.
	openEvery  = time.Minute
	openBudget = 2000
)

// opened is what the processes of a recording had open, when it was read last.
type opened struct {
	at    uint64 // ns, CLOCK_MONOTONIC; 0: never
	files []dump.OpenFiles
}

// readOpened reads what processes have open, of recordings of which that is not
// known, or was read before all that is in the ring by now. tasks are all that are
// traced, from a pass of the iterator.
func (r *Recorder) readOpened(tasks []layout.TaskDump) {
	type process struct {
		start   uint64
		threads int
	}
	bySlot := map[uint32]map[uint32]*process{}
	for i := range tasks {
		t := &tasks[i]
		if bySlot[t.Slot] == nil {
			bySlot[t.Slot] = map[uint32]*process{}
		}
		p := bySlot[t.Slot][t.Info.Tgid]
		if p == nil {
			p = &process{}
			bySlot[t.Slot][t.Info.Tgid] = p
		}
		p.threads++
		if t.Info.Tid == t.Info.Tgid {
			p.start = t.Info.Start
		}
	}
	now := monotonic()
	budget := openBudget
	for slot, processes := range bySlot {
		r.mu.Lock()
		rec := r.bySlot[slot]
		var last opened
		due := false
		if rec != nil {
			last = rec.opened
			due = last.at == 0 || now-last.at >= uint64(openEvery)
		}
		if due && last.at != 0 { // looks at the whole ring
			due = rec.view.Scan(layout.LaneMain).From > last.at
		}
		r.mu.Unlock()
		if !due {
			continue
		}
		if budget <= 0 {
			r.newborn = true // at the next pass
			return
		}
		next := opened{at: now}
		for tgid, p := range processes {
			budget--
			// The decoder believes that it sees all changes from here on: each thread is to be recorded.
			threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", tgid))
			if err != nil || len(threads) != p.threads {
				continue
			}
			if o, err := readOpenFiles("/proc", tgid, p.start); err == nil {
				next.files = append(next.files, o)
				budget -= len(o.Fds)
			}
		}
		r.mu.Lock()
		rec.opened = next
		r.mu.Unlock()
	}
}
