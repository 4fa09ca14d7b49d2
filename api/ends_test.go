package api

import (
	"testing"
	"time"
)

// TestDeliberately catches an end that is told for deliberate and was not, and a time that is
// told and not known.
func TestDeliberately(t *testing.T) {
	end := time.Date(2026, 11, 22, 12, 0, 30, 0, time.UTC)
	term := end.Add(-4040 * time.Millisecond)
	for _, tc := range []struct {
		exit Exit
		want string
	}{
		{Exit{Code: 143}, ""},
		{Exit{Code: 143, TermAt: &term, Deliberate: GoingDeleted}, "deliberately: its pod was being deleted"},
		{Exit{Signal: "SIGKILL", Outside: true, Deliberate: GoingDrained}, "deliberately: its pod was being drained"},
		{Exit{Signal: "SIGKILL", Outside: true, TermAt: &term, Deliberate: GoingShutdown},
			"deliberately: its node was shutting down; it did not end on SIGTERM within 4s"},
		{Exit{Signal: "SIGKILL", Outside: true, TermAt: &term}, ""},
		{Exit{Deliberate: "raptured"}, "deliberately: its pod was going (raptured)"},
	} {
		tc.exit.At = end
		if got := tc.exit.Deliberately(); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
