package strace

import (
	"encoding/binary"
	"strconv"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
	"github.com/recorderd/recorderd/recorder/value"
)

// arg decodes one argument.
func (d *decoder) arg(a *syscalls.Arg) {
	arg := value.Arg{Name: a.Name, Type: a.Type.Name, Root: int32(d.Len())}
	switch a.Form {
	case syscalls.FormValue:
		arg.Raw = d.register(a)
		d.value(a.Type, arg.Raw, false)
	case syscalls.FormStack:
		arg.Raw = d.rec.Args[a.Reg%6]
		d.frame(a)
	default:
		arg.Raw = d.rec.Args[a.Reg%6] & d.longMask()
		if arg.Raw == 0 || !d.pointer(a, arg.Raw) {
			d.Truncate(int(arg.Root))
			d.Addr(arg.Raw).Text = d.untouched(a)
		}
	}
	d.Args = append(d.Args, arg)
}

// register returns the value of a FormValue argument, cut or joined to its size.
// Signed ones are sign-extended by value.
func (d *decoder) register(a *syscalls.Arg) uint64 {
	v := d.rec.Args[a.Reg%6]
	if a.Regs == 2 {
		hi := d.rec.Args[(a.Reg+1)%6]
		if a.Type.Name == "offhilo" {
			return v<<32 | hi&0xffffffff
		}
		if d.word == 4 {
			return v&0xffffffff | hi<<32
		}
		return v // the high half says nothing that the low one does not
	}
	if d.arch == record.ArchX32 && a.Type.Size == 8 {
		return v
	}
	return v & d.longMask()
}

// pointer decodes what a pointer points to, and reports whether that was captured.
func (d *decoder) pointer(a *syscalls.Arg, v uint64) bool {
	if d.entering && a.Dir&(syscalls.DirIn|syscalls.DirEntry) == 0 {
		return false
	}
	out := a.Dir&syscalls.DirOut != 0 && a.Dir&(syscalls.DirIn|syscalls.DirEntry) == 0
	if out && d.wroteNothing() && a.Form != syscalls.FormIovec && a.Form != syscalls.FormMsg {
		return false
	}
	// What is read when the call begins has the flag; at the start of calls that
	// may not return everything has it.
	entry := a.Dir&syscalls.DirEntry != 0 || d.rec.Type == layout.RecEnter
	switch a.Form {
	case syscalls.FormPath:
		if it := d.item(a.Reg, layout.ItemStr, entry); it != nil {
			d.Mark(value.Whole)
			d.String(it.Data, it.Cut() || it.Fault())
			return true
		}
	case syscalls.FormString:
		if it := d.item(a.Reg, layout.ItemStr, entry); it != nil {
			if a.Type.Name == "str16" {
				// a thread's name: the kernel takes 15 bytes, whatever follows
				const most = 15
				d.String(it.Data[:min(len(it.Data), most)], len(it.Data) >= most && a.Dir&syscalls.DirOut == 0)
				return true
			}
			if it.Fault() && len(it.Data) <= unended {
				return false
			}
			d.String(it.Data, it.Cut() || it.Fault())
			return true
		}
	case syscalls.FormPathN, syscalls.FormChars:
		return d.chars(a, entry)
	case syscalls.FormData:
		return d.data(a, entry)
	case syscalls.FormStrings:
		return d.strings(a.Reg, entry)
	case syscalls.FormCount:
		return d.count(a, v)
	case syscalls.FormIovec:
		if iov := d.item(a.Reg, layout.ItemIov, entry); iov != nil {
			d.iovecs(v, iov, d.item(a.Reg, layout.ItemIovdata, entry), d.item(a.Reg, layout.ItemPieces, entry))
			return true
		}
	case syscalls.FormMsg:
		return d.msghdr(a, entry)
	case syscalls.FormMmsg:
		return d.mmsghdr(a, entry)
	case syscalls.FormLen:
		return d.length(a)
	case syscalls.FormVector:
		return d.vector(a, entry)
	case syscalls.FormPointer:
		if a.Cond == syscalls.CondInterrupted && d.rec.Ret != -4 && d.rec.Ret != -516 && d.rec.Ret != -514 {
			return false
		}
		it := d.item(a.Reg, layout.ItemMem, entry)
		if it == nil && a.Dir&syscalls.DirIn != 0 {
			it = d.item(a.Reg, layout.ItemMem, !entry) // its page was not there yet when the call began
		}
		if it == nil {
			return false
		}
		d.via = d.item(a.Reg, layout.ItemVia, it.Entry())
		known := d.memory(a, it)
		d.via = nil
		return known
	}
	return false
}

