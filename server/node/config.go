package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quorate-db/quorate/server/api/etcdv3"
	"github.com/quorate-db/quorate/server/api/httpapi"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/transport/certs"
)

// Config is everything that a node is told. Load makes one from flags,
// environment and a file; Check says whether it makes sense.
type Config struct {
	Name          string // of this member, unique in its cluster
	DataDir       string
	Client        Door // where clients come in
	Peer          Door // where the other members come in; exactly one URL each
	Bootstrap     Bootstrap
	Heartbeat     time.Duration
	Election      time.Duration
	SnapshotCount uint64 // compact the log every so many entries
	SessionTTL    time.Duration
	Limits        httpapi.Limits
	Etcd          Etcd
	Serving       Serving
	Space         Space
	Auth          Auth
	Log           Log
	Warnings      []string // what Load found odd and did not refuse, one sentence each
}

// Etcd is what only etcd's clients are concerned with.
type Etcd struct {
	RequestBytes  int           // largest request that writes
	TxnOps        int           // compares, or operations, of a transaction
	WatchProgress time.Duration // between two messages to a watcher that nothing happened
	Streams       uint32        // that a connection may have open; zero: as many as all connections together
	KeepAlive     etcdv3.KeepAlive
}

// Space is how much is kept. The leader's counts; so let all members be told alike.
type Space struct {
	Quota int64 // bytes of keys, values and their history; zero: any number
	Keep  Retention
	mode  string // of Keep, while it is read
}

// Serving is what is served besides both APIs at the client door.
type Serving struct {
	HTTP     []string // URLs of plain HTTP, which then the client door serves no longer
	Metrics  []string // URLs where only metrics and health are served
	Gateway  bool     // the etcd API as JSON
	Profiles bool     // of the process

	EtcdNames bool // metrics under etcd's names too
	Extensive bool // and of calls over gRPC also how long they took
}

// Log is where and how a process tells what it does.
type Log struct {
	Level   slog.Level
	Format  string   // json, console, or empty: as fits the output
	Outputs []string // default, stderr, stdout, or names of files
}

// Door is a listener. The scheme of a URL is http or https; to peers these mean
// plain TCP and TLS that carry this project's frames, not HTTP.
type Door struct {
	Listen    []string // URLs whose host and port this node binds
	Advertise []string // URLs that others dial

	// Certs are for https. With a CA, who comes in must show a certificate that
	// it has signed; without one, whoever comes is let in.
	Certs    certs.Files
	CertAuth bool        // there must be a CA
	Named    bool        // peers' certificates must say which node they are for
	TLS      httpapi.TLS // to clients only
}

// Bootstrap says how a node without a data directory comes to its cluster. It
// has no effect on a node that has one, except that a contradiction is refused.
type Bootstrap struct {
	Cluster []Seed // the members that begin the cluster, in the order of the flag; may be empty
	State   string // "new" or "existing"
	Token   string // keeps clusters with the same members apart; defaultToken if empty
	Join    string // client URL of a member of a running cluster
	As      Asker  // if rights are enforced there
}

// Seed is one name=URL of --initial-cluster.
type Seed struct {
	Name    string
	PeerURL string
}

// defaultToken is the token of who names none.
const defaultToken = "quorate"

// The states of --initial-cluster-state.
const (
	StateNew      = "new"
	StateExisting = "existing"
)

