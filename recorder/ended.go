package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sync/atomic"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/bpf"
	bytesize "github.com/recorderd/recorderd/internal/size"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/spool"
)

// What becomes of a recording whose container has ended: its ring is put together
// as a spool file in pinned memory, a tenth of the size or so, and goes back; then, if
// the end was one that is to be kept on disk, the file is written. Memory first: a
// slow disk holds up nothing but itself.

const (
	// nameWait is how long an end waits for the container's name, which its runtime may
	// tell a little later than the kernel.
	nameWait = 5 * time.Second
	// retryAfter is the time between two attempts at what did not work.
	retryAfter = 10 * time.Second
)

// kept is the recording of an ended container, put together in pinned memory. It
// is never changed; replaced as a whole, with Recorder.mu held.
type kept struct {
	desc   api.Recording // as it was when it was put together
	reason spool.Reason
	key    string         // the container's
	owner  string         // that of the one it counts to: around it, or itself
	outer  *spool.Account // of the outermost container that it was inside; nil: it was inside none
	memory uint64         // bytes
	done   bool           // written to disk, or not to be
}

// kindDone is the reason of an end that is none for a dump.
const kindDone spool.Kind = "done"

// wakeFinisher makes the finisher look for ended containers now.
func (r *Recorder) wakeFinisher() { wake(r.finishKick) }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is awake
	}
}

