package timeline

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/internal/testrecording"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/replay"
)

var update = flag.Bool("update", false, "write the goldens anew")

const recordings = "../postmortem/testdata"

func open(t testing.TB, name string) *dump.Reader {
	t.Helper()
	return testrecording.Reader(t, testrecording.Raw(t, file(name)))
}

func file(name string) string { return filepath.Join(recordings, name+".rec.gz") }

func build(t testing.TB, name string, o Options) *Timeline {
	t.Helper()
	tl, err := Build(open(t, name), o)
	if err != nil && !errors.Is(err, dump.ErrCorrupt) && !errors.Is(err, dump.ErrTruncated) {
		t.Fatal(err)
	}
	return tl
}

func names(t testing.TB) []string {
	t.Helper()
	all, err := filepath.Glob(recordings + "/*.rec.gz")
	if err != nil || len(all) < 20 {
		t.Fatalf("%d recordings, %v", len(all), err)
	}
	for i := range all {
		all[i] = strings.TrimSuffix(filepath.Base(all[i]), ".rec.gz")
	}
	return all
}

// sound checks what holds for every timeline.
func sound(t *testing.T, tl *Timeline) {
	t.Helper()
	e := &tl.Events
	n := len(e.Age)
	for i, l := range []int{len(e.Took), len(e.Thread), len(e.Name), len(e.State), len(e.Error), len(e.Weight), len(e.Stream), len(e.Guard), len(e.Text)} {
		if l != n {
			t.Fatalf("column %d has %d of %d", i, l, n)
		}
	}
	age := int64(0)
	for i := range n {
		if i == 0 {
			age = e.Age[0]
		} else if age -= e.Age[i]; e.Age[i] < 0 {
			t.Errorf("event %d is older than the one before", i)
		}
		if age < 0 || e.Thread[i] >= len(tl.Threads) || e.Name[i] >= len(tl.Names) || e.Error[i] > len(tl.Errors) {
			t.Fatalf("event %d: age %d, thread %d, name %d, error %d", i, age, e.Thread[i], e.Name[i], e.Error[i])
		}
		if (e.State[i] == Failed) != (e.Error[i] > 0) {
			t.Errorf("event %d: state %d, error %d: %s", i, e.State[i], e.Error[i], e.Text[i])
		}
	}
	inLane := make(map[int]bool)
	for _, l := range tl.Lanes {
		for _, k := range l.Threads {
			if inLane[k] {
				t.Errorf("thread %d is in two lanes", k)
			}
			inLane[k] = true
		}
	}
	if len(inLane) != len(tl.Threads) {
		t.Errorf("%d of %d threads are in lanes", len(inLane), len(tl.Threads))
	}
	for _, l := range tl.Links {
		if l.From < 0 || l.From >= n || l.To >= n || l.Thread < 0 || l.Thread >= len(tl.Threads) {
			t.Errorf("a link from %d to %d, thread %d", l.From, l.To, l.Thread)
		}
	}
	var left uint64
	for _, o := range tl.Omitted {
		if o.From < o.To {
			t.Errorf("what is left out goes from %d to %d", o.From, o.To)
		}
		left += o.Calls
	}
	if left != tl.Left {
		t.Errorf("%d are left out, and %d in spans", tl.Left, left)
	}
}

// Every recording makes a sound timeline, whose report is what show says, and whose text is that
// of every event.
func TestTimelines(t *testing.T) {
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			tl := build(t, name, Options{})
			sound(t, tl)
			var events uint64
			report, _ := postmortem.Build(open(t, name), postmortem.Options{Also: func(*postmortem.Seen) { events++ }})
			if report.Verdict != tl.Report.Verdict {
				t.Errorf("verdict %q, show has %q", tl.Report.Verdict, report.Verdict)
			}
			if uint64(len(tl.Events.Age))+tl.Left != events {
				t.Errorf("%d events and %d left out: the dump has %d", len(tl.Events.Age), tl.Left, events)
			}
			if _, err := json.Marshal(tl); err != nil {
				t.Error(err)
			}
		})
	}
}

