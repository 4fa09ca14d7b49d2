package recorder

import (
	"github.com/recorderd/recorderd/recorder/containerd"
	"github.com/recorderd/recorderd/recorder/format"
	"github.com/recorderd/recorderd/recorder/kubernetes"
)

// What is kept of names is a format of its own: a daemon reads what another version has written.
// Structs without structs in them convert as they are, so that a field which only one side has does
// not compile; a test walks the others.

func podNames(i *kubernetes.Info) *format.PodNames {
	if i == nil {
		return nil
	}
	return &format.PodNames{
		Namespace: i.Namespace, Pod: i.Pod, UID: i.UID, Labels: i.Labels,
		Annotations: i.Annotations, NamespaceAnnotations: i.NamespaceAnnotations, Owner: format.Owner(i.Owner),
		HostNetwork: i.HostNetwork, HostPID: i.HostPID, Static: i.Static, Alone: i.Alone, Started: i.Started,
		Deleted: i.Deleted, Going: (*format.PodGoing)(i.Going), Container: i.Container, Kind: i.Kind,
		Image: i.Image, ImageID: i.ImageID, RestartAlways: i.RestartAlways, Restarts: i.Restarts, Exit: (*format.PodExit)(i.Exit),
	}
}

func podInfo(n *format.PodNames) *kubernetes.Info {
	if n == nil {
		return nil
	}
	return &kubernetes.Info{
		Namespace: n.Namespace, Pod: n.Pod, UID: n.UID, Labels: n.Labels,
		Annotations: n.Annotations, NamespaceAnnotations: n.NamespaceAnnotations, Owner: kubernetes.Owner(n.Owner),
		HostNetwork: n.HostNetwork, HostPID: n.HostPID, Static: n.Static, Alone: n.Alone, Started: n.Started,
		Deleted: n.Deleted, Going: (*kubernetes.Going)(n.Going), Container: n.Container, Kind: n.Kind,
		Image: n.Image, ImageID: n.ImageID, RestartAlways: n.RestartAlways, Restarts: n.Restarts, Exit: (*kubernetes.Exit)(n.Exit),
	}
}

func runtimeNames(i *containerd.Info) *format.RuntimeNames { return (*format.RuntimeNames)(i) }
func runtimeInfo(n *format.RuntimeNames) *containerd.Info  { return (*containerd.Info)(n) }
