// Package web makes pages: a report is one file that asks no network and opens anywhere.
//
// What is in dist is made from src by "make web", and checked to be current by
// "make check-web". What containers chose is in the data alone, in base64, and the page makes
// nothing but text of it.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	"github.com/recorderd/recorderd/recorder/timeline"
)

//go:embed dist/page.js
var script []byte

//go:embed dist/page.css
var style []byte

// policy lets a page run the script and use the style that it came with, and nothing else: it
// reaches no network, also not for a picture or a form.
func policy(more string) string {
	return fmt.Sprintf("default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'%s; "+
		"require-trusted-types-for 'script'", hash(script), hash(style), more)
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// WriteReport writes a report as a page.
func WriteReport(w io.Writer, t *timeline.Timeline) error {
	var data bytes.Buffer
	enc := base64.NewEncoder(base64.StdEncoding, &data)
	zip, err := gzip.NewWriterLevel(enc, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(zip).Encode(t); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := zip.Close(); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	return page(w, "", data.Bytes())
}

// page writes a page, data is what it shows. more are further directives of its policy.
func page(w io.Writer, more string, data []byte) error {
	b := bytes.NewBuffer(make([]byte, 0, len(script)+len(style)+len(data)+1024))
	fmt.Fprintf(b, `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="%s">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>recorder</title>
<style>`, policy(more))
	b.Write(style)
	b.WriteString("</style>\n<div id=\"app\"><noscript>This page needs JavaScript. recorderctl show has the same as text.</noscript></div>\n")
	if data != nil {
		b.WriteString("<script type=\"application/octet-stream\" id=\"data\">")
		b.Write(data)
		b.WriteString("</script>\n")
	}
	b.WriteString("<script type=\"module\">")
	b.Write(script)
	b.WriteString("</script>\n</html>\n")
	_, err := w.Write(b.Bytes())
	return err
}
