//go:build e2e

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
)

// Where the recorder is installed, and pods of busybox come from.
const (
	recorderNS = "recorderd-e2e-cli"
	busybox    = "docker.io/k8slocal/busybox:1"
	pins       = "/sys/fs/bpf/recorderd"
)

var (
	clusterDir = os.Getenv("CLUSTER_DIR")
	bin        = os.Getenv("E2E_BIN")
	image      = os.Getenv("E2E_IMAGE") // of make image, in the node's containerd
	containerd = os.Getenv("E2E_CONTAINERD")
	nodeName   = os.Getenv("NODE")
)

func TestMain(m *testing.M) {
	code := 1
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	} else {
		code = m.Run()
	}
	if out, err := run(kubectl("delete", "ns", "-l", "recorderd-e2e-cli", "--wait=false")); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err, out)
		code = 1
	}
	os.Exit(code)
}

// prepare sweeps what a killed run has left, and installs the recorder.
func prepare() error {
	for name, v := range map[string]string{"CLUSTER_DIR": clusterDir, "E2E_BIN": bin, "E2E_IMAGE": image, "NODE": nodeName, "E2E_CONTAINERD": containerd} {
		if v == "" {
			return fmt.Errorf("$%s is not set: run scripts/e2e-cli", name)
		}
	}
	run(kubectl("delete", "node", "ghost", "--ignore-not-found"))
	run(kubectl("delete", "ns", "-l", "recorderd-e2e-cli", "--wait=false"))
	if out, err := run(undeploy()); err != nil {
		return fmt.Errorf("undeploy: %w: %s", err, out)
	}
	out, err := run(ctl(deployArgs()...))
	if err != nil {
		return fmt.Errorf("deploy: %w: %s", err, out)
	}
	return nil
}

func deployArgs(more ...string) []string {
	return append([]string{"deploy", "--image", image, "--image-pull-policy", "Never", "--containerd-dir", filepath.Dir(containerd), "--timeout", "60s"}, more...)
}

func kubeconfig(user string) string { return filepath.Join(clusterDir, "pki", user+".kubeconfig") }

func kubectl(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(clusterDir, "bin", "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig("admin"))
	return cmd
}

// ctl is recorderctl as an administrator has it.
func ctl(args ...string) *exec.Cmd { return ctlAs("admin", args...) }

func ctlAs(user string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, "recorderctl"), append([]string{"--recorder-namespace", recorderNS}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig(user), "NO_COLOR=1")
	return cmd
}

// run runs a command for at most three minutes, and returns all that it writes.
func run(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stop := time.AfterFunc(3*time.Minute, func() { cmd.Process.Kill() })
	defer stop.Stop()
	err := cmd.Wait()
	return strings.TrimSpace(out.String()), err
}

// must runs a command that has to succeed, and returns its standard output.
func must(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// fails runs a command that has to end with this status and one line that has all of
// these words.
func fails(t *testing.T, cmd *exec.Cmd, status int, words ...string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != status {
		t.Errorf("%v ended with %v, want status %d: %s", cmd.Args, err, status, errs.String())
	}
	said := strings.TrimSpace(errs.String())
	if strings.Count(said, "\n") != 0 {
		t.Errorf("%v said more than a line: %s", cmd.Args, said)
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("%v said %q, want %q in it", cmd.Args, said, w)
		}
	}
}

func apply(t *testing.T, yaml string) {
	t.Helper()
	cmd := kubectl("apply", "-f", "-")
	cmd.Stdin = strings.NewReader(yaml)
	if out, err := run(cmd); err != nil {
		t.Fatalf("apply: %v: %s", err, out)
	}
}

var namespaces atomic.Int32

// namespace makes one that goes when the test ends.
func namespace(t *testing.T) string {
	t.Helper()
	ns := fmt.Sprintf("e2e-cli-%d-%d", os.Getpid(), namespaces.Add(1))
	apply(t, fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {recorderd-e2e-cli: \"\"}}}", ns))
	t.Cleanup(func() { run(kubectl("delete", "ns", ns, "--wait=false")) })
	eventually(t, "default service account", 20*time.Second, func() bool {
		_, err := run(kubectl("-n", ns, "get", "sa", "default"))
		return err == nil
	})
	return ns
}

// pod makes a pod, each of whose containers runs a script. containers are
// "name=script"; more is put into its spec.
func pod(t *testing.T, ns, name, more string, containers ...string) {
	t.Helper()
	apply(t, fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s, labels: {app: %s}}, spec: {terminationGracePeriodSeconds: 1, %s containers: [%s]}}",
		name, ns, name, more, strings.Join(each(containers, containerYAML), ", ")))
}

func containerYAML(c string) string {
	name, script, _ := strings.Cut(c, "=")
	b, err := json.Marshal([]string{"sh", "-c", script})
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("{name: %s, image: %q, imagePullPolicy: Never, command: %s}", name, busybox, b)
}

func each(in []string, f func(string) string) []string {
	var out []string
	for _, s := range in {
		out = append(out, f(s))
	}
	return out
}

// eventually polls until ok, or fails the test.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// recordings lists what there is of a container of a pod, oldest first.
func recordings(t *testing.T, ns, pod, container string) []api.Recording {
	t.Helper()
	var list api.RecordingList
	out := must(t, ctl("list", "-n", ns, "--pod", pod, "-c", container, "-o", "json"))
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	return list.Recordings
}

// ended waits until so many recordings of a container have ended, and returns them.
func ended(t *testing.T, ns, pod, container string, n int) []api.Recording {
	t.Helper()
	var done []api.Recording
	eventually(t, fmt.Sprintf("%d ended recordings of %s/%s/%s", n, ns, pod, container), 60*time.Second, func() bool {
		done = nil
		for _, r := range recordings(t, ns, pod, container) {
			if r.State == api.StateEnded && r.Exit != nil {
				done = append(done, r)
			}
		}
		return len(done) >= n
	})
	return done
}

func contains(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			tail := text
			if len(tail) > 2000 {
				tail = "…" + tail[len(tail)-2000:]
			}
			t.Errorf("%s: there is no %q in\n%s", what, w, tail)
		}
	}
}
