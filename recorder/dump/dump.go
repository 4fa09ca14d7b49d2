// Package dump is the file format of a flight recording that left the ring: what
// GET /v1/recordings/{id}/dump streams, `recorderctl dump -o raw` saves,
// `recorderctl decode` reads and the spool keeps. It needs no kernel and no rights.
//
//	"RECDUMP\n", version (4 bytes), frames
//
//	frame:  0      1          4        8             8+length
//	        +------+----------+--------+-------------+---------+
//	        | type | 0, 0, 0  | length | payload ... | CRC-32C |
//	        +------+----------+--------+-------------+---------+
//
// All numbers are little endian. The checksum covers type to payload. The first
// frame is a header; an end frame is the last, so that a dump that was cut short
// shows. Frames of a type that a reader does not know are stepped over.
//
// A damage frame (D) may stand between any two frames behind the first: what was
// there could not be read any more. The end's counts are of what can be.
//
// Their order is H T* F* G* R* P* E. A recording that is followed goes on instead of
// ending: H T* F* G* R* P* (H? T+ F* R*)* E. With the first header or tasks behind records
// begins what is new; tasks come before the records of theirs. A later header's
// Coverage.Overwritten is what was lost since the first one.
package dump

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strconv"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/size"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// Magic are the first bytes of every dump.
const Magic = "RECDUMP\n"

// Version is the version of the format that this package writes; it reads all up to it.
const Version = 1

// MaxFrame is the longest payload of a frame, in bytes.
const MaxFrame = 1 << 20

// FrameType says what the payload of a frame is.
type FrameType byte

// The types of frames.
const (
	// FrameHeader is a Header as JSON: the first frame, and again whenever what it
	// says has changed while a recording is followed.
	FrameHeader FrameType = 'H'
	// FrameTasks is a row of struct task_info: who the threads are and were. A
	// later one for the same thread (Tid and Start) replaces an earlier one.
	FrameTasks FrameType = 'T'
	// FrameGuard is a row of records, as record.Append writes them, that only the
	// guard lane still has.
	FrameGuard FrameType = 'G'
	// FrameMain is a row of records of the main lane.
	FrameMain FrameType = 'R'
	// FrameProgress is a row of REC_ENTER records: the calls that threads were in
	// when the dump was taken. Time is the start; with RecfNodur it is not known.
	FrameProgress FrameType = 'P'
	// FrameDamage is a Damage as JSON, in the place of what is missing.
	FrameDamage FrameType = 'D'
	// FrameOpen is an OpenFiles as JSON: what a process had open at a moment.
	FrameOpen FrameType = 'F'
	// FrameEnd is an End as JSON: the last frame.
	FrameEnd FrameType = 'E'
)

func (t FrameType) hasRecords() bool {
	return t == FrameGuard || t == FrameMain || t == FrameProgress
}

// Header says what a dump is of.
type Header struct {
	Recording api.Recording `json:"recording"`
	Arch      record.Arch   `json:"arch"`     // the node's native ABI
	PageSize  int           `json:"pageSize"` // of the node, in bytes
	Version   string        `json:"version"`  // of recorderd
	Kernel    string        `json:"kernel"`   // its release
	Node      string        `json:"node"`
	Clock     Clock         `json:"clock"`
	Taken     time.Time     `json:"taken"`
	Layout    int           `json:"layout"` // layout.RecorderLayout of the records

	CaptureStdio uint32 `json:"captureStdio"` // bytes kept of what goes through descriptors 1 and 2
	CaptureData  uint32 `json:"captureData"`  // bytes kept of other reads and writes
	// Filter is what was asked for: URL query strings, all of which hold, separated
	// by blanks. Records that others need to be understood are there nevertheless.
	// Empty: everything.
	Filter string `json:"filter,omitempty"`
}

// Clock is one moment on two clocks. It turns the times of records into times of day.
type Clock struct {
	MonotonicNs uint64    `json:"monotonicNs"` // CLOCK_MONOTONIC, ns
	Realtime    time.Time `json:"realtime"`
}

// Time returns the time of day of a moment on CLOCK_MONOTONIC, in ns. It is as
// exact as the node's clock ran evenly between then and c.
func (c Clock) Time(monotonic uint64) time.Time {
	return c.Realtime.Add(time.Duration(monotonic - c.MonotonicNs))
}

