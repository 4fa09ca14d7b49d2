package recorder

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/api"
)

// runcBundle makes a bundle for runc with a program, in the container's own namespaces.
func runcBundle(t *testing.T, cgroup string, namespaces []string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"bin", "dev", "proc"} {
		if err := os.MkdirAll(filepath.Join(dir, "rootfs", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"busybox", "sh"} {
		if out, err := exec.Command("cp", "/usr/bin/busybox", filepath.Join(dir, "rootfs/bin", name)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for name, b := range map[string]string{"text": "no program\n", "script": "#!/no/such/interpreter\n", "crlf": "#!/bin/sh\r\n"} {
		if err := os.WriteFile(filepath.Join(dir, "rootfs", name), []byte(b), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var ns []map[string]string
	for _, n := range namespaces {
		ns = append(ns, map[string]string{"type": n})
	}
	b, err := json.Marshal(map[string]any{
		"ociVersion": "1.0.2",
		"process":    map[string]any{"args": args, "cwd": "/", "env": []string{"PATH=/bin"}, "user": map[string]int{"uid": 0, "gid": 0}},
		"root":       map[string]any{"path": "rootfs"},
		"mounts":     []map[string]any{{"destination": "/proc", "type": "proc", "source": "proc"}},
		"linux":      map[string]any{"cgroupsPath": cgroup, "namespaces": ns},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestNeverExecuted catches a container whose program could not be executed, and that is
// told to have ended well: what ended with 0 was the runtime's own process.
func TestNeverExecuted(t *testing.T) {
	for _, runtime := range []string{"runc", "crun"} { // as CRI-O and Podman call them
		t.Run(runtime, func(t *testing.T) {
			testNeverExecuted(t, runtime)
		})
	}
}

// runBy is a runtime's command. crun knows no mixture of cgroup v1 and v2: it sees v2 alone.
func runBy(runtime string, args ...string) *exec.Cmd {
	if runtime == "runc" {
		return exec.Command(runtime, args...)
	}
	const alone = `umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"`
	return exec.Command("unshare", append([]string{"-m", "sh", "-c", alone, "sh", runtime}, args...)...)
}

func testNeverExecuted(t *testing.T, runtime string) {
	c := makeCgroups(t, "unstarted-"+runtime)
	r := testRecorder(t, Config{Watch: []string{c.path}, OnlyWatched: true, StateDir: t.TempDir(), SpoolOn: SpoolKinds, RingSize: 64 << 10})
	for i, tc := range []struct {
		namespaces []string
		args       []string
		why        string
	}{
		{[]string{"mount", "pid"}, []string{"/no/such/program"}, "ENOENT"},
		{[]string{"mount", "pid"}, []string{"/text"}, "it is neither a script that begins with #! nor an ELF file"},
		{[]string{"mount", "pid"}, []string{"/script"}, `its interpreter "/no/such/interpreter" is not in the container`},
		{[]string{"mount", "pid"}, []string{"/crlf"}, `its first line asks for the interpreter "/bin/sh\r"`},
		{[]string{"mount"}, []string{"/script"}, `its interpreter "/no/such/interpreter" is not in the container`},
		{[]string{"mount"}, []string{"/no/such/program"}, "ENOENT"},
		{[]string{"mount"}, []string{"/proc"}, ""},
	} {
		for n := range 2 {
			name := fmt.Sprintf("n%d-%d", i, n)
			cmd := runBy(runtime, "--root", t.TempDir(), "run", "--bundle", runcBundle(t, c.path+"/"+name, tc.namespaces, tc.args...), fmt.Sprintf("recorderd-test-%d-%s", os.Getpid(), name))
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("%v in %v: it was run: %s", tc.args, tc.namespaces, out)
			}
			rec := at(t, r, c.path+"/"+name, func(rec api.Recording) bool { return rec.State == api.StateEnded })
			if rec.Exit != nil && rec.Exit.Code == 0 && rec.Exit.Signal == "" {
				t.Errorf("%v in %v: it ended with %+v: %s", tc.args, tc.namespaces, rec.Exit, out)
			}
			var why string
			eventually(t, "saved", func() bool {
				e, err := r.store.peek().Get(rec.ID)
				if err == nil {
					why = e.Describe().Spool.Text
				}
				return err == nil
			})
			rec = at(t, r, c.path+"/"+name, func(rec api.Recording) bool { return rec.Verdict != nil })
			if v := rec.Verdict; !strings.HasPrefix(v.Text, "could not start: ") || !strings.Contains(v.Text, tc.args[0]) && tc.args[0] != "/proc" || v.Cause != "not-started" || v.Fingerprint == "" {
				t.Errorf("%v in %v: verdict %+v", tc.args, tc.namespaces, v)
			}
			if text := rec.Verdict.Text; !strings.Contains(text, tc.why) {
				t.Errorf("%v in %v: verdict %s, want %s", tc.args, tc.namespaces, text, tc.why)
			}
			t.Logf("%v %v: %s: %s", tc.namespaces, tc.args, why, rec.Verdict.Sentence())
		}
	}
	// One that is executed and ends with 0 has done so.
	if out, err := runBy(runtime, "--root", t.TempDir(), "run", "--bundle", runcBundle(t, c.path+"/well", []string{"mount", "pid"}, "/bin/sh", "-c", "exit 0"), fmt.Sprintf("recorderd-test-%d-well", os.Getpid())).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if rec := at(t, r, c.path+"/well", ended); rec.Exit.Code != 0 || rec.Exit.Signal != "" {
		t.Errorf("it ended with %+v, want 0", rec.Exit)
	}
}
