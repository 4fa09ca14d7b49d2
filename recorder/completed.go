package recorder

import (
	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/spool"
)

// An exit with status 0 is no crash, unless the container is to run for ever: one that
// Kubernetes starts again however it ends has put itself into the background, or has found its
// standard input at its end, and comes up and goes again and again.

// matters reports whether an end with status 0 is to be kept on disk as a crash is.
func (rec *recording) matters(d *api.Recording) bool {
	if s := rec.applied.settings.SaveCompleted; s != nil {
		return *s
	}
	return d.Container.RestartAlways
}

// judgeCompletedLocked has a recording that ended with status 0 kept on disk if that matters.
// Names and settings are known by now, as far as they come. r.mu is held.
func (r *Recorder) judgeCompletedLocked(rec *recording) {
	if rec.kept.reason.Kind != kindDone {
		return
	}
	d := r.subject(rec)
	if !rec.matters(&d) {
		return
	}
	k := *rec.kept
	k.reason.Kind = spool.KindCompleted
	if d.Container.RestartAlways {
		k.reason.Text += ", and Kubernetes starts it again"
	}
	rec.kept = &k
}
