package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// scalars are the types that are neither sets nor structs: Go kind, bytes where
// pointed to (0: a word), most bytes that are read of an array of it.
var scalars = map[string]struct {
	kind string
	size int
	max  int
}{
	"int": {"KindInt", 4, 0}, "uint": {"KindUint", 4, 0}, "ushort": {"KindUint", 2, 0}, "long": {"KindInt", 0, 0}, "ulong": {"KindUint", 0, 0},
	"size": {"KindUint", 0, 0}, "hex": {"KindHex", 0, 0}, "hex32": {"KindHex", 4, 0}, "ulong_hex": {"KindHex", 0, 0},
	"ptr": {"KindPtr", 0, 0}, "fd": {"KindFd", 4, 0}, "dirfd": {"KindDirfd", 4, 0}, "fandirfd": {"KindDirfd", 4, 0}, "pid": {"KindInt", 4, 0},
	"uid": {"KindUID", 4, 0}, "gid": {"KindUID", 4, 0}, "uid16": {"KindUID", 2, 0}, "gid16": {"KindUID", 2, 0},
	"mode": {"KindMode", 4, 0}, "oct": {"KindMode", 4, 0}, "filemode": {"KindFileMode", 4, 0}, "dev": {"KindDev", 4, 0},
	"off": {"KindInt", 0, 0}, "off64": {"KindInt", 8, 0}, "u64arg": {"KindUint", 8, 0}, "s64": {"KindInt", 8, 0}, "u64": {"KindUint", 8, 0},
	"hexoff": {"KindHex", 0, 0}, "time": {"KindInt", 8, 0}, "sig": {"KindSig", 4, 0},
}

// customs are decoded by functions of package strace.
var customs = map[string]struct{ size, max int }{
	"pgoff": {0, 0}, "offhl": {8, 0}, "offhilo": {8, 0}, "clockid": {4, 0}, "wstatus": {4, 0}, "sigset": {8, 0}, "old_sigset": {0, 0}, "old_sigset_arg": {0, 0},
	"sigmask": {8, 0}, "fdset": {1, 192}, "cpuset": {1, 128}, "sockaddr": {1, 128}, "sockoptval": {1, 64}, "sockopt": {4, 0}, "sockproto": {4, 0},
	"nodemask": {1, 256}, "cloneflags": {0, 0}, "clone3flags": {8, 0}, "parenttid": {4, 0}, "capmask": {4, 0}, "rlim": {0, 0}, "sighandler": {0, 0},
	"futexwakeop": {4, 0}, "inaddr": {4, 0}, "hwaddr": {1, 0}, "bytes": {1, 0}, "termoflag": {4, 0}, "termcflag": {4, 0},
	"ptracer": {0, 0}, "ioprio": {4, 0}, "fanmask64": {8, 0}, "ioctlcmd": {4, 0}, "poll": {4, 0}, "select": {4, 0}, "sigwait": {4, 0},
	"oct?": {8, 0}, "sig_ret": {4, 0}, "ioprio_ret": {4, 0}, "waitid": {4, 0}, "futexop": {4, 0},
	"personality": {0, 0}, "keyringid": {4, 0}, "ipckey": {4, 0}, "fsmagic": {0, 0}, "futexbitset": {4, 0}, "socktype": {4, 0}, "sendoff": {0, 0},
	"sendoff64": {8, 0}, "errnum": {4, 0}, "iocbopcode": {2, 0}, "kernelversion": {4, 0}, "threadarea": {4, 0}, "ldt": {4, 0}, "ldtfunc": {4, 0}, "reqkey": {4, 0}, "swapflags": {4, 0}, "socketcall": {4, 0}, "ipccall": {4, 0}, "userreg": {0, 0}, "pagestatus": {4, 0}, "residency": {1, 64}, "quotacmd": {4, 0}, "movedoff": {8, 0}, "ambientcap": {0, 0}, "mmapflags": {0, 0}, "memfdflags": {4, 0}, "shmgetflags": {4, 0}, "syslogaction": {4, 0}, "seccompaction": {4, 0}, "pidtype": {0, 0}, "mcepolicy": {0, 0},
	"mountflags": {0, 0}, "mmapprot": {0, 0}, "cloexecflag": {4, 0}, "plainclock": {4, 0},
}

// What takes two registers on a 32-bit ABI.
var wide = map[string]bool{"off64": true, "u64arg": true, "fanmask64": true}

