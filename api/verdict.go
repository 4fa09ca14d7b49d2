package api

import (
	"strings"
	"time"
)

// Verdict says what became of a recording's container. The daemon makes it once, and every place
// shows that one. It is a function of the recording, of what the runtime and Kubernetes said of the
// end, and of the version of the rules.
//
// Text and Words have parts that the container chose. Control characters in them are escaped, and
// both are bounded.
type Verdict struct {
	// Text is one line. Of a container that lives it begins with "running" or "hanging".
	Text string `json:"text"`
	// Words are what the container said last, and Spoken says where: "its last words on stderr".
	Words  string `json:"words,omitempty"`
	Spoken string `json:"spoken,omitempty"`
	// How it ended: exited, killed, oom, ended (not known how); or running.
	How string `json:"how"`
	// Cause is one of the causes that docs/show.md lists.
	Cause string `json:"cause"`
	// Fingerprint is the same for crashes that have one cause, whichever replica they are of.
	// Empty: there is nothing to group.
	Fingerprint string `json:"fingerprint,omitempty"`
	Rules       int    `json:"rules"` // version of the rules
}

// Sentence is the verdict as it is shown in one place, with the words quoted behind it.
func (v *Verdict) Sentence() string {
	if v.Words == "" {
		return v.Text
	}
	return v.Text + "; " + v.Spoken + `: "` + v.Words + `"`
}

// EndCount counts the containers that ended in one way for one cause.
type EndCount struct {
	How   string `json:"how"`   // as Verdict has it
	Cause string `json:"cause"` // as Verdict has it
	Count uint64 `json:"count"`
}

// Crashed reports whether a recording's container ended as nobody wanted. Without a verdict its
// exit decides.
func (r *Recording) Crashed() bool {
	switch {
	case r.State == StateLive:
		return false
	case r.Verdict != nil:
		return r.Verdict.Fingerprint != ""
	}
	return r.Exit != nil && r.Exit.Deliberate == "" && (r.Exit.Signal != "" || r.Exit.Code != 0)
}

// Hanging reports whether a container lives, and all that it does is to wait for what does not
// come.
func (r *Recording) Hanging() bool {
	return r.State == StateLive && r.Verdict != nil && strings.HasPrefix(r.Verdict.Text, "hanging")
}

// Last is when a recording's container ended; if that is not known, or it lives, when it began.
func (r *Recording) Last() time.Time {
	if r.Exit != nil && !r.Exit.At.IsZero() {
		return r.Exit.At
	}
	if r.Ended != nil {
		return *r.Ended
	}
	return r.Started
}
