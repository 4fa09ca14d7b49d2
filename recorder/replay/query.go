package replay

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/recorderd/recorderd/internal/pattern"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/record"
)

// The names of a Query's values, in URLs and as flags of commands.
const (
	ParamSince    = "since"
	ParamUntil    = "until"
	ParamLast     = "last"
	ParamPid      = "pid"
	ParamTid      = "tid"
	ParamFailed   = "failed"
	ParamSuccess  = "successful"
	ParamPath     = "path"
	ParamTime     = "time"
	ParamDuration = "durations"
	ParamFds      = "decode-fds"
	ParamSummary  = "summary"
	ParamExpr     = "e"
	ParamFormat   = "format"
	ParamFollow   = "follow"
	ParamHostPids = "host-pids"
	ParamStrings  = "string-limit"
	ParamBigInts  = "big-strings"
)

// Query is what to show of a dump, and how. The zero Query shows all of it as text.
//
// Exprs, Failed, Successful and Paths choose among system calls. As with strace, signals and how
// threads ended are shown nevertheless; with Failed only ends that were none in peace.
type Query struct {
	Since, Until Moment    // by the time at which a call returned
	Last         int       // only so many of what fits; 0: all
	Pids, Tids   []uint32  // any of them; as the container sees them, or the host with HostPids
	Failed       bool      // only calls that failed
	Successful   bool      // only calls that returned without an error
	Paths        []string  // only calls that name any of them or a descriptor open on it, if that is known
	Exprs        []Expr    // what any of them has, without what any leaves out
	HostPids     bool      // ids are the host's, in filters and in output
	Format       Format    // "" is FormatText
	Follow       bool      // go on with what comes
	Time         Stamps    // how text and strace show times; "" is StampClock in text, StampUnix in strace
	NoDuration   bool      // text and strace without how long calls took
	Summary      SummaryBy // instead of lines; text, strace and json only
	Fds          bool      // descriptors with what they are open on, as far as the dump says it
	StringLimit  int       // bytes of strings in text and strace; 0: all that was captured in text, 32 in strace
	BigStrings   bool      // json: integers beyond ±2^53 as strings
}

// Stamps is how lines of text and strace begin.
type Stamps string

// The ways to show times.
const (
	StampNone     Stamps = "none"
	StampSeconds  Stamps = "seconds"  // 15:04:05
	StampClock    Stamps = "clock"    // 15:04:05.123456
	StampUnix     Stamps = "unix"     // seconds since 1970, with microseconds
	StampRelative Stamps = "relative" // since the line before
)

// AllStamps are the ways to show times.
var AllStamps = []Stamps{StampNone, StampSeconds, StampClock, StampUnix, StampRelative}

// Bounds of a Query, and of all those with which a dump was made together: what they cost
// to carry out grows with each.
const (
	maxIDs     = 1024 // pids and tids
	maxPaths   = 256
	maxTerms   = 1024         // names, classes and regular expressions
	maxStates  = pattern.Most // of the regular expressions
	maxFilters = 64           // with which a dump was made
)

// size is what of a Query has a bound.
type size struct{ ids, paths, terms, states int }

func (n *size) add(q *Query) {
	n.ids += len(q.Pids) + len(q.Tids)
	n.paths += len(q.Paths)
	for _, e := range q.Exprs {
		n.terms += len(e.with) + len(e.without)
		n.states += e.Cost()
	}
}

// check returns an error that wraps ErrTooLarge and says of what there is too much.
func (n *size) check() error {
	for _, c := range []struct {
		is, most int
		what     string
	}{
		{n.ids, maxIDs, ParamPid + " and " + ParamTid + ": %d ids"}, {n.paths, maxPaths, ParamPath + ": %d paths"},
		{n.terms, maxTerms, ParamExpr + ": %d names"}, {n.states, maxStates, ParamExpr + ": regular expressions of some %d states"},
	} {
		if c.is > c.most {
			return &tooMuch{fmt.Sprintf(c.what+", want at most %d", c.is, c.most)}
		}
	}
	return nil
}

// tooMuch is the error of a Query that is too large.
type tooMuch struct{ text string }

func (e *tooMuch) Error() string { return e.text }

