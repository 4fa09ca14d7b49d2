// Package render shows what the API answers, as tables for people and as JSON and
// YAML for programs.
package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/columns"
	"github.com/recorderd/recorderd/internal/jsontext"
)

// JSON writes v with indentation. Nothing in it is obeyed or hidden by a terminal.
func JSON(w io.Writer, v any) error {
	b, err := marshal(v)
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

// marshal returns v as JSON in which nothing is obeyed or hidden by a terminal.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return jsontext.Escape(b.Bytes()), nil
}

// Names writes the ids of recordings, one a line.
func Names(w io.Writer, recs []api.Recording) error {
	var b bytes.Buffer
	for i := range recs {
		fmt.Fprintln(&b, Clean(recs[i].ID))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Table says how Recordings lists them.
type Table struct {
	Wide     bool      // all columns
	Width    int       // of the terminal; 0: lines are as long as they are
	NoHeader bool      // rows alone
	Now      time.Time // ages count back from it
}

// Watched is a table that goes on: rows come behind those that were written, in the same columns.
type Watched struct {
	Table
	kept   []string // titles of the columns
	cut    bool     // names are
	widths []int
}

// column is one of the list. On a terminal that has no room for the verdict, columns that give way
// are left out, the lowest number first; 0: it stays.
type column struct {
	title string
	gives int
	cell  func(r *api.Recording) string
}

// leastVerdict is how many columns of a terminal the verdict should have, and mostName how many a
// name may have where there are not so many.
const leastVerdict, mostName = 32, 24

// Recordings writes a table for people.
func Recordings(w io.Writer, recs []api.Recording, t Table) error {
	cols, cells := t.cells(recs, func(c column) string { return c.title })
	if t.Width > 0 && !t.Wide {
		_, cells, _ = narrow(cols, cells, t.Width)
	}
	return table(w, rowsOf(cells, t.NoHeader), t.Width)
}

// leastWatched is how wide columns are whose cells grow longer while one watches.
var leastWatched = map[string]int{"ID": 12, "STATE": 5, "AGE": 4, "CALLS": 6, "EXIT": len("SIGSEGV (0s ago)")}

// Write writes rows for recordings, the first time below titles.
func (t *Watched) Write(w io.Writer, recs []api.Recording) error {
	first := t.kept == nil
	cols, cells := t.cells(recs, func(c column) string { return columns.Pad(c.title, leastWatched[c.title]) })
	switch {
	case t.Width <= 0 || t.Wide:
	case first:
		cols, cells, t.cut = narrow(cols, cells, t.Width)
	default:
		for i := len(cols) - 1; i >= 0; i-- {
			if !slices.Contains(t.kept, cols[i].title) {
				cols, cells = slices.Delete(cols, i, i+1), slices.Delete(cells, i, i+1)
			}
		}
		if t.cut {
			cutNames(cols, cells)
		}
	}
	if first {
		for _, c := range cols {
			t.kept = append(t.kept, c.title)
		}
	}
	var err error
	t.widths, err = align(w, rowsOf(cells, t.NoHeader || !first), t.Width, t.widths)
	return err
}

// cells are the columns of a table, with a title as the first cell of each.
func (t Table) cells(recs []api.Recording, title func(column) string) ([]column, [][]string) {
	cols := []column{
		{"ID", 0, func(r *api.Recording) string { return r.ID }},
		{"STATE", 4, state},
		{"POD/NAME", 0, Name},
		{"CONTAINER", 0, func(r *api.Recording) string { _, container := names(r); return container }},
		{"IMAGE", 1, func(r *api.Recording) string { return r.Container.Image }},
		{"AGE", 0, func(r *api.Recording) string { return age(r.Started, t.Now) }},
		{"CALLS", 2, func(r *api.Recording) string { return count(r.Coverage.Written) }},
		{"EXIT", 3, func(r *api.Recording) string { return exit(r, t.Now) }},
	}
	if t.Wide {
		more := func(title string, cell func(r *api.Recording) string) {
			cols = append(cols, column{title, 0, cell})
		}
		more("REASON", reason)
		more("RESTARTS", restarts)
		more("KIND", func(r *api.Recording) string { return r.Container.Kind })
		more("OWNER", owner)
		more("KEPT", func(r *api.Recording) string { return count(r.Coverage.Kept) })
		more("OVERWRITTEN", func(r *api.Recording) string { return count(r.Coverage.Overwritten) })
		more("CUT", func(r *api.Recording) string { return count(r.Coverage.Cut) })
		more("FAULT", func(r *api.Recording) string { return count(r.Coverage.Fault) })
		more("RING", func(r *api.Recording) string { return Bytes(r.Ring.Memory) })
		more("INSIDE", insideOf)
		more("NODE", func(r *api.Recording) string { return r.Node })
		more("CGROUP", func(r *api.Recording) string { return r.Container.Cgroup })
	}
	cols = append(cols, column{"VERDICT", 0, verdict})
	cells := make([][]string, len(cols))
	for i, c := range cols {
		cells[i] = append(cells[i], title(c))
		for k := range recs {
			cells[i] = append(cells[i], Clean(cmp.Or(c.cell(&recs[k]), "-")))
		}
	}
	return cols, cells
}

// rowsOf turns columns into rows.
func rowsOf(cells [][]string, noHeader bool) [][]string {
	var rows [][]string
	for k := range cells[0] {
		if k == 0 && noHeader {
			continue
		}
		var row []string
		for i := range cells {
			row = append(row, cells[i][k])
		}
		rows = append(rows, row)
	}
	return rows
}

// narrow makes room for the last column: it leaves out those that give way, and then cuts names in
// their middle, since their ends tell replicas apart.
func narrow(cols []column, cells [][]string, width int) (_ []column, _ [][]string, cut bool) {
	room := func() int {
		n := width
		for _, column := range cells[:len(cells)-1] {
			n -= widest(column) + 2
		}
		return n
	}
	for gives := 1; gives <= 4 && room() < leastVerdict; gives++ {
		if i := slices.IndexFunc(cols, func(c column) bool { return c.gives == gives }); i >= 0 {
			cols, cells = slices.Delete(cols, i, i+1), slices.Delete(cells, i, i+1)
		}
	}
	for i, c := range cols {
		if isName(c) && room() < leastVerdict {
			cutNames(cols[i:i+1], cells[i:i+1])
			cut = true
		}
	}
	return cols, cells, cut
}

func isName(c column) bool { return c.title == "POD/NAME" || c.title == "CONTAINER" }

func cutNames(cols []column, cells [][]string) {
	for i, c := range cols {
		for k, cell := range cells[i] {
			if isName(c) {
				cells[i][k] = columns.CutMiddle(cell, mostName, mostName/2)
			}
		}
	}
}

func widest(cells []string) int {
	n := 0
	for _, c := range cells {
		n = max(n, columns.Width(c))
	}
	return n
}

func verdict(r *api.Recording) string {
	if r.Verdict == nil {
		return ""
	}
	return r.Verdict.Sentence()
}

// fit cuts a line at a width, unless that is 0.
func fit(line string, width int) string {
	if width <= 0 {
		return line
	}
	return columns.Cut(line, width)
}

// table aligns columns and cuts lines at width, unless that is 0. An empty cell becomes "-", so
// that columns can be counted.
func table(w io.Writer, rows [][]string, width int) error {
	_, err := align(w, rows, width, nil)
	return err
}

// align is table, for rows that come behind others: columns are as wide as widths at least. It
// returns how wide they are.
func align(w io.Writer, rows [][]string, width int, widths []int) ([]int, error) {
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			row[i] = Clean(cmp.Or(cell, "-"))
			widths[i] = max(widths[i], columns.Width(row[i]))
		}
	}
	var b bytes.Buffer
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			if i < len(row)-1 {
				cell = columns.Pad(cell, widths[i]+2)
			}
			line += cell
		}
		fmt.Fprintln(&b, fit(line, width))
	}
	_, err := w.Write(b.Bytes())
	return widths, err
}

