package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	grpctls "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate/transport/certs"
	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// crowd are clients of one server, each with a certificate in its name.
type crowd struct {
	*testing.T
	ca  *certstest.CA
	url string
}

func (c *crowd) tls(name string) *tls.Config {
	c.Helper()
	source, err := certs.Load(c.ca.Issue(c, func(t *x509.Certificate) { t.Subject.CommonName = name }), nil)
	if err != nil {
		c.Fatal(err)
	}
	return source.Client("127.0.0.1")
}

func (c *crowd) as(name string) *grpc.ClientConn {
	c.Helper()
	conn, err := grpc.NewClient(address(c.url), grpc.WithTransportCredentials(grpctls.NewTLS(c.tls(name))))
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { conn.Close() })
	return conn
}

// json is what a call as JSON comes to.
func (c *crowd) json(name, path, body string) string {
	c.Helper()
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: c.tls(name)}}
	defer web.CloseIdleConnections()
	resp, err := web.Post(c.url+path, "application/json", strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatal(err)
	}
	return string(text)
}

// guard has rights enforced. root has a password, ann has none and may use what begins
// with ann, bob has one and no rights.
func (c *crowd) guard() {
	c.Helper()
	ctx, users := c.Context(), pb.NewAuthClient(c.as("root"))
	must := func(_ any, err error) {
		c.Helper()
		if err != nil {
			c.Fatal(err)
		}
	}
	must(users.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "root", Password: "p"}))
	must(users.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "ann", Options: &authpb.UserAddOptions{NoPassword: true}}))
	must(users.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "bob", Password: "p"}))
	for _, name := range []string{"root", "ann"} {
		must(users.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: name}))
		must(users.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: name, Role: name}))
	}
	must(users.RoleGrantPermission(ctx, &pb.AuthRoleGrantPermissionRequest{Name: "ann",
		Perm: &authpb.Permission{PermType: authpb.READWRITE, Key: []byte("ann"), RangeEnd: []byte("ano")}}))
	must(users.AuthEnable(ctx, &pb.AuthEnableRequest{}))
}

// told is what a call came to, in one word.
func told(err error) string {
	if err == nil {
		return "done"
	}
	return status.Convert(err).Message()
}

// tell makes calls in several names and says what each came to.
func (c *crowd) tell() (lines []string) {
	say := func(what string, err error) { lines = append(lines, what+": "+told(err)) }
	var token string
	for _, name := range []string{"root", "ann", "bob", "eve", ""} {
		conn := c.as(name)
		for _, key := range []string{"ann", "b"} {
			_, err := pb.NewKVClient(conn).Put(c.Context(), &pb.PutRequest{Key: []byte(key)})
			say(fmt.Sprintf("%q puts %s", name, key), err)
		}
		_, err := pb.NewAuthClient(conn).UserList(c.Context(), &pb.AuthUserListRequest{})
		say(fmt.Sprintf("%q lists users", name), err)
		_, err = pb.NewLeaseClient(conn).LeaseGrant(c.Context(), &pb.LeaseGrantRequest{TTL: 60})
		say(fmt.Sprintf("%q is granted a lease", name), err)
		if name == "root" {
			got, err := pb.NewAuthClient(conn).Authenticate(c.Context(), &pb.AuthenticateRequest{Name: "bob", Password: "p"})
			if err != nil {
				c.Fatal(err)
			}
			token = got.Token
		}
	}
	root := c.as("root")
	for what, shown := range map[string]string{"bob's": token, "a bad": "x"} {
		ctx := metadata.AppendToOutgoingContext(c.Context(), rpctypes.TokenFieldNameGRPC, shown)
		_, err := pb.NewKVClient(root).Put(ctx, &pb.PutRequest{Key: []byte("b")})
		say("root with "+what+" token", err)
	}
	stream, err := pb.NewWatchClient(c.as("ann")).Watch(c.Context())
	if err == nil {
		err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("b")}}})
	}
	if err != nil {
		c.Fatal(err)
	}
	if got, err := stream.Recv(); err == nil && got.Canceled {
		lines = append(lines, "ann watches b: "+got.CancelReason)
	} else {
		say("ann watches b", err)
	}
	slices.Sort(lines)
	return lines
}

// Who shows a certificate and no token is the user whom it names, as etcd has it:
// what is told here is what etcd 3.7.3 tells, but for a certificate without a name:
// there its owner is a user who may be granted leases, and nothing with keys.
func TestACertificateNamesAUser(t *testing.T) {
	ca := certstest.New(t)
	cfg := secured(t, ca, "a")
	run(t, cfg).await(Ready)
	c := &crowd{t, ca, cfg.Client.Listen[0]}
	c.guard()
	want := `"" is granted a lease: etcdserver: user name is empty
"" lists users: etcdserver: user name is empty
"" puts ann: etcdserver: user name is empty
"" puts b: etcdserver: user name is empty
"ann" is granted a lease: done
"ann" lists users: etcdserver: permission denied
"ann" puts ann: done
"ann" puts b: etcdserver: permission denied
"bob" is granted a lease: done
"bob" lists users: etcdserver: permission denied
"bob" puts ann: etcdserver: permission denied
"bob" puts b: etcdserver: permission denied
"eve" is granted a lease: done
"eve" lists users: etcdserver: user name not found
"eve" puts ann: etcdserver: permission denied
"eve" puts b: etcdserver: permission denied
"root" is granted a lease: done
"root" lists users: done
"root" puts ann: done
"root" puts b: done
ann watches b: rpc error: code = PermissionDenied desc = etcdserver: permission denied
root with a bad token: etcdserver: invalid auth token
root with bob's token: etcdserver: permission denied`
	if got := strings.Join(c.tell(), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// As JSON nobody is known by a certificate, as with etcd.
	if got := c.json("root", "/v3/kv/put", `{"key":"YQ=="}`); !strings.Contains(got, "user name is empty") {
		t.Errorf("as JSON: %s", got)
	}
}

// Without the flag a certificate only opens the door.
func TestACertificateThatNamesNobody(t *testing.T) {
	ca := certstest.New(t)
	cfg := secured(t, ca, "a")
	cfg.Client.CertAuth = false
	run(t, cfg).await(Ready)
	c := &crowd{t, ca, cfg.Client.Listen[0]}
	c.guard()
	_, err := pb.NewKVClient(c.as("root")).Put(context.Background(), &pb.PutRequest{Key: []byte("ann")})
	if told(err) != "etcdserver: user name is empty" {
		t.Error(err)
	}
}
