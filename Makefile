# SPDX-License-Identifier: Apache-2.0 OR MIT

# How long, or how often (Nx), each fuzz target runs. A count is the default: where time
# runs out, Go may take its own deadline for a finding.
FUZZTIME ?= 2000x
# The inputs that fuzzing has found so far
CORPUS := .ci/corpus.tar.gz
# Flags of the two runners: make interop RUN='--peers go', make bench RUN='--reps 3 --only stream'
RUN ?=

.PHONY: help build test sims short lint fmt fuzz corpus interop kubo mdns natlab browser bench bench-dht bench-pubsub bench-quick examples first-module generate check clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 14

build: ## bin/xnode, the standard distribution
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w -funcalign=16' -o bin/xnode ./cmd/xnode

test: ## all tests, with the race detector
	go test -race ./...

sims: ## simulations of messages on topics in their full sizes: a thousand nodes, a thousand attackers (minutes)
	XNODE_SIMS=1 go test -count=1 -timeout 60m -v -run 'EachToAll|Simulation|Sybils' ./modules/pubsub/...

short: ## all tests, without the race detector and what takes long
	go test -short ./...

lint: ## vet and staticcheck
	go vet ./...
	go tool staticcheck ./...

fmt: ## format all Go files
	gofmt -w $$(git ls-files '*.go')

fuzz: ## every fuzz target, for FUZZTIME each (2000x)
	@found=$$(go env GOCACHE)/fuzz/$$(go list -m) && mkdir -p "$$found" && tar -xzf $(CORPUS) -C "$$found" && \
	tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && \
	for pkg in $$(git grep -l '^func Fuzz' -- '*_test.go' ':!interop/go' | xargs -n 1 dirname | sort -u); do \
		go test -c -fuzz . -o "$$tmp/fuzz" "./$$pkg" && cd "$$pkg" && \
		cache=$$(go env GOCACHE)/fuzz/$$(go list .) && targets=$$("$$tmp/fuzz" -test.list '^Fuzz') || exit 1; \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			echo "== $$pkg $$target"; \
			"$$tmp/fuzz" -test.run '^$$' -test.fuzz "^$$target$$" -test.fuzztime $(FUZZTIME) -test.fuzzcachedir "$$cache" || exit 1; \
		done; \
		cd - >/dev/null; \
	done

corpus: ## keep the inputs that fuzzing has found here, for all who run make fuzz
	tar -C "$$(go env GOCACHE)/fuzz/$$(go list -m)" --sort=name --mtime=@0 --owner=0 --group=0 --mode=u=rwX,go=rX -cf - . | gzip -9n > $(CORPUS)

interop: ## the matrix against go-libp2p, js-libp2p and py-libp2p, which it sets up
	go run ./interop/run $(RUN)

gossip: ## scenarios of the public suite of gossipsub, half of the nodes on go-libp2p-pubsub
	go run ./interop/gossip $(RUN)

kubo: ## a Kubo node, which it builds, against xnode: the DHT, alone and with go-libp2p's, and routing over HTTP
	go run ./interop/run --peers go,kubo --only suite=dht,suite=network,suite=delegated $(RUN)

mdns: ## who sees whom by multicast DNS, in network namespaces: go-, py-, js- and rust-libp2p and xnode
	go run ./interop/mdns $(RUN)

natlab: ## what a node does behind routers with NAT, in network namespaces: hole punching, lost connections, WebRTC
	go run ./interop/natlab $(RUN)

browser: ## js-libp2p in a headless Chromium, which it installs, against xnode
	go run ./interop/browser

bench: ## what work costs, against go-libp2p and against bare TCP (minutes)
	go run ./interop/bench $(RUN)

bench-dht: ## the benchmarks of the DHT alone
	go run ./interop/bench --only dht: $(RUN)

bench-pubsub: ## the benchmarks of messages on topics alone
	go run ./interop/bench --only pubsub: $(RUN)

bench-quick: ## the same with little work: does it run, and roughly
	go run ./interop/bench --quick $(RUN)

examples: ## the example modules: their tests, the contract of their kinds, and an xnode with each
	go build -o bin/xnode-examples ./cmd/xnode
	@for dir in examples/*/; do \
		echo "== $$dir"; \
		(cd "$$dir" && go vet ./... && go test ./... && ../../bin/xnode-examples dev --xnode ../.. -- validate -c example.json) || exit 1; \
		name=$$(sed -n 's,^module example.org/,,p' "$$dir/go.mod"); \
		bin/xnode-examples conform --with "example.org/$$name=$$dir" -f examples/conform.json "$$(grep -om 1 'xnode\.[a-z.]*' "$$dir/README.md")" >"$$dir/conform.log" 2>&1 || { cat "$$dir/conform.log"; exit 1; }; \
		grep -c -e '--- PASS' "$$dir/conform.log" | sed 's/$$/ cases of the contract pass/'; rm "$$dir/conform.log"; \
	done

first-module: ## how long a newcomer's first module takes, from a fresh clone
	.ci/first-module

generate: ## renew generated files, go.mod and go.sum
	go generate ./...
	go mod tidy

check: ## everything that must hold before a change lands
	.ci/run

clean: ## remove what was built, test caches and the interop peers' packages
	rm -rf bin interop/js/node_modules interop/browser/node_modules interop/py/.venv
	go clean -testcache
