package postmortem

import (
	"github.com/recorderd/recorderd/recorder/replay"
)

// moment is an event whose line is written only when a report has it: most are replaced by
// later ones before that.
type moment struct {
	line Event
	call replay.Copy // what line.Text will show; unset: it has it already
}

// maxMoment bounds the records that are kept to be written later, in bytes.
const maxMoment = 512

func (m *moment) set(b *builder, ev *replay.Event) {
	if len(ev.Raw) > maxMoment || ev.Raw == nil {
		m.line, m.call = b.line(ev), replay.Copy{}
		return
	}
	m.line = b.untold(ev)
	m.call.Set(ev)
}

// event writes the line, if that has not been done.
func (m *moment) event(b *builder) Event {
	var ev replay.Event
	if m.line.Text == "" && m.call.Event(&ev) {
		m.line.Text, m.call = b.text(&ev), replay.Copy{}
	}
	return m.line
}
