//go:build unix

package conformance

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate-db/quorate/server/node"
)

// make-mirror copies what is there and then what comes, deletes too, until it is stopped.
func TestSameMakeMirror(t *testing.T) {
	program := build(t, "go.etcd.io/etcd/etcdctl/v3")
	from, _ := startQuorate(t, 1)
	to, _ := startQuorate(t, 1)
	want := mirrored(t, program, startEtcd(t), startEtcd(t))
	if got := mirrored(t, program, from[0], to[0]); got != want || !strings.Contains(want, "m/late") {
		t.Errorf("etcd has mirrored\n%s\nquorate\n%s", want, got)
	}
}

// mirrored is what a mirror comes to hold, and how the program ends.
func mirrored(t *testing.T, program, from, to string) string {
	t.Helper()
	source, mirror := connect(t, from), connect(t, to)
	dial(t, from)
	dial(t, to)
	setAll(t, source, "k/a", "k/b", "other")
	cmd := exec.Command(program, "--endpoints", from, "make-mirror", "--prefix", "k/", "--dest-prefix", "m/", to)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	holds(t, mirror, "m/a", "m/b")
	setAll(t, source, "k/c", "k/d")
	if _, err := source.Delete(t.Context(), "k/a"); err != nil {
		t.Fatal(err)
	}
	setAll(t, source, "k/late")
	holds(t, mirror, "m/b", "m/c", "m/d", "m/late")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // how it ended is compared
	r, err := mirror.Get(t.Context(), "", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%v, exit %d, %s", found(r), cmd.ProcessState.ExitCode(), said.String())
}

func setAll(t *testing.T, c *clientv3.Client, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, err := c.Put(t.Context(), key, key); err != nil {
			t.Fatal(err)
		}
	}
}

// holds waits until these are all keys.
func holds(t *testing.T, c *clientv3.Client, keys ...string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		r, err := c.Get(t.Context(), "", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, kv := range r.Kvs {
			all = append(all, string(kv.Key))
		}
		if slices.Equal(all, keys) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("there are %q, not %q", all, keys)
		}
	}
}

// learnerLines are played to a learner that runs and has caught up.
const learnerLines = `
	get a
	get a --consistency s
	get a --consistency s -w json
	get "" --prefix --consistency s --keys-only
	put a 2
	del a
	txn <<< \n\nput a 1\n\n\n
	txn <<< \nget a\n\n\n
	lease grant 10
	lease list
	lease timetolive 1
	lease revoke 1
	lease keep-alive 1 --once
	compaction 2
	watch a --rev 2
	lock l echo held
	elect e me
	member list
	member add other --learner --peer-urls http://127.0.0.1:9
	member remove 1
	member promote 1
	member update 1 --peer-urls http://127.0.0.1:9
	move-leader 1
	endpoint health
	endpoint status
	endpoint hashkv -w fields
	alarm list
	alarm disarm
	defrag
	auth status
	auth enable
	user list
	user add x:y
	role list
	role add r
	snapshot save $dir/saved
	version`

// What a learner answers, and what it refuses and how, is what one of etcd's does.
func TestSameEtcdctlOnALearner(t *testing.T) {
	program := build(t, "go.etcd.io/etcd/etcdctl/v3")
	atEtcd, peersEtcd := alone(t, startEtcd)
	atQuorate, peersQuorate := alone(t, func(t *testing.T, more ...string) string {
		addresses, _ := startQuorate(t, 1, allNames[0])
		return addresses[0]
	})
	var said [2][]string
	for i, c := range []struct {
		first, peers string
		start        func(name, peer, cluster string) string
	}{
		{atEtcd, peersEtcd, func(name, peer, cluster string) string {
			return startEtcd(t, "--name="+name, "--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster="+cluster, "--initial-cluster-state=existing")
		}},
		{atQuorate, peersQuorate, func(name, peer, cluster string) string {
			return startLearner(t, name, peer, cluster)
		}},
	} {
		client, peer := connect(t, c.first), "http://127.0.0.1:"+freePort(t)
		setAll(t, client, "a", "b")
		if _, err := client.MemberAddAsLearner(t.Context(), []string{peer}); err != nil {
			t.Fatal(err)
		}
		learner := c.start("l", peer, c.peers+",l="+peer)
		hears(t, learner)
		ctl := &ctl{T: t, program: program, address: learner, known: map[string]string{"$dir": filepath.ToSlash(t.TempDir())}, seen: map[string]string{}}
		for line := range strings.SplitSeq(strings.TrimSpace(learnerLines), "\n") {
			said[i] = append(said[i], fmt.Sprintf("%s\n%s", strings.TrimSpace(line), oneRefusal(storage.ReplaceAllString(ctl.do(strings.TrimSpace(line)), ""))))
		}
	}
	for i := range said[0] {
		if said[0][i] != said[1][i] {
			t.Errorf("etcd says\n%s\nquorate says\n%s", said[0][i], said[1][i])
		}
	}
	t.Logf("%d commands", len(said[0]))
}

// storage is the version of the store, which a newcomer of etcd's does not know at first.
var storage = regexp.MustCompile(`Server version [0-9.]+\n|, 3\.[0-9]\.0, SIZES`)

// oneRefusal has one text for a stream that is refused: the client says EOF if it hears of
// that before it has sent its first message, of either server.
func oneRefusal(said string) string {
	return strings.ReplaceAll(said, "Error: EOF\n", "Error: etcdserver: rpc not supported for learner\n")
}

// check perf ends by itself, says the same things, and takes its keys away. Whether the
// machine was quick enough is not compared.
func TestSameCheckPerf(t *testing.T) {
	program := build(t, "go.etcd.io/etcd/etcdctl/v3")
	quorate, _ := startQuorate(t, 1)
	var said [2]string
	var checking sync.WaitGroup
	for i, address := range []string{startEtcd(t), quorate[0]} {
		dial(t, address) // it answers
		checking.Go(func() {
			out, err := exec.CommandContext(t.Context(), program, "--endpoints", address, "check", "perf", "--load=s").Output()
			t.Logf("%s%v", out, err)
			said[i] = measured.ReplaceAllString(strings.TrimSpace(string(out)), "$1")
		})
	}
	checking.Wait()
	if want := "Throughput\nSlowest request\nStddev"; said[0] != said[1] || said[1] != want {
		t.Errorf("etcd says\n%s\nquorate says\n%s\nwant\n%s", said[0], said[1], want)
	}
	holds(t, connect(t, quorate[0])) // nothing
}

// measured is a line about something, and the verdict at the end.
var measured = regexp.MustCompile(`(?m)(?:^(?:PASS: |FAIL: )?(Throughput|Slowest request|Stddev) .*$|\n(?:PASS|FAIL)$)`)

// alone is a cluster of one, and how others are told of it.
func alone(t *testing.T, start func(*testing.T, ...string) string) (client, cluster string) {
	t.Helper()
	client = start(t)
	dial(t, client) // it answers
	r, err := connect(t, client).MemberList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return client, r.Members[0].Name + "=" + r.Members[0].PeerURLs[0]
}

func startLearner(t *testing.T, name, peer, cluster string) (client string) {
	t.Helper()
	client = "127.0.0.1:" + freePort(t)
	fs := pflag.NewFlagSet("quorate", pflag.ContinueOnError)
	node.Flags(fs)
	if err := fs.Parse([]string{"--name=" + name, "--data-dir=" + t.TempDir(), "--listen-client-urls=http://" + client, "--listen-peer-urls=" + peer,
		"--initial-cluster=" + cluster, "--initial-cluster-state=existing", "--heartbeat-interval=50", "--election-timeout=500"}); err != nil {
		t.Fatal(err)
	}
	cfg, err := node.Load(fs, nil)
	if err != nil {
		t.Fatal(err)
	}
	runNode(t, cfg)
	return client
}

// hears waits until a learner holds what was put before it was there.
func hears(t *testing.T, address string) {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{address}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if r, err := c.Get(t.Context(), "b", clientv3.WithSerializable()); err == nil && len(r.Kvs) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the learner hears nothing")
		}
	}
}
