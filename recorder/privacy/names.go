package privacy

import "bytes"

const (
	dnsHead   = 12 // bytes before the first name
	dnsPrefix = 2  // bytes of a message's length, over TCP
	dnsMost   = 64 << 10
)

// message53 blanks the name in the question of a DNS message, where the lengths of its parts
// stand in the place of dots. What follows a question in which something was blanked is
// blanked as a whole: it may be the name once more.
func (r *Rules) message53(w *work, b []byte) {
	if len(b) > dnsMost {
		return
	}
	if !r.question(w, b) && len(b) > dnsPrefix {
		r.question(w, b[dnsPrefix:])
	}
}

// question reports whether b is a DNS message.
func (r *Rules) question(w *work, b []byte) bool {
	// One question, and not all of the name need have been captured.
	if len(b) < dnsHead+2 || b[4] != 0 || b[5] != 1 {
		return false
	}
	name := b[dnsHead:]
	dots := w.dots[:0]
	at := 0
	for at < len(name) && name[at] != 0 {
		if name[at] > 63 {
			return false
		}
		dots = append(dots, at)
		at += int(name[at]) + 1
	}
	w.dots = dots
	if len(dots) == 0 {
		return false
	}
	end := min(at, len(name))
	w.joined = append(w.joined[:0], name[1:end]...)
	for _, d := range dots[1:] {
		w.joined[d-1] = '.'
	}
	text := w.joined
	if !r.bytes(w, text) {
		return true
	}
	for _, d := range dots[1:] {
		text[d-1] = name[d]
	}
	copy(name[1:end], text)
	if rest := name[end:]; len(rest) > 5 { // the type and the class of the question stay
		copy(rest[5:], bytes.Repeat([]byte{'*'}, len(rest)-5))
	}
	return true
}
