// Package client speaks to a quorate cluster over its HTTP API.
//
// It finds an endpoint that works, and sends again only what is safe to send
// again: reads; writes that were certainly not carried out; and writes of a
// [Session], which the store carries out once however often they arrive. A plain
// write whose outcome nobody knows is reported as [ErrUnknownOutcome] and never
// repeated.
//
// Reading order: client.go, retry.go (what is sent again, and why that is safe),
// login.go, errors.go, then kv.go, session.go and cluster.go for the calls.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate/transport/certs"
)

// DefaultEndpoint is where a node listens to clients unless told otherwise.
const DefaultEndpoint = "http://127.0.0.1:2379"

// DefaultTimeout bounds one attempt, and a call whose context has no deadline.
const DefaultTimeout = 5 * time.Second

// Config is how a client reaches its cluster.
type Config struct {
	Endpoints []string      // client URLs of one or more members; DefaultEndpoint if empty
	Timeout   time.Duration // DefaultTimeout if zero

	// FailFast ends a call as soon as every endpoint in turn has failed to take
	// a connection, which suits a person at a prompt. A service leaves it off
	// and tries until the deadline: nodes come back.
	FailFast bool

	// Certs are for https: the CA that has signed those of the nodes, and a
	// certificate to show them if they demand one. If nil, the machine's CAs and
	// none. The files are read for every connection, so that they may be replaced.
	Certs *certs.Source

	// Token says who calls, where rights are enforced; POST /v3/auth/authenticate
	// gives one.
	Token string

	// User and Password are instead of a token: the client gets itself one when it
	// calls, and another when that has ended.
	User, Password string
}

// Client calls a cluster. It may be used by many goroutines.
type Client struct {
	endpoints []*url.URL
	timeout   time.Duration
	failFast  bool
	certs     *certs.Source
	identity  *identity
	http      *http.Client
	current   atomic.Int64 // the endpoint that worked last, as an index
}

// New returns a client. It opens no connection yet; its only errors are
// endpoints that are no URLs.
func New(cfg Config) (*Client, error) {
	c := &Client{timeout: cfg.Timeout, failFast: cfg.FailFast, certs: cfg.Certs, identity: newIdentity(cfg)}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	texts := cfg.Endpoints
	if len(texts) == 0 {
		texts = []string{DefaultEndpoint}
	}
	for _, text := range texts {
		u, err := parseEndpoint(text)
		if err != nil {
			return nil, err
		}
		c.endpoints = append(c.endpoints, u)
	}
	if c.certs == nil {
		c.certs = certs.Machine()
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext:         dialer.DialContext,
			DialTLSContext:      c.dialTLS,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     time.Minute,
		},
		// A redirect would carry a write to a place that nobody chose.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

var dialer = net.Dialer{Timeout: time.Second}

// dialTLS makes a connection to an https endpoint.
func (c *Client) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	raw, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, c.certs.Client(host))
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, c.certs.Explain(err)
	}
	return &secured{Conn: conn, certs: c.certs}, nil
}

// secured is a connection to an https endpoint. In TLS 1.3 a client hears only after
// the handshake that its certificate is refused, while it is writing its request: whoever
// reads then closes the connection, and who writes would learn no more than that.
type secured struct {
	*tls.Conn
	certs   *certs.Source
	refused atomic.Pointer[certs.Error]
}

func (c *secured) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if e, ok := errors.AsType[*certs.Error](c.certs.Explain(err)); ok && e.Refused() {
		c.refused.Store(e)
		err = e
	}
	return n, err
}

func (c *secured) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if e := c.refused.Load(); err != nil && e != nil {
		err = e
	}
	return n, err
}

// parseEndpoint reads a URL that has a host and nothing behind it; a bare
// host:port is taken as http.
func parseEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		if u, err = url.Parse("http://" + text); err != nil || text == "" {
			return nil, fmt.Errorf("the endpoint %q is not a URL; write it like %s", text, DefaultEndpoint)
		}
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the endpoint %q has the scheme %q; write it like %s", text, u.Scheme, DefaultEndpoint)
	}
	if u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("the endpoint %q must be a host and a port only; write it like %s", text, DefaultEndpoint)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// Endpoints returns the URLs that the client uses, in the order given.
func (c *Client) Endpoints() []string {
	texts := make([]string, len(c.endpoints))
	for i, u := range c.endpoints {
		texts[i] = u.String()
	}
	return texts
}

// Close closes idle connections. Calls under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// bound gives a context without a deadline the client's timeout.
func (c *Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.timeout)
}
