package postmortem

import (
	"slices"
	"strings"
	"time"
)

// lastWords returns the line that says most of what was written just before the end.
func lastWords(lines []Line, procs []*proc, end uint64) *Line {
	const window = uint64(5 * time.Second)
	best, better := -1, 0
	for i := range lines {
		l := &lines[i]
		if l.ns+window < end || strings.TrimSpace(l.Text) == "" || l.unheard() {
			continue
		}
		rank := 1
		if l.Stream == "stderr" {
			rank = 3
		}
		if slices.ContainsFunc(procs, func(p *proc) bool { return p.Pid == l.Pid }) {
			rank++
		}
		rank += heads(l.Text)
		if rank >= better {
			best, better = i, rank
		}
	}
	if best < 0 {
		return nil
	}
	words := lines[best]
	if strings.HasSuffix(words.Text, ":") && heads(words.Text) > 0 { // what it announces is in the next line
		for i := best + 1; i < len(lines); i++ {
			if l := &lines[i]; l.Pid == words.Pid && l.Stream == words.Stream {
				words.Text += " " + strings.TrimSpace(l.Text)
				break
			}
		}
	}
	return &words
}

// heads is how much a line looks like the one that says why, above a stack or below one.
func heads(text string) int {
	for _, begins := range [...]string{"panic: ", "fatal error: ", `Exception in thread "`, "FATAL", "Fatal", "fatal: "} {
		if strings.HasPrefix(text, begins) {
			return 8
		}
	}
	if strings.HasPrefix(text, "thread '") && strings.Contains(text, " panicked at ") { // Rust
		return 8
	}
	if head, _, ok := strings.Cut(text, ": "); ok {
		head, _, _ = strings.Cut(head, " [") // AssertionError [ERR_ASSERTION]
		if strings.HasSuffix(head, "Error") && !strings.ContainsAny(head, " \t") {
			return 4
		}
	}
	if strings.HasPrefix(text, "Node.js v") { // ends what is said of an exception
		return -3
	}
	return 0
}
