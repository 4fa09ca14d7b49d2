package server_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/server"
	"github.com/recorderd/recorderd/api/server/servertest"
)

// Every counter of the kernel is a metric with its own number.
func TestMetricsHaveEveryCounter(t *testing.T) {
	b := servertest.New()
	for i, c := range api.NodeCounters {
		*c.Of(&b.Info) = uint64(1001 + i)
	}
	w := httptest.NewRecorder()
	server.New(b, server.Options{}).ServeHTTP(w, httptest.NewRequest("GET", "http://recorderd/metrics", nil))
	for i, c := range api.NodeCounters {
		if want := fmt.Sprintf("\nrecorderd_%s %d\n", c.Metric, 1001+i); !strings.Contains(w.Body.String(), want) {
			t.Errorf("counter %d: no %q", c.ID, want)
		}
	}
}
