package auth

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/quorate-db/quorate/server/kv"
)

// JWT makes and checks tokens that are JSON Web Tokens (RFC 7519) and say what etcd's
// do: who it is ("username"), what the revision of the rights was ("revision"), and
// when they end ("exp"). Other programs can make such tokens, and check them.
type JWT struct {
	method jwt.SigningMethod
	sign   any // the key; nil: tokens are made elsewhere
	check  any // likewise
	ttl    time.Duration
}

// jwtTTL is how long such a token lives if nothing is said; etcd's.
const jwtTTL = 5 * time.Minute

// jwtOptions are what can be said of them.
const (
	optionMethod  = "sign-method"
	optionPublic  = "pub-key"
	optionPrivate = "priv-key"
	optionTTL     = "ttl"
)

// LoadJWT reads the files that options name, in the form of etcd's flag --auth-token
// without its "jwt,": sign-method=METHOD,pub-key=FILE,priv-key=FILE,ttl=TIME. One of
// the keys is enough: a public one to check tokens only. The error is one sentence.
func LoadJWT(options string) (*JWT, error) {
	said, err := parseOptions(options)
	if err != nil {
		return nil, err
	}
	j := &JWT{method: jwt.GetSigningMethod(said[optionMethod]), ttl: jwtTTL}
	private, public := keyReaders(j.method)
	if private == nil {
		return nil, fmt.Errorf("%s=%s is none: it is RS, PS, ES or HS with 256, 384 or 512 behind it, or EdDSA", optionMethod, said[optionMethod])
	}
	if text := said[optionTTL]; text != "" {
		if j.ttl, err = time.ParseDuration(text); err != nil || j.ttl <= 0 {
			return nil, fmt.Errorf("%s=%s is no time that a token can live: write it like 5m", optionTTL, text)
		}
	}
	if j.sign, err = readKey(optionPrivate, said, private); err != nil {
		return nil, err
	}
	if public != nil { // who checks what is made with a shared secret has it, and can make it
		if j.check, err = readKey(optionPublic, said, public); err != nil {
			return nil, err
		}
	}
	return j, j.pair(said)
}

// parseOptions reads names and values with commas between them.
func parseOptions(options string) (map[string]string, error) {
	said := make(map[string]string)
	for option := range strings.SplitSeq(options, ",") {
		name, value, ok := strings.Cut(option, "=")
		_, twice := said[name]
		switch name {
		case optionMethod, optionPublic, optionPrivate, optionTTL:
		default:
			return nil, fmt.Errorf("%q is not known: jwt takes %s=, %s=, %s= and %s=", option, optionMethod, optionPublic, optionPrivate, optionTTL)
		}
		if !ok || value == "" || twice {
			return nil, fmt.Errorf("%q is said twice or says nothing: write %s=VALUE once", option, name)
		}
		said[name] = value
	}
	if said[optionMethod] == "" {
		return nil, fmt.Errorf("%s= is missing: say how tokens are signed, like %s=ES256", optionMethod, optionMethod)
	}
	return said, nil
}

type keyReader func(file []byte) (any, error)

func reader[K any](parse func([]byte) (K, error)) keyReader {
	return func(file []byte) (any, error) { return parse(file) }
}

// keyReaders are how to read the keys of a method; nil: it has no such key.
func keyReaders(method jwt.SigningMethod) (private, public keyReader) {
	switch method.(type) {
	case *jwt.SigningMethodRSA, *jwt.SigningMethodRSAPSS:
		return reader(jwt.ParseRSAPrivateKeyFromPEM), reader(jwt.ParseRSAPublicKeyFromPEM)
	case *jwt.SigningMethodECDSA:
		return reader(jwt.ParseECPrivateKeyFromPEM), reader(jwt.ParseECPublicKeyFromPEM)
	case *jwt.SigningMethodEd25519:
		return reader(jwt.ParseEdPrivateKeyFromPEM), reader(jwt.ParseEdPublicKeyFromPEM)
	case *jwt.SigningMethodHMAC:
		return secret, nil
	}
	return nil, nil
}

