package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer says who is at the other end of a Unix socket: who connected, by the kernel's
// word, and which program that was, by what /proc said then.
type Peer struct {
	PID    int32 // 0 if it is in a pid namespace that cannot be seen from here
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary ones
	Comm   string   // "" if it cannot be read
	Exe    string   // the same
}

// root reports whether the peer is the super-user.
func (p *Peer) root() bool { return p.UID == 0 }

// in reports whether the peer is a member of one of these groups.
func (p *Peer) in(groups []uint32) bool {
	return slices.ContainsFunc(groups, func(g uint32) bool { return g == p.GID || slices.Contains(p.Groups, g) })
}

type peerKey struct{}

// ConnContext puts the peer's credentials into the context of a connection's
// requests. It is for http.Server.ConnContext.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if p, ok := peerOf(c); ok {
		p.program()
		return context.WithValue(ctx, peerKey{}, p)
	}
	return ctx
}

// PeerFrom returns the credentials that ConnContext found.
func PeerFrom(ctx context.Context) (Peer, bool) {
	p, ok := ctx.Value(peerKey{}).(Peer)
	return p, ok
}

func peerOf(c net.Conn) (Peer, bool) {
	if l, ok := c.(*limitedConn); ok {
		c = l.Conn
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return Peer{}, false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return Peer{}, false
	}
	var p Peer
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); credErr == nil {
			p = Peer{PID: cred.Pid, UID: cred.Uid, GID: cred.Gid, Groups: peerGroups(fd)}
		}
	}); err != nil || credErr != nil {
		return Peer{}, false
	}
	return p, true
}

// peerGroups are the supplementary groups that the peer had when it connected. Without
// them its primary one counts alone.
func peerGroups(fd uintptr) []uint32 {
	for groups := make([]uint32, 64); ; {
		n := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&n)), 0)
		switch {
		case errno == 0:
			return groups[:n/4]
		case errno == unix.ERANGE && int(n/4) > len(groups): // n says how many there are
			groups = make([]uint32, n/4)
		default:
			return nil
		}
	}
}

// program adds which program the peer is. It is for the log and nothing else: a
// process can call itself as it likes, and may be another by now.
func (p *Peer) program() {
	if p.PID <= 0 {
		return
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID)); err == nil {
		p.Comm = strings.TrimSuffix(string(b), "\n")
	}
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID)); err == nil {
		p.Exe = exe
	}
}

// peerAttr is the peer as a log has it.
func peerAttr(ctx context.Context) slog.Attr {
	p, ok := PeerFrom(ctx)
	if !ok {
		return slog.String("peer", "unknown")
	}
	return slog.Group("peer", "pid", p.PID, "uid", p.UID, "gid", p.GID, "comm", p.Comm, "exe", p.Exe)
}
