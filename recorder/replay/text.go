package replay

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/columns"
	"github.com/recorderd/recorderd/recorder/dump"
)

// textSink writes lines for people. Their times are those at which calls returned,
// so that they are in order; calls without an end have the time of their start.
type textSink struct {
	*lines
	format formatter
	clock  stamper
	brief  bool   // no durations
	taken  uint64 // when the dump was taken, ns
	host   bool
	colour bool
	quiet  bool

	guard   bool   // the last line was only in the guard lane
	blocked bool   // the calls in progress have begun
	shown   bool   // there was a line
	width   int    // of the widest [pid …] so far
	painted []byte // a line before it has colours
	lost    uint64 // while following, as the last header said
}

func newText(out *lines, h *dump.Header, o *Options) *textSink {
	t := &textSink{
		lines: out, format: newFormatter(h), clock: newStamper(h, o, StampClock), brief: o.NoDuration,
		taken: h.Clock.Monotonic(h.Taken), host: o.HostPids, colour: o.Colour, quiet: o.Quiet,
	}
	t.format.opt.StringLimit = o.StringLimit
	if o.Fds {
		t.format.decodeFds()
	}
	if !t.quiet {
		t.header(h, o)
	}
	return t
}

func (t *textSink) event(ev *Event) error {
	if kinds[ev.Kind].shown.silent {
		return nil
	}
	t.gap(ev)
	t.shown = true
	before := len(t.buf)
	t.paint(dim)
	at := len(t.buf)
	var newDay bool
	if ev.State == Blocked && ev.NoDur() {
		t.buf = t.clock.unknown(t.buf)
	} else if t.buf, newDay = t.clock.append(t.buf, ev.Time); newDay && !t.quiet {
		t.buf = t.buf[:before]
		t.comment("%s", t.clock.time(ev.Time).Format("2006-01-02 MST"))
		t.paint(dim)
		at = len(t.buf)
		t.buf, _ = t.clock.append(t.buf, ev.Time)
	}
	t.who(ev, at)
	t.paint(plain)
	if info := &kinds[ev.Kind]; info.calls {
		start := len(t.buf)
		t.buf = t.format.call(t.buf, ev, start)
		if t.colour {
			t.paintCall(start, ev)
		}
		t.duration(ev)
	} else {
		t.paint(info.shown.colour(ev))
		t.buf = info.shown.text(&t.format, t.buf, ev)
	}
	t.paint(plain)
	t.buf = append(t.buf, '\n')
	return t.done()
}

func (t *textSink) duration(ev *Event) {
	switch {
	case t.brief:
	case ev.State == Blocked && !ev.NoDur() && t.taken >= ev.Start:
		t.paint(dim)
		t.buf = append(t.buf, " <blocked for "...)
		t.buf = append(appendSeconds(t.buf, t.taken-ev.Start), '>')
	case ev.State == Killed && ev.Time > ev.Start:
		t.paint(dim)
		t.buf = append(t.buf, " <"...)
		t.buf = append(appendSeconds(t.buf, ev.Time-ev.Start), '>')
	case ev.State == Finished && !ev.NoDur():
		t.paint(dim)
		t.buf = append(t.buf, " <"...)
		t.buf = append(appendSeconds(t.buf, ev.Rec.Dur), '>')
	}
}

// gap marks what a reader would not expect between two lines.
func (t *textSink) gap(ev *Event) {
	switch {
	case ev.Guard && !t.shown:
		t.comment("… older: only exec, exit, signals, failed calls and last words are kept …")
	case t.guard && !ev.Guard:
		t.comment("… from here on every call is kept …")
	}
	t.guard = ev.Guard
	if ev.State == Blocked && !t.blocked {
		t.blocked = true
		t.comment("… in progress when the dump was taken …")
	}
}

// who appends "[pid 7 nginx] ", at least as wide as the last ones. at: where the line begins.
func (t *textSink) who(ev *Event, at int) {
	pid, tid := ev.Task.IDs(t.host)
	switch {
	case !ev.Task.Known:
		t.buf = append(t.buf, "[host tid "...)
		t.buf = appendUint(t.buf, uint64(tid))
	default:
		if t.host || !ev.Task.InContainer() {
			t.buf = append(t.buf, "[host pid "...)
		} else {
			t.buf = append(t.buf, "[pid "...)
		}
		t.buf = appendUint(t.buf, uint64(pid))
		if tid != pid {
			t.buf = append(t.buf, '/')
			t.buf = appendUint(t.buf, uint64(tid))
		}
	}
	if name := ev.Comm.Bytes(); len(name) > 0 {
		t.buf = append(t.buf, ' ')
		from := len(t.buf)
		t.buf = appendSafe(t.buf, name)
		at += wider(t.buf[from:])
	}
	t.buf = append(t.buf, ']')
	if width := len(t.buf) - at; width > t.width {
		t.width = width
	}
	for len(t.buf)-at <= t.width {
		t.buf = append(t.buf, ' ')
	}
}

