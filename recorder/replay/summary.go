package replay

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/recorderd/recorderd/internal/jsontext"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/strace"
)

// SummaryBy is what a summary has a row for.
type SummaryBy string

// The kinds of summaries.
const (
	SummaryByCall   SummaryBy = "call"
	SummaryByThread SummaryBy = "thread"
)

// Summary is what was called, how often and how long, as JSON has it. Calls that
// have not ended are not counted, as with strace.
type Summary struct {
	Type  string       `json:"type"` // "summary"
	By    SummaryBy    `json:"by"`
	Rows  []SummaryRow `json:"rows"` // those that took the longest come first
	Total SummaryRow   `json:"total"`
	// Damage is what is missing, as the dump says.
	Damage []dump.Damage `json:"damage,omitempty"`
	Error  string        `json:"error,omitempty"` // why the dump could not be read to its end
}

// SummaryRow counts the calls of a name, or of a thread. Times are ns of real time.
type SummaryRow struct {
	Syscall string `json:"syscall,omitempty"`
	Pid     uint32 `json:"pid,omitempty"` // as the container sees it, else the host; 0 is unknown
	Tid     uint32 `json:"tid,omitempty"`
	Comm    string `json:"comm,omitempty"` // the thread's last name

	Calls     uint64 `json:"calls"`
	Errors    uint64 `json:"errors"`
	Timed     uint64 `json:"timed"` // of the calls, those of which it is known how long they took
	TotalNs   uint64 `json:"totalNs"`
	MeanNs    uint64 `json:"meanNs"` // of those timed
	LongestNs uint64 `json:"longestNs"`
}

func (r *SummaryRow) add(ev *Event) {
	r.Calls++
	if ev.Failure() {
		r.Errors++
	}
	if !ev.NoDur() {
		r.Timed++
		r.TotalNs += ev.Rec.Dur
		r.LongestNs = max(r.LongestNs, ev.Rec.Dur)
	}
}

// name is what a row is about.
func (r *SummaryRow) name() string {
	if r.Syscall != "" || r.Tid == 0 {
		return cmp.Or(r.Syscall, r.Comm)
	}
	id := strconv.FormatUint(uint64(r.Tid), 10)
	if r.Pid != 0 && r.Pid != r.Tid {
		id = strconv.FormatUint(uint64(r.Pid), 10) + "/" + id
	}
	if r.Comm == "" {
		return id
	}
	return id + " " + safe(r.Comm)
}

// summarySink counts.
type summarySink struct {
	*lines
	by      SummaryBy
	json    bool
	format  formatter
	host    bool
	special special
	calls   map[uint32]*SummaryRow // by ABI and number
	threads map[uint32]*SummaryRow // by host thread id, of the last thread that had it
	tasks   map[uint32]*Task
	rows    []*SummaryRow
	others  *SummaryRow // all threads that are too many, nil: none
}

// maxSummary is how many threads have a row of their own.
const maxSummary = 1 << 16

func newSummary(out *lines, h *dump.Header, o *Options) *summarySink {
	return &summarySink{
		lines: out, by: o.Summary, json: o.Format == FormatJSON, format: newFormatter(h), host: o.HostPids, special: specialCalls(),
		calls: make(map[uint32]*SummaryRow), threads: make(map[uint32]*SummaryRow), tasks: make(map[uint32]*Task),
	}
}

func (s *summarySink) event(ev *Event) error {
	if ev.Kind > KindExec || ev.State != Finished {
		return nil
	}
	if ev.Rec.Ret == 0 && ev.NoDur() && s.special.fork.has(ev.abi, ev.Rec.Nr) {
		return nil // a new thread comes out of a call that it never made
	}
	if s.by == SummaryByThread {
		s.thread(ev).add(ev)
		return nil
	}
	key := uint32(ev.abi)<<16 | uint32(ev.Rec.Nr)
	row := s.calls[key]
	if row == nil {
		row = &SummaryRow{Syscall: string(strace.AppendName(nil, ev.abi, int64(ev.Rec.Nr)))}
		s.calls[key] = row
	}
	row.add(ev)
	return nil
}