// unended is how much of a string without an end is no more than its address: as much as strace
// would show of one.
const unended = 32

// chars decodes text of a known length.
func (d *decoder) chars(a *syscalls.Arg, entry bool) bool {
	if last := &d.call.Args[len(d.call.Args)-1]; a.Count == syscalls.CountRet && last.Type.Name == "size" && d.rec.Args[last.Reg%6] == 0 {
		return false // listxattr was asked for the size only
	}
	it := d.item(a.Reg, layout.ItemMem, entry)
	if it == nil {
		return false
	}
	data := it.Data
	if d.call.Name == "keyctl" && a.Dir == syscalls.DirOut {
		// the result is the length that there is, with its NUL
		data = data[:max(min(len(data), int(min(d.rec.Args[3], 4096)))-1, 0)]
	}
	if a.Form == syscalls.FormPathN {
		d.Mark(value.Whole)
		if n := len(data); n > 0 && data[n-1] == 0 {
			data = data[:n-1]
		}
	}
	d.String(data, it.Cut() || it.Fault())
	return true
}

// data decodes contents.
func (d *decoder) data(a *syscalls.Arg, entry bool) bool {
	it := d.item(a.Reg, layout.ItemData, entry)
	if it == nil {
		if a.Dir == syscalls.DirOut && a.Count == syscalls.CountRet && d.rec.Ret == 0 && !d.entering {
			d.String(nil, false)
			return true
		}
		return false
	}
	data, cut := it.Data, it.Cut() || it.Fault()
	if d.call.Name == "recvfrom" || d.call.Name == "recv" {
		// with MSG_TRUNC the result is larger than the buffer
		if room := d.rec.Args[2] & d.longMask(); room <= uint64(len(data)) {
			data, cut = data[:room], false
		}
	}
	switch d.call.Name {
	case "sendto", "recvfrom", "send", "recv":
		if len(data) >= nlHeader && (d.protocol > 0 || isNetlink(d.item(4, layout.ItemMem, entry))) {
			d.netlink(data, cut)
			return true
		}
	}
	d.String(data, cut)
	return true
}

// count decodes how many strings an environment has: 0x7ffd… /* 23 vars */.
func (d *decoder) count(a *syscalls.Arg, v uint64) bool {
	for i := range d.rec.Items {
		it := &d.rec.Items[i]
		if it.Arg != a.Reg || it.Kind != layout.ItemCount || len(it.Data) < 4 {
			continue
		}
		n := binary.LittleEndian.Uint32(it.Data)
		comment := strconv.AppendUint(d.Comment(), uint64(n), 10)
		switch {
		case it.Cut():
			comment = append(comment, "+ vars"...)
		case n == 1:
			comment = append(comment, " var"...)
		default:
			comment = append(comment, " vars"...)
		}
		at := d.Open(value.Group)
		d.Mark(value.NoJSON)
		d.Hex(v).Data = d.KeepComment(comment)
		d.Mark(value.NoText)
		if it.Cut() {
			d.Mark(value.Cut)
		}
		d.Uint(uint64(n))
		d.Close(at)
		return true
	}
	return false
}

// object decodes members with names.
func (d *decoder) object(f *value.Form, members func()) {
	if f != nil {
		d.With(f)
	}
	at := d.Open(value.Object)
	members()
	d.Close(at)
}

// list decodes n members without names.
func (d *decoder) list(n int, member func(i int)) *value.Node {
	at := d.Open(value.List)
	for i := range n {
		member(i)
	}
	return d.Close(at)
}

// unread decodes a struct that was not captured: {...}, and nothing in JSON.
func (d *decoder) unread() {
	at := d.Open(value.Group)
	d.Mark(value.NoJSON)
	d.Word("{...}")
	d.Close(at)
}

// frame decodes the signal mask that a handler returns to.
func (d *decoder) frame(a *syscalls.Arg) {
	it := d.item(a.Reg, layout.ItemMem, true)
	if it == nil || len(it.Data) < 8 {
		d.unread()
		return
	}
	at := d.Open(value.Object)
	d.Name("mask")
	d.sigset(it.Data[:8])
	d.Close(at)
}

// vector decodes what the pointers of a vector point to.
func (d *decoder) vector(a *syscalls.Arg, entry bool) bool {
	n := d.rec.Args[a.Carg%6] & d.longMask()
	at, found := d.Open(value.List), uint64(0)
	for i := range d.rec.Items {
		it := &d.rec.Items[i]
		if it.Arg != a.Reg || it.Kind != layout.ItemElem || it.Entry() != entry {
			continue
		}
		switch {
		case it.Fault() && found == 0 && len(it.Data) == 0 && n == 1:
			return false
		case len(it.Data) < a.Type.SizeOn(d.arch) && it.Fault():
			d.Word("???") // its address is not kept
		case len(it.Data) == 0:
			d.Addr(0)
		default:
			d.structure(a.Type, it.Data)
		}
		found++
	}
	if found == 0 && n > 0 {
		return false
	}
	if l := d.Close(at); found < n {
		l.Flags |= value.Cut
	}
	return true
}

