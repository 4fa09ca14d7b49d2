package bpf

// The compiler is pinned: CI generates again and compares byte for byte. The
// commands ask for -mcpu=v3, which every kernel since 5.11 takes.

//go:generate go run ../internal/genvocabulary
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -tags linux -target amd64,arm64 -go-package bpf -no-global-types -output-stem recorder -cflags "-O2 -g -Wall -Werror -mcpu=v3" recorder recorder.bpf.c
//go:generate sh -c "clang-19 -O2 -g -Wall -Werror -target bpf -c layout.c -o $DOLLAR{TMPDIR:-/tmp}/recorder-layout.o && go run ../internal/genlayout -object $DOLLAR{TMPDIR:-/tmp}/recorder-layout.o -out ../recorder/layout/layout.go && rm $DOLLAR{TMPDIR:-/tmp}/recorder-layout.o"