// insideOf is the recording of the container around.
func insideOf(r *api.Recording) string {
	if r.Inside == nil {
		return ""
	}
	return r.Inside.Recording
}

// Name is the first of the two columns that say whose recording it is.
func Name(r *api.Recording) string {
	name, _ := names(r)
	return name
}

// Called is what people call a recording: its pod and container, or its name.
func Called(r *api.Recording) string {
	name, container := names(r)
	if r.Nameless() || r.Pod != nil && r.Pod.Name != "" {
		name = strings.TrimSpace(name + " " + container)
	}
	return Clean(name)
}

// names are the two columns that say whose recording it is. One inside a container that has
// no name of its own stands behind that container's, as a file in a directory.
func names(r *api.Recording) (name, container string) {
	c := &r.Container
	if r.Nameless() {
		outer := *r
		outer.Inside, outer.Container = nil, r.Inside.Container
		name, container = names(&outer)
		return name, container + "/" + short(cmp.Or(c.ID, path.Base(c.Cgroup)))
	}
	switch {
	case r.Pod != nil && r.Pod.Name != "":
		return r.Pod.Namespace + "/" + r.Pod.Name, c.Name
	case c.Name != "":
		name = c.Name
	default:
		name = c.Cgroup
	}
	return name, short(c.ID)
}

