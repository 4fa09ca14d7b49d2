package postmortem

import "strings"

// mapping is a file in a process's memory.
type mapping struct {
	at, size uint64
	file     string
}

const maxMappings = 32 // of a process

func (p *proc) maps(m mapping) {
	if everydayPath(m.file) {
		return // libraries
	}
	if len(p.mapped) >= maxMappings {
		p.mapped = append(p.mapped[:0], p.mapped[maxMappings/2:]...)
	}
	m.file = strings.Clone(clip(m.file, 200))
	p.mapped = append(p.mapped, m)
}

// fileAt is the file that was mapped at an address, "" if none is known.
func (p *proc) fileAt(addr uint64) string {
	for i := len(p.mapped) - 1; i >= 0; i-- {
		if m := &p.mapped[i]; addr >= m.at && addr-m.at < m.size {
			return m.file
		}
	}
	return ""
}
