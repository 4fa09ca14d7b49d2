package replay

import (
	"bytes"
	"slices"
	"unsafe"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// State is how far a system call came.
type State uint8

// The states of a call.
const (
	Finished   State = iota
	NoReturn         // exit and exit_group
	Killed           // its thread ended in it
	Unfinished       // its end is missing
	Blocked          // its thread was in it when the dump was taken
)

var states = [...]string{"finished", "noreturn", "killed", "unfinished", "blocked"}

// String returns the state's name in JSON.
func (s State) String() string { return states[s] }

// Event is something that happened, put together from the records about it.
type Event struct {
	Kind  Kind
	State State
	// Rec is the record of a call as if there were one alone: arguments and items
	// are those from its beginning where the end has none (execve, exit). Of other
	// kinds it is their record. Valid until the callback returns, like Raw.
	Rec record.Record
	// Raw is the record as it stands in the dump, nil if it was put together.
	Raw []byte

	// Time is ns on CLOCK_MONOTONIC: when a call ended or what else happened. Of
	// calls that are NoReturn, Unfinished or Blocked it is the start.
	Time  uint64
	Start uint64 // ns: when a call began; Time if that is not known
	Task  *Task
	Comm  Comm  // the thread's name, of KindExec that before it
	Was   *Task // KindExec: who called it, if Task got another id by it; else nil
	// Guard: only the guard lane still had it, it is older than all of the main lane.
	Guard bool
	// NoArgs: the arguments are lost, only the call's number is known.
	NoArgs bool

	program []byte      // KindExec: the REC_EXEC
	abi     record.Arch // of a call
	cwd     string      // with fds: the working directory, "" if it is not known
	fds     []FD        // if they were asked for; valid as long as Raw is
	path    firstPath
	struck  bool // KindExit: the record before was SIGKILL
	netlink int  // of a call: protocol of the netlink socket in its first argument plus 1; 0: not known
}

// NoDur reports whether the time that a call took is not known.
func (ev *Event) NoDur() bool { return ev.Rec.Flags&layout.RecfNodur != 0 }

// Program is what an execve started.
type Program struct {
	File        string   `json:"file"`
	Interpreter string   `json:"interpreter,omitempty"` // of a script
	Argv        []string `json:"argv,omitempty"`        // as the new program sees it
	Cut         bool     `json:"cut,omitempty"`         // there was more
}

// Program returns what an event of KindExec started, and false if that is not known.
func (ev *Event) Program() (Program, bool) {
	if ev.Kind != KindExec || ev.program == nil {
		return Program{}, false
	}
	var rec record.Record
	if record.Parse(ev.program, &rec) != nil {
		return Program{}, false
	}
	var p Program
	for _, it := range rec.Items {
		p.Cut = p.Cut || it.Cut() || it.Fault()
		switch {
		case it.Arg == 0 && it.Kind == layout.ItemStr:
			p.File = string(it.Data)
		case it.Arg == 1 && it.Kind == layout.ItemStr:
			p.Interpreter = string(it.Data)
		case it.Arg == 2 && it.Kind == layout.ItemArgv:
			for _, arg := range splitArgv(it.Data) {
				p.Argv = append(p.Argv, string(arg))
			}
		}
	}
	return p, true
}

// splitArgv splits strings that end with NULs; the last one's may be missing.
func splitArgv(b []byte) [][]byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.Split(bytes.TrimSuffix(b, []byte{0}), []byte{0})
}

// held is an event that stays valid, in few bytes.
type held struct {
	raw         []byte
	program     *[]byte
	time, start uint64
	task        *Task
	was         *Task
	comm        Comm
	kind        Kind
	state       State
	guard       bool
	noArgs      bool
	abi         record.Arch
	netlink     int32
	fds         *[]FD
	begun, drop bool // straceSink has written its beginning, or will not write it
	resumes     bool // it is a restart_syscall, and what it resumes is known:
	resumed     uint16
}

// size is how many bytes h takes, with its places in an index.
func (h *held) size() int {
	n := int(unsafe.Sizeof(*h)) + 8 + len(h.raw)
	if h.program != nil {
		n += len(*h.program)
	}
	if h.fds != nil {
		n += len(*h.fds) * int(unsafe.Sizeof(FD{}))
	}
	return n
}

// hold returns what restore makes ev of again.
func (ev *Event) hold(a *arena) held {
	h := ev.brief()
	if len(ev.fds) > 0 {
		fds := slices.Clone(ev.fds)
		h.fds = &fds
	}
	if ev.Raw != nil {
		h.raw = a.copy(ev.Raw)
	} else {
		a.scratch = record.Append(a.scratch[:0], &ev.Rec)
		h.raw = a.copy(a.scratch)
	}
	if ev.program != nil {
		p := a.copy(ev.program)
		h.program = &p
	}
	return h
}

// brief returns what of ev stays valid, without what aliases records and descriptors.
func (ev *Event) brief() held {
	h := held{
		time: ev.Time, start: ev.Start, task: ev.Task, comm: ev.Comm, was: ev.Was,
		kind: ev.Kind, state: ev.State, guard: ev.Guard, noArgs: ev.NoArgs, abi: ev.abi, netlink: int32(ev.netlink),
	}
	return h
}

// restore makes *ev what it was before hold.
func (h *held) restore(ev *Event) {
	items := ev.Rec.Items
	*ev = Event{
		Kind: h.kind, State: h.state, Raw: h.raw, Time: h.time, Start: h.start, Task: h.task, Comm: h.comm,
		Was: h.was, Guard: h.guard, NoArgs: h.noArgs, abi: h.abi, netlink: int(h.netlink),
	}
	ev.Rec.Items = items
	_ = record.Parse(h.raw, &ev.Rec) // has been parsed before, or written by Append
	if h.program != nil {
		ev.program = *h.program
	}
	if h.fds != nil {
		ev.fds = *h.fds
	}
}

// arena copies short things without an allocation for each.
type arena struct {
	free    []byte
	scratch []byte
}

func (a *arena) copy(b []byte) []byte {
	if len(b) > len(a.free) {
		a.free = make([]byte, max(64<<10, len(b)))
	}
	n := copy(a.free, b)
	c := a.free[:n:n]
	a.free = a.free[n:]
	return c
}
