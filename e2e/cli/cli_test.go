//go:build e2e

package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
)

// TestTargets finds what a user means, whatever became of it.
func TestTargets(t *testing.T) {
	ns := namespace(t)
	pod(t, ns, "crash", "", "app=cat /etc/crash.conf; exit 3", "side=while :; do sleep 1; done")
	pod(t, ns, "oom", "restartPolicy: Never,", "eat=tail /dev/zero")
	run(kubectl("-n", ns, "delete", "pod", "oom", "--force"))
	apply(t, fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: oom, namespace: %s}, spec: {restartPolicy: Never, containers: [{name: eat, image: %q, imagePullPolicy: Never, command: [sh, -c, "x=a; while :; do x=$x$x; done"], resources: {limits: {memory: 24Mi}}}]}}`, ns, busybox))
	pod(t, ns, "init", fmt.Sprintf("restartPolicy: Never, initContainers: [%s],", containerYAML("setup=cat /etc/init.conf; exit 7")), "app=sleep 1000")
	pod(t, ns, "gone", "", "app=cat /etc/gone.conf; sleep 1000")
	apply(t, fmt.Sprintf(`{apiVersion: batch/v1, kind: Job, metadata: {name: work, namespace: %s}, spec: {template: {spec: {restartPolicy: Never, containers: [%s]}}}}`, ns, containerYAML("work=cat /etc/work.conf; exit 0")))
	apply(t, fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: %s}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {terminationGracePeriodSeconds: 1, containers: [%s]}}}}`, ns, containerYAML("web=cat /etc/web.conf; sleep 1000")))

	// A crash loop: the instance of before, by kubectl's flag.
	for i, r := range ended(t, ns, "crash", "app", 2) {
		if r.Exit.Code != 3 || r.Pod == nil || r.Pod.Namespace != ns || r.Node != nodeName {
			t.Errorf("crash %d: exit %+v, pod %+v, node %s", i, r.Exit, r.Pod, r.Node)
		}
	}
	out := must(t, ctl("dump", "-n", ns, "crash", "-c", "app", "--previous"))
	contains(t, "crash --previous", out, "/etc/crash.conf", "ENOENT", "+++ exited with 3 +++", "execve(", "\"sh\"")
	out = must(t, ctl("dump", "-n", ns, "pod/crash", "--previous")) // the first container, as with kubectl
	contains(t, "pod/crash", out, "container app, pod "+ns+"/crash")
	contains(t, "show --previous", must(t, ctl("show", "-n", ns, "crash", "-c", "app", "--previous")), "exited with 3", "/etc/crash.conf", "cat /etc/crash.conf")
	eventually(t, "an event on the pod", 30*time.Second, func() bool {
		out, _ := run(kubectl("-n", ns, "get", "events", "--field-selector", "involvedObject.name=crash"))
		return strings.Contains(out, "FlightRecorderSaved") && strings.Contains(out, "recorderctl show -n "+ns+" crash -c app --previous")
	})
	eventually(t, "a crash on the node's disk", 30*time.Second, func() bool {
		out, _ := run(ctl("list", "-n", ns, "-o", "json"))
		return strings.Contains(out, `"reason": "exit"`)
	})

	if r := ended(t, ns, "oom", "eat", 1)[0]; !r.Exit.OOMKilled && r.Exit.Signal != "SIGKILL" {
		t.Errorf("out of memory: exit %+v", r.Exit)
	}
	contains(t, "oom", must(t, ctl("dump", "-n", ns, "oom")), "+++ killed by SIGKILL +++", "execve(")
	if r := ended(t, ns, "init", "setup", 1)[0]; r.Exit.Code != 7 {
		t.Errorf("init container: exit %+v", r.Exit)
	}
	contains(t, "init", must(t, ctl("dump", "-n", ns, "pod/init", "-c", "setup")), "/etc/init.conf", "+++ exited with 7 +++")
	contains(t, "job", must(t, ctl("dump", "-n", ns, "job/work")), "/etc/work.conf", "+++ exited with 0 +++")
	eventually(t, "recordings of deploy/web", 30*time.Second, func() bool {
		out, err := run(ctl("dump", "-n", ns, "deploy/web", "--failed"))
		return err == nil && strings.Contains(out, "/etc/web.conf") && strings.Contains(out, "deploy/web has 2 pods: this is pod/web-")
	})
	contains(t, "by label", must(t, ctl("list", "-A", "-l", "app=web", "-o", "wide")), ns+"/web-")

	// Deleted: the API server knows nothing of it any more.
	eventually(t, "the pod's first calls", 30*time.Second, func() bool {
		out, _ := run(ctl("dump", "-n", ns, "gone", "-c", "app"))
		return strings.Contains(out, "/etc/gone.conf")
	})
	must(t, kubectl("-n", ns, "delete", "pod", "gone"))
	contains(t, "deleted", must(t, ctl("dump", "-n", ns, "gone", "-c", "app")), "/etc/gone.conf")
	id := recordings(t, ns, "gone", "app")[0].ID
	contains(t, "an id needs no namespace", must(t, ctl("dump", id, "--last", "1")), ns+"/gone")

	fails(t, ctl("dump", "crash"), 3, `"crash"`, "default", "but there is ", ns+"/crash")
	fails(t, ctl("dump", "-n", ns, "nosuch"), 3, "no recording", "nosuch")
	fails(t, ctl("dump", "-n", ns, "deploy/nosuch"), 3, "deploy/nosuch", ns)
	fails(t, ctl("dump", "-n", ns, "cronjob/x"), 2, "cronjob/", "deploy/")
}

