//go:build unix

package conformance

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// trio is three processes, of etcd or of quorate, and an etcdctl for each of them, for all
// and for the first two. The first one leads, until somebody else is made to.
type trio struct {
	ctl
	processes []*member
	client    *clientv3.Client // of all
	said      []string
}

// patient has nobody elected because a machine is busy: who leads is a part of what is said.
var patient = []string{"--heartbeat-interval=200", "--election-timeout=2000"}

// memberLines are played to three members that run. In front of each line stands who is
// asked: all of them, or one. $n0 to $n2 are their IDs.
const memberLines = `
	all endpoint health
	all endpoint health -w json
	all endpoint health -w table
	all endpoint health -w fields
	n1 endpoint health --cluster
	all endpoint status
	all endpoint status -w json
	all endpoint status -w table
	all endpoint status -w fields
	n2 endpoint status --cluster
	n2 endpoint status --cluster -w table
	all endpoint hashkv
	all endpoint hashkv -w json
	all endpoint hashkv -w table
	all endpoint hashkv -w fields
	n0 endpoint hashkv --cluster
	all endpoint hashkv --rev 1
	all endpoint hashkv --rev 99
	n0 member list
	n1 member list -w table
	n2 member list -w json
	n1 member list -w fields
	n2 member list --consistency s
	all defrag
	n1 defrag --cluster
	n0 snapshot save $dir/n0
	n1 snapshot save $dir/n1
	all snapshot save $dir/all
	all move-leader $n0
	all move-leader $n1
	n0 move-leader $n1
	all endpoint status
	all move-leader $n2 -w json
	n2 endpoint status
	n2 move-leader $n0
	n2 move-leader $n1
	all move-leader 5
	all move-leader
	all downgrade validate 3.5
	all downgrade validate nonsense
	all downgrade validate
	n1 downgrade enable 3.8
	n2 downgrade cancel
	n1 alarm list`

// changeLines are played to them, too. $member is a learner that never began.
const changeLines = `
	n1 member add l --learner --peer-urls http://127.0.0.1:1
	n2 member add m --learner --peer-urls http://127.0.0.1:2
	n0 member list
	n1 member list
	n2 endpoint health --cluster
	all move-leader $member
	n0 member promote $member
	n1 member promote $member
	n2 member promote $n1
	n1 member update $member --peer-urls http://127.0.0.1:3
	n2 member update $member --peer-urls http://127.0.0.1:3
	n0 member update $member --peer-urls nonsense
	n0 member add k --learner --peer-urls http://127.0.0.1:3
	n2 member update 5 --peer-urls http://127.0.0.1:4
	n1 member list -w table
	n2 member remove $member
	n1 member remove $member
	n0 member remove 5
	n0 member list`

// without are lines for three of which the third has been killed. Whoever would be left
// with nobody to agree with is told so, and goes on as before.
const without = `
	all endpoint health --command-timeout=10s
	n1 endpoint health --cluster --command-timeout=10s
	all endpoint status --command-timeout=10s
	all endpoint hashkv --command-timeout=10s
	all defrag --command-timeout=10s
	n2 get a --command-timeout=1s
	n2 put a 1 --command-timeout=1s
	all put a 1
	all get a
	all member list
	all alarm list
	n0 member remove $n1
	n1 member remove $n1
	n0 member remove $n0
	n1 member remove $n0
	two endpoint health
	n1 put b 1
	n1 member remove $n2
	n0 member list
	two put c 1
	n1 get "" --prefix`

// lonely are lines for the first member, whose two others stand still.
const lonely = `
	n0 get a --consistency s
	n0 get a --command-timeout=1s
	n0 put a 2 --command-timeout=1s
	n0 del a --command-timeout=1s
	n0 compaction 1 --command-timeout=1s
	n0 endpoint status
	n0 endpoint status -w json
	n0 endpoint health --command-timeout=1s
	n0 endpoint hashkv
	n0 member list --consistency s
	n0 member list --command-timeout=1s
	n0 member remove $n1 --command-timeout=1s
	n0 move-leader $n1
	n0 lease grant 10 --command-timeout=1s
	n0 lease revoke 1 --command-timeout=1s
	n0 lease keep-alive 1 --once
	n0 alarm list --command-timeout=1s
	n0 auth status --command-timeout=1s
	n0 defrag
	n0 snapshot save $dir/alone
	n0 watch a --rev 1`

