package bpf

import "testing"

// The verifier's words for the stack of the main function, old and new.
func TestStackLine(t *testing.T) {
	for log, want := range map[string]string{
		"verification time 22 usec\nstack depth 56+0+8\nprocessed 8 insns": "56",
		"stack depth 152\n": "152",
		"stack depth max 300\nsubprog 0 (on_fork) main insns_self 1 insns_total 2 stack 72\nsubprog 1 (x) static insns_self 1 insns_total 2 stack 8\n": "72",
	} {
		if m := stackLine.FindStringSubmatch(log); m == nil || m[1] != want {
			t.Errorf("%q: %v, want %s", log, m, want)
		}
	}
}
