//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
)

// The image that the cluster's scripts make, of busybox.
const image = "docker.io/k8slocal/busybox:1"

var (
	cluster  = os.Getenv("CLUSTER_DIR")
	bin      = os.Getenv("E2E_BIN")
	nodeName = os.Getenv("NODE")
	socket   = os.Getenv("E2E_CONTAINERD")
)

func TestMain(m *testing.M) {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// prepare fails where there is no cluster: nothing is skipped.
func prepare() error {
	for name, v := range map[string]string{"CLUSTER_DIR": cluster, "E2E_BIN": bin, "NODE": nodeName, "E2E_CONTAINERD": socket} {
		if v == "" {
			return fmt.Errorf("$%s is not set: run make e2e", name)
		}
	}
	if out, err := kubectlCommand("get", "node", nodeName).CombinedOutput(); err != nil {
		return fmt.Errorf("no cluster answers: %w: %s", err, out)
	}
	sweep()
	// The daemon has the rights that docs/kubernetes.md lists, and no others.
	out, err := run(kubectlCommand("apply", "-f", "-"), `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: recorderd-e2e}
rules:
- {apiGroups: [""], resources: [pods, namespaces], verbs: [get, list, watch]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: recorderd-e2e}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: recorderd-e2e}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: recorder}]
`)
	if err != nil {
		return fmt.Errorf("give the daemon its rights: %w: %s", err, out)
	}
	return nil
}

// sweep takes away what a killed run has left.
func sweep() {
	dirs, _ := filepath.Glob("/sys/fs/bpf/recorderd-e2e-*")
	for _, dir := range dirs {
		var pid, n int
		fmt.Sscanf(filepath.Base(dir), "recorderd-e2e-%d-%d", &pid, &n)
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			continue
		}
		exec.Command(filepath.Join(bin, "recorderd"), "uninstall", "--pin-dir", dir).Run()
	}
	out, err := kubectlCommand("get", "ns", "-l", "recorderd-e2e", "-o", "name").Output()
	if err == nil && len(bytes.TrimSpace(out)) > 0 {
		args := append([]string{"delete", "--wait=false"}, strings.Fields(string(out))...)
		kubectlCommand(args...).Run()
	}
}

func kubeconfig(user string) string { return filepath.Join(cluster, "pki", user+".kubeconfig") }

func kubectlCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(cluster, "bin", "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig("admin"))
	return cmd
}

// run runs a command with the given input, for at most two minutes.
func run(cmd *exec.Cmd, in string) (string, error) {
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stop := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer stop.Stop()
	err := cmd.Wait()
	return strings.TrimSpace(out.String()), err
}

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(kubectlCommand(args...), "")
	if err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

func apply(t *testing.T, ns, yaml string) {
	t.Helper()
	if out, err := run(kubectlCommand("apply", "-n", ns, "-f", "-"), yaml); err != nil {
		t.Fatalf("apply: %v: %s", err, out)
	}
}

var namespaces atomic.Int32

// namespace makes one that goes when the test ends.
func namespace(t *testing.T, annotations ...string) string {
	t.Helper()
	ns := fmt.Sprintf("e2e-%d-%d", os.Getpid(), namespaces.Add(1))
	kubectl(t, "create", "ns", ns)
	kubectl(t, "label", "ns", ns, "recorderd-e2e=true")
	for _, a := range annotations {
		kubectl(t, "annotate", "ns", ns, a)
	}
	t.Cleanup(func() {
		run(kubectlCommand("delete", "pods", "-n", ns, "--all", "--force", "--grace-period=0", "--wait=false"), "")
		run(kubectlCommand("delete", "ns", ns, "--wait=false"), "")
	})
	// Its pods are refused until this has been made for them.
	eventually(t, "the default service account", time.Minute, func() bool {
		_, err := run(kubectlCommand("get", "sa", "-n", ns, "default"), "")
		return err == nil
	})
	return ns
}

func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %s: %s", within, what)
}

// daemon is a recorderd on the node, with directories of its own.
type daemon struct {
	t    *testing.T
	dir  string
	pins string
	args []string
	cmd  *exec.Cmd
}

var daemons atomic.Int32

