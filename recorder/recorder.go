// Package recorder is the daemon's core: which containers there are, whose ring is
// whose, what state each recording is in and how long it is kept.
//
// The kernel decides alone: it gives a new container a spare ring and writes to it
// whether or not this process runs. What the core knows it reads back from the
// rings' headers and the map of claims; events only make it look sooner.
package recorder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/bpf"
	"github.com/recorderd/recorderd/internal/size"
	"github.com/recorderd/recorderd/recorder/containerd"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/identity"
	"github.com/recorderd/recorderd/recorder/kubernetes"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/policy"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/spool"
	"github.com/recorderd/recorderd/recorder/strace"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// Config configures a Recorder. Sizes are in bytes.
type Config struct {
	PinDir       string
	StateDir     string        // what is kept on disk
	Node         string        // name of the node, for dumps and lists
	Version      string        // of recorderd
	Hierarchy    string        // cgroup hierarchy to track: auto, v2 or a v1 controller
	Watch        []string      // cgroups below which each one with a task is a container
	OnlyWatched  bool          // no others are: cgroups with a container's name are not looked for
	RecordSelf   bool          // so is the container that this process runs in
	RingSize     uint64        // of a ring's main lane, a power of two
	MemoryBudget uint64        // of all rings together
	CaptureStdio uint32        // bytes kept of what goes through descriptors 1 and 2
	CaptureData  uint32        // bytes kept of other reads and writes
	Policy       policy.Policy // by container; see SetPolicy. Its base goes over CaptureStdio and CaptureData
	Containerd   containerd.Config
	Kubernetes   *kubernetes.Config // nil: the API server is not asked
	// Ended recordings give way to the budget: last those that ended less than KeepMin
	// ago, and the last KeepLast of each container.
	KeepMin  time.Duration
	KeepLast int
	SpoolOn  []string // which ends are written to StateDir: kinds of spool.Reason
	// Hang is how long a container must hang for its ring to be written to StateDir while it
	// lives; 0: none is.
	Hang  time.Duration
	Spool spool.Limits // of what is kept on disk
	Clean bool         // take programs and recordings off the node at the end
	Log   *slog.Logger
}

const (
	// An eighth of the budget waits for new containers as spare rings, so many at least
	// if that is not more than a quarter: so many may appear before the daemon has made more. That takes some 15 ms for each, in which the kernel
	// waits for its readers (synchronize_rcu), and several can wait together.
	minSpares, maxSpares = 4, 64
	ringMakers           = 8
	// settleTime is how long a container without tasks stays live while its
	// cgroup exists: it may be between two processes.
	settleTime = 5 * time.Second
	// lookEvery is the time between two looks at the rings, scanEvery between two
	// passes over all tasks of the node: about a microsecond for each.
	lookEvery = 2 * time.Second
	hintPause = 20 * time.Millisecond
	scanEvery = 10 * time.Second
	// newbornEvery is the least time between two passes that look at what the processes
	// of new containers have open.
	newbornEvery = time.Second
)

// Recorder holds the recordings of a node. Its methods may be called from several
// goroutines.
type Recorder struct {
	cfg       Config
	log       *slog.Logger
	kernel    *bpf.Kernel
	hierarchy *Hierarchy
	self      struct { // the cgroup that this process is in
		path string
		id   uint64 // 0: not known
	}
	runtimes  *containerd.Source
	pods      *kubernetes.Source // nil: there is none
	state     io.Closer          // Config.StateDir is this process's until it is closed
	native    record.Arch
	release   string
	started   time.Time
	ringBytes uint64        // memory of one ring
	plans     []layout.Plan // as the kernel has them: the 32-bit ABI's from layout.PlanCalls on
	subPlans  map[layout.SubplanKey]layout.Plan

	mu       sync.Mutex
	spares   map[uint32]*bpf.Ring  // by slot
	recs     map[string]*recording // by id
	bySlot   map[uint32]*recording
	byPath   map[string]*recording // by its cgroup's path: the newest, better one with a ring
	next     map[string]string     // by the id of a recording that of the one in which it goes on
	watched  map[string]uint64     // path -> cgroup id, 0: does not exist yet
	nextGen  uint32
	evicted  uint64
	searched time.Time // for cgroups that were renamed
	gone     totals    // of recordings that were dropped
	starved  bool      // the budget holds no ring for the next container
	noRings  error     // why no spare ring could be made when that was tried last
	pressed  bool      // memory is wanted: ended recordings shall give up their rings now
	halfway  bool      // the programs were loaded, and could not be begun with
	policy   policy.Policy
	store    store
	names    names
	copies   copies
	judge    verdicts          // its last and ends are guarded by mu
	hangs    map[uint32]hang   // by slot, what a live container hangs in, by the last pass
	blocked  map[uint32]uint64 // threads, by slot, at that pass

	// Of look alone.
	passed  time.Time // when all tasks were looked at last
	newborn bool      // since then containers have appeared

	born       atomic.Bool  // containers have appeared, whoever looked
	lookers    atomic.Int32 // programs that are looked at
	stuck      atomic.Int32 // reads of tasks' memory that were given up and go on
	ready      atomic.Bool
	closed     atomic.Bool
	scan       atomic.Bool // a pass over all tasks is wanted
	rate       rate
	kick       chan struct{} // look now
	finishKick chan struct{}
	spoolKick  chan struct{}
}

// recording is a ring that a container took. Fields above mu never change.
type recording struct {
	id      string
	slot    uint32
	cgroup  uint64
	path    string
	claimed uint64 // ns, CLOCK_MONOTONIC
	who     identity.Container
	command []string // of a first process that did not exec where it was seen

	followers atomic.Int32 // dumps that go on

	// ringMu keeps the ring mapped: held for reading while the ring is read. To change
	// ring, Recorder.mu is held as well.
	ringMu sync.RWMutex
	ring   *bpf.Ring // nil: dropped, or kept
	view   *record.Ring

	// Guarded by Recorder.mu.
	info  containerd.Info
	known bool // info is containerd's
	pod   podName
	in    inside // what is around its container
	// recalled: info is what the last daemon knew. renamed: names are to be kept.
	recalled, renamed bool
	ended             bool
	endedAt           time.Time // a time of day, which can be set back
	nameBy            time.Time // until then the end waits for the container's name
	retryAt           time.Time // of finish
	opened            opened
	// gone: its cgroup was removed. deep: its cgroup's path is longer than the kernel
	// noted, and could not be found.
	gone, deep bool
	lost       lost
	failures   int // to finish
	admission  admission
	kept       *kept // instead of a ring
	judged     judged
	trigger    trigger
	looking    chan struct{} // closed: its program was looked at; nil: it was executed, or lives
	lookedAt   uint64        // when the last task had ended that was looked for then
	notStarted string        // what is wrong with its program
	applied    applied
}

