package dump

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// writeFrame is how long a frame of records grows, in bytes, before it is written.
const writeFrame = 256 << 10

// Writer writes a dump. Its methods are not safe for concurrent use. The first
// error of the underlying writer is returned by every later call.
type Writer struct {
	w       io.Writer
	buf     []byte    // the frame that is being filled, with its head; empty: none
	open    FrameType // its type
	begun   bool
	headed  bool
	records map[string]uint64
	err     error
}

// NewWriter returns a Writer that writes to w, which sees one Write per frame.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w, records: make(map[string]uint64)}
}

// Header writes a header. It must come first, and may come again.
func (w *Writer) Header(h *Header) error {
	b, err := EncodeHeader(h)
	if err != nil {
		return fmt.Errorf("write dump: %w", err)
	}
	w.headed = true
	w.begin(FrameHeader, len(b))
	w.buf = append(w.buf, b...)
	return w.Flush()
}

// Task adds who a thread is or was.
func (w *Writer) Task(t *layout.TaskInfo) error {
	w.begin(FrameTasks, layout.SizeofTaskInfo)
	w.buf = appendTask(w.buf, t)
	w.records[string(FrameTasks)]++
	return w.full()
}

// Record adds a record to a frame of type FrameGuard, FrameMain or FrameProgress.
// raw is as record.Append writes it.
func (w *Writer) Record(t FrameType, raw []byte) error {
	if !t.hasRecords() {
		return fmt.Errorf("write dump: frames of type %q hold no records", byte(t))
	}
	if one, _, err := record.Next(raw); err != nil {
		return fmt.Errorf("write dump: %w", err)
	} else if len(one) != len(raw) {
		return fmt.Errorf("write dump: record of %d bytes followed by %d more", len(one), len(raw)-len(one))
	}
	w.begin(t, len(raw))
	w.buf = append(w.buf, raw...)
	w.records[string(t)]++
	return w.full()
}

// Damage says that something is missing here.
func (w *Writer) Damage(d *Damage) error {
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("write dump: encode damage: %w", err)
	}
	w.begin(FrameDamage, len(b))
	w.buf = append(w.buf, b...)
	return w.Flush()
}

// Flush writes what has been added so far. A stream that is followed needs it;
// otherwise Close does it.
func (w *Writer) Flush() error {
	if w.err != nil || len(w.buf) == 0 {
		return w.err
	}
	if !w.headed {
		return fmt.Errorf("write dump: no header was written")
	}
	if !w.begun {
		w.begun = true
		if _, err := w.w.Write(binary.LittleEndian.AppendUint32([]byte(Magic), Version)); err != nil {
			return w.fail(err)
		}
	}
	b := w.buf
	b[0] = byte(w.open)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-frameHead))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	w.buf = b[:0]
	if _, err := w.w.Write(b); err != nil {
		return w.fail(err)
	}
	return nil
}

// Close writes the end of the dump. It does not close the underlying writer.
func (w *Writer) Close() error {
	b, err := json.Marshal(End{Records: w.records})
	if err != nil {
		return fmt.Errorf("write dump: encode end: %w", err)
	}
	w.begin(FrameEnd, len(b))
	w.buf = append(w.buf, b...)
	return w.Flush()
}

// begin makes room for n more bytes of payload in a frame of type t. An error
// stays in w.err.
func (w *Writer) begin(t FrameType, n int) {
	if len(w.buf) > 0 && (w.open != t || len(w.buf)-frameHead+n > MaxFrame) {
		if w.Flush() != nil {
			w.buf = w.buf[:0]
		}
	}
	if len(w.buf) == 0 {
		w.open = t
		w.buf = append(w.buf, make([]byte, frameHead)...)
	}
}

func (w *Writer) full() error {
	if len(w.buf) >= writeFrame {
		return w.Flush()
	}
	return w.err
}

func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("write dump: %w", err)
	return w.err
}
