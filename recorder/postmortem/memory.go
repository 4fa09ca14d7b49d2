package postmortem

// memory is how much a process has mapped lately, by second.
type memory struct {
	by   []int64 // a ring of seconds
	sec  uint64  // the last one
	prev uint64  // the last brk
}

const memorySeconds = 60

func (m *memory) add(ns, bytes uint64) {
	if bytes > 1<<46 {
		return // makes no sense
	}
	m.roll(ns)
	m.by[m.sec%memorySeconds] += int64(bytes)
}

func (m *memory) brk(ns, to uint64) {
	if m.prev != 0 && to > m.prev {
		m.add(ns, to-m.prev)
	}
	m.prev = to
}

func (m *memory) roll(ns uint64) {
	sec := ns / 1e9
	if m.by == nil {
		m.by, m.sec = make([]int64, memorySeconds), sec
	}
	for n := 0; m.sec < sec && n < memorySeconds; n++ {
		m.sec++
		m.by[m.sec%memorySeconds] = 0
	}
	m.sec = max(m.sec, sec)
}

// lately is how much was mapped in the last minute before ns.
func (m *memory) lately(ns uint64) (sum int64) {
	if m.by == nil {
		return 0
	}
	m.roll(ns)
	for _, n := range m.by {
		sum += n
	}
	return sum
}
