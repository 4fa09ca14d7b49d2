package replay

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/recorderd/recorderd/internal/jsontext"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/strace"
	"github.com/recorderd/recorderd/recorder/syscalls"
	"github.com/recorderd/recorderd/recorder/value"
)

// The types of lines that are no Kind.
const (
	LineHeader = "header" // the first line, again while following: "type" and the fields of dump.Header
	LineDamage = "damage" // "type" and the fields of dump.Damage: something is missing here
	LineEnd    = "end"    // the last line, see EndLine
)

// Line is one line of FormatJSON between the first and the last. Fields that say
// nothing are left out.
type Line struct {
	Type string `json:"type"` // a Kind
	// Time is when a call returned or when what else happened; the start of calls
	// that did not return. MonotonicNs is the same on CLOCK_MONOTONIC.
	Time        time.Time `json:"time"`
	MonotonicNs uint64    `json:"monotonicNs"`

	Pid        uint32 `json:"pid,omitempty"` // as the container sees them
	Tid        uint32 `json:"tid,omitempty"`
	HostPid    uint32 `json:"hostPid,omitempty"`
	HostTid    uint32 `json:"hostTid"`
	Unresolved bool   `json:"unresolved,omitempty"` // only HostTid is known of the thread
	Comm       string `json:"comm,omitempty"`
	Guard      bool   `json:"guard,omitempty"` // older than where every call is kept

	// call, exec
	Syscall  string  `json:"syscall,omitempty"`
	Nr       *uint32 `json:"nr,omitempty"`
	Arch     string  `json:"arch,omitempty"`
	Args     []Arg   `json:"args,omitempty"`
	ArgsLost bool    `json:"argsLost,omitempty"` // not recorded, or overwritten
	Ret      *int64  `json:"ret,omitempty"`      // -1 if there is an Error
	Error    string  `json:"error,omitempty"`    // "ENOENT"
	Errno    int     `json:"errno,omitempty"`
	// Result is what Ret means, where it is more than a number: the flags that fcntl returned,
	// the descriptors that poll found.
	Result     json.RawMessage `json:"result,omitempty"`
	DurationNs *uint64         `json:"durationNs,omitempty"` // until now, of a call that is blocked
	Unfinished bool            `json:"unfinished,omitempty"`
	State      string          `json:"state,omitempty"` // a State, if not finished
	Program    *Program        `json:"program,omitempty"`
	Fds        []FD            `json:"fds,omitempty"` // what is known of its descriptors, if that was asked for
	// Tail is the end of what was written to stdout or stderr, if Args has its beginning alone.
	Tail string `json:"tail,omitempty"`

	Cut   bool `json:"cut,omitempty"`   // something was cut at a limit
	Fault bool `json:"fault,omitempty"` // memory that could not be read

	// exit
	Code       *int `json:"code,omitempty"` // exit code; of signal and sent the si_code
	CoreDumped bool `json:"coreDumped,omitempty"`
	OOM        bool `json:"oom,omitempty"`  // the process was the OOM killer's victim
	Last       bool `json:"last,omitempty"` // the process ended with this thread
	// exit, signal, sent
	Signal string `json:"signal,omitempty"` // "SIGSEGV"; of an exit, what ended it

	// Siginfo is the signal's information, by the names of its members.
	Siginfo json.RawMessage `json:"siginfo,omitempty"`

	Usage *Usage `json:"usage,omitempty"` // exit of the first process, sent by the OOM killer

	Sent *Sent `json:"sent,omitempty"` // sent: by whom, and what the kernel made of it

	Name string `json:"name,omitempty"` // rename: the new one

	// unknown: the number of the record's type, and the record as it stands in the dump
	RecordType uint32 `json:"recordType,omitempty"`
	Record     []byte `json:"record,omitempty"`

	// Base64 holds the strings of this line that are not UTF-8, and so have U+FFFD in it: by
	// JSON pointers from the line, such as /args/1/value.
	Base64 map[string][]byte `json:"base64,omitempty"`
}

// Arg is an argument of a call.
type Arg struct {
	Name string `json:"name"`
	Type string `json:"type"` // of calls.txt: "path", "openflags", "timespec" …
	Raw  uint64 `json:"raw"`  // what stood in the register (both, where 64 bits took two)
	// Value is what Raw means, in the shapes of value.JSON; not there where that is Raw
	// itself, for a null pointer, and where nothing was captured.
	Value json.RawMessage `json:"value,omitempty"`
	Cut   bool            `json:"cut,omitempty"` // there was more than Value holds
}

// DamageLine stands in the place of what the dump had once and has no longer.
type DamageLine struct {
	Type string `json:"type"`
	dump.Damage
}

// EndLine is the last line of FormatJSON.
type EndLine struct {
	Type    string            `json:"type"`
	Events  uint64            `json:"events"`  // lines between the first and this one
	Records map[string]uint64 `json:"records"` // read, by type of frame, as in dump.End
	Doubles uint64            `json:"doubles,omitempty"`
	Invalid uint64            `json:"invalid,omitempty"`
	Unknown uint64            `json:"unknown,omitempty"` // of types that this version does not know
	Error   string            `json:"error,omitempty"`   // why the dump could not be read to its end
}

type jsonSink struct {
	*lines
	fds    bool
	format formatter
	clock  wallClock
	taken  uint64
	decode strace.Decoder
	values value.JSON
}

func newJSON(out *lines, h *dump.Header, o *Options) (*jsonSink, error) {
	j := &jsonSink{lines: out, format: newFormatter(h), clock: newWallClock(h, time.UTC), taken: h.Clock.Monotonic(h.Taken), fds: o.Fds}
	j.values.BigStrings = o.BigStrings
	return j, j.again(h)
}

// again writes a header, the first one too.
func (j *jsonSink) again(h *dump.Header) error {
	b, err := json.Marshal(struct {
		Type string `json:"type"`
		*dump.Header
	}{LineHeader, h})
	if err != nil {
		return err
	}
	j.buf = append(append(j.buf, jsontext.Escape(b)...), '\n')
	return nil
}

func (j *jsonSink) damage(d *dump.Damage) error {
	b, err := json.Marshal(DamageLine{LineDamage, *d})
	if err != nil {
		return err
	}
	j.buf = append(append(j.buf, jsontext.Escape(b)...), '\n')
	return j.done()
}

func (j *jsonSink) end(s *Stats, err error) error {
	line := EndLine{LineEnd, s.Events, s.Records, s.Doubles, s.Invalid, s.Unknown, ""}
	if err != nil {
		line.Error = err.Error()
	}
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	j.buf = append(append(j.buf, jsontext.Escape(b)...), '\n')
	return j.write()
}

func (j *jsonSink) event(ev *Event) error {
	b := append(j.buf, `{"type":"`...)
	b = append(b, ev.Kind.String()...)
	b = append(b, `","time":"`...)
	b = j.clock.time(ev.Time).AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","monotonicNs":`...)
	b = appendUint(b, ev.Time)
	if ev.Task.InContainer() {
		b = jsonUint(b, "pid", uint64(ev.Task.Info.NsTgid))
		b = jsonUint(b, "tid", uint64(ev.Task.Info.NsTid))
	}
	if ev.Task.Known {
		b = jsonUint(b, "hostPid", uint64(ev.Task.Info.Tgid))
	}
	b = jsonUint(b, "hostTid", uint64(ev.Task.Info.Tid))
	b = jsonTrue(b, "unresolved", !ev.Task.Known)
	if name := ev.Comm.Bytes(); len(name) > 0 {
		b = jsonString(b, "comm", name)
		j.values.NotUTF8("/comm", name)
	}
	b = jsonTrue(b, "guard", ev.Guard)
	b = kinds[ev.Kind].shown.json(j, b, ev)
	b = jsonTrue(b, "cut", ev.Rec.Flags&layout.RecfCut != 0)
	b = jsonTrue(b, "fault", ev.Rec.Flags&layout.RecfFault != 0)
	b = j.values.Base64(b)
	j.buf = append(b, "}\n"...)
	return j.done()
}

