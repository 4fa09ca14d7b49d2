package recorder

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
)

// How many descriptors are read of a process, and of all processes of a recording with
// how many bytes of names: a container can have any number of them.
const (
	maxOpenFiles  = 4096
	mostOpen      = 8192
	mostOpenBytes = 1 << 20
)

// readOpenFiles reads what the descriptors and the working directory of a process
// are, from proc, which is "/proc". tgid is the host's, start the process's as in its
// TaskInfo. All its threads must be recorded already: the decoder takes it that every
// later change is in the ring.
//
// It gives what it can: a process that has ended has nothing, descriptors that come
// and go meanwhile may be missing, and so are those beyond what is left. The time that it
// took is in the result, and the decoder believes nothing that a call changed within.
// err says that the process is gone.
func readOpenFiles(proc string, tgid uint32, start uint64, left *openLeft) (dump.OpenFiles, error) {
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
		if left.none() {
			break
		}
		left.fds-- // read or not, it takes its time
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
		left.bytes -= len(link)
	}
	if cwd, err := os.Readlink(filepath.Join(dir, "cwd")); err == nil {
		o.Cwd = cwd
		left.bytes -= len(cwd)
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

// openLeft is what may still be read of a recording: descriptors, and bytes of names.
type openLeft struct{ fds, bytes int }

func (l *openLeft) none() bool { return l.fds <= 0 || l.bytes <= 0 }

// process is one of a recording's, as the iterator has shown it.
type process struct {
	start   uint64
	threads int
}

// readAllOpen reads what the processes of a recording have open, by their host's ids, as
// much of it as may be, and how many descriptors were looked at.
func readAllOpen(proc string, processes map[uint32]process) (files []dump.OpenFiles, read int) {
	left := openLeft{mostOpen, mostOpenBytes}
	for _, tgid := range slices.Sorted(maps.Keys(processes)) { // the first ones tell most
		if left.none() {
			break
		}
		left.fds-- // a process without any takes its time, too
		p := processes[tgid]
		// The decoder believes that it sees all changes from here on: each thread is to be recorded.
		threads, err := os.ReadDir(filepath.Join(proc, strconv.FormatUint(uint64(tgid), 10), "task"))
		if err != nil || len(threads) != p.threads {
			continue
		}
		if o, err := readOpenFiles(proc, tgid, p.start, &left); err == nil {
			files = append(files, o)
		}
	}
	return files, mostOpen - left.fds
}

// readOpened reads what processes have open, of recordings of which that is not
// known, or was read before all that is in the ring by now. tasks are all that are
// traced, from a pass of the iterator.
func (r *Recorder) readOpened(tasks []layout.TaskDump) {
	bySlot := map[uint32]map[uint32]process{}
	for i := range tasks {
		t := &tasks[i]
		if bySlot[t.Slot] == nil {
			bySlot[t.Slot] = map[uint32]process{}
		}
		p := bySlot[t.Slot][t.Info.Tgid]
		p.threads++
		if t.Info.Tid == t.Info.Tgid {
			p.start = t.Info.Start
		}
		bySlot[t.Slot][t.Info.Tgid] = p
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
			due = rec.view.Scan().From > last.at
		}
		r.mu.Unlock()
		if !due {
			continue
		}
		if budget <= 0 {
			r.newborn = true // at the next pass
			return
		}
		files, read := readAllOpen("/proc", processes)
		budget -= read
		r.mu.Lock()
		if rec.kept == nil { // else it has been put together meanwhile
			rec.opened = opened{at: now, files: files}
		}
		r.mu.Unlock()
	}
}
