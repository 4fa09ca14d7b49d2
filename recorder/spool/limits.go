package spool

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Limits are how much a Store keeps, and how often it takes a crash.
type Limits struct {
	MaxBytes int64         // of all files; 0: no limit
	MaxFiles int           // 0: no limit
	MaxAge   time.Duration // since a dump was saved; 0: no limit
	MinFree  int64         // bytes that stay free on the file system; 0: none

	// A loop is a row of crashes of one key between which there is less than
	// LoopGap. Its first KeepFirst crashes are kept, then one in each Interval, and
	// always the latest one, which takes the place of the latest before it.
	KeepFirst int
	Interval  time.Duration
	LoopGap   time.Duration

	// Over all keys together: Burst crashes at once, and one more every Every. 0: no limit.
	Burst int
	Every time.Duration
}

// DefaultLimits returns limits for a node.
func DefaultLimits() Limits {
	return Limits{
		MaxBytes: 1 << 30, MaxFiles: 2000, MaxAge: 30 * 24 * time.Hour, MinFree: 256 << 20,
		KeepFirst: 3, Interval: time.Hour, LoopGap: time.Hour,
		Burst: 60, Every: 10 * time.Second,
	}
}

// Refused is why Admit says no.
type Refused string

// The reasons to refuse a crash.
const (
	// RefusedRate: too many crashes, and this is not the first in a while of its
	// namespace or owner, for whom room is reserved.
	RefusedRate Refused = "rate"
	// RefusedLoop: too many crashes on this node to write another that is only the
	// latest of its loop, or a lesser one.
	RefusedLoop Refused = "loop"
)

// maxKeys bounds what is remembered of loops; those that were quiet the longest are forgotten.
const maxKeys = 4096

const (
	// freshAfter is how long nothing of an account was written when it counts among
	// those that have none yet.
	freshAfter = time.Hour
	// mostAged dumps go for their age at once, and others not before agedEvery: whatever
	// is wrong with a clock, somebody can see it and stop it.
	mostAged  = 16
	agedEvery = time.Minute
)

// rater decides which crashes are taken, and which dumps go. Its owner locks. Times are
// those of the spool's clock.
type rater struct {
	Limits
	loops  map[string]*loop
	served served
	tokens float64
	filled time.Duration
	aged   time.Duration // when dumps went for their age
}

// never is before any time of the spool's clock.
const never = time.Duration(math.MinInt64 / 4)

// loop is what is known of the crashes of a key.
type loop struct {
	since  time.Time // a time of day, which names the loop
	last   time.Duration
	kept   time.Duration // when one was, other than only as the latest
	number uint64
}

func newRater(l Limits, now time.Duration) *rater {
	return &rater{
		Limits: l, loops: make(map[string]*loop), served: served{by: make(map[string]turn)},
		tokens: float64(l.Burst), filled: now, aged: never,
	}
}

// count counts a crash of a key: it crashed, whether that is kept or not. An empty key
// has no loops.
func (r *rater) count(key string, day time.Time, now time.Duration) *Crash {
	l := r.going(key, now)
	if l == nil {
		if key != "" {
			l = r.begin(key, day)
			l.number, l.last = 1, now
		}
		return &Crash{Number: 1, Since: day, Role: RoleFirst}
	}
	l.number, l.last = l.number+1, now
	c := &Crash{Number: l.number, Since: l.since, Role: RoleLatest}
	switch {
	case c.Number <= uint64(max(r.KeepFirst, 1)):
		c.Role = RoleEarly
	case now-l.kept >= r.Interval:
		c.Role = RoleInterval
	}
	return c
}

// admit decides about a crash that was counted.
func (r *rater) admit(m *Meta, now time.Duration) Refused {
	account := m.account()
	if refused := r.take(m, account.levels(), now); refused != "" {
		return refused
	}
	r.served.note(account, now)
	if l := r.loops[m.Key]; l != nil && m.Crash.Role != RoleLatest {
		l.kept = now
	}
	return ""
}

// going returns the loop that a key is in, nil if in none.
func (r *rater) going(key string, now time.Duration) *loop {
	l := r.loops[key]
	if l == nil || key == "" || now-l.last >= r.LoopGap {
		return nil
	}
	return l
}

func (r *rater) begin(key string, since time.Time) *loop {
	if len(r.loops) >= maxKeys {
		quiet := slices.SortedFunc(maps.Keys(r.loops), func(a, b string) int { return cmp.Compare(r.loops[a].last, r.loops[b].last) })
		for _, k := range quiet[:maxKeys/4] { // many at once: it takes a while
			delete(r.loops, k)
		}
	}
	l := &loop{since: since, last: never, kept: never}
	r.loops[key] = l
	return l
}

// undo takes back that a crash was kept: it could not be saved.
func (r *rater) undo(m *Meta) {
	if l := r.loops[m.Key]; l != nil && m.Crash != nil && m.Crash.Role != RoleLatest {
		l.kept = never
	}
}