// TestPlugin calls the program as kubectl does.
func TestPlugin(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(bin, "recorderctl"), filepath.Join(dir, "kubectl-recorder")); err != nil {
		t.Fatal(err)
	}
	cmd := kubectl("recorder", "status", "--recorder-namespace", recorderNS)
	cmd.Env = append(cmd.Env, "PATH="+dir+":"+os.Getenv("PATH"))
	contains(t, "status", must(t, cmd), nodeName, "BUDGET")
	cmd = kubectl("recorder", "list", "--help")
	cmd.Env = append(cmd.Env, "PATH="+dir+":"+os.Getenv("PATH"))
	contains(t, "help", must(t, cmd), "kubectl recorder list [flags]")
}

// TestCompletion completes from the cluster, and quickly gives up on one that is away.
func TestCompletion(t *testing.T) {
	ns := namespace(t)
	pod(t, ns, "complete-me", "", "app=sleep 1000")
	eventually(t, "the pod's name", 30*time.Second, func() bool {
		out, _ := run(ctl("__complete", "dump", "-n", ns, "comp"))
		return strings.Contains(out, "complete-me")
	})
	contains(t, "pod/", must(t, ctl("__complete", "dump", "-n", ns, "pod/")), "pod/complete-me")
	contains(t, "--node", must(t, ctl("__complete", "list", "--node", "")), nodeName)
	contains(t, "--context", must(t, ctl("__complete", "list", "--context", "")), "k8slocal")
	contains(t, "-n", must(t, ctl("__complete", "list", "-n", "e2e-cli-")), ns)
	away := kubeconfigTo(t, "https://10.244.0.250:443") // no such host: packets vanish
	start := time.Now()
	run(ctl("__complete", "dump", "--kubeconfig", away, ""))
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("completion without a cluster took %s", took)
	}
}

