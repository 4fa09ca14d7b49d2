package postmortem

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/strace"
)

// RulesVersion is the version of the rules. Raise it when a recording gets another verdict, cause
// or fingerprint than before: verdicts that are kept are then made again.
const RulesVersion = 2

// Bounds of a verdict, in bytes.
const (
	maxVerdict = 1 << 10
	maxWords   = 256
)

// made puts the verdict together as it is kept and told. full is the verdict with the last words
// behind it, if it quotes them.
func (c *facts) made(full string, signs []Sign) *api.Verdict {
	v := &api.Verdict{How: string(c.outcome), Rules: RulesVersion}
	if c.words != nil {
		if text, quotes := strings.CutSuffix(full, c.quote()); quotes {
			full = text
			v.Spoken, v.Words = c.spoken()
		}
	}
	if c.noStart && c.words != nil && v.Words == "" && c.main.setsUp() {
		_, v.Words = c.spoken()
		v.Spoken = "its runtime said"
	}
	why := c.why(signs)
	v.Text, v.Cause, v.Fingerprint = full, why.cause, c.fingerprint(&why)
	c.heard(v)
	bound(v)
	return v
}

// heard adds what Kubernetes says of the end, if that is more than the recording knows.
func (c *facts) heard(v *api.Verdict) {
	rec := &c.b.h.Recording
	x := rec.Exit
	if x == nil || c.outcome == Running {
		return
	}
	if x.Deliberate != "" {
		v.Text += ", deliberately: " + (&api.Going{Why: x.Deliberate}).Says()
	} else if c.unwanted(v.Cause) {
		v.Text += "; Kubernetes starts it again, however it ends (restartPolicy Always)"
	} else if p := rec.Pod; p != nil && p.Going != nil && p.Going.Why == api.GoingEvicted {
		v.Text += "; " + p.Going.Says()
		if p.Going.Message != "" {
			v.Text += " (" + clip(p.Going.Message, maxWords) + ")"
		}
	}
	switch {
	case x.Message == "" || x.Code == 0 && x.Signal == "":
	case v.Words == "" && v.Cause != causeNotStarted:
		// The kubelet has it from the container's own file or its log.
		v.Spoken, v.Words = "its termination message", oneLine(x.Message)
	case v.Cause == causeNotStarted:
		v.Spoken, v.Words = "its runtime says", oneLine(x.Message)
	}
}

// unwanted reports whether an end with status 0 is one that should not be: the container is to run
// for ever.
func (c *facts) unwanted(cause string) bool {
	switch cause {
	case causeCompleted, causeInputEnded, causeBackground:
		return c.b.h.Recording.Container.RestartAlways
	}
	return false
}

// oneLine is a text without line ends.
func oneLine(text string) string { return clip(strings.Join(strings.Fields(text), " "), maxWords) }

// bound keeps a verdict short, and takes out what a terminal would obey.
func bound(v *api.Verdict) {
	v.Text = clip(replay.Safe(strings.ToValidUTF8(v.Text, "?")), maxVerdict)
	v.Words = clip(replay.Safe(strings.ToValidUTF8(v.Words, "?")), maxWords)
	v.Spoken = clip(replay.Safe(strings.ToValidUTF8(v.Spoken, "?")), maxWords)
}

// adopt takes the verdict that was made where the recording is, unless these rules are newer: a
// dump may lack what that one knew.
func (r *Report) adopt(made *api.Verdict) {
	if kept := r.Recording.Verdict; kept != nil && kept.Rules >= made.Rules && kept.Text != "" &&
		kept.How != string(Running) && r.Outcome != Running {
		v := *kept
		bound(&v)
		made = &v
	}
	rec := *r.Recording
	rec.Verdict = made
	r.Recording, r.Verdict = &rec, made.Sentence()
}

// because is what the verdict says was the reason.
type because struct {
	cause string
	call  *failure // nil: no failed call
	sig   int      // 0: no signal
}

// why finds the cause. It goes the way of the verdict and of reason.
func (c *facts) why(signs []Sign) because {
	find := func(want func(*Sign) bool) string {
		for i := range signs {
			if want(&signs[i]) {
				return signs[i].Kind
			}
		}
		return ""
	}
	uses := func(u use) string { return find(func(s *Sign) bool { return s.use&u != 0 }) }
	if c.outcome == Running {
		return because{cause: cmp.Or(uses(doing), CauseRunning)}
	}
	if c.main == nil || c.main.end == 0 || c.outcome == Ended && !c.noStart {
		return because{cause: causeUnseen}
	}
	w := because{sig: int(c.proc.status & 0x7f)}
	faulted := c.fatal != nil && c.fatal.code > 0 && codeSets[w.sig] != nil
	byOthers := w.sig != 0 && !c.self && !faulted
	switch {
	case c.outcome == OOM:
		w.cause = ruleOOM.kind
	case c.noStart:
		w.cause = causeNotStarted
		if s := c.cause(); s != nil {
			w.call = s.failure
		}
	case c.b.h.Recording.Exit != nil && c.b.h.Recording.Exit.Deliberate != "":
		w.cause = causeDeliberate
	case c.status == 0:
		w.cause = c.wellCause()
	case c.caught != nil && !byOthers:
		w.cause, w.sig = causeFault, c.caught.sig
	case c.cause() != nil && !byOthers && !faulted:
		w.call, w.cause = c.cause().failure, cmp.Or(kindOf(c.cause().failure, signs), causeFailedCall)
	case w.sig != 0:
		w.cause = c.signalCause(find)
	default:
		w.cause = cmp.Or(uses(reason), c.ownCause())
	}
	return w
}

