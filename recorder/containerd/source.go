// Package containerd reads from containerd what its containers are called:
// names, images, labels, pods, and when and how they started and ended.
//
// State is read, again and again, and never concluded from a stream of events,
// which containerd loses when it restarts; an event only makes the next read
// come sooner. So containerd may be absent, restarted or replaced at any time.
// Nothing in it is ever changed.
//
// A read costs one list of containers per namespace. Tasks are asked for one by
// one, and only when something suggests that they changed: each such question
// wakes the container's shim, and a list of them wakes every shim of the node.
package containerd

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// DefaultAddresses are the sockets that are tried when none is configured:
// containerd's own, those of Kubernetes distributions that bring a containerd,
// and Docker's private one.
var DefaultAddresses = []string{
	"/run/containerd/containerd.sock",
	"/run/k3s/containerd/containerd.sock",
	"/run/k0s/containerd.sock",
	"/var/snap/microk8s/common/run/containerd.sock",
	"/run/docker/containerd/containerd.sock",
}

// ErrNoServer is returned by [Source.Refresh] when no socket is there.
var ErrNoServer = errors.New("no containerd socket found")

// Config configures a [Source]. The zero value is usable.
type Config struct {
	// Addresses are the paths of the sockets. Default: DefaultAddresses.
	Addresses []string

	// Root is put before Addresses and /proc: where the host's file system is
	// mounted, if not at /.
	Root string

	// Interval is the time between two reads. Default: 10 s.
	Interval time.Duration

	// Timeout bounds a read. Default: 5 s.
	Timeout time.Duration

	// Keep is for how long a container is remembered that containerd has no
	// more. Default: 24 h.
	Keep time.Duration

	// KeepMax bounds how many of those are remembered; the first to go are the
	// first to be forgotten. Default: 4096.
	KeepMax int

	// Where returns the cgroup that a process is in, and around it that of the nearest
	// container, "/" if there is none; "" if that is not known. A runtime is believed
	// what it says of cgroups inside the container that it runs in, and no others.
	// Default: nothing is known.
	Where func(pid int) (cgroup, container string)

	// Log gets a line when a server is connected or lost. Default: slog's.
	Log *slog.Logger
}

// Source knows the containers of the machine's containerds. Its methods may be
// called by several goroutines.
type Source struct {
	cfg     Config
	servers []*server

	mu         sync.RWMutex
	entries    map[key]*entry
	byID       map[string][]*entry
	byName     map[string][]*entry // by the last component of their cgroups' paths
	places     map[*server]place
	namespaces map[*server][]string
	status     map[*server]ServerStatus
	gone       int // entries that containerd has no more
}

// place is where a server runs.
type place struct {
	home string // its cgroup, "" if it is not known
	root string // that of the container around it; "/": there is none
}

// key names a container: ids are unique only in a namespace of a server.
type key struct {
	server        *server
	namespace, id string
}

// entry is a container as it was last read.
type entry struct {
	key     key
	info    Info
	updated time.Time // containerd's own time of its last change
	seen    time.Time // when it was first read in this form
	started uint64    // when its process started, in the kernel's ticks; 0: no such process seen
	cgroup  cgroup
}

// ServerStatus says how a server is doing.
type ServerStatus struct {
	// Address is its socket, as configured.
	Address string

	// Present tells whether there is or was a socket.
	Present bool

	// Connected tells whether the last read worked.
	Connected bool

	// Version is containerd's, "" if it was never connected.
	Version string

	// LastError is the error of the last read, "" if it worked or if there is
	// no socket at that address and never was. With Connected, it says which
	// tasks could not be read: all containers were.
	LastError string

	// LastRead is the time of the last read that worked.
	LastRead time.Time

	// Containers is how many the last read found.
	Containers int
}

