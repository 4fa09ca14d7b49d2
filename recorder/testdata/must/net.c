// SPDX-License-Identifier: Apache-2.0
#include "must.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

static void cmsg(char *at, int level, int type, const void *data, size_t n)
{
	struct cmsghdr *c = (struct cmsghdr *)at;

	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(n), .cmsg_level = level, .cmsg_type = type};
	memcpy(CMSG_DATA(c), data, n);
}

static void tests(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x7f000001)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_addr.s6_addr = {0xfe, 0x80, [15] = 1}, .sin6_scope_id = 7};
	struct sockaddr_un un = {AF_UNIX, "/run/x"}, abstract = {AF_UNIX, "\0ab\0c"};
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_pid = 5, .nl_groups = 3};
	struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_cid = 2, .svm_port = 1024};
	struct sock_filter f[2];
	struct sock_fprog prog = {2, f};
	struct linger li = {1, 2};
	struct {int index; uint32_t dst, addr;} info = {0, htonl(0x01020304), htonl(0x7f000001)};
	struct {struct in6_addr addr; unsigned index;} group = {{{{0xfe, 0x80, [15] = 1}}}, 0};
	struct {uint16_t family; char type[14]; uint32_t feat, mask; char name[64];} alg = {38, "hash", 1, 2, "sha256"};
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(0x800), .sll_hatype = 1, .sll_halen = 3, .sll_addr = {1, 0, 255}};
	long when[2] = {1, 2};
	char control[CMSG_SPACE(12) + 3 * CMSG_SPACE(4)] = "";
	struct msghdr m = {0};
	char *bad = edge;
	int one = 1, fd, sv[2];
	socklen_t len;

	MUST(syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 6), "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP");
	fd = rc;
	MUST(syscall(SYS_socket, 99, 77, 0), "socket(0x63 /* AF_??? */, 0x4d /* SOCK_??? */, 0");
	MUST(syscall(SYS_socket, 99, 0xffff, 255), "socket(0x63 /* AF_??? */, SOCK_NONBLOCK|0xf7ff, 255");
	MUST(syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 5), "socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK, 5");
	MUST(syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET, 0, sv), "socketpair(AF_UNIX, SOCK_SEQPACKET, 0, [%d, %d]", sv[0], sv[1]);
	MUST(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, bad), "socketpair(AF_UNIX, SOCK_STREAM, 0, %p", bad);
	MUST(syscall(SYS_bind, -1, &in, sizeof(in)), "bind(-1, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr(\"127.0.0.1\")}, 16");
	MUST(syscall(SYS_connect, -1, &in6, sizeof(in6)), "connect(-1, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, \"fe80::1\", &sin6_addr), sin6_scope_id=7}, 28");
	MUST(syscall(SYS_connect, -1, &un, sizeof(un)), "connect(-1, {sa_family=AF_UNIX, sun_path=\"/run/x\"}, 110");
	MUST(syscall(SYS_connect, -1, &abstract, 7), "connect(-1, {sa_family=AF_UNIX, sun_path=@\"ab\\0c\"}, 7");
	MUST(syscall(SYS_bind, -1, &nl, sizeof(nl)), "bind(-1, {sa_family=AF_NETLINK, nl_pid=5, nl_groups=0x000003}, 12");
	MUST(syscall(SYS_bind, -1, &vm, sizeof(vm)), "bind(-1, {sa_family=AF_VSOCK, svm_cid=VMADDR_CID_HOST, svm_port=0x400, svm_flags=0}, 16");
	MUST(syscall(SYS_connect, -1, last(&in, 8), 16), "connect(-1, %p, 16", edge - 8);
	MUST(syscall(SYS_connect, -1, bad, 16), "connect(-1, %p, 16", bad);
	MUST(syscall(SYS_connect, -1, NULL, 0), "connect(-1, NULL, 0");
	MUST(syscall(SYS_listen, -1, 128), "listen(-1, 128");
	len = 16;
	MUST(syscall(SYS_accept4, -1, &in, &len, SOCK_NONBLOCK | 1), "accept4(-1, %p, [16], SOCK_NONBLOCK|0x1", &in);
	MUST(syscall(SYS_accept, -1, NULL, NULL), "accept(-1, NULL, NULL");
	MUST(syscall(SYS_getsockname, fd, &in, &len), "getsockname(%d, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr(\"0.0.0.0\")}, [16]", fd);
	len = 128;
	MUST(syscall(SYS_getsockname, fd, last(&un, 110), &len), "getsockname(%d, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr(\"0.0.0.0\")}, [128 => 16]", fd);
	MUST(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &one, 4), "setsockopt(%d, SOL_SOCKET, SO_REUSEADDR, [1], 4", fd);
	MUST(syscall(SYS_setsockopt, -1, SOL_SOCKET, SO_LINGER, &li, 8), "setsockopt(-1, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=2}, 8");
	MUST(syscall(SYS_setsockopt, -1, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)), "setsockopt(-1, SOL_SOCKET, SO_ATTACH_FILTER, {len=2, filter=%p}, 16", f);
	MUST(syscall(SYS_setsockopt, -1, SOL_TCP, TCP_NODELAY, &one, 4), "setsockopt(-1, SOL_TCP, TCP_NODELAY, [1], 4");
	MUST(syscall(SYS_setsockopt, -1, SOL_SOCKET, 9999, &one, 4), "setsockopt(-1, SOL_SOCKET, 0x270f /* SO_??? */, [1], 4");
	MUST(syscall(SYS_setsockopt, -1, 7777, 5, bad, 4), "setsockopt(-1, 0x1e61 /* SOL_?? */, 5, %p, 4", bad);
	len = 4;
	MUST(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &one, &len), "getsockopt(%d, SOL_SOCKET, SO_ERROR, [0], [4]", fd);
	MUST(syscall(SYS_getsockopt, -1, SOL_IPV6, IPV6_V6ONLY, &one, &len), "getsockopt(-1, SOL_IPV6, IPV6_V6ONLY, %p, [4]", &one);
	// what reads a firewall has the numbers of what replaces it
	MUST(syscall(SYS_getsockopt, -1, SOL_IP, 64, &one, &len), "getsockopt(-1, SOL_IP, IPT_SO_GET_INFO, %p, [4]", &one);
	MUST(syscall(SYS_getsockopt, -1, SOL_IP, 67, &one, &len), "getsockopt(-1, SOL_IP, IPT_SO_GET_REVISION_TARGET, %p, [4]", &one);
	MUST(syscall(SYS_getsockopt, -1, SOL_IPV6, 65, &one, &len), "getsockopt(-1, SOL_IPV6, IP6T_SO_GET_ENTRIES, %p, [4]", &one);
	MUST(syscall(SYS_setsockopt, -1, SOL_IP, 64, NULL, 0), "setsockopt(-1, SOL_IP, IPT_SO_SET_REPLACE, NULL, 0");
	MUST(syscall(SYS_setsockopt, -1, SOL_IPV6, 65, NULL, 0), "setsockopt(-1, SOL_IPV6, IP6T_SO_SET_ADD_COUNTERS, NULL, 0");
	MUST(syscall(SYS_shutdown, -1, SHUT_RDWR), "shutdown(-1, SHUT_RDWR");
	MUST(syscall(SYS_shutdown, -1, 5), "shutdown(-1, 0x5 /* SHUT_??? */");
	in.sin_addr.s_addr = htonl(0x01020304), in.sin_port = htons(9);
	MUST(syscall(SYS_sendto, -1, "abc", 3L, MSG_DONTWAIT | MSG_NOSIGNAL, &in, 16), "sendto(-1, \"abc\", 3, MSG_DONTWAIT|MSG_NOSIGNAL, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr(\"1.2.3.4\")}, 16");
	MUST(syscall(SYS_recvfrom, -1, &un, 10L, MSG_PEEK, NULL, NULL), "recvfrom(-1, %p, 10, MSG_PEEK, NULL, NULL", &un);
	MUST(syscall(SYS_sendmsg, -1, bad, 0), "sendmsg(-1, %p, 0", bad);
	MUST(syscall(SYS_recvmsg, -1, NULL, MSG_CMSG_CLOEXEC), "recvmsg(-1, NULL, MSG_CMSG_CLOEXEC");
	one = 7;
	m.msg_control = control, m.msg_controllen = sizeof(control);
	cmsg(control, SOL_IP, IP_PKTINFO, &info, 12);
	cmsg(control + CMSG_SPACE(12), SOL_IP, IP_TTL, &one, 4);
	cmsg(control + CMSG_SPACE(12) + CMSG_SPACE(4), SOL_IP, IP_TOS, &one, 1);
	cmsg(control + CMSG_SPACE(12) + 2 * CMSG_SPACE(4), SOL_IPV6, IPV6_TCLASS, &one, 4);
	MUST(syscall(SYS_sendmsg, -1, &m, 0), "sendmsg(-1, {msg_name=NULL, msg_namelen=0, msg_iov=NULL, msg_iovlen=0, msg_control=[{cmsg_len=28, cmsg_level=SOL_IP, cmsg_type=IP_PKTINFO, "
		"cmsg_data={ipi_ifindex=0, ipi_spec_dst=inet_addr(\"1.2.3.4\"), ipi_addr=inet_addr(\"127.0.0.1\")}}, {cmsg_len=20, cmsg_level=SOL_IP, cmsg_type=IP_TTL, cmsg_data=[7]}, "
		"{cmsg_len=17, cmsg_level=SOL_IP, cmsg_type=IP_TOS, cmsg_data=[0x7]}, {cmsg_len=20, cmsg_level=SOL_IPV6, cmsg_type=0x43}], msg_controllen=%zu, msg_flags=0}, 0", sizeof(control));
	cmsg(control, SOL_SOCKET, 29, &when, 16);
	m.msg_controllen = CMSG_SPACE(16);
	MUST(syscall(SYS_sendmsg, -1, &m, 0), "sendmsg(-1, {msg_name=NULL, msg_namelen=0, msg_iov=NULL, msg_iovlen=0, msg_control=[{cmsg_len=32, cmsg_level=SOL_SOCKET, cmsg_type=SO_TIMESTAMP_OLD, "
		"cmsg_data={tv_sec=1, tv_usec=2}}], msg_controllen=32, msg_flags=0}, 0");
	m.msg_control = NULL, m.msg_controllen = 0;
	MUST(syscall(SYS_setsockopt, -1, SOL_IPV6, IPV6_ADD_MEMBERSHIP, &group, 20), "setsockopt(-1, SOL_IPV6, IPV6_ADD_MEMBERSHIP, {inet_pton(AF_INET6, \"fe80::1\", &ipv6mr_multiaddr), ipv6mr_interface=0}, 20");
	MUST(syscall(SYS_setsockopt, -1, SOL_SOCKET, SO_PRIORITY, &one, -1), "setsockopt(-1, SOL_SOCKET, SO_PRIORITY, %p, -1", &one);
	len = 0;
	MUST(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &one, &len), "getsockopt(%d, SOL_SOCKET, SO_TYPE, %p, [0]", fd, &one);
	MUST(syscall(SYS_getsockname, fd, &in, &len), "getsockname(%d, %p, [0 => 16]", fd, &in);
	len = 4;
	MUST(syscall(SYS_getsockname, sv[0], &un, &len), "getsockname(%d, {sa_family=AF_UNIX}, [4 => 2]", sv[0]);
	MUST(syscall(SYS_bind, -1, &alg, sizeof(alg)), "bind(-1, {sa_family=AF_ALG, salg_type=\"hash\", salg_feat=0x1 /* CRYPTO_ALG_??? */, salg_mask=0x2 /* CRYPTO_ALG_??? */, salg_name=\"sha256\"}, 88");
	MUST(syscall(SYS_bind, -1, &ll, sizeof(ll)), "bind(-1, {sa_family=AF_PACKET, sll_protocol=htons(ETH_P_IP), sll_ifindex=0, sll_hatype=ARPHRD_ETHER, sll_pkttype=PACKET_HOST, sll_halen=3, sll_addr=[0x1, 00, 0xff]}, 20");
	vm.svm_cid = -1, vm.svm_port = -1;
	MUST(syscall(SYS_bind, -1, &vm, sizeof(vm)), "bind(-1, {sa_family=AF_VSOCK, svm_cid=VMADDR_CID_ANY, svm_port=VMADDR_PORT_ANY, svm_flags=0}, 16");
	MUST(syscall(SYS_sendmsg, -1, &m, 0), "sendmsg(-1, {msg_name=NULL, msg_namelen=0, msg_iov=NULL, msg_iovlen=0, msg_controllen=0, msg_flags=0}, 0");
}
