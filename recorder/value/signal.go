package value

import "strconv"

// Signals of x86 and ARM, without SIG.
var signals = [32]string{"0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
	"STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"}

// SignalMax is the number of the last signal.
const SignalMax = 64

// AppendSignalName appends the name of a signal as strace has it: SIGSEGV,
// SIGRTMIN, SIGRT_1; the number if there is no such signal.
func AppendSignalName(dst []byte, sig int) []byte {
	if sig <= 0 || sig > SignalMax {
		return strconv.AppendInt(dst, int64(sig), 10)
	}
	dst = append(dst, "SIG"...)
	return appendShortSignal(dst, sig)
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

// appendSignalSet shows a set of n signals, the complement if most are in it:
// [INT CHLD], ~[RTMIN RT_1].
func appendSignalSet(dst []byte, mask uint64, n int) []byte {
	if n < 64 {
		mask &= 1<<n - 1
	}
	count := 0
	for m := mask; m != 0; m &= m - 1 {
		count++
	}
	if count >= n*2/3 {
		dst = append(dst, '~')
		mask = ^mask
	}
	dst = append(dst, '[')
	more := false
	for i := range n {
		if mask>>i&1 != 0 {
			if more {
				dst = append(dst, ' ')
			}
			dst = appendShortSignal(dst, i+1)
			more = true
		}
	}
	return append(dst, ']')
}
