package postmortem

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// scored is a failed call before the end, and what it has to do with it.
type scored struct {
	*failure
	score  float64
	named  bool // the last words say that it is it: they name its file, or have its error
	byFile bool // they name its file
	last   bool // nothing that matters happened between it and the end
	why    string
}

// lateGuard is how long before the end a failure may lie that only the guard lane has:
// what was done since is overwritten.
const lateGuard = uint64(5e9)

// weighCauses sorts the failed calls of the process by how much they say about its end.
func (c *facts) weighCauses() {
	p := c.proc
	if p.status == 0 || c.outcome == OOM {
		return
	}
	for _, f := range p.fails {
		if f.ev.ns > c.end {
			continue
		}
		s := scored{failure: f, score: f.weight}
		why := []string{"weight " + fmt.Sprint(round(f.weight))}
		named := f.found == "" && !harmless(f) && names(c.said, strings.Trim(f.file, `"`), p.Comm)
		s.last = c.lastToMatter(f)
		switch {
		case named:
			s.score, s.named, s.byFile = max(5*s.score, 1), true, true
			why = append(why, "the last words name it")
		case c.has(f):
			s.score *= 1.5
			why = append(why, "the last words have its error")
			s.named = s.last || f.errno != eNOENT && f.weight >= verdictWeight && f.found == "" &&
				f.execs == p.execs && !c.afterSign(f)
		}
		if before := c.anchor - min(f.ev.ns, c.anchor); before > 0 {
			s.score /= 1 + float64(before)/10e9
		}
		if c.ender != nil && f.tid != c.ender.tid {
			s.score *= .6
			why = append(why, "another thread")
		}
		if f.count > 100 {
			s.score *= .5
			why = append(why, "happens often")
		}
		if f.execs < p.execs && !s.named {
			s.score *= earlierFactor
			why = append(why, "of the program before this one")
		}
		if f.found != "" {
			why = append(why, "found later as "+f.found)
		}
		if s.last {
			why = append(why, "nothing else was done after it")
		}
		s.why = strings.Join(why, ", ")
		c.causes = append(c.causes, s)
	}
	slices.SortStableFunc(c.causes, func(x, y scored) int {
		return cmp.Or(cmp.Compare(y.score, x.score), cmp.Compare(y.ev.ns, x.ev.ns))
	})
	c.chosen = c.choose()
}

// choose returns the failed call that the verdict names, nil if none qualifies: nearness
// in time alone is no evidence.
func (c *facts) choose() *scored {
	best := func(holds func(*scored) bool, less func(x, y *scored) bool) *scored {
		var found *scored
		for i := range c.causes {
			if s := &c.causes[i]; holds(s) && (found == nil || less(found, s)) {
				found = s
			}
		}
		return found
	}
	later := func(x, y *scored) bool { return x.ev.ns < y.ev.ns }
	if s := best(func(s *scored) bool { return s.named && s.score >= verdictWeight },
		func(x, y *scored) bool { return x.score < y.score }); s != nil {
		return c.firstOf(s)
	}
	if c.ownReason || c.caught != nil {
		return nil
	}
	if s := best(func(s *scored) bool { return s.last && s.weight >= verdictWeight },
		later); s != nil {
		return c.firstOf(s)
	}
	// A weak one counts if nothing else has failed after it, in the thread that ended the process.
	return best(func(s *scored) bool {
		return s.last && !s.peer && s.nth == c.proc.failed &&
			(c.ender == nil || s.tid == c.ender.tid)
	}, later)
}

// firstOf returns the first of the failures that are all for want of the same thing.
func (c *facts) firstOf(s *scored) *scored {
	switch s.errno {
	case eMFILE, eNFILE, eNOMEM, eNOSPC, eAGAIN, eDQUOT:
	default:
		return s
	}
	for i := range c.causes {
		if o := &c.causes[i]; o.errno == s.errno && o.first < s.first &&
			o.weight >= verdictWeight && o.found == "" && o.execs == s.execs &&
			(o.last || o.named) {
			s = o
		}
	}
	return s
}

// lastToMatter reports whether a thread did nothing else after a failure but report and exit.
func (c *facts) lastToMatter(f *failure) bool {
	p := c.proc
	switch {
	case f.found != "" || f.weight < everydayWeight || f.execs != p.execs || harmless(f) ||
		c.afterSign(f):
		return false
	case f.guard && (!c.b.keptFailures(f.ev.ns) || f.ev.ns+lateGuard < c.anchor):
		return false // later ones may be missing
	case c.another(f):
		return false
	case f.errno == eNOENT && !f.write && c.words != nil && c.words.host == p.host &&
		specific(c.words.Text):
		return false // optional files are missing all the time, and the words are of something else
	case f.ev.ns+c.patience() < c.anchor:
		return false // it went on, in whatever way
	}
	worked := p.tail.worked
	if c.ender != nil && c.ender.tid == f.tid {
		worked = c.ender.tail.worked
	}
	return f.ev.ns >= worked
}

// patience is how long before the end the last failure may lie that nobody names.
func (c *facts) patience() uint64 {
	const long, unseen = uint64(30e9), uint64(1e9)
	if c.ender == nil && c.fatal == nil {
		return unseen // nobody saw what was done up to the end
	}
	return long
}

