package record

import (
	"encoding/binary"
	"fmt"

	"github.com/recorderd/recorderd/recorder/layout"
)

// Append appends rec as it stands in a dump: like in a ring, but with the plain
// meta word (length / 8 << 14 | flags << 4 | type) in the stamp's place. What does not fit
// into layout.RecMax bytes is left out, with RecfCut set.
func Append(dst []byte, rec *Record) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, layout.RecHead)...)
	var sizes uint16
	values := [8]uint64{rec.Dur, uint64(rec.Ret)}
	copy(values[2:], rec.Args[:])
	for i, v := range values {
		switch {
		case v == 0:
		case int64(v) == int64(int32(v)):
			sizes |= 1 << (2 * i)
			dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
		default:
			sizes |= 2 << (2 * i)
			dst = binary.LittleEndian.AppendUint64(dst, v)
		}
	}
	flags := rec.Flags
	for _, it := range rec.Items {
		room := layout.RecMax - 8 - (len(dst) - start) - layout.SizeofItem
		if room < 0 {
			flags |= layout.RecfCut
			break
		}
		data, itemFlags := it.Data, it.Flags
		if len(data) > room {
			data, itemFlags, flags = data[:room], itemFlags|layout.ItemCut, flags|layout.RecfCut
		}
		dst = binary.LittleEndian.AppendUint32(dst, uint32(it.Arg&0xf)|uint32(itemFlags)&0xf0|uint32(it.Kind)<<8|uint32(len(data))<<16)
		dst = append(dst, data...)
	}
	for (len(dst)-start)%8 != 0 {
		dst = append(dst, 0)
	}
	b := dst[start:]
	binary.LittleEndian.PutUint64(b, meta(len(b), rec.Type, flags))
	binary.LittleEndian.PutUint64(b[8:], rec.Time)
	binary.LittleEndian.PutUint32(b[16:], rec.Tid)
	binary.LittleEndian.PutUint16(b[20:], rec.Nr)
	binary.LittleEndian.PutUint16(b[22:], sizes)
	return dst
}

// Next cuts the first record off b, a row of records as Append writes them.
// The error says where b stops making sense.
func Next(b []byte) (first, rest []byte, err error) {
	if len(b) < layout.RecHead {
		return nil, nil, fmt.Errorf("%w: %d bytes are left", ErrShort, len(b))
	}
	n := metaLen(binary.LittleEndian.Uint64(b))
	if n < layout.RecHead {
		return nil, nil, fmt.Errorf("%w: a length of %d bytes", ErrInvalid, n)
	}
	if n > len(b) {
		return nil, nil, fmt.Errorf("%w: it says %d bytes, %d are left", ErrShort, n, len(b))
	}
	return b[:n], b[n:], nil
}

func meta(n int, t layout.RecType, f layout.RecFlag) uint64 {
	return uint64(n/8)<<14 | uint64(f&0x3ff)<<4 | uint64(t&0xf)
}