// ParseQuery reads a Query from URL parameters, of which it ignores those that
// are not its own. Errors name the parameter.
func ParseQuery(v url.Values) (Query, error) {
	var q Query
	p := parser{v: v}
	if n := len(v[ParamExpr]); n > maxTerms {
		return Query{}, (&size{terms: n}).check()
	}
	var n size
	p.one(ParamSince, func(s string) (err error) { q.Since, err = ParseMoment(s); return })
	p.one(ParamUntil, func(s string) (err error) { q.Until, err = ParseMoment(s); return })
	p.one(ParamLast, func(s string) error {
		n, err := strconv.ParseUint(s, 10, 31)
		q.Last = int(n)
		return numError(s, err)
	})
	p.each(ParamPid, func(s string) error { return addID(&q.Pids, s) })
	p.each(ParamTid, func(s string) error { return addID(&q.Tids, s) })
	p.one(ParamFailed, boolean(&q.Failed))
	p.one(ParamSuccess, boolean(&q.Successful))
	p.each(ParamPath, func(s string) error {
		if s == "" || strings.ContainsRune(s, 0) {
			return fmt.Errorf("%q is no path", s)
		}
		q.Paths = append(q.Paths, s)
		return nil
	})
	p.one(ParamTime, func(s string) error {
		q.Time = Stamps(s)
		if s != "" && !slices.Contains(AllStamps, q.Time) {
			return fmt.Errorf("%q is none of none, seconds, clock, unix, relative", s)
		}
		return nil
	})
	durations := true
	p.one(ParamDuration, boolean(&durations))
	q.NoDuration = !durations
	p.one(ParamFds, boolean(&q.Fds))
	p.one(ParamStrings, func(s string) error {
		n, err := strconv.ParseUint(s, 10, 31)
		if err == nil && n == 0 {
			return fmt.Errorf("0 shows nothing")
		}
		q.StringLimit = int(n)
		return numError(s, err)
	})
	p.one(ParamBigInts, boolean(&q.BigStrings))
	p.one(ParamSummary, func(s string) error {
		q.Summary = SummaryBy(s)
		if s != "" && q.Summary != SummaryByCall && q.Summary != SummaryByThread {
			return fmt.Errorf("%q is neither call nor thread", s)
		}
		return nil
	})
	p.one(ParamFollow, boolean(&q.Follow))
	p.one(ParamHostPids, boolean(&q.HostPids))
	p.each(ParamExpr, func(s string) error {
		if n.check() != nil {
			return nil // it is said below: no more are compiled
		}
		e, err := ParseExpr(s)
		q.Exprs = append(q.Exprs, e)
		n.add(&Query{Exprs: q.Exprs[len(q.Exprs)-1:]})
		return err
	})
	p.one(ParamFormat, func(s string) error {
		q.Format = Format(s)
		if q.Format.row() == nil {
			return fmt.Errorf("%q is none of %s", s, formatList())
		}
		return nil
	})
	switch {
	case p.err != nil:
	case q.Format == FormatRaw && q.Last > 0:
		p.err = fmt.Errorf("%s: not with format raw", ParamLast)
	case q.Format == FormatRaw && len(q.Paths) > 0:
		p.err = fmt.Errorf("%s: not with format raw", ParamPath)
	case q.Summary != "" && q.Follow:
		p.err = fmt.Errorf("%s: not while following", ParamSummary)
	case q.Summary != "" && !q.Format.row().summary:
		p.err = fmt.Errorf("%s: not with format %s", ParamSummary, q.Format)
	case q.Failed && q.Successful:
		p.err = fmt.Errorf("%s: nothing is %s, too", ParamFailed, ParamSuccess)
	}
	if p.err == nil {
		n = size{}
		n.add(&q)
		p.err = n.check()
	}
	if p.err != nil {
		return Query{}, p.err
	}
	return q, nil
}

