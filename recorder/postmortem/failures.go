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
	ev     Event  // the last one
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

// short shows a call with what it was about.
func (b *builder) short(ev *replay.Event, name string) (text, about string) {
	about = ev.Path()
	quoted := about
	switch {
	case about != "":
		quoted = `"` + clip(about, 80) + `"`
	case name == "connect" || name == "bind":
		about = ev.Address()
		quoted = about
	default:
		if c := ev.Call(); c != nil && len(c.Args) > 0 && isFd(c.Args[0].Type) && !ev.NoArgs {
			num := int32(ev.Rec.Args[c.Args[0].Reg])
			quoted = itoa64(int64(num))
			if fd, ok := ev.FD(num); ok {
				about = cmp.Or(fd.Path, peerOf(fd.Text))
				quoted += "<" + clip(fd.Text, 80) + ">"
			}
		}
	}
	return replay.Safe(name + "(" + quoted + ")"), about
}

// failed takes a failed call.
func (b *builder) failed(ev *replay.Event, p *proc, t *thread, name string) {
	errno := int(-ev.Rec.Ret)
	if waits(ev, name, errno) {
		return
	}
	if p.tail.sign == 0 {
		p.failed++
	}
	b.failedFor(ev, p, t, name, errno)
}

// failedFor takes a call that says that another one (name) has failed, or that call itself.
func (b *builder) failedFor(ev *replay.Event, p *proc, t *thread, name string, errno int) {
	short, about := b.short(ev, nameOf(ev))
	w := weigh(name, errno, pathOnly(about), writes(ev, name))
	if runtimes(commOf(ev)) && name != "execve" && name != "execveat" {
		w *= runtimeFactor
	}
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
		if f.call == name && f.errno == errno && f.short == short && f.tid == t.tid &&
			f.execs == p.execs {
			f.count++
			if f.count < 4 || f.count%64 == 0 {
				f.ev = b.line(ev)
			}
			f.ev.ns, f.ev.Time = ev.Time, b.time(ev.Time)
			f.nth, f.guard = p.failed, ev.Guard
			return
		}
	}
	f := &failure{
		ev: b.line(ev), first: ev.Time, call: name, errno: errno, file: about, short: short,
		weight: w, count: 1, tid: t.tid, execs: p.execs,
		arg: ev.Rec.Args[0], nth: p.failed, guard: ev.Guard, size: ev.Rec.Args[1],
		write: writes(ev, name),
	}
	f.said = f.meaning(ev)
	p.remember(f)
}

// remember adds a failure, in the place of the oldest of those that say least.
func (p *proc) remember(f *failure) {
	if len(p.fails) < maxFailures {
		p.fails = append(p.fails, f)
		return
	}
	least := 0
	for i, other := range p.fails {
		if other.weight < p.fails[least].weight || other.weight == p.fails[least].weight &&
			other.ev.ns < p.fails[least].ev.ns {
			least = i
		}
	}
	if p.fails[least].weight <= f.weight {
		p.fails[least] = f
	}
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

// looked are calls that find a file by its name.
var looked = map[string]bool{
	"open": true, "openat": true, "openat2": true, "execve": true, "execveat": true, "stat": true,
	"newfstatat": true, "statx": true, "access": true,
	"faccessat": true, "faccessat2": true, "lstat": true, "fstatat64": true, "stat64": true,
}

// found notes that a name that failed was found in another place.
func (b *builder) found(p *proc, file string) {
	if file == "" {
		return
	}
	base := path.Base(file)
	for _, f := range p.fails {
		if (f.errno == eNOENT || f.errno == eNOTDIR || f.errno == eACCES) && f.found == "" &&
			f.file != "" && path.Base(f.file) == base && looked[f.call] {
			b.wasSearch(f, file)
		}
	}
}
