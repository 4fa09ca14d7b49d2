package postmortem

import (
	"fmt"
	"strings"

	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/strace"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

func (c *facts) childEnd() string {
	if c.proc.OOM {
		return "was chosen by the OOM killer" + c.proc.usedUp()
	}
	if c.fatal != nil {
		return "was killed by " + c.b.signalText(c.fatal) + c.fromElsewhere(c.fatal.sig)
	}
	if sig := c.proc.status & 0x7f; sig != 0 {
		return "was " + endOf(c.proc.status) + c.fromElsewhere(int(sig))
	}
	return endOf(c.proc.status)
}

func (c *facts) lived() string {
	if b := c.main.born(); c.main.start != 0 && c.end > b {
		return " after " + duration(c.end-b)
	}
	return ""
}

func (b *builder) who(p *proc) string {
	if p.Comm == "" {
		return itoa(uint64(p.Pid))
	}
	return itoa(uint64(p.Pid)) + " (" + p.Comm + ")"
}

func (b *builder) thread(p *proc, tid uint32, comm string) string {
	name := itoa(uint64(tid))
	if comm != "" {
		name += " (" + comm + ")"
	}
	if tid == p.Pid {
		return "main thread " + name
	}
	return "thread " + name
}

// signalText names a signal with what the kernel says about it.
func (b *builder) signalText(s *signal) string {
	text := strace.SignalName(s.sig)
	code := codeName(s.sig, s.code, b.h.Arch)
	switch {
	case s.code <= 0 || s.code == 0x80 /* SI_KERNEL */ || code == "":
	case s.sig == 31 && code == "SYS_SECCOMP":
		call := itoa64(int64(s.call))
		if row := syscalls.Lookup(b.h.Arch, uint32(s.call)); row != nil {
			call = row.Name
		}
		text += " (SYS_SECCOMP: a seccomp filter forbids " + call + ")"
	case s.sig == 4 || s.sig == 7 || s.sig == 8 || s.sig == 11 || s.sig == 5:
		text += fmt.Sprintf(" (%s at %#x)", code, s.addr)
	default:
		text += " (" + code + ")"
	}
	return text
}

var codeSets = map[int]*syscalls.Set{
	4: syscalls.SetByName("sicode_ill"), 5: syscalls.SetByName("sicode_trap"),
	7: syscalls.SetByName("sicode_bus"), 8: syscalls.SetByName("sicode_fpe"),
	11: syscalls.SetByName("sicode_segv"), 31: syscalls.SetByName("sicode_sys"),
}

func codeName(sig int, code int32, arch record.Arch) string {
	if set := codeSets[sig]; set != nil && code > 0 {
		return set.On(arch).Enum(uint64(code))
	}
	return ""
}

// ofItself says whether an exit was by itself, or after somebody asked for it.
func (c *facts) ofItself() string {
	s := c.asked()
	if s == nil {
		return " by itself"
	}
	return " " + duration(c.end-min(s.ev.ns, c.end)) + " after " + strace.SignalName(s.sig) +
		c.b.from(c.main, s) + ", which it caught"
}

func (c *facts) inThread() string {
	tid := uint32(0)
	comm := ""
	switch {
	case c.sent != nil && c.sent.by == c.proc:
		tid, comm = c.sent.ev.Tid, c.sent.ev.Comm
	case c.fatal != nil:
		tid, comm = c.fatal.tid, c.fatal.ev.Comm
	}
	if tid == 0 || tid == c.proc.Pid {
		return ""
	}
	return " in " + c.b.thread(c.proc, tid, comm)
}

func firstIf(later bool) int {
	if later {
		return 1
	}
	return 0
}

// what shows the call of a blocked thread in a few words.
func (in *Blocked) what() string {
	if in.Call == "connect" && in.On != "" {
		return "connect to " + in.On
	}
	if in.named {
		return in.Call + `("` + clip(in.On, 80) + `")`
	}
	text := replay.Unmapped(strings.TrimSuffix(in.Text, " <unfinished ...>"))
	if head, _, ok := strings.Cut(text, ", "); ok {
		text = head
	}
	text = strings.TrimRight(text, ", ")
	if in.futex {
		return in.Call
	}
	if _, after, ok := strings.Cut(text, " = "); ok && after != "" {
		text = text[:len(text)-len(after)-3]
	}
	return strings.TrimRight(strings.TrimSuffix(text, ")"), " ") + ")"
}
