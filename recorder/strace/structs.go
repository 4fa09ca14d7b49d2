package strace

import (
	"bytes"
	"strconv"
	"time"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Structs whose text is not just their fields, found by name. data may be shorter
// than the struct.
var structures map[string]func(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte)

// What is neither a number nor a struct, found by its type's name.
var memories map[string]func(p *printer, a *syscalls.Arg, it *record.Item) bool

// Numbers that are shown in a way of their own.
var values map[string]func(p *printer, t *syscalls.Type, v uint64)

// Results that are more than a number.
var results map[string]func(p *printer, ret int64)

// Calls whose arguments strace shows in an order of its own.
var wholeCalls map[string]func(p *printer) int

func init() {
	structures = map[string]func(*printer, *syscalls.Type, *syscalls.Layout, []byte){
		"stat": stat, "stat64": stat, "statx": statx, "epoll_data": epollData, "utimespec": utimespec, "utimespec64": utimespec,
		"siginfo": siginfo, "sigaction": sigaction, "old_sigaction": sigaction, "flock": flock, "flock64": flock, "flock_ofd": flock,
		"clone_args": cloneArgs, "io_uring_params": uringParams, "file_handle": fileHandle, "open_how": openHow,
		"sigevent": sigevent, "pollfd": pollfd, "sched_attr": schedAttr, "utimbuf": utimbuf, "utimeval": utimeval, "fiemap": fiemap,
		"ipc_perm": ipcPerm, "shmid_ds": shmidDs, "msqid_ds": msqidDs, "semid_ds": semidDs, "sigmaskarg": sigmaskArg, "iocb": iocb, "ifreq_index": ifreq, "ifreq_flags": ifreq, "ifreq_addr": ifreq, "ifreq_netmask": ifreq, "ifreq_broadaddr": ifreq, "ifreq_hwaddr": ifreq, "ifreq_mtu": ifreq, "user_desc": userDesc,
		"ifreq_dstaddr": ifreq, "ifreq_metric": ifreq, "ifreq_qlen": ifreq, "tms": tms, "perf_event_attr": perfEventAttr,
	}
	for _, name := range []string{"map_create", "elem", "update_elem", "lookup_delete", "key", "next_key", "map_fd", "prog_load", "obj", "attach", "detach", "next_id", "prog_id", "map_id",
		"btf_id", "link_id", "btf_load"} {
		structures["bpf_"+name] = bpfAttr("")
	}
	for name, member := range map[string]string{"info": "info", "query": "query", "raw_tracepoint": "raw_tracepoint", "task_fd_query": "task_fd_query", "test_run": "test", "batch": "batch",
		"link_create": "link_create", "link_update": "link_update"} {
		structures["bpf_"+name] = bpfAttr(member)
	}
	memories = map[string]func(*printer, *syscalls.Arg, *record.Item) bool{
		"fdset": fdset, "cpuset": cpuset, "sockaddr": sockaddrArg, "sockoptval": sockoptval, "str16": str16,
		"sendoff": sendOffset, "sendoff64": sendOffset, "movedoff": movedOffset, "sigset": sigsetArg, "old_sigset": sigsetArg, "cap_data": capData, "seccompaction": seccompAction, "nodemask": nodemask,
	}
	values = map[string]func(*printer, *syscalls.Type, uint64){
		"wstatus": wstatus, "clockid": clockid, "sigset": sigsetValue, "sigmask": sigsetValue, "old_sigset": oldSigset, "old_sigset_arg": oldSigset,
		"rlim": rlim, "sighandler": sighandler, "sockopt": sockopt, "sockproto": sockproto, "futexop": futexop, "futexwakeop": futexWakeOp,
		"capmask": capmask, "ioctlcmd": ioctlcmd, "offhl": offset64, "offhilo": offset64, "pgoff": pgoff, "fanmask64": fanmask, "ioprio": ioprio, "ipckey": hexEnum,
		"keyringid": decimalEnum, "inaddr": inaddr, "termoflag": termOflag, "termcflag": termCflag, "cloneflags": cloneflags, "clone3flags": clone3flags,
		"waitid": intValue, "socktype": socktype, "mmapflags": hugeFlags("MAP_HUGE_SHIFT"), "memfdflags": hugeFlags("MFD_HUGE_SHIFT"), "shmgetflags": hugeFlags("SHM_HUGE_SHIFT"), "ambientcap": ambientCap, "syslogaction": syslogAction, "ptracer": ptracer, "parenttid": intValue, "fsmagic": fsmagic, "personality": personality,
		"oct?": octalValue, "errnum": errnum, "kernelversion": kernelVersion, "userreg": userReg, "quotacmd": quotaCmd, "iocbopcode": decimalUnknown, "reqkey": decimalUnknown, "swapflags": swapFlags, "socketcall": decimalEnum, "ipccall": decimalEnum, "ldtfunc": intValue, "pagestatus": pageStatus, "futexbitset": hexEnum,
		"pidtype": pidType, "mcepolicy": mcePolicy,
	}
	results = map[string]func(*printer, int64){
		"poll": pollResult, "select": selectResult, "sigwait": sigResult, "sig_ret": sigResult, "ioprio_ret": ioprioResult, "personality_ret": personalityResult, "threadarea": threadArea, "ldt": ldtResult,
	}
	wholeCalls = map[string]func(*printer) int{"clone": clone, "restart_syscall": restart}
}

// structure shows a struct: {tv_sec=1, tv_nsec=0}. Where data ends before the
// struct does, "..." stands for the rest.
func (p *printer) structure(t *syscalls.Type, data []byte) {
	l := t.Struct.On(p.arch)
	if l == nil || p.depth > 4 {
		p.dst = append(p.dst, "{...}"...)
		return
	}
	p.depth++
	if show := structures[t.Struct.Name]; show != nil {
		show(p, t, l, data)
	} else {
		p.fields(t, l, data)
	}
	p.depth--
}

// fields shows all fields of a struct.
func (p *printer) fields(t *syscalls.Type, l *syscalls.Layout, data []byte) {
	left, right := byte('{'), byte('}')
	if t.Struct.Noname {
		left, right = '[', ']'
	}
	p.dst = append(p.dst, left)
	shown := 0
	hidden := false
	for i := range l.Fields {
		f := &l.Fields[i]
		if f.Hidden && !p.opt.Verbose {
			hidden = true
			continue
		}
		if int(f.Off)+int(f.Size) > len(data) {
			hidden = hidden || !p.asSized // it is the caller's that is shorter
			break
		}
		if shown++; shown > 1 {
			p.dst = append(p.dst, ", "...)
		}
		if !t.Struct.Noname {
			p.dst = append(p.dst, f.Name...)
			p.dst = append(p.dst, '=')
		}
		p.field(f, data)
	}
	if hidden {
		if shown > 0 {
			p.dst = append(p.dst, ", "...)
		}
		p.dst = append(p.dst, "..."...)
	}
	p.dst = append(p.dst, right)
}

// fieldList shows the named fields of a struct, without braces, and reports
// whether it showed any.
func (p *printer) fieldList(l *syscalls.Layout, data []byte, more bool, names ...string) bool {
	for _, name := range names {
		f := field(l, name)
		if f == nil || int(f.Off)+int(f.Size) > len(data) {
			continue
		}
		if more {
			p.dst = append(p.dst, ", "...)
		}
		p.dst = append(p.dst, name...)
		p.dst = append(p.dst, '=')
		p.field(f, data)
		more = true
	}
	return more
}

// field returns a field by name, nil if there is none.
func field(l *syscalls.Layout, name string) *syscalls.Field {
	for i := range l.Fields {
		if l.Fields[i].Name == name {
			return &l.Fields[i]
		}
	}
	return nil
}

// get returns the number in a field; 0 if data does not reach that far.
func get(l *syscalls.Layout, data []byte, name string) uint64 {
	f := field(l, name)
	if f == nil || int(f.Off) > len(data) {
		return 0
	}
	return load(data[f.Off:], int(f.Size))
}

// field shows the value of a field that lies in data, or its part that does.
func (p *printer) field(f *syscalls.Field, data []byte) {
	t := f.Type()
	data = data[f.Off:]
	whole := int(f.Size) * max(int(f.N), 1)
	cut := len(data) < whole
	if !cut {
		data = data[:whole]
	}
	switch {
	case f.Char:
		text, _, ended := bytes.Cut(data, []byte{0})
		p.dst = appendQuoted(p.dst, text, 0, cut && !ended)
		return
	case t.Name == "bytes":
		p.byteArray(data)
		return
	case t.Name == "hwaddr":
		p.hwaddr(data)
		return
	case t.Name == "sockaddr":
		p.sockaddr(data)
		return
	case t.Name == "sigmask" && f.N > 0:
		p.sigset(data)
		return
	case f.N == 0:
		p.element(f, t, data)
		return
	}
	p.dst = append(p.dst, '[')
	n := len(data) / max(int(f.Size), 1)
	for i := range n {
		if i > 0 {
			p.dst = append(p.dst, ", "...)
		}
		p.element(f, t, data[i*int(f.Size):])
	}
	p.dst = append(p.dst, ']')
}

func (p *printer) element(f *syscalls.Field, t *syscalls.Type, data []byte) {
	if t.Kind == syscalls.KindStruct {
		if len(data) > int(f.Size) {
			data = data[:f.Size]
		}
		p.structure(t, data)
		return
	}
	v := load(data, int(f.Size))
	if f.Via {
		p.followed(f, t, v)
		return
	}
	if t.Kind == syscalls.KindInt || t.Kind == syscalls.KindUint {
		if f.Signed {
			p.dst = strconv.AppendInt(p.dst, extend(v, int(f.Size)), 10)
		} else {
			p.dst = strconv.AppendUint(p.dst, v, 10)
		}
		return
	}
	if t.Kind == syscalls.KindMode {
		p.dst = appendOctal(p.dst, v)
		return
	}
	if t.Kind == syscalls.KindSig {
		p.sig(int(int32(v)))
		return
	}
	if v == 0 && (t.Name == "iflag" || t.Name == "lflag") {
		return // strace shows a terminal's flags without a 0
	}
	if t.Kind == syscalls.KindSet && f.Signed && t.Set.Pure && f.Size < 8 {
		// negative values of an enumeration are kept as ints or as longs
		if t.Set.On(p.arch).Enum(v) == "" && t.Set.On(p.arch).Enum(uint64(extend(v, int(f.Size)))) != "" {
			v = uint64(extend(v, int(f.Size)))
		}
	}
	p.value(t, v, true)
}

// followed shows a pointer in a struct by what it points to.
func (p *printer) followed(f *syscalls.Field, t *syscalls.Type, v uint64) {
	switch it := p.via; {
	case v == 0 || it == nil:
		p.addr(v)
	case f.IsString():
		limit := p.opt.StringLimit
		if t.Name == "path" {
			limit = 0
		}
		p.dst = appendQuoted(p.dst, it.Data, limit, it.Cut() || it.Fault())
	case len(it.Data) < t.SizeOn(p.arch):
		p.addr(v)
	case t.Name == "sigset":
		p.sigset(it.Data[:8])
	case t.Kind == syscalls.KindStruct:
		p.structure(t, it.Data)
	default:
		p.value(t, load(it.Data, t.SizeOn(p.arch)), true)
	}
}

// extend sign-extends a number of 1, 2, 4 or 8 bytes.
func extend(v uint64, size int) int64 {
	switch size {
	case 1:
		return int64(int8(v))
	case 2:
		return int64(int16(v))
	case 4:
		return int64(int32(v))
	}
	return int64(v)
}

// byteArray shows bytes as strace shows opaque ones: "\x01\x02".
func (p *printer) byteArray(data []byte) {
	limit := len(data)
	if p.opt.StringLimit > 0 {
		limit = min(limit, p.opt.StringLimit)
	}
	p.hexString(data[:limit])
	if limit < len(data) {
		p.dst = append(p.dst, "..."...)
	}
}

// hexString shows all bytes by their numbers, between quotes.
func (p *printer) hexString(data []byte) {
	const digits = "0123456789abcdef"
	p.dst = append(p.dst, '"')
	for _, c := range data {
		p.dst = append(p.dst, '\\', 'x', digits[c>>4], digits[c&15])
	}
	p.dst = append(p.dst, '"')
}

func stat(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	more := false
	if p.opt.Verbose {
		more = p.fieldList(l, data, false, "st_dev", "st_ino")
	}
	more = p.fieldList(l, data, more, "st_mode")
	if p.opt.Verbose {
		more = p.fieldList(l, data, more, "st_nlink", "st_uid", "st_gid", "st_blksize", "st_blocks")
	}
	switch get(l, data, "st_mode") & 0170000 {
	case 0020000, 0060000:
		p.fieldList(l, data, more, "st_rdev")
	default:
		p.fieldList(l, data, more, "st_size")
	}
	if p.opt.Verbose {
		for _, name := range []string{"st_atime", "st_mtime", "st_ctime"} {
			p.fieldList(l, data, true, name)
			p.timeComment(int64(get(l, data, name)), int64(get(l, data, name+"_nsec")), true)
			p.fieldList(l, data, true, name+"_nsec")
		}
		p.dst = append(p.dst, '}')
		return
	}
	p.dst = append(p.dst, ", ...}"...)
}

func statx(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	if p.opt.Verbose {
		p.fields(t, l, data)
		return
	}
	p.dst = append(p.dst, '{')
	p.fieldList(l, data, false, "stx_mask", "stx_attributes", "stx_mode", "stx_size")
	p.dst = append(p.dst, ", ...}"...)
}

func epollData(p *printer, _ *syscalls.Type, _ *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, "{u32="...)
	p.dst = strconv.AppendUint(p.dst, load(data, 4), 10)
	p.dst = append(p.dst, ", u64="...)
	p.dst = strconv.AppendUint(p.dst, load(data, 8), 10)
	p.dst = append(p.dst, '}')
}

