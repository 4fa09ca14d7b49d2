package replay

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// How lines begin and end.
func TestStamps(t *testing.T) {
	b := newBuilder(t, testHeader())
	b.task(1, 1, 1, 1, 0, 0, "sh", "sh")
	b.call(1, "getpid", 10, 5, 1)
	b.call(1, "getuid", 1_500_000, 20, 0)
	in := b.done()
	for q, want := range map[string][]string{
		"format=text&time=none":                       {"[pid 1 sh] getpid() = 1 <0.000005>", "[pid 1 sh] getuid() = 0 <0.000020>"},
		"format=text&time=seconds":                    {"12:00:00 [pid 1 sh] getpid() = 1 <0.000005>", "12:00:01 [pid 1 sh] getuid() = 0 <0.000020>"},
		"format=text&time=clock&durations=false":      {"12:00:00.000015 [pid 1 sh] getpid() = 1", "12:00:01.500020 [pid 1 sh] getuid() = 0"},
		"format=text&time=unix&durations=0":           {"1795348800.000015 [pid 1 sh] getpid() = 1", "1795348801.500020 [pid 1 sh] getuid() = 0"},
		"format=text&time=relative&durations=false":   {"     0.000000 [pid 1 sh] getpid() = 1", "     1.500005 [pid 1 sh] getuid() = 0"},
		"format=strace&time=none":                     {"1     getpid()                          = 1 <0.000005>", "1     getuid()                          = 0 <0.000020>"},
		"format=strace&time=seconds&durations=false":  {"1     12:00:00 getpid()                 = 1", "1     12:00:01 getuid()                 = 0"},
		"format=strace&time=clock&durations=false":    {"1     12:00:00.000010 getpid()          = 1", "1     12:00:01.500000 getuid()          = 0"},
		"format=strace&time=relative&durations=false": {"1          0.000000 getpid()            = 1", "1          1.499990 getuid()            = 0"},
	} {
		got := show(t, in, Options{Query: query(t, q), Quiet: true})
		if diff := cmp.Diff(strings.Join(want, "\n")+"\n", got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", q, diff)
		}
	}
}

// strace's -z and -P.
func TestSuccessfulAndPath(t *testing.T) {
	in := story(t)
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"successful&e=execve,openat&since=12:00:01&until=12:00:03", []string{
			`[pid 1 sh] openat(AT_FDCWD, "/etc/app.conf", O_RDONLY|O_CLOEXEC) = 3`,
			`[pid 7 sh] execve("/bin/ls", ["ls", "-l"], 0x3000 /* 23 vars */) = 0`,
			`[pid 7 ls] +++ exited with 3 +++`,
			`[pid 1 sh] --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---`,
		}},
		{"path=/bin/again&path=/etc/old.conf&until=12:00:04.5", []string{
			`[pid 1 sh] openat(AT_FDCWD, "/etc/old.conf", O_RDONLY) = -1 ENOENT (No such file or directory)`,
			`[pid 7 ls] +++ exited with 3 +++`,
			`[pid 1 sh] --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---`,
			`[pid 9 sh] execve("/bin/again", ["again"], 0x3000 /* 0 vars */) = 0`,
		}},
		{"path=/etc/app&e=openat&until=12:00:02", nil},
		{"path=/mnt/hangs&since=12:00:09", []string{
			`[pid 1 sh] openat(AT_FDCWD, "/mnt/hangs", O_RDONLY <unfinished ...> <blocked for 1.000000>`,
		}},
	} {
		if diff := cmp.Diff(c.want, bare(show(t, in, Options{Query: query(t, c.query)}))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.query, diff)
		}
	}
}

func TestSummary(t *testing.T) {
	in := story(t)
	golden(t, "summary.call", show(t, in, Options{Query: query(t, "summary=call")}))
	golden(t, "summary.thread", show(t, in, Options{Query: query(t, "summary=thread")}))
	golden(t, "summary.json", show(t, in, Options{Query: query(t, "summary=call&format=json&e=openat,close")}))
	golden(t, "summary.none", show(t, in, Options{Query: query(t, "summary=call&e=none")}))
}

