package identity

import "strings"

// pod is what the cgroup of a Kubernetes pod tells.
type pod struct{ uid, qos string }

// parsePod reads the pod out of component i, if that is a pod's cgroup. The
// kubelet's cgroup drivers name it
//
//	cgroupfs   …/kubepods/burstable/pod<uid>
//	systemd    …/kubepods-burstable-pod<uid_with_underscores>.slice
//
// where a guaranteed pod has no class in its path, and --cgroup-root adds
// levels above (cgroupfs) or prefixes ("kubelet-kubepods-…", systemd). A
// container's cgroup has the systemd name inside its own when the kubelet uses
// the systemd driver and the runtime does not: "<slice>:cri-containerd:<id>".
func parsePod(comps []string, i int) (pod, bool) {
	comp := comps[i]
	if slice, _, ok := strings.Cut(comp, ":"); ok {
		comp = slice
	}
	if name, ok := strings.CutSuffix(comp, ".slice"); ok {
		return parsePodSlice(name)
	}
	uid, ok := strings.CutPrefix(comp, "pod")
	if !ok || uid == "" {
		return pod{}, false
	}
	parent := parentOf(comps, i)
	switch {
	case parent == "kubepods":
		return pod{uid, QoSGuaranteed}, true
	case qosOf(parent) != "" && (i < 2 || comps[i-2] == "kubepods" || comps[i-2] == ".."):
		return pod{uid, qosOf(parent)}, true
	case (parent == "" || parent == "..") && isUID(uid):
		// Seen from within a cgroup namespace: "/../../pod<uid>/<id>".
		return pod{uid: uid}, true
	}
	return pod{}, false
}

// parsePodSlice reads the name of a systemd slice, without ".slice".
func parsePodSlice(name string) (pod, bool) {
	const root = "kubepods-"
	at := strings.LastIndex(name, root)
	if at < 0 || at > 0 && name[at-1] != '-' {
		return pod{}, false
	}
	rest, qos := name[at+len(root):], QoSGuaranteed
	if class, after, ok := strings.Cut(rest, "-"); ok && qosOf(class) != "" {
		rest, qos = after, qosOf(class)
	}
	uid, ok := strings.CutPrefix(rest, "pod")
	if !ok || uid == "" {
		return pod{}, false
	}
	// systemd reads dashes as levels, so the kubelet writes underscores.
	return pod{strings.ReplaceAll(uid, "_", "-"), qos}, true
}

func qosOf(name string) string {
	switch name {
	case "burstable":
		return QoSBurstable
	case "besteffort":
		return QoSBestEffort
	}
	return ""
}

// isUID recognises the forms of pod UIDs: a UUID, and the 32 hex digits that
// the kubelet gives static pods.
func isUID(s string) bool {
	switch len(s) {
	case 32:
		return allHex(s)
	case 36:
		return s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
			allHex(strings.ReplaceAll(s, "-", ""))
	}
	return false
}

func allHex(s string) bool {
	for i := range len(s) {
		if !isHex(s[i]) {
			return false
		}
	}
	return true
}
