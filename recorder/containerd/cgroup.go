package containerd

import (
	"path"
	"strings"
)

// cgroup is where a runtime spec's cgroupsPath may lead.
type cgroup struct {
	// path is the one below the hierarchy's root, "" if there is none.
	path string

	// below is a path below the cgroup that runc runs in, "" if there is none.
	below string
}

// likely is the cgroup as people would look for it.
func (c cgroup) likely() string {
	if c.path == "" && c.below != "" {
		return "/" + c.below
	}
	return c.path
}

// is reports whether a cgroup is this one, for a runtime that runs in the cgroup home and
// knows no other root than root.
func (c cgroup) is(at, root, home string) bool {
	if root != "/" && !strings.HasPrefix(at, root+"/") {
		return false // a runtime in a container has nothing to say of what is outside
	}
	switch {
	case c.path != "" && (at == path.Join(root, c.path) || at == c.path):
		return true
	case c.below == "":
		return false
	}
	return at == path.Join(root, c.below) || home != "" && at == path.Join(home, c.below)
}

// names are the last components of the cgroup's path, in its places.
func (c cgroup) names() []string {
	var names []string
	if c.path != "" {
		names = append(names, path.Base(c.path))
	}
	if c.below != "" && (c.path == "" || path.Base(c.below) != names[0]) {
		names = append(names, path.Base(c.below))
	}
	return names
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
			return cgroup{path: p}
		}
		return cgroup{}
	}
	if f := strings.Split(s, ":"); len(f) == 3 {
		c := cgroup{below: path.Base(path.Clean("/" + s))}
		unit := f[2]
		if !strings.HasSuffix(unit, ".slice") {
			unit = f[1] + "-" + f[2] + ".scope"
		}
		if slice, ok := expandSlice(f[0]); ok && f[2] != "" {
			c.path = path.Join(slice, unit)
		}
		return c
	}
	if p := path.Clean("/" + s); p != "/" {
		return cgroup{below: p[1:]}
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
