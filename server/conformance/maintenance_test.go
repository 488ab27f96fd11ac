package conformance

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/quorate-db/quorate/server/backup"
)

// teller is a server that is told a script, and what it said to each step.
type teller struct {
	t    *testing.T
	conn *grpc.ClientConn
	web  web
	own  uint64 // its member ID, in the place of which "own" is noted
	said []string
}

// tell has a new etcd and a new quorate, each alone, go through a script, and
// compares what they said.
func tell(t *testing.T, flags []string, script func(*teller)) {
	t.Helper()
	quorate, _ := startQuorate(t, 1, flags...)
	var all [][]string
	for _, address := range []string{startEtcd(t, flags...), quorate[0]} {
		s := &teller{t: t, conn: dial(t, address), web: web{"http://" + address}}
		status, err := pb.NewMaintenanceClient(s.conn).Status(t.Context(), &pb.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		s.own = status.Header.MemberId
		script(s)
		all = append(all, s.said)
	}
	for i := range max(len(all[0]), len(all[1])) {
		if i >= len(all[0]) || i >= len(all[1]) || all[0][i] != all[1][i] {
			t.Errorf("step %d:\netcd    %q\nquorate %q", i, all[0][min(i, len(all[0])-1)], all[1][min(i, len(all[1])-1)])
		}
	}
}

func (s *teller) ctx() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	s.t.Cleanup(cancel)
	return ctx
}

var spaces = regexp.MustCompile(`\s+`)

// note notes an answer, but for who gave it, and returns its error.
func (s *teller) note(m proto.Message, err error) error {
	if h, ok := m.(headed); ok && err == nil && h.GetHeader() != nil {
		h.GetHeader().ClusterId, h.GetHeader().MemberId, h.GetHeader().RaftTerm = 0, 0, 0
	}
	text := answer{message: m, err: err}.text()
	if err == nil {
		text = fmt.Sprintf("%T %s", m, text[strings.Index(text, "\n"):]) // without the bytes
	}
	s.noteText(text)
	return err
}

func (s *teller) noteText(text string) { s.said = append(s.said, s.plain(text)) }

// plain is a text without what is another one in each cluster.
func (s *teller) plain(text string) string {
	return spaces.ReplaceAllString(strings.ReplaceAll(text, fmt.Sprint(s.own), "own"), " ")
}

func (s *teller) health(path string) {
	got := s.web.send(s.t, "GET", path, "", 0)
	s.noteText(fmt.Sprint(path, got.status, got.body))
}

func (s *teller) alarm(action pb.AlarmRequest_AlarmAction, kind pb.AlarmType, member uint64) *pb.AlarmResponse {
	r, err := pb.NewMaintenanceClient(s.conn).Alarm(s.ctx(), &pb.AlarmRequest{Action: action, Alarm: kind, MemberID: member})
	slices.SortFunc(r.GetAlarms(), func(a, b *pb.AlarmMember) int { return cmp.Compare(a.MemberID, b.MemberID) }) // etcd's order is that of a map
	_ = s.note(r, err)
	return r
}

// all asks for one of each.
func (s *teller) all(revision int64) {
	kv, lease := pb.NewKVClient(s.conn), pb.NewLeaseClient(s.conn)
	put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("k")}}}
	del := &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("nothing")}}}
	get := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("k")}}}
	for _, r := range []proto.Message{
		&pb.PutRequest{Key: []byte("k"), Value: []byte("v")},
		&pb.RangeRequest{Key: []byte("k")},
		&pb.RangeRequest{Key: []byte("k"), Serializable: true},
		&pb.DeleteRangeRequest{Key: []byte("nothing")},
		&pb.TxnRequest{Success: []*pb.RequestOp{put}},
		&pb.TxnRequest{Failure: []*pb.RequestOp{put}},
		&pb.TxnRequest{Success: []*pb.RequestOp{del}},
		&pb.TxnRequest{Success: []*pb.RequestOp{get}},
		&pb.CompactionRequest{Revision: revision},
	} {
		a := ask(s.t, kv, r)
		_ = s.note(a.message, a.err)
	}
	granted, err := lease.LeaseGrant(s.ctx(), &pb.LeaseGrantRequest{ID: revision, TTL: 100})
	_ = s.note(granted, err)
	revoked, err := lease.LeaseRevoke(s.ctx(), &pb.LeaseRevokeRequest{ID: 77})
	_ = s.note(revoked, err)
}