// UTC is Time for JSON: the zero time where JSON has no such year, as of a clock in a damaged dump.
func (c Clock) UTC(monotonic uint64) time.Time {
	t := c.Time(monotonic).UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return time.Time{}
	}
	return t
}

// Monotonic returns the moment of t on CLOCK_MONOTONIC, in ns; 0 if t is earlier than that.
func (c Clock) Monotonic(t time.Time) uint64 {
	d := t.Sub(c.Realtime)
	if d < 0 && uint64(-d) > c.MonotonicNs {
		return 0
	}
	return c.MonotonicNs + uint64(d)
}

// End closes a dump.
type End struct {
	// Records counts what was written, by frame type: "G", "R" and "P" in records,
	// "T" in tasks.
	Records map[string]uint64 `json:"records"`
}

// Damage says that a part of a dump was there once and can no longer be read.
type Damage struct {
	Text   string `json:"text"`             // what is wrong
	Bytes  int64  `json:"bytes,omitempty"`  // of the file, compressed if it is; 0: not known
	Blocks int    `json:"blocks,omitempty"` // of a spooled file; 0: not known
}

// String says it in one line: "3 blocks (412 KiB) are damaged here: …".
func (d *Damage) String() string {
	var what string
	is := "are"
	switch {
	case d.Blocks == 1:
		what, is = "1 block", "is"
	case d.Blocks > 1:
		what = strconv.Itoa(d.Blocks) + " blocks"
	}
	switch {
	case d.Bytes <= 0:
	case what != "":
		what += " (" + size.Rough(d.Bytes) + ")"
	default:
		what = size.Rough(d.Bytes)
	}
	if what == "" {
		return d.Text
	}
	return what + " " + is + " damaged here: " + d.Text
}

// Add makes d the sum of both. Its text stays, if it has one.
func (d *Damage) Add(other Damage) {
	if d.Text == "" {
		d.Text = other.Text
	}
	d.Bytes += max(other.Bytes, 0)
	d.Blocks += max(other.Blocks, 0)
}

// Errors of Reader. They are wrapped with what was found and where.
var (
	// ErrForeign: the input is no dump.
	ErrForeign = errors.New("not a recorderd dump")
	// ErrNewer: the dump is of a version, or has records of a layout, that this package does not know.
	ErrNewer = errors.New("written by a newer recorderd")
	// ErrTruncated: the dump has no end. Everything before it was read.
	ErrTruncated = errors.New("dump is cut short")
	// ErrCorrupt: a checksum or a length is wrong. Everything before it was read.
	ErrCorrupt = errors.New("dump is damaged")
)

const (
	preamble  = len(Magic) + 4
	frameHead = 8
	frameTail = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendTask and parseTask are encoding/binary's without its reflection.

func appendTask(b []byte, t *layout.TaskInfo) []byte {
	le := binary.LittleEndian
	for _, v := range [...]uint64{t.Start, t.End, t.Calls} {
		b = le.AppendUint64(b, v)
	}
	for _, v := range [...]uint32{t.Tid, t.Tgid, t.Ptid, t.NsTid, t.NsTgid, t.NsPtid, t.PidNs, uint32(t.ExitCode)} {
		b = le.AppendUint32(b, v)
	}
	b = append(b, t.FirstComm[:]...)
	return append(b, t.Comm[:]...)
}

func parseTask(b []byte, t *layout.TaskInfo) {
	le := binary.LittleEndian
	_ = b[layout.SizeofTaskInfo-1]
	t.Start, t.End, t.Calls = le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:])
	t.Tid, t.Tgid, t.Ptid = le.Uint32(b[24:]), le.Uint32(b[28:]), le.Uint32(b[32:])
	t.NsTid, t.NsTgid, t.NsPtid = le.Uint32(b[36:]), le.Uint32(b[40:]), le.Uint32(b[44:])
	t.PidNs, t.ExitCode = le.Uint32(b[48:]), int32(le.Uint32(b[52:]))
	copy(t.FirstComm[:], b[56:72])
	copy(t.Comm[:], b[72:88])
}
