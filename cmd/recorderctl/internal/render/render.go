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
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/recorderd/recorderd/api"
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

// Recordings writes a table, with more columns if wide, and the verdict as the last one. Lines are
// cut at width, unless that is 0. now is what ages count from.
func Recordings(w io.Writer, recs []api.Recording, wide bool, width int, now time.Time) error {
	head := []string{"ID", "STATE", "POD/NAME", "CONTAINER", "IMAGE", "AGE", "CALLS", "EXIT"}
	if wide {
		head = append(head, "REASON", "RESTARTS", "KIND", "OWNER", "KEPT", "OVERWRITTEN", "CUT", "FAULT", "RING", "INSIDE", "NODE", "CGROUP")
	}
	rows := [][]string{append(head, "VERDICT")}
	for i := range recs {
		r := &recs[i]
		name, container := names(r)
		row := []string{r.ID, state(r), name, container, r.Container.Image, age(r.Started, now), count(r.Coverage.Written), exit(r, now)}
		if wide {
			c := &r.Coverage
			row = append(row, reason(r), restarts(r), r.Container.Kind, owner(r), count(c.Kept), count(c.Overwritten), count(c.Cut), count(c.Fault), Bytes(r.Ring.Memory), insideOf(r), r.Node, r.Container.Cgroup)
		}
		rows = append(rows, append(row, verdict(r)))
	}
	return table(w, rows, width)
}

func verdict(r *api.Recording) string {
	if r.Verdict == nil {
		return ""
	}
	return r.Verdict.Sentence()
}

// fit cuts a line at a width, unless that is 0.
func fit(line string, width int) string {
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:max(width-1, 0)]) + "…"
}

// table aligns columns and cuts lines at width, unless that is 0. An empty cell becomes "-", so
// that columns can be counted.
func table(w io.Writer, rows [][]string, width int) error {
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				cell = "-"
			}
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, Clean(cell))
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if width > 0 {
		var cut bytes.Buffer
		for line := range strings.Lines(b.String()) {
			fmt.Fprintln(&cut, fit(strings.TrimSuffix(line, "\n"), width))
		}
		b = cut
	}
	_, err := w.Write(b.Bytes())
	return err
}

// insideOf is the recording of the container around.
func insideOf(r *api.Recording) string {
	if r.Inside == nil {
		return ""
	}
	return r.Inside.Recording
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
