package strace

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
	"github.com/recorderd/recorderd/recorder/value"
)

// Sets that are used by name.
var (
	familySet     = syscalls.SetByName("sockfamily")
	levelSet      = syscalls.SetByName("socklevel")
	scmSet        = syscalls.SetByName("scm")
	etherSet      = syscalls.SetByName("etherproto")
	arphrdSet     = syscalls.SetByName("arphrd")
	packetSet     = syscalls.SetByName("packettype")
	msgFlagSet    = syscalls.SetByName("msgflags")
	netlinkSet    = syscalls.SetByName("netlinkproto")
	cryptoFlagSet = syscalls.SetByName("cryptoflags")
	ipprotoSet    = syscalls.SetByName("ipproto")
	sockoptSets   = map[uint32]*syscalls.Set{
		0: syscalls.SetByName("sockopt_ip"), 1: syscalls.SetByName("sockopt_socket"), 6: syscalls.SetByName("sockopt_tcp"),
		17: syscalls.SetByName("sockopt_udp"), 41: syscalls.SetByName("sockopt_ipv6"), 58: syscalls.SetByName("sockopt_icmpv6"),
		136: syscalls.SetByName("sockopt_udp"), 255: syscalls.SetByName("sockopt_raw"), 263: syscalls.SetByName("sockopt_packet"),
		270: syscalls.SetByName("sockopt_netlink"), 282: syscalls.SetByName("sockopt_tls"), 287: syscalls.SetByName("sockopt_vsock"),
	}
)

// Address families that are told apart.
const (
	afUnspec  = 0
	afUnix    = 1
	afInet    = 2
	afInet6   = 10
	afNetlink = 16
	afPacket  = 17
	afAlg     = 38
	afVsock   = 40
)

func sockaddrArg(d *decoder, a *syscalls.Arg, it *record.Item) bool {
	data := it.Data
	if room := d.item(a.Carg, layout.ItemLen, true); it.Fault() && (a.Dir&syscalls.DirOut == 0 || room == nil || uint64(len(data)) < load(room.Data, 4)) {
		return false // a part says another address
	}
	if a.Dir&syscalls.DirOut != 0 {
		// what does not fit is cut off, and the length says how much there was
		if room := d.item(a.Carg, layout.ItemLen, true); room != nil {
			data = data[:min(uint64(len(data)), load(room.Data, 4))]
		}
		if len(data) == 0 {
			return false
		}
	} else if int32(d.rec.Args[a.Carg%6]) < 0 {
		return false
	}
	if len(data) < 2 {
		d.Mark(value.Whole)
		d.String(data, false)
		return true
	}
	d.sockaddr(data)
	return true
}

// Forms of parts of socket addresses.
var (
	htonsForm  = &value.Form{Pre: "htons(", Post: ")"}
	htonlForm  = &value.Form{Pre: "htonl(", Post: ")"}
	inaddrForm = &value.Form{Pre: `inet_addr("`, Post: `")`}
	in6Form    = &value.Form{Pre: `inet_pton(AF_INET6, "`, Post: `")`}
	sin6Form   = &value.Form{Pre: `inet_pton(AF_INET6, "`, Post: `", &sin6_addr)`}
	ipv6mrForm = &value.Form{Pre: `inet_pton(AF_INET6, "`, Post: `", &ipv6mr_multiaddr)`}
	atForm     = &value.Form{Pre: "@"}
)

// sockaddr decodes a socket address of at least 2 bytes, or as much as there is of it.
func (d *decoder) sockaddr(b []byte) {
	at := d.Open(value.Object)
	if len(b) < 2 {
		d.Close(at).Flags |= value.Cut
		return
	}
	family := binary.LittleEndian.Uint16(b)
	d.Name("sa_family")
	d.set(familySet, uint64(family), true)
	d.sockaddrBody(family, b)
	d.Close(at)
}

