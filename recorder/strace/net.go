package strace

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
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

func sockaddrArg(p *printer, a *syscalls.Arg, it *record.Item) bool {
	if it.Fault() {
		return false // a part says another address
	}
	data := it.Data
	if a.Dir&syscalls.DirOut != 0 {
		// what does not fit is cut off, and the length says how much there was
		if room := p.item(a.Carg, layout.ItemLen, true); room != nil {
			data = data[:min(uint64(len(data)), load(room.Data, 4))]
		}
		if len(data) == 0 {
			return false
		}
	} else if int32(p.rec.Args[a.Carg%6]) < 0 {
		return false
	}
	if len(data) < 2 {
		p.dst = appendQuoted(p.dst, data, 0, false)
		return true
	}
	p.sockaddr(data)
	return true
}

// sockaddr shows a socket address of at least 2 bytes, or as much as there is of it.
func (p *printer) sockaddr(d []byte) {
	if len(d) < 2 {
		p.dst = append(p.dst, "{...}"...)
		return
	}
	family := binary.LittleEndian.Uint16(d)
	p.dst = append(p.dst, "{sa_family="...)
	p.set(familySet, uint64(family), true)
	body := d[2:]
	switch {
	case family == afUnix:
		p.unixPath(body)
	case family == afInet && len(d) >= 8:
		p.dst = append(p.dst, ", sin_port=htons("...)
		p.dst = strconv.AppendUint(p.dst, uint64(binary.BigEndian.Uint16(body)), 10)
		p.dst = append(p.dst, `), sin_addr=inet_addr("`...)
		p.dst = netip.AddrFrom4([4]byte(body[2:6])).AppendTo(p.dst)
		p.dst = append(p.dst, `")`...)
	case family == afInet6 && len(d) >= 24:
		p.dst = append(p.dst, ", sin6_port=htons("...)
		p.dst = strconv.AppendUint(p.dst, uint64(binary.BigEndian.Uint16(body)), 10)
		p.dst = append(p.dst, "), sin6_flowinfo=htonl("...)
		p.dst = strconv.AppendUint(p.dst, uint64(binary.BigEndian.Uint32(body[2:])), 10)
		p.dst = append(p.dst, `), inet_pton(AF_INET6, "`...)
		p.dst = netip.AddrFrom16([16]byte(body[6:22])).AppendTo(p.dst)
		p.dst = append(p.dst, `", &sin6_addr)`...)
		if len(d) >= 28 {
			p.dst = append(p.dst, ", sin6_scope_id="...)
			p.dst = strconv.AppendUint(p.dst, load(body[22:], 4), 10)
		}
	case family == afNetlink && len(d) >= 12:
		p.dst = append(p.dst, ", nl_pid="...)
		p.dst = strconv.AppendInt(p.dst, int64(int32(load(body[2:], 4))), 10)
		p.dst = append(p.dst, ", nl_groups="...)
		const digits = "0123456789abcdef"
		groups, from := load(body[6:], 4), 28 // %#08x
		if groups != 0 {
			p.dst = append(p.dst, "0x"...)
			if groups>>24 == 0 {
				from = 20
			}
		}
		for ; from >= 0; from -= 4 {
			p.dst = append(p.dst, digits[groups>>from&15])
		}
	case family == afPacket && len(d) >= 20:
		p.dst = append(p.dst, ", sll_protocol=htons("...)
		p.set(etherSet, uint64(binary.BigEndian.Uint16(body)), true)
		p.dst = append(p.dst, "), sll_ifindex="...)
		p.dst = strconv.AppendInt(p.dst, int64(int32(load(body[2:], 4))), 10)
		p.dst = append(p.dst, ", sll_hatype="...)
		p.set(arphrdSet, load(body[6:], 2), true)
		p.dst = append(p.dst, ", sll_pkttype="...)
		p.set(packetSet, uint64(body[8]), true)
		p.dst = append(p.dst, ", sll_halen="...)
		n := int(body[9])
		p.dst = strconv.AppendInt(p.dst, int64(n), 10)
		if n = min(n, len(body)-10); n > 0 {
			p.dst = append(p.dst, ", sll_addr="...)
			p.list(n, func(i int) {
				if c := body[10+i]; c != 0 {
					p.hex(uint64(c))
				} else {
					p.dst = append(p.dst, "00"...) // as %#02x does
				}
			})
		}
	case family == afAlg && len(d) >= 88:
		p.dst = append(p.dst, ", salg_type="...)
		p.dst = appendQuoted(p.dst, body[:max(bytes.IndexByte(body[:14], 0), 0)], 0, false)
		p.dst = append(p.dst, ", salg_feat="...)
		p.set(cryptoFlagSet, load(body[14:], 4), true)
		p.dst = append(p.dst, ", salg_mask="...)
		p.set(cryptoFlagSet, load(body[18:], 4), true)
		p.dst = append(p.dst, ", salg_name="...)
		name, _, _ := bytes.Cut(body[22:], []byte{0})
		p.dst = appendQuoted(p.dst, name, 0, false)
	case family == afVsock && len(d) >= 16:
		p.dst = append(p.dst, ", svm_cid="...)
		switch cid := uint32(load(body[6:], 4)); cid {
		case 0:
			p.dst = append(p.dst, "VMADDR_CID_HYPERVISOR"...)
		case 1:
			p.dst = append(p.dst, "VMADDR_CID_LOCAL"...)
		case 2:
			p.dst = append(p.dst, "VMADDR_CID_HOST"...)
		case 0xffffffff:
			p.dst = append(p.dst, "VMADDR_CID_ANY"...)
		default:
			p.hex(uint64(cid))
		}
		p.dst = append(p.dst, ", svm_port="...)
		if port := load(body[2:], 4); port == 0xffffffff {
			p.dst = append(p.dst, "VMADDR_PORT_ANY"...)
		} else {
			p.hex(port)
		}
		p.dst = append(p.dst, ", svm_flags="...)
		if flags := load(body[10:], 1); flags == 1 {
			p.dst = append(p.dst, "VMADDR_FLAG_TO_HOST"...)
		} else {
			p.hex(flags)
		}
	default:
		if len(body) > 0 {
			p.dst = append(p.dst, ", sa_data="...)
			p.dst = appendQuoted(p.dst, body, 0, false)
		}
	}
	p.dst = append(p.dst, '}')
}

