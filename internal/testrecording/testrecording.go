// Package testrecording reads the recordings that tests keep in testdata, .rec.gz: raw dumps.
package testrecording

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"

	"github.com/recorderd/recorderd/recorder/dump"
)

// Raw returns the dump in a file.
func Raw(t testing.TB, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Reader returns a reader of a dump.
func Reader(t testing.TB, raw []byte) *dump.Reader {
	t.Helper()
	r, err := dump.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return r
}
