package syscalls

import (
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// Plan returns what the kernel is to capture for a call: no ops if its number is
// unknown, and then six arguments. Commands of ioctl and the like are in SubPlans.
func Plan(arch record.Arch, nr uint32) layout.Plan {
	c := Lookup(arch, nr)
	if c == nil {
		return layout.Plan{Nargs: 6}
	}
	p := plan(arch, c)
	if c.Sub >= 0 && nr < layout.PlanCalls { // others have no sub-plans
		for _, v := range c.Subs {
			// Variants that read nothing need no plan, unless the call itself reads.
			if q := plan(arch, v.Call); q.Nops > 0 || p.Nops > 0 {
				p.Flags |= uint8(layout.PlanSub) | q.Flags&uint8(layout.PlanEntry|layout.PlanContents)
				p.Sub = c.Args[c.Sub].Reg
			}
		}
	}
	for _, q := range packedPlans(arch, c) {
		p.Flags |= uint8(layout.PlanSub) | q.Flags&uint8(layout.PlanEntry|layout.PlanContents)
		p.Sub = 0
	}
	return p
}

// packedPlans returns the plans of the calls that socketcall(2) or ipc(2) stands for, by
// its first argument.
func packedPlans(arch record.Arch, c *Call) map[uint32]layout.Plan {
	plans := map[uint32]layout.Plan{}
	switch c.Name {
	case "socketcall":
		for n := range uint32(socketCalls) {
			if of := SocketCall(n); of != nil {
				q := plan(record.ArchARM, of)
				q.Flags |= uint8(layout.PlanArgs)
				plans[n] = q
			}
		}
	case "ipc":
		for n := range uint32(ipcCalls) {
			of, regs := IPCCall(arch, uint64(n))
			if of == nil {
				continue
			}
			q := plan(arch, of)
			for i := range q.Op[:q.Nops] {
				op := &q.Op[i]
				op.Arg, op.Carg = regs[op.Arg], regs[op.Carg]
				if op.Over > 0 {
					op.Over = regs[op.Over&^uint8(layout.Over)] | uint8(layout.Over)
				}
			}
			if q.Nops > 0 {
				plans[n] = q
			}
		}
	}
	return plans
}

// SubPlans returns the plans that depend on a command, by call number and
// command. Compat ABIs have PlanCalls added to the number, as the kernel program does.
func SubPlans(arch record.Arch) map[layout.SubplanKey]layout.Plan {
	plans := map[layout.SubplanKey]layout.Plan{}
	offset := uint32(0)
	if arch == record.ArchI386 || arch == record.ArchARM {
		offset = layout.PlanCalls
	}
	calls := All(arch)
	for i := range calls {
		c := &calls[i]
		if c.Name == "" || c.Nr >= layout.PlanCalls {
			continue
		}
		parent := Plan(arch, c.Nr)
		for cmd, p := range packedPlans(arch, c) {
			if c.Name == "ipc" {
				p.Nargs = parent.Nargs
			}
			plans[layout.SubplanKey{Nr: c.Nr + offset, Cmd: cmd}] = p
		}
		if c.Sub < 0 {
			continue
		}
		if parent.Flags&uint8(layout.PlanSub) == 0 {
			continue
		}
		for _, v := range c.Subs {
			p := plan(arch, v.Call)
			// Without a plan of its own a command is captured as its call is.
			if p.Nops == 0 && parent.Nops == 0 {
				continue
			}
			p.Nargs = parent.Nargs
			for _, flags := range commandFlags(c) {
				plans[layout.SubplanKey{Nr: c.Nr + offset, Cmd: v.Cmd | flags}] = p
			}
		}
	}
	return plans
}

// commandFlags returns what can be ORed to the command of a call: the kernel
// program looks for the whole argument. It is 0 alone for most.
func commandFlags(c *Call) []uint32 {
	all := []uint32{0}
	set := c.Args[c.Sub].Type.Set
	if set == nil || set.Pure {
		return all
	}
	for _, f := range set.Flags {
		for _, had := range all {
			all = append(all, had|uint32(f.Value))
		}
	}
	return all
}

// plan returns the plan of one call or variant, without regard to its variants.
func plan(arch record.Arch, c *Call) layout.Plan {
	p := layout.Plan{Nargs: c.Nargs}
	if c.Flags&FlagEnter != 0 {
		p.Flags |= uint8(layout.PlanEnter)
	}
	if c.Flags&FlagWrite != 0 {
		p.Flags |= uint8(layout.PlanWrite)
	}
	data := true
	add := func(op layout.PlanOp) {
		if int(p.Nops) == len(p.Op) {
			return
		}
		if op.When == uint8(layout.OpEntry) || op.When == uint8(layout.OpSame) {
			p.Flags |= uint8(layout.PlanEntry)
		}
		switch layout.OpKind(op.Kind) {
		case layout.OpData, layout.OpIov, layout.OpMsg, layout.OpMmsg:
			p.Flags |= uint8(layout.PlanContents)
		}
		data = data && op.Kind == uint8(layout.OpData)
		p.Op[p.Nops] = op
		p.Nops++
	}
	always, ok := layout.OpAlways, layout.OpOk
	if c.Flags&FlagFork != 0 {
		always, ok = layout.OpCaller, layout.OpParent
	}
	for i := range c.Args {
		a := &c.Args[i]
		op, follows := opOf(arch, a)
		if !follows {
			continue
		}
		if a.Dir&DirEntry != 0 {
			op.When = uint8(layout.OpEntry)
			add(op)
		}
		if a.Dir&DirOut != 0 {
			switch op.When = uint8(ok); a.Form {
			case FormMsg:
				add(layout.PlanOp{Arg: a.Reg, Kind: uint8(layout.OpRoom), When: uint8(layout.OpEntry), Size: 4, Max: 4})
				op.When = uint8(always) // of one that failed the struct alone
			case FormIovec:
				op.When = uint8(always) // and the array without contents
			}
			add(op)
		}
		if a.Dir&DirIn != 0 {
			op.When = uint8(always)
			if a.Dir == DirIn {
				op.Over, op.Span = overOf(arch, c, a)
				if same(c, a) {
					before := op
					before.When = uint8(layout.OpSame)
					add(before)
				}
			}
			add(op)
		}
		if via, follows := viaOf(arch, a); follows {
			via.When, via.Over, via.Span = op.When, op.Over, op.Span
			add(via)
		}
	}
	if p.Nops > 0 && data {
		p.Flags |= uint8(layout.PlanData)
	}
	return p
}

// overOf returns where the output of a call may lie over one of its inputs: the output's
// register with layout.Over, and the bytes that are written there if the call succeeds, 0: as
// many as its result says. Both are 0 if the call has no output.
func overOf(arch record.Arch, c *Call, in *Arg) (over uint8, span uint16) {
	for i := range c.Args {
		a := &c.Args[i]
		if a == in || a.Dir&DirOut == 0 {
			continue
		}
		op, ok := opOf(arch, a)
		switch {
		case !ok || a.Form == FormIovec || a.Form == FormMsg || a.Form == FormMmsg:
			continue // what is written lies elsewhere, or it is not known where it ends
		case op.Count == uint8(layout.CountRet) && op.Size == 1:
			return a.Reg | uint8(layout.Over), 0
		case op.Count == uint8(layout.CountOne):
			return a.Reg | uint8(layout.Over), op.Size
		default:
			return a.Reg | uint8(layout.Over), 1 // its first byte at least
		}
	}
	return 0, 0
}

// same reports whether a call writes something of the type of one of its inputs, as those do that
// set what there is and tell what there was. Programs use one struct for both.
func same(c *Call, in *Arg) bool {
	for i := range c.Args {
		a := &c.Args[i]
		if a != in && a.Dir == DirOut && a.Form == FormPointer && in.Form == FormPointer && a.Type == in.Type && a.Count == CountOne {
			return true
		}
	}
	return false
}

// viaOf returns the op for the pointer in a struct that an argument points to.
func viaOf(arch record.Arch, a *Arg) (layout.PlanOp, bool) {
	if a.Form != FormPointer || a.Type.Struct == nil || a.Type.Struct.On(arch) == nil {
		return layout.PlanOp{}, false
	}
	for _, f := range a.Type.Struct.On(arch).Fields {
		if !f.Via {
			continue
		}
		op := layout.PlanOp{Arg: a.Reg, At: uint8(f.Off), Size: 1, Max: f.Type().Max}
		if f.Size == 8 {
			op.At |= uint8(layout.AtWide)
		}
		if f.IsString() {
			op.Kind = uint8(layout.OpViaStr)
		} else {
			op.Kind, op.Size = uint8(layout.OpVia), uint16(f.Type().SizeOn(arch))
			op.Max = op.Size
		}
		if f.Many {
			op.Count, op.Carg, op.Size, op.Max = uint8(layout.CountPtr), a.Reg, 1, arrayMax
		}
		return op, true
	}
	return layout.PlanOp{}, false
}

// Bytes of an array that are captured at most, where its type says nothing else.
const arrayMax = 512

// frameMask is where the signal mask lies above the stack pointer when rt_sigreturn
// is called, by ABI.
var frameMask = [Archs]uint16{296, 248, 280, 168, 232}

// opOf returns the op that follows an argument, without its time.
func opOf(arch record.Arch, a *Arg) (layout.PlanOp, bool) {
	op := layout.PlanOp{Arg: a.Reg, Size: 1, Max: a.Type.Max}
	switch a.Count {
	case CountArg, CountBytesInt:
		op.Count, op.Carg = uint8(layout.CountArg), a.Carg
	case CountArgLong, CountBytes:
		op.Count, op.Carg = uint8(layout.CountArgLong), a.Carg
	case CountRet:
		op.Count = uint8(layout.CountRet)
	case CountPages:
		op.Count, op.Carg = uint8(layout.CountPages), a.Carg
	case CountPtr:
		op.Count, op.Carg = uint8(layout.CountPtr), a.Carg
	case CountBits:
		op.Count, op.Carg = uint8(layout.CountBits), a.Carg
	}
	word := uint16(Word(arch))
	switch a.Form {
	case FormPath, FormString:
		op.Kind = uint8(layout.OpStr)
	case FormStrings:
		op.Kind, op.Size = uint8(layout.OpStrv), word
	case FormCount:
		op.Kind, op.Size, op.Max = uint8(layout.OpCount), word, 4
	case FormChars, FormPathN:
		op.Kind = uint8(layout.OpMem)
	case FormData:
		op.Kind = uint8(layout.OpData)
	case FormIovec:
		op.Kind, op.Size, op.At = uint8(layout.OpIov), 2*word, input(a)
	case FormMsg:
		op.Kind, op.Size, op.Max, op.At = uint8(layout.OpMsg), 7*word, 7*word, input(a)
	case FormMmsg:
		op.Kind, op.Size, op.At = uint8(layout.OpMmsg), 8*word, input(a)
	case FormLen:
		op.Kind, op.Size = uint8(layout.OpLen), 4
	case FormVector:
		op.Kind, op.Size = uint8(layout.OpVec), uint16(a.Type.SizeOn(arch))
	case FormStack:
		// struct rt_sigframe, as rt_sigreturn finds it: the mask is a ucontext's
		op.Kind, op.Size, op.Max = uint8(layout.OpStack), 8, frameMask[Index(arch)]
		if op.Max == 0 {
			return op, false
		}
	case FormPointer:
		size := a.Type.SizeOn(arch)
		if size == 0 {
			return op, false
		}
		op.Kind, op.Size = uint8(layout.OpMem), uint16(size)
		switch a.Type.Name {
		case "sockoptval":
			op.Kind = uint8(layout.OpSockopt)
		case "pollfd":
			op.Kind = uint8(layout.OpPoll)
		}
		switch a.Count {
		case CountFixed:
			op.Size *= a.N
			op.Max = op.Size
		case CountOne:
			op.Max = op.Size
		case CountBytes, CountBytesInt:
			if op.Max == 0 {
				op.Max = op.Size // a struct that grows with the kernel
			}
			op.Size = 1
		default:
			if op.Max == 0 {
				op.Max = max(arrayMax, op.Size)
			}
		}
	default:
		return op, false
	}
	return op, true
}

// input says for PlanOp.At whether contents are all there before the call.
func input(a *Arg) uint8 {
	if a.Dir&DirIn != 0 {
		return uint8(layout.AtInput)
	}
	return 0
}
