package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"

	"github.com/quorate-db/quorate/server/api/etcdv3"
	"github.com/quorate-db/quorate/server/api/httpapi"
)

// doors are where clients come in: both APIs at each address.
type doors struct {
	keeper *httpapi.Doorkeeper // nil: no client comes over TLS
	splits []*splitter
	http   *http.Server
	etcd   *etcdv3.Server
}

// listen opens the addresses; who comes waits until serve.
func (d *doors) listen(n *node) error {
	if n.certs.clients != nil {
		d.keeper = httpapi.NewDoorkeeper(n.certs.clients, n.log)
	}
	for _, url := range n.cfg.Client.Listen {
		l, err := net.Listen("tcp", address(url))
		if err != nil {
			return explain(err, "--listen-client-urls")
		}
		if encrypted(url) {
			l = d.keeper.Guard(l)
		}
		d.splits = append(d.splits, split(l))
	}
	return nil
}

// serve begins to answer.
func (d *doors) serve(n *node) {
	d.etcd = n.etcdServer()
	d.http = n.httpServer()
	for _, s := range d.splits {
		n.work.Go(func() {
			if err := d.http.Serve(s.http); !errors.Is(err, http.ErrServerClosed) {
				n.fail(deaf(s, err))
			}
		})
		n.work.Go(func() {
			if err := d.etcd.Serve(s.grpc); err != nil {
				n.fail(deaf(s, err))
			}
		})
	}
}

func deaf(s *splitter, err error) error {
	return fmt.Errorf("clients are no longer heard at %v: %w: find the cause, then restart", s.inner.Addr(), err)
}

// close lets requests in progress end, until ctx does.
func (d *doors) close(ctx context.Context, log *slog.Logger) (errs []error) {
	if d.http == nil {
		for _, s := range d.splits {
			errs = append(errs, s.close())
		}
		return errs
	}
	ended := make(chan bool)
	go func() { ended <- d.etcd.Close(ctx) }()
	if err := d.http.Shutdown(ctx); err != nil {
		log.Warn("requests in progress are cut off", "error", err)
		errs = append(errs, d.http.Close())
	}
	if !<-ended {
		log.Warn("calls of etcd clients in progress are cut off", "error", ctx.Err())
	}
	return errs
}

func (n *node) httpServer() *http.Server {
	return httpapi.New(httpapi.Options{
		Name:      n.cfg.Name,
		ClusterID: n.identity.ClusterID,
		Version:   Version(),
		Log:       n.group,
		Cluster:   n.group,
		Host:      n.host,
		Machine:   n.machine,
		Limits:    n.cfg.Limits,
		Logger:    n.log,
		Ready:     n.isReady,

		Flight:  func(w io.Writer) error { return n.host.Dump(group, w) },
		Gateway: n.doors.etcd.Gateway,

		LeaderChanges: n.seen.leaders.Load,
		PeerScheme:    n.cfg.Peer.scheme(),
		Doorkeeper:    n.doors.keeper,
	}).HTTP()
}

func (n *node) etcdServer() *etcdv3.Server {
	return etcdv3.New(etcdv3.Options{
		ClusterID:  uint64(n.identity.ClusterID),
		MemberID:   n.group.Status().ID,
		Group:      n.group,
		Machine:    n.machine,
		Hub:        n.hub,
		PeerScheme: n.cfg.Peer.scheme(),
		Logger:     n.log,
		Learner:    n.seen.learner.Load,
		Size:       n.store.Size,
		Limits: etcdv3.Limits{
			RequestBytes:   n.cfg.RequestBytes,
			TxnOps:         n.cfg.TxnOps,
			Requests:       n.cfg.Limits.Requests,
			RequestTimeout: n.cfg.Limits.RequestTimeout,
			WatchProgress:  n.cfg.WatchProgress,
			Election:       n.cfg.Election,
		},
	})
}
