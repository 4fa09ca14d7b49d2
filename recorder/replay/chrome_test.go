package replay

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
)

// traceEvent is an event of the trace event format, with the types that it says.
type traceEvent struct {
	Ph, Name, Cat, S string
	Pid, Tid         *uint32
	Ts, Dur          json.Number // microseconds
	ID               uint64
	Bp               string
	Args             map[string]any
}

// fieldsOf says which fields an event has, by its phase: each of them, and no others.
var fieldsOf = map[string][]string{
	"M": {"args", "name", "ph", "pid", "tid"},
	"X": {"args", "cat", "dur", "name", "ph", "pid", "tid", "ts"},
	"i": {"args", "cat", "name", "ph", "pid", "s", "tid", "ts"},
	"s": {"cat", "id", "name", "ph", "pid", "tid", "ts"},
	"f": {"bp", "cat", "id", "name", "ph", "pid", "tid", "ts"}, // or without bp: at the next event of the track
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
	arrows, instants := make(map[uint64][]arrowEnd), make(map[[3]uint64]int)
	threads, processes := make(map[[2]uint32]bool), make(map[uint32]bool)
	for i, raw := range events {
		var fields map[string]json.RawMessage
		var ev traceEvent
		if err := errors.Join(json.Unmarshal(raw, &fields), json.Unmarshal(raw, &ev)); err != nil {
			t.Fatalf("event %d: %v: %s", i, err, raw)
		}
		want := fieldsOf[ev.Ph]
		if ev.Ph == "f" && ev.Bp == "" {
			want = want[1:]
		}
		if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, want) {
			t.Fatalf("event %d of phase %q has the fields %q, want %q", i, ev.Ph, got, fieldsOf[ev.Ph])
		}
		if ev.Name == "" || ev.Pid == nil || ev.Tid == nil || ev.Args == nil && ev.ID == 0 {
			t.Fatalf("event %d lacks its name, track or arguments: %s", i, raw)
		}
		track := [2]uint32{*ev.Pid, *ev.Tid}
		if ev.Ph == "M" {
			key := map[string]string{"process_labels": "labels", "thread_sort_index": "sort_index", "process_sort_index": "sort_index"}[ev.Name]
			switch v := ev.Args[cmp.Or(key, "name")].(type) {
			case string:
				if key == "sort_index" || v == "" && key != "" || len(v) > 3*mostLabel+10 {
					t.Fatalf("event %d: a text: %s", i, raw)
				}
			case float64:
				if key != "sort_index" {
					t.Fatalf("event %d: a number: %s", i, raw)
				}
			default:
				t.Fatalf("event %d: the arguments: %s", i, raw)
			}
			if len(ev.Args) != 1 {
				t.Fatalf("event %d: more arguments: %s", i, raw)
			}
			switch ev.Name {
			case "thread_name":
				threads[track] = true
			case "process_name":
				processes[track[0]] = true
			case "process_labels", "thread_sort_index", "process_sort_index":
			default:
				t.Fatalf("event %d: metadata %q", i, ev.Name)
			}
			continue
		}
		if !threads[track] || !processes[track[0]] {
			t.Fatalf("event %d: its track %v has no name, or its process has none", i, track)
		}
		for cat := range strings.SplitSeq(ev.Cat, ",") {
			if !slices.Contains([]string{"syscall", "failed", "waiting", "blocked", "stdout", "stderr", "flow", "signal", "sent", "exit", "oom", "unknown"}, cat) {
				t.Fatalf("event %d: category %q", i, ev.Cat)
			}
		}
		if line, ok := ev.Args["line"].(string); ev.ID == 0 && (!ok || line == "") {
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
		case "s", "f":
			arrows[ev.ID] = append(arrows[ev.ID], arrowEnd{ev.Ph, ev.Bp, track, ts, i})
		case "i":
			instants[[3]uint64{uint64(*ev.Pid), uint64(*ev.Tid), ts}] = i
			if ev.S != "t" && ev.S != "p" && ev.S != "g" {
				t.Fatalf("event %d: scope %q", i, ev.S)
			}
		}
	}
	within := func(e arrowEnd) bool {
		return slices.ContainsFunc(tracks[e.track], func(s span) bool { return s.start <= e.ts && e.ts < s.end })
	}
	for id, ends := range arrows {
		if len(ends) != 2 || ends[0].ph != "s" || ends[1].ph != "f" || ends[0].ts > ends[1].ts || !within(ends[0]) || ends[1].bp == "e" && !within(ends[1]) {
			t.Errorf("arrow %d: %+v", id, ends)
		} else if at, ok := instants[[3]uint64{uint64(ends[1].track[0]), uint64(ends[1].track[1]), ends[1].ts}]; ends[1].bp == "" && (!ok || at < ends[1].index) {
			t.Errorf("arrow %d is at no instant, or behind it: %+v", id, ends)
		}
	}
	return tracks
}

