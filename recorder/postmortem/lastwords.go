package postmortem

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// lastWords finds the line that says most of what was written last, and the text by which
// failed calls are named.
func (c *facts) lastWords(lines []Line) {
	const window, long = uint64(5 * time.Second), uint64(time.Minute)
	var heard []*Line
	last := uint64(0)
	for i := range lines {
		if l := &lines[i]; l.ns <= c.end+soonAfter && strings.TrimSpace(l.Text) != "" &&
			!l.unheard() && !c.b.fromOutside(l.host) {
			heard = append(heard, l)
			last = max(last, l.ns)
		}
	}
	best, better := -1, 0
	for i, l := range heard {
		rank := c.rankOf(l)
		if l.ns+window < last && (rank < headRank || l.ns+long < last) {
			continue
		}
		if best < 0 || rank >= better {
			best, better = i, rank
		}
	}
	if best < 0 {
		return
	}
	chosen := heard[best]
	words := *chosen
	words.Text = message(chosen.Text)
	var block strings.Builder
	block.WriteString(chosen.Text)
	for i, l := range heard {
		if l.host == chosen.host && (i > best || l.ns == chosen.ns && i < best &&
			heads(l.Text) > 0) {
			block.WriteString("\n" + l.Text)
		}
	}
	for _, l := range heard[best+1:] {
		if l.host != words.host || l.Stream != words.Stream {
			continue
		}
		if text := message(l.Text); strings.HasSuffix(chosen.Text, ":") && heads(chosen.Text) > 0 ||
			detail(text) {
			words.Text += " " + strings.TrimSpace(text) // what it announces is in the next line
		}
		break
	}
	for _, l := range heard[best:] {
		// What was cut off may say more than what is there, unless that is plain already.
		if l.host == words.host && l.Cut && better < headRank || l.guard && !c.b.keptOutput(l.ns, l.Stream) {
			words.missing = true
		}
	}
	c.words = &words
	c.said = block.String()
	c.saidErrno = statedError(c.said)
	c.ownReason = ownReason(words.Text)
}

// headRank is the rank of a line that says why by its form.
const headRank = 8

// rankOf is how much a line says.
func (c *facts) rankOf(l *Line) int {
	rank := 1
	if l.Stream == "stderr" {
		rank = 3
	}
	if slices.ContainsFunc(c.path, func(p *proc) bool { return p.host == l.host }) {
		rank++
	}
	text := message(l.Text)
	rank += heads(text)
	switch level(l.Text) {
	case "fatal":
		rank += headRank
	case "error":
		rank += 3
	case "info":
		rank -= 3
	default:
		if l.Stream == "stdout" && complains.MatchString(text) {
			rank += 2
		}
	}
	if goodbye.MatchString(text) {
		rank -= 2
	}
	if !strings.ContainsFunc(text, func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' &&
			r <= 'Z' || r > 0x7f
	}) {
		rank -= 4 // a rule, or a number
	}
	return rank
}

var (
	complains = regexp.MustCompile(`(?i)\b(errors?|fail(ed|s|ure)?|cannot|can't|could ` +
		`not|couldn't|unable|denied|refused|missing|not found|invalid|unexpected|abort(ed|ing)?)\b`)
	goodbye = regexp.MustCompile(`(?i)^\W*(shutting down|shut ?down|bye|good ` +
		`?bye|exiting|exit|stopping|stopped|terminating|closing|closed|done|(database )?system ` +
		`is shut)\b`)
	levels = regexp.MustCompile(`(?i)(?:^|[\s\[("<|=])(fatal|panic|critical|crit|emerg|emergency|` +
		`alert|error|err|severe|warn|warning|info|notice|debug|trace|log|hint|detail|statement)` +
		`\b[\])">|:,\s=-]`)
	klog  = regexp.MustCompile(`^([FEWI])\d{4} \d\d:\d\d:\d\d`)
	field = regexp.MustCompile(`\b(level|severity|lvl|msg|message|error|err|cause)=` +
		`("(?:[^"\\]|\\.)*"|\S+)`)
	framework = regexp.MustCompile(`^[\s#]*(\d{4}[-/]\d\d|\[|\d+:|\w{3} \w{3} |\d\d:\d\d|<\d+>)`)
)

// level is how grave a line says that it is: fatal, error, info (and below), or "".
func level(text string) string {
	name := ""
	if m := klog.FindStringSubmatch(text); m != nil {
		name = map[string]string{"F": "fatal", "E": "error", "W": "warn", "I": "info"}[m[1]]
	} else if o := jsonLine(text); o != nil {
		for _, key := range [...]string{"level", "severity", "lvl", "levelname", "log.level",
			"@level"} {
			switch v := o[key].(type) {
			case string:
				name = v
			case float64: // pino, bunyan
				name = [...]string{"trace", "debug", "info", "warn", "error",
					"fatal"}[min(max(int(v)/10-1, 0), 5)]
			}
		}
	} else if strings.Contains(text, "level=") || strings.Contains(text, "severity=") ||
		strings.Contains(text, "lvl=") {
		for _, m := range field.FindAllStringSubmatch(text, 8) {
			if m[1] == "level" || m[1] == "severity" || m[1] == "lvl" {
				name = strings.Trim(m[2], `"`)
				break
			}
		}
	} else if m := levels.FindStringSubmatchIndex(head(text) + " "); m != nil {
		name = text[m[2]:m[3]]
		if m[2] > 0 && !framework.MatchString(text) {
			return "" // an ordinary word of a sentence
		}
		if m[2] == 0 && name != strings.ToUpper(name) && !strings.HasPrefix(text[m[3]:], ":") {
			return ""
		}
	}
	switch strings.ToLower(name) {
	case "fatal", "panic", "critical", "crit", "emerg", "emergency", "alert", "dpanic":
		return "fatal"
	case "error", "err", "severe":
		return "error"
	case "warn", "warning", "info", "notice", "debug", "trace", "log", "hint", "detail",
		"statement", "information":
		return "info"
	}
	return ""
}

