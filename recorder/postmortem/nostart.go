package postmortem

import (
	"strings"
)

// A process that has executed nothing yet is a runtime's, or may be: it sets up the container, and
// is to execute its program then.

// setsUp reports whether a process is a runtime's, on its way to the container's program: runc's,
// or that of crun or youki, which are called so until they execute it.
func (p *proc) setsUp() bool {
	return runtimes(p.Comm) ||
		p.execs == 0 && (p.Comm == "crun" || p.Comm == "runc" || strings.HasPrefix(p.Comm, "youki"))
}

// unstarted returns the process that was to execute the container's program and could not, if no
// program of the container was ever executed. In a container without a pid namespace of its own
// nobody knows whose end is the container's then.
func (b *builder) unstarted() *proc {
	if b.h.Recording.Coverage.BeganLate {
		return nil
	}
	var found *proc
	for _, p := range b.all() {
		switch {
		case p.outside || p.end == 0:
		case !p.setsUp():
			return nil
		case p.looked.errno != 0 || p.failsToExecute() || found == nil && p.status != 0:
			found = p
		}
	}
	return found
}

// failsToExecute reports whether the last program that a process was to execute could not be.
func (p *proc) failsToExecute() bool {
	for _, f := range p.fails {
		if executes(f.call) && f.execs == p.execs && f.found == "" {
			return true
		}
	}
	return false
}
