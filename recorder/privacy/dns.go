package privacy

import "encoding/binary"

// Names in DNS messages have no dots: each label stands behind its length, and the end of a name
// may be a pointer to where it stands already. A pattern is for "db.shop.example", so it is held
// against the name as people write it, and what it matches is blanked in the labels.

const (
	dnsHeader  = 12
	dnsName    = 255            // bytes of a name at most
	dnsEntries = 64             // that the header may count: more, and it is no DNS message
	dnsNames   = 4 * dnsEntries // that are searched
	dnsJumps   = 8
	dnsOnce    = 16 // messages behind each other, as over TCP
)

// dns blanks names in what may be DNS messages: one, or several that each stand behind their
// length. What a message is told by is its header and the first name; what is none and looks like
// one is searched in vain.
func (r *Rules) dns(w *work, b []byte) {
	if r.dnsQuestion(w, b) || len(b) > 2 && r.dnsQuestion(w, b[2:]) {
		return
	}
	if r.dnsMessage(w, b) {
		return
	}
	for range dnsOnce {
		if len(b) < 2 {
			return
		}
		n := int(binary.BigEndian.Uint16(b))
		if n < dnsHeader || !r.dnsMessage(w, b[2:min(2+n, len(b))]) || 2+n >= len(b) {
			return
		}
		b = b[2+n:]
	}
}

// dnsQuestion blanks the name in the only question of a message, and reports whether it did. What
// follows such a question is blanked as a whole: it is about that name.
func (r *Rules) dnsQuestion(w *work, b []byte) bool {
	if len(b) < dnsHeader+2 || binary.BigEndian.Uint16(b[4:]) != 1 {
		return false
	}
	size := w.name(b, dnsHeader, true)
	if size == 0 || !r.dnsBlank(w, b, b) {
		return false
	}
	const kind = 4 // the type and the class of the question stay
	for i := dnsHeader + size + kind; i < len(b); i++ {
		b[i] = '*'
	}
	return true
}

// dnsBlank blanks what matches in the name that w.name has found in a message, and reports whether
// anything did. b is that message, in which others may be blanked by now.
func (r *Rules) dnsBlank(w *work, message, b []byte) bool {
	if !r.bytes(w, w.dotted) {
		return false
	}
	for i, c := range w.dotted {
		if at := w.places[i]; at >= 0 && c != message[at] {
			b[at] = c
		}
	}
	return true
}

// dnsMessage blanks the names of one message, and reports whether it may be one.
func (r *Rules) dnsMessage(w *work, b []byte) bool {
	if len(b) < dnsHeader+5 || b[3]&0x40 != 0 { // the bit that must be 0
		return false
	}
	entries := 0
	for i := 4; i < dnsHeader; i += 2 {
		entries += int(binary.BigEndian.Uint16(b[i:]))
	}
	if entries == 0 || entries > dnsEntries {
		return false
	}
	first := w.name(b, dnsHeader, false)
	if first == 0 && b[dnsHeader] != 0 {
		return false
	}
	w.message = append(w.message[:0], b...) // a later name may point to one that is blanked by then
	for at, names := dnsHeader, 0; at < len(b) && names < dnsNames; {
		n := w.name(w.message, at, false)
		if n == 0 {
			at++ // a number, or text of another kind
			continue
		}
		names++
		r.dnsBlank(w, w.message, b)
		at += n
	}
	return true
}

// name puts the name that stands at a place into w.dotted, and where each of its bytes is into
// w.places. It returns how many bytes it takes there, 0 if it is no name of a label at least. If a
// name is known to stand there, it may have any bytes and any length.
func (w *work) name(b []byte, at int, known bool) (size int) {
	w.dotted, w.places = w.dotted[:0], w.places[:0]
	for jumps := 0; at < len(b); {
		n := int(b[at])
		switch {
		case n == 0:
			if jumps == 0 && size > 0 {
				size++
			}
			return size
		case n>>6 == 3: // a pointer
			if at+1 >= len(b) || size == 0 && jumps == 0 {
				return size
			}
			to := n&0x3f<<8 | int(b[at+1])
			if jumps++; jumps == 1 {
				size += 2
			}
			if to >= at || jumps > dnsJumps {
				return size
			}
			at = to
			continue
		case n>>6 != 0 || len(w.dotted)+n > dnsName && !known:
			return 0
		}
		end := min(at+1+n, len(b)) // what was cut is cut here
		for _, c := range b[at+1 : end] {
			if (c <= ' ' || c >= 0x7f) && !known {
				if jumps > 0 {
					return size
				}
				return 0
			}
		}
		if len(w.dotted) > 0 {
			w.dotted, w.places = append(w.dotted, '.'), append(w.places, -1)
		}
		for i := at + 1; i < end; i++ {
			w.dotted, w.places = append(w.dotted, b[i]), append(w.places, i)
		}
		if jumps == 0 {
			size += end - at
		}
		at = end
	}
	return size
}
