package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/internal/size"
)

// ErrorKind is what kind of error the disk had, for metrics.
type ErrorKind string

// The kinds of errors.
const (
	ErrNoSpace    ErrorKind = "no_space"
	ErrQuota      ErrorKind = "quota"
	ErrReadOnly   ErrorKind = "read_only"
	ErrPermission ErrorKind = "permission"
	ErrTooLarge   ErrorKind = "too_large" // the dump, for the limits or for the file system
	ErrCanceled   ErrorKind = "canceled"
	ErrIO         ErrorKind = "io"
	ErrSource     ErrorKind = "source" // not the disk's: the dump could not be taken
)

// Error is an error of the disk, or of the limits.
type Error struct {
	Kind ErrorKind
	Dir  string
	Err  error
	More string // what there is and what was wanted
}

// Error says it in one line.
func (e *Error) Error() string {
	text := "spool " + e.Dir + ": " + e.Err.Error()
	if e.More != "" {
		text += ": " + e.More
	}
	return text
}

// Unwrap returns the error itself.
func (e *Error) Unwrap() error { return e.Err }

func diskError(dir string, err error) error {
	return &Error{Kind: kindOf(err), Dir: dir, Err: bare(err)}
}

func kindOf(err error) ErrorKind {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return ErrNoSpace
	case errors.Is(err, unix.EDQUOT):
		return ErrQuota
	case errors.Is(err, unix.EROFS):
		return ErrReadOnly
	case errors.Is(err, fs.ErrPermission):
		return ErrPermission
	case errors.Is(err, unix.EFBIG):
		return ErrTooLarge
	}
	return ErrIO
}

// bare takes the path off an error: which file it was is not what matters.
func bare(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

func (s *Store) wrap(err error) error {
	return diskError(s.dir, err)
}

// fail describes an error of a save that wanted so many bytes.
func (s *Store) fail(err error, wanted int64) error {
	switch kind := kindOf(err); kind {
	case ErrNoSpace, ErrQuota:
		return s.describeFull(kind, bare(err), wanted, true)
	default:
		return s.wrap(err)
	}
}

// describeFull says what was wanted and what there is.
func (s *Store) describeFull(kind ErrorKind, err error, wanted int64, free bool) error {
	st := s.Stats()
	more := fmt.Sprintf("%s or more were wanted; ", size.Rough(max(wanted, 1)))
	if free {
		root, derr := s.directory(false)
		if derr == nil {
			if d, derr := root.Open("."); derr == nil {
				if n, ok := freeBytes(d); ok {
					more += size.Rough(n) + " are free, "
				}
				_ = d.Close()
			}
		}
	}
	more += fmt.Sprintf("%d dumps take %s here", st.Files, size.Rough(st.Bytes))
	if s.limit.MaxBytes > 0 {
		more += " of " + size.Rough(s.limit.MaxBytes) + " that they may"
	}
	return &Error{Kind: kind, Dir: s.dir, Err: err, More: more}
}

// count counts an error, and returns it.
func (s *Store) count(err error) error {
	kind := ErrSource
	var e *Error
	switch {
	case errors.As(err, &e):
		kind = e.Kind
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		kind = ErrCanceled
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Errors[kind]++
	return err
}

// freeBytes is how much the file system has left for others than root.
func freeBytes(f *os.File) (int64, bool) {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil {
		return 0, false
	}
	return int64(st.Bavail) * st.Bsize, true
}
