package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// systemd understands the unit, and it gives the capabilities that are needed.
func TestUnit(t *testing.T) {
	b, err := os.ReadFile("../../deploy/recorderd.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.Replace(string(b), "/usr/local/bin/recorderd", binary, 1)
	path := filepath.Join(t.TempDir(), "recorderd.service")
	if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
	for line := range strings.Lines(unit) {
		if list, ok := strings.CutPrefix(line, "CapabilityBoundingSet="); ok {
			got := strings.Fields(list)
			want := strings.Split(rights.String(), ", ")
			slices.Sort(got)
			if slices.Sort(want); !slices.Equal(got, want) {
				t.Errorf("capabilities %v, needed are %v", got, want)
			}
			return
		}
	}
	t.Error("no CapabilityBoundingSet")
}
