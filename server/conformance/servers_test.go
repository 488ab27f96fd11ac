package conformance

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate-db/quorate/internal/freeport"
	"github.com/quorate-db/quorate/server/node"
)

// build builds one of etcd's programs, once.
func build(t *testing.T, path string) string {
	t.Helper()
	return buildIn(t, ".", path, filepath.Base(filepath.Dir(path)))
}

// buildIn builds a program of the module in a directory, once.
func buildIn(t *testing.T, dir, path, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(cache, "quorate-conformance", name)
	cmd := exec.Command("go", "build", "-o", program, path)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", path, err, out)
	}
	return program
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

// startEtcd runs one etcd, with more flags, which count before its own, and returns its
// client address.
func startEtcd(t *testing.T, more ...string) string {
	t.Helper()
	client, peer := "127.0.0.1:"+freePort(t), "http://127.0.0.1:"+freePort(t)
	flags := []string{"--data-dir", t.TempDir(), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", "http://" + client, "--advertise-client-urls", "http://" + client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer}
	cmd := exec.Command(build(t, "go.etcd.io/etcd/server/v3"), append(flags, more...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone already
		_ = cmd.Wait()         // it was killed
	})
	return client
}

// startQuorate runs a cluster in this process, with more flags, and returns its client
// addresses, and how to stop each node.
func startQuorate(t *testing.T, size int, more ...string) (clients []string, stops []func()) {
	t.Helper()
	var peers, seeds []string
	for i := range size {
		clients = append(clients, "127.0.0.1:"+freePort(t))
		peers = append(peers, "http://127.0.0.1:"+freePort(t))
		seeds = append(seeds, fmt.Sprintf("n%d=%s", i, peers[i]))
	}
	for i := range size {
		fs := pflag.NewFlagSet("quorate", pflag.ContinueOnError)
		node.Flags(fs)
		if err := fs.Parse(append(more,
			fmt.Sprintf("--name=n%d", i), "--data-dir="+t.TempDir(), "--listen-client-urls=http://"+clients[i],
			"--listen-peer-urls="+peers[i], "--initial-cluster="+strings.Join(seeds, ","),
			"--heartbeat-interval=50", "--election-timeout=500", "--bcrypt-cost=4",
		)); err != nil {
			t.Fatal(err)
		}
		cfg, err := node.Load(fs, nil)
		if err != nil {
			t.Fatal(err)
		}
		stops = append(stops, runNode(t, cfg))
	}
	return clients, stops
}

func runNode(t *testing.T, cfg node.Config) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := node.Run(ctx, cfg, slog.New(slog.NewTextHandler(io.Discard, nil))); err != nil {
			t.Errorf("node %s: %v", cfg.Name, err)
		}
	})
	stop = func() {
		cancel()
		ended.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// dial connects to a server and waits until it answers reads.
func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte("k")}, grpc.WaitForReady(true))
		if err == nil {
			return conn
		}
		if ctx.Err() != nil {
			t.Fatalf("%s does not answer: %v", address, err)
		}
	}
}
