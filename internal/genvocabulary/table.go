package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// column is a column of a section. The last one takes the rest of the line.
type column struct {
	name   string
	format *regexp.Regexp // what a cell looks like as a whole
}

var (
	upper  = regexp.MustCompile(`^[A-Z][A-Z_]*$`)
	lower  = regexp.MustCompile(`^[a-z]+$`)
	camel  = regexp.MustCompile(`^[A-Z][A-Za-z]*$`)
	number = regexp.MustCompile(`^\d+$`)
	path   = regexp.MustCompile(`^[A-Z]\w*\.[A-Z]\w*$`)
	metric = regexp.MustCompile(`^[a-z][a-z_]*_total$`)
	event  = regexp.MustCompile(`^(-|[a-z]+)$`)
	text   = regexp.MustCompile(`^\S.*$`)
)

func oneOf(words ...string) *regexp.Regexp {
	return regexp.MustCompile("^(" + strings.Join(words, "|") + ")$")
}

// sections are the tables that vocabulary.txt must have.
var sections = map[string][]column{
	"records":   {{"name", upper}, {"no", number}, {"event", event}, {"filter", oneOf("match", "keep", "-")}, {"what", text}},
	"events":    {{"type", lower}, {"go", camel}, {"failed", oneOf("error", "status", "always", "never")}, {"calls", oneOf("yes", "no")}, {"what", text}},
	"items":     {{"name", upper}, {"no", number}, {"blank", oneOf("text", "vector", "runs", "tail", "never")}, {"what", text}},
	"counters":  {{"name", upper}, {"no", number}, {"field", path}, {"metric", metric}, {"shown", oneOf("lost", "seen")}, {"text", text}},
	"recording": {{"field", path}, {"text", text}},
	"hints":     {{"name", upper}, {"no", number}, {"what", text}},
}

// row is one line of a section, by the names of its columns.
type row map[string]string

// tables are the rows of vocabulary.txt by section, in their order.
type tables map[string][]row

// parse reads vocabulary.txt. The error names the line.
func parse(src string) (tables, error) {
	t := tables{}
	section := ""
	seen := map[string]bool{}
	for i, line := range strings.Split(src, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		fail := func(format string, args ...any) (tables, error) {
			return nil, fmt.Errorf("line %d: %s", i+1, fmt.Sprintf(format, args...))
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			if sections[section] == nil {
				return fail("unknown section %s", line)
			}
			continue
		}
		columns := sections[section]
		if columns == nil {
			return fail("a row before the first section")
		}
		r, rest := row{}, line
		for n, c := range columns {
			cell := rest
			if n < len(columns)-1 {
				cell, rest, _ = strings.Cut(rest, " ")
				rest = strings.TrimSpace(rest)
			}
			if !c.format.MatchString(cell) {
				return fail("%s %q: want %s", c.name, cell, c.format)
			}
			r[c.name] = cell
		}
		for _, key := range []string{columns[0].name, "no", "metric", "go"} {
			if v, ok := r[key]; ok {
				if id := section + " " + key + " " + v; seen[id] {
					return fail("%s %s is there twice", key, v)
				} else {
					seen[id] = true
				}
			}
		}
		t[section] = append(t[section], r)
	}
	return t, t.check()
}

// check holds the sections against each other.
func (t tables) check() error {
	for name := range sections {
		if len(t[name]) == 0 {
			return fmt.Errorf("section [%s] is missing or empty", name)
		}
	}
	types := map[string]bool{"-": true}
	for _, e := range t["events"] {
		types[e["type"]] = true
	}
	for _, r := range t["records"] {
		if !types[r["event"]] {
			return fmt.Errorf("record %s: event %q is not in [events]", r["name"], r["event"])
		}
		// Four bits of a record's stamp; 0 is no record.
		if n, _ := strconv.Atoi(r["no"]); n < 1 || n > 15 {
			return fmt.Errorf("record %s: number %d is not 1 to 15", r["name"], n)
		}
	}
	for i, c := range t["counters"] {
		if c["no"] != strconv.Itoa(i) {
			return fmt.Errorf("counter %s: number %s, want %d: they are places in an array", c["name"], c["no"], i)
		}
	}
	return nil
}
