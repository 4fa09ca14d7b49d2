package strace

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
	"github.com/recorderd/recorderd/recorder/value"
)

// What programs say to parts of the kernel that have a language of their own: bpf, quotas,
// asynchronous I/O, debuggers, segments.

// bpfAttr decodes a command's member of union bpf_attr, as far as the caller's size reaches;
// "..." stands for what follows, if it is not 0. member: its name in the union, "" if
// it has none.
func bpfAttr(member string) func(*decoder, *syscalls.Type, *syscalls.Layout, []byte) {
	return func(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
		outer := d.Open(value.Object)
		if t.Struct.Name == "bpf_prog_id" || t.Struct.Name == "bpf_map_id" {
			data = append(data[:len(data):len(data)], make([]byte, max(0, 8-len(data)))...) // a shorter one goes on with zeros
		}
		end := 0
		if member != "" {
			d.Name(member)
			d.object(nil, func() { end = d.bpfFields(t, l, data) })
		} else {
			end = d.bpfFields(t, l, data)
		}
		size := int(d.rec.Args[2] & 0xffffffff)
		n := d.Close(outer)
		if rest := data[min(end, len(data)):]; len(bytes.TrimLeft(rest, "\x00")) > 0 || size > len(data) && len(data) < int(l.Size) {
			n.Flags |= value.Cut
		}
	}
}

// bpfFields decodes the fields of a command's attributes and returns where they end.
func (d *decoder) bpfFields(t *syscalls.Type, l *syscalls.Layout, data []byte) (end int) {
	for i := range l.Fields {
		f := &l.Fields[i]
		const numaNode = 4 // BPF_F_NUMA_NODE
		if f.Name == "numa_node" && get(l, data, "map_flags")&numaNode == 0 {
			continue
		}
		if int(f.Off)+int(f.Size)*max(int(f.N), 1) > len(data) {
			break
		}
		d.Name(f.Name)
		if f.Name == "next_id" && t.Name == "bpf_next_id" {
			d.object(inOutForm, func() {
				d.Name("in")
				d.field(f, data)
				if it := d.item(1, layout.ItemMem, false); it != nil && len(it.Data) >= int(f.Off+f.Size) && !d.failed() && !d.entering {
					d.Name("out")
					d.field(f, it.Data)
				}
			})
		} else {
			d.field(f, data)
		}
		end = int(f.Off) + int(f.Size)*max(int(f.N), 1)
	}
	return end
}

var versionForm = &value.Form{Open: "KERNEL_VERSION(", Close: ")", Sep: ", ", Bare: true}

// kernelVersion decodes what the header of Linux makes of three numbers.
func kernelVersion(d *decoder, _ *syscalls.Type, v uint64) {
	d.object(versionForm, func() {
		d.Name("major")
		d.Uint(v >> 16 & 0xffff)
		d.Name("minor")
		d.Uint(v >> 8 & 0xff)
		d.Name("patch")
		d.Uint(v & 0xff)
	})
}

var quotaForm = &value.Form{Open: "QCMD(", Close: ")", Sep: ", ", Bare: true}

// quotaCmd decodes QCMD(Q_GETQUOTA, USRQUOTA).
func quotaCmd(d *decoder, t *syscalls.Type, v uint64) {
	v &= 0xffffffff
	d.object(quotaForm, func() {
		d.Name("cmd")
		d.named(t.Set.Enum(v&^0xff), func() { d.Hex(v >> 8).Text = "Q_???" })
		d.Name("type")
		switch v & 0xff {
		case 0:
			d.Word("USRQUOTA")
		case 1:
			d.Word("GRPQUOTA")
		case 2:
			d.Word("PRJQUOTA")
		default:
			d.Hex(v & 0xff).Text = "???QUOTA"
		}
	})
}

// errnum decodes the number of an error by its name.
func errnum(d *decoder, _ *syscalls.Type, v uint64) {
	name := ""
	if uint32(v) < 4096 {
		name, _ = syscalls.Errno(int(uint32(v)))
	}
	d.named(name, func() { d.Uint(v & 0xffffffff) })
}

var negative = &value.Form{Pre: "-"}

