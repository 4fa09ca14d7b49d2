// Package privacy blanks what must not leave the daemon: matches of patterns in
// strings, command lines and contents that were captured, and the arguments of
// programs.
//
// A match is overwritten with '*', byte for byte, so that records keep their length
// and their meaning; if the pattern has groups, only what is in them is. Looked at
// are strings, command lines, the contents of reads, writes and messages, names of
// threads, and text that stands between the numbers of structs, socket addresses and control
// messages. Numbers, results and addresses are left as they are. bpf/vocabulary.txt says of each
// kind of item how it is searched.
//
// Names in DNS messages are looked at as they are written with dots.
//
// Each item of a record is looked at for itself, only the strings of one command line
// together, and the end of a long write with its beginning. What is spread over two writes, or
// goes on behind the limit up to which it was captured, is not seen as a whole.
package privacy

import (
	"bytes"
	"encoding/binary"
	"maps"
	"strings"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// Policy is what to blank.
type Policy struct {
	NoArgs bool     // of command lines keep the program's name only
	Blank  []string // patterns: names (Names), or regular expressions between / and /
}

// Rules is a Policy made ready. A nil Rules blanks nothing. Its methods may be called
// from several goroutines.
type Rules struct {
	noArgs   bool
	patterns []pattern
	quick    bool // some pattern can be told by words or digits to be out of place
}

// Compile makes a policy ready. Where there is nothing to blank it returns nil.
func Compile(p Policy) (*Rules, error) {
	if !p.NoArgs && len(p.Blank) == 0 {
		return nil, nil
	}
	r := &Rules{noArgs: p.NoArgs}
	seen := map[string]bool{}
	for _, s := range p.Blank {
		if seen[s] {
			continue
		}
		seen[s] = true
		one, err := parse(s)
		if err != nil {
			return nil, err
		}
		r.patterns = append(r.patterns, one)
		r.quick = r.quick || one.words != nil || one.digits > 0
	}
	return r, nil
}

// work is memory that is used from record to record.
type work struct {
	rec    record.Record
	lower  []byte
	joined []byte
	out    []byte
	// A DNS message, one of its names, and where each byte of that stands in it.
	message, dotted []byte
	places          []int
}

// Records blanks a row of records, as record.Append writes them, in place, and
// returns it: no longer than it was. Behind a record that cannot be read nothing is
// returned, since nothing is known of it.
func (r *Rules) Records(rows []byte) []byte {
	if r == nil {
		return rows
	}
	var w work
	out := rows[:0]
	for rest := rows; len(rest) > 0; {
		raw, next, err := record.Next(rest)
		if err != nil {
			break
		}
		rest = next
		// What is written lies before what is read: a record never grows.
		out = append(out, r.record(&w, raw)...)
	}
	return out
}

// Record blanks one record in place and returns it: no longer than it was. What
// cannot be parsed is returned as it is.
func (r *Rules) Record(raw []byte) []byte {
	if r == nil {
		return raw
	}
	return r.record(new(work), raw)
}

func (r *Rules) record(w *work, raw []byte) []byte {
	if !hasItems(raw) || record.Parse(raw, &w.rec) != nil {
		return raw
	}
	items := w.rec.Items
	if r.noArgs && cutArgs(&w.rec) {
		w.out = record.Append(w.out[:0], &w.rec)
		if len(w.out) > len(raw) { // it was not written by Append; its values may be shorter than needed
			return raw[:0]
		}
		raw = raw[:copy(raw, w.out)]
		if record.Parse(raw, &w.rec) != nil {
			return raw[:0]
		}
		items = w.rec.Items
	}
	if len(r.patterns) == 0 {
		return raw
	}
	for i := 0; i < len(items); i++ {
		it := &items[i]
		switch it.Kind.Blanking() {
		case layout.BlankVector:
			n := 1
			for i+n < len(items) && items[i+n].Kind == it.Kind && items[i+n].Arg == it.Arg {
				n++
			}
			r.joined(w, items[i:i+n])
			blankUnnamed(items[i : i+n])
			i += n - 1
		case layout.BlankText:
			if pair(&w.rec, i) {
				r.joined(w, items[i:i+2])
				i++
				continue
			}
			if it.Kind == layout.ItemData || it.Kind == layout.ItemIovdata {
				r.dns(w, it.Data)
			}
			r.bytes(w, it.Data)
		case layout.BlankTail:
			r.tail(w, headOf(items, it), it)
		case layout.BlankRuns:
			r.runs(w, it.Data)
		case layout.BlankNever:
		}
	}
	return raw
}

// hasItems reports whether anything stands behind a record's values.
func hasItems(raw []byte) bool {
	if len(raw) < layout.RecHead {
		return false
	}
	n := layout.RecHead
	for sizes := binary.LittleEndian.Uint16(raw[22:]); sizes != 0; sizes >>= 2 {
		n += int(sizes&3) * 4
	}
	return len(raw) >= n+layout.SizeofItem
}

// blankUnnamed blanks each string of a vector that stands behind one that could not be
// read, which may have been "--password".
func blankUnnamed(items []record.Item) {
	for i := 1; i < len(items); i++ {
		if items[i-1].Fault() && len(items[i-1].Data) == 0 {
			for j := range items[i].Data {
				items[i].Data[j] = '*'
			}
		}
	}
}

// minRun is the least number of bytes in a row that are taken for text between numbers. A number
// that happens to consist of so many printable bytes may be blanked where a pattern fits it.
const minRun = 4

// runs blanks what matches in each run of printable bytes: text stands between numbers in a socket
// address, a control message, a struct with a name in it.
func (r *Rules) runs(w *work, b []byte) {
	for len(b) > 0 {
		n := printable(b)
		if n >= minRun {
			r.bytes(w, b[:n])
		}
		b = b[min(n+1, len(b)):]
	}
}

// printable returns how many bytes at the beginning of b are text. So is a byte above ASCII, in
// whatever encoding a name is.
func printable(b []byte) int {
	for n, c := range b {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			return n
		}
	}
	return len(b)
}

