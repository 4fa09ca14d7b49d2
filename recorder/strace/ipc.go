package strace

import (
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// ipcSet reports whether a System V call sets what it points to: strace then shows
// only what the kernel looks at.
func (p *printer) ipcSet() bool {
	const ipcSet = 1
	for i := range p.call.Args {
		switch a := &p.call.Args[i]; a.Type.Name {
		case "semcmd", "shmcmd", "msgcmd":
			return p.rec.Args[a.Reg%6]&0xff == ipcSet
		}
	}
	return false
}

func ipcPerm(p *printer, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	more := p.fieldList(l, data, false, "uid", "gid", "mode")
	if !p.ipcSet() {
		p.fieldList(l, data, more, "key", "cuid", "cgid")
	}
	p.dst = append(p.dst, '}')
}

func shmidDs(p *printer, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	more := p.fieldList(l, data, false, "shm_perm")
	if !p.ipcSet() {
		p.fieldList(l, data, more, "shm_segsz", "shm_cpid", "shm_lpid", "shm_nattch", "shm_atime", "shm_dtime", "shm_ctime")
	}
	p.dst = append(p.dst, '}')
}

func msqidDs(p *printer, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	more := p.fieldList(l, data, false, "msg_perm")
	if p.ipcSet() {
		p.fieldList(l, data, more, "msg_qbytes")
	} else {
		p.fieldList(l, data, more, "msg_stime", "msg_rtime", "msg_ctime", "msg_qnum", "msg_qbytes", "msg_lspid", "msg_lrpid")
	}
	p.dst = append(p.dst, '}')
}

func semidDs(p *printer, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	more := p.fieldList(l, data, false, "sem_perm")
	if !p.ipcSet() {
		p.fieldList(l, data, more, "sem_otime", "sem_ctime", "sem_nsems")
	}
	p.dst = append(p.dst, '}')
}

// unpackIPC replaces an ipc(2) by the call that it stands for.
func (p *printer) unpackIPC() {
	call, regs := syscalls.IPCCall(p.arch, p.rec.Args[0])
	if call == nil {
		return
	}
	rec := record.Record{Type: p.rec.Type, Flags: p.rec.Flags, Nr: p.rec.Nr, Ret: p.rec.Ret}
	for i := range int(call.Nargs) {
		rec.Args[i] = p.rec.Args[regs[i]%6]
		for _, it := range p.rec.Items {
			if it.Arg == regs[i] {
				it.Arg = uint8(i)
				rec.Items = append(rec.Items, it)
			}
		}
	}
	p.rec = &rec
	p.call = call.Variant(&rec.Args)
}
