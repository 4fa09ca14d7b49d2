package postmortem

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/recorderd/recorderd/internal/columns"
	"github.com/recorderd/recorderd/recorder/replay"
)

// TextOptions say how WriteText shows a report.
type TextOptions struct {
	Width    int            // columns, at least 40; 0: lines are as long as they are
	Colour   bool           // for terminals
	Location *time.Location // of times of day; nil: UTC
	// Command is what shows the recording itself, such as "recorderctl dump web"; the
	// commands for what is left out begin with it.
	Command string
}

// unlimited is wider than any line.
const unlimited = 1 << 30

// How much of each list the screen has.
const (
	screenSigns   = 6
	screenLines   = 8
	screenBlocked = 6
	screenList    = 5
	screenRows    = 3 // of one line of output
)

// ANSI escape sequences.
const (
	plain  = "\x1b[0m"
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
)

// WriteText writes a report for one screen. Nothing that the container has made up can
// reach the terminal as an escape sequence.
func WriteText(w io.Writer, r *Report, o TextOptions) error {
	t := newScreen(r, o, unlimited)
	t.head()
	t.signs()
	t.chain()
	t.output()
	t.blocked()
	t.failures()
	t.slowest()
	t.files()
	t.peers()
	t.processes()
	t.coverage()
	_, err := io.WriteString(w, t.b.String())
	return err
}

type screen struct {
	b strings.Builder
	o TextOptions
	r *Report
}

// newScreen is a screen for a report, nil for none. wide is how many columns it has if o does not
// say.
func newScreen(r *Report, o TextOptions, wide int) *screen {
	if o.Width <= 0 {
		o.Width = wide
	}
	o.Width = max(o.Width, 40)
	if o.Location == nil {
		o.Location = time.UTC
	}
	return &screen{o: o, r: r}
}

// line writes a line, cut at the width, in a colour if that is wanted.
func (t *screen) line(colour, text string) { t.write(colour, columns.Cut(clean(text), t.o.Width)) }

// clean is a text as a terminal may have it.
func clean(text string) string {
	return replay.Safe(strings.ReplaceAll(text, "\t", "    "))
}

// least is how many columns what matters of a line has at least, however narrow the terminal is.
const least = 24

// fitted writes a line whose middle is shortened so that its beginning and its end stay whole.
func (t *screen) fitted(colour, before, text string, shorten func(string, int) string, after string) {
	before, text, after = clean(before), clean(text), clean(after)
	room := max(t.o.Width-columns.Width(before)-columns.Width(after), least)
	t.line(colour, before+shorten(text, room)+after)
}

// call writes a line with a call behind some words.
func (t *screen) call(colour, before, call, after string) {
	t.fitted(colour, before, call, fitCall, after)
}

// write writes a line as it is.
func (t *screen) write(colour, text string) {
	if t.o.Colour && colour != "" {
		text = colour + text + plain
	}
	t.b.WriteString(strings.TrimRight(text, " "))
	t.b.WriteByte('\n')
}

func (t *screen) title(format string, args ...any) {
	t.b.WriteByte('\n')
	t.line(bold, fmt.Sprintf(format, args...))
}

// more says how to see what a section leaves out.
func (t *screen) more(n uint64, args string) {
	if n == 0 {
		return
	}
	text := "  and " + replay.Thousands(n) + " more"
	if t.o.Command != "" {
		text += ": " + t.o.Command
		if args != "" {
			text += " " + args
		}
	}
	t.write(dim, clean(text)) // to be copied: it is never cut
}

func (t *screen) clock(at time.Time) string { return at.In(t.o.Location).Format("15:04:05.000") }

func (t *screen) day(at time.Time) string {
	return at.In(t.o.Location).Format("2006-01-02 15:04:05.000 MST")
}

func who(pid, tid uint32, comm string) string {
	s := strconv.FormatUint(uint64(cmp.Or(pid, tid)), 10)
	if tid != 0 && tid != pid && pid != 0 {
		s += "/" + strconv.FormatUint(uint64(tid), 10)
	}
	if comm != "" {
		s += " " + comm
	}
	return "[" + s + "]"
}

