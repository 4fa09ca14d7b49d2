package render

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/api"
)

// TestTop catches rates of counters that went back, of containers that were not seen before, and
// numbers that are not known and pass for 0.
func TestTop(t *testing.T) {
	before := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := before.Add(2 * time.Second)
	rec := func(id string, written uint64, a *api.Activity) api.Recording {
		r := api.Recording{ID: id, State: api.StateLive, Started: before.Add(-time.Hour), Activity: a, Tasks: api.Tasks{Live: 3}}
		r.Container.Name, r.Coverage.Written = id, written
		return r
	}
	from, to := at.Add(-90*time.Second), at
	busy := rec("busy", 2000, &api.Activity{Failed: 13, Blocked: 2})
	busy.Coverage.From, busy.Coverage.To = &from, &to
	busy.Verdict = &api.Verdict{Text: "hanging: in \x1b[31mopenat"}
	fresh := rec("fresh", 30, &api.Activity{Failed: 1})
	fresh.Started = before.Add(time.Second)
	gone := rec("gone", 9, nil)
	gone.State = api.StateEnded
	old := []api.Recording{rec("busy", 1000, &api.Activity{Failed: 10}), rec("back", 100, &api.Activity{Failed: 5}), rec("older", 7, nil), rec("gone", 5, nil)}
	now := []api.Recording{busy, rec("back", 50, &api.Activity{Failed: 1}), rec("older", 8, nil), rec("late", 500, &api.Activity{}), fresh, gone}
	top := TopOf(old, now, before, at)
	for key, want := range map[string]string{
		"calls":   "busy fresh older back late",
		"failed":  "busy fresh back late older",
		"blocked": "busy back fresh late older",
		"name":    "back busy fresh late older",
	} {
		top.Sort(key)
		var got []string
		for _, r := range top.Recordings {
			got = append(got, r.ID)
		}
		if d := cmp.Diff(want, strings.Join(got, " ")); d != "" {
			t.Errorf("by %s: %s", key, d)
		}
	}
	top.Sort("calls")
	var b bytes.Buffer
	if err := top.Table(&b, 0, 0, false); err != nil {
		t.Fatal(err)
	}
	want := `ID     POD/NAME  CONTAINER  CALLS/S  FAILED/S  BLOCKED  THREADS  BACK  VERDICT
busy   busy      -          500      1.5       2        3        90s   hanging: in \x1b[31mopenat
fresh  fresh     -          15       0.5       0        3        -     -
older  older     -          0.5      -         -        3        -     -
back   back      -          -        -         0        3        -     -
late   late      -          -        -         0        3        -     -
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	if text, err := json.Marshal(top); err != nil || !bytes.Contains(text, []byte(`"id":"late","name":"late","callsPerSecond":null,"failedPerSecond":null,"blocked":0,`)) {
		t.Errorf("%s", text)
	}
	screen := string(top.Screen(40, 6, true, "node n\x1b[2J"))
	lines := strings.Split(screen, "\r\n")
	if len(lines) != 6 || strings.Count(screen, "\x1b") != len(lines)+2 || !strings.Contains(lines[5], "and 3 more") || !strings.Contains(lines[1], `node n\x1b[2J`) {
		t.Errorf("%q", screen)
	}
	for _, l := range lines {
		if n := len(strings.NewReplacer("\x1b[H", "", "\x1b[K", "", "\x1b[J", "", "…", ".").Replace(l)); n > 40 {
			t.Errorf("%d columns: %q", n, l)
		}
	}
	top.Screen(1, 1, false, "")
}
