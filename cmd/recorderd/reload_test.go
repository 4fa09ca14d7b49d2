package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/spf13/pflag"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/client"
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

// configured is what a daemon says of its configuration: in its status, and when it is
// asked whether it is ready.
func (d *testDaemon) configured() (api.ConfigStatus, string) {
	d.t.Helper()
	c := client.New(client.Unix(d.socket), client.Options{})
	defer c.Close()
	st, err := c.Status(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	if st.Configuration == nil {
		d.t.Fatal("the status has no configuration")
	}
	out, err := exec.Command("curl", "-sf", "--unix-socket", d.socket, "http://recorderd/readyz").CombinedOutput()
	if err != nil {
		d.t.Fatalf("readyz: %v: %s", err, out)
	}
	return *st.Configuration, string(out)
}

// A file that breaks while the daemon runs does not keep the next one from starting. That
// takes the last file with which a daemon was ready, and says so until the file is mended.
func TestLastGoodConfiguration(t *testing.T) {
	d := newDaemon(t)
	file := filepath.Join(d.dir, "c.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := func(text string) {
		t.Helper()
		if d.cmd != nil {
			d.cmd.Process.Signal(syscall.SIGTERM)
			if err := d.cmd.Wait(); err != nil {
				t.Fatalf("it ended with %v:\n%s", err, d.log.String())
			}
		}
		d.log.Reset()
		write(text)
		d.start("--config", file, "--watch", d.watched())
	}
	again("capture-stdio: 100\n")
	if c, ready := d.configured(); c.File != file || c.Error != "" || c.LastGood || ready != "ok\n" {
		t.Errorf("a good file: %+v, %q", c, ready)
	}
	for text, want := range map[string]string{
		"capture-stdio: 100\nrules: {\n":            "c.yaml:",
		"cgroup-hierarchy: nosuch\n":                "nosuch", // it can be read, and not be started with
		"capture-stdio: 100\nsocket-group: nobody1": "nobody1",
	} {
		again(text)
		c, ready := d.configured()
		if !c.LastGood || !strings.Contains(c.Error, want) || !strings.HasPrefix(ready, "ok\n") || !strings.Contains(ready, "last good") || !strings.Contains(ready, want) {
			t.Errorf("%q: %+v, %q", text, c, ready)
		}
		if !strings.Contains(d.log.String(), "the configuration is broken: the last good one is in force") {
			t.Errorf("%q: the log does not say it:\n%s", text, d.log.String())
		}
	}
	write("capture-stdio: 200\n")
	poll(t, "the file is in force again", func() bool { c, _ := d.configured(); return c.Error == "" && !c.LastGood })
	write("capture-stdio: x\n")
	poll(t, "it breaks while the daemon runs", func() bool { c, _ := d.configured(); return strings.Contains(c.Error, "c.yaml:1") && !c.LastGood })
	again("capture-stdio: x\n")
	if c, _ := d.configured(); !c.LastGood {
		t.Errorf("what was changed live and was good is not kept: %+v", c)
	}

	// Settings that the command line has as well do nothing, which is told.
	again("ring-size: 1MiB\nmemory-budget: 8MiB\ncapture-stdio: 100\n")
	if c, _ := d.configured(); !slices.Equal(c.Ignored, []string{"ring-size"}) {
		t.Errorf("of no effect: %q, want ring-size, which differs from the flag", c.Ignored)
	}
	if !strings.Contains(d.log.String(), "no effect") {
		t.Errorf("the log does not say that ring-size has no effect:\n%s", d.log.String())
	}

	// Without a copy there is nothing to go by.
	d.cmd.Process.Signal(syscall.SIGTERM)
	d.cmd.Wait()
	if err := os.RemoveAll(filepath.Join(d.dir, "state", "configuration")); err != nil {
		t.Fatal(err)
	}
	write("rules: {\n")
	status, msg := refused(t, exec.Command(binary, d.args("--config", file)...))
	if status != exitUsage {
		t.Errorf("without a copy: status %d, want %d", status, exitUsage)
	}
	oneLine(t, msg, "c.yaml:")
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
