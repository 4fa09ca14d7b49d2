package strace

import (
	"strconv"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

const memKind = layout.ItemMem

// Sets that are used by name.
var (
	pollEventSet      = syscalls.SetByName("pollevents")
	cloneFlagSet      = syscalls.SetByName("cloneflagsonly")
	futexWakeOpSet    = syscalls.SetByName("futexwake_op")
	futexWakeCmpSet   = syscalls.SetByName("futexwake_cmp")
	ioctlSet          = syscalls.SetByName("ioctl")
	fanMaskSet        = syscalls.SetByName("fanmask")
	ioprioClassSet    = syscalls.SetByName("ioprioclass")
	oflagSet          = syscalls.SetByName("oflag")
	cflagSet          = syscalls.SetByName("cflag")
	baudSet           = syscalls.SetByName("cbaud")
	clockSet          = syscalls.SetByName("clockid")
	mceKillSet        = syscalls.SetByName("mcekillpolicy")
	personalityStruct = syscalls.SetByName("personality")
)

func pollEvents() *syscalls.Set { return pollEventSet }

func intValue(p *printer, _ *syscalls.Type, v uint64) {
	p.dst = strconv.AppendInt(p.dst, int64(int32(v)), 10)
}

func octalValue(p *printer, _ *syscalls.Type, v uint64) { p.dst = appendOctal(p.dst, v) }

// hexEnum shows what is a number, some of which have a name: in hexadecimal.
func hexEnum(p *printer, t *syscalls.Type, v uint64) {
	v &= 0xffffffff
	if name := t.Set.Enum(v); name != "" {
		p.dst = append(p.dst, name...)
	} else {
		p.hex(v)
	}
}

// decimalEnum is the same in decimal; the names are of negative numbers.
func decimalEnum(p *printer, t *syscalls.Type, v uint64) {
	n := int64(int32(v))
	for _, k := range [2]uint64{uint64(n), v & 0xffffffff} {
		if name := t.Set.Enum(k); name != "" {
			p.dst = append(p.dst, name...)
			return
		}
	}
	p.dst = strconv.AppendInt(p.dst, n, 10)
}

// wstatus shows what wait(2) says of a process.
func wstatus(p *printer, _ *syscalls.Type, v uint64) {
	s := uint32(v)
	p.dst = append(p.dst, '{')
	switch {
	case s&0xff == 0x7f:
		p.dst = append(p.dst, "WIFSTOPPED(s) && WSTOPSIG(s) == "...)
		stop := int(s >> 8 & 0xff)
		p.sig(stop & 0x7f)
		if stop&0x80 != 0 {
			p.dst = append(p.dst, " | 0x80"...)
		}
	case s == 0xffff:
		p.dst = append(p.dst, "WIFCONTINUED(s)"...)
	case s&0x7f == 0:
		p.dst = append(p.dst, "WIFEXITED(s) && WEXITSTATUS(s) == "...)
		p.dst = strconv.AppendUint(p.dst, uint64(s>>8&0xff), 10)
	default:
		p.dst = append(p.dst, "WIFSIGNALED(s) && WTERMSIG(s) == "...)
		p.sig(int(s & 0x7f))
		if s&0x80 != 0 {
			p.dst = append(p.dst, " && WCOREDUMP(s)"...)
		}
	}
	if rest := s >> 16; rest != 0 && s != 0xffff {
		p.dst = append(p.dst, "} | "...)
		if rest <= 7 && s&0xffff == 0x57f {
			p.dst = append(p.dst, ptraceEvents[rest]...)
			p.dst = append(p.dst, " << 16"...)
			return
		}
		p.hex(uint64(rest) << 16)
		return
	}
	p.dst = append(p.dst, '}')
}

var ptraceEvents = [8]string{"0", "PTRACE_EVENT_FORK", "PTRACE_EVENT_VFORK", "PTRACE_EVENT_CLONE", "PTRACE_EVENT_EXEC", "PTRACE_EVENT_VFORK_DONE", "PTRACE_EVENT_EXIT", "PTRACE_EVENT_SECCOMP"}

// clockid shows a clock, also one of a process or a thread.
func clockid(p *printer, t *syscalls.Type, v uint64) {
	id := int32(v)
	if id >= 0 {
		p.set(clockSet, uint64(id), true)
		return
	}
	if id&7 == 3 {
		p.dst = append(p.dst, "FD_TO_CLOCKID("...)
		p.dst = strconv.AppendInt(p.dst, int64(^(id >> 3)), 10)
		p.dst = append(p.dst, ')')
		return
	}
	if id&4 != 0 {
		p.dst = append(p.dst, "MAKE_THREAD_CPUCLOCK("...)
	} else {
		p.dst = append(p.dst, "MAKE_PROCESS_CPUCLOCK("...)
	}
	p.dst = strconv.AppendInt(p.dst, int64(^(id >> 3)), 10)
	p.dst = append(p.dst, ", "...)
	p.dst = append(p.dst, [4]string{"CPUCLOCK_PROF", "CPUCLOCK_VIRT", "CPUCLOCK_SCHED", "3 /* CPUCLOCK_??? */"}[id&3]...)
	p.dst = append(p.dst, ')')
}

// rlim shows a limit: 8192*1024, RLIM64_INFINITY.
func rlim(p *printer, t *syscalls.Type, v uint64) {
	infinity := uint64(1<<64 - 1)
	name := "RLIM_INFINITY"
	if p.call.Name == "prlimit64" || p.word == 8 {
		name = "RLIM64_INFINITY"
	} else {
		infinity = 0xffffffff
	}
	switch {
	case v == infinity:
		p.dst = append(p.dst, name...)
	case v > 1024 && v%1024 == 0:
		p.dst = strconv.AppendUint(p.dst, v/1024, 10)
		p.dst = append(p.dst, "*1024"...)
	default:
		p.dst = strconv.AppendUint(p.dst, v, 10)
	}
}

// futexop shows an operation with its flags: FUTEX_WAIT_PRIVATE.
func futexop(p *printer, t *syscalls.Type, v uint64) {
	v &= 0xffffffff
	name := t.Set.Enum(v & 0x7f)
	if name == "" || v&^0x1ff != 0 {
		if name != "" {
			p.dst = append(p.dst, name...)
			if v&0x80 != 0 {
				p.dst = append(p.dst, "_PRIVATE"...)
			}
			if v&0x100 != 0 {
				p.dst = append(p.dst, "|FUTEX_CLOCK_REALTIME"...)
			}
			p.dst = append(p.dst, '|')
			p.hex(v &^ 0x1ff)
			return
		}
		if v&0x100 != 0 {
			p.dst = append(p.dst, "FUTEX_CLOCK_REALTIME|"...)
			v &^= 0x100
		}
		p.unknown(t.Set, v)
		return
	}
	p.dst = append(p.dst, name...)
	if v&0x80 != 0 {
		p.dst = append(p.dst, "_PRIVATE"...)
	}
	if v&0x100 != 0 {
		p.dst = append(p.dst, "|FUTEX_CLOCK_REALTIME"...)
	}
}

// futexWakeOp shows what FUTEX_WAKE_OP does to the second word.
func futexWakeOp(p *printer, _ *syscalls.Type, v uint64) {
	op, cmp := v>>28&15, v>>24&15
	if op&8 != 0 {
		p.dst = append(p.dst, "FUTEX_OP_OPARG_SHIFT<<28|"...)
		op &= 7
	}
	p.set(futexWakeOpSet, op, true)
	p.dst = append(p.dst, "<<28|"...)
	p.hex(v >> 12 & 0xfff)
	p.dst = append(p.dst, "<<12|"...)
	p.set(futexWakeCmpSet, cmp, true)
	p.dst = append(p.dst, "<<24|"...)
	p.hex(v & 0xfff)
}

// ioctlAliases are requests of which strace shows every name that their number has.
var ioctlAliases = map[string]string{
	"FICLONE": "BTRFS_IOC_CLONE or FICLONE", "FICLONERANGE": "BTRFS_IOC_CLONE_RANGE or FICLONERANGE",
	"FIDEDUPERANGE": "BTRFS_IOC_FILE_EXTENT_SAME or FIDEDUPERANGE",
	"TCSETS":        "SNDCTL_TMR_START or TCSETS", "TCSETSW": "SNDCTL_TMR_STOP or TCSETSW", "TCSETSF": "SNDCTL_TMR_CONTINUE or TCSETSF",
}

// ioctlcmd shows a request by name, or as the parts of its number.
func ioctlcmd(p *printer, _ *syscalls.Type, v uint64) {
	v &= 0xffffffff
	if name := ioctlSet.Enum(v); name != "" {
		if also := ioctlAliases[name]; also != "" {
			name = also
		}
		p.dst = append(p.dst, name...)
		return
	}
	p.dst = append(p.dst, "_IOC("...)
	p.dst = append(p.dst, [4]string{"_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE"}[v>>30]...)
	for _, n := range [3]uint64{v >> 8 & 0xff, v & 0xff, v >> 16 & 0x3fff} {
		p.dst = append(p.dst, ", "...)
		p.hex(n)
	}
	p.dst = append(p.dst, ')')
}

// offset64 shows a position that came in two registers.
func offset64(p *printer, _ *syscalls.Type, v uint64) {
	p.dst = strconv.AppendInt(p.dst, int64(v), 10)
}

// pgoff shows mmap2's offset, which counts pages, in bytes.
func pgoff(p *printer, _ *syscalls.Type, v uint64) { p.hex(v * 4096) }

func fanmask(p *printer, _ *syscalls.Type, v uint64) { p.set(fanMaskSet, v, true) }

func ioprio(p *printer, _ *syscalls.Type, v uint64) {
	class, data := v>>13&7, v&0x1fff
	p.dst = append(p.dst, "IOPRIO_PRIO_VALUE("...)
	p.set(ioprioClassSet, class, true)
	p.dst = append(p.dst, ", "...)
	p.dst = strconv.AppendUint(p.dst, data, 10)
	p.dst = append(p.dst, ')')
}

func ioprioResult(p *printer, ret int64) {
	p.dst = strconv.AppendInt(p.dst, ret, 10)
	p.dst = append(p.dst, " ("...)
	ioprio(p, nil, uint64(ret))
	p.dst = append(p.dst, ')')
}

func personality(p *printer, t *syscalls.Type, v uint64) {
	if v &= 0xffffffff; v == 0xffffffff {
		p.dst = append(p.dst, "0xffffffff"...)
		return
	}
	p.set(t.Set, v, true)
}

func personalityResult(p *printer, ret int64) {
	p.hex(uint64(ret))
	p.dst = append(p.dst, " ("...)
	p.set(personalityStruct, uint64(ret), true)
	p.dst = append(p.dst, ')')
}

func ptracer(p *printer, _ *syscalls.Type, v uint64) {
	if int32(v) == -1 {
		p.dst = append(p.dst, "PR_SET_PTRACER_ANY"...)
		return
	}
	p.dst = strconv.AppendUint(p.dst, v, 10)
}

func fsmagic(p *printer, t *syscalls.Type, v uint64) {
	if name := t.Set.Enum(v); name != "" {
		p.dst = append(p.dst, name...)
		return
	}
	p.hex(v)
}

// The multi-bit fields of c_oflag, each with a name for every value.
var delays = []struct {
	mask, shift uint64
	names       []string
}{
	{0000400, 8, []string{"NL0", "NL1"}},
	{0003000, 9, []string{"CR0", "CR1", "CR2", "CR3"}},
	{0014000, 11, []string{"TAB0", "TAB1", "TAB2", "XTABS"}},
	{0020000, 13, []string{"BS0", "BS1"}},
	{0040000, 14, []string{"VT0", "VT1"}},
	{0100000, 15, []string{"FF0", "FF1"}},
}

func termOflag(p *printer, _ *syscalls.Type, v uint64) {
	for i, d := range delays {
		if i > 0 {
			p.dst = append(p.dst, '|')
		}
		p.dst = append(p.dst, d.names[v&d.mask>>d.shift]...)
		v &^= d.mask
	}
	if v == 0 {
		p.dst = append(p.dst, '|') // as strace does
		return
	}
	p.flags(oflagSet, v, true)
}

func termCflag(p *printer, _ *syscalls.Type, v uint64) {
	const baud, size = 0010017, 0000060
	if name := baudSet.Enum(v & baud); name != "" {
		p.dst = append(p.dst, name...)
	} else {
		p.hex(v & baud)
	}
	if in := v >> 16 & baud; in != 0 {
		p.dst = append(p.dst, '|')
		if name := baudSet.Enum(in); name != "" {
			p.dst = append(p.dst, name...)
		} else {
			p.hex(in)
		}
		p.dst = append(p.dst, "<<IBSHIFT"...)
		v &^= baud << 16
	}
	p.dst = append(p.dst, '|')
	p.dst = append(p.dst, [4]string{"CS5", "CS6", "CS7", "CS8"}[v&size>>4]...)
	if v &^= baud | size; v == 0 {
		p.dst = append(p.dst, '|')
		return
	}
	p.flags(cflagSet, v, true)
}

// socktype shows SOCK_STREAM|SOCK_CLOEXEC, or the whole as a number if the type is unknown.
func socktype(p *printer, t *syscalls.Type, v uint64) {
	v &= 0xffffffff
	if v&t.Set.Mask != 0 && t.Set.Enum(v&t.Set.Mask) == "" {
		p.unknown(t.Set, v)
		return
	}
	p.set(t.Set, v, true)
}

// hugeFlags shows flags whose six highest bits are the logarithm of a page size:
// MAP_HUGETLB|21<<MAP_HUGE_SHIFT.
func hugeFlags(shift string) func(*printer, *syscalls.Type, uint64) {
	return func(p *printer, t *syscalls.Type, v uint64) {
		v &= 0xffffffff
		size := v >> 26
		if size == 0 {
			p.set(t.Set, v, true)
			return
		}
		v &= 1<<26 - 1
		permissions := t.Set.Mask != 0 && t.Set.Enums == nil
		mode := v & t.Set.Mask
		if permissions {
			p.flags(t.Set, v&^mode, false)
		} else {
			p.set(t.Set, v, true)
		}
		p.dst = append(p.dst, '|')
		p.dst = strconv.AppendUint(p.dst, size, 10)
		p.dst = append(p.dst, "<<"...)
		p.dst = append(p.dst, shift...)
		if permissions {
			p.dst = append(p.dst, '|')
			p.dst = appendOctal(p.dst, mode)
		}
	}
}

// pidType shows 0x1 /* PIDTYPE_TGID */.
func pidType(p *printer, t *syscalls.Type, v uint64) {
	p.hex(v)
	name := t.Set.Enum(v)
	if name == "" {
		name = t.Set.Unknown
	}
	p.dst = append(p.dst, " /* "...)
	p.dst = append(p.dst, name...)
	p.dst = append(p.dst, " */"...)
}

// mcePolicy shows the third argument of PR_MCE_KILL, which PR_MCE_KILL_CLEAR does not have.
func mcePolicy(p *printer, _ *syscalls.Type, v uint64) {
	const set = 1
	if p.rec.Args[1] == set {
		p.set(mceKillSet, v, false)
		return
	}
	p.hex(v)
}

// ambientCap shows the third argument of PR_CAP_AMBIENT, a capability for all
// operations but PR_CAP_AMBIENT_CLEAR_ALL.
func ambientCap(p *printer, _ *syscalls.Type, v uint64) {
	if p.rec.Args[1] == 4 {
		p.dst = strconv.AppendUint(p.dst, v, 10)
		return
	}
	p.set(capabilitySet, v, false)
}

func syslogAction(p *printer, t *syscalls.Type, v uint64) {
	p.dst = strconv.AppendInt(p.dst, int64(int32(v)), 10)
	name := t.Set.Enum(v & 0xffffffff)
	if name == "" {
		name = t.Set.Unknown
	}
	p.dst = append(p.dst, " /* "...)
	p.dst = append(p.dst, name...)
	p.dst = append(p.dst, " */"...)
}
