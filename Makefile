# hnsproxy: every target is one line or one script. `make` prints this list.
.DEFAULT_GOAL := help
.PHONY: help build run unit test e2e windows winunit lint fuzz stress chaos golden bench bench-tool upstream compare manifests image release clean

GO       ?= go
FUZZTIME ?= 15s
SEEDS    ?= 10000
LINT     := $(GO) tool -modfile=hack/tools/go.mod golangci-lint

help: ## print this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/hnsproxy, and bin/hnsproxy.exe for Windows
	$(GO) build -ldflags "$$(hack/ldflags.sh)" -o bin/hnsproxy ./cmd/hnsproxy
	GOOS=windows $(GO) build -ldflags "$$(hack/ldflags.sh)" -o bin/hnsproxy.exe ./cmd/hnsproxy

run: ## run hnsproxy on the HNS emulator with the sample Services; edit examples/cluster/*.yaml meanwhile
	@mkdir -p bin .state
	@$(GO) build -ldflags "$$(hack/ldflags.sh)" -o bin/hnsproxy ./cmd/hnsproxy
	@bin/hnsproxy --hns-driver=emulator --hns-emulator-state=.state/hns.json --hns-objects=examples/cluster --hostname-override=win-node-1 --hns-table

unit: ## the quick inner loop: build, vet, unit, scenario and property tests; needs Go only, no root, Wine or network
	$(GO) build ./...
	$(GO) vet ./...
	$(GO) test $$($(GO) list ./... | grep -v /benchmarks)

test: ## everything that CI runs
	hack/test.sh

e2e: ## end to end against a real etcd, kube-apiserver and EndpointSlice controller
	hack/control-plane.sh
	hack/control-plane.sh kube-proxy.exe
	hack/winlab.sh
	cd e2e && $(GO) test -count=1 -timeout 20m ./...

windows: ## build, vet and compile all tests for Windows
	hack/windows.sh

winunit: ## the unit tests as Windows programs, under Wine
	hack/winlab.sh
	GOOS=windows $(GO) test -timeout 10m -exec "$(CURDIR)/hack/wine-exec.sh" $$($(GO) list ./... | grep -v /benchmarks)

lint: ## the linter with the limits of .golangci.yml, and that of the workflows
	$(GO) tool -modfile=hack/tools/go.mod actionlint -shellcheck= -pyflakes=
	$(LINT) run ./...
	cd e2e && $(GO) tool -modfile=../hack/tools/go.mod golangci-lint run -c ../.golangci.yml ./...
	cd e2e/upstream && $(GO) tool -modfile=../../hack/tools/go.mod golangci-lint run -c ../../.golangci.yml ./...
	cd e2e/deploy && $(GO) tool -modfile=../../hack/tools/go.mod golangci-lint run -c ../../.golangci.yml ./...
	cd hack/release && $(GO) tool -modfile=../../hack/tools/go.mod golangci-lint run -c ../../.golangci.yml ./...
	cd benchmarks/cmd && $(GO) tool -modfile=../../hack/tools/go.mod golangci-lint run -c ../../.golangci.yml ./...

fuzz: ## each fuzz target for FUZZTIME (15s)
	hack/fuzz.sh $(FUZZTIME)

stress: ## every scenario and property test many times, with the race detector
	$(GO) test -race -count=20 ./proxier/...

chaos: ## SEEDS (10000) random histories full of faults, some minutes; a failing one prints how to replay it
	$(GO) test -count=1 -v -timeout 2h -run TestChaos ./proxier/chaos -seeds=$(SEEDS)

golden: ## rewrite the expected parts of scenarios and golden files; read the diff
	$(GO) test ./proxier/scenario -update
	git diff --stat

manifests: ## render deploy/*.yaml from the Helm chart in deploy/chart
	cd e2e/deploy && $(GO) test -count=1 -run TestManifests -update .

bench: ## the benchmarks; compare two runs with benchstat
	$(GO) test -run '^$$' -bench . -benchmem -count 3 ./benchmarks

bench-tool: ## build bin/hnsproxy-bench, which measures latency and the highest rate of changes; see benchmarks/README.md
	cd benchmarks/cmd && $(GO) build -o ../../bin/hnsproxy-bench ./hnsproxy-bench

upstream: ## endpoint choice beside the code of upstream's proxies: 200,000 random cases (half a minute, minutes when nothing is built)
	cd e2e/upstream && $(GO) test -count=1 -v -timeout 10m ./...

compare: ## hnsproxy.exe beside kube-proxy.exe under Wine: the same churn, one table (over half an hour)
	hack/control-plane.sh
	hack/control-plane.sh kube-proxy.exe
	hack/winlab.sh
	cd e2e && $(GO) run ./compare --date $$(date +%F) --out ../benchmarks/results

image: ## build bin/hnsproxy-image.tar, an OCI archive for HostProcess containers, without Docker
	cd hack/release && $(GO) run . image --out ../../bin/hnsproxy-image.tar

release: ## build bin/release: zip files for amd64 and arm64, the image, bills of materials, licences, checksums; reproducible
	cd hack/release && $(GO) run . release --out ../../bin/release

clean: ## remove what make built, and the state of make run
	rm -rf bin .state
