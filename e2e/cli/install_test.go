//go:build e2e

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
)

// These tests install and take away what they need themselves: they come after those
// that share one installation.

// undeploy is the command for a node where the daemon set may be gone.
func undeploy(more ...string) *exec.Cmd {
	return ctl(append([]string{"undeploy", "--image", image, "--image-pull-policy", "Never"}, more...)...)
}

// installed deploys the recorder for a test.
func installed(t *testing.T, more ...string) {
	t.Helper()
	if out, err := run(ctl(deployArgs(more...)...)); err != nil {
		t.Fatalf("deploy: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := run(undeploy()); err != nil {
			t.Errorf("undeploy: %v: %s", err, out)
		}
	})
}

// mount is a line of mountinfo (proc_pid_mountinfo(5)).
type mount struct{ device, root, at, options string }

// mountsBelow are the mounts of a process at a directory and below it.
func mountsBelow(t *testing.T, pid int, dir string) []mount {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		t.Fatal(err)
	}
	var found []mount
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if m := (mount{f[2], f[3], f[4], f[5]}); m.at == dir || strings.HasPrefix(m.at, dir+"/") {
			found = append(found, m)
		}
	}
	return found
}

// sharedMemory is how much of the node's memory files in tmpfs take, in MiB.
func sharedMemory(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^Shmem:\s+(\d+) kB`).FindSubmatch(b)
	kb, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb >> 10
}

// TestMounts: the daemon keeps no mount of a pod that is gone, and so none of its memory,
// whether the pod was there before the daemon or came after it.
func TestMounts(t *testing.T) {
	ns := namespace(t)
	const fill = "app=dd if=/dev/zero of=/dev/shm/fill bs=1M count=60; while :; do sleep 1; done"
	dir := filepath.Dir(containerd)
	full := func(n int) func() bool {
		return func() bool {
			have := 0
			files, _ := filepath.Glob(dir + "/io.containerd.grpc.v1.cri/sandboxes/*/shm/fill")
			for _, file := range files {
				if st, err := os.Stat(file); err == nil && st.Size() == 60<<20 {
					have++
				}
			}
			return have >= n
		}
	}
	pod(t, ns, "before", "", fill)
	eventually(t, "60 MiB in /dev/shm", time.Minute, full(1))
	installed(t)
	pod(t, ns, "after", "", fill)
	eventually(t, "60 MiB in both pods' /dev/shm", time.Minute, full(2))

	daemon := daemonPid(t)
	// What the runtime has mounted for the daemon's own container is in its namespace alone.
	own := must(t, kubectl("-n", recorderNS, "get", "pods", "-l", "app.kubernetes.io/name=recorderd", "-o", "jsonpath={.items[0].status.containerStatuses[0].containerID}"))
	own = strings.TrimPrefix(own, "containerd://")
	if len(own) != 64 {
		t.Fatalf("the daemon's container is %q", own)
	}
	ofPods := 0
	for _, m := range mountsBelow(t, daemon, dir) {
		if strings.HasSuffix(m.at, "/shm") {
			ofPods++
		}
		if m.at == dir && !strings.HasPrefix(m.options, "ro,") {
			t.Errorf("%s is mounted %s, want read-only", m.at, m.options)
		}
	}
	if ofPods < 2 {
		t.Fatalf("the daemon has %d mounts of /dev/shm, want those of both pods", ofPods)
	}
	memory := sharedMemory(t)
	must(t, kubectl("-n", ns, "delete", "pod", "before", "after", "--grace-period=0", "--force"))
	var kept []string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		there := map[mount]bool{}
		for _, m := range mountsBelow(t, 1, dir) {
			m.options = ""
			there[m] = true
		}
		kept = nil
		pods := 0
		for _, m := range mountsBelow(t, daemon, dir) {
			m.options = ""
			if strings.HasSuffix(m.at, "/shm") {
				pods++
			}
			if !there[m] && !strings.Contains(m.at, "/"+own+"/") {
				kept = append(kept, m.at)
			}
		}
		if len(kept) == 0 && pods <= ofPods-2 && memory-sharedMemory(t) >= 100 {
			return
		}
	}
	t.Errorf("of the pods' 120 MiB %d MiB are given back; the daemon has mounts that the node does not have: %q", memory-sharedMemory(t), kept)
}

// TestRuntimeNotReached: deploy fails where the container runtime's socket is elsewhere,
// and says how to mend it.
func TestRuntimeNotReached(t *testing.T) {
	dir := filepath.Dir(containerd) + "/nowhere"
	t.Cleanup(func() {
		if out, err := run(undeploy()); err != nil {
			t.Errorf("undeploy: %v: %s", err, out)
		}
		os.Remove(dir)
	})
	cmd := ctl(deployArgs("--containerd-dir", dir)...)
	out, err := run(cmd)
	if err == nil || cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("deploy: %v, want status 5: %s", err, out)
	}
	contains(t, "deploy", out, "node "+nodeName+": containerd is not reached: there is no socket "+dir+"/containerd.sock", "--containerd-dir", "0 of 1 nodes are in order")
	contains(t, "status", must(t, ctl("status", "--node", nodeName)), "none: there is no socket of containerd")
}

// TestBrokenConfigMap: a typo in the ConfigMap stops no daemon, and everything says so.
func TestBrokenConfigMap(t *testing.T) {
	installed(t)
	config := func(text string) {
		t.Helper()
		b, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "recorderd", "namespace": recorderNS},
			"data": map[string]string{"recorderd.yaml": text}})
		if err != nil {
			t.Fatal(err)
		}
		apply(t, string(b))
		must(t, kubectl("-n", recorderNS, "rollout", "restart", "daemonset/recorderd"))
		must(t, kubectl("-n", recorderNS, "rollout", "status", "daemonset/recorderd", "--timeout=60s"))
	}
	status := func() api.ConfigStatus {
		t.Helper()
		var sts struct{ Nodes []api.Status }
		if err := json.Unmarshal([]byte(must(t, ctl("status", "-o", "json"))), &sts); err != nil || len(sts.Nodes) != 1 || sts.Nodes[0].Configuration == nil {
			t.Fatalf("status: %v, %+v", err, sts)
		}
		return *sts.Nodes[0].Configuration
	}
	config("no-args: true\nmemory-budget: 1GiB\n")
	if c := status(); c.Error != "" || len(c.Ignored) != 1 || c.Ignored[0] != "memory-budget" {
		t.Errorf("a good one: %+v", c)
	}
	config("no-args: true\nmemory-budged: 1GiB\n")
	if c := status(); !c.LastGood || !strings.Contains(c.Error, "recorderd.yaml:2: memory-budged") {
		t.Errorf("a broken one: %+v", c)
	}
	cmd := ctl(deployArgs()...)
	if out, err := run(cmd); err == nil || cmd.ProcessState.ExitCode() != 5 || !strings.Contains(out, "node "+nodeName+": the configuration is broken") {
		t.Errorf("deploy over a broken ConfigMap: %v: %s", err, out)
	}
}

// TestDeleted: when others than recorderctl delete the daemon set, the daemon leaves
// nothing on its node. What others have installed, deploy does not touch; and it says when
// a node has a recorderd already.
func TestDeleted(t *testing.T) {
	manifests := strings.ReplaceAll(must(t, ctl(deployArgs("--dry-run=client")...)), "managed-by: recorderctl", "managed-by: kustomize")
	apply(t, manifests)
	t.Cleanup(func() { run(undeploy()) })
	must(t, kubectl("-n", recorderNS, "rollout", "status", "daemonset/recorderd", "--timeout=60s"))

	fails(t, ctl(deployArgs()...), 1, "daemon set recorderd in namespace "+recorderNS, "was installed with kustomize")
	must(t, kubectl("-n", recorderNS, "annotate", "daemonset", "recorderd", "meta.helm.sh/release-name=flight"))
	fails(t, ctl(deployArgs()...), 1, "Helm release flight", "helm uninstall -n "+recorderNS+" flight")

	second := namespace(t)
	must(t, kubectl("label", "ns", second, "pod-security.kubernetes.io/enforce=privileged"))
	out, err := run(ctl(deployArgs("-n", second)...))
	if err == nil {
		t.Errorf("a second installation: no error: %s", out)
	}
	contains(t, "a second installation", out, "node "+nodeName+": the recorderd of namespace "+recorderNS+" runs there already", "recorderctl undeploy -n "+recorderNS)
	if out, err = run(undeploy("-n", second)); err != nil {
		t.Errorf("undeploy the second installation: %v: %s", err, out)
	}
	contains(t, "undeploy the second installation", out, "runs there already", "it is left as it is")
	daemonPid(t)

	cmd := kubectl("delete", "-f", "-", "--wait=false")
	cmd.Stdin = strings.NewReader(manifests)
	if out, err := run(cmd); err != nil {
		t.Fatalf("delete: %v: %s", err, out)
	}
	eventually(t, "nothing is pinned", 45*time.Second, func() bool { _, err := os.Stat(pins); return os.IsNotExist(err) })
}

// TestHelm installs, upgrades and uninstalls the chart with helm itself: recordings outlive an
// upgrade, and nothing stays on the node or in the cluster.
func TestHelm(t *testing.T) {
	ns := namespace(t)
	must(t, kubectl("label", "ns", ns, "pod-security.kubernetes.io/enforce=privileged"))
	helm := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(clusterDir, "bin", "helm"), append([]string{"-n", ns, "--kubeconfig", kubeconfig("admin")}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir()) // where helm keeps what it has fetched
		return must(t, cmd)
	}
	values := []string{"--wait", "--timeout", "60s", "--set", "image=" + image, "--set", "imagePullPolicy=Never", "--set", "containerdDir=" + filepath.Dir(containerd)}
	uninstall := func() string { return helm("uninstall", "flight", "--wait", "--timeout", "60s") }

	helm(append([]string{"install", "flight", "../../deploy/chart"}, values...)...)
	installed := true
	t.Cleanup(func() {
		if installed {
			uninstall()
		}
	})
	workload := namespace(t)
	pod(t, workload, "web", "restartPolicy: Never,", "app=echo no stock >&2; exit 3")
	saved := func() bool {
		out, err := run(ctl("list", "-n", workload, "--recorder-namespace", ns))
		return err == nil && strings.Contains(out, "exited with 3")
	}
	eventually(t, "the crash is listed", 30*time.Second, saved)
	old := daemonPid(t)
	helm(append([]string{"upgrade", "flight", "../../deploy/chart", "--set", "memoryBudgetMiB=128"}, values...)...)
	eventually(t, "another daemon", 30*time.Second, func() bool { return daemonPid(t) != old })
	eventually(t, "the crash is listed after the upgrade", 30*time.Second, saved)
	contains(t, "status after the upgrade", must(t, ctl("status", "--recorder-namespace", ns)), "128MiB")

	uninstall()
	installed = false
	eventually(t, "nothing is pinned", 45*time.Second, func() bool { _, err := os.Stat(pins); return os.IsNotExist(err) })
	for _, what := range []string{"daemonset/recorderd", "serviceaccount/recorderd", "role/recorderctl", "clusterrole/recorderd-" + ns, "clusterrolebinding/recorderd-" + ns} {
		if out, err := run(kubectl("-n", ns, "get", what)); err == nil || !strings.Contains(out, "NotFound") {
			t.Errorf("%s: %v: %s", what, err, out)
		}
	}
}

// TestUndeployFinds: what is pinned on the nodes is found and taken away without a daemon
// set.
func TestUndeployFinds(t *testing.T) {
	dir := t.TempDir()
	left := exec.Command(filepath.Join(bin, "recorderd"), "--pin-dir", pins, "--socket", filepath.Join(dir, "run", "s"), "--state-dir", dir, "--watch-only", "--ready-file", filepath.Join(dir, "ready"))
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another daemon", 30*time.Second, func() bool { _, err := os.Stat(filepath.Join(dir, "ready")); return err == nil })
	left.Process.Kill()
	left.Wait()
	if _, err := os.Stat(pins); err != nil {
		t.Fatalf("nothing is pinned: %v", err)
	}
	out, err := run(undeploy("--priority-class", ""))
	if err != nil {
		t.Errorf("undeploy: %v: %s", err, out)
	}
	contains(t, "undeploy", out, "there is no daemon set", "looking at", "node "+nodeName+": ", "pins of programs, maps and recordings were taken out of "+pins)
	if _, err := os.Stat(pins); err == nil {
		t.Errorf("%s is still there", pins)
	}
	if out, err = run(undeploy()); err != nil || !strings.Contains(out, "node "+nodeName+": nothing was pinned") {
		t.Errorf("undeploy once more: %v: %s", err, out)
	}
	if out, err := run(kubectl("get", "ns", recorderNS)); err == nil || !strings.Contains(out, "NotFound") {
		t.Errorf("the namespace: %v: %s", err, out)
	}
}
