package install

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/recorderd/recorderd/internal/kube"
)

// NotReadyError says which nodes are not what was waited for, and why.
type NotReadyError struct {
	What  string   // "recorded", "cleaned"
	Nodes []string // a line for each: "node n1: …"
	Ready int32
	Of    int32
	Err   error // why waiting has ended; nil: it cannot come about
	// Others: on each of the nodes the daemon of another installation runs.
	Others bool
}

// Error has a line for each node.
func (e *NotReadyError) Error() string {
	lines := append([]string{}, e.Nodes...)
	count := fmt.Sprintf("%d of %d nodes are %s", e.Ready, e.Of, e.What)
	if e.Err != nil {
		count += ": " + e.Err.Error()
	}
	return strings.Join(append(lines, count), "\n")
}

// Unwrap returns why waiting has ended.
func (e *NotReadyError) Unwrap() error { return e.Err }

// Wait waits until all pods of a daemon set are ready, and says what happens. It ends
// early if all that are missing have ended in a way that trying again does not mend.
func (in *Installer) Wait(ctx context.Context, set, what string) error {
	said := map[string]string{} // by node
	progress := ""
	for {
		ds, err := in.daemonSet(ctx, set)
		if err != nil {
			return err
		}
		pods, err := in.pods(ctx, nameLabel+"="+set)
		if err != nil {
			return err
		}
		st := &ds.Status
		current := st.ObservedGeneration >= ds.Generation
		if current && st.UpdatedNumberScheduled >= st.DesiredNumberScheduled && st.NumberReady >= st.DesiredNumberScheduled && settled(pods, st) {
			if st.DesiredNumberScheduled == 0 {
				return fmt.Errorf("no node fits the node selector, if there are nodes: nothing is %s", what)
			}
			in.Say("%d of %d nodes are %s", st.NumberReady, st.DesiredNumberScheduled, what)
			return nil
		}
		ready := int32(0)
		hopeless, others := len(pods) > 0, true
		var wrong []string
		for i := range pods {
			p := &pods[i]
			if isReady(p) {
				ready++
				continue
			}
			why, final := in.diagnose(ctx, p)
			if other := in.otherOn(ctx, p); other != "" {
				why, final = other, true
			} else {
				others = false
			}
			why = containerID.ReplaceAllString(why, "…") // another at each attempt
			hopeless = hopeless && final
			node := cmp.Or(kube.NodeOf(p), "?")
			wrong = append(wrong, fmt.Sprintf("node %s: %s", node, why))
			if said[node] != why && troubled(p) {
				in.Say("node %s: %s", node, why)
				said[node] = why
			}
		}
		if current && int(st.DesiredNumberScheduled) > len(pods) {
			hopeless = false
			if why := in.refused(ctx, ds); why != "" {
				wrong = append(wrong, "no pod is made: "+why)
				if said[""] != why {
					in.Say("no pod is made: %s", why)
					said[""] = why
				}
			}
		}
		if now := fmt.Sprintf("%d of %d nodes are %s", ready, st.DesiredNumberScheduled, what); current && now != progress && st.DesiredNumberScheduled > 0 {
			in.Say("%s", now)
			progress = now
		}
		slices.Sort(wrong)
		if hopeless && current && int(st.DesiredNumberScheduled) == len(pods) && len(wrong) > 0 {
			return &NotReadyError{What: what, Nodes: wrong, Ready: ready, Of: st.DesiredNumberScheduled, Others: others}
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return &NotReadyError{What: what, Nodes: wrong, Ready: ready, Of: st.DesiredNumberScheduled, Err: err}
		}
	}
}

var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// settled reports whether no pod of an earlier generation is left.
func settled(pods []corev1.Pod, st *appsv1.DaemonSetStatus) bool {
	n := int32(0)
	for i := range pods {
		if pods[i].DeletionTimestamp != nil {
			return false
		}
		n++
	}
	return n >= st.DesiredNumberScheduled
}

func isReady(p *corev1.Pod) bool {
	if p.DeletionTimestamp != nil {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// unsupported is recorderd's exit status if the kernel lacks what it needs.
const unsupported = 3

// statusInUse is recorderd's exit status if another one has the pin directory or the socket.
const statusInUse = 4

// diagnose says what is wrong with a pod that is not ready; final, if waiting does not
// help.
func (in *Installer) diagnose(ctx context.Context, p *corev1.Pod) (why string, final bool) {
	if p.DeletionTimestamp != nil {
		return "the pod of before is ending", false
	}
	if why := kube.NotScheduled(p); why != "" {
		return why, false
	}
	if p.Status.Phase == corev1.PodFailed && p.Status.Reason != "" {
		return strings.TrimSuffix(p.Status.Reason+": "+p.Status.Message, ": "), false
	}
	for _, cs := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		for _, t := range []*corev1.ContainerStateTerminated{cs.State.Terminated, cs.LastTerminationState.Terminated} {
			if t == nil || t.ExitCode == 0 {
				continue
			}
			return ended(t), t.ExitCode == unsupported
		}
		if w := cs.State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
			return strings.TrimSuffix(w.Reason+": "+w.Message, ": "), false
		}
	}
	if why := in.event(ctx, p); why != "" {
		return why, false
	}
	for _, cs := range p.Status.ContainerStatuses {
		if cs.State.Running != nil {
			return "it runs, and is not ready yet", false
		}
	}
	return "its container is being made", false
}

