# `make` alone lists the targets. Every step of CI is one of them.
.DEFAULT_GOAL := help
SHELL := bash
GO ?= go

BINARIES := web-server management-api api producer consumer topics broker-guard backup dev/local
MODULES := $(shell sed -n 's|^[[:space:]]*\(\./[a-z/-]*\).*|\1|p' go.work)
SERVICES := $(filter ./services/%,$(MODULES))
PACKAGES := $(addsuffix /...,$(SERVICES))

# renovate: datasource=go depName=github.com/golangci/golangci-lint/v2
GOLANGCI_VERSION := v2.15.0
GOLANGCI := bin/golangci-lint-$(GOLANGCI_VERSION)

# renovate: datasource=go depName=github.com/rhysd/actionlint
ACTIONLINT_VERSION := v1.7.12
ACTIONLINT := bin/actionlint-$(ACTIONLINT_VERSION)

# The services whose web pages, *.templ, are compiled into Go, by the version that they import.
PAGES := services/web-server services/api
TEMPL_VERSION := $(shell sed -n 's|.*github.com/a-h/templ ||p' services/web-server/go.mod)
TEMPL := bin/templ-$(TEMPL_VERSION)
GENERATE := ../../$(TEMPL) generate -log-level error -include-version=false

# The Pulumi CLI builds infra with -trimpath: with the same flag here, its
# SDK, which takes minutes to compile, is compiled once for both.
INFRA := cd infra && GOFLAGS="$$GOFLAGS -trimpath"

# The alert rules, the dashboards and the API descriptions are tested in modules
# outside of the workspace, so that the dependencies of Prometheus, of Grafana's
# SDK and of a client generator don't determine versions of the program.
ALERTS := cd infra/alerts && GOWORK=off
DASHBOARDS := cd infra/dashboards && GOWORK=off
CONTRACT := cd services/dev/contract && GOWORK=off

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "; print "make TARGET"} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-zA-Z0-9%-]+:.*## / {sub("%", "SERVICE", $$1); printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Develop

.PHONY: run
run: build ## Run the whole platform on this machine, in processes; Ctrl-C stops it
	@bin/local

.PHONY: build
build: cgo ## Build all binaries into bin/
	@mkdir -p bin
	$(GO) build -o bin/ $(addprefix ./services/,$(BINARIES))

# The Kafka client is a C library.
.PHONY: cgo
cgo:
	@test "$$($(GO) env CGO_ENABLED)" = 1 || { echo "The services need cgo and a C compiler: install gcc or clang (macOS: xcode-select --install), and unset CGO_ENABLED or set it to 1."; exit 1; }

.PHONY: fmt
fmt: $(GOLANGCI) ## Format the Go files
	$(GOLANGCI) fmt

.PHONY: pages
pages: $(TEMPL) ## Compile the services' web pages, *.templ, into Go; needed after a change to one
	@for service in $(PAGES); do (cd $$service && $(GENERATE)) || exit 1; done

.PHONY: docs
docs: ## Write the generated files: each service's env.json, docs/configuration.md, the dashboards
	$(GO) test -run '^TestEnvironmentIsDocumented$$' -count=1 $(addprefix ./services/,$(BINARIES)) -update
	@mkdir -p docs
	$(GO) run ./services/internal/testkit/confdoc
	$(DASHBOARDS) $(GO) test -run '^TestTheCommittedDashboardsAreCurrent$$' . -update

.PHONY: clean
clean: ## Remove what was built; the data of `make run` stays in data/
	rm -rf bin build

##@ Deploy

# Each takes STACK=dev (the default), small, prod or one of your own. The
# program behind them shares its largest part, Pulumi's SDK, with infra.
.PHONY: bin/platform
bin/platform:
	@command -v $(GO) >/dev/null || { echo "Go is not installed: https://go.dev/dl"; exit 1; }
	@[ -x bin/platform ] || echo "Compiling the commands, which takes minutes the first time"
	@mkdir -p bin
	@$(INFRA) $(GO) build -o ../bin/platform ./cmd/platform

.PHONY: preview
preview: bin/platform ## Show what up would change; needs no cluster, no Docker and no secrets
	@bin/platform preview

.PHONY: render
render: bin/platform ## Write the stack as plain manifests into build/manifests, or OUT=folder
	@bin/platform render

.PHONY: up
up: bin/platform ## Bring the platform up on Kubernetes; starts minikube if needed
	@bin/platform up

.PHONY: e2e
e2e: bin/platform ## Test what up brought up: buy, find the purchase stored, try forbidden connections
	@bin/platform e2e

.PHONY: plan
plan: bin/platform ## Compute the brokers, disks and pods that RATE purchases per second need; FAILS=zone, JSON=1
	@bin/platform plan

