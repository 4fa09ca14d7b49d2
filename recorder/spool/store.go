package spool

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/size"
)

// Suffix ends the names of spooled files.
const Suffix = ".recspool"

const (
	tmpPrefix  = ".saving-"
	nameTime   = "20060102T150405.000Z"
	indexWidth = 4 // files that are looked into at the same time
)

// ErrNotFound: the store has no such entry, or no longer.
var ErrNotFound = errors.New("no such spooled dump")

// Entry is a spooled dump.
type Entry struct {
	// ID is the recording's, and of a second dump of the same recording that with
	// "-2" behind it, and so on: each has what the others may lack. Dumps that were saved
	// while the container lived count from "-1" on: the id itself means the recording.
	ID   string
	Name string // of the file
	Meta Meta
	// At is when it was saved, on the spool's clock.
	At time.Duration
	// Bytes is the size of the file.
	Bytes int64
	// Damaged: what ReadMeta met was not whole, or not readable at all. Then Meta
	// has at least what the name of the file says.
	Damaged bool
	// Judged is the recording as it is described since, with its verdict; nil if there is none.
	// It never changes.
	Judged *api.Recording
}

// Describe returns the entry as the API lists it.
func (e *Entry) Describe() api.Recording {
	r := e.Meta.Recording
	Judged(&r, e.Judged)
	r.ID, r.State, r.Frozen = e.ID, api.StateSpooled, false
	r.Tasks.Live = 0
	if r.Node == "" {
		r.Node = e.Meta.Node
	}
	r.Spool = &api.SpoolInfo{
		Reason: string(e.Meta.Reason.Kind), Text: e.Meta.Reason.Text, SavedAt: e.Meta.Saved, Bytes: uint64(max(e.Bytes, 0)), Damaged: e.Damaged,
	}
	return r
}

// Removed is why a dump was removed.
type Removed string

// The reasons to remove a dump.
const (
	RemovedAge      Removed = "age"
	RemovedBytes    Removed = "bytes"
	RemovedFiles    Removed = "files"
	RemovedReplaced Removed = "replaced" // it was the latest of its loop, and is not any more
	RemovedDeleted  Removed = "deleted"  // somebody asked for it
	RemovedVanished Removed = "vanished" // somebody else removed the file
)

// Stats counts what a Store holds and what it did since it was opened.
type Stats struct {
	Files      int
	Bytes      int64
	Saved      uint64
	SavedBytes uint64
	Refused    map[Refused]uint64
	Removed    map[Removed]uint64
	Errors     map[ErrorKind]uint64
}

// occasion is what was saved, and why.
type occasion struct {
	recording string
	why       Kind
}

func (e *Entry) occasion() occasion { return occasion{e.Meta.Recording.ID, e.Meta.Reason.Kind} }

// Store keeps spooled dumps in a directory. Its methods are safe for concurrent
// use. No lock is held while a disk is waited for, so only who waits for it waits.
type Store struct {
	dir   string
	log   *slog.Logger
	clock Clock
	limit Limits

	clocking   sync.Mutex // held while the spool's clock is written
	clockFails bool       // guarded by clocking

	mu        sync.Mutex
	passing   *passing
	root      *os.Root
	entries   map[string]*Entry
	occasions map[occasion]int // how many entries there are of each; see add and forget
	names     map[string]bool  // of files that are being saved, both that they have and that they will have
	rate      *rater
	stats     Stats
}

// Open opens the store in a directory, which it makes if it is missing. It must
// be the caller's alone. What a Save that never ended has left is removed, and
// what is there is listed: damaged files too; names that are no dumps' are left alone.
func Open(dir string, limits Limits, log *slog.Logger) (*Store, error) {
	return OpenAt(dir, limits, log, SystemClock())
}