func (d *decoder) sockaddrBody(family uint16, b []byte) {
	body := b[2:]
	port := func(name string) {
		d.Name(name)
		d.With(htonsForm)
		d.Uint(uint64(binary.BigEndian.Uint16(body)))
	}
	switch {
	case family == afUnix:
		d.unixPath(body)
	case family == afInet && len(b) >= 8:
		port("sin_port")
		d.Name("sin_addr")
		d.ip(inaddrForm, body[2:6])
	case family == afInet6 && len(b) >= 24:
		port("sin6_port")
		d.Name("sin6_flowinfo")
		d.With(htonlForm)
		d.Uint(uint64(binary.BigEndian.Uint32(body[2:])))
		d.Name("sin6_addr")
		d.Mark(value.NoName)
		d.ip(sin6Form, body[6:22])
		if len(b) >= 28 {
			d.Name("sin6_scope_id")
			d.Uint(load(body[22:], 4))
		}
	case family == afNetlink && len(b) >= 12:
		d.Name("nl_pid")
		d.Int(int64(int32(load(body[2:], 4))))
		d.Name("nl_groups")
		d.Hex(load(body[6:], 4)).Pad = 8
	case family == afPacket && len(b) >= 20:
		d.packetAddress(body)
	case family == afAlg && len(b) >= 88:
		d.Name("salg_type")
		d.Mark(value.Whole)
		d.String(body[:max(bytes.IndexByte(body[:14], 0), 0)], false)
		d.Name("salg_feat")
		d.set(cryptoFlagSet, load(body[14:], 4), true)
		d.Name("salg_mask")
		d.set(cryptoFlagSet, load(body[18:], 4), true)
		d.Name("salg_name")
		name, _, _ := bytes.Cut(body[22:], []byte{0})
		d.Mark(value.Whole)
		d.String(name, false)
	case family == afVsock && len(b) >= 16:
		d.vsockAddress(body)
	default:
		if len(body) > 0 {
			d.Name("sa_data")
			d.Mark(value.Whole)
			d.String(body, false)
		}
	}
}

func (d *decoder) packetAddress(body []byte) {
	d.Name("sll_protocol")
	d.With(htonsForm)
	d.set(etherSet, uint64(binary.BigEndian.Uint16(body)), true)
	d.Name("sll_ifindex")
	d.Int(int64(int32(load(body[2:], 4))))
	d.Name("sll_hatype")
	d.set(arphrdSet, load(body[6:], 2), true)
	d.Name("sll_pkttype")
	d.set(packetSet, uint64(body[8]), true)
	n := int(body[9])
	d.Name("sll_halen")
	d.Uint(uint64(n))
	if n = min(n, len(body)-10); n > 0 {
		d.Name("sll_addr")
		d.list(n, func(i int) { d.Hex(uint64(body[10+i])).Pad = 2 }) // %#02x
	}
}

func (d *decoder) vsockAddress(body []byte) {
	d.Name("svm_cid")
	switch cid := uint32(load(body[6:], 4)); cid {
	case 0:
		d.Word("VMADDR_CID_HYPERVISOR")
	case 1:
		d.Word("VMADDR_CID_LOCAL")
	case 2:
		d.Word("VMADDR_CID_HOST")
	case 0xffffffff:
		d.Word("VMADDR_CID_ANY")
	default:
		d.Hex(uint64(cid))
	}
	d.Name("svm_port")
	if port := load(body[2:], 4); port == 0xffffffff {
		d.Word("VMADDR_PORT_ANY")
	} else {
		d.Hex(port)
	}
	d.Name("svm_flags")
	if flags := load(body[10:], 1); flags == 1 {
		d.Word("VMADDR_FLAG_TO_HOST")
	} else {
		d.Hex(flags)
	}
}

// unixPath decodes the path of a Unix socket: sun_path="/run/x", @"abstract".
func (d *decoder) unixPath(path []byte) {
	if len(path) == 0 {
		return
	}
	if path[0] == 0 {
		d.Name("abstract")
		d.Mark(value.NoText)
		d.Add(value.Node{Kind: value.Bool})
		d.With(atForm)
		path = path[1:]
		d.sunPath(path)
		return
	}
	path, _, _ = bytes.Cut(path, []byte{0})
	d.sunPath(path)
}

func (d *decoder) sunPath(path []byte) {
	d.Name("sun_path")
	d.Mark(value.Whole)
	d.String(path, false)
}

// ip decodes an Internet address in the network's order.
func (d *decoder) ip(f *value.Form, b []byte) {
	d.With(f)
	d.Add(value.Node{Kind: value.IP, Data: b})
}

