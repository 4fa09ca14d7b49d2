package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/race"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/replay"
)

// slow is a client that takes 10 MiB of a dump, more than the small lanes have, and then
// nothing, until it is let go.
type slow struct {
	begun chan struct{}
	once  sync.Once
	goOn  chan struct{}
	n     int64
}

func (s *slow) Write(b []byte) (int, error) {
	if s.n += int64(len(b)); s.n > 10<<20 {
		s.once.Do(func() { close(s.begun) })
		<-s.goOn
	}
	return len(b), nil
}

// anonymous is how much memory of its own this process has, in bytes.
func anonymous(t *testing.T) int64 {
	t.Helper()
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	t.Fatal("no RssAnon")
	return 0
}

// busy makes a container that has made calls, lives, and calls on if it is told so. It
// returns its recording.
func busy(t *testing.T, r *Recorder, c cgroups, calls int) (rec api.Recording, more io.Writer) {
	t.Helper()
	dir := filepath.Join(c.dir, "busy")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, "remove "+dir, func() bool { return os.Remove(dir) == nil }) })
	cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf(`read x; while read x; do dd if=/dev/zero of=/dev/null bs=1 count=%d 2>/dev/null; done`, calls/2))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, cmd.Process.Pid), 0); err != nil {
		t.Fatal(err)
	}
	rec = c.recording(r, "busy")
	fmt.Fprint(in, "begin\ncall\n")
	eventually(t, "calls", func() bool {
		rec = c.recording(r, "busy")
		return rec.Coverage.Written >= uint64(calls)
	})
	return rec, in
}

// TestDumpsOfALargeRing has clients that do not read dumps of a ring of 64 MiB: as many as can
// be, and as many that follow. What they hold together has a bound.
func TestDumpsOfALargeRing(t *testing.T) {
	c := makeCgroups(t, "large")
	r := testRecorder(t, Config{Watch: []string{c.path}, OnlyWatched: true, Policy: policy.Policy{}, RingSize: 64 << 20, MemoryBudget: 400 << 20})
	rec, _ := busy(t, r, c, 600_000)
	before := anonymous(t)
	ctx, cancel := context.WithCancel(t.Context())
	var clients []*slow
	var done sync.WaitGroup
	take := func(q replay.Query) {
		s := &slow{begun: make(chan struct{}), goOn: make(chan struct{})}
		clients = append(clients, s)
		done.Add(1)
		go func() {
			defer done.Done()
			if err := r.Dump(ctx, rec.ID, q, s); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("dump: %v", err)
			}
		}()
	}
	for range 8 {
		take(replay.Query{})
	}
	for _, s := range clients {
		<-s.begun
	}
	copied := anonymous(t) - before
	for range 32 {
		take(replay.Query{Follow: true})
	}
	for _, s := range clients {
		<-s.begun
	}
	all := anonymous(t) - before
	t.Logf("8 clients that do not read hold %d MiB, 32 that follow %d MiB more", copied>>20, (all-copied)>>20)
	if copied > 45<<20 && !race.Enabled {
		t.Errorf("8 dumps of one ring hold %d MiB: want one copy", copied>>20)
	}
	if all-copied > 80<<20 && !race.Enabled {
		t.Errorf("32 that follow hold %d MiB: want a MiB and a bit each", (all-copied)>>20)
	}

	// Another copy, a second later, would exceed what all may hold.
	r.copies.mu.Lock()
	for _, one := range r.copies.shared {
		one.began = one.began.Add(-2 * sharedFor)
	}
	r.copies.mu.Unlock()
	err := r.Dump(ctx, rec.ID, replay.Query{}, io.Discard)
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Code != api.CodeTooMany {
		t.Errorf("one more copy: %v, want it refused", err)
	}
	for _, s := range clients {
		close(s.goOn)
	}
	eventually(t, "what was copied is given back", func() bool {
		r.copies.mu.Lock()
		defer r.copies.mu.Unlock()
		return r.copies.copied[whole] == 0
	})
	cancel()
	done.Wait()
	if n := r.copies.copied; n != [copyWhats]uint64{} || len(r.copies.shared) != 0 {
		t.Errorf("when all have ended, %d bytes are said to be held", n)
	}
	for _, s := range clients[:8] {
		if s.n < 20<<20 {
			t.Errorf("a dump has %d MiB", s.n>>20)
		}
	}
	if left := anonymous(t) - before; left > 20<<20 && !race.Enabled {
		t.Errorf("%d MiB stay when all have ended", left>>20)
	}
	if err := r.Dump(t.Context(), rec.ID, replay.Query{}, io.Discard); err != nil {
		t.Errorf("the next dump: %v", err)
	}
}

