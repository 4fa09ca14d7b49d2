package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// Reader reads a spooled file, also a damaged one.
type Reader struct {
	r       io.ReaderAt
	size    int64
	id      uint64
	known   bool // the id is
	begun   bool // the first bytes are whole
	tail    int64
	meta    Meta
	version uint32 // of the dump
	damage  []dump.Damage
	whole   bool // damage is all there is
}

// NewReader reads the description of a spooled file of size bytes. Of a damaged
// one it looks for the other copy, and then for a block of any kind. The error
// wraps dump.ErrForeign, dump.ErrNewer, dump.ErrTruncated, or dump.ErrCorrupt if
// nothing can be read.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	return open(r, size, size)
}

// ReadMeta reads the description alone. ok is false if something that it met is
// damaged: the description is the copy at the end then, or what could be made
// out. It reads a few kilobytes of a file that is whole, and of others little
// more than two megabytes.
func ReadMeta(r io.ReaderAt, size int64) (m Meta, ok bool, err error) {
	d, err := open(r, size, 1<<20)
	if err != nil {
		return Meta{}, false, err
	}
	_, at, ended := trailer(r, size)
	return d.meta, d.begun && len(d.damage) == 0 && ended && at == d.tail, nil
}

// open finds the description. Where none is in its place, it looks for it in limit
// bytes from the beginning and from the end.
func open(r io.ReaderAt, size, limit int64) (*Reader, error) {
	d := &Reader{r: r, size: size}
	id, err := readPreamble(r)
	if errors.Is(err, dump.ErrNewer) {
		return nil, err
	}
	d.id, d.known, d.begun = id, err == nil, err == nil
	tid, tail, ended := trailer(r, size)
	if ended && (!d.known || tid == d.id) {
		d.id, d.known, d.tail = tid, true, tail
	}
	for _, at := range []int64{preambleLen, d.tail} {
		if at > 0 && d.known && d.describedAt(at) {
			if at != preambleLen {
				d.damage = append(d.damage, dump.Damage{Text: "the description at the beginning"})
			}
			return d, nil
		}
	}
	d.damage = append(d.damage, dump.Damage{Text: "the description"})
	found := d.search(0, min(limit, size))
	if !found && limit < size {
		found = d.search(max(limit, size-limit), size)
	}
	if found {
		return d, nil
	}
	return nil, d.nothing()
}

// describedAt takes the description from the block at a place.
func (d *Reader) describedAt(at int64) bool {
	s := d.scan(d.size)
	defer s.close()
	s.off, s.window = at, headLen
	h, ok := s.head(at)
	if !ok || h.kind != blockMeta {
		return false
	}
	b, err := s.read(h)
	return err == nil && d.describe(b)
}

func (d *Reader) describe(b *block) bool {
	var m metaBlock
	if b.kind != blockMeta || len(b.raw) > MaxMeta || json.Unmarshal(b.raw, &m) != nil {
		return false
	}
	d.meta, d.version = m.meta(), m.Dump
	return true
}

// search looks for a description among all blocks of a part of the file, and
// makes one of the dump's header if there is none. It is enough that some block
// is whole.
func (d *Reader) search(from, to int64) bool {
	s := d.scan(to)
	defer s.close()
	s.off = from
	any := false
	for {
		b, _ := s.next()
		if b == nil {
			return any
		}
		d.id, d.known = s.id, true
		if d.describe(b) {
			return true
		}
		if h, ok := headerOf(b); ok && d.meta.Recording.ID == "" {
			d.meta = Meta{
				Recording: h.Recording, Reason: Reason{Kind: KindUnknown}, Node: h.Node, Kernel: h.Kernel, Version: h.Version, Saved: h.Taken,
			}
		} else if !any {
			d.meta.Reason.Kind = KindUnknown
		}
		any = true
	}
}

// headerOf returns the dump's header if a block begins with it.
func headerOf(b *block) (h dump.Header, ok bool) {
	if b.kind != blockHeader && b.kind != blockFrames {
		return h, false
	}
	f, _, err := dump.ParseFrame(b.raw)
	if err != nil || f.Type != dump.FrameHeader {
		return h, false
	}
	p, err := dump.DecodeHeader(f.Payload)
	if err != nil {
		return h, false
	}
	return *p, true
}

// nothing says why there is nothing to read.
func (d *Reader) nothing() error {
	var b [preambleLen]byte
	n, err := d.r.ReadAt(b[:], 0)
	switch {
	case n == 0 && err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("read spooled dump: %w", err)
	case n == 0:
		return fmt.Errorf("%w: it is empty", dump.ErrForeign)
	case n < preambleLen && string(b[:min(n, len(Magic))]) == Magic[:min(n, len(Magic))]:
		return fmt.Errorf("%w after %d bytes", dump.ErrTruncated, n)
	case string(b[:min(n, len(Magic))]) != Magic[:min(n, len(Magic))]:
		return fmt.Errorf("%w: it begins with %q", dump.ErrForeign, b[:min(n, len(Magic))])
	}
	var first [headLen]byte
	_, _ = d.r.ReadAt(first[:], preambleLen)
	if h, ok := parseHead(first[:]); d.size < preambleLen+headLen || ok && preambleLen+headLen+int64(h.stored) > d.size {
		return fmt.Errorf("%w after %d bytes", dump.ErrTruncated, d.size)
	}
	return fmt.Errorf("%w: none of its blocks can be read", dump.ErrCorrupt)
}

func (d *Reader) scan(size int64) *scanner {
	s := newScanner(d.r, size)
	s.id, s.known = d.id, d.known
	return s
}

// Meta returns the description. Of a damaged file, whose description is lost as
// well, it has what the dump says of itself, and the reason KindUnknown.
func (d *Reader) Meta() Meta { return d.meta }

// Damage returns what is wrong with the file as far as it has been read: all of
// it once a Dump was read to its end. It includes damage that no call was lost by.
func (d *Reader) Damage() []dump.Damage { return d.damage }

// Verify reads all of the file, and returns what Damage says then.
func (d *Reader) Verify() []dump.Damage {
	if !d.whole {
		_, _ = io.Copy(io.Discard, d.Dump())
	}
	return d.damage
}

// Dump returns the dump as dump.Writer wrote it, but that frames may be cut where
// blocks end. Where something can no longer be read there is a frame of type
// dump.FrameDamage, and the counts at the end are of what there is. It never
// fails, and can be had again and again.
func (d *Reader) Dump() io.Reader {
	version := d.version
	if version == 0 || version > dump.Version {
		version = dump.Version
	}
	spare := &dump.Header{
		Recording: d.meta.Recording, Arch: record.ArchX86_64, PageSize: 4096, Layout: layout.RecorderLayout,
		Node: d.meta.Node, Kernel: d.meta.Kernel, Version: d.meta.Version, Taken: d.meta.Saved,
	}
	if spare.Recording.State == "" {
		spare.Recording.State = api.StateSpooled
	}
	s := d.scan(d.size)
	u := &unpacker{d: d, s: s, m: dump.NewMender(version, spare)}
	if s.off = preambleLen; !d.begun {
		s.off = 0
		if h, ok := s.head(preambleLen); ok && h.seq == 0 {
			s.off = preambleLen
			u.lost(dump.Damage{Text: errPreamble.Error()})
		}
	}
	return u
}

// unpacker reads the frames out of the blocks.
type unpacker struct {
	d      *Reader
	s      *scanner
	m      *dump.Mender
	damage []dump.Damage
	headed bool
	end    *dump.Frame // the dump's, which comes when all blocks were seen
	over   bool
}

// Read implements io.Reader.
func (u *unpacker) Read(p []byte) (int, error) {
	for u.m.Len() == 0 {
		if u.m.Ended() || u.over {
			return 0, io.EOF
		}
		u.step()
	}
	return u.m.Take(p), nil
}

// lost says that something is missing.
func (u *unpacker) lost(d dump.Damage) {
	u.m.Damage(d)
	if n := len(u.damage); n < maxDamage {
		u.damage = append(u.damage, d)
	} else {
		u.damage[n-1].Add(d)
	}
}

// step takes the next block.
func (u *unpacker) step() {
	b, damage := u.s.next()
	if damage != nil {
		if damage.Blocks == 1 && b != nil && b.seq == 1 {
			damage.Text += "; it is the first copy of the description"
		}
		u.lost(*damage)
	}
	if b == nil {
		if damage == nil {
			u.lost(dump.Damage{Text: "the file ends here: it is cut short"})
		}
		u.finish()
		return
	}
	switch b.kind {
	case blockFrames:
		u.frames(b)
	case blockEnd:
		u.counts(b)
		u.finish()
	}
}

func (u *unpacker) frames(b *block) {
	for raw := b.raw; len(raw) > 0; {
		f, n, err := dump.ParseFrame(raw)
		if err != nil {
			u.lost(dump.Damage{Text: "a block holds what are no frames", Bytes: int64(len(raw))})
			return
		}
		raw = raw[n:]
		u.frame(f)
	}
}

func (u *unpacker) frame(f dump.Frame) {
	if f.Type == dump.FrameEnd {
		u.end = &dump.Frame{Type: f.Type, Payload: append([]byte(nil), f.Payload...)}
		return
	}
	if !u.headed && f.Type != dump.FrameHeader {
		u.copied()
	}
	u.headed = true
	u.m.Frame(f)
}

// copied takes the dump's header from where it stands again.
func (u *unpacker) copied() {
	u.headed = true
	s := u.d.scan(u.d.size)
	defer s.close()
	for _, from := range []int64{u.d.tail, preambleLen} {
		if from == 0 {
			continue
		}
		s.off, s.blocks, s.seq = from, false, 0
		for {
			b, _ := s.next()
			if b == nil {
				break
			}
			if b.kind != blockHeader {
				continue
			}
			if f, _, err := dump.ParseFrame(b.raw); err == nil && f.Type == dump.FrameHeader {
				u.m.Frame(f)
				return
			}
		}
	}
}

// counts checks that the end says what was there.
func (u *unpacker) counts(b *block) {
	var end endBlock
	if json.Unmarshal(b.raw, &end) != nil || end.Blocks != b.seq+1 {
		u.lost(dump.Damage{Text: "the counts at the end make no sense"})
	}
	if id, at, ok := trailer(u.d.r, u.d.size); b.end+trailerLen > u.d.size || b.end+trailerLen == u.d.size && (!ok || id != u.d.id || at != u.d.tail) {
		u.lost(dump.Damage{Text: "the file's last bytes are damaged; no call is missing for that"})
	}
}

// finish writes the dump's end.
func (u *unpacker) finish() {
	u.over = true
	if !u.headed {
		u.copied()
	}
	switch {
	case u.end != nil:
		u.m.Frame(*u.end)
	default:
		if len(u.damage) == 0 {
			u.lost(dump.Damage{Text: "the end of the dump is missing"})
		}
		u.m.End()
	}
	u.s.close()
	u.d.damage, u.d.whole = u.damage, true
}
