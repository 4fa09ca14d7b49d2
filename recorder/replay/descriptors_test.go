package replay

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/strace"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// TestDescriptorsInRegisters holds what is known of where a call has its descriptors
// against those that its text shows, for all calls of all recordings, and for calls of
// all numbers with any arguments.
func TestDescriptorsInRegisters(t *testing.T) {
	known, all := 0, 0
	hold := func(abi record.Arch, rec *record.Record) {
		c := syscalls.Lookup(abi, uint32(rec.Nr))
		if c == nil {
			return
		}
		c = c.Variant(&rec.Args)
		all++
		at := strace.DescriptorsOf(abi, c)
		if !at.Known {
			return
		}
		known++
		var got, want []fdKey
		for _, reg := range at.Regs {
			got = append(got, fdKey{int32(rec.Args[reg]), false})
		}
		if at.Result && !(rec.Ret < 0 && rec.Ret >= -4095) {
			got = append(got, fdKey{int32(rec.Ret), true})
		}
		text := strace.AppendCall(nil, abi, rec, strace.Options{StringLimit: 1, Verbose: true, Fd: func(num int32, result bool) string {
			want = append(want, fdKey{num, result})
			return ""
		}})
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v in %s", got, want, text)
		}
	}
	files, err := filepath.Glob("testdata/*.rec*")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../postmortem/testdata/*.rec.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, more...) {
		r, err := dump.NewReader(bytes.NewReader(recording(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Walk(r, Query{}, time.UTC, func(ev *Event) error {
			if ev.State == Finished && ev.Kind == KindCall && !ev.NoArgs {
				hold(ev.abi, &ev.Rec)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if known < all/2 {
		t.Errorf("known of %d of %d calls", known, all)
	}
	for _, abi := range []record.Arch{record.ArchX86_64, record.ArchARM64, record.ArchI386} {
		for nr := range syscalls.All(abi) {
			for _, ret := range []int64{0, 7, -1, -9} {
				hold(abi, &record.Record{Nr: uint16(nr), Ret: ret, Args: [6]uint64{3, 1<<64 - 100, 5, 1<<64 - 1, 2, 9}})
				hold(abi, &record.Record{Nr: uint16(nr), Ret: ret, Args: [6]uint64{1<<64 - 1, 1, 2, 3, 1 << 40, 4}})
			}
		}
	}
}
