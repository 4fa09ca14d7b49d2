package recorder

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/format"
)

// A recording outlives its container, and the daemon that knew what both were
// called: names are kept in a file for each, below Config.StateDir, until the
// recording goes. The files are of use only until the node starts again.

// keepNames has written down what was learnt since it was called last.
func (r *Recorder) keepNames() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.recs {
		if !rec.renamed {
			continue
		}
		rec.renamed = false
		k := format.Names{Version: format.NamesVersion}
		if rec.known {
			k.Runtime = runtimeNames(&rec.info)
		}
		if rec.pod.known {
			k.Pod = podNames(&rec.pod.info)
		}
		if !rec.own() {
			k.Around = podNames(rec.in.asked)
		}
		if v := rec.judged.verdict; v != nil {
			k.Judged = &format.NamesVerdict{Verdict: (*format.Verdict)(v), Of: rec.judged.of, Told: rec.judged.told}
		}
		if b, err := json.Marshal(k); err == nil { // plain data: it works
			r.names.keep(rec.id, b)
		}
	}
}

// recallNames gives a recording the names that were kept for it.
func (r *Recorder) recallNames(rec *recording) {
	k, err := r.names.recall(rec.id)
	if err != nil {
		r.log.Warn("read names of a recording", "id", rec.id, "error", err)
		return
	}
	if k.Runtime != nil {
		rec.info, rec.recalled = *runtimeInfo(k.Runtime), true
	}
	if k.Pod != nil {
		rec.pod.info, rec.pod.known = *podInfo(k.Pod), true
	}
	rec.in.asked = podInfo(k.Around)
	if j := k.Judged; j != nil {
		rec.judged.verdict, rec.judged.of, rec.judged.told = (*api.Verdict)(j.Verdict), j.Of, j.Told
		rec.judged.toDisk = true
	}
}

// namesWait is how long the end of the daemon waits for the disk that names go to.
const namesWait = 2 * time.Second

// names are those files. A goroutine of their own writes and removes them: who wants
// that waits for no disk. Only the last wish for a recording counts, and a file that
// cannot be there needs none to go, so there are never more wishes than recordings.
type names struct {
	dir string // empty: nothing is kept
	log *slog.Logger

	// What changes files, apart for tests.
	write  func(path string, b []byte) error
	remove func(path string) error

	kick    chan struct{} // something is wanted
	closing chan struct{} // closed: nothing more will be
	ended   chan struct{} // closed: so has the goroutine
	clean   bool          // set before closing: all files are to go

	mu     sync.Mutex        // not held while a disk is waited for
	wanted map[string][]byte // by recording, what its file is to hold; nil: it is to go
	there  map[string]bool   // the recordings that may have a file
}

// init says where the files are. Recorders with pins of their own have names of
// their own.
func (n *names) init(cfg *Config) {
	n.log, n.write, n.remove = cfg.Log, writeFile, os.Remove
	n.kick, n.closing, n.ended = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	n.wanted, n.there = map[string][]byte{}, map[string]bool{}
	if cfg.StateDir != "" {
		pins := strings.ReplaceAll(strings.Trim(filepath.Clean(cfg.PinDir), "/"), "/", "-")
		n.dir = filepath.Join(cfg.StateDir, "names", pins)
	}
}

// file is the path of a recording's.
func (n *names) file(id string) string { return filepath.Join(n.dir, id+".json") }

// recall reads what is kept of a recording, if anything is.
func (n *names) recall(id string) (format.Names, error) {
	if n.dir == "" {
		return format.Names{}, nil
	}
	b, err := os.ReadFile(n.file(id))
	if errors.Is(err, fs.ErrNotExist) {
		return format.Names{}, nil
	}
	if err != nil {
		return format.Names{}, err
	}
	return format.ParseNames(b)
}

// sweep takes away the files of all but these recordings. Of others there is none
// from then on, unless it was written since.
func (n *names) sweep(stay func(id string) bool) error {
	if n.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(n.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read kept names: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".json"); ok && stay(id) {
			n.mu.Lock()
			n.there[id] = true
			n.mu.Unlock()
		} else {
			errs = append(errs, n.remove(filepath.Join(n.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// keep wants a recording's file to hold b.
func (n *names) keep(id string, b []byte) {
	if n.dir == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wanted[id] = b
	wake(n.kick)
}

// forget wants a recording's file to go.
func (n *names) forget(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.wanted, id)
	if n.there[id] {
		n.wanted[id] = nil
		wake(n.kick)
	}
}

// run does what is wanted until close.
func (n *names) run() {
	defer close(n.ended)
	failing := false
	for {
		last := false
		select {
		case <-n.closing:
			last = true
		default:
		}
		var err error
		if last && n.clean {
			err = n.sweep(func(string) bool { return false })
		} else {
			err = n.round()
		}
		switch {
		case err != nil && !failing:
			n.log.Warn("keep names of recordings for the next recorderd", "error", err)
		case err == nil && failing:
			n.log.Info("names of recordings are kept again")
		}
		failing = err != nil
		if last {
			return
		}
		again := n.kick
		var retry <-chan time.Time
		if failing { // nothing else is wanted of a disk that is full
			again, retry = nil, time.After(retryAfter)
		}
		select {
		case <-n.closing:
		case <-again:
		case <-retry:
		}
	}
}

// round does all that is wanted. What did not work stays wanted; the error is the
// first.
func (n *names) round() error {
	failed := map[string][]byte{}
	var first error
	for {
		id, b, ok := n.next()
		if !ok {
			break
		}
		var err error
		if b != nil {
			err = n.write(n.file(id), b)
		} else if err = n.remove(n.file(id)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			failed[id] = b
			first = cmp.Or(first, err)
		} else if b == nil {
			n.mu.Lock()
			delete(n.there, id)
			n.mu.Unlock()
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, b := range failed {
		if _, newer := n.wanted[id]; !newer {
			n.wanted[id] = b
		}
	}
	return first
}

// next takes one of the wishes.
func (n *names) next() (id string, b []byte, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, b = range n.wanted {
		delete(n.wanted, id)
		if b != nil {
			n.there[id] = true // from here on, whole or not
		}
		return id, b, true
	}
	return "", nil, false
}

// close does what is still wanted, or if clean takes all files away, and gives up if
// the disk takes longer than limit.
func (n *names) close(clean bool, limit time.Duration) {
	n.clean = clean
	close(n.closing)
	select {
	case <-n.ended:
	case <-time.After(limit):
		n.log.Warn("names of recordings are not all kept for the next recorderd: the disk does not answer", "dir", n.dir)
	}
}

// writeFile replaces a file as a whole.
func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp := path + ".tmp"
	err := os.WriteFile(tmp, b, 0o600)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp) //nolint:errcheck // a full disk is not to be filled with halves; the next recorderd sweeps
	}
	return err
}
