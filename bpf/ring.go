package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// Ring is a container's ring, mapped into memory. The kernel writes to it at any
// time; package record reads it.
type Ring struct {
	Slot uint32
	Gen  uint32
	m    *ebpf.Map
	mem  []byte
}

// Head is the ring's first page. Counters in it change under the reader: load
// them atomically.
func (r *Ring) Head() *layout.RingHead {
	return (*layout.RingHead)(unsafe.Pointer(unsafe.SliceData(r.mem)))
}

// SetMute says which calls are not recorded in this ring. It holds for calls that
// end from now on.
func (r *Ring) SetMute(mute Calls) {
	h := r.Head()
	for i, word := range mute {
		atomic.StoreUint64(&h.Mutes[i], word)
	}
	r.SetFlag(layout.RingMutes, mute != Calls{})
}

// SetFlag sets or clears a flag of the ring, and leaves the others as they are.
func (r *Ring) SetFlag(flag layout.RingFlag, on bool) {
	if flags := &r.Head().Flags; on {
		atomic.OrUint32(flags, uint32(flag))
	} else {
		atomic.AndUint32(flags, ^uint32(flag))
	}
}

// Bytes is the whole ring. It is valid until Close.
func (r *Ring) Bytes() []byte { return r.mem }

// Close unmaps the ring. If it is pinned or in its slot it lives on in the kernel.
func (r *Ring) Close() error {
	err := errors.Join(unix.Munmap(r.mem), r.m.Close())
	r.mem, r.m = nil, nil
	return err
}

// Slots returns how many rings there can be at a time.
func (k *Kernel) Slots() uint32 { return k.maps["rings"].MaxEntries() }

// errGone: of a recorder that is being replaced not all was there.
var errGone = errors.New("what it takes is not pinned any more")

// RingConfig is how a new ring shall be.
type RingConfig struct {
	Slot uint32 // free
	Gen  uint32 // never used before, in any slot
	// Stdio and Data are the bytes to keep of contents, NestedMax how many rings
	// containers inside the one that takes this ring may have; see layout.RingHead.
	Stdio, Data, NestedMax uint32
}

// NewRing makes an empty ring and hands it to the kernel as a spare: the next
// container that appears takes it.
func (k *Kernel) NewRing(c RingConfig) (*Ring, error) {
	slot, gen := c.Slot, c.Gen
	size := k.cfg.RingBytes()
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "recorder_ring", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(size), MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return nil, fmt.Errorf("make ring %d of %d bytes: %w", slot, size, err)
	}
	r, err := mapRing(slot, gen, m, size)
	if err != nil {
		m.Close()
		return nil, err
	}
	h := r.Head()
	h.Cookie, h.Gen, h.Stdio, h.Data, h.NestedMax = cookie(), gen, c.Stdio, c.Data, c.NestedMax
	k.cfg.Ring.Note(h)
	if err := m.Pin(k.ringPin(slot, gen)); err != nil {
		r.Close()
		return nil, fmt.Errorf("pin ring %d: %w", slot, err)
	}
	if err := k.maps["rings"].Put(slot, m); err != nil {
		os.Remove(k.ringPin(slot, gen))
		r.Close()
		return nil, fmt.Errorf("put ring %d into its slot: %w", slot, err)
	}
	if err := k.OfferSpare(slot); err != nil {
		k.DropRing(r)
		return nil, err
	}
	return r, nil
}

func mapRing(slot, gen uint32, m *ebpf.Map, size int) (*Ring, error) {
	mem, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map ring %d into memory: %w", slot, err)
	}
	return &Ring{Slot: slot, Gen: gen, m: m, mem: mem}, nil
}

func (k *Kernel) ringPin(slot, gen uint32) string {
	return k.pin("ring", fmt.Sprintf("%d-%d", slot, gen))
}

// PinnedRings opens the rings that an earlier process left in their slots, spare
// ones too. A pin that is no ring is reported in the error; the others are returned.
func (k *Kernel) PinnedRings() ([]*Ring, error) {
	entries, err := os.ReadDir(k.pin("ring"))
	if err != nil {
		return nil, fmt.Errorf("read pinned rings: %w", err)
	}
	var rings []*Ring
	var errs []error
	for _, e := range entries {
		var slot, gen uint32
		if n, _ := fmt.Sscanf(e.Name(), "%d-%d", &slot, &gen); n != 2 || e.Name() != fmt.Sprintf("%d-%d", slot, gen) {
			errs = append(errs, fmt.Errorf("pinned ring %q: not a ring's name", e.Name()))
			continue
		}
		r, err := k.openRing(slot, gen)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rings = append(rings, r)
	}
	return rings, errors.Join(errs...)
}