func pollfd(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	if int32(load(data, 4)) < 0 {
		p.fieldList(l, data, false, "fd")
	} else {
		p.fieldList(l, data, false, "fd", "events")
	}
	p.dst = append(p.dst, '}')
}

// sendOffset shows where sendfile read from and where it got to: [3] => [8].
func sendOffset(p *printer, a *syscalls.Arg, it *record.Item) bool {
	size := a.Type.SizeOn(p.arch)
	if len(it.Data) < size {
		return false
	}
	after := extend(load(it.Data, size), size)
	p.dst = append(p.dst, '[')
	p.dst = strconv.AppendInt(p.dst, after-max(p.rec.Ret, 0), 10)
	p.dst = append(p.dst, ']')
	if p.rec.Ret > 0 {
		p.dst = append(p.dst, " => ["...)
		p.dst = strconv.AppendInt(p.dst, after, 10)
		p.dst = append(p.dst, ']')
	}
	return true
}

// movedOffset shows where a call read or wrote that moves its offset by its result.
func movedOffset(p *printer, a *syscalls.Arg, it *record.Item) bool {
	if len(it.Data) < 8 {
		return false
	}
	p.dst = append(p.dst, '[')
	p.dst = strconv.AppendInt(p.dst, int64(load(it.Data, 8))-max(p.rec.Ret, 0), 10)
	p.dst = append(p.dst, ']')
	return true
}

