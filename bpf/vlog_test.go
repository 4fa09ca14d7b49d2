package bpf

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"
)

func TestVlog(t *testing.T) {
	if os.Getenv("VLOG") == "" {
		return
	}
	cfg := testConfig(t)
	spec, _ := loadRecorder()
	spec.Maps["rings"].InnerMap.ValueSize = uint32(cfg.RingBytes())
	spec.Variables["main_size"].Set(cfg.MainSize)
	spec.Variables["guard_size"].Set(cfg.GuardSize)
	spec.Variables["tasks_size"].Set(cfg.TasksSize)
	spec.Programs = map[string]*ebpf.ProgramSpec{os.Getenv("VLOG"): spec.Programs[os.Getenv("VLOG")]}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelInstruction, LogSizeStart: 256 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	for n, p := range coll.Programs {
		os.WriteFile("/tmp/vlog."+n, []byte(p.VerifierLog), 0o644)
	}
}