func startDaemon(t *testing.T, more ...string) *daemon {
	t.Helper()
	dir := t.TempDir()
	d := &daemon{t: t, dir: dir, pins: fmt.Sprintf("/sys/fs/bpf/recorderd-e2e-%d-%d", os.Getpid(), daemons.Add(1))}
	d.args = append([]string{
		"--socket", filepath.Join(dir, "run", "s"), "--pin-dir", d.pins, "--state-dir", filepath.Join(dir, "state"),
		"--ring-size", "128KiB", "--memory-budget", "96MiB", "--containerd", socket, "--ready-file", filepath.Join(dir, "ready"),
		"--kubernetes", "on", "--kubeconfig", kubeconfig("recorder"), "--node", nodeName,
	}, more...)
	t.Cleanup(func() {
		d.stop(syscall.SIGKILL)
		if out, err := run(exec.Command(filepath.Join(bin, "recorderd"), "uninstall", "--pin-dir", d.pins), ""); err != nil {
			t.Errorf("uninstall: %v: %s", err, out)
		}
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("the daemon said:\n%s", b)
		}
	})
	d.start()
	return d
}

func (d *daemon) start() {
	d.t.Helper()
	os.Remove(filepath.Join(d.dir, "ready"))
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	d.cmd = exec.Command(filepath.Join(bin, "recorderd"), d.args...)
	d.cmd.Stderr = log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	eventually(d.t, "the daemon is ready", 30*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(d.dir, "ready"))
		return err == nil
	})
}

func (d *daemon) stop(sig syscall.Signal) {
	if d.cmd != nil && d.cmd.ProcessState == nil {
		d.cmd.Process.Signal(sig)
		d.cmd.Wait()
	}
}

func (d *daemon) ctl(args ...string) (string, error) {
	args = append([]string{"--socket", filepath.Join(d.dir, "run", "s")}, args...)
	return run(exec.Command(filepath.Join(bin, "recorderctl"), args...), "")
}

func (d *daemon) must(args ...string) string {
	d.t.Helper()
	out, err := d.ctl(args...)
	if err != nil {
		d.t.Fatalf("recorderctl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// list returns the recordings of a namespace's pods.
func (d *daemon) list(ns string) []api.Recording {
	d.t.Helper()
	var list api.RecordingList
	if err := json.Unmarshal([]byte(d.must("list", "-n", ns, "-o", "json")), &list); err != nil {
		d.t.Fatal(err)
	}
	return list.Recordings
}

func (d *daemon) status() api.Status {
	d.t.Helper()
	var s api.Status
	if err := json.Unmarshal([]byte(d.must("status", "-o", "json")), &s); err != nil {
		d.t.Fatal(err)
	}
	return s
}

// find waits for the recordings of a pod's container that fit, until there are n.
func (d *daemon) find(ns, pod, container string, n int, fits func(*api.Recording) bool) []api.Recording {
	d.t.Helper()
	var found, all []api.Recording
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		found, all = nil, d.list(ns)
		for _, rec := range all {
			if rec.Pod.Name == pod && rec.Container.Name == container && fits(&rec) {
				found = append(found, rec)
			}
		}
		if len(found) >= n {
			return found
		}
	}
	for _, rec := range all {
		b, _ := json.Marshal(rec)
		d.t.Logf("there is %s", b)
	}
	d.t.Fatalf("no %d recordings of %s/%s, container %s, that fit", n, ns, pod, container)
	return nil
}

// proxy stands before the API server, and can be closed and opened again.
type proxy struct {
	t    *testing.T
	addr string
	mu   sync.Mutex
	ln   net.Listener
	open []net.Conn
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, addr: ln.Addr().String()}
	ln.Close()
	t.Cleanup(p.off)
	return p
}

// kubeconfig is one of the given user's that goes through the proxy.
func (p *proxy) kubeconfig(user string) string {
	p.t.Helper()
	b, err := os.ReadFile(kubeconfig(user))
	if err != nil {
		p.t.Fatal(err)
	}
	path := filepath.Join(p.t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, bytes.Replace(b, []byte("10.96.0.1:443"), []byte(p.addr), 1), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

func (p *proxy) on() {
	p.t.Helper()
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.ln = ln
	p.mu.Unlock()
	go func() {
		for {
			c, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			s, err := net.Dial("tcp", "10.96.0.1:443")
			if err != nil {
				c.Close()
				continue
			}
			p.mu.Lock()
			p.open = append(p.open, c, s)
			p.mu.Unlock()
			go func() { io.Copy(s, c); s.Close() }()
			go func() { io.Copy(c, s); c.Close() }()
		}
	}()
}

func (p *proxy) off() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil {
		p.ln.Close()
	}
	for _, c := range p.open {
		c.Close()
	}
	p.ln, p.open = nil, nil
}
