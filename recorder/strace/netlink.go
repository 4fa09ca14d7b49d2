package strace

import (
	"bytes"

	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
	"github.com/recorderd/recorderd/recorder/value"
)

// Netlink messages, where their contents were captured. Which protocol a socket speaks is known
// from the call that made it, if the recording has that (Options.Netlink), and never guessed from
// bytes: of a protocol that is not known, or not rtnetlink's, only the header is decoded.

var (
	diagTypeSet = syscalls.SetByName("sockdiagtype")
	nlTypeSet   = syscalls.SetByName("nlmsgtype")
	rtmTypeSet  = syscalls.SetByName("rtmtype")
	nlFlagSets  = [4]*syscalls.Set{syscalls.SetByName("nlmflags_new"), syscalls.SetByName("nlmflags_del"), syscalls.SetByName("nlmflags_get"), syscalls.SetByName("nlmflags")}
	nlAckSet    = syscalls.SetByName("nlmflags_ack")
)

const (
	nlHeader = 16
	nlError  = 2
	nlDone   = 3
	rtmBase  = 16

	// In decoder.protocol.
	netlinkRoute = 0 + 1 // NETLINK_ROUTE
	netlinkDiag  = 4 + 1 // NETLINK_SOCK_DIAG
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

// Forms of netlink: text has brackets only around more than one of something.
var (
	aloneForm   = &value.Form{Sep: ", "}
	messageForm = &value.Form{Open: "[", Close: "]", Sep: ", ", Bare: true}
	headForm    = &value.Form{Sep: ", ", Bare: true}
)

// netlink decodes messages. more: there is more than was captured.
func (d *decoder) netlink(b []byte, more bool) {
	if len(b) < nlHeader {
		d.String(b, more)
		return
	}
	d.Mark(value.Limited)
	list, found := d.Open(value.List), 0
	for last := false; !last; found++ {
		if len(b) < nlHeader {
			d.Nodes[list].Flags |= value.Cut
			break
		}
		length := load(b, 4)
		step := (length + 3) &^ 3
		last = length < nlHeader || step >= uint64(len(b))
		switch {
		case length >= nlHeader && length <= uint64(len(b)):
			d.netlinkMessage(b[:length])
		case length < nlHeader:
			d.netlinkHead(b)
		default:
			d.With(messageForm)
			at := d.Open(value.Object)
			d.Name("header")
			d.netlinkHeader(b, nil)
			d.Close(at).Flags |= value.Cut
		}
		if !last {
			b = b[step:]
		}
	}
	if n := d.Close(list); found == 1 && n.Flags&value.Cut == 0 {
		n.Form = aloneForm
	}
}

// netlinkHead decodes a message of which there is only a header.
func (d *decoder) netlinkHead(b []byte) {
	d.object(headForm, func() {
		d.Name("header")
		d.netlinkHeader(b, nil)
	})
}

func (d *decoder) netlinkHeader(b []byte, f *rtFamily) {
	kind := uint16(load(b[4:], 2))
	at := d.Open(value.Object)
	d.Name("nlmsg_len")
	d.Uint(load(b, 4))
	d.Name("nlmsg_type")
	flags := nlFlagSets[3]
	switch {
	case f != nil || d.protocol == netlinkRoute && kind >= rtmBase:
		d.set(rtmTypeSet, uint64(kind), true)
		flags = nlFlagSets[kind&3]
	case d.protocol == netlinkDiag && kind >= rtmBase:
		d.set(diagTypeSet, uint64(kind), true)
		flags = nlFlagSets[2]
	case kind < rtmBase:
		d.set(nlTypeSet, uint64(kind), true)
		if kind == nlError {
			flags = nlAckSet
		}
	default:
		d.unknown(nlTypeSet, uint64(kind))
	}
	d.Name("nlmsg_flags")
	d.set(flags, load(b[6:], 2), true)
	d.Name("nlmsg_seq")
	d.Uint(load(b[8:], 4))
	d.Name("nlmsg_pid")
	d.Int(int64(int32(load(b[12:], 4))))
	d.Close(at)
}

// netlinkMessage decodes one whole message.
func (d *decoder) netlinkMessage(b []byte) {
	kind, body := load(b[4:], 2), b[nlHeader:]
	var f *rtFamily
	if d.protocol == netlinkRoute {
		f = rtFamilyOf(b)
	}
	if d.depth > 2 {
		f, body = nil, nil
	}
	if len(body) == 0 {
		d.With(headForm)
	} else {
		d.With(messageForm)
	}
	d.depth++
	at := d.Open(value.Object)
	d.Name("header")
	d.netlinkHeader(b, f)
	switch {
	case len(body) == 0:
	case f != nil:
		d.rtnetlink(f, body)
	case kind == nlError && len(body) >= 4:
		d.Name("body")
		d.object(nil, func() { d.netlinkError(body) })
	case kind == nlDone && len(body) == 4:
		d.Name("body")
		d.Int(int64(int32(load(body, 4))))
	default:
		d.Name("body")
		d.bytes(body)
	}
	d.Close(at)
	d.depth--
}

func (d *decoder) netlinkError(body []byte) {
	d.Name("error")
	n := int(int32(load(body, 4)))
	if name, _ := syscalls.Errno(-n); n < 0 && name != "" {
		d.With(negative)
		d.Word(name)
	} else {
		d.Int(int64(n))
	}
	rest := body[4:]
	if len(rest) < nlHeader {
		return
	}
	d.Name("msg")
	if n := load(rest, 4); n >= nlHeader && n <= uint64(len(rest)) {
		d.netlinkMessage(rest[:n])
		return
	}
	// the kernel gave the header back, only
	d.object(headForm, func() {
		d.Name("header")
		var f *rtFamily
		if d.protocol == netlinkRoute {
			f = rtFamilies[uint16(load(rest[4:], 2))&^3]
		}
		d.netlinkHeader(rest, f)
	})
}

// rtnetlink decodes what follows the header of an rtnetlink message.
func (d *decoder) rtnetlink(f *rtFamily, body []byte) {
	d.Name("body")
	l := f.typ.Struct.On(d.arch)
	if l == nil {
		d.bytes(body)
		return
	}
	if len(body) < int(l.Size) {
		at := d.Open(value.Object)
		d.fieldList(l, body, l.Fields[0].Name)
		d.Close(at).Flags |= value.More
		return
	}
	d.structure(f.typ, body[:l.Size])
	b := body[l.Size:]
	if len(b) == 0 {
		return
	}
	d.Name("attributes")
	d.Mark(value.Limited)
	list, found := d.Open(value.List), 0
	for ; len(b) >= 4; found++ {
		size := min(int(load(b, 2)), len(b))
		if size < 4 {
			break
		}
		d.netlinkAttr(f, body[0], b[:size])
		b = b[min((size+3)&^3, len(b)):]
	}
	if n := d.Close(list); found <= 1 {
		n.Form = aloneForm
	}
}

func (d *decoder) netlinkAttr(f *rtFamily, family byte, b []byte) {
	kind, data := uint16(load(b[2:], 2)), b[4:]
	if len(data) > 0 {
		d.With(messageForm)
	} else {
		d.With(headForm)
	}
	at := d.Open(value.Object)
	d.Name("header")
	d.object(nil, func() {
		d.Name("nla_len")
		d.Uint(load(b, 2))
		d.Name("nla_type")
		if kind>>14 == 0 {
			d.set(f.names, uint64(kind), true)
			return
		}
		at := d.Open(value.Union)
		if kind&0x8000 != 0 {
			d.Word("NLA_F_NESTED")
		}
		if kind&0x4000 != 0 {
			d.Word("NLA_F_NET_BYTEORDER")
		}
		d.set(f.names, uint64(kind&0x3fff), true)
		d.Close(at)
	})
	if len(data) > 0 {
		d.Name("value")
		d.attrValue(f.attrs[kind], family, data)
	}
	d.Close(at)
}

func (d *decoder) attrValue(a attr, family byte, data []byte) {
	switch n := len(data); {
	case a.kind == attrString:
		text, _, ended := bytes.Cut(data, []byte{0})
		d.String(text, !ended)
	case a.kind == attrU8 && n == 1:
		d.Uint(uint64(data[0]))
	case a.kind == attrU32 && n == 4:
		d.Uint(load(data, 4))
	case a.kind == attrEnumU8 && n == 1:
		d.set(a.set, uint64(data[0]), true)
	case a.kind == attrEnumU32 && n == 4:
		d.set(a.set, load(data, 4), true)
	case a.kind == attrMAC && n <= 32:
		d.mac(data)
	case a.kind == attrAddr && family == afInet && n == 4:
		d.ip(inaddrForm, data)
	case a.kind == attrAddr && family == afInet6 && n == 16:
		d.ip(in6Form, data)
	case a.kind == attrStruct:
		d.structure(a.typ, data)
	default:
		d.bytes(data)
	}
}
