// Package api holds the types that go over the recorder's socket. openapi.yaml
// describes the same; a test keeps them together.
//
// Server and client are packages of their own below this one.
package api

import "time"

// RunRoot is the cgroup below which recorderctl run makes its cgroups. Every
// recorderd watches it.
const RunRoot = "/recorderctl"

// State says where a recording is in its life.
type State string

// The states of a recording.
const (
	StateLive    State = "live"    // its container has tasks, or its cgroup still exists
	StateEnded   State = "ended"   // its container is gone; the ring is still in memory
	StateSpooled State = "spooled" // a dump on disk
)

// Recording is one container's flight recording, without the calls.
type Recording struct {
	ID     string `json:"id"` // hexadecimal, unique on the node
	State  State  `json:"state"`
	Frozen bool   `json:"frozen,omitempty"`
	Off    bool   `json:"off,omitempty"` // a rule says that nothing is recorded

	Node      string     `json:"node,omitempty"`
	Container Container  `json:"container"`
	Pod       *Pod       `json:"pod,omitempty"`
	Started   time.Time  `json:"started"`            // when the first task was seen
	Ended     *time.Time `json:"ended,omitempty"`    // when the last task ended
	Exit      *Exit      `json:"exit,omitempty"`     // how the container's init ended
	OOMKills  uint64     `json:"oomKills,omitempty"` // of its processes, init or not
	Tasks     Tasks      `json:"tasks"`
	Coverage  Coverage   `json:"coverage"`
	Ring      Ring       `json:"ring"`
	Spool     *SpoolInfo `json:"spool,omitempty"` // of its dump on disk, if there is one
	// Activity is what a container that lives is doing. In lists only.
	Activity *Activity `json:"activity,omitempty"`
	// Verdict says what became of the container. Nil: it has not been made yet.
	Verdict *Verdict `json:"verdict,omitempty"`

	// Inside is the container around this one, for one that was made in another. If no
	// runtime of the node knows the inner one, it has no name, and Pod is the outer's.
	Inside *Inside `json:"inside,omitempty"`
	// NotStarted is what is wrong with the program that could not be executed, by its file.
	NotStarted string `json:"notStarted,omitempty"`
	// GoesOnAs is the id of the recording in which the same container goes on: a
	// recorderd with other programs or ring sizes began it.
	GoesOnAs string `json:"goesOnAs,omitempty"`
}

// Inside names the nearest container around another that has an identity of its own: one
// directly on the node, or one that a runtime of the node knows.
type Inside struct {
	Recording string    `json:"recording,omitempty"` // its newest, if there is one
	Container Container `json:"container"`           // id, name, runtime, namespace and cgroup
	Pod       *Pod      `json:"pod,omitempty"`       // namespace, name and uid
}

// SpoolInfo says why and when a recording was written to disk.
type SpoolInfo struct {
	Reason  string    `json:"reason"`         // "exit", "signal", "oom", "vanished", "completed", "child-oom", "hang", "saved", "upgrade", "resized", "unknown"; others may come
	Text    string    `json:"text,omitempty"` // for people: "killed by SIGSEGV"
	SavedAt time.Time `json:"savedAt"`
	Bytes   uint64    `json:"bytes"`             // of the file, compressed
	Damaged bool      `json:"damaged,omitempty"` // not all of it can be read
}

// Container is what is known of a container, from its cgroup and from its runtime.
type Container struct {
	ID        string `json:"id,omitempty"`        // as the runtime has it, or as its cgroup is called
	Name      string `json:"name,omitempty"`      // Kubernetes' container name, or the runtime's
	Runtime   string `json:"runtime,omitempty"`   // containerd, docker, cri-o, podman; empty: a plain cgroup
	Namespace string `json:"namespace,omitempty"` // containerd's namespace
	Image     string `json:"image,omitempty"`
	ImageID   string `json:"imageID,omitempty"`  // what the image was resolved to
	Kind      string `json:"kind,omitempty"`     // in a pod: regular, init, sidecar, ephemeral
	Restarts  *int   `json:"restarts,omitempty"` // in a pod: how often it had been started before this time
	// RestartAlways: in a pod, it is started again however it ends.
	RestartAlways bool              `json:"restartAlways,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Cgroup        string            `json:"cgroup"`            // path in the tracked hierarchy, as it was when recording began
	Command       []string          `json:"command,omitempty"` // argv of the entrypoint, if it was seen
}

// Pod is the Kubernetes pod of a container.
type Pod struct {
	Namespace string            `json:"namespace,omitempty"`
	Name      string            `json:"name,omitempty"`
	UID       string            `json:"uid,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Owner     *Owner            `json:"owner,omitempty"`
	// Annotations are those that are meant for the recorder.
	Annotations map[string]string `json:"annotations,omitempty"`
	HostNetwork bool              `json:"hostNetwork,omitempty"`
	HostPID     bool              `json:"hostPID,omitempty"`
	Static      bool              `json:"static,omitempty"` // from a file of the kubelet's
	Going       *Going            `json:"going,omitempty"`  // nil: nothing says that it goes
}

