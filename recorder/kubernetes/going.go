package kubernetes

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/recorderd/recorderd/api"
)

// Going is why a pod goes.
type Going struct {
	// Why is one of the api.Going constants.
	Why string
	// Message is Kubernetes' own, of at most 1 KiB.
	Message string
	// Seen is when this node's recorder saw it first, by the node's clock.
	Seen time.Time
}

// goingOf says why a pod goes, nil if nothing says that it does. Seen is not set.
func goingOf(p *corev1.Pod) *Going {
	message := strings.ToValidUTF8(cut(p.Status.Message, maxMessage), "")
	switch p.Status.Reason {
	case "Evicted": // for what it used, or because the node ran short: never by the API
		return &Going{Why: api.GoingEvicted, Message: message}
	case "Preempting":
		return &Going{Why: api.GoingPreempted, Message: message}
	case "Terminated", "NodeShutdown", "Shutdown":
		return &Going{Why: api.GoingShutdown, Message: message}
	}
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		if c.Type != corev1.DisruptionTarget || c.Status != corev1.ConditionTrue {
			continue
		}
		message := strings.ToValidUTF8(cut(c.Message, maxMessage), "")
		switch c.Reason {
		case "EvictionByEvictionAPI", "DeletionByTaintManager":
			return &Going{Why: api.GoingDrained, Message: message}
		case corev1.PodReasonPreemptionByScheduler:
			return &Going{Why: api.GoingPreempted, Message: message}
		case corev1.PodReasonTerminationByKubelet: // a shutdown has a reason in the status as well
			return &Going{Why: api.GoingEvicted, Message: message}
		}
	}
	if p.DeletionTimestamp != nil {
		return &Going{Why: api.GoingDeleted}
	}
	return nil
}

// see notes since when the pod is seen to go. What old knows of the same pod stays: an
// eviction is none the less when the pod is deleted later.
func (p *pod) see(old *pod, now time.Time) {
	g := p.info.Going
	if g == nil && !p.info.Deleted.IsZero() {
		g = &Going{Why: api.GoingDeleted}
	}
	if old != nil && old.info.Going != nil {
		was := old.info.Going
		if g == nil || g.Why == api.GoingDeleted || was.Why == api.GoingEvicted {
			g = was
		}
		now = was.Seen
	}
	if g == nil {
		return
	}
	seen := *g
	seen.Seen = now.Round(0)
	p.info.Going = &seen
}
