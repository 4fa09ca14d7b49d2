// Package record reads what the BPF program writes: records, as they stand in a
// ring or in a dump. It needs no kernel, no rights and no BPF library; the layout
// is that of bpf/recorder.h.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/recorderd/recorderd/recorder/layout"
)

// Arch is a system call ABI: it says which table a call's number belongs to.
type Arch uint8

// The ABIs of the supported kernels. A kernel has a native one and a 32-bit one.
const (
	ArchX86_64 Arch = iota + 1
	ArchI386
	ArchX32
	ArchARM64
	ArchARM
)

// String returns the name that the kernel's and strace's sources use.
func (a Arch) String() string {
	switch a {
	case ArchX86_64:
		return "x86_64"
	case ArchI386:
		return "i386"
	case ArchX32:
		return "x32"
	case ArchARM64:
		return "arm64"
	case ArchARM:
		return "arm"
	}
	return fmt.Sprintf("arch-%d", uint8(a))
}

// Is32 reports whether pointers and longs of the ABI have 4 bytes.
func (a Arch) Is32() bool { return a == ArchI386 || a == ArchX32 || a == ArchARM }

// ABI returns the ABI of a record with these flags on a node whose native ABI is a.
func (a Arch) ABI(flags layout.RecFlag) Arch {
	switch {
	case flags&layout.RecfCompat != 0 && a == ArchX86_64:
		return ArchI386
	case flags&layout.RecfCompat != 0 && a == ArchARM64:
		return ArchARM
	case flags&layout.RecfX32 != 0:
		return ArchX32
	}
	return a
}

// Record is one entry of a ring. Which fields mean what depends on Type; see
// enum rec_type in bpf/recorder.h.
type Record struct {
	Type  layout.RecType
	Flags layout.RecFlag
	Time  uint64 // ns, CLOCK_MONOTONIC: the end of a call, or when the thing happened
	Dur   uint64 // ns; 0 and RecfNodur in Flags: not known
	Tid   uint32 // in the host's pid namespace
	Nr    uint16 // system call number of its ABI, or what Type says; see Number
	Ret   int64  // result, -4095..-1: an error
	Args  [6]uint64
	Items []Item
}

// Number returns the number of a call, of which Nr has no room for all. As the kernel takes it, it
// is an int.
func (r *Record) Number() int64 {
	if r.Nr == layout.NrItem && (r.Type == layout.RecCall || r.Type == layout.RecEnter) {
		for i := range r.Items {
			if it := &r.Items[i]; it.Kind == layout.ItemNumber && len(it.Data) == 4 {
				return int64(int32(binary.LittleEndian.Uint32(it.Data)))
			}
		}
	}
	return int64(r.Nr)
}

// Item is what an argument points to, or a part of it.
type Item struct {
	Arg   uint8 // 0..5
	Kind  layout.ItemKind
	Flags layout.ItemFlag
	Data  []byte // aliases the buffer that the record was parsed from
}

// Cut reports whether there was more than Data holds.
func (i Item) Cut() bool { return i.Flags&layout.ItemCut != 0 }

// Fault reports whether memory became unreadable after Data.
func (i Item) Fault() bool { return i.Flags&layout.ItemFault != 0 }

// Entry reports whether the item was read when the call began, rather than at its end.
func (i Item) Entry() bool { return i.Flags&layout.ItemEntry != 0 }

// Piece is a part of contents that were written or read at once.
type Piece struct {
	Data []byte
	Cut  bool  // there was more, before the next piece
	Of   int64 // bytes that the part of the vector has; -1: it is not known
}

// PieceFault stands in an ItemPieces for a part of a vector that could not be read.
const PieceFault = 0xffff

