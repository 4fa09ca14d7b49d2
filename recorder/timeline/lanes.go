package timeline

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/recorderd/recorderd/recorder/replay"
)

// process is the threads of one, for the order of lanes.
type process struct {
	pid     uint32
	host    uint32
	threads []int
	main    bool
	bad     bool
	blocked bool
	packed  bool  // it is several, of one name
	ended   int64 // age; -1: it did not
	calls   uint64
}

// rank is where a process stands: the main one and those that ended badly, those with a thread
// that is blocked, the others.
func (p *process) rank() int {
	switch {
	case p.main, p.bad:
		return 0
	case p.blocked && p.ended < 0:
		return 1
	}
	return 2
}

const (
	shown   = 24 // lanes that are not folded
	perLane = 3  // so many children of one name, at least, share a lane
	brief   = int64(2 * time.Second)
)

// lanes puts the threads into an order: of processes the one that ended first of those that
// ended badly, then those that are blocked, then the others; in each the thread that ended it
// comes first. Children of one name that did not
// live long share a lane.
func (m *maker) lanes(all []item, index map[*replay.Task]int) {
	t := m.t
	byHost := make(map[uint32]*process)
	var procs []*process
	seen := make([]bool, len(t.Threads))
	st := standing{make(map[*process]int), make([]float64, len(t.Threads))}
	for i := range all {
		k := index[all[i].task]
		if k < 0 {
			continue
		}
		info := &all[i].task.Info
		host := cmp.Or(info.Tgid, info.Tid)
		p := byHost[host]
		if p == nil || t.Threads[p.threads[0]].Pid != t.Threads[k].Pid {
			p = &process{pid: t.Threads[k].Pid, host: host, ended: -1}
			byHost[host] = p
			procs = append(procs, p)
		}
		it := &all[i]
		if it.state == NoReturn && t.Names[it.name].Name == "exit_group" || it.state == Signalled && t.Names[it.name].Name == t.Threads[k].Status {
			st.ended[p] = k
		}
		st.grave[k] = max(st.grave[k], it.weight)
		if !seen[k] {
			seen[k] = true
			p.threads = append(p.threads, k)
			th := &t.Threads[k]
			p.calls += th.Calls
			p.bad = p.bad || th.Bad
			p.blocked = p.blocked || th.Blocked
		}
	}
	main := t.Report.Main
	for _, p := range procs {
		p.main = main != nil && (main.HostPid == p.host || main.HostPid == 0 && main.Pid == p.pid)
		for _, k := range p.threads {
			if e := t.Threads[k].Ended; e >= 0 && (p.ended < 0 || e < p.ended) {
				p.ended = e
			}
		}
		for _, k := range p.threads {
			if t.Threads[k].Ended < 0 {
				p.ended = -1
			}
		}
		m.sortThreads(p, &st)
	}
	procs = m.pack(procs)
	slices.SortStableFunc(procs, func(x, y *process) int {
		if c := cmp.Compare(x.rank(), y.rank()); c != 0 {
			return c
		}
		if x.rank() == 0 && x.main != y.main && (x.ended < 0 || y.ended < 0 || x.ended == y.ended) {
			return map[bool]int{true: -1, false: 1}[x.main]
		}
		if x.rank() == 0 && x.ended != y.ended {
			return -cmp.Compare(x.ended, y.ended) // what ended first is older
		}
		return cmp.Or(cmp.Compare(y.calls, x.calls), cmp.Compare(x.pid, y.pid))
	})
	t.Lanes = []Lane{}
	for _, p := range procs {
		if p.packed {
			label := fmt.Sprintf("%s ×%d", t.Threads[p.threads[0]].Comm, len(p.threads))
			t.Lanes = append(t.Lanes, Lane{Label: label, Threads: p.threads, Leader: true, Folded: len(t.Lanes) >= shown})
			continue
		}
		for i, k := range p.threads {
			th := &t.Threads[k]
			folded := len(t.Lanes) >= shown || i > 0 && p.rank() > 0 && !th.Blocked && !th.Bad
			t.Lanes = append(t.Lanes, Lane{Label: th.Comm, Threads: []int{k}, Leader: i == 0, Folded: folded})
		}
	}
}

// standing is what the order of threads goes by.
type standing struct {
	ended map[*process]int // the thread that ended it
	grave []float64        // of threads: the weight of what failed most
}

// sortThreads puts that thread first that ended the process, then its first thread, those in
// which something went wrong, those that were in a call at the end, the others.
func (m *maker) sortThreads(p *process, st *standing) {
	t := m.t
	ender, ended := st.ended[p]
	const worth = .3
	rank := func(k int) int {
		th := &t.Threads[k]
		switch {
		case ended && k == ender:
			return 0
		case th.Tid == th.Pid:
			return 1
		case st.grave[k] >= worth:
			return 2
		case th.Blocked:
			return 3
		}
		return 4
	}
	slices.SortStableFunc(p.threads, func(x, y int) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(st.grave[y], st.grave[x]), cmp.Compare(t.Threads[y].Calls, t.Threads[x].Calls))
	})
}

// packKey is what processes that share a lane have in common.
type packKey struct {
	comm, status string
}

// pack makes one of the processes that share a lane.
func (m *maker) pack(procs []*process) []*process {
	groups := make(map[packKey][]*process)
	keyOf := func(p *process) (packKey, bool) {
		th := &m.t.Threads[p.threads[0]]
		if p.main || len(p.threads) > 1 || th.Ended < 0 || th.Started < 0 || th.Started-th.Ended > brief {
			return packKey{}, false
		}
		return packKey{th.Comm, th.Status}, true
	}
	for _, p := range procs {
		if k, ok := keyOf(p); ok {
			groups[k] = append(groups[k], p)
		}
	}
	var all []*process
	for _, p := range procs {
		k, ok := keyOf(p)
		g := groups[k]
		switch {
		case !ok || len(g) < perLane:
			all = append(all, p)
		case g[0] == p:
			p = &process{pid: p.pid, host: p.host, bad: p.bad, ended: p.ended, packed: true}
			for _, one := range g {
				p.threads = append(p.threads, one.threads...)
				p.calls += one.calls
			}
			all = append(all, p)
		}
	}
	return all
}
