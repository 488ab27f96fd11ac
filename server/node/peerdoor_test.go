package node

import (
	"net/http"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// A member that was added beforehand, as kubeadm does it, finds its cluster by the
// peer URLs of the others: it knows nothing else, and needs no user.
func TestExistingAsksAtPeerURLs(t *testing.T) {
	files := certstest.New(t).Issue(t)
	for name, args := range map[string][]string{"plain": nil, "tls": {
		"--peer-cert-file=" + files.Cert, "--peer-key-file=" + files.Key, "--peer-trusted-ca-file=" + files.CA,
	}} {
		t.Run(name, func(t *testing.T) {
			scheme := map[string]string{"plain": "http", "tls": "https"}[name]
			peers := []string{scheme + "://127.0.0.1:" + freePort(t), scheme + "://127.0.0.1:" + freePort(t)}
			at := func(name string, i int, more ...string) *Config {
				return member(t, name, append(append(more, "--bcrypt-cost=4", "--listen-peer-urls="+peers[i]), args...)...)
			}
			a := run(t, at("a", 0, "--initial-cluster=a="+peers[0]))
			a.await(Ready)
			existing := []string{"--initial-cluster-state=existing", "--initial-cluster=a=" + peers[0] + ",b=" + peers[1]}
			early := run(t, at("b", 1, existing...))
			if err := early.ends(); err == nil || !strings.Contains(err.Error(), "no member was added for "+peers[1]) {
				t.Errorf("before it was added: %v", err)
			} else {
				early.says = err.Error()
			}
			if code, text := a.ask("POST", "/v3/cluster/member/add", `{"peerURLs":["`+peers[1]+`"]}`); code != 200 {
				t.Fatalf("%d %s", code, text)
			}
			enforceRights(t, a)
			cfg := at("b", 1, existing...)
			b := run(t, cfg)
			b.await("promoted: this member votes from now on")
			if err := b.stop(); err != nil {
				t.Fatal(err)
			}
			again := run(t, cfg) // with the same flags
			again.await(Ready)
			if err := again.stop(); err != nil {
				t.Fatal(err)
			}
			lost := run(t, at("b", 1, existing...))
			if err := lost.ends(); err == nil || !strings.Contains(err.Error(), "has been started before") {
				t.Errorf("on another disk: %v", err)
			} else {
				lost.says = err.Error()
			}
		})
	}
}

// At the peers' door nothing is answered but who the members are.
func TestThePeersDoorTellsMembersOnly(t *testing.T) {
	a := run(t, member(t, "a"))
	a.await(Ready)
	for path, want := range map[string]int{membersPath: 200, "/v1/kv/k": 404, "/": 404} {
		resp, err := http.Get(a.cfg.Peer.Listen[0] + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	resp, err := http.Post(a.cfg.Peer.Listen[0]+membersPath, "application/json", strings.NewReader("{}"))
	if err == nil {
		resp.Body.Close()
		t.Errorf("a POST is answered %d", resp.StatusCode)
	}
}