// wider is how many bytes more than columns of a terminal a name takes.
func wider(name []byte) int {
	for _, c := range name {
		if c >= utf8.RuneSelf {
			return len(name) - columns.Width(string(name))
		}
	}
	return 0
}

// appendSafe appends a name that may hold anything, without what a terminal would obey.
func appendSafe(b, name []byte) []byte {
	for len(name) > 0 {
		r, n := utf8.DecodeRune(name)
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) {
			b = append(b, '?')
		} else {
			b = append(b, name[:n]...)
		}
		name = name[n:]
	}
	return b
}

func safe(s string) string { return string(appendSafe(nil, []byte(s))) }

func (t *textSink) comment(format string, args ...any) { t.remark(dim, format, args...) }

// warn is a comment about something that is missing.
func (t *textSink) warn(format string, args ...any) { t.remark(yellow, format, args...) }

func (t *textSink) remark(colour, format string, args ...any) {
	t.paint(colour)
	t.buf = append(t.buf, "# "...)
	t.buf = fmt.Appendf(t.buf, format, args...)
	t.paint(plain)
	t.buf = append(t.buf, '\n')
}

// again says what a later header adds: what was lost while following, and how it ended.
func (t *textSink) again(h *dump.Header) error {
	if lost := h.Recording.Coverage.Overwritten; lost > t.lost {
		t.warn("… %s records were overwritten before they could be read …", Thousands(lost-t.lost))
		t.lost = lost
	}
	if h.Recording.Ended != nil && !t.quiet {
		t.line("ended", "%s", ending(&h.Recording, t.day))
	}
	return t.done()
}

// damage marks where something is missing, also when comments are left out.
func (t *textSink) damage(d *dump.Damage) error {
	t.warn("… %s …", safe(d.String()))
	return t.done()
}

func (t *textSink) end(s *Stats, err error) error {
	if !t.quiet {
		if !t.shown && err == nil {
			t.comment("nothing fits")
		}
		if s.Invalid > 0 {
			t.warn("%s records made no sense", Thousands(s.Invalid))
		}
		if s.Unknown > 0 {
			t.warn("%s records are of types that this version does not know: use a newer recorderctl",
				Thousands(s.Unknown))
		}
		if err != nil {
			t.warn("%s", safe(err.Error()))
		}
	}
	return t.write()
}

// header writes who was recorded, how it ended and what there is of it.
func (t *textSink) header(h *dump.Header, o *Options) {
	r := &h.Recording
	t.line("recording", "%s", title(r, h))
	if in := Around(r); in != "" {
		t.line("inside", "%s", in)
	}
	if c := r.Container; c.ID != "" && !r.Nameless() {
		t.line("container", "%s, image %s", strings.Join(nonEmpty(c.Runtime, c.ID), "://"), orElse(c.Image, "unknown"))
	}
	t.line("cgroup", "%s", orElse(r.Container.Cgroup, "unknown"))
	if len(r.Container.Command) > 0 {
		t.line("command", "%s", command(r.Container.Command))
	}
	t.line("started", "%s", t.day(r.Started))
	if r.Ended != nil || r.Exit != nil {
		t.line("ended", "%s", ending(r, t.day))
	}
	if r.GoesOnAs != "" {
		t.line("goes on", "as %s", r.GoesOnAs)
	}
	t.line("covers", "%s", coverage(&r.Coverage, t.clock.loc))
	if s := missing(r); s != "" {
		t.line("lacks", "%s", s)
	}
	t.line("taken", "%s by recorderd %s on %s (Linux %s, %s)", t.day(h.Taken), orElse(h.Version, "unknown"),
		orElse(h.Node, orElse(r.Node, "unknown")), orElse(h.Kernel, "unknown"), h.Arch)
	if o.Fds || len(o.Paths) > 0 {
		known := newFiles()
		if known.header(h); known.off != "" {
			t.line("unknown", "what descriptors are open on: %s", known.off)
		}
	}
	made, _ := asked(h) // walk has seen the error
	for _, q := range append(made, o.Query) {
		if q.Filtered() {
			t.line("filter", "%s", describe(q.filter()))
		}
	}
	t.paint(dim)
	t.buf = append(t.buf, '#')
	t.paint(plain)
	t.buf = append(t.buf, '\n')
}

