package api

import "time"

// Going is why a pod goes, by Kubernetes' word.
type Going struct {
	Why     string    `json:"why"`               // one of the Going constants; others may come
	Message string    `json:"message,omitempty"` // Kubernetes' own
	Seen    time.Time `json:"seen"`              // when recorderd learnt of it
}

// Why a pod goes.
const (
	GoingDeleted   = "deleted"   // somebody deleted it, or rolls it over
	GoingDrained   = "drained"   // evicted through the API, as kubectl drain does, or by a taint
	GoingPreempted = "preempted" // for a pod of higher priority
	GoingShutdown  = "shutdown"  // with its node
	GoingEvicted   = "evicted"   // for what it used, or what its node ran short of
)

// Wanted reports whether somebody wanted the pod to go, for what it did not do.
func (g *Going) Wanted() bool {
	if g == nil {
		return false
	}
	switch g.Why {
	case GoingDeleted, GoingDrained, GoingPreempted, GoingShutdown:
		return true
	}
	return false
}

// Says is what people read: "its pod was being deleted".
func (g *Going) Says() string {
	switch g.Why {
	case GoingDeleted:
		return "its pod was being deleted"
	case GoingDrained:
		return "its pod was being drained"
	case GoingPreempted:
		return "its pod made room for another"
	case GoingShutdown:
		return "its node was shutting down"
	case GoingEvicted:
		return "its pod was being evicted"
	}
	return "its pod was going (" + g.Why + ")"
}

// Owner is the workload that made a pod: a Deployment, not its ReplicaSet.
type Owner struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// SinceTerm is the time between SIGTERM from outside and the end, 0 without one.
func (x *Exit) SinceTerm() time.Duration {
	if x.TermAt == nil {
		return 0
	}
	return max(x.At.Sub(*x.TermAt), 0).Round(100 * time.Millisecond)
}

// Stubborn reports whether a SIGKILL from outside had to end what had not ended on SIGTERM
// within so long.
func (x *Exit) Stubborn() (after time.Duration, ok bool) {
	return x.SinceTerm(), x.Outside && x.Signal == "SIGKILL" && x.TermAt != nil
}

// Deliberately says of an end that somebody wanted why, for people; empty of others.
func (x *Exit) Deliberately() string {
	if x.Deliberate == "" {
		return ""
	}
	text := "deliberately: " + (&Going{Why: x.Deliberate}).Says()
	if after, ok := x.Stubborn(); ok {
		text += "; it did not end on SIGTERM within " + after.String()
	}
	return text
}
