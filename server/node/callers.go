package node

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/quorate-db/quorate/server/auth"
)

// Auth is how users are known.
type Auth struct {
	Token string        // how tokens are made: simpleTokens, or signedTokens and what auth.LoadJWT takes
	TTL   time.Duration // of a simple token that is not shown
	Cost  int           // of a password's hash, see package auth
}

// How tokens are made.
const (
	simpleTokens = "simple"
	signedTokens = "jwt,"
)

func (c *Config) checkAuth() error {
	switch a := &c.Auth; {
	case a.Token != simpleTokens && !strings.HasPrefix(a.Token, signedTokens):
		return fmt.Errorf("--auth-token %s: it is simple, or jwt,sign-method=METHOD,priv-key=FILE", a.Token)
	case a.TTL <= 0:
		return errors.New("--auth-token-ttl 0: it takes at least 1 second")
	case a.Cost < bcrypt.MinCost || a.Cost > bcrypt.MaxCost:
		return fmt.Errorf("--bcrypt-cost %d: it takes %d to %d", a.Cost, bcrypt.MinCost, bcrypt.MaxCost)
	}
	_, err := c.Auth.signed()
	return err
}

// signed loads the keys that tokens are signed with, if those are in files.
func (a *Auth) signed() (*auth.JWT, error) {
	options, is := strings.CutPrefix(a.Token, signedTokens)
	if !is {
		return nil, nil
	}
	keys, err := auth.LoadJWT(options)
	if err != nil {
		return nil, fmt.Errorf("--auth-token jwt: %w", err)
	}
	return keys, nil
}

// knowCallers makes what finds out who calls.
func (n *node) knowCallers() error {
	signed, err := n.cfg.Auth.signed()
	if err != nil {
		return err
	}
	n.callers = auth.New(auth.Options{
		Cluster: uint64(n.identity.ClusterID), Machine: n.machine, TTL: n.cfg.Auth.TTL, Cost: n.cfg.Auth.Cost, JWT: signed,
	})
	return nil
}
