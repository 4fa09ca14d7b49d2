package recorder

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
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
	_, err := sp.Save(ctx, *r.meta(&rec.kept.desc, spool.Reason{Kind: spool.KindSaved}), func(w io.Writer) error { return writeDump(w, &dump.Header{}, &snapshot{}) })
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
