package replay

import (
	"fmt"
)

// appendUnknown appends what is said of a record whose type this version does not know.
func appendUnknown(b []byte, ev *Event) []byte {
	return fmt.Appendf(b, "??? a record of type %d, which this version does not know: %d bytes ???", ev.Rec.Type, len(ev.Raw))
}
