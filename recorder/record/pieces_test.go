package record

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/recorderd/recorderd/recorder/layout"
)

// What stands behind a part of a vector that was cut must not look as if it came right after it.
func TestPieces(t *testing.T) {
	var iov, sizes []byte
	for _, n := range []uint64{4, 5000, 7, 3} {
		iov = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(iov, 0x1000), n)
	}
	for _, n := range []uint16{4, 6, PieceFault, 3} {
		sizes = binary.LittleEndian.AppendUint16(sizes, n)
	}
	rec := Record{Items: []Item{
		{Arg: 1, Kind: layout.ItemIov, Data: iov},
		{Arg: 1, Kind: layout.ItemIovdata, Flags: layout.ItemCut, Data: []byte("headbody..end")},
		{Arg: 1, Kind: layout.ItemPieces, Data: sizes},
	}}
	want := []Piece{{[]byte("head"), false, 4}, {[]byte("body.."), true, 5000}, {[]byte{}, true, 7}, {[]byte("end"), false, 3}}
	if got := rec.Pieces(1); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	rec.Items = rec.Items[:2]
	if got := rec.Pieces(1); len(got) != 1 || !got[0].Cut {
		t.Errorf("without sizes: %v", got)
	}
}