// Forms of what a call has read and written. The members are "in" and "out".
var (
	inOutForm  = &value.Form{Sep: " => ", Bare: true}
	lengthForm = &value.Form{Open: "[", Close: "]", Sep: " => ", Bare: true}
)

// length decodes a length that the kernel has read and written: [128 => 16].
func (d *decoder) length(a *syscalls.Arg) bool {
	before, after := lengthOf(d.item(a.Reg, layout.ItemLen, true)), lengthOf(d.item(a.Reg, layout.ItemLen, false))
	if d.entering {
		after = nil
	}
	if before == nil && after == nil {
		return false
	}
	d.object(lengthForm, func() {
		if before != nil {
			d.Name("in")
			d.Int(*before)
		}
		if after != nil {
			if d.Name("out"); before != nil && *before == *after {
				d.Mark(value.NoText)
			}
			d.Int(*after)
		}
	})
	return true
}

// lengthOf returns the number in an item, nil if it is not there.
func lengthOf(it *record.Item) *int64 {
	if it == nil || len(it.Data) < 4 {
		return nil
	}
	n := int64(int32(binary.LittleEndian.Uint32(it.Data)))
	return &n
}

// memory decodes the elements of an item, and reports whether it could.
func (d *decoder) memory(a *syscalls.Arg, it *record.Item) bool {
	if decode := memories[a.Type.Name]; decode != nil {
		return decode(d, a, it)
	}
	size := a.Type.SizeOn(d.arch)
	if size <= 0 {
		return false
	}
	one := a.Count == syscalls.CountOne || a.Count == syscalls.CountBytes || a.Count == syscalls.CountBytesInt
	if one {
		if len(it.Data) < size && (a.Count == syscalls.CountOne || a.Type.Kind != syscalls.KindStruct || it.Fault()) {
			return false
		}
		if a.Type.Kind == syscalls.KindStruct {
			if l := a.Type.Struct.On(d.arch); l != nil && len(l.Fields) > 0 && len(it.Data) < int(l.Fields[0].Size) {
				return false // not even the first of them
			}
			d.asSized = a.Count != syscalls.CountOne && !it.Cut() && !it.Fault()
			d.structure(a.Type, it.Data)
			d.asSized = false
			return true
		}
		d.Mark(value.Boxed)
		d.value(a.Type, load(it.Data, size), true)
		return true
	}
	n := len(it.Data) / size
	if n == 0 && (len(it.Data) > 0 || it.Cut() || it.Fault()) {
		return false
	}
	d.Mark(value.Limited)
	l := d.list(n, func(i int) {
		elem := it.Data[i*size : (i+1)*size]
		if a.Type.Kind == syscalls.KindStruct {
			d.structure(a.Type, elem)
		} else {
			d.value(a.Type, load(elem, size), true)
		}
	})
	if it.Cut() || it.Fault() {
		l.Flags |= value.Cut
		if it.Fault() {
			l.Data = d.KeepComment(appendHex(d.Comment(), d.rec.Args[a.Reg%6]&d.longMask()+uint64(n*size)))
		}
	}
	return true
}

