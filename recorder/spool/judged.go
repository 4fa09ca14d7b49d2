package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/format"
)

// JudgedSuffix ends the names of the files that stand beside dumps.
const JudgedSuffix = ".verdict"

const (
	judgedVersion = 1
	// maxJudged bounds such a file, in bytes.
	maxJudged = 256 << 10
)

// judgedFile is such a file, as JSON. See package format for what may change.
type judgedFile struct {
	Version   int              `json:"version"`
	Recording format.Recording `json:"recording"`
}

// JudgedName is the name of the file beside a dump.
func JudgedName(name string) string { return strings.TrimSuffix(name, Suffix) + JudgedSuffix }

// ReadJudged reads the file beside a dump: the recording as it is described since the dump was
// saved, with its verdict.
func ReadJudged(r io.Reader) (*api.Recording, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxJudged+1))
	if err != nil {
		return nil, err
	}
	var f judgedFile
	switch err := json.Unmarshal(b, &f); {
	case len(b) > maxJudged:
		return nil, fmt.Errorf("read verdict: it is longer than %d bytes: %w", maxJudged, dump.ErrCorrupt)
	case err != nil:
		return nil, fmt.Errorf("read verdict: %w: %w", dump.ErrCorrupt, err)
	case f.Version > judgedVersion:
		return nil, fmt.Errorf("%w (verdict of version %d, this one reads up to %d)", dump.ErrNewer, f.Version, judgedVersion)
	case f.Recording.Verdict == nil:
		return nil, fmt.Errorf("read verdict: there is none: %w", dump.ErrCorrupt)
	}
	rec := f.Recording.API()
	return &rec, nil
}

// Judged puts what is known since of a recording into its description: names, how it ended, and
// the verdict.
func Judged(of *api.Recording, since *api.Recording) {
	if since == nil || api.BaseID(since.ID) != api.BaseID(of.ID) {
		return
	}
	of.Container, of.Pod, of.Inside, of.Exit, of.Verdict = since.Container, since.Pod, since.Inside, since.Exit, since.Verdict
}

// Judge keeps the verdict on a dump beside it, with all else that is known of the recording by
// now. The dump stays as it is. The file is not synced: one that is lost is made again.
func (s *Store) Judge(id string, rec *api.Recording) error {
	e, err := s.Get(id)
	if err != nil {
		return err
	}
	since := *rec
	since.ID, since.Spool = api.BaseID(e.Meta.Recording.ID), nil
	b, err := json.Marshal(judgedFile{judgedVersion, format.Of(&since)})
	if err != nil {
		return err
	}
	if len(b) > maxJudged {
		return fmt.Errorf("keep verdict of %s: %d bytes, at most %d are possible", id, len(b), maxJudged)
	}
	if err := s.writeJudged(JudgedName(e.Name), b); err != nil {
		return s.count(s.wrap(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.entries[id]; old != nil && old.Name == e.Name {
		now := *old
		now.Judged = &since
		s.entries[id] = &now
	}
	return nil
}

// writeJudged replaces a file as a whole.
func (s *Store) writeJudged(name string, b []byte) (err error) {
	root, err := s.directory(false)
	if err != nil {
		return err
	}
	tmp, free := s.temporary()
	defer free()
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_ = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) // for sweep, which leaves what it can't lock
	_, err = f.Write(b)
	if err == nil {
		err = root.Rename(tmp, name)
	}
	_ = f.Close()
	if err != nil {
		_ = root.Remove(tmp)
	}
	return err
}

// readJudged reads the file beside a dump, if there is one that can be read.
func (s *Store) readJudged(root *os.Root, name string) *api.Recording {
	f, _, err := openFile(root, JudgedName(name))
	if err != nil {
		return nil
	}
	defer f.Close()
	rec, err := ReadJudged(f)
	if err != nil {
		s.log.Warn("verdict of a spooled file can't be read, and is made again", "file", name, "error", err)
		return nil
	}
	return rec
}

// sweepJudged removes the files beside dumps that are gone.
func (s *Store) sweepJudged(root *os.Root, names []string) {
	for _, name := range names {
		base, ok := strings.CutSuffix(name, JudgedSuffix)
		if !ok {
			continue
		}
		if _, _, ours := parseName(base + Suffix); !ours {
			continue
		}
		if _, err := root.Lstat(base + Suffix); errors.Is(err, fs.ErrNotExist) {
			_ = root.Remove(name)
		}
	}
}

// Ended are the ids of the dumps of a recording, but for those that were saved while its container
// lived.
func (s *Store) Ended(recording string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, e := range s.entries {
		if e.Meta.Recording.ID == recording && e.Meta.Recording.State != api.StateLive {
			ids = append(ids, id)
		}
	}
	return ids
}

// Load reads a dump into memory, if its file is no longer than most bytes.
func (s *Store) Load(id string, most int64) (*Reader, error) {
	f, err := s.Open(id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f.f, most+1))
	if err != nil {
		return nil, s.count(s.wrap(err))
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("load %s: it is longer than %d bytes", id, most)
	}
	return NewReader(bytes.NewReader(b), int64(len(b)))
}
