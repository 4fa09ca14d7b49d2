package replay

import (
	"cmp"
	"slices"
	"strings"

	"github.com/recorderd/recorderd/recorder/dump"
)

// maxOpened and maxOpenedBytes bound what is kept of the descriptors that processes had
// open: how many frames, and their bytes. The daemon writes less.
const (
	maxOpened      = 1 << 14
	maxOpenedBytes = 8 << 20
)

// open takes what the daemon read of a process's descriptors. It is believed from
// the moment on at which the walk comes to it.
func (f *files) open(o *dump.OpenFiles) {
	if o == nil || len(f.read) >= maxOpened || o.From > o.To || f.off != "" {
		return
	}
	if f.told += openedSize(o); f.told > maxOpenedBytes {
		return
	}
	at, _ := slices.BinarySearchFunc(f.read, o.To, func(r *dump.OpenFiles, to uint64) int { return cmp.Compare(r.To, to+1) })
	f.read = slices.Insert(f.read, at, o)
}

func openedSize(o *dump.OpenFiles) int {
	n := 64 + len(o.Cwd)
	for i := range o.Fds {
		n += 32 + len(o.Fds[i].Link)
	}
	return n
}

// reached applies what was read up to a time.
func (f *files) reached(now uint64) {
	for len(f.read) > 0 && f.read[0].To <= now {
		o := f.read[0]
		f.read = f.read[1:]
		if o.From < f.from {
			continue // calls between it and the dump's first may be lost
		}
		if p := f.met(o.Tgid); p != nil {
			p.learn(o)
			continue
		}
		// A process that has done nothing yet: it is met with its first call.
		if len(f.waiting) < maxOpened {
			f.waiting[o.Tgid] = append(f.waiting[o.Tgid], o)
		}
	}
}

// learn takes what was read of a process, unless its calls changed something while
// it was being read.
func (p *proc) learn(o *dump.OpenFiles) {
	if p.strange || p.changing >= o.From || o.From < p.tab.floor {
		return
	}
	for _, fd := range o.Fds {
		before, ok := p.tab.fds.get(fd.Num)
		if ok && (before.file != nil || before.changed >= o.From) || p.tab.fds.len() >= maxDescriptors {
			continue // what its calls told says more
		}
		if fl := linkFile(fd.Link); fl != nil {
			p.tab.books.spent += fl.size()
			p.tab.fds.put(p.tab.books, fd.Num, fdEntry{file: fl, cloexec: fd.Cloexec, changed: o.To})
		}
	}
	if p.cwd == "" && p.cwdAt <= o.From && strings.HasPrefix(o.Cwd, "/") && !p.ownCwd && !strings.HasSuffix(o.Cwd, deleted) {
		p.cwd, p.cwdAt = o.Cwd, o.To
	}
}

const deleted = " (deleted)"

// linkFile makes a file of the text of a link in /proc/PID/fd, nil if it tells nothing.
func linkFile(link string) *file {
	switch {
	case link == "" || strings.HasSuffix(link, deleted):
		return nil // or is that its name?
	case strings.HasPrefix(link, "/"):
		return newFile(link)
	}
	return &file{text: string(appendName(nil, link))}
}
