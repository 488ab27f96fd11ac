package node

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/vfs"
)

// identity says who a data directory belongs to. It is written once, before
// anything else is, and compared at every start: a member that took another
// one's log would vote twice.
type identity struct {
	Format    int     `json:"format"`
	ClusterID wire.ID `json:"cluster_id"`
	NodeID    wire.ID `json:"node_id"`
	Name      string  `json:"name"`

	// Joining is set until the cluster has taken in a member that asked to join.
	Joining bool `json:"joining,omitempty"`

	// Joined is false for one of those who began the cluster.
	Joined bool `json:"joined"`

	// Seated is set once a member that joined has seen itself in a committed
	// configuration: if it stands in none later, it was removed.
	Seated bool `json:"seated,omitempty"`

	// Origin names the backup that the cluster was begun from, and From is the index
	// up to which that goes; of any other cluster both are empty.
	Origin string `json:"origin,omitempty"`
	From   uint64 `json:"from,omitempty"`

	// Begun is set once the member has a log: without one it has forgotten what it
	// acknowledged and for whom it voted.
	Begun bool `json:"begun,omitempty"`

	// Members are those who began the cluster, or whom the member met when it
	// joined. Later ones are in the log.
	Members []seat `json:"members"`
}

// seat is a member as the identity file records it.
type seat struct {
	ID         wire.ID  `json:"id"`
	Name       string   `json:"name"`
	Address    string   `json:"address"` // host:port for its peers
	ClientURLs []string `json:"client_urls,omitempty"`
}

const (
	identityFormat = 1
	identityFile   = "identity.json"
)

// members returns the seats as the log records members, all of them voters.
func (id *identity) members() []quorate.Member {
	var all []quorate.Member
	for _, s := range id.Members {
		all = append(all, quorate.Member{
			ID:      quorate.NodeID(s.ID),
			Role:    membership.Voter,
			Address: s.Address,
			Info:    members.Info{Name: s.Name, ClientURLs: s.ClientURLs}.String(),
		})
	}
	return all
}

// bootstrapIdentity is the identity of a member that begins a cluster. All who
// begin it come to the same IDs without talking: they are hashes of what all are
// told alike.
func bootstrapIdentity(cfg *Config, origin string) *identity {
	cluster := cfg.Bootstrap.Cluster
	if len(cluster) == 0 {
		cluster = []Seed{{Name: cfg.Name, PeerURL: cfg.Peer.Advertise[0]}}
	}
	token := cmp.Or(cfg.Bootstrap.Token, defaultToken)
	if origin != "" {
		// Another cluster than the one that was backed up, whose members may still run.
		token += " from " + origin
	}
	words := []string{"quorate cluster", token}
	id := &identity{Format: identityFormat, Name: cfg.Name, Origin: origin}
	for _, s := range cluster {
		member := seat{ID: hash("quorate member", token, s.Name, plainURL(address(s.PeerURL))), Name: s.Name, Address: address(s.PeerURL)}
		if s.Name == cfg.Name {
			id.NodeID = member.ID
		}
		id.Members = append(id.Members, member)
		words = append(words, s.Name+"="+plainURL(address(s.PeerURL)))
	}
	slices.Sort(words[2:])
	id.ClusterID = hash(words...)
	return id
}

// hash is a 64-bit number for words that contain no line break, never zero.
func hash(words ...string) wire.ID {
	sum := sha256.Sum256([]byte(strings.Join(words, "\n")))
	return wire.ID(max(1, binary.BigEndian.Uint64(sum[:])))
}

// address is the host:port of a URL that Check has seen.
func address(raw string) string {
	return strings.TrimPrefix(strings.TrimPrefix(raw, "https://"), "http://")
}

// plainURL is what IDs are hashes of: who gives a cluster TLS does not make another
// cluster of it.
func plainURL(address string) string { return "http://" + address }

// readIdentity returns the directory's identity, nil if it has none yet.
func readIdentity(dir string) (*identity, error) {
	path := filepath.Join(dir, identityFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the data directory cannot be read: %w", err)
	}
	var id identity
	if err := json.Unmarshal(data, &id); err != nil || id.NodeID == 0 || id.ClusterID == 0 {
		return nil, fmt.Errorf("%s is damaged: remove this member from the cluster and let it join again with an empty --data-dir", path)
	}
	if id.Format != identityFormat {
		return nil, fmt.Errorf("%s has the format %d, this version knows only %d: use the version that wrote it", path, id.Format, identityFormat)
	}
	return &id, nil
}

// write makes the identity durable, whole or not at all.
func (id *identity) write(dir string) (err error) {
	data, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, identityFile)
	disk := vfs.OS{}
	f, err := disk.Create(path + ".new")
	if err != nil {
		return fmt.Errorf("the data directory cannot be written: %w", err)
	}
	_, err = f.WriteAt(append(data, '\n'), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("the data directory cannot be written: %w", err)
	}
	if err := disk.Rename(path+".new", path); err != nil {
		return fmt.Errorf("the data directory cannot be written: %w", err)
	}
	return disk.SyncDir(dir)
}

// check refuses a configuration that describes another member than the one whose
// directory this is.
func (id *identity) check(cfg *Config) error {
	if id.Name != cfg.Name && !id.Joining { // the cluster may have refused the name
		return fmt.Errorf("the data directory %s belongs to the member %q, not to %q: choose another --data-dir, or set --name %s",
			cfg.DataDir, id.Name, cfg.Name, id.Name)
	}
	switch {
	case cfg.Bootstrap.State == StateExisting:
		return nil
	case len(cfg.Bootstrap.Cluster) > 0:
		return id.checkCluster(cfg)
	case cfg.Bootstrap.Token != "" && !id.Joined:
		return id.checkToken(*cfg)
	}
	return nil
}

// checkLog refuses to begin a second log where the first one is lost.
func (id *identity) checkLog(dir string) error {
	if !id.Begun {
		return nil
	}
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the data directory cannot be read: %w", err)
	}
	if len(files) == 0 {
		return fmt.Errorf("%s is gone, and with it what this member has acknowledged: put it back, or remove the member from the cluster and let it join again with an empty --data-dir", dir)
	}
	return nil
}

func (id *identity) checkCluster(cfg *Config) error {
	want := bootstrapIdentity(cfg, id.Origin)
	if id.ClusterID != want.ClusterID {
		return fmt.Errorf("the data directory %s belongs to the cluster %v, and --initial-cluster with its token describes the cluster %v: choose another --data-dir, or leave out --initial-cluster",
			cfg.DataDir, id.ClusterID, want.ClusterID)
	}
	if id.NodeID != want.NodeID {
		return fmt.Errorf("the data directory %s belongs to the member %v, and --initial-cluster describes the member %v: choose another --data-dir, or leave out --initial-cluster",
			cfg.DataDir, id.NodeID, want.NodeID)
	}
	return nil
}

// checkToken compares the token with the one that began this cluster, of which
// only the hash is left.
func (id *identity) checkToken(cfg Config) error {
	cfg.Bootstrap.Cluster = nil
	for _, s := range id.Members {
		cfg.Bootstrap.Cluster = append(cfg.Bootstrap.Cluster, Seed{s.Name, plainURL(s.Address)})
	}
	if bootstrapIdentity(&cfg, id.Origin).ClusterID != id.ClusterID {
		return fmt.Errorf("the data directory %s belongs to the cluster %v, which began with another --initial-cluster-token: choose another --data-dir, or leave out the token",
			cfg.DataDir, id.ClusterID)
	}
	return nil
}