// A timeline of a few events has as many as it may have, the last ones, the failures that say
// something, and counts of the others.
func TestThinned(t *testing.T) {
	for _, name := range names(t) {
		whole := build(t, name, Options{})
		if whole.Left > 0 {
			t.Fatalf("%s: %d are left out", name, whole.Left)
		}
		const most = 320
		thin := build(t, name, Options{Events: most})
		sound(t, thin)
		n := len(thin.Events.Age)
		if n > most || len(whole.Events.Age) > most && n < most/2 {
			t.Errorf("%s: %d events", name, n)
		}
		if thin.Left != uint64(len(whole.Events.Age)-n) {
			t.Errorf("%s: %d left out, of %d %d are there", name, thin.Left, len(whole.Events.Age), n)
		}
		var failed uint64
		for _, o := range thin.Omitted {
			failed += o.Failed
		}
		count := func(tl *Timeline) (n uint64) {
			for i, s := range tl.Events.State {
				if s == Failed && tl.Events.Weight[i] > 0 {
					n++
				}
			}
			return n
		}
		if all, here := count(whole), count(thin); here+failed < all-all/50 || here+failed > all {
			t.Errorf("%s: %d failures are here, %d left out, of %d", name, here, failed, all)
		}
		last := func(tl *Timeline) string {
			if len(tl.Events.Text) == 0 {
				return ""
			}
			return tl.Events.Text[len(tl.Events.Text)-1]
		}
		if last(thin) != last(whole) {
			t.Errorf("%s: the last event is %q, not %q", name, last(thin), last(whole))
		}
		for i, s := range whole.Summary {
			if thin.Summary[i] != s {
				t.Errorf("%s: summary of %v, of all %v", name, thin.Summary[i], s)
			}
		}
	}
}

// Lanes and links of what real programs did.
func TestLanes(t *testing.T) {
	var b strings.Builder
	for _, name := range names(t) {
		tl := build(t, name, Options{})
		fmt.Fprintf(&b, "%s: %s\n", name, tl.Report.Verdict)
		for i, l := range tl.Lanes {
			if i == 12 {
				fmt.Fprintf(&b, "  and %d more\n", len(tl.Lanes)-i)
				break
			}
			th := &tl.Threads[l.Threads[0]]
			fmt.Fprintf(&b, "  %s", l.Label)
			if len(l.Threads) == 1 {
				fmt.Fprintf(&b, " %d/%d", th.Pid, th.Tid)
			}
			fmt.Fprintf(&b, " %s", th.Status)
			for _, flag := range []struct {
				is   bool
				text string
			}{{l.Leader, "leader"}, {l.Folded, "folded"}, {th.Blocked, "blocked"}} {
				if flag.is {
					b.WriteString(" " + flag.text)
				}
			}
			b.WriteByte('\n')
		}
		kinds := make(map[LinkKind]int)
		for _, l := range tl.Links {
			kinds[l.Kind]++
		}
		fmt.Fprintf(&b, "  forks %d, kills %d, wakes %d\n", kinds[Fork], kinds[Kill], kinds[Wake])
	}
	const golden = "testdata/lanes.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("lanes are not those of %s:\n%s", golden, b.String())
	}
}

// What a dump has lost is said, and the rest is there.
func TestCutShort(t *testing.T) {
	raw := testrecording.Raw(t, file("forks"))
	r := testrecording.Reader(t, raw[:len(raw)*2/3])
	tl, err := Build(r, Options{})
	if !errors.Is(err, dump.ErrTruncated) {
		t.Errorf("error %v, want %v", err, dump.ErrTruncated)
	}
	sound(t, tl)
	if len(tl.Events.Age) == 0 || len(tl.Report.Lacks) == 0 {
		t.Errorf("%d events, lacks %q", len(tl.Events.Age), tl.Report.Lacks)
	}
}

// Spans of what is left out stay few and in order, whenever their events come.
func TestOmit(t *testing.T) {
	m := &maker{t: &Timeline{}, wide: 1}
	at, sum := uint64(12345), uint64(0)
	for i := range 100_000 {
		at = at*6364136223846793005 + 1442695040888963407
		m.omit(&item{at: at >> (uint(i) % 50), task: &replay.Task{}})
		sum++
	}
	if m.t.Left != sum || len(m.spans) > maxSpans || len(m.spans) < 16 {
		t.Errorf("%d of %d are counted, in %d spans", m.t.Left, sum, len(m.spans))
	}
	var calls uint64
	for i, s := range m.spans {
		calls += s.calls
		if i > 0 && s.from < m.spans[i-1].to {
			t.Errorf("span %d begins before the one before ends", i)
		}
	}
	if calls != sum {
		t.Errorf("spans have %d of %d", calls, sum)
	}
}

func BenchmarkBuild(b *testing.B) {
	for b.Loop() {
		build(b, "forks", Options{})
	}
}

// A spark has all calls of the ring, whatever span of time they cover.
func TestSpark(t *testing.T) {
	for _, name := range names(t) {
		sp, _ := BuildSpark(open(t, name))
		var calls, failed, want uint64
		for i := range sp.Calls {
			calls += sp.Calls[i]
			failed += sp.Failed[i]
		}
		_, _ = postmortem.Build(open(t, name), postmortem.Options{Also: func(s *postmortem.Seen) {
			if s.Call != "" && !s.Guard && s.State == replay.Finished {
				want++
			}
		}})
		if calls != want || failed > calls || len(sp.Calls) > sparkSpans || calls > 0 && !sp.From.Before(sp.To) {
			t.Errorf("%s: %d calls of %d, %d failed, %d spans from %s to %s", name, calls, want, failed, len(sp.Calls), sp.From, sp.To)
		}
	}
}
