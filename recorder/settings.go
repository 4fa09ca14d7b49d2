package recorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/bpf"
	"github.com/recorderd/recorderd/internal/size"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/privacy"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
)

// applied is a recording's settings as they are carried out.
type applied struct {
	settings policy.Settings
	rules    *privacy.Rules // nil: nothing is blanked
	said     string         // what is wrong with the pod's annotations, as it was logged
}

// SetPolicy changes how containers are recorded, those that are there and those to
// come. What has been captured stays; what is blanked is blanked of it too when it
// is dumped, but not of what has ended and was put together already. On an error nothing has changed.
func (r *Recorder) SetPolicy(p policy.Policy) error {
	p, mute, err := r.complete(p)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reaches(p.Base.Mute) { // it is in the rings before the first call is left out
		for _, ring := range r.spares {
			noteMutes(ring.Head(), true)
		}
		for _, rec := range r.recs {
			rec.noteMutes(true)
		}
	}
	if err := r.kernel.SetMute(mute); err != nil {
		return err
	}
	r.policy = p
	for _, ring := range r.spares {
		r.asSpare(ring)
	}
	for _, rec := range r.recs {
		rec.applied = applied{} // to be carried out again, whatever it was
		r.applyLocked(rec)
	}
	return nil
}

// choosePolicy is SetPolicy before the programs are loaded.
func (r *Recorder) choosePolicy(p policy.Policy, cfg *bpf.Config) error {
	var err error
	r.policy, cfg.Mute, err = r.complete(p)
	return err
}

// complete checks a policy and adds to its base what the configuration says.
func (r *Recorder) complete(p policy.Policy) (policy.Policy, bpf.Calls, error) {
	stdio, data := size.Bytes(r.cfg.CaptureStdio), size.Bytes(r.cfg.CaptureData)
	p.Base = p.Base.Over(policy.Settings{CaptureStdio: &stdio, CaptureData: &data})
	mute, err := r.calls(p.Base.Mute)
	if err != nil {
		return p, mute, err
	}
	for _, s := range append([]policy.Rule{{Settings: p.Base}}, p.Rules...) {
		if _, err := r.calls(s.Settings.Mute); err != nil {
			return p, mute, err
		}
		if _, err := privacy.Compile(privacy.Policy{Blank: s.Settings.Blank}); err != nil {
			return p, mute, err
		}
	}
	return p, mute, nil
}

// calls are the system calls that expressions choose, of all ABIs of this node.
func (r *Recorder) calls(exprs []string) (bpf.Calls, error) {
	var set bpf.Calls
	var parsed []replay.Expr
	for _, s := range exprs {
		e, err := replay.ParseExpr(s)
		if err != nil {
			return set, fmt.Errorf("mute %w", err)
		}
		parsed = append(parsed, e)
	}
	for i, arch := range []record.Arch{r.native, r.native.ABI(layout.RecfCompat)} {
		for nr, chosen := range replay.Calls(arch, parsed...) {
			if chosen && nr < layout.PlanCalls {
				set.Add(i*layout.PlanCalls + nr)
			}
		}
	}
	return set, nil
}

// reaches reports whether one of the calls that expressions choose may change what is known of
// descriptors. All of them have been parsed before.
func (r *Recorder) reaches(exprs []string) bool {
	var parsed []replay.Expr
	for _, s := range exprs {
		e, err := replay.ParseExpr(s)
		if err != nil {
			return true
		}
		parsed = append(parsed, e)
	}
	if len(parsed) == 0 {
		return false
	}
	for _, arch := range []record.Arch{r.native, r.native.ABI(layout.RecfCompat)} {
		for nr, chosen := range replay.Calls(arch, parsed...) {
			if chosen && replay.ChangesDescriptors(arch, uint32(nr)) {
				return true
			}
		}
	}
	return false
}

// noteMutes writes into a ring's header what the calls that are muted from now on may do, if
// that is more than the header says.
func noteMutes(h *layout.RingHead, reaches bool) {
	switch {
	case reaches:
		atomic.StoreUint32(&h.MutedWhat, uint32(layout.MutedDescriptors))
	case atomic.LoadUint32(&h.MutedWhat) == uint32(layout.MutedUnknown) && atomic.LoadUint64(&h.Muted) == 0:
		atomic.StoreUint32(&h.MutedWhat, uint32(layout.MutedHarmless))
	}
}

func (rec *recording) noteMutes(reaches bool) {
	rec.ringMu.RLock()
	defer rec.ringMu.RUnlock()
	if rec.ring != nil {
		noteMutes(rec.ring.Head(), reaches)
	}
}

// captured is what a ring keeps of contents until it is known whose it is.
func (r *Recorder) captured() (stdio, data uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return stdioOf(&r.policy.Base), uint32(*r.policy.Base.CaptureData)
}

// stdioOf is what a ring's header says of descriptors 1 and 2.
func stdioOf(s *policy.Settings) uint32 {
	stdio := uint32(*s.CaptureStdio)
	if is(s.CaptureStdioFiles) {
		stdio |= uint32(layout.StdioFiles)
	}
	if is(s.CaptureDNS) {
		stdio |= uint32(layout.StdioDns)
	}
	return stdio
}

// asSpare makes a ring's settings those of no container in particular. r.mu is held,
// or nobody else knows the recorder yet.
func (r *Recorder) asSpare(ring *bpf.Ring) {
	h := ring.Head()
	atomic.StoreUint32(&h.Stdio, stdioOf(&r.policy.Base))
	atomic.StoreUint32(&h.Data, uint32(*r.policy.Base.CaptureData))
	noteMutes(h, is(r.policy.Base.Off) || r.reaches(r.policy.Base.Mute))
	ring.SetFlag(layout.RingOff, is(r.policy.Base.Off))
	ring.SetMute(bpf.Calls{})
}

