package replay

import (
	"encoding/json"

	"github.com/recorderd/recorderd/internal/jsontext"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/strace"
)

// Sent is what is known of a signal that was sent: by whom, and what the kernel made of it.
// Names are those that programs and containers chose: they may hold anything.
type Sent struct {
	// Outcome says whether it can be delivered. Only a signal event says that it was.
	Outcome SentOutcome `json:"outcome"`
	// Handler is what the target did with such signals then: default, ignored, or function.
	Handler string `json:"handler"`
	Group   bool   `json:"group,omitempty"` // to the process; else to the thread alone
	// By is kernel (a timer, a terminal, a limit) or process. What follows is that process.
	By      string `json:"by"`
	Where   string `json:"where,omitempty"`   // it runs: here (in this container), container (another), node
	Pid     uint32 `json:"pid,omitempty"`     // as the target sees it, if it does
	HostPid uint32 `json:"hostPid,omitempty"` // on the node
	Comm    string `json:"comm,omitempty"`
	Parent  string `json:"parent,omitempty"` // its parent's name
	Cgroup  string `json:"cgroup,omitempty"` // the name of its cgroup, if that is not this container's
	Ending  bool   `json:"ending,omitempty"` // it ended, and the target had asked to be told so
	// LeftOut counts signals to this process that came too fast before this one to be recorded.
	LeftOut uint64 `json:"leftOut,omitempty"`
}

// SentOutcome is what the kernel made of a signal when it was sent.
type SentOutcome string

// The outcomes, in the order of the kernel's own numbers.
const (
	SentQueued  SentOutcome = "queued"  // it waits to be delivered
	SentIgnored SentOutcome = "ignored" // the target does not want it
	SentPending SentOutcome = "pending" // one like it waits already
	SentNoRoom  SentOutcome = "no-room" // too many wait: the sender was told
	SentBare    SentOutcome = "bare"    // it waits, without its siginfo
	SentUnknown SentOutcome = "unknown"
)

var sentOutcomes = [...]SentOutcome{SentQueued, SentIgnored, SentPending, SentNoRoom, SentBare}

// The values of Sent.By, Sent.Where and Sent.Handler.
const (
	SentByKernel    = "kernel"
	SentByProcess   = "process"
	SentHere        = "here"
	SentContainer   = "container"
	SentNode        = "node"
	HandlerDefault  = "default"
	HandlerIgnored  = "ignored"
	HandlerFunction = "function"
)

// Sent returns who sent the signal, of an event of KindSent.
func (ev *Event) Sent() Sent {
	rec := &ev.Rec
	s := Sent{Outcome: SentUnknown, By: SentByKernel, Handler: HandlerFunction, LeftOut: rec.Args[5]}
	if rec.Args[0] < uint64(len(sentOutcomes)) {
		s.Outcome = sentOutcomes[rec.Args[0]]
	}
	switch rec.Args[1] {
	case 0:
		s.Handler = HandlerDefault
	case 1:
		s.Handler = HandlerIgnored
	}
	flags := layout.SentFlag(rec.Args[2])
	s.Group = flags&layout.SentToGroup != 0
	if flags&layout.SentByProcess == 0 {
		return s
	}
	s.By, s.Where = SentByProcess, SentNode
	switch {
	case flags&layout.SentSame != 0:
		s.Where = SentHere
	case flags&layout.SentOther != 0:
		s.Where = SentContainer
	}
	s.HostPid, s.Pid, s.Ending = uint32(rec.Args[3]), uint32(rec.Args[4]), flags&layout.SentAtEnd != 0
	for _, it := range rec.Items {
		if it.Kind != layout.ItemStr {
			continue
		}
		switch it.Arg {
		case 0:
			s.Comm = string(it.Data)
		case 1:
			s.Parent = string(it.Data)
		case 2:
			s.Cgroup = string(it.Data)
		}
	}
	return s
}

// From says who sent it: "runc (host pid 7) for containerd-shim, on the node". Nothing in it is
// obeyed by a terminal.
func (s *Sent) From() string {
	if s.By != SentByProcess {
		return "the kernel"
	}
	b := orElse(safe(s.Comm), "a process")
	if s.Pid != 0 {
		b += " (pid " + string(appendUint(nil, uint64(s.Pid))) + ")"
	} else {
		b += " (host pid " + string(appendUint(nil, uint64(s.HostPid))) + ")"
	}
	if s.Where == SentHere {
		return b
	}
	return b + s.Place()
}

// Place says on whose behalf a process outside of the container sent it, and where that runs,
// beginning with a space or comma; "" for one of the container.
func (s *Sent) Place() string {
	b := ""
	if s.Parent != "" && s.Parent != s.Comm {
		b = " for " + safe(s.Parent)
	}
	switch s.Where {
	case SentContainer:
		b += ", in the container of cgroup " + orElse(safe(s.Cgroup), "unknown")
	case SentNode:
		b += ", on the node"
	default:
		return ""
	}
	return b
}

var outcomeTexts = map[SentOutcome]string{
	SentQueued: "queued", SentPending: "one is pending already", SentNoRoom: "there was no room for it",
	SentBare: "queued without its siginfo", SentUnknown: "with an unknown result",
}

func (s *Sent) append(b []byte, sig int) []byte {
	b = append(b, ">>> "...)
	b = strace.AppendSignalName(b, sig)
	b = append(b, " from "...)
	b = append(b, s.From()...)
	if s.Ending {
		b = append(b, ", which ended"...)
	}
	b = append(b, ": "...)
	switch {
	case s.Outcome == SentIgnored && s.Handler == HandlerDefault:
		b = append(b, "ignored, there is no handler"...)
	case s.Outcome == SentIgnored:
		b = append(b, "ignored"...)
	case s.Outcome == SentQueued && s.Handler == HandlerIgnored:
		// The kernel does not drop what is blocked: a handler may be set before it is not.
		b = append(b, "queued while blocked, and else ignored"...)
	default:
		b = append(b, outcomeTexts[s.Outcome]...)
	}
	if s.LeftOut > 0 {
		b = append(b, ", "...)
		b = append(b, Thousands(s.LeftOut)...)
		b = append(b, " before it are left out"...)
	}
	return append(b, " <<<"...)
}

var showSent = rendering{
	text: func(_ *formatter, b []byte, ev *Event) []byte {
		s := ev.Sent()
		return s.append(b, int(ev.Rec.Nr))
	},
	colour: func(*Event) string { return signalled },
	strace: straceComment,
	mark:   func(ev *Event) (name, scope string) { return strace.SignalName(int(ev.Rec.Nr)) + " sent", "t" },
	json: func(j *jsonSink, b []byte, ev *Event) []byte {
		b = jsonString(b, "signal", strace.AppendSignalName(nil, int(ev.Rec.Nr)))
		b = jsonInt(b, "code", ev.Rec.Ret)
		s := ev.Sent()
		text, err := json.Marshal(&s)
		if err != nil {
			return b
		}
		j.values.NotUTF8("/sent/comm", []byte(s.Comm))
		j.values.NotUTF8("/sent/parent", []byte(s.Parent))
		j.values.NotUTF8("/sent/cgroup", []byte(s.Cgroup))
		return jsonUsage(append(append(b, `,"sent":`...), jsontext.Escape(text)...), ev)
	},
}
