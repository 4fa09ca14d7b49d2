package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/recorderd/recorderd/api"
)

// metrics are the daemon's, for Prometheus: what Backend.Status says, and dumps.
type metrics struct {
	registry *prometheus.Registry
	dumps    *prometheus.CounterVec
	running  prometheus.Gauge
}

func newMetrics(status func(context.Context) (api.Status, error)) *metrics {
	m := &metrics{
		registry: prometheus.NewPedanticRegistry(),
		dumps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "recorderd_dumps_total", Help: "Dumps asked for, by format and result: ok, error, refused (too many), canceled (the client has left, or did not read).",
		}, []string{"format", "result"}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "recorderd_dumps_running", Help: "Dumps under way.",
		}),
	}
	m.registry.MustRegister(m.dumps, m.running, statusCollector{status},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) serve(w http.ResponseWriter, r *http.Request) error {
	families, err := m.registry.Gather()
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	gathered := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
	promhttp.HandlerFor(gathered, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP(w, r)
	return nil
}

// statusCollector asks for the status at each scrape.
type statusCollector struct {
	status func(context.Context) (api.Status, error)
}

// statusMetric is one number of api.Status.
type statusMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s *api.Status) float64
}

func statusCounter(name, help string, value func(s *api.Status) uint64) statusMetric {
	return statusMetric{
		prometheus.NewDesc("recorderd_"+name, help, nil, nil), prometheus.CounterValue,
		func(s *api.Status) float64 { return float64(value(s)) },
	}
}

func statusGauge(name, help string, value func(s *api.Status) float64) statusMetric {
	return statusMetric{prometheus.NewDesc("recorderd_"+name, help, nil, nil), prometheus.GaugeValue, value}
}

var statusMetrics = append(nodeCounters(), []statusMetric{
	statusGauge("start_time_seconds", "When the daemon started, in seconds since 1970.",
		func(s *api.Status) float64 { return float64(s.Started.UnixMilli()) / 1000 }),
	statusGauge("adopted", "1 if recording went on from an earlier daemon.",
		func(s *api.Status) float64 { return bit(s.Adopted) }),
	statusGauge("configuration_broken", "1 if the configuration file is broken, and the last good one is in force.",
		func(s *api.Status) float64 { return bit(s.Configuration != nil && s.Configuration.Error != "") }),
	statusGauge("ring_size_bytes", "Size of one ring's main lane.",
		func(s *api.Status) float64 { return float64(s.Rings.Size) }),
	statusGauge("ring_memory_bytes", "Memory of all rings and ended recordings.",
		func(s *api.Status) float64 { return float64(s.Rings.Bytes) }),
	statusGauge("maps_memory_bytes", "Memory of the programs' maps besides rings.",
		func(s *api.Status) float64 { return float64(s.Memory.Maps) }),
	statusGauge("memory_budget_bytes", "Memory that rings and ended recordings may take.",
		func(s *api.Status) float64 { return float64(s.Rings.Budget) }),

	statusCounter("records_written_total", "Records written into rings.",
		func(s *api.Status) uint64 { return s.Calls.Written }),
	statusCounter("records_overwritten_total", "Records overwritten by newer ones.",
		func(s *api.Status) uint64 { return s.Calls.Overwritten }),
	statusCounter("records_cut_total", "Records written with something cut at a limit.",
		func(s *api.Status) uint64 { return s.Calls.Cut }),
	statusCounter("records_fault_total", "Records written with memory that could not be read.",
		func(s *api.Status) uint64 { return s.Calls.Fault }),
	statusCounter("records_muted_total", "Calls not recorded because they are muted.",
		func(s *api.Status) uint64 { return s.Calls.Muted }),

	statusGauge("containers_unrecorded", "Containers that are there and are not recorded, since no ring is free.",
		func(s *api.Status) float64 { return float64(s.Lost.Unrecorded) }),
	statusCounter("recordings_evicted_total", "Ended recordings dropped for the memory budget.",
		func(s *api.Status) uint64 { return s.Lost.Evicted }),

	statusGauge("spool_files", "Dumps on disk.",
		func(s *api.Status) float64 { return float64(s.Spool.Files) }),
	statusGauge("spool_bytes", "Size of the dumps on disk.",
		func(s *api.Status) float64 { return float64(s.Spool.Bytes) }),
	statusGauge("spool_limit_bytes", "Size that the dumps on disk may have.",
		func(s *api.Status) float64 { return float64(s.Spool.Limit) }),
	statusGauge("spool_waiting", "Ends that are to be written to disk and are not yet.",
		func(s *api.Status) float64 { return float64(s.Spool.Waiting) }),
	statusGauge("spool_failing", "1 if the last attempt to write a dump to disk did not work.",
		func(s *api.Status) float64 { return bit(s.Spool.Error != "") }),
	statusCounter("spool_saved_total", "Dumps written to disk.",
		func(s *api.Status) uint64 { return s.Spool.Saved }),
}...)

