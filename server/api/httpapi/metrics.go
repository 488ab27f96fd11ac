package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics counts requests and shows what a collector reads, in a registry of its own: several
// nodes in one process do not mix.
type metrics struct {
	inFlight prometheus.Gauge
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	handler  http.Handler

	healthy, unhealthy prometheus.Counter // answers of /health
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
		healthy:   etcdAnswers("health_success"),
		unhealthy: etcdAnswers("health_failures"),
	}
	registry.MustRegister(m.inFlight, m.requests, m.seconds, collector{o},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "quorate_build_info", Help: "Always 1; the labels say what runs."}, []string{"version", "name"})
	info.WithLabelValues(o.Version, o.Name).Set(1)
	registry.MustRegister(info)
	if o.EtcdNames {
		registry.MustRegister(etcdCollector{collector{o}}, m.healthy, m.unhealthy)
		if o.Calls != nil {
			registry.MustRegister(o.Calls)
		}
	}
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
