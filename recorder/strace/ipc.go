package strace

import (
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// ipcSet reports whether a System V call sets what it points to: strace then shows
// only what the kernel looks at.
func (d *decoder) ipcSet() bool {
	const ipcSet = 1
	for i := range d.call.Args {
		switch a := &d.call.Args[i]; a.Type.Name {
		case "semcmd", "shmcmd", "msgcmd":
			return d.rec.Args[a.Reg%6]&0xff == ipcSet
		}
	}
	return false
}

func ipcPerm(d *decoder, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	d.object(nil, func() {
		d.fieldList(l, data, "uid", "gid", "mode")
		if !d.ipcSet() {
			d.fieldList(l, data, "key", "cuid", "cgid")
		}
	})
}

func shmidDs(d *decoder, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	d.object(nil, func() {
		d.fieldList(l, data, "shm_perm")
		if !d.ipcSet() {
			d.fieldList(l, data, "shm_segsz", "shm_cpid", "shm_lpid", "shm_nattch", "shm_atime", "shm_dtime", "shm_ctime")
		}
	})
}

func msqidDs(d *decoder, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	d.object(nil, func() {
		d.fieldList(l, data, "msg_perm")
		if d.ipcSet() {
			d.fieldList(l, data, "msg_qbytes")
		} else {
			d.fieldList(l, data, "msg_stime", "msg_rtime", "msg_ctime", "msg_qnum", "msg_qbytes", "msg_lspid", "msg_lrpid")
		}
	})
}

func semidDs(d *decoder, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	d.object(nil, func() {
		d.fieldList(l, data, "sem_perm")
		if !d.ipcSet() {
			d.fieldList(l, data, "sem_otime", "sem_ctime", "sem_nsems")
		}
	})
}

// unpackIPC replaces an ipc(2) by the call that it stands for.
func (d *decoder) unpackIPC() {
	call, regs := syscalls.IPCCall(d.arch, d.rec.Args[0])
	if call == nil {
		return
	}
	rec := record.Record{Type: d.rec.Type, Flags: d.rec.Flags, Nr: d.rec.Nr, Ret: d.rec.Ret}
	for i := range int(call.Nargs) {
		rec.Args[i] = d.rec.Args[regs[i]%6]
		for _, it := range d.rec.Items {
			if it.Arg == regs[i] {
				it.Arg = uint8(i)
				rec.Items = append(rec.Items, it)
			}
		}
	}
	d.unpacked = rec
	d.rec = &d.unpacked
	d.call = call.Variant(&rec.Args)
}