// nodeCounters are the counters of the BPF programs.
func nodeCounters() []statusMetric {
	var list []statusMetric
	for _, c := range api.NodeCounters {
		help := strings.ToUpper(c.Text[:1]) + c.Text[1:] + "."
		list = append(list, statusCounter(c.Metric, help, func(s *api.Status) uint64 { return *c.Of(s) }))
	}
	return list
}

var (
	buildDesc    = prometheus.NewDesc("recorderd_build_info", "Always 1; version of the daemon, and of what it runs on.", []string{"version", "kernel", "arch"}, nil)
	ringsDesc    = prometheus.NewDesc("recorderd_rings", "Rings by state: live, ended, spare; kept are ended recordings without a ring.", []string{"state"}, nil)
	memoryDesc   = prometheus.NewDesc("recorderd_memory_bytes", "Memory that counts against the budget: live, ended, spare (rings), kept (ended recordings without a ring).", []string{"state"}, nil)
	refusedDesc  = prometheus.NewDesc("recorderd_spool_refused_total", "Ends that were not written to disk, by why.", []string{"why"}, nil)
	removedDesc  = prometheus.NewDesc("recorderd_spool_removed_total", "Dumps removed from disk, by why.", []string{"why"}, nil)
	endsDesc     = prometheus.NewDesc("recorderd_container_ends_total", "Containers that ended, by how and by the cause that the verdict names (docs/show.md).", []string{"how", "cause"}, nil)
	missedDesc   = prometheus.NewDesc("recorderd_program_missed_total", "Runs of a BPF program that the kernel skipped as recursion.", []string{"program"}, nil)
	runtimeDesc  = prometheus.NewDesc("recorderd_runtime_connected", "1 if the container runtime answers.", []string{"runtime", "address"}, nil)
	runtimeCount = prometheus.NewDesc("recorderd_runtime_containers", "Containers that a runtime knows.", []string{"runtime", "address"}, nil)
)

// Describe implements prometheus.Collector.
func (c statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range statusMetrics {
		ch <- m.desc
	}
	for _, d := range []*prometheus.Desc{buildDesc, ringsDesc, memoryDesc, refusedDesc, removedDesc, endsDesc, missedDesc, runtimeDesc, runtimeCount} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c statusCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := c.status(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(buildDesc, fmt.Errorf("status: %w", err))
		return
	}
	emit := func(desc *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		for i := range labels {
			labels[i] = strings.ToValidUTF8(labels[i], "�")
		}
		m, err := prometheus.NewConstMetric(desc, kind, v, labels...)
		if err != nil {
			m = prometheus.NewInvalidMetric(desc, err)
		}
		ch <- m
	}
	for _, m := range statusMetrics {
		emit(m.desc, m.kind, m.value(&s))
	}
	emit(buildDesc, prometheus.GaugeValue, 1, s.Version, s.Kernel, s.Arch)
	emit(ringsDesc, prometheus.GaugeValue, float64(s.Rings.Live), string(api.StateLive))
	emit(ringsDesc, prometheus.GaugeValue, float64(s.Rings.Ended), string(api.StateEnded))
	emit(ringsDesc, prometheus.GaugeValue, float64(s.Rings.Spare), "spare")
	emit(ringsDesc, prometheus.GaugeValue, float64(s.Rings.Kept), "kept")
	emit(memoryDesc, prometheus.GaugeValue, float64(s.Memory.Live), string(api.StateLive))
	emit(memoryDesc, prometheus.GaugeValue, float64(s.Memory.Ended), string(api.StateEnded))
	emit(memoryDesc, prometheus.GaugeValue, float64(s.Memory.Spare), "spare")
	emit(memoryDesc, prometheus.GaugeValue, float64(s.Memory.Kept), "kept")
	for why, n := range s.Spool.Refused {
		emit(refusedDesc, prometheus.CounterValue, float64(n), why)
	}
	for why, n := range s.Spool.Removed {
		emit(removedDesc, prometheus.CounterValue, float64(n), why)
	}
	for _, e := range s.Ends {
		emit(endsDesc, prometheus.CounterValue, float64(e.Count), e.How, e.Cause)
	}
	for _, program := range slices.Sorted(maps.Keys(s.Lost.Missed)) {
		emit(missedDesc, prometheus.CounterValue, float64(s.Lost.Missed[program]), program)
	}
	seen := map[[2]string]bool{} // the same twice would spoil the whole scrape
	for _, rt := range s.Runtimes {
		if key := [2]string{rt.Name, rt.Address}; !seen[key] {
			seen[key] = true
			emit(runtimeDesc, prometheus.GaugeValue, bit(rt.Connected), rt.Name, rt.Address)
			emit(runtimeCount, prometheus.GaugeValue, float64(rt.Containers), rt.Name, rt.Address)
		}
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
