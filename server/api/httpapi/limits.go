package httpapi

import "time"

// The largest limits that may be configured, in bytes. The state machine refuses
// larger keys, on every node alike.
const (
	MaxKeyBytes   = 4 << 10
	MaxValueBytes = 3 << 19 // 1.5 MiB
)

// Limits is how much one client may ask for.
type Limits struct {
	KeyBytes       int           // largest key; the flag --max-key-bytes
	ValueBytes     int           // largest value; the flag --max-value-bytes
	Learners       int           // members that may have been added to stay learners; the flag --max-learners
	Requests       int           // requests in progress at a time; the flag --max-requests
	RequestTimeout time.Duration // how long a request may wait for the cluster; the flag --request-timeout
}