// joined looks at the strings of a vector as if they stood in a row, with a NUL
// behind each: "--password" is one and the password the next.
func (r *Rules) joined(w *work, items []record.Item) {
	if len(items) == 1 {
		r.bytes(w, items[0].Data)
		return
	}
	w.joined = w.joined[:0]
	for _, it := range items {
		w.joined = append(append(w.joined, it.Data...), 0)
	}
	if !r.bytes(w, w.joined) {
		return
	}
	rest := w.joined
	for _, it := range items {
		copy(it.Data, rest)
		rest = rest[len(it.Data)+1:]
	}
}

// bytes blanks what matches in b, and reports whether anything did. NULs stay: they
// part strings.
func (r *Rules) bytes(w *work, b []byte) bool {
	if len(b) < 2 {
		return false
	}
	digits := 0
	if r.quick {
		w.lower, digits = lower(w.lower[:0], b)
	}
	found := false
	for i := range r.patterns {
		p := &r.patterns[i]
		if digits < p.digits || p.words != nil && !containsAny(w.lower, p.words) {
			continue
		}
		for _, m := range p.re.FindAllSubmatchIndex(b, -1) {
			if len(m) == 2 {
				found = p.blank(b[m[0]:m[1]]) || found
				continue
			}
			for g := 2; g < len(m); g += 2 {
				if m[g] >= 0 {
					found = p.blank(b[m[g]:m[g+1]]) || found
				}
			}
		}
	}
	return found
}

func (p *pattern) blank(b []byte) bool {
	if p.check != nil && !p.check(b) {
		return false
	}
	for i, c := range b {
		if c != 0 {
			b[i] = '*'
		}
	}
	return len(b) > 0
}

