// Package conformance holds quorate against a real etcd and against etcd's own
// clients. It is a module of its own, outside the workspace, so that neither
// etcd's server nor its client comes near the build of quorate.
//
// The differential test sends the same requests to both and compares the answers;
// what is not equal on purpose stands, with its reason, in docs/etcd-compat.md.
// `make conformance` runs it; the first time takes minutes, to build etcd.
package conformance
