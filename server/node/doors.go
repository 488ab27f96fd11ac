package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"

	"github.com/quorate-db/quorate/server/api/etcdv3"
	"github.com/quorate-db/quorate/server/api/httpapi"
)

// doors are where clients come in: both APIs at each address, unless some are for a
// part of them only.
type doors struct {
	keeper *httpapi.Doorkeeper // nil: no client comes over TLS
	peers  *peerDoor

	forHTTP, forEtcd, forWatching []net.Listener

	http, watched *http.Server
	etcd          *etcdv3.Server
}

// listen opens the addresses; who comes waits until serve.
func (d *doors) listen(n *node) error {
	if n.certs.clients != nil {
		d.keeper = httpapi.NewDoorkeeper(n.certs.clients, n.cfg.Client.TLS, n.log)
	}
	for _, at := range n.cfg.clientDoors() {
		for _, url := range at.urls {
			l, err := net.Listen("tcp", address(url))
			if err != nil {
				return explain(err, at.flag)
			}
			if encrypted(url) {
				l = d.keeper.Guard(l)
			}
			at.open(d, l)
		}
	}
	return nil
}

// opening is a flag with addresses and what is heard there.
type opening struct {
	flag string
	urls []string
	open func(*doors, net.Listener)
}

// clientDoors are all addresses for who is no member.
func (c *Config) clientDoors() []opening {
	client := func(d *doors, l net.Listener) {
		s := split(l)
		d.forHTTP, d.forEtcd = append(d.forHTTP, s.http), append(d.forEtcd, s.grpc)
	}
	if len(c.Serving.HTTP) > 0 {
		client = func(d *doors, l net.Listener) { d.forEtcd = append(d.forEtcd, l) }
	}
	return []opening{
		{"--listen-client-urls", c.Client.Listen, client},
		{"--listen-client-http-urls", c.Serving.HTTP, func(d *doors, l net.Listener) { d.forHTTP = append(d.forHTTP, l) }},
		{"--listen-metrics-urls", c.Serving.Metrics, func(d *doors, l net.Listener) { d.forWatching = append(d.forWatching, l) }},
	}
}

// serve begins to answer.
func (d *doors) serve(n *node) {
	d.etcd = n.etcdServer()
	api := n.httpAPI()
	d.http, d.watched = api.HTTP(), api.Watched()
	for _, s := range []struct {
		at    []net.Listener
		serve func(net.Listener) error
	}{{d.forHTTP, d.http.Serve}, {d.forWatching, d.watched.Serve}, {d.forEtcd, d.etcd.Serve}} {
		for _, l := range s.at {
			n.work.Go(func() {
				if err := s.serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
					n.fail(fmt.Errorf("clients are no longer heard at %v: %w: find the cause, then restart", l.Addr(), err))
				}
			})
		}
	}
}

// close lets requests in progress end, until ctx does.
func (d *doors) close(ctx context.Context, log *slog.Logger) (errs []error) {
	if d.http == nil {
		for _, l := range slices.Concat(d.forHTTP, d.forWatching, d.forEtcd) {
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
		return errs
	}
	ended := make(chan bool)
	go func() { ended <- d.etcd.Close(ctx) }()
	for _, s := range []*http.Server{d.http, d.watched} {
		if err := s.Shutdown(ctx); err != nil {
			log.Warn("requests in progress are cut off", "error", err)
			errs = append(errs, s.Close())
		}
	}
	if !<-ended {
		log.Warn("calls of etcd clients in progress are cut off", "error", ctx.Err())
	}
	return errs
}

func (n *node) httpAPI() *httpapi.Server {
	o := httpapi.Options{
		Name:      n.cfg.Name,
		ClusterID: n.identity.ClusterID,
		Version:   Version(),
		Log:       seenGroup{n.group, &n.seen},
		Cluster:   n.group,
		Host:      n.host,
		Machine:   n.machine,
		Keeper:    n.callers,
		Limits:    n.cfg.Limits,
		Logger:    n.log,
		Ready:     n.isReady,

		Flight:   func(w io.Writer) error { return n.host.Dump(group, w) },
		Profiles: n.cfg.Serving.Profiles,

		EtcdNames:  n.cfg.Serving.EtcdNames,
		Calls:      n.doors.etcd.Calls(),
		Seen:       n.report,
		PeerScheme: n.cfg.Peer.scheme(),
		Doorkeeper: n.doors.keeper,
	}
	if n.cfg.Serving.Gateway {
		o.Gateway = n.doors.etcd.Gateway
	}
	return httpapi.New(o)
}

func (n *node) etcdServer() *etcdv3.Server {
	return etcdv3.New(etcdv3.Options{
		ClusterID:  uint64(n.identity.ClusterID),
		MemberID:   n.group.Status().ID,
		Group:      seenGroup{n.group, &n.seen},
		Machine:    n.machine,
		Keeper:     n.callers,
		Hub:        n.hub,
		PeerScheme: n.cfg.Peer.scheme(),
		TimeCalls:  n.cfg.Serving.EtcdNames && n.cfg.Serving.Extensive,
		CertUsers:  n.cfg.Client.CertAuth,
		Logger:     n.log,
		Learner:    n.seen.learner.Load,
		KeepAlive:  n.cfg.Etcd.KeepAlive,
		Limits: etcdv3.Limits{
			RequestBytes:   n.cfg.Etcd.RequestBytes,
			TxnOps:         n.cfg.Etcd.TxnOps,
			Learners:       n.cfg.Limits.Learners,
			Requests:       n.cfg.Limits.Requests,
			Streams:        n.cfg.Etcd.Streams,
			RequestTimeout: n.cfg.Limits.RequestTimeout,
			WatchProgress:  n.cfg.Etcd.WatchProgress,
			Election:       n.cfg.Election,
		},
	})
}
