package replay

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/recorderd/recorderd/internal/race"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// Dumps that somebody made to hurt who reads them: a reader's memory has a bound, and its
// time is that of reading the dump a few times.

// burden makes a dump while it is read, so that it takes no memory of its own.
type burden struct {
	t testing.TB
	w *dump.Writer
}

func (h *burden) check(err error) {
	if err != nil && err != io.ErrClosedPipe && !strings.Contains(err.Error(), io.ErrClosedPipe.Error()) {
		h.t.Error(err)
	}
}

func (h *burden) task(tid, tgid uint32, start uint64) {
	info := layout.TaskInfo{Tid: tid, Tgid: tgid, NsTid: tid, NsTgid: tgid, Start: start}
	copy(info.Comm[:], "x")
	h.check(h.w.Task(&info))
}

func (h *burden) rec(r *record.Record) {
	h.check(h.w.Record(dump.FrameMain, record.Append(nil, r)))
}

// call adds a call that took a microsecond.
func (h *burden) call(tid uint32, nr uint16, end uint64, ret int64, item *record.Item, args ...uint64) {
	r := record.Record{Type: layout.RecCall, Tid: tid, Nr: nr, Ret: ret, Time: end, Dur: 1000}
	copy(r.Args[:], args)
	if item != nil {
		r.Items = []record.Item{*item}
	}
	h.rec(&r)
}

func path(arg uint8, s string) *record.Item {
	return &record.Item{Arg: arg, Kind: layout.ItemStr, Data: []byte(s)}
}

// cost is what reading a dump took.
type cost struct {
	heap uint64 // the most that was alive, in bytes
	took time.Duration
	out  int64
	err  error
}

// probe looks now and then at how much memory is alive, and when all but the end of a dump
// has been dealt with: then the next is asked for.
type probe struct {
	io.Reader
	next, read int64
	most       uint64
	ends       atomic.Bool
}

const probeEvery = 8 << 20

func (p *probe) Read(b []byte) (int, error) {
	if p.read >= p.next || p.ends.CompareAndSwap(true, false) {
		p.next = p.read + probeEvery
		p.most = max(p.most, alive())
	}
	n, err := p.Reader.Read(b)
	p.read += int64(n)
	return n, err
}

func alive() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

type counter int64

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

// costs reads what write writes, as a query wants it.
func costs(t testing.TB, h *dump.Header, asked string, write func(h *burden)) cost {
	t.Helper()
	v, err := url.ParseQuery(asked)
	if err != nil {
		t.Fatal(err)
	}
	q, err := ParseQuery(v)
	if err != nil {
		t.Fatal(err)
	}
	pr, pw := io.Pipe()
	p := &probe{Reader: pr, next: probeEvery}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := &burden{t: t, w: dump.NewWriter(pw)}
		w.check(w.w.Header(h))
		write(w)
		w.check(w.w.Flush())
		p.ends.Store(true)
		w.check(w.w.Close())
		pw.Close()
	}()
	base := alive()
	start := time.Now()
	var out counter
	var c cost
	d, err := dump.NewReader(p)
	if err == nil {
		_, err = Run(&out, d, Options{Query: q})
	}
	c.took, c.out, c.err = time.Since(start), int64(out), err
	c.heap = p.most - min(base, p.most)
	pr.Close()
	<-done
	t.Logf("%s: %.1f MB read, %.1f MB alive, %.1f s, %.1f MB shown, %v", asked, float64(p.read)/1e6, float64(c.heap)/1e6, c.took.Seconds(), float64(c.out)/1e6, err)
	return c
}

// within fails if reading took more than it may.
func (c cost) within(t testing.TB, heap uint64, took time.Duration) {
	t.Helper()
	if c.heap > heap {
		t.Errorf("%d MB are held, at most %d MB may be", c.heap/1e6, heap/1e6)
	}
	if race.Enabled {
		took *= 10
	}
	if c.took > took {
		t.Errorf("it took %s, at most %s is fair", c.took, took)
	}
}

const sec = uint64(1e9)

