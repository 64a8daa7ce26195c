# vouch: see `make help`.
SHELL := /bin/bash
GO    ?= go
BIN   := bin/vouch
PREFIX ?= /usr/local
TESTFLAGS ?=
FUZZTIME ?= 20s
JUDGES := ./imagelist ./imagelist/smime ./imagelist/trust ./imagelist/verdict
N ?= 100000
FOR ?= 30m
SEED ?= $(shell date +%s)

.PHONY: help build test race lint fuzz bench demo cases differential cover mutants soak check install files uninstall package machine tools clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## build bin/vouch
	$(GO) build -trimpath -o $(BIN) ./cmd/vouch

tools: ## say which programs the tests use and which are missing
	@sh testdata/tools.sh

test: tools ## run all tests
	$(GO) test -timeout 30m $(TESTFLAGS) ./... ./testdata/cases ./testdata/differential ./testdata/soak

race: ## run all tests under the race detector
	$(GO) test -race ./...

lint: ## gofmt, vet, staticcheck and shellcheck (the last two when installed)
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'not gofmt-ed: run gofmt -w .'; exit 1; }
	$(GO) vet ./...
	@if command -v staticcheck >/dev/null; then staticcheck ./...; else echo 'skipped: staticcheck (go install honnef.co/go/tools/cmd/staticcheck@v0.8.2)'; fi
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run testdata/*.sh etc/vmcatcher_image etc/handlers/* etc/package/build etc/package/*.sh testdata/machine/*; else echo 'skipped: shellcheck (apt-get install shellcheck)'; fi

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

soak: ## live with a daemon for FOR (30m): 200 lists of 50 images, churn, faults and kills beside a model; SEED=1 again
	VOUCH_SOAK=$(FOR) SEED=$(SEED) $(GO) test -count=1 -timeout 0 -v -run '^TestSoak$$' ./testdata/soak

mutants: ## delete each return of a refusal where it is judged and see a test fail; ARGS='-sample 8' tries one of eight
	nice -n 10 $(GO) run ./testdata/mutants $(ARGS)

check: lint test race ## everything that must hold before a change lands

SHARE := $(DESTDIR)$(PREFIX)/share
LIB := $(DESTDIR)$(PREFIX)/lib

install: build files ## install the program, units, manual, completions and samples under PREFIX (/usr/local)

# What install and the packages have in common. The units say where the
# package has the program; systemd reads those under /usr/local/lib as well.
files:
	install -D -m 0755 $(BIN) $(DESTDIR)$(PREFIX)/bin/vouch
	for unit in vouch.service vouch-sync.service vouch-sync.timer; do sed 's|/usr/bin/vouch|$(PREFIX)/bin/vouch|' etc/systemd/$$unit | \
	  install -D -m 0644 /dev/stdin $(LIB)/systemd/system/$$unit; done
	install -D -m 0644 etc/systemd/vouch.sysusers $(LIB)/sysusers.d/vouch.conf
	install -D -m 0644 etc/systemd/vouch.tmpfiles $(LIB)/tmpfiles.d/vouch.conf
	$(BIN) man --sample etc/vouch.yaml $(SHARE)/man
	$(BIN) completion bash | install -D -m 0644 /dev/stdin $(SHARE)/bash-completion/completions/vouch
	$(BIN) completion zsh | install -D -m 0644 /dev/stdin $(SHARE)/zsh/site-functions/_vouch
	$(BIN) completion fish | install -D -m 0644 /dev/stdin $(SHARE)/fish/vendor_completions.d/vouch.fish
	install -D -m 0644 etc/vouch.yaml $(SHARE)/vouch/vouch.yaml
	install -D -m 0755 etc/vmcatcher_image $(SHARE)/vouch/vmcatcher_image
	install -D -m 0755 -t $(SHARE)/vouch/handlers etc/handlers/*
	install -D -m 0644 -t $(SHARE)/vouch/prometheus etc/prometheus/vouch.rules.yml
	install -D -m 0644 -t $(SHARE)/vouch/grafana etc/grafana/*
	install -D -m 0644 -t $(SHARE)/doc/vouch README.md
	install -D -m 0644 -t $(SHARE)/doc/vouch/examples/cron etc/cron/*

uninstall: ## take away what install put under PREFIX; configuration, state and cache stay
	rm -f $(DESTDIR)$(PREFIX)/bin/vouch $(LIB)/systemd/system/vouch{.service,-sync.service,-sync.timer} \
	  $(LIB)/sysusers.d/vouch.conf $(LIB)/tmpfiles.d/vouch.conf $(SHARE)/man/man1/vouch{,-*}.1 $(SHARE)/man/man5/vouch.yaml.5 \
	  $(SHARE)/bash-completion/completions/vouch $(SHARE)/zsh/site-functions/_vouch $(SHARE)/fish/vendor_completions.d/vouch.fish
	rm -rf $(SHARE)/vouch $(SHARE)/doc/vouch

package: ## build dist/*.deb and dist/*.rpm for this machine's architecture
	etc/package/build

machine: ## install the package on a real Debian under QEMU and live with it; minutes
	testdata/machine/run

clean: ## remove what build made
	rm -rf bin dist
