package quorate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/quorate-db/quorate/snap"
)

// pieces is a view that is written in pieces of some length. One that is used up writes
// no more than once what it has.
type pieces struct {
	rest   []byte
	length int
	err    error // after the last
}

func (p *pieces) Close() error { return nil }

func (p *pieces) WriteTo(w io.Writer) (written int64, err error) {
	for len(p.rest) > 0 {
		n, err := w.Write(p.rest[:min(p.length, len(p.rest))])
		p.rest = p.rest[n:]
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, p.err
}

func held(b string) snap.Prefix {
	return snap.Prefix{Size: int64(len(b)), Sum: snap.Sum(0).Of([]byte(b))}
}

// Only what is missing is sent, wherever the pieces are cut; and nothing at all if what
// is held is not how the view begins.
func TestOnlyWhatIsMissingIsSent(t *testing.T) {
	own := errors.New("the view's own")
	for _, c := range []struct {
		held, view string
		err        error
		from       uint64
		sent       string
		want       error
	}{
		{"", "abcdef", nil, 0, "abcdef", nil},
		{"", "", nil, 0, "", nil},
		{"abc", "abcdef", nil, 3, "def", nil},
		{"abcdef", "abcdef", nil, 6, "", nil},
		{"abd", "abcdef", nil, 0, "", errAnew},
		{"abcdefg", "abcdef", nil, 0, "", errAnew},
		{"abc", "", nil, 0, "", errAnew},
		{"abc", "abcdef", own, 3, "def", own},
		{"abc", "abcdef", own, 3, "def", errAnew}, // another view may do better
	} {
		for length := 1; length <= 7; length++ {
			var stream bytes.Buffer
			w := &onward{stream: &stream, to: &stream, held: held(c.held)}
			err := w.send(&pieces{[]byte(c.view), length, c.err})
			if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Errorf("%q of %q is held, in pieces of %d: %v", c.held, c.view, length, err)
			}
			from := binary.LittleEndian.Uint64(stream.Next(8))
			if got := stream.String(); from != c.from || got != c.sent {
				t.Errorf("%q of %q is held, in pieces of %d: %q is sent from %d on", c.held, c.view, length, got, from)
			}
		}
	}
}

// severed takes so many bytes.
type severed struct{ left int }

var errSevered = errors.New("severed")

func (s *severed) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		return 0, errSevered
	}
	return len(p), nil
}

// A stream that breaks is no fault of the view, and the view is kept.
func TestAStreamThatBreaksDoesNotEndTheTransfer(t *testing.T) {
	for left := range 8 + 3 {
		w := &onward{stream: &severed{left}, held: held("abc")}
		w.to = w.stream
		if err := w.send(&pieces{[]byte("abcdef"), 2, nil}); !errors.Is(err, errSevered) || errors.Is(err, errAnew) {
			t.Errorf("after %d bytes: %v", left, err)
		}
	}
}

// While much is passed over, the receiver hears that somebody is there.
func TestWhoWaitsHearsASignOfLife(t *testing.T) {
	view := make([]byte, 2*signOfLife+1)
	heard := 0
	w := &onward{held: held(string(view)), to: io.Discard}
	w.stream = writerFunc(func(p []byte) {
		if len(p) == 0 {
			heard++
		}
	})
	if err := w.send(&pieces{view, 1 << 20, nil}); err != nil || heard != 2 {
		t.Errorf("%d signs, %v", heard, err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// What a follower says that it holds is read whole, or refused.
func FuzzHeld(f *testing.F) {
	f.Add(encodeHeld(held("abc")))
	f.Add(bytes.Repeat([]byte{0xff}, heldSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeHeld(b)
		if err == nil && (p.Size < 0 || !bytes.Equal(encodeHeld(p), b)) {
			t.Fatalf("%x is read as %+v", b, p)
		}
	})
}
