module github.com/quorate-db/quorate/bench/raft36

go 1.26

require (
	github.com/quorate-db/quorate/bench v0.0.0
	go.etcd.io/raft/v3 v3.7.0
)

require (
	github.com/gogo/protobuf v1.3.2 // indirect
	github.com/golang/protobuf v1.5.4 // indirect
	github.com/quorate-db/quorate v0.0.0 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
)

replace (
	github.com/quorate-db/quorate => ../..
	github.com/quorate-db/quorate/bench => ..
	// The bench module asks for 3.7; here it is the version before.
	go.etcd.io/raft/v3 => go.etcd.io/raft/v3 v3.6.0
)