// head is where a level stands in a line.
func head(text string) string {
	const most = 80
	if len(text) > most {
		return text[:most]
	}
	return text
}

// detail reports whether a line goes on with what the one before it says.
func detail(text string) bool {
	m := levels.FindStringSubmatch(head(text) + " ")
	return m != nil && (m[1] == "DETAIL") || strings.HasPrefix(text, "Caused by: ")
}

func jsonLine(text string) map[string]any {
	if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		return nil
	}
	var o map[string]any
	if json.Unmarshal([]byte(text), &o) != nil {
		return nil
	}
	return o
}

// message is what a line says, without the form of a log in JSON or of key=value.
func message(text string) string {
	var parts []string
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(parts, s) {
			parts = append(parts, s)
		}
	}
	if o := jsonLine(text); o != nil {
		for _, key := range [...]string{"msg", "message", "event", "@message", "error", "err",
			"exception", "cause"} {
			switch v := o[key].(type) {
			case string:
				add(v)
			case map[string]any: // pino's err
				if s, ok := v["message"].(string); ok {
					add(s)
				}
			}
		}
	} else if strings.Contains(text, "msg=") || strings.Contains(text, "message=") {
		for _, m := range field.FindAllStringSubmatch(text, 8) {
			switch m[1] {
			case "msg", "message", "error", "err", "cause":
				s := m[2]
				if strings.HasPrefix(s, `"`) {
					s = strings.ReplaceAll(strings.Trim(s, `"`), `\"`, `"`)
				}
				add(s)
			}
		}
	}
	if len(parts) == 0 {
		return text
	}
	return strings.Join(parts, ": ")
}

// heads is how much a line looks like the one that says why, above a stack or below one.
func heads(text string) int {
	text = strings.TrimLeft(text, "# ")
	for _, begins := range [...]string{
		"panic: ", "fatal error: ", `Exception in thread "`, "FATAL", "Fatal", "fatal: ", "PANIC",
		"SIGSEGV (", "SIGBUS (", "SIGFPE (", "SIGILL (",
		"terminate called after", "Caused by: ",
	} {
		if strings.HasPrefix(text, begins) {
			return headRank
		}
	}
	// Rust, sanitizers
	if strings.HasPrefix(text, "thread '") && strings.Contains(text, " panicked at ") ||
		strings.Contains(text, "==ERROR: ") {
		return headRank
	}
	if head, _, ok := strings.Cut(text+": ", ": "); ok {
		head, _, _ = strings.Cut(head, " [") // AssertionError [ERR_ASSERTION]
		if (strings.HasSuffix(head, "Error") || strings.HasSuffix(head, "Exception")) &&
			!strings.ContainsAny(head, " \t") {
			return 4
		}
	}
	if strings.HasPrefix(text, "Node.js v") { // ends what is said of an exception
		return -3
	}
	return 0
}

// unheard reports whether a line was meant for nobody, is no text, or is data: what went
// to a file that is no log, or to another process of the container.
func (l *Line) unheard() bool {
	const escape = 4 // \x00
	switch {
	case l.To == "":
		return false
	case l.To == "/dev/null", l.To == "pipe": // one that a call of the recording made
		return true
	case escape*strings.Count(l.Text, `\x`) > len(l.Text)/2:
		return true
	case strings.HasPrefix(l.To, "/") && !strings.HasPrefix(l.To, "/dev/") &&
		!strings.HasPrefix(l.To, "/proc/"):
		base := strings.ToLower(path.Base(l.To))
		return !strings.Contains(base, "log") && !strings.Contains(base, "out") &&
			!strings.Contains(base, "err") && !strings.Contains(l.To, "/log/")
	}
	return false
}

// fromOutside reports whether a process, or one from which it stems, came into the
// container from outside, as a probe and kubectl exec do: it has no parent in there.
func (b *builder) fromOutside(host uint32) bool {
	p := b.byHost(host)
	for range 8 {
		if p == nil {
			return false
		}
		if p.outside {
			return true
		}
		p = b.parentOf(p)
	}
	return false
}

// byHost is the process of a host's id, the last one.
func (b *builder) byHost(host uint32) *proc {
	if p := b.procs[host]; p != nil {
		return p
	}
	for _, p := range slices.Backward(b.ended) {
		if p.host == host {
			return p
		}
	}
	return nil
}
