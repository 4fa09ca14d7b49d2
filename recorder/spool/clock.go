package spool

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Clock is how a Store tells time. The time of day is for people: it can be wrong, and
// can be set by years. Age, loops and rates go by Uptime alone.
type Clock struct {
	Now    func() time.Time     // time of day
	Uptime func() time.Duration // since the boot, with the time that the node slept
	Boot   string               // names this boot; empty: not known
}

// SystemClock returns the clock of this machine.
func SystemClock() Clock {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return Clock{Now: time.Now, Uptime: uptime, Boot: strings.TrimSpace(string(boot))}
}

func uptime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail for this clock
	return time.Duration(ts.Nano())
}

// Mark is a moment on the clock of a spool: the time that was seen to pass since that
// clock began. Time in which the node was switched off is not part of it.
type Mark struct {
	Clock string        `json:"clock"` // names the spool's clock
	At    time.Duration `json:"atNs"`
}

const (
	// clockFile holds a spool's clock, in its directory.
	clockFile = ".clock"
	clockTmp  = ".clock.new"
	maxClock  = 4 << 20 // bytes of it that are read
	// clockEvery is how often it is written. A node that loses its power forgets so
	// much of the age of its dumps, at most.
	clockEvery = time.Hour
)

// passing counts the time that was seen to pass: by the node's uptime, over all boots.
// The owner locks.
type passing struct {
	clock Clock
	state passingState
	wrote time.Duration // of state, as it is on the disk
	stale bool          // the disk has another
}

// passingState is what is kept on the disk.
type passingState struct {
	ID     string        `json:"id"`
	Boot   string        `json:"boot"`
	Uptime time.Duration `json:"uptimeNs"`
	Passed time.Duration `json:"passedNs"` // at Uptime of Boot
	// First is when files were seen first that have no mark of this clock, by name.
	First map[string]time.Duration `json:"first,omitempty"`
}

// newPassing goes on from what the disk has, or begins anew if that is nothing usable:
// then all that is there is as good as new.
func newPassing(c Clock, onDisk []byte) *passing {
	p := &passing{clock: c, stale: true}
	old := &p.state
	if json.Unmarshal(onDisk, old) != nil || old.ID == "" || old.Passed < 0 || old.Uptime < 0 {
		var id [8]byte
		_, _ = rand.Read(id[:]) // never fails
		*old = passingState{ID: hex.EncodeToString(id[:]), Boot: c.Boot, Uptime: c.Uptime()}
	}
	if old.First == nil {
		old.First = map[string]time.Duration{}
	}
	if up := c.Uptime(); old.Boot != c.Boot || c.Boot == "" {
		if c.Boot != "" {
			old.Passed += up // since the boot; nobody saw how long the node was off
		}
		old.Boot, old.Uptime = c.Boot, up
	}
	return p
}

// now is the time that has been seen to pass.
func (p *passing) now() time.Duration {
	return p.state.Passed + max(p.clock.Uptime()-p.state.Uptime, 0)
}

// mark is the moment for a dump that is saved now.
func (p *passing) mark() *Mark { return &Mark{p.state.ID, p.now()} }

// saved is when the dump in a file was saved; of one that has no mark of this clock,
// when it was first seen here.
func (p *passing) saved(name string, m *Mark) time.Duration {
	now := p.now()
	if m != nil && m.Clock == p.state.ID && m.At >= 0 && m.At <= now {
		return m.At
	}
	at, ok := p.state.First[name]
	if !ok || at > now {
		at = now
		p.state.First[name], p.stale = at, true
	}
	return at
}

// forget is for a file that is gone.
func (p *passing) forget(name string) {
	if _, ok := p.state.First[name]; ok {
		delete(p.state.First, name)
		p.stale = true
	}
}

// due returns what is to be written to the disk by now, nil if nothing is.
func (p *passing) due(force bool) []byte {
	now := p.now()
	if !force && !p.stale && now-p.wrote < clockEvery {
		return nil
	}
	p.state.Uptime, p.state.Passed = p.clock.Uptime(), now
	b, err := json.Marshal(p.state)
	if err != nil { // it is numbers and strings
		return nil
	}
	p.wrote, p.stale = now, false
	return b
}

// readClock reads the spool's clock; nothing if there is none.
func (s *Store) readClock(root *os.Root) []byte {
	f, size, err := openFile(root, clockFile)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("the spool's clock begins anew", "dir", s.dir, "error", err)
		}
		return nil
	}
	defer f.Close()
	if size > maxClock {
		s.log.Warn("the spool's clock begins anew", "dir", s.dir, "error", "its file is too large", "bytes", size)
		return nil
	}
	b := make([]byte, size)
	n, _ := f.ReadAt(b, 0)
	return b[:n]
}

// keepClock writes the spool's clock if that is due. What does not work is tried at the
// next look, and told once.
func (s *Store) keepClock(force bool) {
	s.clocking.Lock()
	defer s.clocking.Unlock()
	s.mu.Lock()
	maps.DeleteFunc(s.passing.state.First, func(name string, _ time.Duration) bool { return s.named(name) == nil })
	b, root := s.passing.due(force), s.root
	s.mu.Unlock()
	if b == nil {
		return
	}
	err := replaceFile(root, clockTmp, clockFile, b)
	if err != nil {
		s.mu.Lock()
		s.passing.stale = true
		s.mu.Unlock()
		if !s.clockFails {
			s.log.Warn("keep the spool's clock: dumps get no older while recorderd does not run", "dir", s.dir, "error", bare(err))
		}
	}
	s.clockFails = err != nil
}

// replaceFile gives a file of a directory another content, or leaves it as it is.
func replaceFile(root *os.Root, tmp, name string, b []byte) error {
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		_ = root.Remove(tmp)
	}
	return err
}