// Values returns the parameters that ParseQuery reads as q.
func (q Query) Values() url.Values {
	v := make(url.Values)
	set := func(name, value string, is bool) {
		if is {
			v.Add(name, value)
		}
	}
	set(ParamSince, q.Since.String(), !q.Since.IsZero())
	set(ParamUntil, q.Until.String(), !q.Until.IsZero())
	set(ParamLast, strconv.Itoa(q.Last), q.Last > 0)
	for _, id := range q.Pids {
		set(ParamPid, strconv.FormatUint(uint64(id), 10), true)
	}
	for _, id := range q.Tids {
		set(ParamTid, strconv.FormatUint(uint64(id), 10), true)
	}
	set(ParamFailed, "true", q.Failed)
	set(ParamSuccess, "true", q.Successful)
	for _, path := range q.Paths {
		set(ParamPath, path, true)
	}
	for _, e := range q.Exprs {
		set(ParamExpr, e.String(), true)
	}
	set(ParamFormat, string(q.Format), q.Format != "")
	set(ParamFollow, "true", q.Follow)
	set(ParamHostPids, "true", q.HostPids)
	set(ParamTime, string(q.Time), q.Time != "")
	set(ParamDuration, "false", q.NoDuration)
	set(ParamFds, "true", q.Fds)
	set(ParamSummary, string(q.Summary), q.Summary != "")
	set(ParamStrings, strconv.Itoa(q.StringLimit), q.StringLimit > 0)
	set(ParamBigInts, "true", q.BigStrings)
	return v
}

// Absolute returns q with times of day and times without a zone as those of
// someone in zone loc at the time now, so that q can be asked elsewhere.
func (q Query) Absolute(now time.Time, loc *time.Location) Query {
	q.Since, q.Until = q.Since.absolute(now, loc), q.Until.absolute(now, loc)
	return q
}

// Memory is about how many bytes it takes at most to show a dump of a ring of so many as q
// wants it, beside the dump: 0 if it is passed on as it is, or if q has no Format.
func (q Query) Memory(ring uint64) uint64 {
	if q.Format == "" || q.Format == FormatRaw && !q.Filtered() {
		return 0
	}
	n := uint64(2<<20) + ring/2 // the guard lane with its indexes, threads, lines
	const event = 8             // times what a small record takes
	switch {
	case q.Format == FormatStrace:
		n += event * ring
	case q.Last > 0:
		n += min(uint64(q.Last)*512, event*ring)
	}
	if q.Fds || len(q.Paths) > 0 {
		n += min(maxKnown, 8*ring)
	}
	return n
}

// Filtered reports whether q leaves anything out.
func (q Query) Filtered() bool { return len(q.filter()) > 0 }

// filter returns the parameters of q that leave something out.
func (q Query) filter() url.Values {
	q.Format, q.Follow, q.Time, q.NoDuration, q.Fds, q.Summary = "", false, "", false, false, ""
	q.StringLimit, q.BigStrings = 0, false
	v := q.Values()
	if len(q.Pids)+len(q.Tids) == 0 {
		v.Del(ParamHostPids) // changes the output only
	}
	return v
}

// describe shows parameters to people.
func describe(v url.Values) string {
	var words []string
	for _, name := range []string{ParamSince, ParamUntil, ParamLast, ParamPid, ParamTid, ParamFailed, ParamSuccess, ParamPath, ParamExpr, ParamHostPids} {
		for _, value := range v[name] {
			if value == "true" {
				words = append(words, name)
			} else {
				words = append(words, name+"="+value)
			}
		}
	}
	return strings.Join(words, " ")
}

// asked returns the queries with which a dump was made, see dump.Header.Filter.
// Those that a later version asked are beyond us, and so is what they left out.
// An error wraps ErrTooLarge: recorderd and recorderctl write no such header.
func asked(h *dump.Header) ([]Query, error) {
	var queries []Query
	var n size
	seen := map[string]bool{}
	for s := range strings.FieldsSeq(h.Filter) {
		if seen[s] {
			continue
		}
		if len(seen) == maxFilters {
			return nil, fmt.Errorf("%w: it was made with more than %d filters", ErrTooLarge, maxFilters)
		}
		seen[s] = true
		v, err := url.ParseQuery(s)
		if err != nil {
			continue
		}
		q, err := ParseQuery(v)
		var much *tooMuch
		if err == nil {
			n.add(&q)
			err = n.check()
		}
		if errors.As(err, &much) {
			return nil, fmt.Errorf("%w: its filters have %w", ErrTooLarge, much)
		}
		if err == nil {
			queries = append(queries, q)
		}
	}
	return queries, nil
}

