package dump

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"testing"
)

// A dump of every version is read whole. The files are never written anew: they are what is on
// people's disks.
func TestReadsEveryVersion(t *testing.T) {
	for _, c := range []struct {
		file    string
		id      string
		command string
		records map[string]uint64
	}{
		{"testdata/v1.dump.gz", "f7ca0e46cfb5", "cat", map[string]uint64{"G": 21, "R": 266, "T": 1}},
	} {
		f, err := os.Open(c.file)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(z)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]uint64{}
		for {
			frame, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", c.file, err)
			}
			n, err := frame.rows()
			if err != nil {
				t.Fatalf("%s: %v", c.file, err)
			}
			if n > 0 {
				got[string(frame.Type)] += n
			}
		}
		h := r.Header()
		if h.Recording.ID != c.id || len(h.Recording.Container.Command) == 0 || h.Recording.Container.Command[0] != c.command {
			t.Errorf("%s: id %q, command %q", c.file, h.Recording.ID, h.Recording.Container.Command)
		}
		for typ, n := range c.records {
			if got[typ] != n {
				t.Errorf("%s: %d rows of type %s, want %d", c.file, got[typ], typ, n)
			}
		}
		if len(got) != len(c.records) {
			t.Errorf("%s: rows %v, want %v", c.file, got, c.records)
		}
		f.Close()
	}
}
