package strace

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Netlink messages, where their contents were captured. A record does not say
// which protocol a netlink socket speaks. So messages are taken for rtnetlink's if
// they are that to the last attribute; of others only the header is shown.

var (
	nlTypeSet  = syscalls.SetByName("nlmsgtype")
	rtmTypeSet = syscalls.SetByName("rtmtype")
	nlFlagSets = [4]*syscalls.Set{syscalls.SetByName("nlmflags_new"), syscalls.SetByName("nlmflags_del"), syscalls.SetByName("nlmflags_get"), syscalls.SetByName("nlmflags")}
	nlAckSet   = syscalls.SetByName("nlmflags_ack")
)

const (
	nlHeader  = 16
	nlError   = 2
	nlDone    = 3
	rtmBase   = 16
	nlRequest = 1
)

// attrKind says how an attribute is shown.
type attrKind uint8

const (
	attrBytes attrKind = iota
	attrString
	attrU8
	attrU32
	attrAddr    // of the message's family
	attrMAC     // 02:fc:00:00:00:01
	attrStruct  // attr.typ
	attrEnumU8  // attr.set
	attrEnumU32 // attr.set
)

type attr struct {
	kind attrKind
	typ  *syscalls.Type
	set  *syscalls.Set
}

// rtFamily is a family of four rtnetlink messages: new, del, get, set.
type rtFamily struct {
	typ   *syscalls.Type // what follows the header
	names *syscalls.Set  // of attributes
	attrs map[uint16]attr
}

var rtTableSet = syscalls.SetByName("rttable")

// rtFamilies are found by the message's type.
var rtFamilies = map[uint16]*rtFamily{
	16: {structType("ifinfomsg"), syscalls.SetByName("ifla"), map[uint16]attr{
		1: {kind: attrMAC}, 2: {kind: attrMAC}, 3: {kind: attrString}, 4: {kind: attrU32}, 5: {kind: attrU32}, 6: {kind: attrString},
		7: {kind: attrStruct, typ: structType("rtnl_link_stats")}, 10: {kind: attrU32}, 13: {kind: attrU32}, 15: {kind: attrU32},
		16: {kind: attrU8}, 17: {kind: attrU8}, 20: {kind: attrString}, 21: {kind: attrU32}, 23: {kind: attrStruct, typ: structType("rtnl_link_stats64")},
		27: {kind: attrU32}, 29: {kind: attrEnumU32, set: syscalls.SetByName("rtextfilter")}, 30: {kind: attrU32}, 31: {kind: attrU32}, 32: {kind: attrU32},
		33: {kind: attrU8}, 35: {kind: attrU32}, 37: {kind: attrU32}, 38: {kind: attrString}, 39: {kind: attrU8}, 40: {kind: attrU32}, 41: {kind: attrU32},
		47: {kind: attrU32}, 48: {kind: attrU32}, 50: {kind: attrU32}, 51: {kind: attrU32}, 53: {kind: attrString}, 54: {kind: attrMAC}, 56: {kind: attrString},
		57: {kind: attrString}, 58: {kind: attrU32}, 59: {kind: attrU32}, 60: {kind: attrU32}, 61: {kind: attrU32},
	}},
	20: {structType("ifaddrmsg"), syscalls.SetByName("ifaattr"), map[uint16]attr{
		1: {kind: attrAddr}, 2: {kind: attrAddr}, 3: {kind: attrString}, 4: {kind: attrAddr}, 5: {kind: attrAddr},
		6: {kind: attrStruct, typ: structType("ifa_cacheinfo")}, 7: {kind: attrAddr}, 8: {kind: attrEnumU32, set: syscalls.SetByName("ifaflags")}, 9: {kind: attrU32},
	}},
	24: {structType("rtmsg"), syscalls.SetByName("rta"), map[uint16]attr{
		1: {kind: attrAddr}, 2: {kind: attrAddr}, 3: {kind: attrU32}, 4: {kind: attrU32}, 5: {kind: attrAddr}, 6: {kind: attrU32}, 7: {kind: attrAddr},
		12: {kind: attrStruct, typ: structType("rta_cacheinfo")}, 15: {kind: attrEnumU32, set: rtTableSet}, 16: {kind: attrU32}, 20: {kind: attrU8}, 25: {kind: attrU32},
	}},
	28: {structType("ndmsg"), syscalls.SetByName("nda"), map[uint16]attr{
		1: {kind: attrAddr}, 2: {kind: attrMAC}, 3: {kind: attrStruct, typ: structType("nda_cacheinfo")}, 4: {kind: attrU32}, 8: {kind: attrU32}, 9: {kind: attrU32},
	}},
	32: {structType("fib_rule_hdr"), syscalls.SetByName("fra"), map[uint16]attr{
		1: {kind: attrAddr}, 2: {kind: attrAddr}, 3: {kind: attrString}, 4: {kind: attrU32}, 6: {kind: attrU32}, 10: {kind: attrU32}, 11: {kind: attrU32},
		13: {kind: attrU32}, 14: {kind: attrU32}, 15: {kind: attrEnumU32, set: rtTableSet}, 16: {kind: attrU32}, 17: {kind: attrString}, 19: {kind: attrU8},
		21: {kind: attrEnumU8, set: syscalls.SetByName("rtprot")},
	}},
}