func inaddr(d *decoder, _ *syscalls.Type, v uint64) {
	d.With(inaddrForm)
	d.Add(value.Node{Kind: value.IP, Num: v})
}

// hwaddr decodes the hardware address of an interface.
func (d *decoder) hwaddr(b []byte) {
	at := d.Open(value.Object)
	if len(b) < 8 {
		d.Close(at).Flags |= value.Cut
		return
	}
	d.Name("sa_family")
	d.set(arphrdSet, load(b, 2), true)
	d.Name("sa_data")
	d.mac(b[2:8])
	d.Close(at)
}

// mac decodes a hardware address: 02:fc:00:00:00:01.
func (d *decoder) mac(b []byte) { d.Add(value.Node{Kind: value.MAC, Data: b}) }

// sockproto decodes the third argument of socket(2), which depends on the first. That is a whole
// register to strace, other than to the kernel, and so is a protocol that it has no names for.
func sockproto(d *decoder, _ *syscalls.Type, v uint64) {
	all := v
	v &= 0xffffffff
	switch d.rec.Args[0] & d.longMask() {
	case afInet, afInet6:
		d.set(ipprotoSet, v, true)
	case afNetlink:
		d.set(netlinkSet, v, true)
	case afPacket:
		if v == 0 {
			d.Uint(0)
			return
		}
		d.With(htonsForm)
		d.set(etherSet, v>>8&0xff|v<<8&0xff00, true)
	default:
		d.Uint(all)
	}
}

// sockoptName is an option of setsockopt or getsockopt, some of which have the same numbers.
type sockoptName struct {
	level, opt uint32
	get        bool
}

// sockoptNames are options that are something else when they are set than when they are read:
// those of firewalls.
var sockoptNames = map[sockoptName]string{
	{solSocket, soGetFilter, true}: "SO_GET_FILTER",
	{solIP, 64, false}:             "IPT_SO_SET_REPLACE",
	{solIP, 65, false}:             "IPT_SO_SET_ADD_COUNTERS",
	{solIP, 64, true}:              "IPT_SO_GET_INFO",
	{solIP, 65, true}:              "IPT_SO_GET_ENTRIES",
	{solIP, 66, true}:              "IPT_SO_GET_REVISION_MATCH",
	{solIP, 67, true}:              "IPT_SO_GET_REVISION_TARGET",
	{solIP, 80, true}:              "SO_ORIGINAL_DST",
	{solIP, 96, false}:             "ARPT_SO_SET_REPLACE",
	{solIP, 97, false}:             "ARPT_SO_SET_ADD_COUNTERS",
	{solIP, 96, true}:              "ARPT_SO_GET_INFO",
	{solIP, 97, true}:              "ARPT_SO_GET_ENTRIES",
	{solIP, 99, true}:              "ARPT_SO_GET_REVISION_TARGET",
	{solIP, 128, false}:            "EBT_SO_SET_ENTRIES",
	{solIP, 129, false}:            "EBT_SO_SET_COUNTERS",
	{solIP, 128, true}:             "EBT_SO_GET_INFO",
	{solIP, 129, true}:             "EBT_SO_GET_ENTRIES",
	{solIP, 130, true}:             "EBT_SO_GET_INIT_INFO",
	{solIP, 131, true}:             "EBT_SO_GET_INIT_ENTRIES",
	{solIPv6, 64, false}:           "IP6T_SO_SET_REPLACE",
	{solIPv6, 65, false}:           "IP6T_SO_SET_ADD_COUNTERS",
	{solIPv6, 64, true}:            "IP6T_SO_GET_INFO",
	{solIPv6, 65, true}:            "IP6T_SO_GET_ENTRIES",
	{solIPv6, 68, true}:            "IP6T_SO_GET_REVISION_MATCH",
	{solIPv6, 69, true}:            "IP6T_SO_GET_REVISION_TARGET",
	{solIPv6, 80, true}:            "IP6T_SO_ORIGINAL_DST",
}

