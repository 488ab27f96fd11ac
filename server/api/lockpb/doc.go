// Package lockpb is the wire format of etcd's Lock and Election services, generated
// from lock.proto and election.proto by make proto. etcd's own package for it brings
// all of etcd's server along.
package lockpb