// afterSign reports whether a failure belongs to the report of a crash.
func (c *facts) afterSign(f *failure) bool {
	sign := c.proc.tail.sign
	if c.caught != nil {
		sign = c.caught.ev.ns
	}
	return sign != 0 && f.first > sign
}

// cause is the failed call that the verdict names, nil if none qualifies.
func (c *facts) cause() *scored { return c.chosen }

// harmless reports whether a failure is no candidate, whatever else is known: these calls
// fail in peace, and their paths stand in what programs say for other reasons.
func harmless(f *failure) bool {
	switch f.call {
	case "readlink", "readlinkat":
		return f.errno == eINVAL || f.errno == eNOENT
	case "unlink", "unlinkat", "rmdir":
		return f.errno == eNOENT
	case "pkey_alloc", "rseq", "set_robust_list", "arch_prctl", "membarrier", "mbind",
		"set_mempolicy", "get_mempolicy", "sched_setaffinity", "ioprio_set":
		return true
	case "connect":
		return strings.Contains(f.file, "/nscd/") || strings.Contains(f.file, "/systemd/userdb/") ||
			strings.Contains(f.file, "io.systemd.")
	}
	return false
}

// has reports whether the last words have the text of a failure's error.
func (c *facts) has(f *failure) bool {
	if c.said == "" {
		return false
	}
	if f.peer {
		hints := closing
		if f.errno == eTIMEDOUT || strings.Contains(f.said, " answer") && !strings.Contains(f.said, closedIt) {
			hints = waiting4
		}
		said := strings.ToLower(c.said)
		return slices.ContainsFunc(hints, func(h string) bool { return strings.Contains(said, h) })
	}
	text := errnoText(f.errno)
	return text != "" && strings.Contains(strings.ToLower(c.said), strings.ToLower(text)) ||
		hasWord(c.said, errnoName(f.errno))
}

// What programs say of peers that are gone, or do not answer.
var (
	closing = []string{"clos", "hang up", "hung up", "eof", "end of file", "disconnect", "lost",
		"reset", "abort", "terminat"}
	waiting4 = []string{"time", "deadline", "answer", "respon", "unreachable"}
)

// stated are errors that the last words may state.
var stated = []int{
	ePERM, eNOENT, eIO, eNOMEM, eACCES, eEXIST, eNOTDIR, eISDIR, eMFILE, eNOSPC, eROFS, ePIPE,
	eADDRINUSE, eCONNRESET, eTIMEDOUT, eCONNREFUSED, eHOSTUNREACH,
	eNETUNREACH,
}

// another reports whether the last words state another error than that of a failure.
func (c *facts) another(f *failure) bool {
	return c.saidErrno != 0 && c.saidErrno != f.errno && !(f.peer && c.has(f))
}

// statedError is the error that a text states, 0 if none.
func statedError(text string) int {
	lower := strings.ToLower(text)
	for _, e := range stated {
		if strings.Contains(lower, strings.ToLower(errnoText(e))) || hasWord(text, errnoName(e)) {
			return e
		}
	}
	return 0
}

// specific reports whether a text tells of a certain thing, which it quotes or numbers,
// rather than that something failed.
func specific(text string) bool {
	if m := levels.FindStringSubmatchIndex(head(text) + " "); m != nil {
		text = text[m[3]:]
	}
	text = stamps.ReplaceAllString(text, "")
	return strings.ContainsAny(text, "\"`=") || quoted.MatchString(text)
}

var (
	stamps = regexp.MustCompile(`^[\d\s\[\](){}:.,/TZ+-]+`)
	quoted = regexp.MustCompile(`(^|[\s(:])('[^']+'|\d)`)
)

// ownReason reports whether a text says that something was wrong with a value, which no
// call has to do with.
func ownReason(text string) bool {
	if statedError(text) != 0 {
		return false
	}
	class, _, _ := strings.Cut(text, ":")
	class = class[strings.LastIndexAny(class, " .\t\"'")+1:]
	for _, c := range valueErrors {
		if strings.HasPrefix(class, c) {
			return true
		}
	}
	lower := strings.ToLower(text)
	return slices.ContainsFunc(valueWords, func(w string) bool {
		return strings.Contains(lower, w)
	})
}

var valueErrors = []string{
	"IndexError", "KeyError", "ValueError", "TypeError", "AttributeError", "NameError",
	"AssertionError", "ZeroDivisionError", "SyntaxError",
	"UnboundLocalError", "RecursionError", "UnicodeDecodeError", "UnicodeEncodeError",
	"JSONDecodeError", "NotImplementedError", "StopIteration",
	"ReferenceError", "RangeError", "NullPointerException", "IllegalArgumentException",
	"IllegalStateException", "NumberFormatException",
	"ArrayIndexOutOfBoundsException", "IndexOutOfBoundsException", "ClassCastException",
	"ArithmeticException", "NoMethodError", "ArgumentError",
}

var valueWords = []string{
	"invalid ", "malformed", "bad value", "must be ", "out of range", "syntax error", "parse error",
	"unknown option", "unrecognized", "not a number",
	"panic: runtime error", "assertion", "index out of",
}
