package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/recorder/dump"
)

var update = flag.Bool("update", false, "write the golden files anew")

// show returns what Run makes of a dump.
func show(t testing.TB, in []byte, o Options) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := run(&out, in, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func run(w io.Writer, in []byte, o Options) (Stats, error) {
	r, err := dump.NewReader(bytes.NewReader(in))
	if err != nil {
		return Stats{}, err
	}
	return Run(w, r, o)
}

func query(t testing.TB, s string) Query {
	t.Helper()
	v, err := url.ParseQuery(s)
	if err != nil {
		t.Fatal(err)
	}
	q, err := ParseQuery(v)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestGolden(t *testing.T) {
	in := story(t)
	for name, o := range map[string]Options{
		"story.text":      {},
		"story.color":     {Colour: true},
		"story.host":      {Quiet: true, Query: Query{HostPids: true}},
		"story.strace":    {Query: Query{Format: FormatStrace}},
		"story.json":      {Query: Query{Format: FormatJSON}},
		"story.last.text": {Query: query(t, "last=4&e=!getpid&since=8s&until=12:00:05.5")},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, show(t, in, o)) })
	}
}

// The same events in strace's order: a call is cut in two where another thread's
// line comes between its beginning and its end, and only there.
func TestStraceOrder(t *testing.T) {
	b := newBuilder(t, testHeader())
	b.task(1000, 1000, 1, 1, 0, 0, "a", "a")
	b.task(1001, 1001, 2, 2, 0, 0, "b", "b")
	b.task(1002, 1001, 3, 2, 0, 0, "b", "b")
	const buf = 0x1000
	b.call(1001, "getpid", 20, 5, 2)                       // while 1 reads
	b.call(1001, "close", 25, 3, 0, 7)                     // from the end of the last one on
	b.call(1000, "read", 10, 30, 2, 0, buf, data("hi"), 5) // cut in two
	b.call(1000, "getuid", 50, 1, 0)                       // alone
	b.call(1001, "write", 60, 20, 1, 1, buf, data("x"), 1) // all known at its beginning
	b.call(1000, "getuid", 70, -1, 0)                      // nobody knows its beginning
	b.signal(1000, 85, 10, 0)
	b.enter(1001, "exit_group", 90, 4)
	b.exit(1002, 1001, 95, 4<<8, false, "futex", 30)
	b.exit(1001, 1001, 96, 4<<8, true, "exit_group", 90)
	b.call(1000, "wait4", 40, 60, 2, -1, 0, 0, 0)
	b.call(1000, "pause", 110, 10, -514) // SIGKILL comes: strace is not told the result
	b.signal(1000, 120, 9, 0)
	b.exit(1000, 1000, 121, 9, true, "", 0)
	want := []string{
		`1 0.000010 read(0,  <unfinished ...>`,
		`2 0.000020 getpid() = 2 <0.000005>`,
		`2 0.000025 close(7) = 0 <0.000003>`,
		`3 0.000030 futex( <unfinished ...>`,
		`1 0.000040 <... read resumed>"hi", 5) = 2 <0.000030>`,
		`1 0.000040 wait4(-1,  <unfinished ...>`,
		`1 0.000050 getuid() = 0 <0.000001>`,
		`2 0.000060 write(1, "x", 1 <unfinished ...>`,
		`1 0.000070 getuid() = 0`,
		`2 0.000080 <... write resumed>) = 1 <0.000020>`,
		`1 0.000085 --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER} ---`,
		`2 0.000090 exit_group(4 <unfinished ...>`,
		`3 0.000095 <... futex resumed> <unfinished ...>) = ?`,
		`3 0.000095 +++ exited with 4 +++`,
		`2 0.000096 <... exit_group resumed>) = ?`,
		`2 0.000096 +++ exited with 4 +++`,
		`1 0.000100 <... wait4 resumed>NULL, 0, NULL) = 2 <0.000060>`,
		`1 0.000110 pause() = ?`,
		`1 0.000121 +++ killed by SIGKILL +++`,
	}
	var got []string
	for line := range strings.Lines(show(t, b.done(), Options{Query: Query{Format: FormatStrace}})) {
		id, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimPrefix(strings.TrimSpace(rest), "179534880")
		for strings.Contains(rest, "   ") { // alignment
			rest = strings.ReplaceAll(rest, "   ", "  ")
		}
		got = append(got, id+" "+strings.Replace(rest, ")  =", ") =", 1))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// How a thread is called at which time.
func TestNames(t *testing.T) {
	b := newBuilder(t, testHeader())
	b.task(1, 1, 1, 1, 0, 0, "first", "last")      // renames itself
	b.task(2, 2, 2, 2, 0, 0, "forked", "executed") // before the recording
	b.task(3, 3, 3, 3, 10_000, 0, "born", "later") // after the end of the dump
	b.task(4, 4, 4, 4, 0, 0, "sh", "a-very-long-nam")
	b.call(1, "getpid", 1_000, 1, 1)
	b.call(2, "getpid", 2_000, 1, 2)
	b.rename(1, 3_000, "middle")
	b.call(1, "getpid", 4_000, 1, 3)
	b.rename(1, 5_000, "last")
	b.call(1, "getpid", 6_000, 1, 4)
	b.call(4, "getpid", 7_000, 1, 5)
	b.exec(4, 4, 8_000, "/bin/a-very-long-name", "x\x00")
	b.call(4, "execve", 7_900, 200, 0)
	b.call(4, "getpid", 9_000, 1, 6)
	b.rename(4, 9_100, "\x1b[31mred\n")
	b.call(4, "getpid", 9_200, 1, 7)
	b.call(3, "getpid", 11_000, 1, 8)
	// a script's name is the interpreter's business: the kernel's word counts
	b.rename(3, 12_000, "memfd:x")
	b.exec(3, 3, 12_010, "/dev/fd/5", "x\x00")
	b.call(3, "execve", 11_900, 200, 0)
	b.call(3, "getpid", 13_000, 1, 9)
	want := []string{
		"[pid 1 first] getpid() = 1",
		"[pid 2 executed] getpid() = 2",
		"[pid 1 middle] getpid() = 3",
		"[pid 1 last] getpid() = 4",
		"[pid 4 sh] getpid() = 5",
		`[pid 4 sh] execve("/bin/a-very-long-name", ["x"], ...) = 0`,
		"[pid 4 a-very-long-nam] getpid() = 6",
		"[pid 4 ?[31mred?] getpid() = 7",
		"[pid 3 born] getpid() = 8",
		`[pid 3 born] execve("/dev/fd/5", ["x"], ...) = 0`,
		"[pid 3 memfd:x] getpid() = 9",
	}
	if diff := cmp.Diff(want, bare(show(t, b.done(), Options{}))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Nobody must be able to make us remember without end.
func TestTooLarge(t *testing.T) {
	big := strings.Repeat("x", 7000)
	for lane, q := range map[dump.FrameType]string{dump.FrameGuard: "", dump.FrameProgress: "", dump.FrameMain: "format=strace"} {
		b := newBuilder(t, testHeader())
		b.lane = lane
		for i := range 6000 {
			b.enter(uint32(i), "execve", i, 1, big)
		}
		_, err := run(io.Discard, b.done(), Options{Query: query(t, q)})
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%c: %v", lane, err)
		}
	}
}

// Every line of JSON must be what Line says, with no field besides.
func TestJSONLines(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(show(t, story(t), Options{Query: Query{Format: FormatJSON}})), "\n")
	for i, line := range lines {
		var v any = new(Line)
		switch i {
		case 0:
			v = &struct {
				Type string
				dump.Header
			}{}
		case len(lines) - 1:
			v = new(EndLine)
		}
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(v); err != nil {
			t.Errorf("%v: %s", err, line)
		}
	}
}

// bare returns text without comments, times and durations.
func bare(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.LastIndex(line, " <0."); i > 0 {
			line = line[:i]
		}
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

func TestFilters(t *testing.T) {
	in := story(t)
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"failed=1&until=12:00:02", []string{
			`[pid 1 sh] openat(AT_FDCWD, "/etc/old.conf", O_RDONLY) = -1 ENOENT (No such file or directory)`,
			`[pid 1 sh] openat(AT_FDCWD, "/etc/both.conf", O_RDONLY) = -1 ENOENT (No such file or directory)`,
		}},
		{"e=close,write&pid=1", []string{
			`[pid 1 sh] close(3) = 0`,
			`[pid 1 sh] --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---`,
		}},
		{"pid=9", []string{
			`[pid 9 sh] getpid() = 9`,
			`[pid 9 sh] execve("/bin/again", ["again"], 0x3000 /* 0 vars */) = 0`,
		}},
		{"tid=1001&host-pids=true&e=getpid", []string{
			`[host pid 1001 ls] +++ exited with 3 +++`,
			`[host pid 1001 sh] getpid() = 9`,
		}},
		{"tid=5555", nil}, // of this one the container's id is not known
		{"tid=5555&host-pids", []string{`[host tid 5555] getpid() = 42`}},
		{"e=getpid&e=close&last=1", []string{`[pid 11 true] getpid() = 11`}},
		{"e=none", []string{
			`[pid 7 ls] +++ exited with 3 +++`,
			`[pid 1 sh] --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---`,
			`[pid 11 sh] +++ exited with 0 +++`,
		}},
		{"since=12:00:06", []string{
			`[pid 1 sh] execve("/bin/never", ["never"], 0x3000 /* 0 vars */ <unfinished ...>`,
			`[pid 11 true] read(0, <unfinished ...> <blocked for 3.500000>`,
			`[pid 1 sh] openat(AT_FDCWD, "/mnt/hangs", O_RDONLY <unfinished ...> <blocked for 1.000000>`,
		}},
		{"until=2026-11-22T12:00:00.5Z&e=execve", []string{`[pid 1 runc:[2:INIT]] execve("/bin/sh", ["sh", "-c", "exec nginx"], ...) = 0`}},
	} {
		t.Run(c.query, func(t *testing.T) {
			got := bare(show(t, in, Options{Query: query(t, c.query)}))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseQuery(t *testing.T) {
	for _, s := range []string{
		"", "since=30s", "since=12%3A00&until=2026-11-22T12:00:00Z", "last=10", "pid=1&pid=2&tid=3", "failed=true",
		"e=openat%2C%25file%2C%21futex&e=%2F%5Eepoll%2F", "format=json&follow=true&host-pids=true",
		"successful=true&path=%2Fetc%2Fx&path=y", "time=unix&durations=false&decode-fds=true", "summary=thread",
	} {
		q := query(t, s)
		back, err := ParseQuery(q.Values())
		if err != nil || back.Values().Encode() != q.Values().Encode() {
			t.Errorf("%s: %v, came back as %s", s, err, back.Values().Encode())
		}
		want, _ := url.ParseQuery(s)
		if diff := cmp.Diff(want, q.Values()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s, diff)
		}
	}
	for s, want := range map[string]string{
		"since=yesterday":         `since: "yesterday" is neither a duration (30s), a time of day (15:04:05) nor a time (2006-01-02T15:04:05Z)`,
		"until=-5s":               `until: "-5s" is negative: a duration counts back from the end`,
		"since=1s&since=2s":       `since: given 2 times`,
		"last=x":                  `last: "x" is no number from 0 to 2147483647`,
		"last=-1":                 `last: "-1" is no number from 0 to 2147483647`,
		"last=1&format=raw":       `last: not with format raw`,
		"pid=0":                   `pid: 0 is no id`,
		"tid=99999999999":         `tid: "99999999999" is no number from 0 to 2147483647`,
		"failed=maybe":            `failed: "maybe" is neither true nor false`,
		"format=xml":              `format: "xml" is none of text, strace, json, chrome, raw`,
		"time=now":                `time: "now" is none of none, seconds, clock, unix, relative`,
		"summary=pid":             `summary: "pid" is neither call nor thread`,
		"summary=call&follow":     `summary: not while following`,
		"summary=call&format=raw": `summary: not with format raw`,
		"path=":                   `path: "" is no path`,
		"path=/&format=raw":       `path: not with format raw`,
		"failed&successful":       `failed: nothing is successful, too`,
		"e=opnat":                 `e: "opnat": no system call is called "opnat"; the nearest is "openat"`,
		"e=qqqqqqqqqqqqqqqq":      `e: "qqqqqqqqqqqqqqqq": no system call is called "qqqqqqqqqqqqqqqq"`,
		"e=file":                  `e: "file": no system call is called "file"; the class is %file`,
		"e=%25sound":              `e: "%sound": no class of system calls is called %sound; there are %file, %desc, %network, %net, %process, %signal, %memory, %ipc, %creds, %clock, %stat, %lstat, %fstat, %%stat, %statfs, %fstatfs, %%statfs, %pure`,
		"e=read,,write":           `e: "read,,write": a name is missing`,
		"e=":                      `e: "": a name is missing`,
		"e=/(/":                   "e: \"/(/\": error parsing regexp: missing closing ): `(`",
		"e=/x":                    `e: "/x": the regular expression /x has no / at its end`,
	} {
		v, err := url.ParseQuery(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseQuery(v); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", s, err, want)
		}
	}
}

func TestExpr(t *testing.T) {
	for _, c := range []struct {
		exprs   string // separated by blanks
		has, no string
		others  bool // numbers without a name
	}{
		{"openat", "openat", "read close", false},
		{"%file", "openat execve", "read", false},
		{"!futex", "read openat", "futex", true},
		{"!futex,read", "openat", "futex read", true}, // as with strace, "!" is for all that follow
		{"openat,%file,!execve", "openat open", "execve read", false},
		{"trace=read,write", "read write", "open", false},
		{"/^epoll_(wait|ctl)$/,read", "epoll_wait epoll_ctl read", "epoll_pwait", false},
		{"/a{1,2}/", "read", "open", false}, // a comma in a regular expression
		{"all", "read", "", true},
		{"none", "", "read open", false},
		{"openat !%file", "", "openat read", false},
		{"read openat", "read openat", "write", false},
	} {
		var exprs []Expr
		for s := range strings.FieldsSeq(c.exprs) {
			e, err := ParseExpr(s)
			if err != nil {
				t.Fatal(err)
			}
			exprs = append(exprs, e)
		}
		s := compile(exprs)
		for _, name := range strings.Fields(c.has) {
			if !s.has(1, number(t, name)) {
				t.Errorf("%s leaves out %s", c.exprs, name)
			}
		}
		for _, name := range strings.Fields(c.no) {
			if s.has(1, number(t, name)) {
				t.Errorf("%s has %s", c.exprs, name)
			}
		}
		if s.has(1, 0xffff) != c.others {
			t.Errorf("%s: unknown numbers: %v", c.exprs, !c.others)
		}
	}
}

func TestMoment(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	end := time.Date(2026, 11, 22, 0, 0, 10, 0, berlin) // just after midnight
	for s, want := range map[string]string{
		"30s":                         "2026-11-21T23:59:40+01:00",
		"1h30m":                       "2026-11-21T22:30:10+01:00",
		"00:00:05.25":                 "2026-11-22T00:00:05.25+01:00",
		"23:59:59":                    "2026-11-21T23:59:59+01:00", // yesterday's
		"23:58":                       "2026-11-21T23:58:00+01:00",
		"2026-11-21T10:00:00Z":        "2026-11-21T11:00:00+01:00",
		"2026-11-21T10:00:00":         "2026-11-21T10:00:00+01:00",
		"2026-11-21 10:00":            "2026-11-21T10:00:00+01:00",
		"2026-11-21T10:00:00.5+02:00": "2026-11-21T09:00:00.5+01:00",
	} {
		m, err := ParseMoment(s)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := m.Time(end, berlin).In(berlin).Format(time.RFC3339Nano); got != want {
			t.Errorf("%s is %s, want %s", s, got, want)
		}
		// Asked elsewhere, it must be the same.
		there, err := ParseMoment(m.absolute(end, berlin).String())
		if err != nil || !there.Time(end, time.UTC).Equal(m.Time(end, berlin)) {
			t.Errorf("%s is %v elsewhere (%v)", s, there, err)
		}
	}
}

// What can be read of a damaged dump is shown, and then the error.
func TestDamaged(t *testing.T) {
	whole := story(t)
	end := bytes.LastIndex(whole, []byte("E\x00\x00\x00"))
	for _, row := range formats {
		f := row.name
		var out bytes.Buffer
		_, err := run(&out, whole[:end], Options{Query: Query{Format: f}})
		if !errors.Is(err, dump.ErrTruncated) {
			t.Errorf("%s: %v", f, err)
		}
		if !strings.Contains(out.String(), "/bin/never") {
			t.Errorf("%s: lines are missing:\n%s", f, out.String())
		}
		if f == FormatText && !strings.Contains(out.String(), "# dump is cut short after") {
			t.Errorf("text does not say so:\n%s", out.String())
		}
		if f == FormatJSON && !strings.Contains(out.String(), `"error":"dump is cut short after`) {
			t.Errorf("JSON does not say so:\n%s", out.String())
		}
	}
}

// A raw copy shows the same as the dump itself, filtered or not.
func TestRaw(t *testing.T) {
	in := story(t)
	for _, s := range []string{"", "pid=9", "e=getpid,close", "since=12:00:02&until=12:00:04.5", "tid=1001&host-pids=1"} {
		q := query(t, s)
		q.Format = FormatRaw
		raw := show(t, in, Options{Query: q})
		q.Format = FormatText
		want := show(t, in, Options{Query: q, Quiet: true})
		got := show(t, []byte(raw), Options{Query: Query{HostPids: q.HostPids}, Quiet: true, Location: time.FixedZone("", 3600)})
		if diff := cmp.Diff(bare(want), bare(got)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", s, diff)
		}
		if q.Filtered() && len(raw) >= len(in) {
			t.Errorf("%q leaves nothing out of the copy", s)
		}
	}
}

// While a recording is followed, what is new is written at once; the last so many
// lines are the last of what was there.
func TestFollow(t *testing.T) {
	for _, f := range []Format{FormatText, FormatStrace, FormatJSON, FormatRaw} {
		for _, header := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, header %v", f, header), func(t *testing.T) { follow(t, f, header) })
		}
	}
}

// follow: header: what is new begins with a header, not with tasks.
func follow(t *testing.T, f Format, header bool) {
	pr, pw := io.Pipe()
	defer pw.Close()
	b := &builder{t: t, w: dump.NewWriter(pw), lane: dump.FrameMain}
	var out bytes.Buffer
	flushed, done := make(chan string, 100), make(chan error, 1)
	q := Query{Format: f, Follow: true}
	if f != FormatRaw {
		q.Last = 1
	}
	go func() {
		r, err := dump.NewReader(pr)
		if err == nil {
			_, err = Run(&out, r, Options{Query: q, Flush: func() error {
				flushed <- out.String()
				out.Reset()
				return nil
			}})
		}
		pr.CloseWithError(err)
		done <- err
	}()
	expect := func(want, not string) {
		t.Helper()
		for deadline := time.After(10 * time.Second); ; {
			select {
			case got := <-flushed:
				if not != "" && strings.Contains(got, not) {
					t.Errorf("got %q, in which is %q", got, not)
				}
				if strings.Contains(got, want) {
					return
				}
			case <-deadline:
				t.Fatalf("%q was not written", want)
			}
		}
	}
	b.check(b.w.Header(testHeader()))
	b.task(1000, 1000, 1, 1, 0, 0, "sh", "sh")
	b.call(1000, "getpid", 1_000_000, 1, 1)
	b.call(1000, "getppid", 1_100_000, 1, 1)
	if header {
		h := testHeader()
		h.Recording.Coverage.Overwritten = 17
		b.check(b.w.Header(h))
	} else {
		b.task(1000, 1000, 1, 1, 0, 0, "sh", "sh")
		b.check(b.w.Flush())
	}
	not := "getpid"
	if f == FormatRaw {
		not = ""
	} else {
		expect("getppid", not)
	}
	b.call(1000, "openat", 1_200_000, 1, 3, atCwd, 0x7000, "/etc/new", 0)
	b.check(b.w.Flush())
	expect("/etc/new", not)
	b.check(b.w.Close())
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it did not end")
	}
}
