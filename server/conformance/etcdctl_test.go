//go:build unix

package conformance

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// etcdctlScripts are command lines of etcdctl, by what they are about, one after another
// on the same server. What follows <<< is typed in. A line that begins with a number in
// brackets goes on until it is stopped, when it has printed as many lines. $lease,
// $member and $own are the last lease that was granted, the last member that was added,
// and the server itself; $dir is a directory.
var etcdctlScripts = []struct{ about, lines string }{
	{"put", `
		put a 1
		put a 2 --prev-kv
		put a 3 --prev-kv -w json
		put b <<< typed in
		put -- -dash 1
		put b --ignore-value
		put c x --lease 1234
		put c x -w fields
		put nothing --ignore-value
		put ""  x
		put`},
	{"get", `
		get a
		get a -w json
		get a -w fields
		get a --hex
		get a --print-value-only
		get a b --keys-only
		get "" --prefix --count-only -w fields
		get "" --prefix --limit 2 --keys-only
		get "" --from-key --keys-only
		get "" --prefix --sort-by VALUE --order DESCEND
		get "" --prefix --sort-by MODIFY --order ASCEND -w simple
		get a --rev 2
		get a --rev 99
		get a --consistency s
		get a --consistency x
		get "" --prefix --min-mod-rev 3 --max-mod-rev 4
		get missing
		get a --prefix --from-key
		get`},
	{"txn", `
		txn <<< value("a") = "3"\nversion("a") > "1"\n\nput t yes\nget t\n\nput t no\n\n
		txn --interactive <<< create("t") = "0"\n\nget t\n\nget t\ndel t --prev-kv\n\n
		txn -w json <<< mod("a") > "0"\n\nget a\n\n\n
		txn -w fields <<< \nput t again\n\n\n
		txn <<< nonsense\n\n\n\n
		txn <<< \nput t 1\nput t 2\n\n\n`},
	{"del", `
		put d1 1
		put d2 2
		put d3 3
		del d1 --prev-kv
		del d2 d4 --prev-kv -w json
		del d --prefix
		del missing -w fields
		del`},
	{"watch", `
		put w 1
		put w/2 2
		put w 3
		del w
		[3] watch w --rev 2
		[9] watch w --prefix --rev 2 --prev-kv
		[1] watch w --rev 2 -w json
		[2] watch w --rev 2 -- sh -c "echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE; echo at $ETCD_WATCH_REVISION"
		[3] watch -i <<< watch w --rev 2\n
		watch`},
	{"lease", `
		lease grant 1000
		put l 1 --lease=$lease
		lease list
		lease timetolive $lease --keys
		lease keep-alive $lease --once
		[1] lease keep-alive $lease
		lease revoke $lease
		lease revoke $lease
		lease timetolive $lease
		lease keep-alive $lease --once
		lease grant 1000 -w json
		lease grant none
		lease grant 0
		get l`},
	{"compaction", `
		compaction 5
		compaction 5
		compaction 6 --physical
		compaction 999
		compaction
		get a --rev 2
		[1] watch w --rev 2`},
	{"members", `
		member list
		member list -w table
		member list -w fields
		member list -w json
		member add l --learner --peer-urls http://127.0.0.1:1
		member add m --learner --peer-urls http://127.0.0.1:2
		member list -w simple
		member promote $member
		member promote $own
		move-leader $member
		member update $member --peer-urls http://127.0.0.1:3
		member update 1 --peer-urls http://127.0.0.1:4
		member remove $member
		member remove $member
		member promote 1
		member add n
		member add n --peer-urls nonsense`},
	{"endpoints", `
		endpoint health
		endpoint health -w json
		endpoint status
		endpoint status -w fields
		endpoint hashkv -w fields
		move-leader 1
		alarm list
		alarm disarm
		defrag
		snapshot save $dir/saved
		version
		check datascale --load=none`},
	{"locks", `
		lock l echo held
		lock l -- sh -c "exit 3"
		[2] elect e me`},
	{"rights", `
		auth status
		auth enable
		user add root:secret
		user add ann --interactive=false <<< pass\n
		user add ann:again
		user add bob --no-password
		role add app
		role add app
		role grant-permission app readwrite k
		role grant-permission app read dir/ --prefix
		role grant-permission app write from --from-key
		role grant-permission app nonsense k
		role get app
		role get app -w json
		role get missing
		role list
		user grant-role ann app
		user grant-role ann missing
		user get ann
		user get ann --detail
		user list -w json
		user grant-role root root
		auth enable
		get k
		get k --user ann:wrong
		put k 1 --user ann:pass
		get dir/ --prefix --user ann:pass
		put dir/x 1 --user ann:pass
		put other 1 --user ann:pass
		user list --user ann:pass
		user get ann --user ann:pass
		auth status --user root:secret
		user passwd ann --interactive=false --user root:secret <<< new\n
		get k --user ann:pass
		get k --user ann:new
		role revoke-permission app k --user root:secret
		role revoke-permission app k --user root:secret
		get k --user ann:new
		user revoke-role ann app --user root:secret
		user revoke-role ann app --user root:secret
		user delete root --user root:secret
		user delete bob --user root:secret
		user delete bob --user root:secret
		role delete app --user root:secret
		role delete root --user root:secret
		auth disable --user root:secret
		auth disable
		role list
		user list`},
	{"mistakes", `
		nonsense
		put a 1 --nonsense
		put a 1 -w nonsense
		put a 1 --lease zz
		get a b c
		get a --limit x
		get a --rev -5
		get a --sort-by NOTHING
		get a --order SIDEWAYS
		get a --print-value-only -w json
		get "" --prefix --sort-by CREATE --order DESCEND --keys-only
		get "" --prefix --sort-by VERSION --order ASCEND --keys-only
		get "" --prefix --sort-by KEY --order DESCEND --limit 2 --keys-only
		get b --from-key --rev 99999
		del a --from-key --prefix
		watch a --rev -3
		compaction x
		compaction -- -4
		lease grant x
		lease grant -- -1
		lease grant 99999999999
		lease revoke zz
		lease timetolive
		alarm raise
		user add
		user add x --no-password --new-user-password=z
		role grant-permission x
		role grant-permission root read a
		auth enable
		get a --user x:y
		get a --password y
		get a --cacert /nonexistent
		get a --command-timeout 0s
		check datascale --load=x
		check perf --load=x
		snapshot save
		snapshot save /nonexistent/x
		elect
		lock
		lock l -- false
		lock l -- /nonexistent
		lock l --ttl -1 -- true
		make-mirror
		member
		member list -w xml
		member list --consistency q
		member add a b --peer-urls http://127.0.0.1:4
		member remove zz
		member promote
		endpoint hashkv --rev 99999
		downgrade enable nonsense`},
}

