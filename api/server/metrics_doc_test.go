package server_test

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/recorderd/recorderd/api/server"
	"github.com/recorderd/recorderd/api/server/servertest"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

const metricsDoc = "../../docs/metrics.md"

// The reference of metrics is what the daemon really serves.
func TestMetricsReference(t *testing.T) {
	b := servertest.New()
	b.Info.Spool.Refused = map[string]uint64{"rate": 1}
	b.Info.Spool.Removed = map[string]uint64{"age": 1}
	h := server.New(b, server.Options{})
	dump := httptest.NewRequest("GET", "http://recorderd/v1/recordings/"+servertest.Worker+"/dump", nil)
	h.ServeHTTP(httptest.NewRecorder(), dump)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "http://recorderd/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range families {
		if strings.HasPrefix(name, "recorderd_") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	var doc strings.Builder
	doc.WriteString("# Metrics\n\n`GET /metrics` on the socket serves these, in Prometheus' text format, and beside them those of the Go runtime (`go_…`) and of the\n" +
		"process (`process_…`). Counters begin at 0 with the daemon, but for those of records and losses: they count since the programs were loaded,\nas long as the recordings are kept that they count.\n\n" +
		"This page is written by `go test ./api/server -run TestMetricsReference -update`, and CI compares it.\n\n| metric | type | labels | what |\n| --- | --- | --- | --- |\n")
	for _, name := range names {
		f := families[name]
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		fmt.Fprintf(&doc, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), strings.ReplaceAll(f.GetHelp(), "|", "\\|"))
	}
	if *update {
		if err := os.WriteFile(metricsDoc, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	was, err := os.ReadFile(metricsDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(was) != doc.String() {
		t.Errorf("docs/metrics.md is not current: go test ./api/server -run TestMetricsReference -update")
	}
}
