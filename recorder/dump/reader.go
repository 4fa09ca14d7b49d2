package dump

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// Reader reads a dump, one frame at a time. Its memory is that of the longest
// frame, whatever the input.
type Reader struct {
	r       io.Reader
	version uint32
	header  *Header
	end     *End
	first   bool // the header that NewReader has read is still to be returned
	buf     []byte
	payload []byte // of the frame that was read last
	off     int64  // in the input
	frames  int
	count   map[FrameType]uint64
	damage  []Damage
	err     error
}

// maxDamage is how many damage frames a Reader keeps apart; what comes behind goes into the last.
const maxDamage = 256

// Frame is one frame of a dump.
type Frame struct {
	Type FrameType
	// Payload is valid until the next call of Reader.Next. Its checksum is right,
	// and rows of records or tasks in it are whole.
	Payload []byte
}

// NewReader reads the beginning of a dump, up to its header. r is read in large
// pieces and needs no buffering. The error wraps ErrForeign, ErrNewer,
// ErrTruncated or ErrCorrupt, or is r's.
func NewReader(r io.Reader) (*Reader, error) {
	d := &Reader{r: r, count: make(map[FrameType]uint64)}
	var b [preamble]byte
	n, err := io.ReadFull(r, b[:])
	if n < len(Magic) || string(b[:len(Magic)]) != Magic {
		if err != nil && !isEOF(err) {
			return nil, fmt.Errorf("read dump: %w", err)
		}
		if n > 0 && bytes.HasPrefix([]byte(Magic), b[:n]) {
			return nil, fmt.Errorf("%w after %d bytes", ErrTruncated, n)
		}
		if n == 0 {
			return nil, fmt.Errorf("%w: it is empty", ErrForeign)
		}
		return nil, fmt.Errorf("%w: it begins with %q", ErrForeign, b[:min(n, len(Magic))])
	}
	if err != nil {
		if !isEOF(err) {
			return nil, fmt.Errorf("read dump: %w", err)
		}
		return nil, fmt.Errorf("%w after %d bytes", ErrTruncated, n)
	}
	d.off = int64(n)
	d.version = binary.LittleEndian.Uint32(b[len(Magic):])
	if d.version > Version {
		return nil, fmt.Errorf("%w (version %d, this one reads up to %d)", ErrNewer, d.version, Version)
	}
	if d.version == 0 {
		return nil, fmt.Errorf("%w: version 0", ErrCorrupt)
	}
	f, err := d.Next()
	if err != nil {
		if err == io.EOF {
			err = fmt.Errorf("%w: it has no header", ErrCorrupt)
		}
		return nil, err
	}
	if f.Type != FrameHeader {
		return nil, fmt.Errorf("%w: it has no header, its first frame is of type %q", ErrCorrupt, byte(f.Type))
	}
	d.first = true
	return d, nil
}

// Header returns the header that was read last. It must not be changed.
func (d *Reader) Header() *Header { return d.header }

// Version returns the dump's version of the format.
func (d *Reader) Version() int { return int(d.version) }

// Records returns how many records of the type have been read, or tasks.
func (d *Reader) Records(t FrameType) uint64 { return d.count[t] }

// Damage returns what the damage frames that have been read say is missing.
func (d *Reader) Damage() []Damage { return d.damage }

// End returns the end of the dump, nil as long as it was not reached.
func (d *Reader) End() *End { return d.end }

// Next returns the next frame, the header and the end among them. Frames of
// unknown types are left out. After the end frame the error is io.EOF;
// before it, it wraps ErrTruncated or ErrCorrupt, or is that of the underlying
// reader. An error stays.
func (d *Reader) Next() (Frame, error) {
	if d.first {
		d.first = false
		return Frame{FrameHeader, d.payload}, nil
	}
	for d.err == nil {
		f, known, err := d.next()
		if err != nil {
			d.err = err
			break
		}
		if known {
			return f, nil
		}
	}
	return Frame{}, d.err
}

func (d *Reader) next() (f Frame, known bool, err error) {
	if d.end != nil {
		return f, false, io.EOF
	}
	var head [frameHead]byte
	if err := d.read(head[:]); err != nil {
		return f, false, err
	}
	f.Type = FrameType(head[0])
	n := binary.LittleEndian.Uint32(head[4:])
	if n > MaxFrame || head[1]|head[2]|head[3] != 0 {
		return f, false, d.corrupt(f.Type, "its head is %x", head)
	}
	if cap(d.buf) < int(n)+frameTail {
		d.buf = make([]byte, max(int(n)+frameTail, 64<<10))
	}
	b := d.buf[:int(n)+frameTail]
	if err := d.read(b); err != nil {
		return f, false, err
	}
	f.Payload = b[:n:n]
	want := binary.LittleEndian.Uint32(b[n:])
	if sum := crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, f.Payload); sum != want {
		return f, false, d.corrupt(f.Type, "its checksum is %08x, not %08x", sum, want)
	}
	known, err = d.look(f)
	if err != nil {
		return f, false, err
	}
	d.frames++
	d.off += int64(frameHead + len(b))
	d.payload = f.Payload
	return f, known, nil
}