// pageStatus decodes the node that a page is on, or why it is on none.
func pageStatus(d *decoder, _ *syscalls.Type, v uint64) {
	n := int64(int32(v))
	if name, _ := syscalls.Errno(int(-n)); n < 0 && n > -4096 && name != "" {
		d.With(negative)
		d.Word(name)
		return
	}
	d.Int(n)
}

// userParts are what debuggers look for in struct user of x86-64, besides the registers.
var userParts = []struct {
	form     *value.Form
	name     string
	from, to uint64
}{
	{&value.Form{Pre: "offsetof(struct user, ", Post: ")"}, "u_fpvalid", 216, 224},
	{&value.Form{Pre: "offsetof(struct user, ", Post: ")"}, "i387", 224, 736},
	{&value.Form{Pre: "offsetof(struct user, ", Post: ")"}, "u_debugreg", 848, 912},
}

// userRegs are the registers in the area of a traced process, as strace names them: 8*RIP.
var userRegs = func() []string {
	l := syscalls.StructByName("user_regs").On(record.ArchX86_64)
	var names []string
	for i := range l.Fields {
		name := strings.ToUpper(l.Fields[i].Name)
		if name == "EFLAGS" {
			name = "EFL"
		}
		names = append(names, name)
	}
	return names
}()

var (
	plusForm = &value.Form{Sep: "+", Bare: true}
	regForm  = &value.Form{Pre: "8*"}
)

// userReg decodes an offset in the area of a traced process's registers.
func userReg(d *decoder, _ *syscalls.Type, v uint64) {
	const ss = 20 // the last register that strace knows by name
	offset := func(f *value.Form, name string, rest uint64) {
		d.object(plusForm, func() {
			d.Name("of")
			d.With(f)
			d.Word(name)
			if rest > 0 {
				d.Name("offset")
				d.Uint(rest)
			}
		})
	}
	if v%8 == 0 && v < 8*uint64(len(userRegs)) {
		offset(regForm, userRegs[min(v/8, ss)], v-8*min(v/8, ss))
		return
	}
	for _, part := range userParts {
		if v >= part.from && v < part.to {
			offset(part.form, part.name, v-part.from)
			return
		}
	}
	d.Hex(v)
}

// sigmaskArg decodes the mask and its size that pselect6 finds behind its last argument.
func sigmaskArg(d *decoder, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	if get(l, data, "sigsetsize") != 8 {
		d.via = nil
	}
	at := d.Open(value.Object)
	d.fieldList(l, data, "sigmask", "sigsetsize")
	d.Close(at)
}

// Operations of struct iocb, and a flag of it.
const (
	iocbPread, iocbPwrite, iocbPoll, iocbPreadv, iocbPwritev = 0, 1, 5, 7, 8
	iocbResfd                                                = 1
)

func iocb(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	at := d.Open(value.Object)
	d.fieldList(l, data, "aio_data")
	for _, name := range []string{"aio_key", "aio_rw_flags", "aio_lio_opcode", "aio_reqprio", "aio_fildes"} {
		if name[4] == 'l' || name[4] == 'f' || get(l, data, name) != 0 {
			d.fieldList(l, data, name)
		}
	}
	if d.call.Name == "io_cancel" {
		d.Close(at)
		return
	}
	switch get(l, data, "aio_lio_opcode") {
	case iocbPread, iocbPwrite, iocbPreadv, iocbPwritev:
		d.Name("aio_buf")
		d.Hex(get(l, data, "aio_buf"))
		d.fieldList(l, data, "aio_nbytes", "aio_offset")
		if get(l, data, "aio_flags")&iocbResfd != 0 {
			d.fieldList(l, data, "aio_flags", "aio_resfd")
		}
	case iocbPoll:
		d.Name("aio_buf")
		d.set(pollEventSet, get(l, data, "aio_buf"), true)
	}
	d.Close(at)
}

var fixedHexForm = &value.Form{Pre: "0x"}