// short cuts a container's id as its runtime's own tools do.
func short(id string) string {
	if len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" {
		return id[:12]
	}
	return id
}

func state(r *api.Recording) string {
	if r.Off {
		return string(r.State) + ",off"
	}
	if r.Frozen {
		return string(r.State) + ",frozen"
	}
	return string(r.State)
}

func exit(r *api.Recording, now time.Time) string {
	if r.GoesOnAs != "" {
		return "goes on as " + r.GoesOnAs
	}
	if r.Exit == nil {
		if r.Ended != nil {
			return "? (" + age(*r.Ended, now) + " ago)"
		}
		return ""
	}
	how := strconv.Itoa(r.Exit.Code)
	if r.Exit.Signal != "" {
		how = r.Exit.Signal
	}
	if r.Exit.OOMKilled {
		how = "OOM " + how
	}
	if r.Exit.CoreDumped {
		how += " core"
	}
	if r.Exit.At.IsZero() {
		return how
	}
	return how + " (" + age(r.Exit.At, now) + " ago)"
}

// reason is the kubelet's word on how a container ended.
func reason(r *api.Recording) string {
	if r.Exit == nil {
		return ""
	}
	return r.Exit.Reason
}

func restarts(r *api.Recording) string {
	if r.Container.Restarts == nil {
		return ""
	}
	return strconv.Itoa(*r.Container.Restarts)
}

// owner is a pod's workload, as kubectl writes it.
func owner(r *api.Recording) string {
	if r.Pod == nil || r.Pod.Owner == nil {
		return ""
	}
	return strings.ToLower(r.Pod.Owner.Kind) + "/" + r.Pod.Owner.Name
}

// age says how long ago something was, with the two units that matter.
func age(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := max(now.Sub(t), 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 10*time.Minute:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 10*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

func count(n uint64) string { return strconv.FormatUint(n, 10) }

// Bytes writes a size in the largest binary unit that it fills.
func Bytes(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatUint(n, 10) + "B"
	}
	v, unit := float64(n)/1024, 0
	for v >= 1024 && unit < len(units)-1 {
		v, unit = v/1024, unit+1
	}
	digits := 1
	if v == float64(uint64(v)) {
		digits = 0
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + units[unit:unit+1] + "iB"
}

// Clean makes what a container or an image has chosen fit for a terminal: control
// characters and bytes that are no text become escapes.
func Clean(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

func unprintable(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }
