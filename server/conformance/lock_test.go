package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate/internal/goal"
	"github.com/quorate-db/quorate/server/api/lockpb"
)

// play is what a server does when locks and elections are asked of it, one line for
// each answer.
type play struct {
	*testing.T
	ctx   context.Context
	conn  *grpc.ClientConn
	lines []string
}

func (p *play) say(format string, args ...any) {
	p.lines = append(p.lines, fmt.Sprintf(format, args...))
}

// outcome is an answer in a line, but for who gives it.
func outcome(header *pb.ResponseHeader, err error, rest string) string {
	if code := status.Code(err); code == codes.DeadlineExceeded {
		return code.String() // whether client or server notices first is up to chance, and so are the words
	} else if err != nil {
		return fmt.Sprintf("%v: %s", code, status.Convert(err).Message())
	}
	return fmt.Sprintf("at %d %s", header.GetRevision(), rest)
}

func (p *play) grant(id int64) {
	if _, err := pb.NewLeaseClient(p.conn).LeaseGrant(p.ctx, &pb.LeaseGrantRequest{ID: id, TTL: 600}); err != nil {
		p.Fatal(err)
	}
}

func (p *play) lock(ctx context.Context, name string, lease int64) string {
	r, err := lockpb.NewLockClient(p.conn).Lock(ctx, &lockpb.LockRequest{Name: []byte(name), Lease: lease})
	return outcome(r.GetHeader(), err, fmt.Sprintf("%q", r.GetKey()))
}

func (p *play) unlock(key string) {
	r, err := lockpb.NewLockClient(p.conn).Unlock(p.ctx, &lockpb.UnlockRequest{Key: []byte(key)})
	p.say("unlock %s: %s", key, outcome(r.GetHeader(), err, ""))
}

// later makes a call that waits, and goes on when its key is there.
func (p *play) later(call func() string, prefix string, keys int64) <-chan string {
	done := make(chan string, 1)
	go func() { done <- call() }()
	p.keys(prefix, keys)
	return done
}

func (p *play) keys(prefix string, want int64) {
	for {
		r, err := pb.NewKVClient(p.conn).Range(p.ctx, &pb.RangeRequest{
			Key: []byte(prefix), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(prefix)), CountOnly: true,
		})
		if err != nil {
			p.Fatal(err)
		}
		if r.Count == want {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (p *play) campaign(name string, lease int64, value string) (string, *lockpb.LeaderKey) {
	r, err := lockpb.NewElectionClient(p.conn).Campaign(p.ctx, &lockpb.CampaignRequest{Name: []byte(name), Lease: lease, Value: []byte(value)})
	return outcome(r.GetHeader(), err, fmt.Sprintf("%q since %d lease %d", r.GetLeader().GetKey(), r.GetLeader().GetRev(), r.GetLeader().GetLease())), r.GetLeader()
}

func (p *play) proclaim(leader *lockpb.LeaderKey, value string) {
	r, err := lockpb.NewElectionClient(p.conn).Proclaim(p.ctx, &lockpb.ProclaimRequest{Leader: leader, Value: []byte(value)})
	p.say("proclaim: %s", outcome(r.GetHeader(), err, ""))
}

func (p *play) leader(name string) {
	r, err := lockpb.NewElectionClient(p.conn).Leader(p.ctx, &lockpb.LeaderRequest{Name: []byte(name)})
	p.say("leader: %s", outcome(r.GetHeader(), err, fmt.Sprintf("%v", r.GetKv())))
}

func (p *play) resign(leader *lockpb.LeaderKey) {
	r, err := lockpb.NewElectionClient(p.conn).Resign(p.ctx, &lockpb.ResignRequest{Leader: leader})
	p.say("resign: %s", outcome(r.GetHeader(), err, ""))
}

func (p *play) locks() {
	for id := range int64(5) {
		p.grant(id + 10)
	}
	p.say("lock: %s", p.lock(p.ctx, "l", 10))
	p.say("lock again: %s", p.lock(p.ctx, "l", 10))
	p.say("no such lease: %s", p.lock(p.ctx, "l", 99))
	second := p.later(func() string { return p.lock(p.ctx, "l", 11) }, "l/", 2)
	impatient, cancel := context.WithCancel(p.ctx)
	third := p.later(func() string { return p.lock(impatient, "l", 12) }, "l/", 3)
	fourth := p.later(func() string { return p.lock(p.ctx, "l", 13) }, "l/", 4)
	fifth := p.later(func() string { return p.lock(p.ctx, "l", 14) }, "l/", 5)
	cancel()
	p.say("cancelled: %s", <-third)
	p.keys("l/", 4)
	if _, err := pb.NewLeaseClient(p.conn).LeaseRevoke(p.ctx, &pb.LeaseRevokeRequest{ID: 13}); err != nil {
		p.Fatal(err)
	}
	p.unlock("l/a")
	p.say("second: %s", <-second)
	p.unlock("l/b")
	p.say("its lease is gone: %s", <-fourth)
	p.say("fifth: %s", <-fifth)
	p.unlock("l/e")
	p.unlock("l/e")
	p.unlock("")
	p.say("no name: %s", p.lock(p.ctx, "", 10))
	ctx, cancel := context.WithTimeout(p.ctx, 200*time.Millisecond)
	defer cancel()
	p.say("in time: %s", p.lock(ctx, "", 11))
}

func (p *play) election() {
	for id := range int64(3) {
		p.grant(id + 20)
	}
	p.leader("e")
	said, leader := p.campaign("e", 20, "one")
	p.say("campaign: %s", said)
	p.leader("e")
	p.proclaim(leader, "two")
	p.proclaim(leader, "two")
	said, _ = p.campaign("e", 20, "two")
	p.say("campaign again: %s", said)
	said, _ = p.campaign("e", 20, "three")
	p.say("campaign with another value: %s", said)
	var next *lockpb.LeaderKey
	waiting := p.later(func() (said string) { said, next = p.campaign("e", 21, "next"); return said }, "e/", 2)
	p.leader("e")
	p.resign(leader)
	p.say("next: %s", <-waiting)
	p.resign(leader)
	p.proclaim(leader, "late")
	p.leader("e")
	p.proclaim(nil, "x")
	p.resign(nil)
	p.proclaim(&lockpb.LeaderKey{Name: []byte("e"), Key: next.Key, Rev: next.Rev, Lease: 99}, "x")
	p.proclaim(&lockpb.LeaderKey{}, "x")
	said, _ = p.campaign("e", 99, "x")
	p.say("no such lease: %s", said)
}

// observe hears of an election that has not begun.
func (p *play) observe() {
	stream, err := lockpb.NewElectionClient(p.conn).Observe(p.ctx, &lockpb.LeaderRequest{Name: []byte("o")})
	if err != nil {
		p.Fatal(err)
	}
	hear := func() {
		r, err := stream.Recv()
		p.say("observed: %s", outcome(r.GetHeader(), err, fmt.Sprintf("%v", r.GetKv())))
	}
	time.Sleep(300 * time.Millisecond) // else etcd may find who was elected meanwhile, at a later revision
	p.grant(30)
	p.grant(31)
	_, first := p.campaign("o", 30, "one")
	hear()
	waiting := p.later(func() (said string) { said, _ = p.campaign("o", 31, "next"); return said }, "o/", 2)
	p.proclaim(first, "two")
	hear()
	p.resign(first)
	p.say("next: %s", <-waiting)
	hear()
}

// Locks and elections go on etcd and on quorate alike, to the revision.
func TestSameLocksAndElections(t *testing.T) {
	run := func(address string) []string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		p := &play{T: t, ctx: ctx, conn: dial(t, address)}
		p.locks()
		p.election()
		p.observe()
		return p.lines
	}
	addresses, _ := startQuorate(t, 1)
	want, got := run(startEtcd(t)), run(addresses[0])
	differences := 0
	for i, line := range want {
		line = strings.Join(strings.Fields(line), " ") // prototext's white space differs
		if mine := strings.Join(strings.Fields(got[i]), " "); mine != line {
			differences++
			t.Errorf("step %d\netcd    %s\nquorate %s", i, line, mine)
		}
	}
	goal.Print(os.Stdout, "lock_election_differences", float64(differences), 0, differences == 0 && len(got) == len(want))
}

// The same, without what waits, as JSON.
func TestSameLockJSON(t *testing.T) {
	etcd, quorate := both(t)
	for _, s := range []struct{ path, body string }{
		{"/v3/lease/grant", `{"ID":"16","TTL":"600"}`},
		{"/v3/lease/grant", `{"ID":"17","TTL":"600"}`},
		{"/v3/lock/lock", `{"name":"bA==","lease":"16"}`},
		{"/v3/lock/lock", `{"name":"bA==","lease":16}`},
		{"/v3/lock/lock", `{"name":"bA==","lease":"18"}`},
		{"/v3/lock/lock", `{"name":7}`},
		{"/v3/lock/unlock", `{"key":"bC8xMA=="}`},
		{"/v3/lock/unlock", `{}`},
		{"/v3/election/leader", `{"name":"ZQ=="}`},
		{"/v3/election/campaign", `{"name":"ZQ==","lease":"17","value":"eA=="}`},
		{"/v3/election/leader", `{"name":"ZQ=="}`},
		{"/v3/election/proclaim", `{"leader":{"name":"ZQ==","key":"ZS8xMQ==","rev":"4","lease":"17"},"value":"eQ=="}`},
		{"/v3/election/proclaim", `{"leader":{"name":"ZQ==","key":"ZS8xMQ==","rev":"3","lease":"17"},"value":"eQ=="}`},
		{"/v3/election/proclaim", `{"value":"eQ=="}`},
		{"/v3/election/resign", `{"leader":{"name":"ZQ==","key":"ZS8xMQ==","rev":"4","lease":"17"}}`},
		{"/v3/election/resign", `{}`},
	} {
		if want, got := etcd.send(t, "POST", s.path, s.body, 0), quorate.send(t, "POST", s.path, s.body, 0); want != got {
			t.Errorf("%s %s\netcd    %v\nquorate %v", s.path, s.body, want, got)
		}
	}
	_ = etcd.send(t, "POST", "/v3/election/campaign", `{"name":"ZQ==","lease":"17","value":"eA=="}`, 0)
	_ = quorate.send(t, "POST", "/v3/election/campaign", `{"name":"ZQ==","lease":"17","value":"eA=="}`, 0)
	if want, got := etcd.send(t, "POST", "/v3/election/observe", `{"name":"ZQ=="}`, 1), quorate.send(t, "POST", "/v3/election/observe", `{"name":"ZQ=="}`, 1); want != got {
		t.Errorf("observe\netcd    %v\nquorate %v", want, got)
	}
}

// etcdctl's lock and elect, which keep a session and wait by themselves, stand in the
// same queues as the services' clients.
func TestEtcdctlLocksAndElects(t *testing.T) {
	addresses, _ := startQuorate(t, 1)
	conn := dial(t, addresses[0])
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p := &play{T: t, ctx: ctx, conn: conn}
	etcdctl := build(t, "go.etcd.io/etcd/etcdctl/v3")
	out, err := exec.CommandContext(ctx, etcdctl, "--endpoints", addresses[0], "lock", "l", "echo", "in it").Output()
	if err != nil || string(out) != "in it\n" {
		t.Errorf("%q, %v", out, err)
	}
	p.grant(10)
	if got := p.lock(ctx, "l", 10); !strings.HasSuffix(got, `"l/a"`) {
		t.Fatal(got)
	}
	waiting := p.later(func() string {
		out, err := exec.CommandContext(ctx, etcdctl, "--endpoints", addresses[0], "lock", "l", "echo", "at last").Output()
		return fmt.Sprint(string(out), err)
	}, "l/", 2)
	p.unlock("l/a")
	if got := <-waiting; got != "at last\n<nil>" {
		t.Error(got)
	}
	elected := exec.CommandContext(ctx, etcdctl, "--endpoints", addresses[0], "elect", "e", "me")
	if err := elected.Start(); err != nil {
		t.Fatal(err)
	}
	p.keys("e/", 1)
	got, err := lockpb.NewElectionClient(conn).Leader(ctx, &lockpb.LeaderRequest{Name: []byte("e")})
	if err != nil || string(got.Kv.Value) != "me" {
		t.Errorf("%v, %v", got, err)
	}
	_ = elected.Process.Kill() // its lease ends later
	_ = elected.Wait()         // it was killed
}

// Software transactional memory: transfers between accounts keep the sum.
func TestClientSTM(t *testing.T) {
	addresses, _ := startQuorate(t, 1)
	c, ctx := connect(t, addresses...), inTime(t)
	accounts := []string{"a", "b", "c"}
	for _, a := range accounts {
		if _, err := c.Put(ctx, a, "xxxx"); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error)
	for i := range 4 {
		go func() {
			var failed error
			for n := range 10 {
				from, to := accounts[(i+n)%3], accounts[(i+n+1)%3]
				_, err := concurrency.NewSTM(c, func(s concurrency.STM) error {
					if have := s.Get(from); have != "" {
						s.Put(from, have[1:])
						s.Put(to, s.Get(to)+"x")
					}
					return nil
				})
				failed = errors.Join(failed, err)
			}
			done <- failed
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	sum := ""
	for _, a := range accounts {
		got, err := c.Get(ctx, a)
		if err != nil {
			t.Fatal(err)
		}
		sum += string(got.Kvs[0].Value)
	}
	if sum != strings.Repeat("x", 12) {
		t.Errorf("the sum is %q", sum)
	}
}
