// Package bpf is the kernel's side of the recorder: it loads the programs,
// attaches and pins them, makes rings and maps them into memory.
//
// What the programs do, and the layout of everything shared with them, stands in
// recorder.bpf.c and recorder.h.
package bpf

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/internal/privilege"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// Errors that say why this kernel or process cannot record. They are wrapped
// with what was found.
var (
	ErrUnsupported = errors.New("this kernel cannot record system calls")
	ErrRights      = errors.New("not allowed to load BPF programs")
	ErrInUse       = errors.New("pin directory is in use")
)

// Config says how the programs are loaded. All of it is constant while they run;
// another Config replaces them.
type Config struct {
	// PinDir is a directory on a BPF file system (bpffs), made if it is missing. Programs,
	// maps and rings are pinned there and live on without the process.
	PinDir string
	// Ring says where rings have their lanes; see record.NewGeometry.
	Ring record.Geometry
	// Hierarchy is the id of the tracked cgroup hierarchy (0: v2, else the number in
	// /proc/self/cgroup), Subsys the index of one of its controllers for v1.
	Hierarchy int
	Subsys    uint32
	// OnlyWatched makes containers of what lies below watched cgroups alone; else
	// cgroups with a container's name are containers too, wherever they are.
	OnlyWatched bool
	// Plans are the capture plans by number, the 32-bit ABI's from
	// layout.PlanCalls on; SubPlans depend on a command as well.
	Plans    []layout.Plan
	SubPlans map[layout.SubplanKey]layout.Plan
	// Mute says which calls are recorded in no container. Of all here it alone
	// changes while the programs run: SetMute.
	Mute Calls
	// Rescue is called when the pin directory holds the rings of a recorder with
	// other programs or sizes, which is about to be replaced: they have stopped
	// writing, and can be read with PinnedRings and Tasks. Nil: they are thrown away.
	Rescue func(old *Kernel)

	preempt preempt
}

// Calls is a set of system calls that have a plan: a bit for each number, those of
// the 32-bit ABI from layout.PlanCalls on.
type Calls [layout.RingMuteWords]uint64

// Has reports whether the set has the call with this index.
func (c *Calls) Has(index int) bool { return c[index/64]>>(index%64)&1 != 0 }

// Add puts the call with this index into the set.
func (c *Calls) Add(index int) { c[index/64] |= 1 << (index % 64) }

// RingBytes returns the size of one ring in memory, in bytes, all lanes and the
// header included.
func (c *Config) RingBytes() int { return int(c.Ring.Bytes()) }

func (c *Config) check() error {
	if _, err := attachments(); err != nil {
		return err
	}
	if c.Ring.Main() == nil {
		return errors.New("a ring without a main lane")
	}
	for i := range c.Ring {
		if size := c.Ring[i].Size; size < 128 || size > layout.RingMax || size&(size-1) != 0 {
			return fmt.Errorf("ring with lanes of %d bytes: want a power of two up to %d MiB", size, layout.RingMax>>20)
		}
	}
	if len(c.Plans) != 2*layout.PlanCalls {
		return fmt.Errorf("%d capture plans: want %d", len(c.Plans), 2*layout.PlanCalls)
	}
	for i, p := range c.Plans {
		if p.Nargs > 6 || p.Nops > layout.PlanOps || p.Sub > 2 {
			return fmt.Errorf("capture plan of call %d: %d arguments, %d operations, command in argument %d: want at most 6, %d, 2", i, p.Nargs, p.Nops, p.Sub, layout.PlanOps)
		}
	}
	return nil
}

