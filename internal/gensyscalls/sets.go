package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// set is one block of sets.txt.
type set struct {
	name    string
	kind    string // flags, enum, mixed
	mask    uint64 // of the enumerated bits, if mixed
	unknown string
	headers []string
	names   []setName
	enums   int // names before "|", if mixed
}

type setName struct {
	name  string
	value string // given in sets.txt, else ""
}

func readSets(dir string) ([]*set, error) {
	b, err := os.ReadFile(filepath.Join(dir, "sets.txt"))
	if err != nil {
		return nil, err
	}
	var sets []*set
	var cur *set
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<20)
	for line := 1; sc.Scan(); line++ {
		text := sc.Text()
		f := strings.Fields(text)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		if text[0] != '\t' {
			if len(f) < 4 {
				return nil, fmt.Errorf("sets.txt:%d: want KIND NAME UNKNOWN HEADER", line)
			}
			kind, mask, _ := strings.Cut(f[0], ":")
			cur = &set{name: f[1], kind: kind, unknown: f[2], headers: f[3:]}
			switch kind {
			case "mixed":
				if cur.mask, err = strconv.ParseUint(mask, 0, 64); err != nil {
					return nil, fmt.Errorf("sets.txt:%d: %w", line, err)
				}
			case "flags", "enum":
			default:
				return nil, fmt.Errorf("sets.txt:%d: unknown kind %q", line, kind)
			}
			sets = append(sets, cur)
			continue
		}
		if cur == nil {
			return nil, fmt.Errorf("sets.txt:%d: names before the first set", line)
		}
		for _, n := range f {
			if n == "|" {
				cur.enums = len(cur.names)
				continue
			}
			name, value, _ := strings.Cut(n, "=")
			cur.names = append(cur.names, setName{name, value})
		}
	}
	return sets, sc.Err()
}