// sockopt decodes the name of an option, which depends on the level before it and on
// whether it is read.
func sockopt(d *decoder, _ *syscalls.Type, v uint64) {
	v &= 0xffffffff
	level := uint32(d.rec.Args[1])
	if name := sockoptNames[sockoptName{level, uint32(v), d.call.Name == "getsockopt"}]; name != "" {
		d.Word(name)
	} else if s := sockoptSets[level]; s != nil {
		d.set(s, v, true)
	} else {
		d.Uint(v)
	}
}

// Options of SOL_SOCKET whose value is not a number.
const (
	solSocket         = 1
	soError           = 4
	soLinger          = 13
	soPeercred        = 17
	soRcvtimeoOld     = 20
	soSndtimeoOld     = 21
	soAttachFilter    = 26
	soAttachReuseCBPF = 51
	soPeername        = 28
	soRcvtimeoNew     = 66
	soSndtimeoNew     = 67
	solIP             = 0
	ipMulticastIf     = 32
	ipAddMember       = 35
	ipDropMember      = 36
	solIPv6           = 41
	ipv6AddMember     = 20
	ipv6DropMember    = 21
	ipv6JoinAnycast   = 27
	ipv6LeaveAnycast  = 28
	solRaw            = 255
	icmpFilter        = 1
	solPacket         = 263
	packetAddMember   = 1
	packetDropMember  = 2
	packetRxRing      = 5
	packetStatistics  = 6
	packetTxRing      = 13
	solNetlink        = 270
	soGetFilter       = 26
)

func structType(name string) *syscalls.Type {
	return &syscalls.Type{Name: name, Kind: syscalls.KindStruct, Struct: syscalls.StructByName(name)}
}

var (
	lingerType    = structType("linger")
	ucredType     = structType("ucred")
	timevalType   = structType("timeval")
	timeval64Type = structType("timeval64")
	fprogType     = structType("sock_fprog")
	mreqType      = structType("ip_mreq")

	packetStatsType = structType("tpacket_stats")
	packetMreqType  = structType("packet_mreq")
	tpacketReqType  = structType("tpacket_req")
	timespecType    = structType("timespec")
	extendedErrType = structType("sock_extended_err")
)

// sockNumbers are the options of SOL_SOCKET whose value is a number.
var sockNumbers = func() map[uint32]bool {
	m := map[uint32]bool{}
	for _, opt := range []uint32{1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 18, 19, 27, 29, 30, 32, 33, 34, 35, 36, 37, 40, 41, 42, 43, 44, 45, 46, 49, 53, 56,
		60, 63, 64, 65, 68, 69, 70, 73, 75} {
		m[opt] = true
	}
	return m
}()

// packetMember decodes a struct packet_mreq, whose address may be longer than that of the struct.
func (d *decoder) packetMember(b []byte) bool {
	l := packetMreqType.Struct.On(d.arch)
	if l == nil || len(b) < int(l.Size) {
		return false
	}
	d.object(nil, func() {
		d.fieldList(l, b, "mr_ifindex", "mr_type", "mr_alen")
		d.Name("mr_address")
		address := b[8:]
		d.mac(address[:min(int(get(l, b, "mr_alen")), len(address), 8)])
	})
	return true
}