// finishing puts ended recordings together, one after the other, until ctx ends.
func (r *Recorder) finishing(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for ctx.Err() == nil {
			batch := r.nextEnded()
			if len(batch) == 0 {
				break
			}
			// What wrote to these rings last has ended then: once for all, since it takes
			// some 20 ms.
			err := r.kernel.Grace()
			for _, rec := range batch {
				r.finishOne(rec, err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-r.finishKick:
		case <-tick.C:
		}
	}
}

// finishBatch is how many ended recordings are dealt with at once.
const finishBatch = 32

func (r *Recorder) finishOne(rec *recording, err error) {
	if err == nil {
		err = r.finish(rec)
	}
	if err == nil {
		return
	}
	r.log.Error("put the recording of an ended container together", "id", rec.id, "error", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	rec.retryAt = time.Now().Add(retryAfter)
	if rec.failures++; rec.failures >= 3 && r.pressed && r.recs[rec.id] == rec && rec.kept == nil && rec.ended && !rec.busy() {
		r.evictLocked(rec) // it holds memory that live containers want
	}
}

// nextEnded returns recordings whose end can be dealt with now, those that ended
// first before others.
func (r *Recorder) nextEnded() []*recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	var ready []*recording
	for _, rec := range r.recs {
		if rec.kept != nil || !rec.ended || rec.busy() || rec.followers.Load() > 0 || now.Before(rec.retryAt) {
			continue
		}
		if !r.pressed && now.Before(rec.nameBy) && r.unnamed(rec) {
			continue
		}
		ready = append(ready, rec)
	}
	if len(ready) == 0 {
		r.pressed = false
	}
	slices.SortFunc(ready, func(a, b *recording) int { return a.endedAt.Compare(b.endedAt) })
	return ready[:min(len(ready), finishBatch)]
}

// unnamed reports whether a runtime or Kubernetes may yet tell the container's name.
func (r *Recorder) unnamed(rec *recording) bool {
	if r.pods != nil && rec.who.PodUID != "" && !rec.pod.known && r.pods.Status().Connected {
		return true
	}
	if rec.known {
		return false
	}
	for _, s := range r.runtimes.Status() {
		if s.Connected {
			return rec.who.ID != ""
		}
	}
	return false
}

// finish puts an ended recording together and lets its ring go. The programs that
// ran when it ended have ended, too (Kernel.Grace).
func (r *Recorder) finish(rec *recording) error {
	rec.ringMu.RLock()
	if rec.ring == nil {
		rec.ringMu.RUnlock()
		return nil // deleted meanwhile
	}
	rec.ringMu.RUnlock()
	r.looked(rec)
	rec.ringMu.RLock()
	if rec.ring == nil {
		rec.ringMu.RUnlock()
		return nil // deleted meanwhile
	}
	head := rec.ring.Head() // to be looked at as long as rec.ring is there
	execs, ever := atomic.LoadUint64(&head.Execs), atomic.LoadUint64(&head.TasksEver)
	first := *head
	rec.ringMu.RUnlock()
	s, err := r.takeEnded(rec)
	if err != nil {
		return err
	}
	h := r.header(rec, &s)
	sentFrom(h.Recording.Exit, &s, &first, r.native)
	why := endOf(&h.Recording)
	r.mu.Lock()
	outer := r.outermostLocked(rec)
	r.mu.Unlock()
	data, err := r.pack(h, &s, why, outer)
	s.release()
	if err != nil {
		return err
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.recs[rec.id] != rec || rec.ring == nil {
		return nil // deleted meanwhile
	}
	if rec.busy() || rec.followers.Load() > 0 || execs != atomic.LoadUint64(&head.Execs) || ever != atomic.LoadUint64(&head.TasksEver) {
		rec.ended = rec.ended && !rec.busy()
		return nil // a container that was started again in its cgroup
	}
	// What it takes fits: its ring goes at once.
	if err := r.kernel.Keep(rec.id, data); err != nil {
		return err
	}
	k := &kept{desc: h.Recording, reason: why, key: h.Recording.ContainerKey(), owner: h.Recording.OwnerKey(), outer: outer, memory: bpf.KeptMemory(len(data))}
	ring := rec.ring
	rec.ringMu.Lock()
	err = r.kernel.TakeOut(ring)
	again := atomic.LoadUint64(&head.TasksLive) != 0
	rec.ring, rec.view = nil, nil
	rec.ringMu.Unlock()
	err = errors.Join(err, ring.Close())
	rec.kept, rec.opened = k, opened{}
	rec.judged = judged{since: time.Now()}
	wake(r.judge.kick)
	delete(r.bySlot, rec.slot)
	if again {
		// Somebody entered at the last moment: the pass gives it a new ring.
		r.scan.Store(true)
	}
	r.dropSurplusLocked()
	wake(r.kick)
	wake(r.spoolKick)
	return err
}

// dropSurplusLocked keeps the number of ended recordings within its limit.
func (r *Recorder) dropSurplusLocked() {
	n := 0
	for _, rec := range r.recs {
		if rec.kept != nil {
			n++
		}
	}
	for ; n > mostKept; n-- {
		r.evictLocked(r.victimLocked(time.Now()))
	}
}

// endOf says how a container ended, as a reason to keep its recording on disk.
func endOf(rec *api.Recording) spool.Reason {
	e := rec.Exit
	switch {
	case e == nil && unexecuted(rec):
		return spool.Reason{Kind: spool.KindVanished, Text: "its program was never executed"}
	case e == nil:
		return spool.Reason{Kind: spool.KindVanished, Text: "its tasks are gone; how its first process ended was not seen"}
	case e.OOMKilled:
		return spool.Reason{Kind: spool.KindOOM, Text: "its first process was killed for want of memory"}
	case e.Signal != "":
		return spool.Reason{Kind: spool.KindSignal, Text: "its first process was killed by " + e.Signal}
	case e.Code != 0:
		return spool.Reason{Kind: spool.KindExit, Text: fmt.Sprintf("its first process exited with %d", e.Code)}
	case rec.OOMKills > 0:
		return spool.Reason{Kind: spool.KindOOM, Text: "a process of it was killed for want of memory"}
	}
	return spool.Reason{Kind: kindDone, Text: "its first process exited with 0"}
}

// unexecuted reports whether nothing but the runtime's own processes was executed.
func unexecuted(rec *api.Recording) bool {
	c := rec.Container.Command
	return !rec.Coverage.BeganLate && (rec.Tasks.Ever > 0 && rec.Tasks.Execs == 0 || len(c) == 2 && path.Base(c[0]) == "runc" && c[1] == "init")
}

// pack puts a snapshot together as a spool file.
func (r *Recorder) pack(h *dump.Header, s *snapshot, why spool.Reason, outer *spool.Account) ([]byte, error) {
	var b bytes.Buffer
	file := spool.NewWriter(&b, r.meta(&h.Recording, why, outer))
	if err := writeDump(file, h, s); err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// writeDump writes a snapshot as a raw dump.
func writeDump(w io.Writer, h *dump.Header, s *snapshot) error {
	out := dump.NewWriter(w)
	if err := out.Header(h); err != nil {
		return err
	}
	if err := write(out, s); err != nil {
		return err
	}
	return out.Close()
}

func (r *Recorder) meta(rec *api.Recording, why spool.Reason, outer *spool.Account) *spool.Meta {
	return &spool.Meta{
		Recording: *rec, Reason: why, Node: r.cfg.Node, Kernel: r.release, Version: r.cfg.Version, Saved: time.Now(),
		BootID: bootID(), Key: rec.ContainerKey(), Outer: outer,
	}
}

// takeOverKept finds what earlier daemons kept of ended containers.
func (r *Recorder) takeOverKept() error {
	names, err := r.kernel.KeptNames()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		err := r.adoptKept(name)
		if errors.Is(err, dump.ErrCorrupt) || errors.Is(err, dump.ErrForeign) || errors.Is(err, dump.ErrTruncated) {
			// Nobody will ever be able to read it, and it takes memory.
			err = errors.Join(err, r.kernel.Forget(name))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *Recorder) adoptKept(name string) error {
	mem, err := r.kernel.OpenKept(name)
	if err != nil {
		return err
	}
	defer mem.Close()
	meta, _, err := spool.ReadMeta(bytes.NewReader(mem.Bytes()), int64(len(mem.Bytes())))
	if err != nil {
		return fmt.Errorf("kept %s: %w", name, err)
	}
	d := meta.Recording
	if d.ID != name {
		return fmt.Errorf("kept %s: it is of the recording %s", name, d.ID[:min(len(d.ID), 40)])
	}
	rec := &recording{id: d.ID, path: d.Container.Cgroup, ended: true, endedAt: meta.Saved, nameBy: time.Now().Add(nameWait)}
	if d.Ended != nil {
		rec.endedAt = *d.Ended
	}
	rec.who = r.identify(rec.path)
	rec.kept = &kept{desc: d, reason: meta.Reason, key: d.ContainerKey(), owner: d.OwnerKey(), outer: meta.Outer, memory: mem.Memory(), done: mem.Marked()}
	rec.judged.since = rec.endedAt
	r.recallNames(rec)
	if d.Inside != nil {
		rec.in.around, rec.in.pod = d.Inside, d.Pod
	}
	r.recs[rec.id] = rec
	r.indexOneLocked(rec)
	r.applyLocked(rec)
	return nil
}

// rescue reads the rings of a recorder with other programs or sizes, which stops
// now, and keeps what they hold.
func (r *Recorder) rescue(old *bpf.Kernel) {
	rings, err := old.PinnedRings()
	if err != nil {
		r.log.Warn("some recordings of the last daemon cannot be read by this one", "error", err)
	}
	// Its programs are detached: those that still ran have ended then. Once for all
	// rings, since nothing is recorded meanwhile.
	time.Sleep(20 * time.Millisecond)
	old.Grace() //nolint:errcheck // that it waits longer; an older recorder may not have it
	var recs []*recording
	r.mu.Lock()
	r.byPath = map[string]*recording{}
	for _, ring := range rings {
		if cg := atomic.LoadUint64(&ring.Head().Cgroup); cg != 0 && !r.ignored(cg) {
			rec := r.recordingOf(ring)
			r.recallNames(rec)
			r.indexOneLocked(rec)
			recs = append(recs, rec)
		}
	}
	for _, rec := range recs { // what is blanked in them, when all are there
		r.lookAroundLocked(rec)
		r.applyLocked(rec)
	}
	r.byPath = map[string]*recording{}
	r.mu.Unlock()
	n := 0
	for _, rec := range recs {
		if err := r.rescueRing(old, rec); err != nil {
			r.log.Error("keep a recording of the last daemon", "slot", rec.slot, "error", err)
		} else {
			n++
		}
	}
	for _, ring := range rings {
		ring.Close()
	}
	if n > 0 {
		r.log.Info("the last daemon's programs or settings were others: its recordings were kept and new ones begin", "recordings", n)
	}
}

func (r *Recorder) rescueRing(old *bpf.Kernel, rec *recording) error {
	live := int64(atomic.LoadUint64(&rec.ring.Head().TasksLive)) > 0
	rec.ended = !live
	s, err := r.takeFrom(old, rec, noWait)
	if err != nil {
		return err
	}
	defer s.release()
	h := r.header(rec, &s)
	sentFrom(h.Recording.Exit, &s, rec.ring.Head(), r.native)
	why := endOf(&h.Recording)
	if live {
		why = spool.Reason{Kind: spool.KindUpgrade, Text: "a recorderd with other programs or settings took its place; the container went on"}
		if size := rec.view.Geometry().Main().Size; size != r.cfg.RingSize {
			why = spool.Reason{Kind: spool.KindResized, Text: fmt.Sprintf("the ring size was changed from %s to %s; the container went on", bytesize.Bytes(size), bytesize.Bytes(r.cfg.RingSize))}
		}
	}
	at := s.clock.Realtime
	h.Recording.State, h.Recording.Ended = api.StateEnded, &at
	r.mu.Lock()
	outer := r.outermostLocked(rec)
	r.mu.Unlock()
	data, err := r.pack(h, &s, why, outer)
	if err != nil {
		return err
	}
	return old.Keep(rec.id, data)
}

// describe is a recording that was put together, with all that is known of it now.
func (k *kept) describe() api.Recording {
	d := k.desc
	d.State = api.StateEnded
	d.Ring.Memory = k.memory
	return d
}

// isKept returns what is known of a recording that was put together.
func (r *Recorder) isKept(rec *recording) (api.Recording, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec.kept == nil {
		return api.Recording{}, false
	}
	return r.describeLocked(rec), true
}

// dumpKept writes the recording of an ended container as a raw dump.
func (r *Recorder) dumpKept(d *api.Recording, w io.Writer) error {
	mem, err := r.kernel.OpenKept(d.ID)
	if err != nil {
		return errDropped(d.ID)
	}
	defer mem.Close()
	file, err := spool.NewReader(bytes.NewReader(mem.Bytes()), int64(len(mem.Bytes())))
	if err != nil {
		return err
	}
	return copyDump(w, file.Dump(), d)
}

// copyDump copies a raw dump and puts what is known now of its recording into its
// header: names may have come after the dump.
func copyDump(w io.Writer, from io.Reader, d *api.Recording) error {
	in, err := dump.NewReader(from)
	if err != nil {
		return err
	}
	h := *in.Header()
	cover := h.Recording.Coverage
	h.Recording = *d
	h.Recording.Coverage = cover
	if err := dump.NewWriter(w).Header(&h); err != nil {
		return err
	}
	_, err = io.Copy(w, from) // what comes behind the header: the reader does not read ahead
	return err
}
