// Package raft shows a layout:
//
//	offset  field
//	     0  all
//
// and goes on.
package raft
