package format

import (
	"encoding/json"
	"fmt"
	"time"
)

// NamesVersion is the version of the files that keep what a recording's container is called. Raise
// it when a reader of today would misread one; what is older is converted when it is read.
const NamesVersion = 1

// Names is what such a file has: what a daemon knew of a container, for the next one. Version 0
// had the names of Go's fields, which differ in the case of their letters alone.
type Names struct {
	Version int           `json:"version"`
	Runtime *RuntimeNames `json:"runtime,omitempty"` // nil: no runtime has named it
	Pod     *PodNames     `json:"pod,omitempty"`     // nil: it is in no pod
	Around  *PodNames     `json:"around,omitempty"`  // the pod of the container around one without a name
	Judged  *NamesVerdict `json:"judged,omitempty"`  // nil: there is none yet
}

// NamesVerdict is the verdict that a daemon leaves to the next one.
type NamesVerdict struct {
	Verdict *Verdict `json:"verdict"`
	Of      string   `json:"of"`             // what it depends on beside the dump
	Told    bool     `json:"told,omitempty"` // it is in the log, the metrics and an Event
}

// ParseNames reads the file that keeps names.
func ParseNames(b []byte) (Names, error) {
	var n Names
	if err := json.Unmarshal(b, &n); err != nil {
		return Names{}, fmt.Errorf("names file: %w", err)
	}
	if n.Version < 0 || n.Version > NamesVersion {
		return Names{}, fmt.Errorf("names file: version %d is not known: want 0 to %d", n.Version, NamesVersion)
	}
	return n, nil
}

// RuntimeNames is what a runtime said of a container.
type RuntimeNames struct {
	ID            string            `json:"id"`        // as the runtime has it
	Namespace     string            `json:"namespace"` // containerd's
	Name          string            `json:"name"`
	Image         string            `json:"image"`
	Labels        map[string]string `json:"labels"`
	Created       time.Time         `json:"created"`
	Started       time.Time         `json:"started"`
	Finished      time.Time         `json:"finished"`
	Pid           uint32            `json:"pid"` // its last known process, as the host sees it
	State         string            `json:"state"`
	ExitCode      *uint32           `json:"exitCode"` // 128 + N after signal N; nil: not known
	PodName       string            `json:"podName"`
	PodNamespace  string            `json:"podNamespace"`
	PodUID        string            `json:"podUID"`
	ContainerName string            `json:"containerName"` // in its pod
	Attempt       int               `json:"attempt"`       // -1: not known
	Sandbox       bool              `json:"sandbox"`
	CgroupPath    string            `json:"cgroupPath"` // that its runtime spec asks for
	Gone          time.Time         `json:"gone"`       // when the runtime was first seen not to have it
}

// PodNames is what Kubernetes said of a pod, and of a container in it.
type PodNames struct {
	Namespace            string            `json:"namespace"`
	Pod                  string            `json:"pod"`
	UID                  string            `json:"uid"`
	Labels               map[string]string `json:"labels"`
	Annotations          map[string]string `json:"annotations"`
	NamespaceAnnotations map[string]string `json:"namespaceAnnotations"`
	Owner                Owner             `json:"owner"`
	HostNetwork          bool              `json:"hostNetwork"`
	HostPID              bool              `json:"hostPID"`
	Static               bool              `json:"static"`
	Alone                bool              `json:"alone"`   // the pod asks for one container only
	Started              bool              `json:"started"` // one of its containers has been named by a status
	Deleted              time.Time         `json:"deleted"`
	Going                *PodGoing         `json:"going"`
	Container            string            `json:"container"`
	Kind                 string            `json:"kind"`
	Image                string            `json:"image"`
	ImageID              string            `json:"imageID"`
	RestartAlways        bool              `json:"restartAlways,omitempty"`
	Restarts             int               `json:"restarts"` // -1: not known
	Exit                 *PodExit          `json:"exit"`
}

// PodGoing says why a pod goes.
type PodGoing struct {
	Why     string    `json:"why"`
	Message string    `json:"message"`
	Seen    time.Time `json:"seen"`
}

// PodExit is the kubelet's word on how a container ended.
type PodExit struct {
	Code     int       `json:"code"`
	Signal   int       `json:"signal"`
	Reason   string    `json:"reason"`
	Message  string    `json:"message"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
}
