// Package archive turns values into bytes and back by one list of their fields,
// so that nothing can be written and then forgotten when it is read.
//
// Whoever has state to be kept goes through its fields once, in a fixed order, and
// hands each to a function of this package by its address. While writing, the
// functions append the value; while reading, they set it. The bytes say nothing
// of what they mean: only the list that wrote them reads them, and whoever keeps
// them says which version of the list that was.
//
// After the first failure everything read is zero, so that only Err needs to look.
package archive

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed says that bytes were not written by the list that reads them.
var ErrMalformed = errors.New("archive: malformed bytes")

// Archive is bytes that are being written or read. The zero value is being written,
// and empty.
type Archive struct {
	buf     []byte // written so far, or still to be read
	reading bool
	failed  bool
	zeros   []byte // stands for all data of which only the length was kept
}

// Write returns an archive that appends to dst.
func Write(dst []byte) Archive { return Archive{buf: dst} }

// Read returns an archive that reads src.
func Read(src []byte) Archive { return Archive{buf: src, reading: true} }

// Reading reports whether values are set rather than kept.
func (a *Archive) Reading() bool { return a.reading }

// Bytes returns what was written so far, or what is still to be read.
func (a *Archive) Bytes() []byte { return a.buf }

// Err returns ErrMalformed if anything could not be read.
func (a *Archive) Err() error {
	if a.failed {
		return ErrMalformed
	}
	return nil
}

// Fail notes that what was read cannot be right.
func (a *Archive) Fail() { a.failed, a.buf = true, nil }

// Number keeps a number that is mostly small, in one to ten bytes.
func Number[T ~int | ~uint8 | ~uint64](a *Archive, v *T) {
	if !a.reading {
		if u := uint64(*v); u < 0x80 { // most are
			a.buf = append(a.buf, byte(u))
		} else {
			a.buf = binary.AppendUvarint(a.buf, u)
		}
		return
	}
	u, n := binary.Uvarint(a.buf)
	if n <= 0 || uint64(T(u)) != u {
		a.Fail()
		*v = 0
		return
	}
	*v, a.buf = T(u), a.buf[n:]
}

// Fixed keeps a number that may be any, in eight bytes, the lowest first.
func Fixed[T ~uint64](a *Archive, v *T) {
	switch {
	case !a.reading:
		a.buf = binary.LittleEndian.AppendUint64(a.buf, uint64(*v))
	case len(a.buf) < 8:
		a.Fail()
		*v = 0
	default:
		*v, a.buf = T(binary.LittleEndian.Uint64(a.buf)), a.buf[8:]
	}
}

// Flag keeps a truth.
func Flag(a *Archive, v *bool) {
	var b uint8
	if *v {
		b = 1
	}
	if Number(a, &b); b > 1 {
		a.Fail()
	}
	*v = b == 1
}

// Text keeps a string.
func Text(a *Archive, s *string) {
	n := len(*s)
	if Number(a, &n); !a.reading {
		a.buf = append(a.buf, *s...)
		return
	}
	if n < 0 || n > len(a.buf) {
		a.Fail()
		n = 0
	}
	*s, a.buf = string(a.buf[:n]), a.buf[n:]
}

// maxLength bounds data of which only the length is kept, in bytes.
const maxLength = 1 << 26

// Length keeps how long data are, and not what they say. What is read has as many
// zeros, which all share their memory.
func Length(a *Archive, data *[]byte) {
	n := len(*data)
	if Number(a, &n); !a.reading {
		return
	}
	switch *data = nil; {
	case n < 0 || n > maxLength:
		a.Fail()
	case n > len(a.zeros):
		a.zeros = make([]byte, max(n, 2*len(a.zeros)))
		fallthrough
	case n > 0:
		*data = a.zeros[:n:n]
	}
}

// List keeps a list, each element by its own list of fields. An empty one is nil
// when it is read.
func List[T any](a *Archive, list *[]T, element func(*Archive, *T)) {
	n := len(*list)
	if Number(a, &n); a.reading {
		*list = nil
		if n < 0 || n > len(a.buf) { // each takes a byte at least
			a.Fail()
			return
		}
		if n > 0 {
			*list = make([]T, n)
		}
	}
	for i := range *list {
		element(a, &(*list)[i])
	}
}
