package postmortem

import (
	"time"
)

// reasonIn returns the child in which the reason of a process's end lies, nil if in none:
// one whose end it handed on as its own, else the first that ended badly, if the process
// did nothing else after that but report, end its other children, and exit.
func (b *builder) reasonIn(p *proc) *proc {
	if p.status == 0 || p.status&0x7f != 0 {
		return nil
	}
	if child := b.handedOn(p); child != nil {
		return child
	}
	const soon = uint64(time.Minute)
	var first *proc
	started := uint64(0) // when it started its last child
	for _, q := range b.all() {
		if b.isChild(q, p) && !q.onlySlept() {
			started = max(started, q.born())
		}
	}
	for _, q := range b.ended {
		if !b.isChild(q, p) || q.status == 0 || q.end > p.end+soonAfter || q.end+soon < p.end ||
			max(q.end, q.reapedAt) < max(p.tail.alone, started) {
			continue
		}
		if sig := int(q.status & 0x7f); sig != 0 {
			if k := b.senderOf(q, sig, q.end); k != nil && (k.by == p || k.group) {
				continue // it was ended on purpose
			}
			if sig == sigKILL && !q.OOM && q.end+soonAfter > p.end {
				continue // by the end of its process 1
			}
		}
		if first == nil || q.end < first.end {
			first = q
		}
	}
	return first
}

// onlySlept reports whether a process is such as scripts start to wait between two tries.
func (p *proc) onlySlept() bool {
	return p.slept && p.end != 0 && p.status == 0 && p.execs > 0 && p.childEnds == 0
}

func (b *builder) isChild(q, p *proc) bool {
	return q != p && (q.hostParent == p.host || p.Pid == q.Ppid && q.Ppid != 0) &&
		q.born() >= p.born()
}

// handedOn returns the child whose bad end a process handed on as its own: the last one
// that it waited for, or of a pipeline one whose neighbours ended well.
func (b *builder) handedOn(p *proc) *proc {
	const soon = uint64(2 * time.Second)
	if p.status == 0 || p.status&0x7f != 0 {
		return nil
	}
	code := p.status >> 8 & 0xff
	for i := len(p.waits) - 1; i >= 0; i-- {
		w := &p.waits[i]
		child := b.childOf(p, w)
		if child == nil || p.end-w.at > soon {
			return nil
		}
		if w.status == 0 && i > 0 && child.born() < p.waits[i-1].at {
			continue // it ran beside the one before
		}
		if w.status&0x7f == 0 && w.status>>8&0xff == code || w.status&0x7f != 0 &&
			code == 128+w.status&0x7f {
			return child
		}
		return nil
	}
	return nil
}

// childOf returns the process that a wait was for.
func (b *builder) childOf(p *proc, w *waited) *proc {
	for i := len(b.ended) - 1; i >= 0; i-- {
		if q := b.ended[i]; q != p && (q.Pid == w.pid || q.host == w.pid) &&
			q.end <= w.at+uint64(time.Second) && (q.Ppid == p.Pid || q.hostParent == p.host) {
			return q
		}
	}
	return nil
}