// ctl plays scripts to one server.
type ctl struct {
	*testing.T
	program, address string
	members          []string          // who take turns, if they are several
	known            map[string]string // what $words stand for
	seen             map[string]string // IDs by how they are written, and what is written for them
}

// words splits a command line; what stands between quotes is one word.
func words(line string) (all []string) {
	for _, m := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		all = append(all, m[1]+m[2])
	}
	return all
}

// do runs a line and returns what came of it.
func (c *ctl) do(line string) string {
	line, typed, _ := strings.Cut(line, " <<< ")
	lines := 0
	if _, err := fmt.Sscanf(line, "[%d]", &lines); err == nil {
		_, line, _ = strings.Cut(line, "]")
	}
	for word, means := range c.known {
		line = strings.ReplaceAll(line, word, means)
	}
	ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program, append([]string{"--endpoints", c.address}, words(line)...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		c.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		c.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.Fatal(err)
	}
	if _, err := io.WriteString(in, strings.ReplaceAll(typed, `\n`, "\n")); err != nil && !errors.Is(err, syscall.EPIPE) {
		c.Fatal(err)
	}
	if lines == 0 { // else it would take the end for a wish to stop
		in.Close()
	}
	var stdout strings.Builder
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		fmt.Fprintln(&stdout, scanner.Text())
		if lines--; lines == 0 {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				c.Fatal(err)
			}
			break
		}
	}
	if _, err := io.Copy(io.Discard, out); err != nil { // what it says when it is stopped
		c.Error(err)
	}
	if err := cmd.Wait(); err != nil && ctx.Err() != nil {
		c.Errorf("%s: it does not end", line)
	}
	c.learn(stdout.String())
	printed := strings.SplitAfter(c.plain(stdout.String()), "\n")
	if strings.HasPrefix(line, "member list") {
		slices.Sort(printed) // the order is that of IDs, which are drawn
	}
	return fmt.Sprintf("exit %d\n%s%s", cmd.ProcessState.ExitCode(), strings.Join(printed, ""), c.plain(stderr.String()))
}

var learnt = map[string]*regexp.Regexp{
	"$lease":  regexp.MustCompile(`lease ([0-9a-f]+) granted`),
	"$member": regexp.MustCompile(`Member +([0-9a-f]+) added`),
	"$own":    regexp.MustCompile(`(?m)^([0-9a-f]+), started`),
}

func (c *ctl) learn(said string) {
	for word, where := range learnt {
		if m := where.FindStringSubmatch(said); m != nil {
			c.known[word] = m[1]
		}
	}
}

