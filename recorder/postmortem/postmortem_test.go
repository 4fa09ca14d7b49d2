package postmortem

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/columns"
	"github.com/recorderd/recorderd/internal/testrecording"
	"github.com/recorderd/recorderd/recorder/dump"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

// recording returns a dump that testdata/record has made.
func recording(t testing.TB, name string) []byte {
	t.Helper()
	return testrecording.Raw(t, "testdata/"+name+".rec.gz")
}

func build(t testing.TB, in []byte, o Options) *Report {
	t.Helper()
	r, err := dump.NewReader(bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Build(r, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got\n%s", file, diff)
	}
}

func screenOf(t testing.TB, r *Report) string {
	t.Helper()
	var out strings.Builder
	if err := WriteText(&out, r, TextOptions{Width: 160, Command: "recorderctl dump x"}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestScreens has recordings on terminals of three widths: nothing is wider, but for commands
// that are to be copied, and no error and no last part of a path is lost.
func TestScreens(t *testing.T) {
	commands := regexp.MustCompile(`^  and .*: recorderctl .*$`)
	errors := regexp.MustCompile(` = -1 E[A-Z0-9]+|: E[A-Z]+`)
	paths := regexp.MustCompile(`"/[^"]*?([^"/]{1,30})"`)
	for _, name := range []string{"abort", "caught", "closed", "deadlock", "denied", "dns", "emfile", "forklock", "forks", "full", "library",
		"locked", "mapped", "message", "mutex", "noisy", "oom", "refused", "segv", "stubborn", "traceback", "tries"} {
		r := build(t, recording(t, name), Options{})
		at := func(width int) string {
			var out strings.Builder
			if err := WriteText(&out, r, TextOptions{Width: width, Command: "recorderctl dump x"}); err != nil {
				t.Fatal(err)
			}
			return out.String()
		}
		whole := sections(at(0))
		for _, width := range []int{80, 120, 200} {
			got := at(width)
			golden(t, fmt.Sprintf("screens/%s.%d.text", name, width), got)
			for line := range strings.Lines(got) {
				if line = strings.TrimSuffix(line, "\n"); columns.Width(line) > width && !commands.MatchString(line) {
					t.Errorf("%s: %d columns of %d: %s", name, columns.Width(line), width, line)
				}
			}
			narrow := sections(got)
			for _, section := range []string{"Before", "Failed", "Files", "Peers", "Slowest", "Threads"} {
				if have, want := errors.FindAllString(narrow[section], -1), errors.FindAllString(whole[section], -1); !slices.Equal(have, want) {
					t.Errorf("%s in %d columns: %s has %q, want %q", name, width, section, have, want)
				}
				for line := range strings.Lines(whole[section]) {
					// Of a call with many strings the first is what it works on.
					if m := paths.FindStringSubmatch(line); m != nil && !strings.Contains(narrow[section], m[1]) {
						t.Errorf("%s in %d columns: %s does not have %q of %s", name, width, section, m[1], line)
					}
				}
			}
		}
	}
}

// sections are the parts of a screen by the first word of their titles.
func sections(screen string) map[string]string {
	parts := map[string]string{}
	for part := range strings.SplitSeq(screen, "\n\n") {
		title, text, _ := strings.Cut(part, "\n")
		word, _, _ := strings.Cut(title, " ")
		parts[word] = text
	}
	return parts
}

// TestVerdicts holds the one line that matters against what the programs in
// testdata/programs did. testdata/record has recorded them with a real recorderd.
func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name    string
		outcome Outcome
		verdict string // a regular expression, of all of it
		signs   string // kinds, those that are certain with !, the others with ?
	}{
		{
			"segv", Killed,
			`killed by SIGSEGV \(SEGV_MAPERR at 0x8\) in thread \d+ \(worker\), probably because ` +
				`openat\("/etc/cart/cart.conf"\) failed with ENOENT, 3\.\d ms before`,
			"null-pointer? missing-file?",
		},
		{"abort", Killed, `aborted itself with SIGABRT; its last words on stderr: "abort: abort.c:8: main: Assertion .order != NULL' failed."`, ""},
		{"message", Exited, `exited with 1 by itself, probably because ` +
			`faccessat2\("/etc/orders/orders.conf"\) failed with ENOENT, \d+ µs before; its last ` +
			`words on stderr: "orders: no database is configured"`, "missing-file?"},
		{
			"stubborn", Killed, `killed by SIGKILL from outside: no process of the recording sent it, 2\.\d s after SIGTERM from outside ` +
				`\(si_pid \d+\), which it caught; its main thread was in pause\(\) for 2\.\d s`, "grace-period?",
		},
		{"watchdog", Killed, `killed by SIGKILL from \d+ \(watchdog\) of the same container`, ""},
		{"oomlimit", OOM, `OOM-killed at a limit of 48 MiB of memory \(48 MiB were used\): the kernel chose process \d+ \(oom\), which had 47\.\d MiB of it`, "oom!"},
		{"oom", OOM, `OOM-killed: the kernel chose process \d+ \(oom\); its last words on stdout: "\d+ orders in the cache"`, "oom!"},
		{
			"deadlock", Running,
			`still running: all 3 threads have been waiting in futex for 3\.\d s or longer, none with a timeout: it looks like a deadlock`, "deadlock?",
		},
		{"blocked", Running, `still running: main thread \d+ \(blocked\) blocked for [23]\.\d s in read\(3<UNIX-STREAM:\[->"/srv/stock.sock"\]>\), ` +
			`waiting for "/srv/stock.sock": 11 bytes sent [23]\.\d s ago, nothing since`, ""},
		{"idle", Running, `still running: main thread \d+ \(idle\) waiting for [12]\.\d s in epoll_wait\(4.*\)`, ""},
		{
			"refused", Exited, `exited with 1 by itself, probably because connect to ` +
				`127.0.0.1:5432 was refused \(3 times\), 1\d\d ms before; ` +
				`its last words on stderr: "orders: no database, giving up"`, "refused!",
		},
		{"interpreter", Exited, `could not start: execve\("./interpreter.js"\) failed with ENOENT; exited with 253`, "exec-failed! exec-failed?"},
		{"garbage", Exited, `could not start: execve\("./garbage"\) failed with ENOEXEC; exited with 253`, "exec-failed!"},
		{
			"entry", Exited, `exited with 127 by itself \d+ µs after execve\("(./|/srv/)server"\) failed with ENOENT; ` +
				`its last words on stderr: "./entry.sh: 5: exec: ./server: not found"`, "exec-failed! exec-failed?",
		},
		{
			"forks", Running, `still running: main thread \d+ \(forks\) waiting for [\d.]+ m?s in pause\(\); 6 forks processes exited with 3, ` +
				`the last one after openat\("/var/lib/orders/orders.db"\) failed with ENOENT`, "failing-children!",
		},
		{
			"traceback", Exited, `exited with 1 by itself \d+ ms after openat\("/etc/shop/settings.json"\) failed with ENOENT; ` +
				`its last words on stderr: "FileNotFoundError: \[Errno 2\] No such file or directory: '/etc/shop/settings.json'"`, "missing-file?",
		},
		{
			"dns", Exited, `exited with 1 by itself after questions to the DNS server 127.0.0.1 ` +
				`failed \d+ times; ` +
				`its last words on stderr: "socket.gaierror: \[Errno -3\] Temporary failure in name resolution"`, "dns?",
		},
		{
			"emfile", Running, `still running: main thread \d+ \(emfile\) is in a loop: accept\(3.*\) failed [\d,]+ times with EMFILE in .*`,
			"busy-loop? out-of-descriptors!",
		},
		{"full", Exited, `exited with 4 by itself, probably because write\(1</dev/full>\) failed ` +
			`with ENOSPC, \d+ µs before; its last words on stderr: ".*echo: I/O error"`,
			"no-space!"},
		{
			"denied", Exited, `exited with 1 by itself \d+ µs after openat\("/etc/shadow"\) failed with EACCES; ` +
				`its last words on stderr: "cat: /etc/shadow: Permission denied"`, "denied!",
		},
		{ // everyday, but for the last words
			"library", Exited, `exited with 127 by itself \d+ µs after openat\(".*libstock.so"\) failed with ENOENT; its last words on stderr: ` +
				`"./library: error while loading shared libraries: .*libstock.so: cannot open shared object file: No such file or directory"`, "missing-file?",
		},
		{"timerkill", Killed, `killed by SIGKILL, probably by a timer that it had set`, ""},
		{"setsig", Killed, `killed by SIGKILL, probably by the kernel, as a descriptor for which ` +
			`it had set that signal was ready \(F_SETSIG\)`, ""},
		{"cpulimit", Killed, `killed by SIGKILL, probably by the kernel, as its limit of CPU ` +
			`time was used up \(RLIMIT_CPU\)`, ""},
		{"exitkill", Killed, `killed by SIGKILL, probably by the kernel, as its tracer \d+ ` +
			`\(killers\) had ended \(PTRACE_O_EXITKILL\)`, ""},
		{"strict", Killed, `killed by SIGKILL, probably by the kernel: seccomp's strict mode, ` +
			`which it had chosen, forbids all calls but .*`, ""},
		{"pidfdself", Killed, `killed by SIGKILL, which it sent to itself`, ""},
		// it says that process 1 sent it
		{"forged", Killed, `killed by SIGABRT from \d+ \(killers\) of the same container`, ""},
		{
			"mutex", Running, `still running: thread \d+ \(mutex\) and thread \d+ \(mutex\) of ` +
				`process \d+ \(mutex\) have been waiting for 2 locks in futex ` +
				`for [23]\.\d s or longer, without a timeout: it looks like a deadlock`, "mutex?",
		},
		{"mapped", Killed, `killed by SIGBUS \(BUS_ADRERR at 0x[0-9a-f]+\) in main thread \d+ ` +
			`\(mapped\), where /srv/restart.bin was mapped`, "mapped-file?"},
		{
			"caught", Killed, `aborted itself with SIGABRT \d+ µs after SIGSEGV \(SEGV_MAPERR at ` +
				`0x10\) in main thread \d+ \(caught\), which it caught; ` +
				`its last words on stderr: "#  SIGSEGV \(0xb\)"`, "",
		},
		{
			"forklock", Running, `still running: process \d+ \(python3\) hangs: its only thread ` +
				`has been waiting in futex for 2\.\d s without a timeout, ` +
				`and nobody else can wake it; it was forked, perhaps while another thread held ` +
				`that lock`, "deadlock?",
		},
		{
			"migrate", Exited, `exited with 1 after its child \d+ \(cat\) exited with 1, ` +
				`probably because openat\("/srv/0001.sql"\) failed with ENOENT, \d+ µs before`,
			"missing-file?",
		},
		{"value", Exited, `exited with 2 by itself; its last words on stderr: "\[ERROR\] port: ` +
			`"80a0" is no number"`, ""},
		{
			"closed", Exited, `exited with 1 by itself, probably because 127.0.0.1:18432 closed ` +
				`the connection without an answer to 5 bytes, \d+ ms before; ` +
				`its last words on stderr: "the query has failed"`, "",
		},
		{"silent", Running, `still running: waiting for 127.0.0.1:18433: 5 bytes sent 2\.\d s ` +
			`ago, nothing since`, "waiting-for-peer?"},
		{
			"locked", Exited, `exited with 1 by itself, probably because ` +
				`flock\(3</srv/tsdb.lock>\) failed with EAGAIN: somebody else holds the lock, ` +
				`\d+ µs before; its last words on stderr: "opening storage failed"`, "lock-held!",
		},
		{
			"tries", Running, `still running: process \d+ \(python3\) has tried \d+ times in ` +
				`3\.\d s to lock /srv/tsdb.lock: .* failed with EAGAIN: ` +
				`somebody else holds the lock`, "lock-held!",
		},
		{"noisy", Exited, `exited with 2 by itself; its last words on stderr: "bye ü \\xff"`, ""},
		{"ok", Exited, `exited with 0 by itself after \d\.\d ms`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := recording(t, tt.name)
			r := build(t, in, Options{})
			if r.Outcome != tt.outcome {
				t.Errorf("outcome %s, want %s", r.Outcome, tt.outcome)
			}
			if !regexp.MustCompile("^(?:" + tt.verdict + ")$").MatchString(r.Verdict) {
				t.Errorf("verdict %s\nwant    %s", r.Verdict, tt.verdict)
			}
			var signs []string
			for _, s := range r.Signs.Items {
				kind := s.Kind + "?"
				if s.Certainty == Certain {
					kind = s.Kind + "!"
				}
				signs = append(signs, kind)
				if len(s.Evidence) == 0 && s.Kind != "oom" {
					t.Errorf("%s has no evidence", s.Kind)
				}
			}
			if got := strings.Join(signs, " "); got != tt.signs {
				t.Errorf("signs %q, want %q", got, tt.signs)
			}
			text := screenOf(t, r)
			if n := strings.Count(text, "\n"); n > 70 {
				t.Errorf("%d lines are no screen", n)
			}
			for _, c := range text {
				if c != '\n' && !unicode.IsPrint(c) {
					t.Errorf("%q reaches the terminal", c)
				}
			}
			golden(t, tt.name+".text", text)
			checkSchema(t, asJSON(t, r))
			if again := build(t, in, Options{}); !bytes.Equal(asJSON(t, r), asJSON(t, again)) {
				t.Error("another report of the same dump")
			}
		})
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		text, file string
		want       bool
	}{
		{"cannot open /etc/a.conf: No such file", "/etc/a.conf", true},
		{"cannot open /etc/a.conf.d", "/etc/a.conf", false},
		{"cannot open /etc/a.conf.", "/etc/a.conf", true},
		{"in /chroot/etc/a.conf", "/etc/a.conf", false},
		{`open "a.conf": no such file`, "/etc/a.conf", true},
		{"/other/a.conf is there", "/etc/a.conf", false},
		{"./server: not found", "/srv/server", true},
		{"File \"/usr/lib/python3.11/x.py\"", "/opt/hooks/python3", false},
		{"cat: it failed", "/usr/local/bin/cat", false},
		{"conf", "conf", true},
		{"", "/etc/a.conf", false},
	} {
		if got := names(tt.text, tt.file, "cat"); got != tt.want {
			t.Errorf("%q names %s: %v", tt.text, tt.file, got)
		}
	}
}

