package recorder

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/recorderd/recorderd/bpf"
)

// All memory of recordings counts against one budget: rings of live containers,
// those that wait for containers, and what is kept of ended ones. Ended ones give way.

// mostKept is how many ended recordings are kept at most, however small they are:
// each is looked at in every list.
const mostKept = 4096

// memory of a recording, in bytes.
func (rec *recording) memory(ring uint64) uint64 {
	if rec.kept != nil {
		return rec.kept.memory
	}
	return ring
}

// makeRoomLocked drops ended recordings until n bytes more fit into the budget. If
// they never will it drops none, asks for rings of ended containers to be made
// smaller, and returns false.
func (r *Recorder) makeRoomLocked(n uint64) bool {
	used, kept := uint64(len(r.spares))*r.ringBytes, uint64(0)
	for _, rec := range r.recs {
		used += rec.memory(r.ringBytes)
		if rec.kept != nil {
			kept += rec.kept.memory
		}
	}
	if used-kept+n > r.cfg.MemoryBudget {
		r.pressed = true
		r.wakeFinisher()
		return false
	}
	for used+n > r.cfg.MemoryBudget {
		victim := r.victimLocked(time.Now())
		used -= victim.kept.memory
		r.evictLocked(victim)
	}
	return true
}

func (r *Recorder) evictLocked(rec *recording) {
	r.evicted++
	r.untoldLocked(rec)
	r.log.Info("dropped for the memory budget", "id", rec.id, "cgroup", rec.path, "ended", rec.endedAt)
	r.dropLocked(rec)
}

// loudShare: who holds more than this part of what is kept gives way before others do.
const loudShare = 1.0 / 8

// loudest is the key of the container that holds most of what is kept, with all that is
// made inside it, if that is more than a share and more than is kept of each in any case. ""
// if none does.
func (r *Recorder) loudest(kept []*recording) string {
	type held struct {
		memory uint64
		n      int
	}
	var all held
	by := map[string]held{}
	for _, rec := range kept {
		h := by[rec.kept.owner]
		by[rec.kept.owner] = held{h.memory + rec.kept.memory, h.n + 1}
		all = held{all.memory + rec.kept.memory, all.n + 1}
	}
	loudest, most := "", loudShare
	for key, h := range by {
		// Both are limited: very many small ones push out others as well.
		share := max(float64(h.memory)/float64(all.memory), float64(h.n)/float64(all.n))
		if h.n > max(r.cfg.KeepLast, 1) && (share > most || share == most && key < loudest) {
			loudest, most = key, share
		}
	}
	return loudest
}

// victimLocked is the ended recording that goes next, nil if there is none: one of the
// container that holds most, if one does; and of these, or of all,
// first those of which enough newer ones of the same container are kept, so that
// one that crashes again and again does not push out the others; before both,
// those that were kept for the minimum time; last what is not on disk yet though
// it is to be. Among equals the one that ended first.
func (r *Recorder) victimLocked(now time.Time) *recording {
	var kept []*recording
	for _, rec := range r.recs {
		if rec.kept != nil {
			kept = append(kept, rec)
		}
	}
	slices.SortFunc(kept, func(a, b *recording) int { return b.endedAt.Compare(a.endedAt) })
	loudest := r.loudest(kept)
	newer := map[string]int{} // by container
	var victim *recording
	best := 0
	for _, rec := range kept { // newest first: of equals the last wins
		key := rec.kept.key
		rank := 1
		if newer[key] >= r.cfg.KeepLast {
			rank += 1
		}
		keep := r.cfg.KeepMin
		if own := rec.applied.settings.Keep; own != nil {
			keep = *own
		}
		if now.Sub(rec.endedAt) >= keep {
			rank += 2
		}
		if rec.kept.done {
			rank += 4
		}
		if loudest != "" && rec.kept.owner == loudest {
			rank += 8
		}
		newer[key]++
		if rank >= best {
			victim, best = rec, rank
		}
	}
	return victim
}

// refill makes spare rings until there are want, as far as the budget goes. Only
// one goroutine calls it at a time; the lock is not held while the kernel takes the
// rings in.
func (r *Recorder) refill(want int) error {
	type place struct{ slot, gen uint32 }
	var places []place
	r.mu.Lock()
	taken := map[uint32]bool{}
	r.makeRoomLocked(0) // the budget may be smaller than the last daemon's
	for len(r.spares)+len(places) < want {
		slot, ok := r.freeSlot(taken)
		if !ok || !r.makeRoomLocked(uint64(len(places)+1)*r.ringBytes) {
			break
		}
		r.nextGen++
		taken[slot] = true
		places = append(places, place{slot, r.nextGen})
	}
	starved := len(r.spares)+len(places) == 0
	if starved && !r.starved {
		r.log.Warn("no memory for another container's ring: new containers are not recorded until one ends", "budget", r.cfg.MemoryBudget, "recordings", len(r.recs))
	}
	r.starved = starved
	nested := r.nestedMax()
	r.mu.Unlock()

	var g errgroup.Group
	g.SetLimit(ringMakers)
	for _, p := range places {
		g.Go(func() error {
			stdio, data := r.captured()
			ring, err := r.kernel.NewRing(bpf.RingConfig{Slot: p.slot, Gen: p.gen, Stdio: stdio, Data: data, NestedMax: nested})
			if err != nil {
				return err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.spares[p.slot] = ring
			r.asSpare(ring) // the policy may have changed meanwhile
			return nil
		})
	}
	return g.Wait()
}

// trim drops spare rings beyond want, and those that the budget does not hold: the
// last daemon's may have been larger. The lock is not held while the kernel lets them
// go. Not at the same time as refill.
func (r *Recorder) trim(want int) error {
	rings, err := r.takeSurplus(want)
	if len(rings) > 0 {
		r.log.Info("spare rings that are too many go", "rings", len(rings), "budget", r.cfg.MemoryBudget)
	}
	var g errgroup.Group
	g.SetLimit(ringMakers)
	for _, ring := range rings {
		g.Go(func() error { return r.kernel.DropRing(ring) })
	}
	return errors.Join(err, g.Wait())
}

// takeSurplus takes back the rings that trim drops, from the kernel first: one that a
// container has taken is no spare any more, whoever knows it.
func (r *Recorder) takeSurplus(want int) (taken []*bpf.Ring, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := len(r.spares)
	for _, rec := range r.recs {
		if rec.kept == nil {
			all++
		}
	}
	most := int(r.cfg.MemoryBudget / r.ringBytes)
	for range min(max(len(r.spares)-want, all-most), len(r.spares)) {
		slot, ok, err := r.kernel.TakeSpare()
		if err != nil || !ok {
			return taken, err
		}
		ring := r.spares[slot]
		if ring == nil { // one that could not be opened
			if err := r.kernel.OfferSpare(slot); err != nil {
				return taken, err
			}
			continue
		}
		delete(r.spares, slot)
		taken = append(taken, ring)
	}
	return taken, nil
}

// nestedMax is how many rings containers within one container may have.
func (r *Recorder) nestedMax() uint32 {
	return uint32(max(r.cfg.MemoryBudget/r.ringBytes/4, 1))
}

// freeSlot finds a slot that no ring is in, and that is not taken either.
func (r *Recorder) freeSlot(taken map[uint32]bool) (uint32, bool) {
	for slot := range r.kernel.Slots() {
		if taken[slot] {
			continue
		}
		if _, ok := r.spares[slot]; !ok && r.bySlot[slot] == nil {
			return slot, true
		}
	}
	return 0, false
}
