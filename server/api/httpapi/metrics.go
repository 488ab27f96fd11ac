package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/api/wire"
)

// metrics counts requests and shows the group, in a registry of its own: several
// nodes in one process do not mix.
type metrics struct {
	inFlight prometheus.Gauge
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	handler  http.Handler
}

func newMetrics(o Options) *metrics {
	registry := prometheus.NewRegistry()
	m := &metrics{
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "quorate_http_requests_in_flight", Help: "HTTP requests in progress."}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quorate_http_requests_total", Help: "HTTP requests answered, by route, method and status."},
			[]string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "quorate_http_request_seconds", Help: "Seconds from a request's arrival to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15)},
			[]string{"route", "method"}),
	}
	registry.MustRegister(m.inFlight, m.requests, m.seconds, newGroupCollector(o.Cluster),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "quorate_build_info", Help: "Always 1; the labels say what runs."}, []string{"version", "name"})
	info.WithLabelValues(o.Version, o.Name).Set(1)
	registry.MustRegister(info)
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return m
}

// observe counts one request. Methods that HTTP does not define are one label: a
// client must not be able to make as many series as it likes.
func (m *metrics) observe(route, method string, status int, took time.Duration) {
	switch method {
	case "GET", "HEAD", "PUT", "POST", "DELETE":
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route, method).Observe(took.Seconds())
}

func (m *metrics) answer(w http.ResponseWriter, r *http.Request) error {
	m.handler.ServeHTTP(w, r)
	return nil
}

// groupCollector reads the group's status once for all its gauges, so that they
// fit together.
type groupCollector struct {
	cluster Cluster
	gauges  []groupGauge
	match   *prometheus.Desc
}

type groupGauge struct {
	desc *prometheus.Desc
	of   func(quorate.Status) float64
}

func newGroupCollector(c Cluster) *groupCollector {
	gauge := func(name, help string, of func(quorate.Status) float64) groupGauge {
		return groupGauge{prometheus.NewDesc("quorate_raft_"+name, help, nil, nil), of}
	}
	return &groupCollector{
		cluster: c,
		gauges: []groupGauge{
			gauge("term", "The current term.", func(s quorate.Status) float64 { return float64(s.Term) }),
			gauge("is_leader", "1 while this node leads.", func(s quorate.Status) float64 { return truth(s.Role == raft.Leader) }),
			gauge("has_leader", "1 while this node knows a leader.", func(s quorate.Status) float64 { return truth(s.Leader != 0) }),
			gauge("stopped", "1 once the group has stopped on this node.", func(s quorate.Status) float64 { return truth(s.Err != nil) }),
			gauge("members", "Members of the group, learners among them.", func(s quorate.Status) float64 { return float64(len(s.Config.Members)) }),
			gauge("commit_index", "The last index known to be committed.", func(s quorate.Status) float64 { return float64(s.Commit) }),
			gauge("applied_index", "The last index applied to the store.", func(s quorate.Status) float64 { return float64(s.Applied) }),
			gauge("durable_index", "The last index on this node's disk.", func(s quorate.Status) float64 { return float64(s.Durable) }),
			gauge("compacted_index", "The last index that only the snapshot covers.", func(s quorate.Status) float64 { return float64(s.Base.Index) }),
		},
		match: prometheus.NewDesc("quorate_raft_follower_match_index",
			"The last index known to be on a follower's disk; only from the leader.", []string{"follower"}, nil),
	}
}

// Describe names the gauges.
func (c *groupCollector) Describe(out chan<- *prometheus.Desc) {
	for _, g := range c.gauges {
		out <- g.desc
	}
	out <- c.match
}

// Collect reads the gauges.
func (c *groupCollector) Collect(out chan<- prometheus.Metric) {
	status := c.cluster.Status()
	for _, g := range c.gauges {
		out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.of(status))
	}
	for _, p := range status.Peers {
		out <- prometheus.MustNewConstMetric(c.match, prometheus.GaugeValue, float64(p.Match), wire.ID(p.ID).String())
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