// Check returns an error, one sentence that names the flag, unless a node can be
// started with this configuration.
func (c *Config) Check() error {
	for _, check := range []func() error{c.checkName, c.checkURLs, c.checkDoors, c.checkTLS, c.checkTiming, c.checkLimits, c.checkEtcd, c.checkAuth, c.checkLog, c.checkBootstrap} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkName() error {
	if c.Name == "" || strings.ContainsAny(c.Name, "=, \t\n/") || len(c.Name) > 128 {
		return fmt.Errorf("--name %q: a name has 1 to 128 bytes and none of \"=\", \",\", \"/\" or white space", c.Name)
	}
	if c.DataDir == "" {
		return errors.New("--data-dir is empty: name a directory for this member's data")
	}
	return nil
}

func (c *Config) checkURLs() error {
	for _, list := range []struct {
		flag        string
		urls        []string
		least, most int
	}{
		{"--listen-client-urls", c.Client.Listen, 1, 16},
		{"--advertise-client-urls", c.Client.Advertise, 1, 16},
		{"--listen-peer-urls", c.Peer.Listen, 1, 1},
		{"--initial-advertise-peer-urls", c.Peer.Advertise, 1, 1},
		{"--listen-client-http-urls", c.Serving.HTTP, 0, 16},
		{"--listen-metrics-urls", c.Serving.Metrics, 0, 16},
	} {
		if len(list.urls) < list.least || len(list.urls) > list.most {
			return fmt.Errorf("%s has %d URLs: it takes %d to %d", list.flag, len(list.urls), list.least, list.most)
		}
		for _, u := range list.urls {
			host, err := hostPort(u)
			if err != nil {
				return fmt.Errorf("%s: %w", list.flag, err)
			}
			if strings.Contains(list.flag, "advertise") && unspecified(host) {
				return fmt.Errorf("%s: %s is no address that others can dial: name this machine's", list.flag, u)
			}
		}
	}
	return nil
}

func unspecified(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// hostPort returns the host:port of an http or https URL that has nothing else.
func hostPort(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err == nil && (u.Scheme == "unix" || u.Scheme == "unixs"):
		return "", fmt.Errorf("%q is a Unix socket, which is not supported: write an address like http://127.0.0.1:2379", raw)
	case err != nil || u.Scheme == "" || u.Host == "":
		return "", fmt.Errorf("%q is not a URL: write it like http://127.0.0.1:2380", raw)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("%q has the scheme %q: it is http or https", raw, u.Scheme)
	case u.Port() == "" || u.Port() == "0":
		return "", fmt.Errorf("%q lacks a port: write it like http://127.0.0.1:2380", raw)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "":
		return "", fmt.Errorf("%q has more than a host and a port: write it like http://127.0.0.1:2380", raw)
	}
	if _, err := net.LookupPort("tcp", u.Port()); err != nil {
		return "", fmt.Errorf("%q has the port %s: ports go from 1 to 65535", raw, u.Port())
	}
	return u.Host, nil
}

// minTick is the shortest heartbeat: below it the operating system's own delays
// would look like dead leaders.
const minTick = 5 * time.Millisecond

// checkDoors refuses an address that is to be listened on twice.
func (c *Config) checkDoors() error {
	taken := map[string]string{}
	for _, door := range append(c.clientDoors(), opening{flag: "--listen-peer-urls", urls: c.Peer.Listen}) {
		for _, u := range door.urls {
			at := address(u)
			if first, twice := taken[at]; twice && !strings.HasSuffix(at, ":0") {
				return fmt.Errorf("%s and %s both name %s: give each a port of its own", first, door.flag, at)
			}
			taken[at] = door.flag
		}
	}
	return nil
}

func (c *Config) checkTiming() error {
	switch {
	case c.Heartbeat < minTick:
		return fmt.Errorf("--heartbeat-interval %d: it takes at least %d ms", c.Heartbeat.Milliseconds(), minTick.Milliseconds())
	case c.Election < 3*c.Heartbeat:
		return fmt.Errorf("--election-timeout %d: it must be at least 3 times --heartbeat-interval %d, or one lost heartbeat unseats a leader",
			c.Election.Milliseconds(), c.Heartbeat.Milliseconds())
	case c.Election > 50*time.Second:
		return fmt.Errorf("--election-timeout %d: it takes at most 50000 ms", c.Election.Milliseconds())
	case c.SessionTTL < time.Second:
		return fmt.Errorf("--session-ttl %v: it takes at least 1s", c.SessionTTL)
	}
	return nil
}

// maxTxnOps leaves room in the state machine's own limit for the compares and both
// branches of a transaction, and for some nested ones.
const maxTxnOps = kv.MaxOps / 4

// minWatchProgress is etcd's.
const minWatchProgress = 100 * time.Millisecond

func (c *Config) checkLimits() error {
	l := c.Limits
	switch {
	case l.RequestTimeout <= 0:
		return fmt.Errorf("--request-timeout %v: it must be positive", l.RequestTimeout)
	case l.KeyBytes < 1 || l.KeyBytes > httpapi.MaxKeyBytes:
		return fmt.Errorf("--max-key-bytes %d: it takes 1 to %d", l.KeyBytes, httpapi.MaxKeyBytes)
	case l.ValueBytes < 1 || l.ValueBytes > httpapi.MaxValueBytes:
		return fmt.Errorf("--max-value-bytes %d: it takes 1 to %d", l.ValueBytes, httpapi.MaxValueBytes)
	case l.Requests < 1:
		return fmt.Errorf("--max-requests %d: it takes at least 1", l.Requests)
	}
	return nil
}

// maxCommandBytes is what the log takes as one command, which is what the library can
// send in one frame. It is no flag: all members have to agree.
const maxCommandBytes = 17 << 20

// lowered lowers what etcd would take and cannot be had here, and says so.
func (c *Config) lowered() (warnings []string) {
	if said := c.Etcd.RequestBytes; said > kv.MaxValueBytes {
		c.Etcd.RequestBytes = kv.MaxValueBytes
		warnings = append(warnings, fmt.Sprintf("--max-request-bytes %d counts as %d, the most that one entry of the log takes: larger requests are refused", said, kv.MaxValueBytes))
	}
	return warnings
}

func (c *Config) checkEtcd() error {
	e := &c.Etcd
	switch {
	case e.RequestBytes < 1:
		return fmt.Errorf("--max-request-bytes %d: it takes at least 1", e.RequestBytes)
	case e.WatchProgress < minWatchProgress:
		return fmt.Errorf("--watch-progress-notify-interval %v: it takes at least %v", e.WatchProgress, minWatchProgress)
	case e.TxnOps < 1 || e.TxnOps > maxTxnOps:
		return fmt.Errorf("--max-txn-ops %d: it takes 1 to %d", e.TxnOps, maxTxnOps)
	case e.KeepAlive.MinTime < 0 || e.KeepAlive.Interval < 0 || e.KeepAlive.Timeout < 0:
		return errors.New("--grpc-keepalive-min-time, --grpc-keepalive-interval and --grpc-keepalive-timeout are not negative")
	}
	return nil
}

func (c *Config) checkLog() error {
	switch {
	case c.Log.Format != "" && c.Log.Format != "json" && c.Log.Format != "console":
		return fmt.Errorf("--log-format %q: it is json or console", c.Log.Format)
	case len(c.Log.Outputs) == 0:
		return errors.New("--log-outputs is empty: name stderr, stdout or a file")
	}
	return nil
}

func (c *Config) checkBootstrap() error {
	b := &c.Bootstrap
	if b.State != StateNew && b.State != StateExisting {
		return fmt.Errorf("--initial-cluster-state %q: it is new or existing", b.State)
	}
	if b.Join != "" {
		if _, err := hostPort(b.Join); err != nil {
			return fmt.Errorf("--join: %w", err)
		}
		if len(b.Cluster) > 0 && b.State == StateNew {
			return errors.New("--join and --initial-cluster contradict each other: a node either joins a cluster or begins one")
		}
	}
	if err := b.As.check(); err != nil {
		return err
	}
	return c.checkSeeds()
}

func (c *Config) checkSeeds() error {
	names, addresses := make(map[string]bool), make(map[string]bool)
	for _, s := range c.Bootstrap.Cluster {
		address, err := hostPort(s.PeerURL)
		switch {
		case err != nil:
			return fmt.Errorf("--initial-cluster: %w", err)
		case names[s.Name]:
			return fmt.Errorf("--initial-cluster lists the name %q twice", s.Name)
		case addresses[address]:
			return fmt.Errorf("--initial-cluster lists %s twice: each member has an address of its own", s.PeerURL)
		}
		names[s.Name], addresses[address] = true, true
	}
	if len(c.Bootstrap.Cluster) == 0 {
		return nil
	}
	at := slices.IndexFunc(c.Bootstrap.Cluster, func(s Seed) bool { return s.Name == c.Name })
	if at < 0 {
		return fmt.Errorf("--initial-cluster does not contain %q: add %s=%s, or set --name to one of its members",
			c.Name, c.Name, c.Peer.Advertise[0])
	}
	if own := c.Bootstrap.Cluster[at].PeerURL; own != c.Peer.Advertise[0] {
		return fmt.Errorf("--initial-cluster says that %s is at %s, but --initial-advertise-peer-urls (or --listen-peer-urls) says %s: make them equal",
			c.Name, own, c.Peer.Advertise[0])
	}
	return nil
}