// New loads the programs or takes over those that run, and finds the recordings
// that are there. Nothing else happens before Run.
func New(cfg Config) (*Recorder, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	r := &Recorder{
		cfg: cfg, log: cfg.Log, started: time.Now(), native: nativeArch(),
		spares: map[uint32]*bpf.Ring{}, recs: map[string]*recording{}, bySlot: map[uint32]*recording{},
		byPath: map[string]*recording{}, watched: map[string]uint64{},
		kick: make(chan struct{}, 1), finishKick: make(chan struct{}, 1), spoolKick: make(chan struct{}, 1),
	}
	var err error
	if r.hierarchy, err = FindHierarchy(cfg.Hierarchy); err != nil {
		return nil, err
	}
	r.findSelf()
	for _, path := range cfg.Watch {
		if err := CheckWatch(path); err != nil {
			return nil, fmt.Errorf("watch %w", err)
		}
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err == nil {
		r.release = unix.ByteSliceToString(uts.Release[:])
	}
	kcfg := r.kernelConfig()
	if err := r.choosePolicy(cfg.Policy, &kcfg); err != nil {
		return nil, err
	}
	r.ringBytes = uint64(kcfg.RingBytes())
	r.plans, r.subPlans = kcfg.Plans, kcfg.SubPlans
	if err := cfg.CheckBudget(); err != nil {
		return nil, fmt.Errorf("memory budget of %w", err)
	}
	if r.pods, err = r.askKubernetes(cfg.Kubernetes); err != nil {
		return nil, err
	}
	if r.state, err = lockState(cfg.StateDir); err != nil {
		return nil, err
	}
	r.store.init(&cfg)
	r.judge.init()
	r.names.init(&cfg)
	cfg.Containerd.Log, cfg.Containerd.Where = r.log, r.whereIs
	r.runtimes = containerd.New(cfg.Containerd)
	kcfg.Rescue = r.rescue
	if r.kernel, err = bpf.Load(kcfg); err != nil {
		r.store.close()
		r.state.Close()
		return nil, err
	}
	go r.names.run()
	if err := r.begin(); err != nil {
		r.halfway = !r.kernel.Adopted()
		r.Close()
		return nil, err
	}
	return r, nil
}

// CheckWatch returns an error if a path is none that can be watched.
func CheckWatch(path string) error {
	if !strings.HasPrefix(path, "/") || len(path) > 255 {
		return fmt.Errorf("%q: want the path of a cgroup in the tracked hierarchy, beginning with /", path)
	}
	return nil
}

// CheckBudget returns an error if the memory budget is too small for the rings.
func (c *Config) CheckBudget() error {
	if want := 2 * uint64(c.geometry().Bytes()); c.MemoryBudget < want {
		return fmt.Errorf("%d bytes: want at least %d, room for two rings", c.MemoryBudget, want)
	}
	return nil
}

func nativeArch() record.Arch {
	if runtime.GOARCH == "arm64" {
		return record.ArchARM64
	}
	return record.ArchX86_64
}

// geometry is that of the rings that are made.
func (c *Config) geometry() record.Geometry {
	return record.NewGeometry(c.RingSize, max(c.RingSize/8, 32<<10), max(c.RingSize/16, 16<<10))
}

func (r *Recorder) kernelConfig() bpf.Config {
	cfg := bpf.Config{
		PinDir: r.cfg.PinDir, Hierarchy: r.hierarchy.ID, Subsys: r.hierarchy.Subsys, OnlyWatched: r.cfg.OnlyWatched, Ring: r.cfg.geometry(),
		Plans: make([]layout.Plan, 2*layout.PlanCalls), SubPlans: map[layout.SubplanKey]layout.Plan{},
	}
	for i, arch := range []record.Arch{r.native, r.native.ABI(layout.RecfCompat)} {
		for nr := range uint32(layout.PlanCalls) {
			cfg.Plans[i*layout.PlanCalls+int(nr)] = syscalls.Plan(arch, nr)
		}
		maps.Copy(cfg.SubPlans, syscalls.SubPlans(arch))
	}
	return cfg
}

// begin takes over what an earlier daemon left, makes spare rings for the
// containers that are there and those to come, and attaches the programs.
func (r *Recorder) begin() error {
	// Generations are never used twice, also not those of rings that are gone: one
	// is used up in more than a millisecond.
	r.nextGen = uint32(monotonic() / uint64(time.Millisecond))
	// Before what is there is taken over: it is named by what is watched.
	for _, path := range r.cfg.Watch {
		if err := r.watch(path); err != nil {
			return err
		}
	}
	err := r.takeOverKept()
	if r.kernel.Adopted() {
		err = errors.Join(err, r.takeOver())
	}
	if err != nil {
		r.log.Warn("some recordings of the last daemon were not taken over", "error", err)
	}
	if err := r.names.sweep(func(id string) bool { return r.recs[id] != nil }); err != nil {
		r.log.Warn("names of recordings that are gone are still there", "error", err)
	}
	if err := r.ignoreSelf(); err != nil {
		r.log.Warn("recorderd itself may be recorded", "error", err)
	}
	there, err := r.unclaimed()
	if err != nil {
		return err
	}
	if err := r.refill(there + r.spareWant()); err != nil {
		return err
	}
	if err := r.kernel.Attach(); err != nil {
		return err
	}
	r.log.Info("recording", "kernel", r.release, "cgroups", r.hierarchy.Name, "mount", r.hierarchy.Mount,
		"containers", there, "adopted", r.kernel.Adopted(), "ring", r.cfg.RingSize, "budget", r.cfg.MemoryBudget)
	return nil
}

// unclaimed counts the containers that are there and have no ring yet.
func (r *Recorder) unclaimed() (int, error) {
	claims, err := r.kernel.Claims()
	if err != nil {
		return 0, err
	}
	n := 0
	there := r.hierarchy.containers(4096)
	if r.cfg.OnlyWatched {
		there = nil // refill makes up for those there are, after the first look
	}
	for _, path := range there {
		id, err := r.hierarchy.id(path)
		if _, claimed := claims[id]; err == nil && !claimed {
			n++
		}
	}
	return n, nil
}

// spareWant is how many rings shall wait for containers.
func (r *Recorder) spareWant() int {
	all := int(r.cfg.MemoryBudget / r.ringBytes)
	return min(max(all/8, min(minSpares, all/4), 1), maxSpares)
}

// takeOver finds the rings that an earlier daemon made. Programs give them to containers
// meanwhile.
func (r *Recorder) takeOver() error {
	rings, errs := r.kernel.PinnedRings()
	before, err := r.kernel.Spares()
	errs = errors.Join(errs, err)
	// Who had taken a ring off the queue by then has claimed it, or given it back.
	errs = errors.Join(errs, r.kernel.Grace())
	after, err := r.kernel.Spares()
	errs = errors.Join(errs, err)
	claims, err := r.kernel.Claims()
	errs = errors.Join(errs, err)
	for _, ring := range rings {
		r.nextGen = max(r.nextGen, ring.Gen+1)
		r.asSpare(ring) // what may be kept is for this daemon to say, also of what goes on
		atomic.StoreUint32(&ring.Head().NestedMax, r.nestedMax())
		cg := atomic.LoadUint64(&ring.Head().Cgroup)
		claimed := cg != 0 && claims[cg] == layout.Claim{Slot: ring.Slot, Gen: ring.Gen}
		switch {
		case !claimed && (before[ring.Slot] || after[ring.Slot]):
			r.spares[ring.Slot] = ring // also one that is being taken now: collect finds it
		case cg != 0: // without a claim: a daemon died that was about to let it go
			rec := r.recordingOf(ring)
			r.recallNames(rec)
			if r.recs[rec.id] != nil {
				// It was kept already, by a daemon that died before it let the ring go.
				errs = errors.Join(errs, r.kernel.DropRing(ring))
			} else {
				r.addLocked(rec)
			}
		default:
			// Made by a daemon that died before it could offer it.
			errs = errors.Join(errs, r.kernel.DropRing(ring))
		}
	}
	for _, rec := range r.recs {
		r.lookAroundLocked(rec) // now that all are there
	}
	return errors.Join(errs, r.forgetIgnored())
}

// watch makes each cgroup below path that gets a task a container.
func (r *Recorder) watch(path string) error {
	path = strings.TrimRight(path, "/")
	if path == "" {
		return errors.New("watch /: every cgroup of the node would be a container; name one below it")
	}
	if _, ok := r.watched[path]; ok {
		return nil
	}
	if err := r.kernel.WatchPath(path); err != nil {
		return err
	}
	id, err := r.hierarchy.id(path)
	if err == nil {
		if err := r.kernel.Watch(id); err != nil {
			return err
		}
	}
	r.watched[path] = id
	return nil
}

// Ready returns nil when every container that is there is being recorded, and the next
// one will be, by the next daemon, too.
func (r *Recorder) Ready() error {
	if !r.ready.Load() {
		return notReady("recorderd is starting: not every container is recorded yet")
	}
	if err := r.kernel.Pinned(); err != nil {
		return notReady("%v: recording ends with this recorderd; restart it, and it makes new pins", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.noRings != nil:
		return notReady("no ring can be made for the next container: %v", r.noRings)
	case r.starved && len(r.spares) == 0:
		return notReady("no ring can be made for the next container: live recordings take the whole memory budget of %s; raise --memory-budget, or lower --ring-size", size.Bytes(r.cfg.MemoryBudget))
	}
	return nil
}

func notReady(format string, args ...any) error {
	return &api.Error{Code: api.CodeNotReady, Status: 503, Message: fmt.Sprintf(format, args...)}
}

// Run keeps the recordings until the context ends. ready is called once, when all
// that runs is being recorded.
func (r *Recorder) Run(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	hints, err := r.kernel.ReadEvents()
	if err != nil {
		return err
	}
	wg.Go(func() { r.runtimes.Run(ctx) })
	wg.Go(func() { r.finishing(ctx) })
	wg.Go(func() { r.spooling(ctx) })
	wg.Go(func() { r.judge.working(ctx) })
	wg.Go(func() { r.judging(ctx) })
	wg.Go(func() { r.judgingDisk(ctx) })
	if r.pods != nil {
		wg.Go(func() { r.pods.Run(ctx) })
	}
	wg.Go(func() { r.listen(hints) })
	wg.Go(func() { <-ctx.Done(); hints.Close() })

	if r.kernel.Adopted() {
		wg.Go(func() { r.forgetRoots(ctx) })
	}
	// Existing tasks are marked by the iterator, which the first look runs.
	r.look(ctx, true)
	scanned := time.Now()
	r.ready.Store(true)
	if ready != nil {
		ready()
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			scan := time.Since(scanned) >= scanEvery
			if scan {
				scanned = time.Now()
			}
			r.look(ctx, scan)
		case <-r.kick:
			r.look(ctx, false)
			// Hints come in bursts: what comes now waits for the next look.
			select {
			case <-ctx.Done():
			case <-time.After(hintPause):
			}
		}
	}
}

// rootsAfter is the time in which the runtimes tell this daemon the cgroups that the
// last one was told.
const rootsAfter = 30 * time.Second

// forgetRoots stops watching what the last daemon watched and this one does not.
func (r *Recorder) forgetRoots(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(rootsAfter):
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rewatchLocked() // some may have been made since
	if err := r.kernel.OnlyRoots(r.watched); err != nil {
		r.log.Warn("forget what the last daemon watched", "error", err)
	}
	r.rewatchLocked() // and some at this moment
}

// rewatchLocked watches again what is watched and has been made since. The kernel's
// programs see to that, unless they cannot run just then.
func (r *Recorder) rewatchLocked() {
	for path, known := range r.watched {
		id, err := r.hierarchy.id(path)
		if err != nil || id == known {
			continue
		}
		if err := r.kernel.Watch(id); err != nil {
			r.log.Warn("watch a cgroup", "cgroup", path, "error", err)
			continue
		}
		r.watched[path] = id
	}
}

// listen turns the kernel's hints into looks.
func (r *Recorder) listen(hints *bpf.Events) {
	for {
		e, err := hints.Read()
		if err != nil {
			if errors.Is(err, os.ErrClosed) {
				return
			}
			r.log.Error("read the kernel's hints", "error", err)
			time.Sleep(lookEvery) // they are hints only
			continue
		}
		switch layout.EventType(e.Type) {
		case layout.EventScan:
			r.scan.Store(true)
		case layout.EventNoring:
			r.log.Warn("no ring was free for a container", "cgroup", e.Cgroup)
		case layout.EventClaim, layout.EventEnded, layout.EventRmdir: // the look finds what they mean
		}
		r.lookSoon()
	}
}

func (r *Recorder) lookSoon() { wake(r.kick) }

// look brings everything in line with the kernel. scan adds a pass over all tasks.
func (r *Recorder) look(ctx context.Context, scan bool) {
	r.collect()
	r.settle(false)
	if !r.passed.IsZero() { // before, they wait for the containers that are there
		if err := r.trim(r.spareWant()); err != nil {
			r.log.Error("drop spare rings", "error", err)
		}
	}
	err := r.refill(r.spareWant())
	if err != nil {
		r.log.Error("make spare rings", "error", err)
	}
	r.mu.Lock()
	r.noRings = err
	r.mu.Unlock()
	r.watchNamespaces()
	if r.unrecorded() > 0 && !r.starved {
		scan = true // gives a ring to containers that found none
	}
	born := r.born.Swap(false)
	r.newborn = r.newborn || born
	if r.newborn && time.Since(r.passed) > newbornEvery {
		scan = true // what its processes have open
	}
	if r.scan.Swap(false) || scan {
		r.mu.Lock()
		r.rewatchLocked()
		r.mu.Unlock()
		tasks, err := r.kernel.Tasks(-1)
		if err != nil {
			r.log.Warn("look at all tasks", "error", err)
		}
		r.collect()
		r.passed, r.newborn = time.Now(), false
		r.noteHangs(tasks)
		r.readOpened(tasks)
	}
	r.noteTriggers(time.Now())
	r.rate.sample(r.writtenAll())
	late := r.born.Swap(false) // the pass may have missed these
	r.newborn = r.newborn || late
	if born || late {
		go func() {
			r.runtimes.Refresh(ctx) //nolint:errcheck // Status tells
			r.lookSoon()
		}()
	}
	r.settle(scan)
	r.keepNames()
}

// collect finds the spares that containers have taken.
func (r *Recorder) collect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	var claims map[uint64]layout.Claim
	for slot, ring := range r.spares {
		cg := atomic.LoadUint64(&ring.Head().Cgroup)
		if cg == 0 {
			continue
		}
		if claims == nil {
			var err error
			if claims, err = r.kernel.Claims(); err != nil {
				r.log.Error("read claims", "error", err)
				return
			}
		}
		if claims[cg].Slot != slot || claims[cg].Gen != ring.Gen {
			continue // another CPU was first: the ring goes back
		}
		delete(r.spares, slot)
		r.addLocked(r.recordingOf(ring))
		r.born.Store(true)
	}
}

