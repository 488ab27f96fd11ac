package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

func TestFramesSurvive(t *testing.T) {
	b := appendFrame(nil, frameMessages, 7, 9, []byte("ab"), nil, []byte("c"))
	b = appendFrame(b, framePing, 1<<63, 1<<62)
	r := &frameReader{r: bytes.NewReader(b), limit: 3}
	f, err := r.next()
	if err != nil || f.kind != frameMessages || f.number != 7 || f.clock != 9 || string(f.payload) != "abc" {
		t.Errorf("first: %+v, %v", f, err)
	}
	f, err = r.next()
	if err != nil || f.kind != framePing || f.number != 1<<63 || f.clock != 1<<62 || len(f.payload) != 0 {
		t.Errorf("second: %+v, %v", f, err)
	}
	if _, err := r.next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// Every bit of a frame is guarded: none can change unnoticed, and no part of a
// frame passes for the whole.
func TestEveryBitOfAFrameIsGuarded(t *testing.T) {
	good := appendFrame(nil, frameMessages, 7, 9, []byte("payload"))
	for i := range len(good) * 8 {
		b := bytes.Clone(good)
		b[i/8] ^= 1 << (i % 8)
		if f, err := (&frameReader{r: bytes.NewReader(b), limit: 1 << 20}).next(); err == nil {
			t.Errorf("bit %d changed: %+v", i, f)
		}
	}
	for n := range good {
		_, err := (&frameReader{r: bytes.NewReader(good[:n]), limit: 1 << 20}).next()
		if want := map[bool]error{true: io.EOF, false: io.ErrUnexpectedEOF}[n == 0]; err != want {
			t.Errorf("%d of %d bytes: %v", n, len(good), err)
		}
	}
}

// The length is refused before anything is allocated for it.
func TestOversizeTakesNoMemory(t *testing.T) {
	b := appendFrame(nil, frameMessages, 1, 1, make([]byte, 1001))
	r := &frameReader{r: bytes.NewReader(b), limit: 1000}
	if _, err := r.next(); !errors.Is(err, errViolation) {
		t.Errorf("got %v", err)
	}
}

// A length costs memory only as far as bytes follow it.
func TestAnAnnouncementTakesLittleMemory(t *testing.T) {
	header := appendFrame(nil, frameMessages, 1, 1, nil)
	binary.LittleEndian.PutUint32(header, hardMaxFrame)
	allocated := func(sent int) uint64 {
		said := io.MultiReader(bytes.NewReader(header), io.LimitReader(zeros{}, int64(sent)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := (&frameReader{r: said, limit: hardMaxFrame}).next(); err != io.ErrUnexpectedEOF {
			t.Errorf("after %d bytes: %v", sent, err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	for _, sent := range []int{0, 1, onTrust + 1, 5 << 20} {
		if got, most := allocated(sent), uint64(4*max(sent, onTrust)); got > most {
			t.Errorf("%d bytes of a frame took %d bytes of memory, at most %d may be", sent, got, most)
		}
	}
}

// Frames of every size around those at which memory is taken arrive whole.
func TestLongFramesSurvive(t *testing.T) {
	for _, size := range []int{0, 1, onTrust - 1, onTrust, onTrust + 1, 2 * onTrust, 2*onTrust + 1, 5*onTrust + 7} {
		payload := bytes.Repeat([]byte("0123456"), size/7+1)[:size]
		b := appendFrame(nil, frameMessages, 7, 9, payload)
		f, err := (&frameReader{r: iotest.HalfReader(bytes.NewReader(b)), limit: size}).next()
		if err != nil || !bytes.Equal(f.payload, payload) || cap(f.payload) > size {
			t.Errorf("%d bytes: %d arrive in %d, %v", size, len(f.payload), cap(f.payload), err)
		}
	}
}

// A reader that lends its memory gives each frame as it came, and takes none for a next one.
func TestLentMemoryIsUsedAgain(t *testing.T) {
	var b []byte
	sizes := []int{3, 0, 8, 9, 1}
	for i, size := range sizes {
		b = appendFrame(b, frameChunk, uint64(i), 9, bytes.Repeat([]byte{byte(i)}, size))
	}
	lent := make([]byte, 8)
	r := &frameReader{r: bytes.NewReader(b), limit: 9, lent: lent}
	for i, size := range sizes {
		f, err := r.next()
		if err != nil || !bytes.Equal(f.payload, bytes.Repeat([]byte{byte(i)}, size)) {
			t.Fatalf("frame %d of %d bytes: %x, %v", i, size, f.payload, err)
		}
		if size > 0 && (&f.payload[0] == &lent[0]) != (size <= len(lent)) {
			t.Errorf("frame %d of %d bytes has memory of its own, or does not", i, size)
		}
	}
	one := appendFrame(nil, frameChunk, 1, 9, []byte("abc"))
	for n := 1; n < len(one); n++ {
		if _, err := (&frameReader{r: bytes.NewReader(one[:n]), limit: 9, lent: lent}).next(); err != io.ErrUnexpectedEOF {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// zeros is a reader of zeros without an end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, frameMessages, 1, 2, []byte("abc")), framePing, 2, 3))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n0123456789"))
	f.Fuzz(func(t *testing.T, src []byte) {
		r := &frameReader{r: bytes.NewReader(src), limit: 1 << 16}
		for at := 0; ; {
			f, err := r.next()
			if err != nil {
				return
			}
			again := appendFrame(nil, f.kind, f.number, f.clock, f.payload)
			if !bytes.Equal(again, src[at:at+len(again)]) {
				t.Fatalf("%x is read as %x", src[at:], again)
			}
			at += len(again)
		}
	})
}

// FuzzMessages is what a peer with a right checksum can put into a frame.
func FuzzMessages(f *testing.F) {
	one, two := &node{id: 1}, &node{id: 2}
	f.Add(append(message(beat(one, two, 1)), message(beat(one, two, 2))...))
	f.Fuzz(func(t *testing.T, payload []byte) {
		messages, err := decodeMessages(1, 2, payload)
		if err != nil {
			if !errors.Is(err, errViolation) {
				t.Fatalf("not a violation: %v", err)
			}
			return
		}
		var again []byte
		for _, e := range messages {
			again = append(again, message(e)...)
		}
		if !bytes.Equal(again, payload) {
			t.Fatalf("%x is read as %x", payload, again)
		}
	})
}

func FuzzHello(f *testing.F) {
	h := hello{cluster: 1, from: 2, to: 3, origin: Origin{Life: 4}, purpose: forStream, address: "a:1"}
	f.Add(h.append(nil))
	f.Fuzz(func(t *testing.T, src []byte) {
		if h, err := decodeHello(src); err == nil && !bytes.Equal(h.append(nil), src) {
			t.Fatalf("%x is read as %+v", src, h)
		}
	})
}

// A log holds on to the frame in which a command came only if that consists of commands.
func TestAFrameIsNotKeptForALittleOfIt(t *testing.T) {
	one, two := &node{id: 1}, &node{id: 2}
	said := beat(one, two, 1)
	said.Message.Kind, said.Message.Span.Entries = raft.AppendEntries, []raft.Entry{
		{EntryID: raft.EntryID{Term: 1, Index: 1}}, {EntryID: raft.EntryID{Term: 1, Index: 2}, Data: bytes.Repeat([]byte("x"), 100)},
	}
	for _, among := range []int{0, 100} {
		frame := message(said)
		for range among {
			frame = append(frame, message(beat(one, two, 2))...)
		}
		messages, err := decodeMessages(1, 2, frame)
		if err != nil || len(messages) != 1+among {
			t.Fatalf("%d messages, %v", len(messages), err)
		}
		clear(frame)
		all := messages[0].Message.Span.Entries
		if kept := len(bytes.Trim(all[1].Data, "\x00")) == 0; len(all[0].Data) != 0 || len(all[1].Data) != 100 || kept != (among == 0) {
			t.Errorf("beside %d heartbeats a command of %d bytes shares the frame: %v", among, len(all[1].Data), kept)
		}
	}
}

func TestMessagesTravelInOneFrame(t *testing.T) {
	one, two := &node{id: 1}, &node{id: 2}
	sent := []codec.Envelope{beat(one, two, 1), beat(one, two, 2)}
	data := AppendMessages([]byte("before"), 7, 8, sent)[len("before"):]
	got, err := ReadMessages(data, 1, 2)
	if err != nil || len(got) != 2 || got[1].Message.Term != sent[1].Message.Term {
		t.Fatalf("got %v, %v", got, err)
	}
	if _, err := ReadMessages(data, 2, 1); !errors.Is(err, errViolation) {
		t.Errorf("from another node: %v", err)
	}
	for at := range data {
		data[at] ^= 1
		if _, err := ReadMessages(data, 1, 2); err == nil {
			t.Errorf("byte %d was changed, and nobody noticed", at)
		}
		data[at] ^= 1
	}
}