// Values of tv_nsec that utimensat(2) knows.
const (
	utimeNow  = 0x3fffffff
	utimeOmit = 0x3ffffffe
)

func utimespec(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	switch get(l, data, "tv_nsec") {
	case utimeNow:
		p.dst = append(p.dst, "UTIME_NOW"...)
		return
	case utimeOmit:
		p.dst = append(p.dst, "UTIME_OMIT"...)
		return
	}
	p.fields(t, l, data)
	sec, nsec := field(l, "tv_sec"), field(l, "tv_nsec")
	if sec != nil && nsec != nil && len(data) >= int(nsec.Off+nsec.Size) {
		p.timeComment(extend(load(data[sec.Off:], int(sec.Size)), int(sec.Size)), extend(load(data[nsec.Off:], int(nsec.Size)), int(nsec.Size)), false)
	}
}

func utimeval(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.fields(t, l, data)
	sec, usec := field(l, "tv_sec"), field(l, "tv_usec")
	if sec != nil && usec != nil && len(data) >= int(usec.Off+usec.Size) {
		at, part := extend(load(data[sec.Off:], int(sec.Size)), int(sec.Size)), extend(load(data[usec.Off:], int(usec.Size)), int(usec.Size))
		if part >= 0 && part < 1000000 {
			p.timeCommentDigits(at, part*1000, 6)
		}
	}
}