// unixPath shows the path of a Unix socket: sun_path="/run/x", @"abstract".
func (p *printer) unixPath(path []byte) {
	if len(path) == 0 {
		return
	}
	p.dst = append(p.dst, ", sun_path="...)
	if path[0] == 0 {
		p.dst = append(p.dst, '@')
		p.dst = appendQuoted(p.dst, path[1:], 0, false)
		return
	}
	path, _, _ = bytes.Cut(path, []byte{0})
	p.dst = appendQuoted(p.dst, path, 0, false)
}

func inaddr(p *printer, _ *syscalls.Type, v uint64) {
	var a [4]byte
	binary.LittleEndian.PutUint32(a[:], uint32(v))
	p.dst = append(p.dst, `inet_addr("`...)
	p.dst = netip.AddrFrom4(a).AppendTo(p.dst)
	p.dst = append(p.dst, `")`...)
}

// hwaddr shows the hardware address of an interface.
func (p *printer) hwaddr(d []byte) {
	if len(d) < 8 {
		p.dst = append(p.dst, "{...}"...)
		return
	}
	p.dst = append(p.dst, "{sa_family="...)
	p.set(arphrdSet, load(d, 2), true)
	p.dst = append(p.dst, ", sa_data="...)
	const digits = "0123456789abcdef"
	for i, c := range d[2:8] {
		if i > 0 {
			p.dst = append(p.dst, ':')
		}
		p.dst = append(p.dst, digits[c>>4], digits[c&15])
	}
	p.dst = append(p.dst, '}')
}

