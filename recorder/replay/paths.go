package replay

import (
	"slices"
	"strings"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// concerns reports whether a call names any of these paths, or a descriptor that is
// known to be open on one.
func (ev *Event) concerns(paths []string) bool {
	for _, path := range ev.paths() {
		if slices.Contains(paths, path) {
			return true
		}
	}
	return false
}

// paths returns the paths that a call names.
func (ev *Event) paths() []string {
	var list []string
	c := syscalls.Lookup(ev.abi, uint32(ev.Rec.Nr))
	if c == nil {
		return nil
	}
	for i := range c.Args {
		a := &c.Args[i]
		if a.Form != syscalls.FormPath {
			continue
		}
		if it := itemOf(&ev.Rec, a.Reg, layout.ItemStr); it != nil && !it.Cut() && !it.Fault() {
			name := string(it.Data)
			list = append(list, name)
			if path := tidyPath(ev.dir(c, i), name); path != name {
				list = append(list, path)
			}
		}
	}
	for _, fd := range ev.fds {
		if fd.Path != "" && fd.Num != cwdFD {
			list = append(list, fd.Path)
		}
	}
	if p, ok := ev.Program(); ok && !p.Cut {
		list = append(list, p.File)
	}
	return list
}

// dir returns the directory in which a call looks up the name in an argument, "" if
// that is not known.
func (ev *Event) dir(c *syscalls.Call, arg int) string {
	if arg == 0 || c.Args[arg-1].Type.Kind != syscalls.KindDirfd {
		return ev.cwd
	}
	num := int32(ev.Rec.Args[c.Args[arg-1].Reg])
	if num == cwdFD {
		return ev.cwd
	}
	for _, fd := range ev.fds {
		if fd.Num == num && !fd.result && strings.HasPrefix(fd.Path, "/") {
			return fd.Path
		}
	}
	return ""
}

// itemOf returns what was captured of an argument, nil if it was not.
func itemOf(rec *record.Record, reg uint8, kind layout.ItemKind) *record.Item {
	for i := range rec.Items {
		if it := &rec.Items[i]; it.Arg == reg && it.Kind == kind {
			return it
		}
	}
	return nil
}

// tidyPath returns dir/name without doubled slashes and "." in between. ".." stays, as
// what it means depends on symbolic links. An empty dir is the unknown one.
func tidyPath(dir, name string) string {
	if !strings.HasPrefix(name, "/") && dir != "" {
		name = dir + "/" + name
	}
	if !strings.HasPrefix(name, "/") || isTidy(name) {
		return name
	}
	b := make([]byte, 0, len(name))
	for part := range strings.SplitSeq(name, "/") {
		if part != "" && part != "." {
			b = append(append(b, '/'), part...)
		}
	}
	if len(b) == 0 {
		return "/"
	}
	return string(b)
}

// isTidy reports whether a path that begins with a slash has nothing to leave out.
func isTidy(name string) bool {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		switch rest := name[i+1:]; {
		case rest == "":
			return i == 0
		case rest[0] == '/', rest[0] == '.' && (len(rest) == 1 || rest[1] == '/'):
			return false
		}
	}
	return true
}
