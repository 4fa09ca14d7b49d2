package replay

import (
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// netlinks knows which descriptors are netlink sockets, and of which protocol, from the calls
// that made them: what such a message means depends on it, and its bytes do not say it. A socket
// that was open before the dump begins, that was inherited, or came another way is not known.
type netlinks struct {
	procs map[uint32]map[int32]int // by the host's process id: descriptor to protocol
	off   bool                     // calls may be missing: nothing is known
	lost  uint64                   // records, as the last header says
}

// maxNetlinks is how many processes are remembered, and how many sockets of each.
const maxNetlinks = 1 << 12

func newNetlinks(h *dump.Header) netlinks {
	known := newFiles()
	known.header(h)
	return netlinks{procs: make(map[uint32]map[int32]int), off: known.off != ""}
}

// again takes a later header: what was lost while following may have been a close.
func (n *netlinks) again(h *dump.Header) {
	if lost := h.Recording.Coverage.Overwritten; lost > n.lost {
		n.lost = lost
		n.forget()
	}
}

// forget forgets all sockets: calls are missing.
func (n *netlinks) forget() { clear(n.procs) }

// see returns the protocol of the socket in a call's first argument plus 1, 0 if it is not known
// to be a netlink socket, and learns from the call.
func (n *netlinks) see(ev *Event) int {
	if ev.Kind == KindExec || ev.Kind == KindExit && ev.Rec.Args[1] != 0 {
		delete(n.procs, ev.Task.Info.Tgid)
	}
	if ev.Kind != KindCall {
		return 0
	}
	if n.off || ev.Guard || !ev.Task.Known {
		return 0
	}
	c := syscalls.Lookup(ev.abi, uint32(ev.Rec.Nr))
	if c == nil {
		return 0
	}
	fds := n.procs[ev.Task.Info.Tgid]
	protocol := 0
	if p, ok := fds[int32(ev.Rec.Args[0])]; ok {
		protocol = p + 1
	}
	if ev.State != Finished || ev.Rec.Ret < 0 {
		if c.Name == "close" {
			delete(fds, int32(ev.Rec.Args[0])) // it is closed, whatever the result
		}
		return protocol
	}
	const afNetlink, cloneFilesFlag, cloneThread = 16, 0x400, 0x10000
	switch {
	case c.Name == "socket" && ev.Rec.Args[0] == afNetlink:
		n.add(ev.Task.Info.Tgid, int32(ev.Rec.Ret), int(int32(ev.Rec.Args[2])))
	case forks(c):
		// A process with the same descriptors closes them unseen.
		if flags, ok := cloneFlags(ev, c); !ok || flags&cloneFilesFlag != 0 && flags&cloneThread == 0 {
			n.off = true
		}
	case len(fds) == 0:
	case c.Name == "close":
		delete(fds, int32(ev.Rec.Args[0]))
	case c.Name == "close_range" || c.Name == "unshare" || c.Name == "io_uring_setup":
		clear(fds)
	case c.Ret != nil && c.Ret.Kind == syscalls.KindFd:
		delete(fds, int32(ev.Rec.Ret)) // the number is another's now
	}
	return protocol
}

func (n *netlinks) add(tgid uint32, fd int32, protocol int) {
	if n.procs[tgid] == nil {
		if len(n.procs) >= maxNetlinks {
			clear(n.procs)
		}
		n.procs[tgid] = make(map[int32]int)
	}
	if len(n.procs[tgid]) < maxNetlinks {
		n.procs[tgid][fd] = protocol
	}
}
