package postmortem

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
)

// madeOf builds the report on a recording whose description is changed first.
func madeOf(t *testing.T, name string, change func(*api.Recording)) *Report {
	t.Helper()
	in := recording(t, name)
	r, err := dump.NewReader(bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&r.Header().Recording)
	}
	report, err := Build(r, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestMadeVerdicts catches a cause that no label of the metric has, a verdict whose parts are not what
// the report says, and an end of another kind than what really happened.
func TestMadeVerdicts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.rec.gz")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".rec.gz")
		r := madeOf(t, name, nil)
		v := r.Recording.Verdict
		t.Logf("%-12s %-18s %12s %s", name, v.Cause, v.Fingerprint, v.Text)
		if !IsCause(v.Cause) || v.How != string(r.Outcome) || v.Rules != RulesVersion {
			t.Errorf("%s: %+v", name, v)
		}
		if r.Verdict != v.Sentence() || v.Words != "" && strings.Contains(v.Text, v.Words) && len(v.Words) > 20 {
			t.Errorf("%s: %q and %+v", name, r.Verdict, v)
		}
		if (v.Fingerprint == "") != (peaceful[v.Cause] || r.Outcome == Running) {
			t.Errorf("%s: cause %s has the fingerprint %q", name, v.Cause, v.Fingerprint)
		}
		if want := causesOf[name]; want != "" && v.Cause != want {
			t.Errorf("%s: cause %s, want %s: %s", name, v.Cause, want, v.Text)
		}
	}
}

var causesOf = map[string]string{
	"abort": "aborted", "caught": "fault", "closed": "failed-call", "cpulimit": "signal", "deadlock": "deadlock", "denied": "denied",
	"dns": "dns", "entry": "exec-failed", "full": "no-space", "garbage": "not-started", "idle": "running", "library": "missing-file",
	"mapped": "mapped-file", "migrate": "missing-file", "noisy": "words", "ok": "completed", "oom": "oom", "pidfdself": "own-signal",
	"refused": "refused", "segv": "null-pointer", "stubborn": "grace-period", "value": "words",
}

// TestCausesAreDocumented holds docs/show.md against the causes, from which -update writes it.
func TestCausesAreDocumented(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Causes() {
		if seen[c] || c == "" || strings.Trim(c, "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("cause %q is there twice, or no label", c)
		}
		seen[c] = true
	}
	between(t, "../../docs/show.md", "<!-- causes -->\n", "<!-- /causes -->", causeTable())
}

// TestKeptVerdict catches a dump of which another verdict is shown than the one that was made
// where the recording is, and an old one that is kept although the rules are newer.
func TestKeptVerdict(t *testing.T) {
	kept := &api.Verdict{
		Text: "killed \x1b[2J" + strings.Repeat("x", 9000), How: "killed", Cause: "signal", Rules: RulesVersion,
	}
	r := madeOf(t, "segv", func(rec *api.Recording) { rec.Verdict = kept })
	if !strings.HasPrefix(r.Verdict, `killed ?[2Jxx`) || len(r.Verdict) > maxVerdict+9 {
		t.Errorf("verdict of %d bytes: %.60q", len(r.Verdict), r.Verdict)
	}
	kept.Rules--
	if r := madeOf(t, "segv", func(rec *api.Recording) { rec.Verdict = kept }); !strings.HasPrefix(r.Verdict, "killed by SIGSEGV") {
		t.Errorf("an old verdict is kept: %.60q", r.Verdict)
	}
}

// TestKubernetesWord catches what Kubernetes says of an end that is missing in its verdict.
func TestKubernetesWord(t *testing.T) {
	r := madeOf(t, "stubborn", func(rec *api.Recording) { rec.Exit.Deliberate = api.GoingDeleted })
	if v := r.Recording.Verdict; !strings.HasSuffix(v.Text, ", deliberately: its pod was being deleted") ||
		v.Cause != causeDeliberate || v.Fingerprint != "" {
		t.Errorf("%+v", v)
	}
	r = madeOf(t, "stubborn", func(rec *api.Recording) {
		rec.Pod = &api.Pod{Going: &api.Going{Why: api.GoingEvicted, Message: "node was low on memory\x1b"}}
	})
	if v := r.Recording.Verdict; !strings.HasSuffix(v.Text, `; its pod was being evicted (node was low on memory?)`) {
		t.Errorf("%+v", v)
	}
}

// TestGeneral catches two crashes of one cause that have two fingerprints, and two causes that
// have one.
func TestGeneral(t *testing.T) {
	c := &facts{b: &builder{h: &dump.Header{Recording: api.Recording{Pod: &api.Pod{Name: "web-abcde"}}}}}
	for in, want := range map[string]string{
		"/data/cache-17/3.tmp":                               "/data/cache-#/#.tmp",
		"/var/lib/web-abcde/x":                               "/var/lib/#/x",
		"/srv/12fdc709-933e-41d0-917f-cd84de9afa94/state":    "/srv/#/state",
		"/blobs/e3b0c44298fc1c149afbf4c8996fb92427ae41e4/xz": "/blobs/#/xz",
		"/etc/app.conf":                                      "/etc/app.conf",
		"10.66.0.3:5432":                                     "#:5432",
		"[fd00::7]:53":                                       "#:53",
		"worker-3":                                           "worker-#",
	} {
		if got := c.general(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestRunsForEver catches a container that Kubernetes starts again and again, and of whose ends
// with status 0 nothing is said.
func TestRunsForEver(t *testing.T) {
	r := madeOf(t, "ok", func(rec *api.Recording) { rec.Container.RestartAlways = true })
	v := r.Recording.Verdict
	if !strings.HasSuffix(v.Text, "; Kubernetes starts it again, however it ends (restartPolicy Always)") || v.Fingerprint == "" {
		t.Errorf("%+v", v)
	}
	r = madeOf(t, "ok", func(rec *api.Recording) {
		rec.Container.RestartAlways, rec.Exit.Deliberate = true, api.GoingDrained
	})
	if v := r.Recording.Verdict; v.Fingerprint != "" || strings.Contains(v.Text, "again") {
		t.Errorf("%+v", v)
	}
}
