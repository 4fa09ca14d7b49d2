package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/api/server"
	"github.com/recorderd/recorderd/api/server/servertest"
)

// TestOfferedNames catches a name that a container chose and that the operator's shell would run:
// bash puts the common beginning of several candidates on the command line as it is.
func TestOfferedNames(t *testing.T) {
	good := []string{"/etc/app.conf", "pod/web-0", "/usr/lib/libstdc++.so.6", "/run/a@b:1,2=3%", "/srv/Straße/名前", "3fa40001", "a_b"}
	bad := []string{
		"", "/x`touch /tmp/y`1", "/x`id`", "/x$(id)", "/x$HOME", "/x;id", "/x|id", "/x&id", "/x<y", "/x>y", "/a b", "/a\tb", "/a\u00a0b",
		"/a'b", `/a"b`, `/a\b`, "/a*", "/a?", "/a[b]", "/a{b}", "/a(b)", "/a#b", "/a!b", "/a^b", "~", "~root", "/a~", "/a\nb", "/a\n", "/a\x1b[31m",
		"/a\x7f", "/a\xff", "/a\u202eb", "-rf", "--socket=x", "=ls",
	}
	for _, name := range good {
		if !offered(name) {
			t.Errorf("%q is not offered", name)
		}
	}
	for _, name := range bad {
		if offered(name) {
			t.Errorf("%q is offered", name)
		}
	}
	p := &paths{}
	for _, name := range slices.Concat(bad, good) {
		line, err := json.Marshal(map[string]any{"args": []any{map[string]any{"type": "path", "value": name}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(append(line, '\n')); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(p.names, good) {
		t.Errorf("paths: %q, want %q", p.names, good)
	}
}

// TestOfferedTargets catches the same of a container's own name.
func TestOfferedTargets(t *testing.T) {
	b := servertest.New()
	rec := b.Recordings()[3]
	rec.ID, rec.Container.Name = "eeee0005", "x`touch y`1"
	b.Add(rec)
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := server.Listen(socket, "")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	srv := server.HTTP(server.New(b, server.Options{Version: "v1", Log: log}), log)
	defer srv.Close()
	go srv.Serve(ln)
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"recorderctl", "__complete", "--socket", socket, "dump", ""}, nil, &stdout, &stderr); status != statusOK {
		t.Fatalf("status %d, %s", status, stderr.String())
	}
	var words []string
	for line := range strings.Lines(stdout.String()) {
		word, _, _ := strings.Cut(line, "\t")
		words = append(words, word)
	}
	if !slices.Contains(words, rec.ID) || !slices.Contains(words, "worker") || slices.Contains(words, rec.Container.Name) {
		t.Errorf("offered: %q", words)
	}
}