// isNetlink reports whether an item holds a netlink address.
func isNetlink(name *record.Item) bool {
	return name != nil && len(name.Data) >= 2 && load(name.Data, 2) == afNetlink
}

// looksLikeRequest reports whether what is sent without an address is a request to rtnetlink
// and nothing else: one well-formed message, and zeros.
func looksLikeRequest(d []byte) bool {
	if len(d) < nlHeader || load(d[6:], 2)&nlRequest == 0 || load(d[6:], 2)>>12 != 0 {
		return false
	}
	n := load(d, 4)
	return n >= nlHeader && n <= uint64(len(d)) && rtFamilyOf(d[:n]) != nil && len(bytes.Trim(d[n:], "\x00")) == 0
}

// rtFamilyOf returns what kind of rtnetlink message this is, nil if it is none.
func rtFamilyOf(msg []byte) *rtFamily {
	f := rtFamilies[uint16(load(msg[4:], 2))&^3]
	if f == nil {
		return nil
	}
	body := msg[nlHeader:]
	size := int(f.typ.Struct.On(record.ArchX86_64).Size)
	if len(body) < size {
		if len(body) == 4 && body[1]|body[2]|body[3] == 0 {
			return f // a struct rtgenmsg stands for all
		}
		return nil
	}
	if f.typ.Name == "ifinfomsg" && body[1] != 0 {
		return nil // a byte that is always 0 there; of generic netlink it is a version
	}
	for a := body[size:]; len(a) > 0; {
		if len(a) < 4 {
			return nil
		}
		n := int(load(a, 2))
		if n < 4 || n > len(a) || load(a[2:], 2)&0x3fff > 80 {
			return nil
		}
		a = a[min((n+3)&^3, len(a)):]
	}
	return f
}

// netlink shows messages. more: there is more than was captured.
func (p *printer) netlink(d []byte, more bool) {
	if len(d) < nlHeader {
		p.dst = appendQuoted(p.dst, d, p.opt.StringLimit, more)
		return
	}
	start := len(p.dst)
	for n := 0; ; n++ {
		if n > 0 {
			p.dst = append(p.dst, ", "...)
		}
		if p.opt.StringLimit > 0 && n >= p.opt.StringLimit {
			p.dst = append(p.dst, "...]"...)
			return
		}
		length := load(d, 4)
		whole := length >= nlHeader && length <= uint64(len(d))
		step := (length + 3) &^ 3
		last := length < nlHeader || step >= uint64(len(d))
		if n == 0 && !last {
			p.dst = append(p.dst[:start], '[')
		}
		switch {
		case whole:
			p.netlinkMessage(d[:length])
		case length < nlHeader:
			p.netlinkHeader(d, nil)
		default:
			p.dst = append(p.dst, '[')
			p.netlinkHeader(d, nil)
			p.dst = append(p.dst, ", ...]"...)
		}
		if last {
			if n > 0 {
				p.dst = append(p.dst, ']')
			}
			return
		}
		if d = d[step:]; len(d) < nlHeader {
			p.dst = append(p.dst, ", ...]"...)
			return
		}
	}
}

func (p *printer) netlinkHeader(d []byte, f *rtFamily) {
	kind := uint16(load(d[4:], 2))
	p.dst = append(p.dst, "{nlmsg_len="...)
	p.dst = strconv.AppendUint(p.dst, load(d, 4), 10)
	p.dst = append(p.dst, ", nlmsg_type="...)
	flags := nlFlagSets[3]
	switch {
	case f != nil:
		p.set(rtmTypeSet, uint64(kind), true)
		flags = nlFlagSets[kind&3]
	case kind < rtmBase:
		p.set(nlTypeSet, uint64(kind), true)
		if kind == nlError {
			flags = nlAckSet
		}
	default:
		p.unknown(nlTypeSet, uint64(kind))
	}
	p.dst = append(p.dst, ", nlmsg_flags="...)
	p.set(flags, load(d[6:], 2), true)
	p.dst = append(p.dst, ", nlmsg_seq="...)
	p.dst = strconv.AppendUint(p.dst, load(d[8:], 4), 10)
	p.dst = append(p.dst, ", nlmsg_pid="...)
	p.dst = strconv.AppendInt(p.dst, int64(int32(load(d[12:], 4))), 10)
	p.dst = append(p.dst, '}')
}