func (t *textSink) line(name, format string, args ...any) {
	t.comment("%-10s %s", name, safe(fmt.Sprintf(format, args...)))
}

func (t *textSink) day(at time.Time) string {
	return at.In(t.clock.loc).Format("2006-01-02 15:04:05.000 MST")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func nonEmpty(s ...string) []string {
	var kept []string
	for _, v := range s {
		if v != "" {
			kept = append(kept, v)
		}
	}
	return kept
}

func title(r *api.Recording, h *dump.Header) string {
	var b strings.Builder
	b.WriteString(orElse(r.ID, "unknown"))
	if r.Container.Name != "" {
		b.WriteString(": container " + r.Container.Name)
	}
	if p := r.Pod; p != nil {
		b.WriteString(", pod " + strings.Join(nonEmpty(p.Namespace, p.Name), "/"))
	}
	if node := orElse(r.Node, h.Node); node != "" {
		b.WriteString(", node " + node)
	}
	b.WriteString(" (" + string(r.State))
	if r.Frozen {
		b.WriteString(", frozen")
	}
	b.WriteString(")")
	return b.String()
}

// Around says which container is around one that was made in another, "" if none is.
func Around(r *api.Recording) string {
	in := r.Inside
	if in == nil {
		return ""
	}
	s := orElse(in.Container.Name, orElse(in.Container.Cgroup, "unknown"))
	if p := in.Pod; p != nil && p.Name != "" {
		s += " of pod " + strings.Join(nonEmpty(p.Namespace, p.Name), "/")
	}
	if in.Recording != "" {
		s += " (" + in.Recording + ")"
	}
	if r.Nameless() {
		s += "; no runtime of the node knows this one"
	}
	return s
}

// command joins an argv as a shell would need it.
func command(argv []string) string {
	var b strings.Builder
	for i, arg := range argv {
		if i > 0 {
			b.WriteByte(' ')
		}
		if arg != "" && strings.IndexFunc(arg, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-./:=,+@%^", r)
		}) < 0 {
			b.WriteString(arg)
		} else {
			b.WriteString(strconv.Quote(arg))
		}
	}
	return b.String()
}

func ending(r *api.Recording, day func(time.Time) string) string {
	var parts []string
	at := r.Ended
	if x := r.Exit; x != nil {
		if at == nil {
			at = &x.At
		}
		switch {
		case x.Signal != "" && x.CoreDumped:
			parts = append(parts, "killed by "+x.Signal+" (core dumped)")
		case x.Signal != "":
			parts = append(parts, "killed by "+x.Signal)
		default:
			parts = append(parts, "exit code "+strconv.Itoa(x.Code))
		}
		if x.OOMKilled {
			parts = append(parts, "out of memory")
		}
		if text := x.Deliberately(); text != "" {
			parts = append(parts, text)
		}
	}
	when := "when is not known" // runtimes do not always tell
	if !at.IsZero() {
		when = day(*at)
	}
	return strings.Join(append([]string{when}, parts...), ", ")
}

func coverage(c *api.Coverage, loc *time.Location) string {
	return covered(c, loc) + began(c)
}

// began says what cannot be in a recording, if it began with processes that ran already.
func began(c *api.Coverage) string {
	if !c.BeganLate {
		return ""
	}
	s := "; processes ran already when it began"
	if d := time.Duration(min(c.BeganLateNs, math.MaxInt64)); d > 0 {
		unit := time.Millisecond
		if d >= time.Minute {
			unit = time.Second
		}
		s += ", the first for " + max(d.Truncate(unit), unit).String()
	}
	return s
}

func covered(c *api.Coverage, loc *time.Location) string {
	if c.From == nil || c.To == nil {
		return fmt.Sprintf("nothing: %s calls written", Thousands(c.Written))
	}
	from, to := c.From.In(loc), c.To.In(loc)
	end := to.Format("15:04:05.0")
	if from.YearDay() != to.YearDay() || from.Year() != to.Year() {
		end = to.Format("2006-01-02 15:04:05.0")
	}
	return fmt.Sprintf("%s to %s, %s of %s calls, %s overwritten", from.Format("2006-01-02 15:04:05.0"), end,
		Thousands(c.Kept), Thousands(c.Written), Thousands(c.Overwritten))
}

// missing says what else a recording lacks.
func missing(r *api.Recording) string {
	var parts []string
	for _, c := range api.RecordingCounters {
		if n := *c.Of(r); n > 0 {
			parts = append(parts, Thousands(n)+" "+c.Text)
		}
	}
	return strings.Join(parts, ", ")
}

// Thousands groups digits: 2,000,113.
func Thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
