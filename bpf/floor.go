package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Floor is a pair of empty programs on sys_enter and sys_exit: what every tracer
// of all system calls costs at least. For benchmarks.
type Floor struct {
	coll  *ebpf.Collection
	links []link.Link
}

// AttachFloor loads and attaches the empty programs.
func AttachFloor() (*Floor, error) {
	spec, err := loadRecorder()
	if err != nil {
		return nil, fmt.Errorf("read the compiled programs: %w", err)
	}
	names := []string{"empty_enter", "empty_exit"}
	only := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{}, ByteOrder: spec.ByteOrder, Types: spec.Types}
	for _, name := range names {
		only.Programs[name] = spec.Programs[name]
	}
	f := &Floor{}
	if f.coll, err = ebpf.NewCollection(only); err != nil {
		return nil, fmt.Errorf("load empty programs: %w", err)
	}
	for _, name := range names {
		l, err := link.AttachTracing(link.TracingOptions{Program: f.coll.Programs[name]})
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("attach %s: %w", name, err)
		}
		f.links = append(f.links, l)
	}
	return f, nil
}

// Close detaches the programs.
func (f *Floor) Close() error {
	var errs []error
	for _, l := range f.links {
		errs = append(errs, l.Close())
	}
	f.coll.Close()
	return errors.Join(errs...)
}
