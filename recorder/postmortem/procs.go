package postmortem

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
)

// proc is a process.
type proc struct {
	Process
	host, hostParent uint32
	start            uint64
	firstSeen, seen  uint64
	end              uint64 // 0: it lives
	status           uint32 // as wait(2) has it
	execs            int
	fails            []*failure
	ender            *thread // that ended it by a call
	enderAt          uint64
	waits            []waited // the last ones for children
	signals          []signal
	sendings         []sending       // to it
	streams          map[int32]uint8 // which of its descriptors are stdout or stderr
	usage            *replay.Usage   // when it ended, or the OOM killer chose it
	looked           look            // for the last file
	tail             tail
	input            input
	failed           int             // calls, before the sign of the end
	conns            map[int32]*conn // by descriptor
	unanswered       []*conn         // when it ended, or executed another program
	mapped           []mapping       // files, the last ones
	pidfds           map[int32]uint32
	threats          []threat  // by which the kernel may kill it
	reaped           uint64    // children
	reapedAt         uint64    // ns: when its parent learned of its bad end; 0: not known
	childEnds        uint64    // how many of its children have ended
	taken            []taken   // the last signal that it waited for
	ignoresChildren  bool      // nobody has to wait for them
	slept            bool      // for a while, in a call for that
	outside          bool      // it came from outside of the container, as exec does
	stopped          *signal   // that stopped it, and nothing has happened since
	stacks           []uint64  // where the stacks of its threads begin, the last ones
	held             []Blocked // the calls that its threads were in when it was killed
}

type waited struct {
	pid, status uint32
	at          uint64
}

// waitid takes what waitid says of a child.
func (b *builder) waitid(ev *replay.Event, p *proc) {
	const exited, nowait = 1, 0x1000000
	for _, it := range ev.Rec.Items {
		if it.Arg != 2 || it.Kind != layout.ItemMem || len(it.Data) < 28 ||
			ev.Rec.Args[3]&nowait != 0 {
			continue
		}
		le := binary.LittleEndian
		pid, status := le.Uint32(it.Data[16:]), le.Uint32(it.Data[24:])
		if code := le.Uint32(it.Data[8:]); pid == 0 || code == 0 || code > 3 {
			return
		} else if code == exited {
			status = status & 0xff << 8
		}
		p.reaped++
		b.waited(p, waited{pid, status, ev.Time})
	}
}

// waited notes that a process has learned of the end of a child.
func (b *builder) waited(p *proc, w waited) {
	if q := b.childOf(p, &w); w.status != 0 && q != nil {
		q.reapedAt = w.at
	}
	if len(p.waits) >= 8 {
		p.waits = append(p.waits[:0], p.waits[1:]...)
	}
	p.waits = append(p.waits, w)
}

// look is a call that finds a file by its name, or does not.
type look struct {
	short string
	errno int
}

// thread is a thread with its last calls.
type thread struct {
	proc     *proc
	tid      uint32
	host     uint32
	comm     string
	calls    [lastCalls]replay.Copy
	n        int
	seen     uint64
	over     uint64 // when its last call returned, but for the ends of signal handlers
	prev     runKey // the last call
	runs     [6]run
	tail     tail
	guard    bool // only the guard lane has its last event
	blocked  bool
	ended    bool
	inKilled *Blocked
}

type crowdKey struct {
	comm   string
	status uint32
}

// crowd is processes of one name that ended alike, badly.
type crowd struct {
	count uint64
	last  *proc
}

// procOf returns the process of an event.
func (b *builder) procOf(ev *replay.Event) *proc {
	info := &ev.Task.Info
	host := cmp.Or(info.Tgid, info.Tid)
	p := b.procs[host]
	leader := info.Tid == host
	if p != nil && leader && p.start != 0 && info.Start != 0 && p.start != info.Start {
		b.finish(p) // the id has been used again
		p = nil
	}
	if p == nil {
		if len(b.procs) >= maxProcs {
			b.forgetProcs()
		}
		p = &proc{host: host, hostParent: info.Ptid, firstSeen: ev.Time}
		p.Pid, _ = ev.Task.IDs(false)
		if p.Pid == 0 {
			p.Pid = host
		}
		p.HostPid, p.Ppid = host, info.NsPtid
		if !ev.Task.InContainer() {
			p.Ppid = info.Ptid
		}
		p.streams = map[int32]uint8{1: 1, 2: 2}
		p.outside = ev.Task.InContainer() && p.Ppid == 0 && p.Pid != 1
		if parent := b.procs[info.Ptid]; parent != nil && parent != p {
			p.streams = make(map[int32]uint8, len(parent.streams))
			for fd, s := range parent.streams {
				p.streams[fd] = s
			}
		}
		b.procs[host] = p
		if b.oldest == nil || p.born() < b.oldest.born() {
			b.oldest = p
		}
	}
	if leader {
		p.hostParent = cmp.Or(info.Ptid, p.hostParent) // orphans get another one
		p.start = cmp.Or(p.start, info.Start)
		if b.oldest != p && p.end == 0 && b.oldest != nil && p.born() < b.oldest.born() {
			b.oldest = p
		}
	}
	if leader || p.Comm == "" {
		p.Comm = cmp.Or(b.commOf(ev), p.Comm)
	}
	p.seen = max(p.seen, ev.Time)
	return p
}

func (p *proc) born() uint64 { return cmp.Or(p.start, p.firstSeen) }

