package strace

import (
	"github.com/recorderd/recorderd/recorder/syscalls"
	"github.com/recorderd/recorderd/recorder/value"
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

// What strace calls the arguments of clone(2).
var (
	childStackForm = &value.Form{Pre: "child_stack="}
	cloneFlagsForm = &value.Form{Pre: "flags=", Sep: "|"}
	parentTidForm  = &value.Form{Pre: "parent_tid="}
	tlsForm        = &value.Form{Pre: "tls="}
	childTidForm   = &value.Form{Pre: "child_tidptr="}
)

// clone decodes clone(2): in strace's order and with its names, and without the arguments
// that its flags leave out.
func clone(d *decoder) {
	flags := uint64(0)
	arg := func(name string, f *value.Form, counts uint64, decode func(a *syscalls.Arg, v uint64)) {
		for i := range d.call.Args {
			a := &d.call.Args[i]
			if a.Name != name {
				continue
			}
			v := d.rec.Args[a.Reg] & d.longMask()
			if name == "flags" {
				flags = v
			}
			d.addArg(name, a.Type.Name, v, func() {
				d.With(f)
				if counts != 0 && flags&counts == 0 {
					d.Mark(value.NoText)
					d.Addr(v)
				} else {
					decode(a, v)
				}
			})
		}
	}
	addr := func(_ *syscalls.Arg, v uint64) { d.Addr(v) }
	arg("stack", childStackForm, 0, addr)
	arg("flags", cloneFlagsForm, 0, func(_ *syscalls.Arg, v uint64) { cloneflags(d, nil, v) })
	arg("parent_tid", parentTidForm, cloneParentSettid|clonePidfd, func(a *syscalls.Arg, v uint64) {
		if it := d.item(a.Reg, memKind, false); it != nil && len(it.Data) >= 4 && !d.failed() && !d.entering {
			d.Mark(value.Boxed)
			d.Int(int64(int32(load(it.Data, 4))))
		} else {
			d.Addr(v)
		}
	})
	arg("tls", tlsForm, cloneSettls, addr)
	arg("child_tid", childTidForm, cloneChildSettid|cloneChildCleartid, addr)
}

// restart decodes which call goes on.
func restart(d *decoder) {
	if d.resumes != "" {
		d.addArg("resumes", "str", 0, func() {
			d.With(&value.Form{Pre: "<... resuming interrupted ", Post: " ...>"})
			d.Word(d.resumes)
		})
	}
}

// cloneflags decodes flags and the signal in their low byte.
func cloneflags(d *decoder, _ *syscalls.Type, v uint64) {
	at := d.Open(value.Union)
	sig := v & cloneExitSignalMask
	if v &^= cloneExitSignalMask; v != 0 {
		d.flags(cloneFlagSet, v)
	}
	if sig != 0 {
		d.Signal(int(sig))
	}
	d.Close(at)
}

func clone3flags(d *decoder, _ *syscalls.Type, v uint64) { d.flags(cloneFlagSet, v) }

func cloneArgs(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	const least = 64 // CLONE_ARGS_SIZE_VER0
	if d.call.Name == "clone3" && d.rec.Args[1] < least {
		d.Addr(d.rec.Args[0] & d.longMask())
		return
	}
	flags := get(l, data, "flags")
	d.object(inOutForm, func() {
		d.Name("in")
		d.object(nil, func() {
			d.fieldList(l, data, "flags")
			if flags&clonePidfd != 0 {
				d.Name("pidfd")
				d.Addr(get(l, data, "pidfd"))
			}
			if flags&(cloneChildSettid|cloneChildCleartid) != 0 {
				d.fieldList(l, data, "child_tid")
			}
			if flags&cloneParentSettid != 0 {
				d.fieldList(l, data, "parent_tid")
			}
			d.fieldList(l, data, "exit_signal", "stack", "stack_size")
			if flags&cloneSettls != 0 {
				d.fieldList(l, data, "tls")
			}
			if get(l, data, "set_tid") != 0 || get(l, data, "set_tid_size") != 0 {
				d.fieldList(l, data, "set_tid", "set_tid_size")
			}
			if flags>>33&1 != 0 {
				d.fieldList(l, data, "cgroup")
			}
		})
		if d.failed() || d.entering {
			return
		}
		pidfd := flags&clonePidfd != 0 && d.via != nil && len(d.via.Data) >= 4
		if !pidfd && flags&cloneParentSettid == 0 {
			return
		}
		d.Name("out")
		d.object(nil, func() {
			if pidfd {
				d.Name("pidfd")
				d.Mark(value.Boxed)
				d.Int(int64(int32(load(d.via.Data, 4))))
			}
			if flags&cloneParentSettid != 0 {
				d.Name("parent_tid")
				d.Mark(value.Boxed)
				d.Int(d.rec.Ret)
			}
		})
	})
}
