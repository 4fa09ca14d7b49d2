package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/recorderd/recorderd/recorder/dump"
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