func sockoptval(d *decoder, a *syscalls.Arg, it *record.Item) bool {
	level, opt, b := uint32(d.rec.Args[1]), uint32(d.rec.Args[2]), it.Data
	if len(b) == 0 && a.Dir&syscalls.DirOut != 0 || a.Dir&syscalls.DirOut == 0 && int32(d.rec.Args[4]) < 0 {
		return false
	}
	set := a.Dir&syscalls.DirOut == 0
	show := func(t *syscalls.Type) bool {
		if l := t.Struct.On(d.arch); l != nil && len(b) >= int(l.Size) {
			d.structure(t, b)
		} else if set || it.Fault() {
			return false // the kernel takes none that is shorter
		} else {
			d.String(b, it.Cut())
		}
		return true
	}
	if set && (level == solSocket && sockNumbers[opt] || level == solNetlink) {
		if len(b) < 4 {
			return false
		}
		d.Mark(value.Boxed) // of a longer one the kernel takes as much
		d.Int(int64(int32(load(b, 4))))
		return true
	}
	switch level {
	case solSocket:
		switch opt {
		case soLinger:
			return show(lingerType)
		case soError:
			if name, _ := syscalls.Errno(int(int32(load(b, 4)))); name != "" && len(b) == 4 {
				d.Mark(value.Boxed)
				d.Word(name)
				return true
			}
		case soPeercred:
			return show(ucredType)
		case soRcvtimeoOld, soSndtimeoOld:
			return show(timevalType)
		case soRcvtimeoNew, soSndtimeoNew:
			return show(timeval64Type)
		case soAttachFilter, soAttachReuseCBPF:
			return show(fprogType) // or the address, if it is not all there
		case soPeername:
			d.sockaddr(b)
			return true
		}
	case solIP:
		switch opt {
		case ipAddMember, ipDropMember:
			if len(b) >= 8 || set {
				return show(mreqType)
			}
		case ipMulticastIf:
			if len(b) == 4 && a.Dir&syscalls.DirOut == 0 {
				d.ip(inaddrForm, b)
				return true
			}
		}
	case solIPv6:
		switch opt {
		case ipv6AddMember, ipv6DropMember, ipv6JoinAnycast, ipv6LeaveAnycast:
			if len(b) < 20 && set {
				return false
			}
			if len(b) >= 20 {
				d.object(nil, func() {
					d.Name("ipv6mr_multiaddr")
					d.Mark(value.NoName)
					d.ip(ipv6mrForm, b[:16])
					d.Name("ipv6mr_interface")
					d.ifindex(uint32(load(b[16:], 4)))
				})
				return true
			}
		}
	case solRaw:
		if opt == icmpFilter && len(b) > 0 && a.Count != syscalls.CountOne {
			filter := [4]byte{0xff, 0xff, 0xff, 0xff}
			if copy(filter[:], b); len(b) < 4 {
				for i := len(b); i < 4; i++ {
					filter[i] = 0
				}
			}
			d.icmpFilter(uint32(load(filter[:], 4)))
			return true
		}
	case solPacket:
		switch {
		case set && (opt == packetRxRing || opt == packetTxRing):
			return len(b) == 16 && !it.Cut() && !it.Fault() && show(tpacketReqType)
		case set && (opt == packetAddMember || opt == packetDropMember):
			return d.packetMember(b)
		}
		if opt == packetStatistics && len(b) == 8 && a.Dir&syscalls.DirOut != 0 {
			return show(packetStatsType)
		}
	}
	if it.Fault() {
		return false
	}
	if len(b) == 4 && !it.Cut() {
		d.Mark(value.Boxed)
		d.Int(int64(int32(load(b, 4))))
		return true
	}
	d.String(b, it.Cut())
	return true
}

var (
	icmpTypeSet = syscalls.SetByName("icmptype")
	exceptForm  = &value.Form{Open: "~[", Close: "]", Sep: " "}
	plainForm   = &value.Form{Sep: " ", Bare: true}
)

// icmpFilter decodes which kinds of ICMP messages a socket does not want: those that it does if
// they are fewer.
func (d *decoder) icmpFilter(mask uint32) {
	name, form := "blocked", bitsForm
	if bits.OnesCount32(mask) > 16 {
		name, form, mask = "passed", exceptForm, ^mask
	}
	d.object(plainForm, func() {
		d.Name(name)
		d.With(form)
		at := d.Open(value.List)
		for i := range uint64(32) {
			if mask>>i&1 != 0 {
				d.set(icmpTypeSet, i, true)
			}
		}
		d.Close(at)
	})
}

