package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/api/target"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/replay"
)

const (
	// chunk is how much is written to a client under one deadline: who takes nothing for
	// Options.WriteTimeout is cut off.
	chunk = 16 << 10
	// slowest is how many bytes a second a client must read on average of a dump that
	// has an end, after a first timeout: a copy of the ring is held for it meanwhile.
	slowest = 64 << 10
)

var dumpParams = []string{
	replay.ParamFormat, replay.ParamSince, replay.ParamUntil, replay.ParamLast, replay.ParamPid, replay.ParamTid,
	replay.ParamFailed, replay.ParamSuccess, replay.ParamPath, replay.ParamExpr, replay.ParamFollow, replay.ParamHostPids,
	replay.ParamTime, replay.ParamDuration, replay.ParamFds, replay.ParamSummary, replay.ParamStrings, replay.ParamBigInts,
}

// dump streams a recording, raw as the backend writes it, or decoded.
func (s *server) dump(w http.ResponseWriter, r *http.Request) error {
	v, err := query(r)
	if err != nil {
		return err
	}
	sel, bad := target.ParseSelector(v)
	if bad != nil {
		return bad
	}
	if bad := target.Only(v, dumpParams...); bad != nil {
		return bad
	}
	q, err := replay.ParseQuery(v)
	if err != nil {
		return api.Errorf(api.CodeBadRequest, "%v", err)
	}
	if q.Format == "" {
		q.Format = replay.FormatText
	}
	rec, err := s.find(r, sel)
	if err != nil {
		return err
	}
	format := string(q.Format)
	places := s.dumps
	if q.Follow {
		places = s.follows // which would take up the others for hours
	}
	done, ok := enter(r, places)
	if !ok {
		s.metrics.dumps.WithLabelValues(format, "refused").Inc()
		s.Log.LogAttrs(r.Context(), slog.LevelInfo, "dump", append(recordingAttrs(rec), peerAttr(r.Context()), slog.String("err", "too many dumps at a time"))...)
		return api.Errorf(api.CodeTooMany, "%d dumps are under way, which is as many as can be: wait for one to end", places.most)
	}
	defer done()
	s.metrics.running.Inc()
	defer s.metrics.running.Dec()

	start := time.Now()
	out := &stream{w: w, rc: http.NewResponseController(w), timeout: s.WriteTimeout, contentType: q.Format.ContentType(), bounded: !q.Follow}
	if !q.Follow && acceptsZstd(r) {
		if err := out.compress(); err != nil {
			return err
		}
	}
	err = s.stream(r.Context(), rec.ID, q, out)
	if err == nil {
		err = out.finish()
	}
	result := "ok"
	switch {
	case clientGone(r, err):
		result = "canceled"
	case err != nil:
		result = "error"
	}
	s.metrics.dumps.WithLabelValues(format, result).Inc()
	attrs := append(recordingAttrs(rec), peerAttr(r.Context()), slog.String("format", format),
		slog.Int64("bytes", out.written), slog.Duration("took", time.Since(start)))
	if err != nil {
		attrs = append(attrs, slog.Any("err", err))
	}
	s.Log.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelInfo, "dump", attrs...)
	return err
}

// stream writes a dump to out and returns when the backend has.
func (s *server) stream(ctx context.Context, id string, q replay.Query, out *stream) error {
	if q.Format == replay.FormatRaw && !q.Filtered() {
		out.flush = q.Follow
		return safely(func() error { return s.backend.Dump(ctx, id, q, out) })
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := safely(func() error { return s.backend.Dump(ctx, id, q, pw) })
		pw.CloseWithError(err) // nil: EOF
		done <- err
	}()
	err := safely(func() error { return decode(out, pr, q) })
	pr.CloseWithError(err) // nil: io.ErrClosedPipe
	cancel()
	if derr := <-done; derr != nil && !errors.Is(derr, context.Canceled) && !errors.Is(derr, io.ErrClosedPipe) && !errors.Is(derr, err) {
		return derr // it comes first: what replay says follows from it
	}
	return err
}

// decode turns a raw dump into what q asks for, with times of day in UTC.
func decode(out *stream, r io.Reader, q replay.Query) error {
	d, err := dump.NewReader(r)
	if err != nil {
		return err
	}
	_, err = replay.Run(out, d, replay.Options{Query: q, Flush: out.Flush})
	return err
}

// stream is the body of a dump. It begins the answer with the first byte, so that
// until then an error can still be answered, and gives up on a client that does
// not read.
type stream struct {
	w           http.ResponseWriter
	rc          *http.ResponseController
	timeout     time.Duration
	contentType string
	flush       bool          // after each write
	bounded     bool          // the dump has an end: a slow reader must not put it off for long
	waited      time.Duration // for the client
	begun       bool
	written     int64
	zstd        *zstd.Encoder // nil: not compressed
}

// acceptsZstd reports whether the client takes an answer in zstd (RFC 8878). Those ask
// for it whose connection costs more than the compression: recorderctl does through
// a cluster's API server.
func acceptsZstd(r *http.Request) bool {
	for _, value := range r.Header.Values("Accept-Encoding") {
		for _, coding := range strings.Split(value, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if strings.EqualFold(strings.TrimSpace(name), "zstd") && strings.Trim(strings.ReplaceAll(weight, " ", ""), "0.") != "q=" {
				return true
			}
		}
	}
	return false
}

// compress has all that is written from now on compressed.
func (o *stream) compress() (err error) {
	o.zstd, err = zstd.NewWriter(sender{o}, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	return err
}

// finish sends what is left. Without it the answer is seen to be cut.
func (o *stream) finish() error {
	if o.zstd != nil {
		if err := o.zstd.Close(); err != nil {
			return err
		}
	}
	return o.Flush()
}

// Write implements io.Writer.
func (o *stream) Write(b []byte) (n int, err error) {
	if o.zstd != nil {
		return o.zstd.Write(b)
	}
	return o.send(b)
}

// sender is a stream behind the compression.
type sender struct{ *stream }

func (s sender) Write(b []byte) (int, error) { return s.send(b) }

func (o *stream) send(b []byte) (n int, err error) {
	for len(b) > 0 {
		o.begin()
		before := time.Now()
		m, err := o.w.Write(b[:min(len(b), chunk)])
		o.waited += time.Since(before)
		n += m
		o.written += int64(m)
		if err != nil {
			return n, err
		}
		b = b[m:]
	}
	if o.flush {
		return n, o.Flush()
	}
	return n, nil
}

// Flush sends what is buffered, and the head of the answer if nothing is yet. What
// is being compressed waits for finish.
func (o *stream) Flush() error {
	o.begin()
	before := time.Now()
	defer func() { o.waited += time.Since(before) }()
	return o.rc.Flush()
}

func (o *stream) begin() {
	allowed := o.timeout
	if o.bounded {
		allowed = min(allowed, o.timeout+time.Duration(o.written)*time.Second/slowest-o.waited)
	}
	_ = o.rc.SetWriteDeadline(time.Now().Add(allowed))
	if !o.begun {
		o.begun = true
		o.w.Header().Set("Content-Type", o.contentType)
		if o.zstd != nil {
			o.w.Header().Set("Content-Encoding", "zstd")
		}
	}
}
