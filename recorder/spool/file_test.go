package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/race"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func testMeta() *Meta {
	return &Meta{
		Recording: api.Recording{
			ID: "366ed0c84781", State: api.StateEnded, Node: "node-1", Started: noon,
			Container: api.Container{Name: "cart", Cgroup: "/x"}, Pod: &api.Pod{Namespace: "shop", Name: "cart-0"},
		},
		Reason: Reason{Kind: KindSignal, Text: "killed by SIGSEGV"}, Node: "node-1", Kernel: "6.18", Version: "1.0", Saved: noon, BootID: "b",
	}
}

var testHeader = dump.Header{
	Recording: testMeta().Recording, Arch: record.ArchARM64, PageSize: 4096, Version: "1.0", Clock: dump.Clock{MonotonicNs: 1000, Realtime: noon},
	Taken: noon, Layout: layout.RecorderLayout,
}

// rawDump returns a dump of n records, in frames of each so many; noise makes the records incompressible.
func rawDump(t testing.TB, n, each int, noise bool) []byte {
	t.Helper()
	var out bytes.Buffer
	w := dump.NewWriter(&out)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(w.Header(&testHeader))
	check(w.Task(&layout.TaskInfo{Tid: 4, Tgid: 4, Comm: [16]byte{'c'}}))
	random := rand.NewChaCha8([32]byte{1})
	for i := range n {
		data := bytes.Repeat([]byte{byte(i)}, i%50)
		if noise {
			data = make([]byte, 100)
			_, _ = random.Read(data)
		}
		r := record.Record{Type: layout.RecCall, Time: uint64(i), Tid: 4, Nr: 257, Items: []record.Item{{Arg: 1, Kind: layout.ItemStr, Data: data}}}
		check(w.Record(dump.FrameMain, record.Append(nil, &r)))
		if i%each == each-1 {
			check(w.Flush())
		}
	}
	check(w.Close())
	return out.Bytes()
}

func pack(t testing.TB, meta *Meta, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, meta)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(out.Len()) {
		t.Errorf("size %d, written %d", w.Size(), out.Len())
	}
	return out.Bytes()
}

// packSmall packs with one frame in a block, so that a small file has many.
func packSmall(t testing.TB, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, testMeta())
	_, n, err := dump.ParsePreamble(raw)
	if err != nil {
		t.Fatal(err)
	}
	for raw, rest := raw[:n], raw[n:]; ; {
		if _, err := w.Write(raw); err != nil {
			t.Fatal(err)
		}
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
		if len(rest) == 0 {
			break
		}
		_, n, err := dump.ParseFrame(rest)
		if err != nil {
			t.Fatal(err)
		}
		raw, rest = rest[:n], rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// content is what a reader gets.
type content struct {
	header  dump.Header
	times   []uint64 // of records
	damage  []dump.Damage
	problem error
}

func readDump(r io.Reader) (c content) {
	d, err := dump.NewReader(r)
	if err != nil {
		c.problem = err
		return c
	}
	c.header = *d.Header()
	for {
		f, err := d.Next()
		if err != nil {
			if err != io.EOF {
				c.problem = err
			}
			c.damage = d.Damage()
			return c
		}
		for raw := range f.Records() {
			c.times = append(c.times, binary.LittleEndian.Uint64(raw[8:]))
		}
	}
}

func mustOpen(t testing.TB, b []byte) *Reader {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 100, 30000} {
		raw := rawDump(t, n, 1<<30, false)
		b := pack(t, testMeta(), raw)
		r := mustOpen(t, b)
		if diff := cmp.Diff(r.Meta(), *testMeta()); diff != "" {
			t.Errorf("description: %s", diff)
		}
		want := readDump(bytes.NewReader(raw))
		for range 2 { // it can be had again
			got := readDump(r.Dump())
			if got.problem != nil || want.problem != nil {
				t.Fatal(got.problem, want.problem)
			}
			if diff := cmp.Diff(got.times, want.times); diff != "" || len(got.damage) > 0 || got.header.Arch != record.ArchARM64 {
				t.Errorf("%d records: %s %v", n, diff, got.damage)
			}
		}
		if d := r.Verify(); len(d) > 0 {
			t.Errorf("damage: %v", d)
		}
		if m, ok, err := ReadMeta(bytes.NewReader(b), int64(len(b))); err != nil || !ok || m.Recording.ID != "366ed0c84781" {
			t.Errorf("ReadMeta: %+v, %v, %v", m, ok, err)
		}
		if n < 1000 { // nothing is cut: byte for byte
			if got, _ := io.ReadAll(iotest.OneByteReader(r.Dump())); !bytes.Equal(got, raw) {
				t.Errorf("%d records: %d bytes, want %d", n, len(got), len(raw))
			}
		}
	}
}

