package bpf

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/recorderd/recorderd/recorder/layout"
)

// testConfig has a pin directory of the test's own, and no plans: nothing is followed.
func testConfig(t testing.TB) Config {
	t.Helper()
	plans := make([]layout.Plan, 2*layout.PlanCalls)
	for i := range plans {
		plans[i].Nargs = 6
	}
	dir := fmt.Sprintf("/sys/fs/bpf/recorderd-test-%d", os.Getpid())
	return Config{PinDir: dir, MainSize: 1 << 20, GuardSize: 128 << 10, TasksSize: 64 << 10, Plans: plans}
}

func TestLoad(t *testing.T) {
	k, err := Load(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Uninstall()
	if err := k.Attach(); err != nil {
		t.Fatal(err)
	}
	for name, p := range k.progs {
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		n, _ := info.VerifiedInstructions()
		t.Logf("%-16s %7d verified", name, n)
	}
	r, err := k.NewRing(1, 1, 512, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := k.Grace(); err != nil {
		t.Fatal(err)
	}
	cg := "/sys/fs/cgroup/unified/recorderd-test-" + strconv.Itoa(os.Getpid())
	if err := os.MkdirAll(cg+"/a", 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(cg)
	defer os.Remove(cg + "/a")
	st, _ := os.Stat(cg)
	_ = st
	if err := k.WatchPath("/x"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("stat", "-c", "%i", cg).Output()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := strconv.ParseUint(string(out[:len(out)-1]), 10, 64)
	if err := k.Watch(id); err != nil {
		t.Fatal(err)
	}
	out, err = exec.Command("sh", "-c", "echo $$ > "+cg+"/a/cgroup.procs; exec ls -l /etc/hostname /nonexistent").CombinedOutput()
	t.Logf("%s %v", out, err)
	h := r.Head()
	t.Logf("main %d records, %d bytes; guard %d; tasks %d; live %d ever %d level %d cgroup %d", h.Lane[0].Head&0xffffff, h.Lane[0].Head>>24*8, h.Lane[1].Head&0xffffff, h.Lane[2].Head&0xffffff, h.TasksLive, h.TasksEver, h.PidLevel, h.Cgroup)
	tasks, err := k.Tasks(-1)
	t.Log(len(tasks), err)
}