// TestDecodeBounds asks for formats that take memory here.
func TestDecodeBounds(t *testing.T) {
	var c copies
	q := replay.Query{Format: replay.FormatText}
	n := q.Memory(64 << 20)
	done, err := c.decode(n)
	if err != nil {
		t.Fatal(err)
	}
	var refused *api.Error
	if _, err := c.decode(n); !errors.As(err, &refused) || refused.Code != api.CodeTooMany {
		t.Errorf("a second one: %v", err)
	}
	done()
	if done, err = c.decode(n); err != nil {
		t.Errorf("after the first: %v", err)
	}
	done()
	q.Format = replay.FormatStrace
	if _, err := c.decode(q.Memory(64 << 20)); !errors.As(err, &refused) || refused.Code != api.CodeBadRequest {
		t.Errorf("one that never fits: %v", err)
	}
	for i := range 8 { // of the default size all fit
		if _, err := c.decode((replay.Query{Format: replay.FormatJSON, Follow: true}).Memory(1 << 20)); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
	}
}

// TestSlowFollower reads far slower than the container writes: it is told what it missed.
func TestSlowFollower(t *testing.T) {
	r, c := settled(t, policy.Policy{})
	rec, more := busy(t, r, c, 20_000)
	pr, pw := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { pw.CloseWithError(r.Dump(ctx, rec.ID, replay.Query{Follow: true}, pw)) }()
	in, err := dump.NewReader(pr)
	if err != nil {
		t.Fatal(err)
	}
	heads := func(n int) {
		for n > 0 {
			f, err := in.Next()
			if err != nil {
				t.Fatal(err)
			}
			if f.Type == dump.FrameHeader {
				n--
			}
		}
	}
	heads(2) // from here on it is live: what comes waits for us
	fmt.Fprint(more, "call\n")
	eventually(t, "more calls", func() bool { return c.recording(r, "busy").Coverage.Written >= rec.Coverage.Written+20_000 })
	before := in.Records(dump.FrameMain)
	heads(1)
	lost := in.Header().Recording.Coverage.Overwritten
	if lost < 5000 || lost > 20_500 {
		t.Errorf("%d records are said to be missing, of 20,000 that hardly fit into the ring", lost)
	}
	for before+20_000 > in.Records(dump.FrameMain)+lost {
		if _, err := in.Next(); err != nil {
			t.Fatalf("%d came and %d are missing: %v", in.Records(dump.FrameMain)-before, lost, err)
		}
		lost = max(lost, in.Header().Recording.Coverage.Overwritten)
	}
}

// frames counts a dump's records and tasks.
func frames(t *testing.T, do func(w io.Writer) error) (d *dump.Reader, tasks uint64) {
	t.Helper()
	var b bytes.Buffer
	if err := do(&b); err != nil {
		t.Fatal(err)
	}
	d, err := dump.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	for {
		f, err := d.Next()
		if err == io.EOF {
			return d, tasks
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == dump.FrameTasks {
			tasks += uint64(len(f.Payload))
		}
	}
}

// TestPartsAreTheWhole catches a dump of a ring that nobody writes to which lacks something,
// or says so wrongly, because it is read in parts.
func TestPartsAreTheWhole(t *testing.T) {
	c := makeCgroups(t, "parts")
	r := testRecorder(t, Config{Watch: []string{c.path}, OnlyWatched: true, RingSize: 2 << 20, MemoryBudget: 32 << 20})
	rec, _ := busy(t, r, c, 80_000) // more than the ring holds
	last := api.Recording{}
	eventually(t, "it waits for us", func() bool {
		before := last
		last = c.recording(r, "busy")
		return last.Tasks.Live == 1 && last.Coverage.Written == before.Coverage.Written
	})
	one, err := r.find(rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	want, wantTasks := frames(t, func(w io.Writer) error { return r.Dump(t.Context(), rec.ID, replay.Query{}, w) })
	got, gotTasks := frames(t, func(w io.Writer) error {
		return r.dumpParts(t.Context(), one, dump.NewWriter(w), false, true)
	})
	a, b := want.Header().Recording.Coverage, got.Header().Recording.Coverage
	if diff := cmp.Diff(a, b, cmpopts.EquateApproxTime(time.Millisecond)); diff != "" || a.Overwritten == 0 {
		t.Errorf("the coverage (-whole +parts):\n%s", diff)
	}
	for _, f := range []dump.FrameType{dump.FrameMain, dump.FrameGuard} {
		if n := got.Records(f); n != want.Records(f) || n == 0 {
			t.Errorf("frames %c: %d records in parts, %d in the whole", f, n, want.Records(f))
		}
	}
	if n := got.Records(dump.FrameMain); n != b.Kept {
		t.Errorf("%d records are said to be kept, %d came", b.Kept, n)
	}
	if wantTasks == 0 || gotTasks == 0 || gotTasks > wantTasks {
		t.Errorf("tasks: %d bytes in parts, %d in the whole, which has the live ones too", gotTasks, wantTasks)
	}
}
