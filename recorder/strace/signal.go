package strace

import (
	"strconv"
	"strings"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
	"github.com/recorderd/recorderd/recorder/value"
)

// AppendSignalName appends the name of a signal as strace has it: SIGSEGV,
// SIGRTMIN, SIGRT_1; the number if there is no such signal.
func AppendSignalName(dst []byte, sig int) []byte { return value.AppendSignalName(dst, sig) }

// SignalName returns what AppendSignalName appends.
func SignalName(sig int) string { return string(AppendSignalName(nil, sig)) }

// SignalNumber returns the signal of a name that AppendSignalName has made; 0 if there is
// none. It knows SIG35 too, which earlier recorders wrote.
func SignalNumber(name string) int {
	for sig := 1; sig <= value.SignalMax; sig++ {
		if SignalName(sig) == name {
			return sig
		}
	}
	if digits, ok := strings.CutPrefix(name, "SIG"); ok {
		if sig, err := strconv.ParseUint(digits, 10, 8); err == nil && sig <= value.SignalMax {
			return int(sig)
		}
	}
	return 0
}

func sigResult(d *decoder, ret int64) {
	if ret > 0 && ret <= value.SignalMax {
		d.With(parenthesis)
		d.Signal(int(ret))
	}
}

// sigset decodes a set of signals of up to 8 bytes.
func (d *decoder) sigset(data []byte) {
	var mask uint64
	for i := range min(len(data), 8) {
		mask |= uint64(data[i]) << (8 * i)
	}
	d.sigmask(mask, min(len(data), 8)*8)
}

func (d *decoder) sigmask(mask uint64, n int) {
	d.Add(value.Node{Kind: value.Signals, Num: mask, Pad: uint8(n)})
}

func sigsetArg(d *decoder, a *syscalls.Arg, it *record.Item) bool {
	for i := range d.call.Args {
		// of another size it is no set
		if of := &d.call.Args[i]; (of.Name == "sigsetsize" || of.Name == "sizemask") && d.rec.Args[of.Reg%6]&d.longMask() != 8 {
			return false
		}
	}
	if size := a.Type.SizeOn(d.arch); len(it.Data) >= size {
		d.sigset(it.Data[:size])
		return true
	}
	return false
}

// sigsetValue decodes a signal set that is a number.
func sigsetValue(d *decoder, _ *syscalls.Type, v uint64) { d.sigmask(v, 64) }

func oldSigset(d *decoder, _ *syscalls.Type, v uint64) { d.sigmask(v, 8*d.word) }

func sighandler(d *decoder, _ *syscalls.Type, v uint64) {
	switch v {
	case 0:
		d.Word("SIG_DFL")
	case 1:
		d.Word("SIG_IGN")
	case d.longMask():
		d.Word("SIG_ERR")
	default:
		d.Hex(v)
	}
}

const saRestorer = 0x4000000

func sigaction(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	at := d.Open(value.Object)
	d.fieldList(l, data, "sa_handler", "sa_mask", "sa_flags")
	if get(l, data, "sa_flags")&saRestorer != 0 {
		d.fieldList(l, data, "sa_restorer")
	}
	d.Close(at)
}

