package recorder

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/kubernetes"
	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/spool"
)

// TestCompletedEnds catches a container that is to run for ever, ends with 0 again and again, and
// of which nothing is saved; and jobs that are saved though they only did what they were to.
func TestCompletedEnds(t *testing.T) {
	root := testRoot(t)
	yes, no := true, false
	limits := spool.DefaultLimits()
	limits.MinFree = 0
	r := testRecorder(t, Config{
		Watch: []string{"/" + filepath.Base(root)}, OnlyWatched: true, Hierarchy: "v2", StateDir: t.TempDir(), SpoolOn: SpoolKinds, Spool: limits,
		Policy: policy.Policy{Rules: []policy.Rule{
			{Match: policy.Match{Cgroup: "/*/wanted"}, Settings: policy.Settings{SaveCompleted: &yes}},
			{Match: policy.Match{Cgroup: "/*/never"}, Settings: policy.Settings{SaveCompleted: &no}},
		}},
	})
	tests := []struct {
		name, script  string
		always, saved bool
		verdict       string
	}{
		{"shell", "sleep 0.5; exec cat", true, true, ", as its standard input had ended; Kubernetes starts it again, however it ends (restartPolicy Always)"},
		{"server", "sleep 0.5; exit 0", true, true, "; Kubernetes starts it again, however it ends (restartPolicy Always)"},
		{"job", "sleep 0.5; exit 0", false, false, ""},
		{"wanted", "sleep 0.5; exit 0", false, true, ""},
		{"never", "sleep 0.5; exit 0", true, false, "; Kubernetes starts it again, however it ends (restartPolicy Always)"},
	}
	ids := make([]string, len(tests))
	for i, tc := range tests {
		cmd := exec.Command("/bin/sh", "-c", tc.script)
		startIn(t, filepath.Join(root, tc.name), cmd)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		live := recordingOf(t, r, tc.name, "its recording", func(rec *api.Recording) bool { return rec.State == api.StateLive })
		r.mu.Lock()
		rec := r.recs[live.ID]
		rec.pod.learn(kubernetes.Info{Namespace: "shop", Pod: tc.name, UID: tc.name, Container: "app", RestartAlways: tc.always, Restarts: -1})
		r.applyLocked(rec)
		r.mu.Unlock()
		ids[i] = live.ID
		defer cmd.Wait() //nolint:errcheck // it ends with 0
	}
	for i, tc := range tests {
		got := recordingOf(t, r, tc.name, "its end", func(rec *api.Recording) bool {
			if rec.Verdict == nil || rec.State == api.StateLive {
				return false
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.recs[ids[i]].kept != nil && r.recs[ids[i]].kept.done
		})
		if (got.Spool != nil) != tc.saved || got.Spool != nil && got.Spool.Reason != "completed" {
			t.Errorf("%s: on disk is %+v", tc.name, got.Spool)
		}
		if v := got.Verdict; !strings.HasPrefix(v.Text, "exited with 0 by itself") || tc.verdict != "" && !strings.HasSuffix(v.Text, tc.verdict) {
			t.Errorf("%s: verdict %+v", tc.name, v)
		}
		if loops := got.Verdict.Fingerprint != ""; loops != tc.always {
			t.Errorf("%s: fingerprint %q", tc.name, got.Verdict.Fingerprint)
		}
	}
}
