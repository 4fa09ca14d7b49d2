package replay

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// traceEvent is an event of the trace event format, with the types that it says.
type traceEvent struct {
	Ph, Name, Cat, S string
	Pid, Tid         *uint32
	Ts, Dur          json.Number // microseconds
	Args             map[string]any
}

// fieldsOf says which fields an event has, by its phase: each of them, and no others.
var fieldsOf = map[string][]string{
	"M": {"args", "name", "ph", "pid", "tid"},
	"X": {"args", "cat", "dur", "name", "ph", "pid", "tid", "ts"},
	"i": {"args", "cat", "name", "ph", "pid", "s", "tid", "ts"},
}

// span is a slice of a track, in ns.
type span struct {
	start, end uint64
	name       string
}

// checkChrome holds a trace against the rules of the trace event format: the object
// format, what each phase needs, and names for every track before its first event. It
// returns the slices of each track.
func checkChrome(t *testing.T, text []byte) map[[2]uint32][]span {
	t.Helper()
	if !utf8.Valid(text) {
		t.Fatal("no UTF-8")
	}
	checkKeys(t, text)
	var trace map[string]json.RawMessage
	if err := json.Unmarshal(text, &trace); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if keys := slices.Sorted(maps.Keys(trace)); !slices.Equal(keys, []string{"displayTimeUnit", "otherData", "traceEvents"}) {
		t.Fatalf("an object of %q", keys)
	}
	if unit := string(trace["displayTimeUnit"]); unit != `"ns"` && unit != `"ms"` {
		t.Errorf("displayTimeUnit is %s", unit)
	}
	var other map[string]string
	if err := json.Unmarshal(trace["otherData"], &other); err != nil {
		t.Error(err)
	}
	var events []json.RawMessage
	if err := json.Unmarshal(trace["traceEvents"], &events); err != nil || events == nil {
		t.Fatalf("no array of events: %v", err)
	}
	tracks := make(map[[2]uint32][]span)
	threads, processes := make(map[[2]uint32]bool), make(map[uint32]bool)
	for i, raw := range events {
		var fields map[string]json.RawMessage
		var ev traceEvent
		if err := errors.Join(json.Unmarshal(raw, &fields), json.Unmarshal(raw, &ev)); err != nil {
			t.Fatalf("event %d: %v: %s", i, err, raw)
		}
		if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, fieldsOf[ev.Ph]) {
			t.Fatalf("event %d of phase %q has the fields %q, want %q", i, ev.Ph, got, fieldsOf[ev.Ph])
		}
		if ev.Name == "" || ev.Pid == nil || ev.Tid == nil || ev.Args == nil {
			t.Fatalf("event %d lacks its name, track or arguments: %s", i, raw)
		}
		track := [2]uint32{*ev.Pid, *ev.Tid}
		if ev.Ph == "M" {
			if _, ok := ev.Args["name"].(string); !ok || len(ev.Args) != 1 {
				t.Fatalf("event %d: the arguments of a name: %s", i, raw)
			}
			switch ev.Name {
			case "thread_name":
				threads[track] = true
			case "process_name":
				processes[track[0]] = true
			default:
				t.Fatalf("event %d: metadata %q", i, ev.Name)
			}
			continue
		}
		if !threads[track] || !processes[track[0]] {
			t.Fatalf("event %d: its track %v has no name, or its process has none", i, track)
		}
		for cat := range strings.SplitSeq(ev.Cat, ",") {
			if !slices.Contains([]string{"syscall", "failed", "signal", "sent", "exit", "oom", "unknown"}, cat) {
				t.Fatalf("event %d: category %q", i, ev.Cat)
			}
		}
		if line, ok := ev.Args["line"].(string); !ok || line == "" {
			t.Fatalf("event %d has no line: %s", i, raw)
		}
		ts := nanoseconds(t, i, ev.Ts)
		switch ev.Ph {
		case "X":
			dur := nanoseconds(t, i, ev.Dur)
			if ts+dur < ts {
				t.Fatalf("event %d ends before it begins: %s", i, raw)
			}
			tracks[track] = append(tracks[track], span{ts, ts + dur, ev.Name})
		case "i":
			if ev.S != "t" && ev.S != "p" && ev.S != "g" {
				t.Fatalf("event %d: scope %q", i, ev.S)
			}
		}
	}
	return tracks
}

// checkKeys refuses objects that have a key twice, of which readers see one or the
// other, and what is behind the trace.
func checkKeys(t *testing.T, text []byte) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var stack []map[string]bool // nil is an array
	key := false                // the next one is a key
	for {
		token, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{':
				stack = append(stack, make(map[string]bool))
			case '[':
				stack = append(stack, nil)
			default:
				stack = stack[:len(stack)-1]
			}
			if len(stack) == 0 && d.More() {
				t.Fatal("there is something behind the trace")
			}
			key = len(stack) > 0 && stack[len(stack)-1] != nil
			continue
		case string:
			if key {
				if top := stack[len(stack)-1]; top[v] {
					t.Fatalf("an object has %q twice", v)
				} else {
					top[v] = true
				}
				key = false
				continue
			}
		}
		key = stack[len(stack)-1] != nil
	}
}

var chromeTime = regexp.MustCompile(`^(0|[1-9][0-9]*)\.([0-9]{3})$`)

// nanoseconds parses microseconds with three decimals, the way no reader rounds them.
func nanoseconds(t *testing.T, i int, n json.Number) uint64 {
	t.Helper()
	m := chromeTime.FindStringSubmatch(n.String())
	if m == nil {
		t.Fatalf("event %d: a time of %q", i, n)
	}
	ns, err := strconv.ParseUint(m[1]+m[2], 10, 64)
	if err != nil {
		t.Fatalf("event %d: %v", i, err)
	}
	return ns
}

// checkNesting refuses slices of a track that overlap without one being within the
// other, which viewers drop. Those of calls do not even nest: a thread is in one.
func checkNesting(t *testing.T, tracks map[[2]uint32][]span) {
	t.Helper()
	for track, spans := range tracks {
		slices.SortStableFunc(spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
		last := span{}
		for _, next := range spans {
			if next.start < last.end {
				t.Errorf("track %v: %v and %v overlap", track, last, next)
			}
			if next.end >= last.end {
				last = next
			}
		}
	}
}

// Traces of all dumps, filtered and not, keep to the format.
func TestChromeFormat(t *testing.T) {
	seen := 0
	for name, in := range testDumps(t) {
		for _, q := range []string{"", "decode-fds", "last=7", "failed", "e=none", "host-pids"} {
			t.Run(name+" "+q, func(t *testing.T) {
				tracks := checkChrome(t, []byte(show(t, in, Options{Query: query(t, "format=chrome&"+q)})))
				if name != "descriptors" { // whose only thread is in two calls at a time, where others would have been two threads
					checkNesting(t, tracks)
				}
				for _, spans := range tracks {
					seen += len(spans)
				}
			})
		}
	}
	if seen < 10000 {
		t.Errorf("only %d slices were looked at", seen)
	}
}

func TestChrome(t *testing.T) {
	in := story(t)
	text := show(t, in, Options{Query: query(t, "format=chrome")})
	checkNesting(t, checkChrome(t, []byte(text)))
	golden(t, "story.chrome", text)
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
