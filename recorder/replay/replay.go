// Package replay turns a dump into lines: text for people, what strace would have
// written, JSON, a Chrome trace, or a dump again. It puts together what belongs together (both
// lanes, the records of one execve, threads and their names), filters it, and
// streams: its memory does not grow with the dump, but for strace's order and for
// the last so many lines.
package replay

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/recorderd/recorderd/recorder/dump"
)

// Options are how to show a dump.
type Options struct {
	Query
	// Location is the zone of times of day, in the query and in text; nil is UTC.
	Location *time.Location
	// Colour is for terminals.
	Colour bool
	// Quiet leaves out text's comments (lines that begin with "#") but the marks of gaps.
	Quiet bool
	// Flush is called after what is new while following has been written; nil: not.
	Flush func() error
}

// Run reads a dump to its end and writes it to w.
//
// An error of the dump (see dump.Reader) comes after everything that could be
// read has been written; errors of w come as they are.
func Run(w io.Writer, r *dump.Reader, o Options) (Stats, error) {
	if o.Location == nil {
		o.Location = time.UTC
	}
	out := &lines{w: w, flush: o.Flush}
	if o.Summary != "" && o.Format != FormatRaw {
		return walk(r, &o.Query, o.Location, func(h *dump.Header) (sink, error) { return newSummary(out, h, &o), nil })
	}
	row := o.Format.row()
	switch {
	case row == nil:
		return Stats{}, fmt.Errorf("format %q is none of %s", o.Format, formatList())
	case row.open == nil:
		return copyRaw(w, r, &o)
	}
	return walk(r, &o.Query, o.Location, func(h *dump.Header) (sink, error) { return row.open(out, h, &o) })
}

// lines gathers lines and writes them in large pieces.
type lines struct {
	w     io.Writer
	buf   []byte
	flush func() error
}

const lineBuffer = 64 << 10

// done is called when a line in buf is complete.
func (l *lines) done() error {
	if len(l.buf) < lineBuffer {
		return nil
	}
	return l.write()
}

func (l *lines) write() error {
	if len(l.buf) == 0 {
		return nil
	}
	_, err := l.w.Write(l.buf)
	l.buf = l.buf[:0]
	if cap(l.buf) > 16*lineBuffer {
		l.buf = nil
	}
	return err
}

func (l *lines) mark(live bool) error {
	if !live {
		return nil
	}
	if err := l.write(); err != nil {
		return err
	}
	if l.flush != nil {
		return l.flush()
	}
	return nil
}

// stamper writes the times of lines as Query.Time has it.
type stamper struct {
	wallClock
	form Stamps
	last uint64 // of StampRelative
	any  bool
}

func newStamper(h *dump.Header, o *Options, form Stamps) stamper {
	if o.Time != "" {
		form = o.Time
	}
	return stamper{wallClock: newWallClock(h, o.Location), form: form}
}

// append appends a time and a blank. newDay: it is a time of day, and of another day than the last one.
func (c *stamper) append(b []byte, mono uint64) (_ []byte, newDay bool) {
	switch c.form {
	case StampNone:
		return b, false
	case StampUnix:
		sec, ns := c.split(mono)
		b = append(appendInt(b, sec), '.')
		b = appendMicros(b, ns)
	case StampRelative:
		var since uint64
		if c.any && mono > c.last {
			since = mono - c.last
		}
		c.last, c.any = mono, true
		// as wide as strace has it
		for limit := uint64(1e14); limit > 1e9 && since < limit; limit /= 10 {
			b = append(b, ' ')
		}
		b = appendSeconds(b, since)
	default:
		start := len(b)
		b, newDay = c.appendClock(b, mono)
		if c.form == StampSeconds {
			b = b[:start+len("15:04:05")]
		}
	}
	return append(b, ' '), newDay
}

// unknown appends blanks in the place of a time.
func (c *stamper) unknown(b []byte) []byte {
	switch c.form {
	case StampNone:
		return b
	case StampSeconds:
		return append(b, "--:--:-- "...)
	case StampClock:
		return append(b, "--:--:--.------ "...)
	}
	return append(b, "- "...)
}

// wallClock writes the times of records as times of day.
type wallClock struct {
	base   int64 // ns since 1970 at CLOCK_MONOTONIC 0
	loc    *time.Location
	second int64 // for which clock and day are
	clock  [8]byte
	day    int // of the year, and the year
}

func newWallClock(h *dump.Header, loc *time.Location) wallClock {
	return wallClock{base: h.Clock.Realtime.UnixNano() - int64(h.Clock.MonotonicNs), loc: loc, second: -1 << 63}
}

// split returns a record's time in seconds since 1970 and ns.
func (c *wallClock) split(mono uint64) (sec int64, ns uint32) {
	t := c.base + int64(mono)
	sec = t / 1e9
	rest := t % 1e9
	if rest < 0 {
		sec, rest = sec-1, rest+1e9
	}
	return sec, uint32(rest)
}

func (c *wallClock) time(mono uint64) time.Time {
	sec, ns := c.split(mono)
	return time.Unix(sec, int64(ns)).In(c.loc)
}

// appendClock appends "15:04:05.123456". newDay: this is another day than the last time.
func (c *wallClock) appendClock(b []byte, mono uint64) (_ []byte, newDay bool) {
	sec, ns := c.split(mono)
	if sec != c.second {
		t := time.Unix(sec, 0).In(c.loc)
		t.AppendFormat(c.clock[:0], "15:04:05")
		day := t.Year()*400 + t.YearDay()
		newDay = day != c.day
		c.second, c.day = sec, day
	}
	b = append(b, c.clock[:]...)
	b = append(b, '.')
	return appendMicros(b, ns), newDay
}

func appendUint(b []byte, v uint64) []byte { return strconv.AppendUint(b, v, 10) }
func appendInt(b []byte, v int64) []byte   { return strconv.AppendInt(b, v, 10) }

// appendMicros appends the six digits of ns in microseconds.
func appendMicros(b []byte, ns uint32) []byte {
	us := ns / 1000
	return append(b, byte('0'+us/100000), byte('0'+us/10000%10), byte('0'+us/1000%10),
		byte('0'+us/100%10), byte('0'+us/10%10), byte('0'+us%10))
}

// appendSeconds appends a duration in ns as seconds with six decimals.
func appendSeconds(b []byte, ns uint64) []byte {
	b = appendUint(b, ns/1e9)
	b = append(b, '.')
	return appendMicros(b, uint32(ns%1e9))
}
