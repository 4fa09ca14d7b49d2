package strace

import (
	"bytes"
	"strconv"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// What programs say to parts of the kernel that have a language of their own: bpf, quotas,
// asynchronous I/O, debuggers, segments.

// bpfAttr shows a command's member of union bpf_attr, as far as the caller's size reaches;
// "..." stands for what follows, if it is not 0. member: its name in the union, "" if
// it has none.
func bpfAttr(member string) func(*printer, *syscalls.Type, *syscalls.Layout, []byte) {
	return func(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
		p.dst = append(p.dst, '{')
		if t.Struct.Name == "bpf_prog_id" || t.Struct.Name == "bpf_map_id" {
			data = append(data[:len(data):len(data)], make([]byte, max(0, 8-len(data)))...) // a shorter one goes on with zeros
		}
		if member != "" {
			p.dst = append(p.dst, member...)
			p.dst = append(p.dst, "={"...)
		}
		end := 0
		for i := range l.Fields {
			f := &l.Fields[i]
			const numaNode = 4 // BPF_F_NUMA_NODE
			if f.Name == "numa_node" && get(l, data, "map_flags")&numaNode == 0 {
				continue
			}
			if int(f.Off)+int(f.Size)*max(int(f.N), 1) > len(data) {
				break
			}
			if i > 0 {
				p.dst = append(p.dst, ", "...)
			}
			p.dst = append(p.dst, f.Name...)
			p.dst = append(p.dst, '=')
			p.field(f, data)
			if f.Name == "next_id" && t.Name == "bpf_next_id" && !p.failed() && !p.entering {
				if it := p.item(1, layout.ItemMem, false); it != nil && len(it.Data) >= int(f.Off+f.Size) {
					p.dst = append(p.dst, " => "...)
					p.field(f, it.Data)
				}
			}
			end = int(f.Off) + int(f.Size)*max(int(f.N), 1)
		}
		if member != "" {
			p.dst = append(p.dst, '}')
		}
		size := int(p.rec.Args[2] & 0xffffffff)
		if rest := data[min(end, len(data)):]; len(bytes.TrimLeft(rest, "\x00")) > 0 || size > len(data) && len(data) < int(l.Size) {
			p.dst = append(p.dst, ", ..."...)
		}
		p.dst = append(p.dst, '}')
	}
}

// kernelVersion shows what the header of Linux makes of three numbers.
func kernelVersion(p *printer, _ *syscalls.Type, v uint64) {
	p.dst = append(p.dst, "KERNEL_VERSION("...)
	p.dst = strconv.AppendUint(p.dst, v>>16&0xffff, 10)
	p.dst = append(p.dst, ", "...)
	p.dst = strconv.AppendUint(p.dst, v>>8&0xff, 10)
	p.dst = append(p.dst, ", "...)
	p.dst = strconv.AppendUint(p.dst, v&0xff, 10)
	p.dst = append(p.dst, ')')
}

// quotaCmd shows QCMD(Q_GETQUOTA, USRQUOTA).
func quotaCmd(p *printer, t *syscalls.Type, v uint64) {
	v &= 0xffffffff
	p.dst = append(p.dst, "QCMD("...)
	if name := t.Set.Enum(v &^ 0xff); name != "" {
		p.dst = append(p.dst, name...)
	} else {
		p.hex(v >> 8)
		p.dst = append(p.dst, " /* Q_??? */"...)
	}
	p.dst = append(p.dst, ", "...)
	switch v & 0xff {
	case 0:
		p.dst = append(p.dst, "USRQUOTA"...)
	case 1:
		p.dst = append(p.dst, "GRPQUOTA"...)
	case 2:
		p.dst = append(p.dst, "PRJQUOTA"...)
	default:
		p.hex(v & 0xff)
		p.dst = append(p.dst, " /* ???QUOTA */"...)
	}
	p.dst = append(p.dst, ')')
}

// errnum shows the number of an error by its name.
func errnum(p *printer, _ *syscalls.Type, v uint64) {
	if name, _ := syscalls.Errno(int(uint32(v))); name != "" && uint32(v) < 4096 {
		p.dst = append(p.dst, name...)
		return
	}
	p.dst = strconv.AppendUint(p.dst, v&0xffffffff, 10)
}

// pageStatus shows the node that a page is on, or why it is on none.
func pageStatus(p *printer, _ *syscalls.Type, v uint64) {
	n := int64(int32(v))
	if name, _ := syscalls.Errno(int(-n)); n < 0 && n > -4096 && name != "" {
		p.dst = append(p.dst, '-')
		p.dst = append(p.dst, name...)
		return
	}
	p.dst = strconv.AppendInt(p.dst, n, 10)
}

// userParts are what debuggers look for in struct user of x86-64, besides the registers.
var userParts = []struct {
	name     string
	from, to uint64
}{{"u_fpvalid", 216, 224}, {"i387", 224, 736}, {"u_debugreg", 848, 912}}

var userRegs = syscalls.StructByName("user_regs")

// userReg shows an offset in the area of a traced process's registers.
func userReg(p *printer, _ *syscalls.Type, v uint64) {
	const ss = 20 // the last register that strace knows by name
	if l := userRegs.On(record.ArchX86_64); l != nil && v%8 == 0 && v < uint64(l.Size) {
		p.dst = append(p.dst, "8*"...)
		switch name := l.Fields[min(v/8, ss)].Name; name {
		case "eflags":
			p.dst = append(p.dst, "EFL"...)
		default:
			p.dst = append(p.dst, bytes.ToUpper([]byte(name))...)
		}
		if v > 8*ss {
			p.dst = append(p.dst, '+')
			p.dst = strconv.AppendUint(p.dst, v-8*ss, 10)
		}
		return
	}
	for _, part := range userParts {
		if v < part.from || v >= part.to {
			continue
		}
		p.dst = append(p.dst, "offsetof(struct user, "...)
		p.dst = append(append(p.dst, part.name...), ')')
		if v > part.from {
			p.dst = append(p.dst, '+')
			p.dst = strconv.AppendUint(p.dst, v-part.from, 10)
		}
		return
	}
	p.hex(v)
}

// sigmaskArg shows the mask and its size that pselect6 finds behind its last argument.
func sigmaskArg(p *printer, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	if get(l, data, "sigsetsize") != 8 {
		p.via = nil
	}
	p.dst = append(p.dst, '{')
	p.fieldList(l, data, false, "sigmask", "sigsetsize")
	p.dst = append(p.dst, '}')
}

// Operations of struct iocb, and a flag of it.
const (
	iocbPread, iocbPwrite, iocbPoll, iocbPreadv, iocbPwritev = 0, 1, 5, 7, 8
	iocbResfd                                                = 1
)

func iocb(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	more := p.fieldList(l, data, false, "aio_data")
	for _, name := range []string{"aio_key", "aio_rw_flags", "aio_lio_opcode", "aio_reqprio", "aio_fildes"} {
		if name[4] == 'l' || name[4] == 'f' || get(l, data, name) != 0 {
			more = p.fieldList(l, data, more, name)
		}
	}
	if p.call.Name == "io_cancel" {
		p.dst = append(p.dst, '}')
		return
	}
	switch get(l, data, "aio_lio_opcode") {
	case iocbPread, iocbPwrite, iocbPreadv, iocbPwritev:
		p.dst = append(p.dst, ", aio_buf="...)
		p.hex(get(l, data, "aio_buf"))
		p.fieldList(l, data, true, "aio_nbytes", "aio_offset")
		if get(l, data, "aio_flags")&iocbResfd != 0 {
			p.fieldList(l, data, true, "aio_flags", "aio_resfd")
		}
	case iocbPoll:
		p.dst = append(p.dst, ", aio_buf="...)
		p.set(pollEvents(), get(l, data, "aio_buf"), true)
	}
	p.dst = append(p.dst, '}')
}

// userDesc shows an entry of a descriptor table; its bits are a bit field of C.
func userDesc(p *printer, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	if p.call.Name == "modify_ldt" && p.rec.Args[2] != uint64(l.Size) {
		p.hex(p.rec.Args[1] & p.longMask())
		return
	}
	p.dst = append(p.dst, '{')
	p.fieldList(l, data, false, "entry_number")
	if p.call.Name == "get_thread_area" && p.failed() {
		p.dst = append(p.dst, ", ...}"...)
		return
	}
	hex := func(name string, v uint64) {
		p.dst = append(p.dst, ", "...)
		p.dst = append(p.dst, name...)
		p.dst = append(p.dst, "=0x"...)
		const digits = "0123456789abcdef"
		width := 6
		for width < 8 && v>>(4*width) != 0 {
			width++
		}
		for width--; width >= 0; width-- {
			p.dst = append(p.dst, digits[v>>(4*width)&15])
		}
	}
	hex("base_addr", get(l, data, "base_addr"))
	hex("limit", get(l, data, "limit"))
	bits, at := get(l, data, "bits"), 0
	for _, f := range []struct {
		name string
		n    int
	}{{"seg_32bit", 1}, {"contents", 2}, {"read_exec_only", 1}, {"limit_in_pages", 1}, {"seg_not_present", 1}, {"useable", 1}, {"lm", 1}} {
		if f.name == "lm" && p.word == 4 {
			break
		}
		p.dst = append(p.dst, ", "...)
		p.dst = append(p.dst, f.name...)
		p.dst = append(p.dst, '=')
		p.dst = strconv.AppendUint(p.dst, bits>>at&(1<<f.n-1), 10)
		at += f.n
	}
	p.dst = append(p.dst, '}')
}

// ldtResult shows the result of modify_ldt, an int that the kernel does not extend.
func ldtResult(p *printer, ret int64) {
	p.dst = strconv.AppendInt(p.dst, ret, 10)
	if name, text := syscalls.Errno(-int(int32(ret))); ret > 0 && name != "" {
		p.dst = append(p.dst, ' ')
		p.dst = append(p.dst, name...)
		p.dst = append(p.dst, " ("...)
		p.dst = append(p.dst, text...)
		p.dst = append(p.dst, ')')
	}
}

// threadArea shows which entry set_thread_area took.
func threadArea(p *printer, ret int64) {
	p.dst = strconv.AppendInt(p.dst, ret, 10)
	if it := p.item(0, layout.ItemMem, false); it != nil && len(it.Data) >= 4 && ret == 0 {
		p.dst = append(p.dst, " (entry_number="...)
		p.dst = strconv.AppendInt(p.dst, int64(int32(load(it.Data, 4))), 10)
		p.dst = append(p.dst, ')')
	}
}

// decimalUnknown shows a number by its name, or 99 /* IOCB_CMD_??? */.
func decimalUnknown(p *printer, t *syscalls.Type, v uint64) {
	if name := t.Set.Enum(v & 0xffffffff); name != "" {
		p.dst = append(p.dst, name...)
		return
	}
	p.dst = strconv.AppendInt(p.dst, int64(int32(v)), 10)
	p.dst = append(p.dst, " /* "...)
	p.dst = append(p.dst, t.Set.Unknown...)
	p.dst = append(p.dst, " */"...)
}

// swapFlags shows flags, and the priority in their low bits as a number.
func swapFlags(p *printer, t *syscalls.Type, v uint64) {
	const prio = 0x7fff
	v &= 0xffffffff
	if v&^prio != 0 || v == 0 {
		p.set(t.Set, v&^prio, false)
	}
	if v&prio != 0 {
		if v&^prio != 0 {
			p.dst = append(p.dst, '|')
		}
		p.dst = strconv.AppendUint(p.dst, v&prio, 10)
	}
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

// perfEventAttr shows what is counted, how, and the flags that are set.
func perfEventAttr(p *printer, _ *syscalls.Type, l *syscalls.Layout, data []byte) {
	const hardware, software, tracepoint, cache = 0, 1, 2, 3
	const freq = 1 << 10
	flags, config := get(l, data, "flags"), get(l, data, "config")
	p.dst = append(p.dst, '{')
	p.fieldList(l, data, false, "type", "size")
	p.dst = append(p.dst, ", config="...)
	switch get(l, data, "type") {
	case hardware:
		p.set(perfHWSet, config, true)
	case software:
		p.set(perfSWSet, config, true)
	case tracepoint:
		p.dst = strconv.AppendUint(p.dst, config, 10)
	case cache:
		if high := config >> 24; high != 0 {
			p.hex(high)
			p.dst = append(p.dst, "<<24|"...)
		}
		p.set(perfCacheSets[0], config>>16&0xff, true)
		p.dst = append(p.dst, "<<16|"...)
		p.set(perfCacheSets[1], config>>8&0xff, true)
		p.dst = append(p.dst, "<<8|"...)
		p.set(perfCacheSets[2], config&0xff, true)
	default:
		p.hex(config)
	}
	if flags&freq != 0 {
		p.dst = append(p.dst, ", sample_freq="...)
		p.dst = strconv.AppendUint(p.dst, get(l, data, "sample_period"), 10)
	} else {
		p.fieldList(l, data, true, "sample_period")
	}
	p.fieldList(l, data, true, "sample_type", "read_format")
	for i, name := range perfFlags {
		switch bit := flags >> i & 1; {
		case name == "precise_ip":
			skid := flags >> i & 3
			p.dst = append(p.dst, ", precise_ip="...)
			p.dst = strconv.AppendUint(p.dst, skid, 10)
			p.dst = append(p.dst, " /* "...)
			p.dst = append(p.dst, perfSkids[skid]...)
			p.dst = append(p.dst, " */"...)
		case bit != 0 && name != "":
			p.dst = append(p.dst, ", "...)
			p.dst = append(p.dst, name...)
			p.dst = append(p.dst, "=1"...)
		}
	}
	p.dst = append(p.dst, ", ...}"...)
}

// ifreq shows an interface's name and what is asked of it: the requests to get
// something have odd numbers, and have an answer if they succeed.
func ifreq(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	asks := p.rec.Args[1]&1 != 0
	if t.Name == "ifreq_qlen" {
		asks = !asks // the other way round
	}
	if asks && p.failed() {
		p.dst = append(p.dst, '{')
		p.fieldList(l, data, false, "ifr_name")
		p.dst = append(p.dst, '}')
		return
	}
	p.fields(t, l, data)
}
