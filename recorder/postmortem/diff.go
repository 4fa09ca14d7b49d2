package postmortem

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/replay"
)

// Difference is what one of two recordings has and the other lacks.
type Difference struct {
	Type string `json:"type"` // "difference"
	A    Side   `json:"a"`
	B    Side   `json:"b"`
	// Part is where the two part, nil if they do not, or if that is not known.
	Part *Parting `json:"part,omitempty"`
	// OnlyA and OnlyB are what one of them alone has, the weightiest first.
	OnlyA List[Diff] `json:"onlyA"`
	OnlyB List[Diff] `json:"onlyB"`
	// Lacks says what cannot be compared.
	Lacks []string `json:"lacks"`
}

// Side is one of the two.
type Side struct {
	Recording *api.Recording `json:"recording"`
	Node      string         `json:"node,omitempty"`
	Verdict   string         `json:"verdict"`
	Outcome   Outcome        `json:"outcome"`
	Covers    string         `json:"covers"` // a sentence: from when to when, and how much of it

	steps []step
	// begins: the recording has the beginning of the container.
	begins bool
	things map[string]*Diff
	more   uint64
}

// Parting is the first point where two recordings part. Numbers, ids and hashes are not compared,
// nor is what a program looks for in many places, nor how long anything takes.
type Parting struct {
	Steps  int     `json:"steps"`  // of the first thread that are the same, up to there
	Before []Event `json:"before"` // the last of them, as A has them
	// A and B are what each does then; nil: nothing more.
	A *Event `json:"a,omitempty"`
	B *Event `json:"b,omitempty"`
}

// DiffKind is what differs.
type DiffKind string

// The kinds of differences.
const (
	DiffError   DiffKind = "error"   // a call failed
	DiffFile    DiffKind = "file"    // a file was opened
	DiffPeer    DiffKind = "peer"    // a peer was connected
	DiffProgram DiffKind = "program" // a program was executed
	DiffCall    DiffKind = "call"    // a call was made at all
	DiffSignal  DiffKind = "signal"  // a signal was delivered
)

// Diff is something that one of two recordings has and the other lacks.
type Diff struct {
	Kind   DiffKind `json:"kind"`
	Text   string   `json:"text"`
	Count  uint64   `json:"count"`
	Weight float64  `json:"weight"` // as of failed calls
	First  Event    `json:"first"`

	key string
}

// Bounds of what is remembered of a side.
const (
	maxSteps  = 20_000
	maxThings = 8192
	maxApart  = 64 // steps that one may have and the other not before they part
)

// step is something that the first thread did and that can be compared.
type step struct {
	what, result uint64 // hashes
	last         bool   // it ends the thread
	ev           Event
}

var diffSeed = maphash.MakeSeed()

func hash(parts ...string) uint64 { return maphash.String(diffSeed, strings.Join(parts, "\x00")) }

// Compare compares two dumps, which it reads to their ends. The error is that of a dump of which
// nothing could be read; what is damaged is compared as far as it can be read, and Lacks says so.
func Compare(a, b *dump.Reader, items int) (*Difference, error) {
	d := &Difference{Type: "difference", Lacks: []string{}}
	for _, one := range []struct {
		side *Side
		from *dump.Reader
		name string
	}{{&d.A, a, "A"}, {&d.B, b, "B"}} {
		if err := one.side.read(one.from); err != nil {
			d.Lacks = append(d.Lacks, one.name+": "+replay.Safe(strings.ToValidUTF8(err.Error(), "?")))
		}
		if one.side.more > 0 {
			d.Lacks = append(d.Lacks, one.name+" has more than is remembered: "+counted(one.side.more, "thing")+" are left out")
		}
	}
	items = cmp.Or(max(items, 0), 20)
	d.OnlyA, d.OnlyB = only(&d.A, &d.B, items), only(&d.B, &d.A, items)
	switch {
	case !d.A.begins || !d.B.begins:
		which := "the beginning of A is"
		if d.A.begins {
			which = "the beginning of B is"
		} else if !d.B.begins {
			which = "the beginnings of both are"
		}
		d.Lacks = append(d.Lacks, which+" not in the recording: where the two part is not known")
	default:
		d.Part = part(d.A.steps, d.B.steps)
	}
	return d, nil
}