// iovecs decodes an array of iovec, with the contents that data holds of them. pieces says where
// those of each begin; without it they stand in a row, and what is missing is missing at the end.
// at is the address of the array.
func (d *decoder) iovecs(at uint64, iov, data, pieces *record.Item) {
	size := 2 * d.word
	var contents []byte
	if data != nil {
		contents = data.Data
	}
	left := uint64(1<<64 - 1) // of what is valid
	if d.rec.Ret >= 0 && d.call.Flags&syscalls.FlagWrite == 0 && d.call.Name != "vmsplice" {
		left = uint64(d.rec.Ret)
	}
	d.Mark(value.Limited)
	l := d.list(len(iov.Data)/size, func(i int) {
		base, length := load(iov.Data[i*size:], d.word), load(iov.Data[i*size+d.word:], d.word)
		valid := min(length, left)
		left -= valid
		take, cut, known := min(length, uint64(len(contents))), false, data != nil || length == 0
		if pieces != nil && 2*i+2 <= len(pieces.Data) {
			take = load(pieces.Data[2*i:], 2)
			known = take != record.PieceFault && take <= uint64(len(contents))
			cut = known && take < valid
		} else if data != nil && (data.Cut() || d.failed()) {
			known = take > 0 || valid == 0 && !d.failed() || length == 0
			cut = take < valid && take > 0
		}
		elem := d.Open(value.Object)
		d.Name("iov_base")
		if base == 0 || !known {
			d.Addr(base)
		} else {
			d.String(contents[:take], cut)
			contents = contents[take:]
		}
		d.Name("iov_len")
		d.Uint(length)
		d.Close(elem)
	})
	if iov.Cut() || iov.Fault() {
		l.Flags |= value.Cut
		if iov.Fault() && at != 0 {
			l.Data = d.KeepComment(appendHex(d.Comment(), at+uint64(len(iov.Data)/size*size)))
		}
	}
}

// msghdr decodes a struct msghdr and its parts.
func (d *decoder) msghdr(a *syscalls.Arg, entry bool) bool {
	it := d.item(a.Reg, layout.ItemMsg, entry)
	if it == nil || len(it.Data) < 7*d.word {
		return false
	}
	if d.failed() && a.Dir&syscalls.DirOut != 0 { // there is none
		d.object(nil, func() {
			d.Name("msg_namelen")
			d.Int(int64(int32(load(it.Data[d.word:], 4))))
		})
		return true
	}
	d.msg(a, it.Data, d.rec.Items, entry)
	return true
}

// part returns the first item of a kind among those of a message.
func part(parts []record.Item, reg uint8, kind layout.ItemKind, entry bool) *record.Item {
	for i := range parts {
		if it := &parts[i]; it.Arg == reg && it.Kind == kind && it.Entry() == entry {
			if it.Fault() && len(it.Data) == 0 {
				return nil
			}
			return it
		}
	}
	return nil
}

// msg decodes a struct msghdr, whose parts are among some items.
func (d *decoder) msg(a *syscalls.Arg, b []byte, parts []record.Item, entry bool) {
	w := d.word
	name, iov, control, controlLen := load(b, w), load(b[2*w:], w), load(b[4*w:], w), load(b[5*w:], w)
	at := d.Open(value.Object)
	d.Name("msg_name")
	sender := part(parts, a.Reg, layout.ItemName, entry)
	if sender != nil && len(sender.Data) >= 2 && name != 0 {
		d.sockaddr(sender.Data)
	} else {
		d.Addr(name)
	}
	d.Name("msg_namelen")
	if room := lengthOf(part(parts, a.Reg, layout.ItemLen, true)); room != nil && a.Form == syscalls.FormMsg && name != 0 {
		after := int64(int32(load(b[w:], 4)))
		d.object(inOutForm, func() {
			d.Name("in")
			d.Int(*room)
			if d.Name("out"); after == *room {
				d.Mark(value.NoText)
			}
			d.Int(after)
		})
	} else {
		d.Uint(uint64(uint32(load(b[w:], 4))))
	}
	d.Name("msg_iov")
	if n := part(parts, a.Reg, layout.ItemIov, entry); n != nil && iov != 0 {
		data := part(parts, a.Reg, layout.ItemIovdata, entry)
		if data != nil && len(data.Data) == 0 && a.Form == syscalls.FormMmsg {
			data = nil // how much of it is valid was not known when it was read
		}
		if (d.protocol > 0 || isNetlink(sender)) && len(n.Data) == 2*w && data != nil && len(data.Data) >= nlHeader {
			d.list(1, func(int) {
				d.object(nil, func() {
					d.Name("iov_base")
					d.netlink(data.Data, data.Cut())
					d.Name("iov_len")
					d.Uint(load(n.Data[w:], w))
				})
			})
		} else {
			d.iovecs(iov, n, data, part(parts, a.Reg, layout.ItemPieces, entry))
		}
	} else {
		d.Addr(iov)
	}
	d.Name("msg_iovlen")
	d.Uint(load(b[3*w:], w))
	if controlLen > 0 {
		d.Name("msg_control")
		if n := part(parts, a.Reg, layout.ItemControl, entry); n != nil && len(n.Data) >= w+8 {
			d.controls(n, controlLen)
		} else {
			d.Addr(control)
		}
	}
	d.Name("msg_controllen")
	d.Uint(controlLen)
	d.Name("msg_flags")
	d.set(msgFlagSet, load(b[6*w:], 4), true)
	d.Close(at)
}

