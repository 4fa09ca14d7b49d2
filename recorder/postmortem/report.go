// Package postmortem reads a dump once and says what became of its container: a
// verdict in one line, and the evidence for it. It is a function of the dump: it asks no
// kernel and no daemon, and its memory does not grow with the dump.
package postmortem

import (
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/replay"
)

// Outcome is what became of a container.
type Outcome string

// The outcomes.
const (
	Running Outcome = "running" // when the dump was taken
	Exited  Outcome = "exited"  // by itself
	Killed  Outcome = "killed"  // by a signal
	OOM     Outcome = "oom"     // by the OOM killer
	Ended   Outcome = "ended"   // how is not known
)

// Report is what became of a container. Times are those of the node's clock; ids of
// processes and threads are those that the container sees, or the host's where these are
// not known.
type Report struct {
	Type      string         `json:"type"` // "postmortem"
	Verdict   string         `json:"verdict"`
	Outcome   Outcome        `json:"outcome"`
	Recording *api.Recording `json:"recording"`
	Node      string         `json:"node,omitempty"`
	Kernel    string         `json:"kernel,omitempty"`
	Taken     time.Time      `json:"taken"`
	Main      *Process       `json:"main,omitempty"` // whose end is the container's
	// Usage is what the container used when the main process ended, or the OOM killer chose it.
	Usage *replay.Usage `json:"usage,omitempty"`

	Signs     List[Sign]    `json:"signs"`     // what stands out, the gravest first
	Chain     []Event       `json:"chain"`     // what led to the end, oldest first
	Output    List[Line]    `json:"output"`    // the last lines, oldest first
	Blocked   List[Blocked] `json:"blocked"`   // the calls that threads were in at the end
	Failures  List[Failure] `json:"failures"`  // by kind, those that say most come first
	Slowest   List[Slow]    `json:"slowest"`   // the longest calls, but for those that wait by design
	Files     List[File]    `json:"files"`     // opened, or not; the last ones first
	Peers     List[Peer]    `json:"peers"`     // that were connected, or not; the last ones first
	Processes List[Process] `json:"processes"` // the main one first, then those that ended badly

	Covers string   `json:"covers"` // a sentence: from when to when, and how much of it
	Lacks  []string `json:"lacks"`  // what the recording or the dump does not have
}

// List is the beginning of a list.
type List[T any] struct {
	Items []T `json:"items"`
	// More is how many are left out; at least so many where there were too many to tell
	// them apart.
	More uint64 `json:"more,omitempty"`
}

// Event is a line of the recording.
type Event struct {
	Time  time.Time `json:"time"`
	Pid   uint32    `json:"pid,omitempty"`
	Tid   uint32    `json:"tid"`
	Comm  string    `json:"comm,omitempty"`
	Text  string    `json:"text"` // as dump shows it
	Times uint64    `json:"times,omitempty"`
	// Weight is how much a failed call says: 0.02 is everyday, 1 is worth a look, more is
	// grave. The sum of what docs/show.md tells.
	Weight float64 `json:"weight,omitempty"`
	Why    string  `json:"why,omitempty"` // it is here

	ns uint64
}

// Certainty is how sure a Sign is.
type Certainty string

// The certainties.
const (
	Certain  Certainty = "certain"  // the recording says so
	Likely   Certainty = "likely"   // it fits what was recorded, and little else does
	Possible Certainty = "possible" // it fits
)

// Sign is something that stands out.
type Sign struct {
	Kind      string    `json:"kind"` // see docs/show.md
	Certainty Certainty `json:"certainty"`
	Text      string    `json:"text"`
	Count     uint64    `json:"count,omitempty"`
	Evidence  []Event   `json:"evidence"`

	said string // if a verdict has this it has all of the sign
	use  use
}

// Line is a line of output.
type Line struct {
	Time   time.Time `json:"time"`
	Pid    uint32    `json:"pid,omitempty"`
	Comm   string    `json:"comm,omitempty"`
	Stream string    `json:"stream"` // stdout, stderr
	// To is what the descriptor was open on, if that is known to be something else: the
	// line went there.
	To   string `json:"to,omitempty"`
	Text string `json:"text"`          // without the line end; control characters are escaped
	Cut  bool   `json:"cut,omitempty"` // there was more

	ns      uint64
	host    uint32 // process
	guard   bool   // only the guard lane has it
	missing bool   // what was said later is known to be missing
}

