// Package program says why the kernel would not execute a program, by looking at its file. The
// kernel says ENOENT for a missing file, for a missing interpreter and for a missing loader alike.
//
// The file, and all that leads to it, is a container's: nothing outside of the container's root is
// opened, nothing but regular files is read, and of those a few kilobytes.
package program

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/replay"
)

const (
	// most is how much of a file is read. The kernel looks at no more than 256 bytes for a first
	// line, and program headers stand at the beginning in practice.
	most = 4096
	// mostName bounds the name of an interpreter or loader in what is said.
	mostName = 128
	// depth is how many interpreters of interpreters are looked at, as in the kernel.
	depth = 4
)

// Container is where a container's files are, as the node has them.
type Container struct {
	Host  string // the root of the node: /proc/1/root
	Root  string // the container's root, below Host
	Binds []Bind // what is mounted in there from elsewhere
	// Unsure: more is mounted, it is not known where. Then nothing is said to be missing.
	Unsure bool
}

// Bind is a file or directory of the node that is mounted in a container.
type Bind struct{ From, At string }

// errUnsure: it is not known whether there is such a file.
var errUnsure = errors.New("it is not known")

// inRoot opens what a name stands for below a directory, as if that were the root, without what
// opening does to a device or a FIFO.
func inRoot(dir int, name string, flags uint64) (int, error) {
	return unix.Openat2(dir, name, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC | flags, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// find opens what a name stands for in the container, as inRoot does.
func (c *Container) find(name string) (fd int, st unix.Stat_t, err error) {
	host, err := unix.Open(c.Host, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, st, errUnsure
	}
	defer unix.Close(host)
	name = path.Clean("/" + name)
	dir, rest, bound := c.Root, name, false
	for _, b := range c.Binds {
		if at := path.Clean(b.At); at == name || strings.HasPrefix(name, at+"/") {
			dir, rest, bound = b.From, strings.TrimPrefix(name, at), true // the last one covers others
		}
	}
	top, err := inRoot(host, dir, 0)
	if err != nil {
		return -1, st, errUnsure
	}
	if rest == "" {
		fd = top
	} else {
		fd, err = inRoot(top, rest, 0)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			// It may be a link to where something is mounted.
			link, lerr := inRoot(top, rest, unix.O_NOFOLLOW)
			if lerr == nil {
				unix.Close(link)
			}
			if bound || c.Unsure || lerr == nil {
				err = errUnsure
			}
		}
		unix.Close(top)
		if err != nil {
			return -1, st, err
		}
	}
	if err = unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, st, errUnsure
	}
	return fd, st, nil
}

// file is a regular file that is open.
type file struct {
	fd int
	st unix.Stat_t
}

// errIrregular: it is a directory, a device, a FIFO or a socket.
var errIrregular = errors.New("it is no regular file")

func (c *Container) open(name string) (*file, error) {
	found, st, err := c.find(name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(found)
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errIrregular
	}
	// The very same file, whatever its name stands for by now.
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", found), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &file{fd, st}, nil
}

func (f *file) close() { unix.Close(f.fd) }

// at reads at most so many bytes from a place.
func (f *file) at(off int64, n int) []byte {
	b := make([]byte, n)
	got := 0
	for got < n {
		k, err := unix.Pread(f.fd, b[got:], off+int64(got))
		if err != nil || k == 0 {
			break
		}
		got += k
	}
	return b[:got]
}

// Why says what is wrong with a program of a container, as the end of a sentence; "" if nothing is
// seen to be. Names in it are escaped.
func (c *Container) Why(name string) string { return c.why(name, "it", depth) }

func (c *Container) why(name, it string, left int) string {
	f, err := c.open(name)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return it + " is not in the container"
	case errors.Is(err, unix.ELOOP):
		return it + " is a link that leads nowhere"
	case errors.Is(err, errIrregular):
		return it + " is no regular file"
	case err != nil:
		return ""
	}
	defer f.close()
	if f.st.Mode&0o111 == 0 {
		return fmt.Sprintf("%s is not executable (mode %04o)", it, f.st.Mode&0o7777)
	}
	b := f.at(0, most)
	switch {
	case len(b) == 0:
		return it + " is empty"
	case bytes.HasPrefix(b, []byte("#!")):
		return c.script(b, it, left)
	case bytes.HasPrefix(b, []byte(elf.ELFMAG)):
		return c.binary(f, b, it)
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf#!")):
		return it + " begins with a byte order mark, and so not with #!"
	case bytes.HasPrefix(b, []byte("MZ")):
		return it + " is a program for Windows"
	}
	return it + " is neither a script that begins with #! nor an ELF file"
}

