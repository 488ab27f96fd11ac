package auth

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
)

// Who has not said who it is writes where rights are not enforced, and soon no longer
// where they are; nobody looks at the store for each such write.
func TestNobodyWritesForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := twoNodes(t)[0]
		index := raft.Index(4)
		change := func(kind kv.RightsChange) {
			t.Helper()
			index++
			if err := k.Machine.Apply([]quorate.Command{{Index: index, Data: kv.Command{By: kv.ThisNode, Do: kv.ChangeRights{Kind: kind, Hash: NewKey()}}.Encode()}}); err != nil {
				t.Fatal(err)
			}
		}
		agreed := 0
		agree := func() error {
			agreed++
			return nil
		}
		nobody := func() (kv.Caller, error) { return kv.Caller{}, nil }
		write := func(want error) {
			t.Helper()
			c := kv.Command{Do: kv.Txn{Then: []kv.Op{kv.Put{Key: []byte("k")}}}}
			if err := k.Permit(&c, nobody, agree); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		write(kv.ErrNoUser)
		change(kv.StopGuard)
		write(nil)
		time.Sleep(lookEvery)
		write(nil) // and the store is looked at
		change(kv.StartGuard)
		write(nil)
		time.Sleep(lookEvery)
		write(kv.ErrNoUser)
		if agreed != 2 {
			t.Errorf("the cluster was asked %d times", agreed)
		}
	})
}