// id names everything that the pinned programs were loaded with. Pins of another
// id are not adopted.
func (c *Config) id() string {
	h := sha256.New()
	binary.Write(h, binary.LittleEndian, []uint64{layout.RecorderLayout, layout.RingGeometry, uint64(c.Hierarchy), uint64(c.Subsys)})
	fmt.Fprintf(h, "%v", c.Ring)
	h.Write(_RecorderBytes)
	binary.Write(h, binary.LittleEndian, c.enterBits())
	binary.Write(h, binary.LittleEndian, []bool{c.OnlyWatched, c.preemptible(), c.byPerf(), c.twice()})
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// enterBits marks the calls for which sys_enter has more to do than to note the time.
func (c *Config) enterBits() []uint64 {
	bits := make([]uint64, 2*layout.PlanCalls/64)
	for i, p := range c.Plans {
		if layout.PlanFlag(p.Flags)&(layout.PlanEnter|layout.PlanEntry) != 0 {
			bits[i/64] |= 1 << (i % 64)
		}
	}
	return bits
}

// Kernel is the loaded recorder. Its methods may be called from several goroutines.
type Kernel struct {
	cfg     Config
	lock    *os.File
	maps    map[string]*ebpf.Map
	links   []link.Link
	progs   map[string]*ebpf.Program
	adopted bool
	perf    bool // the programs of calls hang on perf events

	iterMu sync.Mutex
	planMu sync.Mutex // guards the plans, here and in the kernel
}

// hot are the programs that are attached last: when the marks can be right.
var hot = []string{"on_sys_exit", "on_sys_enter", "on_fork", "on_newtask", "on_attach"}

// second is how the names end of the programs that run where the first ones may have been
// preempted (TWICE in recorder.bpf.c).
const second = "_2"

// attachment is what of the compiled programs is attached.
type attachment struct {
	programs    []string // in this order
	again       []string // of these, those that run twice where they can be preempted
	tracepoints []string // that they want
}

// attachments are all programs on tracepoints that are no tests' or perf's: the object says itself
// which it has.
var attachments = sync.OnceValues(func() (*attachment, error) {
	spec, err := loadRecorder()
	if err != nil {
		return nil, fmt.Errorf("read the compiled programs: %w", err)
	}
	var a attachment
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		p := spec.Programs[name]
		if !strings.HasPrefix(name, "on_") || p.AttachType != ebpf.AttachTraceRawTp || strings.HasSuffix(name, second) {
			continue
		}
		if !slices.Contains(a.tracepoints, p.AttachTo) {
			a.tracepoints = append(a.tracepoints, p.AttachTo)
		}
		if spec.Programs[name+second] != nil {
			a.again = append(a.again, name)
		}
		if !slices.Contains(hot, name) {
			a.programs = append(a.programs, name)
		}
	}
	a.programs = append(a.programs, hot...)
	return &a, nil
})

// programs that are attached, in order: each second one behind its first, which
// it relies on.
func (c *Config) programs() []string {
	a, err := attachments()
	if err != nil {
		return nil // check has told
	}
	if !c.twice() {
		return a.programs
	}
	var all []string
	for _, name := range a.programs {
		all = append(all, name)
		if slices.Contains(a.again, name) {
			all = append(all, name+second)
		}
	}
	return all
}

// Load checks what the kernel can do, then adopts what is pinned in cfg.PinDir or,
// if nothing fitting is there, takes that away and loads anew. Only one process
// at a time can hold a pin directory (ErrInUse).
func Load(cfg Config) (*Kernel, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := Supported(); err != nil {
		return nil, err
	}
	lock, err := lockPins(cfg.PinDir)
	if err != nil {
		return nil, err
	}
	k := &Kernel{cfg: cfg, lock: lock, maps: map[string]*ebpf.Map{}, progs: map[string]*ebpf.Program{}, perf: cfg.byPerf()}
	if k.adopt() {
		k.adopted = true
		// The programs are the same, the plans need not be. What is watched stays until
		// OnlyRoots: meanwhile no container is to be missed.
		if err := errors.Join(k.makeDirs(), k.setPlans()); err != nil {
			k.Close()
			return nil, err
		}
		return k, nil
	}
	k.rescue()
	if err := k.load(); err != nil {
		k.removePins()
		k.Close()
		return nil, err
	}
	return k, nil
}

