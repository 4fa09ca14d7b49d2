package kubernetes

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/recorderd/recorderd/api"
)

const (
	// maxInstances bounds how many containers of a pod are remembered: one that
	// crashes in a loop has a new one every few minutes.
	maxInstances = 64
	maxMessage   = 1 << 10
	// What a pod asks for may be any number of containers, with images of any name.
	maxContainers = 256 // of each kind
	maxImage      = 1 << 10
	// maxAnnotation is a little more than what is carried out of an annotation.
	maxAnnotation = 1<<10 + 1
)

// pod is what is kept of a pod.
type pod struct {
	info       Info   // of the pod; its container's fields are empty
	static     string // uid in the cgroups of a static pod
	containers map[string]container
	instances  []*instance // oldest first
}

// container is one that the pod asks for.
type container struct {
	kind, image string
	always      bool // it is started again however it ends
}

// instance is a container of the runtime's.
type instance struct {
	id, name string
	restarts int
	imageID  string
	exit     *Exit
}

// newPod takes from an object what is kept. The instances are those that its
// status names, which are the last two of each container.
func newPod(p *corev1.Pod) *pod {
	n := &pod{
		info: Info{
			Namespace: p.Namespace, Pod: p.Name, UID: string(p.UID), Labels: api.KeepLabels(p.Labels), Annotations: ours(p.Annotations),
			Owner: ownerOf(p), Going: goingOf(p), HostNetwork: p.Spec.HostNetwork, HostPID: p.Spec.HostPID, Restarts: -1,
		},
		containers: map[string]container{},
	}
	// A static pod's object is a mirror: its uid is the API server's, and the
	// kubelet's own is noted in an annotation.
	if uid := p.Annotations[corev1.MirrorPodAnnotationKey]; uid != "" {
		n.info.Static = true
		n.static = uid
	}
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		kind := KindInit
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			kind = KindSidecar
		}
		n.containers[c.Name] = container{kind, c.Image, kind == KindSidecar}
	}
	for i := range p.Spec.Containers {
		c := &p.Spec.Containers[i]
		always := p.Spec.RestartPolicy == corev1.RestartPolicyAlways
		if c.RestartPolicy != nil {
			always = *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		}
		n.containers[c.Name] = container{KindRegular, c.Image, always}
	}
	for i := range p.Spec.EphemeralContainers {
		c := &p.Spec.EphemeralContainers[i]
		n.containers[c.Name] = container{KindEphemeral, c.Image, false}
	}
	for _, all := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses} {
		for i := range all {
			n.read(&all[i])
		}
	}
	return n
}

// read notes the containers that a status is about: the last one, and the one
// before it.
func (p *pod) read(s *corev1.ContainerStatus) {
	last := idOf(s.ContainerID)
	if t := s.LastTerminationState.Terminated; t != nil {
		if id := idOf(t.ContainerID); id != "" {
			restarts := int(s.RestartCount)
			if id != last {
				restarts-- // it is of the one before
			}
			p.note(instance{id: id, name: s.Name, restarts: restarts, imageID: s.ImageID, exit: exitOf(t)})
		}
	}
	if last != "" {
		in := instance{id: last, name: s.Name, restarts: int(s.RestartCount), imageID: s.ImageID}
		if t := s.State.Terminated; t != nil && idOf(t.ContainerID) == last {
			in.exit = exitOf(t)
		}
		p.note(in)
	}
}

// note adds an instance, or what is new of it.
func (p *pod) note(in instance) {
	for _, old := range p.instances {
		if old.id == in.id {
			if in.exit == nil {
				in.exit = old.exit
			}
			if in.imageID == "" {
				in.imageID = old.imageID
			}
			*old = in
			return
		}
	}
	p.instances = append(p.instances, &in)
}

// inherit takes over the instances of an older state of the same pod: those that
// its status names no more.
func (p *pod) inherit(old *pod) {
	fresh := p.instances
	p.instances = nil
	for _, in := range old.instances {
		p.note(*in)
	}
	for _, in := range fresh {
		p.note(*in)
	}
	if n := len(p.instances) - maxInstances; n > 0 {
		p.instances = slices.Clone(p.instances[n:])
	}
}

// about is what is known of a container of the pod, or of one of its instances.
func (p *pod) about(name string, in *instance) Info {
	info := p.info
	info.Alone, info.Started = len(p.containers) == 1, len(p.instances) > 0
	c, ok := p.containers[name]
	if ok {
		info.Container, info.Kind, info.Image, info.RestartAlways = name, c.kind, c.image, c.always
	}
	if in != nil {
		info.Container, info.Restarts, info.ImageID, info.Exit = in.name, in.restarts, in.imageID, in.exit
	}
	return info
}

// idOf cuts the runtime off a container's id as Kubernetes has it:
// "containerd://0f…".
func idOf(s string) string {
	_, id, _ := strings.Cut(s, "://")
	return id
}

