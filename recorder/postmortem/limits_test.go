package postmortem

import (
	"bytes"
	"testing"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// An EAGAIN that means that a limit is reached is no way to wait.
func TestLimitsAreFailures(t *testing.T) {
	seen := 0
	for call, errors := range limits {
		if errors[eAGAIN] == "" {
			continue
		}
		row := syscalls.ByName(record.ArchX86_64, call)
		if row == nil {
			t.Fatalf("no call %s", call)
		}
		s := newStory(t, header())
		s.task(1001, 1001, 1000, 0, 0, "app")
		s.call(1001, call, 100, 1, -eAGAIN)
		r, err := dump.NewReader(bytes.NewReader(s.done()))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		_, err = Build(r, Options{Also: func(seen *Seen) {
			if seen.Kind == replay.KindCall {
				found = seen.Failure() && seen.Weight > 0
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			t.Errorf("%s with EAGAIN is no failure", call)
		}
		seen++
	}
	if seen < 6 {
		t.Errorf("only %d calls", seen)
	}
}