// What takes two registers on every ABI: the low and the high half, or the high
// and the low.
var pairs = map[string]bool{"offhl": true, "offhilo": true}

// forms are what a pointer of its own kind is called.
var forms = map[string]string{
	"path": "FormPath", "str": "FormString", "str16": "FormString", "chars": "FormChars", "pathn": "FormPathN", "data": "FormData",
	"strv": "FormStrings", "envp": "FormCount", "iov": "FormIovec", "msg": "FormMsg", "mmsg": "FormMmsg", "len": "FormLen", "dents": "FormDents", "frame": "FormStack",
}

var formMax = map[string]int{
	"path": 4096, "str": 256, "str16": 16, "chars": 1024, "pathn": 4096, "data": 4096, "strv": 256, "iov": 1024, "mmsg": 512, "len": 8, "frame": 8,
}

var conds = map[string]string{"creat": "CondCreat", "device": "CondDevice", "mremapfixed": "CondMremapFixed", "interrupted": "CondInterrupted", "membarriercpu": "CondMembarrierCPU", "filtermode": "CondFilterMode"}

var classes = map[string]string{
	"file": "ClassFile", "desc": "ClassDesc", "network": "ClassNetwork", "process": "ClassProcess", "signal": "ClassSignal",
	"memory": "ClassMemory", "ipc": "ClassIPC", "creds": "ClassCreds", "clock": "ClassClock",
}

var callFlags = map[string]string{"enter": "FlagEnter", "write": "FlagWrite", "fork": "FlagFork"}

const (
	x86_64 = iota
	i386
	x32
	arm64
	arm
)

func is32(a int) bool { return a == i386 || a == arm }

// gen holds the tables while they are put together.
type gen struct {
	dir      string
	kernel   [archs][]entry
	consts   map[string][]setName // by set; the values are numbers
	sets     []*set
	setAt    map[string]int
	structs  []*strct
	strAt    map[string]int
	types    []string // Go literals
	typeAt   map[string]int
	rows     []*row
	rowAt    map[string]*row // name or name:abi
	subs     map[string][]*row
	argSets  []string // Go literals of []Arg
	argAt    map[string]int
	errnos   [][3]string
	problems []error
}

// row is a line of calls.txt.
type row struct {
	line    int
	name    string
	cmd     string
	abis    []string
	flags   []string
	classes []string
	args    []rowArg
	ret     string
	alias   string
	used    bool
}

type rowArg struct {
	name, typ, cond string
	dir             string // any of * > !
	count           string
	sub             bool
	vector          bool // of pointers to typ
}

// writeTables reads everything and writes the generated Go files.
func writeTables(dir string) error {
	g := &gen{dir: dir, consts: map[string][]setName{}, setAt: map[string]int{}, strAt: map[string]int{}, typeAt: map[string]int{},
		rowAt: map[string]*row{}, subs: map[string][]*row{}, argAt: map[string]int{}}
	for _, step := range []func() error{g.readKernel, g.readConsts, g.readSets, g.readStructs, g.readCalls, g.write} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// lines calls f with the fields of every line that is not empty or a comment.
func lines(path, sep string, f func(n int, line string, fields []string) error) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		t := sc.Text()
		if strings.TrimSpace(t) == "" || t[0] == '#' {
			continue
		}
		var fields []string
		if sep == "" {
			fields = strings.Fields(t)
		} else {
			fields = strings.Split(t, sep)
		}
		if err := f(n, t, fields); err != nil {
			return fmt.Errorf("%s:%d: %w", filepath.Base(path), n, err)
		}
	}
	return sc.Err()
}

func (g *gen) readKernel() error {
	return lines(filepath.Join(g.dir, "kernel.tsv"), "\t", func(_ int, _ string, f []string) error {
		a := slices.Index(archNames, f[0])
		if a < 0 || len(f) != 4 {
			return fmt.Errorf("want ABI, number, name, signature")
		}
		nr, err := strconv.Atoi(f[1])
		if err != nil {
			return err
		}
		g.kernel[a] = append(g.kernel[a], entry{nr, f[2], f[3]})
		return nil
	})
}

func (g *gen) readConsts() error {
	return lines(filepath.Join(g.dir, "consts.tsv"), "\t", func(_ int, _ string, f []string) error {
		switch {
		case f[0] == "errno" && len(f) == 4:
			g.errnos = append(g.errnos, [3]string{f[2], f[1], f[3]})
		case len(f) == 3:
			g.consts[f[0]] = append(g.consts[f[0]], setName{f[1], f[2]})
		default:
			return fmt.Errorf("want set, name, value")
		}
		return nil
	})
}

