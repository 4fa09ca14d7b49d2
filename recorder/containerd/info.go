package containerd

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/containerd/containerd/v2/core/containers"

	"github.com/recorderd/recorderd/api"
)

// States in [Info.State].
const (
	StateCreated = "created" // no process yet, or none seen
	StateRunning = "running"
	StatePaused  = "paused"
	StateStopped = "stopped"
)

// Info is what containerd knows of a container.
type Info struct {
	// ID is the container's id in containerd, Namespace containerd's namespace
	// (not Kubernetes'): "k8s.io", "moby", "default".
	ID, Namespace string

	// Name is what people call the container: its name in the pod, the pod's
	// name for a sandbox, nerdctl's name. "" if it has only its id.
	Name string

	// Image is the name of the image. Docker doesn't tell it.
	Image string

	// Labels are the container's labels in containerd.
	Labels map[string]string

	// Created is when it was created in containerd. Started is when its
	// process started, and Finished when that ended; zero where it is not
	// known, as for what began and ended between two reads.
	Created, Started, Finished time.Time

	// Pid is its last known process, as the host sees it; 0 if none was seen.
	Pid uint32

	// State is one of the State constants.
	State string

	// ExitCode is its exit status, 128 + N after signal N. It is nil until the
	// container has ended, and stays nil if its task was deleted before it was
	// read, which Kubernetes and Docker do at once.
	ExitCode *uint32

	// PodName, PodNamespace, PodUID and ContainerName are Kubernetes' names, ""
	// outside of pods. ContainerName is "" for the sandbox.
	PodName, PodNamespace, PodUID, ContainerName string

	// Attempt is how often the container had been started in its pod before this
	// time, as the kubelet counts; -1 where it is not known, and outside of pods.
	Attempt int

	// Sandbox marks a pod's pause container.
	Sandbox bool

	// CgroupPath is the cgroup that the runtime spec asks for, below the mount
	// of the hierarchy; systemd's "slice:prefix:name" is spelled out.
	CgroupPath string

	// Gone is when containerd was first seen not to have it any more; zero
	// while it does.
	Gone time.Time
}

// Labels that name things.
const (
	labelKind          = "io.cri-containerd.kind"
	labelPodName       = "io.kubernetes.pod.name"
	labelPodNamespace  = "io.kubernetes.pod.namespace"
	labelPodUID        = "io.kubernetes.pod.uid"
	labelContainerName = "io.kubernetes.container.name"
	labelNerdctlName   = "nerdctl/name"
)

// extensionMetadata is what containerd's Kubernetes plugin keeps of a container.
const extensionMetadata = "io.cri-containerd.container.metadata"

// newEntry reads a container as containerd lists it.
func newEntry(sv *server, namespace string, c *containers.Container, now time.Time) *entry {
	info := Info{
		ID:            c.ID,
		Namespace:     namespace,
		Image:         c.Image,
		Labels:        maps.Clone(api.KeepLabels(c.Labels)),
		Created:       c.CreatedAt,
		State:         StateCreated,
		PodName:       c.Labels[labelPodName],
		PodNamespace:  c.Labels[labelPodNamespace],
		PodUID:        c.Labels[labelPodUID],
		ContainerName: c.Labels[labelContainerName],
		Sandbox:       c.Labels[labelKind] == "sandbox",
		Attempt:       -1,
	}
	if x := c.Extensions[extensionMetadata]; x != nil {
		info.Attempt = attempt(x.GetValue())
	}
	switch {
	case info.ContainerName != "":
		info.Name = info.ContainerName
	case info.Sandbox:
		info.Name = info.PodName
	default:
		info.Name = c.Labels[labelNerdctlName]
	}
	e := &entry{
		key:     key{sv, namespace, c.ID},
		info:    info,
		updated: c.UpdatedAt,
		seen:    now,
	}
	if c.Spec != nil {
		// Someone else's runtime may have another spec: then it has no path.
		var spec struct {
			Linux struct {
				CgroupsPath string `json:"cgroupsPath"`
			} `json:"linux"`
		}
		if json.Unmarshal(c.Spec.GetValue(), &spec) == nil {
			e.cgroup = parseCgroup(spec.Linux.CgroupsPath)
			e.info.CgroupPath = e.cgroup.likely()
		}
	}
	return e
}

// attempt reads how often a container was started before, from what the kubelet
// asked for. A form that is not known is not an error: others tell as well.
func attempt(metadata []byte) int {
	var m struct {
		Metadata struct {
			Config struct {
				Metadata struct {
					Name    string `json:"name"`
					Attempt uint32 `json:"attempt"`
				} `json:"metadata"`
			}
		}
	}
	if json.Unmarshal(metadata, &m) != nil || m.Metadata.Config.Metadata.Name == "" {
		return -1
	}
	return int(m.Metadata.Config.Metadata.Attempt)
}