// TestLists shortens lists, counts what is left out and says how to see it.
func TestLists(t *testing.T) {
	r := build(t, recording(t, "traceback"), Options{Items: 3, Lines: 2})
	if len(r.Output.Items) != 2 || r.Output.More < 5 {
		t.Errorf("output: %d lines and %d more", len(r.Output.Items), r.Output.More)
	}
	if len(r.Files.Items) != 3 || r.Files.More < 50 {
		t.Errorf("files: %d and %d more", len(r.Files.Items), r.Files.More)
	}
	if len(r.Slowest.Items) != 3 || r.Slowest.Items[0].DurationNs < r.Slowest.Items[2].DurationNs {
		t.Errorf("slowest: %+v", r.Slowest)
	}
	if text := screenOf(t, r); !strings.Contains(text, "more: recorderctl dump x -e %file\n") {
		t.Errorf("no way to the rest:\n%s", text)
	}
}

// TestTruncated reports on what can be read, and says that there was more.
func TestTruncated(t *testing.T) {
	in := recording(t, "segv")
	r, err := dump.NewReader(bytes.NewReader(in[:len(in)-100]))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Build(r, Options{})
	if !errors.Is(err, dump.ErrTruncated) {
		t.Errorf("error %v", err)
	}
	if len(report.Lacks) == 0 || !strings.Contains(report.Lacks[0], "cut short") {
		t.Errorf("lacks %q", report.Lacks)
	}
	if !strings.HasPrefix(report.Verdict, "killed by SIGSEGV") {
		t.Errorf("verdict %q", report.Verdict)
	}
	checkSchema(t, asJSON(t, report))
}

