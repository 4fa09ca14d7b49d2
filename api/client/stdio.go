package client

import (
	"context"
	"fmt"
	"io"
	"net"
)

// Carry connects r and w to the daemon's socket until the daemon has closed the
// connection. The end of r is told to the daemon, which may still answer. greeting is
// written first, when the connection is there. It leaves a goroutine behind that ends
// with r.
func Carry(ctx context.Context, socket, greeting string, r io.Reader, w io.Writer) error {
	c, err := Unix(socket)(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(w, greeting); err != nil {
		return err
	}
	go func() {
		io.Copy(c, r)                  //nolint:errcheck // if the daemon has gone, the other direction says so
		c.(*net.UnixConn).CloseWrite() //nolint:errcheck // the same
	}()
	// What is left of r does not matter when nobody listens any more: r is not waited for.
	if _, err := io.CopyBuffer(onlyWriter{w}, onlyReader{c}, make([]byte, 256<<10)); err != nil {
		return fmt.Errorf("carry the answer: %w", err)
	}
	return nil
}

// onlyWriter and onlyReader hide what io.CopyBuffer would use instead of the buffer.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)