// userDesc decodes an entry of a descriptor table; its bits are a bit field of C.
func userDesc(d *decoder, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	if d.call.Name == "modify_ldt" && d.rec.Args[2] != uint64(l.Size) {
		d.Hex(d.rec.Args[1] & d.longMask())
		return
	}
	at := d.Open(value.Object)
	d.fieldList(l, data, "entry_number")
	if d.call.Name == "get_thread_area" && d.failed() {
		d.Close(at).Flags |= value.More
		return
	}
	for _, name := range []string{"base_addr", "limit"} {
		d.Name(name)
		d.With(fixedHexForm)
		d.Add(value.Node{Kind: value.Digits, Num: get(l, data, name), Pad: 6})
	}
	bits, bit := get(l, data, "bits"), 0
	for _, f := range []struct {
		name string
		n    int
	}{{"seg_32bit", 1}, {"contents", 2}, {"read_exec_only", 1}, {"limit_in_pages", 1}, {"seg_not_present", 1}, {"useable", 1}, {"lm", 1}} {
		if f.name == "lm" && d.word == 4 {
			break
		}
		d.Name(f.name)
		d.Uint(bits >> bit & (1<<f.n - 1))
		bit += f.n
	}
	d.Close(at)
}

// ldtResult decodes the result of modify_ldt, an int that the kernel does not extend.
func ldtResult(d *decoder, ret int64) {
	if name, text := syscalls.Errno(-int(int32(ret))); ret > 0 && name != "" {
		d.With(&value.Form{Pre: " ", Post: " (" + text + ")"})
		d.Word(name)
	}
}

var entryForm = &value.Form{Open: " (", Close: ")", Sep: ", "}

// threadArea decodes which entry set_thread_area took.
func threadArea(d *decoder, ret int64) {
	if it := d.item(0, layout.ItemMem, false); it != nil && len(it.Data) >= 4 && ret == 0 {
		d.object(entryForm, func() {
			d.Name("entry_number")
			d.Int(int64(int32(load(it.Data, 4))))
		})
	}
}

// decimalUnknown decodes a number by its name, or 99 /* IOCB_CMD_??? */.
func decimalUnknown(d *decoder, t *syscalls.Type, v uint64) {
	d.named(t.Set.Enum(v&0xffffffff), func() { d.Int(int64(int32(v))).Text = t.Set.Unknown })
}

// swapFlags decodes flags, and the priority in their low bits.
func swapFlags(d *decoder, t *syscalls.Type, v uint64) {
	const prio = 0x7fff
	v &= 0xffffffff
	at := d.Open(value.Union)
	if v&^prio != 0 || v == 0 {
		d.set(t.Set, v&^prio, false)
	}
	if v&prio != 0 {
		d.Uint(v & prio)
	}
	d.Close(at)
}

var (
	perfHWSet     = syscalls.SetByName("perfhw")
	perfSWSet     = syscalls.SetByName("perfsw")
	perfCacheSets = [3]*syscalls.Set{syscalls.SetByName("perfcacheresult"), syscalls.SetByName("perfcacheop"), syscalls.SetByName("perfcache")}
)

// perfFlags are the bits of struct perf_event_attr from its 40th byte on; precise_ip has two.
var perfFlags = []string{"disabled", "inherit", "pinned", "exclusive", "exclude_user", "exclude_kernel", "exclude_hv", "exclude_idle", "mmap", "comm", "freq",
	"inherit_stat", "enable_on_exec", "task", "watermark", "precise_ip", "", "mmap_data", "sample_id_all", "exclude_host", "exclude_guest",
	"exclude_callchain_kernel", "exclude_callchain_user", "mmap2", "comm_exec", "use_clockid", "context_switch", "write_backward", "namespaces", "ksymbol",
	"bpf_event", "aux_output", "cgroup", "text_poke", "build_id", "inherit_thread", "remove_on_exec", "sigtrap"}

var perfSkids = [4]string{"arbitrary skid", "constant skid", "requested to have 0 skid", "must have 0 skid"}

var (
	cacheForm = &value.Form{Sep: "|", Bare: true}
	shifts    = [3]*value.Form{{Post: "<<16"}, {Post: "<<8"}, nil}
)

