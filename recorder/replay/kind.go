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
	shown  *rendering
}

// rendering is how the outputs show a kind of event. A call is shown by each in its own way.
type rendering struct {
	text   func(f *formatter, b []byte, ev *Event) []byte // what happened, in one line
	colour func(ev *Event) string                         // of that
	json   func(j *jsonSink, b []byte, ev *Event) []byte  // its members beside time and thread
	mark   func(ev *Event) (name, scope string)           // in chrome; scope: t a thread, p a process
	strace straceLine
	silent bool // a call has shown it: no line in text, none in chrome
}

// straceLine is what -o strace makes of events of a kind.
type straceLine uint8

const (
	straceNone    straceLine = iota // strace does not tell of them
	straceOwn                       // it has a line like text
	straceComment                   // it has none: a comment
)

// String returns the kind's name in JSON.
func (k Kind) String() string { return kinds[k].name }
