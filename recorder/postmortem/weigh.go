package postmortem

import (
	"path"
	"strings"

	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Weights of failed calls: below everydayWeight a failure is what healthy programs have,
// from chainWeight on it is shown before the end, from verdictWeight on it may be named
// in the verdict.
const (
	everydayWeight = 0.1
	chainWeight    = 0.25
	verdictWeight  = 0.4
)

// byErrno is how much a failure says by its error alone. Others have otherWeight.
var byErrno = map[int]float64{
	ePERM: 1.2, eNOENT: 1, eSRCH: .1, eIO: 2, eNXIO: .1, e2BIG: 2, eNOEXEC: 2, eBADF: .45,
	eCHILD: .05, eAGAIN: 1.5, eNOMEM: 2, eACCES: 1.2,
	eFAULT: .5, eBUSY: .6, eEXIST: .05, eNODEV: .5, eNOTDIR: .8, eISDIR: 1, eINVAL: .15, eNFILE: 2,
	eMFILE: 2,
	eNOTTY: .01, eTXTBSY: 1, eFBIG: 1.5, eNOSPC: 2, eSPIPE: .01, eROFS: 1.5, ePIPE: 1, eRANGE: .05,
	eNOSYS: .05, eNOTEMPTY: .1, eNODATA: .02, eNOPROTOOPT: .05, eOPNOTSUPP: .05, eAFNOSUPPORT: .1,
	eADDRINUSE: 2, eADDRNOTAVAIL: .8, eNETUNREACH: .6, eCONNRESET: 1, eNOTCONN: .1, eNOTSOCK: .05, eTIMEDOUT: 1.2,
	eCONNREFUSED: 1.3, eHOSTUNREACH: 1.2, eDQUOT: 2,
}

const otherWeight = .4

// probes are calls that programs make to see whether something is there.
var probes = map[string]float64{
	"access": .15, "faccessat": .15, "faccessat2": .15, "stat": .15, "lstat": .15, "newfstatat": .15, "fstatat64": .15, "statx": .15, "stat64": .15, "lstat64": .15,
	"readlink": .1, "readlinkat": .1, "statfs": .1, "unlink": .2, "unlinkat": .2, "rmdir": .2, "getxattr": .05, "lgetxattr": .05, "listxattr": .05,
	"kill": .3, "close": .1, "fcntl": .2, "ioctl": .2, "prctl": .2, "madvise": .1, "sched_setscheduler": .2, "setpriority": .2, "personality": .1,
	"prlimit64": .1, "setrlimit": .1, // they are tried with ever less
	"epoll_ctl": .01, // runtimes try it on files, which cannot be polled
	"shutdown":  .2, "getpeername": .02, "setsockopt": .3, "lseek": .1, "fadvise64": .1,
	"rt_sigprocmask": .1, "arch_prctl": .05,
}

// weigh says how much a failed call says about an end, from what is known of it alone.
func weigh(call string, errno int, file string, writes bool) float64 {
	w, ok := byErrno[errno]
	if !ok {
		w = otherWeight
	}
	if f, ok := probes[call]; ok {
		w *= f
	}
	if call == "execve" || call == "execveat" {
		w *= 1.5
	}
	if file != "" && everydayPath(file) && !writes {
		w *= .03
	}
	return w
}

// Failures of a container's runtime before the container's program, and of a program
// before its process executed another one, say little about the end.
const (
	runtimeFactor = .02
	tolerated     = .15 // datagrams that nobody takes
	earlierFactor = .3
)

// runtimes reports whether a thread is runc's, on its way to the container's program.
func runtimes(comm string) bool { return strings.HasPrefix(comm, "runc:[") }

// everydayPath reports whether a file is of those that are looked for in many places, or
// whose absence nobody minds.
func everydayPath(file string) bool {
	base := path.Base(file)
	switch {
	case strings.HasPrefix(base, ".") && len(base) > 2 && !strings.HasPrefix(base, ".env") && !strings.HasPrefix(base, ".s.") /* PostgreSQL's socket */, strings.HasSuffix(base, ".so"), strings.Contains(base, ".so."), strings.HasPrefix(base, "ld.so."), strings.HasPrefix(base, "ld-linux"),
		strings.HasSuffix(base, ".mo"), strings.HasSuffix(base, ".pyc"), strings.HasSuffix(base, ".pyi"), strings.HasSuffix(base, ".pth"),
		base == "pyvenv.cfg", base == "package.json", base == "node_modules", base == "locale-archive", base == "gconv-modules", base == "nscd",
		strings.HasPrefix(base, "<"), base == "pybuilddir.txt", base == "zoneinfo.zip", strings.HasSuffix(base, "._pth"):
		return true
	}
	for _, dir := range everydayDirs {
		if strings.HasPrefix(file, dir) {
			return true
		}
	}
	for _, part := range [...]string{"/locale/", "/site-packages", "/dist-packages", "/__pycache__", "/node_modules/", "/nscd/", "/gconv/", "/lib/python"} {
		if strings.Contains(file, part) {
			return true
		}
	}
	return false
}

var everydayDirs = [...]string{
	"/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/", "/usr/share/", "/usr/local/lib/", "/usr/local/share/", "/proc/", "/sys/", "/dev/tty", "/dev/pts/",
	"/etc/ld.so", "/etc/ld-musl", "/etc/localtime", "/etc/terminfo", "/etc/nsswitch", "/etc/gai.conf", "/etc/host.conf",
	"/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/etc/svc.conf",
	"/etc/netsvc.conf", "/run/systemd/userdb", "/run/host/userdb", "/etc/userdb",
	"/usr/lib/debug", "/var/db/", "/var/run/nscd", "/run/nscd",
}

// waiting says of calls that wait by design what they wait for.
var waiting = map[string]string{
	"epoll_wait": "event", "epoll_pwait": "event", "epoll_pwait2": "event", "poll": "event", "ppoll": "event", "select": "event", "_newselect": "event",
	"pselect6": "event", "accept": "event", "accept4": "event", "pause": "event", "rt_sigsuspend": "event", "sigsuspend": "event", "rt_sigtimedwait": "event",
	"io_getevents": "event", "io_pgetevents": "event", "io_uring_enter": "event", "ppoll_time64": "event", "pselect6_time64": "event",
	"nanosleep": "sleep", "clock_nanosleep": "sleep", "clock_nanosleep_time64": "sleep",
	"wait4": "child", "waitid": "child", "waitpid": "child",
	"futex": "lock", "futex_time64": "lock", "futex_wait": "lock", "futex_waitv": "lock", "flock": "lock",
}

// waitKind is what a call waits for: event, sleep, child, lock, or io.
func waitKind(call string) string {
	if k, ok := waiting[call]; ok {
		return k
	}
	return "io"
}

func errnoName(errno int) string {
	if name, _ := syscalls.Errno(errno); name != "" {
		return name
	}
	return "errno " + itoa(uint64(errno))
}

func errnoText(errno int) string {
	_, text := syscalls.Errno(errno)
	return text
}
