package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/postmortem"
	"github.com/recorderd/recorderd/recorder/spool"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// lines is a log that several goroutines write to, as JSON.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// with returns the first line with this message about a recording.
func (l *lines) with(t *testing.T, msg, id string) map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.buf.Bytes()) {
		var o map[string]any
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatal(err)
		}
		if o["msg"] == msg && o["id"] == id {
			return o
		}
	}
	return nil
}

// crashIn runs a shell in a cgroup of its own to its end.
func crashIn(t *testing.T, root, name, script string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer) // pipes: what goes to /dev/null is nobody's word
	startIn(t, filepath.Join(root, name), cmd)
	cmd.Run() //nolint:errcheck // it ends as it is to
}

// TestOneVerdictEverywhere catches two places that say two things of one end.
func TestOneVerdictEverywhere(t *testing.T) {
	root := testRoot(t)
	log := &lines{}
	state := t.TempDir()
	r := testRecorder(t, Config{
		Watch: []string{"/" + filepath.Base(root)}, OnlyWatched: true, Hierarchy: "v2", StateDir: state,
		SpoolOn: SpoolKinds, Spool: spool.DefaultLimits(), Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	crashIn(t, root, "crash", "printf 'fatal: no \\033[31mcolours\\n' >&2; exit 3")
	rec := recordingOf(t, r, "crash", "its verdict", func(rec *api.Recording) bool {
		return rec.State != api.StateLive && rec.Verdict != nil && rec.Spool != nil
	})
	v := rec.Verdict
	if !strings.HasPrefix(v.Text, "exited with 3") || v.How != "exited" || !postmortem.IsCause(v.Cause) || v.Fingerprint == "" || v.Rules != postmortem.RulesVersion {
		t.Errorf("verdict %+v", v)
	}
	places := map[string]*api.Verdict{}

	d := dumpOf(t, r, rec.ID)
	places["the header of its dump"] = d.header.Recording.Verdict

	report, err := r.Report(t.Context(), rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	places["its report"] = report.Recording.Verdict
	if report.Verdict != v.Sentence() {
		t.Errorf("the report says %q, want %q", report.Verdict, v.Sentence())
	}
	if text, _ := verdict(t, r, rec.ID); text != v.Sentence() {
		t.Errorf("show says %q, want %q", text, v.Sentence())
	}

	sp := r.store.get()
	eventually(t, "the verdict beside the dump", func() bool {
		e, err := sp.Get(rec.ID)
		return err == nil && e.Judged != nil
	})
	e, err := sp.Get(rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	spooled := e.Describe()
	places["its spooled dump"] = spooled.Verdict
	f, err := os.Open(filepath.Join(state, "spool", spool.JudgedName(e.Name)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	since, err := spool.ReadJudged(f)
	if err != nil {
		t.Fatal(err)
	}
	places["the file beside it"] = since.Verdict
	for place, got := range places {
		if diff := cmp.Diff(v, got); diff != "" {
			t.Errorf("%s: %s", place, diff)
		}
	}

	said := log.with(t, "container ended", rec.ID)
	if said == nil || said["verdict"] != v.Text || said["words"] != v.Words || said["cause"] != v.Cause || said["fingerprint"] != v.Fingerprint {
		t.Errorf("the log has %v", said)
	}
	st, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := (api.EndCount{How: v.How, Cause: v.Cause, Count: 1}); !slices.Contains(st.Ends, want) {
		t.Errorf("status counts %+v, want %+v", st.Ends, want)
	}
	rec.Pod = &api.Pod{Namespace: "shop", Name: "web-0"}
	if note := savedNote(&rec, true); !strings.HasPrefix(note, v.Text+"; saved ") || v.Words != "" && strings.Contains(note, v.Words) {
		t.Errorf("the event says %q", note)
	}

	// Its container is still listed when its memory is gone, by the file alone.
	if _, err := r.dropEnded(rec.ID); err != nil {
		t.Fatal(err)
	}
	alone := recordingOf(t, r, "crash", "the dump on disk", func(rec *api.Recording) bool { return rec.State == api.StateSpooled })
	if diff := cmp.Diff(v, alone.Verdict); diff != "" {
		t.Errorf("of the dump on disk: %s", diff)
	}
	if report, err = r.Report(t.Context(), rec.ID); err != nil || report.Verdict != v.Sentence() {
		t.Errorf("the report on the dump on disk says %q (%v), want %q", report.Verdict, err, v.Sentence())
	}
}

// TestVerdictIsMadeAgain catches a verdict that is not made again when Kubernetes says why, when
// the rules are newer, and one of a dump on disk that has none.
func TestVerdictIsMadeAgain(t *testing.T) {
	root := testRoot(t)
	r := testRecorder(t, Config{Watch: []string{"/" + filepath.Base(root)}, OnlyWatched: true, Hierarchy: "v2", StateDir: t.TempDir(), SpoolOn: SpoolKinds, Spool: spool.DefaultLimits()})
	crashIn(t, root, "ends", "exit 4")
	made := func(rec *api.Recording) bool {
		return rec.State != api.StateLive && rec.Verdict != nil && rec.Spool != nil
	}
	rec := recordingOf(t, r, "ends", "its verdict", made)
	r.mu.Lock()
	mine := r.recs[rec.ID]
	was := *mine.judged.verdict
	// As if an earlier version had made it, long ago.
	old := was
	old.Text, old.Rules = "it is not known", was.Rules-1
	mine.judged.verdict, mine.judged.since = &old, time.Now().Add(-time.Hour)
	r.mu.Unlock()
	wake(r.judge.kick)
	recordingOf(t, r, "ends", "the verdict of newer rules", func(rec *api.Recording) bool {
		return rec.Verdict != nil && rec.Verdict.Text == was.Text
	})

	// What is learnt a minute after the end changes nothing any more; before, it does.
	again := func(since time.Time) string {
		r.mu.Lock()
		mine.judged.since = since
		mine.kept.desc.Exit = &api.Exit{Code: 4, Source: "kernel", Message: "disk " + since.Format("05.000"), Reason: "Error"}
		of := inputsOf(&mine.kept.desc)
		r.mu.Unlock()
		return of
	}
	again(time.Now().Add(-time.Hour))
	if next, _, _ := r.nextToJudge(time.Now()); next != nil {
		t.Error("a verdict is made again an hour later")
	}
	again(time.Now())
	wake(r.judge.kick)
	recordingOf(t, r, "ends", "the verdict with what Kubernetes says", func(rec *api.Recording) bool {
		return rec.Verdict != nil && strings.HasPrefix(rec.Verdict.Words, "disk ")
	})

	// A dump on disk without a verdict gets one.
	sp := r.store.get()
	e, err := sp.Get(rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.dropEnded(rec.ID); err != nil {
		t.Fatal(err)
	}
	e.Judged = nil
	if !r.outdated(&e) {
		t.Error("a dump without a verdict needs none")
	}
	if _, err := r.judgeSpooled(t.Context(), sp, &e); err != nil {
		t.Fatal(err)
	}
	if e, err = sp.Get(rec.ID); err != nil || e.Judged == nil || !strings.HasPrefix(e.Judged.Verdict.Text, "exited with 4") {
		t.Errorf("of the dump on disk: %+v, %v", e.Judged, err)
	}
	if r.outdated(&e) {
		t.Error("it is made again and again")
	}
}

// TestVerdictIsBlanked catches a secret that a dump does not have and its verdict does, and a
// verdict on a container of which nothing is to be told.
func TestVerdictIsBlanked(t *testing.T) {
	root := testRoot(t)
	log := &lines{}
	yes := true
	r := testRecorder(t, Config{
		Watch: []string{"/" + filepath.Base(root)}, OnlyWatched: true, Hierarchy: "v2", StateDir: t.TempDir(), SpoolOn: SpoolKinds, Spool: spool.DefaultLimits(),
		Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Policy: policy.Policy{Base: policy.Settings{Blank: []string{"passwords"}}, Rules: []policy.Rule{
			{Match: policy.Match{Cgroup: "/*/silent"}, Settings: policy.Settings{Off: &yes}},
		}},
	})
	crashIn(t, root, "secret", "echo 'fatal: password=hunter2 is wrong' >&2; cat /srv/password=hunter2; exit 1")
	crashIn(t, root, "silent", "exit 5")
	rec := recordingOf(t, r, "secret", "its verdict", func(rec *api.Recording) bool {
		return rec.State != api.StateLive && rec.Verdict != nil && rec.Spool != nil
	})
	if !strings.Contains(rec.Verdict.Sentence(), "password=***") {
		t.Errorf("verdict %+v", rec.Verdict)
	}
	if off := recordingOf(t, r, "silent", "its end", func(rec *api.Recording) bool { return rec.State == api.StateEnded }); off.Verdict != nil {
		t.Errorf("of a container that is off it says %+v", off.Verdict)
	}
	eventually(t, "it is told", func() bool { return log.with(t, "container ended", rec.ID) != nil })
	report, err := r.Report(t.Context(), rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	for place, v := range map[string]any{"list": rec, "report": report, "log": log.buf.String()} {
		if b, err := json.Marshal(v); err != nil || bytes.Contains(b, []byte("hunter2")) {
			t.Errorf("%s has the secret (%v): %s", place, err, b)
		}
	}
}

// TestJudgeSurvivesItsInput catches a dump, or a fault in reading one, that ends the daemon or
// keeps it busy for ever.
func TestJudgeSurvivesItsInput(t *testing.T) {
	if _, err := report(t.Context(), panicking{}, nil); err == nil || !strings.Contains(err.Error(), "build report: no way") {
		t.Errorf("a panic: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := report(ctx, strings.NewReader("x"), nil); err == nil {
		t.Error("it goes on when the daemon ends")
	}
	d := api.Recording{Exit: &api.Exit{Signal: "SIGKILL"}}
	if v := unjudged(&d); v.How != "killed" || !postmortem.IsCause(v.Cause) || !strings.HasPrefix(v.Text, "its first process was killed by SIGKILL") {
		t.Errorf("%+v", v)
	}
	var j verdicts
	j.init()
	j.count("nonsense\x00", "made up")
	for end := range j.ends {
		if end.How != "ended" || end.Cause != postmortem.CauseUnjudged {
			t.Errorf("it is counted as %+v", end)
		}
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("no way") }

// TestHangs catches an idle server that is said to hang, and a container that waits for a disk and
// is not.
func TestHangs(t *testing.T) {
	r := &Recorder{native: nativeArch()}
	now := monotonic()
	long, longer, soon := now-uint64(90*time.Second), now-uint64(3*time.Minute), now-uint64(time.Second)
	task := func(slot uint32, call string, enter uint64) layout.TaskDump {
		d := layout.TaskDump{Slot: slot, Enter: enter}
		if call != "" {
			d.InCall, d.Nr = 1, syscalls.ByName(nativeArch(), call).Nr
		}
		return d
	}
	r.noteHangs([]layout.TaskDump{
		task(1, "openat", long), task(1, "futex", long),
		task(2, "epoll_pwait", long), task(2, "futex", long), // idle
		task(3, "fsync", long), task(3, "read", soon), // another thread works
		task(4, "flock", soon),                      // not for long
		task(5, "connect", long), task(5, "", long), // computes
		task(6, "futex", longer), task(6, "futex", longer-uint64(time.Second)), // a deadlock
		task(7, "futex", longer), task(7, "epoll_pwait", longer), // an idle server with workers
		task(8, "futex", longer), task(8, "futex", soon), // an idle runtime, whose monitor wakes every minute
		task(9, "futex", long), // not for long enough
		task(10, "futex", longer),
	})
	if len(r.hangs) != 3 || r.hangs[6].text != "hanging: all 2 threads have been in futex for 3m0s or longer: none is left to wake another" ||
		r.hangs[10].text != "hanging: in futex for 3m0s: none is left to wake another" ||
		r.hangs[1].text != "hanging: in openat for 1m30s; all 2 threads have been in calls for 1m0s or longer" {
		t.Errorf("%v", r.hangs)
	}
	// Of slot 4 for a second. What waits by design is not blocked.
	if want := map[uint32]uint64{1: 1, 3: 1, 4: 1, 5: 1}; !maps.Equal(r.blocked, want) {
		t.Errorf("blocked are %v, want %v", r.blocked, want)
	}
	rec := &recording{slot: 1}
	if v := r.verdictLocked(rec); v.Cause != postmortem.CauseHanging || v.How != "running" {
		t.Errorf("%+v", v)
	}
	rec.slot = 2
	if v := r.verdictLocked(rec); v.Text != "running" {
		t.Errorf("%+v", v)
	}
}
