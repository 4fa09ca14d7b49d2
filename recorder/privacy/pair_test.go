package privacy

import (
	"bytes"
	"testing"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

func TestFsconfigNumber(t *testing.T) {
	for arch := record.ArchX86_64; arch <= record.ArchARM; arch++ {
		if c := syscalls.ByName(arch, "fsconfig"); c == nil || c.Nr != nrFsconfig {
			t.Errorf("%v: fsconfig is %+v, want number %d", arch, c, nrFsconfig)
		}
	}
}

// What stands behind an argument that could not be read may be its value.
func TestBehindAnUnreadArgument(t *testing.T) {
	r := compile(t, Policy{Blank: []string{"passwords"}})
	raw := record.Append(nil, &record.Record{Type: layout.RecEnter, Nr: 59, Items: []record.Item{
		{Arg: 1, Kind: layout.ItemStrv, Data: []byte("db")}, {Arg: 1, Kind: layout.ItemStrv, Flags: layout.ItemFault},
		{Arg: 1, Kind: layout.ItemStrv, Data: []byte("hunter2")}, {Arg: 1, Kind: layout.ItemStrv, Data: []byte("now")}}})
	var rec record.Record
	if err := record.Parse(r.Record(raw), &rec); err != nil || string(rec.Items[2].Data) != "*******" || string(rec.Items[3].Data) != "now" {
		t.Errorf("%+v, %v", rec.Items, err)
	}
}

// fsconfig passes the name and the value of an option apart.
func TestPairs(t *testing.T) {
	r := compile(t, Policy{Blank: []string{"passwords"}})
	for _, tc := range []struct {
		nr        uint16
		key, want string
	}{{nrFsconfig, "password", "*******"}, {nrFsconfig, "source", "hunter2"}, {82, "password", "hunter2"}} {
		raw := record.Append(nil, &record.Record{Type: layout.RecCall, Nr: tc.nr, Items: []record.Item{
			{Arg: 2, Kind: layout.ItemStr, Data: []byte(tc.key)}, {Arg: 3, Kind: layout.ItemStr, Data: []byte("hunter2")}}})
		if got := r.Record(raw); !bytes.Contains(got, []byte(tc.want)) {
			t.Errorf("%d, %s: want %s in %q", tc.nr, tc.key, tc.want, got)
		}
	}
}