// sockproto shows the third argument of socket(2), which depends on the first.
func sockproto(p *printer, _ *syscalls.Type, v uint64) {
	v &= 0xffffffff
	switch uint32(p.rec.Args[0]) {
	case afInet, afInet6:
		p.set(ipprotoSet, v, true)
	case afNetlink:
		p.set(netlinkSet, v, true)
	case afPacket:
		if v == 0 {
			p.dst = append(p.dst, '0')
			return
		}
		p.dst = append(p.dst, "htons("...)
		p.set(etherSet, v>>8&0xff|v<<8&0xff00, true)
		p.dst = append(p.dst, ')')
	default:
		p.dst = strconv.AppendUint(p.dst, v, 10)
	}
}

// sockopt shows the name of an option, which depends on the level before it.
func sockopt(p *printer, _ *syscalls.Type, v uint64) {
	v &= 0xffffffff
	if level := uint32(p.rec.Args[1]); level == solSocket && v == soGetFilter && p.call.Name == "getsockopt" {
		p.dst = append(p.dst, "SO_GET_FILTER"...)
		return
	} else if s := sockoptSets[level]; s != nil {
		p.set(s, v, true)
		return
	}
	p.dst = strconv.AppendUint(p.dst, v, 10)
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
	solPacket         = 263
	packetStatistics  = 6
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
	timespecType    = structType("timespec")
	extendedErrType = structType("sock_extended_err")
)