// otherOn names the installation whose daemon runs on a pod's node, if that keeps the pod
// from working; empty: that is not what is wrong.
func (in *Installer) otherOn(ctx context.Context, p *corev1.Pod) string {
	inUse := false
	for _, cs := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		for _, t := range []*corev1.ContainerStateTerminated{cs.State.Terminated, cs.LastTerminationState.Terminated} {
			inUse = inUse || t != nil && t.ExitCode == statusInUse
		}
	}
	node := kube.NodeOf(p)
	if !inUse || node == "" {
		return ""
	}
	var pods corev1.PodList
	err := in.request(ctx, func(ctx context.Context) error {
		return in.Kube.List(ctx, kube.Path{Resource: "pods"}, kube.Select{Labels: nameLabel + "=" + name, Fields: "spec.nodeName=" + node}, &pods)
	})
	if err != nil {
		return "" // the daemon's own words have to do
	}
	for i := range pods.Items {
		if other := &pods.Items[i]; other.Namespace != in.Namespace && other.Status.Phase == corev1.PodRunning {
			return fmt.Sprintf("the recorderd of namespace %s runs there already (pod %s), and a node has one: recorderctl undeploy -n %s takes that one away", other.Namespace, other.Name, other.Namespace)
		}
	}
	return ""
}

// ended says how the daemon ended: in its own words, the last of its log.
func ended(t *corev1.ContainerStateTerminated) string {
	lines := strings.Split(strings.TrimSpace(t.Message), "\n")
	for _, line := range slices.Backward(lines) {
		if said, ok := strings.CutPrefix(line, "recorderd: "); ok {
			return said
		}
	}
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return fmt.Sprintf("recorderd ended with status %d (%s)", t.ExitCode, t.Reason)
}

// troubled reports whether a pod's state is worth a line before waiting has ended.
func troubled(p *corev1.Pod) bool {
	if p.DeletionTimestamp != nil {
		return false
	}
	for _, cs := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if cs.RestartCount > 0 || cs.State.Terminated != nil && cs.State.Terminated.ExitCode != 0 {
			return true
		}
		if w := cs.State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
			return true
		}
	}
	return time.Since(p.CreationTimestamp.Time) > 20*time.Second
}

// event returns the newest warning about a pod, such as a volume that cannot be mounted.
func (in *Installer) event(ctx context.Context, p *corev1.Pod) string {
	return in.warning(ctx, "involvedObject.uid="+string(p.UID))
}

// refused says why the controller cannot make pods.
func (in *Installer) refused(ctx context.Context, ds *appsv1.DaemonSet) string {
	why := in.warning(ctx, "involvedObject.uid="+string(ds.UID))
	if strings.Contains(why, "violates PodSecurity") {
		_, level, _ := strings.Cut(why, "violates PodSecurity ")
		level, _, _ = strings.Cut(level, ":")
		return fmt.Sprintf("the cluster's Pod Security admission allows only %s in namespace %s: kubectl label --overwrite namespace %s pod-security.kubernetes.io/enforce=privileged",
			strings.Trim(level, `"`), in.Namespace, in.Namespace)
	}
	return why
}

func (in *Installer) warning(ctx context.Context, fields string) string {
	var events corev1.EventList
	err := in.request(ctx, func(ctx context.Context) error {
		return in.Kube.List(ctx, kube.Path{Resource: "events", Namespace: in.Namespace}, kube.Select{Fields: fields + ",type=Warning"}, &events)
	})
	if err != nil || len(events.Items) == 0 {
		return ""
	}
	latest := func(e *corev1.Event) time.Time {
		if !e.LastTimestamp.IsZero() {
			return e.LastTimestamp.Time
		}
		return e.EventTime.Time
	}
	e := slices.MaxFunc(events.Items, func(a, b corev1.Event) int { return latest(&a).Compare(latest(&b)) })
	if time.Since(latest(&e)) > 10*time.Minute {
		return "" // of another attempt
	}
	return e.Reason + ": " + e.Message
}
