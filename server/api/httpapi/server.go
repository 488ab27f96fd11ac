// Package httpapi is the HTTP door of a node: it translates requests into
// commands and reads, checks them against limits, and maps what comes back to
// status codes. It decides nothing about the data.
//
// Reading order: package wire (what travels, and what can go wrong), server.go
// (doors and limits), errors.go (which problem an error is), then one file per
// family of paths.
package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/api/gate"
	"github.com/quorate-db/quorate/server/api/gateway"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/auth"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/transport"
	"github.com/quorate-db/quorate/wal"
)

// Proposer takes writes and linearizable reads to the log; a *quorate.Group.
type Proposer interface {
	Propose(ctx context.Context, command []byte) (any, error)
	Read(ctx context.Context) (raft.Index, error)
}

// Host counts what the log and the connections to peers do; a *quorate.Host.
type Host interface {
	Stats() (wal.Status, transport.Stats)
	Vitals() quorate.Vitals
}

// Options is what a server is made of. All fields are needed unless they say
// otherwise.
type Options struct {
	Name      string
	ClusterID wire.ID
	Version   string
	Log       Proposer
	Cluster   members.Cluster
	Host      Host
	Machine   *kv.Machine
	Keeper    *auth.Keeper
	Limits    Limits
	Logger    *slog.Logger

	// Flight writes what went lately into the core of this node's group.
	Flight func(io.Writer) error

	// EtcdNames shows metrics under etcd's names too, Calls among them, which are
	// those of etcd's clients; it may be nil.
	EtcdNames bool
	Calls     prometheus.Collector

	// Seen is what only the node as a whole can count.
	Seen func() Seen

	// Gateway answers what etcd's clients ask with JSON; nil if nobody shall.
	Gateway http.Handler

	// Profiles serves those of the process under /debug/pprof/.
	Profiles bool

	// PeerScheme is that of peer URLs: http, or https where the members speak TLS
	// to each other; http if empty.
	PeerScheme string

	// Doorkeeper counts the clients that it turns away; nil if there is none.
	Doorkeeper *Doorkeeper

	// Ready returns nil while this node can serve, otherwise why it cannot.
	Ready func() error
}

// Server answers requests. It keeps no state but its counters.
type Server struct {
	Options
	mux     *http.ServeMux
	room    *gate.Gate // for requests in progress
	metrics *metrics
}

// New returns a server; it is an http.Handler.
func New(o Options) *Server {
	o.PeerScheme = cmp.Or(o.PeerScheme, "http")
	s := &Server{
		Options: o,
		mux:     http.NewServeMux(),
		room:    gate.New(o.Limits.Requests, queueing*o.Limits.Requests, 0),
		metrics: newMetrics(o),
	}
	s.routes()
	return s
}

// answer is one way to answer. What it returns, if not nil, is told to the client
// as a problem; then it must not have written anything.
type answer func(w http.ResponseWriter, r *http.Request) error

// methods are the answers at one path.
type methods map[string]answer

func (s *Server) routes() {
	s.handle("/v1/kv", methods{"GET": s.list})
	s.handle("/v1/sessions", methods{"POST": s.openSession})
	s.handle("/v1/sessions/{id}", methods{"DELETE": s.closeSession})
	s.open(s.mux, "/v1/status", methods{"GET": s.status})
	s.handle("/v1/flight", methods{"GET": s.flight})
	s.handle("/v1/snapshot", methods{"GET": s.snapshot})
	s.open(s.mux, "/v1/members", methods{"GET": s.members, "POST": s.admitted(s.addMember)})
	s.handle("/v1/members/{id}", methods{"DELETE": s.removeMember, "PUT": s.updateMember})
	s.handle("/v1/members/{id}/promote", methods{"POST": s.promoteMember})
	s.handle("/v1/leader/transfer", methods{"POST": s.transfer})
	s.handle("/version", methods{"GET": s.version})
	s.watched(s.mux)
	if s.Gateway != nil {
		for _, path := range slices.Concat(gateway.Paths(), gateway.Prefixes) {
			s.open(s.mux, path, methods{"": s.etcd}) // it turns away by itself
		}
	}
	if s.Profiles {
		s.profiles()
	}
	s.handle("/", methods{"": s.nothing})
}

// watched are the paths for who watches nodes.
func (s *Server) watched(mux *http.ServeMux) {
	s.open(mux, "/metrics", methods{"GET": s.metrics.answer})
	s.open(mux, "/health", methods{"GET": s.health})
	s.open(mux, "/livez", methods{"GET": s.all(s.live())})
	s.open(mux, "/livez/{check}", methods{"GET": s.one(s.live())})
	s.open(mux, "/readyz", methods{"GET": s.all(s.ready())})
	s.open(mux, "/readyz/{check}", methods{"GET": s.one(s.ready())})
}

// profiles are those of net/http/pprof: for a person, who knows what they cost.
func (s *Server) profiles() {
	for path, handler := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		s.mux.Handle("/debug/pprof/"+path, s.counted("/debug/pprof/", func(w http.ResponseWriter, r *http.Request) error {
			handler(w, r)
			return nil
		}))
	}
}

// Watched returns a server for this one's metrics and health, and nothing else.
func (s *Server) Watched() *http.Server {
	mux := http.NewServeMux()
	s.watched(mux)
	only := s.HTTP()
	only.Handler = mux
	return only
}