// New returns a source that knows nothing yet. It connects to nothing until
// Run or Refresh.
func New(cfg Config) *Source {
	if len(cfg.Addresses) == 0 {
		cfg.Addresses = DefaultAddresses
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 10 * time.Second
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Keep <= 0 {
		cfg.Keep = 24 * time.Hour
	}
	if cfg.KeepMax <= 0 {
		cfg.KeepMax = 4096
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Source{
		cfg:        cfg,
		entries:    map[key]*entry{},
		byID:       map[string][]*entry{},
		byName:     map[string][]*entry{},
		places:     map[*server]place{},
		namespaces: map[*server][]string{},
		status:     map[*server]ServerStatus{},
	}
	for _, addr := range cfg.Addresses {
		sv := newServer(s, addr)
		s.servers = append(s.servers, sv)
		s.status[sv] = ServerStatus{Address: addr}
	}
	return s
}

// Run reads again and again until the context ends, then closes the connections.
func (s *Source) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, sv := range s.servers {
		wg.Go(func() { sv.run(ctx) })
	}
	wg.Wait()
}

// Refresh reads now. Afterwards every container is known that was in containerd
// when Refresh was called; of those already known to run or to have ended, the
// state is only as new as the last change that was noticed. Calls at the same
// time share one read. A server that failed lately is not tried again before
// its time.
//
// It returns the errors of servers that can't be read, and ErrNoServer when
// there is no socket at all; with several servers, those that work are read.
func (s *Source) Refresh(ctx context.Context) error {
	errs := make([]error, len(s.servers))
	var wg sync.WaitGroup
	for i, sv := range s.servers {
		wg.Go(func() { errs[i] = sv.refresh(ctx, false) })
	}
	wg.Wait()
	absent := 0
	for i, err := range errs {
		if errors.Is(err, errAbsent) {
			errs[i] = nil
			absent++
		}
	}
	if absent == len(errs) {
		return ErrNoServer
	}
	return errors.Join(errs...)
}

// Lookup returns what is known of the container with this id. Where several
// namespaces have one, it is one that runs, else the latest.
func (s *Source) Lookup(id string) (Info, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return best(s.byID[id])
}

// At returns the container whose own cgroup this is: the one whose runtime spec asks for
// it. What is below that cgroup is not the container's own: somebody in there may have made
// it. Paths are those below the root of a cgroup hierarchy.
func (s *Source) At(cgroupPath string) (Info, bool) {
	at := path.Clean("/" + strings.TrimSuffix(cgroupPath, " (deleted)"))
	s.mu.RLock()
	defer s.mu.RUnlock()
	var fit []*entry
	for _, e := range s.byName[path.Base(at)] {
		where, known := s.places[e.key.server]
		if !known {
			where.root = "/"
		}
		if e.cgroup.is(at, where.root, where.home) {
			fit = append(fit, e)
		}
	}
	return best(fit)
}

// Namespaces returns the containerd namespaces, sorted. Where runc manages
// cgroups itself, the cgroups of ctr's containers are below /<namespace>.
func (s *Source) Namespaces() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []string
	for _, ns := range s.namespaces {
		all = append(all, ns...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Status returns how the servers are doing, in the order of their addresses.
func (s *Source) Status() []ServerStatus {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []ServerStatus
	for _, sv := range s.servers {
		all = append(all, s.status[sv])
	}
	return all
}

// best returns the entry that a question most likely means.
func best(entries []*entry) (Info, bool) {
	if len(entries) == 0 {
		return Info{}, false
	}
	e := slices.MaxFunc(entries, func(a, b *entry) int {
		if c := rank(&a.info) - rank(&b.info); c != 0 {
			return c
		}
		return a.info.Created.Compare(b.info.Created)
	})
	info := e.info
	info.Labels = maps.Clone(info.Labels)
	return info, true
}

func rank(i *Info) int {
	switch {
	case !i.Gone.IsZero():
		return 0
	case i.State == StateRunning || i.State == StatePaused:
		return 2
	}
	return 1
}

// put adds or replaces an entry. s.mu is held.
func (s *Source) put(e *entry) {
	if old := s.entries[e.key]; old != nil {
		s.drop(old)
	}
	s.entries[e.key] = e
	s.byID[e.key.id] = append(s.byID[e.key.id], e)
	for _, name := range e.cgroup.names() {
		s.byName[name] = append(s.byName[name], e)
	}
	if !e.info.Gone.IsZero() {
		s.gone++
	}
}

// drop removes an entry. s.mu is held.
func (s *Source) drop(e *entry) {
	delete(s.entries, e.key)
	remove(s.byID, e.key.id, e)
	for _, name := range e.cgroup.names() {
		remove(s.byName, name, e)
	}
	if !e.info.Gone.IsZero() {
		s.gone--
	}
}

func remove(m map[string][]*entry, k string, e *entry) {
	if i := slices.Index(m[k], e); i >= 0 {
		m[k] = slices.Delete(m[k], i, i+1)
	}
	if len(m[k]) == 0 {
		delete(m, k)
	}
}

// prune forgets containers that are gone for too long, or are too many. s.mu is
// held.
func (s *Source) prune(now time.Time) {
	if s.gone == 0 {
		return
	}
	gone := make([]*entry, 0, s.gone)
	for _, e := range s.entries {
		if !e.info.Gone.IsZero() {
			gone = append(gone, e)
		}
	}
	slices.SortFunc(gone, func(a, b *entry) int { return a.info.Gone.Compare(b.info.Gone) })
	for i, e := range gone {
		if len(gone)-i <= s.cfg.KeepMax && now.Sub(e.info.Gone) < s.cfg.Keep {
			break
		}
		s.drop(e)
	}
}