func (t *screen) head() {
	r := t.r
	rec := r.Recording
	name := cmp.Or(rec.Container.Name, rec.Container.Cgroup, rec.ID)
	if rec.Nameless() {
		name = path.Base(rec.Container.Cgroup)
	}
	if p := rec.Pod; p != nil && p.Name != "" {
		name = strings.Trim(p.Namespace+"/"+p.Name, "/") + " " + cmp.Or(rec.Container.Name, name)
	}
	line := name + " (" + rec.ID + ")"
	if r.Node != "" {
		line += " on " + r.Node
	}
	t.fitted(bold, "", line, fitMiddle, "")
	t.b.WriteByte('\n')
	colour := bold
	if r.Outcome != Running && !(r.Outcome == Exited && rec.Exit != nil && rec.Exit.Code == 0) {
		colour = bold + red
	}
	for _, l := range wrap(replay.Safe(r.Verdict), t.o.Width-2) {
		t.line(colour, "  "+l)
	}
	t.b.WriteByte('\n')
	if in := replay.Around(rec); in != "" {
		for i, l := range wrap(replay.Safe(in), t.o.Width-11) {
			t.field([]string{"inside", ""}[min(i, 1)], l)
		}
	}
	if c := rec.Container; c.Image != "" || c.Runtime != "" {
		t.fitted("", "  image    ", strings.Trim(c.Image+", "+c.Runtime+" "+c.ID, ", "), fitMiddle, "")
	}
	if len(rec.Container.Command) > 0 {
		t.field("command", replay.Command(rec.Container.Command))
	}
	t.field("started", t.day(rec.Started))
	switch {
	case rec.Exit != nil && !rec.Exit.At.IsZero(): // runtimes do not always know when
		t.field("ended", t.day(rec.Exit.At)+", after "+duration(since(rec.Started, rec.Exit.At)))
	case rec.Ended != nil:
		t.field("ended", t.day(*rec.Ended)+", after "+duration(since(rec.Started, *rec.Ended)))
	case rec.Exit != nil:
		t.field("ended", "when is not known")
	default:
		t.field("taken", t.day(r.Taken)+", after "+duration(since(rec.Started, r.Taken)))
	}
	if used := used(r.Usage); used != "" {
		t.field("used", used)
	}
}

func since(from, to time.Time) uint64 { return uint64(max(0, to.Sub(from))) }

func (t *screen) field(name, value string) {
	t.line("", fmt.Sprintf("  %-8s %s", name, value))
}

// wrap breaks a text between words, into lines of at most width characters if words allow it.
func wrap(text string, width int) []string {
	var lines []string
	line, n := "", 0
	for word := range strings.FieldsSeq(text) {
		k := columns.Width(word)
		if n > 0 && n+1+k > width {
			lines = append(lines, line)
			line, n = "", 0
		}
		if n > 0 {
			line, n = line+" ", n+1
		}
		line, n = line+word, n+k
	}
	return append(lines, line)
}

