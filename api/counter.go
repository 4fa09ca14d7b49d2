package api

// The types of the tables in counters.go.

// NodeCounter is a counter that the BPF programs keep for the node.
type NodeCounter struct {
	ID     uint32 // layout.StatId
	Metric string // name of the Prometheus counter behind "recorderd_"
	Lost   bool   // it counts what was not recorded as it should have been
	Text   string // what stands behind the number
	Of     func(*Status) *uint64
}

// RecordingCounter is a counter of what a recording lacks.
type RecordingCounter struct {
	Text string // what stands behind the number
	Of   func(*Recording) *uint64
}
