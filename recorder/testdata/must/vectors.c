// SPDX-License-Identifier: Apache-2.0
// Many of something: parts of a vector, messages of a call, descriptors of which few are ready.
#include "must.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#define HEAD "HTTP/1.1 200 OK\r\n\r\n"
#define HEAD_TEXT "HTTP/1.1 200 OK\\r\\n\\r\\n"
#define BODY_TEXT "\"BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB\"..."

static void tests(void)
{
	static char body[5000], in[3][16];
	static struct pollfd many[100];
	static char fds[1200];
	static unsigned long set[32];
	int null = open("/dev/null", O_WRONLY), s[2], i, n = 0;
	struct iovec *v = last((struct iovec[]){{(char *)HEAD, 19}, {body, 5000}, {(char *)"END\n", 4}}, 3 * sizeof(struct iovec));
	struct iovec *r = (void *)(edge - 512);
	struct mmsghdr *mm = (void *)(edge - 1024);
	struct msghdr *m = (void *)(edge - 1200);
	struct timeval *tv = (void *)(edge - 1300);
	char *name = edge - 1500, *bad = edge;

	memset(body, 'B', sizeof(body));
	SAY("3", "openat(AT_FDCWD, \"/dev/null\", O_WRONLY");
	MUST(syscall(SYS_writev, null, v, 3L), "writev(%d, [{iov_base=\"" HEAD_TEXT "\", iov_len=19}, {iov_base=" BODY_TEXT ", iov_len=5000}, {iov_base=\"END\\n\", iov_len=4}], 3", null);
	MUST(syscall(SYS_writev, null, v, 4L), "writev(%d, [{iov_base=\"" HEAD_TEXT "\", iov_len=19}, {iov_base=" BODY_TEXT ", iov_len=5000}, {iov_base=\"END\\n\", iov_len=4}, ... /* %p */], 4", null, bad);
	MUST(syscall(SYS_writev, -1, v, 3L), "writev(-1, [{iov_base=\"" HEAD_TEXT "\", iov_len=19}, {iov_base=" BODY_TEXT ", iov_len=5000}, {iov_base=\"END\\n\", iov_len=4}], 3");
	v[0].iov_base = bad;
	MUST(syscall(SYS_pwritev, -1, v, 3L, 5L, 0L), "pwritev(-1, [{iov_base=%p, iov_len=19}, {iov_base=" BODY_TEXT ", iov_len=5000}, {iov_base=\"END\\n\", iov_len=4}], 3, 5", bad);
	v[0].iov_base = (char *)HEAD;
	socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
	SAY("0", "socketpair(AF_UNIX, SOCK_DGRAM, 0, [%d, %d]", s[0], s[1]);
	*m = (struct msghdr){.msg_iov = v, .msg_iovlen = 3};
	MUST(syscall(SYS_sendmsg, null, m, 0), "sendmsg(%d, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"" HEAD_TEXT "\", iov_len=19}, {iov_base=" BODY_TEXT ", iov_len=5000}, {iov_base=\"END\\n\", iov_len=4}], msg_iovlen=3, msg_controllen=0, msg_flags=0}, 0", null);
	for (i = 0; i < 3; i++) {
		r[i] = (struct iovec){in[i], 16};
		mm[i] = (struct mmsghdr){{.msg_iov = v + (i & 2), .msg_iovlen = 1}, 0};
	}
	MUST(syscall(SYS_sendmmsg, s[0], mm, 2, 0), "sendmmsg(%d, [{msg_hdr={msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"" HEAD_TEXT "\", iov_len=19}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, msg_len=19}, {msg_hdr={msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"" HEAD_TEXT "\", iov_len=19}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, msg_len=19}], 2, 0", s[0]);
	for (i = 0; i < 3; i++)
		mm[i] = (struct mmsghdr){{.msg_iov = r + i, .msg_iovlen = 1}, 0};
	MUST(syscall(SYS_recvmmsg, s[1], mm, 3, MSG_DONTWAIT, NULL), "recvmmsg(%d, [{msg_hdr={msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"HTTP/1.1 200 OK\\r\", iov_len=16}], msg_iovlen=1, msg_controllen=0, msg_flags=MSG_TRUNC}, msg_len=16}, {msg_hdr={msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"HTTP/1.1 200 OK\\r\", iov_len=16}], msg_iovlen=1, msg_controllen=0, msg_flags=MSG_TRUNC}, msg_len=16}], 3, MSG_DONTWAIT, NULL", s[1]);
	*m = (struct msghdr){.msg_name = name, .msg_namelen = 128, .msg_iov = r, .msg_iovlen = 3};
	MUST(syscall(SYS_recvmsg, s[1], m, MSG_DONTWAIT), "recvmsg(%d, {msg_namelen=128}, MSG_DONTWAIT", s[1]);
	MUST(syscall(SYS_write, s[0], "hello", 5L), "write(%d, \"hello\", 5", s[0]);
	MUST(syscall(SYS_recvmsg, s[1], m, 0), "recvmsg(%d, {msg_name=%p, msg_namelen=128 => 0, msg_iov=[{iov_base=\"hello\", iov_len=16}, {iov_base=\"\", iov_len=16}, {iov_base=\"\", iov_len=16}], msg_iovlen=3, msg_controllen=0, msg_flags=0}, 0", s[1], name);
	m->msg_name = NULL;
	MUST(syscall(SYS_recvmsg, s[1], m, MSG_DONTWAIT), "recvmsg(%d, {msg_namelen=0}, MSG_DONTWAIT", s[1]);
	MUST(syscall(SYS_recvmsg, s[1], bad, MSG_DONTWAIT), "recvmsg(%d, %p, MSG_DONTWAIT", s[1], bad);
	MUST(syscall(SYS_readv, null, r, 3L), "readv(%d, [{iov_base=%p, iov_len=16}, {iov_base=%p, iov_len=16}, {iov_base=%p, iov_len=16}], 3", null, in[0], in[1], in[2]);
	for (i = 0; i < 100; i++) {
		many[i].fd = i % 2 ? -1 : null;
		many[i].events = i % 2 ? POLLOUT : 0;
	}
	many[90].events = POLLOUT;
	n = snprintf(fds, sizeof(fds), "[");
	for (i = 0; i < 32; i++)
		n += snprintf(fds + n, sizeof(fds) - n, i % 2 ? "{fd=-1}, " : "{fd=%d, events=0}, ", null);
	snprintf(fds + n, sizeof(fds) - n, "...]");
#ifdef __x86_64__ // newer architectures have other calls for it
	MUST(syscall(SYS_poll, many, 100UL, 0), "poll(%s, 100, 0", fds);
	RESULT("1 ([{fd=%d, revents=POLLOUT}])", null);
	*tv = (struct timeval){0, 0};
	dup2(null, 1023);
	SAY("1023", "dup2(%d, 1023", null);
	memset(set, 0, sizeof(set));
	set[1023 / 64] |= 1UL << 63;
	MUST(syscall(SYS_select, 1500, NULL, set, NULL, tv), "select(1500, NULL, [1023], NULL, {tv_sec=0, tv_usec=0}");
	RESULT("1 (out [1023], left {tv_sec=0, tv_usec=0})");
#endif
}
