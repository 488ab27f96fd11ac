package quorate

import (
	"testing"
	"time"
)

func TestTimeHasPassedByEitherClock(t *testing.T) {
	start := time.Now()
	wall := start.Round(0) // without the monotonic clock
	for _, c := range []struct {
		what     string
		from, to time.Time
		over     bool // a second
	}{
		{"half a second", start, start.Add(time.Second / 2), false},
		{"two seconds", start, start.Add(2 * time.Second), true},
		{"two seconds by the wall clock alone", wall, wall.Add(2 * time.Second), true},
		{"none, and the clock was set back", wall, wall.Add(-time.Hour), true},
	} {
		if got := elapsed(c.from, c.to) > time.Second; got != c.over {
			t.Errorf("%s: over a second is %t", c.what, got)
		}
	}
}
