package containerd

import (
	"path"
	"strings"
)

// cgroup is where a runtime spec's cgroupsPath may lead.
type cgroup struct {
	// paths are those below the hierarchy's mount, the likeliest first.
	paths []string

	// base is the last component of a path whose parents are not known.
	base string
}

func (c cgroup) path() string {
	switch {
	case len(c.paths) > 0:
		return c.paths[0]
	case c.base != "":
		return "/" + c.base
	}
	return ""
}

// parseCgroup reads a runtime spec's cgroupsPath.
//
//	/default/web                                  cgroupfs driver
//	kubepods-burstable-pod<uid>.slice:cri-containerd:<id>  systemd driver
//
// The second form is a systemd unit in a slice, unless the runtime was not told
// to use systemd: then it is a cgroup of just that name, below runc's own.
func parseCgroup(s string) cgroup {
	if s == "" {
		return cgroup{}
	}
	if strings.HasPrefix(s, "/") {
		if p := path.Clean(s); p != "/" {
			return cgroup{paths: []string{p}}
		}
		return cgroup{}
	}
	if f := strings.Split(s, ":"); len(f) == 3 {
		c := cgroup{base: path.Base(path.Clean("/" + s))}
		unit := f[2]
		if !strings.HasSuffix(unit, ".slice") {
			unit = f[1] + "-" + f[2] + ".scope"
		}
		if slice, ok := expandSlice(f[0]); ok && f[2] != "" {
			c.paths = []string{path.Join(slice, unit)}
		}
		return c
	}
	// Relative: below runc's own cgroup. One component would match too much.
	if p := path.Clean("/" + s); strings.Count(p, "/") > 1 {
		return cgroup{paths: []string{p}}
	}
	return cgroup{}
}

// expandSlice returns the path of a slice: systemd puts a-b.slice in a.slice.
func expandSlice(slice string) (string, bool) {
	if slice == "" {
		slice = "system.slice"
	}
	name, ok := strings.CutSuffix(slice, ".slice")
	if !ok || strings.Contains(name, "/") {
		return "", false
	}
	if name == "-" {
		return "/", true
	}
	p, prefix := "/", ""
	for part := range strings.SplitSeq(name, "-") {
		if part == "" {
			return "", false
		}
		p = path.Join(p, prefix+part+".slice")
		prefix += part + "-"
	}
	return p, true
}
