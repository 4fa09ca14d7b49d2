package postmortem

import (
	"path"
	"strings"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
)

// sentence says what failed, and where it is known what that means.
func (f *failure) sentence() string {
	if f.said != "" {
		return f.said
	}
	return f.short + " failed with " + errnoName(f.errno)
}

// limits are what an error of these calls means, where that is not what its name says.
var limits = map[string]map[int]string{
	"clone": noProcesses, "clone3": noProcesses, "fork": noProcesses, "vfork": noProcesses,
	"mlock": noLocked, "mlock2": noLocked, "mlockall": noLocked, "munlock": noLocked,
	"inotify_add_watch": {eNOSPC: "the limit of inotify watches is reached " +
		"(fs.inotify.max_user_watches)"},
	"inotify_init":  noInotify,
	"inotify_init1": noInotify,
	"epoll_ctl": {eNOSPC: "the limit of epoll watches is reached " +
		"(fs.epoll.max_user_watches)"},
	"io_setup":        {eAGAIN: "the limit of asynchronous I/O is reached (fs.aio-max-nr)"},
	"timer_create":    {eAGAIN: "the limit of pending signals is reached (RLIMIT_SIGPENDING)"},
	"setuid":          {eAGAIN: "the user's limit of processes is reached (RLIMIT_NPROC)"},
	"perf_event_open": {eMFILE: "the limit of descriptors is reached"},
	"shmget": {eNOSPC: "the limit of shared memory is reached (kernel.shmmni, " +
		"kernel.shmall)"},
	"semget":             {eNOSPC: "the limit of semaphores is reached (kernel.sem)"},
	"msgget":             {eNOSPC: "the limit of message queues is reached (kernel.msgmni)"},
	"fanotify_init":      {eMFILE: "the limit of fanotify groups is reached"},
	"userfaultfd":        {eMFILE: "the limit of descriptors is reached"},
	"io_uring_setup":     {eNOMEM: "the limit of locked memory may be reached (RLIMIT_MEMLOCK)"},
	"sched_setscheduler": {ePERM: "the priority is beyond its limit (RLIMIT_RTPRIO)"},
}

var (
	noProcesses = map[int]string{eAGAIN: "the limit of processes and threads is reached " +
		"(pids.max, RLIMIT_NPROC, threads-max)"}
	noLocked = map[int]string{
		eNOMEM: "the limit of locked memory is reached (RLIMIT_MEMLOCK)",
		ePERM:  "it may lock no memory (RLIMIT_MEMLOCK)",
		eAGAIN: "the limit of locked memory is reached (RLIMIT_MEMLOCK)",
	}
	noInotify = map[int]string{eMFILE: "the limit of inotify instances, or of descriptors, is " +
		"reached (fs.inotify.max_user_instances, RLIMIT_NOFILE)"}
)

// limit is the limit that a failure says is reached, "" if it says nothing of one.
func (f *failure) limit() string { return limits[f.call][f.errno] }

const heldElsewhere = "somebody else holds the lock"

// meaning is what a failure means in plain words, "" if its call and error are plain.
func (f *failure) meaning(ev *replay.Event) string {
	failed := f.short + " failed with " + errnoName(f.errno)
	if what := f.limit(); what != "" {
		return failed + ": " + what
	}
	if ev.AsksForLock() && (f.errno == eAGAIN || f.errno == eACCES) {
		return failed + ": " + heldElsewhere
	}
	if f.call != "connect" && !ofSocket(f.file) || f.file == "" || strings.HasPrefix(f.file, `"`) &&
		f.errno != eCONNREFUSED {
		return ""
	}
	switch f.errno {
	case eCONNREFUSED:
		if f.call != "connect" {
			return f.file + " refused what was sent (ECONNREFUSED)"
		}
		return "connect to " + f.file + " was refused"
	case eCONNRESET:
		return f.file + " reset the connection (" + f.call + ": ECONNRESET)"
	case ePIPE:
		return f.file + " had closed the connection (" + f.call + ": EPIPE)"
	case eTIMEDOUT:
		if f.call != "connect" {
			return f.file + " did not answer any more (" + f.call + ": ETIMEDOUT)"
		}
		return "connect to " + f.file + " had no answer (ETIMEDOUT)"
	case eHOSTUNREACH, eNETUNREACH:
		return f.file + " cannot be reached (" + f.call + ": " + errnoName(f.errno) + ")"
	}
	if f.call == "connect" {
		return "connect to " + f.file + " failed with " + errnoName(f.errno)
	}
	return ""
}

