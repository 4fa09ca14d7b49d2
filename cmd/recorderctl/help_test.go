package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/recorder/replay"
)

// TestHelp catches a command that the help does not show in a group, one without an example, and
// examples that the program would refuse.
func TestHelp(t *testing.T) {
	root := newApp("recorderctl", io.Discard).root()
	var groups []string
	for _, g := range root.Groups() {
		groups = append(groups, g.ID)
	}
	if len(groups) < 4 {
		t.Errorf("groups: %v", groups)
	}
	shown := 0
	for _, c := range root.Commands() {
		if c.Hidden {
			continue
		}
		shown++
		if !slices.Contains(groups, c.GroupID) {
			t.Errorf("%s is in no group, but %q", c.Name(), c.GroupID)
		}
		if c.Example == "" {
			t.Errorf("%s has no example", c.Name())
		}
		own := 0
		for line := range strings.Lines(c.Example) {
			for _, words := range commandsIn(t, line) {
				found, err := parses(words)
				if err != nil {
					t.Errorf("%s: example %q: %v", c.Name(), line, err)
				} else if found == c.Name() {
					own++
				}
			}
		}
		if own == 0 {
			t.Errorf("%s: no example is of it", c.Name())
		}
	}
	if shown < 16 {
		t.Errorf("only %d commands were looked at", shown)
	}
	for _, bad := range []string{"recorderctl dump web --no-such-flag", "recorderctl nosuch", "recorderctl dump", "recorderctl list -o nosuch", "recorderctl dump web --since yesterday"} {
		if _, err := parses(strings.Fields(bad)); err == nil {
			t.Errorf("%s passes for an example", bad)
		}
	}
}

// parses reports what of recorderctl a command line is for, and whether it would be refused
// before anything is done.
func parses(words []string) (name string, err error) {
	root := newApp("recorderctl", io.Discard).root()
	cmd, rest, err := root.Find(words[1:])
	if err != nil {
		return "", err
	}
	if cmd == root {
		return "", root.ValidateArgs(rest)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return "", err
	}
	if f := cmd.Flags().Lookup("since"); f != nil && f.Value.Type() == "string" && f.Changed { // which is parsed when it is used
		if err := (momentFlag{at: new(replay.Moment)}).Set(f.Value.String()); err != nil {
			return "", err
		}
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil && cmd.Name() != "delete" { // xargs adds them
		return "", err
	}
	if cmd.HasParent() && cmd.Parent() != root {
		cmd = cmd.Parent()
	}
	return cmd.Name(), nil
}

// commandsIn returns the words of each recorderctl of a line for a shell, as far as examples need
// one: blanks, single quotes, comments, and what separates commands.
func commandsIn(t *testing.T, line string) [][]string {
	t.Helper()
	line, _, _ = strings.Cut(strings.TrimRight(line, "\n"), "   #")
	var all [][]string
	var words []string
	var word strings.Builder
	quoted, begun, redirected := false, false, false
	endWord := func() {
		if begun && !redirected {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	endCommand := func() {
		endWord()
		if i := slices.Index(words, "recorderctl"); i >= 0 {
			all = append(all, words[i:])
		}
		words, redirected = nil, false
	}
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, begun = !quoted, true
		case quoted:
			word.WriteRune(r)
		case r == ' ':
			endWord()
		case r == '>' || r == '<': // a file, behind which nothing comes
			endWord()
			redirected = true
		case strings.ContainsRune("|;&()", r):
			endCommand()
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	endCommand()
	if quoted {
		t.Errorf("a quote is open in %q", line)
	}
	return all
}

// TestInstall catches files that make install forgets or that make uninstall leaves, and files of
// others that it takes along.
func TestInstall(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Fatal("make is needed: apt-get install make")
	}
	bin, dest := t.TempDir(), t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", bin+"/", "../recorderd", ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	foreign := filepath.Join(dest, "opt/rec/share/man/man1/recorder.1")
	if err := os.MkdirAll(filepath.Dir(foreign), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(foreign, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(what string) {
		t.Helper()
		// -o: it has been built.
		cmd := exec.Command("make", "-C", "../..", "-o", "build", what, "BIN="+bin, "DESTDIR="+dest, "PREFIX=/opt/rec")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make %s: %v\n%s", what, err, out)
		}
	}
	files := func() (all []string) {
		filepath.WalkDir(dest, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				t.Fatal(err)
			}
			if !d.IsDir() {
				all = append(all, strings.TrimPrefix(path, dest+"/opt/rec/"))
			}
			return nil
		})
		return all
	}
	run("install")
	have := files()
	want := []string{
		"bin/recorderd", "bin/recorderctl", "lib/systemd/system/recorderd.service",
		"share/man/man1/recorderctl.1", "share/man/man8/recorderd.8", "share/man/man8/recorderd-uninstall.8",
		"share/bash-completion/completions/recorderctl", "share/zsh/site-functions/_recorderctl", "share/fish/vendor_completions.d/recorderctl.fish",
		"share/bash-completion/completions/recorderd", "share/zsh/site-functions/_recorderd", "share/fish/vendor_completions.d/recorderd.fish",
	}
	for _, c := range newApp("recorderctl", io.Discard).root().Commands() {
		if !c.Hidden && c.Name() != "help" {
			want = append(want, "share/man/man1/recorderctl-"+c.Name()+".1")
		}
	}
	for _, f := range want {
		if !slices.Contains(have, f) {
			t.Errorf("%s is not installed", f)
		}
	}
	unit, err := os.ReadFile(filepath.Join(dest, "opt/rec/lib/systemd/system/recorderd.service"))
	if err != nil || !bytes.Contains(unit, []byte("ExecStart=/opt/rec/bin/recorderd ")) {
		t.Errorf("the unit starts another program: %v\n%s", err, unit)
	}
	for _, f := range have {
		text, err := os.ReadFile(filepath.Join(dest, "opt/rec", f))
		if err != nil || len(text) == 0 && !strings.HasSuffix(f, "recorder.1") {
			t.Errorf("%s: %v, %d bytes", f, err, len(text))
		}
		host, _ := os.Hostname()
		if strings.HasPrefix(f, "share/man/") && host != "" && bytes.Contains(text, []byte(`"`+host+`"`)) {
			t.Errorf("%s has the name of this machine", f)
		}
	}
	for _, f := range have {
		if !strings.HasPrefix(f, "share/man/") || strings.HasSuffix(f, "recorder.1") {
			continue
		}
		// groff warns of what it does not understand.
		out, err := exec.Command("groff", "-Kutf8", "-man", "-Tutf8", "-ww", "-z", filepath.Join(dest, "opt/rec", f)).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("groff %s: %v\n%s", f, err, out)
		}
	}
	run("uninstall")
	if left := files(); !slices.Equal(left, []string{"share/man/man1/recorder.1"}) {
		t.Errorf("left: %v", left)
	}
}