// kubeconfigTo is the administrator's with another server.
func kubeconfigTo(t *testing.T, server string) string {
	t.Helper()
	b, err := os.ReadFile(kubeconfig("admin"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config")
	b = regexp.MustCompile(`server: [^,}\s]*`).ReplaceAll(b, []byte("server: "+server))
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestRefusals: one clear line each, and the status that the help promises.
func TestRefusals(t *testing.T) {
	ns := namespace(t)
	pod(t, ns, "web", "", "app=sleep 1000")
	fails(t, ctl("list", "--context", "nowhere"), 2, "nowhere", "k8slocal")
	fails(t, ctl("list", "--kubeconfig", "/nonexistent"), 2, "/nonexistent")
	fails(t, ctl("list", "--kubeconfig", kubeconfigTo(t, "https://10.96.0.1:1")), 4, "10.96.0.1:1", "connection refused")
	fails(t, ctl("list", "--recorder-namespace", "default"), 4, "no recorderd in namespace default", "--recorder-namespace")
	fails(t, ctl("list", "--node", "nowhere"), 4, "node nowhere has no recorderd")
	fails(t, ctl("list", "--socket", "/x", "--node", "n"), 2, "--socket", "--node")

	fails(t, ctlAs("nobody", "list", "-A"), 6, "nobody", "pods: list in namespace "+recorderNS)
	rbac := func(name, rules string) {
		apply(t, fmt.Sprintf(`
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: %[1]s, namespace: %[2]s}, rules: %[3]s}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: %[1]s, namespace: %[2]s}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: nobody}]}
`, name, recorderNS, rules))
	}
	t.Cleanup(func() {
		run(kubectl("-n", recorderNS, "delete", "rolebinding", "e2e-look", "e2e-use", "--ignore-not-found"))
		run(kubectl("-n", recorderNS, "delete", "role", "e2e-look", "--ignore-not-found"))
	})
	rbac("e2e-look", `[{apiGroups: [""], resources: [pods], verbs: [get, list]}]`)
	eventually(t, "the right to see pods", 20*time.Second, func() bool {
		out, _ := run(ctlAs("nobody", "list", "-A"))
		return !strings.Contains(out, "pods: list")
	})
	fails(t, ctlAs("nobody", "list", "-A"), 6, "nobody", "pods/exec: create in namespace "+recorderNS)
	fails(t, ctlAs("nobody", "dump", "-n", ns, "web"), 6, "pods/exec: create in namespace "+recorderNS)

	// The role that comes with the recorder is all that a user needs.
	apply(t, fmt.Sprintf(`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: e2e-use, namespace: %s}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: recorderctl}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: nobody}]}`, recorderNS))
	eventually(t, "a list with the role recorderctl", 20*time.Second, func() bool {
		out, err := run(ctlAs("nobody", "list", "-n", ns))
		return err == nil && strings.Contains(out, ns+"/web")
	})
	eventually(t, "a dump without the right to see the pod itself", 20*time.Second, func() bool {
		out, err := run(ctlAs("nobody", "dump", "-n", ns, "pod/web", "-c", "app", "--last", "1"))
		return err == nil && strings.Contains(out, ns+"/web")
	})
}

// TestGhost adds a node on which nothing ever runs.
func TestGhost(t *testing.T) {
	ns := namespace(t)
	pod(t, ns, "here", "nodeName: "+nodeName+",", "app=sleep 1000")
	eventually(t, "a recording on the other node", 60*time.Second, func() bool {
		out, _ := run(ctl("list", "-n", ns))
		return strings.Contains(out, ns+"/here")
	})
	apply(t, "{apiVersion: v1, kind: Node, metadata: {name: ghost}}")
	t.Cleanup(func() {
		run(kubectl("delete", "node", "ghost", "--ignore-not-found"))
		run(kubectl("-n", recorderNS, "delete", "pods", "--field-selector", "spec.nodeName=ghost", "--force", "--grace-period=0"))
	})
	pod(t, ns, "lost", "nodeName: ghost,", "app=sleep 1000")
	eventually(t, "a daemon's pod that cannot be scheduled", 60*time.Second, func() bool {
		out, _ := run(ctl("list", "-A", "-o", "name"))
		return strings.Contains(out, "node ghost: ") && strings.Contains(out, "not scheduled")
	})
	must(t, kubectl("patch", "node", "ghost", "--subresource=status", "--type=merge", "-p",
		`{"status":{"capacity":{"pods":"20","cpu":"4","memory":"8Gi"},"allocatable":{"pods":"20","cpu":"4","memory":"8Gi"}}}`))
	eventually(t, "the daemon's pod for the ghost", 60*time.Second, func() bool {
		out, _ := run(kubectl("-n", recorderNS, "get", "pods", "--field-selector", "spec.nodeName=ghost", "-o", "name"))
		return strings.Contains(out, "pod/recorderd")
	})
	cmd := ctl("list", "-A", "-o", "name")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() != 5 || out.Len() == 0 {
		t.Errorf("list: %v, %d bytes, %s; want status 5 and what the other node has", err, out.Len(), errs.String())
	}
	contains(t, "who did not answer", errs.String(), "node ghost:", "1 of 2 nodes did not answer")
	fails(t, ctl("dump", "-n", ns, "lost"), 4, "node ghost", "does not run")
	o, err := run(ctl("dump", "-n", ns, "nosuch"))
	if err == nil || !strings.Contains(o, "ghost") {
		t.Errorf("not found while a node is away: %v, %s", err, o)
	}

	// A daemon set that leaves the node out.
	must(t, kubectl("-n", recorderNS, "patch", "daemonset", "recorderd", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"`+nodeName+`"}}}}}`))
	t.Cleanup(func() { run(ctl(deployArgs()...)) })
	eventually(t, "no daemon on the ghost", 60*time.Second, func() bool {
		out, _ := run(kubectl("-n", recorderNS, "delete", "pods", "--field-selector", "spec.nodeName=ghost", "--force", "--grace-period=0"))
		return strings.Contains(out, "No resources found")
	})
	eventually(t, "the daemon to be back", 60*time.Second, func() bool {
		out, _ := run(ctl("list", "-A", "-o", "name"))
		return !strings.Contains(out, "did not answer") && !strings.Contains(out, "no recorderd")
	})
	fails(t, ctl("dump", "-n", ns, "lost"), 4, "pod "+ns+"/lost", "node ghost has no recorderd")
}

// TestDiagnosis: deploy says what is wrong with a node.
func TestDiagnosis(t *testing.T) {
	t.Cleanup(func() {
		if out, err := run(ctl(deployArgs()...)); err != nil {
			t.Errorf("deploy again: %v: %s", err, out)
		}
	})
	out, err := run(ctl(deployArgs("--image", "docker.io/k8slocal/nosuch:1", "--timeout", "15s")...))
	if err == nil {
		t.Errorf("an image that is not there: no error: %s", out)
	}
	contains(t, "image", out, "node "+nodeName+": ErrImageNeverPull", "0 of 1 nodes are recorded")

	// A daemon that refuses to start says why in its own words.
	must(t, kubectl("-n", recorderNS, "delete", "daemonset", "recorderd"))
	eventually(t, "no daemon", 30*time.Second, func() bool {
		out, _ := run(kubectl("-n", recorderNS, "get", "pods", "-o", "name"))
		return out == ""
	})
	dir := t.TempDir()
	other := exec.Command(filepath.Join(bin, "recorderd"), "--pin-dir", pins, "--socket", filepath.Join(dir, "run", "s"), "--state-dir", dir, "--watch-only", "--ready-file", filepath.Join(dir, "ready"))
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	eventually(t, "another daemon", 30*time.Second, func() bool { _, err := os.Stat(filepath.Join(dir, "ready")); return err == nil })
	out, err = run(ctl(deployArgs("--timeout", "15s")...))
	if err == nil {
		t.Errorf("a pin directory that is in use: no error: %s", out)
	}
	contains(t, "in use", out, "node "+nodeName+":", "in use", pins)
	fails(t, ctl("list", "-A"), 4, "node "+nodeName, "does not run", "in use")

	// Pod Security, in a namespace that is others'.
	ns := namespace(t)
	must(t, kubectl("label", "ns", ns, "pod-security.kubernetes.io/enforce=restricted"))
	out, err = run(ctl(deployArgs("-n", ns, "--timeout", "10s")...))
	if err == nil {
		t.Errorf("Pod Security: no error: %s", out)
	}
	contains(t, "Pod Security", out, "allows only", "restricted", "kubectl label --overwrite namespace "+ns+" pod-security.kubernetes.io/enforce=privileged")
	if out, err := run(undeploy("-n", ns, "--timeout", "10s")); err == nil {
		t.Errorf("undeploy where no pod may be: no error: %s", out)
	}
	run(kubectl("delete", "clusterrole,clusterrolebinding", "recorderd-"+ns))
}

// TestSecurity: the namespace is what Pod Security wants, and the daemon has the
// capabilities that are listed, and no others.
func TestSecurity(t *testing.T) {
	level := must(t, kubectl("get", "ns", recorderNS, "-o", `jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}`))
	if level != "privileged" {
		t.Errorf("the namespace enforces %q", level)
	}
	pid := daemonPid(t)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	const want = uint64(1<<39 | 1<<38 | 1<<19) // BPF, PERFMON, SYS_PTRACE
	for _, set := range []string{"CapEff", "CapPrm", "CapBnd"} {
		m := regexp.MustCompile(set + `:\s+([0-9a-f]+)`).FindSubmatch(status)
		if got, err := strconv.ParseUint(string(m[1]), 16, 64); err != nil || got != want {
			t.Errorf("%s is %x, want %x", set, got, want)
		}
	}
	contains(t, "status", string(status), "NoNewPrivs:\t1", "Seccomp:\t2")
}

// daemonPid returns the process of the deployed daemon.
func daemonPid(t *testing.T) int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		b, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if bytes.HasPrefix(b, []byte("/recorderd\x00--node="+nodeName)) {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("the daemon does not run")
	return 0
}

// dialers returns the processes that carry connections in the daemon's pod.
func dialers(t *testing.T) []int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, dir := range dirs {
		b, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if bytes.HasPrefix(b, []byte("/recorderctl\x00dial-stdio")) {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestEnds: a command that is interrupted leaves nothing in the pod, and one that is cut
// says so.
func TestEnds(t *testing.T) {
	ns := namespace(t)
	pod(t, ns, "busy", "", "app=i=0; while :; do echo line $i; i=$((i+1)); sleep 0.05; done")
	follow := func() (*exec.Cmd, *bytes.Buffer, *os.File) {
		out, err := os.CreateTemp(t.TempDir(), "out")
		if err != nil {
			t.Fatal(err)
		}
		cmd := ctl("dump", "-n", ns, "busy", "-f", "-o", "raw")
		var errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = out, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "something of the dump", 20*time.Second, func() bool {
			st, err := out.Stat()
			return err == nil && st.Size() > 20000
		})
		return cmd, &errs, out
	}
	eventually(t, "the pod's recording", 30*time.Second, func() bool {
		_, err := run(ctl("dump", "-n", ns, "busy", "--last", "1"))
		return err == nil
	})
	cmd, _, _ := follow()
	if len(dialers(t)) != 1 {
		t.Errorf("%d connections, want 1", len(dialers(t)))
	}
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait()
	eventually(t, "the connection's end after ^C", 10*time.Second, func() bool { return len(dialers(t)) == 0 })

	cmd, errs, out := follow()
	for _, pid := range dialers(t) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := cmd.Wait(); err == nil || strings.Count(strings.TrimSpace(errs.String()), "\n") != 0 || errs.Len() == 0 {
		t.Errorf("cut: %v: %q", err, errs.String())
	}
	o, err := run(ctl("decode", out.Name(), "--last", "1"))
	if err == nil {
		t.Errorf("half a dump looks whole: %s", o)
	}

	cmd, errs, _ = follow() // the daemon's pod goes
	must(t, kubectl("-n", recorderNS, "delete", "pod", "-l", "app.kubernetes.io/name=recorderd"))
	if err := cmd.Wait(); err == nil || errs.Len() == 0 {
		t.Errorf("the pod has gone: %v: %q", err, errs.String())
	}
	eventually(t, "the daemon to be back", 60*time.Second, func() bool {
		_, err := run(ctl("status"))
		return err == nil
	})
}

// TestRollout replaces the daemon while pods write numbered lines. Not one may be
// missing.
func TestRollout(t *testing.T) {
	ns := namespace(t)
	const pods = 4
	for i := range pods {
		pod(t, ns, fmt.Sprintf("count-%d", i), "", "app=i=0; while :; do echo number $i >&2; i=$((i+1)); usleep 20000; done")
	}
	eventually(t, "all count", 60*time.Second, func() bool {
		for i := range pods {
			out, err := run(ctl("dump", "-n", ns, fmt.Sprintf("count-%d", i), "-e", "write"))
			if err != nil || !strings.Contains(out, "number 10\\n") {
				return false
			}
		}
		return true
	})
	before := daemonPid(t)
	must(t, kubectl("-n", recorderNS, "rollout", "restart", "daemonset/recorderd"))
	must(t, kubectl("-n", recorderNS, "rollout", "status", "daemonset/recorderd", "--timeout=60s"))
	if daemonPid(t) == before {
		t.Fatal("it is the same daemon")
	}
	number := regexp.MustCompile(`write\([12], "number (\d+)\\n"`)
	var adopted struct{ Nodes []api.Status }
	if err := json.Unmarshal([]byte(must(t, ctl("status", "-o", "json"))), &adopted); err != nil || len(adopted.Nodes) != 1 || !adopted.Nodes[0].Adopted {
		t.Errorf("status: %v, %+v; want one node that has adopted", err, adopted)
	}
	for i := range pods {
		out := must(t, ctl("dump", "-n", ns, fmt.Sprintf("count-%d", i), "-e", "write"))
		last := -1
		for _, m := range number.FindAllStringSubmatch(out, -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil || n != last+1 {
				t.Fatalf("count-%d: %d comes after %d", i, n, last)
			}
			last = n
		}
		if last < 100 {
			t.Errorf("count-%d: only %d numbers", i, last)
		}
		t.Logf("count-%d: %d numbers, none missing", i, last+1)
	}
}

// TestBigDump compares a dump of 64 MiB through the cluster with the same over the
// node's socket, and its speed with kubectl exec cat of the same bytes.
func TestBigDump(t *testing.T) {
	out, err := run(ctl(deployArgs("--ring-size", "64MiB", "--memory-budget", "4GiB")...))
	if err != nil {
		t.Fatalf("deploy: %v: %s", err, out)
	}
	t.Cleanup(func() { run(ctl(deployArgs()...)) })
	ns := namespace(t)
	// Records of half a KiB: what is written to standard output is kept.
	pod(t, ns, "big", "", "app=dd if=/dev/zero bs=400 count=300000 2>/dev/null >/dev/stdout | cat >/dev/null; dd if=/dev/zero of=/proc/self/fd/1 bs=500 count=260000 | cat >/dev/null; sleep 100000")
	var full api.Recording
	eventually(t, "a full ring", 120*time.Second, func() bool {
		recs := recordings(t, ns, "big", "app")
		if len(recs) == 1 && recs[0].Coverage.Bytes >= 64<<20 && recs[0].Tasks.Live <= 2 {
			full = recs[0]
		}
		return full.ID != ""
	})
	dir := t.TempDir()
	file := filepath.Join(dir, "big.rec")
	fetch := func(w io.Writer, args ...string) time.Duration {
		t.Helper()
		cmd := ctl(append([]string{"dump", full.ID, "-o", "raw"}, args...)...)
		if len(args) > 0 { // --socket excludes the cluster's flags
			cmd = exec.Command(filepath.Join(bin, "recorderctl"), append([]string{"dump", full.ID, "-o", "raw"}, args...)...)
		}
		var errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = w, &errs
		start := time.Now()
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %v: %s", cmd.Args, err, errs.String())
		}
		return time.Since(start)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	fetch(f)
	f.Close()
	st, err := os.Stat(file)
	if err != nil || st.Size() < 60<<20 {
		t.Fatalf("the dump has %d bytes: %v", st.Size(), err)
	}
	local := filepath.Join(dir, "local.rec")
	if f, err = os.Create(local); err != nil {
		t.Fatal(err)
	}
	fetch(f, "--socket", "/run/recorderd/recorderd.sock")
	f.Close()
	if a, b := calls(t, file), calls(t, local); a != b {
		t.Errorf("through the cluster the calls have checksum %s, over the socket %s", a, b)
	}

	// The same bytes by kubectl exec cat, from a file of the node.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	apply(t, fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: cat, namespace: %s}, spec: {terminationGracePeriodSeconds: 1, volumes: [{name: data, hostPath: {path: %q}}], containers: [{name: app, image: %q, imagePullPolicy: Never, command: [sh, -c, "while :; do sleep 1; done"], volumeMounts: [{name: data, mountPath: /data}]}]}}`, ns, dir, busybox))
	must(t, kubectl("-n", ns, "wait", "--for=condition=Ready", "pod/cat", "--timeout=60s"))
	var ours, theirs []time.Duration
	for range 5 {
		cat := kubectl("-n", ns, "exec", "cat", "--", "cat", "/data/big.rec")
		var got counter
		cat.Stdout = &got
		start := time.Now()
		if err := cat.Run(); err != nil {
			t.Fatal(err)
		}
		theirs = append(theirs, time.Since(start))
		if int64(got) != st.Size() {
			t.Fatalf("kubectl exec cat: %d bytes of %d", got, st.Size())
		}
		got = 0
		ours = append(ours, fetch(&got))
		if int64(got) < st.Size()*9/10 {
			t.Fatalf("dump: %d bytes of %d", got, st.Size())
		}
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	t.Logf("%d bytes: dump %s, kubectl exec cat %s (medians of 5)", st.Size(), ours[2], theirs[2])
	if ours[2] > theirs[2]*3/2 {
		t.Errorf("a dump takes %s, kubectl exec cat of the same bytes %s: more than 1.5 times as long", ours[2], theirs[2])
	}
}