// ofSocket reports whether what a descriptor is open on is the address of a peer.
func ofSocket(about string) bool {
	return about != "" && !strings.HasPrefix(about, "/") && strings.Contains(about, ":")
}

// writes reports whether a call wants to change a file or a directory.
func writes(ev *replay.Event, name string) bool {
	switch name {
	case "open", "openat", "openat2", "creat":
		return opensToWrite(ev, name)
	case "mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink",
		"symlinkat", "mknod", "mknodat", "truncate", "truncate64",
		"chmod", "fchmodat", "chown", "fchownat", "lchown":
		return true
	}
	return false
}

// tried takes a call that succeeded: what failed before in the same way was a search, or
// was tried again.
func (b *builder) tried(ev *replay.Event, p *proc, name string) {
	if !retried(name) {
		return
	}
	for _, f := range p.fails {
		if f.call != name || f.found != "" || f.peer {
			continue
		}
		rec := &ev.Rec
		again := false
		switch name {
		case "clone", "clone3", "fork", "vfork", "inotify_add_watch", "socket", "bind", "mlock",
			"mlock2", "mlockall", "timer_create", "io_setup", "listen":
			again = name != "bind" || strings.Contains(f.file,
				":") == strings.Contains(ev.Address(), ":")
		case "setrlimit":
			again = f.arg == rec.Args[0]
		case "prlimit64":
			again = rec.Args[2] != 0 && hasItem(ev, 2)
		case "mmap", "mmap2", "mremap", "shmget":
			again = rec.Args[1] >= f.size/2
		case "flock", "fcntl", "fcntl64":
			again = f.arg == rec.Args[0] && ev.AsksForLock()
		case "mkdir", "mkdirat", "rename", "renameat", "unlink", "unlinkat", "open", "openat",
			"openat2", "creat":
			again = f.errno != eNOENT && f.file == ev.Path()
			if !again && writes(ev, name) && f.write { // such as places for temporary files
				again = path.Base(f.file) == path.Base(ev.Path())
			}
		}
		if again {
			b.wasSearch(f, "it worked later")
		}
	}
}

// retried reports whether tried knows a call.
func retried(name string) bool {
	switch name {
	case "clone", "clone3", "fork", "vfork", "inotify_add_watch", "socket", "bind", "mlock",
		"mlock2", "mlockall", "timer_create", "io_setup", "listen", "setrlimit", "prlimit64",
		"mmap", "mmap2", "mremap", "shmget", "flock", "fcntl", "fcntl64", "mkdir", "mkdirat",
		"rename", "renameat", "unlink", "unlinkat", "open", "openat", "openat2", "creat":
		return true
	}
	return false
}

func hasItem(ev *replay.Event, arg uint8) bool {
	for _, it := range ev.Rec.Items {
		if it.Arg == arg && it.Kind == layout.ItemMem {
			return true
		}
	}
	return false
}

// wasSearch notes that a failure had no consequences.
func (b *builder) wasSearch(f *failure, found string) {
	if k := b.kinds[kindKey{f.call, f.errno}]; k != nil && f.weight >= everydayWeight {
		k.telling -= min(k.telling, f.count)
	}
	f.found = found
	f.weight *= .03
}

// recovered notes that a peer answered that did not before.
func (b *builder) recovered(p *proc, address string) {
	if p == nil {
		return
	}
	for _, f := range p.fails {
		if f.file == address && f.found == "" && (f.peer || f.call == "connect") {
			b.wasSearch(f, "it answered later")
		}
	}
}
