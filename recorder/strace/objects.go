package strace

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Values of what has a text of its own: addresses, messages, signals. The names of
// the members are those of the text.

// Siginfo returns what a REC_SIGNAL tells of its signal, as an Object.
func Siginfo(arch record.Arch, rec *record.Record) any {
	p := newPrinter(nil, arch, rec, Options{})
	defer p.done()
	if it := p.item(0, layout.ItemMem, false); it != nil && len(it.Data) >= 12 && load(it.Data, 4) != 0 {
		return p.siginfoValue(it.Data, 8)
	}
	return Object{{"si_signo", string(AppendSignalName(nil, int(rec.Nr)))}, {"si_code", p.textValue(func() bool { p.code(int(rec.Nr), int(int32(rec.Ret))); return true })}}
}

// siginfoValue takes the text of a siginfo apart, which holds no strings.
func (p *printer) siginfoValue(data []byte, word int) any {
	if len(data) < 12 {
		return nil
	}
	before := p.dst
	p.dst = p.dst[len(p.dst):]
	p.siginfo(data, word)
	text := bytes.Clone(p.dst)
	p.dst = before
	text = bytes.TrimSuffix(bytes.TrimPrefix(text, []byte{'{'}), []byte{'}'})
	o := Object{}
	for part := range bytes.SplitSeq(text, []byte(", ")) {
		name, value, ok := bytes.Cut(part, []byte{'='})
		if !ok {
			continue
		}
		value, _, _ = bytes.Cut(value, []byte(" /* ")) // a time in seconds beside the ticks
		o = append(o, Member{string(name), plainValue(string(value))})
	}
	return o
}

