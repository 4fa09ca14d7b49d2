# What a newcomer needs:  sudo make demo   sudo make test
#
# Building needs Go only: the compiled BPF programs are in the repository.

# sudo may have a PATH without Go.
GO      ?= $(or $(shell command -v go),$(wildcard /usr/local/go/bin/go),go)
BIN     := bin
VERSION ?=
LDFLAGS := $(if $(VERSION),-X github.com/recorderd/recorderd/internal/version.release=$(VERSION))

# Static binaries: they run on any node, whatever its libc.
export CGO_ENABLED ?= 0

.PHONY: build
build: ## both programs, into bin/
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/recorderd ./cmd/recorderctl

IMAGE      ?= docker.io/recorderd/recorderd:$(or $(VERSION),latest)
IMAGE_ARCH ?= amd64 arm64

.PHONY: image
image: ## both programs on nothing, as an OCI archive: bin/recorderd.oci.tar (no Docker daemon needed; IMAGE=NAME, IMAGE_ARCH)
	for arch in $(IMAGE_ARCH); do \
		GOARCH=$$arch $(GO) build -trimpath -ldflags '-s -w $(LDFLAGS)' -o $(BIN)/linux-$$arch/ ./cmd/recorderd ./cmd/recorderctl || exit; \
	done
	$(GO) run -C tools ./mkimage -o $(CURDIR)/$(BIN)/recorderd.oci.tar -name $(IMAGE) -version $(or $(VERSION),devel) \
		$(foreach arch,$(IMAGE_ARCH),$(arch)=$(CURDIR)/$(BIN)/linux-$(arch))

.PHONY: demo
demo: build ## record a program that crashes, and show what it did (root)
	scripts/demo $(BIN)

.PHONY: test
test: test-tools ## all tests, none from a cache: they depend on the kernel (root; installs what they need on Debian and Ubuntu)
	$(GO) test -count=1 -timeout 20m ./...

.PHONY: cases
cases: test-tools build ## programs that end badly: the project's own, alone and behind NOISE seconds of noise; with CASES=DIR also those of a folder, by KIT=PROGRAM (root)
	RECORDERD_NOISE=$(or $(NOISE),60) $(GO) test -count=1 -timeout 40m -run 'TestCases$$' ./recorder
	$(if $(CASES),$(or $(KIT),$(CASES)/../kit/run) --bin $(BIN) $(CASES))

.PHONY: race
race: test-tools ## the tests again, under the race detector (root)
	CGO_ENABLED=1 $(GO) test -race -count=1 -timeout 20m -skip 'TestSameAsStrace|TestCases' ./api/... ./cmd/... ./recorder/...

.PHONY: test-tools
test-tools:
	scripts/install-tools containerd runc crun strace gcc git busybox-static redis-server python3 perl make gzip tar findutils gawk g++ gcc-multilib curl nginx-light sqlite3 nodejs iproute2 procps openssh-server openssh-client tmux xz-utils bzip2 rsync openssl patch diffutils util-linux mount e2fsprogs bsdextrautils systemd zstd lz4 jq wget zip unzip gdb php-cli ruby lua5.4 ed bc vim gnupg binutils groff-base

.PHONY: e2e
e2e: ## on a real Kubernetes node, which it builds the first time (root, Debian): E2EFLAGS="-test.run TestPods"
	GO=$(GO) scripts/e2e $(E2EFLAGS)

.PHONY: bench
bench: ## what recording costs, beside doing nothing, perf and strace (root)
	scripts/install-tools redis-server strace linux-perf
	$(GO) build -o $(BIN)/bench ./internal/bench
	$(BIN)/bench $(BENCHFLAGS)

.PHONY: generate
generate: ## the BPF programs, the types they share with Go, the table of system calls
	scripts/install-tools clang-19 llvm-19
	$(GO) generate ./bpf ./recorder/syscalls ./deploy

.PHONY: check-generated
check-generated: generate ## fails if what is in the repository is not what the sources give
	@test -z "$$(git status --porcelain -- api/counters.go bpf deploy docs/vocabulary.md recorder/layout recorder/replay/kinds.go recorder/syscalls)" || \
		{ git status --porcelain -- api/counters.go bpf deploy docs/vocabulary.md recorder/layout recorder/replay/kinds.go recorder/syscalls; echo "generated files are not current: run make generate"; exit 1; }

.PHONY: web
web: ## the pages of show -o html, from TypeScript (npm; building recorderctl needs none)
	scripts/web $(GO)

.PHONY: check-web
check-web: web ## fails if the pages in the repository are not what the sources give
	@test -z "$$(git status --porcelain -- cmd/recorderctl/internal/web)" || \
		{ git status --porcelain -- cmd/recorderctl/internal/web; echo "the pages are not current: run make web"; exit 1; }

.PHONY: test-web
test-web: web ## the pages in a real Chromium (npm, root on Debian)
	scripts/install-tools chromium
	$(GO) test -count=1 -tags chromium ./cmd/recorderctl/internal/web

