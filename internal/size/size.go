// Package size reads and writes amounts of memory as people write them: 1MiB.
package size

import (
	"fmt"
	"strconv"
	"strings"
)

// Bytes is an amount of memory. As a flag it takes 4096, 64KiB, 1MiB, 2GiB, also
// without "iB" or with "B"; K, M and G are powers of 1024.
type Bytes uint64

var units = []struct {
	name  string
	bytes uint64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// String writes the amount in the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range units {
		if b != 0 && uint64(b)%u.bytes == 0 {
			return strconv.FormatUint(uint64(b)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatUint(uint64(b), 10)
}

// Rough writes an amount of bytes as far as people care: 1.5 KiB, 412 KiB, 2.5 MiB.
func Rough(n int64) string {
	for _, u := range units {
		switch unit := int64(u.bytes); {
		case n >= 10*unit:
			return fmt.Sprintf("%d %s", n/unit, u.name)
		case n >= unit:
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// Set reads an amount.
func (b *Bytes) Set(s string) error {
	n, unit := strings.TrimSpace(s), uint64(1)
	upper := strings.ToUpper(n)
	for _, u := range units {
		for _, suffix := range []string{strings.ToUpper(u.name), u.name[:1] + "B", u.name[:1]} {
			if unit == 1 && strings.HasSuffix(upper, suffix) {
				n, unit = n[:len(n)-len(suffix)], u.bytes
			}
		}
	}
	if unit == 1 && strings.HasSuffix(upper, "B") {
		n = n[:len(n)-1]
	}
	v, err := strconv.ParseUint(strings.TrimSpace(n), 10, 64)
	if err != nil || v > (1<<62)/unit {
		return fmt.Errorf("want an amount of memory such as 64KiB, 1MiB or 256MiB")
	}
	*b = Bytes(v * unit)
	return nil
}

// MarshalText writes what String does, for JSON.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what Set does.
func (b *Bytes) UnmarshalText(text []byte) error { return b.Set(string(text)) }

// Type is shown in a command's help.
func (b *Bytes) Type() string { return "size" }
