package httpapi

import (
	"fmt"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/server/api/wire"
)

func TestAFlightRecordingIsGivenAsItIs(t *testing.T) {
	n, web := serve(t, testLimits)
	a := do(t, web, "GET", "/v1/flight", "").want(t, 200)
	if a.body != "recorded\x00" || a.header.Get("Content-Disposition") != `attachment; filename="a.flight"` {
		t.Errorf("%q, %v", a.body, a.header)
	}
	n.set(func(n *oneNode) { n.fail = fmt.Errorf("x: %w", quorate.ErrNotRecorded) })
	do(t, web, "GET", "/v1/flight", "").problem(t, wire.Unavailable)
	do(t, web, "GET", "/v1/flight?n=1", "").problem(t, wire.Malformed)
}
