package dump

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Salvage returns what is left of a raw dump that may be damaged. What comes out of
// it is a dump: frames that are whole, and damage frames in the place of those that
// are not. A dump that ends without an end stays without one, so that a Reader
// says that it is cut short; what is no dump stays none. It holds at most two
// frames in memory.
func Salvage(r io.Reader) io.Reader { return &salvager{r: r, budget: scanBudget} }

// scanBudget is how many bytes are checksummed, beside those of the dump itself, in
// looking for the next frame. Every byte could begin one that is as long as can be:
// of a file made for it, each megabyte would take as long as a gigabyte.
const scanBudget = 256 << 20

type salvager struct {
	r      io.Reader
	in     []byte // read and not used yet
	eof    error  // of r
	off    int64  // of in, in the input
	m      *Mender
	plain  bool // not a dump: passed on as it is
	budget int
}

// Read implements io.Reader.
func (s *salvager) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if s.plain {
			if len(s.in) > 0 {
				n := copy(p, s.in)
				s.in = s.in[n:]
				return n, nil
			}
			if s.eof != nil {
				return 0, s.eof
			}
			return s.r.Read(p)
		}
		if s.m != nil && s.m.Len() > 0 {
			return s.m.Take(p), nil
		}
		if s.m != nil && s.m.Ended() {
			return 0, io.EOF
		}
		if s.m == nil {
			s.begin()
			continue
		}
		if err := s.step(); err != nil {
			return 0, err
		}
	}
}

// begin reads what stands before the first frame. If that is damaged, a header at
// its place tells that this is a dump nevertheless.
func (s *salvager) begin() {
	s.fill(preamble)
	version, n, err := ParsePreamble(s.in)
	if err == nil {
		s.m = NewMender(version, nil)
		s.skip(n)
		return
	}
	if len(s.in) >= preamble && binary.LittleEndian.Uint32(s.in[len(Magic):]) <= Version {
		f, _, ok := s.frameAt(preamble)
		if ok && f.Type == FrameHeader {
			s.m = NewMender(Version, nil)
			s.skip(preamble)
			s.m.Damage(Damage{Text: "they are its first", Bytes: int64(preamble)})
			return
		}
	}
	s.plain = true
}

// step takes the next frame, or what stands in its place.
func (s *salvager) step() error {
	f, n, ok := s.frameAt(0)
	if ok {
		s.m.Frame(f)
		s.skip(n)
		return nil
	}
	if s.eof != nil && len(s.in) == 0 {
		return s.eof
	}
	start, text := s.off, s.why()
	short := s.beyond()
	for at := 1; ; at++ {
		if at > 64<<10 { // what was looked at is not needed any more
			s.skip(at)
			at = 0
		}
		if !s.fill(at + FrameOverhead) {
			break
		}
		if i := bytes.Index(s.in[at+1:], []byte{0, 0, 0}); i > 0 {
			at += i
			if !s.fill(at + FrameOverhead) {
				break
			}
		} else if i < 0 && len(s.in) > at+4 {
			at = len(s.in) - 4
			continue
		}
		if t := s.in[at]; t < 'A' || t > 'Z' {
			continue
		}
		if binary.LittleEndian.Uint32(s.in[at+4:]) > MaxFrame {
			continue
		}
		f, n, ok := s.frameAt(at)
		s.budget -= FrameOverhead + int(binary.LittleEndian.Uint32(s.in[at+4:]))
		if ok {
			s.skip(at)
			s.m.Damage(Damage{Text: text, Bytes: s.off - start})
			s.m.Frame(f)
			s.skip(n)
			return nil
		}
		if s.budget < 0 {
			text = "there is too much damage to look for what is left"
			short = false
			for s.fill(1) {
				s.skip(len(s.in))
			}
			break
		}
	}
	s.skip(len(s.in))
	if !short {
		s.m.Damage(Damage{Text: text, Bytes: s.off - start})
		if s.m.Len() > 0 {
			return nil
		}
	}
	return s.eof
}

// frameAt reads the frame at a place in in.
func (s *salvager) frameAt(at int) (f Frame, n int, ok bool) {
	if !s.fill(at + frameHead) {
		return f, 0, false
	}
	if length := binary.LittleEndian.Uint32(s.in[at+4:]); length <= MaxFrame {
		s.fill(at + FrameOverhead + int(length))
	}
	f, n, err := ParseFrame(s.in[at:])
	return f, n, err == nil
}

// beyond reports whether the input merely ends too early for the frame that begins here.
func (s *salvager) beyond() bool {
	_, _, err := ParseFrame(s.in)
	return err == ErrShort && s.eof != nil
}

// why says what is wrong with the frame that begins here.
func (s *salvager) why() string {
	if len(s.in) < frameHead {
		return "a frame's head is not whole"
	}
	length := binary.LittleEndian.Uint32(s.in[4:])
	if length > MaxFrame || s.in[1]|s.in[2]|s.in[3] != 0 {
		return fmt.Sprintf("a frame's head is %x", s.in[:frameHead])
	}
	return fmt.Sprintf("the checksum of a frame of type %q is wrong", s.in[0])
}

// fill reads until in has n bytes, and reports whether it has.
func (s *salvager) fill(n int) bool {
	for len(s.in) < n && s.eof == nil {
		if cap(s.in)-len(s.in) < 32<<10 || cap(s.in) < n {
			in := make([]byte, len(s.in), max(2*len(s.in), n+64<<10))
			copy(in, s.in)
			s.in = in
		}
		k, err := s.r.Read(s.in[len(s.in):cap(s.in)])
		s.in = s.in[:len(s.in)+k]
		s.eof = err
	}
	return len(s.in) >= n
}

func (s *salvager) skip(n int) {
	s.in = s.in[n:]
	s.off += int64(n)
}
