package replay

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/recorder/dump"
)

// holed is a dump of six calls and an execve that has no end, with a piece missing in the middle.
func holed(t testing.TB) []byte {
	t.Helper()
	b := newBuilder(t, testHeader())
	b.task(1000, 1000, 1, 1, 0, 0, "sh", "sh")
	b.call(1000, "openat", 1_000_000, 10, 3, atCwd, 0x7000, "/etc/one", 0)
	b.call(1000, "getpid", 1_000_100, 1, 1)
	b.enter(1000, "execve", 1_100_000, 0x1000, "/bin/lost", 0x2000, []string{"lost"}, 0x3000, count(0))
	b.check(b.w.Damage(&dump.Damage{Text: "its checksum is wrong", Bytes: 412 << 10, Blocks: 3}))
	b.call(1000, "read", 2_000_000, 10, 0, 3, 0x7000, 10)
	b.call(1000, "execve", 2_100_000, 10, 0)
	b.call(1000, "getpid", 2_200_000, 1, 1)
	b.check(b.w.Damage(&dump.Damage{Text: "the file is cut short"}))
	return b.done()
}

const holeText = "3 blocks (412 KiB) are damaged here: its checksum is wrong"

func TestDamageIsShown(t *testing.T) {
	in := holed(t)
	for _, q := range []string{"format=text", "format=strace", "format=json", "format=chrome", "summary=call", "format=json&summary=call", "last=2", "format=raw"} {
		opt := Options{Query: query(t, q), Quiet: true}
		got := show(t, in, opt)
		if q == "format=raw" {
			opt.Format = FormatText
			got = show(t, []byte(got), opt)
		}
		if opt.Format == FormatJSON {
			checkSchema(t, []byte(got))
		}
		want := holeText
		if opt.Format == FormatJSON {
			want = `"text":"its checksum is wrong","bytes":421888,"blocks":3`
		}
		if seen := strings.Contains(got, want); seen != (q != "last=2") {
			t.Errorf("%s: says it: %v\n%s", q, seen, got)
		}
		if !strings.Contains(got, "cut short") {
			t.Errorf("%s: the second one is not said:\n%s", q, got)
		}
		if opt.Format == FormatChrome {
			checkChrome(t, []byte(got))
		}
	}
}

// Where it is said, and that the calls around it are not mixed up.
func TestDamageInOrder(t *testing.T) {
	for format, want := range map[string][]string{
		"format=text":         {"/etc/one", "getpid", `execve("/bin/lost"`, holeText, "read(", "execve(", "getpid", "cut short"},
		"format=strace":       {"/etc/one", "getpid", `execve("/bin/lost"`, holeText, "read(", "execve(", "getpid", "cut short"},
		"last=3":              {holeText, "read(", "execve(", "getpid", "cut short"},
		"last=4":              {`execve("/bin/lost"`, holeText, "read(", "execve(", "getpid", "cut short"},
		"format=text&follow=": {"/etc/one", "getpid", `execve("/bin/lost"`, holeText, "read(", "execve(", "getpid", "cut short"},
	} {
		got := show(t, holed(t), Options{Query: query(t, format), Quiet: true})
		at := 0
		for _, w := range want {
			i := strings.Index(got[at:], w)
			if i < 0 {
				t.Fatalf("%s: no %q behind byte %d of\n%s", format, w, at, got)
			}
			at += i + len(w)
		}
		if strings.Count(got, "/bin/lost") > 1 {
			t.Errorf("%s: the arguments of one execve are shown as those of the next:\n%s", format, got)
		}
	}
}

// What descriptors were open on before is not believed behind it.
func TestDamageForgetsDescriptors(t *testing.T) {
	got := show(t, holed(t), Options{Query: query(t, "decode-fds"), Quiet: true})
	if !strings.Contains(got, "read(3,") {
		t.Errorf("got\n%s", got)
	}
}

func TestDamageInStats(t *testing.T) {
	for _, format := range []Format{FormatText, FormatRaw} {
		s, err := run(io.Discard, holed(t), Options{Query: Query{Format: format}})
		if err != nil || len(s.Damage) != 2 || s.Damage[0].Blocks != 3 {
			t.Errorf("%s: %+v, %v", format, s.Damage, err)
		}
	}
}

// Salvage and replay together: a dump with a bad byte in its first records.
func TestSalvagedDump(t *testing.T) {
	in := bytes.Clone(story(t))
	in[bytes.Index(in, []byte("/etc/old.conf"))] ^= 1
	d, err := dump.NewReader(dump.Salvage(bytes.NewReader(in)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := Run(&out, d, Options{}); err != nil && !errors.Is(err, dump.ErrTruncated) {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "are damaged here: the checksum of a frame of type 'G' is wrong") || !strings.Contains(s, "/mnt/hangs") {
		t.Errorf("got\n%s", s)
	}
}
