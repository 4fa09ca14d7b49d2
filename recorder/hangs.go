package recorder

import (
	"cmp"
	"fmt"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

const (
	// HangAfter is how long all threads of a container must have been in calls for it to hang.
	HangAfter = time.Minute
	// lockedAfter is how long all must have been in futex, where nobody can wake another. Idle
	// runtimes wake one of theirs at least every minute (Go's sysmon), or have one that waits for
	// something else.
	lockedAfter = 2 * time.Minute
)

// blockedAfter is how long a thread must have been in such a call for it to be blocked.
const blockedAfter = time.Second

// hang is what a live container hangs in.
type hang struct {
	text  string
	since time.Duration // for so long at least
}

// stuckCalls are calls that do not wait by design: a thread that has been in one of them for long
// waits for a disk, a server, or somebody else's lock.
var stuckCalls = map[string]bool{
	"open": true, "openat": true, "openat2": true, "creat": true, "stat": true, "lstat": true, "newfstatat": true, "statx": true, "fstat": true,
	"statfs": true, "fstatfs": true, "access": true, "faccessat": true, "faccessat2": true, "readlink": true, "readlinkat": true,
	"getdents64": true, "mkdir": true, "mkdirat": true, "rmdir": true, "unlink": true, "unlinkat": true, "rename": true, "renameat": true,
	"renameat2": true, "link": true, "linkat": true, "symlink": true, "symlinkat": true, "truncate": true, "ftruncate": true, "fallocate": true,
	"fsync": true, "fdatasync": true, "sync": true, "syncfs": true, "msync": true, "sync_file_range": true, "pread64": true, "pwrite64": true,
	"mount": true, "umount2": true, "flock": true, "connect": true, "close": true, "exit_group": true, "chdir": true, "munmap": true,
}

// noteHangs notes which live containers hang, and how many of their threads are blocked, by a
// pass over all tasks. No ring is read for that.
func (r *Recorder) noteHangs(tasks []layout.TaskDump) {
	type state struct {
		threads int
		blocked uint64
		free    bool // a thread is in no call, or not for long
		longest uint64
		call    string
		futexes int    // threads that are in futex for long
		locked  uint64 // ns: the shortest of these
	}
	now := monotonic()
	states := map[uint32]*state{}
	for i := range tasks {
		t := &tasks[i]
		s := states[t.Slot]
		if s == nil {
			s = &state{}
			states[t.Slot] = s
		}
		s.threads++
		since := now - min(t.Enter, now)
		if t.InCall == 0 || t.Enter == 0 || since < uint64(blockedAfter) {
			s.free = true
			continue
		}
		call := syscalls.Lookup(r.native.ABI(layout.RecFlag(t.Flags)), t.Nr)
		stuck := call != nil && stuckCalls[call.Name]
		if stuck {
			s.blocked++
		}
		switch {
		case since < uint64(HangAfter):
			s.free = true
		case stuck && since > s.longest:
			s.longest, s.call = since, call.Name
		case call != nil && call.Name == "futex" && since >= uint64(lockedAfter):
			s.futexes++
			s.locked = min(cmp.Or(s.locked, since), since)
		}
	}
	hangs, blocked := map[uint32]hang{}, map[uint32]uint64{}
	for slot, s := range states {
		if s.blocked > 0 {
			blocked[slot] = s.blocked
		}
		if !s.free && s.futexes == s.threads {
			text := fmt.Sprintf("hanging: in futex for %s", time.Duration(s.locked).Round(time.Second))
			if s.threads > 1 {
				text = fmt.Sprintf("hanging: all %d threads have been in futex for %s or longer", s.threads, time.Duration(s.locked).Round(time.Second))
			}
			hangs[slot] = hang{text + ": none is left to wake another", time.Duration(s.locked)}
			continue
		}
		if s.free || s.call == "" {
			continue
		}
		text := fmt.Sprintf("hanging: in %s for %s", s.call, time.Duration(s.longest).Round(time.Second))
		if s.threads > 1 {
			text += fmt.Sprintf("; all %d threads have been in calls for %s or longer", s.threads, HangAfter)
		}
		hangs[slot] = hang{text, time.Duration(s.longest)}
	}
	r.mu.Lock()
	r.hangs, r.blocked = hangs, blocked
	r.mu.Unlock()
}

// verdictLocked is the verdict on a recording, nil if there is none yet. r.mu is held.
func (r *Recorder) verdictLocked(rec *recording) *api.Verdict {
	if rec.kept != nil || rec.ended {
		return rec.judged.verdict
	}
	v := &api.Verdict{Text: "running", How: string(postmortem.Running), Cause: postmortem.CauseRunning, Rules: postmortem.RulesVersion}
	if hang, ok := r.hangs[rec.slot]; ok {
		v.Text, v.Cause = hang.text, postmortem.CauseHanging
	}
	return v
}