// wellCause is the cause of an end with status 0.
func (c *facts) wellCause() string {
	switch {
	case c.asked() != nil:
		return causeAsked
	case c.leftBehind() != nil:
		return causeBackground
	case c.inputEnded() != "":
		return causeInputEnded
	}
	return causeCompleted
}

// signalCause is the cause of an end by a signal, in whichever process the reason lies.
func (c *facts) signalCause(find func(func(*Sign) bool) string) string {
	sig := int(c.proc.status & 0x7f)
	if s := c.fatal; s != nil && s.code > 0 && codeSets[sig] != nil {
		return cmp.Or(find(func(s *Sign) bool { return faultKinds[s.Kind] }), causeFault)
	}
	switch {
	case c.proc.OOM:
		return ruleOOM.kind
	case c.self && sig == sigABRT:
		return causeAborted
	case c.self:
		return causeOwnSignal
	}
	return cmp.Or(find(func(s *Sign) bool { return s.Kind == ruleGracePeriod.kind }), causeSignal)
}

// faultKinds are the signs that say more of a fault.
var faultKinds = map[string]bool{
	ruleNullPointer.kind: true, ruleStackOverflow.kind: true, ruleMappedFile.kind: true,
	ruleSeccomp.kind: true,
}

// ownCause is the cause of an end with another status than 0, of which no call is the reason.
func (c *facts) ownCause() string {
	switch {
	case c.victim() != nil:
		return ruleOOM.kind
	case c.asked() != nil:
		return causeAsked
	case c.words != nil:
		return causeWords
	case c.proc != c.main:
		return causeChild
	}
	return causeStatus
}

// kindOf is the kind of the sign that a failed call has made.
func kindOf(f *failure, signs []Sign) string {
	for i := range signs {
		for j := range signs[i].Evidence {
			if e := &signs[i].Evidence[j]; e.ns == f.ev.ns && e.Tid == f.ev.Tid {
				return signs[i].Kind
			}
		}
	}
	return ""
}

// fingerprint is what crashes of one cause have in common: what failed in which program, without
// what differs from one replica or run to another.
func (c *facts) fingerprint(w *because) string {
	if c.proc == nil || c.outcome == Running || peaceful[w.cause] && !c.unwanted(w.cause) {
		return ""
	}
	parts := []string{w.cause, c.general(c.proc.Comm)}
	switch {
	case w.call != nil:
		parts = append(parts, w.call.call, errnoName(w.call.errno), c.general(w.call.file))
	case w.sig != 0:
		parts = append(parts, strace.SignalName(w.sig))
		if w.cause == causeSignal {
			parts = append(parts, c.general(c.killer(w.sig)))
		}
	default:
		parts = append(parts, itoa(uint64(c.proc.status>>8&0xff)))
		if c.words != nil {
			parts = append(parts, clip(c.general(c.words.Text), 80))
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return fmt.Sprintf("%x", sum[:6])
}

var (
	digits = regexp.MustCompile(`\d+`)
	uuids  = regexp.MustCompile(`[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`)
	tokens = regexp.MustCompile(`[0-9A-Za-z]+`)
)

// general is a text without what only this run has: numbers, ids, hashes, the pod's name. Of an
// address the port stays: it says which service it is.
func (c *facts) general(text string) string { return general(&c.b.h.Recording, text) }

func general(rec *api.Recording, text string) string {
	if a, err := netip.ParseAddrPort(text); err == nil {
		return "#:" + itoa(uint64(a.Port()))
	}
	own := []string{rec.Container.ID}
	if rec.Pod != nil {
		own = append(own, rec.Pod.UID, rec.Pod.Name)
	}
	for _, name := range own {
		if len(name) >= 4 {
			text = strings.ReplaceAll(text, name, "#")
		}
	}
	text = uuids.ReplaceAllString(text, "#")
	text = tokens.ReplaceAllStringFunc(text, func(t string) string {
		if random(t) {
			return "#"
		}
		return t
	})
	return digits.ReplaceAllString(text, "#")
}

// random reports whether a word looks like a hash or a random name: letters and digits change in
// it again and again.
func random(word string) bool {
	const often = 3
	changes := 0
	for i := 1; i < len(word); i++ {
		if unicode.IsDigit(rune(word[i])) != unicode.IsDigit(rune(word[i-1])) {
			changes++
		}
	}
	return changes >= often
}
