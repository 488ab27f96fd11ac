// Package conformance holds quorate against a real etcd and against etcd's own
// clients. It is a module of its own, outside the workspace, so that neither
// etcd's server nor its client comes near the build of quorate.
//
// The differential test sends the same requests to both and compares the answers;
// what is not equal on purpose stands, with its reason, in docs/etcd-compat.md.
// The alerts about an etcd are evaluated by Prometheus' engine, which is in a program,
// and a module, of its own: rules.
// `make conformance` runs it; the first time takes minutes, to build etcd.
package conformance