// A recording that recorderd made comes back byte for byte, and small.
func TestRealDump(t *testing.T) {
	in, err := os.ReadFile("../replay/testdata/real.rec")
	if err != nil {
		t.Fatal(err)
	}
	b := pack(t, testMeta(), in)
	if got, err := io.ReadAll(mustOpen(t, b).Dump()); err != nil || !bytes.Equal(got, in) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(in))
	}
	if len(b) > len(in)/3 {
		t.Errorf("%d bytes are packed into %d", len(in), len(b))
	}
}

// What the writer gets comes in any pieces.
func TestWriterPieces(t *testing.T) {
	raw := rawDump(t, 3000, 70, true)
	want := readDump(bytes.NewReader(raw))
	for _, piece := range []int{1, 7, 1000, 100000} {
		var out bytes.Buffer
		w := NewWriter(&out, testMeta())
		for rest := raw; len(rest) > 0; {
			n := min(piece, len(rest))
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := readDump(mustOpen(t, out.Bytes()).Dump()); got.problem != nil || !cmp.Equal(got.times, want.times) {
			t.Errorf("pieces of %d: %d records, %v", piece, len(got.times), got.problem)
		}
	}
}

// Blocks stay below their limit, whatever the frames are; what can't be cut has one of its own.
func TestBlocks(t *testing.T) {
	var in bytes.Buffer
	in.Write(dump.AppendPreamble(nil, dump.Version))
	h := testHeader
	h.Filter = strings.Repeat("x", 300<<10)
	dw := dump.NewWriter(&in)
	in.Reset()
	if err := dw.Header(&h); err != nil {
		t.Fatal(err)
	}
	rec := record.Append(nil, &record.Record{Type: layout.RecCall, Items: []record.Item{{Kind: layout.ItemStr, Data: make([]byte, 7000)}}})
	rows := bytes.Repeat(rec, dump.MaxFrame/len(rec))
	b := append(in.Bytes(), dump.AppendFrame(nil, dump.FrameMain, rows)...)
	b = append(b, dump.AppendFrame(nil, dump.FrameEnd, fmt.Appendf(nil, `{"records":{"R":%d}}`, dump.MaxFrame/len(rec)))...)
	packed := pack(t, testMeta(), b)
	s := newScanner(bytes.NewReader(packed), int64(len(packed)))
	s.off = preambleLen
	var sizes []int
	for {
		one, damage := s.next()
		if damage != nil {
			t.Fatal(damage)
		}
		if one.kind == blockEnd {
			break
		}
		if one.kind == blockFrames {
			sizes = append(sizes, len(one.raw))
		}
	}
	if len(sizes) != 6 || sizes[0] < 300<<10 {
		t.Errorf("blocks of %d bytes", sizes)
	}
	for _, n := range sizes[1:] {
		if n > blockRaw {
			t.Errorf("a block of %d bytes", n)
		}
	}
	if got := readDump(mustOpen(t, packed).Dump()); got.problem != nil || len(got.times) != dump.MaxFrame/len(rec) || len(got.header.Filter) != 300<<10 {
		t.Errorf("%d records, %v", len(got.times), got.problem)
	}
}

func TestWriterRefuses(t *testing.T) {
	raw := rawDump(t, 3, 1, false)
	bad := bytes.Clone(raw)
	bad[len(bad)/2] ^= 1
	large := testMeta()
	large.Reason.Text = strings.Repeat("x", MaxMeta)
	torn := errors.New("torn")
	for name, c := range map[string]struct {
		meta *Meta
		in   []byte
		to   io.Writer
		want error
	}{
		"foreign":       {testMeta(), []byte("hello, I am no dump"), io.Discard, dump.ErrForeign},
		"damaged":       {testMeta(), bad, io.Discard, dump.ErrCorrupt},
		"cut short":     {testMeta(), raw[:len(raw)-1], io.Discard, dump.ErrTruncated},
		"no end":        {testMeta(), raw[:bytes.LastIndex(raw, []byte("E\x00\x00\x00"))], io.Discard, dump.ErrTruncated},
		"nothing":       {testMeta(), nil, io.Discard, dump.ErrTruncated},
		"behind":        {testMeta(), append(bytes.Clone(raw), dump.AppendFrame(nil, 'Z', nil)...), io.Discard, dump.ErrCorrupt},
		"writer's":      {testMeta(), raw, failing{torn}, torn},
		"a description": {large, raw, io.Discard, nil},
	} {
		w := NewWriter(c.to, c.meta)
		_, err := w.Write(c.in)
		if err == nil {
			err = w.Close()
		}
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if again := w.Close(); !errors.Is(again, err) {
			t.Errorf("%s: closed again: %v", name, again)
		}
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }

// subset reports whether times are in order and among those that were written.
func subset(times []uint64, n int) bool {
	for i, v := range times {
		if v >= uint64(n) || i > 0 && v <= times[i-1] {
			return false
		}
	}
	return true
}

// Cut anywhere: what lies before the cut is read, and the cut is named.
func TestCutAtEveryLength(t *testing.T) {
	const n, each = 60, 5
	whole := packSmall(t, rawDump(t, n, each, true))
	ends := blockEnds(t, whole)
	for size := range whole {
		b := whole[:size]
		r, err := NewReader(bytes.NewReader(b), int64(size))
		_, ok, merr := ReadMeta(bytes.NewReader(b), int64(size))
		if ok {
			t.Fatalf("cut to %d: ReadMeta says that it is whole", size)
		}
		if err != nil {
			if size > ends[0] || !errors.Is(err, dump.ErrTruncated) && (size > 0 || !errors.Is(err, dump.ErrForeign)) {
				t.Fatalf("cut to %d: %v", size, err)
			}
			continue
		}
		if merr != nil || r.Meta().Recording.ID != "366ed0c84781" {
			t.Fatalf("cut to %d: %v, %+v", size, merr, r.Meta())
		}
		c := readDump(r.Dump())
		want := 0
		for _, end := range ends[3:] { // M, then H and T, then one frame of records each
			if end <= size && want < n {
				want += each
			}
		}
		if c.problem != nil || len(c.damage) == 0 || len(r.Damage()) == 0 || len(c.times) != want || !subset(c.times, n) {
			t.Fatalf("cut to %d of %d: %d records instead of %d, %v, %v", size, len(whole), len(c.times), want, c.damage, c.problem)
		}
	}
}

// blockEnds returns where the blocks of a whole file end.
func blockEnds(t testing.TB, b []byte) (ends []int) {
	t.Helper()
	s := newScanner(bytes.NewReader(b), int64(len(b)))
	s.off = preambleLen
	for {
		one, damage := s.next()
		if damage != nil {
			t.Fatal(damage)
		}
		ends = append(ends, int(one.end))
		if one.kind == blockEnd {
			return ends
		}
	}
}

// Whatever byte is wrong: at most the block that has it is lost, who was recorded is known, and the damage is named.
func TestFlipEveryByte(t *testing.T) {
	const n, each = 60, 5
	whole := packSmall(t, rawDump(t, n, each, true))
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		if r.Meta().Recording.ID != "366ed0c84781" || r.Meta().Reason.Kind != KindSignal {
			t.Fatalf("byte %d: description %+v", i, r.Meta())
		}
		c := readDump(r.Dump())
		if c.problem != nil || len(c.damage) == 0 || len(c.times) < n-each || !subset(c.times, n) || c.header.Arch != record.ArchARM64 {
			t.Fatalf("byte %d: %d of %d records, %v, %v, %v", i, len(c.times), n, c.damage, c.problem, c.header.Arch)
		}
		if m, _, err := ReadMeta(bytes.NewReader(b), int64(len(b))); err != nil || m.Recording.ID != "366ed0c84781" {
			t.Fatalf("byte %d: ReadMeta: %+v, %v", i, m, err)
		}
		if !Detect(bytes.NewReader(b), int64(len(b))) {
			t.Fatalf("byte %d: not detected", i)
		}
	}
}

// A piece of any length is overwritten, taken out or there twice, at many places.
func TestPieces(t *testing.T) {
	const n, each = 200, 5
	whole := packSmall(t, rawDump(t, n, each, true))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		at := random.IntN(len(whole))
		end := min(len(whole), at+random.IntN(5000)+1)
		var b []byte
		switch i % 4 {
		case 0:
			b = append(append(b, whole[:at]...), whole[end:]...)
		case 1:
			b = append(append(b, whole[:end]...), whole[at:]...)
		case 2:
			b = bytes.Clone(whole)
			clear(b[at:end])
		case 3:
			b = bytes.Clone(whole)
			for j := at; j < end; j++ {
				b[j] = byte(random.Uint32())
			}
		}
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		c := readDump(r.Dump())
		if c.problem != nil || !subset(c.times, n) {
			t.Fatalf("%d, %d to %d: %v, %v", i, at, end, c.problem, c.times)
		}
		if len(c.times) < n && len(c.damage) == 0 {
			t.Fatalf("%d, %d to %d: %d records without damage", i, at, end, len(c.times))
		}
		// What lies before and behind is read: a block has some 700 bytes and five records.
		if lost := n - len(c.times); i%4 != 1 && lost > each*((end-at)/600+2) {
			t.Fatalf("%d, %d to %d: %d records are lost, %v", i, at, end, lost, c.damage)
		}
	}
}

