package postmortem

import (
	"bytes"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
	"github.com/recorderd/recorderd/recorder/replay"
	"github.com/recorderd/recorderd/recorder/syscalls"
)

// output puts the lines together that processes write piece by piece.
type output struct {
	lines []Line // a ring once it is full
	at    int
	more  uint64
	open  []*piece
	heads []Line // of those that the ring has no more, the last that say why
}

// piece is a line whose end has not been written.
type piece struct {
	line Line
	host uint32
	text []byte
}

const (
	maxPieces   = 128 // lines that are being written
	maxLineText = 1024
	maxHeads    = 8
	stdout      = 1
	stderr      = 2
)

// streams follows what becomes of stdout and stderr in a process, and takes what is written to them.
func (b *builder) streams(ev *replay.Event, p *proc, name string) {
	rec := &ev.Rec
	c := ev.Call()
	if c == nil || ev.NoArgs {
		return
	}
	from, to := int32(rec.Args[0]), int32(rec.Ret)
	switch name {
	case "dup", "dup2", "dup3":
		p.duplicate(from, to)
		return
	case "fcntl", "fcntl64":
		const dupFd, dupFdCloexec = 0, 1030
		if cmd := rec.Args[1] & 0xffffffff; cmd == dupFd || cmd == dupFdCloexec {
			p.duplicate(from, to)
		}
		return
	case "close":
		delete(p.streams, from)
		return
	}
	if c.Ret != nil && c.Ret.Kind == syscalls.KindFd && ev.Kind == replay.KindCall {
		delete(p.streams, to)
		return
	}
	if c.Flags&syscalls.FlagWrite == 0 || rec.Ret <= 0 {
		return
	}
	stream := p.streams[from]
	fd, known := ev.FD(from)
	if stream == 0 && (!known || from != stdout && from != stderr) {
		return // neither is it, nor was it
	}
	target := ""
	if stream == 0 || known && fd.Text != "" {
		target = replay.Safe(fd.Text)
	}
	if stream == 0 {
		stream = uint8(from)
	}
	if target == "/dev/null" {
		return // that is nobody's output
	}
	for i, it := range rec.Items {
		if it.Kind != layout.ItemData && it.Kind != layout.ItemIovdata {
			continue
		}
		// The end may hold some of what the pieces do, too.
		end := tailOf(rec, it.Arg)
		last := max(rec.Ret-int64(len(end)), 0)
		at, shown := int64(0), int64(0)
		for _, piece := range rec.Pieces(i) {
			of := piece.Of
			if of < 0 {
				of = rec.Ret
			}
			stop := min(at+of, last)
			data := piece.Data[:max(min(int64(len(piece.Data)), stop-at), 0)]
			if len(data) > 0 {
				shown = at + int64(len(data))
				b.out.write(b, ev, p, stream, target, data, shown < stop)
			}
			at += of
		}
		if shown < last && len(end) > 0 {
			end = append([]byte("…"), end...)
		}
		if len(end) > 0 {
			b.out.write(b, ev, p, stream, target, end, false)
		}
	}
}

// tailOf returns the end of what was written, if it is longer than what is kept of its beginning.
func tailOf(rec *record.Record, arg uint8) []byte {
	for _, it := range rec.Items {
		if it.Kind == layout.ItemTail && it.Arg == arg {
			return it.Data
		}
	}
	return nil
}

// duplicate says that a descriptor is now what another one is.
func (p *proc) duplicate(from, to int32) {
	const most = 256
	if s := p.streams[from]; s != 0 && len(p.streams) < most {
		p.streams[to] = s
	} else if from != to {
		delete(p.streams, to)
	}
}

// write takes what a process has written. cut: not all of it was captured.
func (o *output) write(b *builder, ev *replay.Event, p *proc, stream uint8, target string, data []byte, cut bool) {
	name := "stdout"
	if stream == stderr {
		name = "stderr"
	}
	i := slices.IndexFunc(o.open, func(q *piece) bool { return q.host == p.host && q.line.Stream == name && q.line.To == target })
	var q *piece
	if i >= 0 {
		q = o.open[i]
		o.open = slices.Delete(o.open, i, i+1)
	} else {
		q = &piece{host: p.host, line: Line{Pid: p.Pid, Comm: b.commOf(ev), Stream: name, To: target,
			host: p.host}}
	}
	for len(data) > 0 {
		part, end := data, false
		if n := bytes.IndexAny(data, "\r\n"); n >= 0 {
			part, end = data[:n], true
			if data[n] == '\r' && bytes.HasPrefix(data[n+1:], []byte("\n")) {
				n++
			}
			data = data[n+1:]
		} else {
			data = nil
		}
		q.line.Time, q.line.ns = b.time(ev.Time), ev.Time
		if room := maxLineText - len(q.text); len(part) > room {
			part, q.line.Cut = part[:max(room, 0)], true
		}
		q.text = append(q.text, part...)
		q.line.guard = ev.Guard
		if end {
			b.signOfEnd(p, ev.Time, q.text)
			o.add(q)
			q = &piece{host: q.host, line: Line{Pid: q.line.Pid, Comm: q.line.Comm,
				Stream: q.line.Stream, To: q.line.To, host: q.host}}
		}
	}
	if cut {
		// What follows is another part of the text, nobody knows of which line.
		q.line.Time, q.line.ns, q.line.Cut, q.line.guard = b.time(ev.Time), ev.Time, true, ev.Guard
		o.add(q)
		return
	}
	if len(q.text) == 0 && !q.line.Cut {
		return
	}
	if len(o.open) >= maxPieces {
		o.add(o.open[0])
		o.open = slices.Delete(o.open, 0, 1)
	}
	o.open = append(o.open, q)
}

// add takes a line that is complete.
func (o *output) add(q *piece) {
	if len(q.text) == 0 && !q.line.Cut {
		return
	}
	q.line.Text = printable(q.text)
	if len(o.lines) < maxLines {
		o.lines = append(o.lines, q.line)
		return
	}
	if old := o.lines[o.at]; heads(old.Text) > 0 {
		if len(o.heads) >= maxHeads {
			o.heads = append(o.heads[:0], o.heads[1:]...)
		}
		o.heads = append(o.heads, old)
	}
	o.lines[o.at] = q.line
	o.at = (o.at + 1) % maxLines
	o.more++
}

// all returns the last lines, also those without an end, the oldest first.
func (o *output) all() []Line {
	for _, q := range o.open {
		o.add(q)
	}
	o.open = nil
	lines := append(slices.Clone(o.lines[o.at:]), o.lines[:o.at]...)
	slices.SortStableFunc(lines, func(x, y Line) int {
		switch {
		case x.ns < y.ns:
			return -1
		case x.ns > y.ns:
			return 1
		}
		return 0
	})
	return lines
}

// printable escapes what a terminal would obey and what is no text.
func printable(b []byte) string {
	var s []byte
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			s = fmt.Appendf(s, `\x%02x`, b[0])
		case r == '\t' || r == '\\' || unicode.IsPrint(r):
			s = append(s, b[:n]...)
		case r < 0x80:
			s = fmt.Appendf(s, `\x%02x`, r)
		default: // bidirectional overrides, C1 controls, unassigned ones
			s = fmt.Appendf(s, `\u%04x`, r)
		}
		b = b[n:]
	}
	return string(s)
}
