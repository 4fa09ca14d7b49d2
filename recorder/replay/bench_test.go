package replay

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// large returns a dump with n calls, as a web server makes them, on four threads.
func large(tb testing.TB, n int) []byte {
	tb.Helper()
	b := newBuilder(tb, testHeader())
	for tid := range uint32(4) {
		b.task(1000+tid, 1000, 7+tid, 7, 0, 0, "nginx", "nginx")
	}
	names := []string{"epoll_wait", "recvfrom", "openat", "write", "close", "futex"}
	var nr [6]uint16
	for i, name := range names {
		nr[i] = number(tb, name)
	}
	var raw []byte
	path := []byte("/usr/share/nginx/html/index.html")
	for i := range n {
		r := record.Record{Type: layout.RecCall, Tid: 1000 + uint32(i/6%4), Nr: nr[i%6], Time: at(i) + 5000, Dur: 900} // a thread is in one call at a time
		switch i % 6 {
		case 0:
			r.Ret, r.Args = 1, [6]uint64{5, 0x7ffd12340000, 512, 1<<64 - 1}
		case 1:
			r.Ret, r.Args = 78, [6]uint64{9, 0x55d0c0a01000, 1024, 0, 0, 0}
		case 2:
			r.Ret, r.Args = 11, [6]uint64{1<<64 - 100, 0x55d0c0a02000, 0x80800}
			r.Items = []record.Item{{Arg: 1, Kind: layout.ItemStr, Data: path}}
		case 3:
			r.Ret, r.Args = 612, [6]uint64{9, 0x55d0c0a03000, 612}
		case 4:
			r.Args = [6]uint64{11}
		case 5:
			r.Ret, r.Args = -11, [6]uint64{0x55d0c0a04000, 0x80, 2}
		}
		raw = record.Append(raw[:0], &r)
		if err := b.w.Record(dump.FrameMain, raw); err != nil {
			tb.Fatal(err)
		}
	}
	return b.done()
}

func benchmark(b *testing.B, q string) {
	const n = 200000
	in := large(b, n)
	o := Options{Query: query(b, q)}
	b.SetBytes(int64(len(in)))
	b.ResetTimer()
	for b.Loop() {
		if _, err := run(io.Discard, in, o); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkText(b *testing.B)     { benchmark(b, "") }
func BenchmarkStrace(b *testing.B)   { benchmark(b, "format=strace") }
func BenchmarkJSON(b *testing.B)     { benchmark(b, "format=json") }
func BenchmarkRaw(b *testing.B)      { benchmark(b, "format=raw") }
func BenchmarkFiltered(b *testing.B) { benchmark(b, "e=mmap") }
func BenchmarkLast(b *testing.B)     { benchmark(b, "last=100") }

// meter notes how large the heap becomes while a dump is read.
type meter struct {
	r    io.Reader
	heap uint64
}

func (m *meter) Read(b []byte) (int, error) {
	if len(b) > 1000 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		m.heap = max(m.heap, s.HeapAlloc)
	}
	return m.r.Read(b)
}

// Memory must not grow with the dump, but for strace's order.
func TestMemory(t *testing.T) {
	in := large(t, 400000)
	for q, limit := range map[string]int64{"": 4 << 20, "format=json": 4 << 20, "last=1000": 4 << 20, "format=raw": 4 << 20, "format=strace": 5 * int64(len(in))} {
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		m := &meter{r: bytes.NewReader(in)}
		r, err := dump.NewReader(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Run(io.Discard, r, Options{Query: query(t, q)}); err != nil {
			t.Fatal(err)
		}
		if grown := int64(m.heap) - int64(before.HeapAlloc); grown > limit {
			t.Errorf("%q: %d KiB for a dump of %d KiB", q, grown>>10, len(in)>>10)
		} else {
			t.Logf("%q: %d KiB for a dump of %d KiB", q, grown>>10, len(in)>>10)
		}
	}
}
