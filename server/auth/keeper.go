// Package auth finds out who calls: it checks passwords, and makes and checks the
// tokens that clients show instead of them. What a caller may do is decided by the
// store (package kv).
//
// A token says who was let in, and when, and is signed with a key that the store has
// had since rights are enforced. So every node knows the tokens of all others,
// without a table of them and without a write. It ends when it has not been shown to
// a node for some time, when the user or the password changes, and when rights are
// no longer enforced. With JSON Web Tokens (jwt.go) keys in files take its place, and a
// token ends by itself at its time.
package auth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"maps"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/quorate-db/quorate/server/kv"
)

// The refusals.
var (
	ErrNotEnforced = errors.New("auth: rights are not enforced, so nobody needs to authenticate")
	ErrWrong       = errors.New("auth: there is no such user, or the password is wrong")
	ErrNoPassword  = errors.New("auth: the user has no password")
	ErrBadToken    = errors.New("auth: the token is not valid, or no longer; authenticate again")
	ErrOnlyChecked = errors.New("auth: this node has no private key to make tokens with; ask one that has")
)

// Options is what a Keeper is made of. All fields are needed but JWT.
type Options struct {
	Cluster uint64 // its ID: one that was begun from a backup of this one has the same key
	Machine *kv.Machine
	TTL     time.Duration // of a token that is not shown; the flag --auth-token-ttl
	Cost    int           // of a hash, 4 to 31: each one more doubles its time; --bcrypt-cost
	JWT     *JWT          // nil: tokens are of our own kind
}

// Keeper knows callers by their tokens.
type Keeper struct {
	Options
	hashing chan struct{} // one for each password that is being hashed: it takes a processor

	mu    sync.Mutex
	shown map[string]map[mac]time.Time // of each user, when a token was last shown to this node
	added int                          // to it since those that have ended were looked for
	prune int                          // look for them again after so many

	guarded atomic.Bool  // rights were enforced when the store was last looked at
	looked  atomic.Int64 // when that was only for this, in nanoseconds
}

type mac [sha256.Size]byte

// New returns a keeper.
func New(o Options) *Keeper {
	return &Keeper{Options: o, hashing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), shown: make(map[string]map[mac]time.Time), prune: fewShown}
}

// fewShown is how many tokens are remembered without looking for those that have ended.
const fewShown = 1024

// NewKey returns a key to sign tokens with, for [kv.StartGuard].
func NewKey() []byte {
	key := make([]byte, sha256.Size)
	rand.Read(key) // it never fails
	return key
}

// maxPassword is how long a password may be, in bytes.
const maxPassword = 72

// Hash makes of a password what may be stored. A password has 72 bytes at most.
func (k *Keeper) Hash(ctx context.Context, password string) (hash []byte, err error) {
	waited := k.hashes(ctx, func() { hash, err = bcrypt.GenerateFromPassword([]byte(password), k.Cost) })
	return hash, cmp.Or(waited, err)
}

