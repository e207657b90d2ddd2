# ftpgate. make run and make test are all that a newcomer needs.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X main.version=$(VERSION)
PREFIX  ?= /usr/local
DESTDIR ?=

.PHONY: build run test fetch lint fuzz bench bench-quick install clean

build: ## the program, bin/ftpgate
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ftpgate ./cmd/ftpgate

run: build ## show the whole thing on this machine, until Ctrl-C
	bin/ftpgate demo

# The end-to-end tests run real servers and clients from Debian's packages. They
# are unpacked into .cache, not installed, and that as well as the tests with
# network namespaces takes root: what is left out without it is named.
test: ## everything, end-to-end tests included
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) --no-print-directory fetch; \
	else echo 'Not root: the tests with network namespaces are skipped (nft, internal/lab, the end-to-end tests). All of them: sudo make test'; fi
	$(GO) test -timeout 20m $(TESTFLAGS) ./...
	@if [ "$$(id -u)" != 0 ]; then echo 'Left out without root:'; \
	$(GO) test -v ./... 2>/dev/null | grep -E '^ *--- SKIP' | sort | uniq -c | sort -rn | head -40; fi

fetch: ## the real servers and clients of the tests
	$(GO) run ./internal/lab/fetch

lint: ## gofmt, vet, staticcheck, a tidy go.mod
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'gofmt would change:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff

FUZZTIME ?= 20s
fuzz: ## every fuzz target for FUZZTIME
	@for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
	    echo "$$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$package || exit 1; \
	  done; \
	done

# Built first: to interrupt go run would leave what it runs behind.
bench: ## ftpgate beside its peers, twenty minutes, as root; results in bench/
	$(GO) build -o bin/ftpgate-bench ./internal/lab/bench
	bin/ftpgate-bench --out bench

bench-quick: ## plain forwarding, the kernel's helper and ftpgate, two minutes, as root
	$(GO) build -o bin/ftpgate-bench ./internal/lab/bench
	bin/ftpgate-bench --quick

install: build ## the program, its unit and a configuration to begin with
	install -D -m 0755 bin/ftpgate $(DESTDIR)$(PREFIX)/sbin/ftpgate
	install -d $(DESTDIR)/etc/systemd/system
	sed 's|/usr/local|$(PREFIX)|' deploy/ftpgate.service > $(DESTDIR)/etc/systemd/system/ftpgate.service
	install -D -m 0644 deploy/ftpgate.sysctl.conf $(DESTDIR)/etc/sysctl.d/60-ftpgate.conf
	install -D -m 0644 deploy/ftpgate.logrotate $(DESTDIR)/etc/logrotate.d/ftpgate
	test -e $(DESTDIR)/etc/ftpgate/ftpgate.toml || install -D -m 0640 deploy/ftpgate.toml $(DESTDIR)/etc/ftpgate/ftpgate.toml
	@echo 'Next: edit /etc/ftpgate/ftpgate.toml; ftpgate check; sysctl --system; systemctl daemon-reload; systemctl enable --now ftpgate'

clean:
	rm -rf bin
