package api

import (
	"fmt"
	"strings"
	"testing"
)

func TestKeepLabels(t *testing.T) {
	few := map[string]string{"app": "web", "tier": "db"}
	if got := KeepLabels(few); len(got) != 2 || got["app"] != "web" {
		t.Errorf("got %v", got)
	}
	huge := map[string]string{"a": strings.Repeat("x", 1<<20), "app": "web"}
	if got := KeepLabels(huge); len(got) != 1 || got["app"] != "web" {
		t.Errorf("beside a huge one, %d are kept", len(got))
	}
	many := map[string]string{}
	for i := range 10000 {
		many[fmt.Sprintf("k%05d", i)] = strings.Repeat("v", 63)
	}
	kept := KeepLabels(many)
	n := 0
	for k, v := range kept {
		n += len(k) + len(v)
	}
	if n > MaxLabels || n < MaxLabels-100 || kept["k00000"] == "" || kept["k09999"] != "" || len(many) != 10000 {
		t.Errorf("%d of %d labels are kept, with %d bytes", len(kept), len(many), n)
	}
}