func (b *builder) forgetProcs() {
	all := make([]*proc, 0, len(b.procs))
	for _, p := range b.procs {
		all = append(all, p)
	}
	slices.SortFunc(all, func(x, y *proc) int {
		return cmp.Or(cmp.Compare(x.seen, y.seen),
			cmp.Compare(x.host, y.host))
	})
	var first *proc // of those that are process 1 of a namespace, of which there may be any number
	for _, p := range all {
		if p.Pid == 1 && (first == nil || p.born() < first.born()) {
			first = p
		}
	}
	for _, p := range all[:len(all)/2] {
		if p != b.oldest && p != first {
			p.forgetConns(b)
			delete(b.procs, p.host)
			b.endedMore++
		}
	}
}

func (b *builder) threadOf(ev *replay.Event, p *proc) *thread {
	t := b.threads[ev.Task]
	if t == nil {
		if len(b.threads) >= maxThreads {
			b.forgetThreads()
		}
		t = &thread{proc: p, host: ev.Task.Info.Tid}
		_, t.tid = ev.Task.IDs(false)
		b.threads[ev.Task] = t
		p.Threads++
	}
	t.comm, t.seen = cmp.Or(b.commOf(ev), t.comm), max(t.seen, ev.Time)
	return t
}

func (b *builder) forgetThreads() {
	tasks := make([]*replay.Task, 0, len(b.threads))
	for task := range b.threads {
		tasks = append(tasks, task)
	}
	slices.SortFunc(tasks, func(x, y *replay.Task) int {
		return cmp.Or(cmp.Compare(b.threads[x].seen, b.threads[y].seen),
			cmp.Compare(x.Info.Tid, y.Info.Tid))
	})
	for _, task := range tasks[:len(tasks)/2] {
		delete(b.threads, task)
	}
}

// push remembers an event as one of the last of its thread.
func (t *thread) push(ev *replay.Event) {
	t.calls[t.n%lastCalls].Set(ev)
	t.guard = ev.Guard
	t.n++
}

// each calls f with the last events of a thread, the oldest first.
func (t *thread) each(f func(*replay.Event)) {
	var ev replay.Event
	for i := max(0, t.n-lastCalls); i < t.n; i++ {
		if t.calls[i%lastCalls].Event(&ev) {
			f(&ev)
		}
	}
}

// exit takes the end of a thread.
func (b *builder) exit(ev *replay.Event, p *proc, t *thread) {
	rec := &ev.Rec
	if killed := rec.Ret&0x7f != 0; killed || t.inKilled != nil { // or another thread ended the process
		b.interrupted(ev, p, t)
	}
	t.push(ev)
	t.ended = true
	if p.usage == nil {
		p.usage = ev.Usage()
	}
	if rec.Args[3] != 0 {
		p.OOM = true
	}
	if rec.Args[1] == 0 {
		return
	}
	p.end, p.status = ev.Time, uint32(rec.Args[4])
	if p.status == 0 {
		p.status = uint32(rec.Ret)
	}
	b.finish(p)
}

// interrupted notes what a thread that is killed was in.
func (b *builder) interrupted(ev *replay.Event, p *proc, t *thread) {
	in := t.inKilled
	if in == nil && t.n > 0 {
		var last replay.Event
		for i := t.n - 1; i >= max(0, t.n-2) && in == nil; i-- {
			if !t.calls[i%lastCalls].Event(&last) || last.Kind != replay.KindCall ||
				last.State != replay.Finished {
				continue
			}
			const restart, restartLast = 512, 516
			if e := -last.Rec.Ret; e >= restart && e <= restartLast && ev.Time-last.Time < 50e6 ||
				e == eINTR && ev.Time-last.Time < 5e6 {
				last.State = replay.Killed
				one := b.blockedIn(&last, p, t, nameOf(&last))
				in = &one
			}
		}
	}
	if in != nil && len(p.held) < 64 {
		p.held = append(p.held, *in)
	}
}

// victim takes the OOM killer's choice. The process may have ended before.
func (b *builder) victim(ev *replay.Event, p *proc) {
	p.OOM = true
	for i := len(b.ended) - 1; i >= 0 && i >= len(b.ended)-16; i-- {
		if q := b.ended[i]; q.host == p.host && p.Calls == 0 && p.end == 0 {
			q.OOM = true
			delete(b.procs, p.host) // it was made for this event alone
			if b.oldest == p {
				b.oldest = q
			}
			return
		}
	}
}

// finish takes a process that has ended.
func (b *builder) finish(p *proc) {
	if b.procs[p.host] == p {
		delete(b.procs, p.host)
	}
	if parent := b.procs[p.hostParent]; parent != nil && p.end != 0 {
		parent.childEnds++
	}
	p.forgetConns(b)
	if p.end == 0 {
		p.end = p.seen // its id has been used again: its end is missing
	}
	if x := b.h.Recording.Exit; x != nil && near(p.end, b.exitAt) &&
		sameEnd(p.status, x.Code, x.Signal) &&
		// a child may have ended alike just before
		(b.main == nil || apart(p.end, b.exitAt) < apart(b.main.end, b.exitAt)) {
		b.main = p
	}
	if p.status != 0 {
		key := crowdKey{p.Comm, p.status & 0xff7f}
		c := b.crowds[key]
		if c == nil && len(b.crowds) < 256 {
			c = new(crowd)
			b.crowds[key] = c
		}
		if c != nil {
			c.count++
			c.last = p
		}
	}
	b.ended = append(b.ended, p)
	if len(b.ended) <= maxEnded {
		return
	}
	i := slices.IndexFunc(b.ended, func(q *proc) bool {
		return q.status == 0 && q != b.main &&
			q != b.oldest
	})
	if i < 0 {
		i = slices.IndexFunc(b.ended, func(q *proc) bool { return q != b.main && q != b.oldest })
	}
	b.ended = slices.Delete(b.ended, i, i+1)
	b.endedMore++
}

func near(a, b uint64) bool { return a != 0 && apart(a, b) < uint64(time.Millisecond) }

func apart(a, b uint64) uint64 { return max(a, b) - min(a, b) }