func (k *Kernel) openRing(slot, gen uint32) (*Ring, error) {
	m, err := ebpf.LoadPinnedMap(k.ringPin(slot, gen), nil)
	if err != nil {
		return nil, fmt.Errorf("open ring %d: %w", slot, err)
	}
	size := int(m.ValueSize())
	if m.Type() != ebpf.Array || m.MaxEntries() != 1 || size < layout.RingHeader {
		m.Close()
		return nil, fmt.Errorf("open ring %d: the pinned map is no ring", slot)
	}
	r, err := mapRing(slot, gen, m, size)
	if err != nil {
		m.Close()
		return nil, err
	}
	h := r.Head()
	geometry, err := record.ReadGeometry(r.mem)
	switch {
	case err != nil:
		err = fmt.Errorf("open ring %d: %w", slot, err)
	case h.Gen != gen:
		err = fmt.Errorf("open ring %d: its generation is %d, not %d", slot, h.Gen, gen)
	case uint64(size) != geometry.Bytes():
		err = fmt.Errorf("open ring %d: it has %d bytes, its lanes need %d", slot, size, geometry.Bytes())
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// DropRing takes a ring out of its slot and lets its memory go. After it returns
// no program writes to it any more.
func (k *Kernel) DropRing(r *Ring) error { return errors.Join(k.TakeOut(r), r.Close()) }

// TakeOut is DropRing for somebody who looks at the ring once more, and closes it.
func (k *Kernel) TakeOut(r *Ring) error {
	var err error
	if cg := r.Head().Cgroup; cg != 0 {
		err = k.Unclaim(cg)
	}
	return errors.Join(err, k.vacate(r))
}

// Ignore is DropRing for a container that shall not be recorded, and would
// otherwise get another ring at the next look at its tasks. That ends when its
// cgroup does. If that is gone already, the caller has to Unclaim it.
func (k *Kernel) Ignore(r *Ring) error {
	cg := r.Head().Cgroup
	if err := k.maps["claims"].Put(cg, layout.Claim{Slot: layout.NoSlot}); err != nil {
		return errors.Join(fmt.Errorf("ignore cgroup %d: %w", cg, err), k.DropRing(r))
	}
	return errors.Join(k.vacate(r), r.Close())
}

// IgnoreCgroup is Ignore for a cgroup that has no ring. If it got one at this moment,
// that stays.
func (k *Kernel) IgnoreCgroup(id uint64) error {
	err := k.maps["claims"].Update(id, layout.Claim{Slot: layout.NoSlot}, ebpf.UpdateNoExist)
	if err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
		return fmt.Errorf("ignore cgroup %d: %w", id, err)
	}
	return nil
}

// Unclaim takes a cgroup's claim away: if it gets a task, it is a new container.
func (k *Kernel) Unclaim(cgroup uint64) error {
	if err := k.maps["claims"].Delete(cgroup); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("forget cgroup %d: %w", cgroup, err)
	}
	return nil
}

// vacate empties a ring's slot, and unpins it.
func (k *Kernel) vacate(r *Ring) error {
	var errs []error
	if err := k.maps["rings"].Delete(r.Slot); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		errs = append(errs, fmt.Errorf("empty slot %d: %w", r.Slot, err))
	}
	if err := os.Remove(k.ringPin(r.Slot, r.Gen)); err != nil {
		errs = append(errs, fmt.Errorf("unpin ring %d: %w", r.Slot, err))
	}
	return errors.Join(errs...)
}

const membarrierGlobal = 1 // MEMBARRIER_CMD_GLOBAL of linux/membarrier.h

// Grace waits until every program that runs now has ended: whatever was being
// written to a ring when it was called is there when it returns. Some ms.
//
// An update of an array of maps does that: the kernel waits for readers of the
// old map (maybe_wait_bpf_programs in kernel/bpf/syscall.c, since 4.18 or so). For
// its length no program runs on this CPU that hangs on a perf event, also when this
// thread is preempted in it: where there are such, membarrier(2) waits for the same
// (synchronize_rcu in kernel/sched/membarrier.c) and keeps none from running.
func (k *Kernel) Grace() error {
	if k.maps["grace"] == nil {
		return fmt.Errorf("wait for running programs: %w", errGone)
	}
	if k.perf {
		// Refused where CPUs run without ticks, and by some seccomp profiles.
		if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno == 0 {
			return nil
		}
	}
	if err := k.maps["grace"].Put(uint32(0), k.maps["iter_slot"]); err != nil {
		return fmt.Errorf("wait for running programs: %w", err)
	}
	return nil
}