func TestLostBlocksAreCounted(t *testing.T) {
	whole := packSmall(t, rawDump(t, 60, 5, true))
	ends := blockEnds(t, whole)
	b := append(bytes.Clone(whole[:ends[4]]), whole[ends[7]:]...)
	c := readDump(mustOpen(t, b).Dump())
	if len(c.damage) == 0 || c.damage[0].Blocks != 3 || len(c.times) != 45 {
		t.Errorf("%v, %d records", c.damage, len(c.times))
	}
	b = bytes.Clone(whole)
	clear(b[ends[4]+10 : ends[7]])
	c = readDump(mustOpen(t, b).Dump())
	if len(c.damage) != 1 || c.damage[0].Blocks != 3 || c.damage[0].Bytes != int64(ends[7]-ends[4]) || len(c.times) != 45 {
		t.Errorf("%v, %d records", c.damage, len(c.times))
	}
}

// A container wrote blocks, which were captured and stand in a block as they are:
// when that is damaged, they are not taken for blocks of the file.
func TestForgedBlocks(t *testing.T) {
	forged := packSmall(t, rawDump(t, 4, 1, true))
	var in bytes.Buffer
	w := dump.NewWriter(&in)
	if err := w.Header(&testHeader); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 3000)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(noise)
	for rest := append(noise, forged...); len(rest) > 0; {
		n := min(3000, len(rest))
		if err := w.Record(dump.FrameMain, record.Append(nil, &record.Record{Type: layout.RecCall, Time: 77, Items: []record.Item{{Kind: layout.ItemData, Data: rest[:n]}}})); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := pack(t, testMeta(), in.Bytes())
	at := bytes.Index(b, noise[:64])
	if at < 0 || !bytes.Contains(b, []byte(mark+"F")) {
		t.Fatal("it was compressed after all")
	}
	b[at] ^= 1
	c := readDump(mustOpen(t, b).Dump())
	for _, v := range c.times {
		if v != 77 {
			t.Errorf("a forged record of time %d", v)
		}
	}
	if c.problem != nil || len(c.damage) == 0 {
		t.Errorf("%v, %v", c.damage, c.problem)
	}
}

