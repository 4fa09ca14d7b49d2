// Package format has the types that descriptions of recordings have in files: in dumps and in the
// spool. They look like those of package api and are apart from it, because a file is read by
// versions that are older and newer than its writer, while the API is answered by the daemon that
// is asked.
//
// What may change here: a field may be added, if its zero value means that the writer did not know
// of it. A field is never renamed, never gets another type or meaning, and its JSON name is never
// used again. Whoever cannot keep to that raises dump.Version or spool.Version and converts what
// is older. The tests read a file of every version that was ever written.
package format

import (
	"time"
)

// Recording describes a recording as it was when a file was written: who it is of, how it ended,
// what there is of it.
type Recording struct {
	ID     string `json:"id"` // hexadecimal, unique on the node
	State  string `json:"state"`
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

	// NotStarted is what is wrong with the program that could not be executed, by its file.
	NotStarted string `json:"notStarted,omitempty"`
	// GoesOnAs is the id of the recording in which the same container goes on.
	GoesOnAs string `json:"goesOnAs,omitempty"`
	// Inside is the container around this one, for one that was made in another.
	Inside *Inside `json:"inside,omitempty"`
	// Verdict says what became of the container. Nil: it had not been made yet.
	Verdict *Verdict `json:"verdict,omitempty"`
}

// Verdict says what became of a container.
type Verdict struct {
	Text        string `json:"text"`             // one line
	Words       string `json:"words,omitempty"`  // what the container said last
	Spoken      string `json:"spoken,omitempty"` // where it said that
	How         string `json:"how"`              // as api.Verdict has it; others may come
	Cause       string `json:"cause"`            // as api.Verdict has it; others may come
	Fingerprint string `json:"fingerprint,omitempty"`
	Rules       int    `json:"rules"` // version of the rules that made it
}

// Inside names the nearest container around another.
type Inside struct {
	Recording string    `json:"recording,omitempty"` // its newest, if there is one
	Container Container `json:"container"`           // id, name, runtime, namespace and cgroup
	Pod       *Pod      `json:"pod,omitempty"`       // namespace, name and uid
}

// SpoolInfo says why and when a recording was written to disk.
type SpoolInfo struct {
	Reason  string    `json:"reason"`         // "exit", "signal", "oom", "vanished", "completed", "saved", "upgrade", "unknown"; others may come
	Text    string    `json:"text,omitempty"` // for people: "killed by SIGSEGV"
	SavedAt time.Time `json:"savedAt"`
	Bytes   uint64    `json:"bytes"`             // of the file, compressed
	Damaged bool      `json:"damaged,omitempty"` // not all of it can be read
}

// Container is what was known of a container.
type Container struct {
	ID        string `json:"id,omitempty"`        // as the runtime has it
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
	Cgroup        string            `json:"cgroup"`            // path in the tracked hierarchy
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

// Going says why a pod goes.
type Going struct {
	Why     string    `json:"why"`               // as api.Going has it; others may come
	Message string    `json:"message,omitempty"` // Kubernetes' own
	Seen    time.Time `json:"seen"`              // when recorderd learnt of it
}

// Owner is the workload that made a pod.
type Owner struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
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
	// Outside: a signal from outside of the container ended it.
	Outside bool `json:"outside,omitempty"`
	// TermAt is when SIGTERM came from outside, in the last hour before the end.
	TermAt *time.Time `json:"termAt,omitempty"`
	// Deliberate is why somebody wanted this end. Empty: nobody did, or it is not known.
	Deliberate string `json:"deliberate,omitempty"`
}

// Tasks counts a recording's threads.
type Tasks struct {
	Live  uint64 `json:"live"`
	Ever  uint64 `json:"ever"`
	Execs uint64 `json:"execs"`
	// Unmarked could not be recorded, for want of kernel memory, when they appeared.
	Unmarked uint64 `json:"unmarked,omitempty"`
	// MovedOut left the container's cgroup while they ran.
	MovedOut uint64 `json:"movedOut,omitempty"`
}

// Coverage says what a recording has and what it lacks, in records.
type Coverage struct {
	From        *time.Time `json:"from,omitempty"`       // time of the oldest record kept
	To          *time.Time `json:"to,omitempty"`         // time of the newest
	Written     uint64     `json:"written"`              // ever
	Bytes       uint64     `json:"bytes"`                // that they took in the ring, ever, modulo 2^43
	Kept        uint64     `json:"kept"`                 // of these, still there
	Overwritten uint64     `json:"overwritten"`          // of these, overwritten by newer ones
	Unfinished  uint64     `json:"unfinished,omitempty"` // were just being written
	Guarded     uint64     `json:"guarded"`              // kept in the guard lane: rare and telling ones, also from before From
	GuardSkips  uint64     `json:"guardSkips,omitempty"` // not copied there: too many of their kind
	Apart       []Apart    `json:"apart,omitempty"`      // by kind; none in files of older versions
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

// Apart says what is kept of one kind of record apart from the ring of all calls.
type Apart struct {
	Kind    string     `json:"kind"` // as api.Apart has it; others may come
	Written uint64     `json:"written"`
	Kept    uint64     `json:"kept"`            // of these, still there
	Lost    uint64     `json:"lost,omitempty"`  // of these, torn or being written
	Since   *time.Time `json:"since,omitempty"` // from here on all but Lost are there
}

// Ring is the memory of a recording, in bytes.
type Ring struct {
	Slot   uint32 `json:"slot"`
	Size   uint64 `json:"size"`   // of the main lane
	Memory uint64 `json:"memory"` // all that it holds
}