.PHONY: screenshots
screenshots: web ## the pictures of docs/images, from recordings of the tests (npm, root on Debian)
	scripts/install-tools chromium
	$(GO) test -count=1 -tags chromium ./cmd/recorderctl/internal/web -run InChromium -screenshots $(CURDIR)/docs/images

# What grows: a switch over one of these has to name all of it.
VOCABULARY := (.*/)?(layout\.(RecType|ItemKind|StatId|EventType|LaneKind)|replay\.(Kind|State)|dump\.FrameType|value\.Kind)

.PHONY: lint
lint: ## gofmt, vet, staticcheck, switches that name all of the vocabulary
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags e2e ./e2e/...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	$(GO) tool -modfile=tools/go.mod staticcheck -tags e2e ./e2e/...
	$(GO) tool -modfile=tools/go.mod exhaustive -typeonly '^$(VOCABULARY)$$' ./...

.PHONY: soak
soak: test-tools ## kills, floods, storms, failing disks and RECORDERD_SOAK_LOAD=2h of load, in full: three hours (root)
	RECORDERD_SOAK=1 $(GO) test -count=1 -timeout 5h -v ./soak

.PHONY: check-manifests
check-manifests: ## the chart and the kustomize base give what recorderctl deploy applies (builds helm: minutes, the first time)
	cd tools && $(GO) test -count=1 ./mkimage
	cd tools/manifests && $(GO) test -count=1 -timeout 20m .

.PHONY: fuzz
fuzz: ## every fuzz test for FUZZTIME (default 20s)
	scripts/fuzz $(or $(FUZZTIME),20s)

.PHONY: help
help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | column -t -s "$$(printf '\t')"

.PHONY: kernels
kernels: ## the tests on other kernels, in qemu: KERNELS="6.1 6.12-rt 7", ARCH=arm64 (root, Debian)
	scripts/install-tools gcc libc6-dev debian-archive-keyring
	scripts/kernels $(KERNELS)

PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
MANDIR  ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
# Where shells look for the completions of programs.
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR  ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d

# What the programs say of themselves goes by these.
RUN := env -u RECORDER_SOCKET -u NODE_NAME

.PHONY: man
man: build ## manual pages and shell completions, into bin/share/
	rm -rf $(BIN)/share
	$(RUN) $(BIN)/recorderctl man $(BIN)/share/man1
	$(RUN) $(BIN)/recorderd man $(BIN)/share/man8
	for program in recorderctl recorderd; do for shell in bash zsh fish; do \
		mkdir -p $(BIN)/share/$$shell && $(RUN) $(BIN)/$$program completion $$shell >$(BIN)/share/$$shell/$$program || exit; \
	done; done

.PHONY: install
install: man ## programs, manual pages, completions and the systemd unit, below PREFIX (default /usr/local); DESTDIR for packages
	install -d $(addprefix $(DESTDIR),$(BINDIR) $(MANDIR)/man1 $(MANDIR)/man8 $(UNITDIR) $(BASHDIR) $(ZSHDIR) $(FISHDIR))
	install -m 755 $(BIN)/recorderctl $(BIN)/recorderd $(DESTDIR)$(BINDIR)
	install -m 644 $(BIN)/share/man1/*.1 $(DESTDIR)$(MANDIR)/man1
	install -m 644 $(BIN)/share/man8/*.8 $(DESTDIR)$(MANDIR)/man8
	sed 's|^ExecStart=[^ ]*|ExecStart=$(BINDIR)/recorderd|' deploy/recorderd.service >$(DESTDIR)$(UNITDIR)/recorderd.service
	for program in recorderctl recorderd; do \
		install -m 644 $(BIN)/share/bash/$$program $(DESTDIR)$(BASHDIR)/$$program && \
		install -m 644 $(BIN)/share/zsh/$$program $(DESTDIR)$(ZSHDIR)/_$$program && \
		install -m 644 $(BIN)/share/fish/$$program $(DESTDIR)$(FISHDIR)/$$program.fish || exit; \
	done

.PHONY: uninstall
uninstall: ## what install has put there; recorderd uninstall takes programs and recordings out of the kernel
	rm -f $(addprefix $(DESTDIR)$(BINDIR)/,recorderctl recorderd) $(DESTDIR)$(UNITDIR)/recorderd.service \
		$(DESTDIR)$(MANDIR)/man1/recorderctl.1 $(DESTDIR)$(MANDIR)/man1/recorderctl-*.1 \
		$(DESTDIR)$(MANDIR)/man8/recorderd.8 $(DESTDIR)$(MANDIR)/man8/recorderd-*.8 \
		$(addprefix $(DESTDIR)$(BASHDIR)/,recorderctl recorderd) $(addprefix $(DESTDIR)$(ZSHDIR)/,_recorderctl _recorderd) \
		$(addprefix $(DESTDIR)$(FISHDIR)/,recorderctl.fish recorderd.fish)
