package strace

import (
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/syscalls"
	"github.com/recorderd/recorderd/recorder/value"
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

func intValue(d *decoder, _ *syscalls.Type, v uint64) { d.Int(int64(int32(v))) }

func octalValue(d *decoder, _ *syscalls.Type, v uint64) { d.Octal(v) }

// hexEnum decodes a number, some of which have a name: in hexadecimal.
func hexEnum(d *decoder, t *syscalls.Type, v uint64) {
	v &= 0xffffffff
	d.named(t.Set.Enum(v), func() { d.Hex(v) })
}

// decimalEnum is the same in decimal; the names are of negative numbers.
func decimalEnum(d *decoder, t *syscalls.Type, v uint64) {
	n := int64(int32(v))
	name := t.Set.Enum(uint64(n))
	if name == "" {
		name = t.Set.Enum(v & 0xffffffff)
	}
	d.named(name, func() { d.Int(n) })
}

// Forms of what wait(2) says of a process.
var (
	statusForm    = &value.Form{Open: "{", Close: "}", Sep: " && ", Bare: true}
	stoppedForm   = &value.Form{Open: "{", Close: "}", Sep: " | ", Bare: true}
	eventForm     = &value.Form{Sep: " | ", Bare: true}
	exitedForm    = &value.Form{Pre: "WIFEXITED(s) && WEXITSTATUS(s) == "}
	signaledForm  = &value.Form{Pre: "WIFSIGNALED(s) && WTERMSIG(s) == "}
	stopSigForm   = &value.Form{Pre: "WIFSTOPPED(s) && WSTOPSIG(s) == "}
	continuedForm = &value.Form{Pre: "WIFCONTINUED(s)"}
	coreForm      = &value.Form{Pre: "WCOREDUMP(s)"}
	sysgoodForm   = &value.Form{Pre: "0x80"}
	shifted16Form = &value.Form{Post: " << 16"}
)

// wstatus decodes what wait(2) says of a process.
func wstatus(d *decoder, _ *syscalls.Type, v uint64) {
	s := uint32(v)
	rest := s >> 16
	outer := -1
	if rest != 0 && s != 0xffff {
		d.With(eventForm)
		outer = d.Open(value.Object)
		d.Name("status")
	}
	switch {
	case s&0xff == 0x7f:
		d.object(stoppedForm, func() {
			stop := int(s >> 8 & 0xff)
			d.Name("stopped")
			d.With(stopSigForm)
			d.Signal(stop & 0x7f)
			if stop&0x80 != 0 {
				d.bool("syscall", sysgoodForm)
			}
		})
	case s == 0xffff:
		d.object(statusForm, func() { d.bool("continued", continuedForm) })
	case s&0x7f == 0:
		d.object(statusForm, func() {
			d.Name("exited")
			d.With(exitedForm)
			d.Uint(uint64(s >> 8 & 0xff))
		})
	default:
		d.object(statusForm, func() {
			d.Name("killed")
			d.With(signaledForm)
			d.Signal(int(s & 0x7f))
			if s&0x80 != 0 {
				d.bool("coreDumped", coreForm)
			}
		})
	}
	if outer < 0 {
		return
	}
	d.Name("event")
	if rest <= 7 && s&0xffff == 0x57f {
		d.With(shifted16Form)
		d.Word(ptraceEvents[rest])
	} else {
		d.Hex(uint64(rest) << 16)
	}
	d.Close(outer)
}

// bool decodes what is so or is not; it is added only if it is so.
func (d *decoder) bool(name string, f *value.Form) {
	d.Name(name)
	d.With(f)
	d.Add(value.Node{Kind: value.Bool})
}

var ptraceEvents = [8]string{"0", "PTRACE_EVENT_FORK", "PTRACE_EVENT_VFORK", "PTRACE_EVENT_CLONE", "PTRACE_EVENT_EXEC", "PTRACE_EVENT_VFORK_DONE", "PTRACE_EVENT_EXIT", "PTRACE_EVENT_SECCOMP"}

var (
	fdClockForm      = &value.Form{Open: "FD_TO_CLOCKID(", Close: ")", Sep: ", ", Bare: true}
	threadClockForm  = &value.Form{Open: "MAKE_THREAD_CPUCLOCK(", Close: ")", Sep: ", ", Bare: true}
	processClockForm = &value.Form{Open: "MAKE_PROCESS_CPUCLOCK(", Close: ")", Sep: ", ", Bare: true}
)

// clockid decodes a clock, also one of a process or a thread.
func clockid(d *decoder, t *syscalls.Type, v uint64) {
	id := int32(v)
	if id >= 0 {
		d.set(clockSet, uint64(id), true)
		return
	}
	of := int64(^(id >> 3))
	clock := func(name string) {
		d.Name(name)
		d.Int(of)
		d.Name("clock")
		switch id & 3 {
		case 0:
			d.Word("CPUCLOCK_PROF")
		case 1:
			d.Word("CPUCLOCK_VIRT")
		case 2:
			d.Word("CPUCLOCK_SCHED")
		default:
			d.Uint(3).Text = "CPUCLOCK_???"
		}
	}
	switch {
	case id&7 == 3:
		d.object(fdClockForm, func() {
			d.Name("fd")
			d.Int(of)
		})
	case id&4 != 0:
		d.object(threadClockForm, func() { clock("tid") })
	default:
		d.object(processClockForm, func() { clock("pid") })
	}
}

var kibiForm = &value.Form{Post: "*1024"}

// rlim decodes a limit: 8192*1024, RLIM64_INFINITY.
func rlim(d *decoder, t *syscalls.Type, v uint64) {
	infinity := uint64(1<<64 - 1)
	name := "RLIM_INFINITY"
	if d.call.Name == "prlimit64" || d.word == 8 {
		name = "RLIM64_INFINITY"
	} else {
		infinity = 0xffffffff
	}
	switch {
	case v == infinity:
		d.Word(name)
	case v > 1024 && v%1024 == 0:
		at := d.Open(value.Group)
		d.Mark(value.NoJSON)
		d.With(kibiForm)
		d.Uint(v / 1024)
		d.Mark(value.NoText)
		d.Uint(v)
		d.Close(at)
	default:
		d.Uint(v)
	}
}

// privateFutexOps are the names with the flag that is a part of them.
var privateFutexOps = func() map[string]string {
	m := map[string]string{}
	for _, op := range syscalls.SetByName("futexop").Enums {
		m[op.Name] = op.Name + "_PRIVATE"
	}
	return m
}()

// futexop decodes an operation with its flags: FUTEX_WAIT_PRIVATE.
func futexop(d *decoder, t *syscalls.Type, v uint64) {
	const private, realtime, known = 0x80, 0x100, 0x1ff
	v &= 0xffffffff
	name := t.Set.Enum(v & 0x7f)
	at := d.Open(value.Union)
	if name == "" {
		if v&realtime != 0 {
			d.Word("FUTEX_CLOCK_REALTIME")
			v &^= realtime
		}
		d.unknown(t.Set, v)
		d.Close(at)
		return
	}
	if v&private != 0 {
		name = privateFutexOps[name]
	}
	d.Word(name)
	if v&realtime != 0 {
		d.Word("FUTEX_CLOCK_REALTIME")
	}
	if v&^known != 0 {
		d.Hex(v &^ known)
	}
	d.Close(at)
}

var (
	wakeOpForm    = &value.Form{Sep: "|", Bare: true}
	shifted28Form = &value.Form{Post: "<<28"}
	shifted24Form = &value.Form{Post: "<<24"}
	shifted12Form = &value.Form{Post: "<<12"}
	opargForm     = &value.Form{Pre: "FUTEX_OP_OPARG_SHIFT<<28"}
)

// futexWakeOp decodes what FUTEX_WAKE_OP does to the second word.
func futexWakeOp(d *decoder, _ *syscalls.Type, v uint64) {
	op, cmp := v>>28&15, v>>24&15
	d.object(wakeOpForm, func() {
		if op&8 != 0 {
			d.bool("oparg_shift", opargForm)
			op &= 7
		}
		d.Name("op")
		d.With(shifted28Form)
		d.set(futexWakeOpSet, op, true)
		d.Name("oparg")
		d.With(shifted12Form)
		d.Hex(v >> 12 & 0xfff)
		d.Name("cmp")
		d.With(shifted24Form)
		d.set(futexWakeCmpSet, cmp, true)
		d.Name("cmparg")
		d.Hex(v & 0xfff)
	})
}

// ioctlAliases are requests of which strace shows every name that their number has.
var ioctlAliases = map[string]*value.Form{
	"FICLONE": {Pre: "BTRFS_IOC_CLONE or "}, "FICLONERANGE": {Pre: "BTRFS_IOC_CLONE_RANGE or "},
	"FIDEDUPERANGE": {Pre: "BTRFS_IOC_FILE_EXTENT_SAME or "},
	"TCSETS":        {Pre: "SNDCTL_TMR_START or "}, "TCSETSW": {Pre: "SNDCTL_TMR_STOP or "}, "TCSETSF": {Pre: "SNDCTL_TMR_CONTINUE or "},
}

var iocForm = &value.Form{Open: "_IOC(", Close: ")", Sep: ", ", Bare: true}

// ioctlcmd decodes a request by name, or as the parts of its number.
func ioctlcmd(d *decoder, _ *syscalls.Type, v uint64) {
	v &= 0xffffffff
	if name := ioctlSet.Enum(v); name != "" && v != 0 {
		d.With(ioctlAliases[name])
		d.Word(name)
		return
	}
	d.object(iocForm, func() {
		d.Name("dir")
		at := d.Open(value.Union)
		if v>>30 == 0 {
			d.Word("_IOC_NONE")
		}
		if v>>30&2 != 0 {
			d.Word("_IOC_READ")
		}
		if v>>30&1 != 0 {
			d.Word("_IOC_WRITE")
		}
		d.Close(at)
		d.Name("type")
		d.Hex(v >> 8 & 0xff)
		d.Name("nr")
		d.Hex(v & 0xff)
		d.Name("size")
		d.Hex(v >> 16 & 0x3fff)
	})
}

// offset64 decodes a position that came in two registers.
func offset64(d *decoder, _ *syscalls.Type, v uint64) { d.Int(int64(v)) }

// pgoff decodes mmap2's offset, which counts pages, in bytes.
func pgoff(d *decoder, _ *syscalls.Type, v uint64) { d.Hex(v * 4096) }

func fanmask(d *decoder, _ *syscalls.Type, v uint64) { d.set(fanMaskSet, v, true) }

var (
	ioprioForm  = &value.Form{Open: "IOPRIO_PRIO_VALUE(", Close: ")", Sep: ", ", Bare: true}
	ioprioForm2 = &value.Form{Open: " (IOPRIO_PRIO_VALUE(", Close: "))", Sep: ", ", Bare: true}
)

func ioprio(d *decoder, _ *syscalls.Type, v uint64) { d.ioprio(ioprioForm, v) }

func (d *decoder) ioprio(f *value.Form, v uint64) {
	d.object(f, func() {
		d.Name("class")
		d.set(ioprioClassSet, v>>13&7, true)
		d.Name("data")
		d.Uint(v & 0x1fff)
	})
}

func ioprioResult(d *decoder, ret int64) { d.ioprio(ioprioForm2, uint64(ret)) }

func personality(d *decoder, t *syscalls.Type, v uint64) {
	if v &= 0xffffffff; v == 0xffffffff {
		d.Hex(v) // asks only
		return
	}
	d.set(t.Set, v, true)
}

func personalityResult(d *decoder, ret int64) {
	d.With(parenthesis)
	d.set(personalityStruct, uint64(ret), true)
}

func ptracer(d *decoder, _ *syscalls.Type, v uint64) {
	if int32(v) == -1 {
		d.Word("PR_SET_PTRACER_ANY")
		return
	}
	d.Uint(v)
}

func fsmagic(d *decoder, t *syscalls.Type, v uint64) {
	d.named(t.Set.Enum(v), func() { d.Hex(v) })
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

func termOflag(d *decoder, _ *syscalls.Type, v uint64) {
	at := d.Open(value.Union)
	for _, f := range delays {
		d.Word(f.names[v&f.mask>>f.shift])
		v &^= f.mask
	}
	d.moreFlags(oflagSet, v) // where there is none, strace still has a "|"
	d.Close(at)
}

var ibshiftForm = &value.Form{Post: "<<IBSHIFT"}

func termCflag(d *decoder, _ *syscalls.Type, v uint64) {
	const baud, size = 0010017, 0000060
	at := d.Open(value.Union)
	rate := func(v uint64) { d.named(baudSet.Enum(v), func() { d.Hex(v) }) }
	rate(v & baud)
	if in := v >> 16 & baud; in != 0 {
		d.With(ibshiftForm)
		rate(in)
		v &^= baud << 16
	}
	d.Word([4]string{"CS5", "CS6", "CS7", "CS8"}[v&size>>4])
	d.moreFlags(cflagSet, v&^(baud|size))
	d.Close(at)
}

// socktype decodes SOCK_STREAM|SOCK_CLOEXEC, and flags alone if the type is unknown.
func socktype(d *decoder, t *syscalls.Type, v uint64) {
	v &= 0xffffffff
	if v&t.Set.Mask != 0 && t.Set.Enum(v&t.Set.Mask) == "" {
		d.flags(t.Set.On(d.arch), v)
		return
	}
	set := t.Set.On(d.arch)
	name, rest := set.Enum(v&set.Mask), v&^set.Mask
	if name == "" || rest == 0 {
		d.set(t.Set, v, true)
		return
	}
	at := d.Open(value.Union)
	d.Word(name)
	d.flags(set, rest)
	d.Close(at)
}

// longFlags decodes flags of a register all of which counts.
func longFlags(d *decoder, t *syscalls.Type, v uint64) { d.set(t.Set, v, true) }

// mountFlags decodes mount's flags, which had a magic number in their upper half once.
func mountFlags(d *decoder, t *syscalls.Type, v uint64) {
	const magic, mask = 0xc0ed0000, 0xffff0000
	if v&mask != magic {
		d.set(t.Set, v, true)
		return
	}
	at := d.Open(value.Union)
	d.Word("MS_MGC_VAL")
	if v &^= mask; v != 0 {
		d.set(t.Set, v, true)
	}
	d.Close(at)
}

// hugeFlags decodes flags whose six highest bits are the logarithm of a page size:
// MAP_HUGETLB|21<<MAP_HUGE_SHIFT.
func hugeFlags(shift string) func(*decoder, *syscalls.Type, uint64) {
	form := &value.Form{Post: "<<" + shift}
	return func(d *decoder, t *syscalls.Type, v uint64) {
		v &= 0xffffffff
		size := v >> 26
		if size == 0 {
			d.set(t.Set, v, true)
			return
		}
		v &= 1<<26 - 1
		at := d.Open(value.Union)
		permissions := t.Set.Mask != 0 && t.Set.Enums == nil
		mode := v & t.Set.Mask
		if permissions {
			if v&^mode != 0 {
				d.flags(t.Set, v&^mode)
			}
		} else {
			if v != 0 || t.Name == "mmapflags" {
				d.set(t.Set, v, true)
			}
		}
		d.With(form)
		d.Uint(size)
		if permissions {
			d.Octal(mode)
		}
		d.Close(at)
	}
}

// cloexecFlag decodes O_CLOEXEC, the one flag that there is.
func cloexecFlag(d *decoder, _ *syscalls.Type, v uint64) {
	const cloexec = 02000000
	v &= 0xffffffff
	if v&cloexec == 0 {
		d.Hex(v)
		return
	}
	at := d.Open(value.Union)
	d.Word("O_CLOEXEC")
	if v &^= cloexec; v != 0 {
		d.Hex(v)
	}
	d.Close(at)
}

// plainClock decodes a clock that has a name of its own, not one of a process or a descriptor.
func plainClock(d *decoder, _ *syscalls.Type, v uint64) { d.set(clockSet, v&0xffffffff, true) }

// commented decodes a number with its name beside it: 0x1 /* PIDTYPE_TGID */.
func commented(n *value.Node, s *syscalls.Set, v uint64) {
	if n.Text = s.Enum(v); n.Text != "" {
		n.Flags |= value.Named
	} else {
		n.Text = s.Unknown
	}
}

func pidType(d *decoder, t *syscalls.Type, v uint64) { commented(d.Hex(v), t.Set, v) }

// mcePolicy decodes the third argument of PR_MCE_KILL, which PR_MCE_KILL_CLEAR does not have.
func mcePolicy(d *decoder, _ *syscalls.Type, v uint64) {
	const set = 1
	if d.rec.Args[1] == set {
		d.set(mceKillSet, v, false)
		return
	}
	d.Hex(v)
}

// ambientCap decodes the third argument of PR_CAP_AMBIENT, a capability for all
// operations but PR_CAP_AMBIENT_CLEAR_ALL.
func ambientCap(d *decoder, _ *syscalls.Type, v uint64) {
	if d.rec.Args[1] == 4 {
		d.Uint(v)
		return
	}
	d.set(capabilitySet, v, false)
}

func syslogAction(d *decoder, t *syscalls.Type, v uint64) {
	commented(d.Int(int64(int32(v))), t.Set, v&0xffffffff)
}