// rescue stops the programs that are pinned and lets Config.Rescue read what they
// have recorded.
func (k *Kernel) rescue() {
	links, _ := filepath.Glob(k.pin("link-*"))
	rings, _ := filepath.Glob(k.pin("ring", "*"))
	if len(rings) == 0 || k.cfg.Rescue == nil {
		return
	}
	for _, path := range links {
		os.Remove(path) //nolint:errcheck // a program that goes on writing is seen as that; load tries again
	}
	old := &Kernel{cfg: k.cfg, maps: map[string]*ebpf.Map{}, progs: map[string]*ebpf.Program{}}
	for _, name := range []string{"iter_slot", "grace"} {
		if m, err := ebpf.LoadPinnedMap(k.pin(name), nil); err == nil {
			old.maps[name] = m
		}
	}
	if p, err := ebpf.LoadPinnedProgram(k.pin("prog-all_tasks"), nil); err == nil {
		old.progs["all_tasks"] = p
	}
	k.cfg.Rescue(old)
	old.closeObjects()
}

// Supported says in one line why this kernel or process cannot record, or nil.
func Supported() error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return fmt.Errorf("ask for the kernel's version: %w", err)
	}
	release := unix.ByteSliceToString(uts.Release[:])
	if err := Allowed(); err != nil {
		return err
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		return fmt.Errorf("%w: Linux %s has no /sys/kernel/btf/vmlinux: a kernel with CONFIG_DEBUG_INFO_BTF=y is needed", ErrUnsupported, release)
	}
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return fmt.Errorf("%w: read the type information of Linux %s: %w", ErrUnsupported, release, err)
	}
	attached, err := attachments()
	if err != nil {
		return err
	}
	for _, tp := range attached.tracepoints {
		var t *btf.Typedef
		if err := spec.TypeByName("btf_trace_"+tp, &t); err != nil {
			return fmt.Errorf("%w: Linux %s has no tracepoint %s (CONFIG_HAVE_SYSCALL_TRACEPOINTS, CONFIG_CGROUPS)", ErrUnsupported, release, tp)
		}
	}
	var task *btf.Struct
	if err := spec.TypeByName("task_struct", &task); err != nil {
		return fmt.Errorf("%w: Linux %s: %w", ErrUnsupported, release, err)
	}
	if !slices.ContainsFunc(task.Members, func(m btf.Member) bool { return m.Name == "bpf_storage" }) {
		return fmt.Errorf("%w: Linux %s has no BPF task storage: 5.15 or later is needed", ErrUnsupported, release)
	}
	// The last thing that 5.15 brought: with it the others are there.
	var helpers *btf.Enum
	if err := spec.TypeByName("bpf_func_id", &helpers); err == nil &&
		!slices.ContainsFunc(helpers.Values, func(v btf.EnumValue) bool { return v.Name == "BPF_FUNC_task_pt_regs" }) {
		return fmt.Errorf("%w: Linux %s has no bpf_task_pt_regs: 5.15 or later is needed", ErrUnsupported, release)
	}
	return nil
}

// Capabilities are those that a process needs in order to load, attach, read and
// take over the programs. CAP_SYS_ADMIN, from which they were split off, does as well.
var Capabilities = privilege.Of(unix.CAP_BPF, unix.CAP_PERFMON)

// Allowed says in one line which of Capabilities this process lacks (ErrRights), or nil.
func Allowed() error {
	have, err := privilege.Effective()
	if err != nil {
		return err
	}
	if have.Has(Capabilities) || have.Has(privilege.Of(unix.CAP_SYS_ADMIN)) {
		return nil
	}
	return fmt.Errorf("%w: missing %s: run as root, or give it to the process or container (the user id is %d)", ErrRights, Capabilities&^have, os.Geteuid())
}