// calls is a checksum of all calls of a dump that had ended when it was taken.
func calls(t *testing.T, file string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "recorderctl"), "decode", file, "-o", "strace", "-e", "write,read")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("decode: %v: %s", err, errs.String())
	}
	h := sha256.New()
	n := 0
	for line := range bytes.Lines(out) {
		if !bytes.Contains(line, []byte("unfinished")) {
			// Each dump compares the clocks anew: times differ by microseconds.
			fields := bytes.Fields(line)
			h.Write(bytes.Join(slices.Delete(fields, 1, 2), []byte(" ")))
			n++
		}
	}
	if n < 10000 {
		t.Errorf("%s has %d calls", file, n)
	}
	return fmt.Sprintf("%x of %d calls", h.Sum(nil)[:8], n)
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// TestInCluster runs recorderctl in a pod, with the pod's own credentials.
func TestInCluster(t *testing.T) {
	ns := namespace(t)
	pod(t, ns, "web", "", "app=cat /etc/web.conf; sleep 1000")
	apply(t, fmt.Sprintf(`
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: e2e-pod, namespace: %[2]s}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: recorderctl}, subjects: [{kind: ServiceAccount, name: default, namespace: %[1]s}]}
---
{apiVersion: v1, kind: Pod, metadata: {name: ctl, namespace: %[1]s}, spec: {restartPolicy: Never, containers: [{name: ctl, image: %[3]q, imagePullPolicy: Never, command: [/recorderctl, dump, --recorder-namespace, %[2]s, pod/web, -c, app, --failed]}]}}
`, ns, recorderNS, image))
	t.Cleanup(func() { run(kubectl("-n", recorderNS, "delete", "rolebinding", "e2e-pod", "--ignore-not-found")) })
	eventually(t, "the pod's end", 60*time.Second, func() bool {
		out, _ := run(kubectl("-n", ns, "get", "pod", "ctl", "-o", "jsonpath={.status.phase}"))
		return out == "Succeeded" || out == "Failed"
	})
	contains(t, "its log", must(t, kubectl("-n", ns, "logs", "ctl")), "/etc/web.conf", "ENOENT")
}

// TestZUndeploy is the last: nothing is left.
func TestZUndeploy(t *testing.T) {
	if _, err := os.Stat(pins); err != nil {
		t.Fatalf("there is nothing to take away: %v", err)
	}
	out, err := run(ctl("undeploy"))
	if err != nil {
		t.Fatalf("undeploy: %v: %s", err, out)
	}
	if _, err := os.Stat(pins); err == nil {
		t.Errorf("%s is still there", pins)
	}
	for _, what := range []string{"ns/" + recorderNS, "clusterrole/recorderd-" + recorderNS, "clusterrolebinding/recorderd-" + recorderNS} {
		if out, err := run(kubectl("get", what)); err == nil || !strings.Contains(out, "NotFound") {
			t.Errorf("%s: %v: %s", what, err, out)
		}
	}
	if out, err := run(undeploy()); err != nil {
		t.Errorf("undeploy once more: %v: %s", err, out)
	}
}