// plainValue returns a decimal number as int64, NULL as nil and all else as text.
func plainValue(s string) any {
	if s == "NULL" {
		return nil
	}
	var n int64
	digits := s
	if s != "" && s[0] == '-' {
		digits = s[1:]
	}
	if digits == "" || len(digits) > 18 {
		return s
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return s
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(s) {
		n = -n
	}
	return n
}

// sigsetNames returns the signals of a set.
func sigsetNames(data []byte) []string {
	names := []string{}
	for i := range min(len(data), 8) * 8 {
		if data[i/8]>>(i%8)&1 != 0 {
			names = append(names, string(AppendSignalName(nil, i+1)))
		}
	}
	return names
}

// bitList returns the numbers of the bits that are set, below n.
func bitList(data []byte, n int) []any {
	list := []any{}
	for i := range min(n, len(data)*8) {
		if data[i/8]>>(i%8)&1 != 0 {
			list = append(list, i)
		}
	}
	return list
}

// sockaddrValue returns a socket address.
func (p *printer) sockaddrValue(d []byte) any {
	if len(d) < 2 {
		return nil
	}
	family := binary.LittleEndian.Uint16(d)
	o := Object{{"sa_family", p.setOrNumber(familySet, uint64(family))}}
	add := func(name string, v any) { o = append(o, Member{name, v}) }
	body := d[2:]
	switch {
	case family == afUnix:
		if len(body) == 0 {
			break
		}
		if body[0] == 0 && len(body) > 1 {
			add("abstract", true)
			add("sun_path", string(body[1:]))
			break
		}
		path, _, _ := bytes.Cut(body, []byte{0})
		add("sun_path", string(path))
	case family == afInet && len(d) >= 8:
		add("sin_port", binary.BigEndian.Uint16(body))
		add("sin_addr", netip.AddrFrom4([4]byte(body[2:6])).String())
	case family == afInet6 && len(d) >= 24:
		add("sin6_port", binary.BigEndian.Uint16(body))
		add("sin6_flowinfo", binary.BigEndian.Uint32(body[2:]))
		add("sin6_addr", netip.AddrFrom16([16]byte(body[6:22])).String())
		if len(d) >= 28 {
			add("sin6_scope_id", load(body[22:], 4))
		}
	case family == afNetlink && len(d) >= 12:
		add("nl_pid", int64(int32(load(body[2:], 4))))
		add("nl_groups", load(body[6:], 4))
	case family == afPacket && len(d) >= 12:
		add("sll_protocol", p.setOrNumber(etherSet, uint64(binary.BigEndian.Uint16(body))))
		add("sll_ifindex", int64(int32(load(body[2:], 4))))
		add("sll_hatype", p.setOrNumber(arphrdSet, load(body[6:], 2)))
		add("sll_pkttype", p.setOrNumber(packetSet, uint64(body[8])))
		add("sll_addr", hexBytes(body[10:10+min(int(body[9]), len(body)-10)]))
	case family == afVsock && len(d) >= 16:
		add("svm_cid", load(body[6:], 4))
		add("svm_port", load(body[2:], 4))
		add("svm_flags", load(body[10:], 1))
	default:
		if len(body) > 0 {
			add("sa_data", string(body))
		}
	}
	return o
}

// hexBytes writes bytes as 02:fc:00.
func hexBytes(d []byte) string {
	const digits = "0123456789abcdef"
	var b []byte
	for i, c := range d {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return string(b)
}

// setOrNumber returns the names of a value, or the value where it has none.
func (p *printer) setOrNumber(s *syscalls.Set, v uint64) any {
	if named := p.setValue(s, v, true); named != nil {
		return named
	}
	return v
}

// iovecValue returns an array of iovec. iov_base is the contents where they were
// captured, else the address.
func (p *printer) iovecValue(iov, data *record.Item) any {
	size := 2 * p.word
	list := []any{}
	var contents []byte
	if data != nil {
		contents = data.Data
	}
	for d := iov.Data; len(d) >= size; d = d[size:] {
		base, length := load(d, p.word), load(d[p.word:], p.word)
		var b any = base
		if data != nil && (len(contents) > 0 || length == 0) {
			take := int(min(length, uint64(len(contents))))
			b = string(contents[:take])
			contents = contents[take:]
		}
		list = append(list, Object{{"iov_base", b}, {"iov_len", length}})
	}
	return list
}

// msgValue returns a struct msghdr and its parts.
func (p *printer) msgValue(a *syscalls.Arg, d []byte, entry bool) any {
	w := p.word
	if len(d) < 7*w {
		return nil
	}
	var name, iov, control any = load(d, w), load(d[2*w:], w), load(d[4*w:], w)
	if n := p.item(a.Reg, layout.ItemName, entry); n != nil && len(n.Data) >= 2 && load(d, w) != 0 {
		name = p.sockaddrValue(n.Data)
	}
	if n := p.item(a.Reg, layout.ItemIov, entry); n != nil && load(d[2*w:], w) != 0 {
		data := p.item(a.Reg, layout.ItemIovdata, entry)
		if data != nil && len(data.Data) == 0 && a.Form == syscalls.FormMmsg {
			data = nil
		}
		iov = p.iovecValue(n, data)
	}
	if n := p.item(a.Reg, layout.ItemControl, entry); n != nil && load(d[5*w:], w) > 0 && len(n.Data) >= w+8 {
		control = p.controlValue(n.Data)
	}
	return Object{{"msg_name", name}, {"msg_namelen", load(d[w:], 4)}, {"msg_iov", iov}, {"msg_iovlen", load(d[3*w:], w)},
		{"msg_control", control}, {"msg_controllen", load(d[5*w:], w)}, {"msg_flags", p.setValue(msgFlagSet, load(d[6*w:], 4), true)}}
}

func (p *printer) controlValue(d []byte) any {
	w := p.word
	head := w + 8
	list := []any{}
	for len(d) >= head {
		length, level, kind := load(d, w), uint32(load(d[w:], 4)), uint32(load(d[w+4:], 4))
		body := d[head:]
		if length < uint64(head) {
			body = nil
		} else if n := length - uint64(head); n < uint64(len(body)) {
			body = body[:n]
		}
		var name, data any = kind, string(body)
		switch {
		case level == solSocket:
			name = p.setOrNumber(scmSet, uint64(kind))
			switch {
			case kind == scmRights:
				fds := []any{}
				for ; len(body) >= 4; body = body[4:] {
					fds = append(fds, int64(int32(load(body, 4))))
				}
				data = fds
			case kind == scmCredentials && len(body) >= 12:
				data = p.structValue(ucredType, body)
			}
		case sockoptSets[level] != nil:
			name = p.setOrNumber(sockoptSets[level], uint64(kind))
		}
		list = append(list, Object{{"cmsg_len", length}, {"cmsg_level", p.setOrNumber(levelSet, uint64(level))}, {"cmsg_type", name}, {"cmsg_data", data}})
		step := (length + uint64(w) - 1) &^ uint64(w-1)
		if length < uint64(head) || step >= uint64(len(d)) || step < length {
			break
		}
		d = d[step:]
	}
	return list
}

// mmsgValue returns an array of struct mmsghdr; only the parts of the first were captured.
func (p *printer) mmsgValue(a *syscalls.Arg, d []byte, entry bool) any {
	size := 8 * p.word
	list := []any{}
	of := *a
	for ; len(d) >= size; d = d[size:] {
		list = append(list, Object{{"msg_hdr", p.msgValue(&of, d[:size], entry)}, {"msg_len", load(d[7*p.word:], 4)}})
		of.Reg = 7 // no argument's
	}
	return list
}

// capValue returns the two halves of a capability set as one.
func (p *printer) capValue(d []byte) any {
	if len(d) < 24 {
		return nil
	}
	o := Object{}
	for i, name := range []string{"effective", "permitted", "inheritable"} {
		list := []any{}
		for bit, v := uint64(0), load(d[4*i:], 4)|load(d[12+4*i:], 4)<<32; bit < 64; bit++ {
			if v>>bit&1 != 0 {
				list = append(list, p.setOrNumber(capabilitySet, bit))
			}
		}
		o = append(o, Member{name, list})
	}
	return o
}

// memoryObject returns what is neither a number nor a struct; ok: it has such a value.
func (p *printer) memoryObject(a *syscalls.Arg, it *record.Item) (value any, ok bool) {
	switch a.Type.Name {
	case "sockaddr":
		return p.sockaddrValue(it.Data), true
	case "sigset", "old_sigset":
		return sigsetNames(it.Data[:min(len(it.Data), a.Type.SizeOn(p.arch))]), true
	case "fdset":
		return bitList(it.Data, max(int(int32(p.rec.Args[0])), 0)), true
	case "cpuset", "nodemask":
		return bitList(it.Data, 8*len(it.Data)), true
	case "cap_data":
		return p.capValue(it.Data), true
	}
	return nil, false
}