// Descriptions and headers are lost altogether: the dump says who it is of, or that nobody knows.
func TestLostDescription(t *testing.T) {
	whole := packSmall(t, rawDump(t, 60, 5, true))
	ends := blockEnds(t, whole)
	k := len(ends)
	b := bytes.Clone(whole)
	clear(b[:ends[0]])
	clear(b[ends[k-4]:ends[k-3]])
	clear(b[len(b)-trailerLen:])
	r := mustOpen(t, b)
	if m := r.Meta(); m.Recording.ID != "366ed0c84781" || m.Reason.Kind != KindUnknown {
		t.Errorf("%+v", m)
	}
	if c := readDump(r.Dump()); len(c.times) != 60 || c.header.Arch != record.ArchARM64 {
		t.Errorf("%d records, %v", len(c.times), c.header)
	}
	clear(b[:ends[1]]) // its header, too: it stands at the end
	if c := readDump(mustOpen(t, b).Dump()); len(c.times) != 60 || c.header.Arch != record.ArchARM64 {
		t.Errorf("%d records, %v", len(c.times), c.header)
	}
	clear(b[ends[k-4]:]) // and there, too
	if c := readDump(mustOpen(t, b).Dump()); c.problem != nil || len(c.times) != 60 || !strings.Contains(fmt.Sprint(c.damage), "header is lost") {
		t.Errorf("%d records, %v, %v", len(c.times), c.problem, c.damage)
	}
	if _, err := NewReader(bytes.NewReader(make([]byte, 5000)), 5000); !errors.Is(err, dump.ErrForeign) {
		t.Errorf("zeros: %v", err)
	}
	clear(b[preambleLen:])
	copy(b, appendPreamble(nil, 7))
	if _, err := NewReader(bytes.NewReader(b), int64(len(b))); !errors.Is(err, dump.ErrCorrupt) {
		t.Errorf("no blocks: %v", err)
	}
	newer := bytes.Clone(whole)
	newer[8] = Version + 1
	binary.LittleEndian.PutUint32(newer[20:], crcOf(newer[:20]))
	if _, err := NewReader(bytes.NewReader(newer), int64(len(newer))); !errors.Is(err, dump.ErrNewer) {
		t.Errorf("newer: %v", err)
	}
}

