package postmortem

import (
	"fmt"
	"slices"
	"strings"
)

// The causes that are no kind of a rule. They are labels of a metric: there are only so many, and
// none is a container's choice.
const (
	causeUnseen     = "unseen"
	causeCompleted  = "completed"
	causeAsked      = "asked"
	causeBackground = "background"
	causeInputEnded = "input-ended"
	causeDeliberate = "deliberate"
	causeNotStarted = "not-started"
	causeFault      = "fault"
	causeAborted    = "aborted"
	causeOwnSignal  = "own-signal"
	causeSignal     = "signal"
	causeFailedCall = "failed-call"
	causeChild      = "child"
	causeWords      = "words"
	causeStatus     = "status"
)

// Those of verdicts that are made without a dump, too.
const (
	CauseRunning  = "running"
	CauseHanging  = "hanging"
	CauseUnjudged = "unjudged"
)

// A cause is what a verdict says was the reason, in a word.
type cause struct{ name, is string }

// otherCauses stand behind the kinds of the rules.
var otherCauses = []cause{
	{CauseRunning, "the container runs"},
	{CauseHanging, "it runs, and its threads have been in calls for long that do not wait by design, or wait for each other"},
	{causeCompleted, "it exited with 0 by itself"},
	{causeAsked, "it exited after a signal asked it to"},
	{causeBackground, "its first process exited with 0 and left a child behind, as daemons do"},
	{causeInputEnded, "it exited with 0 by itself, as its standard input had ended"},
	{causeDeliberate, "somebody wanted the end: its pod was deleted, drained, preempted, or its node shut down"},
	{causeNotStarted, "its program could not be started"},
	{causeFault, "the kernel ended it for what a thread did, or it caught such a signal and reported it"},
	{causeAborted, "it aborted itself"},
	{causeOwnSignal, "it sent itself the signal"},
	{causeSignal, "somebody else, or the kernel, sent the signal"},
	{causeFailedCall, "a call failed, of a kind that has no rule"},
	{causeChild, "a child ended badly, and it is not known why"},
	{causeWords, "it exited with an error, and only what it said tells why"},
	{causeStatus, "it exited with an error, and nothing tells why"},
	{causeUnseen, "nobody saw its end, or nothing of how it came to that"},
	{CauseUnjudged, "its recording was dropped before a verdict was made, or recording is off"},
}

// peaceful are the causes of what is no crash, unless Kubernetes starts the container again.
var peaceful = map[string]bool{
	CauseRunning: true, CauseHanging: true, causeUnseen: true, CauseUnjudged: true,
	causeCompleted: true, causeInputEnded: true, causeBackground: true, causeDeliberate: true,
}

// Causes are all that a verdict can have: the kinds of the rules, and those of ends that no rule
// is about.
func Causes() []string {
	var all []string
	for _, r := range rules {
		all = append(all, r.kind)
	}
	for _, c := range otherCauses {
		all = append(all, c.name)
	}
	return all
}

// IsCause reports whether a verdict can have a cause.
func IsCause(name string) bool { return slices.Contains(Causes(), name) }

// causeTable is the table in docs/show.md of the causes that are no kind of a rule.
func causeTable() string {
	var b strings.Builder
	b.WriteString("| cause | means |\n| --- | --- |\n")
	for _, c := range otherCauses {
		fmt.Fprintf(&b, "| `%s` | %s |\n", c.name, c.is)
	}
	return b.String()
}
