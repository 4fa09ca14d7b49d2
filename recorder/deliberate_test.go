package recorder

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/testcontainerd"
	"github.com/recorderd/recorderd/recorder/kubernetes"
	"github.com/recorderd/recorderd/recorder/spool"
)

// TestDeliberateEnds catches ends that somebody asked for and that are taken for crashes, and
// crashes that are taken for such. runc runs the containers and signals them, as for a
// kubelet; only the pods' state is made up.
func TestDeliberateEnds(t *testing.T) {
	limits := spool.DefaultLimits()
	limits.MinFree = 0
	r, srv := withContainerd(t, Config{StateDir: t.TempDir(), SpoolOn: SpoolKinds, Spool: limits})
	const loop = "; while :; do sleep 0.02; done"
	const stubborn, polite = "trap : TERM" + loop, "trap 'exit 143' TERM" + loop
	term, kill := syscall.SIGTERM, syscall.SIGKILL
	tests := []struct {
		name       string
		script     string
		signals    []syscall.Signal
		going      string
		deliberate bool
		text       string // of the dump, if there is one
	}{
		{"deleted", polite, []syscall.Signal{term}, api.GoingDeleted, true, ""},
		{"drained and stubborn", stubborn, []syscall.Signal{term, kill}, api.GoingDrained, true, ""},
		{"shut down without a word", "trap '' TERM" + loop, []syscall.Signal{term, kill}, api.GoingShutdown, true, ""},
		{"evicted", stubborn, []syscall.Signal{term, kill}, api.GoingEvicted, false,
			"killed by SIGKILL from outside, while its pod was being evicted (the node was low on memory); it did not end on SIGTERM within "},
		{"a failed probe", stubborn, []syscall.Signal{term, kill}, "", false,
			"killed by SIGKILL from outside, while its pod stayed, as after a failed probe; it did not end on SIGTERM within "},
		// Process 1 of a pid namespace: the kernel throws the signal away.
		{"a failed probe, and no handler", ":" + loop, []syscall.Signal{term, kill}, "", false,
			"killed by SIGKILL from outside, while its pod stayed, as after a failed probe; it did not end on SIGTERM within "},
		{"a failed probe, and polite", polite, []syscall.Signal{term}, "", false, "exited with 143, "},
		{"deleted, and it failed to end well", "trap 'exit 7' TERM" + loop, []syscall.Signal{term}, api.GoingDeleted, false,
			"exited with 7, while its pod was being deleted"},
		{"deleted, and a child crashed", "trap 'sh -c \"kill -SEGV \\$\\$\"; exit $?' TERM" + loop, []syscall.Signal{term}, api.GoingDeleted, false,
			"exited with 139, while its pod was being deleted"},
	}
	ids := make([]string, len(tests))
	for i, tc := range tests {
		c := srv.Run(t, testcontainerd.Options{Args: []string{"/bin/sh", "-c", tc.script}})
		rec := only(t, r, c.ID, func(rec api.Recording) bool { return rec.Tasks.Execs > 1 })
		ids[i] = rec.ID
		info := kubernetes.Info{Namespace: "shop", Pod: fmt.Sprint("pod-", i), UID: fmt.Sprint(i), Container: "app", Restarts: -1}
		if tc.going != "" {
			info.Going = &kubernetes.Going{Why: tc.going, Seen: time.Now()}
			if tc.going == api.GoingEvicted {
				info.Going.Message = "the node was low on memory"
			}
		}
		r.mu.Lock()
		r.recs[rec.ID].pod.learn(info)
		r.mu.Unlock()
		for j, sig := range tc.signals {
			if j > 0 {
				time.Sleep(200 * time.Millisecond) // the time that it is given
			}
			c.Signal(t, sig)
		}
	}
	for i, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var rec *recording
			eventually(t, "it was dealt with", func() bool {
				r.mu.Lock()
				defer r.mu.Unlock()
				rec = r.recs[ids[i]]
				return rec != nil && rec.kept != nil && rec.kept.done
			})
			r.mu.Lock()
			d := r.describeLocked(rec)
			r.mu.Unlock()
			want := ""
			if tc.deliberate {
				want = tc.going
			}
			if d.Exit == nil || d.Exit.Deliberate != want || (d.Spool != nil) == tc.deliberate {
				t.Fatalf("it ended with %+v, on disk: %+v", d.Exit, d.Spool)
			}
			if tc.deliberate {
				if len(tc.signals) == 2 && tc.script == stubborn {
					says := endedHow(&d)
					if !strings.Contains(says, "; it did not end on SIGTERM within ") || d.Exit.TermAt == nil {
						t.Errorf("it says %q, SIGTERM at %v", says, d.Exit.TermAt)
					}
				}
				return
			}
			if !strings.Contains(d.Spool.Text, tc.text) {
				t.Errorf("the dump's reason is %q", d.Spool.Text)
			}
			e, err := r.store.get().Get(d.ID)
			if err != nil || !e.Meta.Lesser {
				t.Errorf("it is not below other crashes: %v", err)
			}
		})
	}
}

// TestDeliberate catches an end that is taken for one that somebody asked for, though its
// pod went later, or the end was a fault.
func TestDeliberate(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	deleted := func(seen time.Duration) *api.Going { return &api.Going{Why: api.GoingDeleted, Seen: at.Add(seen)} }
	for _, tc := range []struct {
		name  string
		exit  api.Exit
		going *api.Going
		want  string
	}{
		{"0", api.Exit{}, deleted(-time.Second), api.GoingDeleted},
		{"143", api.Exit{Code: 143}, deleted(-time.Second), api.GoingDeleted},
		{"a little before it is known", api.Exit{Code: 143}, deleted(time.Second), api.GoingDeleted},
		{"long before", api.Exit{Code: 143}, deleted(time.Minute), ""},
		{"the pod stays", api.Exit{Code: 143}, nil, ""},
		{"another status", api.Exit{Code: 1}, deleted(0), ""},
		{"137 handed on", api.Exit{Code: 137}, deleted(0), ""},
		{"killed by the runtime", api.Exit{Signal: "SIGKILL", Outside: true}, deleted(0), api.GoingDeleted},
		{"killed by one of its own", api.Exit{Signal: "SIGKILL"}, deleted(0), ""},
		{"terminated by one of its own", api.Exit{Signal: "SIGTERM"}, deleted(0), ""},
		{"terminated by the runtime", api.Exit{Signal: "SIGTERM", Outside: true}, deleted(0), api.GoingDeleted},
		{"for want of memory", api.Exit{Signal: "SIGKILL", OOMKilled: true}, deleted(0), ""},
		{"a fault", api.Exit{Signal: "SIGSEGV"}, deleted(0), ""},
		{"an abort", api.Exit{Signal: "SIGABRT", Outside: true}, deleted(0), ""},
		{"evicted for what it used", api.Exit{Signal: "SIGKILL", Outside: true}, &api.Going{Why: api.GoingEvicted, Seen: at}, ""},
		{"why is not known here", api.Exit{Code: 143}, &api.Going{Why: "raptured", Seen: at}, ""},
	} {
		tc.exit.At = at
		if got := judge(&tc.exit, tc.going).Deliberate; got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	if judge(nil, deleted(0)) != nil {
		t.Error("an end out of nothing")
	}
}
