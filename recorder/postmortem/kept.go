package postmortem

import (
	"slices"

	"github.com/recorderd/recorderd/api"
)

// keptSince reports whether everything of these kinds that happened from a time on is in the
// recording, although older calls are overwritten.
func (b *builder) keptSince(ns uint64, kinds ...string) bool {
	cover := &b.h.Recording.Coverage
	if cover.GuardSkips == 0 {
		return true
	}
	for _, kind := range kinds {
		i := slices.IndexFunc(cover.Apart, func(a api.Apart) bool { return a.Kind == kind })
		if i < 0 || cover.Apart[i].Lost > 0 {
			return false
		}
		if since := cover.Apart[i].Since; since != nil && b.h.Clock.Monotonic(*since) > ns {
			return false
		}
	}
	return true
}

// keptFailures reports whether all calls that failed from a time on are in the recording.
func (b *builder) keptFailures(ns uint64) bool {
	return b.keptSince(ns, api.ApartFailure, api.ApartLongFailure)
}

// keptOutput reports whether all that was written to a stream from a time on is in the
// recording.
func (b *builder) keptOutput(ns uint64, stream string) bool {
	kind := api.ApartStdout
	if stream == "stderr" {
		kind = api.ApartStderr
	}
	return b.keptSince(ns, kind)
}