// TestManyForks has a process with 4,000 descriptors fork 3,500 times.
func TestManyForks(t *testing.T) {
	openat, clone, write := number(t, "openat"), number(t, "clone"), number(t, "write")
	costs(t, fdHeader(), "decode-fds&format=strace", func(h *burden) {
		const fds, forks = 4000, 3500
		h.task(1, 1, 0)
		for i := range uint32(forks) {
			h.task(100+i, 100+i, 2000*sec+uint64(i)*10000+500)
		}
		for i := range uint64(fds) {
			h.call(1, openat, 1000*sec+i*2000+5000, int64(3+i), path(1, fmt.Sprintf("/srv/data/file-%d", i)), 0xffffffffffffff9c, 1)
		}
		for i := range uint32(forks) {
			at := 2000*sec + uint64(i)*10000
			h.call(1, clone, at+1000, int64(100+i), nil, 0x1200011)
			h.rec(&record.Record{Type: layout.RecCall, Tid: 100 + i, Nr: clone, Time: at + 1100, Flags: layout.RecfNodur, Args: [6]uint64{0x1200011}})
			h.call(100+i, openat, at+4000, 5000, path(1, "/own"), 0xffffffffffffff9c, 1)
			h.call(100+i, write, at+6000, 1, nil, uint64(3+i%fds), 0, 1)
		}
	}).within(t, 40<<20, 10*time.Second)
}

// TestExecHalf is the same with every second descriptor closed by execve.
func TestExecHalf(t *testing.T) {
	openat, clone, execve := number(t, "openat"), number(t, "clone"), number(t, "execve")
	costs(t, fdHeader(), "decode-fds&format=strace", func(h *burden) {
		const fds, forks = 4000, 3500
		h.task(1, 1, 0)
		for i := range uint32(forks) {
			h.task(100+i, 100+i, 2000*sec+uint64(i)*10000+500)
		}
		for i := range uint64(fds) {
			h.call(1, openat, 1000*sec+i*2000+5000, int64(3+i), path(1, fmt.Sprintf("/srv/data/file-%d", i)), 0xffffffffffffff9c, 1, (i&1)*oCloexec)
		}
		for i := range uint32(forks) {
			at := 2000*sec + uint64(i)*10000
			h.call(1, clone, at+1000, int64(100+i), nil, 0x1200011)
			h.rec(&record.Record{Type: layout.RecCall, Tid: 100 + i, Nr: clone, Time: at + 1100, Flags: layout.RecfNodur, Args: [6]uint64{0x1200011}})
			h.call(100+i, execve, at+4000, 0, nil)
			h.call(100+i, number(t, "read"), at+6000, 1, nil, uint64(3+i%fds), 0, 1)
		}
	}).within(t, 40<<20, 10*time.Second)
}

// TestLongPaths opens each file relative to the one before.
func TestLongPaths(t *testing.T) {
	openat := number(t, "openat")
	name := strings.Repeat("x", 4000)
	costs(t, fdHeader(), "decode-fds&format=strace", func(h *burden) {
		h.task(1, 1, 0)
		dir := uint64(0xffffffffffffff9c)
		h.call(1, openat, 999*sec, 3, path(1, "/"), dir, 1)
		for i := range uint64(1000) {
			h.call(1, openat, 1000*sec+i*2000, int64(4+i), path(1, name), 3+i, 1)
		}
	}).within(t, 40<<20, 10*time.Second)
}

// TestManyInOneCall has calls that name thousands of descriptors with long paths.
func TestManyInOneCall(t *testing.T) {
	openat, sel, poll := number(t, "openat"), number(t, "select"), number(t, "poll")
	name := "/" + strings.Repeat("\x01", 4000)
	for _, format := range []string{"text", "json", "strace"} {
		c := costs(t, fdHeader(), "decode-fds&format="+format, func(h *burden) {
			h.task(1, 1, 0)
			for i := range uint64(60000) {
				n := name
				if i > 100 {
					n = name[:100]
				}
				h.call(1, openat, 1000*sec+i*2000, int64(i), path(1, n), 0xffffffffffffff9c, 1)
			}
			bits := make([]byte, 7500)
			for i := range bits {
				bits[i] = 0xff
			}
			var fds []byte
			for i := range uint32(1000) {
				fds = append(fds, ints(i%100, 0x10001)...)
			}
			for i := range uint64(30) {
				h.call(1, sel, 2000*sec+i*2000, 1, &record.Item{Arg: 1, Kind: layout.ItemMem, Flags: layout.ItemEntry, Data: bits}, 60000, 1)
				h.call(1, poll, 3000*sec+i*2000, 1, &record.Item{Arg: 0, Kind: layout.ItemMem, Data: fds}, 1, 1000)
			}
		})
		c.within(t, 72<<20, 20*time.Second)
		if c.out > 200<<20 {
			t.Errorf("%s: %d MB of text", format, c.out>>20)
		}
	}
}

