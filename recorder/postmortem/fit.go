package postmortem

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/recorderd/recorderd/internal/columns"
)

// folded breaks a text into at most so many rows, and cuts what is more.
func folded(s string, width, rows int) []string {
	var out []string
	for len(out) < rows-1 && columns.Width(s) > width {
		row := columns.Head(s, width)
		if i := strings.LastIndexByte(row, ' '); i > len(row)/2 {
			row = row[:i+1]
		}
		if row == "" {
			break
		}
		out, s = append(out, strings.TrimRight(row, " ")), s[len(row):]
	}
	return append(out, columns.Cut(s, width))
}

// fitMiddle cuts a text in its middle, and keeps at least a third of the width of its beginning.
func fitMiddle(s string, width int) string {
	if columns.Width(s) <= width {
		return s
	}
	if width < 8 {
		return columns.Cut(s, width)
	}
	return columns.CutMiddle(s, width, width*2/3)
}

// fitPath cuts a path, or a text that has one at its end, so that its last part stays.
func fitPath(s string, width int) string {
	if columns.Width(s) <= width {
		return s
	}
	last := s[strings.LastIndexByte(s, '/')+1:]
	if room := width - columns.Width(last) - 2; last != s && room >= 3 {
		head := columns.Head(s, room)
		if i := strings.LastIndexByte(head, '/'); i > len(head)/2 {
			head = head[:i+1] // whole parts, if that is not much less
		}
		return head + "…/" + last
	}
	return fitMiddle(s, width)
}

// callLine is the text of a system call, taken apart: name(args) result.
type callLine struct {
	name   string
	args   []string
	result string // from the " = " on; "" for a call that has not returned
}

func (c *callLine) String() string {
	return c.name + "(" + strings.Join(c.args, ", ") + ")" + c.result
}

var callName = regexp.MustCompile(`^[a-z_][a-z0-9_]*\(`)

