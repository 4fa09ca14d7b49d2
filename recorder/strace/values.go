package strace

import (
	"encoding/binary"
	"strconv"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// arg shows one argument.
func (p *printer) arg(a *syscalls.Arg) {
	v := p.rec.Args[a.Reg%6]
	if a.Form == syscalls.FormValue {
		p.value(a.Type, p.register(a), false)
		return
	}
	if a.Form == syscalls.FormStack {
		p.frame(a)
		return
	}
	v &= p.longMask()
	if v == 0 {
		p.dst = append(p.dst, "NULL"...)
		return
	}
	if !p.pointer(a, v) {
		p.hex(v)
	}
}

// register returns the value of a FormValue argument, cut or joined to its size.
// Signed ones are sign-extended by value.
func (p *printer) register(a *syscalls.Arg) uint64 {
	v := p.rec.Args[a.Reg%6]
	if a.Regs == 2 {
		hi := p.rec.Args[(a.Reg+1)%6]
		if a.Type.Name == "offhilo" {
			return v<<32 | hi&0xffffffff
		}
		if p.word == 4 {
			return v&0xffffffff | hi<<32
		}
		return v // the high half says nothing that the low one does not
	}
	if p.arch == record.ArchX32 && a.Type.Size == 8 {
		return v
	}
	return v & p.longMask()
}

// pointer shows what a pointer points to, or nothing if that was not captured.
func (p *printer) pointer(a *syscalls.Arg, v uint64) bool {
	if p.entering && a.Dir&(syscalls.DirIn|syscalls.DirEntry) == 0 {
		return false
	}
	out := a.Dir&syscalls.DirOut != 0 && a.Dir&(syscalls.DirIn|syscalls.DirEntry) == 0
	if out && p.wroteNothing() {
		return false
	}
	// What is read when the call begins has the flag; at the start of calls that
	// may not return everything has it.
	entry := a.Dir&syscalls.DirEntry != 0 || p.rec.Type == layout.RecEnter
	switch a.Form {
	case syscalls.FormPath:
		if it := p.item(a.Reg, layout.ItemStr, entry); it != nil {
			p.dst = appendQuoted(p.dst, it.Data, 0, it.Cut() || it.Fault())
			return true
		}
	case syscalls.FormString:
		if it := p.item(a.Reg, layout.ItemStr, entry); it != nil {
			if a.Type.Name == "str16" {
				// a thread's name: the kernel takes 15 bytes, whatever follows
				const most = 15
				p.dst = appendQuoted(p.dst, it.Data[:min(len(it.Data), most)], p.opt.StringLimit, len(it.Data) >= most && a.Dir&syscalls.DirOut == 0)
				return true
			}
			p.dst = appendQuoted(p.dst, it.Data, p.opt.StringLimit, it.Cut() || it.Fault())
			return true
		}
	case syscalls.FormPathN, syscalls.FormChars:
		if a.Count == syscalls.CountRet && p.call.Args[len(p.call.Args)-1].Type.Name == "size" && p.rec.Args[p.call.Args[len(p.call.Args)-1].Reg%6] == 0 {
			return false // listxattr was asked for the size only
		}
		if it := p.item(a.Reg, layout.ItemMem, entry); it != nil {
			data, limit := it.Data, p.opt.StringLimit
			if p.call.Name == "keyctl" && a.Dir == syscalls.DirOut {
				// the result is the length that there is, with its NUL
				data = data[:max(min(len(data), int(min(p.rec.Args[3], 4096)))-1, 0)]
			}
			if a.Form == syscalls.FormPathN {
				limit = 0
				if n := len(data); n > 0 && data[n-1] == 0 {
					data = data[:n-1]
				}
			}
			p.dst = appendQuoted(p.dst, data, limit, it.Cut() || it.Fault())
			return true
		}
	case syscalls.FormData:
		it := p.item(a.Reg, layout.ItemData, entry)
		if it == nil {
			if a.Dir == syscalls.DirOut && a.Count == syscalls.CountRet && p.rec.Ret == 0 && !p.entering {
				p.dst = append(p.dst, `""`...)
				return true
			}
			return false
		}
		if p.call.Name == "sendto" || p.call.Name == "recvfrom" {
			addr := p.item(4, layout.ItemMem, entry)
			if len(it.Data) >= nlHeader && (isNetlink(addr) || addr == nil && a.Dir&syscalls.DirOut == 0 && !it.Cut() && looksLikeRequest(it.Data)) {
				p.netlink(it.Data, it.Cut())
				return true
			}
		}
		data, cut := it.Data, it.Cut() || it.Fault()
		if p.call.Name == "recvfrom" || p.call.Name == "recv" {
			// with MSG_TRUNC the result is larger than the buffer
			if room := p.rec.Args[2] & p.longMask(); room < uint64(len(data)) {
				data, cut = data[:room], false
			}
		}
		p.dst = appendQuoted(p.dst, data, p.opt.StringLimit, cut)
		return true
	case syscalls.FormStrings:
		return p.strings(a.Reg, entry)
	case syscalls.FormCount:
		for i := range p.rec.Items {
			if it := &p.rec.Items[i]; it.Arg == a.Reg && it.Kind == layout.ItemCount && len(it.Data) >= 4 {
				p.hex(v)
				p.dst = append(p.dst, " /* "...)
				n := binary.LittleEndian.Uint32(it.Data)
				p.dst = strconv.AppendUint(p.dst, uint64(n), 10)
				switch {
				case it.Cut():
					p.dst = append(p.dst, "+ vars */"...)
				case n == 1:
					p.dst = append(p.dst, " var */"...)
				default:
					p.dst = append(p.dst, " vars */"...)
				}
				return true
			}
		}
	case syscalls.FormIovec:
		iov, data := p.item(a.Reg, layout.ItemIov, entry), p.item(a.Reg, layout.ItemIovdata, entry)
		if iov != nil {
			p.iovecs(iov, data)
			return true
		}
	case syscalls.FormMsg:
		return p.msghdr(a, entry)
	case syscalls.FormMmsg:
		return p.mmsghdr(a, entry)
	case syscalls.FormLen:
		return p.length(a)
	case syscalls.FormVector:
		return p.vector(a, entry)
	case syscalls.FormPointer:
		if a.Cond == syscalls.CondInterrupted && p.rec.Ret != -4 && p.rec.Ret != -516 && p.rec.Ret != -514 {
			return false
		}
		it := p.item(a.Reg, layout.ItemMem, entry)
		if it == nil && a.Dir&syscalls.DirIn != 0 {
			it = p.item(a.Reg, layout.ItemMem, !entry) // its page was not there yet when the call began
		}
		if it == nil {
			return false
		}
		if via := p.item(a.Reg, layout.ItemVia, it.Entry()); via != nil {
			p.via = via
			defer func() { p.via = nil }()
		}
		return p.memory(a, it)
	}
	return false
}

// frame shows the signal mask that a handler returns to.
func (p *printer) frame(a *syscalls.Arg) {
	it := p.item(a.Reg, layout.ItemMem, true)
	if it == nil || len(it.Data) < 8 {
		p.dst = append(p.dst, "{...}"...)
		return
	}
	p.dst = append(p.dst, "{mask="...)
	p.sigset(it.Data[:8])
	p.dst = append(p.dst, '}')
}

// vector shows what the pointers of a vector point to.
func (p *printer) vector(a *syscalls.Arg, entry bool) bool {
	n := p.rec.Args[a.Carg%6] & p.longMask()
	p.dst = append(p.dst, '[')
	before, shown := len(p.dst), uint64(0)
	for i := range p.rec.Items {
		it := &p.rec.Items[i]
		if it.Arg != a.Reg || it.Kind != layout.ItemElem || it.Entry() != entry {
			continue
		}
		if shown > 0 {
			p.dst = append(p.dst, ", "...)
		}
		switch {
		case it.Fault() && shown == 0 && len(it.Data) == 0 && n == 1:
			p.dst = p.dst[:before-1]
			return false
		case len(it.Data) < a.Type.SizeOn(p.arch) && it.Fault():
			p.dst = append(p.dst, "???"...) // its address is not kept
		case len(it.Data) == 0:
			p.dst = append(p.dst, "NULL"...)
		default:
			p.structure(a.Type, it.Data)
		}
		shown++
	}
	if shown == 0 && n > 0 {
		p.dst = p.dst[:before-1]
		return false
	}
	if shown < n {
		p.dst = append(p.dst, ", ..."...)
	}
	p.dst = append(p.dst, ']')
	return true
}

// length shows a length that the kernel has read and written: [128 => 16].
func (p *printer) length(a *syscalls.Arg) bool {
	before, after := p.item(a.Reg, layout.ItemLen, true), p.item(a.Reg, layout.ItemLen, false)
	if p.entering {
		after = nil
	}
	if before == nil {
		before, after = after, nil
	}
	if before == nil || len(before.Data) < 4 {
		return false
	}
	n := int32(binary.LittleEndian.Uint32(before.Data))
	p.dst = append(p.dst, '[')
	p.dst = strconv.AppendInt(p.dst, int64(n), 10)
	if after != nil && len(after.Data) >= 4 {
		if m := int32(binary.LittleEndian.Uint32(after.Data)); m != n {
			p.dst = append(p.dst, " => "...)
			p.dst = strconv.AppendInt(p.dst, int64(m), 10)
		}
	}
	p.dst = append(p.dst, ']')
	return true
}

// memory shows the elements of an item.
func (p *printer) memory(a *syscalls.Arg, it *record.Item) bool {
	if show := memories[a.Type.Name]; show != nil {
		return show(p, a, it)
	}
	size := a.Type.SizeOn(p.arch)
	if size <= 0 {
		return false
	}
	one := a.Count == syscalls.CountOne || a.Count == syscalls.CountBytes || a.Count == syscalls.CountBytesInt
	if one {
		if len(it.Data) < size && (a.Count == syscalls.CountOne || a.Type.Kind != syscalls.KindStruct) {
			return false
		}
		if a.Type.Kind == syscalls.KindStruct {
			p.asSized = a.Count != syscalls.CountOne && !it.Cut() && !it.Fault()
			p.structure(a.Type, it.Data)
			p.asSized = false
			return true
		}
		p.dst = append(p.dst, '[')
		p.value(a.Type, load(it.Data, size), true)
		p.dst = append(p.dst, ']')
		return true
	}
	n := len(it.Data) / size
	if n == 0 && (len(it.Data) > 0 || it.Cut() || it.Fault()) {
		return false
	}
	p.dst = append(p.dst, '[')
	for i := range n {
		if i > 0 {
			p.dst = append(p.dst, ", "...)
		}
		if p.opt.StringLimit > 0 && i >= p.opt.StringLimit && !p.opt.Verbose {
			p.dst = append(p.dst, "...]"...)
			return true
		}
		elem := it.Data[i*size : (i+1)*size]
		if a.Type.Kind == syscalls.KindStruct {
			p.structure(a.Type, elem)
		} else {
			p.value(a.Type, load(elem, size), true)
		}
	}
	if it.Cut() || it.Fault() {
		if n > 0 {
			p.dst = append(p.dst, ", "...)
		}
		p.dst = append(p.dst, "..."...)
		if it.Fault() {
			p.dst = append(p.dst, " /* "...)
			p.hex(p.rec.Args[a.Reg%6]&p.longMask() + uint64(n*size))
			p.dst = append(p.dst, " */"...)
		}
	}
	p.dst = append(p.dst, ']')
	return true
}

// strings shows a vector of strings.
func (p *printer) strings(reg uint8, entry bool) bool {
	shown := false
	for i := range p.rec.Items {
		it := &p.rec.Items[i]
		if it.Arg != reg || it.Kind != layout.ItemStrv || it.Entry() != entry {
			continue
		}
		if !shown {
			if it.Fault() && len(it.Data) == 0 {
				return false
			}
			p.dst = append(p.dst, '[')
			shown = true
		} else {
			p.dst = append(p.dst, ", "...)
		}
		if len(it.Data) == 0 && (it.Cut() || it.Fault()) {
			p.dst = append(p.dst, "..."...)
			break
		}
		p.dst = appendQuoted(p.dst, it.Data, p.opt.StringLimit, it.Cut() || it.Fault())
	}
	if !shown && p.item(reg, layout.ItemCount, entry) != nil { // there is none in it
		p.dst = append(p.dst, '[')
		shown = true
	}
	if shown {
		p.dst = append(p.dst, ']')
	}
	return shown
}

// load reads a little-endian number of 1, 2, 4 or 8 bytes; 0 of any other size.
func load(b []byte, size int) uint64 {
	if len(b) < size {
		return 0
	}
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	case 8:
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// signed extends a number of a type's size, or of a register.
func (p *printer) signed(t *syscalls.Type, v uint64) int64 {
	switch size := t.Size; {
	case size == 2:
		return int64(int16(v))
	case size == 4:
		return int64(int32(v))
	case size == 0 && p.word == 4:
		return int64(int32(v))
	}
	return int64(v)
}

// value shows a value of a type that is not a struct. inMemory: it is as wide as
// its storage and was extended as that says; otherwise it is a register's.
func (p *printer) value(t *syscalls.Type, v uint64, inMemory bool) {
	switch t.Kind {
	case syscalls.KindInt:
		p.dst = strconv.AppendInt(p.dst, p.signed(t, v), 10)
	case syscalls.KindUint:
		if t.Size == 4 {
			v &= 0xffffffff
		}
		p.dst = strconv.AppendUint(p.dst, v, 10)
	case syscalls.KindHex:
		if t.Size == 4 {
			v &= 0xffffffff
		}
		p.hex(v)
	case syscalls.KindPtr:
		p.addr(v)
	case syscalls.KindFd:
		p.dst = strconv.AppendInt(p.dst, int64(int32(v)), 10)
		p.openOn(int32(v), false)
	case syscalls.KindDirfd:
		if int32(v) == -100 {
			p.dst = append(p.dst, "AT_FDCWD"...)
		} else if int32(v) == -1 && t.Name == "fandirfd" {
			p.dst = append(p.dst, "FAN_NOFD"...)
		} else {
			p.dst = strconv.AppendInt(p.dst, int64(int32(v)), 10)
		}
		p.openOn(int32(v), false)
	case syscalls.KindUID:
		p.uid(t, v)
	case syscalls.KindMode:
		if t.Size == 4 {
			v &= 0xffff // umode_t
		}
		p.dst = appendOctal(p.dst, v)
	case syscalls.KindFileMode:
		p.fileMode(uint32(v))
	case syscalls.KindDev:
		p.dev(v)
	case syscalls.KindSig:
		p.sig(int(int32(v)))
	case syscalls.KindSet:
		p.set(t.Set, v, inMemory)
	default:
		if show := values[t.Name]; show != nil {
			show(p, t, v)
		} else if t.Set != nil {
			p.set(t.Set, v, inMemory)
		} else {
			p.hex(v)
		}
	}
}

func (p *printer) uid(t *syscalls.Type, v uint64) {
	bits := uint64(0xffffffff)
	if t.Size == 2 {
		bits = 0xffff
	}
	if v &= bits; v == bits {
		p.dst = append(p.dst, "-1"...)
	} else {
		p.dst = strconv.AppendUint(p.dst, v, 10)
	}
}

func (p *printer) hex(v uint64) { p.dst = appendHex(p.dst, v) }

// addr shows an address.
func (p *printer) addr(v uint64) {
	if v == 0 {
		p.dst = append(p.dst, "NULL"...)
	} else {
		p.hex(v)
	}
}

// appendHex appends a number as %#x does: 0 without a prefix.
func appendHex(dst []byte, v uint64) []byte {
	if v == 0 {
		return append(dst, '0')
	}
	dst = append(dst, "0x"...)
	return strconv.AppendUint(dst, v, 16)
}

// appendOctal appends a number as %#03o does: at least three digits.
func appendOctal(dst []byte, v uint64) []byte {
	switch {
	case v == 0:
		return append(dst, "000"...)
	case v < 010:
		dst = append(dst, "00"...)
	default:
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, v, 8)
}

// dev shows a device's number; the encoding is the kernel's, new_encode_dev and huge.
func (p *printer) dev(v uint64) {
	major := v>>8&0xfff | v>>32&^uint64(0xfff)
	minor := v&0xff | v>>12&0xffffff00
	p.dst = append(p.dst, "makedev("...)
	p.hex(major)
	p.dst = append(p.dst, ", "...)
	p.hex(minor)
	p.dst = append(p.dst, ')')
}

var fileTypes = [16]string{001: "S_IFIFO", 002: "S_IFCHR", 004: "S_IFDIR", 006: "S_IFBLK", 010: "S_IFREG", 012: "S_IFLNK", 014: "S_IFSOCK"}

// fileMode shows S_IFREG|0644.
func (p *printer) fileMode(mode uint32) {
	name := ""
	if mode>>12 < 16 {
		name = fileTypes[mode>>12]
	}
	if name == "" {
		p.dst = appendOctal(p.dst, uint64(mode))
		return
	}
	p.dst = append(p.dst, name...)
	for _, b := range []struct {
		bit  uint32
		name string
	}{{04000, "|S_ISUID"}, {02000, "|S_ISGID"}, {01000, "|S_ISVTX"}} {
		if mode&b.bit != 0 {
			p.dst = append(p.dst, b.name...)
		}
	}
	p.dst = append(p.dst, '|')
	p.dst = appendOctal(p.dst, uint64(mode&0777))
}

// set shows the names of an enumeration or of flags, and the rest in hexadecimal.
func (p *printer) set(s *syscalls.Set, v uint64, inMemory bool) {
	s = s.On(p.arch)
	if s.Pure {
		name := s.Enum(v)
		if name == "" && !inMemory {
			// an int: a negative one is sign-extended by some, and cut by others
			if name = s.Enum(v & 0xffffffff); name == "" {
				name = s.Enum(uint64(int64(int32(v))))
			}
			v &= 0xffffffff
		}
		if name != "" {
			p.dst = append(p.dst, name...)
			return
		}
		p.unknown(s, v)
		return
	}
	if !inMemory && s.Mask <= 0xffffffff && !hasHigh(s) {
		v &= 0xffffffff
	}
	before := len(p.dst)
	known := false
	if s.Mask == ipcMask && v&ipc64 != 0 && len(s.Flags) == 1 && s.Flags[0].Value == ipc64 {
		p.dst = append(p.dst, "IPC_64|"...) // stands first, as an exception
		v &^= ipc64
	}
	if s.Mask != 0 {
		if name := s.Enum(v & s.Mask); name != "" {
			p.dst = append(p.dst, name...)
			v &^= s.Mask
			known = true
		} else if v&s.Mask != 0 {
			if s.Enums == nil { // permission bits, as in semget's flags
				if v&^s.Mask != 0 {
					p.flags(s, v&^s.Mask, false)
				}
				if len(p.dst) > before {
					p.dst = append(p.dst, '|')
				}
				p.dst = appendOctal(p.dst, v&s.Mask)
				return
			}
			p.unknown(s, v&s.Mask)
			v &^= s.Mask
			known = true
		}
		if v == 0 && known {
			return
		}
	} else if v == 0 {
		for _, f := range s.Flags {
			if f.Value == 0 {
				p.dst = append(p.dst, f.Name...)
				return
			}
		}
	}
	if v == 0 && s.Mask != 0 && s.Enums == nil {
		p.dst = append(p.dst, "000"...)
		return
	}
	p.flags(s, v, known)
	if s.Mask != 0 && s.Enums == nil {
		p.dst = append(p.dst, "|000"...)
		return
	}
	if len(p.dst) == before {
		p.dst = append(p.dst, '0')
	}
}

// Commands of System V IPC, and the flag for their newer structs.
const ipcMask, ipc64 = 0xff, 0x100

// hasHigh reports whether a set has flags above 32 bits.
func hasHigh(s *syscalls.Set) bool {
	for i := range s.Flags {
		if s.Flags[i].Value>>32 != 0 {
			return true
		}
	}
	return false
}

// flags shows the names of the bits in v, after a "|" if more is true.
func (p *printer) flags(s *syscalls.Set, v uint64, more bool) {
	for i := range s.Flags {
		f := &s.Flags[i]
		if f.Value != 0 && v&f.Value == f.Value {
			if more {
				p.dst = append(p.dst, '|')
			}
			p.dst = append(p.dst, f.Name...)
			v &^= f.Value
			more = true
			if v == 0 {
				return
			}
		}
	}
	if v == 0 {
		return
	}
	if more {
		p.dst = append(p.dst, '|')
		p.hex(v)
		return
	}
	p.unknown(s, v)
}

// unknown shows a value that has no name: 0x63 /* F_??? */.
func (p *printer) unknown(s *syscalls.Set, v uint64) {
	p.hex(v)
	p.dst = append(p.dst, " /* "...)
	p.dst = append(p.dst, s.Unknown...)
	p.dst = append(p.dst, " */"...)
}

// flagsResult shows a result that holds flags or an enumeration:
// 0x8002 (flags O_RDWR|O_LARGEFILE), 1 (SUID_DUMP_USER).
func (p *printer) flagsResult(t *syscalls.Type, ret int64) {
	if t.Set.Pure {
		if t.Name == "locktype_ret" {
			p.hex(uint64(ret))
		} else {
			p.dst = strconv.AppendInt(p.dst, ret, 10)
		}
		if name := t.Set.On(p.arch).Enum(uint64(ret)); name != "" {
			p.dst = append(p.dst, " ("...)
			p.dst = append(p.dst, name...)
			p.dst = append(p.dst, ')')
		}
		return
	}
	if t.Name == "nstype_ret" {
		p.dst = strconv.AppendInt(p.dst, ret, 10)
	} else {
		p.hex(uint64(ret))
	}
	if ret == 0 && t.Set.Mask == 0 {
		return
	}
	switch t.Name {
	case "openflags_ret", "fdflags_ret":
		p.dst = append(p.dst, " (flags "...)
	case "seals_ret":
		p.dst = append(p.dst, " (seals "...)
	default:
		p.dst = append(p.dst, " ("...)
	}
	p.set(t.Set, uint64(ret), true)
	p.dst = append(p.dst, ')')
}
