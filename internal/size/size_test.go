package size

import "testing"

func TestSet(t *testing.T) {
	for in, want := range map[string]Bytes{
		"0": 0, "4096": 4096, "1B": 1, "64KiB": 64 << 10, "1MiB": 1 << 20, "1M": 1 << 20, "2gib": 2 << 30, "3KB": 3 << 10, " 5 MiB ": 5 << 20,
	} {
		var b Bytes
		if err := b.Set(in); err != nil || b != want {
			t.Errorf("Set(%q) = %d, %v, want %d", in, b, err, want)
		}
	}
	for _, in := range []string{"", "x", "MiB", "-1", "1.5MiB", "99999999999GiB", "1TiB", "18446744073709551616"} {
		var b Bytes
		if err := b.Set(in); err == nil {
			t.Errorf("Set(%q) = %d, want an error", in, b)
		}
	}
}

func TestStringIsRead(t *testing.T) {
	for _, want := range []Bytes{0, 1, 1023, 1 << 10, 3 << 20, 5 << 30, 1<<20 + 1} {
		var got Bytes
		if err := got.Set(want.String()); err != nil || got != want {
			t.Errorf("%s is read as %d, %v, want %d", want, got, err, want)
		}
	}
}

func TestRough(t *testing.T) {
	for n, want := range map[int64]string{
		-1: "-1 bytes", 0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 1536: "1.5 KiB", 10<<10 - 1: "10.0 KiB", 10 << 10: "10 KiB", 412 << 10: "412 KiB",
		1<<20 - 1: "1023 KiB", 5 << 19: "2.5 MiB", 11 << 20: "11 MiB", 1 << 30: "1.0 GiB", 5 << 40: "5120 GiB",
	} {
		if got := Rough(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
