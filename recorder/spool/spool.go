// Package spool keeps dumps so that they survive: the file format in which a dump
// (package dump) is stored, and the directory that keeps such files. The format
// needs no kernel and no rights, and serves in memory as well.
//
//	preamble   "RECSPOOL", version (4), file id (8), CRC-32C of these (4)
//	block 0    M  the description: Meta as JSON
//	block 1…   F  frames of the dump, as many whole ones as fit into 256 KiB
//	…          M  the description again
//	…          H  the dump's header frame again
//	last       E  the end: counts, as JSON
//	trailer    offset of the second M (8), file id (8), 0 (4), CRC-32C of these (4), "LOOPSCER"
//
//	block:  0     4      5       6      8         16    20       24       28            32         36
//	        +-----+------+-------+------+---------+-----+--------+--------+-------------+----------+---------+
//	        | mark| kind | codec | 0, 0 | file id | seq | length | stored | CRC of all  | CRC of   | payload |
//	        |     |      |       |      |         |     | raw    | length | but itself  | the head |         |
//	        +-----+------+-------+------+---------+-----+--------+--------+-------------+----------+---------+
//
// All numbers are little endian. Each block is compressed by itself with zstd
// (codec 1) or stored (codec 0), and holds whole frames: what is left when some
// are lost is a dump. The head has a checksum of its own, so that the next block
// is found by looking for its mark. The file id is random: bytes that a container
// wrote, and that were captured, can't pass for a block of the file they are in.
package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/format"
)

// Magic are the first bytes of every spooled file.
const Magic = "RECSPOOL"

// Version is the version of the format that this package writes; it reads all up to it.
const Version = 1

// MaxMeta is how long a description is at most, in bytes of JSON.
const MaxMeta = 1 << 20

// Meta describes a spooled dump.
type Meta struct {
	// Recording is as it was when the dump was taken.
	Recording api.Recording `json:"recording"`
	Reason    Reason        `json:"reason"`
	Node      string        `json:"node,omitempty"`
	Kernel    string        `json:"kernel,omitempty"`  // its release
	Version   string        `json:"version,omitempty"` // of recorderd
	Saved     time.Time     `json:"saved"`             // time of day, as the node had it
	Age       *Mark         `json:"age,omitempty"`     // the same moment on the spool's own clock
	BootID    string        `json:"bootId,omitempty"`  // /proc/sys/kernel/random/boot_id
	// Key names what crashes again and again, for Store.Admit: the same for every
	// container that takes the place of this one. Empty: nothing does.
	Key string `json:"key,omitempty"`
	// Outer is whose the outermost container is that this one was inside, nil if it was
	// inside none.
	Outer *Account `json:"outer,omitempty"`
	// Lesser: somebody wanted an end, if not this one. It goes before other crashes.
	Lesser bool `json:"lesser,omitempty"`
	// Crash is set by Store.Admit.
	Crash *Crash `json:"crash,omitempty"`
}

// Reason says why a dump was spooled.
type Reason struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text,omitempty"` // for people: "exit code 3", "killed by SIGSEGV"
}

// Kind is what made a dump be spooled.
type Kind string

// The kinds of reasons. Others may come.
const (
	KindExit      Kind = "exit"      // it ended with another status than 0
	KindSignal    Kind = "signal"    // a signal ended it
	KindOOM       Kind = "oom"       // the kernel was out of memory
	KindCompleted Kind = "completed" // it ended with 0, and was not to
	KindVanished  Kind = "vanished"  // it is gone and nobody saw it end
	KindChildOOM  Kind = "child-oom" // the OOM killer took a process of it, and it lives on
	KindHang      Kind = "hang"      // all of its threads wait for what does not come
	KindSaved     Kind = "saved"     // somebody asked for it
	KindUpgrade   Kind = "upgrade"   // recorderd could not take the recording over
	KindResized   Kind = "resized"   // recorderd was given another ring size; the container goes on in another recording
	KindUnknown   Kind = "unknown"   // the description is damaged
)

// Crash is the place of a dump in a loop of crashes of one key.
type Crash struct {
	Number uint64    `json:"number"` // 1 is the loop's first
	Since  time.Time `json:"since"`  // when the first one was
	Role   Role      `json:"role"`
}

// Role is why a crash of a loop is kept.
type Role string

// The roles of crashes.
const (
	RoleFirst    Role = "first"    // the first of its loop
	RoleEarly    Role = "early"    // another of the first few
	RoleInterval Role = "interval" // the one of an interval
	RoleLatest   Role = "latest"   // until a later one takes its place
)

