package recorder

import (
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/size"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/privacy"
)

// Bounds of what dumps hold, all of them together. Whoever would exceed one is asked to come
// again. What exceeds its bound by itself may be made while it is the only one.
const (
	mostCopied  = 80 << 20 // copies of live rings, their main lanes in memory of their own
	mostSmall   = 32 << 20 // copies of small lanes, for dumps that read the main lane in parts
	mostDecoded = 64 << 20 // what it takes to format dumps here rather than in recorderctl
	// sharedFor is how old a copy may be that another dump uses as well.
	sharedFor = time.Second
)

// copies are the rings that dumps hold copies of. A ring is copied once for all dumps that
// want it within a second, however long each takes to be sent.
type copies struct {
	making sync.Mutex // one copy at a time: what making it takes besides is not counted

	mu      sync.Mutex
	copied  [copyWhats]uint64 // bytes, reserved
	decoded uint64
	shared  map[copyKey]*ringCopy
}

// copyWhat is what a copy has.
type copyWhat int

const (
	whole      copyWhat = iota
	smallLive           // the small lanes and the tasks
	smallEnded          // the small lanes of a ring that nobody writes to any more
	copyWhats
)

type copyKey struct {
	rec  *recording
	what copyWhat
}

// ringCopy is a snapshot that several dumps read. It never changes.
type ringCopy struct {
	snapshot
	key   copyKey
	rules *privacy.Rules // with which it was blanked
	size  uint64
	began time.Time
	users int // guarded by copies.mu; the last one lets it go
}

// of returns a copy of a ring, which the caller must give back with leave.
func (c *copies) of(r *Recorder, rec *recording, what copyWhat) (*ringCopy, error) {
	asked, key := time.Now(), copyKey{rec, what}
	c.making.Lock()
	defer c.making.Unlock()
	r.mu.Lock()
	rules := rec.applied.rules
	r.mu.Unlock()
	if one := c.join(key, rules, asked); one != nil {
		return one, nil
	}
	one := &ringCopy{key: key, rules: rules, began: time.Now(), users: 1, size: r.ringBytes}
	if what != whole {
		one.size -= min(rec.mainBytes(), one.size)
	}
	if err := c.reserve(one); err != nil {
		return nil, err
	}
	var err error
	if what == whole {
		one.snapshot, err = r.take(rec)
	} else {
		one.snapshot, err = r.takeSmall(rec, what == smallEnded)
	}
	c.made(one, err == nil)
	if err != nil {
		c.leave(one)
		return nil, err
	}
	return one, nil
}

// join returns a copy that is young enough, nil if there is none.
func (c *copies) join(key copyKey, rules *privacy.Rules, asked time.Time) *ringCopy {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.shared[key]
	if one == nil || one.rules != rules || asked.Sub(one.began) >= sharedFor {
		return nil
	}
	one.users++
	return one
}

// reserve reserves what a copy of the lanes may take.
func (c *copies) reserve(one *ringCopy) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	used, most, what := c.copied[whole], uint64(mostCopied), "copies of rings for dumps"
	if one.key.what != whole {
		used, most, what = c.copied[smallLive]+c.copied[smallEnded], mostSmall, "copies of small lanes for dumps"
	}
	if used > 0 && used+one.size > most {
		return tooMany(what, used, one.size, most, "")
	}
	c.copied[one.key.what] += one.size
	return nil
}

// made adds what a copy has beside the lanes, and lets others use it.
func (c *copies) made(one *ringCopy, share bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	beside := uint64(cap(one.progress)) + uint64(cap(one.live))*uint64(unsafe.Sizeof(layout.TaskDump{}))
	one.size += beside
	c.copied[one.key.what] += beside
	if !share {
		return
	}
	if c.shared == nil {
		c.shared = make(map[copyKey]*ringCopy)
	}
	c.shared[one.key] = one
}

// leave gives a copy back.
func (c *copies) leave(one *ringCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one.users--; one.users > 0 {
		return
	}
	if c.shared[one.key] == one {
		delete(c.shared, one.key)
	}
	c.copied[one.key.what] -= one.size
	one.release()
}

// decode reserves what formatting a dump takes. The caller must call done.
func (c *copies) decode(n uint64) (done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > mostDecoded {
		return nil, api.Errorf(api.CodeBadRequest, "to format this here may take %s, want at most %s: fetch it with format raw, which recorderctl decodes",
			size.Rough(int64(n)), size.Rough(mostDecoded))
	}
	if c.decoded+n > mostDecoded {
		return nil, tooMany("dumps that are formatted here", c.decoded, n, mostDecoded, ", or fetch it with format raw")
	}
	c.decoded += n
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.decoded -= n
	}, nil
}

func tooMany(what string, used, more, most uint64, or string) error {
	return api.Errorf(api.CodeTooMany, "%s hold %s, and this one needs up to %s: together they may hold %s. Try again when one has ended%s",
		what, size.Rough(int64(used)), size.Rough(int64(more)), size.Rough(int64(most)), or)
}

// room returns room for all that a main lane of n bytes can hold, which release gives back
// to the kernel at once: the garbage collector would keep it for a while. Pages that are not
// written take nothing.
func (s *snapshot) room(n uint64) []byte {
	mem, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil // the heap has room, or nobody has
	}
	s.mem = mem
	return mem[:0]
}

// release lets the copies of the lanes go; where they ended stays.
func (s *snapshot) release() {
	s.main.Records, s.guard.Records, s.tasks.Records, s.progress = nil, nil, nil, nil
	if s.mem != nil {
		_ = unix.Munmap(s.mem)
		s.mem = nil
	}
}