// badDisk fails where its pages are bad.
type badDisk struct {
	*bytes.Reader
	from, to int64
	reads    int
}

var errIO = errors.New("input/output error")

func (d *badDisk) ReadAt(p []byte, off int64) (int, error) {
	if off < d.to && off+int64(len(p)) > d.from {
		d.reads++
		n := max(0, d.from-off)
		k, _ := d.Reader.ReadAt(p[:n], off)
		return k, errIO
	}
	return d.Reader.ReadAt(p, off)
}

func TestUnreadablePages(t *testing.T) {
	const n, each = 2000, 5
	whole := packSmall(t, rawDump(t, n, each, true))
	for from := int64(0); from+8192 < int64(len(whole)); from += 8192 {
		disk := &badDisk{Reader: bytes.NewReader(whole), from: from, to: from + 4096}
		r, err := NewReader(disk, int64(len(whole)))
		if err != nil {
			t.Fatalf("page at %d: %v", from, err)
		}
		c := readDump(r.Dump())
		if c.problem != nil || len(c.damage) == 0 || len(c.times) < n-50 || !subset(c.times, n) {
			t.Fatalf("page at %d: %d records, %v, %v", from, len(c.times), c.damage, c.problem)
		}
	}
	disk := &badDisk{Reader: bytes.NewReader(make([]byte, 100<<20)), from: 0, to: 100 << 20}
	if _, err := NewReader(disk, 100<<20); !errors.Is(err, errIO) || disk.reads > 5*maxFails {
		t.Errorf("a disk that is broken altogether: %v after %d reads", err, disk.reads)
	}
}

// counting counts what is read.
type counting struct {
	*bytes.Reader
	bytes int
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	c.bytes += n
	return n, err
}

