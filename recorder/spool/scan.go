package spool

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/recorderd/recorderd/recorder/dump"
)

// block is one of a file. raw is valid until the next one is read.
type block struct {
	head
	start, end int64 // where it stands
	raw        []byte
}

// scanner reads the blocks of a file, and what stands between those that are
// whole. Its memory is that of one block, and its time is that of reading the
// file a few times, whatever is in it.
type scanner struct {
	r       io.ReaderAt
	size    int64
	id      uint64
	known   bool // the id is; otherwise the first block that is whole says it
	off     int64
	seq     uint32 // that comes next
	blocks  bool   // a block was read: seq is to be believed
	budget  int64  // bytes of payloads that may turn out to be none
	failed  int    // reads
	left    int64  // bytes that blocks may yet have when they are expanded
	window  int    // how much is read at once, other than payloads
	at      int64  // of buf in the file
	buf     []byte
	payload []byte
	raw     []byte
}

const (
	window = 64 << 10
	// maxDump is how long a dump can be, in bytes: three times the largest ring. A few bytes of
	// zstd can stand for a block: what is longer was made to take its reader's time.
	maxDump  = 256 << 20
	maxFails = 256 // reads that may fail: those of a broken disk take seconds each
)

func newScanner(r io.ReaderAt, size int64) *scanner {
	return &scanner{r: r, size: size, window: window, budget: 4*size + 16<<20, left: maxDump}
}

// close gives the memory back.
func (s *scanner) close() {
	release(s.payload)
	release(s.raw)
	s.payload, s.raw = nil, nil
}

// next returns the next block that is whole, and what is wrong before it, if
// anything is. At the end of the file the block is nil.
func (s *scanner) next() (*block, *dump.Damage) {
	start, why := s.off, ""
	for {
		h, ok := s.head(s.off)
		if !ok {
			if why == "" {
				why = s.why(s.off)
			}
			if !s.seek(s.off + 1) {
				return nil, s.damage(start, s.size, 0, why)
			}
			continue
		}
		if s.left < int64(h.raw) {
			s.off = s.size
			return nil, s.damage(start, s.size, 0, fmt.Sprintf("the dump is longer than %d MiB, which is more than a ring holds", maxDump>>20))
		}
		b, err := s.read(h)
		if err != nil {
			if why == "" {
				why = err.Error()
			}
			s.budget -= int64(h.stored)
			if s.budget < 0 {
				s.off += headLen + int64(h.stored) // it is taken at its word
			} else {
				s.off += headLen
			}
			if !s.seek(s.off) {
				return nil, s.damage(start, s.size, 0, why)
			}
			continue
		}
		if s.blocks && h.seq < s.seq {
			if why == "" {
				why = "a block stands in the wrong place"
			}
			s.off = b.end
			if !s.seek(s.off) {
				return nil, s.damage(start, s.size, 0, why)
			}
			continue
		}
		s.left -= int64(h.raw)
		s.id, s.known = h.id, true
		lost := 0
		if s.blocks || start <= preambleLen {
			lost = int(h.seq - s.seq)
		}
		var d *dump.Damage
		if b.start > start || lost > 0 {
			if why == "" {
				why = "blocks are missing"
			}
			d = s.damage(start, b.start, lost, why)
		}
		s.off, s.seq, s.blocks = b.end, h.seq+1, true
		return b, d
	}
}

func (s *scanner) damage(from, to int64, blocks int, why string) *dump.Damage {
	if to <= from && blocks == 0 {
		return nil
	}
	return &dump.Damage{Text: why, Bytes: to - from, Blocks: blocks}
}

// head reads the head of the block at off; ok: there is one of this file, and the
// file is long enough for it.
func (s *scanner) head(off int64) (head, bool) {
	b := s.look(off, headLen)
	if len(b) < headLen {
		return head{}, false
	}
	h, ok := parseHead(b[:headLen])
	return h, ok && (!s.known || h.id == s.id) && off+headLen+int64(h.stored) <= s.size
}

// why says what is wrong at off, where a block should begin.
func (s *scanner) why(off int64) string {
	b := s.look(off, headLen)
	if len(b) < headLen {
		if s.size-off < headLen {
			return "the file is cut short"
		}
		return "it can't be read from the disk"
	}
	if h, ok := parseHead(b[:headLen]); ok {
		if s.known && h.id != s.id {
			return "a block is another file's"
		}
		return "the file is cut short in a block"
	}
	return "the head of a block is wrong"
}