.PHONY: status
status: bin/platform ## Show pods, scalers, lag and backups; JSON=1 for programs
	@bin/platform status

# For a platform without a cluster there is a separate command, which compiles in seconds.
.PHONY: load
load: $(if $(URL),,bin/platform) ## Buy at a rising rate, and judge pods, lag and losses; RATE=200, URL=http://localhost:8081 for make run
ifdef URL
	@mkdir -p bin
	@cd infra && $(GO) build -o ../bin/load ./cmd/load
	@bin/load
else
	@bin/platform load
endif

.PHONY: backup
backup: bin/platform ## Dump the purchases now
	@bin/platform backup

.PHONY: restore
restore: bin/platform ## List the dumps; BACKUP=name inserts what is missing, INTO=database into another database
	@bin/platform restore

.PHONY: logs
logs: bin/platform ## Follow the services' logs; SERVICE=api for one, FOLLOW=0 to print and end
	@bin/platform logs

.PHONY: down
down: bin/platform ## Delete the platform, and check that nothing is left
	@bin/platform down

##@ Check

# The whole-system tests run last and alone, since they measure. They are never
# cached, since the cache doesn't know the binaries that they run.
.PHONY: test
test: cgo check ## Run every check and every test that needs no cluster
	$(GO) test $(filter-out ./services/dev/local/...,$(PACKAGES))
	$(INFRA) $(GO) test ./...
	$(ALERTS) $(GO) test ./...
	$(GO) test -count=1 ./services/dev/local/...
	$(DASHBOARDS) $(GO) test -count=1 ./...
	$(CONTRACT) $(GO) test -count=1 -timeout 20m ./...
	@[ -n "$$CONTRACT_TOOLS" ] || echo "SKIP schemathesis, spectral and openapi-typescript: 'make test-contract' runs them"

test-%: ## Test one service, such as test-api; test-internal and test-infra too
	@if [ "$*" = infra ]; then ($(INFRA) $(GO) test ./...) && ($(ALERTS) $(GO) test ./...) && ($(DASHBOARDS) $(GO) test -count=1 ./...); else $(GO) test -count=1 $(addsuffix /...,$(filter %/$*,$(SERVICES))); fi

# The tools come from PyPI and npm, in pinned versions.
CONTRACT_TOOLS_DIR := $(CURDIR)/bin/contract-tools
$(CONTRACT_TOOLS_DIR)/installed: services/dev/contract/requirements.txt services/dev/contract/package.json
	rm -rf $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r services/dev/contract/requirements.txt
	cp services/dev/contract/package.json $(@D)
	npm install --prefix $(@D) --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

.PHONY: contract-tools
contract-tools: $(CONTRACT_TOOLS_DIR)/installed

.PHONY: test-contract
test-contract: cgo contract-tools ## Test the running services against their openapi.yaml; needs Python and Node.js
	$(CONTRACT) CONTRACT_TOOLS=$(CONTRACT_TOOLS_DIR) $(GO) test -count=1 -timeout 20m -v ./...

# One module after the other, and one package at a time: the detector takes
# several times the memory and the processor. The whole-system tests in dev run
# the services as processes, which it does not see into.
RACED := $(filter-out ./services/dev/%,$(SERVICES))

.PHONY: test-race
test-race: cgo ## Run the services' tests with Go's race detector
	@for module in $(RACED); do \
		$(GO) test -race -p 1 -count=1 $$module/... || { echo "in $$module"; exit 1; }; done

# Each module is vetted as it is built in its image: alone, without go.work. The
# test of the pages is never cached, since the cache doesn't know of files outside of the module.
.PHONY: check
check: $(TEMPL) ## Check format, vet, module files, file sizes, and the pages' links and commands
	@large=$$(git ls-files -z | xargs -0 -I{} find ./{} -maxdepth 0 -type f -size +1024k); if [ -n "$$large" ]; then \
		echo "larger than 1 MiB, so probably built and committed by mistake:"; echo "$$large"; exit 1; fi
	@unformatted=$$(gofmt -s -l $(MODULES) infra/alerts infra/dashboards services/dev/contract); if [ -n "$$unformatted" ]; then \
		echo "not formatted, run 'make fmt':"; echo "$$unformatted"; exit 1; fi
	@for service in $(PAGES); do (cd $$service && $(GENERATE) -check) || { echo "run 'make pages'"; exit 1; }; done
	@for module in $(SERVICES); do \
		(cd $$module && GOWORK=off $(GO) vet ./...) || { echo "in $$module"; exit 1; }; done
	@$(INFRA) GOWORK=off $(GO) vet ./...
	@$(ALERTS) $(GO) vet ./...
	@$(DASHBOARDS) $(GO) vet ./...
	@$(CONTRACT) $(GO) vet ./...
	@$(ALERTS) $(GO) mod tidy -diff || { echo "run 'go mod tidy' in infra/alerts"; exit 1; }
	@$(DASHBOARDS) $(GO) mod tidy -diff || { echo "run 'go mod tidy' in infra/dashboards"; exit 1; }
	@$(CONTRACT) $(GO) mod tidy -diff || { echo "run 'go mod tidy' in services/dev/contract"; exit 1; }
	@for module in $(MODULES); do \
		(cd $$module && GOWORK=off $(GO) mod tidy -diff) || { echo "run 'go mod tidy' in $$module"; exit 1; }; done
	@for target in $$(grep -ohE '(^|^    |`)make [a-z][a-z0-9-]*' $(wildcard README.md CONTRIBUTING.md docs/*.md services/*/README.md) | sed 's/.*make //' | sort -u); do \
		grep -qE "^$$target:|^$${target%%-*}-%:" Makefile || { echo "the pages name 'make $$target', which is no target"; exit 1; }; done
	@$(GO) test -count=1 ./services/internal/testkit/confdoc