// script looks at the first line of a script.
func (c *Container) script(b []byte, it string, left int) string {
	line, _, whole := bytes.Cut(b[2:min(len(b), 256)], []byte("\n"))
	if !whole && len(b) >= 256 {
		return it + " has a first line that is too long"
	}
	text := strings.Trim(string(line), " \t")
	interpreter, _, _ := strings.Cut(strings.ReplaceAll(text, "\t", " "), " ")
	switch {
	case interpreter == "" || interpreter == "\r":
		return it + " names no interpreter behind #!"
	case strings.HasSuffix(interpreter, "\r"):
		return fmt.Sprintf(`its first line asks for the interpreter %s: it ends with a carriage return, as lines do on Windows`, quoted(interpreter))
	case left == 0:
		return it + " has interpreters of interpreters"
	}
	if why := c.why(interpreter, "its interpreter "+quoted(interpreter), left-1); why != "" {
		return why
	}
	return ""
}

// machines are those that a node of an architecture executes, and what they are called.
var machines = map[string][]elf.Machine{
	"amd64": {elf.EM_X86_64, elf.EM_386}, "arm64": {elf.EM_AARCH64, elf.EM_ARM},
}

// binary looks at an ELF file: for which machine it is, and whether its loader is there.
func (c *Container) binary(f *file, b []byte, it string) string {
	const head = 20
	if len(b) < head {
		return it + " is cut short"
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(b[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	machine := elf.Machine(order.Uint16(b[18:]))
	if known := machines[runtime.GOARCH]; known != nil && (machine != known[0] && machine != known[1] || elf.Data(b[elf.EI_DATA]) != elf.ELFDATA2LSB) {
		return fmt.Sprintf("%s is for another architecture: for %s, and this node is %s", it, named(machine), named(known[0]))
	}
	loader, ok := loaderOf(f, b, order)
	switch {
	case !ok:
		return it + " is cut short"
	case loader == "":
		return ""
	}
	found, _, err := c.find(loader)
	if err == nil {
		unix.Close(found)
		return ""
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return fmt.Sprintf("%s needs the loader %s, which is not in the container: it may be for another C library", it, quoted(loader))
	}
	return ""
}

// named is how people call a machine.
func named(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "x86-64"
	case elf.EM_386:
		return "x86 (32 bits)"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_ARM:
		return "arm (32 bits)"
	case elf.EM_PPC64:
		return "ppc64"
	case elf.EM_S390:
		return "s390x"
	case elf.EM_RISCV:
		return "riscv"
	}
	return fmt.Sprintf("machine %d", uint16(m))
}

// loaderOf reads the name of the loader from a file's program headers. ok: they are there.
func loaderOf(f *file, b []byte, order binary.ByteOrder) (name string, ok bool) {
	const maxHeaders, interp = 64, 3 // PT_INTERP
	var off uint64
	var size, n int
	switch {
	case elf.Class(b[elf.EI_CLASS]) == elf.ELFCLASS64 && len(b) >= 64:
		off, size, n = order.Uint64(b[32:]), int(order.Uint16(b[54:])), int(order.Uint16(b[56:]))
	case elf.Class(b[elf.EI_CLASS]) == elf.ELFCLASS32 && len(b) >= 52:
		off, size, n = uint64(order.Uint32(b[28:])), int(order.Uint16(b[42:])), int(order.Uint16(b[44:]))
	default:
		return "", false
	}
	wide := elf.Class(b[elf.EI_CLASS]) == elf.ELFCLASS64
	if wide && size != 56 || !wide && size != 32 || off > 1<<40 || n > maxHeaders {
		return "", true // the kernel would not execute it for that; it is not told here
	}
	headers := f.at(int64(off), size*n)
	for ; len(headers) >= size; headers = headers[size:] {
		if order.Uint32(headers) != interp {
			continue
		}
		at, length := uint64(order.Uint32(headers[4:])), uint64(order.Uint32(headers[16:]))
		if wide {
			at, length = order.Uint64(headers[8:]), order.Uint64(headers[32:])
		}
		if at > 1<<40 || length == 0 || length > most {
			return "", true
		}
		text, _, _ := bytes.Cut(f.at(int64(at), int(length)), []byte{0})
		return string(text), true
	}
	return "", len(headers) == 0 || n == 0
}

// quoted is a name that the container chose.
func quoted(name string) string {
	if len(name) > mostName {
		name = name[:mostName] + "…"
	}
	name = strings.ReplaceAll(strings.ToValidUTF8(name, "?"), "\r", `\r`)
	return `"` + replay.Safe(name) + `"`
}
