// Command imports writes, for protoc, what the .proto files of lockpb import, as the
// Go packages that are linked have it: then protoc needs no other sources.
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/api/v3/authpb"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/versionpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// etcd's files import each other under these names, and are registered under others.
var etcd = []struct {
	name string
	file protoreflect.FileDescriptor
}{
	{"etcd/api/mvccpb/kv.proto", mvccpb.File_kv_proto},
	{"etcd/api/authpb/auth.proto", authpb.File_auth_proto},
	{"etcd/api/versionpb/version.proto", versionpb.File_version_proto},
	{"etcd/api/etcdserverpb/rpc.proto", etcdserverpb.File_rpc_proto},
}

func main() {
	set := &descriptorpb.FileDescriptorSet{}
	seen := make(map[string]bool)
	for _, e := range etcd {
		seen[e.name] = true
		add(set, seen, e.file, e.name)
	}
	b, err := proto.Marshal(set)
	if err == nil {
		_, err = os.Stdout.Write(b)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "imports:", err)
		os.Exit(1)
	}
}

// add adds a file behind those that it imports.
func add(set *descriptorpb.FileDescriptorSet, seen map[string]bool, file protoreflect.FileDescriptor, name string) {
	for i := range file.Imports().Len() {
		if next := file.Imports().Get(i); !seen[next.Path()] {
			seen[next.Path()] = true
			add(set, seen, next.FileDescriptor, next.Path())
		}
	}
	out := protodesc.ToFileDescriptorProto(file)
	out.Name = &name
	set.File = append(set.File, out)
}
