package bpf

import (
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// TestGuardLanesTurn catches records of the small lanes that are torn, miscounted, or lost
// although they are the newest of their kind: threads make failing calls and write text as
// fast as they can, and copies are taken in a loop.
func TestGuardLanesTurn(t *testing.T) {
	cfg := testConfig(t)
	cfg.Ring = record.NewGeometry(64<<10, 32<<10, 16<<10)
	write := &cfg.Plans[unix.SYS_WRITE]
	*write = layout.Plan{Nargs: 3, Nops: 1, Flags: uint8(layout.PlanWrite)}
	write.Op[0] = layout.PlanOp{Arg: 1, Kind: uint8(layout.OpData), Count: uint8(layout.CountRet), Size: 1, Max: 4096}
	k := testKernel(t, cfg)
	root := testRoot(t, k)
	_, view := newRing(t, k, 1, 1, 4096)
	threads, calls := max(2, runtime.NumCPU()), 400_000/emulated()
	calls -= calls % 112 // the kinds in turn, and the writes
	cmd := inCgroup(t, makeCgroup(t, filepath.Join(root, "a")), numbered(t), fmt.Sprint(threads), fmt.Sprint(calls), "fail")
	cmd.Stderr = io.Discard // a pipe: what goes to /dev/null is not captured
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	copies, believed := 0, uint64(0)
	look := func() (c record.Copy, last map[uint16]uint64, writes uint64) {
		t.Helper()
		c, err := view.Copy(nil, k.Grace, layout.RoleGuard)
		if err != nil {
			t.Fatal(err)
		}
		copies++
		last = map[uint16]uint64{}
		before := uint64(0)
		each(t, kept(t, c.Guard), func(_ []byte, rec *record.Record) {
			believed++
			if rec.Time < before {
				t.Fatalf("a record of %d comes after one of %d", rec.Time, before)
			}
			before = rec.Time
			switch n, ok := number(rec); {
			case !ok:
				t.Fatalf("a torn record was believed: %+v", *rec)
			case n > 0:
				last[rec.Nr] = max(last[rec.Nr], n)
			}
			if rec.Type == layout.RecCall && rec.Nr == unix.SYS_WRITE {
				writes++
			}
		})
		return c, last, writes
	}
	for done := false; !done; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
			look()
		}
	}
	c, last, _ := look()
	missed, err := k.Missed()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d copies, %d records believed, missed %v, %.0f ns a call", copies, believed, missed["on_sys_exit"], float64(time.Since(start).Nanoseconds())/float64(calls))

	// Every failing call and every write was counted, and some more: exec, ends, what
	// the C library tries at its start.
	all := uint64(threads * calls)
	if n := c.Guard.Written; n < all || n > all+50+uint64(threads) {
		t.Errorf("%d records were written, want a little more than %d", n, all)
	}
	// The newest of each kind is there: one of the threads made its last call of the kind
	// with one of the last numbers.
	if len(last) != 8 {
		t.Errorf("%d kinds are kept, want 8", len(last))
	}
	for nr, n := range last {
		if n < uint64(calls-112) {
			t.Errorf("the last of call %d that is kept has number %d of %d", nr, n, calls)
		}
	}
	var lanes uint64
	for _, l := range c.Guard.Lanes {
		if l.Kind != layout.LaneRecent {
			lanes += l.Written
		}
		// The lanes of text alone.
		//exhaustive:ignore
		switch l.Kind {
		case layout.LaneErr:
			// Those of the text that are not here are the first.
			first := 0
			each(t, kept(t, firstLane(t, view, k)), func(_ []byte, rec *record.Record) {
				if rec.Type == layout.RecCall && rec.Nr == unix.SYS_WRITE {
					first++
				}
			})
			if want := all / 16; l.Written+uint64(first) != want || first == 0 {
				t.Errorf("%d texts are counted and %d are the first, want %d", l.Written, first, want)
			}
			if l.Since == 0 || l.Kept == 0 {
				t.Errorf("of %d texts %d are kept, since %d", l.Written, l.Kept, l.Since)
			}
		case layout.LaneOut:
			if l.Written != 0 {
				t.Errorf("%d texts on descriptor 1, want none", l.Written)
			}
		}
		if l.Written > 0 && l.Kept == 0 {
			t.Errorf("the lane of kind %d has none of its %d records", l.Kind, l.Written)
		}
	}
	if lanes != c.Guard.Written {
		t.Errorf("the lanes of kinds and the first have %d records, all are %d", lanes, c.Guard.Written)
	}
}

// firstLane copies the lane that is written once.
func firstLane(t *testing.T, view *record.Ring, k *Kernel) record.Kept {
	t.Helper()
	s, err := view.SnapshotOf(layout.LaneFirst, k.Grace)
	if err != nil {
		t.Fatal(err)
	}
	return record.Kept{Records: s.Records, Kept: s.Kept, Written: s.Written}
}

// number is that of a call that numbered made, 0 of others, and whether all of the
// record fits to it.
func number(rec *record.Record) (n uint64, ok bool) {
	if rec.Type != layout.RecCall {
		return 0, true
	}
	if rec.Nr == unix.SYS_WRITE {
		if len(rec.Items) != 1 || len(rec.Items[0].Data) < 16 {
			return 0, false
		}
		text := rec.Items[0].Data
		n = binary.LittleEndian.Uint64(text)
		for _, b := range text[16:] {
			if b != byte(n) {
				return 0, false
			}
		}
		return n, uint64(len(text)) == 16+n*37%600 && rec.Ret == int64(len(text))
	}
	if rec.Args[0] != ^uint64(0) || rec.Args[5] != 0x4242 {
		return 0, true // of the C library
	}
	n = rec.Args[1]
	return n, rec.Args[3] == ^n && rec.Args[4] == n*2654435761
}
