package postmortem

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/recorder/layout"
	"github.com/recorderd/recorderd/recorder/record"
)

// chosen adds the OOM killer's SIGKILL to a thread, with what is used in MiB: memory, its limit,
// and the process' own pages.
func (s *story) chosen(tid uint32, ms int, figures ...uint64) {
	s.t.Helper()
	data := make([]byte, layout.SizeofUsage)
	for i, mib := range figures {
		binary.LittleEndian.PutUint64(data[8*i:], mib<<20)
	}
	s.add(&record.Record{
		Type: layout.RecSent, Tid: tid, Time: at(ms), Nr: 9, Ret: 0x80, Flags: layout.RecfNodur, Args: [6]uint64{0, 0, uint64(layout.SentToGroup)},
		Items: []record.Item{{Arg: 3, Kind: layout.ItemMem, Data: data}},
	})
}

// TestUsage is about what is said of memory: the kernel's figures, and nothing where it gave none.
func TestUsage(t *testing.T) {
	oom := func(figures ...uint64) func(t *testing.T) []byte {
		return ends(api.Exit{Signal: "SIGKILL", OOMKilled: true}, func(s *story) {
			s.call(1001, "mmap", 100, 0, 0x7000, 0, 100<<20, 3, 0x22, -1, 0)
			if figures != nil {
				s.chosen(1001, 2990, figures...)
			}
			s.exit(1001, 1001, 3000, 9)
		})
	}
	tellAll(t, []told{
		{"at its limit", oom(48, 48, 40), "OOM-killed at a limit of 48 MiB of memory (48 MiB were used): " +
			"the kernel chose process 1 (app), which had 40 MiB of it", "oom"},
		{"files in memory", oom(48, 48, 3), "OOM-killed at a limit of 48 MiB of memory (48 MiB were used): " +
			"the kernel chose process 1 (app), which had 3 MiB of it; the rest is of other processes, or " +
			"files in memory such as in /dev/shm", "oom"},
		{"of the node, with a limit", oom(20, 48, 15), "OOM-killed, as the node or a cgroup around it had " +
			"no memory left (of its limit of 48 MiB 20 MiB were used): the kernel chose process 1 (app), " +
			"which had 15 MiB of it", "oom"},
		{"of the node, without one", oom(3*1024+512, 0, 3*1024), "OOM-killed, as the node had no memory left " +
			"(it has no limit): the kernel chose process 1 (app), which had 3 GiB of it", "oom"},
		{"no figures", oom(), "OOM-killed: the kernel chose process 1 (app)", "oom"},
	})
	full := ends(api.Exit{Code: 1}, func(s *story) {
		s.call(1001, "clone", 2900, 0, -11, 0x3d0f00, 0x7000, 0, 0, 0)
		usage := make([]byte, layout.SizeofUsage)
		binary.LittleEndian.PutUint64(usage[48:], 2)
		binary.LittleEndian.PutUint64(usage[56:], 30)
		s.noReturn(1001, 2950, 1)
		s.add(&record.Record{
			Type: layout.RecExit, Tid: 1001, Time: at(3000), Ret: 1 << 8, Flags: layout.RecfNodur, Args: [6]uint64{1001, 1, 0, 0, 1 << 8},
			Items: []record.Item{{Kind: layout.ItemMem, Data: usage}},
		})
	})
	signs := build(t, full(t), Options{}).Signs.Items
	if len(signs) != 1 || !strings.HasSuffix(signs[0].Text, "; the limit of its cgroup is 30") {
		t.Errorf("no more processes: %+v", signs)
	}
	r := build(t, oom(48, 48, 40)(t), Options{})
	if r.Usage == nil || r.Usage.MemoryMax != 48<<20 {
		t.Errorf("the report has %+v", r.Usage)
	}
	if got := screenOf(t, r); !strings.Contains(got, "used     48 MiB of 48 MiB of memory\n") {
		t.Errorf("the screen lacks what was used:\n%s", got)
	}
}
