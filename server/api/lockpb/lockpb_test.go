package lockpb

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

var (
	fieldLine  = regexp.MustCompile(`(?m)^  ([\w.]+) (\w+) = (\d+);`)
	methodLine = regexp.MustCompile(`(?m)^  rpc (\w+)\((\w+)\) returns \((stream )?(\w+)\);`)
)

// What is generated says what the sources say: who changes one has run make proto.
func TestGeneratedIsFresh(t *testing.T) {
	for name, file := range map[string]protoreflect.FileDescriptor{"lock.proto": File_lock_proto, "election.proto": File_election_proto} {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, m := range fieldLine.FindAllStringSubmatch(string(source), -1) {
			want = append(want, fmt.Sprintf("%s %s = %s", m[1], m[2], m[3]))
		}
		for _, m := range methodLine.FindAllStringSubmatch(string(source), -1) {
			want = append(want, fmt.Sprintf("%s(%s) %v %s", m[1], m[2], m[3] != "", m[4]))
		}
		if got := described(file); !slices.Equal(got, want) {
			t.Errorf("%s: run make proto\ngenerated %v\nsource    %v", name, got, want)
		}
	}
}

// described are the fields and methods of a file in their order.
func described(file protoreflect.FileDescriptor) (all []string) {
	for i := range file.Messages().Len() {
		fields := file.Messages().Get(i).Fields()
		for j := range fields.Len() {
			f := fields.Get(j)
			kind := f.Kind().String()
			if m := f.Message(); m != nil {
				kind = string(m.FullName())
				if m.ParentFile() == file {
					kind = string(m.Name())
				}
			}
			all = append(all, fmt.Sprintf("%s %s = %d", kind, f.Name(), f.Number()))
		}
	}
	methods := file.Services().Get(0).Methods()
	for i := range methods.Len() {
		m := methods.Get(i)
		all = append(all, fmt.Sprintf("%s(%s) %v %s", m.Name(), m.Input().Name(), m.IsStreamingServer(), m.Output().Name()))
	}
	return all
}
