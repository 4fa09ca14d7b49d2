package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// strct is a struct of structs.txt.
type strct struct {
	name   string
	noname bool
	packed [archs]bool
	fields [archs][]field
}

type field struct {
	name   string
	typ    string // format
	st     string // storage, or a struct's name
	nested bool
	char   bool
	hidden bool
	via    bool // a pointer that is followed; typ is what it points to
	many   bool // it points to an array, whose size in bytes the struct's first field has
	n      int  // elements, 0: not an array
}

// layout is a struct laid out for an ABI.
type layout struct {
	size, align int
	off         []int
	elem        []int
}

func (g *gen) readStructs() error {
	var cur *strct
	var abis []int
	return lines(filepath.Join(g.dir, "structs.txt"), "", func(_ int, line string, f []string) error {
		if f[0] == "struct" && line[0] != '\t' {
			name, list, _ := strings.Cut(f[1], ":")
			abis = abis[:0]
			for i, a := range archNames {
				if list == "" || slices.Contains(strings.Split(list, ","), a) {
					abis = append(abis, i)
				}
			}
			at, ok := g.strAt[name]
			if !ok {
				at = len(g.structs)
				g.strAt[name] = at
				g.structs = append(g.structs, &strct{name: name})
			}
			cur = g.structs[at]
			for _, o := range f[2:] {
				key, list, _ := strings.Cut(o, ":")
				switch key {
				case "packed":
					for i, a := range archNames {
						if list == "" || slices.Contains(strings.Split(list, ","), a) {
							cur.packed[i] = true
						}
					}
				case "noname":
					cur.noname = true
				default:
					return fmt.Errorf("unknown option %q", o)
				}
			}
			return nil
		}
		if cur == nil {
			return fmt.Errorf("fields before the first struct")
		}
		for _, w := range f {
			fl, err := parseField(w)
			if err != nil {
				return err
			}
			for _, a := range abis {
				cur.fields[a] = append(cur.fields[a], fl)
			}
		}
		return nil
	})
}

func parseField(w string) (field, error) {
	name, rest, ok := strings.Cut(w, ":")
	if !ok {
		return field{}, fmt.Errorf("want FIELD:STORAGE, not %q", w)
	}
	f := field{name: strings.TrimPrefix(name, "~"), hidden: name[0] == '~' || name == "-"}
	f.st, f.typ, _ = strings.Cut(rest, "/")
	if at := strings.IndexByte(f.st, '['); at >= 0 {
		n, err := strconv.Atoi(strings.TrimSuffix(f.st[at+1:], "]"))
		if err != nil {
			return f, err
		}
		f.n, f.st = n, f.st[:at]
	}
	f.st, f.nested = strings.TrimPrefix(f.st, "@"), strings.HasPrefix(f.st, "@")
	f.char = f.st == "char"
	f.typ, f.via = strings.TrimPrefix(f.typ, "&"), strings.HasPrefix(f.typ, "&")
	f.typ, f.many = strings.TrimSuffix(f.typ, "[]"), strings.HasSuffix(f.typ, "[]")
	if f.typ == "" {
		switch {
		case f.nested:
			f.typ = f.st
		case f.st == "ptr":
			f.typ = "ptr"
		case f.signed():
			f.typ = "s64"
		default:
			f.typ = "u64"
		}
	}
	return f, nil
}

func (f field) signed() bool {
	return !f.nested && (f.st[0] == 's' && f.st != "size" || f.st == "long" || f.st == "klong")
}

// size returns the bytes and the alignment of an element.
func (g *gen) size(f field, a int) (size, align int, err error) {
	if f.nested {
		at, ok := g.strAt[f.st]
		if !ok {
			return 0, 0, fmt.Errorf("there is no struct %q above", f.st)
		}
		l, err := g.layout(g.structs[at], a)
		return l.size, l.align, err
	}
	switch f.st {
	case "char", "u8", "s8":
		return 1, 1, nil
	case "u16", "s16":
		return 2, 2, nil
	case "u32", "s32":
		return 4, 4, nil
	case "u64", "s64":
		if a == i386 {
			return 8, 4, nil
		}
		return 8, 8, nil
	case "long", "ulong", "ptr", "size":
		if is32(a) || a == x32 {
			return 4, 4, nil
		}
		return 8, 8, nil
	case "klong", "kulong":
		if is32(a) {
			return 4, 4, nil
		}
		return 8, 8, nil
	}
	return 0, 0, fmt.Errorf("unknown storage %q", f.st)
}

func (g *gen) layout(s *strct, a int) (layout, error) {
	l := layout{align: 1}
	for _, f := range s.fields[a] {
		size, align, err := g.size(f, a)
		if err != nil {
			return l, fmt.Errorf("struct %s: %s: %w", s.name, f.name, err)
		}
		if s.packed[a] {
			align = 1
		}
		// sival_int and sival_ptr are a union, the only one
		if f.name == "sival_ptr" {
			l.size = 0
		}
		l.size = (l.size + align - 1) / align * align
		l.off, l.elem = append(l.off, l.size), append(l.elem, size)
		l.align = max(l.align, align)
		l.size += size * max(f.n, 1)
	}
	l.size = (l.size + l.align - 1) / l.align * l.align
	return l, nil
}

// structLits renders the structs; all their types exist afterwards.
func (g *gen) structLits() ([]string, error) {
	var out []string
	for _, s := range g.structs {
		var b strings.Builder
		fmt.Fprintf(&b, "{Name: %q, Noname: %v, Layouts: [Archs]*Layout{\n", s.name, s.noname)
		for a := range archs {
			if len(s.fields[a]) == 0 {
				continue
			}
			l, err := g.layout(s, a)
			if err != nil {
				return nil, err
			}
			if n := len(slices.DeleteFunc(slices.Clone(s.fields[a]), func(f field) bool { return !f.via })); n > 1 {
				return nil, fmt.Errorf("struct %s: %d pointers to follow, and a record's items tell only one", s.name, n)
			}
			fmt.Fprintf(&b, "%d: {Size: %d, Fields: []Field{\n", a, l.size)
			for i, f := range s.fields[a] {
				if f.name == "-" {
					continue
				}
				t, err := g.typ(f.typ)
				if err != nil {
					return nil, fmt.Errorf("struct %s: %w", s.name, err)
				}
				fmt.Fprintf(&b, "{Name: %q, typ: %d, Off: %d, Size: %d", f.name, t, l.off[i], l.elem[i])
				if f.n > 0 {
					fmt.Fprintf(&b, ", N: %d", f.n)
				}
				for _, o := range []struct {
					on   bool
					name string
				}{{f.signed(), "Signed"}, {f.char, "Char"}, {f.hidden, "Hidden"}, {f.via, "Via"}, {f.many, "Many"}} {
					if o.on {
						fmt.Fprintf(&b, ", %s: true", o.name)
					}
				}
				b.WriteString("},\n")
			}
			b.WriteString("}},\n")
		}
		b.WriteString("}},\n")
		out = append(out, b.String())
	}
	return out, nil
}