const (
	scmRights      = 1
	scmCredentials = 2
	scmSecurity    = 3
	scmPidfd       = 4

	soTimestampOld    = 29
	soTimestampNsOld  = 35
	soTimestampingOld = 37

	ipTOS      = 1
	ipTTL      = 2
	ipRecvOpts = 6
	ipRetOpts  = 7
	ipPktinfo  = 8
	ipRecvErr  = 11
	ipOrigDst  = 20
	ipChecksum = 23
)

var ipCmsgSet = syscalls.SetByName("ipcmsg")

// controls decodes the control messages of a msghdr, of which there are so many bytes.
func (d *decoder) controls(it *record.Item, all uint64) {
	w := d.word
	head := w + 8
	list, whole := d.Open(value.List), false
	b := it.Data
	for len(b) >= head {
		length, level, kind := load(b, w), uint32(load(b[w:], 4)), uint32(load(b[w+4:], 4))
		at := d.Open(value.Object)
		d.Name("cmsg_len")
		d.Uint(length)
		d.Name("cmsg_level")
		d.set(levelSet, uint64(level), true)
		d.Name("cmsg_type")
		switch level {
		case solSocket:
			d.set(scmSet, uint64(kind), true)
		case solIP:
			d.set(ipCmsgSet, uint64(kind), true)
		default:
			d.Hex(uint64(kind))
		}
		body := b[head:]
		if length < uint64(head) {
			body = nil
		} else if n := length - uint64(head); n < uint64(len(body)) {
			body = body[:n]
		}
		if len(body) > 0 {
			before := d.Len()
			d.Name("cmsg_data")
			if !d.control(level, kind, body, it.Cut() && uint64(len(b)) < length) {
				d.Truncate(before)
			}
		}
		d.Close(at)
		whole = uint64(len(it.Data)-len(b))+length >= all // what was cut is a part of this one
		step := (length + uint64(w) - 1) &^ uint64(w-1)
		if length < uint64(head) || step >= uint64(len(b)) || step < length {
			b = nil
			break
		}
		b = b[step:]
	}
	if n := d.Close(list); it.Cut() && !whole || len(b) > 0 {
		n.Flags |= value.Cut
	}
}

// control decodes the contents of a control message, and reports whether strace does. cut: there
// was more of it.
func (d *decoder) control(level, kind uint32, body []byte, cut bool) bool {
	times := func(t *syscalls.Type, n int) bool {
		size := t.SizeOn(d.arch)
		if size == 0 || len(body) < n*size {
			return false
		}
		if n == 1 {
			d.structure(t, body)
		} else {
			d.list(n, func(i int) { d.structure(t, body[i*size:]) })
		}
		return true
	}
	switch level {
	case solSocket:
		switch {
		case kind == scmRights && len(body) >= 4:
			d.Mark(value.Limited)
			if l := d.list(len(body)/4, func(i int) { d.Int(int64(int32(load(body[4*i:], 4)))) }); cut {
				l.Flags |= value.Cut
			}
			return true
		case kind == scmCredentials && len(body) >= 12:
			d.structure(ucredType, body)
			return true
		case kind == scmSecurity:
			d.String(body, false)
			return true
		case kind == soTimestampOld:
			return times(timevalType, 1)
		case kind == soTimestampNsOld:
			return times(timespecType, 1)
		case kind == soTimestampingOld:
			return times(timespecType, 3)
		case kind == scmPidfd && len(body) >= 4: // newer than strace 6.1
			d.Mark(value.Boxed)
			d.Int(int64(int32(load(body, 4))))
			return true
		}
	case solIP:
		switch {
		case kind == ipPktinfo && len(body) >= 12:
			d.object(nil, func() {
				d.Name("ipi_ifindex")
				d.ifindex(uint32(load(body, 4)))
				d.Name("ipi_spec_dst")
				d.ip(inaddrForm, body[4:8])
				d.Name("ipi_addr")
				d.ip(inaddrForm, body[8:12])
			})
			return true
		case (kind == ipTTL || kind == ipChecksum) && len(body) >= 4:
			d.Mark(value.Boxed)
			d.Uint(load(body, 4))
			return true
		case kind == ipTOS || kind == ipRecvOpts || kind == ipRetOpts:
			d.list(len(body), func(i int) { d.Hex(uint64(body[i])) })
			return true
		case kind == ipRecvErr && len(body) >= 16:
			l := extendedErrType.Struct.On(d.arch)
			at := d.Open(value.Object)
			d.fieldList(l, body, "ee_errno", "ee_origin", "ee_type", "ee_code", "ee_info", "ee_data")
			if len(body) >= 32 {
				d.Name("offender")
				d.sockaddr(body[16:32])
			}
			d.Close(at)
			return true
		case kind == ipOrigDst && len(body) >= 16:
			d.sockaddr(body)
			return true
		}
	}
	return false
}

