package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/quorate-db/quorate/server/api/wire"
)

// Status asks the current endpoint what it knows. It needs no leader.
// WithHash adds the hash of the whole state, which costs a walk over all keys.
func (c *Client) Status(ctx context.Context, withHash bool) (*wire.Status, error) {
	q := url.Values{}
	if withHash {
		q.Set("hash", "true")
	}
	var s wire.Status
	if err := c.get(ctx, "/v1/status", q, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Version asks the current endpoint which program it runs.
func (c *Client) Version(ctx context.Context) (wire.Version, error) {
	var v wire.Version
	return v, c.get(ctx, "/version", nil, &v)
}

// Members asks an endpoint for the configuration that it knows.
func (c *Client) Members(ctx context.Context) (*wire.Members, error) {
	var m wire.Members
	if err := c.get(ctx, "/v1/members", nil, &m); err != nil {
		return nil, err
	}
	return &m, nil
}

// AddMember adds a member as a learner and returns it, with its ID.
func (c *Client) AddMember(ctx context.Context, add wire.AddMember) (*wire.Member, error) {
	var m wire.Member
	if err := c.call(ctx, http.MethodPost, "/v1/members", add, &m); err != nil {
		return nil, err
	}
	return &m, nil
}

// UpdateMember replaces what the cluster knows of a member: its name and its
// URLs. The ID in the update is ignored.
func (c *Client) UpdateMember(ctx context.Context, id wire.ID, update wire.AddMember) (*wire.Member, error) {
	var m wire.Member
	if err := c.call(ctx, http.MethodPut, "/v1/members/"+id.String(), update, &m); err != nil {
		return nil, err
	}
	return &m, nil
}

// PromoteMember makes a learner a voter. The leader refuses until the learner
// has caught up; the refusal is retried until the deadline.
func (c *Client) PromoteMember(ctx context.Context, id wire.ID) error {
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/members/" + id.String() + "/promote"})
	return err
}

// RemoveMember removes a member from the cluster.
func (c *Client) RemoveMember(ctx context.Context, id wire.ID) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/v1/members/" + id.String()})
	return err
}

// TransferLeader hands leadership to the member, or, if zero, to the one most up
// to date, and returns who leads then.
func (c *Client) TransferLeader(ctx context.Context, to wire.ID) (wire.ID, error) {
	var t wire.Transferred
	if err := c.call(ctx, http.MethodPost, "/v1/leader/transfer", wire.Transfer{To: to}, &t); err != nil {
		return 0, err
	}
	return t.Leader, nil
}

// call sends JSON and reads JSON.
func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, request{
		method: method,
		path:   path,
		header: http.Header{"Content-Type": {"application/json"}},
		body:   data,
	})
	if err != nil {
		return err
	}
	return resp.decode(into)
}
