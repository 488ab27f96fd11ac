//go:build unix

package transport

import (
	"bytes"
	"crypto/rand"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// ends are both ends of a connection.
func ends(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func eagerWriter(t *testing.T) (w *writer, theirs net.Conn) {
	t.Helper()
	ours, theirs := ends(t)
	n := start(t, 1)
	l := Limits{}.withDefaults()
	return &writer{conn: ours, queue: newQueue(n.hlc, &l), sent: new(atomic.Uint64), eager: newEager(ours)}, theirs
}

// What is pushed is written by who pushes it: nobody else is there.
func TestWhatIsPushedIsWritten(t *testing.T) {
	w, theirs := eagerWriter(t)
	frames := &frameReader{r: theirs, limit: 1 << 20}
	for number := range uint64(3) {
		if _, err := w.queue.add(urgent, frameMessages, 1, []byte("message")); err != nil {
			t.Fatal(err)
		}
		if !w.push() {
			t.Fatal("it was not written")
		}
		if f, err := frames.next(); err != nil || f.number != number+1 || string(f.payload) != "message" {
			t.Fatalf("%+v, %v", f, err)
		}
	}
	w.stop()
	if _, err := w.queue.add(urgent, frameMessages, 1, []byte("for another connection")); err != nil {
		t.Fatal(err)
	}
	if w.push() || w.queue.waiting() == 0 {
		t.Error("it was written to a connection that is not used any more")
	}
}

// What the system does not take at once is written by the writer's goroutine, and nothing
// overtakes it, is lost or comes twice; who pushes waits for none of it.
func TestWhatIsNotTakenAtOnceIsWrittenLater(t *testing.T) {
	w, theirs := eagerWriter(t)
	body := make([]byte, pushBytes/4)
	rand.Read(body)
	put := func() bool {
		if _, err := w.queue.add(urgent, frameMessages, 1, body); err != nil {
			t.Fatal(err)
		}
		return w.push()
	}
	frames := uint64(1)
	for ; put(); frames++ { // until the buffers of a connection that nobody reads are full
	}
	if w.batch == nil || put() {
		t.Fatal("what nobody takes was written")
	}
	frames++

	done := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := w.run(done); err != nil {
			t.Errorf("writing: %v", err)
		}
	})
	w.queue.signal()
	read := &frameReader{r: theirs, limit: 1 << 20}
	for number := uint64(1); number <= frames; number++ {
		if f, err := read.next(); err != nil || f.number != number || !bytes.Equal(f.payload, body) {
			t.Fatalf("frame %d of %d: number %d, %d bytes, %v", number, frames, f.number, len(f.payload), err)
		}
	}
	close(done)
	writing.Wait()
}

// Many goroutines push while the writer's own writes, and the peer reads: frames come
// in the order of their numbers, and each once.
func TestPushersAndWriterTakeTurns(t *testing.T) {
	w, theirs := eagerWriter(t)
	const pushers, each = 8, 500
	done := make(chan struct{})
	var writing, pushing sync.WaitGroup
	writing.Go(func() {
		if err := w.run(done); err != nil {
			t.Errorf("writing: %v", err)
		}
	})
	for p := range byte(pushers) {
		pushing.Go(func() {
			body := bytes.Repeat([]byte{p}, 100*int(p+1))
			for range each {
				if _, err := w.queue.add(urgent, frameMessages, 1, body); err != nil {
					t.Errorf("it was refused: %v", err)
					return
				}
				if !w.push() {
					w.queue.signal()
				}
			}
		})
	}
	counts := [pushers]int{}
	read := &frameReader{r: theirs, limit: 1 << 20}
	for number := range uint64(pushers * each) {
		f, err := read.next()
		if err != nil || f.number != number+1 {
			t.Fatalf("frame %d after %d, %v", f.number, number, err)
		}
		counts[f.payload[0]]++
	}
	pushing.Wait()
	close(done)
	writing.Wait()
	for p, n := range counts {
		if n != each {
			t.Errorf("%d of %d frames came from %d", n, each, p)
		}
	}
}