// read reads a dump.
func (s *Side) read(r *dump.Reader) error {
	s.things = make(map[string]*Diff)
	var first *replay.Task
	report, err := buildAlso(r, Options{}, func(b *builder, ev *replay.Event) {
		p := b.procOf(ev)
		if p.setsUp() || runtimes(b.commOf(ev)) {
			return
		}
		b.compare(s, ev, p)
		// Process 1, else whoever comes first, from its program on.
		pid, tid := ev.Task.IDs(false)
		switch {
		case first == nil, pid == 1 && tid == 1 && ev.Task.InContainer() && first != ev.Task:
			if first != nil {
				if p1, _ := first.IDs(false); p1 == 1 {
					return
				}
			}
			first, s.steps = ev.Task, nil
		case first != ev.Task:
			return
		}
		if len(s.steps) < maxSteps {
			if st, ok := b.step(ev); ok {
				s.steps = append(s.steps, st)
			}
		}
	})
	s.Recording, s.Node, s.Verdict, s.Outcome, s.Covers = report.Recording, report.Node, report.Verdict, report.Outcome, report.Covers
	c := &report.Recording.Coverage
	s.begins = c.Overwritten == 0 && !c.BeganLate && c.Muted == 0 && c.FrozenCalls == 0
	return err
}

// subject is what a call is about: a path or an address.
func subject(ev *replay.Event, name string) string {
	if name == "connect" || name == "bind" {
		return strings.ToValidUTF8(ev.Address(), "?")
	}
	return strings.ToValidUTF8(ev.Path(), "?")
}

// step makes a step of an event, if it is one that can be compared.
func (b *builder) step(ev *replay.Event) (step, bool) {
	rec := &b.h.Recording
	st := step{}
	switch ev.Kind {
	case replay.KindExit:
		st.what, st.last = hash("exit"), true
	case replay.KindSignal:
		st.what = hash("signal", itoa(uint64(ev.Rec.Nr)))
	case replay.KindCall, replay.KindExec:
		name := nameOf(ev)
		on := subject(ev, name)
		if ev.State != replay.Finished && name != "exit_group" || on == "" && name != "exit_group" ||
			everydayPath(pathOnly(on)) {
			return st, false
		}
		st.what = hash(name, general(rec, on))
		if ev.State == replay.NoReturn {
			st.last = true
			st.result = hash(itoa(ev.Rec.Args[0] & 0xff))
		} else if ev.Failed() {
			st.result = hash(errnoName(int(-ev.Rec.Ret)))
		}
	case replay.KindOOM, replay.KindSent, replay.KindRename, replay.KindUnknown:
		return st, false
	}
	st.ev = b.line(ev)
	return st, true
}

