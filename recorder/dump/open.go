package dump

import (
	"encoding/json"
	"fmt"
)

// OpenFiles is what the descriptors of a process were open on at one moment, as the
// daemon read it from /proc: the payload of a frame of type FrameOpen, as JSON.
//
// A process with very many descriptors has several. They stand behind the tasks and before the records.
type OpenFiles struct {
	Tgid  uint32 `json:"tgid"`            // of the host
	Start uint64 `json:"start,omitempty"` // of the process, as TaskInfo.Start has it; 0: not known
	// The reading took from From to To, in ns on CLOCK_MONOTONIC. All threads of the
	// process were being recorded at From.
	From uint64   `json:"from"`
	To   uint64   `json:"to"`
	Cwd  string   `json:"cwd,omitempty"` // the working directory; "" is not known
	Fds  []OpenFD `json:"fds,omitempty"`
}

// OpenFD is a descriptor.
type OpenFD struct {
	Num     int32  `json:"fd"`
	Link    string `json:"link"` // as /proc/PID/fd has it: "/path", "pipe:[4711]"
	Cloexec bool   `json:"cloexec,omitempty"`
}

// openChunk is how many descriptors go into a frame: of 4 KiB each at most, in
// JSON perhaps six times that.
const openChunk = 32

// Open adds what a process had open.
func (w *Writer) Open(o OpenFiles) error {
	fds := o.Fds
	for first := true; first || len(fds) > 0; first = false {
		n := min(len(fds), openChunk)
		o.Fds, fds = fds[:n], fds[n:]
		b, err := json.Marshal(o)
		if err != nil {
			return fmt.Errorf("write dump: encode open files: %w", err)
		}
		if len(b) > MaxFrame {
			continue // links are of 4 KiB at most; this is none of /proc's
		}
		if err := w.Flush(); err != nil { // one to a frame
			return err
		}
		w.begin(FrameOpen, len(b))
		w.buf = append(w.buf, b...)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// Open returns what stands in a frame of type FrameOpen, nil in others.
func (f Frame) Open() *OpenFiles {
	if f.Type != FrameOpen {
		return nil
	}
	o := new(OpenFiles)
	if json.Unmarshal(f.Payload, o) != nil {
		return nil // the reader has checked it
	}
	return o
}
