package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/quorate-db/quorate/server/api/wire"
)

// configure is a loaded configuration with a directory of its own.
func configure(t *testing.T, args ...string) *Config {
	t.Helper()
	c, err := load(t, append([]string{"--data-dir=" + t.TempDir()}, args...), nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

func identified(t *testing.T, c *Config) *identity {
	t.Helper()
	id, err := identify(context.Background(), c, credentials{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Members that are told the same come to the same IDs without talking, in
// whatever order the list stands.
func TestBootstrapAgreesWithoutTalking(t *testing.T) {
	cluster := []string{"a=http://127.0.0.1:2380", "b=http://127.0.0.2:2380"}
	a := identified(t, configure(t, "--name=a", "--initial-cluster="+cluster[0]+","+cluster[1]))
	b := identified(t, configure(t, "--name=b", "--listen-peer-urls=http://127.0.0.2:2380", "--initial-cluster="+cluster[1]+","+cluster[0]))
	if a.ClusterID != b.ClusterID || a.NodeID == b.NodeID || a.Joined || len(a.Members) != 2 {
		t.Fatalf("a is %+v\nb is %+v", a, b)
	}
	if a.Members[1].ID != b.NodeID || b.Members[1].ID != a.NodeID {
		t.Errorf("they do not know each other: %+v, %+v", a.Members, b.Members)
	}
	other := identified(t, configure(t, "--name=a", "--initial-cluster-token=other", "--initial-cluster="+cluster[0]+","+cluster[1]))
	if other.ClusterID == a.ClusterID || other.NodeID == a.NodeID {
		t.Error("another token makes no other cluster")
	}
}

// A directory keeps its identity: who comes back is the same member, and nobody
// else may use it.
func TestDataDirectoryOfAnother(t *testing.T) {
	cfg := configure(t, "--name=a", "--initial-cluster=a=http://127.0.0.1:2380")
	first := identified(t, cfg)
	if again := identified(t, cfg); again.NodeID != first.NodeID {
		t.Errorf("a restart changed the ID from %v to %v", first.NodeID, again.NodeID)
	}
	for _, c := range []struct {
		args []string
		says string // empty: welcome
	}{
		{[]string{"--name=a"}, ""},
		{[]string{"--name=a", "--listen-peer-urls=http://127.0.0.1:99"}, ""},
		{[]string{"--name=a", "--initial-cluster=a=http://127.0.0.1:2380,b=http://h:1", "--initial-cluster-state=existing"}, ""},
		{[]string{"--name=b"}, `belongs to the member "a", not to "b"`},
		{[]string{"--name=a", "--initial-cluster=a=http://127.0.0.1:2380,b=http://h:1"}, "belongs to the cluster " + first.ClusterID.String()},
		{[]string{"--name=a", "--initial-cluster=a=http://127.0.0.1:2380", "--initial-cluster-token=x"}, "belongs to the cluster"},
		{[]string{"--name=a", "--initial-cluster-token=x"}, "began with another --initial-cluster-token"},
		{[]string{"--name=a", "--initial-cluster-token=quorate"}, ""},
	} {
		other := configure(t, c.args...)
		other.DataDir = cfg.DataDir
		_, err := identify(context.Background(), other, credentials{}, slog.New(slog.DiscardHandler))
		if c.says == "" && err != nil {
			t.Errorf("%q: %v", c.args, err)
		}
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), cfg.DataDir)) {
			t.Errorf("%q: %v, want %q", c.args, err, c.says)
		}
	}
}

func TestDamagedIdentity(t *testing.T) {
	for text, says := range map[string]string{
		"":             "damaged",
		"{":            "damaged",
		`{"format":1}`: "damaged",
		`{"format":2,"cluster_id":"1","node_id":"1"}`: "format 2",
	} {
		cfg := configure(t)
		if err := os.WriteFile(filepath.Join(cfg.DataDir, identityFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := identify(context.Background(), cfg, credentials{}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), cfg.DataDir) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

// cluster is a running cluster as its HTTP door shows it.
type cluster struct {
	*httptest.Server
	mu      sync.Mutex
	members wire.Members
	lose    int // so many answers to POST are lost after the work is done
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{members: wire.Members{ClusterID: 0xc}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	c.members.Members = []wire.Member{{ID: 1, Name: "a", Role: "voter", PeerURL: "http://10.0.0.1:2380", ClientURLs: []string{c.URL}}}
	return c
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Method == http.MethodPost {
		var add wire.AddMember
		if err := json.NewDecoder(r.Body).Decode(&add); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		c.members.Members = append(c.members.Members, wire.Member{
			ID: add.ID, Name: add.Name, Role: "learner", PeerURL: add.PeerURL, ClientURLs: add.ClientURLs})
		if c.lose > 0 {
			c.lose--
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "{}")
		return
	}
	if err := json.NewEncoder(w).Encode(c.members); err != nil {
		panic(err)
	}
}

func TestJoin(t *testing.T) {
	c := newCluster(t)
	c.lose = 1 // the answer is lost: the node looks whether it is in
	cfg := configure(t, "--name=d", "--join="+c.URL, "--listen-peer-urls=http://10.0.0.4:2380")
	id := identified(t, cfg)
	if id.ClusterID != 0xc || id.NodeID == 0 || !id.Joined || id.Joining || len(id.Members) != 1 || id.Members[0].Address != "10.0.0.1:2380" {
		t.Fatalf("%+v", id)
	}
	if len(c.members.Members) != 2 || c.members.Members[1].ID != id.NodeID || c.members.Members[1].Name != "d" {
		t.Errorf("the cluster knows %+v", c.members.Members)
	}
	c.Close() // from now on nobody needs to be asked
	if again := identified(t, cfg); again.NodeID != id.NodeID {
		t.Errorf("a restart changed the ID from %v to %v", id.NodeID, again.NodeID)
	}
}

// A node that dies while it joins asks again as the same member.
func TestJoinIsTakenUpAgain(t *testing.T) {
	c := newCluster(t)
	cfg := configure(t, "--name=d", "--join="+c.URL)
	before := &identity{Format: identityFormat, ClusterID: 0xc, NodeID: 7, Name: "d", Joining: true, Joined: true}
	if err := before.write(cfg.DataDir); err != nil {
		t.Fatal(err)
	}
	if id := identified(t, cfg); id.NodeID != 7 || id.Joining || c.members.Members[1].ID != 7 {
		t.Errorf("%+v; the cluster knows %+v", id, c.members.Members)
	}
}

// A cluster that refuses a name says to choose another: the directory of a member
// that has not joined yet takes it.
func TestAJoinIsTakenUpUnderAnotherName(t *testing.T) {
	c := newCluster(t)
	cfg := configure(t, "--name=d", "--join="+c.URL)
	before := &identity{Format: identityFormat, ClusterID: 0xc, NodeID: 7, Name: "taken", Joining: true, Joined: true}
	if err := before.write(cfg.DataDir); err != nil {
		t.Fatal(err)
	}
	identified(t, cfg)
	if id, err := readIdentity(cfg.DataDir); err != nil || id.NodeID != 7 || id.Name != "d" || id.Joining || c.members.Members[1].Name != "d" {
		t.Errorf("%+v, %v; the cluster knows %+v", id, err, c.members.Members)
	}
	cfg.Name = "e"
	if _, err := identify(context.Background(), cfg, credentials{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a member that has joined came back under another name")
	}
}

func TestExistingTakesTheMemberAddedBeforehand(t *testing.T) {
	c := newCluster(t)
	args := []string{"--name=d", "--initial-cluster-state=existing", "--join=" + c.URL, "--listen-peer-urls=http://10.0.0.4:2380"}
	refuse := func(says string) {
		t.Helper()
		_, err := identify(context.Background(), configure(t, args...), credentials{}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	refuse("quorate member add")
	c.members.Members = append(c.members.Members, wire.Member{ID: 9, Name: "d", Role: "learner", PeerURL: "http://10.0.0.4:2380"})
	if id := identified(t, configure(t, args...)); id.NodeID != 9 {
		t.Errorf("ID %v, want 9", id.NodeID)
	}
	// It has started: its ID belongs to a disk now.
	c.members.Members[1].ClientURLs = []string{"http://10.0.0.4:2379"}
	refuse("started before")
}

func TestJoinRefused(t *testing.T) {
	c := newCluster(t)
	refuse := func(cfg *Config, says ...string) {
		t.Helper()
		_, err := identify(context.Background(), cfg, credentials{}, slog.New(slog.DiscardHandler))
		for _, word := range says {
			if err == nil || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %q", err, word)
			}
		}
	}
	refuse(configure(t, "--initial-cluster-state=existing"), "needs --join")
	half := configure(t, "--name=d", "--join="+c.URL)
	if err := (&identity{Format: identityFormat, ClusterID: 0xd, NodeID: 7, Name: "d", Joining: true, Joined: true}).write(half.DataDir); err != nil {
		t.Fatal(err)
	}
	refuse(half, "cluster 000000000000000d", "000000000000000c")
	half.Bootstrap.Join = ""
	refuse(half, "not finished joining", "--join")
	c.members.Members = nil
	refuse(configure(t, "--name=d", "--join="+c.URL), "does not know its cluster")
	c.Close()
	refuse(configure(t, "--name=d", "--join="+c.URL), "--join "+c.URL, "cannot be asked")
}
