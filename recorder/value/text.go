package value

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Text writes values as strace writes them. The zero Text writes all that was captured.
type Text struct {
	// Limit is the number of bytes of a string, and of members of some arrays, that are
	// shown; file names are always shown whole. 0: all that was captured.
	Limit int
	// Verbose shows the members that are hidden otherwise.
	Verbose bool
	// Fd returns what a file descriptor is open on, to be shown between < and >, or "".
	// -100 is the working directory. result: it is what the call returned.
	Fd func(fd int32, result bool) string

	parts []part
}

// Append appends the value at a node.
func (w *Text) Append(dst []byte, t *Tree, at int32) []byte {
	n := &t.Nodes[at]
	if n.Form != nil {
		dst = append(dst, n.Form.Pre...)
	}
	if n.Flags&Boxed != 0 {
		dst = append(dst, '[')
	}
	comment := n.Text
	switch n.Kind {
	case Int:
		dst = strconv.AppendInt(dst, int64(n.Num), 10)
	case Uint:
		dst = strconv.AppendUint(dst, n.Num, 10)
	case Hex:
		dst = appendHexPadded(dst, n.Num, int(n.Pad))
	case Digits:
		dst = appendDigits(dst, n.Num, int(n.Pad))
	case Octal:
		dst = appendOctal(dst, n.Num)
	case Addr:
		if n.Num == 0 {
			dst = append(dst, "NULL"...)
		} else {
			dst = appendHex(dst, n.Num)
		}
	case Fd:
		comment = ""
		if n.Text != "" {
			dst = append(dst, n.Text...)
		} else {
			dst = strconv.AppendInt(dst, int64(int32(n.Num)), 10)
		}
		dst = w.openOn(dst, int32(n.Num), n.Flags&Result != 0)
	case Enum:
		if comment = ""; n.Text != "" {
			dst = append(dst, n.Text...)
		} else {
			dst = appendUnknown(dst, n.Num, n.Set.Unknown)
		}
	case Flags:
		dst = w.appendFlags(dst, n)
	case Signal:
		dst = AppendSignalName(dst, int(int64(n.Num)))
	case Signals:
		dst = appendSignalSet(dst, n.Num, int(n.Pad))
	case Word:
		comment = ""
		dst = append(dst, n.Text...)
	case Bool:
	case String:
		limit := w.Limit
		if n.Flags&Whole != 0 {
			limit = 0
		}
		dst = appendQuoted(dst, n.Data, limit, n.Flags&Cut != 0)
	case Bytes:
		dst = w.appendBytes(dst, n)
	case IP:
		dst = n.appendIP(dst)
	case MAC:
		dst = appendMAC(dst, n.Data)
	case Object, List, Union, Group:
		dst = w.appendMembers(dst, t, at)
	}
	if n.Flags&Boxed != 0 {
		dst = append(dst, ']')
	}
	if n.Form != nil {
		dst = append(dst, n.Form.Post...)
	}
	switch {
	case n.Kind == String || n.Kind == Bytes || n.Kind == IP || n.Kind == MAC || n.Kind == List && n.Flags&Cut != 0:
	case comment != "":
		dst = append(dst, " /* "...)
		dst = append(dst, comment...)
		dst = append(dst, " */"...)
	default:
		dst = appendComment(dst, n.Data)
	}
	return dst
}

func appendComment(dst, comment []byte) []byte {
	if comment == nil {
		return dst
	}
	dst = append(dst, " /* "...)
	dst = append(dst, comment...)
	return append(dst, " */"...)
}

// Default forms of containers.
var (
	objectForm = Form{Open: "{", Close: "}", Sep: ", "}
	listForm   = Form{Open: "[", Close: "]", Sep: ", "}
	unionForm  = Form{Sep: "|"}
	groupForm  = Form{}
)

func formOf(n *Node) *Form {
	if f := n.Form; f != nil && len(f.Open)+len(f.Close)+len(f.Sep) > 0 {
		return f
	}
	// What has members is one of these, or a group.
	//exhaustive:ignore
	switch n.Kind {
	case Object:
		return &objectForm
	case List:
		return &listForm
	case Union:
		return &unionForm
	default:
		return &groupForm
	}
}

