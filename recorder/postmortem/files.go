package postmortem

import (
	"strings"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/replay"
)

func opensToWrite(ev *replay.Event, name string) bool {
	const accessMode = 3
	switch name {
	case "creat":
		return true
	case "open":
		return ev.Rec.Args[1]&accessMode != 0
	case "openat":
		return ev.Rec.Args[2]&accessMode != 0
	}
	for _, it := range ev.Rec.Items {
		if it.Arg == 2 && it.Kind == layout.ItemMem && len(it.Data) >= 8 {
			return it.Data[0]&accessMode != 0
		}
	}
	return false
}

func (b *builder) file(name string, ev *replay.Event) *File {
	if name == "" || runtimes(b.commOf(ev)) {
		return nil
	}
	name = strings.ToValidUTF8(clip(name, 512), "?")
	f := b.files[name]
	if f == nil {
		if len(b.files) >= maxFiles {
			b.filesMore += forget(b.files, func(f *File) uint64 {
				if f.everyday {
					return 0
				}
				return f.last
			})
		}
		f = &File{Path: name, everyday: everydayPath(name)}
		b.files[name] = f
	}
	f.last = max(f.last, ev.Time)
	return f
}
