package client

import (
	"fmt"
	"strconv"
	"strings"
)

// compare warns, once, of a daemon that is of another version than the caller.
func (c *Client) compare(daemon string) {
	if c.opts.Warn == nil || !skewed(c.opts.Version, daemon) {
		return
	}
	c.warn.Do(func() {
		c.opts.Warn(fmt.Sprintf("this is version %s and recorderd has %s: what one of them does not know is left out", c.opts.Version, daemon))
	})
}

// skewed reports whether two versions differ in more than the patch. Versions of
// builds that were never released compare with nothing.
func skewed(a, b string) bool {
	x, ok := majorMinor(a)
	y, ok2 := majorMinor(b)
	return ok && ok2 && x != y
}

func majorMinor(v string) (mm [2]int, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(v, "v"), ".", 3)
	if len(parts) < 2 {
		return mm, false
	}
	for i := range mm {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return mm, false
		}
		mm[i] = n
	}
	return mm, mm != [2]int{}
}