// Blocked is a thread in a call.
type Blocked struct {
	Pid    uint32     `json:"pid,omitempty"`
	Tid    uint32     `json:"tid"`
	Comm   string     `json:"comm,omitempty"`
	Main   bool       `json:"main,omitempty"` // the first thread of the main process
	Call   string     `json:"call"`           // its name
	Text   string     `json:"text"`           // as dump shows it
	On     string     `json:"on,omitempty"`   // the file or peer, if known
	Since  *time.Time `json:"since,omitempty"`
	ForNs  uint64     `json:"forNs,omitempty"` // until the dump was taken, or the thread was killed
	Kind   string     `json:"kind"`            // event, sleep, child, lock, io
	Killed bool       `json:"killed,omitempty"`

	timeout  bool // it waits only so long
	futex    bool
	futexAt  uint64
	mutex    bool // the futex is one
	fileLock bool // it waits for the lock of a file
	named    bool // On is a path that the call names
	private  bool // nobody outside of the process can wake it
	host     uint32
	tgid     uint32
}

// Failure is a kind of failed call.
type Failure struct {
	Call     string    `json:"call"`
	Error    string    `json:"error"`
	Count    uint64    `json:"count"`
	Everyday bool      `json:"everyday,omitempty"` // nothing that a healthy program does not have
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Example  Event     `json:"example"` // that which says most, of these the last

	first, last uint64
	weight      float64
	telling     uint64 // of Count: that are not everyday
}

// Slow is a call that took long.
type Slow struct {
	Event
	DurationNs uint64 `json:"durationNs"`
}

// File is a path that was opened, or could not be.
type File struct {
	Path   string    `json:"path"`
	Opened uint64    `json:"opened,omitempty"`
	Failed uint64    `json:"failed,omitempty"`
	Error  string    `json:"error,omitempty"` // the last one
	Write  bool      `json:"write,omitempty"` // opened to be written
	Last   time.Time `json:"last"`

	last     uint64
	everyday bool
}

// Peer is an address at the other end of sockets.
type Peer struct {
	Address string `json:"address"` // 10.0.0.3:5432, "/run/x.sock"
	// State is what became of the last connection: connecting, connected, refused, reset,
	// closed (by the peer), unreachable, no answer, failed. Of datagrams nothing is known.
	State string     `json:"state,omitempty"`
	Since *time.Time `json:"since,omitempty"` // it is in this state
	// Connected counts the connects that the peer has answered.
	Connected uint64 `json:"connected,omitempty"`
	Accepted  uint64 `json:"accepted,omitempty"`
	Failed    uint64 `json:"failed,omitempty"`
	// Unanswered counts the connections that were given up while an answer was due.
	Unanswered uint64    `json:"unanswered,omitempty"`
	Error      string    `json:"error,omitempty"` // the last one
	Last       time.Time `json:"last"`

	last, since uint64
}

// Process is a process of the container.
type Process struct {
	Pid        uint32     `json:"pid"`
	Ppid       uint32     `json:"ppid,omitempty"`
	HostPid    uint32     `json:"hostPid,omitempty"`
	Comm       string     `json:"comm,omitempty"`
	Command    []string   `json:"command,omitempty"` // if its execve was recorded
	Started    *time.Time `json:"started,omitempty"`
	Ended      *time.Time `json:"ended,omitempty"`
	Code       *int       `json:"code,omitempty"`   // exit code
	Signal     string     `json:"signal,omitempty"` // that ended it
	CoreDumped bool       `json:"coreDumped,omitempty"`
	OOM        bool       `json:"oom,omitempty"`
	Calls      uint64     `json:"calls"`  // that the dump has
	Failed     uint64     `json:"failed"` // of these, everyday ones included
	Threads    uint64     `json:"threads,omitempty"`
}