// etcdctl's commands about members print the same for three members, whoever is asked,
// and so do those that ask all of them.
func TestSameEtcdctlAboutMembers(t *testing.T) {
	sameTrios(t, func(c *trio) {
		c.follow(memberLines)
		c.alarms()
		c.mayChange()
		c.follow(changeLines)
	})
}

// So it is with one of three dead: it can be removed, and no other one.
func TestSameEtcdctlWithoutOne(t *testing.T) {
	sameTrios(t, func(c *trio) {
		c.put("a")
		c.processes[2].kill()
		await(c.T, "a leader that misses it", func() bool { return c.leader(2) != 0 })
		c.follow(without) // the first lines take longer than an election timeout
	})
}

// So it is with members that stand still, who go on as if nothing had been.
func TestSameEtcdctlWhileOthersStandStill(t *testing.T) {
	sameTrios(t, func(c *trio) {
		c.put("a")
		for _, p := range c.processes[1:] {
			p.signal(syscall.SIGSTOP)
		}
		await(c.T, "a member that knows of no leader", func() bool { return c.leader(1) == 0 })
		c.follow(lonely)
		for _, p := range c.processes[1:] {
			p.signal(syscall.SIGCONT)
		}
		await(c.T, "a leader", func() bool { return c.leader(3) != 0 })
		c.put("b")
		c.processes[0].signal(syscall.SIGSTOP)
		c.put("c") // perhaps by another leader
		c.follow(`
			all endpoint health --command-timeout=10s
			n1 put d 1
			n2 get "" --prefix --keys-only`)
		c.processes[0].signal(syscall.SIGCONT)
		await(c.T, "members that agree", func() bool { return c.leader(3) != 0 })
		c.follow(`
			n0 get "" --prefix --keys-only
			all endpoint health`)
	})
}

// check datascale ends by itself, says the same things, and takes its keys away.
func TestSameCheckDatascale(t *testing.T) {
	sameTrios(t, func(c *trio) {
		out, err := exec.CommandContext(c.Context(), c.program, "--endpoints", c.all(3), "check", "datascale", "--load=s", "--auto-compact", "--auto-defrag").CombinedOutput()
		if err != nil {
			c.Errorf("%v: %s", err, out)
		}
		text := progress.ReplaceAllString(string(out), "")
		c.said = append(c.said, c.plain(used.ReplaceAllString(text, "N MB")))
		holds(c.T, c.client) // nothing
	})
}

var (
	progress = regexp.MustCompile(`[0-9]+ / 10000 [^\n]*p/s`)
	used     = regexp.MustCompile(`-?[0-9.]+ MB`)
)

// sameTrios does the same with three processes of etcd and three of quorate, at the same
// time, and compares what was said.
func sameTrios(t *testing.T, do func(*trio)) {
	t.Helper()
	program := build(t, "go.etcd.io/etcd/etcdctl/v3")
	var said [2][]string
	var playing sync.WaitGroup
	for i, processes := range [][]*member{startEtcdMembers(t, patient...), startMembers(t, patient...)} {
		c := &trio{processes: processes, ctl: ctl{T: t, program: program,
			known: map[string]string{"$dir": filepath.ToSlash(t.TempDir())}, seen: map[string]string{}}}
		c.client = connect(t, strings.Split(c.all(3), ",")...)
		c.meet()
		playing.Go(func() {
			do(c)
			said[i] = c.said
		})
	}
	playing.Wait()
	for i := range said[0] {
		if i >= len(said[1]) || said[0][i] != said[1][i] {
			t.Errorf("etcd says\n%s\nquorate says\n%s", said[0][i], said[1][min(i, len(said[1])-1)])
		}
	}
	t.Logf("%d commands", len(said[0]))
}