func (w *Text) appendMembers(dst []byte, t *Tree, at int32) []byte {
	n := &t.Nodes[at]
	f := formOf(n)
	dst = append(dst, f.Open...)
	shown, more := 0, n.Flags&(Cut|More) != 0
	named := n.Kind == Object && !f.Bare
	for i := at + 1; i < n.End; i = t.Nodes[i].End {
		m := &t.Nodes[i]
		if m.Flags&NoText != 0 {
			continue
		}
		if m.Flags&Hidden != 0 && !w.Verbose {
			more = true
			continue
		}
		if n.Flags&Limited != 0 && w.Limit > 0 && shown >= w.Limit && !w.Verbose {
			return append(append(append(dst, f.Sep...), "..."...), f.Close...)
		}
		if shown > 0 {
			dst = append(dst, f.Sep...)
		}
		shown++
		if named && m.Flags&NoName == 0 {
			dst = append(append(dst, m.Name...), '=')
		}
		dst = w.Append(dst, t, i)
	}
	if more {
		if shown > 0 {
			dst = append(dst, f.Sep...)
		}
		dst = append(dst, "..."...)
		if n.Flags&Cut != 0 {
			dst = appendComment(dst, n.Data)
		}
	}
	if shown == 0 && n.Kind == Union {
		dst = append(dst, '0')
	}
	return append(dst, f.Close...)
}

func (w *Text) appendFlags(dst []byte, n *Node) []byte {
	w.parts = parts(w.parts[:0], n)
	if len(w.parts) == 0 {
		if n.Flags&(FlagOnly|Follows) == FlagOnly|Follows {
			return dst
		}
		return append(dst, '0')
	}
	for i := range w.parts {
		p := &w.parts[i]
		if i > 0 {
			dst = append(dst, '|')
		}
		switch {
		case p.name != "":
			dst = append(dst, p.name...)
		case p.octal:
			dst = appendOctal(dst, p.rest)
		case p.unknown:
			dst = appendUnknown(dst, p.rest, n.Set.Unknown)
		default:
			dst = appendHex(dst, p.rest)
		}
	}
	return dst
}

// openOn shows what a file descriptor is open on, if that is asked for and known.
func (w *Text) openOn(dst []byte, fd int32, result bool) []byte {
	if w.Fd == nil {
		return dst
	}
	if text := w.Fd(fd, result); text != "" {
		dst = append(append(append(dst, '<'), text...), '>')
	}
	return dst
}

const digits = "0123456789abcdef"

// appendBytes shows all bytes by their numbers: "\x01\x02".
func (w *Text) appendBytes(dst []byte, n *Node) []byte {
	data := n.Data
	if w.Limit > 0 && len(data) > w.Limit && n.Flags&Whole == 0 {
		data = data[:w.Limit]
	}
	dst = append(dst, '"')
	for _, c := range data {
		dst = append(dst, '\\', 'x', digits[c>>4], digits[c&15])
	}
	dst = append(dst, '"')
	if len(data) < len(n.Data) || n.Flags&Cut != 0 {
		dst = append(dst, "..."...)
	}
	return dst
}

func (n *Node) appendIP(dst []byte) []byte {
	switch len(n.Data) {
	case 0:
		var a [4]byte
		binary.LittleEndian.PutUint32(a[:], uint32(n.Num))
		return netip.AddrFrom4(a).AppendTo(dst)
	case 4:
		return netip.AddrFrom4([4]byte(n.Data)).AppendTo(dst)
	case 16:
		return netip.AddrFrom16([16]byte(n.Data)).AppendTo(dst)
	}
	return append(dst, '?')
}

// appendMAC shows 02:fc:00:00:00:01.
func appendMAC(dst, data []byte) []byte {
	for i, c := range data {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}

// appendUnknown shows a value that has no name: 0x63 /* F_??? */.
func appendUnknown(dst []byte, v uint64, unknown string) []byte {
	dst = appendHex(dst, v)
	dst = append(dst, " /* "...)
	dst = append(dst, unknown...)
	return append(dst, " */"...)
}

// appendHex appends a number as %#x does: 0 without a prefix.
func appendHex(dst []byte, v uint64) []byte {
	if v == 0 {
		return append(dst, '0')
	}
	dst = append(dst, "0x"...)
	return strconv.AppendUint(dst, v, 16)
}

// appendHexPadded appends a number as %#0Nx does: N columns in all, 0 without a prefix.
func appendHexPadded(dst []byte, v uint64, columns int) []byte {
	if columns == 0 || v == 0 && columns == 1 {
		return appendHex(dst, v)
	}
	if v == 0 {
		return appendDigits(dst, 0, columns)
	}
	return appendDigits(append(dst, "0x"...), v, columns-2)
}

// appendDigits appends a number in hexadecimal with at least so many digits.
func appendDigits(dst []byte, v uint64, n int) []byte {
	for width := 16; width > n; width-- {
		if v>>(4*(width-1)) != 0 {
			n = width
			break
		}
	}
	for n--; n >= 0; n-- {
		dst = append(dst, digits[v>>(4*n)&15])
	}
	return dst
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
