package value

import "github.com/recorderd/recorderd/recorder/syscalls"

// part is one of the pieces that a number falls into: a name, or what has none.
type part struct {
	name    string
	rest    uint64
	octal   bool // rest: permission bits
	unknown bool // rest: nothing of it is known
}

// Commands of System V IPC, and the flag for their newer structs.
const ipcMask, ipc64 = 0xff, 0x100

// parts appends the pieces of a Flags node, in the order in which they are shown; none if
// it is 0.
func parts(dst []part, n *Node) []part {
	s, v := n.Set, n.Num
	if n.Flags&FlagOnly != 0 {
		return flagParts(dst, s, v, n.Flags&Follows != 0)
	}
	if s.Mask == ipcMask && v&ipc64 != 0 && len(s.Flags) == 1 && s.Flags[0].Value == ipc64 {
		dst = append(dst, part{name: "IPC_64"}) // stands first, as an exception
		v &^= ipc64
	}
	permissions := s.Mask != 0 && s.Enums == nil // as in semget's flags
	known := false
	switch {
	case permissions:
		if v&^s.Mask != 0 {
			dst = flagParts(dst, s, v&^s.Mask, false)
		}
		return append(dst, part{rest: v & s.Mask, octal: true})
	case s.Mask != 0:
		if name := s.Enum(v & s.Mask); name != "" {
			dst, known = append(dst, part{name: name}), true
		} else if v&s.Mask != 0 {
			dst, known = append(dst, part{rest: v & s.Mask, unknown: true}), true
		}
		v &^= s.Mask
	case v == 0:
		for i := range s.Flags {
			if s.Flags[i].Value == 0 {
				return append(dst, part{name: s.Flags[i].Name})
			}
		}
	}
	return flagParts(dst, s, v, known)
}

// flagParts appends the names of the bits in v, and the rest. more: something stands before.
func flagParts(dst []part, s *syscalls.Set, v uint64, more bool) []part {
	for i := range s.Flags {
		if v == 0 {
			return dst
		}
		if f := &s.Flags[i]; f.Value != 0 && v&f.Value == f.Value {
			dst = append(dst, part{name: f.Name})
			v &^= f.Value
			more = true
		}
	}
	if v != 0 {
		dst = append(dst, part{rest: v, unknown: !more})
	}
	return dst
}
