// Package identity answers one question: which container does this cgroup
// belong to? It knows the cgroup paths of Kubernetes, containerd, Docker,
// CRI-O and Podman under both cgroup drivers, and needs nothing but the path:
// no root, no kernel, no runtime to ask.
//
// Paths are those of /proc/PID/cgroup, or relative to a cgroup mount; v1 and
// v2 look alike. Runtimes name a container's cgroup after its id of 64 hex
// digits, and that name alone decides ([IsContainerName]); the components above
// it add what they know about pod and runtime. Containers with ids of another
// form (ctr's) cannot be told from any other cgroup: see [ParseBelow].
package identity

import "strings"

// Names of runtimes in [Container.Runtime].
const (
	RuntimeContainerd = "containerd"
	RuntimeCRIO       = "cri-o"
	RuntimeDocker     = "docker"
	RuntimeKata       = "kata"
	RuntimePodman     = "podman"
	RuntimeRunc       = "runc"
)

// Quality of service classes in [Container.QoS], spelled as in a pod's status.
const (
	QoSGuaranteed = "Guaranteed"
	QoSBurstable  = "Burstable"
	QoSBestEffort = "BestEffort"
)

// Container is what a cgroup's path tells about the container it belongs to.
type Container struct {
	// ID is the runtime's id of the container: 64 hex digits from Parse,
	// any cgroup's name from ParseBelow.
	ID string

	// Runtime is one of the Runtime constants, or "" where the path doesn't
	// tell: the cgroupfs driver calls a pod's container by its bare id,
	// whether containerd or Docker runs it.
	Runtime string

	// PodUID is the UID of the Kubernetes pod that the container is part of
	// or was started in, as the kubelet has it: usually a UUID with dashes,
	// for static pods 32 hex digits. "" outside of pods.
	PodUID string

	// QoS is the pod's class, one of the QoS constants. "" without a pod and
	// where a cgroup namespace hides the pod's parents.
	QoS string

	// Path is the container's own cgroup: the path that was parsed, cut
	// behind the container's component.
	Path string

	// Nested holds the ids of the containers around this one, outermost
	// first: a kind node's Docker container around the node's pods.
	Nested []string
}

// IsContainerName reports whether a cgroup of this name, which is the last
// component of its path, is a container's own cgroup: it ends in a run of exactly
// 64 hex digits, or in one and ".scope". Not so conmon's, which has its
// container's id in its name: nothing with "conmon" in it is a container.
//
// Other cgroups that carry an id have something behind it: mount units
// ("…-<id>-mounts-shm.mount"), the units of Podman's and nerdctl's health checks
// ("<id>.service"), the slices of Podman's pods ("machine-libpod_pod_<id>.slice").
//
// The BPF program claims rings by the same rule. It may be laxer, since user
// space gives a ring back that Parse finds no container for, never stricter.
func IsContainerName(name string) bool {
	_, _, ok := splitName(name)
	return ok
}

const idLen = 64

// splitName finds the id in a container's cgroup name, and what precedes it.
func splitName(name string) (prefix, id string, ok bool) {
	if strings.Contains(name, "conmon") {
		return "", "", false
	}
	return splitID(name)
}

func splitID(name string) (prefix, id string, ok bool) {
	name = strings.TrimSuffix(name, ".scope")
	start := len(name)
	for start > 0 && isHex(name[start-1]) {
		start--
	}
	if len(name)-start != idLen {
		return "", "", false
	}
	return name[:start], name[start:], true
}

// isHex knows lower case only, which is how ids are written.
func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f'
}

