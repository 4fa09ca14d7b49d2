package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/abi32"
	"github.com/recorderd/recorderd/internal/size"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/replay"
)

func of[T any](v T) *T { return &v }

// cgroups is a watched cgroup, whose children are containers.
type cgroups struct {
	t    *testing.T
	path string // in the hierarchy
	dir  string
}

// settled runs a recorder with a policy that watches a cgroup of its own.
func settled(t *testing.T, p policy.Policy) (*Recorder, cgroups) {
	t.Helper()
	c := makeCgroups(t, strings.ToLower(t.Name()))
	return testRecorder(t, Config{Watch: []string{c.path}, OnlyWatched: true, Policy: p}), c
}

func makeCgroups(t *testing.T, name string) cgroups {
	t.Helper()
	h, err := FindHierarchy("auto")
	if err != nil {
		t.Fatal(err)
	}
	c := cgroups{t: t, path: fmt.Sprintf("/recorderd-coretest-%d-%s", os.Getpid(), name)}
	c.dir = filepath.Join(h.Mount, c.path)
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, "remove "+c.dir, func() bool { return os.Remove(c.dir) == nil }) })
	return c
}

// container makes a container, in which run runs programs.
func (c cgroups) container(name string) (run func(args ...string)) {
	c.t.Helper()
	dir := filepath.Join(c.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { eventually(c.t, "remove "+dir, func() bool { return os.Remove(dir) == nil }) })
	return func(args ...string) { c.t.Helper(); c.exec(name, args...) }
}

