package replay

import (
	"strings"

	"golang.org/x/sys/unix"
)

// The kernel's own errors, which it restarts calls for: ERESTARTSYS to ERESTART_RESTARTBLOCK of
// include/linux/errno.h.
const (
	restartFirst = 512
	restartLast  = 516
)

// Failed reports whether the event is a system call that returned an error. Whether people would
// say that it failed, Failure tells.
func (ev *Event) Failed() bool {
	return ev.State == Finished && ev.Kind <= KindExec && ev.Rec.Ret < 0 && ev.Rec.Ret >= -4095
}

// Failure reports whether the event is a system call that failed, and not one that returned an
// error because it waits. It is what "failed" means wherever people read it.
func (ev *Event) Failure() bool { return ev.Failed() && !ev.Waits() }

// Waits reports whether a call returned an error that is how programs wait and ask again, rather
// than a failure: a descriptor that has nothing yet, a wait that a signal or its timeout ended, a
// connection that is being made.
func (ev *Event) Waits() bool {
	if !ev.Failed() {
		return false
	}
	errno, name := unix.Errno(-ev.Rec.Ret), ""
	if c := ev.Call(); c != nil {
		name = c.Name
	}
	if errno != unix.EAGAIN {
		return Transient(name, errno)
	}
	if name == "connect" { // of a Unix socket whose backlog is full
		return !strings.HasPrefix(ev.Address(), `"`)
	}
	return !exhausts[name] && !ev.AsksForLock()
}

// AsksForLock reports whether a call asks for the lock of a file without waiting for it.
func (ev *Event) AsksForLock() bool {
	c := ev.Call()
	if c == nil {
		return false
	}
	switch c.Name {
	case "flock":
		return true
	case "fcntl", "fcntl64":
		const setLk64 = 13 // F_SETLK64 of 32-bit programs
		cmd := ev.Rec.Args[1] & 0xffffffff
		return cmd == unix.F_SETLK || cmd == setLk64 || cmd == unix.F_OFD_SETLK
	}
	return false
}

// Transient reports whether an error is how programs wait, by the name of the call alone.
func Transient(call string, errno unix.Errno) bool {
	switch {
	case errno == unix.EAGAIN, errno == unix.EINTR, errno == unix.EINPROGRESS, errno == unix.EALREADY,
		errno >= restartFirst && errno <= restartLast:
		return true
	case errno == unix.ETIMEDOUT: // of a peer that does not answer
		return !socketCalls[call]
	}
	return false
}

// exhausts are the calls whose EAGAIN says that there is no more of something.
var exhausts = map[string]bool{
	"clone": true, "clone3": true, "fork": true, "vfork": true, "mlock": true, "mlock2": true, "mlockall": true, "munlock": true, "io_setup": true,
	"timer_create": true, "setuid": true, "setreuid": true, "setresuid": true, "mmap": true, "mremap": true, "userfaultfd": true, "keyctl": true, "add_key": true,
}

var socketCalls = map[string]bool{
	"connect": true, "read": true, "write": true, "readv": true, "writev": true, "recvfrom": true, "recvmsg": true, "sendto": true, "sendmsg": true,
	"sendmmsg": true, "recvmmsg": true, "recv": true, "send": true,
}