.PHONY: lint
lint: $(GOLANGCI) $(ACTIONLINT) ## Run the linters over Go code, shell scripts and workflows
	$(GOLANGCI) run $(PACKAGES)
	$(INFRA) ../$(GOLANGCI) run ./...
	$(ALERTS) ../../$(GOLANGCI) run ./...
	$(DASHBOARDS) ../../$(GOLANGCI) run ./...
	$(CONTRACT) ../../../$(GOLANGCI) run ./...
	@if command -v shellcheck >/dev/null; then \
		shellcheck $$(git grep -lE '^#!/.*[ /](ba)?sh' -- ':!*.md'); \
	else echo "SKIP shellcheck: it is not installed"; fi
	$(ACTIONLINT)

.PHONY: bench
bench: bin/bench ## Compare the services with minimal programs: ten minutes, one table in build/bench.md
	@bin/bench

.PHONY: bench-quick
bench-quick: bin/bench ## Do the same in a minute or two, less certain
	@bin/bench -quick

# Without symbols and with the tag of services/Dockerfile, as in the images.
STRIPPED := $(GO) build -ldflags='-s -w' -tags nomsgpack

.PHONY: bin/bench
bin/bench: build
	$(GO) build -o bin/ ./services/dev/bench
	@mkdir -p build/stripped
	$(STRIPPED) -o build/stripped/ $(addprefix ./services/,web-server management-api api producer consumer)
	$(STRIPPED) -o build/stripped/minimal ./services/dev/bench/minimal
	$(STRIPPED),database -o build/stripped/minimal-database ./services/dev/bench/minimal

##@ Check on Apache Kafka's own brokers

# Three brokers from Apache's jars (needs Java 17 and Maven; fetched once),
# configured by the environment that infra declares for the StatefulSet.
KAFKA_MANIFEST := $(CURDIR)/infra/testdata/manifests/dev.yaml
KAFKA_SECURED_MANIFEST := $(CURDIR)/infra/testdata/manifests/dev-secured.yaml
KAFKA_TESTED := $(addprefix ./services/,topics producer consumer management-api web-server api)

.PHONY: test-kafka
test-kafka: ## Run the services' tests and inject every fault on real brokers; needs Java 17 and Maven
	@mkdir -p bin
	$(GO) build -o bin/ ./services/dev/reliability
	bin/reliability brokers -manifest $(KAFKA_MANIFEST) -- $(GO) test -count=1 -p 1 $(KAFKA_TESTED)
	KAFKA_MANIFEST=$(KAFKA_MANIFEST) KAFKA_SECURED_MANIFEST=$(KAFKA_SECURED_MANIFEST) \
		$(GO) test -count=1 -timeout 60m -v ./services/dev/reliability

DURATION ?= 10m
SEED ?= 0

.PHONY: soak
soak: build ## Inject random faults under load for DURATION, and print a table; SEED repeats a run
	$(GO) build -o bin/ ./services/dev/reliability
	bin/reliability soak -manifest $(KAFKA_MANIFEST) -bin bin -duration $(DURATION) -seed $(SEED)

$(GOLANGCI):
	@mkdir -p bin
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv bin/golangci-lint $@

$(TEMPL):
	@mkdir -p bin
	GOBIN=$(CURDIR)/bin $(GO) install github.com/a-h/templ/cmd/templ@$(TEMPL_VERSION)
	@mv bin/templ $@

$(ACTIONLINT):
	@mkdir -p bin
	GOBIN=$(CURDIR)/bin $(GO) install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)
	@mv bin/actionlint $@