// Exit says how a container's first process ended.
type Exit struct {
	Code       int       `json:"code"`             // 0 if a signal ended it
	Signal     string    `json:"signal,omitempty"` // "SIGSEGV"
	CoreDumped bool      `json:"coreDumped,omitempty"`
	OOMKilled  bool      `json:"oomKilled,omitempty"`
	At         time.Time `json:"at"`
	// Source says whose word this is: "kernel" (seen to end), else "containerd" or
	// "kubernetes".
	Source string `json:"source"`
	// Reason and Message are what the kubelet says about it: "OOMKilled", "Error" …
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Outside: a signal ended it that came from outside of the container: its runtime
	// sent it, or somebody on the node.
	Outside bool `json:"outside,omitempty"`
	// TermAt is when SIGTERM came from outside, in the last hour before the end.
	TermAt *time.Time `json:"termAt,omitempty"`
	// Deliberate is why somebody wanted this end: why the pod went, if the end is one
	// that its runtime asked for. Empty: nobody did, or it is not known.
	Deliberate string `json:"deliberate,omitempty"`
}

// Tasks counts a recording's threads.
type Tasks struct {
	Live  uint64 `json:"live"`
	Ever  uint64 `json:"ever"`
	Execs uint64 `json:"execs"`
	// Unmarked could not be recorded, for want of kernel memory, when they appeared.
	Unmarked uint64 `json:"unmarked,omitempty"`
	// MovedOut left the container's cgroup while they ran: what they did afterwards is not
	// in this recording.
	MovedOut uint64 `json:"movedOut,omitempty"`
}

// Activity is what the daemon knows of a live container without reading its calls.
type Activity struct {
	// Failed counts calls that ever failed, but for EAGAIN, EINTR, ETIMEDOUT, EINPROGRESS and
	// ERESTART…; a thread that is renamed may count as well.
	Failed uint64 `json:"failed"`
	// Blocked threads had been for a second or longer in a call that does not wait by design
	// (openat, fsync, connect …), at the last pass over all tasks: one is made every ten seconds.
	Blocked uint64 `json:"blocked"`
}

// Coverage says what a recording has and what it lacks. Counts are of records:
// calls, and the few others (exec, exit, signals).
type Coverage struct {
	From        *time.Time `json:"from,omitempty"`       // time of the oldest record kept
	To          *time.Time `json:"to,omitempty"`         // time of the newest
	Written     uint64     `json:"written"`              // ever
	Bytes       uint64     `json:"bytes"`                // that they took in the ring, ever, modulo 2^43
	Kept        uint64     `json:"kept"`                 // of these, still there
	Overwritten uint64     `json:"overwritten"`          // of these, overwritten by newer ones
	Unfinished  uint64     `json:"unfinished,omitempty"` // were just being written
	Guarded     uint64     `json:"guarded"`              // kept apart: rare and telling ones, also from before From; in lists of live ones: that ever were
	GuardSkips  uint64     `json:"guardSkips,omitempty"` // no longer kept apart: newer ones of their kind took their room; in lists of live ones not counted
	Apart       []Apart    `json:"apart,omitempty"`      // by kind; not in lists of live ones, nor of recordings made before this was told
	Cut         uint64     `json:"cut"`                  // ever written with something cut at a limit
	Fault       uint64     `json:"fault"`                // ever written with memory that could not be read
	Muted       uint64     `json:"muted,omitempty"`      // not recorded because muted, or because recording is off
	// MutedHarmless: none of the muted calls opens, closes or names a descriptor.
	MutedHarmless bool   `json:"mutedHarmless,omitempty"`
	FrozenCalls   uint64 `json:"frozenCalls,omitempty"` // not recorded because frozen
	Late          uint64 `json:"late,omitempty"`        // writers that were held up for a whole turn of the ring
	// BeganLate: processes of the container were there already when recording began, the
	// first of them for BeganLateNs, unless that is not known (0).
	BeganLate   bool   `json:"beganLate,omitempty"`
	BeganLateNs uint64 `json:"beganLateNs,omitempty"`
}

