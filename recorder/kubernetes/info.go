package kubernetes

import (
	"time"
)

// Kinds of containers in [Info.Kind].
const (
	KindRegular   = "regular"
	KindInit      = "init"
	KindSidecar   = "sidecar" // an init container that goes on beside the others
	KindEphemeral = "ephemeral"
)

// AnnotationPrefix is what the keys of the annotations begin with that are kept:
// those which are meant for the recorder.
const AnnotationPrefix = "recorderd.github.io/"

// Owner is what made a pod.
type Owner struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// Info is what Kubernetes says of a container, or of a pod alone.
type Info struct {
	// Namespace, Pod and UID name the pod. UID is that of the API server, which
	// for a static pod is not the one in its cgroup's path.
	Namespace, Pod, UID string

	// Labels are the pod's.
	Labels map[string]string

	// Annotations are those of the pod that begin with AnnotationPrefix, and
	// NamespaceAnnotations those of its namespace.
	Annotations, NamespaceAnnotations map[string]string

	// Owner is the workload that the pod belongs to: the Deployment, not its
	// ReplicaSet; the CronJob, not its Job. The zero value: nobody.
	Owner Owner

	// HostNetwork and HostPID say that the pod shares these with the node.
	// Static pods come from the kubelet's own files.
	HostNetwork, HostPID, Static bool

	// Alone: the pod asks for one container only. Started: one of its containers
	// has been named by a status.
	Alone, Started bool

	// Deleted is when the pod was seen to be gone; zero while it is there.
	Deleted time.Time

	// Going says why and since when the pod goes, nil as long as it stays.
	Going *Going

	// Container is the container's name, "" if only the pod is known. Kind is
	// one of the Kind constants.
	Container, Kind string

	// Image is the image that the pod asks for, ImageID what that was resolved to.
	Image, ImageID string

	// RestartAlways: the container is started again however it ends.
	RestartAlways bool

	// Restarts is how often the container had been started before this time; -1
	// where it is not known.
	Restarts int

	// Exit is the kubelet's word on how this container ended, nil as long as
	// there is none.
	Exit *Exit
}

// Exit is how the kubelet says that a container ended.
type Exit struct {
	Code    int    // 128 + N after signal N
	Signal  int    // where the runtime tells it apart
	Reason  string // Completed, Error, OOMKilled, ContainerCannotRun, StartError …
	Message string // of the runtime, or what the container wrote for it; at most 1 KiB

	Started, Finished time.Time
}