// OpenAt is Open with another clock.
func OpenAt(dir string, limits Limits, log *slog.Logger, clock Clock) (*Store, error) {
	if err := limits.check(); err != nil {
		return nil, err
	}
	root, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, log: log, clock: clock, limit: limits, root: root,
		entries: make(map[string]*Entry), occasions: make(map[occasion]int), names: make(map[string]bool),
		stats: Stats{
			Refused: make(map[Refused]uint64), Removed: make(map[Removed]uint64), Errors: make(map[ErrorKind]uint64),
		},
	}
	s.passing = newPassing(clock, s.readClock(root))
	s.rate = newRater(limits, s.passing.now())
	if err := s.Refresh(context.Background()); err != nil {
		_ = root.Close()
		return nil, err
	}
	for _, e := range slices.SortedFunc(maps.Values(s.entries), byAge) {
		s.rate.learn(e)
	}
	s.enforce("", 0)
	s.keepClock(true)
	return s, nil
}

// byAge orders entries, the oldest first.
func byAge(a, b *Entry) int {
	return cmp.Or(cmp.Compare(a.At, b.At), a.Meta.Saved.Compare(b.Meta.Saved), cmp.Compare(a.Name, b.Name))
}

// Close releases the directory. Nothing else may be called then.
func (s *Store) Close() error {
	s.keepClock(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.root.Close()
}

// openDir makes a directory, if it is missing, and opens it if nobody else can
// write to it.
func openDir(dir string) (*os.Root, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, diskError(dir, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, diskError(dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, diskError(dir, err)
	}
	if err := private(root, dir); err != nil {
		_ = root.Close()
		return nil, &Error{Kind: ErrPermission, Dir: dir, Err: err}
	}
	return root, nil
}

// private checks what was opened, not what the name stands for by now.
func private(root *os.Root, dir string) error {
	is, err := root.Stat(".")
	if err != nil {
		return err
	}
	named, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := is.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !os.SameFile(is, named):
		return errors.New("it is a symbolic link, which is not followed")
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to user %d, not to %d", st.Uid, os.Geteuid())
	case is.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write to it (mode %04o)", is.Mode().Perm())
	}
	return nil
}

// directory returns the directory that is open, or opens the one that has taken
// its place.
func (s *Store) directory(again bool) (*os.Root, error) {
	s.mu.Lock()
	root := s.root
	s.mu.Unlock()
	if !again {
		return root, nil
	}
	fresh, err := openDir(s.dir)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root != root { // somebody else was faster
		_ = fresh.Close()
		return s.root, nil
	}
	s.root = fresh // the old one is closed when nobody uses it any more
	s.passing.stale = true
	s.log.Warn("spool directory was made again", "dir", s.dir)
	return fresh, nil
}

// gone reports whether the directory that is open no longer has its name.
func (s *Store) gone(root *os.Root) bool {
	is, err := root.Stat(".")
	if err != nil {
		return true
	}
	named, err := os.Lstat(s.dir)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return !os.SameFile(is, named)
}

// Refresh looks at the directory: files that were removed by hand are forgotten,
// files that were put there are listed, what a dead Save left is removed.
func (s *Store) Refresh(ctx context.Context) error {
	root, err := s.directory(false)
	if err != nil {
		return err
	}
	if s.gone(root) {
		if root, err = s.directory(true); err != nil {
			return s.count(err)
		}
	}
	// What was known before the directory was read, and is not in it, is gone.
	s.mu.Lock()
	known := make(map[string]string, len(s.entries))
	for id, e := range s.entries {
		known[e.Name] = id
	}
	s.mu.Unlock()
	d, err := root.Open(".")
	if err != nil {
		return s.count(s.wrap(err))
	}
	names, err := d.Readdirnames(-1)
	_ = d.Close()
	if err != nil {
		return s.count(s.wrap(err))
	}
	s.sweepJudged(root, names)
	var mu sync.Mutex
	var found []*Entry
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(indexWidth)
	for _, name := range names {
		if strings.HasPrefix(name, tmpPrefix) {
			s.mu.Lock()
			ours := s.names[name]
			s.mu.Unlock()
			if !ours {
				s.sweep(root, name)
			}
			continue
		}
		if _, ok := known[name]; ok {
			delete(known, name)
			continue
		}
		id, at, ok := parseName(name)
		if !ok {
			continue
		}
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if e := s.inspect(root, name, id, at); e != nil {
				mu.Lock()
				found = append(found, e)
				mu.Unlock()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return s.wrap(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, id := range known {
		if e := s.entries[id]; e != nil && e.Name == name {
			s.forget(id, RemovedVanished)
		}
	}
	slices.SortFunc(found, func(a, b *Entry) int { return cmp.Compare(a.Name, b.Name) })
	for _, e := range found {
		if !s.names[e.Name] && s.named(e.Name) == nil {
			e.ID = s.free(e.ID, false)
			e.At = s.passing.saved(e.Name, e.Meta.Age)
			s.add(e)
		}
	}
	return nil
}

// Tidy is Refresh, and removes what is beyond the limits by now. While something is being
// saved it leaves that to Save, which knows what stays.
func (s *Store) Tidy(ctx context.Context) error {
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	saving := len(s.names) > 0
	s.mu.Unlock()
	if !saving {
		s.enforce("", 0)
	}
	s.keepClock(false)
	return nil
}

// named returns the entry of a file.
func (s *Store) named(name string) *Entry {
	for _, e := range s.entries {
		if e.Name == name {
			return e
		}
	}
	return nil
}

// inspect reads the description of a file, nil if it is none of ours.
func (s *Store) inspect(root *os.Root, name, id string, at time.Time) *Entry {
	f, size, err := openFile(root, name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("spooled file is left alone", "file", name, "error", err)
		}
		return nil
	}
	defer f.Close()
	e := &Entry{ID: id, Name: name, Bytes: size, Judged: s.readJudged(root, name)}
	m, ok, err := ReadMeta(f, size)
	if err != nil {
		s.log.Warn("spooled file is damaged", "file", name, "error", err)
		m.Reason = Reason{Kind: KindUnknown, Text: err.Error()}
	}
	e.Meta, e.Damaged = m, !ok
	if e.Meta.Saved.IsZero() {
		e.Meta.Saved = at
	}
	if e.Meta.Recording.ID == "" {
		e.Meta.Recording.ID = api.BaseID(id)
	}
	if e.Meta.Recording.Started.IsZero() {
		e.Meta.Recording.Started = e.Meta.Saved
	}
	return e
}

var errNoFile = errors.New("it is no regular file")

// openFile opens a regular file. A Root follows links inside of it.
func openFile(root *os.Root, name string) (*os.File, int64, error) {
	named, err := root.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	if !named.Mode().IsRegular() {
		return nil, 0, errNoFile
	}
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && !os.SameFile(st, named) {
		err = errNoFile
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, st.Size(), nil
}

// sweep removes a file that a Save has left whose process is dead: one that lives
// holds a lock on it.
func (s *Store) sweep(root *os.Root, name string) {
	f, _, err := openFile(root, name)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("file of an interrupted save can't be removed", "file", name, "error", err)
	}
}

// List returns what is spooled, the newest last.
func (s *Store) List() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Entry, 0, len(s.entries))
	for _, e := range s.entries {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(a.Meta.Saved.Compare(b.Meta.Saved), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// Get returns the entry with this id; the error is ErrNotFound.
func (s *Store) Get(id string) (Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[id]; e != nil {
		return *e, nil
	}
	return Entry{}, fmt.Errorf("%w: %s", ErrNotFound, id)
}

// Has reports whether there is a dump of a recording that was saved for this reason.
func (s *Store) Has(recording string, why Kind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.occasions[occasion{recording, why}] > 0
}

// File is a spooled dump that is open. It stays readable when it is deleted.
type File struct {
	*Reader
	Entry Entry
	f     *os.File
	s     *Store
}

// Close closes the file. Damage that was met in reading it is listed from then on.
func (f *File) Close() error {
	if len(f.Damage()) > 0 {
		f.s.mu.Lock()
		if e := f.s.entries[f.Entry.ID]; e != nil && e.Name == f.Entry.Name && !e.Damaged {
			now := *e
			now.Damaged = true
			f.s.entries[f.Entry.ID] = &now
		}
		f.s.mu.Unlock()
	}
	return f.f.Close()
}

// Open opens a dump. The error wraps ErrNotFound, also if somebody else removed
// the file, or is one of NewReader's.
func (s *Store) Open(id string) (*File, error) {
	e, err := s.Get(id)
	if err != nil {
		return nil, err
	}
	root, err := s.directory(false)
	if err != nil {
		return nil, err
	}
	f, size, err := openFile(root, e.Name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			s.mu.Lock()
			if now := s.entries[id]; now != nil && now.Name == e.Name {
				s.forget(id, RemovedVanished)
			}
			s.mu.Unlock()
			return nil, fmt.Errorf("%w: %s: its file is gone", ErrNotFound, id)
		}
		return nil, s.count(s.wrap(err))
	}
	r, err := NewReader(f, size)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("spool %s: %s: %w", s.dir, e.Name, err)
	}
	return &File{Reader: r, Entry: e, f: f, s: s}, nil
}

// Delete removes a dump. The error wraps ErrNotFound.
func (s *Store) Delete(id string) error {
	s.mu.Lock()
	e := s.entries[id]
	s.mu.Unlock()
	if e == nil {
		return fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	return s.remove(e, RemovedDeleted)
}

// remove removes a file and forgets it. One that is gone already is removed.
func (s *Store) remove(e *Entry, why Removed) error {
	root, err := s.directory(false)
	if err != nil {
		return err
	}
	if err := root.Remove(e.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.count(s.wrap(err))
	}
	if e.Judged != nil {
		_ = root.Remove(JudgedName(e.Name)) // Refresh sweeps what stays
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.entries[e.ID]; now != nil && now.Name == e.Name {
		s.forget(e.ID, why)
	}
	return nil
}

// add puts an entry on the list. s.mu is held.
func (s *Store) add(e *Entry) {
	s.entries[e.ID] = e
	s.occasions[e.occasion()]++
}

// forget takes an entry off the list. s.mu is held.
func (s *Store) forget(id string, why Removed) {
	what := s.entries[id].occasion()
	if s.occasions[what]--; s.occasions[what] == 0 {
		delete(s.occasions, what)
	}
	s.passing.forget(s.entries[id].Name)
	delete(s.entries, id)
	s.stats.Removed[why]++
}

// enforce removes what is beyond the limits with so many more files, but not the
// dump that was just saved, if any was.
func (s *Store) enforce(saved string, more int) {
	s.mu.Lock()
	gone := s.rate.victims(s.entries, saved, more, s.passing.now())
	list := make([]*Entry, len(gone))
	for i, v := range gone {
		list[i] = s.entries[v.id]
	}
	s.mu.Unlock()
	for i, e := range list {
		if err := s.remove(e, gone[i].why); err != nil {
			s.log.Warn("spooled dump can't be removed", "file", e.Name, "error", err)
			continue
		}
		s.log.Info("spooled dump removed", "recording", e.ID, "reason", gone[i].why, "bytes", e.Bytes)
	}
}

// Admit says whether a crash is to be saved now. The first time that it is asked about
// one it counts it, by m.Key, and sets m.Crash. why is for people: who was refused can
// ask again, with m.Crash as it is. What somebody asks for needs no Admit.
func (s *Store) Admit(m *Meta) (ok bool, why Refused) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.passing.now()
	if m.Crash == nil {
		m.Crash = s.rate.count(m.Key, s.clock.Now().Round(0).UTC(), now)
	}
	why = s.rate.admit(m, now)
	return why == "", why
}

// GiveUp counts a crash that is never saved.
func (s *Store) GiveUp(why Refused) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Refused[why]++
}

// Stats returns what there is and what was done.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Refused, st.Removed, st.Errors = maps.Clone(st.Refused), maps.Clone(st.Removed), maps.Clone(st.Errors)
	st.Files = len(s.entries)
	for _, e := range s.entries {
		st.Bytes += e.Bytes
	}
	return st
}

// Save writes a dump, which write gets a Writer for, and returns its entry when it
// is on the disk for good. meta.Saved is set if it is zero. The file has its name
// only then: there is never half of one. The error of write comes as it is, that
// of the disk as an *Error; both leave nothing behind. ctx ends a save between two
// writes. A slow disk keeps nobody else waiting.
func (s *Store) Save(ctx context.Context, meta Meta, write func(io.Writer) error) (Entry, error) {
	if meta.Saved.IsZero() {
		meta.Saved = s.clock.Now().UTC()
	}
	if err := s.Refresh(ctx); err != nil {
		s.log.Warn("spool directory can't be looked at", "dir", s.dir, "error", err)
	}
	s.enforce("", 1)
	s.mu.Lock()
	meta.Age = s.passing.mark()
	s.mu.Unlock()
	e, id := s.reserve(&meta)
	defer s.busy(e.Name, false)
	size, err := s.write(ctx, &meta, e.Name, write)
	if err != nil {
		s.mu.Lock()
		s.rate.undo(&meta)
		s.mu.Unlock()
		return Entry{}, s.count(err)
	}
	e.Bytes = size
	s.mu.Lock()
	e.ID = s.free(id, early(&meta))
	s.add(e)
	s.stats.Saved++
	s.stats.SavedBytes += uint64(size)
	var before []*Entry
	if c := meta.Crash; c != nil && meta.Key != "" {
		for _, old := range s.entries {
			if o := old.Meta.Crash; old != e && o != nil && old.Meta.Key == meta.Key && o.Role == RoleLatest && o.Since.Equal(c.Since) && o.Number <= c.Number {
				before = append(before, old)
			}
		}
	}
	saved := *e
	s.mu.Unlock()
	for _, old := range before {
		if err := s.remove(old, RemovedReplaced); err != nil {
			s.log.Warn("spooled dump can't be removed", "file", old.Name, "error", err)
		}
	}
	s.enforce(saved.ID, 0)
	return saved, nil
}

// busy notes the name of a file that is being saved.
func (s *Store) busy(name string, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if is {
		s.names[name] = true
	} else {
		delete(s.names, name)
	}
}

// reserve makes the name of a file that is to be saved.
func (s *Store) reserve(meta *Meta) (*Entry, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := cleanID(meta.Recording.ID)
	pod := ""
	if p := meta.Recording.Pod; p != nil {
		pod = p.Name
	}
	for {
		try := s.free(id, early(meta))
		name := fileName(meta.Saved, pod, meta.Recording.Container.Name, try)
		if !s.names[name] && s.named(name) == nil {
			s.names[name] = true
			return &Entry{ID: try, Name: name, Meta: *meta, At: meta.Age.At}, id
		}
		// The same recording at the same millisecond, twice.
		meta.Saved = meta.Saved.Add(time.Millisecond)
	}
}

// early reports whether a dump was saved while its container lived, and goes on in its ring.
func early(meta *Meta) bool {
	switch meta.Reason.Kind {
	case KindSaved, KindChildOOM, KindHang:
		return meta.Recording.State == api.StateLive
	}
	return false
}

// free returns an id that no entry has: id, unless it is to have a number, or the next
// of it. s.mu is held.
func (s *Store) free(id string, numbered bool) string {
	base := api.BaseID(id)
	n := 2
	switch {
	case numbered:
		n = 1
	case s.entries[id] == nil:
		return id
	}
	for ; ; n++ {
		if next := base + "-" + strconv.Itoa(n); s.entries[next] == nil {
			return next
		}
	}
}

// temporary makes the name of a file that is to get another when it is whole. It is left alone by
// sweep until it is free.
func (s *Store) temporary() (name string, free func()) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	name = tmpPrefix + hex.EncodeToString(random[:])
	s.busy(name, true)
	return name, func() { s.busy(name, false) }
}

