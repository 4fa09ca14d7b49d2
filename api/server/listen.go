package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse is wrapped by Listen's error when somebody answers on the socket.
var ErrInUse = errors.New("socket is in use")

// maxSocketPath is how long a Unix socket's path can be: sockaddr_un.sun_path
// without its NUL.
const maxSocketPath = 107

// Listen listens on a Unix socket that only its owner can use and, if group is not
// empty, that group (a name or a number).
//
// The socket appears under its name at once with its final rights: it is bound in
// a directory of mode 0700 and renamed. One that nobody answers on is replaced;
// one in use, and what is no socket, is an error. A directory that does not exist
// is made, with mode 0700, or 0750 for the group. Close removes the socket, unless
// another one has taken its place.
func Listen(path, group string) (net.Listener, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	gid := -1
	if group != "" {
		if gid, err = groupID(group); err != nil {
			return nil, fmt.Errorf("listen on %s: %w", path, err)
		}
	}
	dir := filepath.Dir(path)
	if err := ensureDir(dir, gid); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	defer unlock()
	if err := checkFree(path); err != nil {
		return nil, err
	}
	ln, err := bind(path, gid)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return limit(ln, maxConns, maxConnsOfUser), nil
}

// GroupID returns the number of a group, given by name or by number.
func GroupID(group string) (uint32, error) {
	gid, err := groupID(group)
	return uint32(gid), err
}

func groupID(group string) (int, error) {
	if gid, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(gid), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("group %q: %w", group, err)
	}
	return strconv.Atoi(g.Gid)
}

// ensureDir makes the socket's directory, and opens a private one to the group.
func ensureDir(dir string, gid int) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if fi.Mode().Perm()&0o002 != 0 && fi.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("everybody can replace files in %s: choose another directory, or chmod o-w", dir)
	}
	if gid < 0 || fi.Mode().Perm()&0o077 != 0 {
		return nil
	}
	if err := os.Chown(dir, -1, gid); err != nil {
		return err
	}
	return os.Chmod(dir, 0o750)
}

// lockDir keeps other daemons from looking at, replacing or removing a socket in
// dir at the same time.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	// Nobody holds this lock for longer than a moment, unless it is a stranger's.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { d.Close() }, nil
		case err == unix.EINTR:
		case err != unix.EWOULDBLOCK:
			d.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		case time.Now().After(deadline):
			d.Close()
			return nil, fmt.Errorf("lock %s: another process has held it for 5 seconds", dir)
		}
	}
}

// checkFree returns an error if something at path must not be replaced.
func checkFree(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", path, err)
	}
	if fi.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("listen on %s: there is a file that is no socket: remove it, or choose another --socket", path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		defer c.Close()
		if p, ok := peerOf(c); ok && p.PID > 0 {
			return fmt.Errorf("%w: another recorderd (pid %d) has %s", ErrInUse, p.PID, path)
		}
		return fmt.Errorf("%w: another recorderd has %s", ErrInUse, path)
	case errors.Is(err, unix.EAGAIN): // it has more connections waiting than it accepts
		return fmt.Errorf("%w: another recorderd, which does not answer, has %s", ErrInUse, path)
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return fmt.Errorf("listen on %s: is the socket there in use? %w", path, err)
}

func bind(path string, gid int) (net.Listener, error) {
	private, err := os.MkdirTemp(filepath.Dir(path), ".r") // mode 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	name := filepath.Join(private, "s")
	if n := max(len(name), len(path)); n > maxSocketPath {
		return nil, fmt.Errorf("the path of the socket is %d bytes too long: choose a shorter --socket", n-maxSocketPath)
	}
	ul, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ul.SetUnlinkOnClose(false)
	ln := &listener{UnixListener: ul, path: path}
	mode := fs.FileMode(0o600)
	if gid >= 0 {
		mode = 0o660
		err = os.Chown(name, -1, gid)
	}
	if err == nil {
		err = os.Chmod(name, mode)
	}
	if err == nil {
		ln.self, err = os.Lstat(name)
	}
	if err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		ul.Close()
		return nil, err
	}
	return ln, nil
}

// listener is a socket that was renamed after it was bound.
type listener struct {
	*net.UnixListener
	path string
	self fs.FileInfo
	once sync.Once
}

// Addr returns the name under which the socket is found.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the socket and stops listening.
func (l *listener) Close() error {
	l.once.Do(func() {
		unlock, err := lockDir(filepath.Dir(l.path))
		if err != nil {
			return // a stale socket is replaced by the next daemon
		}
		defer unlock()
		if fi, err := os.Lstat(l.path); err == nil && os.SameFile(fi, l.self) {
			os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}