func sigevent(d *decoder, t *syscalls.Type, l *syscalls.Layout, data []byte) {
	at := d.Open(value.Object)
	if ptr := load(data, d.word); ptr != 0 {
		d.Name("sigev_value")
		d.object(nil, func() {
			d.Name("sival_int")
			d.Int(int64(int32(ptr)))
			d.Name("sival_ptr")
			d.Hex(ptr)
		})
	}
	const sigevNone, sigevThreadID = 1, 4
	notify := get(l, data, "sigev_notify")
	if notify == sigevNone {
		d.Name("sigev_signo")
		d.Uint(get(l, data, "sigev_signo"))
	} else {
		d.fieldList(l, data, "sigev_signo")
	}
	if d.fieldList(l, data, "sigev_notify"); notify == sigevThreadID {
		d.fieldList(l, data, "sigev_notify_thread_id")
	}
	d.Close(at)
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

// code decodes why a signal was sent.
func (d *decoder) code(sig, code int) {
	name := ""
	if s := codeSets[sig]; s != nil && code > 0 {
		name = s.Enum(uint64(code))
	}
	for _, v := range [2]uint64{uint64(int64(code)), uint64(uint32(code))} {
		if name == "" {
			name = codeSet.Enum(v)
		}
	}
	d.named(name, func() { d.Hex(uint64(uint32(code))) })
}

// errnum decodes the number of an error by its name.
func (d *decoder) errnum(n int) {
	name, _ := syscalls.Errno(n)
	d.named(name, func() { d.Uint(uint64(uint32(n))) })
}

func siginfo(d *decoder, _ *syscalls.Type, _ *syscalls.Layout, data []byte) {
	if len(data) < 12 {
		d.Close(d.Open(value.Object)).Flags |= value.Cut
		return
	}
	d.siginfo(data, d.word)
}

// signal decodes a REC_SIGNAL. The siginfo is the kernel's own, whose longs have 8 bytes
// whatever the ABI of the process. Where it was not captured, only the signal's number,
// code and errno are known.
func (d *decoder) signal() {
	if it := d.item(0, layout.ItemMem, false); it != nil && len(it.Data) >= 12 && load(it.Data, 4) != 0 {
		d.siginfo(it.Data, 8)
		return
	}
	at := d.Open(value.Object)
	d.siginfoHead(int(d.rec.Nr), int(int32(d.rec.Ret)), int(int32(d.rec.Args[0])))
	d.Close(at)
}

func (d *decoder) siginfoHead(sig, code, errno int) {
	d.Name("si_signo")
	d.Signal(sig)
	d.Name("si_code")
	d.code(sig, code)
	if errno != 0 {
		d.Name("si_errno")
		d.errnum(errno)
	}
}

// siginfo decodes a siginfo_t of at least 12 bytes, whose longs have word bytes.
func (d *decoder) siginfo(data []byte, word int) {
	obj := d.Open(value.Object)
	d.siginfoMembers(data, word)
	d.Close(obj)
}

func (d *decoder) siginfoMembers(data []byte, word int) {
	sig, errno, code := int(int32(load(data, 4))), int(int32(load(data[4:], 4))), int(int32(load(data[8:], 4)))
	if sig == 0 {
		return
	}
	d.siginfoHead(sig, code, errno)
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
		d.Name(name)
		d.Int(v)
	}
	ptr := func(name string, v uint64) {
		d.Name(name)
		d.Addr(v)
	}
	sender := func() {
		num("si_pid", int64(int32(u(0, 4))))
		d.Name("si_uid")
		if uid := uint32(u(4, 4)); uid == 0xffffffff {
			d.Int(-1)
		} else {
			d.Int(int64(uid))
		}
	}
	value := func(off int) {
		num("si_int", int64(int32(u(off, 4))))
		ptr("si_ptr", u(off, word))
	}
	addr := func() { ptr("si_addr", u(0, word)) }
	band := func() {
		num("si_band", extend(u(0, word), word))
		num("si_fd", int64(int32(u(word, 4))))
	}
	switch {
	case code == siUser || code == siTkill:
		sender()
	case code == siTimer:
		d.Name("si_timerid")
		d.Hex(u(0, 4))
		num("si_overrun", int64(int32(u(4, 4))))
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
		d.Name("si_status")
		status := int(int32(u(8, 4)))
		if code == 1 || status <= 0 || status > sigMax { // CLD_EXITED
			d.Int(int64(status))
		} else {
			d.Signal(status)
		}
		times := 16
		if word == 4 {
			times = 12
		}
		for i, name := range []string{"si_utime", "si_stime"} {
			d.Name(name)
			d.ticks(extend(u(times+i*word, word), word))
		}
	case sig == 4 || sig == 8 || sig == 5:
		addr()
	case sig == 11 || sig == 7:
		addr()
		switch {
		case sig == 11 && code == 3: // SEGV_BNDERR
			ptr("si_lower", u(2*word, word))
			ptr("si_upper", u(3*word, word))
		case sig == 11 && code == 4: // SEGV_PKUERR
			num("si_pkey", int64(uint32(u(2*word, 4))))
		case sig == 7 && (code == 4 || code == 5): // BUS_MCEERR_*
			num("si_addr_lsb", int64(int16(u(word, 2))))
		}
	case sig == 29:
		if code >= 1 && code <= 6 { // POLL_IN to POLL_HUP
			band()
		}
	case sig == 31:
		ptr("si_call_addr", u(0, word))
		d.Name("si_syscall")
		nr := uint32(u(word, 4))
		if c := syscalls.Lookup(d.arch, nr); c != nil && auditArchSet.Enum(u(word+4, 4)) != "" {
			d.With(numberForm)
			d.Word(c.Name)
		} else {
			d.Uint(uint64(nr))
		}
		d.Name("si_arch")
		d.set(auditArchSet, u(word+4, 4), true)
	default:
		if u(0, 8) != 0 {
			sender()
		}
		if u(8, word) != 0 {
			value(8)
		}
	}
}

const sigMax = value.SignalMax

var numberForm = &value.Form{Pre: "__NR_"}

// AppendSignal appends the delivery of a signal (REC_SIGNAL):
//
//	--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x8} ---
func AppendSignal(dst []byte, arch record.Arch, rec *record.Record, opt Options) []byte {
	d := newDecoder(arch, rec)
	d.signal()
	dst = append(dst, "--- "...)
	dst = AppendSignalName(dst, int(rec.Nr))
	dst = append(dst, ' ')
	dst = d.textOf(&opt).Append(dst, &d.Tree, 0)
	d.done()
	return append(dst, " ---"...)
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
