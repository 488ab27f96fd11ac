package linear

import (
	"cmp"
	"maps"
	"slices"
)

// part is what a history says of a key, or of keys that transactions tie together.
type part struct {
	keys    []string // sorted
	history []Operation
}

// split takes a history apart: sorted by the first key, operations by their calls.
// Keys of one transaction are of one part, as are those of two that share a key.
func split(history []Operation) ([]part, error) {
	with := map[string]string{} // a key that is earlier in the alphabet and of the same part
	first := func(key string) string {
		for with[key] != key {
			key = with[key]
		}
		return key
	}
	for i := range history {
		parts := history[i].parts()
		for _, p := range parts {
			if _, known := with[p.Key]; !known {
				with[p.Key] = p.Key
			}
			a, b := first(parts[0].Key), first(p.Key)
			with[max(a, b)] = min(a, b)
		}
	}
	var all []part
	at := map[string]int{}
	for _, key := range slices.Sorted(maps.Keys(with)) {
		if first(key) == key {
			at[key] = len(all)
			all = append(all, part{})
		}
		of := &all[at[first(key)]]
		of.keys = append(of.keys, key)
	}
	for i := range history {
		parts := history[i].parts()
		if len(parts) == 0 {
			return nil, history[i].check()
		}
		of := &all[at[first(parts[0].Key)]]
		of.history = append(of.history, history[i])
	}
	for i := range all {
		slices.SortStableFunc(all[i].history, func(a, b Operation) int { return cmp.Compare(a.Call, b.Call) })
		if err := resolve(all[i].history); err != nil {
			return nil, err
		}
	}
	return all, nil
}
