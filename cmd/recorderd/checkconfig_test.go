package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// checked runs recorderd --check-config as nobody, and returns its status and what it says.
func checked(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"--check-config"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Dir = "/"
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// configFile writes a file that everybody can read.
func configFile(t *testing.T, text string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "recorderd-check")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "r.yaml")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestCheckConfig catches mistakes that are told one at a time, those that say neither where they
// stand nor what is allowed, and a good configuration that is refused.
func TestCheckConfig(t *testing.T) {
	bad := configFile(t, `ring-size: 100KiB
memory-budget: lots
clean: perhaps
keep-min: -5m
keep-last: few
spool-age: 3 days
colour: red
watch: kubepods
socket-group: no-such-group
log-level: loud
spool-on: [exit, boredom]
mute: futx
capture-data: {a: b}
clean: true
rules:
- off: perhaps
- match: {node: x}
`)
	for _, tc := range []struct {
		name string
		args []string
		want []string // a line for each: words that it has
	}{
		{"file", []string{"--config", bad}, []string{
			"r.yaml:1: --ring-size 100KiB: want a power of two",
			"r.yaml:2: memory-budget: lots: want an amount of memory such as 64KiB",
			`r.yaml:3: clean: "perhaps": want true or false`,
			"r.yaml:4: --keep-min is below 0: want 0 or more",
			`r.yaml:5: keep-last: "few": want a whole number`,
			`r.yaml:6: spool-age: "3 days": want a duration such as 90s, 10m or 24h`,
			"r.yaml:7: colour: there is no such key: there are |ring-size",
			`r.yaml:8: --watch "kubepods": want |beginning with /`,
			"r.yaml:9: --socket-group |no-such-group",
			"r.yaml:10: --log-level loud: want debug, info, warn or error",
			"r.yaml:11: --spool-on boredom: want some of exit, ",
			`r.yaml:12: mute: |the nearest is "futex"`,
			"r.yaml:13: want a value",
			"r.yaml:14: clean: it was said before, in line 3",
			"r.yaml:16: off: want true or false",
			"r.yaml:16: a rule says with match",
			"r.yaml:17: match node: there is no such condition: there are namespace",
		}},
		{"flags", []string{"--ring-size", "1TB", "--clean=perhaps", "--keep-last", "few", "--colour", "red", "-x", "--capture-data", "1MiB", "--watch", "a", "--kubernetes", "maybe", "--pod", "x", "--keep-min"}, []string{
			"--ring-size 1TB: want |64KiB", `--clean "perhaps": want true or false`, `--keep-last "few": want a whole number`, "there is no flag --colour: recorderd --help", "there is no flag -x",
			"--capture-data 1MiB: want at most 4KiB", `--watch "a"|beginning with /`, "--kubernetes maybe: want auto, on or off", "--pod x: want NAMESPACE/NAME", "--keep-min|argument",
		}},
		{"letters that are none", []string{"-é", "-ö", "-\xff", "--é", "--xx", "-x", "-é", "--keep-last", "few"}, []string{
			"there is no flag -é", "there is no flag --é", "there is no flag --xx", "there is no flag -x", `--keep-last "few"`,
		}},
		{"flags and file", []string{"--keep-last", "few", "--config", configFile(t, "ring-size: 1\n")}, []string{`--keep-last "few"`, "r.yaml:1: --ring-size 1: want"}},
		{"budget", []string{"--ring-size", "64MiB", "--memory-budget", "1MiB"}, []string{"--memory-budget |room for two rings"}},
		{"YAML", []string{"--config", configFile(t, "a: [1\nb: 2\n")}, []string{"r.yaml:"}},
		{"no file", []string{"--config", "/nonexistent/r.yaml", "--pod", "x"}, []string{"/nonexistent/r.yaml", "--pod x"}},
		{"Kubernetes", []string{"--kubernetes", "on"}, []string{"--kubernetes on: no kubeconfig is given"}},
		{"too much", []string{"start"}, []string{"start"}},
	} {
		status, stdout, stderr := checked(t, tc.args...)
		lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
		if status != exitError && tc.name != "too much" || stdout != "" || len(lines) != len(tc.want) {
			t.Errorf("%s: status %d, %q, %d lines, want %d:\n%s", tc.name, status, stdout, len(lines), len(tc.want), stderr)
		}
	next:
		for _, want := range tc.want {
			for _, line := range lines {
				found := strings.HasPrefix(line, "recorderd: ")
				for word := range strings.SplitSeq(want, "|") {
					found = found && strings.Contains(line, word)
				}
				if found {
					continue next
				}
			}
			t.Errorf("%s: no line has %q:\n%s", tc.name, want, stderr)
		}
	}
	example, err := os.ReadFile("../../deploy/recorderd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "the flags are fine; there is no configuration file"},
		{[]string{"--config", configFile(t, string(example))}, "r.yaml is fine\n"},
		{[]string{"--config", configFile(t, "ring-size: 2MiB\n"), "--ring-size", "1MiB"}, "r.yaml is fine; flags on the command line win over these keys of it: ring-size"},
		{[]string{"--config", "/nonexistent/r.yaml", "--config-optional"}, "does not exist, as --config-optional allows"},
	} {
		if status, stdout, stderr := checked(t, tc.args...); status != 0 || stderr != "" || !strings.Contains(stdout, tc.want) {
			t.Errorf("%v: status %d, %q, %q", tc.args, status, stdout, stderr)
		}
	}
}

// TestRandomArguments catches arguments by which looking for mistakes panics or does not end.
func TestRandomArguments(t *testing.T) {
	pieces := []string{"-", "-", "-", "-", "=", "x", "x", "n", "é", "ö", "\xff", "\x00", "h", "v", "test.v", "help", "node", "ring-size", "watch", `"`, "1", " "}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		args := []string{"--" + checkFlag}[random.IntN(2):]
		for range random.IntN(6) {
			var arg strings.Builder
			for range random.IntN(6) {
				arg.WriteString(pieces[random.IntN(len(pieces))])
			}
			args = append(args, arg.String())
		}
		over := time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("%q: it does not end", args)) })
		func() {
			defer func() {
				if v := recover(); v != nil {
					t.Fatalf("%q: %v", args, v)
				}
			}()
			_ = mistakesOf(args)
		}()
		over.Stop()
	}
}

// TestAllMistakes catches a start that tells one mistake at a time.
func TestAllMistakes(t *testing.T) {
	for _, args := range [][]string{
		{"--ring-size", "1TB", "--log-level", "loud", "--nosuch"},
		{"--ring-size", "100KiB", "--log-level", "loud", "--pod", "x"},
		{"--config", configFile(t, "ring-size: 1\nlog-level: loud\npod: x\n"), "--state-dir", ""},
	} {
		status, msg := refused(t, exec.Command(binary, args...))
		if n := strings.Count(msg, "recorderd: "); status != exitUsage || n != 3 || strings.Count(msg, "\n") != 3 {
			t.Errorf("%v: status %d, %d lines, want 3:\n%s", args, status, n, msg)
		}
	}
}

// TestVersion catches a program that does not say which it is.
func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		out, err := exec.Command(binary, arg).CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "recorderd ") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v, %q", arg, err, out)
		}
	}
}