// TestDamaged does not say that nobody sent a signal if the call may be in what is missing.
func TestDamaged(t *testing.T) {
	in := recording(t, "stubborn")
	r, err := dump.NewReader(bytes.NewReader(in[:len(in)-40])) // without its end
	if err != nil {
		t.Fatal(err)
	}
	report, err := Build(r, Options{})
	if !errors.Is(err, dump.ErrTruncated) {
		t.Errorf("error %v", err)
	}
	if !strings.HasPrefix(report.Verdict, "killed by SIGKILL; who sent it is not in the recording, 2.") {
		t.Errorf("verdict %q", report.Verdict)
	}
}

func TestColourAndWidth(t *testing.T) {
	var out strings.Builder
	r := build(t, recording(t, "noisy"), Options{})
	if err := WriteText(&out, r, TextOptions{Width: 60, Colour: true}); err != nil {
		t.Fatal(err)
	}
	ansi := regexp.MustCompile("\x1b\\[[0-9;]*m")
	if !ansi.MatchString(out.String()) {
		t.Error("no colours")
	}
	for line := range strings.Lines(ansi.ReplaceAllString(out.String(), "")) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 60 {
			t.Errorf("%d columns: %q", n, line)
		}
		if strings.ContainsRune(line, 0x1b) {
			t.Errorf("an escape of the container's: %q", line)
		}
	}
}

// TestEndOfUnknownTime catches a container that ended in the year 1, because its runtime
// did not tell when.
func TestEndOfUnknownTime(t *testing.T) {
	for _, known := range []bool{true, false} {
		h := header()
		h.Recording.State, h.Recording.Exit = api.StateEnded, &api.Exit{Source: "containerd", Code: 3}
		want := "when is not known"
		if known {
			at := noon.Add(time.Second)
			h.Recording.Ended, want = &at, "2026-11-22 12:00:01.000 UTC, after 1.0 s"
		}
		d, err := dump.NewReader(bytes.NewReader(newStory(t, h).done()))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Build(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := WriteText(&b, r, TextOptions{}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), "ended    "+want) || strings.Contains(b.String(), "0001-") {
			t.Errorf("want %q:\n%s", want, b.String())
		}
	}
}