// tms shows times in ticks of USER_HZ, and in seconds: 6 /* 0.06 s */.
func tms(p *printer, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	for i := range l.Fields {
		f := &l.Fields[i]
		if i > 0 {
			p.dst = append(p.dst, ", "...)
		}
		p.dst = append(append(p.dst, f.Name...), '=')
		p.ticks(extend(get(l, data, f.Name), int(f.Size)))
	}
	p.dst = append(p.dst, '}')
}

// ticks shows a time in ticks of USER_HZ, which is 100 on all supported ABIs.
func (p *printer) ticks(v int64) {
	p.dst = strconv.AppendInt(p.dst, v, 10)
	if v != 0 {
		p.dst = append(p.dst, " /* "...)
		p.dst = strconv.AppendFloat(p.dst, float64(v)/100, 'f', 2, 64)
		p.dst = append(p.dst, " s */"...)
	}
}

func utimbuf(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	for i, name := range []string{"actime", "modtime"} {
		if p.fieldList(l, data, i > 0, name) {
			f := field(l, name)
			p.timeComment(extend(get(l, data, name), int(f.Size)), 0, false)
		}
	}
	p.dst = append(p.dst, '}')
}

// timeComment shows a time as a comment: /* 2009-02-13T23:31:30.000000015+0000 */.
func (p *printer) timeComment(sec, nsec int64, always bool) {
	if sec == 0 && nsec == 0 && !always || nsec < 0 || nsec > 999999999 || sec < -1<<40 || sec > 1<<40 {
		return
	}
	p.timeCommentDigits(sec, nsec, 9)
}

