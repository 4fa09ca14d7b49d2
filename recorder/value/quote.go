package value

const octal = "01234567"

// appendQuoted appends a string as strace writes it: printable ASCII as it is, the
// usual escapes, other bytes in octal with as few digits as stay unambiguous.
// limit: bytes shown, 0: all; more: the string goes on.
func appendQuoted(dst, s []byte, limit int, more bool) []byte {
	if limit > 0 && len(s) > limit {
		s, more = s[:limit], true
	}
	dst = append(dst, '"')
	plain := 0 // s[plain:i] needs no escape
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\v':
			dst = append(dst, `\v`...)
		case '\f':
			dst = append(dst, `\f`...)
		default:
			dst = append(dst, '\\')
			digit := i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '7'
			if digit || c >= 0100 {
				dst = append(dst, octal[c>>6])
			}
			if digit || c >= 010 {
				dst = append(dst, octal[c>>3&7])
			}
			dst = append(dst, octal[c&7])
		}
	}
	dst = append(dst, s[plain:]...)
	dst = append(dst, '"')
	if more {
		dst = append(dst, "..."...)
	}
	return dst
}
