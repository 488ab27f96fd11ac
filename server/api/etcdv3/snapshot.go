package etcdv3

import (
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/backup"
)

// Snapshot streams this node's store as of now, in the form of package backup. It is
// read twice: clients are told how much is to come.
func (s *maintenanceServer) Snapshot(_ *pb.SnapshotRequest, out pb.Maintenance_SnapshotServer) error {
	view, err := s.Machine.Snapshot()
	if err != nil {
		return readError(err)
	}
	defer view.Close()
	size, err := backup.Write(io.Discard, view)
	if err != nil {
		return readError(err)
	}
	_, err = backup.Write(&blobs{server: s.Server, out: out, left: uint64(size)}, view)
	return err
}

// blobs sends what is written to it.
type blobs struct {
	server *Server
	out    pb.Maintenance_SnapshotServer
	left   uint64
}

func (b *blobs) Write(p []byte) (int, error) {
	b.left -= uint64(len(p))
	err := b.out.Send(&pb.SnapshotResponse{Header: b.server.header(0), RemainingBytes: b.left, Blob: p, Version: wire.EtcdMinor})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}