func (s *Store) write(ctx context.Context, meta *Meta, name string, write func(io.Writer) error) (size int64, err error) {
	root, err := s.directory(false)
	if err != nil {
		return 0, err
	}
	tmp, free := s.temporary()
	defer free()
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := root.OpenFile(tmp, flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) { // the directory has vanished
		if root, err = s.directory(true); err != nil {
			return 0, err
		}
		f, err = root.OpenFile(tmp, flags, 0o600)
	}
	if err != nil {
		return 0, s.fail(err, 0)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		s.log.Warn("spooled file can't be locked", "error", err) // sweep leaves what it can't lock, too
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			if gone := root.Remove(tmp); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
				s.log.Warn("file of a failed save can't be removed", "file", tmp, "error", gone)
			}
		}
	}()
	to := &fileWriter{ctx: ctx, f: f, s: s}
	w := NewWriter(to, meta)
	if err = write(w); err == nil {
		err = w.Close()
	} else {
		w.discard()
	}
	if to.err != nil {
		err = to.err // whatever write made of it
	}
	if err != nil {
		return 0, err
	}
	if err = f.Sync(); err != nil {
		return 0, s.fail(err, to.n)
	}
	if err = root.Rename(tmp, name); err != nil {
		return 0, s.fail(err, to.n)
	}
	// Now it has its name; what is not certain is that it keeps it when the power fails.
	if d, derr := root.Open("."); derr == nil {
		if derr = d.Sync(); derr != nil {
			_ = s.count(s.wrap(derr))
			s.log.Warn("spool directory can't be synced", "dir", s.dir, "error", derr)
		}
		_ = d.Close()
	}
	return to.n, nil
}