func (r *Recorder) addLocked(rec *recording) {
	r.recs[rec.id] = rec
	r.bySlot[rec.slot] = rec
	r.lookAroundLocked(rec)
	r.indexOneLocked(rec)
	r.applyLocked(rec)
	r.log.Debug("container", "id", rec.id, "cgroup", rec.path, "slot", rec.slot)
}

// recordingOf is what a ring says of itself.
func (r *Recorder) recordingOf(ring *bpf.Ring) *recording {
	h := ring.Head()
	rec := &recording{slot: ring.Slot, cgroup: h.Cgroup, path: cgroupPath(h), claimed: h.Claimed, ring: ring}
	view, err := record.NewRing(ring.Bytes())
	if err != nil { // the kernel package made it: cannot be
		r.log.Error("look at ring", "slot", ring.Slot, "error", err)
	}
	rec.view = view
	if truncated(h) {
		if path, ok := r.hierarchy.find(rec.cgroup); ok {
			rec.path = path
		} else {
			rec.deep = true
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %d", h.Cookie, h.Cgroup, h.Claimed))
	rec.id = hex.EncodeToString(sum[:6])
	rec.who = r.identify(rec.path)
	rec.command = commandOf("/proc", h)
	return rec
}

// truncated reports whether the path that the kernel noted is not all of it.
func truncated(h *layout.RingHead) bool {
	for i := range h.Path {
		part := unix.ByteSliceToString(h.Path[i][:])
		if len(part) >= layout.PathPart-1 {
			return true
		}
		if part == "" || part == "/" {
			return false
		}
	}
	return true
}

// identify says which container a cgroup is, by its path alone.
func (r *Recorder) identify(path string) identity.Container {
	if c, ok := identity.Parse(path); ok {
		return c
	}
	for _, root := range append(slices.Collect(maps.Keys(r.watched)), r.cfg.Watch...) {
		if c, ok := identity.ParseBelow(root, path); ok {
			return c
		}
	}
	return identity.Container{Path: path}
}

// cgroupPath puts together the path that the kernel noted, leaf first.
func cgroupPath(h *layout.RingHead) string {
	var parts []string
	for i := range h.Path {
		part := unix.ByteSliceToString(h.Path[i][:])
		if part == "" || part == "/" {
			break
		}
		parts = append([]string{part}, parts...)
	}
	return "/" + strings.Join(parts, "/")
}

// watchNamespaces watches the cgroups below which containerd's namespaces have
// their containers: those of ctr have no names that tell.
func (r *Recorder) watchNamespaces() {
	if r.cfg.OnlyWatched {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ns := range r.runtimes.Namespaces() {
		if strings.HasSuffix(ns, ".slice") || strings.HasSuffix(ns, ".scope") || strings.HasSuffix(ns, ".service") {
			continue // systemd's, whoever called a namespace so
		}
		if err := r.watch("/" + ns); err != nil {
			r.log.Warn("watch the cgroups of a containerd namespace", "namespace", ns, "error", err)
		}
	}
}

// busy reports whether tasks write to the recording now. r.mu is held, or the
// ring may be gone.
func (rec *recording) busy() bool {
	return rec.kept == nil && !rec.gone && int64(atomic.LoadUint64(&rec.ring.Head().TasksLive)) > 0
}

func (r *Recorder) dropLocked(rec *recording) { r.letGoLocked(rec, r.kernel.DropRing) }

// letGoLocked forgets a recording, and does with its ring as said.
func (r *Recorder) letGoLocked(rec *recording, drop func(*bpf.Ring) error) {
	r.gone = r.gone.plus(rec.totals())
	delete(r.recs, rec.id)
	if r.byPath[rec.path] == rec {
		delete(r.byPath, rec.path) // settle finds an older one
	}
	r.names.forget(rec.id)
	if rec.kept != nil {
		if err := r.kernel.Forget(rec.id); err != nil {
			r.log.Error("drop recording", "id", rec.id, "error", err)
		}
		return
	}
	delete(r.bySlot, rec.slot)
	rec.ringMu.Lock()
	defer rec.ringMu.Unlock()
	if rec.ring == nil {
		return
	}
	if err := drop(rec.ring); err != nil {
		r.log.Error("drop recording", "id", rec.id, "error", err)
	}
	rec.ring, rec.view = nil, nil
}

// settle works out which recordings have ended, and joins what containerd knows.
func (r *Recorder) settle(all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := monotonic()
	ended := false
	r.indexLocked()
	nested, alive := r.innerLocked()
	r.searchLocked()
	for _, rec := range r.recs {
		if r.isSelf(rec) {
			r.ignoreLocked(rec)
			continue
		}
		if !rec.known || all {
			r.name(rec)
		}
		r.namePod(rec)
		if rec.kept == nil {
			r.lookAroundLocked(rec)
		}
		if r.isPause(rec) {
			r.ignoreLocked(rec)
			continue
		}
		if rec.kept != nil {
			continue
		}
		h := rec.ring.Head()
		last := atomic.LoadUint64(&h.LastExit)
		if !rec.busy() {
			r.lookAtProgramLocked(rec, h)
		}
		// A cgroup that has tasks cannot be removed: when it is gone, so are they.
		exists := rec.ended && !rec.busy() && !rec.gone || r.thereLocked(rec)
		rec.gone = !exists // whatever the count of its tasks says
		switch {
		case rec.ended && rec.busy() && exists:
			rec.ended = false // a container that was started again in its cgroup
		case !rec.ended:
			// What answers for others is there as long as they are.
			idle := !rec.busy() && !alive[rec] && last != 0 && now-min(last, now) > uint64(settleTime)
			if idle || !exists {
				if last == 0 {
					last = now
				}
				rec.ended, rec.endedAt, rec.nameBy = true, wallTime(last), time.Now().Add(nameWait)
				r.log.Debug("ended", "id", rec.id, "cgroup", rec.path, "exit", h.InitExit)
				ended = true
			}
		}
	}
	if ended {
		r.wakeFinisher()
	}
	for _, rec := range r.bySlot {
		if n := &rec.ring.Head().Nested; atomic.LoadUint32(n) != nested[rec] {
			atomic.StoreUint32(n, nested[rec])
		}
	}
}

// unrecorded is how many containers there are that found no ring.
func (r *Recorder) unrecorded() int {
	n, err := r.kernel.Refused()
	if err != nil {
		r.log.Warn("look for containers without a ring", "error", err)
	}
	return n
}

// name joins what containerd knows of a recording's container: of the one whose cgroup this
// is, whatever it is called.
func (r *Recorder) name(rec *recording) {
	if info, ok := r.runtimes.At(rec.path); ok {
		rec.renamed = rec.renamed || !rec.known || !reflect.DeepEqual(rec.info, info)
		rec.info, rec.known = info, true
		r.applyLocked(rec)
	}
}

// CleanAtClose has Close take all away, as Config.Clean does. Run has ended.
func (r *Recorder) CleanAtClose() { r.cfg.Clean = true }

// Close lets go of the kernel's objects after Run has ended. What is recorded
// stays, and recording goes on, unless Config.Clean takes all of it away.
func (r *Recorder) Close() {
	if r.closed.Swap(true) {
		return
	}
	r.names.close(r.cfg.Clean, namesWait)
	defer r.state.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store.close()
	for _, ring := range r.spares {
		ring.Close()
	}
	for _, rec := range r.recs {
		rec.ringMu.Lock()
		if rec.ring != nil {
			rec.ring.Close()
		}
		rec.ring, rec.view = nil, nil
		rec.ringMu.Unlock()
	}
	r.recs, r.bySlot, r.spares = map[string]*recording{}, map[uint32]*recording{}, map[uint32]*bpf.Ring{}
	r.byPath = map[string]*recording{}
	if r.cfg.Clean {
		os.Remove(filepath.Join(r.hierarchy.Mount, api.RunRoot)) //nolint:errcheck // made by recorderctl run, and gone only if it is empty
		if err := r.kernel.Uninstall(); err != nil {
			r.log.Error("take the programs off the node", "error", err)
		}
		return
	}
	end := r.kernel.Close
	if r.halfway {
		end = r.kernel.Discard // half of it is of no use to anybody; what was kept is
	}
	if err := end(); err != nil {
		r.log.Error("close", "error", err)
	}
}

// find returns a recording by its id.
func (r *Recorder) find(id string) (*recording, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.recs[id]; rec != nil {
		return rec, nil
	}
	return nil, errNone(id)
}

// List returns all recordings, oldest first, without their Activity.
func (r *Recorder) List(context.Context) ([]api.Recording, error) {
	r.collect()
	r.settle(false)
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]api.Recording, 0, len(r.recs))
	for _, rec := range r.recs {
		list = append(list, r.describeLocked(rec))
	}
	list = append(list, r.spooledLocked()...)
	sort.Slice(list, func(i, j int) bool { return list[i].Started.Before(list[j].Started) })
	return list, nil
}

// describeLocked is what List and the dumps' headers say of a recording.
func (r *Recorder) describeLocked(rec *recording) api.Recording {
	out := r.subject(rec)
	r.measure(rec, &out)
	out.Verdict = r.verdictLocked(rec)
	out.Off = out.Off || is(rec.applied.settings.Off)
	rec.applied.rules.Recording(&out)
	if out.Off {
		out.Container.Command, out.Verdict = nil, nil
	}
	return out
}

// Activity says what the containers that live are doing, by the ids of their recordings. Failed
// calls are counted in the rings, without r.mu.
func (r *Recorder) Activity(context.Context) (map[string]api.Activity, error) {
	r.mu.Lock()
	live := make(map[*recording]api.Activity, len(r.recs))
	for _, rec := range r.recs {
		if !rec.ended {
			live[rec] = api.Activity{Blocked: r.blocked[rec.slot]}
		}
	}
	r.mu.Unlock()
	out := make(map[string]api.Activity, len(live))
	for rec, a := range live {
		rec.ringMu.RLock()
		if rec.ring != nil {
			a.Failed = rec.view.Failed()
			out[rec.id] = a
		}
		rec.ringMu.RUnlock()
	}
	return out, nil
}

// subject is what is known of a recording beside its ring.
func (r *Recorder) subject(rec *recording) api.Recording {
	out := api.Recording{
		ID: rec.id, State: api.StateLive, Node: r.cfg.Node, Started: wallTime(rec.claimed),
		Container: api.Container{
			ID: rec.who.ID, Name: rec.who.ID, Runtime: rec.who.Runtime, Cgroup: rec.path,
		},
	}
	if rec.ended {
		out.State = api.StateEnded
		at := rec.endedAt
		out.Ended = &at
	}
	if uid := r.podOfPath(rec); uid != "" {
		out.Pod = &api.Pod{UID: uid}
	}
	out.NotStarted = rec.notStarted
	if rec.kept != nil {
		out = rec.kept.describe()
	}
	if rec.known || rec.recalled {
		nameFrom(&out, &rec.info)
	}
	rec.pod.describe(&out)
	r.describeInside(rec, &out)
	out.GoesOnAs = r.next[rec.id]
	return out
}

// measure adds what a recording's ring says, or what is kept in its place.
func (r *Recorder) measure(rec *recording, out *api.Recording) {
	r.store.describe(out)
	if rec.kept != nil {
		if out.Exit == nil {
			out.Exit = exitOf(&layout.RingHead{}, true, &rec.info, rec.known || rec.recalled, false)
		}
		out.Exit = rec.keptExit(out.Exit)
		return
	}
	rec.ringMu.RLock()
	defer rec.ringMu.RUnlock()
	if rec.ring == nil {
		return
	}
	h := rec.ring.Head()
	out.Off = atomic.LoadUint32(&h.Flags)&uint32(layout.RingOff) != 0
	out.Frozen = atomic.LoadUint32(&h.Flags)&uint32(layout.RingFrozen) != 0
	if out.Container.Command = argv(h); out.Container.Command == nil {
		out.Container.Command = rec.command
	}
	out.Tasks = api.Tasks{
		Live: atomic.LoadUint64(&h.TasksLive), Ever: atomic.LoadUint64(&h.TasksEver),
		Execs: atomic.LoadUint64(&h.Execs), Unmarked: atomic.LoadUint64(&h.Unmarked), MovedOut: atomic.LoadUint64(&h.MovedOut),
	}
	kept := rec.view.Scan()
	out.Coverage = api.Coverage{
		Kept: kept.Records, Written: rec.view.Written(), Bytes: rec.view.Bytes(), Guarded: rec.view.Guarded(),
		GuardSkips: atomic.LoadUint64(&h.GuardSkips), Cut: atomic.LoadUint64(&h.Main.Cut), Fault: atomic.LoadUint64(&h.Main.Fault),
		Muted: atomic.LoadUint64(&h.Muted), MutedHarmless: atomic.LoadUint64(&h.Muted) > 0 && atomic.LoadUint32(&h.MutedWhat) == uint32(layout.MutedHarmless),
		FrozenCalls: atomic.LoadUint64(&h.Frozen), Late: rec.view.Late(),
	}
	if atomic.LoadUint32(&h.BeganLate) != 0 {
		out.Coverage.BeganLate = true
		// Of a container that was started again in its cgroup the first process is another.
		if start := atomic.LoadUint64(&h.InitStart); start != 0 && start < rec.claimed {
			out.Coverage.BeganLateNs = rec.claimed - start
		}
	}
	out.Coverage.Overwritten = out.Coverage.Written - min(out.Coverage.Written, kept.Records)
	if kept.Records > 0 {
		from, to := wallTime(kept.From), wallTime(kept.To)
		out.Coverage.From, out.Coverage.To = &from, &to
	}
	out.OOMKills = uint64(atomic.LoadUint32(&h.OomKills))
	out.Ring = api.Ring{Slot: rec.slot, Size: rec.view.Geometry().Main().Size, Memory: uint64(len(rec.ring.Bytes()))}
	out.Exit = rec.exit(h)
}

func nameFrom(out *api.Recording, info *containerd.Info) {
	c := &out.Container
	c.ID, c.Namespace, c.Image, c.Labels = info.ID, info.Namespace, info.Image, info.Labels
	if c.Runtime == "" {
		c.Runtime = "containerd"
	}
	switch {
	case info.ContainerName != "":
		c.Name = info.ContainerName
	case info.Name != "":
		c.Name = info.Name
	default:
		c.Name = info.ID
	}
	if n := info.Attempt; n >= 0 {
		c.Restarts = &n
	}
	if info.PodName != "" {
		out.Pod = &api.Pod{Namespace: info.PodNamespace, Name: info.PodName, UID: info.PodUID}
	}
}

// exitOf says how the container's first process ended: by the kernel's word if it
// was seen, else by containerd's. made: a runtime made the cgroup, whether it is known or not.
func exitOf(h *layout.RingHead, ended bool, info *containerd.Info, known, made bool) *api.Exit {
	// The first to enter and to end may be a helper of the runtime's, and for a moment
	// nobody else be there.
	first := atomic.LoadUint32(&h.InitExeced) != 0 || ended
	if gone := atomic.LoadUint32(&h.InitGone); gone != 0 && first && !helper(h, known || made) {
		e := &api.Exit{Source: "kernel", OOMKilled: gone == 2, At: wallTime(h.InitEnd)}
		status := unix.WaitStatus(h.InitExit)
		e.Code = int(h.InitExit >> 8 & 0xff)
		if sig := h.InitExit & 0x7f; sig != 0 {
			e.Code = 0
			e.Signal = strace.SignalName(int(sig))
			e.CoreDumped = status.CoreDump()
		}
		return e
	}
	if known && info.ExitCode != nil {
		return &api.Exit{Source: "containerd", Code: int(*info.ExitCode), At: info.Finished}
	}
	return nil
}

// helper reports whether the process that the kernel took for the first is the runtime's,
// or may be, as long as the entrypoint may still come: runc 1.1.15 on cgroup v1 has one
// that does exec, and ends before. Later it is if it executed nothing in the container, or
// itself: the container's program was never executed then, and how the one ended that was
// to do it is not known here. made: a runtime made the cgroup.
func helper(h *layout.RingHead, made bool) bool {
	if atomic.LoadUint32(&h.PidLevel) != 0 {
		return false
	}
	if atomic.LoadUint64(&h.TasksLive) > 0 && monotonic()-h.Claimed < layout.StartupMs*1e6 {
		return true
	}
	if atomic.LoadUint32(&h.BeganLate) != 0 {
		return false
	}
	if atomic.LoadUint32(&h.InitExeced) == 0 {
		return made || runtimeComm.MatchString(unix.ByteSliceToString(h.InitComm[:]))
	}
	args := argv(h)
	return len(args) == 2 && args[1] == "init" && filepath.Base(args[0]) == "runc"
}

// runtimeComm is what processes of runtimes are called that enter a container's cgroup, such
// as runc:[2:INIT].
var runtimeComm = regexp.MustCompile(`^(runc|crun|youki)(:.*)?$`)

// argv is the command line that the kernel noted when the first process did exec.
func argv(h *layout.RingHead) []string {
	n := min(int(atomic.LoadUint32(&h.ArgsLen)), len(h.Args))
	return splitArgs(h.Args[:n])
}

// commandOf is the command line of a first process that was there before the
// recording, or was moved in after its exec, from proc, which is "/proc". As of others
// its first layout.ArgsMax bytes are kept.
func commandOf(proc string, h *layout.RingHead) []string {
	tid := atomic.LoadUint32(&h.InitTid)
	if tid == 0 || atomic.LoadUint32(&h.ArgsLen) != 0 || atomic.LoadUint32(&h.InitGone) != 0 {
		return nil
	}
	return splitArgs(readBriefly(filepath.Join(proc, strconv.FormatUint(uint64(tid), 10), "cmdline"), layout.ArgsMax))
}

// briefly is how long a file of a process is waited for.
const briefly = 100 * time.Millisecond

// readBriefly reads the first bytes of a file of a process, which may need its memory: one
// that hangs in the kernel can keep who asks for that waiting for ever, and here others
// with it. Nothing if it takes too long, or cannot be read.
func readBriefly(path string, most int) []byte {
	b, _ := soon(func() []byte {
		f, err := os.Open(path)
		if err != nil {
			return nil // the process has ended
		}
		defer f.Close()
		b := make([]byte, most)
		n, _ := io.ReadFull(f, b) //nolint:errcheck // what there is
		return b[:n]
	})
	return b
}

// soon returns what read does, unless that takes too long: then nothing, and the channel
// on which it comes when the kernel lets it.
func soon[T any](read func() T) (v T, late <-chan T) {
	done := make(chan T, 1)
	go func() { done <- read() }()
	select {
	case v = <-done:
		return v, nil
	case <-time.After(briefly):
		return v, done
	}
}

// splitArgs takes apart strings that end with NULs.
func splitArgs(b []byte) []string {
	s := strings.TrimSuffix(string(b), "\x00")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\x00")
}

// Freeze stops recording into a ring, so that nothing is overwritten.
func (r *Recorder) Freeze(_ context.Context, id string) error { return r.setFrozen(id, true) }

// Resume goes on recording after Freeze.
func (r *Recorder) Resume(_ context.Context, id string) error { return r.setFrozen(id, false) }

func (r *Recorder) setFrozen(id string, frozen bool) error {
	rec, err := r.find(id)
	if err != nil {
		return err
	}
	rec.ringMu.RLock()
	defer rec.ringMu.RUnlock()
	if rec.ring == nil {
		return api.Errorf(api.CodeConflict, "recording %s has ended: nothing is written to it any more", id)
	}
	rec.ring.SetFlag(layout.RingFrozen, frozen)
	return nil
}

func errDropped(id string) error {
	return &api.Error{Code: api.CodeNotFound, Status: 404, Message: fmt.Sprintf("recording %s was dropped meanwhile", id)}
}

// Delete forgets a recording. A live one is refused: its container's calls
// would have nowhere to go.
func (r *Recorder) Delete(_ context.Context, id string) error {
	inMemory, err := r.dropEnded(id)
	if err != nil {
		return err
	}
	onDisk, err := r.store.delete(id) // without the lock: a disk is waited for
	if err != nil {
		return err
	}
	if !inMemory && !onDisk {
		return errNone(id)
	}
	return nil
}

// dropEnded forgets what is in memory of a recording, and reports whether anything was.
func (r *Recorder) dropEnded(id string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.recs[id]
	if rec == nil {
		return false, nil
	}
	if rec.kept == nil && (!rec.ended || rec.busy() && r.thereLocked(rec)) {
		return false, api.Errorf(api.CodeConflict, "recording %s is live: only an ended one can be deleted (freeze stops it)", id)
	}
	r.untoldLocked(rec)
	r.dropLocked(rec)
	return true, nil
}

func errNone(id string) error {
	return api.Errorf(api.CodeNotFound, "no recording %s: recorderctl list shows those there are", id)
}

// totals are counts of records, which only grow.
type totals struct{ written, overwritten, cut, fault, muted uint64 }

func (t totals) plus(o totals) totals {
	return totals{t.written + o.written, t.overwritten + o.overwritten, t.cut + o.cut, t.fault + o.fault, t.muted + o.muted}
}

// totals of a recording.
func (rec *recording) totals() totals {
	if rec.kept != nil {
		c := &rec.kept.desc.Coverage
		return totals{c.Written, c.Overwritten, c.Cut, c.Fault, c.Muted}
	}
	h := rec.ring.Head()
	t := totals{
		written: rec.view.Written(), cut: atomic.LoadUint64(&h.Main.Cut), fault: atomic.LoadUint64(&h.Main.Fault), muted: atomic.LoadUint64(&h.Muted),
	}
	// A ring that has not gone round has overwritten nothing; others are counted.
	t.overwritten = t.written - min(t.written, rec.view.Scan().Records)
	return t
}

// writtenAll is how many records there have ever been.
func (r *Recorder) writtenAll() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.gone.written
	for _, rec := range r.recs {
		if rec.kept != nil {
			n += rec.kept.desc.Coverage.Written
		} else {
			n += rec.view.Written()
		}
	}
	return n
}