// netlinkMessage shows one whole message.
func (p *printer) netlinkMessage(d []byte) {
	f, kind, body := rtFamilyOf(d), load(d[4:], 2), d[nlHeader:]
	if p.depth > 2 {
		f, body = nil, nil
	}
	if len(body) == 0 {
		p.netlinkHeader(d, f)
		return
	}
	p.depth++
	p.dst = append(p.dst, '[')
	p.netlinkHeader(d, f)
	p.dst = append(p.dst, ", "...)
	switch {
	case f != nil:
		p.rtnetlink(f, body)
	case kind == nlError && len(body) >= 4:
		p.dst = append(p.dst, "{error="...)
		p.netlinkErrno(body)
		if rest := body[4:]; len(rest) >= nlHeader {
			p.dst = append(p.dst, ", msg="...)
			if n := load(rest, 4); n >= nlHeader && n <= uint64(len(rest)) {
				p.netlinkMessage(rest[:n])
			} else {
				p.netlinkHeader(rest, rtFamilies[uint16(load(rest[4:], 2))&^3]) // the kernel gave the header back, only
			}
		}
		p.dst = append(p.dst, '}')
	case kind == nlDone && len(body) == 4:
		p.dst = strconv.AppendInt(p.dst, int64(int32(load(body, 4))), 10)
	default:
		p.byteArray(body)
	}
	p.dst = append(p.dst, ']')
	p.depth--
}

func (p *printer) netlinkErrno(d []byte) {
	n := int(int32(load(d, 4)))
	if name, _ := syscalls.Errno(-n); n < 0 && name != "" {
		p.dst = append(p.dst, '-')
		p.dst = append(p.dst, name...)
		return
	}
	p.dst = strconv.AppendInt(p.dst, int64(n), 10)
}

// rtnetlink shows what follows the header of an rtnetlink message.
func (p *printer) rtnetlink(f *rtFamily, body []byte) {
	l := f.typ.Struct.On(p.arch)
	if l == nil {
		p.byteArray(body)
		return
	}
	if len(body) < int(l.Size) {
		p.dst = append(p.dst, '{')
		p.fieldList(l, body, false, l.Fields[0].Name)
		p.dst = append(p.dst, ", ...}"...)
		return
	}
	p.structure(f.typ, body[:l.Size])
	d := body[l.Size:]
	if len(d) == 0 {
		return
	}
	p.dst = append(p.dst, ", "...)
	start := len(p.dst)
	for n := 0; len(d) >= 4; n++ {
		size := min(int(load(d, 2)), len(d))
		if size < 4 {
			break
		}
		step := min((size+3)&^3, len(d))
		switch {
		case n > 0:
			p.dst = append(p.dst, ", "...)
		case step < len(d):
			p.dst = append(p.dst[:start], '[')
		}
		if p.opt.StringLimit > 0 && n >= p.opt.StringLimit {
			p.dst = append(p.dst, "..."...)
			d = nil
		} else {
			p.netlinkAttr(f, body[0], d[:size])
			d = d[step:]
		}
		if len(d) == 0 && n > 0 {
			p.dst = append(p.dst, ']')
		}
	}
}

func (p *printer) netlinkAttr(f *rtFamily, family byte, d []byte) {
	kind, data := uint16(load(d[2:], 2)), d[4:]
	if len(data) > 0 {
		p.dst = append(p.dst, '[')
	}
	p.dst = append(p.dst, "{nla_len="...)
	p.dst = strconv.AppendUint(p.dst, load(d, 2), 10)
	p.dst = append(p.dst, ", nla_type="...)
	if kind&0x8000 != 0 {
		p.dst = append(p.dst, "NLA_F_NESTED|"...)
	}
	if kind&0x4000 != 0 {
		p.dst = append(p.dst, "NLA_F_NET_BYTEORDER|"...)
	}
	p.set(f.names, uint64(kind&0x3fff), true)
	p.dst = append(p.dst, '}')
	if len(data) == 0 {
		return
	}
	p.dst = append(p.dst, ", "...)
	p.attrValue(f.attrs[kind], family, data)
	p.dst = append(p.dst, ']')
}

func (p *printer) attrValue(a attr, family byte, data []byte) {
	switch n := len(data); {
	case a.kind == attrString:
		text, _, ended := bytes.Cut(data, []byte{0})
		p.dst = appendQuoted(p.dst, text, p.opt.StringLimit, !ended)
	case a.kind == attrU8 && n == 1:
		p.dst = strconv.AppendUint(p.dst, uint64(data[0]), 10)
	case a.kind == attrU32 && n == 4:
		p.dst = strconv.AppendUint(p.dst, load(data, 4), 10)
	case a.kind == attrEnumU8 && n == 1:
		p.set(a.set, uint64(data[0]), true)
	case a.kind == attrEnumU32 && n == 4:
		p.set(a.set, load(data, 4), true)
	case a.kind == attrMAC && n <= 32:
		p.dst = append(p.dst, hexBytes(data)...)
	case a.kind == attrAddr && family == afInet && n == 4:
		inaddr(p, nil, load(data, 4))
	case a.kind == attrAddr && family == afInet6 && n == 16:
		p.dst = append(p.dst, `inet_pton(AF_INET6, "`...)
		p.dst = netip.AddrFrom16([16]byte(data)).AppendTo(p.dst)
		p.dst = append(p.dst, `")`...)
	case a.kind == attrStruct:
		p.structure(a.typ, data)
	default:
		p.byteArray(data)
	}
}