// fileWriter writes to a file within the limits, and keeps the error.
type fileWriter struct {
	ctx context.Context
	f   *os.File
	s   *Store
	n   int64
	err error
}

// Write implements io.Writer.
func (w *fileWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		w.err = w.check(int64(len(p)))
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.f.Write(p)
	w.n += int64(n)
	if err != nil {
		w.err = w.s.fail(err, w.n+int64(len(p)-n))
	}
	return n, w.err
}

func (w *fileWriter) check(more int64) error {
	if err := w.ctx.Err(); err != nil {
		return &Error{Kind: ErrCanceled, Dir: w.s.dir, Err: err}
	}
	l := &w.s.limit
	if l.MaxBytes > 0 && w.n+more > l.MaxBytes {
		return &Error{Kind: ErrTooLarge, Dir: w.s.dir, Err: fmt.Errorf("the dump is larger than all that may be spooled (%s)", size.Rough(l.MaxBytes))}
	}
	if l.MinFree > 0 {
		if free, ok := freeBytes(w.f); ok && free-more < l.MinFree {
			return w.s.describeFull(ErrNoSpace, fmt.Errorf("%s are free, of which %s have to stay free", size.Rough(free), size.Rough(l.MinFree)), w.n+more, false)
		}
	}
	return nil
}