// Whoever reads what a recording covers is told what it cannot have.
func TestCovers(t *testing.T) {
	from, to := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 12, 0, 9, 0, time.UTC)
	all := api.Coverage{From: &from, To: &to, Written: 5000, Kept: 4000, Overwritten: 1000}
	const said = "2026-11-22 12:00:00.0 to 12:00:09.0, 4,000 of 5,000 calls, 1,000 overwritten"
	const late = "; processes ran already when it began"
	for _, c := range []struct {
		late bool
		ns   uint64
		want string
	}{
		{false, 0, ""},
		{true, 0, late},
		{true, 1, late + ", the first for 1ms"},
		{true, 3_214_900_000, late + ", the first for 3.214s"},
		{true, 93_782_400_000_000, late + ", the first for 26h3m2s"},
		{true, 1<<64 - 1, late + ", the first for 2562047h47m16s"},
	} {
		all.BeganLate, all.BeganLateNs = c.late, c.ns
		if got := Coverage(&all, time.UTC); got != said+c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	if got := Coverage(&api.Coverage{BeganLate: true}, time.UTC); got != "nothing: 0 calls written"+late {
		t.Errorf("of nothing: %q", got)
	}
}

// How much of strings is shown, and numbers that a double does not hold.
func TestStringLimit(t *testing.T) {
	b := newBuilder(t, testHeader())
	b.task(1, 1, 1, 1, 0, 0, "sh", "sh")
	long := strings.Repeat("x", 40)
	b.call(1, "write", 10, 5, 40, 1, 0x7f0000000000001, data(long), 40)
	in := b.done()
	for q, want := range map[string]string{
		"format=text&time=none&durations=0":                     `[pid 1 sh] write(1, "` + long + `", 40) = 40`,
		"format=text&time=none&durations=0&string-limit=5":      `[pid 1 sh] write(1, "xxxxx"..., 40) = 40`,
		"format=strace&time=none&durations=0":                   `1     write(1, "` + long[:32] + `"..., 40) = 40`,
		"format=strace&time=none&durations=0&string-limit=1000": `1     write(1, "` + long + `", 40) = 40`,
	} {
		if got := show(t, in, Options{Query: query(t, q), Quiet: true}); got != want+"\n" {
			t.Errorf("%s: got %s, want %s", q, got, want)
		}
	}
	for q, want := range map[string]string{"format=json": `"raw":571957152676052993`, "format=json&big-strings": `"raw":"571957152676052993"`} {
		got := show(t, in, Options{Query: query(t, q)})
		if !strings.Contains(got, want) || !strings.Contains(got, `"raw":1,`) {
			t.Errorf("%s: there is no %s in %s", q, want, got)
		}
		checkSchema(t, []byte(got))
	}
}

// Classes and names as strace has them. What its classes of file status choose was seen with strace.
func TestClasses(t *testing.T) {
	for expr, want := range map[string]string{
		"%stat": "stat", "%lstat": "lstat", "%fstat": "fstat newfstatat statx", "%%stat": "stat fstat lstat newfstatat statx",
		"%statfs": "statfs", "%fstatfs": "fstatfs", "%%statfs": "ustat statfs fstatfs",
		"%pure":   "getpid getuid getgid geteuid getegid getppid getpgrp gettid",
		"?getpid": "getpid", "?getpid,?no_such_call": "getpid", "?no_such_call": "",
	} {
		e, err := ParseExpr(expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		var got []string
		for nr, chosen := range Calls(record.ArchX86_64, e) {
			if chosen {
				got = append(got, syscalls.Lookup(record.ArchX86_64, uint32(nr)).Name)
			}
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", expr, diff)
		}
	}
}
