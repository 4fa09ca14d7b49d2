package dump

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"os"
	"testing"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// TestGoldenLayout1 catches a reader that cannot read, or reads less of, a dump that a
// recorderd of layout 1 wrote. It is of a shell: 39,212 calls in a ring of 64 KiB.
func TestGoldenLayout1(t *testing.T) {
	f, err := os.Open("testdata/layout-1.dump.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(z)
	if err != nil {
		t.Fatal(err)
	}
	h := r.Header()
	if c := h.Recording.Coverage; h.Layout != 1 || c.Written != 39212 || c.Kept != 1580 || c.GuardSkips != 5895 || c.Apart != nil {
		t.Errorf("layout %d, coverage %+v", h.Layout, c)
	}
	types := map[layout.RecType]int{}
	words := false
	for {
		f, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var rec record.Record
		for raw := range f.Records() {
			if err := record.Parse(raw, &rec); err != nil {
				t.Fatal(err)
			}
			types[rec.Type]++
			for _, it := range rec.Items {
				words = words || it.Kind == layout.ItemData && bytes.Equal(it.Data, []byte("last words\n"))
			}
		}
	}
	want := map[string]uint64{"G": 138, "R": 1580, "T": 3}
	if got := r.End().Records; !maps.Equal(got, want) {
		t.Errorf("it has %v, want %v", got, want)
	}
	// What is near the end is in both lanes.
	if types[layout.RecExec] != 2 || types[layout.RecExit] != 4 || types[layout.RecSignal] != 3 || !words || len(r.Damage()) > 0 {
		t.Errorf("records by type %v, last words %v, damage %v", types, words, r.Damage())
	}
}