func (s *summarySink) thread(ev *Event) *SummaryRow {
	tid := ev.Task.Info.Tid
	row := s.threads[tid]
	if row == nil || s.tasks[tid] != ev.Task {
		if len(s.rows) >= maxSummary {
			if s.others == nil {
				s.others = &SummaryRow{Comm: "(other threads)"}
			}
			return s.others
		}
		row = new(SummaryRow)
		row.Pid, row.Tid = ev.Task.IDs(s.host)
		s.threads[tid], s.tasks[tid] = row, ev.Task
		s.rows = append(s.rows, row)
	}
	if name := ev.Comm.Bytes(); string(name) != row.Comm {
		row.Comm = string(name)
	}
	return row
}

func (s *summarySink) mark(bool) error          { return nil }
func (s *summarySink) again(*dump.Header) error { return nil }

func (s *summarySink) damage(*dump.Damage) error { return nil }

func (s *summarySink) end(stats *Stats, err error) error {
	sum := s.summary()
	sum.Damage = stats.Damage
	if err != nil {
		sum.Error = err.Error()
	}
	if !s.json {
		s.table(sum)
		return s.write()
	}
	text, err := json.Marshal(sum)
	if err != nil {
		return err
	}
	s.buf = append(append(s.buf, jsontext.Escape(text)...), '\n')
	return s.write()
}

func (s *summarySink) summary() *Summary {
	rows := s.rows
	if s.others != nil {
		rows = append(rows, s.others)
	}
	if s.by == SummaryByCall {
		named := make(map[string]*SummaryRow) // the same name may have several numbers
		for _, key := range slices.Sorted(maps.Keys(s.calls)) {
			row := s.calls[key]
			if first := named[row.Syscall]; first != nil {
				first.join(row)
				continue
			}
			named[row.Syscall] = row
			rows = append(rows, row)
		}
	}
	sum := &Summary{Type: "summary", By: s.by, Rows: []SummaryRow{}}
	for _, row := range rows {
		sum.Total.join(row)
		row.MeanNs = row.TotalNs / max(row.Timed, 1)
		sum.Rows = append(sum.Rows, *row)
	}
	sum.Total.MeanNs = sum.Total.TotalNs / max(sum.Total.Timed, 1)
	slices.SortStableFunc(sum.Rows, func(a, b SummaryRow) int {
		if c := cmp.Or(cmp.Compare(b.TotalNs, a.TotalNs), cmp.Compare(b.Calls, a.Calls)); c != 0 {
			return c
		}
		return cmp.Compare(a.name(), b.name())
	})
	return sum
}

func (r *SummaryRow) join(other *SummaryRow) {
	r.Calls += other.Calls
	r.Errors += other.Errors
	r.Timed += other.Timed
	r.TotalNs += other.TotalNs
	r.LongestNs = max(r.LongestNs, other.LongestNs)
}

// table writes what strace -c writes, with the longest call of each row.
func (s *summarySink) table(sum *Summary) {
	what := "syscall"
	if sum.By == SummaryByThread {
		what = "thread"
	}
	const rule = "------ ----------- ----------- ----------- --------- --------- ----------------\n"
	s.buf = fmt.Appendf(s.buf, "%6s %11s %11s %11s %9s %9s %s\n%s", "% time", "seconds", "usecs/call", "longest", "calls", "errors", what, rule)
	line := func(r *SummaryRow, name string) {
		share := 100.0
		if sum.Total.TotalNs > 0 {
			share = 100 * float64(r.TotalNs) / float64(sum.Total.TotalNs)
		} else if name != "total" {
			share = 0
		}
		errors := ""
		if r.Errors > 0 {
			errors = strconv.FormatUint(r.Errors, 10)
		}
		s.buf = fmt.Appendf(s.buf, "%6.2f %11s %11d %11s %9d %9s %s\n", share, appendSeconds(nil, r.TotalNs), r.MeanNs/1000,
			appendSeconds(nil, r.LongestNs), r.Calls, errors, name)
	}
	for i := range sum.Rows {
		line(&sum.Rows[i], sum.Rows[i].name())
	}
	s.buf = append(s.buf, rule...)
	line(&sum.Total, "total")
	for i := range sum.Damage {
		s.buf = fmt.Appendf(s.buf, "# … %s …\n", safe(sum.Damage[i].String()))
	}
	if sum.Error != "" {
		s.buf = fmt.Appendf(s.buf, "# %s\n", safe(sum.Error))
	}
}
