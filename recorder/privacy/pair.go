package privacy

import (
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// fsconfig(2) has this number on every ABI.
const nrFsconfig = 431

// pair reports whether the string at i and the next are the name and the value of one
// thing, so that the name tells what the value is.
func pair(rec *record.Record, i int) bool {
	return rec.Type == layout.RecCall && rec.Nr == nrFsconfig && i+1 < len(rec.Items) &&
		rec.Items[i].Kind == layout.ItemStr && rec.Items[i].Arg == 2 &&
		rec.Items[i+1].Kind == layout.ItemStr && rec.Items[i+1].Arg == 3
}