// read reads the block with this head at s.off.
func (s *scanner) read(h head) (*block, error) {
	if cap(s.payload) < h.stored {
		release(s.payload)
		if s.payload = buffer(); cap(s.payload) < h.stored {
			s.payload = make([]byte, 0, h.stored)
		}
	}
	s.payload = s.payload[:h.stored]
	if _, err := s.r.ReadAt(s.payload, s.off+headLen); err != nil && !errors.Is(err, io.EOF) {
		if s.failed++; s.failed > maxFails {
			s.budget = -1
		}
		return nil, fmt.Errorf("a block can't be read: %w", err)
	}
	var b [headLen]byte
	copy(b[:], s.look(s.off, headLen))
	sum := crc32.Update(crc32.Checksum(b[:28], castagnoli), castagnoli, s.payload)
	if sum != h.sum {
		return nil, errors.New("the checksum of a block is wrong")
	}
	if s.raw == nil {
		s.raw = buffer()
	}
	raw, err := expand(s.raw, s.payload, h.codec, h.raw)
	if err != nil {
		return nil, fmt.Errorf("a block can't be read: %w", err)
	}
	s.raw = raw
	return &block{h, s.off, s.off + headLen + int64(h.stored), raw}, nil
}

// seek moves off to the next place, from there on, at which a block's head stands.
func (s *scanner) seek(from int64) bool {
	for off := from; off < s.size; {
		b := s.look(off, headLen)
		if len(b) == 0 { // this can't be read: behind it perhaps
			if s.failed > maxFails {
				break
			}
			off = (off | 4095) + 1
			continue
		}
		i := bytes.Index(b, []byte(mark))
		if i < 0 {
			off += int64(max(len(b)-len(mark)+1, 1))
			continue
		}
		off += int64(i)
		if _, ok := s.head(off); ok {
			s.off = off
			return true
		}
		off++
	}
	s.off = s.size
	return false
}

// look returns what stands at off: n bytes if the file has them, and more if they
// are at hand. Nothing, if it can't be read.
func (s *scanner) look(off int64, n int) []byte {
	if off >= s.size {
		return nil
	}
	if i := off - s.at; i >= 0 && i < int64(len(s.buf)) && (i+int64(n) <= int64(len(s.buf)) || s.at+int64(len(s.buf)) >= s.size) {
		return s.buf[i:]
	}
	want := min(int64(s.window), s.size-off)
	if s.buf == nil {
		s.buf = make([]byte, 0, min(int64(s.window), s.size))
	}
	s.buf, s.at = s.buf[:want:cap(s.buf)], off
	k, err := s.r.ReadAt(s.buf, off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed++
		if small := 4096 - off%4096; k == 0 && want > small { // perhaps only a later page is bad
			k, _ = s.r.ReadAt(s.buf[:small], off)
		}
	}
	s.buf = s.buf[:k]
	return s.buf
}

// Detect reports whether this is a spooled file, also one whose first bytes are damaged.
func Detect(r io.ReaderAt, size int64) bool {
	var b [preambleLen]byte
	if n, _ := r.ReadAt(b[:], 0); n >= len(Magic) && string(b[:len(Magic)]) == Magic {
		return true
	}
	if _, _, ok := trailer(r, size); ok {
		return true
	}
	s := newScanner(r, min(size, 2*window+maxRaw))
	defer s.close()
	n, _ := r.ReadAt(b[:], 0)
	if n < len(dump.Magic) || string(b[:len(dump.Magic)]) == dump.Magic {
		return false
	}
	found, _ := s.next()
	return found != nil
}

// trailer reads a file's last bytes.
func trailer(r io.ReaderAt, size int64) (id uint64, meta int64, ok bool) {
	if size < preambleLen+trailerLen {
		return 0, 0, false
	}
	var b [trailerLen]byte
	if n, _ := r.ReadAt(b[:], size-trailerLen); n < trailerLen {
		return 0, 0, false
	}
	id, meta, ok = parseTrailer(b[:])
	return id, meta, ok && meta < size
}

// readPreamble reads a file's first bytes.
func readPreamble(r io.ReaderAt) (id uint64, err error) {
	var b [preambleLen]byte
	n, err := r.ReadAt(b[:], 0)
	if n < preambleLen && err != nil && !errors.Is(err, io.EOF) {
		return 0, errPreamble // what is behind it may be readable
	}
	return parsePreamble(b[:n])
}
