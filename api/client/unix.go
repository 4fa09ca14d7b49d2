package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
)

// Unix returns a dialer for the daemon's socket on this machine.
func Unix(path string) Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err != nil {
			return nil, &UnreachableError{Addr: path, Err: err}
		}
		return c, nil
	}
}

// UnreachableError says that no connection to the daemon came about.
type UnreachableError struct {
	Addr string // where it was looked for
	Err  error
	Said string // what Error says instead of its own guess, if it is not empty
}

// Error says what can be done about it.
func (e *UnreachableError) Error() string {
	switch {
	case e.Said != "":
		return e.Said
	case errors.Is(e.Err, fs.ErrPermission):
		return fmt.Sprintf("no permission to use %s: run as root", e.Addr)
	case errors.Is(e.Err, fs.ErrNotExist), errors.Is(e.Err, syscall.ECONNREFUSED):
		return fmt.Sprintf("recorderd does not answer on %s: is it running? (systemctl status recorderd)", e.Addr)
	case errors.Is(e.Err, syscall.ENOTSOCK), errors.Is(e.Err, syscall.EINVAL):
		return fmt.Sprintf("%s is not a socket of recorderd: %v", e.Addr, root(e.Err))
	}
	return fmt.Sprintf("recorderd does not answer on %s: %v", e.Addr, root(e.Err))
}

// Unwrap returns the error of the connection.
func (e *UnreachableError) Unwrap() error { return e.Err }

// root returns the innermost error; the outer ones repeat the address.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
