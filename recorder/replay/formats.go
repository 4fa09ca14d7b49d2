package replay

import (
	"slices"
	"strings"

	"github.com/recorderd/recorderd/recorder/dump"
)

// Format is how a dump is shown.
type Format string

// The formats.
const (
	FormatText   Format = "text"   // for people
	FormatStrace Format = "strace" // what strace -f -ttt -T -o FILE would have written
	FormatJSON   Format = "json"   // one object a line, see Line
	FormatChrome Format = "chrome" // Chrome trace event format, for Perfetto
	FormatRaw    Format = "raw"    // a dump again
)

// formatRow is all that differs between formats outside their writers.
type formatRow struct {
	name        Format
	contentType string
	summary     bool // a Summary can be shown in it
	open        func(out *lines, h *dump.Header, o *Options) (sink, error)
}

// formats are all formats, the default first. raw has no writer of events: see copyRaw.
var formats []formatRow

// The writers parse queries, which name formats.
func init() {
	formats = []formatRow{
		{FormatText, "text/plain; charset=utf-8", true, func(out *lines, h *dump.Header, o *Options) (sink, error) { return newText(out, h, o), nil }},
		{FormatStrace, "text/plain; charset=utf-8", true, func(out *lines, h *dump.Header, o *Options) (sink, error) { return newStrace(out, h, o), nil }},
		{FormatJSON, "application/x-ndjson", true, func(out *lines, h *dump.Header, o *Options) (sink, error) { return newJSON(out, h, o) }},
		{FormatChrome, "application/json", false, func(out *lines, h *dump.Header, o *Options) (sink, error) { return newChrome(out, h, o), nil }},
		{FormatRaw, "application/vnd.recorderd.dump", false, nil},
	}
}

// row returns a format's row, and nil if there is no such format. "" is the default.
func (f Format) row() *formatRow {
	if f == "" {
		return &formats[0]
	}
	if i := slices.IndexFunc(formats, func(r formatRow) bool { return r.name == f }); i >= 0 {
		return &formats[i]
	}
	return nil
}

// ContentType returns the media type of a format.
func (f Format) ContentType() string {
	if row := f.row(); row != nil {
		return row.contentType
	}
	return "application/octet-stream"
}

// FormatNames returns the names of all formats, the default first.
func FormatNames() []string {
	var names []string
	for _, row := range formats {
		names = append(names, string(row.name))
	}
	return names
}

func formatList() string { return strings.Join(FormatNames(), ", ") }