// compare takes what an event has that another recording may not have.
func (b *builder) compare(s *Side, ev *replay.Event, p *proc) {
	rec := &b.h.Recording
	note := func(kind DiffKind, weight float64, key, text string) {
		key = string(kind) + "\x00" + key
		d := s.things[key]
		if d == nil {
			if len(s.things) >= maxThings {
				s.more++
				return
			}
			d = &Diff{Kind: kind, Text: replay.Safe(clip(text, 300)), Weight: round(weight), First: b.line(ev), key: key}
			s.things[key] = d
		}
		d.Count++
	}
	switch ev.Kind {
	case replay.KindSignal:
		name := b.signalText(&signal{sig: int(ev.Rec.Nr)})
		note(DiffSignal, 1, name, name+" was delivered to "+p.Comm)
		return
	case replay.KindCall, replay.KindExec:
	case replay.KindExit, replay.KindOOM, replay.KindSent, replay.KindRename, replay.KindUnknown:
		return
	}
	name := nameOf(ev)
	if ev.State != replay.Finished {
		return
	}
	note(DiffCall, callWeight, name, name+" was called")
	on := subject(ev, name)
	if ev.Failed() {
		errno := int(-ev.Rec.Ret)
		if ev.Waits() {
			return
		}
		of := b.about(ev, name)
		short, with := of.short(name), of.what
		w := weigh(name, errno, pathOnly(with), writes(ev, name))
		note(DiffError, w, name+errnoName(errno)+general(rec, with), short+" failed with "+errnoName(errno))
		return
	}
	switch name {
	case "open", "openat", "openat2", "creat":
		w := fileWeight
		if everydayPath(on) {
			w *= .03
		}
		what := "was opened"
		if opensToWrite(ev, name) {
			what = "was opened to write"
		}
		if on != "" {
			note(DiffFile, w, what+general(rec, on), on+" "+what)
		}
	case "connect":
		if on != "" {
			w := peerWeight
			if everydayPath(strings.Trim(on, `"`)) {
				w *= .03
			}
			note(DiffPeer, w, general(rec, on), on+" was connected")
		}
	case "execve", "execveat":
		if prog, ok := ev.Program(); ok {
			file := strings.ToValidUTF8(prog.File, "?")
			note(DiffProgram, programWeight, general(rec, file), file+" was executed")
		}
	}
}

// Weights of what is no failed call.
const (
	callWeight    = .15
	fileWeight    = .5
	peerWeight    = 1.0
	programWeight = .8
)

// only is what one side has and the other lacks.
func only(s, other *Side, items int) List[Diff] {
	all := []Diff{}
	for key, d := range s.things {
		if other.things[key] == nil {
			all = append(all, *d)
		}
	}
	slices.SortFunc(all, func(x, y Diff) int {
		return cmp.Or(cmp.Compare(y.Weight, x.Weight), x.First.Time.Compare(y.First.Time), cmp.Compare(x.key, y.key))
	})
	return cut(all, items, 0)
}

// part finds where two rows of steps part: where the same call has another result, or where they
// go on differently for long. What one does in between and the other not is no parting.
func part(a, b []step) *Parting {
	i, j := 0, 0
	var met []int // the steps of a that b has, too
	at := func(list []step, k int) *Event {
		if k >= len(list) {
			return nil
		}
		return &list[k].ev
	}
	parting := func() *Parting {
		p := &Parting{Steps: len(met), Before: []Event{}, A: at(a, i), B: at(b, j)}
		for _, k := range met[max(0, len(met)-3):] {
			p.Before = append(p.Before, a[k].ev)
		}
		return p
	}
	for i < len(a) && j < len(b) {
		if a[i].what == b[j].what {
			if a[i].result != b[j].result {
				return parting()
			}
			met = append(met, i)
			i, j = i+1, j+1
			continue
		}
		x, y, ok := meet(a[i:], b[j:])
		if !ok {
			return parting()
		}
		i, j = i+x, j+y
	}
	if i == len(a) && j == len(b) || len(a) == maxSteps || len(b) == maxSteps {
		return nil
	}
	return parting()
}

// meet finds how many steps each of two rows has to go on until they are the same again.
func meet(a, b []step) (x, y int, ok bool) {
	again := func(x, y int) bool {
		const row = 2
		for k := range row {
			if x+k >= len(a) || y+k >= len(b) {
				return k > 0
			}
			if a[x+k].what != b[y+k].what || a[x+k].last {
				return false // that both end is no meeting
			}
		}
		return true
	}
	for d := 1; d <= maxApart; d++ {
		for x := 0; x <= d; x++ {
			if y := d - x; x < len(a) && y < len(b) && again(x, y) {
				return x, y, true
			}
		}
	}
	return 0, 0, false
}
