package raft

// AE4: a test does not carry a rule out, but shows it. L04 is a scenario, and
// AE3 too.

// AE4 is named a second time.