// parseCall takes the text of a call apart. It knows the brackets and quotes of the text form,
// and no more: what it cannot take apart is not ok.
func parseCall(text string) (*callLine, bool) {
	name := callName.FindString(text)
	if name == "" {
		return nil, false
	}
	c := &callLine{name: strings.TrimSuffix(name, "(")}
	var open []byte
	from := len(name)
	for i := from; i < len(text); i++ {
		switch b := text[i]; {
		case b == '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case b == '<' && i > 0 && (isDigit(text[i-1]) || strings.HasSuffix(text[:i], "AT_FDCWD")) && !strings.HasPrefix(text[i:], "<<"):
			open = append(open, '>')
		case b == '(':
			open = append(open, ')')
		case b == '[':
			open = append(open, ']')
		case b == '{':
			open = append(open, '}')
		case len(open) > 0 && b == open[len(open)-1]:
			if b == '>' && (text[i-1] == '-' || text[i-1] == '=') {
				continue // an arrow between two addresses
			}
			open = open[:len(open)-1]
		case len(open) > 0:
		case b == ',' && i+1 < len(text) && text[i+1] == ' ':
			c.args = append(c.args, text[from:i])
			from = i + 2
		case b == ')':
			c.args = append(c.args, text[from:i])
			c.result = text[i+1:]
			return c, c.result == "" || strings.HasPrefix(c.result, " = ")
		}
	}
	return nil, false
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// isCwd reports whether an argument is the current directory, in front of paths.
func isCwd(arg string) bool { return arg == "AT_FDCWD" || strings.HasPrefix(arg, "AT_FDCWD<") }

// withoutCwd drops the current directory in front of absolute paths, where it says nothing.
func (c *callLine) withoutCwd() {
	var args []string
	for i, arg := range c.args {
		if isCwd(arg) && i+1 < len(c.args) && strings.HasPrefix(c.args[i+1], `"/`) {
			continue
		}
		args = append(args, arg)
	}
	c.args = args
}

var (
	inetAddr  = regexp.MustCompile(`^\{sa_family=AF_INET6?, sin6?_port=htons\((\d+)\)(?:, sin6_flowinfo=htonl\(\d+\))?, (?:sin_addr=inet_addr\("([0-9.]+)"\)|inet_pton\(AF_INET6, "([0-9a-f:.]+)", &sin6_addr\)).*\}$`)
	unixAddr  = regexp.MustCompile(`^\{sa_family=AF_UNIX, sun_path=(@?".*")\}$`)
	constant  = regexp.MustCompile(`^[A-Z]+_[A-Z0-9_|]+$`)
	errorText = regexp.MustCompile(`^( = -1 E[A-Z0-9]+) \(.*\)$`)
)

// shortAddress is a socket address as people write it, in braces: {10.0.0.7:5432}. Others stay.
func shortAddress(arg string) string {
	if m := inetAddr.FindStringSubmatch(arg); m != nil {
		if ip, err := netip.ParseAddr(m[2] + m[3]); err == nil {
			if ip.Is6() {
				return "{[" + ip.String() + "]:" + m[1] + "}"
			}
			return "{" + ip.String() + ":" + m[1] + "}"
		}
	}
	if m := unixAddr.FindStringSubmatch(arg); m != nil {
		return "{" + m[1] + "}"
	}
	return arg
}

// named reports whether an argument says on what a call works: a string, a descriptor, an
// address. These are the last to be cut.
func named(arg string) bool {
	return strings.HasPrefix(arg, `"`) || strings.HasPrefix(arg, "{sa_family=") || arg != shortAddress(arg) ||
		strings.HasPrefix(arg, "{") && strings.Contains(arg, `"`) ||
		arg != "" && isDigit(arg[0]) && strings.Contains(arg, "<") || isCwd(arg)
}

// fitCall is the text of a call in at most so many columns, if they are 20 or more. What it works
// on and its result stay as long as they can: the error's message goes first, then arguments that
// name nothing from the last on, then the middle of what names something. The current directory
// in front of an absolute path is never shown.
func fitCall(text string, width int) string {
	c, ok := parseCall(text)
	if !ok {
		return fitMiddle(text, width)
	}
	c.withoutCwd()
	over := func() int { return columns.Width(c.String()) - width }
	if over() > 0 {
		c.result = errorText.ReplaceAllString(c.result, "$1")
	}
	for i, arg := range c.args {
		if over() > 0 {
			c.args[i] = shortAddress(arg)
		}
	}
	c.leaveOut(width)
	// The longest gives way first, but not for good: two long paths end up alike.
	for over() > 0 {
		longest, second := -1, 12
		for i, arg := range c.args {
			switch n := columns.Width(arg); {
			case longest < 0 || n > columns.Width(c.args[longest]):
				if longest >= 0 {
					second = max(second, columns.Width(c.args[longest]))
				}
				longest = i
			default:
				second = max(second, n)
			}
		}
		if longest < 0 {
			break
		}
		n := columns.Width(c.args[longest])
		to := max(n-over(), min(second, n-1), 12)
		if to >= n {
			break
		}
		c.args[longest] = fitArg(c.args[longest], to)
	}
	return fitMiddle(c.String(), width)
}

// leaveOut puts "…" for arguments that name nothing, one for all that are beside each other, as
// far as the width asks for it. Constants say more than numbers do, and the first more than the
// last.
func (c *callLine) leaveOut(width int) {
	all := c.args
	gone := make([]bool, len(all))
	fits := func() bool {
		c.args = nil
		for i, arg := range all {
			if !gone[i] {
				c.args = append(c.args, arg)
			} else if i == 0 || !gone[i-1] {
				c.args = append(c.args, "…")
			}
		}
		return columns.Width(c.String()) <= width
	}
	var order []int
	for _, constants := range []bool{false, true} {
		for i := len(all) - 1; i >= 0; i-- {
			// A descriptor takes no more than "…".
			if arg := all[i]; !named(arg) && columns.Width(arg) > 2 && constant.MatchString(arg) == constants {
				order = append(order, i)
			}
		}
	}
	n := 0
	for ; n < len(order) && !fits(); n++ {
		gone[order[n]] = true
	}
	for n--; n >= 0; n-- { // a long one may have made room for those before it
		if gone[order[n]] = false; !fits() {
			gone[order[n]] = true
		}
	}
	fits()
}

// fitArg shortens an argument. Of a string that is not a path the beginning says most.
func fitArg(arg string, width int) string {
	if strings.HasPrefix(arg, `"`) && !strings.Contains(arg, "/") {
		if body, whole := strings.CutSuffix(arg, `"`); whole && width > 8 {
			return columns.Head(body, width-2) + `…"`
		}
		return columns.Cut(arg, width)
	}
	return fitPath(arg, width)
}