// Apart says what is kept of one kind of record apart from the ring of all calls, where
// only newer ones of its kind overwrite it.
type Apart struct {
	Kind    string `json:"kind"` // one of the Apart constants, or one of a later version
	Written uint64 `json:"written"`
	Kept    uint64 `json:"kept"` // of these, still in the place of their kind; older ones may be in ApartRecent
	// Lost of these were being written or were torn when they were read: the newest may be
	// among them.
	Lost uint64 `json:"lost,omitempty"`
	// Since: from this time on all of this kind are in the recording but for Lost. Nil:
	// all that there ever were.
	Since *time.Time `json:"since,omitempty"`
}

// The kinds of Apart. Of each class of records the first are in ApartFirst, and those that
// came later in ApartRecent and in their own kind.
const (
	ApartFirst       = "first"
	ApartRecent      = "recent"
	ApartStdout      = "stdout"      // text on descriptor 1
	ApartStderr      = "stderr"      // text on descriptor 2
	ApartExec        = "exec"        // new programs
	ApartExit        = "exit"        // ends with status 0, and those of single threads
	ApartCrash       = "crash"       // other ends, signals without a handler, OOM kills
	ApartSignal      = "signal"      // signals with a handler
	ApartFailure     = "failure"     // failed calls
	ApartLongFailure = "longFailure" // failed calls with long arguments
	ApartAll         = "all"         // of a ring that does not tell kinds apart: an older recorderd's
)

// Ring is the memory of a recording, in bytes.
type Ring struct {
	Slot   uint32 `json:"slot"`
	Size   uint64 `json:"size"`   // of the main lane
	Memory uint64 `json:"memory"` // all that it holds
}

// RecordingList answers GET /v1/recordings.
type RecordingList struct {
	Node       string      `json:"node,omitempty"`
	Recordings []Recording `json:"recordings"`
}

// Status answers GET /v1/status: what the recorder costs and what it lost.
type Status struct {
	Version       string        `json:"version"`
	Node          string        `json:"node"`
	Kernel        string        `json:"kernel"`
	Arch          string        `json:"arch"` // of system calls, as record.Arch has it
	Started       time.Time     `json:"started"`
	Adopted       bool          `json:"adopted"`                 // recording went on from an earlier daemon
	Configuration *ConfigStatus `json:"configuration,omitempty"` // of the file; nil: there is none
	Cgroups       CgroupStatus  `json:"cgroups"`
	Rings         RingStatus    `json:"rings"`
	Calls         CallStatus    `json:"calls"`
	Memory        MemoryStatus  `json:"memory"`
	Spool         SpoolStatus   `json:"spool"`
	Cost          *CostStatus   `json:"cost,omitempty"` // only if it was asked for
	Lost          LostStatus    `json:"lost"`
	Seen          SeenStatus    `json:"seen"`
	Runtimes      []RuntimeInfo `json:"runtimes"`
	RecordingRate float64       `json:"recordsPerSecond"` // over the last few seconds
	Ends          []EndCount    `json:"ends,omitempty"`   // of containers, since the daemon began
}

// ConfigStatus says what has become of the configuration file.
type ConfigStatus struct {
	File string `json:"file"`
	// Error says what is wrong with the file as it is now. It is not in force then.
	Error string `json:"error,omitempty"`
	// LastGood: the daemon found the file broken when it started, and uses the copy that
	// it made of the last one that was good.
	LastGood bool `json:"lastGood,omitempty"`
	// Ignored are keys of the file without effect: flags on the command line win.
	Ignored []string `json:"ignored,omitempty"`
}

// CgroupStatus says which cgroups are looked at.
type CgroupStatus struct {
	Hierarchy string   `json:"hierarchy"` // "v2", or the v1 controllers
	Mount     string   `json:"mount"`
	Watched   []string `json:"watched,omitempty"` // roots given with --watch or found
}

// RingStatus counts rings and their memory.
type RingStatus struct {
	Live   int    `json:"live"`
	Ended  int    `json:"ended"` // that still have their ring
	Kept   int    `json:"kept"`  // ended, put together in compressed memory
	Spare  int    `json:"spare"`
	Size   uint64 `json:"size"`   // bytes of one ring's main lane
	Bytes  uint64 `json:"bytes"`  // of all rings and what is kept
	Budget uint64 `json:"budget"` // bytes allowed
}