// arrowEnd is the beginning or the end of an arrow.
type arrowEnd struct {
	ph, bp string
	track  [2]uint32
	ts     uint64
	index  int
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

// TestChromeArrows catches arrows that are missing, that lead elsewhere, or that connect what has
// nothing to do with each other; output that is not shown, and names that do not tell an error.
func TestChromeArrows(t *testing.T) {
	h := testHeader()
	h.Recording.Verdict = &api.Verdict{Text: "running \x1b[31m", How: "running"}
	b := newBuilder(t, h)
	const main, worker, late, other = 2000, 2001, 2002, 2003
	b.task(main, main, 1, 1, 0, 0, "app", "app")
	b.task(worker, main, 8, 1, 1_000, 0, "app", "worker") // its first call ends before the clone
	b.task(late, late, 9, 9, 2_050, 0, "app", "child")
	b.task(other, other, 10, 10, 500, 0, "app", "other") // was there before a clone that returns 10 elsewhere
	b.call(worker, "getpid", 1_010, 5, 1)
	b.call(main, "clone", 950, 100, 8)
	b.call(main, "clone", 2_000, 100, 9)
	b.call(late, "getpid", 2_200, 5, 9)
	b.call(main, "clone", 2_300, 100, 10)
	b.call(other, "getpid", 2_350, 5, 10)
	// A wait ends after the wake has returned, another one before; a third ran out of time.
	b.call(main, "futex", 3_000, 10, 1, 0x7000, 129, 1)
	b.call(worker, "futex", 2_500, 520, 0, 0x7000, 128, 5)
	b.call(worker, "futex", 4_000, 30, 0, 0x7100, 128, 5)
	b.call(main, "futex", 4_020, 20, 1, 0x7100, 129, 1)
	b.call(worker, "futex", 5_000, 30, -110, 0x7200, 128, 5)
	b.call(late, "futex", 5_010, 10, 1, 0x7200, 129, 1) // of another process
	// kill, and a signal from elsewhere
	b.call(main, "kill", 6_000, 10, 0, 9, 15)
	b.signal(late, 6_020, 15, 0)
	b.signal(late, 6_040, 10, 0)
	b.call(main, "write", 7_000, 5, 20, 2, 0x5000, data("no \x1b[2J config\nat all\n"), 20)
	b.call(main, "write", 7_010, 5, -32, 1, 0x5000, data("lost\n"), 5)
	b.call(main, "write", 7_020, 5, 3, 7, 0x5000, data("abc"), 3)
	b.call(main, "openat", 7_030, 5, -13, atCwd, 0x7000, "/etc/shadow", 0)
	b.lane = dump.FrameProgress
	b.enter(late, "read", 8_000, 0, 0x7ffc0000, 4096)
	text := show(t, b.done(), Options{Query: query(t, "format=chrome")})
	checkNesting(t, checkChrome(t, []byte(text)))
	var trace struct{ TraceEvents []traceEvent }
	if err := json.Unmarshal([]byte(text), &trace); err != nil {
		t.Fatal(err)
	}
	var got []string
	from := map[uint64]string{}
	for _, ev := range trace.TraceEvents {
		at := fmt.Sprintf("%d/%d", *ev.Pid, *ev.Tid)
		switch {
		case ev.Ph == "s":
			from[ev.ID] = at
		case ev.Ph == "f":
			got = append(got, fmt.Sprintf("%s: %s to %s", ev.Name, from[ev.ID], at))
		case ev.Name == "process_labels", ev.Name == "process_sort_index":
			got = append(got, fmt.Sprintf("%s of %d: %v%v", ev.Name, *ev.Pid, ev.Args["labels"], ev.Args["sort_index"]))
		case strings.HasPrefix(ev.Cat, "std"), strings.Contains(ev.Cat, ","):
			got = append(got, fmt.Sprintf("%s %s: %s", at, ev.Cat, ev.Name))
		}
	}
	want := []string{
		`process_labels of 1: sh -c "exec nginx"; running ?[31m<nil>`,
		"process_sort_index of 1: <nil>0",
		"fork: 1/1 to 1/8",
		"process_sort_index of 9: <nil>3",
		"fork: 1/1 to 9/9",
		"process_sort_index of 10: <nil>4",
		"1/8 syscall,waiting: futex",
		"futex wake: 1/1 to 1/8",
		"1/8 syscall,waiting: futex",
		"futex wake: 1/1 to 1/8",
		"1/8 syscall,waiting: futex",
		"signal: 1/1 to 9/9",
		`1/1073741825 stderr: no ?[2J config at al`,
		"1/1 syscall,failed: write EPIPE",
		"1/1 syscall,failed: openat EACCES",
		"9/9 syscall,blocked: read (blocked)",
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("%s\n%s", d, text)
	}
}
