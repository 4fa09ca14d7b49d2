package soak

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/spool"
)

// The daemon is killed again and again while containers work, start and crash. No
// call is missing, no crash is, and nothing is left over.
func TestKilledAgainAndAgain(t *testing.T) {
	const workers, calls = 20, 1500
	kills := times(15, 100)
	n := newNode(t, "--ring-size", "256KiB", "--memory-budget", "256MiB", "--spool-size", "512MiB", "--spool-burst", "0", "--spool-free", "0")
	n.start()

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	ended := map[string]string{} // container -> how
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for ctx.Err() == nil {
				how := []string{"3", "segv", "0"}[rnd.IntN(3)]
				c, err := n.run(worker, strconv.Itoa(calls), strconv.Itoa(rnd.IntN(1200)), how)
				if err != nil {
					t.Error(err)
					return
				}
				c.end()
				mu.Lock()
				ended[c.name] = how
				mu.Unlock()
			}
		})
	}
	rnd := rand.New(rand.NewPCG(2, 2))
	for i := range kills {
		time.Sleep(time.Duration(rnd.IntN(700)) * time.Millisecond)
		n.kill()
		if i%3 == 0 { // nobody is there for a while
			time.Sleep(time.Duration(rnd.IntN(150)) * time.Millisecond)
		}
		n.spawn()
	}
	n.kill()
	n.start()
	stop()
	wg.Wait()
	t.Logf("%d containers in %d lives of the daemon", len(ended), kills+2)

	// Whatever is to go to disk is there, and rings are down to the spares.
	var st api.Status
	eventually(t, "all ends were dealt with", func() bool {
		var err error
		st, err = n.client.Status(t.Context())
		return err == nil && st.Rings.Live == 0 && st.Rings.Ended == 0 && st.Spool.Waiting == 0 && n.rings() == st.Rings.Spare
	})
	if st.Lost.NoRing > 0 {
		// With the daemon away the spares may run out: that is counted, and so are those
		// containers, whose calls until then are missing.
		t.Logf("%d containers found no ring at once", st.Lost.NoRing)
	}
	all := n.list()
	whole, late := 0, 0
	for name, how := range ended {
		recs := all[name]
		if len(recs) == 0 {
			if uint64(late) < st.Lost.NoRing {
				late++
				continue
			}
			t.Errorf("%s (%s): no recording", name, how)
			continue
		}
		if len(recs) > 1 {
			t.Errorf("%s (%s): %d recordings", name, how, len(recs))
		}
		rec := recs[0]
		got, err := n.numbers(rec.ID)
		if err != nil {
			t.Errorf("%s (%s): %v", name, how, err)
			continue
		}
		if rec.Exit == nil || (how == "segv") != (rec.Exit.Signal == "SIGSEGV") || how == "3" && rec.Exit.Code != 3 {
			t.Errorf("%s (%s): it ended with %+v", name, how, rec.Exit)
		}
		complete := got.exec && got.first == 1 && got.count == calls
		switch {
		case got.gap != "" || got.last != calls:
			t.Errorf("%s (%s): numbers %d to %d, %d of them; %s", name, how, got.first, got.last, got.count, got.gap)
		case complete:
			whole++
		case uint64(late) < st.Lost.NoRing:
			late++
		default:
			t.Errorf("%s (%s): numbers %d to %d, exec seen: %v", name, how, got.first, got.last, got.exec)
		}
		if how != "0" && rec.Spool == nil && rec.State != api.StateSpooled {
			t.Errorf("%s (%s): its crash is not on disk", name, how)
		}
	}
	t.Logf("%d recordings are whole, %d began late or not at all, %d MiB on disk", whole, late, st.Spool.Bytes>>20)
	if st.Lost.Missed["on_sys_exit"] > 0 {
		t.Logf("%d calls were missed by recursion", st.Lost.Missed["on_sys_exit"])
	}
	left, err := os.ReadDir(filepath.Join(n.state, "spool"))
	if err != nil {
		t.Fatal(err)
	}
	dumps := map[string]bool{}
	for _, e := range left {
		if strings.HasSuffix(e.Name(), spool.Suffix) {
			dumps[e.Name()] = true
			dumps[spool.JudgedName(e.Name())] = true // a verdict may stand beside each, and nowhere else
		}
	}
	if len(dumps)/2 != st.Spool.Files {
		t.Errorf("%d dumps are in the spool, status says %d", len(dumps)/2, st.Spool.Files)
	}
	for _, e := range left {
		if !dumps[e.Name()] && e.Name() != ".clock" {
			t.Errorf("%s was left in the spool", e.Name())
		}
	}
	if kept, err := os.ReadDir(filepath.Join(n.pins, "kept")); err != nil || len(kept) != st.Rings.Kept {
		t.Errorf("%d pieces of memory are pinned, %v; status says %d are kept", len(kept), err, st.Rings.Kept)
	}
}
