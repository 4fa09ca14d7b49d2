package postmortem

import (
	"cmp"
	"slices"
	"time"

	"github.com/recorderd/recorderd/recorder/replay"
)

var ruleNoCalls = rule{
	kind: "no-calls",
	is:   "a thread lives, is in no call, and has made none for 5 s",
	sure: "possible: it computes, is stopped, or gets no CPU",
	use:  doing,
	find: findComputing,
}

// unread reports whether a thread may have made calls lately that nobody can read: only the
// guard lane has any of it, and the other one reaches back too short a time.
func (b *builder) unread(t *thread) bool {
	const least = 5 * time.Second
	cover := &b.h.Recording.Coverage
	if !t.guard || cover.Overwritten == 0 {
		return false
	}
	return cover.Kept == 0 || cover.From == nil || cover.To == nil ||
		cover.To.Sub(*cover.From) < least
}

// findComputing looks for threads that live, are in no call and have made none for long.
func findComputing(c *facts) []Sign {
	b := c.b
	const long = uint64(5 * time.Second)
	if c.outcome != Running || b.moreBlock > 0 || b.h.Recording.Frozen || b.h.Filter != "" {
		return nil
	}
	var found []*thread
	for task, t := range b.threads {
		if !t.blocked && !t.ended && t.proc.end == 0 && t.proc.stopped == nil && task.Known &&
			task.Info.End == 0 && t.over > 0 && c.end > t.over+long && !b.unread(t) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(x, y *thread) int {
		return cmp.Or(cmp.Compare(x.over, y.over),
			cmp.Compare(x.host, y.host))
	})
	var list []Sign
	for _, t := range found[:min(3, len(found))] {
		var last Event
		t.each(func(ev *replay.Event) { last = b.line(ev) })
		list = append(list, one(Possible, 0, b.thread(t.proc, t.tid,
			t.comm)+" is in no call and has made none for "+duration(c.end-t.over)+
			": it computes, is stopped, or does not get the CPU", last)...)
	}
	return list
}
