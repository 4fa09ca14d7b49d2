package spool

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Encoders and decoders hold up to a megabyte or two each. They are shared, and
// the garbage collector takes those that are idle.

// The fastest level packs a ring of calls to an eighth, as the next one does within
// 3 %, in three fifths of its time.
var encoders = sync.Pool{New: func() any {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(blockRaw),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	if err != nil {
		panic(err) // of options that never change
	}
	return e
}}

var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxRaw),
		zstd.WithDecoderMaxWindow(2<<20), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err)
	}
	return d
}}

// buffers are as large as a block of frames.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, blockRaw+headLen)
	return &b
}}

func buffer() []byte { return (*buffers.Get().(*[]byte))[:0] }

// release gives a buffer back, unless it is one of the few that grew.
func release(b []byte) {
	if cap(b) >= blockRaw && cap(b) <= 2*blockRaw {
		b = b[:0]
		buffers.Put(&b)
	}
}

// compress appends raw to b, compressed.
func compress(b, raw []byte) []byte {
	e := encoders.Get().(*zstd.Encoder)
	defer encoders.Put(e)
	return e.EncodeAll(raw, b)
}

var errLength = errors.New("it is not as long as it says")

// expand returns what a payload was made of, n bytes, in the memory of b if they
// fit; it never takes more, whatever the payload says.
func expand(b, payload []byte, codec byte, n int) ([]byte, error) {
	if cap(b) < n {
		b = make([]byte, 0, n)
	}
	if codec == codecStored {
		return append(b[:0], payload...), nil
	}
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	raw, err := d.DecodeAll(payload, b[:0:n])
	if err != nil {
		return b, fmt.Errorf("decompress: %w", err)
	}
	if len(raw) != n {
		return b, errLength
	}
	return b[:n], nil // raw, but with all of its memory
}
