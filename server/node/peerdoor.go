package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/server/api/httpapi"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/transport"
	"github.com/quorate-db/quorate/transport/certs"
)

// peerDoor lets a node that is to become a member ask at the peers' door who the
// members are, as etcd's do: it knows peer URLs only, and has no user yet. It stands
// where the credentials of peers are looked at, before the first frame: who begins
// with a GET is answered, all others are let through. With TLS only who has shown a
// peer's certificate comes so far.
type peerDoor struct {
	inner   transport.Credentials // nil: plain TCP
	cluster wire.ID
	scheme  string                        // of peer URLs
	group   atomic.Pointer[quorate.Group] // nil: it has not begun yet
}

// newPeerDoor returns a door for certificates, or for plain TCP if there are none.
func newPeerDoor(peers *certs.Peers) *peerDoor {
	if peers == nil {
		return &peerDoor{scheme: "http"}
	}
	return &peerDoor{inner: peers, scheme: "https"}
}

// membersPath is where the members are at either door.
const membersPath = "/v1/members"

// How much is said at most by who asks, and by who is asked, in bytes.
const (
	maxAsked = 4 << 10
	maxTold  = 1 << 20
)

// Accepted implements transport.Credentials. Nil and no error: it is done with.
func (d *peerDoor) Accepted(raw net.Conn) (net.Conn, error) {
	conn := raw
	if d.inner != nil {
		var err error
		if conn, err = d.inner.Accepted(raw); err != nil {
			return nil, err
		}
	}
	first := make([]byte, 1)
	n, _ := conn.Read(first) // whoever reads next meets the same error
	begun := &peekedConn{begunConn{conn, first[:n]}, raw}
	if n == 0 || first[0] != 'G' {
		return begun, nil
	}
	return nil, d.answer(begun)
}

// Dialled implements transport.Credentials.
func (d *peerDoor) Dialled(raw net.Conn, address string) (net.Conn, error) {
	if d.inner == nil {
		return raw, nil
	}
	return d.inner.Dialled(raw, address)
}

func (d *peerDoor) answer(conn net.Conn) error {
	r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(conn, maxAsked)))
	if err != nil {
		return fmt.Errorf("a request for the members cannot be read: %w", err)
	}
	status, body := http.StatusOK, []byte("{}\n")
	group := d.group.Load()
	switch {
	case r.Method != http.MethodGet || r.URL.Path != membersPath:
		status = http.StatusNotFound
	case group == nil:
		status = http.StatusServiceUnavailable
	default:
		if body, err = json.Marshal(httpapi.MembersOf(d.cluster, d.scheme, group.Status())); err != nil {
			return err
		}
	}
	answer := http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Close: true,
		Header:        http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
	return answer.Write(conn)
}

// peekedConn is a connection of which something was read already.
type peekedConn struct {
	begunConn
	raw net.Conn
}

// NetConn is the connection as it was accepted.
func (c *peekedConn) NetConn() net.Conn { return c.raw }

// CloseWrite says that nothing more is said, where the connection can.
func (c *peekedConn) CloseWrite() error {
	if half, ok := c.raw.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// findTime is how long the others may take to hear of a member that was added just
// before it started.
const findTime = 5 * time.Second

// findCluster asks those whom --initial-cluster names, at their peer URLs, for the
// cluster that this node was added to.
func findCluster(ctx context.Context, cfg *Config, peers *certs.Peers) (*wire.Members, error) {
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	asking := peerClient(peers)
	own := address(cfg.Peer.Advertise[0])
	var last error
	for {
		for _, s := range cfg.Bootstrap.Cluster {
			if address(s.PeerURL) == own {
				continue
			}
			members, err := askPeer(ctx, asking, address(s.PeerURL))
			if err == nil && !slices.ContainsFunc(members.Members, func(m wire.Member) bool { return address(m.PeerURL) == own }) {
				err = fmt.Errorf("no member was added for %s: add it with quorate or etcdctl member add", cfg.Peer.Advertise[0])
			}
			if err == nil {
				return members, nil
			}
			if last == nil || ctx.Err() == nil { // what was answered says more than that time ran out
				last = fmt.Errorf("--initial-cluster-state existing: asking %s: %w", s.PeerURL, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil, last
		case <-time.After(findTime / 20):
		}
	}
}

// peerClient asks at peers' doors.
func peerClient(peers *certs.Peers) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: newPeerDoor(peers).dial}}
}

// dial makes a connection as peers do.
func (d *peerDoor) dial(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		err = raw.SetDeadline(deadline)
	}
	conn, refused := d.Dialled(raw, address)
	if err = errors.Join(err, refused); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// askPeer asks one of them. Its address is dialled as a peer's, with TLS or without.
func askPeer(ctx context.Context, asking *http.Client, at string) (*wire.Members, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+membersPath, nil)
	if err != nil {
		return nil, err
	}
	resp, err := asking.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", resp.Status)
	}
	var found wire.Members
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxTold)).Decode(&found); err != nil {
		return nil, err
	}
	return &found, nil
}
