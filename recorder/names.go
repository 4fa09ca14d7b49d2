package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/recorderd/recorderd/recorder/containerd"
	"github.com/recorderd/recorderd/recorder/kubernetes"
)

// A recording outlives its container, and the daemon that knew what both were
// called: names are kept in a file for each, below Config.StateDir, until the
// recording goes. The files are of use only until the node starts again.

// keptNames is what is in such a file.
type keptNames struct {
	Runtime *containerd.Info `json:"runtime,omitempty"`
	Pod     *kubernetes.Info `json:"pod,omitempty"`
}

// nameFile is such a file's path. Recorders with pins of their own have names of
// their own.
func (r *Recorder) nameFile(id string) string {
	pins := strings.ReplaceAll(strings.Trim(filepath.Clean(r.cfg.PinDir), "/"), "/", "-")
	return filepath.Join(r.cfg.StateDir, "names", pins, id+".json")
}

// keepNames writes down what was learnt since it was called last. Only one
// goroutine calls it at a time.
func (r *Recorder) keepNames() {
	if r.cfg.StateDir == "" {
		return
	}
	files := map[string][]byte{}
	r.mu.Lock()
	for _, rec := range r.recs {
		if !rec.renamed {
			continue
		}
		rec.renamed = false
		var k keptNames
		if rec.known {
			k.Runtime = &rec.info
		}
		if rec.pod.known {
			k.Pod = &rec.pod.info
		}
		if b, err := json.Marshal(k); err == nil { // plain data: it works
			files[rec.id] = b
		}
	}
	r.mu.Unlock()
	for id, b := range files {
		if err := writeFile(r.nameFile(id), b); err != nil {
			r.log.Warn("keep names of a recording for the next recorderd", "id", id, "error", err)
			continue
		}
		r.mu.Lock()
		if r.recs[id] == nil { // it went meanwhile
			r.forgetNames(id)
		}
		r.mu.Unlock()
	}
}

// writeFile replaces a file as a whole.
func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".tmp", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// recallNames gives a recording the names that were kept for it.
func (r *Recorder) recallNames(rec *recording) {
	if r.cfg.StateDir == "" {
		return
	}
	b, err := os.ReadFile(r.nameFile(rec.id))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var k keptNames
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		r.log.Warn("read names of a recording", "id", rec.id, "error", err)
		return
	}
	if k.Runtime != nil {
		rec.info, rec.recalled = *k.Runtime, true
	}
	if k.Pod != nil {
		rec.pod.info, rec.pod.known = *k.Pod, true
	}
}

func (r *Recorder) forgetNames(id string) {
	if r.cfg.StateDir == "" {
		return
	}
	if err := os.Remove(r.nameFile(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.log.Warn("forget names of a recording", "id", id, "error", err)
	}
}

// sweepNames takes away the names of recordings that are no more.
func (r *Recorder) sweepNames() error {
	if r.cfg.StateDir == "" {
		return nil
	}
	dir := filepath.Dir(r.nameFile("x"))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read kept names: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".json"); !ok || r.recs[id] == nil {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