// lower appends b in lower case, and returns the most digits in a row; spaces and
// hyphens between them do not count.
func lower(dst, b []byte) (low []byte, digits int) {
	row := 0
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			row++
			digits = max(digits, row)
		case c == ' ' || c == '-':
		default:
			row = 0
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
		}
		dst = append(dst, c)
	}
	return dst, digits
}

func containsAny(b []byte, words []string) bool {
	for _, word := range words {
		if bytes.Contains(b, []byte(word)) {
			return true
		}
	}
	return false
}

// cutArgs takes away all of a command line but its first string, and says that
// there was more. It reports whether there was.
func cutArgs(rec *record.Record) bool {
	changed := false
	out := rec.Items[:0]
	vector := -1 // argument whose first string has been kept
	for _, it := range rec.Items {
		if it.Kind == layout.ItemStrv {
			if vector == int(it.Arg) {
				if !changed || out[len(out)-1].Kind != layout.ItemStrv || len(out[len(out)-1].Data) > 0 {
					out = append(out, record.Item{Arg: it.Arg, Kind: it.Kind, Flags: it.Flags&layout.ItemEntry | layout.ItemCut})
				}
				changed = true
				continue
			}
			vector = int(it.Arg)
		}
		if it.Kind == layout.ItemArgv {
			if i := bytes.IndexByte(it.Data, 0); i >= 0 && i+1 < len(it.Data) {
				it.Data, it.Flags = it.Data[:i+1], it.Flags|layout.ItemCut
				changed = true
			}
		}
		out = append(out, it)
	}
	rec.Items = out
	if changed {
		rec.Flags |= layout.RecfCut
	}
	return changed
}

// Text blanks a string.
func (r *Rules) Text(s string) string {
	if r == nil || len(r.patterns) == 0 {
		return s
	}
	b := []byte(s)
	if !r.bytes(new(work), b) {
		return s
	}
	return string(b)
}

// Name blanks the name of a thread in place; a NUL ends it.
func (r *Rules) Name(b []byte) {
	if r == nil || len(r.patterns) == 0 {
		return
	}
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	r.bytes(new(work), b)
}

// Recording blanks what is told of a recording beside its records: the command line,
// the labels and the verdict. What rec shares with others is not changed.
func (r *Rules) Recording(rec *api.Recording) {
	if r == nil {
		return
	}
	var w work
	c := &rec.Container
	if len(c.Command) > 0 {
		c.Command = append([]string(nil), c.Command...)
		if r.noArgs {
			c.Command = c.Command[:1]
		}
		joined := []byte(strings.Join(c.Command, "\x00"))
		if r.bytes(&w, joined) {
			c.Command = strings.Split(string(joined), "\x00")
		}
	}
	r.labels(&w, &c.Labels)
	if rec.Inside != nil {
		in := *rec.Inside
		r.labels(&w, &in.Container.Labels)
		rec.Inside = &in
	}
	if rec.Exit != nil && rec.Exit.Message != "" { // the container's own words, as the kubelet has them
		exit := *rec.Exit
		exit.Message = r.Text(exit.Message)
		rec.Exit = &exit
	}
	rec.NotStarted = r.Text(rec.NotStarted)
	if rec.Verdict != nil {
		v := *rec.Verdict
		v.Text, v.Words = r.Text(v.Text), r.Text(v.Words)
		rec.Verdict = &v
	}
	if rec.Pod != nil {
		pod := *rec.Pod
		r.labels(&w, &pod.Labels)
		rec.Pod = &pod
	}
}

func (r *Rules) labels(w *work, labels *map[string]string) {
	copied := false
	for key, value := range *labels {
		// With its name, which may say what it is.
		b := []byte(key + "=" + value)
		if !r.bytes(w, b) {
			continue
		}
		if !copied {
			*labels = maps.Clone(*labels)
			copied = true
		}
		(*labels)[key] = string(b[len(key)+1:])
	}
}
