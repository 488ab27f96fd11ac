package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/quorate-db/quorate/codec"
)

const (
	frameHeader  = 16
	recordHeader = 4

	// maxBatch keeps a length within its four bytes.
	maxBatch = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal is what makes the frames of one segment valid there and nowhere else.
type seal struct{ salt, mark uint32 }

// appendBatch appends the records as one frame, which is not valid before it is
// sealed: only then is it known where it will stand.
func appendBatch(dst []byte, records []codec.Record) []byte {
	dst = append(dst, make([]byte, frameHeader)...)
	for i := range records {
		start := len(dst)
		dst = append(dst, make([]byte, recordHeader)...)
		dst = codec.AppendRecord(dst, &records[i])
		binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start-recordHeader))
	}
	return dst
}

// close fills in the header of a frame that will stand at offset.
func (s seal) close(frame []byte, offset int64) {
	payload := frame[frameHeader:]
	binary.LittleEndian.PutUint32(frame[0:], s.mark)
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(frame[8:], crc32.Update(s.salt, castagnoli, payload))
	binary.LittleEndian.PutUint32(frame[12:], s.headerSum(frame, offset))
}

// headerSum depends on the offset, so that a frame that was copied to another
// place, by a confused disk or inside somebody's data, is not valid there.
func (s seal) headerSum(frame []byte, offset int64) uint32 {
	return crc32.Update(s.salt+uint32(offset), castagnoli, frame[:12])
}

// header returns the length of the payload of the frame at offset, if there is
// the header of one.
func (s seal) header(data []byte, offset int) (length int, valid bool) {
	if len(data)-offset < frameHeader {
		return 0, false
	}
	return s.length(data[offset:offset+frameHeader], int64(offset))
}

// length is what the header of a frame at offset says.
func (s seal) length(header []byte, offset int64) (length int, valid bool) {
	n := binary.LittleEndian.Uint32(header[4:])
	if n == 0 || n > maxBatch || binary.LittleEndian.Uint32(header) != s.mark {
		return 0, false
	}
	return int(n), binary.LittleEndian.Uint32(header[12:]) == s.headerSum(header, offset)
}

// frame returns the payload of the frame at offset, nil if no valid one is there.
func (s seal) frame(data []byte, offset int) []byte {
	length, valid := s.header(data, offset)
	if !valid || length > len(data)-offset-frameHeader {
		return nil
	}
	payload := data[offset+frameHeader:][:length]
	if !s.fits(data[offset:], payload) {
		return nil
	}
	return payload
}

// fits reports whether a payload is the one that belongs to the header.
func (s seal) fits(header, payload []byte) bool {
	return crc32.Update(s.salt, castagnoli, payload) == binary.LittleEndian.Uint32(header[8:])
}

// read is frame for one that is in a file, and of which memory has nothing.
func (s seal) read(file io.ReaderAt, offset int64) (payload []byte, err error) {
	header := make([]byte, frameHeader)
	if err := readFull(file, header, offset); err != nil {
		return nil, err
	}
	length, valid := s.length(header, offset)
	if !valid {
		return nil, nil
	}
	payload = make([]byte, length)
	if err := readFull(file, payload, offset+frameHeader); err != nil || !s.fits(header, payload) {
		return nil, err
	}
	return payload, nil
}

// headerAfter looks for the header of a frame behind offset. A header is enough: a
// batch is not begun before the one in front of it is synced, so that even one
// of which nothing else is left proves that what is at offset was once durable.
func (s seal) headerAfter(data []byte, offset int) (int, bool) {
	mark := binary.LittleEndian.AppendUint32(nil, s.mark)
	for at := offset + 1; at < len(data); at++ {
		step := bytes.Index(data[at:], mark)
		if step < 0 {
			return 0, false
		}
		at += step
		if _, valid := s.header(data, at); valid {
			return at, true
		}
	}
	return 0, false
}

// decodeBatch calls each with the records of a payload, and how many bytes of it they take.
// What they hold aliases it.
func decodeBatch(payload []byte, each func(record codec.Record, bytes int64) error) error {
	for len(payload) > 0 {
		if len(payload) < recordHeader {
			return fmt.Errorf("%d bytes are left over at the end of a batch", len(payload))
		}
		length := binary.LittleEndian.Uint32(payload)
		payload = payload[recordHeader:]
		if uint64(length) > uint64(len(payload)) {
			return fmt.Errorf("a record of %d bytes in the last %d bytes of a batch", length, len(payload))
		}
		record, err := codec.DecodeRecord(payload[:length:length])
		if err != nil {
			return err
		}
		if err := each(record, recordHeader+int64(length)); err != nil {
			return err
		}
		payload = payload[length:]
	}
	return nil
}