// hashes does something that takes a processor, when it is its turn.
func (k *Keeper) hashes(ctx context.Context, hash func()) error {
	select {
	case k.hashing <- struct{}{}:
		defer func() { <-k.hashing }()
		hash()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Login returns a token for a user, as this node's store knows it. The error is
// [ErrNotEnforced], [ErrWrong], [ErrNoPassword], [ErrOnlyChecked], that of ctx or the
// store's.
func (k *Keeper) Login(ctx context.Context, name, password string) (string, error) {
	key, rights, err := k.key()
	if err != nil {
		return "", err
	}
	if key == nil {
		return "", ErrNotEnforced
	}
	user, err := k.Machine.For(kv.ThisNode).User(name)
	switch {
	case errors.Is(err, kv.ErrUserNotFound):
		// It takes as long as a wrong password, or the time would tell who is a user.
		_, err := k.Hash(ctx, password[:min(len(password), maxPassword)])
		return "", cmp.Or(err, ErrWrong)
	case err != nil:
		return "", err
	case user.NoPassword:
		return "", ErrNoPassword
	}
	var wrong error
	if err := k.hashes(ctx, func() { wrong = bcrypt.CompareHashAndPassword(user.Hash, []byte(password)) }); err != nil {
		return "", err
	}
	if wrong != nil {
		return "", ErrWrong
	}
	if k.JWT != nil {
		return k.JWT.issue(name, rights)
	}
	body := binary.AppendUvarint(nil, uint64(time.Now().Unix()))
	body = binary.AppendUvarint(body, uint64(user.Since))
	body = append(body, name...)
	signed := k.sign(key, body)
	return encoding.EncodeToString(body) + "." + encoding.EncodeToString(signed[:]), nil
}

var encoding = base64.RawURLEncoding.Strict()

func (k *Keeper) sign(key, body []byte) (m mac) {
	h := hmac.New(sha256.New, key)
	h.Write(binary.BigEndian.AppendUint64(nil, k.Cluster))
	h.Write(body)
	h.Sum(m[:0])
	return m
}

// Caller returns whose token it is: nobody's, while rights are not enforced. The error
// is [ErrBadToken], [kv.ErrOldRights] or the store's.
func (k *Keeper) Caller(token string) (kv.Caller, error) {
	key, rights, err := k.key()
	if err != nil || key == nil {
		return kv.Caller{}, err
	}
	if k.JWT != nil {
		return k.claimed(token, rights)
	}
	front, back, _ := strings.Cut(token, ".")
	body, bad := encoding.DecodeString(front)
	shown, bad2 := encoding.DecodeString(back)
	signed := k.sign(key, body)
	if bad != nil || bad2 != nil || !hmac.Equal(shown, signed[:]) {
		return kv.Caller{}, ErrBadToken
	}
	issued, n := binary.Uvarint(body) // nobody else could have signed it, so it is well formed
	since, m := binary.Uvarint(body[n:])
	name := string(body[n+m:])
	user, err := k.Machine.For(kv.ThisNode).User(name)
	switch {
	case errors.Is(err, kv.ErrUserNotFound):
		return kv.Caller{}, ErrBadToken
	case err != nil:
		return kv.Caller{}, err
	case user.Since != int64(since) || !k.alive(name, signed, time.Unix(int64(issued), 0)):
		return kv.Caller{}, ErrBadToken
	}
	return kv.Caller{Name: name, Revision: rights}, nil
}

// Certified returns who has shown a certificate of that name, which need not be a
// user's: nobody, while rights are not enforced, or if there is no name. Its error is
// the store's.
func (k *Keeper) Certified(name string) (kv.Caller, error) {
	if name == "" {
		return kv.Caller{}, nil
	}
	key, rights, err := k.key()
	if err != nil || key == nil {
		return kv.Caller{}, err
	}
	return kv.Caller{Name: name, Revision: rights}, nil
}

// alive reports whether a token was issued, or shown here, lately, and is being shown.
func (k *Keeper) alive(user string, m mac, issued time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	mine := k.shown[user]
	last, before := mine[m]
	if !before {
		last = issued // by some node's clock
	}
	switch {
	case now.Sub(last).Abs() >= k.TTL:
		delete(mine, m)
		return false
	case mine == nil:
		mine = make(map[mac]time.Time)
		k.shown[user] = mine
	case !before && len(mine) >= mostShown:
		forgetOne(mine)
	}
	mine[m] = now
	if !before {
		k.forgetEnded(now)
	}
	return true
}

// mostShown is how many tokens of one user are remembered. One that is forgotten
// counts as shown when it was issued.
const mostShown = 1024

// forgetOne forgets the token that was not shown for longest.
func forgetOne(mine map[mac]time.Time) {
	var oldest mac
	var when time.Time
	for m, last := range mine { //order: of two that were shown at one time either may go
		if when.IsZero() || last.Before(when) {
			oldest, when = m, last
		}
	}
	delete(mine, oldest)
}

// forgetEnded forgets tokens that have ended, once there may be many.
func (k *Keeper) forgetEnded(now time.Time) {
	if k.added++; k.added < k.prune {
		return
	}
	left := 0
	for user, mine := range k.shown { //order: each is looked at for itself
		maps.DeleteFunc(mine, func(_ mac, last time.Time) bool { return now.Sub(last) >= k.TTL })
		if left += len(mine); len(mine) == 0 {
			delete(k.shown, user)
		}
	}
	k.added, k.prune = 0, left+fewShown
}
