package strace

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Value is an argument of a call, for programs.
type Value struct {
	Name string `json:"name"`
	Type string `json:"type"` // of calls.txt: "path", "openflags", "timespec" …
	Raw  uint64 `json:"raw"`  // what stood in the register (both, where 64 bits took two)
	// Decoded is what Raw means: a string (names, contents, enumerations, all
	// that has a text of its own), []string (flags, signal sets), Object (structs,
	// socket addresses, messages, siginfo), []any
	// (arrays and vectors), int64 or uint64; nil where that is Raw itself, a
	// null pointer, or a pointer to what was not captured.
	Decoded any `json:"value,omitempty"`
	// Cut: there was more than Decoded holds.
	Cut bool `json:"cut,omitempty"`
}

// Object is a struct: its fields in their order.
type Object []Member

// Member is a field of a struct.
type Member struct {
	Name  string
	Value any // as Value.Decoded
}

// MarshalJSON writes the fields as a JSON object, in their order.
func (o Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.Value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Args returns the arguments of a call as values. Strings are as they were in
// memory, whatever their bytes; encoding/json makes invalid UTF-8 U+FFFD.
func Args(arch record.Arch, rec *record.Record) []Value {
	p := newPrinter(nil, arch, rec, Options{Verbose: true})
	p.entering = rec.Type == layout.RecEnter
	var vs []Value
	for i := range p.call.Args {
		a := &p.call.Args[i]
		if a.Name == "-" || !p.cond(a) {
			continue
		}
		vs = append(vs, p.argValue(a))
	}
	p.done()
	return vs
}

// Return returns the result of a call as a value: Raw is the register, Decoded the
// name of the error, or what the result means where it is more than a number.
func Return(arch record.Arch, rec *record.Record) Value {
	p := newPrinter(nil, arch, rec, Options{})
	defer p.done()
	v := Value{Name: "return", Type: "int", Raw: uint64(rec.Ret)}
	if p.failed() {
		name, _ := syscalls.Errno(int(-p.rec.Ret))
		if name == "" {
			name = strconv.FormatInt(-p.rec.Ret, 10)
		}
		v.Type, v.Decoded = "errno", name
		return v
	}
	if t := p.call.Ret; t != nil {
		v.Type = t.Name
		switch {
		case t.Set != nil && t.Set.Pure:
			if name := t.Set.On(arch).Enum(uint64(rec.Ret)); name != "" {
				v.Decoded = name
			}
		case t.Set != nil && t.Kind == syscalls.KindCustom:
			v.Decoded = p.setValue(t.Set, uint64(rec.Ret), true)
		}
	}
	return v
}

func (p *printer) argValue(a *syscalls.Arg) Value {
	v := Value{Name: a.Name, Type: a.Type.Name}
	if a.Form == syscalls.FormValue {
		v.Raw = p.register(a)
		v.Decoded = p.scalarValue(a.Type, v.Raw, false)
		return v
	}
	v.Raw = p.rec.Args[a.Reg%6] & p.longMask()
	if v.Raw == 0 {
		return v
	}
	entry := a.Dir&syscalls.DirEntry != 0 || p.rec.Type == layout.RecEnter
	if a.Dir == syscalls.DirOut && (p.wroteNothing() || p.entering) {
		return v
	}
	take := func(kind layout.ItemKind) *record.Item {
		it := p.item(a.Reg, kind, entry)
		if it != nil {
			v.Cut = it.Cut() || it.Fault()
		}
		return it
	}
	switch a.Form {
	case syscalls.FormPath, syscalls.FormString:
		if it := take(layout.ItemStr); it != nil {
			v.Decoded = string(it.Data)
		}
	case syscalls.FormPathN, syscalls.FormChars:
		if it := take(layout.ItemMem); it != nil {
			data := it.Data
			if a.Form == syscalls.FormPathN {
				data = bytes.TrimSuffix(data, []byte{0})
			}
			v.Decoded = string(data)
		}
	case syscalls.FormData:
		if it := take(layout.ItemData); it != nil {
			v.Decoded = string(it.Data)
		}
	case syscalls.FormStrings:
		var list []any
		for i := range p.rec.Items {
			it := &p.rec.Items[i]
			if it.Arg != a.Reg || it.Kind != layout.ItemStrv || it.Entry() != entry {
				continue
			}
			if it.Cut() || it.Fault() {
				v.Cut = true
				if len(it.Data) == 0 {
					break
				}
			}
			list = append(list, string(it.Data))
		}
		if list != nil {
			v.Decoded = list
		}
	case syscalls.FormCount:
		if it := take(layout.ItemCount); it != nil && len(it.Data) >= 4 {
			v.Decoded = load(it.Data, 4)
		}
	case syscalls.FormLen:
		if it := p.item(a.Reg, layout.ItemLen, false); it != nil && len(it.Data) >= 4 {
			v.Decoded = load(it.Data, 4)
		} else if it := p.item(a.Reg, layout.ItemLen, true); it != nil && len(it.Data) >= 4 {
			v.Decoded = load(it.Data, 4)
		}
	case syscalls.FormIovec:
		if it := take(layout.ItemIov); it != nil {
			v.Decoded = p.iovecValue(it, p.item(a.Reg, layout.ItemIovdata, entry))
		}
	case syscalls.FormMsg:
		if it := take(layout.ItemMsg); it != nil {
			v.Decoded = p.msgValue(a, it.Data, entry)
		}
	case syscalls.FormMmsg:
		if it := take(layout.ItemMmsg); it != nil {
			v.Decoded = p.mmsgValue(a, it.Data, entry)
		}
	case syscalls.FormPointer:
		it := take(layout.ItemMem)
		if it == nil && a.Dir&syscalls.DirIn != 0 {
			entry = !entry
			it = take(layout.ItemMem)
		}
		if it != nil {
			if memories[a.Type.Name] == nil {
				v.Decoded = p.memoryValue(a, it)
				break
			}
			if value, ok := p.memoryObject(a, it); ok {
				v.Decoded = value
				break
			}
		}
		fallthrough
	default:
		v.Decoded = p.textValue(func() bool { return p.pointer(a, v.Raw) })
	}
	return v
}

// textValue returns what show appends as a string, nil if it appends nothing.
func (p *printer) textValue(show func() bool) any {
	before := p.dst
	p.dst = p.dst[len(p.dst):]
	ok := show()
	text := string(p.dst)
	p.dst = before
	if !ok || text == "" {
		return nil
	}
	return text
}

func (p *printer) memoryValue(a *syscalls.Arg, it *record.Item) any {
	size := a.Type.SizeOn(p.arch)
	if size <= 0 {
		return nil
	}
	one := func(data []byte) any {
		if a.Type.Kind == syscalls.KindStruct {
			return p.structValue(a.Type, data)
		}
		v := load(data, size)
		if d := p.scalarValue(a.Type, v, true); d != nil {
			return d
		}
		return v
	}
	switch a.Count {
	case syscalls.CountOne, syscalls.CountBytes, syscalls.CountBytesInt:
		if len(it.Data) < size && a.Type.Kind != syscalls.KindStruct {
			return nil
		}
		return one(it.Data)
	}
	list := []any{}
	for d := it.Data; len(d) >= size; d = d[size:] {
		list = append(list, one(d[:size]))
	}
	return list
}

// structValue returns a struct as an Object, or as its text if it has one of its own.
func (p *printer) structValue(t *syscalls.Type, data []byte) any {
	l := t.Struct.On(p.arch)
	if l == nil || p.depth > 4 {
		return nil
	}
	if t.Struct.Name == "siginfo" {
		return p.siginfoValue(data, p.word)
	}
	if t.Struct.Name == "file_handle" {
		return p.textValue(func() bool { p.structure(t, data); return true })
	}
	p.depth++
	defer func() { p.depth-- }()
	var o Object
	for i := range l.Fields {
		f := &l.Fields[i]
		if int(f.Off)+int(f.Size)*max(int(f.N), 1) > len(data) {
			break
		}
		o = append(o, Member{f.Name, p.fieldValue(f, data)})
	}
	return o
}

func (p *printer) fieldValue(f *syscalls.Field, data []byte) any {
	t := f.Type()
	d := data[f.Off:]
	switch {
	case f.Char:
		text, _, _ := bytes.Cut(d[:int(f.Size)*max(int(f.N), 1)], []byte{0})
		return string(text)
	case t.Name == "sigmask":
		return sigsetNames(d[:int(f.Size)*max(int(f.N), 1)])
	case t.Name == "sockaddr":
		return p.sockaddrValue(d[:int(f.Size)*max(int(f.N), 1)])
	case t.Name == "bytes" || t.Name == "hwaddr":
		return p.textValue(func() bool { p.field(f, data); return true })
	}
	one := func(d []byte) any {
		if t.Kind == syscalls.KindStruct {
			return p.structValue(t, d[:f.Size])
		}
		v := load(d, int(f.Size))
		if t.Kind == syscalls.KindInt || t.Kind == syscalls.KindUint {
			if f.Signed {
				return extend(v, int(f.Size))
			}
			return v
		}
		if d := p.scalarValue(t, v, true); d != nil {
			return d
		}
		return v
	}
	if f.N == 0 {
		return one(d)
	}
	list := []any{}
	for i := range int(f.N) {
		list = append(list, one(d[i*int(f.Size):]))
	}
	return list
}

// scalarValue returns what a number means, nil if it is just that number.
func (p *printer) scalarValue(t *syscalls.Type, v uint64, inMemory bool) any {
	switch t.Kind {
	case syscalls.KindInt, syscalls.KindFd:
		size := t.Size
		if t.Kind == syscalls.KindFd {
			size = 4
		}
		if size == 4 {
			return int64(int32(v))
		}
		return p.signed(t, v)
	case syscalls.KindUint, syscalls.KindHex, syscalls.KindPtr:
		return nil
	case syscalls.KindMode:
		return v & 0xffff
	case syscalls.KindSet:
		return p.setValue(t.Set, v, inMemory)
	case syscalls.KindDirfd:
		if int32(v) != -100 {
			return int64(int32(v))
		}
	}
	if values[t.Name] == nil && t.Set != nil {
		return p.setValue(t.Set, v, inMemory)
	}
	return p.textValue(func() bool { p.value(t, v, inMemory); return true })
}

// setValue returns the name of an enumeration's value, or the list of flags; the
// unknown bits are the list's last element, in hexadecimal.
func (p *printer) setValue(s *syscalls.Set, v uint64, inMemory bool) any {
	s = s.On(p.arch)
	if s.Pure {
		for _, k := range [3]uint64{v, v & 0xffffffff, uint64(int64(int32(v)))} {
			if name := s.Enum(k); name != "" {
				return name
			}
		}
		return nil
	}
	if !inMemory && !hasHigh(s) {
		v &= 0xffffffff
	}
	list := []string{}
	if s.Mask != 0 {
		if name := s.Enum(v & s.Mask); name != "" {
			list = append(list, name)
			v &^= s.Mask
		}
	}
	for i := range s.Flags {
		if f := &s.Flags[i]; f.Value != 0 && v&f.Value == f.Value {
			list = append(list, f.Name)
			v &^= f.Value
		}
	}
	if v != 0 {
		list = append(list, string(appendHex(nil, v)))
	}
	return list
}
