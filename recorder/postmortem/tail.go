package postmortem

import (
	"bytes"
	"strings"
	"time"

	"github.com/recorderd/recorderd/recorder/replay"
)

// A failed call that nobody names can be the reason of an end only if its thread did
// nothing else after it but report and exit. Work is what a program does only if it goes
// on: it opens a file of its own, takes a connection, starts a program, sleeps. Looking
// for a locale, freeing memory, writing to stderr and ending children are none.

// tail is what was done last by a thread, or by all threads of a process.
type tail struct {
	worked uint64 // ns: the last work before the sign of the end
	alone  uint64 // ns: the same, but for starting processes
	sign   uint64 // ns: the first sign of the end, such as the first line of a traceback; 0: none
	after  int    // how much work there was after the sign
}

// What is done after a sign of the end belongs to the report, unless there is too much of it.
const (
	reportWork = 64
	reportTime = uint64(5 * time.Second)
	longSleep  = uint64(time.Second)
	pause      = uint64(10 * time.Millisecond) // as between two tries
)

func (t *tail) work(ns uint64) {
	if t.sign != 0 {
		if t.after++; t.after <= reportWork && ns < t.sign+reportTime {
			return
		}
		t.sign, t.after = 0, 0 // it went on
	}
	t.worked = max(t.worked, ns)
}

// works takes a call that succeeded, if it is work.
func (b *builder) works(ev *replay.Event, p *proc, t *thread, name string) {
	switch name {
	case "nanosleep", "clock_nanosleep", "clock_nanosleep_time64":
		p.slept = p.slept || !ev.NoDur() && ev.Rec.Dur >= pause
	}
	if !b.isWork(ev, p, name) {
		return
	}
	t.tail.work(ev.Time)
	p.tail.work(ev.Time)
	switch name {
	case "clone", "clone3", "fork", "vfork":
	default:
		p.tail.alone = p.tail.worked
	}
}

func (b *builder) isWork(ev *replay.Event, p *proc, name string) bool {
	rec := &ev.Rec
	switch name {
	case "open", "openat", "openat2", "creat":
		file := ev.Path()
		return file != "" && !everydayPath(file) && !strings.HasPrefix(file, "/dev/")
	case "mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink",
		"symlinkat", "listen", "accept", "accept4",
		"execve", "execveat", "fork", "vfork", "mount", "chdir":
		return true
	case "connect":
		address := ev.Address()
		return !everydayPath(strings.Trim(address, `"`)) && !strings.HasSuffix(address, ":53")
	case "bind":
		return ev.Address() != ""
	case "clone", "clone3":
		// Go's runtime starts threads when it likes; others set this flag.
		const thread, clearTid = 0x10000, 0x200000
		flags, ok := cloneFlags(ev, name)
		return ok && rec.Ret > 0 && (flags&thread == 0 || flags&clearTid != 0)
	case "read", "recvfrom", "recvmsg", "readv":
		return rec.Ret > 0 && p.conn(int32(rec.Args[0])) != nil
	case "write", "sendto", "sendmsg", "writev":
		c := p.conn(int32(rec.Args[0]))
		return rec.Ret > 0 && c != nil && !c.datagram
	case "nanosleep", "clock_nanosleep", "clock_nanosleep_time64":
		return !ev.NoDur() && rec.Dur >= longSleep
	}
	return false
}

// signOfEnd takes a line of output, which may be the first of a report on a crash.
func (b *builder) signOfEnd(p *proc, ns uint64, line []byte) {
	if p.tail.sign != 0 || !beginsReport(line) {
		return
	}
	p.tail.sign, p.tail.after = ns, 0
	for _, t := range b.threads {
		if t.proc == p {
			t.tail.sign, t.tail.after = ns, 0
		}
	}
}

var reports = [...]string{
	"Traceback (most recent call last)", "panic: ", "fatal error: ", `Exception in thread "`,
	"# A fatal error has been detected",
	"Fatal Python error", "terminate called", "Uncaught ", "Unhandled exception", "node:internal/",
	"goroutine ", "==", "SIGSEGV: ", "SIGBUS: ",
}

// beginsReport reports whether a line begins what runtimes write of a crash.
func beginsReport(line []byte) bool {
	line = bytes.TrimLeft(line, " ")
	for _, r := range reports {
		if !bytes.HasPrefix(line, []byte(r)) {
			continue
		}
		switch r {
		case "==":
			return bytes.Contains(line, []byte("==ERROR: "))
		case "goroutine ":
			return bytes.HasSuffix(line, []byte("]:"))
		}
		return true
	}
	return bytes.HasPrefix(line, []byte("thread '")) &&
		bytes.Contains(line, []byte(" panicked at "))
}