func exitOf(t *corev1.ContainerStateTerminated) *Exit {
	return &Exit{
		Code: int(t.ExitCode), Signal: int(t.Signal), Reason: t.Reason, Message: strings.ToValidUTF8(cut(t.Message, maxMessage), ""),
		Started: t.StartedAt.Time, Finished: t.FinishedAt.Time,
	}
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// ours are the annotations that are meant for the recorder. Of those that are too long so
// much is kept that they are seen to be.
func ours(all map[string]string) map[string]string {
	var kept map[string]string
	for k, v := range all {
		if strings.HasPrefix(k, AnnotationPrefix) {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[k] = strings.Clone(cut(v, maxAnnotation))
		}
	}
	return api.KeepLabels(kept)
}

// ownerOf says which workload a pod belongs to. Reading ReplicaSets and Jobs would
// take more rights; their names tell what made them.
func ownerOf(p *corev1.Pod) Owner {
	ref := metav1.GetControllerOf(p)
	if ref == nil {
		return Owner{}
	}
	switch {
	case ref.Kind == "ReplicaSet" && strings.HasPrefix(ref.APIVersion, "apps/"):
		// A Deployment's are called after it and the hash that is on the pods too.
		hash := p.Labels["pod-template-hash"]
		if name, ok := strings.CutSuffix(ref.Name, "-"+hash); ok && hash != "" && name != "" {
			return Owner{"Deployment", name}
		}
	case ref.Kind == "Job" && strings.HasPrefix(ref.APIVersion, "batch/"):
		if name, ok := cronJob(ref.Name, p.CreationTimestamp.Time); ok {
			return Owner{"CronJob", name}
		}
	}
	return Owner{ref.Kind, ref.Name}
}

var cronJobName = regexp.MustCompile(`^(.+)-(\d{8,9})$`)

// cronJob finds the CronJob that made a Job: it puts the minute behind its name for
// which the Job was due, counted from 1970. The Job's pods come then or later.
func cronJob(job string, podMade time.Time) (string, bool) {
	m := cronJobName.FindStringSubmatch(job)
	if m == nil {
		return "", false
	}
	minutes, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return "", false
	}
	late := podMade.Sub(time.Unix(minutes*60, 0))
	return m[1], late > -2*time.Minute && late < 7*24*time.Hour
}

// trim takes from an object what is not read here, so that the informer's store
// stays small.
func trim(obj any) (any, error) {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
	small := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion,
			CreationTimestamp: p.CreationTimestamp, DeletionTimestamp: p.DeletionTimestamp, Labels: api.KeepLabels(p.Labels), Annotations: ours(p.Annotations),
		},
		Spec: corev1.PodSpec{NodeName: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork, HostPID: p.Spec.HostPID, RestartPolicy: p.Spec.RestartPolicy},
	}
	if mirror != "" {
		if small.Annotations == nil {
			small.Annotations = map[string]string{}
		}
		small.Annotations[corev1.MirrorPodAnnotationKey] = mirror
	}
	if ref := metav1.GetControllerOf(p); ref != nil {
		small.OwnerReferences = []metav1.OwnerReference{*ref}
	}
	for i := range first(p.Spec.InitContainers) {
		small.Spec.InitContainers = append(small.Spec.InitContainers, trimContainer(&p.Spec.InitContainers[i]))
	}
	for i := range first(p.Spec.Containers) {
		small.Spec.Containers = append(small.Spec.Containers, trimContainer(&p.Spec.Containers[i]))
	}
	for i := range first(p.Spec.EphemeralContainers) {
		c := &p.Spec.EphemeralContainers[i]
		small.Spec.EphemeralContainers = append(small.Spec.EphemeralContainers,
			corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: c.Name, Image: strings.Clone(cut(c.Image, maxImage))}})
	}
	small.Status.Reason = strings.Clone(cut(p.Status.Reason, maxMessage))
	small.Status.Message = strings.Clone(cut(p.Status.Message, maxMessage))
	small.Status.Conditions = trimConditions(p.Status.Conditions)
	small.Status.InitContainerStatuses = trimStatuses(p.Status.InitContainerStatuses)
	small.Status.ContainerStatuses = trimStatuses(p.Status.ContainerStatuses)
	small.Status.EphemeralContainerStatuses = trimStatuses(p.Status.EphemeralContainerStatuses)
	return small, nil
}

func trimContainer(c *corev1.Container) corev1.Container {
	return corev1.Container{Name: c.Name, Image: strings.Clone(cut(c.Image, maxImage)), RestartPolicy: c.RestartPolicy}
}

// trimConditions keeps the one that says why a pod goes.
func trimConditions(all []corev1.PodCondition) []corev1.PodCondition {
	for i := range all {
		if c := &all[i]; c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return []corev1.PodCondition{{
				Type: c.Type, Status: c.Status,
				Reason: strings.Clone(cut(c.Reason, maxMessage)), Message: strings.Clone(cut(c.Message, maxMessage)),
			}}
		}
	}
	return nil
}

func first[T any](all []T) []T { return all[:min(len(all), maxContainers)] }

func trimStatuses(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	var small []corev1.ContainerStatus
	for _, s := range all {
		small = append(small, corev1.ContainerStatus{
			Name: s.Name, ContainerID: s.ContainerID, ImageID: s.ImageID, RestartCount: s.RestartCount,
			State:                corev1.ContainerState{Terminated: s.State.Terminated},
			LastTerminationState: corev1.ContainerState{Terminated: s.LastTerminationState.Terminated},
		})
	}
	return small
}