func (g *gen) readSets() error {
	sets, err := readSets(g.dir)
	if err != nil {
		return err
	}
	requests := g.consts["ioctl"]
	for _, s := range sets {
		if s.name == "ioctlmore" { // what the headers' macros do not tell
			requests = append(requests, s.names...)
		}
	}
	sets = append(sets, &set{name: "ioctl", kind: "enum", unknown: "_IOC(...)", names: requests})
	for _, s := range sets {
		if _, ok := g.setAt[s.name]; ok {
			return fmt.Errorf("sets.txt: %s stands there twice", s.name)
		}
		if err := g.resolve(s); err != nil {
			return fmt.Errorf("sets.txt: %s: %w", s.name, err)
		}
		g.setAt[s.name] = len(g.sets)
		g.sets = append(g.sets, s)
	}
	return nil
}

// resolve gives every name of a set its value, in the order of sets.txt.
func (g *gen) resolve(s *set) error {
	known := map[string]string{}
	for _, c := range g.consts[s.name] {
		known[c.name] = c.value
	}
	var names []setName
	used := map[string]bool{}
	enums := 0
	for i, n := range s.names {
		switch {
		case strings.HasPrefix(n.name, "-"):
		case n.value != "":
			v, err := strconv.ParseUint(n.value, 0, 64)
			if err != nil {
				return err
			}
			names = append(names, setName{n.name, strconv.FormatUint(v, 10)})
			used[n.name] = true
		case strings.Contains(n.name, "*"):
			prefix, suffix, _ := strings.Cut(n.name, "*")
			var more []setName
			for _, c := range g.consts[s.name] {
				if strings.HasPrefix(c.name, prefix) && strings.HasSuffix(c.name, suffix) && !used[c.name] {
					used[c.name] = true
					more = append(more, c)
				}
			}
			slices.SortStableFunc(more, func(a, b setName) int { return cmp.Compare(num(a.value), num(b.value)) })
			names = append(names, more...)
		case known[n.name] != "" && !used[n.name]:
			names = append(names, setName{n.name, known[n.name]})
			used[n.name] = true
		}
		if i < s.enums {
			enums = len(names)
		}
	}
	s.names, s.enums = names, enums
	if s.kind == "enum" {
		s.enums = len(names)
	}
	return nil
}

func num(s string) uint64 {
	v, _ := strconv.ParseUint(s, 0, 64)
	return v
}

// value finds a constant by name in a set.
func (g *gen) value(setName, name string) (uint64, bool) {
	if setName == "ioctlcmd" {
		setName = "ioctl"
	}
	at, ok := g.setAt[setName]
	if !ok {
		return 0, false
	}
	for _, n := range g.sets[at].names {
		if n.name == name {
			return num(n.value), true
		}
	}
	return 0, false
}

// typ returns the index of a type.
func (g *gen) typ(name string) (int, error) {
	if i, ok := g.typeAt[name]; ok {
		return i, nil
	}
	i := len(g.types)
	lit := ""
	base := strings.TrimSuffix(name, "_ret")
	switch {
	case customs[name] != struct{ size, max int }{}:
		c := customs[name]
		lit = fmt.Sprintf("Kind: KindCustom, Size: %d, Max: %d", c.size, c.max)
		if at, ok := g.setAt[name]; ok {
			lit += fmt.Sprintf(", Set: &sets[%d]", at)
		}
	case hasKey(customs, name):
		lit = "Kind: KindCustom"
		if at, ok := g.setAt[name]; ok {
			lit += fmt.Sprintf(", Set: &sets[%d]", at)
		}
	case hasKey(scalars, name):
		s := scalars[name]
		lit = fmt.Sprintf("Kind: %s, Size: %d, Max: %d", s.kind, s.size, s.max)
	case hasKey(forms, name):
		lit = fmt.Sprintf("Kind: KindCustom, Size: 1, Max: %d", formMax[name])
	case hasKey(g.strAt, name):
		lit = fmt.Sprintf("Kind: KindStruct, Struct: &structs[%d]", g.strAt[name])
	case hasKey(g.setAt, name):
		lit = fmt.Sprintf("Kind: KindSet, Size: 4, Set: &sets[%d]", g.setAt[name])
	case base != name && hasKey(g.setAt, base):
		lit = fmt.Sprintf("Kind: KindCustom, Size: 4, Set: &sets[%d]", g.setAt[base])
	default:
		return 0, fmt.Errorf("unknown type %q", name)
	}
	g.types = append(g.types, fmt.Sprintf("{ID: %d, Name: %q, %s}", i, name, lit))
	g.typeAt[name] = i
	return i, nil
}