type parser struct {
	v   url.Values
	err error
}

func (p *parser) each(name string, set func(string) error) {
	for _, s := range p.v[name] {
		if err := set(s); err != nil && p.err == nil {
			p.err = fmt.Errorf("%s: %w", name, err)
		}
	}
}

func (p *parser) one(name string, set func(string) error) {
	if n := len(p.v[name]); n > 1 && p.err == nil {
		p.err = fmt.Errorf("%s: given %d times", name, n)
	}
	p.each(name, set)
}

func boolean(b *bool) func(string) error {
	return func(s string) error {
		v, err := strconv.ParseBool(s)
		if s == "" { // ?failed
			v, err = true, nil
		}
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		*b = v
		return nil
	}
}

func addID(ids *[]uint32, s string) error {
	n, err := strconv.ParseUint(s, 10, 31)
	if err == nil && n == 0 {
		return fmt.Errorf("0 is no id")
	}
	*ids = append(*ids, uint32(n))
	return numError(s, err)
}

func numError(s string, err error) error {
	if err != nil {
		return fmt.Errorf("%q is no number from 0 to %d", s, 1<<31-1)
	}
	return nil
}

// filter is a Query applied to one dump.
type filter struct {
	since, until uint64 // ns, CLOCK_MONOTONIC
	end          uint64
	pids, tids   []uint32
	host, failed bool
	successful   bool
	paths        []string
	calls        *callSet
	arch         record.Arch
}

// filtersOf returns the filters that an event must pass: of a query, and of those
// with which the dump was made, since that left in what others need.
func filtersOf(q *Query, made []Query, h *dump.Header, loc *time.Location) []*filter {
	var filters []*filter
	for _, q := range append(slices.Clip(made), *q) {
		if q.Filtered() {
			filters = append(filters, newFilter(&q, h, loc))
		}
	}
	return filters
}

func newFilter(q *Query, h *dump.Header, loc *time.Location) *filter {
	f := &filter{
		until: 1<<64 - 1,
		end:   h.Clock.Monotonic(endOf(h)),
		pids:  q.Pids, tids: q.Tids, host: q.HostPids,
		failed: q.Failed, successful: q.Successful, paths: q.Paths,
		calls: compile(q.Exprs),
		arch:  h.Arch,
	}
	if !q.Since.IsZero() {
		f.since = h.Clock.Monotonic(q.Since.Time(endOf(h), loc))
	}
	if !q.Until.IsZero() {
		f.until = h.Clock.Monotonic(q.Until.Time(endOf(h), loc))
	}
	return f
}

// wants reports whether an event is to be shown.
func (f *filter) wants(ev *Event) bool {
	if ev.State == Blocked {
		// from its start until the end
		if ev.Start > f.until || f.end < f.since {
			return false
		}
	} else if ev.Time < f.since || ev.Time > f.until {
		return false
	}
	if len(f.pids) > 0 && !f.is(f.pids, ev.Task, ev.Task.Info.Tgid, ev.Task.Info.NsTgid) {
		return false
	}
	if len(f.tids) > 0 && !f.is(f.tids, ev.Task, ev.Task.Info.Tid, ev.Task.Info.NsTid) {
		return false
	}
	if f.failed && !ev.shownAsFailed() {
		return false
	}
	if !kinds[ev.Kind].calls {
		return true
	}
	switch {
	case f.successful && (ev.State != Finished || ev.Failure()):
		return false
	case len(f.paths) > 0 && !ev.concerns(f.paths):
		return false
	}
	return f.calls == nil || f.calls.has(f.arch.ABI(ev.Rec.Flags), ev.Rec.Nr)
}

// shownAsFailed reports whether --failed shows an event.
func (ev *Event) shownAsFailed() bool {
	switch kinds[ev.Kind].failed {
	case failedError:
		return ev.Failure()
	case failedStatus:
		return ev.Rec.Ret != 0
	case failedAlways:
		return true
	case failedNever:
		return false
	}
	return true
}

func (f *filter) is(ids []uint32, t *Task, host, ns uint32) bool {
	id := ns
	if f.host {
		id = host
	}
	return id != 0 && slices.Contains(ids, id)
}
