// Package wire is what travels between a node's HTTP door and those who call it:
// the JSON of requests and answers, and the codes of problems. It imports nothing
// but the standard library, so that a client links no more than it needs.
//
// Keys and values travel as raw bytes in the path and the body. Where JSON must
// carry them, text goes into "key" and "value"; bytes that are not UTF-8 go into
// "key_base64" and "value_base64" instead.
package wire

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Headers of requests and answers.
const (
	HeaderSession  = "Quorate-Session"  // request: the session that numbers this write
	HeaderSequence = "Quorate-Sequence" // request: the number of this write in its session, from 1
	HeaderRevision = "Quorate-Revision" // answer: the store's revision that the answer saw or made
)

// Bounds of a listing. One that meets a bound is cut there and says so.
const (
	DefaultListKeys = 1000
	MaxListKeys     = 10_000
	MaxListBytes    = 4 << 20 // of keys and values; the last key may go beyond
)

// ID is the number of a node, a cluster or a session. As text it has 16
// hexadecimal digits, because JSON readers round large numbers.
type ID uint64

func (id ID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// MarshalText writes the ID as 16 hexadecimal digits.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads an ID of 1 to 16 hexadecimal digits.
func (id *ID) UnmarshalText(text []byte) error {
	n, err := ParseID(string(text))
	*id = n
	return err
}

// ParseID reads an ID of 1 to 16 hexadecimal digits.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not an ID: write 1 to 16 hexadecimal digits, as member list does", s)
	}
	return ID(n), nil
}

// Written answers PUT and DELETE of /v1/kv/{key}.
type Written struct {
	Revision uint64 `json:"revision"`          // of the store after this write
	Deleted  *bool  `json:"deleted,omitempty"` // DELETE only: whether there was a key to delete
}

// KV is one key as a listing shows it. Exactly one of Key and KeyBase64 is used,
// likewise of the value's two fields.
type KV struct {
	Key            string `json:"key,omitempty"`
	KeyBase64      []byte `json:"key_base64,omitempty"`
	Value          string `json:"value,omitempty"`
	ValueBase64    []byte `json:"value_base64,omitempty"`
	CreateRevision uint64 `json:"create_revision"`
	ModRevision    uint64 `json:"mod_revision"`
	Version        uint64 `json:"version"` // writes since the key was created, from 1
}

// SetBytes stores the key and the value in the fields that can carry them.
func (kv *KV) SetBytes(key, value []byte) {
	if utf8.Valid(key) {
		kv.Key = string(key)
	} else {
		kv.KeyBase64 = key
	}
	if utf8.Valid(value) {
		kv.Value = string(value)
	} else {
		kv.ValueBase64 = value
	}
}

// Bytes returns the key and the value, whichever fields carried them.
func (kv *KV) Bytes() (key, value []byte) {
	key, value = kv.KeyBase64, kv.ValueBase64
	if key == nil {
		key = []byte(kv.Key)
	}
	if value == nil {
		value = []byte(kv.Value)
	}
	return key, value
}

// Listing answers GET /v1/kv: keys in byte order.
type Listing struct {
	Revision uint64 `json:"revision"` // of the store when it was read
	KVs      []KV   `json:"kvs"`
	More     bool   `json:"more"` // the limit cut the list; go on behind the last key
}

// Session answers POST /v1/sessions.
type Session struct {
	ID ID `json:"id"`
}

// Member is a member of the cluster.
type Member struct {
	ID         ID       `json:"id"`
	Name       string   `json:"name"`
	Role       string   `json:"role"`                  // "voter" or "learner"
	PeerURL    string   `json:"peer_url"`              // where the other members reach it
	ClientURLs []string `json:"client_urls,omitempty"` // none: it was added and has never started
	Leader     bool     `json:"leader,omitempty"`
}

// Members answers GET /v1/members: the configuration that this node knows.
type Members struct {
	ClusterID ID       `json:"cluster_id"`
	Index     uint64   `json:"index"`     // of the log, where this configuration stands
	Committed bool     `json:"committed"` // it cannot be taken back any more
	Members   []Member `json:"members"`
}

// AddMember is the body of POST /v1/members, answered by 201 with a Member, and of
// PUT /v1/members/{id}, answered by 200 with a Member.
type AddMember struct {
	ID         ID       `json:"id,omitzero"` // POST: drawn at random if absent; PUT: the path says it
	Name       string   `json:"name"`
	PeerURL    string   `json:"peer_url"`
	ClientURLs []string `json:"client_urls,omitempty"`
	Learner    bool     `json:"learner,omitempty"` // POST: it stays a learner until somebody promotes it
}

// Transfer is the body of POST /v1/leader/transfer. It may be empty.
type Transfer struct {
	To ID `json:"to,omitzero"` // the next leader; absent: the one most up to date
}

// Transferred answers POST /v1/leader/transfer.
type Transferred struct {
	Leader ID `json:"leader"`
}

// Status answers GET /v1/status: what this node knows, without asking others.
type Status struct {
	Name      string `json:"name"`
	ID        ID     `json:"id"`
	ClusterID ID     `json:"cluster_id"`
	Version   string `json:"version"`
	Role      string `json:"role"` // follower, pre-candidate, candidate or leader
	Learner   bool   `json:"learner,omitempty"`
	Term      uint64 `json:"term"`
	Leader    ID     `json:"leader,omitzero"` // absent while unknown
	Error     string `json:"error,omitempty"` // why the group stopped on this node

	Log       Log        `json:"log"`
	Followers []Follower `json:"followers,omitempty"` // only from the leader
	Hash      *StateHash `json:"hash,omitempty"`      // only with ?hash=true
}

// Log says how far a node is; all are log indexes, counted from 1.
type Log struct {
	Commit    uint64 `json:"commit"`
	Applied   uint64 `json:"applied"`
	Durable   uint64 `json:"durable"` // the last entry on this node's disk
	Last      uint64 `json:"last"`
	Compacted uint64 `json:"compacted"` // what came up to here is in the snapshot only
}

// Follower is the leader's view of another member.
type Follower struct {
	ID       ID     `json:"id"`
	Name     string `json:"name"`
	State    string `json:"state"` // probe, replicate or snapshot
	Match    uint64 `json:"match"` // known to be on its disk
	Next     uint64 `json:"next"`
	InFlight int    `json:"in_flight"` // messages sent and not yet answered
	Paused   bool   `json:"paused"`
	Active   bool   `json:"active"` // heard within the last election timeout
}

// StateHash is the hash of the whole state at an applied index. It is equal on
// all nodes at an equal index.
type StateHash struct {
	Hash     string `json:"hash"` // 16 hexadecimal digits
	Applied  uint64 `json:"applied"`
	Revision uint64 `json:"revision"`
}

// The versions of etcd whose API a node speaks: etcd's clients look for what they
// may use.
const (
	EtcdVersion = "3.7.3"
	EtcdMinor   = "3.7.0" // as clusters and stores have it
)

// Version answers GET /version. The first three are what etcd's clients read.
type Version struct {
	EtcdServer  string `json:"etcdserver"`
	EtcdCluster string `json:"etcdcluster"`
	Storage     string `json:"storage"`
	Version     string `json:"version"`
	Go          string `json:"go"`
}

// Health answers GET /health, in the form of etcd: 200 if "true", else 503.
type Health struct {
	Health string `json:"health"` // "true" or "false"
	Reason string `json:"reason"` // why not
}