func (j *jsonSink) call(b []byte, ev *Event) []byte {
	rec, arch := &ev.Rec, j.format.abi(ev)
	t := j.decode.Call(arch, rec, ev.State != Finished, ev.netlink)
	b = append(b, `,"syscall":"`...)
	b = j.decode.AppendName(b)
	b = append(b, '"')
	b = jsonInt(b, "nr", rec.Number())
	b = append(b, `,"arch":"`...)
	b = append(b, arch.String()...)
	b = append(b, '"')
	if ev.NoArgs {
		b = jsonTrue(b, "argsLost", true)
	} else if len(t.Args) > 0 {
		b = j.values.Args(append(b, `,"args":`...), t)
	}
	switch {
	case ev.State != Finished:
		b = jsonTrue(b, "unfinished", ev.State != NoReturn)
		b = jsonString(b, "state", []byte(ev.State.String()))
		switch {
		case ev.State == Blocked && !ev.NoDur() && j.taken >= ev.Start:
			b = jsonUint(b, "durationNs", j.taken-ev.Start)
		case ev.State == Killed && ev.Time > ev.Start:
			b = jsonUint(b, "durationNs", ev.Time-ev.Start)
		}
	default:
		if ev.Failed() {
			b = append(b, `,"ret":-1`...)
			if name, _ := syscalls.Errno(int(-rec.Ret)); name != "" {
				b = jsonString(b, "error", []byte(name))
			}
			b = jsonInt(b, "errno", -rec.Ret)
		} else {
			b = j.values.Append(append(b, `,"ret":`...), t, t.Ret)
			if t.Means >= 0 {
				b = j.values.Means(append(b, `,"result":`...), t)
			}
		}
		if !ev.NoDur() {
			b = jsonUint(b, "durationNs", rec.Dur)
		}
	}
	for i := range rec.Items {
		if it := &rec.Items[i]; it.Kind == layout.ItemTail {
			b = jsonString(b, "tail", it.Data)
			j.values.NotUTF8("/tail", it.Data)
		}
	}
	if j.fds {
		b = j.descriptors(b, ev)
	}
	if p, ok := ev.Program(); ok {
		if text, err := json.Marshal(&p); err == nil {
			b = append(append(b, `,"program":`...), jsontext.Escape(text)...)
			j.values.NotUTF8("/program/file", []byte(p.File))
			j.values.NotUTF8("/program/interpreter", []byte(p.Interpreter))
			for i, arg := range p.Argv {
				j.values.NotUTF8("/program/argv/"+strconv.Itoa(i), []byte(arg))
			}
		}
	}
	return b
}

// descriptors appends what is known of a call's descriptors.
func (j *jsonSink) descriptors(b []byte, ev *Event) []byte {
	if len(ev.fds) == 0 {
		return b
	}
	text, err := json.Marshal(ev.fds)
	if err != nil {
		return b
	}
	return append(append(b, `,"fds":`...), jsontext.Escape(text)...)
}

func (j *jsonSink) exit(b []byte, ev *Event) []byte {
	if sig := int(ev.Rec.Ret & 0x7f); sig != 0 {
		b = jsonString(b, "signal", strace.AppendSignalName(nil, sig))
		b = jsonTrue(b, "coreDumped", ev.Rec.Ret&0x80 != 0)
	} else {
		b = jsonInt(b, "code", ev.Rec.Ret>>8&0xff)
	}
	b = jsonTrue(b, "last", ev.Rec.Args[1] != 0)
	b = jsonTrue(b, "oom", ev.Rec.Args[3] != 0)
	return jsonUsage(b, ev)
}

func jsonUsage(b []byte, ev *Event) []byte {
	text, err := json.Marshal(ev.Usage())
	if err != nil || string(text) == "null" {
		return b
	}
	return append(append(b, `,"usage":`...), text...)
}

func jsonKey(b []byte, key string) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	return append(b, '"', ':')
}

func jsonUint(b []byte, key string, v uint64) []byte { return appendUint(jsonKey(b, key), v) }
func jsonInt(b []byte, key string, v int64) []byte   { return appendInt(jsonKey(b, key), v) }

func jsonTrue(b []byte, key string, is bool) []byte {
	if !is {
		return b
	}
	return append(jsonKey(b, key), "true"...)
}

// jsonString appends a string that may hold anything, without control characters;
// what is no UTF-8 becomes U+FFFD.
func jsonString(b []byte, key string, s []byte) []byte {
	return value.AppendJSONString(jsonKey(b, key), s)
}
