package dump

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// For who keeps a dump in another form than as one stream: its beginning and its
// frames by themselves.

// FrameOverhead is what a frame takes beside its payload, in bytes.
const FrameOverhead = frameHead + frameTail

// ErrShort: a frame, or a dump's beginning, is not there as a whole yet.
var ErrShort = errors.New("more bytes are needed")

// AppendPreamble appends what stands before the first frame of a dump of a version.
func AppendPreamble(b []byte, version uint32) []byte {
	return binary.LittleEndian.AppendUint32(append(b, Magic...), version)
}

// ParsePreamble reads what stands before the first frame, and returns the version
// and how many bytes it takes. The error is ErrShort or wraps ErrForeign or ErrNewer.
func ParsePreamble(b []byte) (version uint32, n int, err error) {
	if m := min(len(b), len(Magic)); string(b[:m]) != Magic[:m] {
		return 0, 0, fmt.Errorf("%w: it begins with %q", ErrForeign, b[:m])
	}
	if len(b) < preamble {
		return 0, 0, ErrShort
	}
	version = binary.LittleEndian.Uint32(b[len(Magic):])
	if version == 0 || version > Version {
		return 0, 0, fmt.Errorf("%w (version %d, this one reads up to %d)", ErrNewer, version, Version)
	}
	return version, preamble, nil
}

// AppendFrame appends a frame, whose payload has at most MaxFrame bytes.
func AppendFrame(b []byte, t FrameType, payload []byte) []byte {
	start := len(b)
	b = append(b, byte(t), 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// ParseFrame reads the frame at the beginning of b, which its payload aliases, and
// returns how many bytes it takes. The error is ErrShort if b ends before the
// frame, or wraps ErrCorrupt if there is none, its checksum is wrong, or its rows
// are not whole.
func ParseFrame(b []byte) (f Frame, n int, err error) {
	if len(b) < frameHead {
		return f, 0, ErrShort
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if length > MaxFrame || b[1]|b[2]|b[3] != 0 {
		return f, 0, fmt.Errorf("%w: a frame's head is %x", ErrCorrupt, b[:frameHead])
	}
	n = FrameOverhead + int(length)
	if len(b) < n {
		return f, 0, ErrShort
	}
	end := n - frameTail
	want := binary.LittleEndian.Uint32(b[end:])
	if sum := crc32.Checksum(b[:end], castagnoli); sum != want {
		return f, 0, fmt.Errorf("%w: a frame's checksum is %08x, not %08x", ErrCorrupt, sum, want)
	}
	f = Frame{Type: FrameType(b[0]), Payload: b[frameHead:end:end]}
	if _, err := f.rows(); err != nil {
		return f, 0, fmt.Errorf("%w: a frame of type %q: %w", ErrCorrupt, byte(f.Type), err)
	}
	return f, n, nil
}

// Cut returns the payload of a frame in two, of which the first has at most n
// bytes and as many whole records or tasks as fit into them. A frame without rows
// can't be cut: it is in rest, unless it fits.
func (f Frame) Cut(n int) (first, rest []byte) {
	switch {
	case len(f.Payload) <= n:
		return f.Payload, nil
	case n <= 0:
		return nil, f.Payload
	case f.Type == FrameTasks:
		n -= n % layout.SizeofTaskInfo
		return f.Payload[:n], f.Payload[n:]
	case !f.Type.hasRecords():
		return nil, f.Payload
	}
	at := 0
	for {
		one, _, err := record.Next(f.Payload[at:])
		if err != nil || at+len(one) > n {
			return f.Payload[:at], f.Payload[at:]
		}
		at += len(one)
	}
}
