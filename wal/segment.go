package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
)

const (
	magic         = "quoratew"
	version       = 3
	oldestVersion = 2 // that is read; it has no entries that are said again
	segmentHeader = 40

	suffix          = ".wal"
	temporarySuffix = ".wal.tmp"
	nameDigits      = 20
)

// segment is one file of the log, as far as memory needs to know it.
type segment struct {
	number uint64
	seal   seal
	before int64 // size of the segment before, zero for number 1
	size   int64 // bytes, header included; the file may be longer

	begun  int64                // where its first batch is or will be, behind what it states of the groups
	live   int64                // bytes, about, of the entries that are needed and stand here
	pieces map[raft.GroupID]int // how many of its pieces stand here; no others are in it
	until  uint64               // it may not go before the segment of this number has begun (see rebase)
}

// newSegment returns the one after the given segment, which is nil for the first.
func newSegment(after *segment, random env.Random) *segment {
	if after == nil {
		after = &segment{}
	}
	n := random.Uint64()
	// An odd mark is not zero: a tail of zeros never looks like a frame.
	return &segment{
		number: after.number + 1,
		before: after.size,
		seal:   seal{salt: uint32(n >> 32), mark: uint32(n) | 1},
		size:   segmentHeader,
		pieces: map[raft.GroupID]int{},
	}
}

func (s *segment) appendHeader(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, version)
	dst = binary.LittleEndian.AppendUint32(dst, s.seal.salt)
	dst = binary.LittleEndian.AppendUint32(dst, s.seal.mark)
	dst = binary.LittleEndian.AppendUint64(dst, s.number)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.before))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// parseHeader returns the segment whose file begins with data.
func parseHeader(data []byte, number uint64) (*segment, error) {
	if len(data) < segmentHeader {
		return nil, fmt.Errorf("the file is shorter than its header of %d bytes", segmentHeader)
	}
	if string(data[:len(magic)]) != magic {
		return nil, errors.New("this is no segment of a log")
	}
	if !headerIntact(data) {
		return nil, errors.New("the checksum of the header does not match")
	}
	if got := binary.LittleEndian.Uint64(data[20:]); got != number {
		return nil, fmt.Errorf("the header belongs to segment %d", got)
	}
	return &segment{
		number: number,
		seal:   seal{salt: binary.LittleEndian.Uint32(data[12:]), mark: binary.LittleEndian.Uint32(data[16:])},
		before: int64(binary.LittleEndian.Uint64(data[28:])),
		pieces: map[raft.GroupID]int{},
	}, nil
}

func headerIntact(data []byte) bool {
	const end = segmentHeader - 4
	return crc32.Checksum(data[:end], castagnoli) == binary.LittleEndian.Uint32(data[end:])
}

// checkVersion looks only at the version, which is in the same place in every
// format there will be.
func checkVersion(data []byte, path string) error {
	if len(data) < segmentHeader || string(data[:len(magic)]) != magic {
		return nil // not for the version to complain about
	}
	got := binary.LittleEndian.Uint32(data[8:])
	if got >= oldestVersion && got <= version || !headerIntact(data) {
		return nil
	}
	return fmt.Errorf("wal: %s has format version %d, this program reads %d to %d; start the version of quorate that wrote it",
		path, got, oldestVersion, version)
}

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%0*d%s", nameDigits, number, suffix))
}

func temporaryPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%0*d%s", nameDigits, number, temporarySuffix))
}

// parseName returns the number in a file name that has the given suffix.
func parseName(name, suffix string) (number uint64, ok bool) {
	digits, found := strings.CutSuffix(name, suffix)
	if !found || len(digits) != nameDigits {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil && number > 0
}