// applyLocked carries out the settings that fit what is known of a recording now. It is
// called whenever more is known.
func (r *Recorder) applyLocked(rec *recording) {
	subject := r.subject(rec)
	s := r.annotated(rec, r.policy.For(&subject))
	if rec.applied.settings.Equal(s) {
		return
	}
	rec.applied.settings = s
	rules, err := privacy.Compile(privacy.Policy{NoArgs: is(s.NoArgs), Blank: s.Blank})
	if err != nil { // complete has compiled all of these
		r.log.Error("blank a recording", "id", rec.id, "error", err)
	}
	rec.applied.rules = rules
	var mute bpf.Calls
	// What is muted everywhere the plans have; the rest is the ring's.
	if own := s.Mute[min(len(r.policy.Base.Mute), len(s.Mute)):]; len(own) > 0 {
		if mute, err = r.calls(s.Mute); err != nil {
			r.log.Error("mute calls of a recording", "id", rec.id, "error", err)
		}
	}
	rec.ringMu.RLock()
	defer rec.ringMu.RUnlock()
	if rec.ring == nil {
		return
	}
	h := rec.ring.Head()
	atomic.StoreUint32(&h.Stdio, stdioOf(&s))
	atomic.StoreUint32(&h.Data, uint32(*s.CaptureData))
	noteMutes(h, is(s.Off) || r.reaches(s.Mute))
	rec.ring.SetMute(mute)
	rec.ring.SetFlag(layout.RingOff, is(s.Off))
}

// annotated are settings with what a pod's and its namespace's annotations ask for:
// less than the daemon's rules say, but for contents, which are the pod's own.
func (r *Recorder) annotated(rec *recording, s policy.Settings) policy.Settings {
	pod := &rec.pod.info
	switch {
	case rec.pod.known:
	case !rec.own() && rec.in.asked != nil:
		pod = rec.in.asked
	default:
		return s
	}
	var asked policy.Settings
	var wrong []error
	for _, from := range []map[string]string{pod.NamespaceAnnotations, pod.Annotations} {
		from, forbidden := r.policy.Allowed(from)
		for _, key := range forbidden {
			wrong = append(wrong, fmt.Errorf("annotation %s: the configuration of recorderd forbids it (forbid-annotations)", key))
		}
		a, err := policy.Annotations(from)
		if err == nil {
			_, err = r.calls(a.Mute)
		}
		if err == nil {
			_, err = privacy.Compile(privacy.Policy{Blank: a.Blank})
		}
		if err != nil { // all of them: half of what was asked for may be worse than nothing
			wrong = append(wrong, err)
			continue
		}
		asked = a.Over(asked)
	}
	if said := fmt.Sprint(errors.Join(wrong...)); len(wrong) > 0 && said != rec.applied.said {
		rec.applied.said = said
		r.log.Warn("annotations are not carried out", "namespace", pod.Namespace, "pod", pod.Pod, "error", errors.Join(wrong...))
	}
	out := asked.Narrow(s)
	if asked.CaptureStdio != nil {
		out.CaptureStdio = asked.CaptureStdio
	}
	if asked.CaptureStdioFiles != nil {
		out.CaptureStdioFiles = asked.CaptureStdioFiles
	}
	if asked.CaptureDNS != nil {
		out.CaptureDNS = asked.CaptureDNS
	}
	if asked.CaptureData != nil {
		out.CaptureData = asked.CaptureData
	}
	return out
}

// blank takes out of a snapshot what must not leave the daemon: all of it, if
// recording is off. All ways out of a ring go through it.
func (r *Recorder) blank(rec *recording, s *snapshot) {
	r.mu.Lock()
	a := rec.applied
	r.mu.Unlock()
	if is(a.settings.Off) {
		s.release()
		s.open, s.live = nil, nil
	}
	if a.settings.CaptureStdio != nil && a.settings.CaptureData != nil { // always, once they were applied
		s.stdio, s.data = uint32(*a.settings.CaptureStdio), uint32(*a.settings.CaptureData)
	}
	s.main.Records = a.rules.Records(s.main.Records)
	s.guard.Records = a.rules.Records(s.guard.Records)
	s.progress = a.rules.Records(s.progress)
	blankNames(a.rules, s)
	for i := range s.open {
		o := &s.open[i]
		o.Cwd = a.rules.Text(o.Cwd)
		o.Fds = slices.Clone(o.Fds)
		for j := range o.Fds {
			o.Fds[j].Link = a.rules.Text(o.Fds[j].Link)
		}
	}
}

// blankNames blanks the names that threads gave themselves.
func blankNames(rules *privacy.Rules, s *snapshot) {
	if rules == nil {
		return
	}
	blank := func(info *layout.TaskInfo) {
		rules.Name(info.FirstComm[:])
		rules.Name(info.Comm[:])
	}
	for i := range s.live {
		blank(&s.live[i].Info)
	}
	eachTask(s.tasks.Records, func(info *layout.TaskInfo, data []byte) error { //nolint:errcheck // nothing behind an error is told
		blank(info)
		_, err := binary.Encode(data, binary.LittleEndian, info)
		return err
	})
}

// refused is an error if nothing may be told of a recording.
func (r *Recorder) refused(rec *recording) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !is(rec.applied.settings.Off) {
		return nil
	}
	return errOff(rec.id)
}

func errOff(id string) error {
	return api.Errorf(api.CodeForbidden, "recording %s is off by a rule of recorderd's configuration: nothing of it is told", id)
}

func is(b *bool) bool { return b != nil && *b }
