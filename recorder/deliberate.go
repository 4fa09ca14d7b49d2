package recorder

import (
	"encoding/binary"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// An end is deliberate if it is what its runtime asked for while the pod was on its way
// out: such ends are no crashes. All that can be a fault stays one, whatever becomes of
// the pod: a signal of the program's own, the OOM killer, another exit status. So does
// what the kubelet ends for its own reasons: a probe that fails, a node that runs short.

const (
	// termWithin is how long before the end a SIGTERM is looked for.
	termWithin = time.Hour
	// killWithin is how long before a SIGKILL the call of its sender ended.
	killWithin = 10 * time.Second
	// goingSlack is how much later than the kubelet recorderd may learn that a pod goes.
	goingSlack = 10 * time.Second
)

// sentFrom adds to the end of a container's first process what the records say of the
// signals that it got from outside.
func sentFrom(x *api.Exit, s *snapshot, h *layout.RingHead, arch record.Arch) {
	if x == nil || x.Source != "kernel" {
		return
	}
	of := threadsOf(h.InitTid, s)
	end := h.InitEnd
	var term, killer uint64
	asked := func(at uint64) {
		if at <= end && at+uint64(termWithin) > end && (term == 0 || at < term) {
			term = at
		}
	}
	var last layout.SentFlag // who sent the SIGKILL
	fatal, struck := false, false
	eachRecord(s, func(rec *record.Record) {
		switch {
		case rec.Type == layout.RecSignal && of[rec.Tid] && unix.Signal(rec.Nr) == unix.SIGTERM && outside(rec, h, s):
			fatal = true
			asked(rec.Time)
		case rec.Type == layout.RecSent && of[rec.Tid] && rec.Time <= end:
			by := layout.SentFlag(rec.Args[2])
			switch unix.Signal(rec.Nr) {
			case unix.SIGTERM: // also one that is ignored
				if fromOutside(by) {
					asked(rec.Time)
				}
			case unix.SIGKILL:
				if rec.Args[0] == 0 { // process 1 ignores those from inside
					last, struck = by, true
				}
			}
		case rec.Type == layout.RecCall && rec.Time+uint64(killWithin) > end && kills(rec, arch):
			killer = rec.Time
		}
	})
	if term != 0 {
		at := wallTime(term)
		x.TermAt = &at
	}
	switch x.Signal {
	case "SIGTERM":
		x.Outside = fatal
	case "SIGKILL":
		switch {
		case x.OOMKilled:
		case struck:
			x.Outside = fromOutside(last)
		default: // recorded before recorderd kept who sent it
			x.Outside = killer == 0
		}
	}
}

// fromOutside reports whether a process outside of the container sent a signal, as the kernel saw.
func fromOutside(by layout.SentFlag) bool {
	return by&layout.SentByProcess != 0 && by&(layout.SentSame|layout.SentAtEnd) == 0
}

// eachRecord calls do with what the main and the guard lane hold.
func eachRecord(s *snapshot, do func(rec *record.Record)) {
	var rec record.Record
	for _, rest := range [][]byte{s.main.Records, s.guard.Records} {
		for len(rest) > 0 {
			raw, next, err := record.Next(rest)
			if err != nil {
				break
			}
			if rest = next; record.Parse(raw, &rec) == nil {
				do(&rec)
			}
		}
	}
}

// threadsOf are the threads of the process whose first thread is given, as far as they are
// known.
func threadsOf(tgid uint32, s *snapshot) map[uint32]bool {
	of := map[uint32]bool{tgid: true}
	eachTask(s.tasks.Records, func(info *layout.TaskInfo, _ []byte) error { //nolint:errcheck // what can be read
		if info.Tgid == tgid {
			of[info.Tid] = true
		}
		return nil
	})
	return of
}

// outside reports whether a signal was sent by somebody outside of the container: the
// kernel gives the sender's pid as the receiver sees it, and 0 if it does not. A container
// in the node's pid namespace sees everybody.
func outside(rec *record.Record, h *layout.RingHead, s *snapshot) bool {
	if len(rec.Items) == 0 || len(rec.Items[0].Data) < 20 {
		return false
	}
	info := rec.Items[0].Data
	code, pid := int32(binary.LittleEndian.Uint32(info[8:])), binary.LittleEndian.Uint32(info[16:])
	if code != 0 { // SI_USER: what kill does
		return false
	}
	if h.PidLevel > 0 {
		return pid == 0
	}
	own := false
	eachTask(s.tasks.Records, func(t *layout.TaskInfo, _ []byte) error { //nolint:errcheck // what can be read
		own = own || t.Tgid == pid
		return nil
	})
	return !own && !slices.ContainsFunc(s.live, func(t layout.TaskDump) bool { return t.Info.Tgid == pid })
}

// kills reports whether a call sent a SIGKILL.
func kills(rec *record.Record, arch record.Arch) bool {
	if rec.Ret < 0 {
		return false
	}
	call := syscalls.Lookup(arch.ABI(rec.Flags), uint32(rec.Nr))
	if call == nil {
		return false
	}
	at := -1
	switch call.Name {
	case "kill", "tkill", "rt_sigqueueinfo", "pidfd_send_signal":
		at = 1
	case "tgkill", "rt_tgsigqueueinfo":
		at = 2
	}
	return at >= 0 && unix.Signal(int32(rec.Args[at])) == unix.SIGKILL
}

// askedFor reports whether an end is one that a runtime asks for: the program ended well,
// as one does that handles SIGTERM, or by a signal of the runtime's.
func askedFor(x *api.Exit) bool {
	if x.OOMKilled || x.CoreDumped {
		return false
	}
	if x.Signal != "" {
		return x.Outside && (x.Signal == "SIGTERM" || x.Signal == "SIGKILL")
	}
	return x.Code == 0 || x.Code == 128+int(unix.SIGTERM)
}

// during reports whether a container ended while its pod was going.
func during(x *api.Exit, g *api.Going) bool {
	return g != nil && !x.At.IsZero() && !x.At.Before(g.Seen.Add(-goingSlack))
}

// judge adds to an end whether it was deliberate.
func judge(x *api.Exit, g *api.Going) *api.Exit {
	if x == nil {
		return nil
	}
	why := ""
	if g.Wanted() && during(x, g) && askedFor(x) {
		why = g.Why
	}
	if x.Deliberate == why {
		return x
	}
	judged := *x // it may be of a description that is kept
	judged.Deliberate = why
	return &judged
}

// endedHow says how an end came about, beside how the process ended: for people.
func endedHow(d *api.Recording) string {
	x, g := d.Exit, goingOf(d)
	if x == nil {
		return ""
	}
	text := ""
	asked := x.TermAt != nil && askedFor(x)
	switch {
	case x.Outside:
		text = " from outside"
	case asked:
		text = ", " + x.SinceTerm().String() + " after SIGTERM from outside"
	}
	switch {
	case during(x, g):
		text += ", while " + g.Says()
		if g.Message != "" {
			text += " (" + g.Message + ")"
		}
	case d.Pod != nil && (x.Outside || asked):
		text += ", while its pod stayed, as after a failed probe"
	}
	if after, ok := x.Stubborn(); ok {
		text += "; it did not end on SIGTERM within " + after.String()
	}
	return text
}

// goingOf is why a recording's pod goes, nil if nothing says that it does.
func goingOf(d *api.Recording) *api.Going {
	if d.Pod == nil {
		return nil
	}
	return d.Pod.Going
}
