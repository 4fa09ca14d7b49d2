package privacy

import (
	"fmt"
	"strings"
)

// A Secret is something that programs pass to the kernel and that must not be read in a
// recording. recorder/testdata/secrets.c has a case for each.
type Secret struct {
	Case string // its name there
	Call string // the call that carries it
	What string
	// Pattern is the named pattern that blanks it, as what it stands in is captured. Empty:
	// it is never captured, whatever is configured, but for contents.
	Pattern string
	// Contents: it is captured if contents of descriptors other than standard output are.
	Contents bool
}

// Secrets is the table in docs/security.md.
var Secrets = []Secret{
	{Case: "alg-key", Call: "setsockopt", What: "keys of kernel crypto: `ALG_SET_KEY` and every other option of `SOL_ALG`"},
	{Case: "tls-tx", Call: "setsockopt", What: "keys of kernel TLS: `TLS_TX`"},
	{Case: "tls-rx", Call: "setsockopt", What: "keys of kernel TLS: `TLS_RX`"},
	{Case: "tcp-md5", Call: "setsockopt", What: "keys of TCP: `TCP_MD5SIG`, `TCP_MD5SIG_EXT`"},
	{Case: "tcp-ao", Call: "setsockopt", What: "keys of TCP: `TCP_AO_*`"},
	{Case: "tcp-fastopen", Call: "setsockopt", What: "keys of TCP: `TCP_FASTOPEN_KEY`"},
	{Case: "sctp-auth", Call: "setsockopt", What: "keys of SCTP: `SCTP_AUTH_KEY`"},
	{Case: "rxrpc", Call: "setsockopt", What: "options of `SOL_RXRPC`"},
	{Case: "unknown-option", Call: "setsockopt", What: "options of protocols that recorderd does not know, beyond a number of 4 bytes"},
	{Case: "control", Call: "sendmsg", What: "control messages of protocols that recorderd does not know: level and type are shown"},
	{Case: "control-second", Call: "sendmsg", What: "the same, and what follows them, behind messages that are known"},
	{Case: "ioctl", Call: "ioctl", What: "what ioctls point to that have no row in `calls.txt`, such as keys of fscrypt, WLAN and disks"},
	{Case: "loop-key", Call: "ioctl", What: "the key of an encrypted loop device"},
	{Case: "add-key", Call: "add_key", What: "keys: the payload of `add_key`"},
	{Case: "keyctl-update", Call: "keyctl", What: "keys: the payload of `keyctl`"},
	{Case: "request-key", Call: "request_key", What: "the callout information of `request_key`"},
	{Case: "xattr", Call: "setxattr", What: "values of extended attributes"},
	{Case: "env", Call: "execve", What: "the environment of programs"},
	{Case: "stdout-file", Call: "write", What: "contents of files that are descriptor 1 or 2", Contents: true},
	{Case: "stdout-null", Call: "write", What: "what goes to `/dev/null`", Contents: true},
	{Case: "file", Call: "write", What: "contents of files, and of what else is not standard output", Contents: true},
	{Case: "mount", Call: "mount", What: "passwords among the options of `mount`", Pattern: "passwords"},
	{Case: "fsconfig", Call: "fsconfig", What: "passwords that `fsconfig` sets, by the name of the option", Pattern: "passwords"},
	{Case: "module", Call: "finit_module", What: "passwords among the parameters of modules", Pattern: "passwords"},
	{Case: "kexec", Call: "kexec_file_load", What: "passwords and credentials on the command line of a kernel", Pattern: "passwords"},
	{Case: "argv", Call: "execve", What: "passwords on command lines of programs", Pattern: "passwords"},
	{Case: "stdout", Call: "write", What: "passwords in what is written to standard output", Pattern: "passwords"},
	{Case: "sun-path", Call: "connect", What: "tokens in names of sockets", Pattern: "passwords"},
}

// SecretsTable renders Secrets for docs/security.md.
func SecretsTable() string {
	var b strings.Builder
	b.WriteString("| what | call | captured |\n| --- | --- | --- |\n")
	for _, s := range Secrets {
		how := "never"
		switch {
		case s.Contents:
			how = "with `--capture-data`"
			if strings.HasPrefix(s.Case, "stdout-") {
				how += " or `--capture-stdio-files`"
			}
		case s.Pattern != "":
			how = "yes; `--blank " + s.Pattern + "` blanks it"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", s.What, s.Call, how)
	}
	return b.String()
}