// lockPins makes the directory and takes its lock, which ends with the process.
func lockPins(dir string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("make pin directory: %w", err)
	}
	if err := Mount(dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make pin directory: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, fmt.Errorf("pin directory %s: %w", dir, err)
	}
	if st.Type != unix.BPF_FS_MAGIC {
		return nil, fmt.Errorf("pin directory %s is not on a BPF file system: mount one (mount -t bpf bpf /sys/fs/bpf), or choose one with --pin-dir", dir)
	}
	var own unix.Stat_t
	if err := unix.Stat(dir, &own); err != nil {
		return nil, fmt.Errorf("pin directory %s: %w", dir, err)
	}
	if own.Uid != 0 || own.Mode&0o022 != 0 {
		return nil, fmt.Errorf("pin directory %s can be written to by others than root: remove it, or choose another with --pin-dir", dir)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("pin directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: another recorderd runs with --pin-dir %s", ErrInUse, dir)
	}
	return f, nil
}

// Mount mounts a BPF file system on /sys/fs/bpf if pins are wanted below it and none
// is there, as systemd does at boot. It needs CAP_SYS_ADMIN only then, and on kernels
// from 7.0 on, where it opens what may not be had without it later (see byPerf).
func Mount(pinDir string) error {
	mountTracefs() //nolint:errcheck // without it calls are recorded in the other way
	holdPerf()
	const at = "/sys/fs/bpf"
	if dir := filepath.Clean(pinDir); !strings.HasPrefix(dir, at+"/") {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil || st.Type == unix.BPF_FS_MAGIC {
		return nil //nolint:nilerr // what is wrong shows where the directory is made
	}
	if err := unix.Mount("bpf", at, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("mount a BPF file system on %s (mount -t bpf bpf %s): %w", at, at, err)
	}
	return nil
}

// pinned maps, in the names of recorder.bpf.c.
var pinnedMaps = []string{
	"tasks", "rings", "spare", "claims", "roots", "root_paths", "plans", "subplans", "events", "stats", "iter_slot", "grace", "refused",
}

func (k *Kernel) pin(parts ...string) string {
	return filepath.Join(append([]string{k.cfg.PinDir}, parts...)...)
}

// adopt opens what an earlier process left, if all of it is there and of this
// very configuration.
func (k *Kernel) adopt() bool {
	if _, err := os.Stat(k.pin("id-" + k.cfg.id())); err != nil {
		return false
	}
	ok := true
	for _, name := range pinnedMaps {
		m, err := ebpf.LoadPinnedMap(k.pin(name), nil)
		if err != nil {
			ok = false
			break
		}
		k.maps[name] = m
	}
	for _, name := range k.cfg.programs() {
		if !ok {
			break
		}
		l, err := link.LoadPinnedLink(k.pin("link-"+name), nil)
		if err != nil {
			ok = false
			break
		}
		k.links = append(k.links, l)
	}
	for _, name := range append([]string{"all_tasks"}, k.cfg.programs()...) {
		if !ok {
			break
		}
		p, err := ebpf.LoadPinnedProgram(k.pin("prog-"+name), nil)
		if err != nil {
			ok = false
			break
		}
		k.progs[name] = p
	}
	if !ok {
		k.closeObjects()
	}
	return ok
}

// load takes away what is pinned and loads the programs. The marker that lets the
// next process adopt them is pinned last.
func (k *Kernel) load() error {
	if err := rlimit.RemoveMemlock(); err != nil {
		return fmt.Errorf("raise RLIMIT_MEMLOCK: %w", err)
	}
	if err := k.removePins(); err != nil {
		return err
	}
	spec, err := k.cfg.spec()
	if err != nil {
		return err
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		var ve *ebpf.VerifierError
		if errors.As(err, &ve) {
			return fmt.Errorf("%w: the verifier refuses: %+v", ErrUnsupported, ve)
		}
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("%w: %w", ErrRights, err)
		}
		return fmt.Errorf("load programs: %w", err)
	}
	for name, m := range coll.Maps {
		k.maps[name] = m
	}
	for name, p := range coll.Programs {
		k.progs[name] = p
	}
	if err := k.setPlans(); err != nil {
		return err
	}
	for _, name := range pinnedMaps {
		if err := k.maps[name].Pin(k.pin(name)); err != nil {
			return fmt.Errorf("pin map %s: %w", name, err)
		}
	}
	if err := k.makeDirs(); err != nil {
		return err
	}
	for name, p := range k.progs {
		if err := p.Pin(k.pin("prog-" + name)); err != nil {
			return fmt.Errorf("pin program %s: %w", name, err)
		}
	}
	return nil
}

