package transport

import "encoding/binary"

// pieceSize is how much of a frame that is longer than stride is sent at a time, in
// bytes: on a slow connection what is urgent waits for no more.
const pieceSize = 64 << 10

// laneFor is where a call or an answer of so many bytes goes.
func laneFor(size int) int {
	if size > pieceSize {
		return bulk
	}
	return urgent
}

// lane is frames that wait, in their order. They are sealed when they are taken.
type lane struct {
	frames []byte
	gone   int    // bytes of them that were taken
	begun  int    // bytes that are left of the first frame, of which a piece was taken; zero: none was
	put    uint64 // frames so far
	taken  uint64 // of them, those that a writer was given a part of
}

func (l *lane) waiting() []byte { return l.frames[l.gone:] }

func (l *lane) size() int { return len(l.frames) - l.gone }

func (l *lane) empty() bool { return l.size() == 0 }

// append writes a frame without number and clock, in whose place stands how many messages
// it holds.
func (l *lane) append(kind frameType, messages int, parts [][]byte) {
	var header [headerSize]byte
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	binary.LittleEndian.PutUint32(header[:], uint32(size))
	header[8] = byte(kind)
	binary.LittleEndian.PutUint64(header[9:], uint64(messages))
	l.frames = append(l.frames, header[:]...)
	for _, p := range parts {
		l.frames = append(l.frames, p...)
	}
	l.put++
}

// frameSize is how long the first of some frames is.
func frameSize(frames []byte) int { return headerSize + int(binary.LittleEndian.Uint32(frames)) }

// handOver counts a frame as taken, and returns how many messages it holds.
func (l *lane) handOver(frame []byte) int {
	l.taken++
	return int(binary.LittleEndian.Uint64(frame[9:]))
}

// whole is the size of the frames at the front that are no longer than so many bytes
// together; zero if the first was begun.
func (l *lane) whole(most int) (n int) {
	if l.begun > 0 {
		return 0
	}
	for rest := l.waiting(); len(rest) > 0; {
		size := frameSize(rest)
		if n+size > most {
			break
		}
		n, rest = n+size, rest[size:]
	}
	return n
}

// next takes so many bytes, which are good until the next call of any method.
func (l *lane) next(n int) []byte {
	taken := l.waiting()[:n]
	l.gone += n
	return taken
}

// tidy gives back the memory of what was taken.
func (l *lane) tidy() {
	switch {
	case l.empty() && cap(l.frames) > keepSpare:
		l.frames, l.gone = nil, 0
	case l.gone > len(l.frames)/2:
		l.frames, l.gone = l.frames[:copy(l.frames, l.waiting())], 0
	}
}

// clear drops what waits: nobody is left who asks for its place.
func (l *lane) clear() { l.frames, l.gone, l.begun, l.put = nil, 0, 0, l.taken }