// What differs by nature: IDs and addresses, of which each gets a number, and the rest,
// which is left out.
var (
	ids       = regexp.MustCompile(`\b([0-9a-f]{13,16}|[0-9]{16,20})\b|127\.0\.0\.1:[0-9]{4,5}`)
	logs      = regexp.MustCompile(`(?m)^\{"level":.*\n`)
	durations = regexp.MustCompile(`[0-9.]+(µs|ms|s)\b|remaining\([0-9]+s\)`)
	numbers   = regexp.MustCompile(`("(?:raft_term|RaftTerm|raftTerm|DBSize|DBSizeInUse|RaftIndex|RaftAppliedIndex|Hash)" ?: ?)[0-9]+`)
	statuses  = regexp.MustCompile(`(?m)^(<[0-9]+>, <[0-9]+>, [0-9.]+, [0-9.]+, ).*?(, (?:true|false), (?:true|false)), [0-9]+, [0-9]+, [0-9]+,`)
	names     = regexp.MustCompile(`\bn0\b`)
	clusters  = regexp.MustCompile(`CLUSTER="[^"]*"`)
	runs      = regexp.MustCompile(`[ ─]{2,}`)
)

// plain is a text without what differs by nature.
func (c *ctl) plain(text string) string {
	text = logs.ReplaceAllString(text, "")
	text = durations.ReplaceAllString(text, "TIME")
	text = strings.ReplaceAll(text, c.known["$dir"], "DIR")
	text = names.ReplaceAllString(text, "default")
	text = clusters.ReplaceAllStringFunc(text, func(list string) string { // in the order of IDs, too
		members := strings.Split(list[len(`CLUSTER="`):len(list)-1], ",")
		slices.Sort(members)
		return fmt.Sprint("CLUSTER=", members)
	})
	text = ids.ReplaceAllStringFunc(text, func(id string) string {
		if c.seen[id] == "" {
			c.seen[id] = fmt.Sprintf("<%d>", len(c.seen)+1)
		}
		return c.seen[id]
	})
	text = numbers.ReplaceAllString(text, "${1}N")
	text = statuses.ReplaceAllString(text, "${1}SIZES$2, N,")
	return runs.ReplaceAllString(text, " ")
}

// play goes through all scripts, or those about some things, and returns what came of
// each line.
func (c *ctl) play(about ...string) (said []string) {
	for _, s := range etcdctlScripts {
		if len(about) > 0 && !slices.Contains(about, s.about) {
			continue
		}
		for line := range strings.SplitSeq(strings.TrimSpace(s.lines), "\n") {
			line = strings.TrimSpace(line)
			if len(c.members) > 0 {
				c.address = c.members[len(said)%len(c.members)]
				agree(c.T, c.members)
			}
			said = append(said, fmt.Sprintf("%s: %s\n%s", s.about, line, c.do(line)))
		}
	}
	return said
}

// etcdctl prints the same, and ends with the same code, whichever server it talks to.
func TestSameEtcdctl(t *testing.T) {
	quorate, _ := startQuorate(t, 1)
	program := build(t, "go.etcd.io/etcd/etcdctl/v3")
	var said [2][]string
	var playing sync.WaitGroup
	for i, address := range []string{startEtcd(t), quorate[0]} {
		dial(t, address) // it answers
		c := &ctl{T: t, program: program, address: address, known: map[string]string{"$dir": filepath.ToSlash(t.TempDir())}, seen: map[string]string{}}
		playing.Go(func() { said[i] = c.play() })
	}
	playing.Wait()
	sameSaid(t, said)
}

// What etcdctl prints does not depend on the member of a cluster that it talks to, once
// all of them have applied the same. The rest of the scripts is about the members themselves.
func TestSameEtcdctlOnThree(t *testing.T) {
	quorate, _ := startQuorate(t, 3, allNames[0])
	etcd := startEtcds(t, 3)
	program := build(t, "go.etcd.io/etcd/etcdctl/v3")
	var said [2][]string
	for i, members := range [][]string{etcd, quorate} {
		for _, address := range members {
			dial(t, address) // it answers
		}
		c := &ctl{T: t, program: program, members: members, known: map[string]string{"$dir": filepath.ToSlash(t.TempDir())}, seen: map[string]string{}}
		said[i] = c.play("put", "get", "txn", "del", "watch", "lease", "compaction", "locks", "rights", "mistakes")
	}
	sameSaid(t, said)
}

// sameSaid compares what was printed for etcd and for quorate.
func sameSaid(t *testing.T, said [2][]string) {
	t.Helper()
	for i := range said[0] {
		if said[0][i] != said[1][i] {
			t.Errorf("etcd says\n%s\nquorate says\n%s", said[0][i], said[1][i])
		}
	}
	if !strings.HasSuffix(said[0][0], "exit 0\nOK\n") {
		t.Errorf("nothing is done: %s", said[0][0])
	}
	t.Logf("%d commands", len(said[0]))
}

// agree waits until all members have applied the same.
func agree(t *testing.T, members []string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var applied []float64
		for _, address := range members {
			applied = append(applied, count(t, scrape(t, address), "etcd_server_proposals_applied_total"))
		}
		if slices.Min(applied) == slices.Max(applied) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the members have applied %v", applied)
		}
	}
}