// look checks and counts what is in a frame.
func (d *Reader) look(f Frame) (known bool, err error) {
	switch f.Type {
	case FrameHeader:
		h, err := DecodeHeader(f.Payload)
		if err != nil {
			return false, d.corrupt(f.Type, "%v", err)
		}
		if h.Layout > layout.RecorderLayout {
			return false, fmt.Errorf("%w (records of layout %d, this one reads up to %d)", ErrNewer, h.Layout, layout.RecorderLayout)
		}
		d.header = h
	case FrameTasks, FrameGuard, FrameMain, FrameProgress:
		n, err := f.rows()
		if err != nil {
			return false, d.corrupt(f.Type, "%v", err)
		}
		d.count[f.Type] += n
	case FrameDamage:
		var one Damage
		if err := json.Unmarshal(f.Payload, &one); err != nil {
			return false, d.corrupt(f.Type, "%v", err)
		}
		if len(d.damage) < maxDamage {
			d.damage = append(d.damage, one)
		} else {
			d.damage[maxDamage-1].Add(one)
		}
	case FrameOpen:
		if err := json.Unmarshal(f.Payload, new(OpenFiles)); err != nil {
			return false, d.corrupt(f.Type, "%v", err)
		}
	case FrameEnd:
		end := new(End)
		if err := json.Unmarshal(f.Payload, end); err != nil {
			return false, d.corrupt(f.Type, "%v", err)
		}
		for _, t := range []FrameType{FrameTasks, FrameGuard, FrameMain, FrameProgress} {
			if want := end.Records[string(t)]; want != d.count[t] {
				return false, fmt.Errorf("%w: it has %d rows of type %q, its end says %d", ErrCorrupt, d.count[t], byte(t), want)
			}
		}
		d.end = end
	default:
		return false, nil
	}
	return true, nil
}

func (d *Reader) read(b []byte) error {
	if _, err := io.ReadFull(d.r, b); err != nil {
		if !isEOF(err) {
			return fmt.Errorf("read dump: %w", err)
		}
		n := d.count[FrameGuard] + d.count[FrameMain] + d.count[FrameProgress]
		return fmt.Errorf("%w after %d records", ErrTruncated, n)
	}
	return nil
}

func (d *Reader) corrupt(t FrameType, format string, args ...any) error {
	return fmt.Errorf("%w: frame %d (type %q, at byte %d): %s", ErrCorrupt, d.frames, byte(t), d.off, fmt.Sprintf(format, args...))
}

func isEOF(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// rows counts the records or tasks in a frame; of other frames it is 0. It is an
// error if they are not whole.
func (f Frame) rows() (n uint64, err error) {
	switch {
	case f.Type == FrameTasks:
		if len(f.Payload)%layout.SizeofTaskInfo != 0 {
			return 0, fmt.Errorf("its length is no multiple of %d", layout.SizeofTaskInfo)
		}
		return uint64(len(f.Payload) / layout.SizeofTaskInfo), nil
	case f.Type.hasRecords():
		for b := f.Payload; len(b) > 0; n++ {
			_, rest, err := record.Next(b)
			if err != nil {
				return 0, err
			}
			b = rest
		}
	}
	return n, nil
}

// Damage returns what a frame of type FrameDamage says is missing, and false of others.
func (f Frame) Damage() (d Damage, ok bool) {
	if f.Type != FrameDamage || json.Unmarshal(f.Payload, &d) != nil {
		return Damage{}, false
	}
	return d, true
}

// Records iterates over the records in a frame of type FrameGuard, FrameMain or
// FrameProgress; in others there are none. They alias Payload.
func (f Frame) Records() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !f.Type.hasRecords() {
			return
		}
		for b := f.Payload; len(b) > 0; {
			one, rest, err := record.Next(b)
			if err != nil || !yield(one) {
				return
			}
			b = rest
		}
	}
}

// Tasks iterates over the rows of a frame of type FrameTasks; in others there are
// none. The pointer is valid until the next turn.
func (f Frame) Tasks() iter.Seq[*layout.TaskInfo] {
	return func(yield func(*layout.TaskInfo) bool) {
		if f.Type != FrameTasks {
			return
		}
		var t layout.TaskInfo
		for b := f.Payload; len(b) >= layout.SizeofTaskInfo; b = b[layout.SizeofTaskInfo:] {
			parseTask(b, &t)
			if !yield(&t) {
				return
			}
		}
	}
}
