module github.com/quorate-db/quorate/bench

go 1.26

require (
	github.com/andybalholm/brotli v1.2.8
	github.com/quorate-db/quorate v0.0.0
	go.etcd.io/raft/v3 v3.7.0
)

require google.golang.org/protobuf v1.36.11 // indirect

replace github.com/quorate-db/quorate => ../
