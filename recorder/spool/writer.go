package spool

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/recorderd/recorderd/recorder/dump"
)

// Writer turns a dump, as dump.Writer writes it, into a spooled file. Its methods
// are not safe for concurrent use. The first error stays.
type Writer struct {
	w       io.Writer
	meta    Meta
	id      uint64
	in      []byte // the beginning of a frame whose end has not come
	block   []byte // frames of the block that is being filled
	out     []byte
	header  []byte // the dump's first header frame
	version uint32 // of the dump; 0: its beginning has not come
	seq     uint32
	off     int64
	raw     int64
	rows    map[string]uint64
	ended   bool
	closed  bool
	err     error
}

// NewWriter returns a Writer to w, which sees one Write for each block.
func NewWriter(w io.Writer, meta *Meta) *Writer {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return &Writer{w: w, meta: *meta, id: binary.LittleEndian.Uint64(id[:]), rows: make(map[string]uint64)}
}

// Size is how many bytes have been written to the underlying writer.
func (w *Writer) Size() int64 { return w.off }

// Raw is how many bytes of frames have come.
func (w *Writer) Raw() int64 { return w.raw }

// Write takes the next bytes of a dump, whatever their borders. An error of the
// underlying writer comes as it is; that a dump is damaged wraps dump.ErrCorrupt.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err == nil && w.closed {
		w.err = errors.New("write spooled dump: it is closed")
	}
	if w.err != nil {
		return 0, w.err
	}
	rest := p
	if len(w.in) > 0 {
		w.in = append(w.in, p...)
		rest = w.in
	}
	for len(rest) > 0 {
		n, err := w.take(rest)
		if errors.Is(err, dump.ErrShort) {
			break
		}
		if err != nil {
			w.err = err
			return 0, err
		}
		rest = rest[n:]
	}
	w.in = append(w.in[:0], rest...)
	if len(w.in) == 0 && cap(w.in) > blockRaw {
		w.in = nil
	}
	return len(p), nil
}

// take takes the preamble or a frame from the beginning of b.
func (w *Writer) take(b []byte) (int, error) {
	if w.version == 0 {
		version, n, err := dump.ParsePreamble(b)
		if err != nil {
			return 0, err
		}
		w.version = version
		return n, w.begin()
	}
	if w.ended {
		return 0, fmt.Errorf("write spooled dump: %w: something is behind its end", dump.ErrCorrupt)
	}
	f, n, err := dump.ParseFrame(b)
	if err != nil {
		if errors.Is(err, dump.ErrShort) {
			return 0, err
		}
		return 0, fmt.Errorf("write spooled dump: %w", err)
	}
	if w.header == nil {
		if f.Type != dump.FrameHeader {
			return 0, fmt.Errorf("write spooled dump: %w: it begins with a frame of type %q", dump.ErrCorrupt, byte(f.Type))
		}
		w.header = append(w.header, b[:n]...)
	}
	w.ended = f.Type == dump.FrameEnd
	if w.ended {
		var end dump.End
		if json.Unmarshal(f.Payload, &end) == nil {
			w.rows = end.Records
		}
	}
	return n, w.frame(f, b[:n])
}

// frame adds a frame to the block at hand, in pieces if it is too long.
func (w *Writer) frame(f dump.Frame, whole []byte) error {
	if w.block == nil {
		w.block = buffer()
	}
	if len(w.block)+len(whole) <= blockRaw {
		w.block = append(w.block, whole...)
		return nil
	}
	for {
		first, rest := f.Cut(blockRaw - len(w.block) - dump.FrameOverhead)
		if len(first) > 0 || len(rest) == 0 {
			w.block = dump.AppendFrame(w.block, f.Type, first)
		}
		if len(rest) == 0 {
			return nil
		}
		if len(w.block) == 0 { // it can't be cut: a block of its own
			w.block = dump.AppendFrame(w.block, f.Type, rest)
			return w.flush()
		}
		if err := w.flush(); err != nil {
			return err
		}
		f.Payload = rest
	}
}

// begin writes what stands before the frames.
func (w *Writer) begin() error {
	if err := w.write(appendPreamble(nil, w.id)); err != nil {
		return err
	}
	return w.describe()
}

// describe writes the description.
func (w *Writer) describe() error {
	b, err := json.Marshal(blockOf(&w.meta, w.version))
	if err != nil {
		return fmt.Errorf("write spooled dump: encode description: %w", err)
	}
	if len(b) > MaxMeta {
		return fmt.Errorf("write spooled dump: description of %d bytes: at most %d are possible", len(b), MaxMeta)
	}
	return w.emit(blockMeta, b)
}

func (w *Writer) flush() error {
	if len(w.block) == 0 {
		return nil
	}
	w.raw += int64(len(w.block))
	err := w.emit(blockFrames, w.block)
	w.block = w.block[:0]
	if cap(w.block) > 2*blockRaw {
		w.block = nil
	}
	return err
}

// emit writes a block.
func (w *Writer) emit(kind byte, raw []byte) error {
	h := head{kind: kind, codec: codecZstd, id: w.id, seq: w.seq, raw: len(raw)}
	packed := compress(buffer(), raw)
	payload := packed
	if len(packed) >= len(raw) {
		h.codec, payload = codecStored, raw
	}
	if w.out == nil {
		w.out = buffer()
	}
	w.out = appendBlock(w.out[:0], h, payload)
	release(packed)
	w.seq++
	return w.write(w.out)
}

func (w *Writer) write(b []byte) error {
	n, err := w.w.Write(b)
	w.off += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// Close writes the end of the file. It does not close the underlying writer. It is
// an error, which wraps dump.ErrTruncated, if the dump has not ended.
func (w *Writer) Close() error {
	if w.closed {
		return w.err
	}
	w.closed = true
	if w.err == nil {
		w.err = w.finish()
	}
	w.discard()
	return w.err
}

// discard gives the memory back.
func (w *Writer) discard() {
	w.closed = true
	release(w.block)
	release(w.out)
	w.in, w.block, w.out = nil, nil, nil
}

func (w *Writer) finish() error {
	if !w.ended || len(w.in) > 0 {
		return fmt.Errorf("write spooled dump: %w: it has no end", dump.ErrTruncated)
	}
	if err := w.flush(); err != nil {
		return err
	}
	again := w.off
	if err := w.describe(); err != nil {
		return err
	}
	if err := w.emit(blockHeader, w.header); err != nil {
		return err
	}
	b, err := json.Marshal(endBlock{w.seq + 1, w.raw, w.rows})
	if err != nil {
		return fmt.Errorf("write spooled dump: encode end: %w", err)
	}
	if err := w.emit(blockEnd, b); err != nil {
		return err
	}
	return w.write(appendTrailer(nil, w.id, again))
}
