package install

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/kube"
)

// settleTime is how long a daemon that is ready may take to reach its container runtime.
const settleTime = 15 * time.Second

// Check looks at what the daemons say of themselves, and returns a NotReadyError with the
// nodes that lack something: the container runtime, or the configuration. dir is the
// directory in which the runtime's socket was looked for. Without the right to ask the
// daemons it says so, and returns nil.
func (in *Installer) Check(ctx context.Context, dir string, ask func(ctx context.Context) ([]api.Status, error)) error {
	runtimes := in.nodeInfo(ctx)
	deadline := time.Now().Add(settleTime)
	for {
		sts, err := ask(ctx)
		if err != nil && len(sts) == 0 {
			in.Say("whether the daemons reach their container runtimes was not found out: %v", err)
			return nil
		}
		var wrong []string
		mayMend := false
		for i := range sts {
			if why := runtimeOf(&sts[i], runtimes[sts[i].Node], dir); why != "" {
				wrong, mayMend = append(wrong, fmt.Sprintf("node %s: %s", sts[i].Node, why)), true
			}
			if c := sts[i].Configuration; c != nil && c.Error != "" {
				wrong = append(wrong, fmt.Sprintf("node %s: the configuration is broken, and the last good one is in force: %s", sts[i].Node, c.Error))
			}
		}
		if len(wrong) == 0 {
			in.tellIgnored(sts)
			if err != nil {
				in.Say("whether these reach their container runtimes was not found out: %v", err)
			}
			return nil
		}
		if !mayMend || time.Now().After(deadline) || pause(ctx, time.Second) != nil {
			bad := map[string]bool{}
			for _, line := range wrong {
				node, _, _ := strings.Cut(line, ": ")
				bad[node] = true
			}
			return &NotReadyError{What: "in order", Nodes: wrong, Ready: int32(len(sts) - len(bad)), Of: int32(len(sts))}
		}
	}
}

// tellIgnored says once which settings of the configuration do nothing.
func (in *Installer) tellIgnored(sts []api.Status) {
	for i := range sts {
		if c := sts[i].Configuration; c != nil && len(c.Ignored) > 0 {
			in.Say("%s in the ConfigMap have no effect, since deploy sets them: use its flags", strings.Join(c.Ignored, ", "))
			return
		}
	}
}

// nodeInfo is what the API server knows of the nodes' software, as far as it may be read.
func (in *Installer) nodeInfo(ctx context.Context) map[string]corev1.NodeSystemInfo {
	info := map[string]corev1.NodeSystemInfo{}
	var nodes corev1.NodeList
	err := in.request(ctx, func(ctx context.Context) error {
		return in.Kube.List(ctx, kube.Path{Resource: "nodes"}, kube.Select{}, &nodes)
	})
	if err != nil {
		return info // the advice is less exact then
	}
	for i := range nodes.Items {
		info[nodes.Items[i].Name] = nodes.Items[i].Status.NodeInfo
	}
	return info
}

// distributions are those that have containerd's socket elsewhere, by what is in the
// version of their kubelets.
var distributions = []struct{ version, name, dir string }{
	{"+k3s", "k3s", "/run/k3s/containerd"},
	{"+rke2", "RKE2", "/run/k3s/containerd"},
	{"+k0s", "k0s", "/run/k0s"},
}

// runtimeOf says what keeps a daemon from its node's container runtime, and what to do;
// empty: nothing does.
func runtimeOf(st *api.Status, node corev1.NodeSystemInfo, dir string) string {
	if name, _, ok := strings.Cut(node.ContainerRuntimeVersion, "://"); ok && name != "containerd" {
		return "" // such as cri-o: names come from the API server
	}
	broken := ""
	for _, rt := range st.Runtimes {
		switch {
		case rt.Name == "kubernetes":
		case rt.Connected:
			return ""
		case rt.Error != "":
			broken = fmt.Sprintf("containerd at %s does not answer: %s", rt.Address, rt.Error)
		}
	}
	if broken != "" {
		return broken
	}
	why := fmt.Sprintf("containerd is not reached: there is no socket %s/containerd.sock", dir)
	for _, d := range distributions {
		if strings.Contains(node.KubeletVersion, d.version) && d.dir != dir {
			return fmt.Sprintf("%s; %s has it elsewhere: recorderctl deploy --containerd-dir %s", why, d.name, d.dir)
		}
	}
	return why + ": recorderctl deploy --containerd-dir DIRECTORY names the one where it is (k3s and RKE2: /run/k3s/containerd; k0s: /run/k0s; MicroK8s: /var/snap/microk8s/common/run)"
}
