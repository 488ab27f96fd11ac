package codec

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

var anyChange = rapid.Custom(func(t *rapid.T) membership.Change {
	return membership.Change{Kind: membership.ChangeKind(rapid.Byte().Draw(t, "kind")), Member: anyMember.Draw(t, "member")}
})

func TestAReconfigurationComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := raft.Reconfiguration{
			Changes: orNil(rapid.SliceOfN(anyChange, 0, 4).Draw(t, "changes")),
			Joint:   rapid.Bool().Draw(t, "joint"),
			Stay:    rapid.Bool().Draw(t, "stay"),
			Expect:  raft.Index(anyUint.Draw(t, "expect")),
		}
		encoded := AppendReconfiguration(nil, &want)
		got, err := DecodeReconfiguration(encoded)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, %v; want %+v", got, err, want)
		}
		if n := rapid.IntRange(0, len(encoded)-1).Draw(t, "cut"); n < len(encoded) {
			if _, err := DecodeReconfiguration(encoded[:n]); err == nil {
				t.Fatalf("the first %d of %d bytes were accepted", n, len(encoded))
			}
		}
	})
}
