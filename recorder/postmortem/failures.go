package postmortem

import (
	"cmp"
	"path"

	"github.com/recorderd/recorderd/recorder/replay"
)

type kindKey struct {
	call  string
	errno int
}

// failure is a failed call that says something.
type failure struct {
	ev     Event  // the last one; settle writes its text
	last   moment // the same
	about  about
	first  uint64 // ns: the first one
	call   string
	errno  int
	file   string // path or address
	short  string
	said   string // a sentence, if it is not "short failed with errno"
	peer   bool   // no call says that it failed: it is what a peer did
	weight float64
	count  uint64
	tid    uint32
	found  string // where the same name was found later, or that it worked later
	execs  int    // how many programs the process had executed before
	arg    uint64 // the first argument
	nth    int    // how many calls had failed in this process up to this one
	guard  bool   // only the guard lane has it
	size   uint64 // of memory that was asked for
	write  bool   // it was to be changed
}

// about is what a call was about: a path, an address, or what a descriptor is open on.
type about struct {
	what string // "" if it is not known
	num  int32  // the descriptor
	text string // what is known of the descriptor
	kind aboutKind
}

type aboutKind uint8

const (
	aboutNothing aboutKind = iota
	aboutPath
	aboutAddress
	aboutFd
)

func (b *builder) about(ev *replay.Event, name string) about {
	if path := ev.Path(); path != "" {
		return about{what: path, kind: aboutPath}
	}
	if name == "connect" || name == "bind" {
		return about{what: ev.Address(), kind: aboutAddress}
	}
	c := ev.Call()
	if c == nil || len(c.Args) == 0 || !isFd(c.Args[0].Type) || ev.NoArgs {
		return about{}
	}
	a := about{num: int32(ev.Rec.Args[c.Args[0].Reg]), kind: aboutFd}
	if fd, ok := ev.FD(a.num); ok {
		a.what, a.text = cmp.Or(fd.Path, peerOf(fd.Text)), fd.Text
	}
	return a
}

// short shows a call with what it was about.
func (a about) short(name string) string {
	quoted := a.what
	switch {
	case a.kind == aboutPath:
		quoted = `"` + clip(a.what, 80) + `"`
	case a.kind == aboutFd && a.text != "":
		quoted = itoa64(int64(a.num)) + "<" + clip(a.text, 80) + ">"
	case a.kind == aboutFd:
		quoted = itoa64(int64(a.num))
	}
	return replay.Safe(name + "(" + quoted + ")")
}

// failed takes a failed call.
func (b *builder) failed(ev *replay.Event, p *proc, t *thread, name string) {
	errno := int(-ev.Rec.Ret)
	if ev.Waits() {
		return
	}
	if p.tail.sign == 0 {
		p.failed++
	}
	b.failedFor(ev, p, t, name, errno)
}

