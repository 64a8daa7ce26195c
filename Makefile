# vouch: see `make help`.
SHELL := /bin/bash
GO    ?= go
BIN   := bin/vouch
PREFIX ?= /usr/local
TESTFLAGS ?=
FUZZTIME ?= 20s
JUDGES := ./imagelist ./imagelist/smime ./imagelist/trust ./imagelist/verdict
N ?= 100000
SEED ?= $(shell date +%s)
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

.PHONY: help build test race lint fuzz bench demo cases differential cover mutants check install tools clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

build: ## build bin/vouch
	$(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/vouch

tools: ## say which programs the tests use and which are missing
	@sh testdata/tools.sh

test: tools ## run all tests
	$(GO) test -timeout 30m $(TESTFLAGS) ./... ./testdata/cases ./testdata/differential

race: ## run all tests under the race detector
	$(GO) test -race ./...

lint: ## gofmt, vet, staticcheck and shellcheck (the last two when installed)
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'not gofmt-ed: run gofmt -w .'; exit 1; }
	$(GO) vet ./...
	@if command -v staticcheck >/dev/null; then staticcheck ./...; else echo 'skipped: staticcheck (go install honnef.co/go/tools/cmd/staticcheck@v0.8.2)'; fi
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run testdata/*.sh etc/vmcatcher_image etc/handlers/*; else echo 'skipped: shellcheck (apt-get install shellcheck)'; fi

fuzz: ## run every fuzz target for FUZZTIME (20s)
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test $$pkg -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x; done; done

bench: build ## measure against what an administrator would do by hand
	$(GO) run ./testdata/bench -vouch $(BIN)

demo: build ## the main job end to end in a temporary directory, and shown
	$(GO) run ./testdata/demo -vouch $(BIN)

cases: ## check and print the body of cases; CMD='prog {dir} {at} {file}' runs another program over it
	VOUCH_ALL_CASES=1 $(GO) test -count=1 -run '^TestCases' ./imagelist
	$(GO) run ./testdata/cases/table $(CMD)

differential: ## judge N (100000) generated messages beside openssl; SEED=1 again, CASE=file one of them
	VOUCH_DIFFERENTIAL=$(N) SEED=$(SEED) CASE=$(CASE) $(GO) test -count=1 -timeout 0 -v -run '^TestDifferential$$' ./imagelist

cover: ## statements of what judges that its own tests reach; fails under 95 %
	@set -e; out=$$(mktemp); trap 'rm -f "$$out"' EXIT; \
	  $(GO) test -count=1 -coverprofile="$$out" -coverpkg="$$(echo $(JUDGES) | tr ' ' ,)" $(JUDGES); \
	  $(GO) tool cover -func="$$out" | awk '$$3 != "100.0%" { print } END { exit $$3 + 0 < 95 }'

mutants: ## delete each return of a refusal where it is judged and see a test fail; ARGS='-sample 8' tries one of eight
	nice -n 10 $(GO) run ./testdata/mutants $(ARGS)

check: lint test race ## everything that must hold before a change lands

install: build ## install the binary and the sample configuration under PREFIX (/usr/local)
	install -D -m 0755 $(BIN) $(DESTDIR)$(PREFIX)/bin/vouch
	install -D -m 0644 etc/vouch.yaml $(DESTDIR)$(PREFIX)/share/vouch/vouch.yaml
	install -D -m 0755 etc/vmcatcher_image $(DESTDIR)$(PREFIX)/share/vouch/vmcatcher_image
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/share/vouch/handlers etc/handlers/*
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/vouch/systemd etc/systemd/*
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/vouch/prometheus etc/prometheus/*
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/vouch/grafana etc/grafana/*

clean: ## remove what build made
	rm -rf bin
