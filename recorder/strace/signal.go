package strace

import (
	"strconv"
	"strings"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Signals of x86 and ARM, without SIG.
var signals = [32]string{"0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
	"STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"}

const sigMax = 64

// AppendSignalName appends the name of a signal as strace has it: SIGSEGV,
// SIGRTMIN, SIGRT_1; the number if there is no such signal.
func AppendSignalName(dst []byte, sig int) []byte {
	if sig <= 0 || sig > sigMax {
		return strconv.AppendInt(dst, int64(sig), 10)
	}
	dst = append(dst, "SIG"...)
	return appendShortSignal(dst, sig)
}

// SignalName returns what AppendSignalName appends.
func SignalName(sig int) string { return string(AppendSignalName(nil, sig)) }

// SignalNumber returns the signal of a name that AppendSignalName has made; 0 if there is
// none. It knows SIG35 too, which earlier recorders wrote.
func SignalNumber(name string) int {
	for sig := 1; sig <= sigMax; sig++ {
		if SignalName(sig) == name {
			return sig
		}
	}
	if digits, ok := strings.CutPrefix(name, "SIG"); ok {
		if sig, err := strconv.ParseUint(digits, 10, 8); err == nil && sig <= sigMax {
			return int(sig)
		}
	}
	return 0
}

func appendShortSignal(dst []byte, sig int) []byte {
	switch {
	case sig < len(signals):
		return append(dst, signals[sig]...)
	case sig == 32:
		return append(dst, "RTMIN"...)
	}
	dst = append(dst, "RT_"...)
	return strconv.AppendInt(dst, int64(sig-32), 10)
}

func (p *printer) sig(sig int) { p.dst = AppendSignalName(p.dst, sig) }

func sigResult(p *printer, ret int64) {
	p.dst = strconv.AppendInt(p.dst, ret, 10)
	if ret > 0 && ret <= sigMax {
		p.dst = append(p.dst, " ("...)
		p.sig(int(ret))
		p.dst = append(p.dst, ')')
	}
}

// sigset shows a set of signals, the complement if most are in it: [INT CHLD], ~[RTMIN RT_1].
func (p *printer) sigset(data []byte) {
	var mask uint64
	for i := range min(len(data), 8) {
		mask |= uint64(data[i]) << (8 * i)
	}
	p.sigmask(mask, min(len(data), 8)*8)
}

func (p *printer) sigmask(mask uint64, n int) {
	if n < 64 {
		mask &= 1<<n - 1
	}
	count := 0
	for m := mask; m != 0; m &= m - 1 {
		count++
	}
	if count >= n*2/3 {
		p.dst = append(p.dst, '~')
		mask = ^mask
		if n < 64 {
			mask &= 1<<n - 1
		}
	}
	p.dst = append(p.dst, '[')
	more := false
	for i := range n {
		if mask>>i&1 != 0 {
			if more {
				p.dst = append(p.dst, ' ')
			}
			p.dst = appendShortSignal(p.dst, i+1)
			more = true
		}
	}
	p.dst = append(p.dst, ']')
}

func sigsetArg(p *printer, a *syscalls.Arg, it *record.Item) bool {
	for i := range p.call.Args {
		// of another size it is no set
		if of := &p.call.Args[i]; (of.Name == "sigsetsize" || of.Name == "sizemask") && p.rec.Args[of.Reg%6]&p.longMask() != 8 {
			return false
		}
	}
	if size := a.Type.SizeOn(p.arch); len(it.Data) >= size {
		p.sigset(it.Data[:size])
		return true
	}
	return false
}

// sigsetValue shows a pointer's signal set without the brackets of a number.
func sigsetValue(p *printer, _ *syscalls.Type, v uint64) { p.sigmask(v, 64) }

func oldSigset(p *printer, _ *syscalls.Type, v uint64) { p.sigmask(v, 8*p.word) }

func sighandler(p *printer, _ *syscalls.Type, v uint64) {
	switch v {
	case 0:
		p.dst = append(p.dst, "SIG_DFL"...)
	case 1:
		p.dst = append(p.dst, "SIG_IGN"...)
	case p.longMask():
		p.dst = append(p.dst, "SIG_ERR"...)
	default:
		p.hex(v)
	}
}

const saRestorer = 0x4000000

func sigaction(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	p.fieldList(l, data, false, "sa_handler", "sa_mask", "sa_flags")
	if get(l, data, "sa_flags")&saRestorer != 0 {
		p.fieldList(l, data, true, "sa_restorer")
	}
	p.dst = append(p.dst, '}')
}

func sigevent(p *printer, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	p.dst = append(p.dst, '{')
	ptr := load(data, p.word)
	if ptr != 0 {
		p.dst = append(p.dst, "sigev_value={sival_int="...)
		p.dst = strconv.AppendInt(p.dst, int64(int32(ptr)), 10)
		p.dst = append(p.dst, ", sival_ptr="...)
		p.hex(ptr)
		p.dst = append(p.dst, "}, "...)
	}
	const sigevNone, sigevThreadID = 1, 4
	notify := get(l, data, "sigev_notify")
	if notify == sigevNone {
		p.dst = append(p.dst, "sigev_signo="...)
		p.dst = strconv.AppendUint(p.dst, get(l, data, "sigev_signo"), 10)
		p.fieldList(l, data, true, "sigev_notify")
	} else {
		p.fieldList(l, data, false, "sigev_signo", "sigev_notify")
	}
	if notify == sigevThreadID {
		p.fieldList(l, data, true, "sigev_notify_thread_id")
	}
	p.dst = append(p.dst, '}')
}

// Sets of signal codes, by signal.
var codeSets = map[int]*syscalls.Set{
	4: syscalls.SetByName("sicode_ill"), 8: syscalls.SetByName("sicode_fpe"), 11: syscalls.SetByName("sicode_segv"),
	7: syscalls.SetByName("sicode_bus"), 5: syscalls.SetByName("sicode_trap"), 17: syscalls.SetByName("sicode_chld"),
	29: syscalls.SetByName("sicode_poll"), 31: syscalls.SetByName("sicode_sys"),
}

var (
	codeSet      = syscalls.SetByName("sicode")
	auditArchSet = syscalls.SetByName("auditarch")
)

// Values of si_code that say which fields of a siginfo there are.
const (
	siUser  = 0
	siTimer = -2
	siSigio = -5
	siTkill = -6
)

func (p *printer) code(sig, code int) {
	if s := codeSets[sig]; s != nil && code > 0 {
		if name := s.Enum(uint64(code)); name != "" {
			p.dst = append(p.dst, name...)
			return
		}
	}
	for _, v := range [2]uint64{uint64(int64(code)), uint64(uint32(code))} {
		if name := codeSet.Enum(v); name != "" {
			p.dst = append(p.dst, name...)
			return
		}
	}
	p.hex(uint64(uint32(code)))
}

func siginfo(p *printer, _ *syscalls.Type, _ *syscalls.Layout, data []byte) {
	if len(data) < 12 {
		p.dst = append(p.dst, "{...}"...)
		return
	}
	p.siginfo(data, p.word)
}

// siginfo shows a siginfo_t of at least 12 bytes, whose longs have word bytes.
func (p *printer) siginfo(data []byte, word int) {
	sig, errno, code := int(int32(load(data, 4))), int(int32(load(data[4:], 4))), int(int32(load(data[8:], 4)))
	if sig == 0 {
		p.dst = append(p.dst, "{}"...)
		return
	}
	p.dst = append(p.dst, "{si_signo="...)
	p.sig(sig)
	p.dst = append(p.dst, ", si_code="...)
	p.code(sig, code)
	if errno != 0 {
		p.dst = append(p.dst, ", si_errno="...)
		if name, _ := syscalls.Errno(errno); name != "" {
			p.dst = append(p.dst, name...)
		} else {
			p.dst = strconv.AppendInt(p.dst, int64(errno), 10)
		}
	}
	at := 16 // of the union
	if word == 4 {
		at = 12
	}
	u := func(off, size int) uint64 {
		if at+off > len(data) {
			return 0
		}
		return load(data[at+off:], size)
	}
	num := func(name string, v int64) {
		p.dst = append(p.dst, name...)
		p.dst = strconv.AppendInt(p.dst, v, 10)
	}
	sender := func() {
		num(", si_pid=", int64(int32(u(0, 4))))
		num(", si_uid=", int64(uint32(u(4, 4))))
	}
	value := func(off int) {
		num(", si_int=", int64(int32(u(off, 4))))
		p.dst = append(p.dst, ", si_ptr="...)
		p.addr(u(off, word))
	}
	addr := func() {
		p.dst = append(p.dst, ", si_addr="...)
		p.addr(u(0, word))
	}
	band := func() {
		num(", si_band=", extend(u(0, word), word))
		num(", si_fd=", int64(int32(u(word, 4))))
	}
	switch {
	case code == siUser || code == siTkill:
		sender()
	case code == siTimer:
		p.dst = append(p.dst, ", si_timerid="...)
		p.hex(u(0, 4))
		num(", si_overrun=", int64(int32(u(4, 4))))
		value(8)
	case code == siSigio:
		band()
	case code < 0:
		sender()
		if u(8, word) != 0 {
			value(8)
		}
	case sig == 17:
		sender()
		p.dst = append(p.dst, ", si_status="...)
		status := int(int32(u(8, 4)))
		if code == 1 || status <= 0 || status > sigMax { // CLD_EXITED
			p.dst = strconv.AppendInt(p.dst, int64(status), 10)
		} else {
			p.sig(status)
		}
		times := 16
		if word == 4 {
			times = 12
		}
		for i, name := range []string{", si_utime=", ", si_stime="} {
			v := extend(u(times+i*word, word), word)
			p.dst = append(p.dst, name...)
			p.ticks(v)
		}
	case sig == 4 || sig == 8 || sig == 5:
		addr()
	case sig == 11 || sig == 7:
		addr()
		switch {
		case sig == 11 && code == 3: // SEGV_BNDERR
			p.dst = append(p.dst, ", si_lower="...)
			p.addr(u(2*word, word))
			p.dst = append(p.dst, ", si_upper="...)
			p.addr(u(3*word, word))
		case sig == 11 && code == 4: // SEGV_PKUERR
			num(", si_pkey=", int64(uint32(u(2*word, 4))))
		case sig == 7 && (code == 4 || code == 5): // BUS_MCEERR_*
			num(", si_addr_lsb=", int64(int16(u(word, 2))))
		}
	case sig == 29:
		if code >= 1 && code <= 6 { // POLL_IN to POLL_HUP
			band()
		}
	case sig == 31:
		p.dst = append(p.dst, ", si_call_addr="...)
		p.addr(u(0, word))
		p.dst = append(p.dst, ", si_syscall="...)
		nr := uint32(u(word, 4))
		if c := syscalls.Lookup(p.arch, nr); c != nil && auditArchSet.Enum(u(word+4, 4)) != "" {
			p.dst = append(p.dst, "__NR_"...)
			p.dst = append(p.dst, c.Name...)
		} else {
			p.dst = strconv.AppendUint(p.dst, uint64(nr), 10)
		}
		p.dst = append(p.dst, ", si_arch="...)
		p.set(auditArchSet, u(word+4, 4), true)
	default:
		if u(0, 8) != 0 {
			sender()
		}
		if u(8, word) != 0 {
			value(8)
		}
	}
	p.dst = append(p.dst, '}')
}

// AppendSignal appends the delivery of a signal (REC_SIGNAL):
//
//	--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x8} ---
//
// The siginfo is the kernel's own, whose longs have 8 bytes whatever the ABI of the
// process. Where it was not captured, only its number, code and errno are shown.
func AppendSignal(dst []byte, arch record.Arch, rec *record.Record, opt Options) []byte {
	p := newPrinter(dst, arch, rec, opt)
	p.dst = append(p.dst, "--- "...)
	p.sig(int(rec.Nr))
	p.dst = append(p.dst, ' ')
	if it := p.item(0, layout.ItemMem, false); it != nil && len(it.Data) >= 12 && load(it.Data, 4) != 0 {
		p.siginfo(it.Data, 8)
	} else {
		p.dst = append(p.dst, "{si_signo="...)
		p.sig(int(rec.Nr))
		p.dst = append(p.dst, ", si_code="...)
		p.code(int(rec.Nr), int(int32(rec.Ret)))
		if errno := int(int32(rec.Args[0])); errno != 0 {
			p.dst = append(p.dst, ", si_errno="...)
			if name, _ := syscalls.Errno(errno); name != "" {
				p.dst = append(p.dst, name...)
			} else {
				p.dst = strconv.AppendInt(p.dst, int64(errno), 10)
			}
		}
		p.dst = append(p.dst, '}')
	}
	p.dst = append(p.dst, " ---"...)
	return p.done()
}

// AppendExit appends the end of a thread (REC_EXIT):
//
//	+++ exited with 3 +++
//	+++ killed by SIGSEGV (core dumped) +++
func AppendExit(dst []byte, rec *record.Record) []byte {
	code := uint32(rec.Ret)
	if sig := int(code & 0x7f); sig != 0 {
		dst = append(dst, "+++ killed by "...)
		dst = AppendSignalName(dst, sig)
		if code&0x80 != 0 {
			dst = append(dst, " (core dumped)"...)
		}
		return append(dst, " +++"...)
	}
	dst = append(dst, "+++ exited with "...)
	dst = strconv.AppendUint(dst, uint64(code>>8&0xff), 10)
	return append(dst, " +++"...)
}