// take takes a token. Parts of the bucket are reserved: the last eighth for namespaces
// that had none for a while, another for such owners, half of it for crashes that are
// more than the latest of a loop.
func (r *rater) take(m *Meta, levels [3]string, now time.Duration) Refused {
	if r.Burst <= 0 || r.Every <= 0 {
		return ""
	}
	r.tokens = min(float64(r.Burst), r.tokens+float64(max(now-r.filled, 0))/float64(r.Every))
	r.filled = now
	burst := float64(r.Burst)
	reserved := burst / 4
	switch {
	case r.served.fresh(levels[0], now, freshAfter):
		reserved = 0
	case r.served.fresh(levels[1], now, freshAfter):
		reserved = burst / 8
	}
	switch {
	case r.tokens < 1+reserved:
		return RefusedRate
	case (m.Crash.Role == RoleLatest || m.Lesser) && r.tokens < 1+burst/2:
		return RefusedLoop
	}
	r.tokens--
	return ""
}

// learn takes a crash that was kept before this Store was opened. The oldest comes first.
func (r *rater) learn(e *Entry) {
	c := e.Meta.Crash
	if c == nil {
		return
	}
	r.served.note(e.Meta.account(), e.At)
	if e.Meta.Key == "" {
		return
	}
	l := r.loops[e.Meta.Key]
	if l == nil {
		l = r.begin(e.Meta.Key, c.Since)
	}
	if e.At >= l.last {
		l.last, l.since = e.At, c.Since
		l.number = max(c.Number, 1)
	}
	if c.Role != RoleLatest && e.At > l.kept {
		l.kept = e.At
	}
}

// protected reports whether an entry goes only when no other is left of its container:
// the first crash of a loop, and what somebody asked for.
func protected(e *Entry) bool {
	if c := e.Meta.Crash; c != nil {
		return c.Role == RoleFirst
	}
	return asked(e)
}

func asked(e *Entry) bool { return e.Meta.Crash == nil && e.Meta.Reason.Kind == KindSaved }

// rank orders the entries of a container as they go: lesser ones, then those that are not
// protected, then first crashes of loops that are over, then the others; the oldest of
// each first.
func (r *rater) rank(e *Entry, now time.Duration) int {
	switch {
	case e.Meta.Lesser:
		return 0
	case !protected(e):
		return 1
	case e.Meta.Crash != nil && !r.current(e, now):
		return 2
	}
	return 3
}

// current reports whether a crash is of a loop that goes on.
func (r *rater) current(e *Entry, now time.Duration) bool {
	l := r.going(e.Meta.Key, now)
	return l != nil && e.Meta.Crash != nil && e.Meta.Crash.Since.Equal(l.since)
}

// victim is an entry that has to go.
type victim struct {
	id  string
	why Removed
}

// victims returns what has to go so that so many more files fit. The one that was
// just saved stays.
func (r *rater) victims(entries map[string]*Entry, saved string, more int, now time.Duration) []victim {
	list := slices.SortedFunc(maps.Values(entries), func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(r.rank(a, now), r.rank(b, now)), byAge(a, b))
	})
	gone := r.tooOld(list, saved, now)
	old := make(map[string]bool, len(gone))
	for _, v := range gone {
		old[v.id] = true
	}
	var crashes, byHand []*Entry
	for _, e := range list {
		switch {
		case old[e.ID]:
		case asked(e):
			byHand = append(byHand, e)
		default:
			crashes = append(crashes, e)
		}
	}
	auto, hand := shares(crashes, saved), shares(byHand, saved)
	for {
		bytes, files := auto.bytes+hand.bytes, auto.files+hand.files+more
		why, byBytes := RemovedBytes, true
		switch {
		case r.MaxBytes > 0 && bytes > r.MaxBytes:
		case r.MaxFiles > 0 && files > r.MaxFiles:
			why, byBytes = RemovedFiles, false
		default:
			return gone
		}
		// What somebody asked for goes last, unless it is more than half of all.
		from, other := auto, hand
		if byBytes && hand.bytes > r.MaxBytes/2 || !byBytes && hand.files > r.MaxFiles/2 {
			from, other = hand, auto
		}
		e := from.next(byBytes)
		if e == nil {
			from = other
			e = from.next(byBytes)
		}
		if e == nil {
			return gone
		}
		from.drop(e)
		gone = append(gone, victim{e.ID, why})
	}
}

// tooOld returns what goes for its age, never many at once. The first crash of a loop
// that goes on tells how it began, however long ago.
func (r *rater) tooOld(list []*Entry, saved string, now time.Duration) []victim {
	if r.MaxAge <= 0 || now-r.aged < agedEvery {
		return nil
	}
	var old []*Entry
	for _, e := range list {
		if e.ID != saved && now-e.At > r.MaxAge && !(protected(e) && r.current(e, now)) {
			old = append(old, e)
		}
	}
	slices.SortFunc(old, byAge)
	var gone []victim
	for _, e := range old[:min(len(old), mostAged)] {
		gone = append(gone, victim{e.ID, RemovedAge})
		r.aged = now
	}
	return gone
}

// check says what makes no sense in limits.
func (l *Limits) check() error {
	if l.MaxBytes < 0 || l.MaxFiles < 0 || l.MaxAge < 0 || l.MinFree < 0 || l.KeepFirst < 0 || l.Interval < 0 || l.LoopGap < 0 || l.Burst < 0 || l.Every < 0 {
		return fmt.Errorf("a limit of the spool is negative: %+v", *l)
	}
	return nil
}