// Watch makes each cgroup below the one with this id a container when it gets a task.
func (k *Kernel) Watch(id uint64) error {
	if err := k.maps["roots"].Put(id, uint32(1)); err != nil {
		return fmt.Errorf("watch cgroup %d: %w", id, err)
	}
	return nil
}

// WatchPath is Watch for a cgroup that does not exist yet. path is absolute in
// the tracked hierarchy, at most 255 bytes.
func (k *Kernel) WatchPath(path string) error {
	if len(path) > 255 || !filepath.IsAbs(path) {
		return fmt.Errorf("watch cgroup %q: want an absolute path of at most 255 bytes", path)
	}
	var key [256]byte
	copy(key[:], path)
	if err := k.maps["root_paths"].Put(key, uint32(1)); err != nil {
		return fmt.Errorf("watch cgroup %s: %w", path, err)
	}
	return nil
}

// OnlyRoots stops watching what an earlier process watched: all cgroups but these,
// given by their paths and ids.
func (k *Kernel) OnlyRoots(roots map[string]uint64) error {
	paths, ids := map[[256]byte]bool{}, map[uint64]bool{}
	for path, id := range roots {
		var key [256]byte
		copy(key[:], path)
		paths[key], ids[id] = true, true
	}
	return errors.Join(
		keepOnly(k.maps["root_paths"], "root_paths", func(key [256]byte) bool { return paths[key] }),
		keepOnly(k.maps["roots"], "roots", func(id uint64) bool { return ids[id] }))
}

// Tasks runs the task iterator: it marks tasks of containers that no event
// showed, and returns the traced tasks of one slot, or of all if slot is negative.
func (k *Kernel) Tasks(slot int) ([]layout.TaskDump, error) {
	k.iterMu.Lock()
	defer k.iterMu.Unlock()
	if k.maps["iter_slot"] == nil || k.progs["all_tasks"] == nil {
		return nil, fmt.Errorf("list tasks: %w", errGone)
	}
	if err := k.maps["iter_slot"].Put(uint32(0), uint32(slot+1)); err != nil {
		return nil, fmt.Errorf("choose tasks: %w", err)
	}
	it, err := link.AttachIter(link.IterOptions{Program: k.progs["all_tasks"]})
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	defer it.Close()
	f, err := it.Open()
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	tasks := make([]layout.TaskDump, len(b)/layout.SizeofTaskDump)
	for i := range tasks {
		if _, err := binary.Decode(b[i*layout.SizeofTaskDump:], binary.LittleEndian, &tasks[i]); err != nil {
			return nil, fmt.Errorf("list tasks: %w", err)
		}
	}
	return tasks, nil
}

// Claims returns the rings by the id of their container's cgroup. Those with slot
// NoSlot are ignored.
func (k *Kernel) Claims() (map[uint64]layout.Claim, error) {
	claims := map[uint64]layout.Claim{}
	var id uint64
	var c layout.Claim
	it := k.maps["claims"].Iterate()
	for it.Next(&id, &c) {
		claims[id] = c
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("list claims: %w", err)
	}
	return claims, nil
}

// Stat returns a counter of the node.
func (k *Kernel) Stat(id layout.StatId) (uint64, error) {
	var cpus []uint64
	if err := k.maps["stats"].Lookup(uint32(id), &cpus); err != nil {
		return 0, fmt.Errorf("read counter %d: %w", id, err)
	}
	var sum uint64
	for _, n := range cpus {
		sum += n
	}
	return sum, nil
}

// Missed returns how often a program was not run because it, or another, was
// already running on that CPU, by program (recursion_misses of the kernel). Of a program
// that runs twice it is what both may have missed: the lesser of the two.
func (k *Kernel) Missed() (map[string]uint64, error) {
	missed := map[string]uint64{}
	for name, p := range k.progs {
		st, err := p.Stats()
		if err != nil {
			return nil, fmt.Errorf("ask for %s: %w", name, err)
		}
		missed[name] = st.RecursionMisses
	}
	for name, n := range missed {
		if first, ok := strings.CutSuffix(name, second); ok {
			missed[first] = min(missed[first], n)
			delete(missed, name)
		}
	}
	return missed, nil
}

// Spares returns the slots that wait for a container. They stay there, in another
// order.
func (k *Kernel) Spares() (map[uint32]bool, error) {
	q := k.maps["spare"]
	waiting := map[uint32]bool{}
	for range q.MaxEntries() {
		var slot uint32
		if err := q.LookupAndDelete(nil, &slot); err != nil {
			if errors.Is(err, ebpf.ErrKeyNotExist) {
				return waiting, nil
			}
			return nil, fmt.Errorf("list spare rings: %w", err)
		}
		seen := waiting[slot]
		waiting[slot] = true
		if err := q.Put(nil, slot); err != nil {
			return nil, fmt.Errorf("list spare rings: %w", err)
		}
		if seen {
			return waiting, nil // once around
		}
	}
	return waiting, nil
}

