package kv

// Weigh adds up what the versions in the store count for.
func Weigh(m *Machine) (sum int64, err error) {
	view := m.store.View()
	defer view.Close()
	it := view.Iterate()
	for ok := it.Seek([]byte{tableVersions}); ok; ok = it.Next() {
		pair, value := it.Pair()
		if pair[0] != tableVersions {
			break
		}
		key, rest, err := splitVersionKey(pair)
		if err != nil {
			return 0, err
		}
		v, err := decodeVersion(pair, rest, value)
		if err != nil {
			return 0, err
		}
		sum += weight(key, v.size)
	}
	return sum, it.Close()
}
