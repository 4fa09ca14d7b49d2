package render

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
)

// Every counter of the kernel is in status, under its own words.
func TestStatusHasEveryCounter(t *testing.T) {
	var s api.Status
	for i, c := range api.NodeCounters {
		*c.Of(&s) = uint64(1001 + i)
	}
	var b strings.Builder
	if err := Status(&b, &s, time.Now()); err != nil {
		t.Fatal(err)
	}
	for i, c := range api.NodeCounters {
		if *c.Of(&s) != uint64(1001+i) {
			t.Errorf("counter %d shares its field with another", c.ID)
		}
		found := false
		for line := range strings.Lines(b.String()) {
			found = found || strings.Contains(line, c.Text) && strings.Contains(line, fmt.Sprintf(" %d ", 1001+i))
		}
		if !found {
			t.Errorf("counter %d (%s) is not shown:\n%s", c.ID, c.Text, b.String())
		}
	}
}
