// Package e2e holds the end-to-end tests: they build the real program and drive
// it as a user would, with processes, ports, files and signals. What they know of
// it is its command line, its HTTP API and its exit codes.
//
// Each test claims one behaviour. Figures are reported as lines
//
//	GOAL <name> <value> <limit> ok|short
//
// and never asserted: the machine may be busy with something else. A deadline in
// a test is so generous that only a program that hangs meets it.
//
// Reading order: process_test.go (one program), cluster_test.go (several nodes),
// goal_test.go, then any file by its claim. "make e2e" runs all of them; with
// -short only those that take no more than a few seconds.
package e2e
