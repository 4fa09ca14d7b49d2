package recorder

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/spool"
)

// SpoolKinds are the ends, and what happens to containers that live on, for which dumps can be
// written to disk by themselves, and are unless Config.SpoolOn says otherwise.
var SpoolKinds = []string{
	string(spool.KindExit), string(spool.KindSignal), string(spool.KindOOM), string(spool.KindVanished), string(spool.KindCompleted), string(spool.KindChildOOM),
}

// refreshEvery is the time after which files that somebody put into the spool or
// took out of it are noticed, and dumps that have become too old go.
const refreshEvery = time.Minute

// store is the spool, as far as there is one: a disk that cannot be used costs the
// dumps on disk, and nothing else.
type store struct {
	log    *slog.Logger
	dir    string // empty: nothing is kept on disk
	limits spool.Limits
	on     []string // kinds of ends that are written

	open atomic.Pointer[spool.Store] // nil: it could not be opened

	opening sync.Mutex // held while the spool is opened: a disk is waited for
	retryAt time.Time  // of that
	closed  bool

	mu      sync.Mutex
	lastErr error // of the last attempt to open or write, nil if it worked
}

func (s *store) init(cfg *Config) {
	s.log, s.limits, s.on = cfg.Log, cfg.Spool, cfg.SpoolOn
	if cfg.StateDir != "" {
		s.dir = filepath.Join(cfg.StateDir, "spool")
		s.get()
	}
}

// peek returns the spool, or nil as long as it is not open. It waits for no disk.
func (s *store) peek() *spool.Store { return s.open.Load() }

// get is peek for those who may wait for a disk: it tries to open the spool.
func (s *store) get() *spool.Store {
	s.opening.Lock()
	defer s.opening.Unlock()
	if sp := s.peek(); sp != nil || s.dir == "" || s.closed || time.Now().Before(s.retryAt) {
		return sp
	}
	opened, err := spool.Open(s.dir, s.limits, s.log)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if s.lastErr == nil || s.lastErr.Error() != err.Error() {
			s.log.Error("dumps are not kept on disk", "error", err)
		}
		s.lastErr, s.retryAt = err, time.Now().Add(retryAfter)
		return nil
	}
	s.open.Store(opened)
	s.lastErr = nil
	return opened
}

func (s *store) close() {
	s.opening.Lock()
	defer s.opening.Unlock()
	if sp := s.open.Swap(nil); sp != nil {
		sp.Close()
	}
	s.closed = true
}

