package privacy

import (
	"bytes"
	"regexp"

	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// headOf returns what an item is the end of, nil if that is not there.
func headOf(items []record.Item, tail *record.Item) *record.Item {
	for i := range items {
		if k := items[i].Kind; items[i].Arg == tail.Arg && (k == layout.ItemData || k == layout.ItemIovdata) {
			return &items[i]
		}
	}
	return nil
}

// endOfKey is the end of a key whose beginning is not there.
var endOfKey = regexp.MustCompile(`-----END [A-Z0-9 ]{0,32}PRIVATE KEY`)

// tail blanks what matches in the end of a long write. A secret may begin in the head, or in
// between where nobody looked: what of the tail could be the rest of one is blanked unseen. That is
// its first line, and all before the end of a private key.
func (r *Rules) tail(w *work, head, tail *record.Item) {
	if tail.Cut() || head == nil {
		n := len(tail.Data)
		if i := bytes.IndexByte(tail.Data, '\n'); i >= 0 {
			n = i
		}
		if at := endOfKey.FindAllIndex(tail.Data, -1); len(at) > 0 && !bytes.Contains(tail.Data[:at[0][0]], []byte("-----BEGIN ")) {
			n = max(n, at[0][0])
		}
		for i := range tail.Data[:n] {
			if tail.Data[i] != 0 {
				tail.Data[i] = '*'
			}
		}
		r.bytes(w, tail.Data)
	}
	if head == nil {
		return
	}
	w.joined = append(append(w.joined[:0], head.Data...), tail.Data...)
	if r.bytes(w, w.joined) {
		copy(tail.Data, w.joined[copy(head.Data, w.joined):])
	}
}
