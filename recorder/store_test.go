package recorder

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/spool"
)

// TestWhoDoesNotWaitIsNoFailure catches a disk that is told to fail, in status and
// metrics until the next crash, because somebody broke off a save.
func TestWhoDoesNotWaitIsNoFailure(t *testing.T) {
	r := &Recorder{recs: map[string]*recording{}}
	r.store.init(&Config{StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Spool: spool.DefaultLimits()})
	defer r.store.close()
	rec := &recording{id: "366ed0c84781", kept: &kept{desc: api.Recording{ID: "366ed0c84781"}}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sp := r.store.get()
	_, err := sp.Save(ctx, *r.meta(&rec.kept.desc, spool.Reason{Kind: spool.KindSaved}, nil), func(w io.Writer) error { return writeDump(w, &dump.Header{}, &snapshot{}) })
	if err == nil {
		t.Fatal("saved, though nobody waits")
	}
	r.store.outcome(err)
	if got := r.store.status().Error; got != "" {
		t.Errorf("the spool fails with %q", got)
	}
	r.store.outcome(errors.New("no space left"))
	if got := r.store.status().Error; got != "no space left" {
		t.Errorf("the spool fails with %q", got)
	}
}

// TestOffOnDisk catches command lines that are told of a container of which a rule says
// that nothing is, because they were saved before.
func TestOffOnDisk(t *testing.T) {
	yes := true
	r := &Recorder{recs: map[string]*recording{}, policy: policy.Policy{Rules: []policy.Rule{{Match: policy.Match{Namespace: "vault"}, Settings: policy.Settings{Off: &yes}}}}}
	r.store.init(&Config{StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Spool: spool.DefaultLimits()})
	defer r.store.close()
	for id, namespace := range map[string]string{"366ed0c84781": "vault", "566ed0c84782": "shop"} {
		d := api.Recording{ID: id, Pod: &api.Pod{Namespace: namespace}, Container: api.Container{Command: []string{"vault", "-key=1"}}}
		if _, err := r.store.get().Save(t.Context(), *r.meta(&d, spool.Reason{Kind: spool.KindExit}, nil), func(w io.Writer) error { return writeDump(w, &dump.Header{}, &snapshot{}) }); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range r.spooledLocked() {
		if off := d.Pod.Namespace == "vault"; d.Off != off || (d.Container.Command == nil) != off {
			t.Errorf("%s: off %v, command %q", d.Pod.Namespace, d.Off, d.Container.Command)
		}
	}
	for id, off := range map[string]bool{"366ed0c84781": true, "566ed0c84782": false} { // they are on disk already
		if d, err := r.Save(t.Context(), id); err != nil || d.ID != id || d.State != api.StateSpooled || d.Spool == nil || d.Off != off || (d.Container.Command == nil) != off {
			t.Errorf("save: %v, off %v, command %q, %v", d.ID, d.Off, d.Container.Command, err)
		}
	}
	if n := len(r.spooledLocked()); n != 2 {
		t.Errorf("%d are listed", n)
	}
}
