package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// newKey draws a key that a method takes.
func newKey(t *testing.T, method string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch method {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func loaded(t *testing.T, options string) *JWT {
	t.Helper()
	j, err := LoadJWT(options)
	if err != nil {
		t.Fatalf("%s: %v", options, err)
	}
	return j
}

// Of every method: a node with the private key makes tokens, one with the public key
// takes them, as long as they live, and makes none.
func TestJWTOfEveryMethod(t *testing.T) {
	for _, method := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		private, public := certstest.KeyFiles(t, newKey(t, method))
		synctest.Test(t, func(t *testing.T) {
			nodes := twoNodes(t)
			nodes[0].JWT = loaded(t, "sign-method="+method+",priv-key="+private+",pub-key="+public+",ttl=10s")
			nodes[1].JWT = loaded(t, "sign-method="+method+",pub-key="+public)
			token, err := nodes[0].Login(t.Context(), kv.Root, "p")
			if err != nil {
				t.Fatalf("%s: %v", method, err)
			}
			time.Sleep(9 * time.Second)
			for i := range nodes {
				if by, err := nodes[i].Caller(token); err != nil || by.Name != kv.Root || by.Revision != 4 {
					t.Errorf("%s: at node %d: %+v, %v", method, i, by, err)
				}
			}
			if _, err := nodes[1].Login(t.Context(), kv.Root, "p"); !errors.Is(err, ErrOnlyChecked) {
				t.Errorf("%s: with a public key only: %v", method, err)
			}
			if _, err := nodes[1].Login(t.Context(), kv.Root, "q"); !errors.Is(err, ErrWrong) {
				t.Errorf("%s: with a wrong password: %v", method, err)
			}
			time.Sleep(time.Second)
			for i := range nodes {
				if by, err := nodes[i].Caller(token); !errors.Is(err, ErrBadToken) {
					t.Errorf("%s: after its time at node %d: %+v, %v", method, i, by, err)
				}
			}
		})
	}
}

// A secret that the nodes share makes and checks tokens.
func TestJWTWithASecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("between us"), 0o600); err != nil {
		t.Fatal(err)
	}
	nodes := twoNodes(t)
	for i := range nodes {
		nodes[i].JWT = loaded(t, "sign-method=HS256,priv-key="+file)
	}
	token, err := nodes[0].Login(t.Context(), kv.Root, "p")
	if err != nil {
		t.Fatal(err)
	}
	if by, err := nodes[1].Caller(token); err != nil || by.Name != kv.Root {
		t.Errorf("%+v, %v", by, err)
	}
}

// Tokens made elsewhere count for what they say; what says too little, or is signed
// otherwise than it should be, counts for nothing.
func TestJWTOfOthers(t *testing.T) {
	key := newKey(t, "RS256")
	_, public := certstest.KeyFiles(t, key)
	text, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	n := twoNodes(t)[0]
	n.JWT = loaded(t, "sign-method=RS256,pub-key="+public)
	root := jwt.MapClaims{"username": "root", "revision": 4}
	for _, c := range []struct {
		what   string
		method jwt.SigningMethod
		key    any
		claims jwt.MapClaims
		want   kv.Caller
		err    error
	}{
		{"without an end", jwt.SigningMethodRS256, key, root, kv.Caller{Name: "root", Revision: 4}, nil},
		{"of a revision to come", jwt.SigningMethodRS256, key, jwt.MapClaims{"username": "root", "revision": 1e30}, kv.Caller{Name: "root", Revision: 1 << 62}, nil},
		{"of a user to come", jwt.SigningMethodRS256, key, jwt.MapClaims{"username": "u", "revision": 5}, kv.Caller{Name: "u", Revision: 5}, nil},
		{"of a user who is not", jwt.SigningMethodRS256, key, jwt.MapClaims{"username": "u", "revision": 3}, kv.Caller{}, kv.ErrOldRights},
		{"without a user", jwt.SigningMethodRS256, key, jwt.MapClaims{"revision": 4}, kv.Caller{}, ErrBadToken},
		{"without a revision", jwt.SigningMethodRS256, key, jwt.MapClaims{"username": "root"}, kv.Caller{}, ErrBadToken},
		{"of a revision before all", jwt.SigningMethodRS256, key, jwt.MapClaims{"username": "root", "revision": -1}, kv.Caller{}, ErrBadToken},
		{"of a long name", jwt.SigningMethodRS256, key, jwt.MapClaims{"username": strings.Repeat("r", kv.MaxKeyBytes+1), "revision": 4}, kv.Caller{}, ErrBadToken},
		{"not yet", jwt.SigningMethodRS256, key, jwt.MapClaims{"username": "root", "revision": 4, "nbf": time.Now().Add(time.Hour).Unix()}, kv.Caller{}, ErrBadToken},
		{"by another key", jwt.SigningMethodRS256, newKey(t, "RS256"), root, kv.Caller{}, ErrBadToken},
		{"by another method", jwt.SigningMethodPS256, key, root, kv.Caller{}, ErrBadToken},
		{"with the public key as a secret", jwt.SigningMethodHS256, text, root, kv.Caller{}, ErrBadToken},
		{"not signed", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, root, kv.Caller{}, ErrBadToken},
	} {
		token, err := jwt.NewWithClaims(c.method, c.claims).SignedString(c.key)
		if err != nil {
			t.Fatal(err)
		}
		if by, err := n.Caller(token); by != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v", c.what, by, err)
		}
	}
	if by, err := n.Caller("root"); !errors.Is(err, ErrBadToken) {
		t.Errorf("no such token at all: %+v, %v", by, err)
	}
}

