package spool

import (
	"cmp"
	"fmt"
	"maps"
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
	// RefusedRate: too many crashes on this node.
	RefusedRate Refused = "rate"
	// RefusedLoop: too many crashes on this node to write another that is only the
	// latest of its loop.
	RefusedLoop Refused = "loop"
)

// maxKeys bounds what is remembered of loops; those that were quiet the longest are forgotten.
const maxKeys = 4096

// rater decides which crashes are taken. Its owner locks.
type rater struct {
	Limits
	loops  map[string]*loop
	tokens float64
	filled time.Time
}

// loop is what is known of the crashes of a key.
type loop struct {
	since, last time.Time
	kept        time.Time // when one was, other than only as the latest
	number      uint64
}

func newRater(l Limits, now time.Time) *rater {
	return &rater{Limits: l, loops: make(map[string]*loop), tokens: float64(l.Burst), filled: now}
}

// admit decides about a crash of a key. An empty key has no loops.
func (r *rater) admit(key string, now time.Time) (c *Crash, refused Refused) {
	role, number, since := RoleFirst, uint64(1), now
	l := r.going(key, now)
	if l != nil {
		number, since = l.number+1, l.since
		switch {
		case number <= uint64(max(r.KeepFirst, 1)):
			role = RoleEarly
		case now.Sub(l.kept) >= r.Interval:
			role = RoleInterval
		default:
			role = RoleLatest
		}
	}
	refused = r.take(role, now)
	if key != "" {
		if l == nil {
			l = r.begin(key, now)
		}
		l.number, l.last = number, now // it crashed, whether that is kept or not
		if refused == "" && role != RoleLatest {
			l.kept = now
		}
	}
	if refused != "" {
		return nil, refused
	}
	return &Crash{Number: number, Since: since, Role: role}, ""
}

// going returns the loop that a key is in, nil if in none.
func (r *rater) going(key string, now time.Time) *loop {
	l := r.loops[key]
	if l == nil || key == "" || now.Sub(l.last) >= r.LoopGap {
		return nil
	}
	return l
}

func (r *rater) begin(key string, now time.Time) *loop {
	if len(r.loops) >= maxKeys {
		quiet := slices.SortedFunc(maps.Keys(r.loops), func(a, b string) int { return r.loops[a].last.Compare(r.loops[b].last) })
		for _, k := range quiet[:maxKeys/4] { // many at once: it takes a while
			delete(r.loops, k)
		}
	}
	l := &loop{since: now}
	r.loops[key] = l
	return l
}

// undo takes back that a crash was kept: it could not be saved.
func (r *rater) undo(m *Meta) {
	if l := r.loops[m.Key]; l != nil && m.Crash != nil && m.Crash.Role != RoleLatest {
		l.kept = time.Time{}
	}
}

// take takes a token. Those that are merely the latest of a loop leave half of
// the bucket to others.
func (r *rater) take(role Role, now time.Time) Refused {
	if r.Burst <= 0 || r.Every <= 0 {
		return ""
	}
	if d := now.Sub(r.filled); d > 0 {
		r.tokens = min(float64(r.Burst), r.tokens+float64(d)/float64(r.Every))
	}
	r.filled = now
	switch {
	case r.tokens < 1:
		return RefusedRate
	case role == RoleLatest && r.tokens < 1+float64(r.Burst)/2:
		return RefusedLoop
	}
	r.tokens--
	return ""
}

// learn takes a crash that was kept before this Store was opened.
func (r *rater) learn(m *Meta) {
	c := m.Crash
	if m.Key == "" || c == nil {
		return
	}
	l := r.loops[m.Key]
	if l == nil {
		l = r.begin(m.Key, c.Since)
	}
	if m.Saved.After(l.last) {
		l.last, l.since = m.Saved, c.Since
		l.number = max(c.Number, 1)
	}
	if c.Role != RoleLatest && m.Saved.After(l.kept) {
		l.kept = m.Saved
	}
}

// protected reports whether an entry goes only when no other is left: the first
// crash of a loop, and what somebody asked for.
func protected(e *Entry) bool {
	if c := e.Meta.Crash; c != nil {
		return c.Role == RoleFirst
	}
	return e.Meta.Reason.Kind == KindSaved
}

// rank orders entries as they go: those that are not protected, then first crashes
// of loops that are over, then the others; the oldest of each first.
func (r *rater) rank(e *Entry, now time.Time) int {
	switch {
	case !protected(e):
		return 0
	case e.Meta.Crash != nil && !r.current(e, now):
		return 1
	}
	return 2
}

// current reports whether a crash is of a loop that goes on.
func (r *rater) current(e *Entry, now time.Time) bool {
	l := r.going(e.Meta.Key, now)
	return l != nil && e.Meta.Crash != nil && !e.Meta.Crash.Since.Before(l.since)
}

// victim is an entry that has to go.
type victim struct {
	id  string
	why Removed
}

// victims returns what has to go so that so many more files fit. The one that was
// just saved stays.
func (r *rater) victims(entries map[string]*Entry, saved string, more int, now time.Time) []victim {
	list := slices.Collect(maps.Values(entries))
	slices.SortFunc(list, func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(r.rank(a, now), r.rank(b, now)), a.Meta.Saved.Compare(b.Meta.Saved), cmp.Compare(a.Name, b.Name))
	})
	bytes, n := int64(0), more+len(list)
	for _, e := range list {
		bytes += e.Bytes
	}
	var gone []victim
	drop := func(e *Entry, why Removed) {
		gone = append(gone, victim{e.ID, why})
		bytes -= e.Bytes
		n--
	}
	var left []*Entry
	for _, e := range list {
		if e.ID == saved {
			continue
		}
		// The first crash of a loop that goes on tells how it began, however long ago.
		if r.MaxAge > 0 && now.Sub(e.Meta.Saved) > r.MaxAge && !(protected(e) && r.current(e, now)) {
			drop(e, RemovedAge)
			continue
		}
		left = append(left, e)
	}
	for _, e := range left {
		switch {
		case r.MaxBytes > 0 && bytes > r.MaxBytes:
			drop(e, RemovedBytes)
		case r.MaxFiles > 0 && n > r.MaxFiles:
			drop(e, RemovedFiles)
		}
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
