package postmortem

import (
	"cmp"
	"slices"
	"strings"
)

// The rules of errors: calls that failed with them, wherever they come from, and weigh enough.
var (
	ruleOutOfDescriptors = byError("out-of-descriptors", beside, Certain,
		"there were no descriptors left", eMFILE, eNFILE)
	ruleNoSpace = byError("no-space", beside, Certain, "there was no space left", eNOSPC,
		eDQUOT)
	ruleNoMemory = byError("no-memory", beside, Certain, "the kernel refused memory",
		eNOMEM)
	ruleReadOnly = byError("read-only", 0, Certain, "a file system is mounted read-only",
		eROFS)
	ruleIOError      = byError("io-error", 0, Likely, "a device failed", eIO)
	ruleAddressInUse = byError("address-in-use", 0, Certain, "an address is in use already",
		eADDRINUSE)
	ruleDenied      = byError("denied", 0, Certain, "permission was denied", eACCES, ePERM)
	ruleRefused     = byError("refused", beside, Certain, "nobody listens there", eCONNREFUSED)
	ruleUnreachable = byError("unreachable", 0, Certain, "a peer could not be reached",
		eHOSTUNREACH, eNETUNREACH, eTIMEDOUT)
	ruleBrokenPipe = byError("broken-pipe", 0, Certain, "the other end was gone", ePIPE,
		eCONNRESET)
)

func byError(kind string, use use, how Certainty, what string, errnos ...int) rule {
	names := make([]string, len(errnos))
	for i, e := range errnos {
		names[i] = "`" + errnoName(e) + "`"
	}
	return rule{
		kind: kind, is: "calls failed with " + strings.Join(names, ", ") +
			", and weigh enough", sure: string(how) +
			"; possible if the end seems to have nothing to do with that", use: use,
		find: func(c *facts) []Sign {
			return c.pick(what, how, func(f *failure) bool {
				return slices.Contains(errnos, f.errno) && !executes(f.call) &&
					!strings.HasSuffix(f.file, ":53") && !(f.errno == ePERM && f.weight < 1) &&
					f.limit() == ""
			})
		},
	}
}

// pick makes a sign of the failures that are wanted and weigh enough.
func (c *facts) pick(what string, how Certainty, want func(*failure) bool) []Sign {
	var count, few uint64
	var worst *failure
	var evidence []Event
	for _, f := range c.failures() {
		if !want(f) || f.weight < chainWeight {
			continue
		}
		count += f.count
		few++
		if worst == nil || f.weight > worst.weight || f.weight == worst.weight &&
			f.ev.ns > worst.ev.ns {
			worst = f
		}
		if len(evidence) >= 3 {
			evidence = slices.Delete(evidence, 0, 1)
		}
		ev := f.ev
		ev.Weight = round(f.weight)
		if f.count > 1 {
			ev.Times = f.count
		}
		evidence = append(evidence, ev)
	}
	if worst == nil {
		return nil
	}
	if !c.tied(worst) {
		how = Possible // it failed, but the end may have nothing to do with that
	}
	text := what + ": " + worst.sentence()
	if worst.count > 1 {
		text += " (" + times(worst.count) + ")"
	}
	if few > 1 {
		text += ", and " + counted(few-1, "other call")
	}
	list := one(how, count, text, evidence...)
	if few == 1 {
		list[0].said = worst.sentence()
	}
	return list
}

// tied reports whether a failure may have to do with the end, if there was one: the last
// words name it, or nothing that matters happened after it.
func (c *facts) tied(f *failure) bool {
	if c.outcome == Running || c.outcome == Ended || c.proc == nil {
		return true
	}
	for i := range c.causes {
		if s := &c.causes[i]; s.failure == f {
			return s.last || s.named
		}
	}
	return c.proc.status == 0
}

// failures are the failures that say something, of all processes if the container is
// running, else those of the processes that the end has to do with.
func (c *facts) failures() []*failure {
	procs := c.path
	if c.outcome == Running || c.outcome == Ended || c.proc == nil {
		procs = c.b.all()
	} else if c.status == 0 {
		return nil
	}
	var all []*failure
	for _, p := range procs {
		for _, f := range p.fails {
			if f.execs == p.execs { // not of a program that it was before
				all = append(all, f)
			}
		}
	}
	slices.SortStableFunc(all, func(x, y *failure) int { return cmp.Compare(x.ev.ns, y.ev.ns) })
	return all
}