// outcome notes how an attempt to write went, for status, and tells when that changes.
func (s *store) outcome(err error) {
	var e *spool.Error
	if errors.As(err, &e) && e.Kind == spool.ErrCanceled {
		return // somebody did not wait: that says nothing of the disk
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && (s.lastErr == nil || s.lastErr.Error() != err.Error()) {
		s.log.Error("keep a dump on disk", "error", err)
	}
	if err == nil && s.lastErr != nil {
		s.log.Info("dumps are kept on disk again")
	}
	s.lastErr = err
}

func (s *store) status() api.SpoolStatus {
	st := api.SpoolStatus{Dir: s.dir, Limit: uint64(s.limits.MaxBytes)}
	if sp := s.peek(); sp != nil {
		c := sp.Stats()
		st.Files, st.Bytes, st.Saved = c.Files, uint64(c.Bytes), c.Saved
		st.Refused, st.Removed = byName(c.Refused), byName(c.Removed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lastErr != nil {
		st.Error = s.lastErr.Error()
	}
	return st
}

func byName[K ~string](counts map[K]uint64) map[string]uint64 {
	out := map[string]uint64{}
	for k, n := range counts {
		out[string(k)] = n
	}
	return out
}

// list describes all dumps on disk.
func (s *store) list() []api.Recording {
	sp := s.peek()
	if sp == nil {
		return nil
	}
	entries := sp.List()
	all := make([]api.Recording, 0, len(entries))
	for i := range entries {
		all = append(all, entries[i].Describe())
	}
	return all
}

// spooledLocked describes the dumps on disk of recordings that are not in memory. r.mu is
// held.
func (r *Recorder) spooledLocked() []api.Recording {
	var list []api.Recording
	for _, d := range r.store.list() {
		if r.recs[d.ID] != nil {
			continue
		}
		r.hideLocked(&d)
		list = append(list, d)
	}
	r.linkLocked(list)
	return list
}

// hideLocked takes out of what is told of a dump on disk what a rule says nothing is told of: it may
// have been saved before that was said. r.mu is held.
func (r *Recorder) hideLocked(d *api.Recording) {
	if is(r.policy.For(d).Off) {
		d.Off, d.Container.Command, d.Verdict = true, nil, nil
	}
}

// describe adds to a recording in memory that it is on disk too.
func (s *store) describe(d *api.Recording) {
	if sp := s.peek(); sp != nil {
		if e, err := sp.Get(d.ID); err == nil {
			d.Spool = e.Describe().Spool
		}
	}
}

// wants reports whether ends of a kind are written to disk.
func (s *store) wants(kind spool.Kind) bool {
	return s.dir != "" && (goesOn(kind) || slices.Contains(s.on, string(kind)))
}

// delete reports whether there was something to delete.
func (s *store) delete(id string) (bool, error) {
	sp := s.get()
	if sp == nil {
		return false, nil
	}
	err := sp.Delete(id)
	if errors.Is(err, spool.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// dumpSpooled writes a dump on disk as a raw dump.
func (r *Recorder) dumpSpooled(id string, w io.Writer) error {
	sp := r.store.get()
	if sp == nil {
		return errNone(id)
	}
	f, err := sp.Open(id)
	if errors.Is(err, spool.ErrNotFound) {
		return errNone(id)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	meta := f.Meta()
	r.mu.Lock()
	off := is(r.policy.For(&meta.Recording).Off)
	r.mu.Unlock()
	if off {
		return errOff(id)
	}
	if since := f.Entry.Judged; since != nil && !f.Entry.Damaged {
		d := meta.Recording
		spool.Judged(&d, since)
		return copyDump(w, f.Dump(), &d)
	}
	_, err = io.Copy(w, f.Dump())
	return err
}

// spooling writes the ends that are to be kept to disk, one after the other, until
// ctx ends.
func (r *Recorder) spooling(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	looked := time.Now()
	for {
		for ctx.Err() == nil && r.spoolNext(ctx) {
		}
		r.saveTriggered(ctx, time.Now())
		sp := r.store.get()
		if sp != nil {
			r.judgeDisk(sp)
		}
		if sp != nil && time.Since(looked) > refreshEvery {
			looked = time.Now()
			if err := sp.Tidy(ctx); err != nil && ctx.Err() == nil {
				r.log.Warn("look at the dumps on disk", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-r.spoolKick:
		case <-tick.C:
		}
	}
}

// markLocked notes, for later daemons too, that a kept recording was dealt with.
func (r *Recorder) markLocked(rec *recording) {
	rec.kept.done = true
	mem, err := r.kernel.OpenKept(rec.id)
	if err != nil {
		r.log.Error("note that a recording was written to disk", "id", rec.id, "error", err)
		return
	}
	mem.Mark()
	mem.Close()
}

// errNoSpool: the spool could not be opened, and is tried again.
var errNoSpool = errors.New("the spool is not open")

// keptWriter writes a kept recording as a raw dump.
func (r *Recorder) keptWriter(d *api.Recording) func(io.Writer) error {
	return func(w io.Writer) error { return r.dumpKept(d, w) }
}

// Save puts a dump into the spool: of a live recording what its ring holds now. It returns the
// dump as it is listed.
func (r *Recorder) Save(ctx context.Context, id string) (api.Recording, error) {
	entry, err := r.save(ctx, id)
	if err != nil {
		return api.Recording{}, err
	}
	d := entry.Describe()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hideLocked(&d)
	return d, nil
}

func (r *Recorder) save(ctx context.Context, id string) (spool.Entry, error) {
	var none spool.Entry
	if r.store.dir == "" {
		return none, api.Errorf(api.CodeConflict, "this recorderd keeps nothing on disk: start it with --state-dir, or save with recorderctl dump -o raw")
	}
	sp := r.store.get()
	if sp == nil {
		r.store.mu.Lock()
		defer r.store.mu.Unlock()
		err := r.store.lastErr
		if err == nil {
			err = errNoSpool
		}
		return none, api.Errorf(api.CodeInternal, "nothing can be kept on disk now: %v", err)
	}
	rec, err := r.find(id)
	if err != nil {
		if e, there := sp.Get(id); there == nil {
			return e, nil // it is on disk
		}
		return none, err
	}
	if err := r.refused(rec); err != nil {
		return none, err
	}
	entry, _, err := r.saveLive(ctx, sp, rec, spool.Reason{Kind: spool.KindSaved, Text: "somebody asked for it"}, false)
	if err != nil {
		return none, err
	}
	return entry, nil
}

// saveLive writes a recording to disk: of one that lives what its ring holds now. If admitted, the
// limits of what is written by itself hold for it, and one of them may be why it is refused.
func (r *Recorder) saveLive(ctx context.Context, sp *spool.Store, rec *recording, why spool.Reason, admitted bool) (spool.Entry, spool.Refused, error) {
	var none spool.Entry
	var d api.Recording
	fill := func(w io.Writer) error { return r.dumpKept(&d, w) } // from pinned memory
	if kept, ok := r.isKept(rec); ok {
		d = kept
	} else {
		// The copy waits for the disk, not the ring.
		s, err := r.copies.of(r, rec, whole)
		if err != nil {
			return none, "", err
		}
		defer r.copies.leave(s)
		h := r.header(rec, &s.snapshot)
		if admitted { // for the verdict
			h.Recording.Spool = &api.SpoolInfo{Reason: string(why.Kind), Text: why.Text, SavedAt: time.Now().UTC()}
		}
		d = h.Recording
		fill = func(w io.Writer) error { return writeDump(w, h, &s.snapshot) }
	}
	r.mu.Lock()
	outer := r.outermostLocked(rec)
	if rec.kept != nil {
		outer = rec.kept.outer
	}
	r.mu.Unlock()
	meta := r.meta(&d, why, outer)
	if admitted {
		meta.Lesser = true                 // the dump of an end says more
		meta.Key += "/" + string(why.Kind) // and is counted apart
		if ok, refused := sp.Admit(meta); !ok {
			sp.GiveUp(refused)
			return none, refused, nil
		}
	}
	entry, err := sp.Save(ctx, *meta, fill)
	r.store.outcome(err)
	if err != nil {
		return none, "", api.Errorf(api.CodeInternal, "%v", err)
	}
	return entry, "", nil
}