// Layout of a file, in bytes.
const (
	preambleLen = 24 // magic, version, file id, checksum
	headLen     = 36
	trailerLen  = 32

	mark      = "\xf1RSB"
	endMagic  = "LOOPSCER"
	blockRaw  = 256 << 10                          // that a block of frames grows to
	maxRaw    = dump.MaxFrame + dump.FrameOverhead // one frame that can't be cut
	maxDamage = 256                                // damages that a Reader keeps apart
)

// The kinds of blocks.
const (
	blockMeta   = 'M'
	blockFrames = 'F'
	blockHeader = 'H'
	blockEnd    = 'E'
)

// The codecs of blocks.
const (
	codecStored = 0
	codecZstd   = 1
)

// metaBlock is what an M block holds, as JSON: a Meta whose recording is of the type that files
// have. See package format for what may change.
type metaBlock struct {
	Meta
	Recording format.Recording `json:"recording"` // hides Meta's
	Dump      uint32           `json:"dump"`      // version of the dump's format
}

func blockOf(m *Meta, dump uint32) metaBlock {
	return metaBlock{Meta: *m, Recording: format.Of(&m.Recording), Dump: dump}
}

func (b *metaBlock) meta() Meta {
	m := b.Meta
	m.Recording = b.Recording.API()
	return m
}

// endBlock is what an E block holds.
type endBlock struct {
	Blocks  uint32            `json:"blocks"` // all of the file, this one too
	Raw     int64             `json:"raw"`    // bytes of frames, not compressed
	Records map[string]uint64 `json:"records"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// head is a block's, as it is read.
type head struct {
	kind, codec byte
	id          uint64
	seq         uint32
	raw, stored int
	sum         uint32
}

// appendBlock appends a block whose payload has been compressed, or not.
func appendBlock(b []byte, h head, payload []byte) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = append(b, mark...)
	b = append(b, h.kind, h.codec, 0, 0)
	b = le.AppendUint64(b, h.id)
	b = le.AppendUint32(b, h.seq)
	b = le.AppendUint32(b, uint32(h.raw))
	b = le.AppendUint32(b, uint32(len(payload)))
	b = le.AppendUint32(b, crc32.Update(crc32.Checksum(b[start:], castagnoli), castagnoli, payload))
	b = le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	return append(b, payload...)
}

// parseHead reads a block's head from headLen bytes; ok says that its checksum is
// right and what it says is possible.
func parseHead(b []byte) (h head, ok bool) {
	le := binary.LittleEndian
	if string(b[:4]) != mark || b[6]|b[7] != 0 || crc32.Checksum(b[:32], castagnoli) != le.Uint32(b[32:]) {
		return h, false
	}
	h = head{b[4], b[5], le.Uint64(b[8:]), le.Uint32(b[16:]), int(le.Uint32(b[20:])), int(le.Uint32(b[24:])), le.Uint32(b[28:])}
	return h, h.raw <= maxRaw && h.stored <= h.raw && (h.codec == codecZstd || h.codec == codecStored && h.stored == h.raw)
}

func appendPreamble(b []byte, id uint64) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(append(b, Magic...), Version)
	b = binary.LittleEndian.AppendUint64(b, id)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// errPreamble: the first bytes of a file are not what they have to be.
var errPreamble = errors.New("the file's first bytes are damaged")

// parsePreamble returns the id of a file that begins with b. The error is
// errPreamble, or wraps dump.ErrNewer.
func parsePreamble(b []byte) (id uint64, err error) {
	le := binary.LittleEndian
	if len(b) < preambleLen || string(b[:len(Magic)]) != Magic || crc32.Checksum(b[:20], castagnoli) != le.Uint32(b[20:]) {
		return 0, errPreamble
	}
	if v := le.Uint32(b[8:]); v > Version {
		return 0, fmt.Errorf("%w (spooled file of version %d, this one reads up to %d)", dump.ErrNewer, v, Version)
	}
	return le.Uint64(b[12:]), nil
}

func appendTrailer(b []byte, id uint64, meta int64) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(meta))
	b = binary.LittleEndian.AppendUint64(b, id)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	return append(b, endMagic...)
}

// parseTrailer reads a file's last bytes.
func parseTrailer(b []byte) (id uint64, meta int64, ok bool) {
	le := binary.LittleEndian
	if len(b) != trailerLen || string(b[24:]) != endMagic || crc32.Checksum(b[:20], castagnoli) != le.Uint32(b[20:]) {
		return 0, 0, false
	}
	meta = int64(le.Uint64(b))
	return le.Uint64(b[8:]), meta, meta > 0
}
