// Package archtest is the floor plan as tests: who may import whom, who may wait,
// read a clock or draw a number, and where each rule of Raft stands. The policy
// is a table (policy_test.go), in the manner of Go's own go/build/deps_test.go:
// whoever wants another wall changes the table, with the reason in the commit.
//
// Reading order: policy_test.go says what holds, tree_test.go reads the sources,
// imports_test.go, calm_test.go and order_test.go look at them. rules.go lists the
// rules of Raft; page.go finds their tags and writes docs/rules.md; tour.go keeps
// the links of ARCHITECTURE.md on their lines; quotes_test.go holds what a page
// quotes against its source, scenarios_test.go the catalogue against the tests.
//
// Left out: what a type can say, and whether a test is a good one.
package archtest

//go:generate go run ./rulespage ../..