// Status says what the recorder costs and what it lost.
func (r *Recorder) Status(context.Context) (api.Status, error) {
	r.collect() // a spare that was taken is none
	s := api.Status{
		Version: r.cfg.Version, Node: r.cfg.Node, Kernel: r.release, Arch: r.native.String(),
		Started: r.started, Adopted: r.kernel.Adopted(), RecordingRate: r.rate.perSecond(),
		Cgroups: api.CgroupStatus{Hierarchy: r.hierarchy.Name, Mount: r.hierarchy.Mount},
	}
	for _, c := range api.NodeCounters {
		n, err := r.kernel.Stat(layout.StatId(c.ID))
		if err != nil {
			return api.Status{}, err
		}
		*c.Of(&s) = n
	}
	missed, err := r.kernel.Missed()
	if err != nil {
		return api.Status{}, err
	}
	s.Lost.Missed = missed
	s.Lost.Unrecorded = uint64(r.unrecorded())
	tables, err := r.kernel.MapMemory()
	if err != nil {
		return api.Status{}, err
	}
	for _, n := range tables {
		s.Memory.Maps += n
	}
	s.Memory.Daemon = residentMemory()
	for _, c := range r.runtimes.Status() {
		if !c.Present {
			continue // most nodes have one of the usual sockets
		}
		s.Runtimes = append(s.Runtimes, api.RuntimeInfo{
			Name: "containerd", Address: c.Address, Connected: c.Connected, Version: c.Version, Containers: c.Containers, Error: c.LastError,
		})
	}
	s.Runtimes = append(s.Runtimes, r.kubernetesStatus()...)
	r.mu.Lock()
	defer r.mu.Unlock()
	for path := range r.watched {
		s.Cgroups.Watched = append(s.Cgroups.Watched, path)
	}
	sort.Strings(s.Cgroups.Watched)
	s.Lost.Evicted = r.evicted
	s.Rings = api.RingStatus{Spare: len(r.spares), Size: r.cfg.RingSize, Budget: r.cfg.MemoryBudget}
	m := &s.Memory
	m.Spare = uint64(len(r.spares)) * r.ringBytes
	sum := r.gone
	for _, rec := range r.recs {
		n := rec.memory(r.ringBytes)
		switch {
		case rec.kept != nil:
			s.Rings.Kept++
			m.Kept += n
		case rec.ended:
			s.Rings.Ended++
			m.Ended += n
		default:
			s.Rings.Live++
			m.Live += n
		}
		sum = sum.plus(rec.totals())
	}
	s.Rings.Bytes = m.Live + m.Ended + m.Spare + m.Kept
	s.Spool = r.store.status()
	for _, rec := range r.recs {
		if rec.kept != nil && !rec.kept.done && r.store.wants(rec.kept.reason.Kind) {
			s.Spool.Waiting++
		}
	}
	s.Ends = r.endsLocked()
	s.Calls = api.CallStatus{Written: sum.written, Overwritten: sum.overwritten, Cut: sum.cut, Fault: sum.fault, Muted: sum.muted}
	return s, nil
}

