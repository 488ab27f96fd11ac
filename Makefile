# What a contributor runs. Needs Go and make, nothing else; `make race` and
# `make check` need a C compiler too, on systems where the race detector does.

GO      ?= go
MODULES := ./... ./server/... ./bench/...
CORE    := ./raft/... ./codec/... ./engine/...
SYSTEMS := darwin/arm64 windows/amd64

FUZZTIME  ?= 20s
BENCHTIME ?= 1s
RUNS      ?= 100000
FIRST     ?= 1
STATES    ?= 1100000
TORTURE   ?= 10m
SEQUENCES ?= 5000
SOAK      ?= 1h
GROUPS    ?= 1000

# Linters live in a module of their own (see CONTRIBUTING.md), outside the workspace.
TOOL = GOWORK=off $(GO) -C internal/tools tool -n

# The server's comparisons are programs of their own, in a module that asks for etcd.
AGAINST_ETCD = GOWORK=off $(GO) -C bench/server run . -quorate $(CURDIR)/bin/quorate -etcd $(CURDIR)/bin/etcd

.DEFAULT_GOAL := help
.PHONY: help build test race e2e torture bench bench-core bench-wal bench-host bench-server bench-failover bench-snapshot bench-growth soak etcd fuzz explore seeds sim conformance watch-fire crowd bench-sim sweep mutants cover check fmt vet lint arch cross generate proto tools clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

build: ## build the server and its command line into bin/quorate
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/quorate ./server/cmd/quorate

test: ## run every test of the library and the server
	$(GO) test $(MODULES)

race: ## the same under the race detector
	@cc="$$($(GO) env CC)"; command -v "$${cc%% *}" >/dev/null || \
	  { echo "make race: the race detector needs a C compiler ($$cc); install one, or run make test" >&2; exit 1; }
	CGO_ENABLED=1 $(GO) test -race $(MODULES)

e2e: ## drive the real binary as a user would, and print one GOAL line per goal
	$(GO) test -count=1 -v -timeout 15m ./server/e2e/...

torture: ## faults on real processes, networks and disks, for TORTURE (10m), see docs/torture.md
	TORTURE=$(TORTURE) $(GO) test -count=1 -v -timeout 0 -run '^TestTorture$$' ./server/torture

bench: bench-core bench-wal bench-host bench-server bench-failover bench-snapshot bench-growth ## all that compares and measures (an hour), and Go's benchmarks, BENCHTIME each (1s)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(MODULES)

bench-core: ## the consensus core against etcd's, in turns, and one GOAL line per goal
	GOWORK=off $(GO) -C bench/raft36 build -o $(CURDIR)/bin/raft36 .
	$(GO) run ./bench/core -raft36 bin/raft36

bench-wal: ## a synced append of 4 KiB to the log, beside files written as others do (20 s), and one GOAL line per goal
	$(GO) run ./bench/wal

bench-host: ## the durable library against its peers, in turns (17 minutes), and one GOAL line per goal
	GOWORK=off $(GO) -C bench run ./host

bench-server: build etcd ## the server against etcd, three processes each, in turns; one GOAL line per goal
	$(AGAINST_ETCD) -parts load

bench-failover: build etcd ## how long writes stop when the leader is killed, or falls silent, against etcd
	$(AGAINST_ETCD) -parts failover

bench-snapshot: build etcd ## a new member gets 1 GiB, against etcd
	$(AGAINST_ETCD) -parts snapshot

bench-growth: ## what an operation costs with more and more groups, entries and keys (20 minutes, 16 GB); one GOAL line per curve
	GOWORK=off $(GO) -C bench run ./host -growth -rounds 3
	$(GO) run ./server/growth

soak: ## GROUPS (1000) groups under load, with faults and restarts, for SOAK (1h): what grows, and what is lost
	GOWORK=off $(GO) -C bench run ./soak -for $(SOAK) -groups $(GROUPS)

etcd: ## build etcd into bin/etcd, to compare with
	GOWORK=off $(GO) -C bench/server build -o $(CURDIR)/bin/etcd go.etcd.io/etcd/server/v3

fuzz: ## fuzz every fuzz target, FUZZTIME each (20s)
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")"; \
	  done; \
	done

watch-fire: ## 100 watchers on three nodes while the leader is killed 10 times, followers take snapshots and history is compacted
	GOWORK=off $(GO) -C server/conformance test -count=1 -v -timeout 30m -run TestWatchUnderFire . -args -kills 10 -watchers 100

