package postmortem

import (
	"cmp"
	"time"

	"github.com/recorderd/recorderd/recorder/replay"
)

// report draws the conclusions from what was read. readErr: why not all of it was.
func (b *builder) report(stats *replay.Stats, readErr error) *Report {
	rec := &b.h.Recording
	for _, p := range b.all() {
		for _, f := range p.fails {
			f.settle(b)
		}
	}
	b.damaged = readErr != nil || len(stats.Damage) > 0
	r := &Report{
		Type: "postmortem", Recording: rec, Node: cmp.Or(rec.Node, b.h.Node), Kernel: b.h.Kernel, Taken: b.h.Taken,
		Covers: replay.Coverage(&rec.Coverage, time.UTC), Chain: []Event{}, Lacks: b.lacks(stats, readErr),
	}
	lines := b.out.all()
	main := b.mainProc()
	c := b.investigate(main, append(b.out.heads, lines...)) // stacks can be long
	c.running = b.running(main)
	r.Outcome = c.outcome
	r.Signs = cut(apply(c), b.o.Items, 0)
	r.adopt(c.made(c.verdict(r.Signs.Items), r.Signs.Items))
	r.Chain = c.chain()
	n := max(0, len(lines)-b.o.Lines)
	r.Output = List[Line]{Items: append([]Line{}, lines[n:]...), More: b.out.more + uint64(n)}
	r.Blocked = b.blockedList(c)
	r.Failures = b.failures()
	r.Slowest = List[Slow]{Items: append([]Slow{}, b.slow...), More: b.slowMore}
	r.Files = b.fileList()
	r.Peers = b.peerList()
	r.Processes = b.processes(main)
	if main != nil {
		p := b.describe(main)
		r.Main, r.Usage = &p, c.main.usage
	}
	return r
}

// after reports whether the last evidence of a sign is after a time.
func (s *Sign) after(ns uint64) bool {
	n := len(s.Evidence)
	return n > 0 && s.Evidence[n-1].ns > ns
}
