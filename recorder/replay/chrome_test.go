package replay

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

// checkChrome holds a trace against the rules of the trace event format: what each
// phase needs, and names for every track. It returns the slices of each track.
func checkChrome(t *testing.T, text []byte) map[[2]uint32][][2]float64 {
	t.Helper()
	var trace struct {
		DisplayTimeUnit string            `json:"displayTimeUnit"`
		OtherData       map[string]string `json:"otherData"`
		TraceEvents     []struct {
			Ph, Name, Cat, S string
			Pid, Tid         *uint32
			Ts, Dur          *float64
			Args             map[string]any
		} `json:"traceEvents"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&trace); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if d.More() {
		t.Fatal("there is something behind the trace")
	}
	if trace.DisplayTimeUnit != "ns" && trace.DisplayTimeUnit != "ms" {
		t.Errorf("displayTimeUnit is %q", trace.DisplayTimeUnit)
	}
	tracks := make(map[[2]uint32][][2]float64)
	named := make(map[[2]uint32]bool)
	for i, ev := range trace.TraceEvents {
		if ev.Name == "" || ev.Pid == nil || ev.Tid == nil {
			t.Fatalf("event %d lacks its name or track: %+v", i, ev)
		}
		track := [2]uint32{*ev.Pid, *ev.Tid}
		switch ev.Ph {
		case "M":
			if name, ok := ev.Args["name"].(string); !ok || len(ev.Args) != 1 || ev.Dur != nil || ev.Cat != "" {
				t.Fatalf("event %d: a name of %q, %+v", i, name, ev)
			}
			if ev.Name == "thread_name" {
				named[track] = true
			} else if ev.Name != "process_name" {
				t.Fatalf("event %d: metadata %q", i, ev.Name)
			}
			continue
		case "X":
			if ev.Dur == nil || *ev.Dur < 0 || ev.S != "" {
				t.Fatalf("event %d: a slice without its length: %+v", i, ev)
			}
		case "i":
			if !slices.Contains([]string{"t", "p", "g"}, ev.S) || ev.Dur != nil {
				t.Fatalf("event %d: an instant without its scope: %+v", i, ev)
			}
		default:
			t.Fatalf("event %d: phase %q", i, ev.Ph)
		}
		if ev.Ts == nil || *ev.Ts < 0 || ev.Cat == "" {
			t.Fatalf("event %d lacks its time or category: %+v", i, ev)
		}
		if ev.Ph == "X" {
			tracks[track] = append(tracks[track], [2]float64{*ev.Ts, *ev.Ts + *ev.Dur})
		}
		if !named[track] {
			t.Fatalf("event %d: its track %v has no name", i, track)
		}
	}
	return tracks
}

func TestChrome(t *testing.T) {
	in := story(t)
	text := show(t, in, Options{Query: query(t, "format=chrome")})
	for track, spans := range checkChrome(t, []byte(text)) {
		for i, a := range spans {
			for _, b := range spans[:i] {
				if a[0] < b[1] && b[0] < a[1] {
					t.Errorf("track %v: slices %v and %v overlap", track, b, a)
				}
			}
		}
	}
	golden(t, "story.chrome", text)
	for _, q := range []string{"format=chrome&last=2&decode-fds", "format=chrome&e=none&failed", "format=chrome&host-pids"} {
		checkChrome(t, []byte(show(t, in, Options{Query: query(t, q)})))
	}
	// A dump that is cut short makes a whole trace all the same.
	var out bytes.Buffer
	if _, err := run(&out, in[:len(in)-40], Options{Query: Query{Format: FormatChrome}}); err == nil {
		t.Error("no error")
	}
	checkChrome(t, out.Bytes())
	if !bytes.Contains(out.Bytes(), []byte(`"error":"`)) {
		t.Error("the trace does not say that it is cut short")
	}
}
