package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const passed = `[    1.0] Linux
kerneltest: linux 6.1.0 x86_64
kerneltest: size on_fork 1000 8000 64 12
kerneltest: took loading 1.0 s
--- PASS: TestA (1.00s)
    --- PASS: TestA/sub (1.00s)
--- PASS: TestB (1.00s)
kerneltest: recorded with cgroups v2
kerneltest: recorded with cgroups pids
kerneltest: decoded 341 calls
kerneltest: refused without type information: recorderd: …
kerneltest: refused without cgroups: recorderd: …
kerneltest: recorded with cgroups v2 alone
kerneltest: end
`

// What is missing from a console, or stands there and should not, is a failure.
func TestCheck(t *testing.T) {
	want := []string{"TestA", "TestB"}
	for name, tc := range map[string]struct {
		console, says string
		refused       bool
	}{
		"all passed":        {console: passed},
		"nothing":           {console: "", says: "printed nothing"},
		"a test is missing": {console: strings.Replace(passed, "--- PASS: TestB (1.00s)\n", "", 1), says: "TestB did not pass: 1 of 2"},
		"a test failed":     {console: strings.Replace(passed, "--- PASS: TestB", "--- FAIL: TestB", 1), says: "failed"},
		"a test skipped":    {console: strings.Replace(passed, "--- PASS: TestB", "--- SKIP: TestB", 1), says: "failed"},
		"it panicked":       {console: passed[:len(passed)-100] + "Kernel panic - not syncing\n", says: "before the tests were done"},
		"only v2":           {console: strings.Replace(passed, "kerneltest: recorded with cgroups pids\n", "", 1), says: "v2 alone"},
		"not decoded":       {console: strings.Replace(passed, "decoded 341", "decoded 34", 1), says: "34 calls"},
		"one not refused":   {console: strings.Replace(passed, "refused without cgroups", "ran without cgroups", 1), says: "1 times"},
		"no sizes":          {console: strings.Replace(passed, "kerneltest: size on_fork 1000 8000 64 12\n", "", 1), says: "sizes"},
		"not refused":       {console: passed, refused: true, says: "one line"},
		"refused":           {refused: true, console: "kerneltest: linux 5.10.0 x86_64\nkerneltest: recorderd says: recorderd: this kernel cannot record system calls: Linux 5.10.0 has no BPF task storage\nkerneltest: end\n"},
	} {
		err := parse([]byte(tc.console)).check(want, tc.refused)
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
	}
}

// The table is read as it was written, and says when a program has grown.
func TestTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kernels.md")
	if err := os.WriteFile(path, []byte("before\n"+tableBegin+tableEnd+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := readTable(path)
	if err != nil {
		t.Fatal(err)
	}
	first.set("6.12", map[string]size{"on_fork": {1000, 8000, 64, 12}, "on_exec": {2000, 100, 0, 12}})
	first.set("6.1", map[string]size{"on_fork": {900, 8000, 64, 12}})
	first.set("6.12-rt", map[string]size{"on_fork": {9000, 8000, 64, 12}})
	if err := first.write(path); err != nil {
		t.Fatal(err)
	}
	table, err := readTable(path)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(text), "before\n") || !strings.HasSuffix(string(text), "after\n") || !strings.Contains(string(text), "| program | 6.1 | 6.12 | 6.12-rt |\n") {
		t.Errorf("it was written as\n%s", text)
	}
	for _, tc := range []struct {
		kernel string
		now    size
		grown  string
	}{
		{"6.12", size{1000, 8000, 64, 12}, ""},
		{"6.12", size{1160, 8000, 64, 12}, ""}, // a tenth, and the slack
		{"6.12", size{1170, 8000, 64, 12}, "1170 instructions of the verifier, it was 1000 on 6.12"},
		{"6.12", size{1000, 9000, 64, 12}, "9000 bytes"},
		{"6.12", size{1000, 8000, 256, 12}, "256 bytes of stack"},
		{"6.1", size{1060, 8000, 64, 12}, "1060 instructions of the verifier, it was 900 on 6.1"},
		{"7.4", size{2000, 8000, 64, 12}, "on 6.12"},      // with the newest before it
		{"6.12-rt", size{9500, 8000, 64, 12}, ""},         // a kind of its own
		{"6.12 arm64", size{99999, 99999, 99999, 12}, ""}, // nothing to compare with
		{"5.15", size{99999, 99999, 99999, 12}, ""},
	} {
		err := table.compare(tc.kernel, map[string]size{"on_fork": tc.now})
		if (err == nil) != (tc.grown == "") || err != nil && !strings.Contains(err.Error(), tc.grown) {
			t.Errorf("%s with %v: %v, want %q", tc.kernel, tc.now, err, tc.grown)
		}
	}
}