// Listing reads little of each file.
func TestReadMetaIsCheap(t *testing.T) {
	b := pack(t, testMeta(), rawDump(t, 30000, 1<<30, true))
	for name, damaged := range map[string]int{"whole": -1, "without its beginning": 0, "with another beginning": preambleLen + headLen + 3} {
		in := bytes.Clone(b)
		if damaged >= 0 {
			in[damaged] ^= 1
		}
		r := &counting{Reader: bytes.NewReader(in)}
		m, ok, err := ReadMeta(r, int64(len(in)))
		if err != nil || ok != (damaged < 0) || m.Recording.ID != "366ed0c84781" || r.bytes > 4096 {
			t.Errorf("%s: %v, %v, %d of %d bytes read", name, ok, err, r.bytes, len(in))
		}
	}
}

// A file made to cost much: blocks that claim much, heads in heads.
func TestHostileFile(t *testing.T) {
	id := uint64(7)
	bomb := compress(nil, make([]byte, maxRaw))
	var b []byte
	b = appendPreamble(b, id)
	b = appendBlock(b, head{kind: blockFrames, codec: codecZstd, id: id, raw: 100}, bomb) // larger than it says
	var huge [50]byte
	copy(huge[:], "\x28\xb5\x2f\xfd\xe0\x00\x00\x00\x00\x01\x00\x00\x00") // a frame of 4 GiB
	b = appendBlock(b, head{kind: blockFrames, codec: codecZstd, id: id, raw: maxRaw, seq: 1}, huge[:])
	start := len(b)
	for len(b) < start+8<<20 { // heads whose payload is all that follows, and whose checksum is wrong
		h := appendBlock(nil, head{kind: blockFrames, codec: codecStored, id: id, raw: 0, seq: 2}, nil)
		binary.LittleEndian.PutUint32(h[20:], maxRaw)
		binary.LittleEndian.PutUint32(h[24:], maxRaw)
		h[5] = codecStored
		binary.LittleEndian.PutUint32(h[32:], crcOf(h[:32]))
		b = append(b, h...)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := time.Now()
	r, err := NewReader(bytes.NewReader(b), int64(len(b)))
	if err == nil {
		c := readDump(r.Dump())
		if c.problem != nil || len(c.times) > 0 {
			t.Errorf("%v, %d records", c.problem, len(c.times))
		}
	}
	runtime.ReadMemStats(&after)
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
		t.Errorf("it took %d MiB of memory", got>>20)
	}
}

// Memory is that of a block, whatever the size of the dump; and none of it stays with what is idle.
// TestBomb has a small file that stands for a very long dump: zstd makes a few bytes of a
// block whose records are alike.
func TestBomb(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, testMeta())
	d := dump.NewWriter(w)
	if err := d.Header(&testHeader); err != nil {
		t.Fatal(err)
	}
	rec := record.Append(nil, &record.Record{Type: layout.RecCall, Time: 1, Tid: 4, Nr: 257, Items: []record.Item{{Arg: 1, Kind: layout.ItemStr, Data: make([]byte, 8000)}}})
	for range (maxDump + 100<<20) / len(rec) {
		if err := d.Record(dump.FrameMain, rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, file.Dump())
	if err != nil || n > maxDump+1<<20 || n < maxDump-4<<20 {
		t.Errorf("%d MiB come of %d KiB, %v; want at most %d MiB", n>>20, out.Len()>>10, err, maxDump>>20)
	}
	if d := file.Damage(); len(d) != 1 || !strings.Contains(d[0].Text, "longer than 256 MiB") {
		t.Errorf("it is not said: %v", d)
	}
}

