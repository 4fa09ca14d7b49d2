package replay

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// What waits has not failed, wherever people read it; what has run out of something has.
func TestFailure(t *testing.T) {
	for _, c := range []struct {
		call    string
		errno   unix.Errno
		arg     uint64 // the second
		failure bool
	}{
		{"openat", unix.ENOENT, 0, true},
		{"read", unix.EAGAIN, 0, false},
		{"read", unix.EINTR, 0, false},
		{"read", unix.ETIMEDOUT, 0, true}, // of a peer that is gone
		{"futex", unix.ETIMEDOUT, 0, false},
		{"futex", unix.EAGAIN, 0, false},
		{"connect", unix.EINPROGRESS, 0, false},
		{"connect", unix.EALREADY, 0, false},
		{"connect", unix.ECONNREFUSED, 0, true},
		{"connect", unix.ETIMEDOUT, 0, true},
		{"epoll_wait", restartFirst, 0, false},
		{"clock_nanosleep", restartLast, 0, false},
		{"clone3", unix.EAGAIN, 0, true},
		{"clone", unix.EAGAIN, 0, true},
		{"timer_create", unix.EAGAIN, 0, true},
		{"flock", unix.EAGAIN, 0, true},
		{"fcntl", unix.EAGAIN, unix.F_SETLK, true},
		{"fcntl", unix.EAGAIN, unix.F_OFD_SETLK, true},
		{"fcntl", unix.EAGAIN, unix.F_GETFL, false},
	} {
		ev := Event{Kind: KindCall, abi: record.ArchX86_64}
		call := syscalls.ByName(record.ArchX86_64, c.call)
		if call == nil {
			t.Fatalf("no call %s", c.call)
		}
		ev.Rec.Nr, ev.Rec.Ret, ev.Rec.Args[1] = uint16(call.Nr), -int64(c.errno), c.arg
		if !ev.Failed() || ev.Failure() != c.failure || ev.Waits() == c.failure {
			t.Errorf("%s with %d: failed %t, failure %t, waits %t; want %t", c.call, c.errno, ev.Failed(), ev.Failure(), ev.Waits(), c.failure)
		}
		ev.State = Blocked
		if ev.Failed() || ev.Failure() || ev.Waits() {
			t.Errorf("%s has not returned", c.call)
		}
	}
	ev := Event{Kind: KindCall, abi: record.ArchX86_64}
	if ev.Failure() || ev.Waits() {
		t.Error("a call that returned 0 has failed")
	}
}
