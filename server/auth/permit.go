package auth

import (
	"time"

	"github.com/quorate-db/quorate/server/kv"
)

// Permit says on whose behalf a command is given, and refuses it if it would be refused
// for that when it is applied: who may not write must not fill the log. What decides
// is still what the rights are then.
//
// A right may have been granted, or a token given, at another node just now. So before
// it refuses, agree has to see to it that this node knows what any client was told;
// caller finds out who it is. The error is theirs, a [kv.Code] or the store's.
func (k *Keeper) Permit(command *kv.Command, caller func() (kv.Caller, error), agree func() error) (err error) {
	if command.By, err = caller(); err == nil && (command.By.Name != "" || k.enforced()) {
		err = k.Machine.Permits(*command)
	}
	if err == nil {
		return nil
	}
	if err := agree(); err != nil {
		return err
	}
	if command.By, err = caller(); err != nil {
		return err
	}
	return k.Machine.Permits(*command)
}

// lookEvery is how long nobody may fill the log after rights are enforced.
const lookEvery = 100 * time.Millisecond

// enforced reports whether rights were enforced when the store was last looked at,
// which is not for every write: most clusters have no users.
func (k *Keeper) enforced() bool {
	now := time.Now().UnixNano()
	if last := k.looked.Load(); now-last >= int64(lookEvery) && k.looked.CompareAndSwap(last, now) {
		if _, _, err := k.key(); err != nil {
			return true // whoever looks closer will say it
		}
	}
	return k.guarded.Load()
}

// key is [kv.Machine.TokenKey].
func (k *Keeper) key() (key []byte, rights int64, err error) {
	key, rights, err = k.Machine.TokenKey()
	if err == nil {
		k.guarded.Store(key != nil)
	}
	return key, rights, err
}
