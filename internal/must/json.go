package must

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// SameAsJSON compares a call as text shows it with the line of JSON about it, value by value:
// every name, number and string of the text must be in the JSON, in this order, and
// nothing else. Where text has "...", the JSON may say more.
func SameAsJSON(line string, about []byte) error {
	var call struct {
		Syscall string
		Args    []struct {
			Name, Type string
			Raw        json.Number
			Value      ordered
		}
		Ret    ordered
		Error  string
		Errno  int
		Result ordered
		State  string
	}
	if err := json.Unmarshal(about, &call); err != nil {
		return err
	}
	line = strings.TrimSuffix(line, " <unfinished ...>")
	name, rest, ok := strings.Cut(line, "(")
	if !ok {
		return fmt.Errorf("no call: %s", line)
	}
	m := matcher{tokens: tokenize(rest)}
	wrong := func(what string, v any) error {
		text, _ := json.Marshal(v)
		return fmt.Errorf("%s is %s in JSON, in text it is at %s:\n%s\n%s", what, text, m.show(m.furthest), line, about)
	}
	if name != call.Syscall {
		return wrong("the name", call.Syscall)
	}
	at := 0
	for _, a := range call.Args {
		if m.is(at, tokenResult) || at >= len(m.tokens) {
			if call.State == "" && (name != "clone" || a.Value.v != nil) {
				return wrong("argument "+a.Name, a.Value.v)
			}
			break // what was not known when it began, or what clone's flags leave out
		}
		if t := m.tokens[at]; t.kind == tokenName && name == "clone" {
			if strings.TrimPrefix(t.text, "child_") != a.Name && t.text != a.Name && t.text != a.Name+"ptr" {
				continue // an argument that the flags leave out
			}
			at++
		}
		value := a.Value.v
		if value == nil || a.Type == "envp" {
			value = a.Raw
		}
		next, ok := m.value(value, at)
		if !ok && value == a.Raw && a.Raw == "0" {
			next, ok = m.value(nil, at)
		}
		if !ok && a.Value.v == nil && m.is(at, tokenOpen) && m.is(at+1, tokenMore) && m.is(at+2, tokenClose) {
			next, ok = at+3, true // {...}: not captured
		}
		if !ok {
			return wrong("argument "+a.Name, value)
		}
		at = next
	}
	if call.State != "" {
		return nil // it has no result
	}
	if !m.is(at, tokenResult) {
		return wrong("the result", call.Ret.v)
	}
	at++
	if call.Errno != 0 {
		want := call.Error
		if !strings.Contains(line, " = -1 "+want) && !strings.Contains(line, " = ? "+want) {
			return wrong("the error", want)
		}
		return nil
	}
	next, ok := m.value(call.Ret.v, at)
	if !ok {
		return wrong("the result", call.Ret.v)
	}
	if at = next; call.Result.v != nil {
		if next, ok = m.value(call.Result.v, at); !ok {
			return wrong("what the result means", call.Result.v)
		}
		at = next
	}
	if at < len(m.tokens) {
		m.furthest = at
		return wrong("the rest", nil)
	}
	return nil
}

type tokenKind uint8

const (
	tokenOpen tokenKind = iota
	tokenClose
	tokenName   // st_mode=
	tokenWord   // O_RDONLY
	tokenNumber // in any base
	tokenString
	tokenMore // ...
	tokenArrow
	tokenResult // ) =
)

type token struct {
	kind   tokenKind
	text   string // of a word or a name, the contents of a string
	number uint64
	cut    bool // a string that goes on
	not    bool // an open bracket behind ~
	raw    string
}

var (
	spaceRE   = regexp.MustCompile(`^(?:[\s,|;+@]|&&|==|<<\s*\d+|&\w+)+`)
	errorRE   = regexp.MustCompile(`^\([A-Z][a-z]+(?: [A-Za-z]+)+\)`)
	commentRE = regexp.MustCompile(`^/\*.*?\*/`)
	stringRE  = regexp.MustCompile(`^"((?:[^"\\]|\\.)*)"(\.\.\.)?`)
	resultRE  = regexp.MustCompile(`^\)\s+= `)
	macRE     = regexp.MustCompile(`^[0-9a-f]{2}(?::[0-9a-f]{2})+`)
	numberRE  = regexp.MustCompile(`^(-?)(0x[0-9a-f]+|\d+)(\*1024\b)?`)
	shiftedRE = regexp.MustCompile(`^(?:1<<(CAP_\w+)|8\*(\w+)|(\d+<<[A-Z]\w+))`)
	nameRE    = regexp.MustCompile(`^(\w+)=(?:[^=>]|$)`)
	labelRE   = regexp.MustCompile(`^(in|out|except|left) [\[{]`)
	statusRE  = regexp.MustCompile(`^W(?:IFEXITED|EXITSTATUS|IFSIGNALED|TERMSIG|IFSTOPPED|STOPSIG)\(s\)`)
	trueRE    = regexp.MustCompile(`^(?:W(?:IFCONTINUED|COREDUMP)\(s\)|FUTEX_OP_OPARG_SHIFT<<28|Timeout\b)`)
	noiseRE   = regexp.MustCompile(`^(?:inet_pton\(AF_INET6, |offsetof\(struct user, |\((?:flags|seals) |[A-Za-z_]\w*\(|[()]|\w+ or |-[A-Z]|__NR_)`)
	wordRE    = regexp.MustCompile(`^[A-Za-z_?]\w*\??\??`)
)

