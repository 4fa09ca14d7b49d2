package replay

import (
	"encoding/base64"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/strace"
)

// How kinds of events are shown, by the names that kinds.go has for them.

func inRed(*Event) string { return red }

var showCall = rendering{
	text: func(f *formatter, b []byte, ev *Event) []byte { return f.call(b, ev, 0) },
	json: (*jsonSink).call, strace: straceOwn,
}

var showExec = showCall

var showExit = rendering{
	text: (*formatter).exit,
	json: (*jsonSink).exit, strace: straceOwn,
	colour: func(ev *Event) string {
		if ev.Rec.Ret != 0 {
			return red
		}
		return green
	},
	mark: func(ev *Event) (name, scope string) {
		if ev.Rec.Args[1] != 0 {
			return "exit", "p"
		}
		return "exit", "t"
	},
}

var showSignal = rendering{
	text: (*formatter).signal, strace: straceOwn,
	colour: func(*Event) string { return signalled },
	json: func(j *jsonSink, b []byte, ev *Event) []byte {
		b = jsonString(b, "signal", strace.AppendSignalName(nil, int(ev.Rec.Nr)))
		b = jsonInt(b, "code", ev.Rec.Ret)
		b = append(b, `,"siginfo":`...)
		return j.values.Append(b, j.decode.Signal(j.format.abi(ev), &ev.Rec), 0)
	},
	mark: func(ev *Event) (name, scope string) { return strace.SignalName(int(ev.Rec.Nr)), "t" },
}

var showOOM = rendering{
	text: func(_ *formatter, b []byte, _ *Event) []byte {
		return append(b, "!!! chosen by the OOM killer !!!"...)
	},
	colour: inRed,
	json:   func(_ *jsonSink, b []byte, _ *Event) []byte { return b }, // has nothing more to say
	mark:   func(*Event) (name, scope string) { return "oom", "p" },
}

var showRename = rendering{
	text:   func(_ *formatter, b []byte, _ *Event) []byte { return append(b, "(renamed)"...) },
	silent: true, // prctl or write has shown it
	json: func(j *jsonSink, b []byte, ev *Event) []byte {
		for _, it := range ev.Rec.Items {
			if it.Arg == 0 && it.Kind == layout.ItemStr {
				var c Comm
				c.set(it.Data)
				b = jsonString(b, "name", c.Bytes())
				j.values.NotUTF8("/name", c.Bytes())
				break
			}
		}
		return b
	},
}

var showUnknown = rendering{
	text:   func(_ *formatter, b []byte, ev *Event) []byte { return appendUnknown(b, ev) },
	colour: inRed, strace: straceOwn,
	json: func(_ *jsonSink, b []byte, ev *Event) []byte {
		b = jsonUint(b, "recordType", uint64(ev.Rec.Type))
		return jsonString(b, "record", base64.StdEncoding.AppendEncode(nil, ev.Raw))
	},
	mark: func(*Event) (name, scope string) { return "unknown", "t" },
}