// residentMemory is what this process has in memory, in bytes; 0 if it cannot be read.
func residentMemory() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident uint64
	fmt.Sscan(string(b), &size, &resident)
	return resident * uint64(os.Getpagesize())
}

// bootID names this boot of the node; empty if it cannot be read.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// Costs counts for a while what the programs cost.
func (r *Recorder) Costs(ctx context.Context, d time.Duration) (api.CostStatus, error) {
	costs, err := r.kernel.Costs(ctx, d)
	if err != nil {
		return api.CostStatus{}, costsError(err)
	}
	out := api.CostStatus{Seconds: d.Seconds(), CPUs: runtime.NumCPU(), Programs: map[string]api.ProgramCost{}}
	for name, c := range costs {
		out.Programs[name] = api.ProgramCost{Runs: c.Runs, Ns: uint64(c.Time)}
	}
	return out, nil
}

// costsError says what to do where the statistics may not be switched on.
func costsError(err error) error {
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	return fmt.Errorf("%w: it takes CAP_SYS_ADMIN, which recorderd has not kept: run recorderctl status --cost as root on the node, or switch them on with sysctl kernel.bpf_stats_enabled=1", err)
}

// clock is the same moment on CLOCK_MONOTONIC and CLOCK_REALTIME.
func clock() dump.Clock { return dump.Clock{MonotonicNs: monotonic(), Realtime: time.Now()} }

func monotonic() uint64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return uint64(ts.Nano())
}

// wallTime turns a moment on CLOCK_MONOTONIC into a time of day, by what the clocks
// say now.
func wallTime(ns uint64) time.Time {
	return time.Now().Add(time.Duration(ns) - time.Duration(monotonic())).Round(0)
}

// rate is a count's speed between the last two samples.
type rate struct {
	mu   sync.Mutex
	n    uint64
	at   time.Time
	last float64
}

func (r *rate) sample(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.at) < lookEvery/2 {
		return
	}
	if !r.at.IsZero() && n >= r.n {
		r.last = float64(n-r.n) / now.Sub(r.at).Seconds()
	}
	r.n, r.at = n, now
}

func (r *rate) perSecond() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
