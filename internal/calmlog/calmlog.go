// Package calmlog bounds how much a log says. Whoever can make a daemon write a line can
// make it write a million: containers that crash in a loop, clients that are refused. Of
// each message a few lines come at once and then one every while; how many were left out
// is told.
package calmlog

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits are how many lines of one kind a log has.
type Limits struct {
	Burst int           // at once
	Every time.Duration // one more
	// By are attributes whose values make kinds of their own, such as "peer.uid": one who
	// is loud does not cost another's lines. Few values are expected.
	By []string
}

const (
	// maxKinds bounds what is remembered. Messages are constants, so there are fewer.
	maxKinds = 512
	// LeftOut is the attribute that says how many lines like it were left out.
	LeftOut = "left_out"
	// others is the message that tells how many lines of further kinds were left out.
	others = "other lines"
)

// Handler is a slog.Handler in front of another one. It is safe for concurrent use.
type Handler struct {
	next   slog.Handler
	shared *shared
	groups []string
	by     string // the values of Limits.By that came with WithAttrs
}

// shared is what all handlers have together that were made from one.
type shared struct {
	Limits
	now   func() time.Time
	after func(time.Duration, func()) // calls later

	mu    sync.Mutex
	kinds map[kind]*bucket
}

// kind is what lines have in common of which only some are written.
type kind struct {
	level   slog.Level
	message string
	by      string
}

// bucket holds how many lines of a kind may come.
type bucket struct {
	tokens  float64
	filled  time.Time
	leftOut uint64
	waits   bool // telling how many were left out
}

// New returns a handler that hands on to next what is within limits.
func New(next slog.Handler, l Limits) *Handler {
	return newAt(next, l, time.Now, func(d time.Duration, f func()) { time.AfterFunc(d, f) })
}

func newAt(next slog.Handler, l Limits, now func() time.Time, after func(time.Duration, func())) *Handler {
	return &Handler{next: next, shared: &shared{Limits: l, now: now, after: after, kinds: map[kind]*bucket{}}}
}

// Enabled reports whether the level is logged.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs returns a handler whose lines have these attributes.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	n.next = h.next.WithAttrs(attrs)
	for _, a := range attrs {
		n.by += h.shared.value(h.groups, a)
	}
	return &n
}

// WithGroup returns a handler whose lines have their attributes in a group.
func (h *Handler) WithGroup(name string) slog.Handler {
	n := *h
	n.next = h.next.WithGroup(name)
	n.groups = append(slices.Clip(h.groups), name)
	return &n
}

// Handle writes a line, or counts it.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	k := kind{r.Level, r.Message, h.by}
	r.Attrs(func(a slog.Attr) bool {
		k.by += h.shared.value(h.groups, a)
		return true
	})
	ok, leftOut, tell := h.shared.take(k)
	if tell {
		h.shared.after(h.shared.Every, func() { h.tell(k) })
	}
	if !ok {
		return nil
	}
	if leftOut > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Uint64(LeftOut, leftOut))
	}
	return h.next.Handle(ctx, r)
}

// tell says how many lines of a kind were left out, if none came that said it.
func (h *Handler) tell(k kind) {
	k, leftOut, again := h.shared.leftOut(k)
	if again {
		h.shared.after(h.shared.Every, func() { h.tell(k) })
	}
	if leftOut == 0 {
		return
	}
	r := slog.NewRecord(h.shared.now(), k.level, k.message, 0)
	r.AddAttrs(slog.Uint64(LeftOut, leftOut))
	_ = h.next.Handle(context.Background(), r) // as for every other line, nobody could be told
}

// value is the part of a kind that comes of an attribute: empty, if it is none that counts.
func (s *shared) value(groups []string, a slog.Attr) string {
	if len(s.By) == 0 {
		return ""
	}
	if a.Value.Kind() == slog.KindGroup {
		all := ""
		inner := groups
		if a.Key != "" {
			inner = append(slices.Clip(groups), a.Key)
		}
		for _, in := range a.Value.Group() {
			all += s.value(inner, in)
		}
		return all
	}
	key := strings.Join(append(slices.Clip(groups), a.Key), ".")
	if !slices.Contains(s.By, key) {
		return ""
	}
	return key + "=" + a.Value.Resolve().String() + "\x00"
}

// take takes a line of a kind. leftOut were left out before it. tell: somebody has to say
// later how many were.
func (s *shared) take(k kind) (ok bool, leftOut uint64, tell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, k := s.bucket(k)
	if b.tokens < 1 {
		b.leftOut++
		tell, b.waits = !b.waits, true
		return false, 0, tell
	}
	b.tokens--
	if k.message != others { // which were not like this one
		leftOut, b.leftOut = b.leftOut, 0
	}
	return true, leftOut, false
}

// leftOut returns what tell says and of which kind, and whether it has to come again.
func (s *shared) leftOut(k kind) (of kind, n uint64, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, k := s.bucket(k)
	if b.leftOut > 0 && b.tokens < 1 {
		return k, 0, true
	}
	if b.leftOut > 0 {
		b.tokens--
	}
	n, b.leftOut, b.waits = b.leftOut, 0, false
	return k, n, false
}

// bucket returns a kind's, filled by now. Beyond maxKinds what has said nothing for long is
// forgotten, and if nothing has, kinds of one level share a bucket: then the kind returned
// is another. s.mu is held.
func (s *shared) bucket(k kind) (*bucket, kind) {
	now := s.now()
	b := s.kinds[k]
	if b == nil && len(s.kinds) >= maxKinds {
		for old, o := range s.kinds {
			if !o.waits && now.Sub(o.filled) >= time.Duration(s.Burst)*s.Every {
				delete(s.kinds, old)
			}
		}
		if len(s.kinds) >= maxKinds {
			k = kind{level: k.level, message: others}
			b = s.kinds[k]
		}
	}
	if b == nil {
		b = &bucket{tokens: float64(s.Burst), filled: now}
		s.kinds[k] = b
	}
	if d := now.Sub(b.filled); d > 0 {
		b.tokens = min(float64(s.Burst), b.tokens+float64(d)/float64(s.Every))
		b.filled = now
	}
	return b, k
}