// Parse finds the container that a cgroup belongs to: the one whose own cgroup
// it is, or the nearest one above it, so that what systemd or a runtime creates
// inside a container is still that container's unless it has an id of its own.
// It reports false for cgroups of no container: pods, slices, services, conmon.
//
// Paths may be relative to a cgroup namespace ("/../../docker/…"), and may end
// in " (deleted)", as those of removed cgroups do in /proc.
func Parse(path string) (Container, bool) {
	comps := components(path)
	var (
		c   Container
		ok  bool
		pod pod
	)
	for i, comp := range comps {
		if p, found := parsePod(comps, i); found {
			pod = p
		}
		prefix, id, found := splitName(comp)
		if !found || isPodmanPod(comps, i) {
			continue
		}
		if ok {
			c.Nested = append(c.Nested, c.ID)
		}
		c.ID, ok = id, true
		c.Runtime = runtimeOf(prefix, parentOf(comps, i))
		c.PodUID, c.QoS = pod.uid, pod.qos
		c.Path = "/" + strings.Join(comps[:i+1], "/")
	}
	return c, ok
}

// ParseBelow finds the container of a cgroup below a root that is watched as a
// whole, because an operator said so or because it belongs to a namespace of
// containerd's ctr: there each child of the root is a container, whatever its
// name. A name that does carry a container's id gives ID and Runtime as in
// [Parse]; any other name is the ID itself. It reports false for the root
// itself, for what is not below it, and for mount units and conmon's scopes.
func ParseBelow(root, path string) (Container, bool) {
	above, comps := components(root), components(path)
	if len(comps) <= len(above) {
		return Container{}, false
	}
	for i, comp := range above {
		if comps[i] != comp {
			return Container{}, false
		}
	}
	name := comps[len(above)]
	c := Container{ID: name, Path: "/" + strings.Join(comps[:len(above)+1], "/")}
	prefix, id, ok := splitName(name)
	switch {
	case ok:
		c.ID, c.Runtime = id, runtimeOf(prefix, parentOf(comps, len(above)))
	case name == "..", strings.HasSuffix(name, ".mount"), isConmon(name):
		return Container{}, false
	}
	return c, true
}

// isConmon tells conmon's cgroups, which carry the id of their container, from
// those of somebody's container that is called "conmon-test".
func isConmon(name string) bool {
	_, _, hasID := splitID(name)
	return hasID && strings.Contains(name, "conmon")
}

// components splits a path at its slashes, and drops what carries no name.
// Leading ".." stay: they say how far above the reader's cgroup namespace the
// path begins.
func components(path string) []string {
	for strings.HasSuffix(path, " (deleted)") {
		path = strings.TrimSuffix(path, " (deleted)")
	}
	var comps []string
	for comp := range strings.SplitSeq(path, "/") {
		switch {
		case comp == "" || comp == ".":
		case comp == ".." && len(comps) > 0 && comps[len(comps)-1] != "..":
			comps = comps[:len(comps)-1]
		default:
			comps = append(comps, comp)
		}
	}
	return comps
}

func parentOf(comps []string, i int) string {
	if i == 0 {
		return ""
	}
	return comps[i-1]
}

// runtimeOf names the runtime from what precedes the id in the cgroup's name,
// and where that is nothing from the parent's name.
func runtimeOf(prefix, parent string) string {
	// "kubepods-pod….slice:cri-containerd:" is what runc makes of a systemd
	// path when it was told to use cgroupfs.
	if before, ok := strings.CutSuffix(prefix, ":"); ok {
		prefix = before[strings.LastIndexByte(before, ':')+1:]
	}
	switch strings.TrimRight(prefix, "-_") {
	case "cri-containerd", "containerd", "nerdctl":
		return RuntimeContainerd
	case "crio":
		return RuntimeCRIO
	case "docker":
		return RuntimeDocker
	case "kata", "kata_overhead":
		return RuntimeKata
	case "libpod", "libpod-payload":
		return RuntimePodman
	case "runc":
		return RuntimeRunc
	case "":
	default:
		return ""
	}
	switch parent {
	case "docker":
		return RuntimeDocker
	case "kata_overhead":
		return RuntimeKata
	case "libpod_parent":
		return RuntimePodman
	}
	return ""
}

// isPodmanPod tells the cgroup of a Podman pod below /libpod_parent, a bare id
// too, from a container's, which is prefixed there.
func isPodmanPod(comps []string, i int) bool {
	return parentOf(comps, i) == "libpod_parent" && !strings.HasPrefix(comps[i], "libpod-")
}