func sockoptval(p *printer, a *syscalls.Arg, it *record.Item) bool {
	level, opt, d := uint32(p.rec.Args[1]), uint32(p.rec.Args[2]), it.Data
	if len(d) == 0 && a.Dir&syscalls.DirOut != 0 || a.Dir&syscalls.DirOut == 0 && int32(p.rec.Args[4]) < 0 {
		return false
	}
	show := func(t *syscalls.Type) bool {
		if l := t.Struct.On(p.arch); l != nil && len(d) >= int(l.Size) {
			p.structure(t, d)
			return true
		}
		p.dst = appendQuoted(p.dst, d, p.opt.StringLimit, it.Cut())
		return true
	}
	switch level {
	case solSocket:
		switch opt {
		case soLinger:
			return show(lingerType)
		case soError:
			if name, _ := syscalls.Errno(int(int32(load(d, 4)))); name != "" && len(d) == 4 {
				p.dst = append(p.dst, '[')
				p.dst = append(p.dst, name...)
				p.dst = append(p.dst, ']')
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
			p.sockaddr(d)
			return true
		}
	case solIP:
		switch opt {
		case ipAddMember, ipDropMember:
			if len(d) >= 8 {
				return show(mreqType)
			}
		case ipMulticastIf:
			if len(d) == 4 && a.Dir&syscalls.DirOut == 0 {
				inaddr(p, nil, load(d, 4))
				return true
			}
		}
	case solIPv6:
		switch opt {
		case ipv6AddMember, ipv6DropMember, ipv6JoinAnycast, ipv6LeaveAnycast:
			if len(d) >= 20 {
				p.dst = append(p.dst, `{inet_pton(AF_INET6, "`...)
				p.dst = netip.AddrFrom16([16]byte(d[:16])).AppendTo(p.dst)
				p.dst = append(p.dst, `", &ipv6mr_multiaddr), ipv6mr_interface=`...)
				p.ifindex(uint32(load(d[16:], 4)))
				p.dst = append(p.dst, '}')
				return true
			}
		}
	case solPacket:
		if opt == packetStatistics && len(d) == 8 && a.Dir&syscalls.DirOut != 0 {
			return show(packetStatsType)
		}
	}
	if len(d) == 4 && !it.Cut() {
		p.dst = append(p.dst, '[')
		p.dst = strconv.AppendInt(p.dst, int64(int32(load(d, 4))), 10)
		p.dst = append(p.dst, ']')
		return true
	}
	p.dst = appendQuoted(p.dst, d, p.opt.StringLimit, it.Cut())
	return true
}

// iovecs shows an array of iovec, with the contents that data holds of them.
func (p *printer) iovecs(iov, data *record.Item) {
	size := 2 * p.word
	n := len(iov.Data) / size
	var contents []byte
	if data != nil {
		contents = data.Data
	}
	p.dst = append(p.dst, '[')
	for i := range n {
		if i > 0 {
			p.dst = append(p.dst, ", "...)
		}
		if p.opt.StringLimit > 0 && i >= p.opt.StringLimit {
			p.dst = append(p.dst, "..."...)
			break
		}
		base, length := load(iov.Data[i*size:], p.word), load(iov.Data[i*size+p.word:], p.word)
		p.dst = append(p.dst, "{iov_base="...)
		switch take := min(length, uint64(len(contents))); {
		case base == 0:
			p.dst = append(p.dst, "NULL"...)
		case data == nil && length > 0 || data != nil && take == 0 && length > 0 && (data.Cut() || p.failed()):
			p.addr(base)
		default:
			p.dst = appendQuoted(p.dst, contents[:take], p.opt.StringLimit, take < length && data != nil && data.Cut() && take > 0)
			contents = contents[take:]
		}
		p.dst = append(p.dst, ", iov_len="...)
		p.dst = strconv.AppendUint(p.dst, length, 10)
		p.dst = append(p.dst, '}')
	}
	if iov.Cut() || iov.Fault() {
		p.dst = append(p.dst, ", ..."...)
	}
	p.dst = append(p.dst, ']')
}

// msghdr shows a struct msghdr and its parts.
func (p *printer) msghdr(a *syscalls.Arg, entry bool) bool {
	it := p.item(a.Reg, layout.ItemMsg, entry)
	if it == nil || len(it.Data) < 7*p.word {
		return false
	}
	p.msg(a, it.Data, entry)
	return true
}

func (p *printer) msg(a *syscalls.Arg, d []byte, entry bool) {
	w := p.word
	name, nameLen := load(d, w), uint32(load(d[w:], 4))
	iov, iovLen := load(d[2*w:], w), load(d[3*w:], w)
	control, controlLen := load(d[4*w:], w), load(d[5*w:], w)
	flags := load(d[6*w:], 4)
	p.dst = append(p.dst, "{msg_name="...)
	if n := p.item(a.Reg, layout.ItemName, entry); n != nil && len(n.Data) >= 2 && name != 0 {
		p.sockaddr(n.Data)
	} else {
		p.addr(name)
	}
	p.dst = append(p.dst, ", msg_namelen="...)
	p.dst = strconv.AppendUint(p.dst, uint64(nameLen), 10)
	p.dst = append(p.dst, ", msg_iov="...)
	if n := p.item(a.Reg, layout.ItemIov, entry); n != nil && iov != 0 {
		data := p.item(a.Reg, layout.ItemIovdata, entry)
		if data != nil && len(data.Data) == 0 && a.Form == syscalls.FormMmsg {
			data = nil // how much of it is valid was not known when it was read
		}
		if name := p.item(a.Reg, layout.ItemName, entry); isNetlink(name) && len(n.Data) == 2*p.word && data != nil && len(data.Data) >= nlHeader {
			p.dst = append(p.dst, "[{iov_base="...)
			p.netlink(data.Data, data.Cut())
			p.dst = append(p.dst, ", iov_len="...)
			p.dst = strconv.AppendUint(p.dst, load(n.Data[p.word:], p.word), 10)
			p.dst = append(p.dst, "}]"...)
		} else {
			p.iovecs(n, data)
		}
	} else {
		p.addr(iov)
	}
	p.dst = append(p.dst, ", msg_iovlen="...)
	p.dst = strconv.AppendUint(p.dst, iovLen, 10)
	if controlLen > 0 {
		p.dst = append(p.dst, ", msg_control="...)
		if n := p.item(a.Reg, layout.ItemControl, entry); n != nil && len(n.Data) >= 2*w+4 {
			p.controls(n)
		} else {
			p.addr(control)
		}
	}
	p.dst = append(p.dst, ", msg_controllen="...)
	p.dst = strconv.AppendUint(p.dst, controlLen, 10)
	p.dst = append(p.dst, ", msg_flags="...)
	p.set(msgFlagSet, flags, true)
	p.dst = append(p.dst, '}')
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

// controls shows the control messages of a msghdr.
func (p *printer) controls(it *record.Item) {
	w := p.word
	head := w + 8
	p.dst = append(p.dst, '[')
	d := it.Data
	for first := true; len(d) >= head; first = false {
		length, level, kind := load(d, w), uint32(load(d[w:], 4)), uint32(load(d[w+4:], 4))
		if !first {
			p.dst = append(p.dst, ", "...)
		}
		p.dst = append(p.dst, "{cmsg_len="...)
		p.dst = strconv.AppendUint(p.dst, length, 10)
		p.dst = append(p.dst, ", cmsg_level="...)
		p.set(levelSet, uint64(level), true)
		p.dst = append(p.dst, ", cmsg_type="...)
		switch level {
		case solSocket:
			p.set(scmSet, uint64(kind), true)
		case solIP:
			p.set(ipCmsgSet, uint64(kind), true)
		default:
			p.hex(uint64(kind))
		}
		body := d[head:]
		if length < uint64(head) {
			body = nil
		} else if n := length - uint64(head); n < uint64(len(body)) {
			body = body[:n]
		}
		if len(body) > 0 {
			before := len(p.dst)
			p.dst = append(p.dst, ", cmsg_data="...)
			if !p.control(level, kind, body) {
				p.dst = p.dst[:before]
			}
		}
		p.dst = append(p.dst, '}')
		step := (length + uint64(w) - 1) &^ uint64(w-1)
		if length < uint64(head) || step >= uint64(len(d)) || step < length {
			d = nil
			break
		}
		d = d[step:]
	}
	if it.Cut() || len(d) > 0 {
		p.dst = append(p.dst, ", ..."...)
	}
	p.dst = append(p.dst, ']')
}

// control shows the contents of a control message, or nothing if strace does not.
func (p *printer) control(level, kind uint32, body []byte) bool {
	times := func(t *syscalls.Type, n int) bool {
		size := t.SizeOn(p.arch)
		if size == 0 || len(body) < n*size {
			return false
		}
		if n == 1 {
			p.structure(t, body)
			return true
		}
		p.list(n, func(i int) { p.structure(t, body[i*size:]) })
		return true
	}
	switch level {
	case solSocket:
		switch {
		case kind == scmRights && len(body) >= 4:
			p.list(len(body)/4, func(i int) { p.dst = strconv.AppendInt(p.dst, int64(int32(load(body[4*i:], 4))), 10) })
			return true
		case kind == scmCredentials && len(body) >= 12:
			p.structure(ucredType, body)
			return true
		case kind == scmSecurity:
			p.dst = appendQuoted(p.dst, body, p.opt.StringLimit, false)
			return true
		case kind == soTimestampOld:
			return times(timevalType, 1)
		case kind == soTimestampNsOld:
			return times(timespecType, 1)
		case kind == soTimestampingOld:
			return times(timespecType, 3)
		case kind == scmPidfd && len(body) >= 4: // newer than strace 6.1
			p.dst = append(p.dst, '[')
			p.dst = strconv.AppendInt(p.dst, int64(int32(load(body, 4))), 10)
			p.dst = append(p.dst, ']')
			return true
		}
	case solIP:
		switch {
		case kind == ipPktinfo && len(body) >= 12:
			p.dst = append(p.dst, "{ipi_ifindex="...)
			p.ifindex(uint32(load(body, 4)))
			p.dst = append(p.dst, ", ipi_spec_dst="...)
			inaddr(p, nil, load(body[4:], 4))
			p.dst = append(p.dst, ", ipi_addr="...)
			inaddr(p, nil, load(body[8:], 4))
			p.dst = append(p.dst, '}')
			return true
		case (kind == ipTTL || kind == ipChecksum) && len(body) >= 4:
			p.dst = append(p.dst, '[')
			p.dst = strconv.AppendUint(p.dst, load(body, 4), 10)
			p.dst = append(p.dst, ']')
			return true
		case kind == ipTOS || kind == ipRecvOpts || kind == ipRetOpts:
			p.list(len(body), func(i int) { p.hex(uint64(body[i])) })
			return true
		case kind == ipRecvErr && len(body) >= 16:
			l := extendedErrType.Struct.On(p.arch)
			p.dst = append(p.dst, '{')
			p.fieldList(l, body, false, "ee_errno", "ee_origin", "ee_type", "ee_code", "ee_info", "ee_data")
			if len(body) >= 32 {
				p.dst = append(p.dst, ", offender="...)
				p.sockaddr(body[16:32])
			}
			p.dst = append(p.dst, '}')
			return true
		case kind == ipOrigDst && len(body) >= 16:
			p.sockaddr(body)
			return true
		}
	}
	return false
}

// list shows [a, b, c].
func (p *printer) list(n int, show func(i int)) {
	p.dst = append(p.dst, '[')
	for i := range n {
		if i > 0 {
			p.dst = append(p.dst, ", "...)
		}
		show(i)
	}
	p.dst = append(p.dst, ']')
}

// ifindex shows the number of an interface; strace asks its own kernel for the name.
func (p *printer) ifindex(n uint32) { p.dst = strconv.AppendUint(p.dst, uint64(n), 10) }

// mmsghdr shows an array of struct mmsghdr; only the parts of the first were captured.
func (p *printer) mmsghdr(a *syscalls.Arg, entry bool) bool {
	it := p.item(a.Reg, layout.ItemMmsg, entry)
	size := 8 * p.word
	if it == nil || len(it.Data) < size {
		return false
	}
	p.dst = append(p.dst, '[')
	for i := 0; (i+1)*size <= len(it.Data); i++ {
		if i > 0 {
			p.dst = append(p.dst, ", "...)
		}
		d := it.Data[i*size : (i+1)*size]
		p.dst = append(p.dst, "{msg_hdr="...)
		of := *a
		if i > 0 {
			of.Reg = 7 // no argument's: the parts are not those of this one
		}
		p.msg(&of, d, entry)
		p.dst = append(p.dst, ", msg_len="...)
		p.dst = strconv.AppendUint(p.dst, load(d[7*p.word:], 4), 10)
		p.dst = append(p.dst, '}')
	}
	if it.Cut() || it.Fault() {
		p.dst = append(p.dst, ", ..."...)
	}
	p.dst = append(p.dst, ']')
	return true
}

// unpackSocketcall replaces a socketcall by the call in it: the first thing that was
// captured of argument 1 is its arguments, what follows is what they point to.
func (p *printer) unpackSocketcall() {
	call := syscalls.SocketCall(uint32(p.rec.Args[0]))
	if call == nil {
		return
	}
	args := p.item(1, memKind, p.rec.Type == layout.RecEnter)
	if args == nil || len(args.Data) < 4*int(call.Nargs) {
		return
	}
	p.call = call
	rec := record.Record{Type: p.rec.Type, Flags: p.rec.Flags, Nr: p.rec.Nr, Ret: p.rec.Ret}
	for i := range int(call.Nargs) {
		rec.Args[i] = load(args.Data[4*i:], 4)
	}
	for i := range p.rec.Items {
		if &p.rec.Items[i] != args {
			rec.Items = append(rec.Items, p.rec.Items[i])
		}
	}
	p.rec = &rec
}
