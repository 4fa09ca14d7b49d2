package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Raw calls: without the Go scheduler's bookkeeping, which would be measured too.

func rawCall0(nr uintptr) { unix.RawSyscallNoError(nr, 0, 0, 0) }

func rawCall3(nr, a, b, c uintptr) { unix.RawSyscall(nr, a, b, c) } //nolint:errcheck // timing only

func rawOpen(path *byte) uintptr {
	dirfd := unix.AT_FDCWD
	fd, _, _ := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(dirfd), uintptr(unsafe.Pointer(path)), unix.O_RDONLY, 0, 0, 0)
	return fd
}

func bufAddr(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
