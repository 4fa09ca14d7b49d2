package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
)

// The example is taken whole, and every flag is described.
func TestExampleAndDocs(t *testing.T) {
	given := pflag.NewFlagSet("", pflag.ContinueOnError)
	defaults().flags(given)
	if err := given.Parse([]string{"--config", "../../deploy/recorderd.yaml", "--ring-size", "2MiB"}); err != nil {
		t.Fatal(err)
	}
	o, err := load(given)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.rules) != 4 || o.ringSize != 2<<20 || len(o.blank) != 4 || len(o.policy().Base.Blank) != 4 {
		t.Errorf("%d rules, ring %s, blank %q", len(o.rules), o.ringSize, o.blank)
	}
	docs, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	given.VisitAll(func(f *pflag.Flag) {
		if !bytes.Contains(docs, []byte("| `--"+f.Name+"` |")) {
			t.Errorf("docs/configuration.md has no row for --%s", f.Name)
		}
	})
	example, err := os.ReadFile("../../deploy/recorderd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(docs, example) {
		t.Error("the example in docs/configuration.md is not deploy/recorderd.yaml")
	}
}

// A mounted ConfigMap changes by a link to a directory that is replaced. What can
// change does, what cannot is told, a broken file changes nothing and is told with its
// line, and flags win.
func TestConfigurationChanges(t *testing.T) {
	d := newDaemon(t)
	mount := t.TempDir()
	version := 0
	write := func(text string) {
		t.Helper()
		version++
		dir := filepath.Join(mount, fmt.Sprintf("..v%d", version))
		if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "recorderd.yaml"), []byte(text), 0o644),
			os.Symlink(filepath.Base(dir), filepath.Join(mount, "..tmp")), os.Rename(filepath.Join(mount, "..tmp"), filepath.Join(mount, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	write("capture-stdio: 100\nlog-level: warn\n")
	file := filepath.Join(mount, "recorderd.yaml")
	if err := os.Symlink("..data/recorderd.yaml", file); err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	d.cmd = exec.Command(binary, d.args("--config", file, "--log-level", "info", "--watch", d.watched(), "--watch-only")...)
	d.cmd.Stderr = &log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	poll(t, "ready", func() bool { _, err := os.Stat(filepath.Join(d.dir, "ready")); return err == nil })
	said := func(want ...string) {
		t.Helper()
		poll(t, fmt.Sprint("the log has ", want), func() bool {
			for line := range strings.Lines(log.String()) {
				n := 0
				for _, w := range want {
					if strings.Contains(line, w) {
						n++
					}
				}
				if n == len(want) {
					return true
				}
			}
			return false
		})
	}
	blocked(t, d.watched())
	poll(t, "a recording", func() bool { return strings.Contains(d.dump("blocked"), "openat(") })

	write("capture-stdio: 100\nmute:\n- openat\n- futx\n")
	said("the configuration stays as it was", "recorderd.yaml:2: ", "futex")
	write("capture-stdio: 100\nring-size: 128KiB\nmemory-budget: 16MiB\nlog-level: error\n")
	// Those that the command line has are no change.
	write("capture-stdio: 100\nno-args: true\nstate-dir: /other\nnode: elsewhere\nrules:\n- match: {container: blocked}\n  blank: ['/lib[a-z]*/']\n")
	said("the configuration has changed", "no-args", "rules")
	said("takes a restart", "keys=[node]")
	text := d.dump("blocked")
	if !strings.Contains(text, `["cat", ...]`) || strings.Contains(text, "libc") {
		t.Errorf("the new rules are not carried out:\n%s", text)
	}
	write("capture-stdio: 100\nnode: elsewhere\nrules:\n- match: {container: blocked}\n  off: true\n")
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	poll(t, "nothing of it is told", func() bool {
		out, _ := exec.Command("curl", "-s", "--unix-socket", d.socket, "http://recorderd/v1/recordings/blocked/dump").Output()
		return strings.Contains(string(out), `"forbidden"`)
	})
	if err := os.Remove(filepath.Join(mount, "..data")); err != nil {
		t.Fatal(err)
	}
	said("the configuration stays as it was", "no such file")
	d.cmd.Process.Signal(syscall.SIGTERM)
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v:\n%s", err, log.String())
	}
}

// A file that is broken from the start is refused.
func TestBrokenConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	for text, want := range map[string]string{"ring-size: 1MiB\nsokket: x\n": "c.yaml:2: sokket", "ring-size: 100KiB\n": "c.yaml:1: --ring-size", "log-level: loud\n": "--log-level loud",
		"forbid-annotations: [of]\n": "c.yaml:1: --forbid-annotations of: want some of off, mute"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		status, msg := refused(t, exec.Command(binary, "--config", file))
		if status != exitUsage {
			t.Errorf("%q: status %d, want %d", text, status, exitUsage)
		}
		oneLine(t, msg, want)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