func (p *printer) timeCommentDigits(sec, nsec int64, digits int) {
	if sec < -1<<40 || sec > 1<<40 {
		return
	}
	at := time.Unix(sec, nsec).UTC()
	p.dst = append(p.dst, " /* "...)
	p.dst = at.AppendFormat(p.dst, "2006-01-02T15:04:05")
	if nsec != 0 {
		p.dst = at.AppendFormat(p.dst, ".000000000"[:1+digits])
	}
	p.dst = append(p.dst, "+0000 */"...)
}

func flock(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	p.fieldList(l, data, false, "l_type", "l_whence", "l_start", "l_len")
	switch uint32(p.rec.Args[1]) { // F_GETLK, F_GETLK64, F_OFD_GETLK
	case 5, 12, 36:
		p.fieldList(l, data, true, "l_pid")
	}
	p.dst = append(p.dst, '}')
}

func openHow(p *printer, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	const least = 24 // OPEN_HOW_SIZE_VER0
	if p.call.Name == "openat2" && p.rec.Args[3] < least {
		p.addr(p.rec.Args[2] & p.longMask())
		return
	}
	p.dst = append(p.dst, '{')
	more := p.fieldList(l, data, false, "flags")
	if flags := get(l, data, "flags"); flags&0100 != 0 || flags&020000000 != 0 || get(l, data, "mode") != 0 {
		more = p.fieldList(l, data, more, "mode")
	}
	p.fieldList(l, data, more, "resolve")
	p.dst = append(p.dst, '}')
}

func fileHandle(p *printer, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	after := data
	if p.call.Name == "name_to_handle_at" {
		if after = nil; !p.entering {
			if it := p.item(2, layout.ItemMem, false); it != nil {
				after = it.Data
			}
		}
	}
	p.dst = append(p.dst, '{')
	p.fieldList(l, data, false, "handle_bytes")
	if n := get(l, after, "handle_bytes"); len(after) >= 4 && n != get(l, data, "handle_bytes") {
		p.dst = append(p.dst, " => "...)
		p.dst = strconv.AppendUint(p.dst, n, 10)
	}
	if len(after) >= 8 && (!p.failed() || p.call.Name != "name_to_handle_at") {
		p.fieldList(l, after, true, "handle_type")
		h, n := after[8:], get(l, after, "handle_bytes")
		if n < uint64(len(h)) {
			h = h[:n]
		}
		p.dst = append(p.dst, ", f_handle="...)
		p.hexString(h)
		if n > uint64(len(h)) {
			p.dst = append(p.dst, "..."...)
		}
	}
	p.dst = append(p.dst, '}')
}