// ifindex decodes the number of an interface; strace asks its own kernel for the name.
func (d *decoder) ifindex(n uint32) { d.Uint(uint64(n)) }

// mmsghdr decodes an array of struct mmsghdr. The items of each begin with its ItemMsg; of some
// only the first ones were captured.
func (d *decoder) mmsghdr(a *syscalls.Arg, entry bool) bool {
	it := d.item(a.Reg, layout.ItemMmsg, entry)
	size := 8 * d.word
	if it == nil || len(it.Data) < size {
		return false
	}
	rest := d.rec.Items
	next := func() []record.Item {
		isMsg := func(it record.Item) bool { return it.Arg == a.Reg && it.Kind == layout.ItemMsg && it.Entry() == entry }
		from := slices.IndexFunc(rest, isMsg)
		if from < 0 {
			return nil
		}
		parts := rest[from+1:]
		if to := slices.IndexFunc(parts, isMsg); to >= 0 {
			parts = parts[:to]
		}
		rest = rest[from+1:]
		return parts
	}
	d.Mark(value.Limited)
	n := len(it.Data) / size
	if d.rec.Ret > 0 && !d.entering {
		n = min(n, int(min(d.rec.Ret, 1024))) // those behind were not sent
	}
	l := d.list(n, func(i int) {
		b := it.Data[i*size : (i+1)*size]
		at := d.Open(value.Object)
		d.Name("msg_hdr")
		d.msg(a, b, next(), entry)
		if !d.failed() && !d.entering {
			d.Name("msg_len")
			d.Uint(load(b[7*d.word:], 4))
		}
		d.Close(at)
	})
	if (it.Cut() || it.Fault()) && (d.rec.Ret <= 0 || int64(n) < d.rec.Ret) {
		l.Flags |= value.Cut
		if it.Fault() {
			l.Data = d.KeepComment(appendHex(d.Comment(), d.rec.Args[a.Reg%6]&d.longMask()+uint64(n*size)))
		}
	}
	return true
}

// unpackSocketcall replaces a socketcall by the call in it: the first thing that was
// captured of argument 1 is its arguments, what follows is what they point to.
func (d *decoder) unpackSocketcall() {
	call := syscalls.SocketCall(uint32(d.rec.Args[0]))
	if call == nil {
		return
	}
	args := d.item(1, memKind, d.rec.Type == layout.RecEnter)
	if args == nil || len(args.Data) < 4*int(call.Nargs) {
		return
	}
	d.call = call
	rec := record.Record{Type: d.rec.Type, Flags: d.rec.Flags, Nr: d.rec.Nr, Ret: d.rec.Ret}
	for i := range int(call.Nargs) {
		rec.Args[i] = load(args.Data[4*i:], 4)
	}
	for i := range d.rec.Items {
		if &d.rec.Items[i] != args {
			rec.Items = append(rec.Items, d.rec.Items[i])
		}
	}
	d.unpacked = rec
	d.rec = &d.unpacked
}