// strings decodes a vector of strings.
func (d *decoder) strings(reg uint8, entry bool) bool {
	at, found := d.Open(value.List), false
	for i := range d.rec.Items {
		it := &d.rec.Items[i]
		if it.Arg != reg || it.Kind != layout.ItemStrv || it.Entry() != entry {
			continue
		}
		if !found && it.Fault() && len(it.Data) == 0 {
			return false
		}
		found = true
		if len(it.Data) == 0 && (it.Cut() || it.Fault()) {
			d.Nodes[at].Flags |= value.Cut
			break
		}
		d.String(it.Data, it.Cut() || it.Fault())
	}
	d.Close(at)
	return found || d.item(reg, layout.ItemCount, entry) != nil // there is none in it
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
func (d *decoder) signed(t *syscalls.Type, v uint64) int64 {
	switch size := t.Size; {
	case size == 2:
		return int64(int16(v))
	case size == 4:
		return int64(int32(v))
	case size == 0 && d.word == 4:
		return int64(int32(v))
	}
	return int64(v)
}

// value decodes a value of a type that is not a struct. inMemory: it is as wide as
// its storage and was extended as that says; otherwise it is a register's.
func (d *decoder) value(t *syscalls.Type, v uint64, inMemory bool) {
	switch t.Kind {
	case syscalls.KindInt:
		d.Int(d.signed(t, v))
	case syscalls.KindUint:
		if t.Size == 4 {
			v &= 0xffffffff
		}
		d.Uint(v)
	case syscalls.KindHex:
		if t.Size == 4 {
			v &= 0xffffffff
		}
		d.Hex(v)
	case syscalls.KindPtr:
		d.Addr(v)
	case syscalls.KindFd:
		d.fd(v, "")
	case syscalls.KindDirfd:
		switch {
		case int32(v) == -100:
			d.fd(v, "AT_FDCWD")
		case int32(v) == -1 && t.Name == "fandirfd":
			d.fd(v, "FAN_NOFD")
		default:
			d.fd(v, "")
		}
	case syscalls.KindUID:
		d.uid(t, v)
	case syscalls.KindMode:
		if t.Size == 4 {
			v &= 0xffff // umode_t
		}
		d.Octal(v)
	case syscalls.KindFileMode:
		if !inMemory {
			v &= 0xffff // umode_t
		}
		d.fileMode(uint32(v))
	case syscalls.KindDev:
		if !inMemory {
			v &= 0xffffffff
		}
		d.dev(v)
	case syscalls.KindSig:
		d.Signal(int(int32(v)))
	case syscalls.KindSet:
		d.set(t.Set, v, inMemory)
	default:
		if decode := values[t.Name]; decode != nil {
			decode(d, t, v)
		} else if t.Set != nil {
			d.set(t.Set, v, inMemory)
		} else {
			d.Hex(v)
		}
	}
}

// fd decodes a descriptor that a call was given. name: what its number means, "" if nothing.
func (d *decoder) fd(v uint64, name string) {
	d.Add(value.Node{Kind: value.Fd, Num: v, Text: name})
}

// set decodes a number by the names of a set.
func (d *decoder) set(s *syscalls.Set, v uint64, inMemory bool) {
	d.Set(s.On(d.arch), v, inMemory)
}

// flags decodes a number all of whose bits are flags, if any.
func (d *decoder) flags(s *syscalls.Set, v uint64) {
	d.Add(value.Node{Kind: value.Flags, Set: s, Num: v, Flags: value.FlagOnly})
}

// moreFlags decodes flags that stand behind other parts of a Union.
func (d *decoder) moreFlags(s *syscalls.Set, v uint64) {
	d.Add(value.Node{Kind: value.Flags, Set: s, Num: v, Flags: value.FlagOnly | value.Follows})
}

// unknown decodes a value that has no name: 0x63 /* F_??? */.
func (d *decoder) unknown(s *syscalls.Set, v uint64) {
	d.Add(value.Node{Kind: value.Enum, Set: s, Num: v})
}

// named decodes a value of which not all have a name.
func (d *decoder) named(name string, other func()) {
	if name != "" {
		d.Word(name)
	} else {
		other()
	}
}

func (d *decoder) uid(t *syscalls.Type, v uint64) {
	bits := uint64(0xffffffff)
	if t.Size == 2 {
		bits = 0xffff
	}
	if v &= bits; v == bits {
		d.Int(-1)
	} else {
		d.Uint(v)
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

var makedevForm = &value.Form{Open: "makedev(", Close: ")", Sep: ", ", Bare: true}

// dev decodes a device's number; the encoding is the kernel's, new_encode_dev and huge.
func (d *decoder) dev(v uint64) {
	d.With(makedevForm)
	at := d.Open(value.Object)
	d.Name("major")
	d.Hex(v>>8&0xfff | v>>32&^uint64(0xfff))
	d.Name("minor")
	d.Hex(v&0xff | v>>12&0xffffff00)
	d.Close(at)
}

var fileTypes = [16]string{001: "S_IFIFO", 002: "S_IFCHR", 004: "S_IFDIR", 006: "S_IFBLK", 010: "S_IFREG", 012: "S_IFLNK", 014: "S_IFSOCK"}

// fileMode decodes S_IFREG|0644.
func (d *decoder) fileMode(mode uint32) {
	at := d.Open(value.Union)
	name := ""
	if mode>>12 < 16 {
		name = fileTypes[mode>>12]
	}
	if name == "" {
		d.Octal(uint64(mode))
		d.Close(at)
		return
	}
	d.Word(name)
	if mode&04000 != 0 {
		d.Word("S_ISUID")
	}
	if mode&02000 != 0 {
		d.Word("S_ISGID")
	}
	if mode&01000 != 0 {
		d.Word("S_ISVTX")
	}
	d.Octal(uint64(mode & 0777))
	d.Close(at)
}
