package recorder

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/recorderd/recorderd/recorder/dump"
)

func TestReadOpenFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a file")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	before := monotonic()
	o, err := readOpenFiles("/proc", uint32(os.Getpid()), 7)
	if err != nil {
		t.Fatal(err)
	}
	if o.Tgid != uint32(os.Getpid()) || o.Start != 7 || o.From < before || o.To < o.From || o.To > monotonic() {
		t.Errorf("process %d that began at %d, read from %d to %d", o.Tgid, o.Start, o.From, o.To)
	}
	got := map[int32]dump.OpenFD{}
	for _, fd := range o.Fds {
		got[fd.Num] = fd
	}
	if fd := got[int32(f.Fd())]; fd.Link != name || !fd.Cloexec {
		t.Errorf("%+v, want %s, closed on exec", fd, name)
	}
	if fd := got[int32(r.Fd())]; len(fd.Link) < 7 || fd.Link[:6] != "pipe:[" {
		t.Errorf("%+v, want a pipe", fd)
	}
	if wd, _ := os.Getwd(); o.Cwd != wd {
		t.Errorf("in %s, want %s", o.Cwd, wd)
	}
	if _, err := readOpenFiles("/proc", 1<<30, 0); err == nil {
		t.Error("a process that is not there has open files")
	}
}
