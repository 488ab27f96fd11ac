package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// signing writes a new key, and returns the flag with it and that with its public
// half only.
func signing(t *testing.T) (signs, checks string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, public := certstest.KeyFiles(t, key)
	return "--auth-token=jwt,sign-method=ES256,ttl=10m,priv-key=" + private, "--auth-token=jwt,sign-method=ES256,pub-key=" + public
}

// TestSameRightsWithJWT is TestSameRights with JSON Web Tokens of one key. Each server
// is shown now its own tokens and now the other's. Left out is a token from before
// its user's password was changed, or the user deleted: etcd lets it do all but reach
// keys.
func TestSameRightsWithJWT(t *testing.T) {
	signs, _ := signing(t)
	etcd, quorate := courts(t, signs)
	swapped := 0
	sameRights(t, etcd, quorate, *sequences/5, func(d drawing, b by) {
		switch r := b.in.(type) {
		case *pb.AuthUserChangePasswordRequest:
			delete(etcd.tokens, r.Name)
			delete(quorate.tokens, r.Name)
		case *pb.AuthUserDeleteRequest:
			delete(etcd.tokens, r.Name)
			delete(quorate.tokens, r.Name)
		}
		if d.one(4) {
			etcd.tokens, quorate.tokens = quorate.tokens, etcd.tokens
			swapped++
		}
	})
	if swapped == 0 {
		t.Error("no tokens were swapped")
	}
}

// A server with the public key alone makes no tokens, and takes those of the server
// that has the private one.
func TestJWTIsOnlyChecked(t *testing.T) {
	signs, checks := signing(t)
	maker := &court{tokens: map[string]string{}}
	maker.conns = append(maker.conns, dial(t, startEtcd(t, signs, "--bcrypt-cost=4")))
	atEtcd := startEtcd(t, checks, "--bcrypt-cost=4")
	atQuorate, _ := startQuorate(t, 1, checks)
	etcd, quorate := &court{tokens: map[string]string{}}, &court{tokens: map[string]string{}}
	etcd.conns, quorate.conns = append(etcd.conns, dial(t, atEtcd)), append(quorate.conns, dial(t, atQuorate[0]))
	for _, c := range []*court{maker, etcd, quorate} {
		for _, b := range []by{
			{method: pb.Auth_UserAdd_FullMethodName, in: &pb.AuthUserAddRequest{Name: "root", Password: "p"}},
			{method: pb.Auth_UserGrantRole_FullMethodName, in: &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"}},
			{method: pb.Auth_AuthEnable_FullMethodName, in: &pb.AuthEnableRequest{}},
		} {
			if got := c.do(t, 0, b); got.err != nil && !strings.Contains(got.text(), "role name not found") {
				t.Fatalf("%s: %v", b.method, got.err)
			}
		}
	}
	for _, password := range []string{"p", "q"} {
		if want, got := etcd.login(t, 0, "root", password), quorate.login(t, 0, "root", password); want != got || strings.HasPrefix(want, "at ") {
			t.Errorf("login with %s\netcd    %s\nquorate %s", password, want, got)
		}
	}
	maker.login(t, 0, "root", "p")
	token := maker.tokens["root"]
	for what, shown := range map[string]string{"a good token": token, "a spoilt one": token[:len(token)-2] + "xx", "none at all": "", "another kind": "a.1"} {
		etcd.tokens["root"], quorate.tokens["root"] = shown, shown
		for _, b := range []by{
			{"root", pb.KV_Put_FullMethodName, &pb.PutRequest{Key: []byte("k"), Value: []byte("v")}},
			{"root", pb.KV_Range_FullMethodName, &pb.RangeRequest{Key: []byte("k")}},
			{"root", pb.Auth_UserList_FullMethodName, &pb.AuthUserListRequest{}},
		} {
			if want, got := etcd.do(t, 0, b), quorate.do(t, 0, b); want.text() != got.text() || (shown == token) != (got.err == nil) {
				t.Errorf("%s: %s\netcd    %s\nquorate %s", what, b.method, want.text(), got.text())
			}
		}
		var said []said
		for _, address := range []string{atEtcd, atQuorate[0]} {
			said = append(said, web{"http://" + address}.send(t, "POST", "/v3/kv/range", `{"key":"aw=="}`, 0, "Authorization: "+shown))
		}
		if said[0] != said[1] || (shown == token) != (said[1].status == http.StatusOK) {
			t.Errorf("%s, as JSON\netcd    %+v\nquorate %+v", what, said[0], said[1])
		}
	}
}