// all are the addresses of the first so many.
func (c *trio) all(most int) string {
	var addresses []string
	for _, p := range c.processes[:most] {
		addresses = append(addresses, p.client)
	}
	return strings.Join(addresses, ",")
}

// meet waits until the members are as they will be, has the first one lead, and gives
// their IDs and addresses the same numbers in each cluster.
func (c *trio) meet() {
	c.Helper()
	for _, p := range c.processes {
		dial(c.T, p.client) // it answers
	}
	await(c.T, "members that say who they are", func() bool {
		r, err := c.client.MemberList(c.Context())
		return err == nil && len(r.Members) == 3 && !slices.ContainsFunc(r.Members, func(m *pb.Member) bool { return len(m.ClientURLs) == 0 })
	})
	r, err := c.client.MemberList(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	slices.SortFunc(r.Members, func(a, b *pb.Member) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range r.Members {
		c.known["$"+m.Name] = fmt.Sprintf("%x", m.ID)
		c.plain(fmt.Sprintf("%d %x %s %s", m.ID, m.ID, m.ClientURLs[0], m.PeerURLs[0]))
	}
	await(c.T, "the first one to lead", func() bool {
		leader := c.leader(3)
		return leader != 0 && (leader == r.Members[0].ID || c.moveTo(leader, r.Members[0].ID))
	})
}

// moveTo asks the leader to hand over, and says that it is not done yet.
func (c *trio) moveTo(leader, to uint64) bool {
	for _, p := range c.processes {
		if s, err := c.client.Status(c.Context(), p.client); err == nil && s.Header.MemberId == leader {
			// It may refuse it, and is asked again then.
			_, _ = pb.NewMaintenanceClient(dial(c.T, p.client)).MoveLeader(c.Context(), &pb.MoveLeaderRequest{TargetID: to})
		}
	}
	return false
}

// leader is who leads, as the first so many say in the same term, having applied the same;
// zero if they do not, or not all of them know the version of the store and its quota yet.
func (c *trio) leader(most int) uint64 {
	said := map[[3]uint64]bool{}
	for _, p := range c.processes[:most] {
		ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
		r, err := c.client.Status(ctx, p.client)
		cancel()
		if err != nil || r.StorageVersion != "3.7.0" || r.DbSizeQuota == 0 {
			return 0
		}
		said[[3]uint64{r.Leader, r.RaftTerm, r.RaftAppliedIndex}] = true
	}
	if len(said) != 1 {
		return 0
	}
	return slices.Collect(maps.Keys(said))[0][0]
}

// mayChange waits until members may be changed: etcd refuses it for some seconds, until
// they have been connected for so long.
func (c *trio) mayChange() {
	c.Helper()
	var added *clientv3.MemberAddResponse
	await(c.T, "a change of members", func() (ok bool) {
		var err error
		added, err = c.client.MemberAddAsLearner(c.Context(), []string{"http://127.0.0.1:9"})
		return err == nil
	})
	if _, err := c.client.MemberRemove(c.Context(), added.Member.ID); err != nil {
		c.Error(err)
	}
}

// put puts a key, as often as it takes.
func (c *trio) put(key string) {
	c.Helper()
	await(c.T, "a put", func() bool {
		ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
		defer cancel()
		_, err := c.client.Put(ctx, key, key)
		return err == nil
	})
}

// follow plays lines, each of which begins with who is asked.
func (c *trio) follow(lines string) {
	for line := range strings.SplitSeq(strings.TrimSpace(lines), "\n") {
		line = strings.TrimSpace(line)
		who, command, _ := strings.Cut(line, " ")
		switch who {
		case "all":
			c.address = c.all(3)
		case "two":
			c.address = c.all(2)
		default:
			c.address = c.processes[who[1]-'0'].client
		}
		if lines == memberLines || lines == changeLines { // all of them run
			await(c.T, "members that agree", func() bool { return c.leader(3) != 0 })
		}
		c.said = append(c.said, line+"\n"+inOrder(c.do(command)))
	}
}

// alarms raises one alarm of each member, lists them and ends them.
func (c *trio) alarms() {
	for i, kind := range []pb.AlarmType{pb.AlarmType_NOSPACE, pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT} {
		var id uint64
		if _, err := fmt.Sscanf(c.known[fmt.Sprint("$n", i)], "%x", &id); err != nil {
			c.Error(err)
		}
		raise := &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: id, Alarm: kind}
		if _, err := pb.NewMaintenanceClient(dial(c.T, c.processes[(i+1)%3].client)).Alarm(c.Context(), raise); err != nil {
			c.Error(err)
		}
	}
	await(c.T, "members that agree", func() bool { return c.leader(3) != 0 })
	c.follow(`
		n0 alarm list
		n1 alarm list -w json
		n2 alarm list -w fields
		all put a 1
		n2 endpoint health
		all endpoint health --cluster
		n0 alarm disarm
		n1 alarm list
		all endpoint health
		n1 put a 1`)
}

// What else differs by nature where all members are asked: sizes, shares, hashes, and in
// a table terms and indices; and the order, which is that of IDs or of who was quicker.
var (
	sizes  = regexp.MustCompile(`[0-9.]+ [kM]?B\b|\b[0-9]+%|("(?:dbSize|dbSizeInUse|raftIndex|raftAppliedIndex|hash)" ?: ?)[0-9]+`)
	hashes = regexp.MustCompile(`(?m)^((?:│ )?(?:http://)?<[0-9]+>(?:,| │) )[0-9]+((?:,| │) -?[0-9]+(?: │)?)$`)
	values = regexp.MustCompile(`(?m)^(http://<[0-9]+>, <.*?(?:true|false), (?:true|false)), [0-9]+, [0-9]+, [0-9]+,`)
	raised = regexp.MustCompile(`(Active Alarm\(s\): ).*`)
	terms  = regexp.MustCompile(`(│ (?:true|false) │ (?:true|false) │) [0-9]+ │ [0-9]+ │ [0-9]+ │`)
)

func inOrder(said string) string {
	said = sizes.ReplaceAllString(said, "${1}N")
	said = hashes.ReplaceAllString(said, "${1}N$2")
	said = values.ReplaceAllString(said, "$1, N,")
	said = raised.ReplaceAllStringFunc(said, func(list string) string { // etcd's order is that of a map
		kinds := strings.Fields(list)
		slices.Sort(kinds)
		return strings.Join(kinds, " ")
	})
	said = terms.ReplaceAllString(said, "$1 N │")
	lines := strings.FieldsFunc(said, func(r rune) bool { return strings.ContainsRune("\n{}[]", r) })
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// startEtcdMembers runs three processes of etcd, with more flags.
func startEtcdMembers(t *testing.T, more ...string) (all []*member) {
	t.Helper()
	home, program := t.TempDir(), build(t, "go.etcd.io/etcd/server/v3")
	var peers, seeds []string
	for i := range 3 {
		peers = append(peers, "http://127.0.0.1:"+freePort(t))
		seeds = append(seeds, fmt.Sprintf("n%d=%s", i, peers[i]))
	}
	for i := range 3 {
		m := &member{T: t, client: "127.0.0.1:" + freePort(t), log: filepath.Join(home, fmt.Sprint("log", i))}
		m.command = []string{program, fmt.Sprint("--name=n", i), "--data-dir=" + filepath.Join(home, fmt.Sprint("n", i)),
			"--unsafe-no-fsync", "--log-level=error", "--listen-client-urls=http://" + m.client, "--advertise-client-urls=http://" + m.client,
			"--listen-peer-urls=" + peers[i], "--initial-advertise-peer-urls=" + peers[i], "--initial-cluster=" + strings.Join(seeds, ",")}
		m.command = append(m.command, more...)
		m.start()
		t.Cleanup(m.kill)
		all = append(all, m)
	}
	return all
}