// A token names the revision of the rights at which it was made. It ends for keys with
// the next, and for everything when its user's password is another, or the user gone.
func TestJWTEndsWithRights(t *testing.T) {
	private, _ := certstest.KeyFiles(t, newKey(t, "ES256"))
	n := twoNodes(t)[0]
	n.JWT = loaded(t, "sign-method=ES256,priv-key="+private)
	index := raft.Index(4)
	change := func(do kv.ChangeRights) {
		t.Helper()
		index++
		if err := n.Machine.Apply([]quorate.Command{{Index: index, Data: kv.Command{By: kv.ThisNode, Do: do}.Encode()}}); err != nil {
			t.Fatal(err)
		}
	}
	token, err := n.Login(t.Context(), kv.Root, "p")
	if err != nil {
		t.Fatal(err)
	}
	look := func(when string, caller, keys, all error) {
		t.Helper()
		by, err := n.Caller(token)
		if !errors.Is(err, caller) {
			t.Errorf("%s: %+v, %v", when, by, err)
		}
		if err != nil {
			return
		}
		reads := n.Machine.For(by)
		if _, err := reads.Range(kv.Query{Start: []byte("k")}); !errors.Is(err, keys) {
			t.Errorf("%s: a key is read: %v", when, err)
		}
		if err := reads.Admin(); !errors.Is(err, all) {
			t.Errorf("%s: may everything: %v", when, err)
		}
	}
	look("at first", nil, nil, nil)
	change(kv.ChangeRights{Kind: kv.AddUser, User: "u", NoPassword: true})
	look("after another change", nil, kv.ErrOldRights, nil)
	change(kv.ChangeRights{Kind: kv.SetPassword, User: kv.Root, Hash: []byte("h")})
	look("after its own password's", kv.ErrOldRights, nil, nil)
	change(kv.ChangeRights{Kind: kv.StopGuard})
	look("when nobody needs one", nil, nil, nil)
}

func TestJWTOptionsAreRefused(t *testing.T) {
	private, public := certstest.KeyFiles(t, newKey(t, "ES256"))
	_, other := certstest.KeyFiles(t, newKey(t, "ES256"))
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for options, want := range map[string]string{
		"":                                      "is not known",
		"sign-method=ES256,key=x":               `"key=x" is not known`,
		"priv-key=" + private:                   "sign-method= is missing",
		"sign-method=ES256,sign-method=ES256":   "twice",
		"sign-method=ES256,priv-key":            "says nothing",
		"sign-method=ES255,priv-key=" + private: "sign-method=ES255 is none",
		"sign-method=none,priv-key=" + private:  "sign-method=none is none",
		"sign-method=ES256":                     "there is no key",
		"sign-method=HS256,pub-key=" + public:   "there is no key",
		"sign-method=HS256,priv-key=" + empty:   "the file is empty",
		"sign-method=ES256,priv-key=/nowhere":   "priv-key cannot be read",
		"sign-method=ES256,pub-key=/nowhere":    "pub-key cannot be read",
		"sign-method=RS256,priv-key=" + private: "holds no such key",
		"sign-method=ES256,priv-key=" + public:  "holds no such key",
		"sign-method=ES256,pub-key=" + private:  "holds no such key",
		"sign-method=ES384,priv-key=" + private: "a curve of 384 bits",
		"sign-method=ES384,pub-key=" + public:   "a curve of 384 bits",
		fmt.Sprintf("sign-method=ES256,priv-key=%s,pub-key=%s", private, other): "does not belong",
		"sign-method=ES256,ttl=5,priv-key=" + private:                           "no time that a token can live",
		"sign-method=ES256,ttl=0s,priv-key=" + private:                          "no time that a token can live",
	} {
		if j, err := LoadJWT(options); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, %v; want %q", options, j, err, want)
		}
	}
}
