package dump

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/recorderd/recorderd/recorder/format"
	"github.com/recorderd/recorderd/recorder/record"
)

// headerFrame is what a header frame holds, as JSON. See package format for what may change.
type headerFrame struct {
	Recording    format.Recording `json:"recording"`
	Arch         record.Arch      `json:"arch"`
	PageSize     int              `json:"pageSize"`
	Version      string           `json:"version"`
	Kernel       string           `json:"kernel"`
	Node         string           `json:"node"`
	Clock        Clock            `json:"clock"`
	Taken        time.Time        `json:"taken"`
	Layout       int              `json:"layout"`
	CaptureStdio uint32           `json:"captureStdio"`
	CaptureData  uint32           `json:"captureData"`
	Filter       string           `json:"filter,omitempty"`
}

// EncodeHeader returns the payload of a header frame: at most MaxFrame bytes.
func EncodeHeader(h *Header) ([]byte, error) {
	b, err := json.Marshal(headerFrame{
		Recording: format.Of(&h.Recording), Arch: h.Arch, PageSize: h.PageSize, Version: h.Version,
		Kernel: h.Kernel, Node: h.Node, Clock: h.Clock, Taken: h.Taken, Layout: h.Layout,
		CaptureStdio: h.CaptureStdio, CaptureData: h.CaptureData, Filter: h.Filter,
	})
	if err != nil {
		return nil, fmt.Errorf("encode header: %w", err)
	}
	if len(b) > MaxFrame {
		return nil, fmt.Errorf("header of %d bytes: at most %d fit into a frame", len(b), MaxFrame)
	}
	return b, nil
}

// DecodeHeader reads the payload of a header frame.
func DecodeHeader(b []byte) (*Header, error) {
	var f headerFrame
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	return &Header{
		Recording: f.Recording.API(), Arch: f.Arch, PageSize: f.PageSize, Version: f.Version,
		Kernel: f.Kernel, Node: f.Node, Clock: f.Clock, Taken: f.Taken, Layout: f.Layout,
		CaptureStdio: f.CaptureStdio, CaptureData: f.CaptureData, Filter: f.Filter,
	}, nil
}
