package dump

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// many returns a dump of many small frames: n of main records, 10 in each.
func many(t testing.TB, n int) []byte {
	t.Helper()
	b := AppendPreamble(nil, Version)
	b = append(b, write(t, 0)[preamble:]...)
	end := bytes.LastIndex(b, []byte("E\x00\x00\x00"))
	m := NewMender(Version, nil)
	for in := b[preamble:end]; len(in) > 0; {
		f, k, err := ParseFrame(in)
		if err != nil {
			t.Fatal(err)
		}
		m.Frame(f)
		in = in[k:]
	}
	for i := range n {
		var rows []byte
		for j := range 10 {
			rows = record.Append(rows, &record.Record{Type: layout.RecCall, Time: uint64(10*i + j), Tid: 4})
		}
		m.Frame(Frame{FrameMain, rows})
	}
	m.End()
	out := make([]byte, m.Len())
	m.Take(out)
	return out
}

func salvage(t testing.TB, b []byte) (records int, damage []Damage, err error) {
	t.Helper()
	r, err := NewReader(Salvage(bytes.NewReader(b)))
	if err != nil {
		return 0, nil, err
	}
	for {
		f, err := r.Next()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return records, r.Damage(), err
		}
		for range f.Records() {
			records++
		}
	}
}

func TestSalvageLeavesWhatIsWhole(t *testing.T) {
	whole := write(t, 40000)
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(whole), "byte by byte": iotest.OneByteReader(bytes.NewReader(whole)), "halves": iotest.HalfReader(bytes.NewReader(whole)),
	} {
		if got, err := io.ReadAll(Salvage(r)); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(whole))
		}
	}
	for _, foreign := range []string{"", "hello", strings.Repeat("PK", 100), Magic + "\x09\x00\x00\x00xxxxxxxxxx"} {
		if got, err := io.ReadAll(Salvage(strings.NewReader(foreign))); err != nil || string(got) != foreign {
			t.Errorf("%q: %q, %v", foreign, got, err)
		}
	}
	torn := errors.New("torn off")
	r := Salvage(io.MultiReader(bytes.NewReader(whole[:100000]), iotest.ErrReader(torn)))
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, torn) {
		t.Errorf("error of the input: %v", err)
	}
}

// Whatever single byte is wrong, all frames but the one that has it are read, and it is said.
func TestSalvageFlippedBytes(t *testing.T) {
	whole := many(t, 20)
	all, _, err := salvage(t, whole)
	if err != nil || all != 203 {
		t.Fatalf("undamaged: %d records, %v", all, err)
	}
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x41
		n, damage, err := salvage(t, bad)
		switch {
		case i >= len(Magic) && i < preamble: // the version
			if !errors.Is(err, ErrNewer) && len(damage) == 0 {
				t.Fatalf("byte %d: %d records, %v", i, n, err)
			}
		case err == nil && len(damage) == 0:
			t.Fatalf("byte %d: not noticed", i)
		case n < all-10:
			t.Fatalf("byte %d: %d of %d records, %v, %v", i, n, all, damage, err)
		case err != nil && !errors.Is(err, ErrTruncated):
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

func TestSalvageCut(t *testing.T) {
	whole := many(t, 5)
	for n := preamble; n < len(whole); n++ {
		_, damage, err := salvage(t, whole[:n])
		if !errors.Is(err, ErrTruncated) || len(damage) > 0 {
			t.Fatalf("cut to %d bytes: %v, %v", n, damage, err)
		}
	}
	// A piece is missing in the middle.
	a, b := bytes.Index(whole, []byte("R\x00\x00\x00"))+30, bytes.LastIndex(whole, []byte("R\x00\x00\x00"))
	n, damage, err := salvage(t, append(bytes.Clone(whole[:a]), whole[b:]...))
	if n != 13 || len(damage) != 1 || damage[0].Bytes != 30 || err != nil {
		t.Errorf("without its middle: %d records, %v, %v", n, damage, err)
	}
}

func TestSalvageLostHeader(t *testing.T) {
	whole := many(t, 5)
	whole[preamble+40] ^= 1
	n, damage, err := salvage(t, whole)
	if n != 53 || err != nil || len(damage) != 2 || !strings.Contains(damage[1].Text, "header is lost") {
		t.Errorf("%d records, %v, %v", n, damage, err)
	}
}

// Every eighth byte begins what could be a frame of nearly a megabyte.
func TestSalvageBounded(t *testing.T) {
	bad := append(bytes.Clone(write(t, 1)), bytes.Repeat([]byte("R\x00\x00\x00\xff\xff\x0f\x00"), 1<<20)...)
	bad[len(Magic)+4+20] ^= 1 // the end's frame is not reached
	end := bytes.LastIndex(bad, []byte("E\x00\x00\x00"))
	bad[end+9] ^= 1
	start := time.Now()
	_, damage, err := salvage(t, bad)
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if len(damage) == 0 {
		t.Errorf("%v, %v", damage, err)
	}
}

func TestDamageText(t *testing.T) {
	for want, d := range map[string]Damage{
		"3 blocks (412 KiB) are damaged here: x": {"x", 412 << 10, 3},
		"1 block (1.5 KiB) is damaged here: x":   {"x", 1536, 1},
		"2.5 MiB are damaged here: x":            {"x", 5 << 19, 0},
		"2 blocks are damaged here: x":           {"x", 0, 2},
		"the file is cut short":                  {"the file is cut short", 0, 0},
	} {
		if got := d.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzSalvage(f *testing.F) {
	f.Add(write(f, 2))
	f.Add(many(f, 2))
	f.Add(join(Magic, "\x01\x00\x00\x00", frame('R', ""), frame('D', `{"text":"x"}`), "RRR", frame('E', `{}`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := io.ReadAll(Salvage(bytes.NewReader(b)))
		if err != nil {
			t.Fatal(err)
		}
		// What it makes is a dump that is whole, cut short, of a newer version, or none.
		_, err = readAll(out)
		if err != nil && errors.Is(err, ErrCorrupt) && !errors.Is(func() error { _, e := readAll(b); return e }(), ErrCorrupt) {
			t.Fatalf("%v was made of a dump that has no such fault", err)
		}
	})
}
