package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/server"
	"github.com/recorderd/recorderd/api/server/servertest"
)

// TestWatch catches a change that list --watch does not show, or shows again and again, and a row
// that stands in other columns than those before it.
func TestWatch(t *testing.T) {
	b := servertest.New()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := server.Listen(socket, "")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	srv := server.HTTP(server.New(b, server.Options{Log: log}), log)
	go srv.Serve(ln)
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"recorderctl", "--socket", socket, "list", "--watch"}, nil, in, io.Discard)
		in.Close()
	}()
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	next := func(want string) {
		t.Helper()
		select {
		case line := <-lines:
			if !regexp.MustCompile(want).MatchString(line) {
				t.Errorf("%q, want %s", line, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing has come, want %s", want)
		}
	}
	next(`^ID +STATE +POD/NAME .*VERDICT$`)
	for range 4 {
		next(`^[0-9a-f]{8} +(live|ended) `)
	}
	worker := b.Recordings()[3]
	rec := worker
	rec.ID, rec.State, rec.Ended, rec.Exit = "abc", api.StateLive, nil, nil
	b.Set(rec)
	next(`^abc +live +worker .* - +-$`)
	rec.State, rec.Ended, rec.Exit = api.StateEnded, worker.Ended, worker.Exit
	b.Set(rec)
	next(`^abc +ended +worker .* 3 \(\w+ ago\) +-$`)
	rec.Verdict = &api.Verdict{Text: "exited\x1b with 3 by itself", How: "exited"}
	b.Set(rec)
	next(`^abc +ended +worker .* exited\\x1b with 3 by itself$`)
	rec.Coverage.Written++ // nothing to tell
	b.Set(rec)
	if err := b.Freeze(t.Context(), servertest.Web); err != nil {
		t.Fatal(err)
	}
	next(`^3fa40001 +live,frozen `)
	cancel()
	if status := <-ended; status != statusError {
		t.Errorf("status %d", status)
	}
	for line := range lines {
		t.Errorf("more has come: %q", line)
	}
}

// TestWatchPartial catches recordings that are shown again because their node did not answer once.
func TestWatchPartial(t *testing.T) {
	recs := servertest.New().Recordings()
	seen := changes{}
	if n := len(seen.in(recs, true)); n != 4 {
		t.Errorf("%d of 4 are new", n)
	}
	if n := len(seen.in(recs[:1], false)) + len(seen.in(recs, true)); n != 0 {
		t.Errorf("%d are shown again", n)
	}
	if n := len(seen.in(recs[:1], true)) + len(seen.in(recs[:2], true)); n != 1 {
		t.Errorf("%d are shown, want the one that was gone", n)
	}
}
