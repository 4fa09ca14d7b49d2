package postmortem

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/strace"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

func itoa(n uint64) string  { return strconv.FormatUint(n, 10) }
func itoa64(n int64) string { return strconv.FormatInt(n, 10) }

func round(w float64) float64 { return math.Round(w*1000) / 1000 }

// clip cuts s at n bytes, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func isFd(t *syscalls.Type) bool {
	return t != nil && (t.Kind == syscalls.KindFd || t.Kind == syscalls.KindDirfd)
}

// peerOf returns the other end of a socket of which a descriptor's text tells.
func peerOf(text string) string {
	_, after, ok := strings.Cut(text, "->")
	if !ok || !strings.HasSuffix(after, "]") {
		return ""
	}
	return replay.Unmapped(strings.TrimSuffix(after, "]"))
}

// hostOf returns an address without its port, as ports of clients differ.
func hostOf(address string) string {
	if i := strings.LastIndexByte(address, ':'); i > 0 && !strings.HasPrefix(address, `"`) && !strings.HasPrefix(address, "@") {
		return address[:i]
	}
	return address
}

func pathOnly(about string) string {
	if strings.HasPrefix(about, `"`) { // of a socket
		return strings.Trim(about, `"`)
	}
	return about
}

// duration shows ns for people: 3.2 ms, 4 min 10 s.
func duration(ns uint64) string {
	switch d := time.Duration(ns); {
	case ns > 1<<62:
		return "ages"
	case d < time.Microsecond:
		return itoa(ns) + " ns"
	case d < time.Millisecond:
		return itoa(ns/1000) + " µs"
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(ns)/1e6, 'f', 1, 64) + " ms"
	case d < time.Second:
		return itoa(ns/1e6) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(float64(ns/1e8)/10, 'f', 1, 64) + " s"
	case d < time.Hour:
		return itoa(ns/60e9) + " min " + itoa(ns/1e9%60) + " s"
	case d < 48*time.Hour:
		return itoa(ns/3600e9) + " h " + itoa(ns/60e9%60) + " min"
	default:
		return itoa(ns/86400e9) + " days"
	}
}

// counted shows a number with a noun, in the plural if it is none or several.
func counted(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		return replay.Thousands(n) + " " + noun + "es"
	}
	return replay.Thousands(n) + " " + noun + "s"
}

func times(n uint64) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return replay.Thousands(n) + " times"
}

// sameEnd reports whether a status as wait(2) has it is this exit code or signal.
func sameEnd(status uint32, code int, signal string) bool {
	if sig := int(status & 0x7f); sig != 0 {
		return strace.SignalNumber(signal) == sig
	}
	return signal == "" && int(status>>8&0xff) == code
}

// endOf says how a status as wait(2) has it ended a process: exited with 3, killed by SIGSEGV.
func endOf(status uint32) string {
	sig := int(status & 0x7f)
	switch {
	case sig == 0:
		return "exited with " + itoa(uint64(status>>8&0xff))
	case status&0x80 != 0:
		return "killed by " + strace.SignalName(sig) + " (core dumped)"
	}
	return "killed by " + strace.SignalName(sig)
}

func hex(n uint64) string {
	const digits = "0123456789abcdef"
	if n == 0 {
		return "0x0"
	}
	var b []byte
	for ; n > 0; n >>= 4 {
		b = append(b, digits[n&15])
	}
	slices.Reverse(b)
	return "0x" + string(b)
}
