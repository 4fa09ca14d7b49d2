package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// keptDir is where pinned memory lies, below the pin directory.
const keptDir = "kept"

// keptHead is the length of what is kept and the mark, before it.
const keptHead = 16

// MaxKept is the most bytes that one Kept can have.
const MaxKept = 1 << 30

// Kept is a piece of memory that outlives the process, as the rings do, and any
// change of the programs: the single value of a pinned array map, which the kernel
// knows nothing about. An open one takes a file descriptor and a mapping.
type Kept struct {
	Name string
	m    *ebpf.Map
	mem  []byte
	n    int
}

// Bytes is what was kept. It is valid until Close; it must not be written to.
func (p *Kept) Bytes() []byte { return p.mem[keptHead : keptHead+p.n] }

// Memory returns the bytes that it takes, whole pages.
func (p *Kept) Memory() uint64 { return uint64(len(p.mem)) }

// Mark notes, for later processes too, that nothing is left to be done with it.
func (p *Kept) Mark() { atomic.StoreUint64(p.word(1), 1) }

// Marked reports whether Mark was called, by this process or an earlier one.
func (p *Kept) Marked() bool { return atomic.LoadUint64(p.word(1)) != 0 }

func (p *Kept) word(i int) *uint64 { return (*uint64)(unsafe.Pointer(&p.mem[8*i])) }

// Close lets go of the memory in this process. It stays pinned.
func (p *Kept) Close() error {
	err := errors.Join(unix.Munmap(p.mem), p.m.Close())
	p.mem, p.m, p.n = nil, nil, 0
	return err
}

// KeptMemory returns the bytes of memory that n kept bytes take.
func KeptMemory(n int) uint64 {
	page := os.Getpagesize()
	return uint64((n + keptHead + page - 1) / page * page)
}

// Keep pins a copy of data under a name, which is not to hold a slash or a dot. It
// is there as a whole or not at all, whatever happens to the process. fs.ErrExist
// if the name is taken.
func (k *Kernel) Keep(name string, data []byte) error {
	if name == "" || strings.ContainsAny(name, "/.") {
		return fmt.Errorf("keep %q: want a name without slashes and dots", name)
	}
	if len(data) > MaxKept {
		return fmt.Errorf("keep %s: %d bytes, want at most %d", name, len(data), MaxKept)
	}
	size := int(KeptMemory(len(data)))
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "recorder_kept", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(size), MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return fmt.Errorf("keep %s: make %d bytes of memory: %w", name, size, err)
	}
	p, err := mapKept(name, m)
	if err != nil {
		m.Close()
		return err
	}
	defer p.Close()
	copy(p.mem[keptHead:], data)
	*p.word(0) = uint64(len(data))
	if err := os.MkdirAll(k.pin(keptDir), 0o700); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	if err := m.Pin(k.pin(keptDir, name)); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// mapKept maps what is kept, as far as its length is right.
func mapKept(name string, m *ebpf.Map) (*Kept, error) {
	size := int(m.ValueSize())
	if m.Type() != ebpf.Array || m.MaxEntries() != 1 || size < keptHead || m.Flags()&unix.BPF_F_MMAPABLE == 0 {
		return nil, fmt.Errorf("kept %s: the pinned map is none of a recorder's", name)
	}
	mem, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("kept %s: map %d bytes into memory: %w", name, size, err)
	}
	p := &Kept{Name: name, m: m, mem: mem}
	n := *p.word(0)
	if n > uint64(size-keptHead) {
		unix.Munmap(mem)
		return nil, fmt.Errorf("kept %s: it says %d bytes and has room for %d", name, n, size-keptHead)
	}
	p.n = int(n)
	return p, nil
}

// OpenKept maps what was kept under a name. fs.ErrNotExist if there is none.
func (k *Kernel) OpenKept(name string) (*Kept, error) {
	m, err := ebpf.LoadPinnedMap(k.pin(keptDir, name), nil)
	if err != nil {
		return nil, fmt.Errorf("kept %s: %w", name, err)
	}
	p, err := mapKept(name, m)
	if err != nil {
		m.Close()
		return nil, err
	}
	return p, nil
}

// KeptNames lists what this process and earlier ones kept.
func (k *Kernel) KeptNames() ([]string, error) {
	entries, err := os.ReadDir(k.pin(keptDir))
	if err != nil {
		return nil, fmt.Errorf("read what is kept: %w", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// Forget lets the memory under a name go; open ones stay until they are closed.
func (k *Kernel) Forget(name string) error {
	if err := os.Remove(k.pin(keptDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget %s: %w", name, err)
	}
	return nil
}
