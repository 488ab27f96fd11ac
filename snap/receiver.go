package snap

import (
	"errors"
	"fmt"

	"github.com/quorate-db/quorate/raft"
)

// Receiver takes a snapshot that a leader streams to us, chunk by chunk. Where the
// chunks are cut does not matter. It ends with Commit or with Abort.
type Receiver struct {
	w    *Writer
	next int64
}

// OffsetError says that a chunk was not the next one. The receiver is as it was
// before; the sender may go on at Want.
type OffsetError struct{ Got, Want int64 } // in bytes of the content

func (e *OffsetError) Error() string {
	return fmt.Sprintf("snap: a chunk at offset %d came where the one at offset %d is expected", e.Got, e.Want)
}

// Receive begins to take a snapshot of the group that stands for meta.
func (s *Store) Receive(g raft.GroupID, meta raft.Snapshot) (*Receiver, error) {
	w, err := s.Create(g, meta)
	if err != nil {
		return nil, err
	}
	return &Receiver{w: w}, nil
}

// Next returns the offset of the chunk that is expected, which is the number of
// bytes received so far.
func (r *Receiver) Next() int64 { return r.next }

// Add takes the chunk at offset. It returns an [OffsetError] if it is not the one
// that is expected; any other error is the disk's, and final.
func (r *Receiver) Add(offset int64, chunk []byte) error {
	// IS2 Fig 13: a lost chunk would leave a gap that no checksum of ours could
	// find, since we compute them; one that comes twice would be there twice.
	if offset != r.next {
		return &OffsetError{Got: offset, Want: r.next}
	}
	n, err := r.w.Write(chunk)
	r.next += int64(n)
	return err
}

// Commit makes the snapshot durable, like [Writer.Commit]. size is the length of
// the content as the sender knows it: a stream that ended early is no snapshot, and
// is aborted.
func (r *Receiver) Commit(size int64) error {
	if size != r.next {
		return errors.Join(fmt.Errorf("snap: the stream ended after %d of %d bytes", r.next, size), r.Abort())
	}
	return r.w.Commit()
}

// Abort removes what was received.
func (r *Receiver) Abort() error { return r.w.Abort() }