// command is a program that enters a container.
func (c cgroups) command(name string, args ...string) *exec.Cmd {
	return exec.Command("/bin/sh", append([]string{"-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(c.dir, name, "cgroup.procs")}, args...)...)
}

// exec runs a program in a container.
func (c cgroups) exec(name string, args ...string) {
	c.t.Helper()
	cmd := c.command(name, args...)
	cmd.Stdin = strings.NewReader("")
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
}

// recording waits for a container's.
func (c cgroups) recording(r *Recorder, name string) api.Recording {
	c.t.Helper()
	var found api.Recording
	eventually(c.t, "recording of "+name, func() bool {
		list, err := r.List(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		for _, rec := range list {
			if rec.Container.Cgroup == c.path+"/"+name {
				found = rec
				return true
			}
		}
		return false
	})
	return found
}

// counts are calls by name, of one ABI.
func counts(t *testing.T, r *Recorder, id string, flags layout.RecFlag) map[uint16]int {
	t.Helper()
	n := map[uint16]int{}
	for _, rec := range dumpOf(t, r, id).records[dump.FrameMain] {
		if rec.Type == layout.RecCall && rec.Flags&layout.RecfCompat == flags {
			n[rec.Nr]++
		}
	}
	return n
}

// A call that has nothing to do with descriptors takes nothing of what is known of them, and one
// that closes some does for good.
func TestMutedHarmless(t *testing.T) {
	r, c := settled(t, policy.Policy{
		Base:  policy.Settings{Mute: []string{"futex,read,/^mprotec[t]$/"}},
		Rules: []policy.Rule{{Match: policy.Match{Container: "closing*"}, Settings: policy.Settings{Mute: []string{"close"}}}},
	})
	plain, closing := c.container("plain"), c.container("closing-1")
	plain("/bin/true")
	closing("/bin/true") // the rule holds from when the daemon has seen it
	c.recording(r, "closing-1")
	closing("/bin/true")
	coverage := c.recording(r, "plain").Coverage
	if coverage.Muted == 0 || !coverage.MutedHarmless {
		t.Errorf("of read and mprotect %d are muted, harmless: %v", coverage.Muted, coverage.MutedHarmless)
	}
	if coverage := c.recording(r, "closing-1").Coverage; coverage.Muted == 0 || coverage.MutedHarmless {
		t.Errorf("of close too %d are muted, harmless: %v", coverage.Muted, coverage.MutedHarmless)
	}
	if err := r.SetPolicy(policy.Policy{Base: policy.Settings{Mute: []string{"dup2"}}}); err != nil {
		t.Fatal(err)
	}
	if err := r.SetPolicy(policy.Policy{Base: policy.Settings{Mute: []string{"futex"}}}); err != nil {
		t.Fatal(err)
	}
	if c.recording(r, "plain").Coverage.MutedHarmless {
		t.Error("what was muted for a while is forgotten")
	}
}

// What is muted everywhere, and by a rule for some, is not recorded, under both ABIs;
// a change holds for the containers that are there.
func TestMutedByName(t *testing.T) {
	abi32.Need(t)
	const openat, openat32, getpid32, close32 = 257, 295, 20, 6
	bin := filepath.Join(t.TempDir(), "i386")
	if out, err := exec.Command("gcc", "-m32", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie", "-o", bin, "testdata/i386.c").CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	r, c := settled(t, policy.Policy{
		Base:  policy.Settings{Mute: []string{"openat"}},
		Rules: []policy.Rule{{Match: policy.Match{Container: "quiet*"}, Settings: policy.Settings{Mute: []string{"getpid,/^clo[s]e$/"}}}},
	})
	loud, quiet := c.container("loud"), c.container("quiet-1")
	loud("/bin/true")
	quiet("/bin/true") // the rule holds from when the daemon has seen it
	id, quietID := c.recording(r, "loud").ID, c.recording(r, "quiet-1").ID
	before := counts(t, r, quietID, layout.RecfCompat)
	loud(bin)
	quiet(bin)
	if n := counts(t, r, id, 0); n[openat] != 0 || len(n) < 5 {
		t.Errorf("64-bit calls %v: want no openat", n)
	}
	if n := counts(t, r, id, layout.RecfCompat); n[openat32] != 0 || n[getpid32] != 1 || n[close32] != 1 {
		t.Errorf("32-bit calls %v: want no openat, getpid and close", n)
	}
	if n := counts(t, r, quietID, layout.RecfCompat); n[openat32] != 0 || n[getpid32] != before[getpid32] || n[close32] != before[close32] || n[122] != 1 {
		t.Errorf("32-bit calls %v, before %v: want uname and none of openat, getpid, close", n, before)
	}
	if muted := c.recording(r, "quiet-1").Coverage.Muted; muted < 3 {
		t.Errorf("%d muted: want 3 of the last program at least", muted)
	}
	if err := r.SetPolicy(policy.Policy{Base: policy.Settings{Mute: []string{"getpid"}}}); err != nil {
		t.Fatal(err)
	}
	quiet(bin)
	if n := counts(t, r, quietID, layout.RecfCompat); n[openat32] != 1 || n[getpid32] != 0 || n[close32] != 1 {
		t.Errorf("after the change: 32-bit calls %v: want openat and close, no getpid", n)
	}
	if err := r.SetPolicy(policy.Policy{Base: policy.Settings{Mute: []string{"getpud"}}}); err == nil || !strings.Contains(err.Error(), `"getpid"`) {
		t.Errorf("a call that is none: %v", err)
	}
}

// What may be kept and told depends on the container; nothing that is blanked is in
// a dump, be it of what ended or of what is going on.
func TestPrivacyByContainer(t *testing.T) {
	r, c := settled(t, policy.Policy{
		Base: policy.Settings{Blank: []string{"passwords"}},
		Rules: []policy.Rule{
			{Match: policy.Match{Container: "shy"}, Settings: policy.Settings{NoArgs: of(true), CaptureStdio: of(size.Bytes(0))}},
			{Match: policy.Match{Container: "open"}, Settings: policy.Settings{CaptureData: of(size.Bytes(64))}},
		},
	})
	script := `echo secret=hunter2; echo data=kept >/dev/null; exec /bin/echo --token hunter2 harmless`
	for _, name := range []string{"plain", "shy", "open"} {
		run := c.container(name)
		run("/bin/true")
		c.recording(r, name) // the rules hold from here on
		run("/bin/sh", "-c", script)
	}
	raw := func(name string) string {
		var all strings.Builder
		for _, records := range dumpOf(t, r, c.recording(r, name).ID).records {
			for _, rec := range records {
				for _, it := range rec.Items {
					all.Write(it.Data)
					all.WriteByte('\n')
				}
			}
		}
		return all.String()
	}
	has := func(name, what string, want bool) {
		t.Helper()
		if strings.Contains(raw(name), what) != want {
			t.Errorf("%s: %q is there: %v", name, what, !want)
		}
	}
	for _, name := range []string{"plain", "shy", "open"} {
		has(name, "hunter2", false)
	}
	has("plain", "secret=*******", true)
	has("plain", "harmless", true)
	has("plain", "data=kept", true) // of descriptor 1, wherever it leads
	has("shy", "harmless", false)
	has("shy", "secret", false)
	if got := dumpOf(t, r, c.recording(r, "shy").ID).header; got.CaptureStdio != 0 || len(got.Recording.Container.Command) > 1 {
		t.Errorf("header of shy: %d bytes of output, command %q", got.CaptureStdio, got.Recording.Container.Command)
	}
	if got := dumpOf(t, r, c.recording(r, "open").ID).header; got.CaptureStdio != 512 || got.CaptureData != 64 {
		t.Errorf("header of open: %d, %d", got.CaptureStdio, got.CaptureData)
	}
	demand(t, text(t, r, c.recording(r, "shy").ID, replay.Query{}), `execve("/bin/sh", ["/bin/sh", ...]`)
}

// A call that is going on has its arguments read by the daemon, and they are blanked
// as well.
func TestBlockedCallIsBlanked(t *testing.T) {
	r, c := settled(t, policy.Policy{Base: policy.Settings{Blank: []string{"passwords"}, NoArgs: of(true)}})
	fifo := filepath.Join(t.TempDir(), "password=hunter2")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	c.container("a")
	cmd := exec.Command("/bin/sh", "-c", `echo $$ >"$0" && read x <"$1"`, filepath.Join(c.dir, "a", "cgroup.procs"), fifo)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	id := c.recording(r, "a").ID
	eventually(t, "a blocked open in the dump", func() bool {
		var b strings.Builder
		for _, records := range dumpOf(t, r, id).records {
			for _, rec := range records {
				for _, it := range rec.Items {
					b.Write(it.Data)
				}
			}
		}
		if strings.Contains(b.String(), "hunter2") {
			t.Fatal("the path is in the dump")
		}
		return strings.Contains(b.String(), "password=*******")
	})
}

// TestThreadNamesAreBlanked catches the names that programs gave their threads, of those that
// live, of those that have ended, and while a dump goes on.
func TestThreadNamesAreBlanked(t *testing.T) {
	r, c := settled(t, policy.Policy{Base: policy.Settings{Blank: []string{"passwords"}}})
	c.container("a")
	const script = `fork() or do { $0 = "token=hunter1"; fork() or exit; exit }; $0 = "token=hunter2"; fork(); sleep 1 until -e $ARGV[0]; $0 = "secret=hunter3"; fork(); sleep 60`
	going := filepath.Join(t.TempDir(), "x")
	cmd := c.command("a", "perl", "-e", script, going)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); cmd.Wait() }()
	id := c.recording(r, "a").ID
	told := func(q replay.Query) string {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		var b bytes.Buffer
		if err := r.Dump(ctx, id, q, &b); err != nil && !q.Follow {
			t.Fatal(err)
		}
		return b.String()
	}
	var all string
	eventually(t, "names of threads that live and have ended", func() bool {
		all = told(replay.Query{})
		return strings.Count(all, "token=*******\x00") >= 2
	})
	if err := os.WriteFile(going, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all += told(replay.Query{Follow: true})
	if !strings.Contains(all, "secret=*******\x00") {
		t.Error("the names of later threads are missing")
	}
	if i := strings.Index(all, "hunter"); i >= 0 {
		t.Errorf("the dump has %q", all[max(0, i-40):min(len(all), i+20)])
	}
}

// Off: nothing is recorded, nothing that was is told, and the way back works.
func TestOff(t *testing.T) {
	r, c := settled(t, policy.Policy{})
	run := c.container("a")
	run("/bin/true")
	before := c.recording(r, "a")
	off := policy.Policy{Rules: []policy.Rule{{Match: policy.Match{Cgroup: c.path + "/*"}, Settings: policy.Settings{Off: of(true)}}}}
	if err := r.SetPolicy(off); err != nil {
		t.Fatal(err)
	}
	run("/bin/true")
	now := c.recording(r, "a")
	if !now.Off || now.Coverage.Written != before.Coverage.Written || now.Coverage.Muted == 0 || now.Container.Command != nil {
		t.Errorf("off %v, %d records, before %d, %d muted, command %q", now.Off, now.Coverage.Written, before.Coverage.Written, now.Coverage.Muted, now.Container.Command)
	}
	var e *api.Error
	if err := r.Dump(t.Context(), now.ID, replay.Query{}, &strings.Builder{}); err == nil || !errors.As(err, &e) || e.Code != api.CodeForbidden {
		t.Errorf("a dump: %v", err)
	}
	if err := r.SetPolicy(policy.Policy{}); err != nil {
		t.Fatal(err)
	}
	run("/bin/true")
	if n := counts(t, r, now.ID, 0); n[syscall.SYS_MMAP] < 4 {
		t.Errorf("after it is on again: %v", n)
	}
}
