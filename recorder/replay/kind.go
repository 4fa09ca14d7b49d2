package replay

// The types of the table in kinds.go.

// failedRule says which events of a kind --failed shows.
type failedRule uint8

const (
	failedError  failedRule = iota // those whose call returned an error
	failedStatus                   // those that did not end with exit status 0
	failedAlways
	failedNever
)

// kindInfo describes a kind of event.
type kindInfo struct {
	name   string // its type in JSON
	failed failedRule
	calls  bool // -e, -P and --successful choose among them
}

// String returns the kind's name in JSON.
func (k Kind) String() string { return kinds[k].name }