conformance: ## the same SEQUENCES (5000) of requests to etcd and to quorate, and etcd's own client; builds etcd first
	GOWORK=off $(GO) -C server/conformance test -count=1 -v -timeout 60m . -args -sequences $(SEQUENCES)
	GOWORK=off $(GO) -C server/conformance test -count=1 -v -timeout 60m -run 'TestSameAnswers|TestSameLeases|TestSameWatches' . -args -nodes 3 -sequences $(SEQUENCES)

explore: ## visit over 10 million states of the core, STATES of each setup at most (1100000)
	$(GO) run ./raft/explore/explorer -states $(STATES) -goal 10000000

seeds: ## 300 simulated runs, as a part of make check
	$(GO) run ./server/simulate/measure -runs 300

sim: ## look for violations in RUNS (100000) simulated runs from seed FIRST (1) on
	$(GO) run ./server/simulate/measure -runs $(RUNS) -first $(FIRST)

crowd: ## 10,000 groups elect under load, in one process and in no time (half a minute)
	CROWD=10000 $(GO) test -count=1 -v -run '^TestE19AllGroupsOfAHostElectUnderLoad$$' .

bench-sim: ## how much simulated time a second of one processor buys
	$(GO) run ./server/simulate/measure

sweep: ## flip a bit at every byte of a minority's disks, and cut networks one way; one GOAL line per goal
	$(GO) test -count=1 -v -timeout 30m -run 'TestD03|TestE14' ./sim -sim.sweep

mutants: ## break one rule of the core at a time, and see who notices
	$(GO) run ./internal/mutants -write

mutants-sim: ## break one rule of the core, the log or the host at a time, and let the simulator look
	$(GO) run ./internal/mutants -sim -write

cover: ## test coverage by function in bin/cover.txt, the total at the end
	@mkdir -p bin
	$(GO) test -coverprofile bin/cover.out $(MODULES)
	@$(GO) tool cover -func bin/cover.out > bin/cover.txt && tail -n 1 bin/cover.txt

check: fmt vet lint arch cross seeds race ## all that CI runs, in the order of their cost

fmt: ## name the files that gofmt would change
	@changed="$$($$($(GO) env GOROOT)/bin/gofmt -s -l .)"; test -z "$$changed" || \
	  { echo "make fmt: run gofmt -s -w on:" >&2; echo "$$changed" >&2; exit 1; }

vet: ## go vet
	$(GO) vet $(MODULES)

lint: ## staticcheck, at the version that internal/tools/go.mod pins
	@tool="$$($(TOOL) staticcheck)" && echo "staticcheck $(MODULES)" && "$$tool" $(MODULES)

arch: ## who may import whom, who may wait, and whether docs/rules.md is fresh
	$(GO) test ./internal/archtest/...

cross: ## that other systems, and the browser's core, compile
	@set -e; for target in $(SYSTEMS); do \
	  echo "vet $$target"; CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) vet $(MODULES); \
	done
	GOOS=js GOARCH=wasm $(GO) build $(CORE)
	@if command -v node >/dev/null; then \
	  GOOS=js GOARCH=wasm $(GO) test -exec "$$($(GO) env GOROOT)/lib/wasm/go_js_wasm_exec" -run TestHashIsStable ./raft; \
	else echo "make cross: node is not here; that a hash is the same in a browser is not tested"; fi

generate: ## rewrite the generated files
	$(GO) generate $(MODULES)

proto: ## generate server/api/lockpb from its .proto files; needs protoc
	@mkdir -p bin
	$(GO) run ./server/api/lockpb/imports > bin/imports.binpb
	@go_plugin="$$($(TOOL) protoc-gen-go)" && grpc_plugin="$$($(TOOL) protoc-gen-go-grpc)" && \
	  protoc --descriptor_set_in=bin/imports.binpb --proto_path=server/api/lockpb \
	    --plugin=protoc-gen-go="$$go_plugin" --go_out=server/api/lockpb --go_opt=paths=source_relative \
	    --plugin=protoc-gen-go-grpc="$$grpc_plugin" --go-grpc_out=server/api/lockpb --go-grpc_opt=paths=source_relative \
	    lock.proto election.proto

tools: ## build the linters now rather than at their first use
	@$(TOOL) staticcheck

clean: ## remove what the build made
	rm -rf bin