// tokenize takes apart what stands behind a call's parenthesis.
func tokenize(s string) []token {
	var tokens []token
	negated := false
	for s != "" {
		add := func(n int, t token) {
			t.raw = s[:n]
			tokens = append(tokens, t)
			s = s[n:]
		}
		if m := spaceRE.FindString(s); m != "" {
			s = s[len(m):]
			continue
		}
		if m := commentRE.FindString(s); m != "" {
			if n := len(tokens); n > 0 && tokens[n-1].kind == tokenNumber {
				tokens[n-1].text += strings.Trim(m, "/* ") // the name of a number
			}
			s = s[len(m):]
			continue
		}
		if m := errorRE.FindString(s); m != "" {
			s = s[len(m):]
			continue
		}
		if m := resultRE.FindString(s); m != "" {
			add(len(m), token{kind: tokenResult})
			continue
		}
		if m := stringRE.FindStringSubmatch(s); m != nil {
			add(len(m[0]), token{kind: tokenString, text: unquote(m[1]), cut: m[2] != ""})
			continue
		}
		switch {
		case strings.HasPrefix(s, "..."):
			add(3, token{kind: tokenMore})
			continue
		case strings.HasPrefix(s, "=>"):
			add(2, token{kind: tokenArrow})
			continue
		case s[0] == '~':
			negated, s = true, s[1:]
			continue
		case s[0] == '[' || s[0] == '{':
			add(1, token{kind: tokenOpen, not: negated})
			negated = false
			continue
		case s[0] == ']' || s[0] == '}':
			add(1, token{kind: tokenClose})
			continue
		}
		if m := statusRE.FindString(s); m != "" {
			s = s[len(m):]
		} else if m := trueRE.FindString(s); m != "" {
			add(len(m), token{kind: tokenWord, text: "true"})
		} else if m := macRE.FindString(s); m != "" {
			add(len(m), token{kind: tokenWord, text: m})
		} else if m := shiftedRE.FindStringSubmatch(s); m != nil {
			add(len(m[0]), token{kind: tokenWord, text: m[1] + m[2] + m[3]})
		} else if m := numberRE.FindStringSubmatch(s); m != nil {
			n, _ := strconv.ParseUint(m[2], 0, 64) // too large: a result that no register has
			if m[3] != "" {
				n *= 1024
			}
			if m[1] != "" {
				n = -n
			}
			add(len(m[0]), token{kind: tokenNumber, number: n})
		} else if m := labelRE.FindStringSubmatch(s); m != nil {
			add(len(m[1]), token{kind: tokenName, text: m[1]})
		} else if m := nameRE.FindStringSubmatch(s); m != nil {
			add(len(m[1])+1, token{kind: tokenName, text: m[1]})
		} else if m := noiseRE.FindString(s); m != "" {
			if m[0] == '-' {
				m = m[:1]
			}
			s = s[len(m):]
		} else if m := wordRE.FindString(s); m != "" {
			add(len(m), token{kind: tokenWord, text: m})
		} else {
			add(1, token{kind: tokenWord, text: s[:1]})
		}
	}
	return tokens
}

// unquote undoes strace's escapes.
func unquote(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		i++
		switch c := s[i]; {
		case c >= '0' && c <= '7':
			n := 0
			for k := 0; k < 3 && i < len(s) && s[i] >= '0' && s[i] <= '7'; k++ {
				n, i = n*8+int(s[i]-'0'), i+1
			}
			b, i = append(b, byte(n)), i-1
		case c == 'x':
			n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
			b, i = append(b, byte(n)), i+2
		default:
			if k := strings.IndexByte("ntrvf", c); k >= 0 {
				c = "\n\t\r\v\f"[k]
			}
			b = append(b, c)
		}
	}
	return string(b)
}

// matcher matches JSON with tokens of text. Its methods return the position behind what
// matched.
type matcher struct {
	tokens   []token
	furthest int
}

func (m *matcher) is(at int, kind tokenKind) bool {
	if at < len(m.tokens) {
		m.furthest = max(m.furthest, at)
	}
	return at < len(m.tokens) && m.tokens[at].kind == kind
}

func (m *matcher) show(at int) string {
	if at >= len(m.tokens) {
		return "the end"
	}
	return m.tokens[at].raw
}

func (m *matcher) word(at int, text string) bool {
	return m.is(at, tokenWord) && m.tokens[at].text == text
}

// value matches a value, which may be in brackets: what a pointer to a number points to.
func (m *matcher) value(v any, at int) (int, bool) {
	next, ok := m.bare(v, at)
	if !ok && m.is(at, tokenOpen) {
		if next, ok = m.bare(v, at+1); ok && m.is(next, tokenClose) {
			return next + 1, true
		}
		return at, false
	}
	return next, ok
}

