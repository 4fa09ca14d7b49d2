package value

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// JSON writes values for programs. The same kind of value has the same shape everywhere:
//
//   - numbers are numbers, addresses too; a null pointer is null
//   - enumerations and signals are names, or numbers where they have no name
//   - flags are lists of names, with the unknown rest in hexadecimal as the last element;
//     sets of signals are lists of names
//   - text is a string, in which U+FFFD stands for what is not UTF-8 (see Base64); opaque
//     bytes are a string of hexadecimal digits
//   - what a call reads and overwrites is {"in":…,"out":…}, as far as it is known
type JSON struct {
	// BigStrings writes integers beyond ±2^53 as strings, for readers that have only doubles.
	BigStrings bool

	parts  []part
	binary []int32 // nodes of strings that are not UTF-8, since the last root
	paths  []binaryPath
}

// binaryPath is where a string stands that is not UTF-8.
type binaryPath struct {
	pointer string
	data    []byte
}

// Args appends the arguments of a call as an array.
func (w *JSON) Args(dst []byte, t *Tree) []byte {
	dst = append(dst, '[')
	for i := range t.Args {
		a := &t.Args[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"name":"`...)
		dst = append(dst, a.Name...)
		dst = append(dst, `","type":"`...)
		dst = append(dst, a.Type...)
		dst = append(dst, `","raw":`...)
		dst = w.uint(dst, a.Raw)
		if t.says(a.Root, a.Raw) {
			dst = append(dst, `,"value":`...)
			dst = w.Append(dst, t, a.Root)
			w.locate(t, a.Root, "/args/", i)
		}
		if t.cut(a.Root) {
			dst = append(dst, `,"cut":true`...)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// Values appends the arguments of a call as an object: their values by their names, and
// what stood in the register where that is all there is to say.
func (w *JSON) Values(dst []byte, t *Tree) []byte {
	dst = append(dst, '{')
	for i := range t.Args {
		a := &t.Args[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), a.Name...), '"', ':')
		if t.says(a.Root, a.Raw) {
			dst = w.Append(dst, t, a.Root)
		} else {
			dst = w.uint(dst, a.Raw)
		}
	}
	w.binary = w.binary[:0]
	return append(dst, '}')
}

// Means appends what the result of a call means; it must mean something.
func (w *JSON) Means(dst []byte, t *Tree) []byte {
	dst = w.Append(dst, t, t.Means)
	w.locate(t, t.Means, "/result", -1)
	return dst
}

// NotUTF8 notes a string that does not belong to a tree, as jsonString writes it.
func (w *JSON) NotUTF8(pointer string, data []byte) {
	if !utf8.Valid(data) {
		w.paths = append(w.paths, binaryPath{pointer, data})
	}
}

// Base64 appends the strings that were written since the last call and are not UTF-8 as a
// member of an object, behind others: ,"base64":{"/args/1/value":"Yf8="}. The names are JSON
// pointers (RFC 6901). It appends nothing if there are none.
func (w *JSON) Base64(dst []byte) []byte {
	if len(w.paths) == 0 {
		return dst
	}
	dst = append(dst, `,"base64":{`...)
	for i, p := range w.paths {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendJSONString(dst, p.pointer), ':', '"')
		dst = append(base64.StdEncoding.AppendEncode(dst, p.data), '"')
	}
	w.paths = w.paths[:0]
	return append(dst, '}')
}

// locate turns what Append found below a root into paths.
func (w *JSON) locate(t *Tree, root int32, prefix string, arg int) {
	if len(w.binary) == 0 {
		return
	}
	if arg >= 0 {
		prefix += strconv.Itoa(arg) + "/value"
	}
	for _, at := range w.binary {
		w.paths = append(w.paths, binaryPath{prefix + t.pointer(root, at), t.Nodes[at].Data})
	}
	w.binary = w.binary[:0]
}

// pointer returns the way from a node to one below it as a JSON pointer.
func (t *Tree) pointer(root, at int32) string {
	if root == at {
		return ""
	}
	n, index := &t.Nodes[root], 0
	for i := root + 1; i < n.End; i = t.Nodes[i].End {
		m := &t.Nodes[i]
		if m.Flags&NoJSON != 0 {
			continue
		}
		if at < m.End {
			// What has members is one of these, or a list.
			//exhaustive:ignore
			switch n.Kind {
			case Group:
				return t.pointer(i, at)
			case Object:
				return "/" + m.Name + t.pointer(i, at)
			default:
				return "/" + strconv.Itoa(index) + t.pointer(i, at)
			}
		}
		index++
	}
	return ""
}

// says reports whether a value says more than the register in which it was.
func (t *Tree) says(at int32, raw uint64) bool {
	n := &t.Nodes[at]
	if n.Flags&Boxed != 0 {
		return true // it was in memory
	}
	switch n.Kind {
	case Addr:
		return false
	case Uint, Hex, Digits:
		return n.Num != raw || n.Flags&Named != 0
	case Group:
		for i := at + 1; i < n.End; i = t.Nodes[i].End {
			if t.Nodes[i].Flags&NoJSON == 0 {
				return t.says(i, raw)
			}
		}
		return false
	case Int, Octal, Fd, Enum, Flags, Signal, Signals, Word, Bool, String, Bytes, IP, MAC, Object, List, Union:
	}
	return true
}

// cut reports whether something below a node was cut.
func (t *Tree) cut(at int32) bool {
	for i := at; i < t.Nodes[at].End; i++ {
		if t.Nodes[i].Flags&Cut != 0 {
			return true
		}
	}
	return false
}

// Append appends the value at a node.
func (w *JSON) Append(dst []byte, t *Tree, at int32) []byte {
	n := &t.Nodes[at]
	switch n.Kind {
	case Int:
		return w.int(dst, int64(n.Num))
	case Uint, Hex, Digits, Octal:
		if n.Flags&Named != 0 {
			return AppendJSONString(dst, n.Text)
		}
		return w.uint(dst, n.Num)
	case Addr:
		if n.Num == 0 {
			return append(dst, "null"...)
		}
		return w.uint(dst, n.Num)
	case Fd:
		if n.Text != "" {
			return AppendJSONString(dst, n.Text)
		}
		return strconv.AppendInt(dst, int64(int32(n.Num)), 10)
	case Enum:
		if n.Text != "" {
			return AppendJSONString(dst, n.Text)
		}
		return w.uint(dst, n.Num)
	case Flags:
		dst, _ = w.flags(append(dst, '['), n, false)
		return append(dst, ']')
	case Signal:
		sig := int(int64(n.Num))
		if sig <= 0 || sig > SignalMax {
			return strconv.AppendInt(dst, int64(sig), 10)
		}
		return append(AppendSignalName(append(dst, '"'), sig), '"')
	case Signals:
		return appendSignalList(dst, n.Num, int(n.Pad))
	case Word:
		return AppendJSONString(dst, n.Text)
	case Bool:
		return append(dst, "true"...)
	case String:
		if !utf8.Valid(n.Data) {
			w.binary = append(w.binary, at)
		}
		return AppendJSONString(dst, n.Data)
	case Bytes:
		dst = append(dst, '"')
		for _, c := range n.Data {
			dst = append(dst, digits[c>>4], digits[c&15])
		}
		return append(dst, '"')
	case IP:
		return append(n.appendIP(append(dst, '"')), '"')
	case MAC:
		return append(appendMAC(append(dst, '"'), n.Data), '"')
	case Object, List:
		return w.members(dst, t, at)
	case Union:
		return w.union(dst, t, at)
	case Group:
		for i := at + 1; i < n.End; i = t.Nodes[i].End {
			if t.Nodes[i].Flags&NoJSON == 0 {
				return w.Append(dst, t, i)
			}
		}
	}
	return append(dst, "null"...)
}

func (w *JSON) members(dst []byte, t *Tree, at int32) []byte {
	n := &t.Nodes[at]
	left, right := byte('{'), byte('}')
	if n.Kind == List {
		left, right = '[', ']'
	}
	dst = append(dst, left)
	shown := 0
	for i := at + 1; i < n.End; i = t.Nodes[i].End {
		m := &t.Nodes[i]
		if m.Flags&NoJSON != 0 {
			continue
		}
		if shown > 0 {
			dst = append(dst, ',')
		}
		if n.Kind == Object {
			dst = append(append(append(dst, '"'), m.Name...), '"', ':')
		}
		shown++
		dst = w.Append(dst, t, i)
	}
	return append(dst, right)
}

// union appends the parts of a number as one list of strings.
func (w *JSON) union(dst []byte, t *Tree, at int32) []byte {
	n := &t.Nodes[at]
	dst = append(dst, '[')
	more := false
	var text Text
	for i := at + 1; i < n.End; i = t.Nodes[i].End {
		m := &t.Nodes[i]
		if m.Flags&NoJSON != 0 {
			continue
		}
		if m.Kind == Flags {
			dst, more = w.flags(dst, m, more)
			continue
		}
		if more {
			dst = append(dst, ',')
		}
		more = true
		// Two have names; others are numbers.
		//exhaustive:ignore
		switch m.Kind {
		case Word, Enum:
			if m.Text != "" {
				dst = AppendJSONString(dst, m.Text)
				continue
			}
			dst = append(appendHex(append(dst, '"'), m.Num), '"')
		default:
			dst = append(dst, '"')
			dst = append(text.Append(dst, t, i), '"')
		}
	}
	return append(dst, ']')
}

// flags appends the elements of a list of flags, and reports whether the list has any.
func (w *JSON) flags(dst []byte, n *Node, more bool) ([]byte, bool) {
	w.parts = parts(w.parts[:0], n)
	for i := range w.parts {
		p := &w.parts[i]
		if more {
			dst = append(dst, ',')
		}
		more = true
		dst = append(dst, '"')
		switch {
		case p.name != "":
			dst = append(dst, p.name...)
		case p.octal:
			dst = appendOctal(dst, p.rest)
		default:
			dst = appendHex(dst, p.rest)
		}
		dst = append(dst, '"')
	}
	return dst, more
}

func appendSignalList(dst []byte, mask uint64, n int) []byte {
	dst = append(dst, '[')
	more := false
	for i := range n {
		if mask>>i&1 != 0 {
			if more {
				dst = append(dst, ',')
			}
			more = true
			dst = append(AppendSignalName(append(dst, '"'), i+1), '"')
		}
	}
	return append(dst, ']')
}

// doubles hold all integers up to this.
const exact = 1 << 53

func (w *JSON) uint(dst []byte, v uint64) []byte {
	if w.BigStrings && v > exact {
		return append(strconv.AppendUint(append(dst, '"'), v, 10), '"')
	}
	return strconv.AppendUint(dst, v, 10)
}

func (w *JSON) int(dst []byte, v int64) []byte {
	if w.BigStrings && (v > exact || v < -exact) {
		return append(strconv.AppendInt(append(dst, '"'), v, 10), '"')
	}
	return strconv.AppendInt(dst, v, 10)
}
