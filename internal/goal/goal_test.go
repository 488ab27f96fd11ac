package goal

import (
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	var out strings.Builder
	AtMost(&out, "cost", 0.12345, 0.2)
	AtMost(&out, "even", 4, 4)
	AtMost(&out, "dear", 5, 4)
	AtLeast(&out, "states", 12380793, 10000000)
	AtLeast(&out, "rate", 147.25, 200)
	Print(&out, "losses", 0, 0, true)
	Unknown(&out, "equal", 1)
	const want = `GOAL cost 0.1235 0.2 ok
GOAL even 4 4 ok
GOAL dear 5 4 short
GOAL states 12380793 10000000 ok
GOAL rate 147.2 200 short
GOAL losses 0 0 ok
GOAL equal none 1 short
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}