// Alarms raised and ended by hand, and what they forbid.
func TestSameAlarms(t *testing.T) {
	tell(t, nil, func(s *teller) {
		const get, on, off = pb.AlarmRequest_GET, pb.AlarmRequest_ACTIVATE, pb.AlarmRequest_DEACTIVATE
		const any, space, corrupt = pb.AlarmType_NONE, pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT
		s.alarm(get, any, 0)
		s.all(2)
		for round, kind := range []pb.AlarmType{space, corrupt} {
			s.alarm(on, kind, s.own)
			s.alarm(on, kind, s.own)
			s.alarm(on, kind, 5)
			s.all(int64(3 + round))
			s.alarm(get, any, 0)
			s.alarm(get, space, 0)
			s.alarm(get, corrupt, s.own)
			s.health("/health")
			s.health("/health?exclude=NOSPACE")
			s.health("/readyz/data_corruption")
			status, err := pb.NewMaintenanceClient(s.conn).Status(s.ctx(), &pb.StatusRequest{})
			if err != nil {
				s.t.Fatal(err)
			}
			for i := range status.Errors {
				status.Errors[i] = s.plain(strings.TrimSpace(status.Errors[i]))
			}
			slices.Sort(status.Errors)
			s.noteText(fmt.Sprint(status.Errors))
			s.alarm(off, kind, s.own)
			s.alarm(off, kind, s.own)
			s.alarm(off, kind, 5)
		}
		s.alarm(on, any, s.own)
		s.alarm(off, any, s.own)
		s.alarm(get, any, 0)
		s.health("/health")
		s.all(5)
	})
}

// Where nothing is said there is a quota. It is decided through the log, so a node has
// it a moment after it has begun.
func TestSameDefaultQuota(t *testing.T) {
	tell(t, nil, (*teller).quota)
}

// quota waits for the quota to be in force, and notes it.
func (s *teller) quota() {
	for {
		status, err := pb.NewMaintenanceClient(s.conn).Status(s.ctx(), &pb.StatusRequest{})
		if err != nil {
			s.t.Fatal(err)
		}
		if status.DbSizeQuota != 0 {
			s.noteText(fmt.Sprint("quota ", status.DbSizeQuota))
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Beyond the quota, what is refused and what is not, and how there is room again.
func TestSameQuota(t *testing.T) {
	const quota = 4 << 20
	tell(t, []string{fmt.Sprint("--quota-backend-bytes=", quota)}, func(s *teller) {
		kv, maintenance := pb.NewKVClient(s.conn), pb.NewMaintenanceClient(s.conn)
		before := func() *pb.StatusResponse {
			status, err := maintenance.Status(s.ctx(), &pb.StatusRequest{})
			if err != nil {
				s.t.Fatal(err)
			}
			s.noteText(fmt.Sprint("quota ", status.DbSizeQuota, " errors ", len(status.Errors), status.DbSize >= status.DbSizeInUse))
			return status
		}
		s.quota()
		before()
		var last int64
		for n := 0; ; n++ {
			r, err := kv.Put(s.ctx(), &pb.PutRequest{Key: fmt.Append(nil, n), Value: make([]byte, 1<<20)})
			if err != nil {
				s.noteText(err.Error())
				break
			}
			if last = r.Header.Revision; n > 100 { // etcd's size is that of its last commit, up to 100 ms ago
				s.t.Fatal("the quota is not heeded")
			}
		}
		before()
		alarms, err := maintenance.Alarm(s.ctx(), &pb.AlarmRequest{})
		if err != nil || len(alarms.Alarms) != 1 || alarms.Alarms[0].MemberID != s.own {
			s.t.Fatalf("%v, %v", alarms, err)
		}
		s.health("/health")
		s.health("/readyz")
		outcome := func(m proto.Message, err error) { s.noteText(fmt.Sprintf("%T %v", m, err)) }
		for _, r := range []proto.Message{
			&pb.PutRequest{Key: []byte("k")},
			&pb.RangeRequest{Key: []byte("k")},
			&pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}},
			&pb.CompactionRequest{Revision: last + 1, Physical: true},
		} {
			outcome(r, ask(s.t, kv, r).err)
		}
		// etcd's alarm stays until it is ended, and its file has to become smaller first,
		// which may take it more than one attempt. Ours has gone; to end it is no error.
		for put := error(context.Canceled); put != nil; {
			_, err := maintenance.Defragment(s.ctx(), &pb.DefragmentRequest{})
			_, ended := maintenance.Alarm(s.ctx(), &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, Alarm: pb.AlarmType_NOSPACE, MemberID: s.own})
			if put = ask(s.t, kv, &pb.PutRequest{Key: []byte("k")}).err; err != nil || ended != nil {
				s.t.Fatal(err, ended)
			}
			_ = ask(s.t, kv, &pb.CompactionRequest{Revision: last + 2, Physical: true}) // of the put, if it was done
		}
		before()
		s.health("/health")
	})
}

