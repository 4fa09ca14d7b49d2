package api

import (
	"cmp"
	"strings"
)

// BaseID returns the id of a recording without the number that further dumps of it on
// disk have behind it: 366ed0c84781 of 366ed0c84781-2.
func BaseID(id string) string {
	base, _, _ := strings.Cut(id, "-")
	return base
}

// ContainerKey names what stays the same when a container is started again, so that
// its recordings are known to be of one: its name in its pod, else the one that its
// runtime was given for it, on its node. Nothing else has a name of its own: a plain
// cgroup is known by its path, and so is a container that goes by its id.
func (r *Recording) ContainerKey() string {
	c := &r.Container
	switch {
	case r.Nameless():
		// Its id and its path are what somebody in there chose.
		return "inside/" + r.Node + "/" + c.Cgroup
	case r.Pod != nil && r.Pod.Name != "":
		return "pod/" + r.Pod.Namespace + "/" + r.Pod.Name + "/" + c.Name
	case c.ID != "" && c.Name != "" && c.Name != c.ID:
		return "name/" + r.Node + "/" + c.Runtime + "/" + c.Namespace + "/" + c.Name
	}
	return "cgroup/" + r.Node + "/" + cmp.Or(c.Cgroup, c.ID)
}

// Nameless reports whether this is a container inside another that no runtime of the node
// knows: what there is of a name was chosen by whoever made its cgroup.
func (r *Recording) Nameless() bool { return r.Inside != nil && r.Container.Name == "" }

// OwnerKey is the key of the container that a recording counts to where many containers
// share something: the one around it, or its own. Whoever can make cgroups in a container
// makes as many containers as they like.
func (r *Recording) OwnerKey() string {
	if r.Inside == nil {
		return r.ContainerKey()
	}
	outer := Recording{Node: r.Node, Container: r.Inside.Container, Pod: r.Inside.Pod}
	return outer.ContainerKey()
}