// TestManyFilters has a header that says how often and by how much it was filtered.
func TestManyFilters(t *testing.T) {
	openat := number(t, "openat")
	var filters strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&filters, "pid=%d ", i+1)
	}
	heavy := url.QueryEscape("/(.?){1000}x$/")
	for name, filter := range map[string]string{
		"filters":           filters.String(),
		"regexes":           "e=" + strings.TrimSuffix(strings.Repeat(heavy+",", 900), ","),
		"regexes apart":     strings.TrimSuffix(strings.Repeat("e="+heavy+"&", 900), "&"),
		"regexes by filter": strings.Repeat("pid=1&e="+heavy+" tid=1&e="+heavy+" failed&e="+heavy+" ", 300),
		"one id often":      strings.TrimSuffix(strings.Repeat("pid=77&", 5000), "&"),
	} {
		for _, asked := range []string{"", "format=raw&failed"} {
			t.Run(name+" "+asked, func(t *testing.T) {
				h := fdHeader()
				h.Filter = filter
				c := costs(t, h, asked, func(h *burden) {
					h.task(1, 1, 0)
					for i := range uint64(20000) {
						h.call(1, openat, 1000*sec+i*2000, 3, path(1, "/x"), 0xffffffffffffff9c, 1)
					}
				})
				c.within(t, 60<<20, 10*time.Second)
				if !errors.Is(c.err, ErrTooLarge) {
					t.Errorf("%v, want %v: with a part of the filters it would show what was left out", c.err, ErrTooLarge)
				}
			})
		}
	}
}

// TestLargeQuery asks for more than may be asked for at once.
func TestLargeQuery(t *testing.T) {
	start := time.Now()
	for _, asked := range []string{
		strings.Repeat("pid=7&", 1025), strings.Repeat("path=/x&", 257), strings.Repeat("e=read&", 1025), "e=" + strings.Repeat("read,", 1100) + "read",
		strings.Repeat("e="+url.QueryEscape("/(.?){1000}x$/")+"&", 900),
	} {
		v, err := url.ParseQuery(asked)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseQuery(v); err == nil || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%.30s…: %v", asked, err)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("to say no took %s", took)
	}
}

// TestManyThreads has more threads than are remembered.
func TestManyThreads(t *testing.T) {
	getpid := number(t, "getpid")
	for _, asked := range []string{"decode-fds", "summary=thread"} {
		t.Run(asked, func(t *testing.T) {
			costs(t, fdHeader(), asked, func(h *burden) {
				for i := range uint32(400_000) {
					h.task(100+i, 100+i, uint64(i))
				}
				for i := range uint32(400_000) {
					h.call(100+i, getpid, 1000*sec+uint64(i)*2000, 1, nil)
				}
			}).within(t, 80<<20, 60*time.Second)
		})
	}
}

// TestManyGaps has threads, and then marks of damage.
func TestManyGaps(t *testing.T) {
	getpid := number(t, "getpid")
	for _, asked := range []string{"", "decode-fds"} {
		costs(t, fdHeader(), asked, func(h *burden) {
			for i := range uint32(100_000) {
				h.task(100+i, 100+i, uint64(i))
			}
			for i := range uint32(100_000) {
				h.call(100+i, getpid, 1000*sec+uint64(i)*2000, 1, nil)
			}
			for i := range uint32(5_000) {
				h.check(h.w.Damage(&dump.Damage{Text: "x"}))
				h.call(100+i, getpid, 2000*sec+uint64(i)*2000, 1, nil)
			}
		}).within(t, 160<<20, 20*time.Second)
	}
}

// TestManyOpen has a dump that says of many processes what they had open.
func TestManyOpen(t *testing.T) {
	link := "/" + strings.Repeat("x", 4000)
	costs(t, fdHeader(), "decode-fds", func(h *burden) {
		for i := range uint32(400) {
			o := dump.OpenFiles{Tgid: i, From: 1, To: uint64(i)}
			for j := range int32(32) {
				o.Fds = append(o.Fds, dump.OpenFD{Num: j, Link: link})
			}
			h.check(h.w.Open(o))
		}
	}).within(t, 40<<20, 30*time.Second)
}

// TestManyLast wants the last of very many.
func TestManyLast(t *testing.T) {
	getpid := number(t, "getpid")
	costs(t, fdHeader(), "last=100000000", func(h *burden) {
		h.task(1, 1, 0)
		for i := range uint64(200_000) {
			h.call(1, getpid, 1000*sec+i*2000, 1, nil)
		}
	}).within(t, 60<<20, 30*time.Second)
}
