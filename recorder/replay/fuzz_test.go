package replay

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/recorderd/recorderd/internal/jsontext"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// all shows a dump in every way. Damage is no fault, panics and bad JSON are.
func all(t *testing.T, in []byte) {
	for _, q := range []Query{
		{}, {Format: FormatStrace}, {Format: FormatJSON}, {Format: FormatRaw},
		{Last: 3, Failed: true, HostPids: true}, {Format: FormatStrace, Follow: true, Last: 2},
		{Successful: true, Time: StampRelative, Fds: true, NoDuration: true}, {Format: FormatStrace, Paths: []string{"/"}, Time: StampSeconds, Fds: true},
		{Format: FormatChrome, Fds: true}, {Summary: SummaryByCall}, {Summary: SummaryByThread, Format: FormatJSON},
		{Format: FormatRaw, Pids: []uint32{1}}, {Format: FormatJSON, Fds: true}, {Format: FormatJSON, Tids: []uint32{1}, HostPids: true, Follow: true},
	} {
		var out bytes.Buffer
		_, err := run(&out, in, Options{Query: q, Flush: func() error { return nil }})
		switch {
		case err == nil, errors.Is(err, dump.ErrTruncated), errors.Is(err, dump.ErrCorrupt), errors.Is(err, dump.ErrForeign),
			errors.Is(err, dump.ErrNewer), errors.Is(err, ErrTooLarge):
		default:
			t.Fatalf("%+v: %v", q, err)
		}
		if q.Format == "" && q.Summary == "" {
			checkColour(t, in, q)
		}
		if q.Format == FormatChrome && out.Len() > 0 {
			checkChrome(t, out.Bytes())
		}
		if q.Format == FormatJSON {
			checkSchema(t, out.Bytes())
		}
		if q.Format != FormatJSON || q.Summary != "" {
			continue
		}
		for line := range bytes.Lines(out.Bytes()) {
			if !json.Valid(line) {
				t.Fatalf("no JSON: %q", line)
			}
		}
	}
}

// FuzzReplay feeds whole files.
func FuzzReplay(f *testing.F) {
	f.Add(story(f))
	f.Add(fdStory(f))
	f.Add(holed(f))
	f.Add([]byte(dump.Magic))
	f.Fuzz(all)
}

// FuzzEvents makes dumps whose frames and records are well formed, of few threads
// at few times, so that they have to do with each other. Each record takes 12 bytes:
// what, tid, time (2), nr (2), ret (2), dur, flags, items, length of an item.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("G\x01\x00\x01\x3b\x00\x00\x00\x00\x00\x00\x00R\x02\x00\x02\x3b\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(bytes.Repeat([]byte("\x43\x01\x05\x00\xe7\x00\x00\x00\x01\x00\x07\x20"), 9))
	f.Fuzz(func(t *testing.T, script []byte) {
		b := newBuilder(t, testHeader())
		for ; len(script) >= 12; script = script[12:] {
			s := script[:12]
			num := binary.LittleEndian.Uint16
			when := 1000e9 + uint64(num(s[2:]))
			switch s[0] >> 6 {
			case 0:
				row := layout.TaskInfo{Tid: uint32(s[1] & 3), Tgid: uint32(s[1] >> 2 & 3), NsTid: uint32(s[1] >> 4 & 3), NsTgid: uint32(s[1] >> 6), Start: when, Comm: [16]byte{s[8], s[9]}}
				if s[0]&1 != 0 {
					row.End = when + uint64(num(s[4:]))
				}
				b.check(b.w.Task(&row))
				continue
			case 3:
				switch s[0] & 31 {
				case 31:
					b.check(b.w.Header(testHeader()))
					continue
				case 30:
					b.check(b.w.Damage(&dump.Damage{Text: "x", Blocks: int(s[1])}))
					continue
				}
			}
			r := record.Record{
				Type: layout.RecType(s[0] & 15), Tid: uint32(s[1] & 3), Time: when, Nr: num(s[4:]), Ret: int64(int16(num(s[6:]))),
				Dur: uint64(s[8]), Flags: layout.RecFlag(s[9]), Args: [6]uint64{uint64(s[1]), uint64(s[8]), uint64(s[3]) << 32, uint64(s[9])},
			}
			if n := int(s[11]); s[10] != 0 && n < len(script) {
				r.Items = append(r.Items, record.Item{Arg: s[10] & 3, Kind: layout.ItemKind(s[10] >> 4), Flags: layout.ItemFlag(s[9] & 0x70), Data: script[:n]})
			}
			lane := []dump.FrameType{dump.FrameGuard, dump.FrameMain, dump.FrameMain, dump.FrameProgress}[s[0]>>4&3]
			b.check(b.w.Record(lane, record.Append(nil, &r)))
		}
		all(t, b.done())
	})
}

func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"openat,%file,!futex", "30s", "15:04", "/a,b/,!x"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, moment, expr string) {
		if m, err := ParseMoment(moment); err == nil {
			m.Time(noon, noon.Location())
			if back, err := ParseMoment(m.String()); err != nil || back != m {
				t.Errorf("%q comes back as %v, %v", moment, back, err)
			}
		}
		if e, err := ParseExpr(expr); err == nil {
			compile([]Expr{e}).has(1, 0)
		}
	})
}

// FuzzLines makes a dump of whatever a container chose as its names, arguments and contents:
// each event is one line, in which a terminal finds nothing to obey.
func FuzzLines(f *testing.F) {
	f.Add([]byte("sh\x1b[2J"), []byte("/etc/\u202epasswd\x7f"), []byte("a\nb\r\u009b\xff\x00"))
	f.Add([]byte("\xc2"), []byte("\x9b31m"), []byte("\U000e0041\ufffe\u2028"))
	f.Fuzz(func(t *testing.T, comm, path, contents []byte) {
		b := newBuilder(t, fdHeader())
		cut := func(s []byte) string { return string(s[:min(len(s), 2000)]) }
		b.task(1, 1, 1, 1, 0, 0, cut(comm), cut(comm))
		b.rename(1, 100, cut(comm))
		b.call(1, "openat", 200, 1, 3, atCwd, 1, cut(path), 0)
		b.call(1, "write", 300, 1, 5, 3, 1, data(cut(contents)), 5)
		b.enter(1, "execve", 400, 1, cut(path), 2, []string{cut(contents), cut(comm)}, 3, count(0))
		b.exec(1, 1, 410, cut(path), cut(contents)+"\x00")
		b.call(1, "execve", 400, 20, 0)
		b.mem(1, "bind", 500, 1, 0, 1, append([]byte{1, 0}, cut(path)...), 3, 1, 110)
		in := b.done()
		for _, format := range []Format{FormatText, FormatStrace, FormatJSON, FormatChrome} {
			for _, fds := range []bool{false, true} {
				out := show(t, in, Options{Quiet: true, Query: Query{Format: format, Fds: fds}})
				lines := strings.Count(out, "\n")
				if want := map[Format]int{FormatText: 4, FormatStrace: 4, FormatJSON: 7}[format]; want != 0 && lines != want {
					t.Errorf("%s: %d lines, want %d:\n%q", format, lines, want, out)
				}
				if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && jsontext.Unsafe(r) }); i >= 0 || !utf8.ValidString(out) {
					t.Errorf("%s: a terminal is told %q", format, out[max(i, 0):])
				}
			}
		}
	})
}
