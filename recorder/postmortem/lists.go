package postmortem

import (
	"cmp"
	"slices"
	"strings"

	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/strace"
)

func cut[T any](all []T, n int, more uint64) List[T] {
	if len(all) > n {
		return List[T]{all[:n:n], more + uint64(len(all)-n)}
	}
	return List[T]{append([]T{}, all...), more}
}

func (b *builder) lacks(stats *replay.Stats, readErr error) []string {
	rec := &b.h.Recording
	list := []string{}
	if readErr != nil {
		list = append(list,
			"the rest of the dump: "+replay.Safe(strings.ToValidUTF8(readErr.Error(), "?")))
	}
	for i := range stats.Damage {
		if i == 3 {
			list = append(list, "what is missing in "+counted(uint64(len(stats.Damage)-i),
				"other damaged place"))
			break
		}
		list = append(list, replay.Safe(strings.ToValidUTF8(stats.Damage[i].String(), "?")))
	}
	if b.h.Filter != "" {
		list = append(list, "what was left out when the dump was made: "+replay.Safe(b.h.Filter))
	}
	if n := rec.Coverage.Overwritten; n > 0 {
		list = append(list, counted(n, "call")+" before that, overwritten; of these only failed "+
			"calls, execs, exits, signals and output may be here")
	}
	if s := replay.Missing(rec); s != "" {
		list = append(list, "calls or parts of them: "+s)
	}
	if s := b.uring.lacks(); s != "" {
		list = append(list, s)
	}
	if b.h.CaptureStdio == 0 {
		list = append(list, "what was written to stdout and stderr (--capture-stdio is 0)")
	}
	if stats.Invalid > 0 {
		list = append(list, counted(stats.Invalid, "record")+" that made no sense")
	}
	if stats.Unknown > 0 {
		list = append(list, counted(stats.Unknown, "record")+" of types that this version does not know")
	}
	if b.unknown > 0 {
		list = append(list, "who the threads of "+counted(b.unknown, "event")+" were")
	}
	return list
}

func (b *builder) blockedList(c *facts) List[Blocked] {
	all := slices.Clone(b.blocked)
	if c.outcome != Running && c.proc != nil {
		for _, p := range c.path {
			all = append(all, p.held...)
		}
	}
	for i := range all {
		all[i].Main = c.main != nil && all[i].tgid == c.main.host && all[i].Tid == c.main.Pid
	}
	slices.SortStableFunc(all, func(x, y Blocked) int {
		return cmp.Or(cmp.Compare(firstIf(!x.Main), firstIf(!y.Main)),
			cmp.Compare(rankOf(x.Kind), rankOf(y.Kind)), cmp.Compare(y.ForNs, x.ForNs),
			cmp.Compare(x.Tid, y.Tid))
	})
	return cut(all, b.o.Items, b.moreBlock)
}

func rankOf(kind string) int {
	return slices.Index([]string{"io", "lock", "child", "sleep", "event"}, kind)
}

func (b *builder) failures() List[Failure] {
	var all []Failure
	for _, f := range b.kinds {
		f.First, f.Last, f.Everyday = b.time(f.first), b.time(f.last), f.telling == 0
		all = append(all, *f)
	}
	slices.SortFunc(all, func(x, y Failure) int {
		return cmp.Or(cmp.Compare(firstIf(x.Everyday), firstIf(y.Everyday)),
			cmp.Compare(y.weight, x.weight), cmp.Compare(y.Count, x.Count),
			cmp.Compare(x.Call, y.Call), cmp.Compare(x.Error, y.Error))
	})
	return cut(all, b.o.Items, b.kindsMore)
}

func (b *builder) fileList() List[File] {
	var all []File
	for _, f := range b.files {
		f.Last = b.time(f.last)
		all = append(all, *f)
	}
	slices.SortFunc(all, func(x, y File) int {
		return cmp.Or(cmp.Compare(firstIf(x.everyday), firstIf(y.everyday)),
			cmp.Compare(y.last, x.last), cmp.Compare(x.Path, y.Path))
	})
	return cut(all, b.o.Items, b.filesMore)
}

func (b *builder) peerList() List[Peer] {
	var all []Peer
	for _, p := range b.peers {
		p.Last = b.time(p.last)
		if p.since != 0 {
			since := b.time(p.since)
			p.Since = &since
		}
		all = append(all, *p)
	}
	slices.SortFunc(all, func(x, y Peer) int {
		return cmp.Or(cmp.Compare(y.last, x.last),
			cmp.Compare(x.Address, y.Address))
	})
	return cut(all, b.o.Items, b.peersMore)
}

func (b *builder) processes(main *proc) List[Process] {
	all := b.all()
	rank := func(p *proc) int {
		switch {
		case p == main:
			return 0
		case p.end != 0 && p.status&0x7f != 0:
			return 1
		case p.end != 0 && p.status != 0:
			return 2
		case p.end == 0:
			return 3
		}
		return 4
	}
	slices.SortStableFunc(all, func(x, y *proc) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)),
			cmp.Compare(y.seen, x.seen))
	})
	var list []Process
	for _, p := range all[:min(len(all), b.o.Items)] {
		list = append(list, b.describe(p))
	}
	return List[Process]{append([]Process{}, list...), b.endedMore + uint64(len(all)-len(list))}
}

func (b *builder) describe(p *proc) Process {
	d := p.Process
	if p.start != 0 {
		t := b.time(p.start)
		d.Started = &t
	}
	if p.end != 0 {
		t := b.time(p.end)
		d.Ended = &t
		if sig := int(p.status & 0x7f); sig != 0 {
			d.Signal, d.CoreDumped = strace.SignalName(sig), p.status&0x80 != 0
		} else {
			code := int(p.status >> 8 & 0xff)
			d.Code = &code
		}
	}
	return d
}
