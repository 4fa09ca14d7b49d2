package render

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/recorderd/recorderd/api"
)

// TopKeys are what Top can be sorted by.
var TopKeys = []string{"calls", "failed", "blocked", "threads", "name"}

// Top is what live containers did between two moments.
type Top struct {
	Type       string    `json:"type"` // "top"
	At         time.Time `json:"at"`
	Seconds    float64   `json:"seconds"` // since the moment before
	Recordings []TopRow  `json:"recordings"`
}

// TopRow is what one container did. Rates are nil if they are not known: it was not listed before.
type TopRow struct {
	ID        string   `json:"id"`
	Node      string   `json:"node,omitempty"`
	Name      string   `json:"name"`
	Container string   `json:"container,omitempty"`
	Calls     *float64 `json:"callsPerSecond"`  // records: calls, and the few others
	Failed    *float64 `json:"failedPerSecond"` // nil also from daemons that do not tell it
	Blocked   *uint64  `json:"blocked"`         // threads; nil from daemons that do not tell it
	Threads   uint64   `json:"threads"`
	Back      float64  `json:"backSeconds"` // how far back the ring of all calls reaches
	Verdict   string   `json:"verdict,omitempty"`
}

// TopOf compares two lists, the first of which was made at the time before.
func TopOf(old, now []api.Recording, before, at time.Time) Top {
	t := Top{Type: "top", At: at, Seconds: at.Sub(before).Seconds(), Recordings: []TopRow{}}
	was := map[string]*api.Recording{}
	for i := range old {
		was[old[i].Node+"/"+old[i].ID] = &old[i]
	}
	rate := func(old, now uint64) *float64 {
		if now < old || t.Seconds <= 0 { // another daemon counts
			return nil
		}
		n := float64(now-old) / t.Seconds
		return &n
	}
	for i := range now {
		r := &now[i]
		if r.State != api.StateLive {
			continue
		}
		row := TopRow{ID: r.ID, Node: r.Node, Name: Name(r), Threads: r.Tasks.Live}
		_, row.Container = names(r)
		if r.Coverage.From != nil && r.Coverage.To != nil {
			row.Back = max(at.Sub(*r.Coverage.From).Seconds(), 0)
		}
		if r.Verdict != nil {
			row.Verdict = r.Verdict.Text
		}
		from := was[r.Node+"/"+r.ID]
		if from == nil && r.Started.After(before) {
			from = &api.Recording{Activity: &api.Activity{}} // all of it is new
		}
		if from != nil {
			row.Calls = rate(from.Coverage.Written, r.Coverage.Written)
		}
		if r.Activity != nil {
			row.Blocked = &r.Activity.Blocked
			if from != nil && from.Activity != nil {
				row.Failed = rate(from.Activity.Failed, r.Activity.Failed)
			}
		}
		t.Recordings = append(t.Recordings, row)
	}
	return t
}

// Sort sorts by one of TopKeys, the most first.
func (t *Top) Sort(key string) {
	number := func(f *float64) float64 {
		if f == nil {
			return -1
		}
		return *f
	}
	blocked := func(r *TopRow) uint64 {
		if r.Blocked == nil {
			return 0
		}
		return *r.Blocked
	}
	slices.SortStableFunc(t.Recordings, func(a, b TopRow) int {
		by := 0
		switch key {
		case "calls":
			by = cmp.Compare(number(b.Calls), number(a.Calls))
		case "failed":
			by = cmp.Compare(number(b.Failed), number(a.Failed))
		case "blocked":
			by = cmp.Compare(blocked(&b), blocked(&a))
		case "threads":
			by = cmp.Compare(b.Threads, a.Threads)
		}
		return cmp.Or(by, strings.Compare(a.Name, b.Name), strings.Compare(a.Container, b.Container), strings.Compare(a.Node, b.Node), strings.Compare(a.ID, b.ID))
	})
}

// Table writes the rows for people: most of them at most, 0: all. width is the terminal's; 0: lines
// are as long as they are. nodes adds a column.
func (t *Top) Table(w io.Writer, width, most int, nodes bool) error {
	head := []string{"ID", "POD/NAME", "CONTAINER", "CALLS/S", "FAILED/S", "BLOCKED", "THREADS", "BACK"}
	if nodes {
		head = append(head, "NODE")
	}
	rows := [][]string{append(head, "VERDICT")}
	for i := range t.Recordings {
		if most > 0 && i == most {
			break
		}
		r := &t.Recordings[i]
		blocked, back := "-", "-"
		if r.Blocked != nil {
			blocked = count(*r.Blocked)
		}
		if r.Back > 0 {
			back = age(t.At.Add(-time.Duration(r.Back*float64(time.Second))), t.At)
		}
		row := []string{r.ID, r.Name, r.Container, perSecond(r.Calls), perSecond(r.Failed), blocked, count(r.Threads), back}
		if nodes {
			row = append(row, r.Node)
		}
		rows = append(rows, append(row, r.Verdict))
	}
	return table(w, rows, width)
}

// perSecond writes a rate.
func perSecond(f *float64) string {
	switch {
	case f == nil:
		return "-"
	case *f > 0 && *f < 10:
		return strconv.FormatFloat(*f, 'f', 1, 64)
	}
	return strconv.FormatFloat(*f, 'f', 0, 64)
}

// Summary is a line on all of them.
func (t *Top) Summary() string {
	var calls, failed float64
	var blocked uint64
	for i := range t.Recordings {
		r := &t.Recordings[i]
		if r.Calls != nil {
			calls += *r.Calls
		}
		if r.Failed != nil {
			failed += *r.Failed
		}
		if r.Blocked != nil {
			blocked += *r.Blocked
		}
	}
	return fmt.Sprintf("%s  %s, %s calls/s, %s failed/s, %d blocked, over %.1f s", t.At.Format("15:04:05"), Number(len(t.Recordings), "live recording"),
		perSecond(&calls), perSecond(&failed), blocked, t.Seconds)
}

// Screen is what a terminal shows: at most so many lines, with the sequences that put them in the
// place of those before.
func (t *Top) Screen(width, height int, nodes bool, note string) []byte {
	var text, out bytes.Buffer
	t.Table(&text, width, max(height-4, 1), nodes) //nolint:errcheck // a buffer takes all
	lines := append([]string{t.Summary(), Clean(note)}, strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")...)
	if left := len(t.Recordings) - max(height-4, 1); left > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", left))
	}
	out.WriteString("\x1b[H")
	for i, line := range lines[:min(len(lines), max(height, 1))] {
		if i > 0 {
			out.WriteString("\r\n")
		}
		out.WriteString(fit(line, width) + "\x1b[K")
	}
	out.WriteString("\x1b[J")
	return out.Bytes()
}
