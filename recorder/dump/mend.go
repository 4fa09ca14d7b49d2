package dump

import (
	"encoding/json"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// Mender writes a dump of what is left of a damaged one. What comes out of it a
// Reader reads to its end: damage frames stand where something is missing, and the
// end counts what is there. Of a dump that is whole it is a copy.
type Mender struct {
	buf     []byte
	taken   int // of buf
	rows    map[string]uint64
	waiting []Damage // before the header
	headed  bool
	damaged bool
	ended   bool
	spare   *Header
}

// NewMender returns a Mender of a dump of a version. spare is the header if the
// dump has none left; nil: one that says nothing. That it is lost is said then.
func NewMender(version uint32, spare *Header) *Mender {
	return &Mender{buf: AppendPreamble(nil, version), rows: make(map[string]uint64), spare: spare}
}

// Take moves what has been written into p.
func (m *Mender) Take(p []byte) int {
	n := copy(p, m.buf[m.taken:])
	if m.taken += n; m.taken == len(m.buf) {
		m.buf, m.taken = m.buf[:0], 0
	}
	return n
}

// Len is how many bytes wait for Take.
func (m *Mender) Len() int { return len(m.buf) - m.taken }

// Ended reports whether the end has been written.
func (m *Mender) Ended() bool { return m.ended }

// Frame writes a frame that ParseFrame has returned. What comes behind the end is left out.
func (m *Mender) Frame(f Frame) {
	if m.ended {
		return
	}
	if f.Type != FrameHeader {
		m.needHeader()
	}
	switch f.Type {
	case FrameEnd:
		if m.damaged {
			m.End()
			return
		}
		m.ended = true
	case FrameDamage:
		m.damaged = true
	case FrameHeader, FrameTasks, FrameGuard, FrameMain, FrameProgress, FrameOpen:
		if n, err := f.rows(); err == nil && n > 0 {
			m.rows[string(f.Type)] += n
		}
	}
	m.append(f.Type, f.Payload)
	if f.Type == FrameHeader && !m.headed {
		m.headed = true
		for _, d := range m.waiting {
			m.json(FrameDamage, d)
		}
		m.waiting = nil
	}
}

// Damage says that something is missing here.
func (m *Mender) Damage(d Damage) {
	if m.ended {
		return
	}
	m.damaged = true
	if !m.headed {
		m.waiting = append(m.waiting, d)
		return
	}
	m.json(FrameDamage, d)
}

// End writes an end that counts what was written, if there was none.
func (m *Mender) End() {
	if m.ended {
		return
	}
	m.needHeader()
	m.ended = true
	m.json(FrameEnd, End{Records: m.rows})
}

// needHeader writes the spare header, if it has to stand for the first one.
func (m *Mender) needHeader() {
	if m.headed {
		return
	}
	h := m.spare
	if h == nil {
		h = &Header{
			Recording: api.Recording{State: api.StateSpooled}, Arch: record.ArchX86_64, PageSize: 4096, Layout: layout.RecorderLayout,
		}
	}
	m.waiting = append(m.waiting, Damage{Text: "its header is lost: the calls are shown as those of x86_64, and their times count from when the node started"})
	m.damaged = true
	b, err := EncodeHeader(h)
	if err != nil {
		b = []byte("{}")
	}
	m.Frame(Frame{FrameHeader, b})
}

func (m *Mender) json(t FrameType, v any) {
	b, err := json.Marshal(v)
	if err != nil { // nothing in these types can fail
		return
	}
	m.append(t, b)
}

func (m *Mender) append(t FrameType, payload []byte) {
	m.buf = AppendFrame(m.buf, t, payload)
}
