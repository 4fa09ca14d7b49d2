package strace

import (
	"strconv"

	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Flags that decide which arguments of clone(2) count.
const (
	clonePidfd          = 0x1000
	cloneParentSettid   = 0x100000
	cloneSettls         = 0x80000
	cloneChildCleartid  = 0x200000
	cloneChildSettid    = 0x1000000
	cloneExitSignalMask = 0xff
)

// clone shows clone(2) with the names that strace gives its arguments.
func clone(p *printer) int {
	reg := func(name string) (uint64, uint8) {
		for i := range p.call.Args {
			if a := &p.call.Args[i]; a.Name == name {
				return p.rec.Args[a.Reg] & p.longMask(), a.Reg
			}
		}
		return 0, 0
	}
	flags, _ := reg("flags")
	stack, _ := reg("stack")
	p.dst = append(p.dst, "child_stack="...)
	p.addr(stack)
	p.dst = append(p.dst, ", flags="...)
	cloneflags(p, nil, flags)
	if flags&(cloneParentSettid|clonePidfd) != 0 {
		v, r := reg("parent_tid")
		p.dst = append(p.dst, ", parent_tid="...)
		if it := p.item(r, memKind, false); it != nil && len(it.Data) >= 4 && !p.failed() && !p.entering {
			p.dst = append(p.dst, '[')
			p.dst = strconv.AppendInt(p.dst, int64(int32(load(it.Data, 4))), 10)
			p.dst = append(p.dst, ']')
		} else {
			p.addr(v)
		}
	}
	if flags&cloneSettls != 0 {
		v, _ := reg("tls")
		p.dst = append(p.dst, ", tls="...)
		p.addr(v)
	}
	if flags&(cloneChildSettid|cloneChildCleartid) != 0 {
		v, _ := reg("child_tid")
		p.dst = append(p.dst, ", child_tidptr="...)
		p.addr(v)
	}
	return 5
}

// restart shows which call goes on.
func restart(p *printer) int {
	if p.opt.Resumes != "" {
		p.dst = append(p.dst, "<... resuming interrupted "...)
		p.dst = append(p.dst, p.opt.Resumes...)
		p.dst = append(p.dst, " ...>"...)
	}
	return 0
}

// cloneflags shows flags and the signal in their low byte.
func cloneflags(p *printer, _ *syscalls.Type, v uint64) {
	sig := v & cloneExitSignalMask
	v &^= cloneExitSignalMask
	if v != 0 {
		p.flags(cloneFlagSet, v, false)
		if sig == 0 {
			return
		}
		p.dst = append(p.dst, '|')
	}
	if sig == 0 {
		p.dst = append(p.dst, '0')
		return
	}
	p.sig(int(sig))
}

func clone3flags(p *printer, _ *syscalls.Type, v uint64) {
	if v == 0 {
		p.dst = append(p.dst, '0')
		return
	}
	p.flags(cloneFlagSet, v, false)
}

func cloneArgs(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	const least = 64 // CLONE_ARGS_SIZE_VER0
	if p.call.Name == "clone3" && p.rec.Args[1] < least {
		p.addr(p.rec.Args[0] & p.longMask())
		return
	}
	flags := get(l, data, "flags")
	p.dst = append(p.dst, '{')
	p.fieldList(l, data, false, "flags")
	if flags&clonePidfd != 0 {
		p.dst = append(p.dst, ", pidfd="...)
		p.addr(get(l, data, "pidfd"))
	}
	if flags&(cloneChildSettid|cloneChildCleartid) != 0 {
		p.fieldList(l, data, true, "child_tid")
	}
	if flags&cloneParentSettid != 0 {
		p.fieldList(l, data, true, "parent_tid")
	}
	p.fieldList(l, data, true, "exit_signal", "stack", "stack_size")
	if flags&cloneSettls != 0 {
		p.fieldList(l, data, true, "tls")
	}
	if get(l, data, "set_tid") != 0 || get(l, data, "set_tid_size") != 0 {
		p.fieldList(l, data, true, "set_tid", "set_tid_size")
	}
	if flags>>33&1 != 0 {
		p.fieldList(l, data, true, "cgroup")
	}
	p.dst = append(p.dst, '}')
	if flags&(clonePidfd|cloneParentSettid) == 0 || p.failed() || p.entering {
		return
	}
	sep := " => {"
	if flags&clonePidfd != 0 && p.via != nil && len(p.via.Data) >= 4 {
		p.dst = append(append(p.dst, sep...), "pidfd=["...)
		p.dst = strconv.AppendInt(p.dst, int64(int32(load(p.via.Data, 4))), 10)
		p.dst = append(p.dst, ']')
		sep = ", "
	}
	if flags&cloneParentSettid != 0 {
		p.dst = append(append(p.dst, sep...), "parent_tid=["...)
		p.dst = strconv.AppendInt(p.dst, p.rec.Ret, 10)
		p.dst = append(p.dst, ']')
		sep = ", "
	}
	if sep == ", " {
		p.dst = append(p.dst, '}')
	}
}