func uringParams(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	p.fieldList(l, data, false, "flags", "sq_thread_cpu", "sq_thread_idle")
	if get(l, data, "flags")&(1<<5) != 0 {
		p.fieldList(l, data, true, "wq_fd")
	}
	if p.failed() {
		p.dst = append(p.dst, '}') // the rest would have been filled in
		return
	}
	p.fieldList(l, data, true, "sq_entries", "cq_entries", "features", "sq_off", "cq_off")
	p.dst = append(p.dst, '}')
}

func schedAttr(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	more := p.fieldList(l, data, false, "size", "sched_policy", "sched_flags", "sched_nice", "sched_priority", "sched_runtime", "sched_deadline", "sched_period")
	if get(l, data, "size") >= 56 {
		p.fieldList(l, data, more, "sched_util_min", "sched_util_max")
	}
	p.dst = append(p.dst, '}')
}

// fiemap shows what was asked of a file's extents, and how much was answered.
func fiemap(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	p.fieldList(l, data, false, "fm_start", "fm_length", "fm_flags", "fm_extent_count")
	p.dst = append(p.dst, '}')
	if p.failed() || p.entering {
		return
	}
	p.dst = append(p.dst, " => {"...)
	p.fieldList(l, data, false, "fm_flags", "fm_mapped_extents")
	p.dst = append(p.dst, ", ...}"...) // the extents are not captured
}

// nodemask shows a set of NUMA nodes, as longs.
func nodemask(p *printer, a *syscalls.Arg, it *record.Item) bool {
	bits := p.rec.Args[a.Carg%6]
	if bits == 0 || bits > 1<<16 {
		return false
	}
	n := max(int(bits-1)+8*p.word-1, 0) / (8 * p.word)
	if n > len(it.Data)/p.word {
		return false
	}
	p.dst = append(p.dst, '[')
	for i := range n {
		if i > 0 {
			p.dst = append(p.dst, ", "...)
		}
		const digits = "0123456789abcdef"
		v, width := load(it.Data[i*p.word:], p.word), 2*p.word // %#016lx, %#08lx
		if v != 0 {
			p.dst = append(p.dst, "0x"...)
			if v>>(8*p.word-8) == 0 {
				width -= 2
			}
		}
		for width--; width >= 0; width-- {
			p.dst = append(p.dst, digits[v>>(4*width)&15])
		}
	}
	p.dst = append(p.dst, ']')
	return true
}

// capData shows the two halves of a capability set as one.
func capData(p *printer, a *syscalls.Arg, it *record.Item) bool {
	d := it.Data
	if len(d) < 24 {
		return false
	}
	p.dst = append(p.dst, '{')
	for i, name := range []string{"effective=", "permitted=", "inheritable="} {
		if i > 0 {
			p.dst = append(p.dst, ", "...)
		}
		p.dst = append(p.dst, name...)
		p.capabilities(load(d[4*i:], 4) | load(d[12+4*i:], 4)<<32)
	}
	p.dst = append(p.dst, '}')
	return true
}

func capmask(p *printer, _ *syscalls.Type, v uint64) { p.capabilities(v) }

var capabilitySet = syscalls.SetByName("capability")

func (p *printer) capabilities(v uint64) {
	if v == 0 {
		p.dst = append(p.dst, '0')
		return
	}
	more := false
	for i := range uint64(64) {
		if v>>i&1 == 0 {
			continue
		}
		name := capabilitySet.Enum(i)
		if name == "" {
			continue
		}
		if more {
			p.dst = append(p.dst, '|')
		}
		p.dst = append(p.dst, "1<<"...)
		p.dst = append(p.dst, name...)
		v &^= 1 << i
		more = true
	}
	if v != 0 {
		if more {
			p.dst = append(p.dst, '|')
		}
		p.hex(v)
	}
}

// fdset shows the numbers in a select set: [3 5].
func fdset(p *printer, a *syscalls.Arg, it *record.Item) bool {
	n := int32(p.rec.Args[0])
	p.bits(it.Data, max(int(n), 0))
	return true
}

