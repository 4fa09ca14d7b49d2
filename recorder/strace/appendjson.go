package strace

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/recorderd/recorderd/internal/jsontext"
)

// AppendJSON appends values as encoding/json would write them, as an array: a dump
// has millions. Bytes that are no UTF-8 become U+FFFD.
func AppendJSON(dst []byte, vs []Value) []byte {
	dst = append(dst, '[')
	for i := range vs {
		v := &vs[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"name":`...)
		dst = AppendJSONString(dst, v.Name)
		dst = append(dst, `,"type":`...)
		dst = AppendJSONString(dst, v.Type)
		dst = append(dst, `,"raw":`...)
		dst = strconv.AppendUint(dst, v.Raw, 10)
		if v.Decoded != nil {
			dst = append(dst, `,"value":`...)
			dst = appendAny(dst, v.Decoded)
		}
		if v.Cut {
			dst = append(dst, `,"cut":true`...)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendAny appends what a Value.Decoded can be.
func appendAny(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case string:
		return AppendJSONString(dst, v)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case uint64:
		return strconv.AppendUint(dst, v, 10)
	case []string:
		dst = append(dst, '[')
		for i, s := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendJSONString(dst, s)
		}
		return append(dst, ']')
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendAny(dst, e)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(AppendJSONString(dst, v[i].Name), ':')
			dst = appendAny(dst, v[i].Value)
		}
		return append(dst, '}')
	}
	b, err := json.Marshal(v)
	if err != nil {
		return append(dst, "null"...)
	}
	return append(dst, b...)
}

// AppendJSONString appends a string as JSON has it, without control characters: it
// may go to a terminal.
func AppendJSONString[S string | []byte](dst []byte, s S) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		if c < utf8.RuneSelf {
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, `\n`...)
			case '\t':
				dst = append(dst, `\t`...)
			case '\r':
				dst = append(dst, `\r`...)
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, "\ufffd"...)
		case jsontext.Unsafe(r):
			dst = jsontext.AppendEscape(dst, r)
		default:
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return append(dst, '"')
}
