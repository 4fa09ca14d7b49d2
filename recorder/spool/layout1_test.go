package spool

import (
	"io"
	"maps"
	"os"
	"testing"

	"github.com/recorderd/recorderd/recorder/dump"
)

// TestGoldenLayout1 catches a reader that cannot read all of a file that a recorderd of
// layout 1 wrote.
func TestGoldenLayout1(t *testing.T) {
	f, err := os.Open("testdata/layout-1.spool")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	file, err := NewReader(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	if m := file.Meta(); m.Recording.ID != "d6bb32840640" || m.Reason.Kind != KindExit || m.Recording.Coverage.Written != 39212 {
		t.Errorf("it describes %+v", m)
	}
	r, err := dump.NewReader(file.Dump())
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err = r.Next(); err != nil {
			break
		}
	}
	want := map[string]uint64{"G": 138, "R": 1580, "T": 3}
	if err != io.EOF || !maps.Equal(r.End().Records, want) || len(r.Damage()) > 0 {
		t.Errorf("it has %v, want %v; damage %v, %v", r.End(), want, r.Damage(), err)
	}
}