// MemoryStatus says where memory goes, in bytes. Live, ended, spare and kept count
// against the budget.
type MemoryStatus struct {
	Live   uint64 `json:"live"`   // rings of live containers
	Ended  uint64 `json:"ended"`  // rings of ended ones
	Spare  uint64 `json:"spare"`  // rings that wait for containers
	Kept   uint64 `json:"kept"`   // ended recordings, compressed
	Maps   uint64 `json:"maps"`   // the programs' other maps
	Daemon uint64 `json:"daemon"` // resident memory of recorderd, which rings that it reads count to as well
}

// CostStatus is what the recorder's programs cost in a while, by the kernel's own
// statistics. Those are switched on meanwhile, and their two clock reads for each run
// are not in the times.
type CostStatus struct {
	Seconds  float64                `json:"seconds"`
	CPUs     int                    `json:"cpus"`
	Programs map[string]ProgramCost `json:"programs"`
}

// ProgramCost is what one program cost.
type ProgramCost struct {
	Runs uint64 `json:"runs"`
	Ns   uint64 `json:"ns"` // in all runs together
}

// SpoolStatus says how the dumps on disk are doing.
type SpoolStatus struct {
	Dir     string            `json:"dir,omitempty"` // empty: nothing is kept on disk
	Files   int               `json:"files"`
	Bytes   uint64            `json:"bytes"`
	Limit   uint64            `json:"limit"`             // bytes allowed
	Waiting int               `json:"waiting"`           // ends that are to be written and are not yet
	Saved   uint64            `json:"saved"`             // since the daemon began
	Refused map[string]uint64 `json:"refused,omitempty"` // by why
	Removed map[string]uint64 `json:"removed,omitempty"` // by why
	Error   string            `json:"error,omitempty"`   // of the last attempt, if it did not work
}

// CallStatus counts records over all recordings since the programs were loaded.
type CallStatus struct {
	Written     uint64 `json:"written"`
	Overwritten uint64 `json:"overwritten"`
	Cut         uint64 `json:"cut"`
	Fault       uint64 `json:"fault"`
	Muted       uint64 `json:"muted"`
}

// LostStatus counts what was not recorded, since the programs were loaded.
type LostStatus struct {
	NoRing     uint64            `json:"noRing"`     // containers seen while no ring was free
	Unrecorded uint64            `json:"unrecorded"` // of these, containers that are there and have none yet
	NestedFull uint64            `json:"nestedFull"` // containers inside others, recorded with them because those had many inside
	NoStorage  uint64            `json:"noStorage"`  // tasks that could not be marked at once
	ClaimFull  uint64            `json:"claimFull"`  // containers that the map of cgroups had no room for
	Stale      uint64            `json:"stale"`      // calls of tasks whose ring was given away
	FoundLate  uint64            `json:"foundLate"`  // tasks that only a pass over all tasks found
	MovedOut   uint64            `json:"movedOut"`   // tasks that left their container's cgroup while they ran
	EventsLost uint64            `json:"eventsLost"` // hints to the daemon; nothing is missing for that
	Missed     map[string]uint64 `json:"missed"`     // runs that the kernel skipped as recursion, by program
	Evicted    uint64            `json:"evicted"`    // ended recordings dropped for the memory budget
}

// SeenStatus counts what happened without anything being lost, since the programs were loaded.
type SeenStatus struct {
	Claims uint64 `json:"claims"` // containers that were given a ring
}

// RuntimeInfo says how a container runtime's socket is doing.
type RuntimeInfo struct {
	Name       string `json:"name"`
	Address    string `json:"address"`
	Connected  bool   `json:"connected"`
	Version    string `json:"version,omitempty"`
	Containers int    `json:"containers"`
	Error      string `json:"error,omitempty"`
}

// ErrorBody is the body of every answer that is not a success.
type ErrorBody struct {
	Error Error `json:"error"`
}

// Error is what went wrong, as the socket tells it.
type Error struct {
	Code    string   `json:"code"` // one of the Code constants
	Message string   `json:"message"`
	Matches []string `json:"matches,omitempty"` // CodeAmbiguous: ids that fit
	Status  int      `json:"-"`                 // HTTP status
}

// Codes of Error.
const (
	CodeNotFound   = "not_found"         // 404
	CodeAmbiguous  = "ambiguous"         // 409
	CodeBadRequest = "bad_request"       // 400
	CodeConflict   = "conflict"          // 409: the recording's state forbids it
	CodeNotReady   = "not_ready"         // 503
	CodeTooMany    = "too_many_requests" // 429
	CodeForbidden  = "forbidden"         // 403
	CodeInternal   = "internal"          // 500
)

// Error returns the message.
func (e *Error) Error() string { return e.Message }