// failedFor takes a call that says that another one (name) has failed, or that call itself.
func (b *builder) failedFor(ev *replay.Event, p *proc, t *thread, name string, errno int) {
	of := b.about(ev, nameOf(ev))
	about := of.what
	w := weigh(name, errno, pathOnly(about), writes(ev, name))
	const enough = 3
	c := p.conns[of.num]
	lost := of.kind == aboutFd && c != nil && c.datagram && !c.dns && errno == eCONNREFUSED
	if lost {
		w *= tolerated
	}
	if (runtimes(b.commOf(ev)) || p.setsUp()) && name != "execve" && name != "execveat" {
		w *= runtimeFactor
	}
	b.weighed = w
	k := b.kind(kindKey{name, errno}, ev.Time)
	if k != nil {
		k.Count++
		if w >= everydayWeight {
			k.telling++
		}
		k.first, k.last = min(k.first, ev.Time), max(k.last, ev.Time)
		if w >= k.weight {
			k.weight = w
			if k.Count < 4 || k.Count%64 == 0 || w > k.Example.Weight {
				k.Example = b.line(ev)
				k.Example.Weight = round(w)
			}
		}
	}
	if name == "open" || name == "openat" || name == "openat2" || name == "creat" {
		if f := b.file(about, ev); f != nil {
			f.Failed++
			f.Error = errnoName(errno)
			f.Write = f.Write || opensToWrite(ev, name)
		}
	}
	for _, f := range p.fails {
		if f.call == name && f.errno == errno && f.about == of && f.tid == t.tid &&
			f.execs == p.execs {
			f.count++
			if lost && f.count > enough {
				// Who sends metrics or logs does not mind that nobody takes them.
				f.weight = min(f.weight, everydayWeight/2)
			}
			if f.count < 4 || f.count%64 == 0 {
				f.happened(b, ev)
			}
			f.ev.ns, f.ev.Time = ev.Time, b.time(ev.Time)
			f.nth, f.guard = p.failed, ev.Guard
			return
		}
	}
	if p.forgets(w) {
		return
	}
	f := &failure{
		about: of, first: ev.Time, call: name, errno: errno, file: about, short: of.short(nameOf(ev)),
		weight: w, count: 1, tid: t.tid, execs: p.execs,
		arg: ev.Rec.Args[0], nth: p.failed, guard: ev.Guard, size: ev.Rec.Args[1],
		write: writes(ev, name),
	}
	f.said = f.meaning(ev)
	f.happened(b, ev)
	p.remember(f)
}

// happened says when a failure happened last. Its line is written by settle.
func (f *failure) happened(b *builder, ev *replay.Event) {
	f.last.set(b, ev)
	f.ev = f.last.line
}

// settle writes the line of a failure.
func (f *failure) settle(b *builder) {
	if f.ev.Text == "" {
		f.ev.Text = f.last.event(b).Text
	}
}

// remember adds a failure, in the place of the oldest of those that say least.
func (p *proc) remember(f *failure) {
	if len(p.fails) < maxFailures {
		p.fails = append(p.fails, f)
	} else if least := p.least(); p.fails[least].weight <= f.weight {
		p.fails[least] = f
	}
}

// forgets reports whether remember would not add a failure of this weight.
func (p *proc) forgets(weight float64) bool {
	return len(p.fails) >= maxFailures && p.fails[p.least()].weight > weight
}

// least is the index of the failure that says least, of these the oldest.
func (p *proc) least() int {
	least := 0
	for i, other := range p.fails {
		if other.weight < p.fails[least].weight || other.weight == p.fails[least].weight &&
			other.ev.ns < p.fails[least].ev.ns {
			least = i
		}
	}
	return least
}

// often counts how often the same failed in all threads: runtimes such as Go's try again in
// another one.
func (p *proc) often(f *failure) uint64 {
	n := uint64(0)
	for _, o := range p.fails {
		if o == f || f.file != "" && o.call == f.call && o.errno == f.errno && o.file == f.file &&
			o.execs == f.execs && o.peer == f.peer {
			n += o.count
		}
	}
	return n
}

func (b *builder) kind(key kindKey, ns uint64) *Failure {
	k := b.kinds[key]
	if k == nil {
		if len(b.kinds) >= maxKinds {
			b.kindsMore++
			return nil
		}
		k = &Failure{Call: key.call, Error: errnoName(key.errno), first: ns}
		b.kinds[key] = k
	}
	return k
}

// looks reports whether a call finds a file by its name.
func looks(name string) bool {
	switch name {
	case "open", "openat", "openat2", "execve", "execveat", "stat", "newfstatat", "statx", "access",
		"faccessat", "faccessat2", "lstat", "fstatat64", "stat64":
		return true
	}
	return false
}

// found notes that a name that failed was found in another place.
func (b *builder) found(p *proc, file string) {
	if file == "" {
		return
	}
	base := path.Base(file)
	for _, f := range p.fails {
		if (f.errno == eNOENT || f.errno == eNOTDIR || f.errno == eACCES) && f.found == "" &&
			f.file != "" && path.Base(f.file) == base && looks(f.call) {
			b.wasSearch(f, file)
		}
	}
}
