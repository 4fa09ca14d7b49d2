package server

import (
	"context"
	"log/slog"
	"net"

	"golang.org/x/sys/unix"
)

// Peer says who is at the other end of a Unix socket.
type Peer struct {
	PID int32 // 0 if it is in a pid namespace that cannot be seen from here
	UID uint32
	GID uint32
}

type peerKey struct{}

// ConnContext puts the peer's credentials into the context of a connection's
// requests. It is for http.Server.ConnContext.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if p, ok := peerOf(c); ok {
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
	u, ok := c.(*net.UnixConn)
	if !ok {
		return Peer{}, false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return Peer{}, false
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || credErr != nil {
		return Peer{}, false
	}
	return Peer{PID: cred.Pid, UID: cred.Uid, GID: cred.Gid}, true
}

// peerAttr is the peer as a log has it.
func peerAttr(ctx context.Context) slog.Attr {
	p, ok := PeerFrom(ctx)
	if !ok {
		return slog.String("peer", "unknown")
	}
	return slog.Group("peer", "pid", p.PID, "uid", p.UID, "gid", p.GID)
}
