package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// profile is deploy/seccomp.json.
func profile(t *testing.T) *specs.LinuxSeccomp {
	t.Helper()
	b, err := os.ReadFile("../../deploy/seccomp.json")
	if err != nil {
		t.Fatal(err)
	}
	var p specs.LinuxSeccomp
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

// In a container of runc with a root file system that cannot be written to, the listed
// capabilities, the seccomp profile and no new privileges, recorderd does what it is
// for, as in a pod of a DaemonSet: host's pids, bpffs and cgroups, a directory for its
// socket and one for what it keeps.
func TestInAContainer(t *testing.T) {
	d := newDaemon(t)
	path := blocked(t, d.watched())
	for _, dir := range []string{"run", "state"} {
		if err := os.Mkdir(filepath.Join(d.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	id := strings.ReplaceAll(strings.Trim(d.watched(), "/"), "/", "-")
	bundle, root := filepath.Join(d.dir, "bundle"), filepath.Join(d.dir, "runc")
	if err := os.MkdirAll(filepath.Join(bundle, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "rootfs", "recorderd"), b, 0o755); err != nil {
		t.Fatal(err)
	}
	bind := func(dir string, options ...string) specs.Mount {
		return specs.Mount{Source: dir, Destination: dir, Type: "bind", Options: append([]string{"rbind"}, options...)}
	}
	names := []string{"CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"}
	if want := strings.Split(rights.String(), ", "); !slices.Equal(slices.Sorted(slices.Values(want)), names) {
		t.Fatalf("the capabilities are %v", want)
	}
	spec := specs.Spec{
		Version: "1.0.2",
		Root:    &specs.Root{Path: "rootfs", Readonly: true},
		Process: &specs.Process{
			Cwd: "/", NoNewPrivileges: true,
			Args:         append([]string{"/recorderd"}, d.args("--ready-file", filepath.Join(d.dir, "state", "ready"), "--socket", d.socket, "--watch", d.watched(), "--watch-only", "--clean=false")...),
			Capabilities: &specs.LinuxCapabilities{Bounding: names, Effective: names, Permitted: names},
		},
		Mounts: []specs.Mount{
			{Source: "proc", Destination: "/proc", Type: "proc"},
			{Source: "tmpfs", Destination: "/dev", Type: "tmpfs", Options: []string{"nosuid", "mode=755"}},
			{Source: "sysfs", Destination: "/sys", Type: "sysfs", Options: []string{"ro"}},
			bind("/sys/fs/cgroup", "ro"), bind("/sys/fs/bpf"), bind(filepath.Join(d.dir, "run")), bind(filepath.Join(d.dir, "state")),
		},
		// No pid and no cgroup namespace: the host's.
		Linux: &specs.Linux{
			CgroupsPath: "/" + id + "-runc",
			Namespaces:  []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.NetworkNamespace}},
			Seccomp:     profile(t),
		},
	}
	config, err := json.Marshal(&spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { exec.Command("runc", "--root", root, "delete", "--force", id).Run() })
	for _, want := range []string{"adopted=false", "adopted=true"} {
		d.log.Reset()
		os.Remove(filepath.Join(d.dir, "state", "ready"))
		pidFile := filepath.Join(d.dir, "pid")
		d.cmd = exec.Command("runc", "--root", root, "run", "--bundle", bundle, "--pid-file", pidFile, id)
		d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
		if err := d.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- d.cmd.Wait() }()
		poll(t, "ready in its container", func() bool {
			select {
			case err := <-ended:
				t.Fatalf("it ended with %v:\n%s", err, d.log.String())
			default:
			}
			_, err := os.Stat(filepath.Join(d.dir, "state", "ready"))
			return err == nil
		})
		poll(t, "a blocked open in the dump", func() bool {
			return strings.Contains(d.dump("blocked"), `"`+path+`", O_RDONLY <unfinished ...>`)
		})
		pid, err := os.ReadFile(pidFile)
		if err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%s/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"Seccomp:\t2", "NoNewPrivs:\t1", fmt.Sprintf("CapEff:\t%016x", uint64(rights))} {
			if !strings.Contains(string(status), line+"\n") {
				t.Errorf("its status lacks %q", line)
			}
		}
		if err := exec.Command("runc", "--root", root, "kill", id, "TERM").Run(); err != nil {
			t.Errorf("end it: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
		if log := d.log.String(); !strings.Contains(log, want) || strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
			t.Errorf("want %s and no complaints:\n%s", want, log)
		}
	}
}

// The profile has none of what would make an intruder's day.
func TestProfileIsNarrow(t *testing.T) {
	p := profile(t)
	if p.DefaultAction != specs.ActErrno {
		t.Errorf("what is not listed: %s", p.DefaultAction)
	}
	var seen []string
	for _, rule := range p.Syscalls {
		if rule.Action != specs.ActAllow {
			t.Errorf("%v: %s", rule.Names, rule.Action)
		}
		for _, name := range rule.Names {
			if slices.Contains(seen, name) && name != "socket" {
				t.Errorf("%s stands there twice", name)
			}
			seen = append(seen, name)
		}
	}
	for _, name := range []string{
		"ptrace", "process_vm_writev", "mount", "umount2", "move_mount", "fsopen", "setns", "unshare", "clone3", "init_module", "finit_module", "kexec_load",
		"keyctl", "userfaultfd", "io_uring_setup", "setuid", "setgid", "chroot", "pivot_root", "reboot", "open_by_handle_at", "execveat", "mknodat", "pidfd_getfd",
	} {
		if slices.Contains(seen, name) {
			t.Errorf("%s is allowed", name)
		}
	}
}
