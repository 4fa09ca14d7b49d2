package syscalls

import "github.com/recorderd/recorderd/recorder/record"

const (
	socketCalls = 21 // numbers of socketcall(2), from 1
	ipcCalls    = 25 // numbers of ipc(2), from 1
)

// SocketCall returns the call that a number of socketcall(2) stands for, nil if there
// is none. Its arguments stand in memory, as 32-bit words. It is ARM's, which has all of them.
func SocketCall(n uint32) *Call {
	names := [socketCalls]string{"", "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair", "send", "recv",
		"sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg"}
	if n == 0 || n >= socketCalls {
		return nil
	}
	return ByName(record.ArchARM, names[n])
}

// IPCCall returns the call that the first argument of ipc(2) stands for, nil if there
// is none or its arguments are not in registers alone, and the registers of ipc that
// hold its arguments.
func IPCCall(arch record.Arch, n uint64) (c *Call, regs [6]uint8) {
	var name string
	switch n & 0xffff { // first is 1, second 2, third 3, ptr 4, fifth 5
	case 1:
		name, regs = "semop", [6]uint8{1, 4, 2}
	case 2:
		name, regs = "semget", [6]uint8{1, 2, 3}
	case 4:
		name, regs = "semtimedop", [6]uint8{1, 4, 2, 5}
	case 13:
		name, regs = "msgget", [6]uint8{1, 2}
	case 14:
		name, regs = "msgctl", [6]uint8{1, 2, 4}
	case 12:
		if n>>16 == 0 {
			return nil, regs // message and type stand behind another pointer
		}
		name, regs = "msgrcv", [6]uint8{1, 4, 2, 5, 3}
	case 11:
		name, regs = "msgsnd", [6]uint8{1, 4, 2, 3}
	case 22:
		name, regs = "shmdt", [6]uint8{4}
	case 23:
		name, regs = "shmget", [6]uint8{1, 2, 3}
	case 24:
		name, regs = "shmctl", [6]uint8{1, 2, 4}
	default:
		return nil, regs
	}
	if name == "semop" || name == "semtimedop" {
		// i386 has neither as a call of its own; ARM has
		arch = record.ArchARM
	}
	return ByName(arch, name), regs
}
