package recorder

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrStateInUse says that another recorderd keeps its dumps in the same directory: both
// would record each container, and save each crash twice.
var ErrStateInUse = errors.New("state directory is in use")

// lockState makes a directory this process's until the file that it returns is closed. A
// directory that cannot be locked at all, as on a read-only disk, is no error: the spool
// says what is wrong with it, and tries again.
func lockState(dir string) (io.Closer, error) {
	if dir == "" {
		return io.NopCloser(nil), nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return io.NopCloser(nil), nil //nolint:nilerr // see above
	}
	// Read-only: a file that is open for writing keeps its file system from being remounted
	// read-only.
	name := filepath.Join(dir, "lock")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		f, err = os.Open(name)
	}
	if err != nil {
		return io.NopCloser(nil), nil //nolint:nilerr // see above
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		defer f.Close()
		who := "another recorderd"
		b := make([]byte, 16)
		if n, _ := f.Read(b); n > 0 {
			who = "the recorderd with process id " + strings.TrimSpace(string(b[:n]))
		}
		return nil, fmt.Errorf("%w: %s keeps its dumps in %s: end that one, or give this one a --state-dir of its own", ErrStateInUse, who, dir)
	}
	if err == nil { // on file systems that know no locks it goes without
		os.WriteFile(name, fmt.Appendln(nil, os.Getpid()), 0o600) //nolint:errcheck // a hint
	}
	return f, nil
}
