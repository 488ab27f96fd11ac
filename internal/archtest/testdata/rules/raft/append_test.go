package raft

// AE4: a test does not carry a rule out.
