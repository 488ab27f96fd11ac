package quorate

import "testing"

// Room that comes and goes a little at a boundary does not change what a node does.
func TestTheLevelOfRoomHasNoFlutter(t *testing.T) {
	const reserve = 80
	was := plenty
	for _, step := range []struct {
		free int64
		want int32
	}{
		{81, plenty}, {80, plenty}, {79, short}, {80, short}, {89, short}, {90, plenty}, {85, plenty},
		{40, short}, {39, none}, {40, none}, {49, none}, {50, short}, {45, short}, {0, none}, {1 << 40, plenty},
	} {
		if was = levelAt(was, step.free, reserve); was != step.want {
			t.Fatalf("with %d bytes free the level is %d, want %d", step.free, was, step.want)
		}
	}
}

// What is kept free of a disk depends on its size, unless somebody says how much.
func TestTheReserveFitsTheDisk(t *testing.T) {
	for _, c := range []struct{ said, total, want int64 }{
		{0, 1 << 40, 128 << 20}, {0, 40 << 20, 10 << 20}, {5 << 20, 1 << 40, 5 << 20}, {-1, 1 << 40, 0},
	} {
		if got := (&Config{SpaceReserve: c.said}).reserve(c.total); got != c.want {
			t.Errorf("of %d bytes %d are kept free, want %d", c.total, got, c.want)
		}
	}
}