// makeDirs makes the directories of pinned memory; somebody may have removed them.
func (k *Kernel) makeDirs() error {
	for _, dir := range []string{"ring", keptDir} {
		if err := os.Mkdir(k.pin(dir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make pin directory: %w", err)
		}
	}
	return nil
}

// spec is what is loaded: the programs of this configuration for this kernel.
func (c *Config) spec() (*ebpf.CollectionSpec, error) {
	spec, err := loadRecorder()
	if err != nil {
		return nil, fmt.Errorf("read the compiled programs: %w", err)
	}
	delete(spec.Programs, "empty_enter")
	delete(spec.Programs, "empty_exit")
	var onlyRoots, preemptible uint32
	if c.OnlyWatched {
		onlyRoots = 1
	}
	if c.preemptible() {
		preemptible = 1
	}
	if c.byPerf() {
		spec.Programs["on_sys_enter"], spec.Programs["on_sys_exit"] = spec.Programs["perf_sys_enter"], spec.Programs["perf_sys_exit"]
	}
	delete(spec.Programs, "perf_sys_enter")
	delete(spec.Programs, "perf_sys_exit")
	if !c.twice() {
		maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool {
			return strings.HasSuffix(name, second)
		})
	}
	spec.Maps["rings"].InnerMap.ValueSize = uint32(c.RingBytes())
	main := c.Ring.Main()
	for name, v := range map[string]any{
		"main_at": main.At, "main_size": main.Size,
		"hierarchy": int32(c.Hierarchy), "subsys": c.Subsys, "enter_bits": c.enterBits(), "only_roots": onlyRoots, "preemptible": preemptible,
		"page_bits": uint32(bits.TrailingZeros(uint(os.Getpagesize()))),
	} {
		if err := spec.Variables[name].Set(v); err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	return spec, nil
}

// Attach makes the programs run. After Load adopted them they do already.
func (k *Kernel) Attach() error {
	if k.adopted {
		return nil
	}
	for _, name := range k.cfg.programs() {
		l, err := attach(k.progs[name])
		if err != nil {
			return fmt.Errorf("attach %s: %w", name, err)
		}
		k.links = append(k.links, l)
		if err := l.Pin(k.pin("link-" + name)); err != nil {
			return fmt.Errorf("pin link %s: %w", name, err)
		}
	}
	// An empty directory, since bpffs takes no files: its name is the message.
	if err := os.Mkdir(k.pin("id-"+k.cfg.id()), 0o700); err != nil {
		return fmt.Errorf("mark pin directory: %w", err)
	}
	return nil
}

// Adopted reports whether Load found running programs and took them over.
func (k *Kernel) Adopted() bool { return k.adopted }

// setPlans writes the capture plans. PLAN_DATA is derived here: it spares the
// slow way for reads and writes whose contents nobody asked for.
func (k *Kernel) setPlans() error {
	k.planMu.Lock()
	defer k.planMu.Unlock()
	for i := range k.cfg.Plans {
		if err := k.setPlan(i); err != nil {
			return err
		}
	}
	for key, p := range k.cfg.SubPlans {
		if err := k.maps["subplans"].Put(key, p); err != nil {
			return fmt.Errorf("set plan of call %d, command %#x: %w", key.Nr, key.Cmd, err)
		}
	}
	return keepOnly(k.maps["subplans"], "subplans", func(key layout.SubplanKey) bool { _, ok := k.cfg.SubPlans[key]; return ok })
}

func (k *Kernel) setPlan(i int) error {
	p := k.cfg.Plans[i]
	if onlyData(p) {
		p.Flags |= uint8(layout.PlanData)
	}
	if k.cfg.Mute.Has(i) {
		p.Flags |= uint8(layout.PlanMute)
	}
	if err := k.maps["plans"].Put(uint32(i), p); err != nil {
		return fmt.Errorf("set plan of call %d: %w", i, err)
	}
	return nil
}

// SetMute changes which calls are recorded in no container. It holds for calls that
// end from now on.
func (k *Kernel) SetMute(mute Calls) error {
	k.planMu.Lock()
	defer k.planMu.Unlock()
	old := k.cfg.Mute
	k.cfg.Mute = mute
	for i := range k.cfg.Plans {
		if old.Has(i) == mute.Has(i) {
			continue
		}
		if err := k.setPlan(i); err != nil {
			return err
		}
	}
	return nil
}

// keepOnly deletes the entries of a hash map whose keys are not wanted.
func keepOnly[K comparable](m *ebpf.Map, name string, wanted func(K) bool) error {
	var key K
	var gone []K
	value := make([]byte, m.ValueSize())
	it := m.Iterate()
	for it.Next(&key, &value) {
		if !wanted(key) {
			gone = append(gone, key)
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read map %s: %w", name, err)
	}
	for _, key := range gone {
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("clean map %s: %w", name, err)
		}
	}
	return nil
}

func onlyData(p layout.Plan) bool {
	if p.Nops == 0 || layout.PlanFlag(p.Flags)&(layout.PlanSub|layout.PlanEntry) != 0 {
		return false
	}
	for _, op := range p.Op[:p.Nops] {
		if layout.OpKind(op.Kind) != layout.OpData {
			return false
		}
	}
	return true
}

// Close lets go of everything. What is pinned goes on recording.
func (k *Kernel) Close() error {
	k.closeObjects()
	return k.lock.Close()
}

func (k *Kernel) closeObjects() {
	for _, l := range k.links {
		l.Close()
	}
	for _, p := range k.progs {
		p.Close()
	}
	for _, m := range k.maps {
		m.Close()
	}
	k.links, k.progs, k.maps = nil, map[string]*ebpf.Program{}, map[string]*ebpf.Map{}
}

// Discard detaches the programs and takes their pins away, but for what was kept.
func (k *Kernel) Discard() error {
	err := k.removePins()
	k.closeObjects()
	return errors.Join(err, k.lock.Close())
}

// Uninstall detaches the programs and takes the pin directory away.
func (k *Kernel) Uninstall() error {
	err := k.clearPins(func(string) bool { return false })
	k.closeObjects()
	return errors.Join(err, os.Remove(k.cfg.PinDir), k.lock.Close())
}

// removePins takes away what is pinned for the programs. Links go first, so that
// no program meets half of its maps. What was kept stays: it is of no program.
func (k *Kernel) removePins() error {
	return k.clearPins(func(path string) bool { return path == k.pin(keptDir) })
}

// clearPins empties the pin directory but for the directories that are spared.
func (k *Kernel) clearPins(spare func(path string) bool) error {
	var paths []string
	err := filepath.WalkDir(k.cfg.PinDir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && spare(path):
			return fs.SkipDir
		case path != k.cfg.PinDir:
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read pin directory: %w", err)
	}
	rank := func(p string) int {
		switch name := filepath.Base(p); {
		case len(name) > 3 && name[:3] == "id-":
			return 0 // from here on nobody adopts the rest
		case len(name) > 5 && name[:5] == "link-":
			return 1
		case name == "ring" || name == keptDir:
			return 3
		}
		return 2
	}
	sort.SliceStable(paths, func(i, j int) bool { return rank(paths[i]) < rank(paths[j]) })
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clear pin directory: %w", err)
		}
	}
	return nil
}

// cookie returns a number that nobody in a container can guess.
func cookie() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	return binary.LittleEndian.Uint64(b[:])
}

// Uninstall takes everything away that is pinned in dir: programs stop, rings go.
// It is for what a process has left that died; ErrInUse if one is running.
func Uninstall(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := lockPins(dir)
	if err != nil {
		return err
	}
	k := &Kernel{cfg: Config{PinDir: dir}, lock: lock}
	return k.Uninstall()
}
