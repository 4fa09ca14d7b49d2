package recorder

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/privacy"
	"github.com/recorderd/recorderd/recorder/replay"
)

// TestSecrets has a program pass each secret of the table to the kernel, and looks for it in
// all that a dump holds.
func TestSecrets(t *testing.T) {
	yes := true
	a := newAside(t, "secrets.c", Config{RingSize: 1 << 20})
	for _, tc := range []struct {
		name  string
		base  policy.Settings
		there func(s privacy.Secret) bool
	}{
		{"by default", policy.Settings{}, func(s privacy.Secret) bool { return s.Pattern != "" }},
		{"blanked", policy.Settings{Blank: []string{"passwords"}}, func(privacy.Secret) bool { return false }},
		{"with files", policy.Settings{CaptureStdioFiles: &yes}, func(s privacy.Secret) bool {
			return s.Pattern != "" || s.Contents && s.Case != "file"
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := a.SetPolicy(policy.Policy{Base: tc.base}); err != nil {
				t.Fatal(err)
			}
			rec, _ := a.run(t, t.TempDir())
			shown := text(t, a.Recorder, rec.ID, replay.Query{})
			var held []byte
			for _, records := range dumpOf(t, a.Recorder, rec.ID).records {
				for i := range records {
					for _, it := range records[i].Items {
						held = append(append(held, it.Data...), 0)
					}
				}
			}
			for _, s := range privacy.Secrets {
				if !regexp.MustCompile(`chdir\("/case-` + s.Case + `"\) = .*\n(.*\n)*?.*\] +` + s.Call + `\(`).MatchString(shown) {
					t.Errorf("%s: %s was not called", s.Case, s.Call)
				}
				if got, want := regexp.MustCompile(`hunter2-`+s.Case+`\b[^-]`).Match(append(bytes.Clone(held), 0)), tc.there(s); got != want {
					t.Errorf("%s (%s): it is there: %v, want %v", s.Case, s.What, got, want)
				}
			}
		})
	}
}