func TestMemory(t *testing.T) {
	raw := rawDump(t, 400000, 1<<30, true) // some 50 MiB
	limit := uint64(24 << 20)
	if race.Enabled {
		limit = 4 * uint64(len(raw))
	}
	var before, after runtime.MemStats
	var packed bytes.Buffer
	packed.Grow(len(raw) + 1<<20)
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := NewWriter(&packed, testMeta())
	for rest := raw; len(rest) > 0; { // as dump.Writer does
		n := min(100<<10, len(rest))
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > limit {
		t.Errorf("writing %d MiB took %d MiB of memory, one after the other", len(raw)>>20, got>>20)
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	n, err := io.Copy(io.Discard, mustOpen(t, packed.Bytes()).Dump())
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > limit || n < int64(len(raw)) || err != nil {
		t.Errorf("reading %d MiB took %d MiB of memory, %v", n>>20, got>>20, err)
	}
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	runtime.ReadMemStats(&before)
	idle := make([]*Writer, 1000)
	for i := range idle {
		idle[i] = NewWriter(io.Discard, testMeta())
	}
	readers := make([]*Reader, 1000)
	for i := range readers {
		readers[i] = mustOpen(t, packed.Bytes())
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > 8<<20 {
		t.Errorf("2000 idle readers and writers hold %d KiB", got>>10)
	}
	runtime.KeepAlive(idle)
	runtime.KeepAlive(readers)
}

func FuzzReader(f *testing.F) {
	whole := packSmall(f, rawDump(f, 4, 2, false))
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(whole[preambleLen:])
	f.Add([]byte(Magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		out, err := io.ReadAll(r.Dump())
		if err != nil {
			t.Fatal(err)
		}
		_ = readDump(bytes.NewReader(out))
		Detect(bytes.NewReader(b), int64(len(b)))
	})
}

// FuzzBlocks feeds what stands in blocks whose checksums are right.
func FuzzBlocks(f *testing.F) {
	f.Add(byte('F'), []byte("x"), byte('M'), []byte("{}"), true)
	f.Add(byte('M'), []byte(`{"dump":1}`), byte('F'), dump.AppendFrame(nil, 'E', []byte("{}")), false)
	f.Add(byte('F'), dump.AppendFrame(nil, 'H', []byte(`{"layout":1}`)), byte('E'), []byte(`{"blocks":2}`), false)
	f.Fuzz(func(t *testing.T, k1 byte, p1 []byte, k2 byte, p2 []byte, packed bool) {
		b := appendPreamble(nil, 1)
		for i, p := range [][]byte{p1, p2, p1} {
			h := head{kind: k1, id: 1, seq: uint32(i), raw: len(p)}
			if i == 1 {
				h.kind = k2
			}
			if packed { // the payload is taken as if it were zstd
				h.codec, h.raw = codecZstd, maxRaw
			}
			b = appendBlock(b, h, p)
		}
		if r, err := NewReader(bytes.NewReader(b), int64(len(b))); err == nil {
			_ = readDump(r.Dump())
		}
	})
}

func FuzzReadMeta(f *testing.F) {
	whole := packSmall(f, rawDump(f, 2, 2, false))
	f.Add(whole)
	f.Add(whole[:100])
	f.Add(whole[len(whole)/2:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, ok, err := ReadMeta(bytes.NewReader(b), int64(len(b))); err != nil && (ok || m.Recording.ID != "") {
			t.Fatalf("%v beside %+v", err, m)
		}
	})
}

func crcOf(b []byte) uint32 {
	return crc32.Checksum(b, castagnoli)
}

// realDump is a recording of a shell, repeated to the size of a ring.
func realDump(b *testing.B) []byte {
	in, err := os.ReadFile("../replay/testdata/real.rec")
	if err != nil {
		b.Fatal(err)
	}
	if big := os.Getenv("SPOOL_BENCH_DUMP"); big != "" {
		if in, err = os.ReadFile(big); err != nil {
			b.Fatal(err)
		}
	}
	return in
}

// BenchmarkWrite says what compressing costs. $SPOOL_BENCH_DUMP names another raw
// dump than the small one in testdata.
func BenchmarkWrite(b *testing.B) {
	in := realDump(b)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	var size int64
	for b.Loop() {
		w := NewWriter(io.Discard, testMeta())
		if _, err := w.Write(in); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		size = w.Size()
	}
	b.ReportMetric(float64(len(in))/float64(size), "ratio")
}

func BenchmarkRead(b *testing.B) {
	in := realDump(b)
	packed := pack(b, testMeta(), in)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, mustOpen(b, packed).Dump()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadMeta(b *testing.B) {
	packed := pack(b, testMeta(), realDump(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ReadMeta(bytes.NewReader(packed), int64(len(packed))); err != nil {
			b.Fatal(err)
		}
	}
}
