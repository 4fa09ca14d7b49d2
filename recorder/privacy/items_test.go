package privacy

import (
	"strings"
	"testing"

	"github.com/recorderd/recorderd/recorder/layout"
)

// One path is blanked wherever a record may have it: the table of item kinds is walked, so that a
// new kind is either searched or says that it holds numbers only.
func TestEveryKindOfItemIsSearched(t *testing.T) {
	const path = "/srv/tenant-4711/db.sock"
	r := compile(t, Policy{Blank: []string{`/tenant-\d+/`}})
	for _, kind := range layout.ItemKinds {
		in := path
		if kind.Blanking() == layout.BlankRuns {
			// A struct sockaddr_un, an inotify_event or a control message: numbers around text.
			in = "\x01\x00\x00\x00\x10\x7f\x00\x00" + path + "\x00\x00\x02\x00\xff\xfe\x00\x00" + path
		}
		got := blanked(t, r, kind, in)
		switch kind.Blanking() {
		case layout.BlankNever:
			if got != in {
				t.Errorf("item kind %d: numbers were changed: %q", kind, got)
			}
		case layout.BlankTail:
			if strings.Contains(got, "4711") {
				t.Errorf("item kind %d: %q", kind, got)
			}
		case layout.BlankText, layout.BlankVector, layout.BlankRuns:
			if want := strings.ReplaceAll(in, "tenant-4711", "***********"); got != want {
				t.Errorf("item kind %d: %q, want %q", kind, got, want)
			}
		}
	}
	// A kind that this version does not know is searched as a whole.
	if got := blanked(t, r, 200, path); strings.Contains(got, "4711") {
		t.Errorf("an unknown kind of item: %q", got)
	}
}
