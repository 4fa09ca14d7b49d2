package strace

import (
	"bytes"
	"math/bits"
	"strconv"
	"time"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
	"github.com/recorderd/recorderd/recorder/value"
)

// Structs that are more than their fields, found by name. data may be shorter
// than the struct.
var structures map[string]func(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte)

// What is neither a number nor a struct, found by its type's name.
var memories map[string]func(d *decoder, a *syscalls.Arg, it *record.Item) bool

// Numbers that are decoded in a way of their own.
var values map[string]func(d *decoder, t *syscalls.Type, v uint64)

// Results that are more than a number: what they mean.
var results map[string]func(d *decoder, ret int64)

// Calls whose arguments strace shows in an order of its own.
var wholeCalls map[string]func(d *decoder)

func init() {
	structures = map[string]func(*decoder, *syscalls.Type, *syscalls.Layout, []byte){
		"stat": stat, "stat64": stat, "statx": statx, "epoll_data": epollData, "utimespec": utimespec, "utimespec64": utimespec,
		"siginfo": siginfo, "sigaction": sigaction, "old_sigaction": sigaction, "flock": flock, "flock64": flock, "flock_ofd": flock,
		"clone_args": cloneArgs, "io_uring_params": uringParams, "file_handle": fileHandle, "open_how": openHow,
		"sigevent": sigevent, "pollfd": pollfd, "sched_attr": schedAttr, "utimbuf": utimbuf, "utimeval": utimeval, "fiemap": fiemap,
		"ipc_perm": ipcPerm, "shmid_ds": shmidDs, "msqid_ds": msqidDs, "semid_ds": semidDs, "sigmaskarg": sigmaskArg, "iocb": iocb, "ifconf": ifconf, "ifreq_index": ifreq, "ifreq_flags": ifreq, "ifreq_addr": ifreq, "ifreq_netmask": ifreq, "ifreq_broadaddr": ifreq, "ifreq_hwaddr": ifreq, "ifreq_mtu": ifreq, "user_desc": userDesc,
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
	memories = map[string]func(*decoder, *syscalls.Arg, *record.Item) bool{
		"fdset": fdset, "cpuset": cpuset, "residency": residency, "sockaddr": sockaddrArg, "sockoptval": sockoptval, "str16": str16,
		"sendoff": sendOffset, "sendoff64": sendOffset, "movedoff": movedOffset, "sigset": sigsetArg, "old_sigset": sigsetArg, "cap_data": capData, "seccompaction": seccompAction, "nodemask": nodemask,
	}
	values = map[string]func(*decoder, *syscalls.Type, uint64){
		"wstatus": wstatus, "clockid": clockid, "sigset": sigsetValue, "sigmask": sigsetValue, "old_sigset": oldSigset, "old_sigset_arg": oldSigset,
		"rlim": rlim, "sighandler": sighandler, "sockopt": sockopt, "sockproto": sockproto, "futexop": futexop, "futexwakeop": futexWakeOp,
		"capmask": capmask, "ioctlcmd": ioctlcmd, "offhl": offset64, "offhilo": offset64, "pgoff": pgoff, "fanmask64": fanmask, "ioprio": ioprio, "ipckey": hexEnum,
		"keyringid": decimalEnum, "inaddr": inaddr, "termoflag": termOflag, "termcflag": termCflag, "cloneflags": cloneflags, "clone3flags": clone3flags,
		"waitid": intValue, "socktype": socktype, "mmapflags": hugeFlags("MAP_HUGE_SHIFT"), "memfdflags": hugeFlags("MFD_HUGE_SHIFT"), "shmgetflags": hugeFlags("SHM_HUGE_SHIFT"), "ambientcap": ambientCap, "syslogaction": syslogAction, "ptracer": ptracer, "parenttid": intValue, "fsmagic": fsmagic, "personality": personality,
		"oct?": octalValue, "errnum": errnum, "kernelversion": kernelVersion, "userreg": userReg, "quotacmd": quotaCmd, "iocbopcode": decimalUnknown, "reqkey": decimalUnknown, "swapflags": swapFlags, "socketcall": decimalEnum, "ipccall": decimalEnum, "ldtfunc": intValue, "pagestatus": pageStatus, "futexbitset": hexEnum,
		"cloexecflag": cloexecFlag, "plainclock": plainClock, "pidtype": pidType, "mcepolicy": mcePolicy, "mountflags": mountFlags, "mmapprot": longFlags,
	}
	results = map[string]func(*decoder, int64){
		"poll": pollResult, "select": selectResult, "sigwait": sigResult, "sig_ret": sigResult, "ioprio_ret": ioprioResult, "personality_ret": personalityResult, "threadarea": threadArea, "ldt": ldtResult,
	}
	wholeCalls = map[string]func(*decoder){"clone": clone, "restart_syscall": restart}
}

// structure decodes a struct: {tv_sec=1, tv_nsec=0}. Where data ends before the
// struct does, "..." stands for the rest.
func (d *decoder) structure(t *syscalls.Type, data []byte) {
	l := t.Struct.On(d.arch)
	if l == nil || d.depth > 4 {
		d.Close(d.Open(value.Object)).Flags |= value.Cut
		return
	}
	d.depth++
	if decode := structures[t.Struct.Name]; decode != nil {
		decode(d, t, l, data)
	} else {
		d.fields(t, l, data)
	}
	d.depth--
}

// fields decodes all fields of a struct.
func (d *decoder) fields(t *syscalls.Type, l *syscalls.Layout, data []byte) *value.Node {
	if t.Struct.Noname {
		d.With(nonameForm)
	}
	at, cut := d.Open(value.Object), false
	for i := range l.Fields {
		f := &l.Fields[i]
		if int(f.Off)+int(f.Size) > len(data) {
			cut = !d.asSized // otherwise it is the caller's that is shorter
			break
		}
		if f.Hidden {
			d.Mark(value.Hidden)
		}
		d.Name(f.Name)
		d.field(f, data)
	}
	n := d.Close(at)
	if cut {
		n.Flags |= value.Cut
	}
	return n
}

// nonameForm is that of a struct with a single field: [value].
var nonameForm = &value.Form{Open: "[", Close: "]", Sep: ", ", Bare: true}

// fieldList decodes the named fields of a struct, as far as data has them.
func (d *decoder) fieldList(l *syscalls.Layout, data []byte, names ...string) {
	for _, name := range names {
		if f := field(l, name); f != nil && int(f.Off)+int(f.Size) <= len(data) {
			d.Name(name)
			d.field(f, data)
		}
	}
}

// hidden is fieldList for fields that text leaves out, unless it is verbose.
func (d *decoder) hidden(l *syscalls.Layout, data []byte, names ...string) {
	for _, name := range names {
		if f := field(l, name); f != nil && int(f.Off)+int(f.Size) <= len(data) {
			d.Name(name)
			d.Mark(value.Hidden)
			d.field(f, data)
		}
	}
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

// getSigned is get for a number with a sign.
func getSigned(l *syscalls.Layout, data []byte, name string) int64 {
	f := field(l, name)
	if f == nil {
		return 0
	}
	return extend(get(l, data, name), int(f.Size))
}

// field decodes the value of a field that lies in data, or its part that does.
func (d *decoder) field(f *syscalls.Field, data []byte) {
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
		d.Mark(value.Whole)
		d.String(text, cut && !ended)
	case t.Name == "bytes":
		d.bytes(data)
	case t.Name == "hwaddr":
		d.hwaddr(data)
	case t.Name == "sockaddr":
		d.sockaddr(data)
	case t.Name == "sigmask" && f.N > 0:
		d.sigset(data)
	case f.N == 0:
		d.element(f, t, data)
	default:
		d.list(len(data)/max(int(f.Size), 1), func(i int) { d.element(f, t, data[i*int(f.Size):]) })
	}
}

func (d *decoder) element(f *syscalls.Field, t *syscalls.Type, data []byte) {
	if t.Kind == syscalls.KindStruct {
		if len(data) > int(f.Size) {
			data = data[:f.Size]
		}
		d.structure(t, data)
		return
	}
	v := load(data, int(f.Size))
	if f.Via {
		d.followed(f, t, v)
		return
	}
	switch t.Kind {
	case syscalls.KindInt, syscalls.KindUint:
		if f.Signed {
			d.Int(extend(v, int(f.Size)))
		} else {
			d.Uint(v)
		}
		return
	case syscalls.KindMode:
		d.Octal(v)
		return
	case syscalls.KindSig:
		d.Signal(int(int32(v)))
		return
	}
	if v == 0 && (t.Name == "iflag" || t.Name == "lflag") {
		d.moreFlags(t.Set.On(d.arch), 0) // strace shows a terminal's flags without a 0
		return
	}
	if t.Kind == syscalls.KindSet && f.Signed && t.Set.Pure && f.Size < 8 {
		// negative values of an enumeration are kept as ints or as longs
		if t.Set.On(d.arch).Enum(v) == "" && t.Set.On(d.arch).Enum(uint64(extend(v, int(f.Size)))) != "" {
			v = uint64(extend(v, int(f.Size)))
		}
	}
	d.value(t, v, true)
}

// followed decodes a pointer in a struct by what it points to.
func (d *decoder) followed(f *syscalls.Field, t *syscalls.Type, v uint64) {
	switch it := d.via; {
	case v == 0 || it == nil:
		d.Addr(v)
	case f.IsString():
		if t.Name == "path" {
			d.Mark(value.Whole)
		}
		d.String(it.Data, it.Cut() || it.Fault())
	case len(it.Data) < t.SizeOn(d.arch):
		d.Addr(v)
	case t.Name == "sigset":
		d.sigset(it.Data[:8])
	case t.Kind == syscalls.KindStruct:
		d.structure(t, it.Data)
	default:
		d.value(t, load(it.Data, t.SizeOn(d.arch)), true)
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

// bytes decodes opaque bytes: "\x01\x02".
func (d *decoder) bytes(data []byte) { d.Add(value.Node{Kind: value.Bytes, Data: data}) }

func stat(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	at := d.Open(value.Object)
	d.hidden(l, data, "st_dev", "st_ino")
	d.fieldList(l, data, "st_mode")
	d.hidden(l, data, "st_nlink", "st_uid", "st_gid", "st_blksize", "st_blocks")
	switch get(l, data, "st_mode") & 0170000 {
	case 0020000, 0060000:
		d.fieldList(l, data, "st_rdev")
	default:
		d.fieldList(l, data, "st_size")
	}
	for _, name := range [3][2]string{{"st_atime", "st_atime_nsec"}, {"st_mtime", "st_mtime_nsec"}, {"st_ctime", "st_ctime_nsec"}} {
		before := d.Len()
		d.hidden(l, data, name[0])
		if d.Len() > before {
			d.timeComment(before, int64(get(l, data, name[0])), int64(get(l, data, name[1])), true)
		}
		d.hidden(l, data, name[1])
	}
	d.Close(at)
}

// statxShown are the fields that strace shows without -v.
var statxShown = map[string]bool{"stx_mask": true, "stx_attributes": true, "stx_mode": true, "stx_size": true}

func statx(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	at := d.Open(value.Object)
	for i := range l.Fields {
		f := &l.Fields[i]
		if int(f.Off)+int(f.Size) > len(data) {
			d.Close(at).Flags |= value.Cut
			return
		}
		if d.Name(f.Name); !statxShown[f.Name] {
			d.Mark(value.Hidden)
		}
		d.field(f, data)
	}
	d.Close(at)
}

func epollData(d *decoder, _ *syscalls.Type, _ *syscalls.Layout, data []byte) {
	at := d.Open(value.Object)
	d.Name("u32")
	d.Uint(load(data, 4))
	d.Name("u64")
	d.Uint(load(data, 8))
	d.Close(at)
}

func pollfd(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	at := d.Open(value.Object)
	if d.fieldList(l, data, "fd"); int32(load(data, 4)) >= 0 {
		d.fieldList(l, data, "events")
	}
	d.Close(at)
}

// sendOffset decodes where sendfile read from and where it got to: [3] => [8].
func sendOffset(d *decoder, a *syscalls.Arg, it *record.Item) bool {
	size := a.Type.SizeOn(d.arch)
	if len(it.Data) < size {
		return false
	}
	d.moved(extend(load(it.Data, size), size), true)
	return true
}

// movedOffset decodes where a call read or wrote that moves its offset by its result.
func movedOffset(d *decoder, a *syscalls.Arg, it *record.Item) bool {
	if len(it.Data) < 8 {
		return false
	}
	d.moved(int64(load(it.Data, 8)), false)
	return true
}

// moved decodes an offset that was moved by the result.
func (d *decoder) moved(after int64, shown bool) {
	d.object(inOutForm, func() {
		d.Name("in")
		d.Mark(value.Boxed)
		d.Int(after - max(d.rec.Ret, 0))
		if d.failed() || d.entering {
			return
		}
		d.Name("out")
		d.Mark(value.Boxed)
		if d.rec.Ret == 0 || !shown {
			d.Mark(value.NoText)
		}
		d.Int(after)
	})
}

// Values of tv_nsec that utimensat(2) knows.
const (
	utimeNow  = 0x3fffffff
	utimeOmit = 0x3ffffffe
)

func utimespec(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	switch get(l, data, "tv_nsec") {
	case utimeNow:
		d.Word("UTIME_NOW")
		return
	case utimeOmit:
		d.Word("UTIME_OMIT")
		return
	}
	at := d.Len()
	d.fields(t, l, data)
	if nsec := field(l, "tv_nsec"); nsec != nil && len(data) >= int(nsec.Off+nsec.Size) {
		d.timeComment(at, getSigned(l, data, "tv_sec"), getSigned(l, data, "tv_nsec"), false)
	}
}

func utimeval(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	at := d.Len()
	d.fields(t, l, data)
	if usec := field(l, "tv_usec"); usec != nil && len(data) >= int(usec.Off+usec.Size) {
		if part := getSigned(l, data, "tv_usec"); part >= 0 && part < 1000000 {
			d.timeCommentDigits(at, getSigned(l, data, "tv_sec"), part*1000, 6)
		}
	}
}

// tms decodes times in ticks of USER_HZ, with seconds in text: 6 /* 0.06 s */.
func tms(d *decoder, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	at := d.Open(value.Object)
	for i := range l.Fields {
		d.Name(l.Fields[i].Name)
		d.ticks(getSigned(l, data, l.Fields[i].Name))
	}
	d.Close(at)
}

// ticks decodes a time in ticks of USER_HZ, which is 100 on all supported ABIs.
func (d *decoder) ticks(v int64) {
	n := d.Int(v)
	if v != 0 {
		n.Data = d.KeepComment(append(strconv.AppendFloat(d.Comment(), float64(v)/100, 'f', 2, 64), " s"...))
	}
}

func utimbuf(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	at := d.Open(value.Object)
	for _, name := range []string{"actime", "modtime"} {
		before := d.Len()
		d.fieldList(l, data, name)
		if d.Len() > before {
			d.timeComment(before, getSigned(l, data, name), 0, false)
		}
	}
	d.Close(at)
}

// timeComment adds a time to a node as a comment: /* 2009-02-13T23:31:30.000000015+0000 */.
func (d *decoder) timeComment(at int, sec, nsec int64, always bool) {
	if sec == 0 && nsec == 0 && !always || nsec < 0 || nsec > 999999999 || sec < -1<<40 || sec > 1<<40 {
		return
	}
	d.timeCommentDigits(at, sec, nsec, 9)
}

func (d *decoder) timeCommentDigits(at int, sec, nsec int64, digits int) {
	if sec < -1<<40 || sec > 1<<40 {
		return
	}
	when := time.Unix(sec, nsec).UTC()
	b := when.AppendFormat(d.Comment(), "2006-01-02T15:04:05")
	if nsec != 0 {
		b = when.AppendFormat(b, ".000000000"[:1+digits])
	}
	d.Nodes[at].Data = d.KeepComment(append(b, "+0000"...))
}

func flock(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	at := d.Open(value.Object)
	d.fieldList(l, data, "l_type", "l_whence", "l_start", "l_len")
	switch uint32(d.rec.Args[1]) { // F_GETLK, F_GETLK64, F_OFD_GETLK
	case 5, 12, 36:
		d.fieldList(l, data, "l_pid")
	}
	d.Close(at)
}

func openHow(d *decoder, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	const least = 24 // OPEN_HOW_SIZE_VER0
	if d.call.Name == "openat2" && d.rec.Args[3] < least {
		d.Addr(d.rec.Args[2] & d.longMask())
		return
	}
	at := d.Open(value.Object)
	d.fieldList(l, data, "flags")
	if flags := get(l, data, "flags"); flags&0100 != 0 || flags&020000000 != 0 || get(l, data, "mode") != 0 {
		d.fieldList(l, data, "mode")
	}
	d.fieldList(l, data, "resolve")
	d.Close(at)
}

func fileHandle(d *decoder, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	after := data
	if d.call.Name == "name_to_handle_at" {
		if after = nil; !d.entering {
			if it := d.item(2, memKind, false); it != nil {
				after = it.Data
			}
		}
	}
	at := d.Open(value.Object)
	d.Name("handle_bytes")
	d.object(inOutForm, func() {
		n, m := get(l, data, "handle_bytes"), get(l, after, "handle_bytes")
		d.Name("in")
		d.Uint(n)
		if len(after) >= 4 && d.call.Name == "name_to_handle_at" {
			if d.Name("out"); n == m {
				d.Mark(value.NoText)
			}
			d.Uint(m)
		}
	})
	if len(after) >= 8 && (!d.failed() || d.call.Name != "name_to_handle_at") {
		d.fieldList(l, after, "handle_type")
		h, n := after[8:], get(l, after, "handle_bytes")
		if n < uint64(len(h)) {
			h = h[:n]
		}
		d.Name("f_handle")
		d.Mark(value.Whole)
		if n > uint64(len(h)) {
			d.Mark(value.Cut)
		}
		d.bytes(h)
	}
	d.Close(at)
}

func uringParams(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	at := d.Open(value.Object)
	d.fieldList(l, data, "flags", "sq_thread_cpu", "sq_thread_idle")
	if get(l, data, "flags")&(1<<5) != 0 {
		d.fieldList(l, data, "wq_fd")
	}
	if !d.failed() { // otherwise the rest would have been filled in
		d.fieldList(l, data, "sq_entries", "cq_entries", "features", "sq_off", "cq_off")
	}
	d.Close(at)
}

func schedAttr(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	at := d.Open(value.Object)
	d.fieldList(l, data, "size", "sched_policy", "sched_flags", "sched_nice", "sched_priority", "sched_runtime", "sched_deadline", "sched_period")
	if get(l, data, "size") >= 56 {
		d.fieldList(l, data, "sched_util_min", "sched_util_max")
	}
	d.Close(at)
}

// fiemap decodes what was asked of a file's extents, and how much was answered.
func fiemap(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	d.object(inOutForm, func() {
		d.Name("in")
		d.object(nil, func() { d.fieldList(l, data, "fm_start", "fm_length", "fm_flags", "fm_extent_count") })
		if d.failed() || d.entering {
			return
		}
		d.Name("out")
		at := d.Open(value.Object)
		d.fieldList(l, data, "fm_flags", "fm_mapped_extents")
		d.Close(at).Flags |= value.Cut // the extents are not captured
	})
}

// nodemask decodes a set of NUMA nodes, as longs.
func nodemask(d *decoder, a *syscalls.Arg, it *record.Item) bool {
	bits := d.rec.Args[a.Carg%6]
	if bits == 0 || bits > 1<<16 {
		return false
	}
	n := max(int(bits-1)+8*d.word-1, 0) / (8 * d.word)
	if n > len(it.Data)/d.word {
		return false
	}
	d.list(n, func(i int) {
		d.Hex(load(it.Data[i*d.word:], d.word)).Pad = uint8(2 * d.word) // %#016lx, %#08lx
	})
	return true
}

// capData decodes the two halves of a capability set as one.
func capData(d *decoder, a *syscalls.Arg, it *record.Item) bool {
	b := it.Data
	if len(b) < 24 {
		return false
	}
	at := d.Open(value.Object)
	for i, name := range []string{"effective", "permitted", "inheritable"} {
		d.Name(name)
		d.capabilities(load(b[4*i:], 4) | load(b[12+4*i:], 4)<<32)
	}
	d.Close(at)
	return true
}

func capmask(d *decoder, _ *syscalls.Type, v uint64) { d.capabilities(v) }

var (
	capabilitySet = syscalls.SetByName("capability")
	bitForm       = &value.Form{Pre: "1<<"}
)

func (d *decoder) capabilities(v uint64) {
	at := d.Open(value.Union)
	for i := range uint64(64) {
		if name := capabilitySet.Enum(i); v>>i&1 != 0 && name != "" {
			d.With(bitForm)
			d.Word(name)
			v &^= 1 << i
		}
	}
	if v != 0 {
		d.Hex(v)
	}
	d.Close(at)
}

// fdset decodes the numbers in a select set: [3 5].
func fdset(d *decoder, a *syscalls.Arg, it *record.Item) bool {
	if set := d.bits(it.Data, max(int(int32(d.rec.Args[0])), 0), nil); it.Cut() {
		set.Flags |= value.Cut
	}
	return true
}

func cpuset(d *decoder, a *syscalls.Arg, it *record.Item) bool {
	if set := d.bits(it.Data, len(it.Data)*8, nil); it.Cut() {
		set.Flags |= value.Cut
	}
	return true
}

// residency decodes which pages are in memory: the lowest bit of a byte each.
func residency(d *decoder, _ *syscalls.Arg, it *record.Item) bool {
	if len(it.Data) == 0 {
		return false
	}
	d.Mark(value.Limited)
	if l := d.list(len(it.Data), func(i int) { d.Uint(uint64(it.Data[i] & 1)) }); it.Cut() || it.Fault() {
		l.Flags |= value.Cut
	}
	return true
}

var bitsForm = &value.Form{Open: "[", Close: "]", Sep: " "}

// bits decodes the numbers of the bits that are set, below n.
func (d *decoder) bits(data []byte, n int, f *value.Form) *value.Node {
	if f == nil {
		f = bitsForm
	}
	d.With(f)
	at := d.Open(value.List)
	for i := range min(n, len(data)*8) {
		if data[i/8]>>(i%8)&1 != 0 {
			d.Uint(uint64(i))
		}
	}
	return d.Close(at)
}

func str16(d *decoder, a *syscalls.Arg, it *record.Item) bool {
	text, _, _ := bytes.Cut(it.Data, []byte{0})
	d.String(text, false)
	return true
}

func seccompAction(d *decoder, a *syscalls.Arg, it *record.Item) bool {
	if len(it.Data) < 4 {
		return false
	}
	d.Mark(value.Boxed)
	d.set(a.Type.Set, load(it.Data, 4), true)
	return true
}

// Forms of what poll and select found.
var (
	foundForm   = &value.Form{Open: " (", Close: ")", Sep: ", ", Bare: true}
	timeoutForm = &value.Form{Pre: "Timeout"}
	leftForm    = &value.Form{Pre: "left "}
	setForms    = [3]*value.Form{
		{Open: "in [", Close: "]", Sep: " "}, {Open: "out [", Close: "]", Sep: " "}, {Open: "except [", Close: "]", Sep: " "},
	}
)

// left decodes what select and ppoll left of a timeout.
func (d *decoder) left() {
	if d.rec.Ret <= 0 {
		return
	}
	for i := range d.call.Args {
		a := &d.call.Args[i]
		if a.Dir&(syscalls.DirEntry|syscalls.DirOut) != syscalls.DirEntry|syscalls.DirOut || a.Type.Kind != syscalls.KindStruct {
			continue
		}
		if it := d.item(a.Reg, memKind, false); it != nil && len(it.Data) >= a.Type.SizeOn(d.arch) {
			d.Name("left")
			d.With(leftForm)
			d.structure(a.Type, it.Data)
		}
		return
	}
}

func pollResult(d *decoder, ret int64) {
	if ret == 0 {
		d.object(foundForm, func() { d.bool("timeout", timeoutForm) })
		return
	}
	it := d.item(0, memKind, false)
	if len(d.call.Args) == 0 || it == nil {
		return
	}
	d.object(foundForm, func() {
		d.Name("ready")
		d.Mark(value.Limited)
		at, found := d.Open(value.List), int64(0)
		ready := func(b []byte) {
			for ; len(b) >= 8; b = b[8:] {
				revents := load(b[6:], 2)
				if revents == 0 {
					continue
				}
				found++
				fd := d.Open(value.Object)
				d.Name("fd")
				d.Int(int64(int32(load(b, 4))))
				d.Name("revents")
				d.set(pollEventSet, revents, true)
				d.Close(fd)
			}
		}
		ready(it.Data)
		if more := d.item(0, layout.ItemReady, false); more != nil {
			ready(more.Data) // of those that were not kept
		}
		if l := d.Close(at); it.Cut() && found < ret {
			l.Flags |= value.Cut // they are among those that were not captured
		}
		d.left()
	})
}

func selectResult(d *decoder, ret int64) {
	if ret == 0 {
		d.object(foundForm, func() { d.bool("timeout", timeoutForm) })
		return
	}
	start, found := d.Len(), int64(0)
	var sets [3]*record.Item
	for i := range sets {
		if sets[i] = d.item(uint8(i+1), memKind, false); sets[i] != nil {
			for _, b := range sets[i].Data {
				found += int64(bits.OnesCount8(b))
			}
		}
	}
	d.With(foundForm)
	at := d.Open(value.Object)
	for i, name := range []string{"in", "out", "except"} {
		it := sets[i]
		if it == nil {
			continue
		}
		cut := it.Cut() && found < ret // what is ready is above what was captured
		if !cut && bytes.Count(it.Data, []byte{0}) == len(it.Data) {
			continue
		}
		d.Name(name)
		if set := d.bits(it.Data, max(int(int32(d.rec.Args[0])), 0), setForms[i]); cut {
			set.Flags |= value.Cut
		}
	}
	if d.left(); d.Empty(at) {
		d.Truncate(start)
		return
	}
	d.Close(at)
}
