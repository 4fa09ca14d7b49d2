package strace

import (
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Descriptors says where the descriptors of a call stand, if all of them stand in its
// registers: which ones Options.Fd is asked for is then known without decoding the call.
type Descriptors struct {
	Known  bool    // they stand in registers, and nowhere else
	Regs   []uint8 // in the order in which they are shown
	Result bool    // the call returns one
}

// DescriptorsOf finds out where the descriptors of a call stand.
func DescriptorsOf(arch record.Arch, c *syscalls.Call) Descriptors {
	if arch.Is32() || c.Name == "" || wholeCalls[c.Name] != nil {
		return Descriptors{}
	}
	d := Descriptors{Known: true, Result: c.Ret != nil && c.Ret.Kind == syscalls.KindFd}
	for i := range c.Args {
		a := &c.Args[i]
		switch {
		case a.Name == "-":
		case a.Form == syscalls.FormValue:
			if !isFd(a.Type) {
				continue
			}
			if a.Cond != syscalls.CondAlways {
				return Descriptors{}
			}
			d.Regs = append(d.Regs, a.Reg)
		case a.Form == syscalls.FormMsg, a.Form == syscalls.FormMmsg, a.Form == syscalls.FormVector,
			a.Form == syscalls.FormPointer && mayHoldFd(a.Type, arch, 0):
			return Descriptors{}
		}
	}
	return d
}

func isFd(t *syscalls.Type) bool {
	return t.Kind == syscalls.KindFd || t.Kind == syscalls.KindDirfd
}

// mayHoldFd reports whether a value in memory may have a descriptor in it.
func mayHoldFd(t *syscalls.Type, arch record.Arch, depth int) bool {
	const deepest = 4
	switch {
	case isFd(t), depth > deepest:
		return true
	case t.Kind == syscalls.KindCustom:
		switch t.Name {
		case "sockaddr", "sigset", "wstatus":
			return false
		}
		return true
	case t.Kind != syscalls.KindStruct:
		return false
	}
	switch t.Struct.Name {
	case "stat", "statx", "epoll_data", "siginfo", "sigaction", "utimespec":
		return false // they have decoders of their own, which show none
	}
	l := t.Struct.On(arch)
	if l == nil || structures[t.Struct.Name] != nil {
		return true
	}
	for i := range l.Fields {
		f := &l.Fields[i]
		if f.Via || mayHoldFd(f.Type(), arch, depth+1) {
			return true
		}
	}
	return false
}