func hasKey[V any](m map[string]V, k string) bool { _, ok := m[k]; return ok }

func (g *gen) readCalls() error {
	err := lines(filepath.Join(g.dir, "calls.txt"), "", func(n int, _ string, f []string) error {
		r, err := parseRow(f)
		if err != nil {
			return err
		}
		r.line = n
		g.rows = append(g.rows, r)
		if r.cmd != "" {
			g.subs[r.name] = append(g.subs[r.name], r)
			return nil
		}
		if len(r.abis) == 0 {
			g.rowAt[r.name] = r
		}
		for _, a := range r.abis {
			if !slices.Contains(archNames, a) {
				return fmt.Errorf("unknown ABI %q", a)
			}
			g.rowAt[r.name+":"+a] = r
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range g.rows {
		if r.alias == "" {
			continue
		}
		of := g.rowAt[r.alias]
		if of == nil {
			return fmt.Errorf("calls.txt:%d: there is no %q", r.line, r.alias)
		}
		r.args, r.ret, r.flags, r.classes = of.args, of.ret, of.flags, of.classes
		own := g.subs[r.name]
		for _, s := range g.subs[r.alias] {
			if !slices.ContainsFunc(own, func(o *row) bool { return o.cmd == s.cmd }) {
				own = append(own, s)
			}
		}
		g.subs[r.name] = own
	}
	return nil
}

func parseRow(f []string) (*row, error) {
	r := &row{}
	name, abis, _ := strings.Cut(f[0], ":")
	r.name, r.cmd, _ = strings.Cut(name, "/")
	if abis != "" {
		r.abis = strings.Split(abis, ",")
	}
	for i := 1; i < len(f); i++ {
		t := f[i]
		switch {
		case t == "=" && i == 1 && len(f) == 3 && !hasKey(scalars, f[2]):
			r.alias = f[2]
			return r, nil
		case t == "=":
			if i+2 != len(f) {
				return nil, fmt.Errorf("want one type after =")
			}
			r.ret = f[i+1]
			return r, nil
		case t[0] == '+':
			if callFlags[t[1:]] == "" {
				return nil, fmt.Errorf("unknown flag %q", t)
			}
			r.flags = append(r.flags, callFlags[t[1:]])
		case t[0] == '%':
			if classes[t[1:]] == "" {
				return nil, fmt.Errorf("unknown class %q", t)
			}
			r.classes = append(r.classes, classes[t[1:]])
		case t == "-":
			r.args = append(r.args, rowArg{name: "-", typ: "hex"})
		default:
			a := rowArg{}
			var ok bool
			if a.name, a.typ, ok = strings.Cut(t, ":"); !ok {
				return nil, fmt.Errorf("want NAME:TYPE, not %q", t)
			}
			a.typ, a.cond, _ = strings.Cut(a.typ, "?")
			if a.cond != "" && conds[a.cond] == "" {
				return nil, fmt.Errorf("unknown condition %q", a.cond)
			}
			rest := strings.TrimLeft(a.typ, "*>!")
			a.dir, a.typ = a.typ[:len(a.typ)-len(rest)], rest
			a.typ, a.vector = strings.TrimPrefix(a.typ, "&"), strings.HasPrefix(a.typ, "&")
			if at := strings.IndexByte(a.typ, '['); at >= 0 {
				a.typ, a.count = a.typ[:at], strings.TrimSuffix(a.typ[at+1:], "]")
			}
			if strings.HasPrefix(a.typ, "<") {
				a.sub, a.typ = true, strings.Trim(a.typ, "<>")
			}
			r.args = append(r.args, a)
		}
	}
	return r, nil
}

// args renders the arguments of a row for an ABI: the []Arg literal's number,
// registers, index of the command.
func (g *gen) args(r *row, a int) (set, nargs, sub int, err error) {
	sub = -1
	regs := make([]int, len(r.args))
	width := make([]int, len(r.args))
	for i, x := range r.args {
		regs[i], width[i] = nargs, 1
		if forms[x.typ] == "FormStack" {
			width[i] = 0
		}
		if pairs[x.typ] || wide[x.typ] && is32(a) {
			width[i] = 2
			if wide[x.typ] && a == arm && nargs%2 == 1 {
				nargs++
				regs[i] = nargs
			}
		}
		nargs += width[i]
	}
	if nargs > 6 {
		return 0, 0, 0, fmt.Errorf("%d registers", nargs)
	}
	index := func(name string) (int, error) {
		for i, x := range r.args {
			if x.name == name {
				return i, nil
			}
		}
		return 0, fmt.Errorf("no argument %q", name)
	}
	var b strings.Builder
	for i, x := range r.args {
		form, dir := "FormValue", ""
		if f := forms[x.typ]; f != "" {
			form = f
			if dir = x.dir; dir == "" {
				dir = "*"
			}
		} else if x.dir != "" {
			form, dir = "FormPointer", x.dir
			if x.vector {
				form = "FormVector"
			}
		}
		t, err := g.typ(x.typ)
		if err != nil {
			return 0, 0, 0, err
		}
		fmt.Fprintf(&b, "{Name: %q, Type: &types[%d], Form: %s, Reg: %d, Regs: %d", x.name, t, form, regs[i], width[i])
		if dir != "" {
			var d []string
			for _, c := range dir {
				d = append(d, map[rune]string{'*': "DirIn", '>': "DirOut", '!': "DirEntry"}[c])
			}
			fmt.Fprintf(&b, ", Dir: %s", strings.Join(d, " | "))
		}
		if c := x.count; c != "" {
			if form == "FormValue" {
				return 0, 0, 0, fmt.Errorf("%s is no pointer and has a count", x.name)
			}
			if n, err := strconv.Atoi(c); err == nil {
				fmt.Fprintf(&b, ", Count: CountFixed, N: %d", n)
			} else if c == "ret" {
				b.WriteString(", Count: CountRet")
			} else {
				kind := "CountArg"
				switch c[0] {
				case '*':
					kind, c = "CountPtr", c[1:]
				case '#':
					kind, c = "CountBits", c[1:]
				case '^':
					kind, c = "CountPages", c[1:]
				case '=':
					kind, c = "CountBytes", c[1:]
				}
				at, err := index(c)
				if err != nil {
					return 0, 0, 0, err
				}
				if kind == "CountArg" && scalars[r.args[at].typ].size != 4 {
					kind = "CountArgLong"
				}
				if kind == "CountBytes" && scalars[r.args[at].typ].size == 4 {
					kind = "CountBytesInt"
				}
				fmt.Fprintf(&b, ", Count: %s, Carg: %d", kind, regs[at])
			}
		}
		if x.cond != "" {
			fmt.Fprintf(&b, ", Cond: %s", conds[x.cond])
		}
		b.WriteString("},\n")
		if x.sub {
			sub = i
		}
	}
	lit := b.String()
	n, ok := g.argAt[lit]
	if !ok {
		n = len(g.argSets)
		g.argSets = append(g.argSets, lit)
		g.argAt[lit] = n
	}
	return n, nargs, sub, nil
}

// guess makes a row of a kernel signature.
func guess(e entry) *row {
	r := &row{name: e.name}
	if e.sig == "-" {
		for i := range 6 {
			r.args = append(r.args, rowArg{name: fmt.Sprintf("arg%d", i+1), typ: "hex"})
		}
		return r
	}
	if e.sig == "void" {
		return r
	}
	for _, p := range strings.Split(e.sig, ", ") {
		at := strings.LastIndexAny(p, " *")
		typ, name := strings.TrimSpace(p[:at+1]), p[at+1:]
		typ = strings.TrimPrefix(typ, "const ")
		t := "hex"
		switch {
		case strings.Contains(typ, "*"):
			t = "ptr"
		case name == "fd" || name == "fildes" || name == "ufd" || name == "dfd":
			t = "fd"
		case typ == "int" || typ == "compat_int_t" || typ == "s32" || typ == "pid_t" || typ == "compat_pid_t" || typ == "key_serial_t":
			t = "int"
		case typ == "unsigned int" || typ == "unsigned" || typ == "u32" || typ == "uint32_t":
			t = "uint"
		case typ == "size_t" || typ == "compat_size_t":
			t = "size"
		case typ == "long" || typ == "compat_long_t" || typ == "off_t" || typ == "compat_off_t":
			t = "long"
		case typ == "umode_t":
			t = "mode"
		}
		r.args = append(r.args, rowArg{name: name, typ: t})
	}
	return r
}
