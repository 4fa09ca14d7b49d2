package dump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

var (
	noon       = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	testHeader = Header{
		Recording: api.Recording{ID: "4f3a", Started: noon, Container: api.Container{Cgroup: "/x"}},
		Arch:      record.ArchX86_64,
		PageSize:  4096,
		Version:   "1.0",
		Clock:     Clock{MonotonicNs: 1000, Realtime: noon},
		Taken:     noon,
		Layout:    layout.RecorderLayout,
	}
	testTask = layout.TaskInfo{
		Start: 1, End: 2, Calls: 3, Tid: 4, Tgid: 5, Ptid: 6, NsTid: 7, NsTgid: 8, NsPtid: 9, PidNs: 10, ExitCode: -11,
		FirstComm: [16]byte{'a'}, Comm: [16]byte{'b', 'c'},
	}
)

// write returns a dump with n records in the main lane, 2 in the guard lane and 1 call in progress.
func write(t testing.TB, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(w.Header(&testHeader))
	check(w.Task(&testTask))
	rec := func(i int) []byte {
		return record.Append(nil, &record.Record{
			Type: layout.RecCall, Time: uint64(i), Tid: 4, Nr: 257, Ret: -2, Args: [6]uint64{1, 1 << 40},
			Items: []record.Item{{Arg: 1, Kind: layout.ItemStr, Data: bytes.Repeat([]byte{'x'}, i%50)}},
		})
	}
	for i := range 2 {
		check(w.Record(FrameGuard, rec(i)))
	}
	for i := range n {
		check(w.Record(FrameMain, rec(i)))
	}
	check(w.Record(FrameProgress, rec(0)))
	check(w.Close())
	return out.Bytes()
}

func readAll(b []byte) (records int, err error) {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	for {
		f, err := r.Next()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return records, err
		}
		for range f.Records() {
			records++
		}
	}
}

func TestRoundTrip(t *testing.T) {
	const n = 40000 // more than one frame
	r, err := NewReader(bytes.NewReader(write(t, n)))
	if err != nil {
		t.Fatal(err)
	}
	if got := *r.Header(); !reflect.DeepEqual(got, testHeader) {
		t.Errorf("header:\n got %+v\nwant %+v", got, testHeader)
	}
	var types strings.Builder
	next, frames := 0, 0
	for {
		f, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if s := types.String(); !strings.HasSuffix(s, string(f.Type)) {
			types.WriteByte(byte(f.Type))
		}
		for task := range f.Tasks() {
			if *task != testTask {
				t.Errorf("task: got %+v, want %+v", *task, testTask)
			}
		}
		if f.Type != FrameMain {
			continue
		}
		frames++
		var rec record.Record
		for raw := range f.Records() {
			if err := record.Parse(raw, &rec); err != nil {
				t.Fatal(err)
			}
			if rec.Time != uint64(next) {
				t.Fatalf("record %d has time %d", next, rec.Time)
			}
			next++
		}
	}
	if next != n || frames < 2 || types.String() != "HTGRPE" {
		t.Errorf("read %d records in %d frames, types in the order %s", next, frames, types.String())
	}
	want := map[string]uint64{"T": 1, "G": 2, "R": n, "P": 1}
	if got := r.End().Records; !reflect.DeepEqual(got, want) {
		t.Errorf("end: got %v, want %v", got, want)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("behind the end: %v, want EOF", err)
	}
}

// The hand-written encoding of tasks must be that of the C struct.
func TestTaskEncoding(t *testing.T) {
	var want bytes.Buffer
	if err := binary.Write(&want, binary.LittleEndian, &testTask); err != nil {
		t.Fatal(err)
	}
	got := appendTask(nil, &testTask)
	if !bytes.Equal(got, want.Bytes()) || len(got) != layout.SizeofTaskInfo {
		t.Fatalf("got  %x\nwant %x", got, want.Bytes())
	}
	var back layout.TaskInfo
	if parseTask(got, &back); back != testTask {
		t.Errorf("got %+v, want %+v", back, testTask)
	}
}

func TestCutShort(t *testing.T) {
	whole := write(t, 3)
	for n := range whole {
		_, err := readAll(whole[:n])
		if n == 0 {
			if !errors.Is(err, ErrForeign) {
				t.Errorf("empty: %v", err)
			}
			continue
		}
		if !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(whole), err)
		}
	}
	// Without its end alone, all records are there and counted.
	end := bytes.LastIndex(whole, []byte("E\x00\x00\x00"))
	n, err := readAll(whole[:end])
	if n != 6 || !errors.Is(err, ErrTruncated) || err.Error() != "dump is cut short after 6 records" {
		t.Errorf("without its end: %d records, %v", n, err)
	}
}

func TestFlippedBits(t *testing.T) {
	whole := write(t, 3)
	for i := range whole {
		for bit := range 8 {
			bad := bytes.Clone(whole)
			bad[i] ^= 1 << bit
			if _, err := readAll(bad); err == nil {
				t.Fatalf("bit %d of byte %d flipped: not noticed", bit, i)
			}
		}
	}
}

