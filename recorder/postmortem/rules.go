package postmortem

import (
	"cmp"
)

// A rule is one thing that a report may say. Rules are pure functions of the facts: they
// change nothing, and see nothing of what other rules say.
//
// To add one, write a file rule_KIND.go with the rule and its story or recording in the
// tests, put it into its place in rules, and run the tests with -update: they write
// docs/show.md's table and the schema's enumeration.
type rule struct {
	kind string // of the signs that it makes
	is   string // what it is, for docs/show.md
	sure string // how sure it is, for docs/show.md
	use  use
	find func(*facts) []Sign // Kind is filled in
}

// use is what the verdict does with a sign. All signs are listed, whatever it does.
type use uint8

const (
	doing  use = 1 << iota // of what runs: it is what is being done
	beside                 // of what runs: it is said behind what is being done
	// of what ended by itself: it is "after" this, if no failed call is named
	reason
	recent // with reason: only if it happened in the last seconds
	unused // none of these, whatever the rule says
)

// rules is in the order of gravity: of signs, and of what a verdict chooses.
var rules = []*rule{
	&ruleOOM, &ruleStopped, &ruleDeadlock, &ruleMutex, &ruleLockHeld, &ruleBusyLoop,
	&ruleWaitingForPeer, &ruleNoCalls, &ruleExecFailed, &ruleNullPointer, &ruleStackOverflow,
	&ruleMappedFile, &ruleSeccomp, &ruleGracePeriod, &ruleOutOfDescriptors, &ruleOutOfProcesses,
	&ruleLimit, &ruleNoSpace, &ruleNoMemory, &ruleReadOnly, &ruleIOError,
	&ruleAddressInUse, &ruleDenied, &ruleRefused, &ruleUnreachable, &ruleDNS, &ruleMissingFile,
	&ruleBrokenPipe, &ruleCrashedChild,
	&ruleFailingChildren, &ruleZombies, &ruleIOUring,
}

// apply returns the signs of all rules that hold, the gravest first.
func apply(c *facts) []Sign {
	var list []Sign
	for _, r := range rules {
		for _, s := range r.find(c) {
			s.Kind, s.use = r.kind, cmp.Or(s.use, r.use)
			if s.Evidence == nil {
				s.Evidence = []Event{}
			}
			list = append(list, s)
		}
	}
	return list
}

// one is the sign of a rule that found one.
func one(how Certainty, count uint64, text string, evidence ...Event) []Sign {
	return []Sign{{Certainty: how, Text: text, Count: count, Evidence: evidence}}
}