// TakeSpare takes one of the slots that wait for a container: none will get it. ok is
// false if none waits.
func (k *Kernel) TakeSpare() (slot uint32, ok bool, err error) {
	err = k.maps["spare"].LookupAndDelete(nil, &slot)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("take a spare ring: %w", err)
	}
	return slot, true, nil
}

// OfferSpare makes a slot wait for a container again.
func (k *Kernel) OfferSpare(slot uint32) error {
	if err := k.maps["spare"].Put(nil, slot); err != nil {
		return fmt.Errorf("offer ring %d: %w", slot, err)
	}
	return nil
}

// Events reads the kernel's hints.
type Events struct {
	r *ringbuf.Reader
}

// ReadEvents starts reading the kernel's hints. One process reads them.
func (k *Kernel) ReadEvents() (*Events, error) {
	r, err := ringbuf.NewReader(k.maps["events"])
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return &Events{r}, nil
}

// Read waits for the next hint. After Close the error is os.ErrClosed.
func (e *Events) Read() (layout.Event, error) {
	var ev layout.Event
	rec, err := e.r.Read()
	if err != nil {
		return ev, err // os.ErrClosed, or wrapped by ringbuf
	}
	if _, err := binary.Decode(rec.RawSample, binary.LittleEndian, &ev); err != nil {
		return ev, fmt.Errorf("read event: %w", err)
	}
	return ev, nil
}

// Close ends Read.
func (e *Events) Close() error { return e.r.Close() }

// Refused returns how many containers' cgroups there are for which no ring was free.
// Once there is one again, a pass of Tasks gives it to them.
func (k *Kernel) Refused() (int, error) {
	var all []uint64
	var id uint64
	var why uint32
	it := k.maps["refused"].Iterate()
	for it.Next(&id, &why) {
		if layout.Refusal(why) == layout.RefusedNoRing {
			all = append(all, id)
		}
	}
	if err := it.Err(); err != nil {
		return len(all), fmt.Errorf("list containers without a ring: %w", err)
	}
	n := 0
	for _, id := range all {
		var c layout.Claim
		if k.maps["claims"].Lookup(id, &c) == nil {
			// It got one from another CPU at that moment.
			k.maps["refused"].Delete(id) //nolint:errcheck // gone, or tried again
			continue
		}
		n++
	}
	return n, nil
}

// Cost is what one program has cost.
type Cost struct {
	Runs uint64        // since counting began
	Time time.Duration // in all of them
}

// Costs runs the kernel's own statistics of BPF programs for a while and returns
// what each program cost in it. While they run each program takes some 20 to 100 ns
// longer, on the whole node: for a moment, on request.
func (k *Kernel) Costs(ctx context.Context, d time.Duration) (map[string]Cost, error) {
	stats, refused := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	switch {
	case refused == nil:
		defer stats.Close()
	case !errors.Is(refused, unix.EPERM): // else somebody may have switched them on who is allowed to
		return nil, fmt.Errorf("switch on the kernel's BPF statistics: %w", refused)
	}
	before, err := k.costs()
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(d):
	}
	after, err := k.costs()
	if err != nil {
		return nil, err
	}
	var runs uint64
	for name, c := range after {
		after[name] = Cost{c.Runs - before[name].Runs, c.Time - before[name].Time}
		runs += after[name].Runs
	}
	// The calls of this process alone make them run.
	if refused != nil && runs == 0 {
		return nil, fmt.Errorf("switch on the kernel's BPF statistics: %w", refused)
	}
	return after, nil
}

func (k *Kernel) costs() (map[string]Cost, error) {
	all := map[string]Cost{}
	for name, p := range k.progs {
		st, err := p.Stats()
		if err != nil {
			return nil, fmt.Errorf("ask for %s: %w", name, err)
		}
		all[name] = Cost{st.RunCount, st.Runtime}
	}
	return all, nil
}

// MapMemory returns the bytes of kernel memory that the recorder's maps take, as the
// kernel accounts them, by map; rings and what is kept are not among them.
func (k *Kernel) MapMemory() (map[string]uint64, error) {
	all := map[string]uint64{}
	for name, m := range k.maps {
		info, err := m.Info()
		if err != nil {
			return nil, fmt.Errorf("ask for map %s: %w", name, err)
		}
		if n, ok := info.Memlock(); ok {
			all[name] = n
		}
	}
	return all, nil
}
