package privacy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	regex "github.com/recorderd/recorderd/internal/pattern"
)

// builtin is a pattern with a name. To match, one of its words must be there, in
// whatever case: they are looked for first, which is much faster.
type builtin struct {
	name, what string
	words      []string
	digits     int // or, so many digits in a row must be there
	re         *regexp.Regexp
}

// What the pattern passwords is made of: the name of a secret with what stands between it
// and its value, in a string within JSON too, and the value. Where a name is followed by
// another, as in "secret token: x" or --token-auth --password x, all behind the first is
// blanked: it may be its value.
const (
	secretName  = `(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key)[a-z0-9_-]{0,32}\\{0,4}["']?(?:[ \t]{0,4}(?:=>|[=:]{1,2})[ \t]{0,4}|[\x00 ])`
	secretValue = `(?:\\{0,4}"[^"\x00]+|\\{0,4}'[^'\x00]+|[^\s"'&;,\x00]+)`
)

// The patterns with names. What is in a group is blanked, so that it can still be
// seen what was there.
var builtins = []builtin{
	{
		"passwords", "values behind password=, passwd:, --token, secret=, api_key=, MYSQL_PWD= and their like, in URLs, and of systemd.set_credential=",
		[]string{"set_credential", "passw", "pwd", "secret", "token", "apikey", "api_key", "api-key", "passphrase", "://"}, 0,
		regexp.MustCompile(`(?i)` + secretName + `(?:((?:[a-z0-9_.-]{0,32}` + secretName + `)+` + secretValue + `)|` +
			`\\{0,4}"([^"\x00]+)|\\{0,4}'([^'\x00]+)|([^\s"'&;,\x00]+))|[a-z][a-z0-9+.-]{0,31}://[^/\s:@"'\x00]{0,255}:([^/\s@"'\x00]+)@|` +
			`set_credential(?:_binary)?=[^\s:\x00]{0,255}:([^\s\x00]+)`),
	},
	{
		"bearer-tokens", "credentials in Authorization and Cookie headers, and JSON Web Tokens",
		[]string{"authorization", "bearer", "cookie", "eyj"}, 0,
		regexp.MustCompile(`(?i)(?:proxy-)?authorization["']?[ \t]*[:=][ \t]*["']?(?:(?:basic|bearer|digest|negotiate|token|aws4-hmac-sha256)[ \t]+)?([^\s"'\x00][^\r\n"'\x00]*)|(?:set-)?cookie:[ \t]*([^\r\n\x00]+)|\bbearer[ \t]+([a-z0-9._~+/=-]{8,})|\b(eyJ[a-z0-9_-]{8,}(?:\.[a-z0-9_-]*){1,4})`),
	},
	{
		"aws-keys", "access key ids of AWS, and secret keys and session tokens behind their names",
		[]string{"akia", "asia", "aws"}, 0,
		regexp.MustCompile(`\b((?:AKIA|ASIA)[0-9A-Z]{16})\b|(?i:aws_?(?:secret_?access_?key|session_?token))["']?[ \t]{0,4}[=:][ \t]{0,4}["']?([A-Za-z0-9/+=]{16,})`),
	},
	{
		"private-keys", "private keys in PEM",
		[]string{"private key"}, 0,
		regexp.MustCompile(`-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----([^\x00]*?)(?:-----END|\x00|\z)`),
	},
	{
		"card-numbers", "13 to 19 digits as payment cards have them, with a right check digit",
		nil, 13, regexp.MustCompile(`\b((?:[2-6][0-9]{3})(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,7}|3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5})\b`),
	},
}

// Names returns the patterns with names, and what each blanks.
func Names() map[string]string {
	names := map[string]string{}
	for _, b := range builtins {
		names[b.name] = b.what
	}
	return names
}

func nameList() string {
	var names []string
	for _, b := range builtins {
		names = append(names, b.name)
	}
	return strings.Join(names, ", ")
}

// patternMax is how long a pattern can be, in bytes.
const patternMax = 1024

// pattern is one that is in use.
type pattern struct {
	words  []string // lower case, of which one must be there; none: look at all
	digits int      // in a row that must be there
	re     *regexp.Regexp
	check  func([]byte) bool // of what would be blanked; nil: it is
}

func parse(s string) (pattern, error) {
	if body, ok := strings.CutPrefix(s, "/"); ok {
		body, ok := strings.CutSuffix(body, "/")
		if !ok || body == "" {
			return pattern{}, fmt.Errorf("the pattern %s: want a regular expression between / and /", quote(s))
		}
		if len(body) > patternMax {
			return pattern{}, fmt.Errorf("a pattern of %d bytes: want at most %d", len(body), patternMax)
		}
		re, err := regex.Compile(body)
		if err != nil {
			return pattern{}, fmt.Errorf("the pattern %s: %w", quote(s), err)
		}
		if re.MatchString("") {
			return pattern{}, fmt.Errorf("the pattern %s fits nothing at all as well: it would not say what to blank", quote(s))
		}
		return pattern{re: re}, nil
	}
	i := slices.IndexFunc(builtins, func(b builtin) bool { return b.name == s })
	if i < 0 {
		return pattern{}, fmt.Errorf("no pattern is called %s: there are %s, and regular expressions between / and /", quote(s), nameList())
	}
	p := pattern{words: builtins[i].words, digits: builtins[i].digits, re: builtins[i].re}
	if s == "card-numbers" {
		p.check = luhn
	}
	return p, nil
}

// Cost is about how many states all regular expressions among patterns have together, with
// which each byte of what is blanked is compared at worst. Patterns with names have words
// that are looked for first, and cost nothing here.
func Cost(patterns []string) int {
	n := 0
	for _, s := range patterns {
		if body, ok := strings.CutPrefix(s, "/"); ok {
			states, _ := regex.States(strings.TrimSuffix(body, "/")) //nolint:errcheck // one that is wrong costs nothing
			n += states
		}
	}
	return n
}

// Split takes a list of patterns apart at its commas, but for those between / and
// /, and checks each.
func Split(list string) ([]string, error) {
	var out []string
	for rest := strings.TrimSpace(list); rest != ""; {
		var one string
		if rest[0] == '/' {
			end := closing(rest)
			if end < 0 {
				return nil, fmt.Errorf("the pattern %s: want a regular expression between / and /", quote(rest))
			}
			one, rest = rest[:end+1], strings.TrimSpace(rest[end+1:])
			if rest != "" && rest[0] != ',' {
				return nil, fmt.Errorf("behind the pattern %s stands %s: a / in it is written \\/", quote(one), quote(rest))
			}
			rest = strings.TrimPrefix(rest, ",")
		} else {
			one, rest, _ = strings.Cut(rest, ",")
		}
		one, rest = strings.TrimSpace(one), strings.TrimSpace(rest)
		if _, err := parse(one); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	if len(out) == 0 {
		return nil, errors.New("no pattern is named: there are " + nameList() + ", and regular expressions between / and /")
	}
	return out, nil
}

// closing returns the index of the / that ends the expression that s begins with.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '/':
			return i
		}
	}
	return -1
}

// luhn reports whether the last digit is the check digit of the others.
func luhn(b []byte) bool {
	sum, n := 0, 0
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < '0' || b[i] > '9' {
			continue
		}
		d := int(b[i] - '0')
		if n%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n++
	}
	return n >= 13 && n <= 19 && sum%10 == 0
}

func quote(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return fmt.Sprintf("%q", s)
}
