package postmortem

import (
	"slices"

	"github.com/recorderd/recorderd/recorder/record"
)

var ruleNullPointer = rule{
	kind: "null-pointer",
	is:   "`SIGSEGV` below address 4096",
	sure: "likely",
	find: func(c *facts) []Sign {
		if s := c.fault(sigSEGV); s != nil && s.code == 1 && s.addr < 4096 {
			return one(Likely, 0, "a null pointer was followed: there is nothing at "+hex(s.addr),
				s.ev)
		}
		return nil
	},
}

var ruleStackOverflow = rule{
	kind: "stack-overflow",
	is: "`SIGSEGV` where the stack of the thread ends: for the main thread, where the kernel " +
		"puts such stacks",
	sure: "possible",
	find: func(c *facts) []Sign {
		if s := c.fault(sigSEGV); s != nil && !(s.code == 1 && s.addr < 4096) &&
			c.b.beyondStack(c, s) {
			return one(Possible, 0, "the stack may have overflowed: "+hex(s.addr)+" is where "+
				"that of "+c.b.thread(c.proc, s.tid, s.ev.Comm)+" ends", s.ev)
		}
		return nil
	},
}

var ruleMappedFile = rule{
	kind: "mapped-file",
	is: "`SIGBUS` with `BUS_ADRERR`: there is no page for an address, mostly since a mapped " +
		"file was cut, or `/dev/shm` is full",
	sure: "possible",
	find: func(c *facts) []Sign {
		if s := c.fault(sigBUS); s != nil && s.code == 2 {
			return one(Possible, 0, "a mapped file may have become shorter, or its file system "+
				"(such as /dev/shm) is full: there is no page at "+hex(s.addr), s.ev)
		}
		return nil
	},
}

var ruleSeccomp = rule{
	kind: "seccomp",
	is:   "`SIGSYS`, and for which call",
	sure: "certain",
	find: func(c *facts) []Sign {
		if s := c.fault(sigSYS); s != nil {
			return one(Certain, 0, c.b.signalText(s), s.ev)
		}
		return nil
	},
}

// fault is the signal of the kernel's that ended the process, if it is this one.
func (c *facts) fault(sig int) *signal {
	if s := c.fatal; s != nil && s.code > 0 && s.sig == sig {
		return s
	}
	return nil
}

// beyondStack reports whether a fault is at the end of the thread's stack: of the main
// thread, whose stack is the highest mapping, where it does not grow any more; of others
// in the guard page.
func (b *builder) beyondStack(c *facts, s *signal) bool {
	const mapErr, guard = 1, 64 << 10
	if s.tid != c.proc.Pid {
		return slices.ContainsFunc(c.proc.stacks,
			func(at uint64) bool { return s.addr >= at && s.addr-at < guard })
	}
	// The kernel puts it by chance at most so far below the highest address.
	var top, most uint64
	switch b.h.Arch {
	case record.ArchX86_64:
		top, most = 1<<47, 16<<30
	case record.ArchARM64:
		top, most = 1<<48, 1<<30
	default:
		return false
	}
	const size = 16 << 20 // of the stack, 8 MiB mostly
	return s.code == mapErr && s.addr < top && s.addr >= top-most-size
}