// perfEventAttr decodes what is counted, how, and the flags that are set.
func perfEventAttr(d *decoder, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	const hardware, software, tracepoint, cache = 0, 1, 2, 3
	const freq = 1 << 10
	flags, config := get(l, data, "flags"), get(l, data, "config")
	at := d.Open(value.Object)
	d.fieldList(l, data, "type", "size")
	d.Name("config")
	switch get(l, data, "type") {
	case hardware:
		d.set(perfHWSet, config, true)
	case software:
		d.set(perfSWSet, config, true)
	case tracepoint:
		d.Uint(config)
	case cache:
		d.object(cacheForm, func() {
			if high := config >> 24; high != 0 {
				d.Name("unknown")
				d.With(shifted24Form)
				d.Hex(high)
			}
			for i, name := range [3]string{"result", "op", "cache"} {
				d.Name(name)
				d.With(shifts[i])
				d.set(perfCacheSets[i], config>>(16-8*i)&0xff, true)
			}
		})
	default:
		d.Hex(config)
	}
	if flags&freq != 0 {
		d.Name("sample_freq")
		d.Uint(get(l, data, "sample_period"))
	} else {
		d.fieldList(l, data, "sample_period")
	}
	d.fieldList(l, data, "sample_type", "read_format")
	for i, name := range perfFlags {
		switch bit := flags >> i & 1; {
		case name == "precise_ip":
			skid := flags >> i & 3
			d.Name(name)
			d.Uint(skid).Text = perfSkids[skid]
		case bit != 0 && name != "":
			d.Name(name)
			d.Uint(1)
		}
	}
	d.Close(at).Flags |= value.More
}

// ifreq decodes an interface's name and what is asked of it: the requests to get
// something have odd numbers, and have an answer if they succeed.
func ifreq(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	const siocgifname = 0x8910
	asks := d.rec.Args[1]&1 != 0
	if t.Name == "ifreq_qlen" {
		asks = !asks // the other way round
	}
	if uint32(d.rec.Args[1]) == siocgifname { // here the name is the answer
		d.object(nil, func() {
			if d.fieldList(l, data, "ifr_ifindex"); !d.failed() && !d.entering {
				d.fieldList(l, data, "ifr_name")
			}
		})
		return
	}
	if asks && d.failed() {
		at := d.Open(value.Object)
		d.fieldList(l, data, "ifr_name")
		d.Close(at)
		return
	}
	d.fields(t, l, data)
}

// ifconf decodes the addresses of interfaces. The length is that of the room for them, and then of
// what there is.
func ifconf(d *decoder, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	after := d.item(2, memKind, false)
	if d.entering || after == nil || len(after.Data) < int(l.Size) {
		after = nil
	}
	ifreqSize := 40
	if d.word == 4 {
		ifreqSize = 32
	}
	length := func(n int64) {
		v := d.Int(n)
		if size := int64(ifreqSize); n > 0 && n%size == 0 {
			comment := strconv.AppendInt(d.Comment(), n/size, 10)
			v.Data = d.KeepComment(append(comment, " * sizeof(struct ifreq)"...))
		}
	}
	buf, before := get(l, data, "ifc_buf"), getSigned(l, data, "ifc_len")
	d.object(nil, func() {
		d.Name("ifc_len")
		d.object(inOutForm, func() {
			if d.Name("in"); buf == 0 && after != nil {
				d.Mark(value.NoText)
			}
			if after == nil || getSigned(l, after.Data, "ifc_len") == before {
				length(before)
			} else {
				d.Int(before) // its comment stands behind the second
			}
			if after != nil {
				n := getSigned(l, after.Data, "ifc_len")
				if d.Name("out"); n == before && buf != 0 {
					d.Mark(value.NoText)
				}
				length(n)
			}
		})
		d.Name("ifc_buf")
		via := d.item(2, layout.ItemVia, false)
		if buf == 0 || after == nil || via == nil {
			d.Addr(buf)
			return
		}
		if list := d.list(len(via.Data)/ifreqSize, func(i int) { d.fields(ifreqType, ifreqType.Struct.On(d.arch), via.Data[i*ifreqSize:]) }); via.Cut() || via.Fault() {
			list.Flags |= value.Cut
		}
	})
}

var ifreqType = structType("ifreq_addr")
