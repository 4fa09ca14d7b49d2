package layout

// The types of the tables in vocabulary.go.

// RecordFilter says what a filtered copy of a dump does with records of a type.
type RecordFilter uint8

const (
	// FilterNone: such records do not stand among others.
	FilterNone RecordFilter = iota
	// FilterMatch: kept if the filter wants the event.
	FilterMatch
	// FilterKeep: always kept, since others cannot be understood without it.
	FilterKeep
)

// RecordTypeInfo describes a record type.
type RecordTypeInfo struct {
	Name   string // in lower case
	Event  string // the event that a reader makes of it, "": it is a part of another's
	Filter RecordFilter
}

// Known reports whether a record type is one of this version's.
func (t RecType) Known() bool { return int(t) < len(RecordTypes) && RecordTypes[t].Name != "" }

// Blanking says how an item is searched for what must not leave the daemon.
type Blanking uint8

const (
	// BlankText: all of it is text.
	BlankText Blanking = iota
	// BlankVector: text that goes on in the next item of the kind, as one command line.
	BlankVector
	// BlankRuns: text stands in runs between numbers.
	BlankRuns
	// BlankTail: text, the end of another item of the argument.
	BlankTail
	// BlankNever: there are only numbers.
	BlankNever
)