func cpuset(p *printer, a *syscalls.Arg, it *record.Item) bool {
	p.bits(it.Data, len(it.Data)*8)
	if it.Cut() {
		p.dst = append(p.dst[:len(p.dst)-1], " ...]"...)
	}
	return true
}

func (p *printer) bits(data []byte, n int) {
	p.dst = append(p.dst, '[')
	more := false
	for i := range min(n, len(data)*8) {
		if data[i/8]>>(i%8)&1 != 0 {
			if more {
				p.dst = append(p.dst, ' ')
			}
			p.dst = strconv.AppendInt(p.dst, int64(i), 10)
			more = true
		}
	}
	p.dst = append(p.dst, ']')
}

func str16(p *printer, a *syscalls.Arg, it *record.Item) bool {
	text, _, _ := bytes.Cut(it.Data, []byte{0})
	p.dst = appendQuoted(p.dst, text, p.opt.StringLimit, false)
	return true
}

func seccompAction(p *printer, a *syscalls.Arg, it *record.Item) bool {
	if len(it.Data) < 4 {
		return false
	}
	p.dst = append(p.dst, '[')
	p.set(a.Type.Set, load(it.Data, 4), true)
	p.dst = append(p.dst, ']')
	return true
}

// left shows what select and ppoll left of a timeout. at: what stands before it.
func (p *printer) left(at string, more bool) bool {
	if p.rec.Ret <= 0 {
		return false
	}
	for i := range p.call.Args {
		a := &p.call.Args[i]
		if a.Dir&(syscalls.DirEntry|syscalls.DirOut) != syscalls.DirEntry|syscalls.DirOut || a.Type.Kind != syscalls.KindStruct {
			continue
		}
		it := p.item(a.Reg, memKind, false)
		if it == nil || len(it.Data) < a.Type.SizeOn(p.arch) {
			return false
		}
		if more {
			p.dst = append(p.dst, ", left "...)
		} else {
			p.dst = append(p.dst, at...)
		}
		p.structure(a.Type, it.Data)
		return true
	}
	return false
}

func pollResult(p *printer, ret int64) {
	p.dst = strconv.AppendInt(p.dst, ret, 10)
	if ret == 0 {
		p.dst = append(p.dst, " (Timeout)"...)
		return
	}
	if len(p.call.Args) == 0 {
		return
	}
	it := p.item(0, memKind, false)
	events := pollEvents()
	if it == nil {
		return
	}
	p.dst = append(p.dst, " (["...)
	more, shown := false, 0
	for d := it.Data; len(d) >= 8; d = d[8:] {
		revents := load(d[6:], 2)
		if revents == 0 {
			continue
		}
		if more {
			p.dst = append(p.dst, ", "...)
		}
		if shown++; p.opt.StringLimit > 0 && shown > p.opt.StringLimit {
			p.dst = append(p.dst, "..."...)
			break
		}
		more = true
		p.dst = append(p.dst, "{fd="...)
		p.dst = strconv.AppendInt(p.dst, int64(int32(load(d, 4))), 10)
		p.dst = append(p.dst, ", revents="...)
		p.set(events, revents, true)
		p.dst = append(p.dst, '}')
	}
	p.dst = append(p.dst, ']')
	p.left("", true)
	p.dst = append(p.dst, ')')
}

func selectResult(p *printer, ret int64) {
	p.dst = strconv.AppendInt(p.dst, ret, 10)
	if ret == 0 {
		p.dst = append(p.dst, " (Timeout)"...)
		return
	}
	more := false
	for i, name := range []string{"in ", "out ", "except "} {
		it := p.item(uint8(i+1), memKind, false)
		if it == nil || bytes.Count(it.Data, []byte{0}) == len(it.Data) {
			continue
		}
		if more {
			p.dst = append(p.dst, ", "...)
		} else {
			p.dst = append(p.dst, " ("...)
		}
		more = true
		p.dst = append(p.dst, name...)
		p.bits(it.Data, max(int(int32(p.rec.Args[0])), 0))
	}
	if p.left(" (left ", more) || more {
		p.dst = append(p.dst, ')')
	}
}
