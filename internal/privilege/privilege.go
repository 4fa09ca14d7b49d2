// Package privilege lets go of the rights that a process does not need: of all its
// threads, and for good.
package privilege

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Set is a set of capabilities, a bit for each (capabilities(7)).
type Set uint64

// Of returns the set of these capabilities: unix.CAP_BPF and so on.
func Of(caps ...int) Set {
	var s Set
	for _, c := range caps {
		s |= 1 << c
	}
	return s
}

// Has reports whether all of o are in the set.
func (s Set) Has(o Set) bool { return s&o == o }

// names are those of the kernel's header, by number.
var names = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
	"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
	"AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
	"PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// String lists the capabilities: "CAP_PERFMON, CAP_BPF".
func (s Set) String() string {
	var list []string
	for c := range 64 {
		switch {
		case s>>c&1 == 0:
		case c < len(names):
			list = append(list, "CAP_"+names[c])
		default:
			list = append(list, "capability "+strconv.Itoa(c))
		}
	}
	if list == nil {
		return "none"
	}
	return strings.Join(list, ", ")
}

// Effective returns the capabilities that the calling thread can use now.
func Effective() (Set, error) {
	effective, _, err := get()
	return effective, err
}

func get() (effective, permitted Set, err error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, 0, fmt.Errorf("ask for capabilities: %w", err)
	}
	return Set(data[0].Effective) | Set(data[1].Effective)<<32, Set(data[0].Permitted) | Set(data[1].Permitted)<<32, nil
}

// Keep gives up all capabilities but these, in every thread and in all sets, and the
// way to get any back: neither this process nor a program that it runs can gain rights
// from then on (no_new_privs). It returns what is left: what of keep there was.
//
// The bounding set stays where CAP_SETPCAP is missing, with which nothing can be done
// after no_new_privs. A program that is built with cgo cannot do any of this.
func Keep(keep Set) (Set, error) { return giveUp(keep, everyThread) }

// KeepInThread is Keep for the calling thread alone, which the caller has locked
// (runtime.LockOSThread). It is for a thread that becomes another program.
func KeepInThread(keep Set) (Set, error) {
	return giveUp(keep, func(nr, a, b uintptr) error {
		if _, _, errno := syscall.Syscall6(nr, a, b, 0, 0, 0, 0); errno != 0 {
			return errno
		}
		return nil
	})
}

func giveUp(keep Set, call func(nr, a, b uintptr) error) (Set, error) {
	effective, permitted, err := get()
	if err != nil {
		return 0, err
	}
	keep &= permitted
	if err := call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return 0, fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := call(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL); err != nil {
		return 0, fmt.Errorf("clear the ambient capabilities: %w", err)
	}
	if effective.Has(Of(unix.CAP_SETPCAP)) {
		for c := range lastCap() + 1 {
			if keep.Has(Of(c)) {
				continue
			}
			if err := call(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c)); err != nil {
				return 0, fmt.Errorf("take %s out of the bounding set: %w", Of(c), err)
			}
		}
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(keep), Permitted: uint32(keep)},
		{Effective: uint32(keep >> 32), Permitted: uint32(keep >> 32)},
	}
	err = call(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&data)))
	runtime.KeepAlive(&hdr)
	runtime.KeepAlive(&data)
	if err != nil {
		return 0, fmt.Errorf("give up capabilities: %w", err)
	}
	return keep, nil
}

// everyThread makes a system call in each thread of the process, those to come
// included: they are made from one that has.
func everyThread(nr, a, b uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(nr, a, b, 0, 0, 0, 0)
	switch errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return errors.New("this program is built with cgo, which has threads of its own: build it with CGO_ENABLED=0")
	}
	return errno
}

// lastCap is the highest capability that the kernel knows.
func lastCap() int {
	b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && n < 64 {
			return n
		}
	}
	return unix.CAP_LAST_CAP
}