func (t *screen) signs() {
	// What the verdict says already need not be said again, unless there is more to it.
	var list []Sign
	for _, s := range t.r.Signs.Items {
		if !strings.Contains(t.r.Verdict, s.Text) && (s.said == "" || !strings.Contains(t.r.Verdict, s.said)) {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return
	}
	t.title("Signs")
	for _, s := range list[:min(len(list), screenSigns)] {
		colour := yellow
		if s.Certainty == Possible {
			colour = ""
		}
		lines := wrap(s.Text, t.o.Width-12)
		t.line(colour, fmt.Sprintf("  %-9s %s", s.Certainty, lines[0]))
		for _, l := range lines[1:] {
			t.line(colour, strings.Repeat(" ", 12)+l)
		}
	}
	t.more(uint64(max(0, len(list)-screenSigns)), "--failed")
}

func (t *screen) chain() {
	if len(t.r.Chain) == 0 {
		return
	}
	last := t.r.Chain[len(t.r.Chain)-1]
	several := slices.ContainsFunc(t.r.Chain, func(ev Event) bool { return ev.Pid != last.Pid || ev.Tid != last.Tid })
	title := "Before the end, " + t.clock(last.Time)
	if !several {
		title += " " + who(last.Pid, last.Tid, last.Comm)
	}
	t.title("%s", title)
	for _, ev := range t.r.Chain {
		colour := ""
		if ev.Weight > 0 {
			colour = red
		}
		head := fmt.Sprintf("  %9s  ", before(last.Time.Sub(ev.Time)))
		if several {
			head += who(ev.Pid, ev.Tid, ev.Comm) + " "
		}
		after := ""
		if ev.Times > 1 {
			after = "  (" + times(ev.Times) + ")"
		}
		t.call(colour, head, ev.Text, after)
	}
}

func before(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return "-" + duration(uint64(d))
}

func (t *screen) output() {
	l := t.r.Output
	if len(l.Items) == 0 {
		return
	}
	n := max(0, len(l.Items)-screenLines)
	once, title := t.destinations(l.Items[n:])
	t.title("Output%s", title)
	several := slices.ContainsFunc(l.Items[n:], func(x Line) bool { return x.Pid != l.Items[n].Pid })
	for _, line := range l.Items[n:] {
		head := "  " + t.clock(line.Time) + " "
		if several {
			head += who(line.Pid, 0, line.Comm) + " "
		}
		if line.Stream == "stderr" {
			head += "err"
		} else {
			head += "out"
		}
		if line.To != "" && !once[line.Stream] {
			head += " to " + fitPath(line.To, max(t.o.Width/4, least))
		}
		text := line.Text
		if line.Cut {
			text += "…"
		}
		colour := ""
		if line.Stream == "stderr" {
			colour = yellow
		}
		head, text = clean(head), clean(text)
		rows := folded(text, max(t.o.Width-columns.Width(head)-2, least), screenRows)
		for i, row := range rows {
			if i > 0 {
				head = strings.Repeat(" ", columns.Width(head))
			}
			t.line(colour, head+"| "+row)
		}
	}
	t.more(l.More+uint64(n), "-e write,writev")
}

// destinations are the streams of which all lines went to the same place, and what a title says of
// these: a pipe or a file in each line would leave little room for the lines themselves.
func (t *screen) destinations(lines []Line) (once map[string]bool, title string) {
	once = make(map[string]bool)
	to, count := make(map[string]string), make(map[string]int)
	for _, line := range lines {
		if count[line.Stream] == 0 {
			to[line.Stream], once[line.Stream] = line.To, line.To != ""
		}
		once[line.Stream] = once[line.Stream] && line.To == to[line.Stream]
		count[line.Stream]++
	}
	const out, err = "stdout", "stderr"
	if once[out] && once[err] && to[out] == to[err] {
		return once, ", all to " + fitPath(to[out], max(t.o.Width/2, least))
	}
	for _, stream := range []string{out, err} {
		if once[stream] = once[stream] && count[stream] > 1; once[stream] {
			title += ", " + stream + " to " + fitPath(to[stream], max(t.o.Width/4, least))
		}
	}
	return once, title
}

func (t *screen) blocked() {
	l := t.r.Blocked
	if len(l.Items) == 0 {
		return
	}
	what := "Threads in calls when the dump was taken"
	if l.Items[0].Killed {
		what = "Calls that threads were in when they were killed"
	}
	t.title("%s", what)
	for _, in := range l.Items[:min(len(l.Items), screenBlocked)] {
		text := fmt.Sprintf("  %10s", duration(in.ForNs))
		if in.Since == nil {
			text = fmt.Sprintf("  %10s", "?")
		}
		colour := ""
		if in.Kind == "io" && in.ForNs >= longBlocked {
			colour = yellow
		}
		t.call(colour, text+"  "+who(in.Pid, in.Tid, in.Comm)+" ", whole(in.Text), "")
	}
	t.more(l.More+uint64(max(0, len(l.Items)-screenBlocked)), "--last "+itoa(l.More+uint64(len(l.Items))))
}

// whole closes the parenthesis of a call that has not returned.
func whole(text string) string {
	if text, open := strings.CutSuffix(text, " <unfinished ...>"); open {
		if strings.HasSuffix(text, ", ") {
			text += "…"
		}
		return text + ")"
	}
	return strings.TrimSuffix(text, " = ?")
}

func (t *screen) failures() {
	l := t.r.Failures
	var grave []Failure
	var everyday, kinds uint64
	for _, f := range l.Items {
		if f.Everyday {
			everyday += f.Count
			kinds++
		} else {
			grave = append(grave, f)
		}
	}
	if len(grave) == 0 {
		return
	}
	t.title("Failed calls, how often and when last")
	for _, f := range grave[:min(len(grave), screenList)] {
		t.call("", fmt.Sprintf("  %7s  %s  ", replay.Thousands(f.Count), t.clock(f.Last)), f.Example.Text, "")
	}
	if n := max(0, len(grave)-screenList); n > 0 {
		t.more(uint64(n)+l.More, "--failed")
	} else if everyday > 0 {
		t.write(dim, clean("  and "+counted(everyday, "everyday failure")+" of "+counted(kinds, "kind")+t.how("--failed")))
	}
}

// how is the command that shows what is left out, behind a colon.
func (t *screen) how(args string) string {
	if t.o.Command == "" {
		return ""
	}
	return ": " + t.o.Command + " " + args
}

func (t *screen) slowest() {
	l := t.r.Slowest
	if len(l.Items) == 0 {
		return
	}
	t.title("Slowest calls")
	shown := l.Items[:min(len(l.Items), screenList)]
	processes := t.r.Processes.Items
	several := len(processes) > 1 || len(processes) == 1 && processes[0].Threads > 1
	for _, s := range shown {
		head := fmt.Sprintf("  %10s  %s  ", duration(s.DurationNs), t.clock(s.Time))
		if several {
			head += who(s.Pid, s.Tid, s.Comm) + " "
		}
		t.call("", head, s.Text, "")
	}
	t.more(l.More+uint64(max(0, len(l.Items)-screenList)), "--summary")
}

func (t *screen) files() {
	l := t.r.Files
	var list []File
	for _, f := range l.Items {
		if !f.everyday && !everydayPath(f.Path) {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return
	}
	t.title("Files")
	for _, f := range list[:min(len(list), screenList)] {
		var how []string
		if f.Opened > 0 {
			verb := "read"
			if f.Write {
				verb = "written"
			}
			how = append(how, verb+upTo(f.Opened))
		}
		if f.Failed > 0 {
			how = append(how, f.Error+upTo(f.Failed))
		}
		t.fitted("", "  "+t.clock(f.Last)+"  ", f.Path, fitPath, ": "+strings.Join(how, ", "))
	}
	t.more(l.More+uint64(len(l.Items)-min(len(list), screenList)), "-e %file")
}

func upTo(n uint64) string {
	if n == 1 {
		return ""
	}
	return " " + times(n)
}

func (t *screen) peers() {
	l := t.r.Peers
	var list []Peer
	for _, p := range l.Items {
		if !everydayPath(strings.Trim(p.Address, `"`)) {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		return
	}
	t.title("Peers")
	for _, p := range list[:min(len(list), screenList)] {
		var how []string
		if p.Connected > 0 {
			how = append(how, "connected"+upTo(p.Connected))
		}
		if p.Accepted > 0 {
			how = append(how, "accepted"+upTo(p.Accepted))
		}
		if p.Failed > 0 {
			how = append(how, cmp.Or(p.Error, "failed")+upTo(p.Failed))
		}
		if p.Unanswered > 0 {
			how = append(how, "no answer"+upTo(p.Unanswered))
		}
		switch {
		case p.State == "connecting":
			how = append(how, "connecting, no answer yet")
		case p.State == "closed":
			how = append(how, "closed by the peer")
		case len(how) == 0:
			how = append(how, "datagrams") // nobody knows whether they came
		}
		t.fitted("", "  "+t.clock(p.Last)+"  ", p.Address, fitPath, ": "+strings.Join(how, ", "))
	}
	t.more(l.More+uint64(len(l.Items)-min(len(list), screenList)), "-e %network")
}

func (t *screen) processes() {
	l := t.r.Processes
	if len(l.Items) == 0 {
		return
	}
	t.title("Processes")
	for _, p := range l.Items[:min(len(l.Items), screenList)] {
		name := replay.Command(p.Command)
		if name == "" {
			name = cmp.Or(p.Comm, "?")
		}
		state := "lives"
		switch {
		case p.OOM:
			state = "OOM-killed"
		case p.Signal != "":
			state = p.Signal
		case p.Code != nil:
			state = "exit " + strconv.Itoa(*p.Code)
		}
		colour := ""
		if p.Signal != "" || p.Code != nil && *p.Code != 0 {
			colour = yellow
		}
		threads := ""
		if p.Threads > 1 {
			threads = ", " + counted(p.Threads, "thread")
		}
		t.fitted(colour, fmt.Sprintf("  %7d  %-10s ", p.Pid, state), clip(name, 80), columns.Cut, fmt.Sprintf("  (%s, %s failed%s)", counted(p.Calls, "call"), replay.Thousands(p.Failed), threads))
	}
	t.more(l.More+uint64(max(0, len(l.Items)-screenList)), "-e %process")
}

func (t *screen) coverage() {
	t.title("Recording")
	for i, l := range wrap(replay.Coverage(&t.r.Recording.Coverage, t.o.Location), t.o.Width-11) {
		t.field([]string{"covers", ""}[min(i, 1)], l)
	}
	for i, s := range t.r.Lacks {
		name := ""
		if i == 0 {
			name = "lacks"
		}
		lines := wrap(s, t.o.Width-11)
		t.field(name, lines[0])
		for _, l := range lines[1:] {
			t.field("", l)
		}
	}
}