func secret(file []byte) (any, error) {
	if len(file) == 0 {
		return nil, errors.New("the file is empty")
	}
	return file, nil
}

// readKey reads the file that an option names, if it does.
func readKey(option string, said map[string]string, read keyReader) (any, error) {
	path := said[option]
	if path == "" {
		return nil, nil
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", option, err)
	}
	key, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("%s=%s holds no such key in PEM as %s takes: %w", option, path, said[optionMethod], err)
	}
	return key, nil
}

// pair makes of one key the other where that can be, and sees that they belong to
// each other and to the method: otherwise no token would ever be good.
func (j *JWT) pair(said map[string]string) error {
	shown := j.check
	switch key := j.sign.(type) {
	case nil:
	case crypto.Signer:
		j.check = key.Public()
	default:
		j.check = key
	}
	if j.check == nil {
		return fmt.Errorf("there is no key: name a %s=, or a %s= where tokens are only checked", optionPrivate, optionPublic)
	}
	if key, is := shown.(interface{ Equal(crypto.PublicKey) bool }); is && j.sign != nil && !key.Equal(j.check) {
		return fmt.Errorf("%s=%s does not belong to %s=%s: name the two halves of one key", optionPublic, said[optionPublic], optionPrivate, said[optionPrivate])
	}
	if key, is := j.check.(*ecdsa.PublicKey); is {
		if bits := j.method.(*jwt.SigningMethodECDSA).CurveBits; key.Params().BitSize != bits {
			return fmt.Errorf("%s=%s takes a key on a curve of %d bits, and this one is on %s", optionMethod, said[optionMethod], bits, key.Params().Name)
		}
	}
	if j.sign == nil {
		return nil
	}
	if _, err := j.method.Sign("", j.sign); err != nil {
		return fmt.Errorf("%s=%s cannot sign with %s=%s: %w", optionMethod, said[optionMethod], optionPrivate, said[optionPrivate], err)
	}
	return nil
}

// The claims.
const (
	claimUser     = "username"
	claimRevision = "revision"
	claimEnd      = "exp"
)

// issue makes a token for a user who was let in at a revision of the rights.
func (j *JWT) issue(name string, rights int64) (string, error) {
	if j.sign == nil {
		return "", ErrOnlyChecked
	}
	return jwt.NewWithClaims(j.method, jwt.MapClaims{
		claimUser: name, claimRevision: rights, claimEnd: time.Now().Add(j.ttl).Unix(),
	}).SignedString(j.sign)
}

// read returns what a token says, if it is good.
func (j *JWT) read(token string) (by kv.Caller, good bool) {
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{j.method.Alg()}))
	_, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return j.check, nil })
	name, named := claims[claimUser].(string)
	revision, dated := claims[claimRevision].(float64)
	if err != nil || !named || !dated || revision < 0 || len(name) > kv.MaxKeyBytes {
		return kv.Caller{}, false
	}
	// Who makes tokens elsewhere may have chosen a revision that is never reached.
	return kv.Caller{Name: name, Revision: int64(min(revision, 1<<62))}, true
}

// claimed is [Keeper.Caller] where tokens say themselves who it is. As with etcd they
// are not for keys any more once rights have changed, whosever; and not for anything,
// which etcd lets them be, once the user or the password is another.
func (k *Keeper) claimed(token string, rights int64) (kv.Caller, error) {
	by, good := k.JWT.read(token)
	if !good {
		return kv.Caller{}, ErrBadToken
	}
	user, err := k.Machine.For(kv.ThisNode).User(by.Name)
	since := rights
	switch {
	case err == nil:
		since = user.Since
	case !errors.Is(err, kv.ErrUserNotFound):
		return kv.Caller{}, err
	}
	if by.Revision < since {
		return kv.Caller{}, kv.ErrOldRights
	}
	return by, nil
}