// fileName returns the name of a file: times sort, and nothing in it means anything to a shell.
func fileName(at time.Time, pod, container, id string) string {
	parts := []string{at.UTC().Format(nameTime)}
	for _, s := range []string{pod, container} {
		if s = cleanName(s); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(append(parts, id), "_") + Suffix
}

// maxName bounds what a file's name has of a pod's or container's, in bytes.
const maxName = 63

func cleanName(s string) string {
	b := make([]byte, 0, maxName)
	for i := 0; i < len(s) && len(b) < maxName; i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.' && len(b) > 0:
			b = append(b, c)
		default:
			b = append(b, '-')
		}
	}
	return strings.Trim(string(b), "-.")
}

// cleanID keeps what an id has.
func cleanID(s string) string {
	id := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
			return c
		}
		return -1
	}, strings.ToLower(s))
	if id = id[:min(len(id), 32)]; id == "" {
		return "0"
	}
	return id
}

// parseName reads what fileName wrote.
func parseName(name string) (id string, at time.Time, ok bool) {
	base, ok := strings.CutSuffix(name, Suffix)
	if !ok || len(name) > 255 {
		return "", at, false
	}
	first, _, ok := strings.Cut(base, "_")
	if !ok {
		return "", at, false
	}
	at, err := time.Parse(nameTime, first)
	id = base[strings.LastIndexByte(base, '_')+1:]
	number, rest, dashed := strings.Cut(id, "-")
	if err != nil || number != cleanID(number) || dashed && (rest == "" || strings.Trim(rest, "0123456789") != "" || len(rest) > 6) {
		return "", at, false
	}
	return id, at, true
}