// frame returns a frame with a right checksum.
func frame(typ byte, payload string) []byte {
	b := append([]byte{typ, 0, 0, 0}, binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))...)
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func join(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

func TestBadInput(t *testing.T) {
	const begin = Magic + "\x01\x00\x00\x00"
	header := frame('H', `{"layout":1}`)
	for _, c := range []struct {
		name string
		in   []byte
		is   error
		text string
	}{
		{"empty", nil, ErrForeign, "not a recorderd dump: it is empty"},
		{"an archive", []byte("PK\x03\x04aaaabbbb"), ErrForeign, `not a recorderd dump: it begins with "PK\x03\x04aaaa"`},
		{"short text", []byte("hello"), ErrForeign, `not a recorderd dump: it begins with "hello"`},
		{"newer", []byte(Magic + "\x02\x00\x00\x00"), ErrNewer, "written by a newer recorderd (version 2, this one reads up to 1)"},
		{"newer layout", join(begin, frame('H', `{"layout":2}`)), ErrNewer, "written by a newer recorderd (records of layout 2, this one reads up to 1)"},
		{"no header", join(begin, frame('E', `{}`)), ErrCorrupt, `dump is damaged: it has no header, its first frame is of type 'E'`},
		{"header no JSON", join(begin, frame('H', `{`)), ErrCorrupt, "dump is damaged: frame 0 (type 'H', at byte 12): unexpected end of JSON input"},
		{"absurd length", join(begin, header, "R\x00\x00\x00\xff\xff\xff\xff"), ErrCorrupt, "dump is damaged: frame 1 (type 'R', at byte 36): its head is 52000000ffffffff"},
		{"record without end", join(begin, header, frame('R', "12345678")), ErrCorrupt, "dump is damaged: frame 1 (type 'R', at byte 36): record is cut short: 8 bytes are left"},
		{"half a task", join(begin, header, frame('T', "12345678")), ErrCorrupt, "dump is damaged: frame 1 (type 'T', at byte 36): its length is no multiple of 88"},
		{"wrong count", join(begin, header, frame('E', `{"records":{"R":1}}`)), ErrCorrupt, "dump is damaged: it has 0 rows of type 'R', its end says 1"},
		{"unknown frame", join(begin, header, frame('Z', "later"), frame('E', `{}`)), nil, ""},
		{"something behind the end", join(begin, header, frame('E', `{}`), "xyz"), nil, ""},
	} {
		_, err := readAll(c.in)
		if !errors.Is(err, c.is) || (err != nil && err.Error() != c.text) {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.text)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	w := NewWriter(io.Discard)
	good := record.Append(nil, &record.Record{Type: layout.RecCall})
	for name, err := range map[string]error{
		"header type":  w.Record(FrameHeader, good),
		"two records":  w.Record(FrameMain, append(bytes.Clone(good), good...)),
		"half of one":  w.Record(FrameMain, good[:16]),
		"large header": w.Header(&Header{Filter: strings.Repeat("x", MaxFrame)}),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := w.Close(); err == nil {
		t.Error("closed without a header")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriterKeepsError(t *testing.T) {
	w := NewWriter(failing{})
	first := w.Header(&testHeader)
	if first == nil || first.Error() != "write dump: disk full" {
		t.Fatalf("got %v", first)
	}
	if err := w.Close(); !errors.Is(err, first) {
		t.Errorf("close: %v", err)
	}
}

func TestClock(t *testing.T) {
	c := Clock{MonotonicNs: 5e9, Realtime: noon}
	for _, c2 := range []struct {
		mono uint64
		at   time.Time
	}{{5e9, noon}, {0, noon.Add(-5 * time.Second)}, {6e9, noon.Add(time.Second)}} {
		if got := c.Time(c2.mono); !got.Equal(c2.at) {
			t.Errorf("Time(%d) = %v, want %v", c2.mono, got, c2.at)
		}
		if got := c.Monotonic(c2.at); got != c2.mono {
			t.Errorf("Monotonic(%v) = %d, want %d", c2.at, got, c2.mono)
		}
	}
	if got := c.Monotonic(noon.Add(-time.Hour)); got != 0 {
		t.Errorf("before the clock began: %d", got)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(write(f, 2))
	f.Add([]byte(Magic))
	f.Add(join(Magic, "\x01\x00\x00\x00", frame('H', `{}`), frame('T', ""), frame('R', "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		for {
			frame, err := r.Next()
			if err != nil {
				return
			}
			for raw := range frame.Records() {
				var rec record.Record
				_ = record.Parse(raw, &rec)
			}
			for range frame.Tasks() {
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	whole := write(b, 100000)
	b.SetBytes(int64(len(whole)))
	for b.Loop() {
		if _, err := readAll(whole); err != nil {
			b.Fatal(err)
		}
	}
}