// Pieces returns the contents in an item: one piece, or those of the parts of a vector where one that
// is not the last was cut.
func (r *Record) Pieces(at int) []Piece {
	it := &r.Items[at]
	if it.Kind != layout.ItemIovdata || at == 0 || at+1 >= len(r.Items) || r.Items[at+1].Kind != layout.ItemPieces {
		return []Piece{{Data: it.Data, Cut: it.Cut(), Of: -1}}
	}
	iov, sizes, data := r.Items[at-1].Data, r.Items[at+1].Data, it.Data
	n := len(sizes) / 2
	var pieces []Piece
	for i := range n {
		size := int(binary.LittleEndian.Uint16(sizes[2*i:]))
		if size == PieceFault {
			size = 0
		}
		p := Piece{Data: data[:min(size, len(data))], Of: -1}
		data = data[len(p.Data):]
		switch end := len(iov) / n * (i + 1); len(iov) / n { // a struct iovec, its length behind its address
		case 8:
			p.Of = int64(binary.LittleEndian.Uint32(iov[end-4:]))
		case 16:
			p.Of = int64(min(binary.LittleEndian.Uint64(iov[end-8:]), math.MaxInt32))
		}
		p.Cut = p.Of > int64(len(p.Data))
		pieces = append(pieces, p)
	}
	return pieces
}

// Start returns the time at which the call began, or Time if that is not known.
func (r *Record) Start() uint64 {
	if r.Flags&layout.RecfNodur != 0 || r.Dur > r.Time {
		return r.Time
	}
	return r.Time - r.Dur
}

// Errors of Parse and NewRing. They are wrapped with what was found.
var (
	ErrShort   = errors.New("record is cut short")
	ErrInvalid = errors.New("record is invalid")
	// ErrNewer: another recorderd made the ring, and this one cannot read it.
	ErrNewer = errors.New("ring is of an unknown version")
)

// Parse reads the record in b, whose stamp has been checked and replaced by its
// plain meta word: length / 8 << 14 | flags << 4 | type. Length and b must agree. The items of rec
// alias b, and its item slice is reused.
func Parse(b []byte, rec *Record) error {
	if len(b) < layout.RecHead {
		return fmt.Errorf("%w: %d bytes", ErrShort, len(b))
	}
	meta := binary.LittleEndian.Uint64(b)
	if want := metaLen(meta); want != len(b) {
		return fmt.Errorf("%w: it says %d bytes and has %d", ErrInvalid, want, len(b))
	}
	rec.Type, rec.Flags = metaType(meta), metaFlags(meta)
	rec.Time = binary.LittleEndian.Uint64(b[8:])
	rec.Tid = binary.LittleEndian.Uint32(b[16:])
	rec.Nr = binary.LittleEndian.Uint16(b[20:])
	sizes := binary.LittleEndian.Uint16(b[22:])
	rec.Items = rec.Items[:0]

	at := layout.RecHead
	for i := range 8 {
		var v uint64
		switch sizes >> (2 * i) & 3 {
		case 1:
			if at+4 > len(b) {
				return fmt.Errorf("%w: value %d runs over its end", ErrInvalid, i)
			}
			v = uint64(int64(int32(binary.LittleEndian.Uint32(b[at:]))))
			at += 4
		case 2:
			if at+8 > len(b) {
				return fmt.Errorf("%w: value %d runs over its end", ErrInvalid, i)
			}
			v = binary.LittleEndian.Uint64(b[at:])
			at += 8
		case 3:
			return fmt.Errorf("%w: value %d has an unknown size", ErrInvalid, i)
		}
		switch i {
		case 0:
			rec.Dur = v
		case 1:
			rec.Ret = int64(v)
		default:
			rec.Args[i-2] = v
		}
	}
	for at+layout.SizeofItem <= len(b) {
		head := binary.LittleEndian.Uint32(b[at:])
		if head == 0 {
			break
		}
		n := int(head >> 16)
		at += layout.SizeofItem
		if at+n > len(b) {
			return fmt.Errorf("%w: an item of %d bytes runs over its end", ErrInvalid, n)
		}
		rec.Items = append(rec.Items, Item{
			Arg:   uint8(head & 0xf),
			Flags: layout.ItemFlag(head & 0xf0),
			Kind:  layout.ItemKind(head >> 8 & 0xff),
			Data:  b[at : at+n : at+n],
		})
		at += n
	}
	return nil
}

// The meta word: the low 24 bits of a stamp.

func metaLen(meta uint64) int              { return int(meta>>14&0x3ff) * 8 }
func metaFlags(meta uint64) layout.RecFlag { return layout.RecFlag(meta >> 4 & 0x3ff) }
func metaType(meta uint64) layout.RecType  { return layout.RecType(meta & 0xf) }
