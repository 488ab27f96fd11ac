package etcdv3

import (
	"context"
	"net/url"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/members"
)

// clusterServer is etcdserverpb.Cluster.
type clusterServer struct {
	*Server
	pb.UnsafeClusterServer
}

// MemberList lists the members.
func (s *clusterServer) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if r.Linearizable {
		if err := s.await(ctx); err != nil {
			return nil, err
		}
	}
	return &pb.MemberListResponse{Header: s.header(0), Members: s.members()}, nil
}

// MemberAdd adds a learner. It becomes a voter when it asks for that, having caught
// up: one that was never started must not count for a majority. If the client wishes
// for a learner it never asks.
func (s *clusterServer) MemberAdd(ctx context.Context, r *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	address, err := s.peerAddress(r.PeerURLs)
	if err != nil {
		return nil, err
	}
	m := quorate.Member{ID: members.DrawID(), Role: membership.Learner, Address: address, Info: members.Info{StaysLearner: r.IsLearner}.String()}
	err = s.change(ctx, func(ctx context.Context) error { return members.Add(ctx, s.Group, m, s.Limits.Learners) })
	if err != nil {
		return nil, err
	}
	return &pb.MemberAddResponse{Header: s.header(0), Member: s.member(m), Members: s.members()}, nil
}

// MemberRemove removes a member; the leader hands over first.
func (s *clusterServer) MemberRemove(ctx context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	if err := s.changeOne(ctx, membership.Remove, quorate.Member{ID: quorate.NodeID(r.ID)}); err != nil {
		return nil, err
	}
	return &pb.MemberRemoveResponse{Header: s.header(0), Members: s.members()}, nil
}

// MemberUpdate gives a member another address.
func (s *clusterServer) MemberUpdate(ctx context.Context, r *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	address, err := s.peerAddress(r.PeerURLs)
	if err != nil {
		return nil, err
	}
	m, known := s.Group.Status().Config.Find(quorate.NodeID(r.ID))
	if !known {
		return nil, rpctypes.ErrGRPCMemberNotFound
	}
	m.Address = address
	if err := s.changeOne(ctx, membership.Update, m); err != nil {
		return nil, err
	}
	return &pb.MemberUpdateResponse{Header: s.header(0), Members: s.members()}, nil
}

// MemberPromote makes a learner that has caught up a voter.
func (s *clusterServer) MemberPromote(ctx context.Context, r *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	if err := s.changeOne(ctx, membership.Promote, quorate.Member{ID: quorate.NodeID(r.ID)}); err != nil {
		return nil, err
	}
	return &pb.MemberPromoteResponse{Header: s.header(0), Members: s.members()}, nil
}

// changeOne changes one member that is there.
func (s *clusterServer) changeOne(ctx context.Context, kind membership.ChangeKind, m quorate.Member) error {
	return s.change(ctx, func(ctx context.Context) error {
		return members.Change(ctx, s.Group, membership.Change{Kind: kind, Member: m})
	})
}

func (s *clusterServer) change(ctx context.Context, change func(context.Context) error) error {
	waiting, cancel := context.WithTimeout(ctx, s.Limits.RequestTimeout)
	defer cancel()
	if err := s.stillRoot(waiting); err != nil {
		return err
	}
	if err := change(waiting); err != nil {
		return s.unserved(ctx, err)
	}
	return nil
}

// peerAddress takes the one address of a member out of its URLs.
func (s *clusterServer) peerAddress(urls []string) (string, error) {
	if len(urls) != 1 {
		return "", rpctypes.ErrGRPCMemberBadURLs
	}
	u, err := url.Parse(urls[0])
	if err != nil || u.Scheme != s.PeerScheme || u.Hostname() == "" || u.Port() == "" || u.Path != "" {
		return "", rpctypes.ErrGRPCMemberBadURLs
	}
	return u.Host, nil
}

func (s *clusterServer) members() (all []*pb.Member) {
	for _, m := range s.Group.Status().Config.Members {
		all = append(all, s.member(m))
	}
	return all
}

func (s *clusterServer) member(m quorate.Member) *pb.Member {
	info := members.InfoOf(m)
	return &pb.Member{
		ID: uint64(m.ID), Name: info.Name, ClientURLs: info.ClientURLs,
		PeerURLs: []string{s.PeerScheme + "://" + m.Address}, IsLearner: m.Role == membership.Learner,
	}
}
