package render

import (
	"bytes"
	"encoding/json"
	"github.com/mattn/go-runewidth"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"sigs.k8s.io/yaml"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/jsontext"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"web": "web", "ä 漢": "ä 漢", `a"b\c`: `a"b\c`, "a\tb": `a\tb`, "\x1b]0;x\a": `\x1b]0;x\a`, "a\xffb": `a\xffb`,
		"a\u202eb": `a\u202eb`, "a\"\n": `a"\n`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for in, want := range map[uint64]string{
		0: "0B", 1023: "1023B", 1024: "1KiB", 1536: "1.5KiB", 1 << 20: "1MiB", 256 << 20: "256MiB", 1<<64 - 1: "16EiB",
	} {
		if got := Bytes(in); got != want {
			t.Errorf("%d: got %s, want %s", in, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	now := time.Unix(1e9, 0)
	for in, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", 119 * time.Second: "119s", 125 * time.Second: "2m5s", 59 * time.Minute: "59m",
		3*time.Hour + 5*time.Minute: "3h5m", 30 * time.Hour: "30h", 72 * time.Hour: "3d",
	} {
		if got := age(now.Add(-in), now); got != want {
			t.Errorf("%v: got %s, want %s", in, got, want)
		}
	}
	if got := age(time.Time{}, now); got != "" {
		t.Errorf("no time: %s", got)
	}
}

// TestEmpty catches a panic or a missing column where nothing is known yet.
func TestEmpty(t *testing.T) {
	var b bytes.Buffer
	ended := time.Unix(1e9-60, 0)
	recs := []api.Recording{{ID: "a"}, {ID: "b", Ended: &ended}, {ID: "c", Exit: &api.Exit{Signal: "SIGKILL", OOMKilled: true}}}
	if err := Recordings(&b, recs, Table{Wide: true, Width: 0, Now: time.Unix(1e9, 0)}); err != nil {
		t.Fatal(err)
	}
	want := `ID  STATE  POD/NAME  CONTAINER  IMAGE  AGE  CALLS  EXIT         REASON  RESTARTS  KIND  OWNER  KEPT  OVERWRITTEN  CUT  FAULT  RING  INSIDE  NODE  CGROUP  VERDICT
a   -      -         -          -      -    0      -            -       -         -     -      0     0            0    0      0B    -       -     -       -
b   -      -         -          -      -    0      ? (60s ago)  -       -         -     -      0     0            0    0      0B    -       -     -       -
c   -      -         -          -      -    0      OOM SIGKILL  -       -         -     -      0     0            0    0      0B    -       -     -       -
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	b.Reset()
	if err := Status(&b, &api.Status{}, time.Unix(1e9, 0)); err != nil || !bytes.Contains(b.Bytes(), []byte("nothing")) {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// TestGroups catches crashes of one cause that are not put together, dumps of one crash that are
// counted as two, and a verdict that a terminal would obey or that breaks its lines.
func TestGroups(t *testing.T) {
	at := time.Date(2026, 11, 27, 10, 2, 0, 0, time.UTC)
	crash := func(id, pod, cause string, minutes int) api.Recording {
		end := at.Add(time.Duration(minutes) * time.Minute)
		return api.Recording{
			ID: id, State: api.StateEnded, Node: "n1", Ended: &end, Pod: &api.Pod{Namespace: "shop", Name: pod}, Container: api.Container{Name: "app"},
			Verdict: &api.Verdict{Text: "exited with 1, " + id, Words: "no \x1b[2J", Spoken: "its last words on stderr", How: "exited", Cause: cause, Fingerprint: cause},
		}
	}
	recs := []api.Recording{
		crash("a1", "web-0", "words", 0), crash("a2", "web-1", "words", 3), crash("a3", "web-0", "words", 5), crash("a3-2", "web-0", "words", 5),
		crash("b1", "db-0", "oom", 9), {ID: "c1", State: api.StateEnded, Verdict: &api.Verdict{Text: "exited with 0", Cause: "completed"}}, {ID: "d1"},
		{ID: "e1", State: api.StateLive, Verdict: &api.Verdict{Text: "hanging", Fingerprint: "words"}},
	}
	var b bytes.Buffer
	if err := WriteGroups(&b, GroupsOf(recs), 0, at.Add(65*time.Minute)); err != nil {
		t.Fatal(err)
	}
	want := `3 crashes of 2 pods, one cause, since 10:02
  exited with 1, a3; its last words on stderr: "no \x1b[2J"
  shop/web-0, shop/web-1; the last 60m ago: a3

1 crash of 1 pod, at 10:11
  exited with 1, b1; its last words on stderr: "no \x1b[2J"
  shop/db-0; the last 56m ago: b1
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	if err := Recordings(&b, recs, Table{Wide: false, Width: 60, Now: at}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 60 || strings.ContainsRune(line, 0x1b) {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

// TestInside catches a container inside another that is shown under a name that somebody
// in there chose, or not as inside it.
func TestInside(t *testing.T) {
	id := strings.Repeat("ab", 32)
	outer := api.Container{ID: strings.Repeat("1", 64), Name: "app", Cgroup: "/kubepods/x"}
	recs := []api.Recording{
		{ID: "a", State: api.StateLive, Container: outer, Pod: &api.Pod{Namespace: "shop", Name: "web-0"}},
		{ID: "b", State: api.StateLive, Container: api.Container{ID: id, Cgroup: "/kubepods/x/" + id}, Pod: &api.Pod{Namespace: "shop", Name: "web-0"}, Inside: &api.Inside{Recording: "a", Container: outer}},
		{ID: "c", State: api.StateLive, Container: api.Container{Cgroup: "/y/evil\x1b[2J"}, Inside: &api.Inside{Container: api.Container{Name: "node", ID: "n"}}},
		{ID: "d", State: api.StateEnded, Container: api.Container{Name: "w"}, GoesOnAs: "e"},
	}
	var b bytes.Buffer
	if err := Recordings(&b, recs, Table{Wide: false, Width: 0, Now: time.Unix(1e9, 0)}); err != nil {
		t.Fatal(err)
	}
	want := `ID  STATE  POD/NAME    CONTAINER         IMAGE  AGE  CALLS  EXIT          VERDICT
a   live   shop/web-0  app               -      -    0      -             -
b   live   shop/web-0  app/abababababab  -      -    0      -             -
c   live   node        n/evil\x1b[2J     -      -    0      -             -
d   ended  w           -                 -      -    0      goes on as e  -
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	b.Reset()
	if err := Recordings(&b, recs[1:2], Table{Wide: true, Width: 0, Now: time.Unix(1e9, 0)}); err != nil || !strings.Contains(b.String(), "0B    a       -     /kubepods/x/abab") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// TestStatus catches what does not work with a runtime that answers, and is told nowhere
// else; and a line of a cluster's that counts other recordings than a node's own status.
func TestStatus(t *testing.T) {
	s := api.Status{
		Node: "n1", Rings: api.RingStatus{Live: 7, Ended: 1, Kept: 41},
		Runtimes: []api.RuntimeInfo{{Name: "kubernetes", Address: "https://x", Connected: true, Containers: 5, Error: "create events: forbidden"}},
	}
	var one, line bytes.Buffer
	if err := Status(&one, &s, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"5 containers, but: create events: forbidden", "7 live, 42 ended"} {
		if !strings.Contains(one.String(), want) {
			t.Errorf("%q is not in\n%s", want, one.String())
		}
	}
	if err := Statuses(&line, []api.Status{s}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if f := strings.Fields(line.String()); !slices.Contains(f, "42") {
		t.Errorf("42 is not in\n%s", line.String())
	}
}

// A status says which settings of the configuration file are not in force, and why, and
// that no runtime is reached.
func TestStatusOfConfiguration(t *testing.T) {
	for _, tc := range []struct {
		c    *api.ConfigStatus
		want []string
	}{
		{nil, []string{"none: there is no socket of containerd"}},
		{&api.ConfigStatus{File: "/etc/r.yaml"}, []string{"configuration  /etc/r.yaml\n"}},
		{&api.ConfigStatus{File: "/etc/r.yaml", Error: "r.yaml:2: bad", LastGood: true}, []string{"  broken       r.yaml:2: bad; the last good one is in force, from before the start\n"}},
		{&api.ConfigStatus{File: "/etc/r.yaml", Error: "r.yaml:2: bad"}, []string{"r.yaml:2: bad; the last good one is in force\n"}},
		{&api.ConfigStatus{File: "/etc/r.yaml", Ignored: []string{"ring-size", "memory-budget"}}, []string{"  no effect    ring-size, memory-budget: flags on the command line win\n"}},
	} {
		var b bytes.Buffer
		if err := Status(&b, &api.Status{Configuration: tc.c}, time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, w := range tc.want {
			if !strings.Contains(b.String(), w) {
				t.Errorf("no %q in\n%s", w, b.String())
			}
		}
	}
}

// TestAnyArgument catches one container whose command line is the end of every list, or
// that writes to the terminal of who looks at one.
func TestAnyArgument(t *testing.T) {
	var all []string
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r < 0x3000 || r >= 0xd700 && r < 0x10100 || r >= 0xe0000 && r < 0xe0200 || r > 0x10ff00 {
			all = append(all, "x"+string(r)+"y")
		}
	}
	list := api.RecordingList{Recordings: []api.Recording{{Container: api.Container{Command: append(all, "\xff", "- a: b", "%", "@", "---")}}}}
	for name, write := range map[string]func(io.Writer, any) error{"json": JSON, "yaml": YAML} {
		var b bytes.Buffer
		if err := write(&b, list); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != '\n' && jsontext.Unsafe(r) }); i >= 0 {
			t.Errorf("%s: %q", name, b.String()[i:i+10])
		}
		var back api.RecordingList
		parse := map[string]func([]byte, any) error{"json": json.Unmarshal, "yaml": func(b []byte, v any) error { return yaml.Unmarshal(b, v) }}[name]
		if err := parse(b.Bytes(), &back); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, want := range all {
			if got := back.Recordings[0].Container.Command[i]; got != want {
				t.Errorf("%s: %q comes back as %q", name, want, got)
			}
		}
	}
}

// TestNarrow has the verdict on a terminal of 80 columns: other columns make room for it, names
// are cut in their middle, and wide characters count twice.
func TestNarrow(t *testing.T) {
	now := time.Unix(1e9, 0)
	rec := api.Recording{
		ID: "0123456789ab", State: api.StateEnded, Started: now.Add(-time.Hour), Pod: &api.Pod{Namespace: "shop", Name: "cart-service-7d4b9c5f6d-x2x4z"},
		Container: api.Container{Name: "app", Image: "registry/shop/cart:1.2.3"}, Exit: &api.Exit{Signal: "SIGSEGV", At: now}, Coverage: api.Coverage{Written: 123456},
		Verdict: &api.Verdict{Text: "killed by SIGSEGV, probably because 設定 is missing"},
	}
	short := rec
	short.Pod, short.Container.Name, short.Container.Image = nil, "日本", ""
	at := func(width int, recs ...api.Recording) []string {
		var b bytes.Buffer
		if err := Recordings(&b, recs, Table{Width: width, Now: now}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		for _, line := range lines {
			if n := runewidth.StringWidth(line); width > 0 && n > width {
				t.Errorf("%d columns of %d: %s", n, width, line)
			}
		}
		return lines
	}
	for _, c := range []struct {
		width int
		want  string
	}{
		{0, "0123456789ab  ended  shop/cart-service-7d4b9c5f6d-x2x4z  app        registry/shop/cart:1.2.3  60m  123456  SIGSEGV (0s ago)  killed by SIGSEGV, probably because 設定 is missing"},
		{130, "0123456789ab  ended  shop/cart-service-7d4b9c5f6d-x2x4z  app        60m  SIGSEGV (0s ago)  killed by SIGSEGV, probably because 設…"},
		{80, "0123456789ab  shop/cart-s…9c5f6d-x2x4z  app        60m  killed by SIGSEGV, prob…"},
	} {
		if got := at(c.width, rec)[1]; got != c.want {
			t.Errorf("in %d columns:\n got %s\nwant %s", c.width, got, c.want)
		}
	}
	lines := at(80, rec, short)
	for _, line := range lines[1:] {
		before, _, _ := strings.Cut(line, "killed")
		if n := runewidth.StringWidth(before); n != runewidth.StringWidth(lines[0][:strings.Index(lines[0], "VERDICT")]) {
			t.Errorf("the verdict begins in column %d:\n%s", n, strings.Join(lines, "\n"))
		}
	}
}