func (s *Server) nothing(_ http.ResponseWriter, r *http.Request) error {
	return problem(wire.UnknownPath, fmt.Sprintf("there is nothing at %s: the paths begin with /v1/, docs/http-api.md lists them", printable(r.URL.Path)))
}

func (s *Server) etcd(w http.ResponseWriter, r *http.Request) error {
	s.Gateway.ServeHTTP(w, r)
	return nil
}

// handle answers at a path as long as fewer than the allowed number of requests
// are in progress.
func (s *Server) handle(path string, m methods) {
	s.mux.Handle(path, s.counted(path, s.admitted(m.answer)))
}

// open answers at a path whatever the load: who asks whether a node lives must
// not take a busy one for a dead one, and without a leader, when every request in
// progress waits for one, the status is what is needed most.
func (s *Server) open(mux *http.ServeMux, path string, m methods) {
	mux.Handle(path, s.counted(path, m.answer))
}

const keyPath = "/v1/kv/"

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The mux would clean "a//b" and "a/../b" away, and both are keys. Likewise
	// r.URL.Path no longer tells %2F from a slash; for a key they are the same.
	if strings.HasPrefix(r.URL.EscapedPath(), keyPath) {
		m := methods{"GET": s.get, "PUT": s.put, "DELETE": s.del}
		s.counted(keyPath+"{key}", s.admitted(m.answer)).ServeHTTP(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// answer finds the method's answer. A HEAD is a GET whose body net/http drops.
func (m methods) answer(w http.ResponseWriter, r *http.Request) error {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if a, ok := m[method]; ok {
		return a(w, r)
	}
	if a, ok := m[""]; ok {
		return a(w, r)
	}
	var allowed []string
	for method := range m {
		allowed = append(allowed, method)
	}
	slices.Sort(allowed)
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return problem(wire.MethodNotAllowed, fmt.Sprintf("%s does not take %s, only %s", printable(r.URL.Path), printable(r.Method), strings.Join(allowed, " and ")))
}

// queueing is how many requests may wait for a place, for each that has one.
const queueing = 8

// admitted has a request wait while too many are in progress, before its body is read,
// and turns it away if it waits too long, or too many do.
func (s *Server) admitted(next answer) answer {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !s.room.Try() {
			if err := s.wait(r); err != nil {
				return err
			}
		}
		defer s.room.Leave()
		return next(w, r)
	}
}

// wait waits for a place as long as the request may wait for the cluster.
func (s *Server) wait(r *http.Request) error {
	ctx, cancel, err := s.deadline(r, r.URL.Query())
	if err != nil {
		return err
	}
	defer cancel()
	if !s.room.Wait(ctx, 0) {
		return problem(wire.Busy, fmt.Sprintf("%d requests are in progress, as many as --max-requests allows, and none came to its end in time: try again", s.room.Places()))
	}
	return nil
}

// counted counts and times the request and tells its error to the client.
func (s *Server) counted(route string, next answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()
		err := s.admit(route, r)
		if err == nil {
			err = next(status, r)
		}
		if err != nil {
			p := problemOf(err)
			if p.Code == wire.Internal {
				s.Logger.Error("a request failed", "method", r.Method, "route", route, "error", err)
			}
			tell(status, p)
		}
		s.metrics.observe(route, r.Method, status.status, time.Since(begin))
	})
}

// statusWriter remembers the status for the counters.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets net/http find what its own writer can do.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// What a request may ask to wait: in less than the shortest nothing can be done,
// and the answer would blame the cluster.
const (
	minTimeout = time.Millisecond
	maxTimeout = time.Minute
)

// query returns the parameters of a request, and its context with the deadline
// that it asks for. Parameters other than the known ones are refused: a typing
// mistake in "consistency" must not silently give another consistency.
func (s *Server) query(r *http.Request, known ...string) (context.Context, context.CancelFunc, url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, nil, nil, problem(wire.Malformed, "the query cannot be read: "+err.Error())
	}
	for name := range values {
		if name != "timeout" && !slices.Contains(known, name) {
			return nil, nil, nil, problem(wire.Malformed, fmt.Sprintf("the parameter %q is not known here: known are %s",
				name, strings.Join(append(known, "timeout"), ", ")))
		}
		if len(values[name]) > 1 {
			return nil, nil, nil, problem(wire.Malformed, fmt.Sprintf("the parameter %q is given %d times: give it once", name, len(values[name])))
		}
	}
	ctx, cancel, err := s.deadline(r, values)
	return ctx, cancel, values, err
}

// deadline returns a request's context with the deadline that it asks for.
func (s *Server) deadline(r *http.Request, query url.Values) (context.Context, context.CancelFunc, error) {
	timeout := s.Limits.RequestTimeout
	if text := query.Get("timeout"); text != "" {
		var err error
		timeout, err = time.ParseDuration(text)
		if err != nil || timeout < minTimeout || timeout > maxTimeout {
			return nil, nil, problem(wire.Malformed, fmt.Sprintf("timeout=%q: write a duration from %v to %v, like 500ms", text, minTimeout, maxTimeout))
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	return ctx, cancel, nil
}

// HTTP returns a server for this handler that does not wait for slow clients.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      maxTimeout + 60*time.Second, // the body, the wait, the answer
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10, // a key of 4 KiB is 12 KiB once percent-encoded
		ErrorLog:          slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
}
