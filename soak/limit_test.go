package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/deploy"
	"github.com/recorderd/recorderd/internal/size"
)

// memcg is a memory cgroup with the limit that the manifests give a daemon of such flags.
// Everything in this package runs under it.
type memcg struct {
	dir   string
	limit uint64 // bytes
	v2    bool
}

func newMemcg(t *testing.T, name string, flags []string) *memcg {
	t.Helper()
	o := deploy.Default()
	for i := 0; i+1 < len(flags); i++ {
		to := map[string]*size.Bytes{"--ring-size": &o.RingSize, "--memory-budget": &o.MemoryBudget}[flags[i]]
		if to == nil {
			continue
		}
		if err := to.Set(flags[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	v, err := o.Values()
	if err != nil {
		t.Fatal(err)
	}
	mib, err := strconv.ParseUint(strings.TrimSuffix(v.MemoryLimit, "Mi"), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	m := &memcg{limit: mib << 20, dir: filepath.Join("/sys/fs/cgroup/memory", name)}
	if _, err := os.Stat(filepath.Dir(m.dir)); err != nil {
		m.v2, m.dir = true, filepath.Join("/sys/fs/cgroup", name+"-limit")
	}
	file := "memory.limit_in_bytes"
	if m.v2 {
		file = "memory.max"
	}
	if err := os.Mkdir(m.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.dir, file), fmt.Appendf(nil, "%d", m.limit), 0o644); err != nil {
		os.Remove(m.dir)
		t.Fatalf("limit the daemon's memory: %v", err)
	}
	return m
}

// add puts a process under the limit.
func (m *memcg) add(t *testing.T, pid int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// check fails a test whose daemon met the OOM killer, says how much it took, and removes the cgroup.
func (m *memcg) check(t *testing.T) {
	peak, events := "memory.max_usage_in_bytes", "memory.oom_control"
	if m.v2 {
		peak, events = "memory.peak", "memory.events"
	}
	if b, err := os.ReadFile(filepath.Join(m.dir, peak)); err == nil {
		n, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
		t.Logf("memory of the daemon and its rings: %d MiB at most, the manifest's limit is %d MiB", n>>20, m.limit>>20)
	}
	b, err := os.ReadFile(filepath.Join(m.dir, events))
	if err != nil {
		t.Errorf("was the OOM killer there? %v", err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "oom_kill" && f[1] != "0" {
			t.Errorf("the OOM killer ended the daemon %s times under the manifest's limit of %d MiB", f[1], m.limit>>20)
		}
	}
	eventually(t, "remove "+m.dir, func() bool { return os.Remove(m.dir) == nil })
}