// History goes by itself after the time that it is kept.
func TestSameAutoCompaction(t *testing.T) {
	tell(t, []string{"--auto-compaction-mode=periodic", "--auto-compaction-retention=1s"}, func(s *teller) {
		kv := pb.NewKVClient(s.conn)
		for range 3 {
			a := ask(s.t, kv, &pb.PutRequest{Key: []byte("k"), Value: []byte("v")})
			_ = s.note(a.message, a.err)
		}
		old := ask(s.t, kv, &pb.RangeRequest{Key: []byte("k"), Revision: 2})
		for _ = s.note(old.message, old.err); old.err == nil; time.Sleep(50 * time.Millisecond) {
			old = ask(s.t, kv, &pb.RangeRequest{Key: []byte("k"), Revision: 2})
		}
		_ = s.note(old.message, old.err)
		now := ask(s.t, kv, &pb.RangeRequest{Key: []byte("k")})
		_ = s.note(now.message, now.err)
	})
}

// Hashes of what is there and what is not, downgrades, and leadership handed to nobody.
func TestSameMaintenance(t *testing.T) {
	tell(t, nil, func(s *teller) {
		kv, maintenance := pb.NewKVClient(s.conn), pb.NewMaintenanceClient(s.conn)
		hash := func(revision int64) {
			r, err := maintenance.HashKV(s.ctx(), &pb.HashKVRequest{Revision: revision})
			if err == nil {
				r.Hash = min(1, r.Hash) // not the same function
			}
			_ = s.note(r, err)
		}
		hash(0)
		for range 4 {
			a := ask(s.t, kv, &pb.PutRequest{Key: []byte("k"), Value: []byte("v")})
			_ = s.note(a.message, a.err)
		}
		for _, revision := range []int64{0, 1, 3, 5, 6} {
			hash(revision)
		}
		a := ask(s.t, kv, &pb.CompactionRequest{Revision: 4, Physical: true})
		_ = s.note(a.message, a.err)
		for _, revision := range []int64{0, 3, 5, 6} { // at 4 etcd says that nothing was compacted
			hash(revision)
		}
		whole, err := maintenance.Hash(s.ctx(), &pb.HashRequest{})
		if err == nil {
			whole.Hash = min(1, whole.Hash)
		}
		_ = s.note(whole, err)
		for _, version := range []string{"", "3", "3.4", "3.7", "3.7.0", "4.0", "nonsense", "3.x"} {
			for _, action := range []pb.DowngradeRequest_DowngradeAction{pb.DowngradeRequest_VALIDATE, pb.DowngradeRequest_ENABLE, pb.DowngradeRequest_CANCEL, 7} {
				d, err := maintenance.Downgrade(s.ctx(), &pb.DowngradeRequest{Action: action, Version: version})
				_ = s.note(d, err)
			}
		}
		for _, target := range []uint64{0, 5, s.own} {
			m, err := maintenance.MoveLeader(s.ctx(), &pb.MoveLeaderRequest{TargetID: target})
			_ = s.note(m, err)
		}
	})
}

// Members that have come as far have the same hash.
func TestMembersHaveTheSameHash(t *testing.T) {
	addresses, _ := startQuorate(t, 3)
	var last int64
	for n := range 50 {
		r, err := pb.NewKVClient(dial(t, addresses[n%3])).Put(t.Context(), &pb.PutRequest{Key: fmt.Append(nil, n%7), Value: fmt.Append(nil, n)})
		if err != nil {
			t.Fatal(err)
		}
		last = r.Header.Revision
	}
	sums := map[string]bool{}
	for _, address := range addresses {
		conn := dial(t, address)
		if _, err := pb.NewKVClient(conn).Range(t.Context(), &pb.RangeRequest{Key: []byte("1")}); err != nil { // waits for the rest
			t.Fatal(err)
		}
		r, err := pb.NewMaintenanceClient(conn).HashKV(t.Context(), &pb.HashKVRequest{Revision: last})
		if err != nil {
			t.Fatal(err)
		}
		sums[fmt.Sprint(r.Hash, r.HashRevision, r.CompactRevision)] = true
	}
	if len(sums) != 1 {
		t.Errorf("hashes %v", sums)
	}
}

// etcd's own client saves a snapshot, and takes it for whole; so does quorate.
func TestClientSavesASnapshot(t *testing.T) {
	addresses, _ := startQuorate(t, 1)
	connect(t, addresses...)
	path := filepath.Join(t.TempDir(), "a.snap")
	version, err := snapshot.SaveWithVersion(t.Context(), zap.NewNop(), clientv3.Config{Endpoints: addresses}, path)
	if err != nil || version != "3.7.0" { // the storage's, as of etcd 3.7.3
		t.Fatal(version, err)
	}
	file, err := backup.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
}
