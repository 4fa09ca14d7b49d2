package bpf

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

func TestPerfQuick(t *testing.T) {
	if os.Getenv("PERFQ") == "" {
		return
	}
	cg := "/sys/fs/cgroup/unified/recorderd-test-" + strconv.Itoa(os.Getpid())
	if err := os.MkdirAll(cg+"/a", 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(cg)
	defer os.Remove(cg + "/a")
	run := func(in bool) float64 {
		c := "exec /tmp/b/loop 1500000"
		if in {
			c = "echo $$ > " + cg + "/a/cgroup.procs; " + c
		}
		o, err := exec.Command("sh", "-c", c).Output()
		if err != nil {
			t.Fatal(err)
		}
		f, _ := strconv.ParseFloat(strings.TrimSpace(string(o)), 64)
		return f
	}
	for round := range 4 {
		none := run(false)
		spec, _ := loadRecorder()
		spec.Programs = map[string]*ebpf.ProgramSpec{"empty_enter": spec.Programs["empty_enter"], "empty_exit": spec.Programs["empty_exit"]}
		coll, err := ebpf.NewCollection(spec)
		if err != nil {
			t.Fatal(err)
		}
		l1, _ := link.AttachTracing(link.TracingOptions{Program: coll.Programs["empty_enter"]})
		l2, _ := link.AttachTracing(link.TracingOptions{Program: coll.Programs["empty_exit"]})
		floor := run(false)
		l1.Close()
		l2.Close()
		coll.Close()
		cfg := testConfig(t)
		for i := range cfg.Plans {
			cfg.Plans[i].Nargs = 6
		}
		cfg.Plans[110].Nargs = 0
		k, err := Load(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Attach(); err != nil {
			t.Fatal(err)
		}
		r, err := k.NewRing(1, 1, 512, 0)
		if err != nil {
			t.Fatal(err)
		}
		out, _ := exec.Command("stat", "-c", "%i", cg).Output()
		id, _ := strconv.ParseUint(string(out[:len(out)-1]), 10, 64)
		k.Watch(id)
		un := run(false)
		tr := run(true)
		h := atomic.LoadUint64(&r.Head().Lane[0].Head)
		fmt.Printf("round %d: none %.0f floor +%.0f untraced +%.0f (%.2f) traced +%.0f (%.2f) recs %d bytes %d\n", round, none, floor-none, un-none, (un-none)/(floor-none), tr-none, (tr-none)/(floor-none), h&0xffffff, h>>24*8)
		r.Close()
		k.Uninstall()
	}
}