func (m *matcher) bare(v any, at int) (int, bool) {
	switch v := v.(type) {
	case nil:
		return at + 1, m.word(at, "NULL")
	case bool:
		if m.word(at, "true") || m.is(at, tokenNumber) && m.tokens[at].number == 0x80 {
			return at + 1, true
		}
		return at, true // abstract sockets have it in JSON only
	case json.Number:
		if m.is(at, tokenNumber) {
			u, err := strconv.ParseUint(v.String(), 10, 64)
			if err != nil {
				i, _ := v.Int64()
				u = uint64(i)
			}
			return at + 1, m.tokens[at].number == u
		}
		return at, false
	case string:
		return m.text(v, at)
	case []any:
		return m.list(v, at)
	case object:
		next, ok := m.object(v, at)
		if m.is(at, tokenOpen) {
			if inside, is := m.object(v, at+1); is && m.is(inside, tokenClose) && (!ok || inside+1 > next) {
				return inside + 1, true
			}
		}
		return next, ok
	}
	return at, false
}

func (m *matcher) text(s string, at int) (int, bool) {
	switch {
	case m.is(at, tokenString):
		t := m.tokens[at]
		if s == hex.EncodeToString([]byte(t.text)) || t.cut && strings.HasPrefix(s, hex.EncodeToString([]byte(t.text))) {
			return at + 1, true
		}
		// each byte that is not UTF-8 is a U+FFFD of its own
		valid := replaceBytes(t.text)
		return at + 1, s == valid || t.cut && strings.HasPrefix(s, strings.TrimRight(valid, "\ufffd"))
	case m.is(at, tokenWord):
		return at + 1, m.tokens[at].text == s || m.tokens[at].text == strings.TrimPrefix(s, "SIG")
	case m.is(at, tokenNumber):
		n, err := strconv.ParseUint(s, 0, 64)
		return at + 1, err == nil && n == m.tokens[at].number || s == m.tokens[at].text
	}
	return at, false
}

// replaceBytes is what JSON makes of bytes.
func replaceBytes(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

func (m *matcher) list(v []any, at int) (int, bool) {
	if m.is(at, tokenOpen) {
		if m.tokens[at].not {
			return m.complement(v, at+1)
		}
		if next, ok := m.elements(v, at+1); ok {
			if m.is(next, tokenMore) {
				next++
			}
			if m.is(next, tokenClose) {
				return next + 1, true
			}
		}
	}
	if len(v) == 0 {
		if m.is(at, tokenNumber) && m.tokens[at].number == 0 {
			return at + 1, true // no flags
		}
		return at, true
	}
	return m.elements(v, at)
}

func (m *matcher) elements(v []any, at int) (int, bool) {
	for _, e := range v {
		if m.is(at, tokenMore) {
			return at, true
		}
		next, ok := m.value(e, at)
		if !ok {
			return at, false
		}
		at = next
	}
	return at, true
}

// complement matches a set of signals with those that are not in it.
func (m *matcher) complement(v []any, at int) (int, bool) {
	n := 0
	for ; m.is(at, tokenWord); at++ {
		n++
		if slices.Contains(v, any("SIG"+m.tokens[at].text)) {
			return at, false
		}
	}
	return at + 1, m.is(at, tokenClose) && (n+len(v) == 64 || n+len(v) == 32)
}

// object is a JSON object with its members in their order.
type object []member

type member struct {
	name  string
	value any
}

// ordered is any JSON, with objects in their order.
type ordered struct{ v any }

func (o *ordered) UnmarshalJSON(b []byte) (err error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	o.v, err = next(dec)
	return err
}

func next(dec *json.Decoder) (any, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := next(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	case json.Delim('{'):
		o := object{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := next(dec)
			if err != nil {
				return nil, err
			}
			o = append(o, member{name.(string), v})
		}
		_, err = dec.Token()
		return o, err
	}
	return t, nil
}

func (m *matcher) object(v object, at int) (int, bool) {
	elided := m.elided(at)
	for _, e := range v {
		if e.name == "out" && v[0].name == "in" && !(m.is(at, tokenName) && m.tokens[at].text == "out") {
			if !m.is(at, tokenArrow) {
				continue // it is the same, or text does not show it
			}
			at++
		}
		if m.is(at, tokenName) {
			if m.tokens[at].text != e.name {
				if e.value == true || elided {
					continue
				}
				return at, false
			}
			at++
		}
		if elided && m.is(at, tokenMore) {
			break
		}
		next, ok := m.value(e.value, at)
		if !ok {
			if elided {
				continue
			}
			return at, false
		}
		at = next
	}
	if elided && m.is(at, tokenMore) {
		at++
	}
	return at, true
}

// elided reports whether the brackets that a position is in end with "...".
func (m *matcher) elided(at int) bool {
	depth := 0
	for ; at < len(m.tokens); at++ {
		switch m.tokens[at].kind {
		case tokenOpen:
			depth++
		case tokenClose:
			if depth--; depth < 0 {
				return m.tokens[at-1].kind == tokenMore
			}
		}
	}
	return false
}
