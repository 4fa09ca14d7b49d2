// SPDX-License-Identifier: Apache-2.0
// Structs and strings at the end of a page, sizes that are too short, bits that nobody knows.
#include "must.h"
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

static void tests(void)
{
	const unsigned long upper = 0xdeadbeef00000000;
	struct timespec *ts = last(&(struct timespec){-1, -2}, sizeof(struct timespec));
	struct sockaddr_in *in = (void *)(edge - 16);
	struct linger *linger = (void *)(edge - 8);
	struct packet_mreq *member = (void *)(edge - 16);
	struct tpacket_req *ring = (void *)(edge - 16);
	char *text = edge - 40, *few = edge - 20, *bad = edge;
	unsigned *num = (void *)(edge - 4);
	unsigned char *pages = (unsigned char *)edge - 2;
	char *area = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	rc = (long)area;
	must("mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_POPULATE, -1, 0");
	RESULT("%p", area);
	MUST(syscall(SYS_nanosleep, ts, NULL), "nanosleep({tv_sec=-1, tv_nsec=18446744073709551614}, NULL");
	MUST(syscall(SYS_mincore, area, 8192L, pages), "mincore(%p, 8192, [1, 1]", area);
	MUST(syscall(SYS_mincore, area, 1L, pages), "mincore(%p, 1, [1]", area);
	MUST(syscall(SYS_mincore, area + 1, 1L, pages), "mincore(%p, 1, %p", area + 1, pages);
	memset(text, 'x', 40);
	MUST(syscall(SYS_delete_module, text, O_TRUNC | 1), "delete_module(\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"..., O_TRUNC|0x1");
	MUST(syscall(SYS_delete_module, few, 1), "delete_module(%p, 0x1 /* O_??? */", few);
	MUST(syscall(SYS_memfd_create, few, 0), "memfd_create(%p, 0", few);
	MUST(syscall(SYS_memfd_create, "name", 30U << 26), "memfd_create(\"name\", 30<<MFD_HUGE_SHIFT");
	MUST(syscall(SYS_memfd_secret, O_CLOEXEC | 8), "memfd_secret(O_CLOEXEC|0x8");
	MUST(syscall(SYS_memfd_secret, 8), "memfd_secret(0x8");
	MUST(syscall(SYS_mknodat, -1, "none", 0xffffffff, 0), "mknodat(-1, \"none\", 0177777");
	MUST(syscall(SYS_mknodat, -1, "none", upper | 0100000), "mknodat(-1, \"none\", S_IFREG|000");
	MUST(syscall(SYS_socket, upper | AF_INET, 99, upper | 6), "socket(AF_INET, SOCK_RAW|0x60 /* SOCK_??? */, 16045690981097406470");
	MUST(syscall(SYS_socket, AF_INET, 99, upper | 6), "socket(AF_INET, SOCK_RAW|0x60 /* SOCK_??? */, IPPROTO_TCP");
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in->sin_port = htons(1);
	MUST(syscall(SYS_connect, -1, in, 16), "connect(-1, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr(\"127.0.0.1\")}, 16");
	MUST(syscall(SYS_connect, -1, in, 17), "connect(-1, %p, 17", in);
	*linger = (struct linger){-15, -42};
	MUST(syscall(SYS_setsockopt, -1, SOL_SOCKET, SO_LINGER, linger, 9), "setsockopt(-1, SOL_SOCKET, SO_LINGER, {l_onoff=-15, l_linger=-42}, 9");
	MUST(syscall(SYS_setsockopt, -1, SOL_SOCKET, SO_LINGER, linger, 7), "setsockopt(-1, SOL_SOCKET, SO_LINGER, %p, 7", linger);
	*num = 5;
	MUST(syscall(SYS_setsockopt, -1, SOL_SOCKET, SO_DEBUG, num, 5), "setsockopt(-1, SOL_SOCKET, SO_DEBUG, [5], 5");
	MUST(syscall(SYS_setsockopt, -1, SOL_SOCKET, SO_DEBUG, num, 3), "setsockopt(-1, SOL_SOCKET, SO_DEBUG, %p, 3", num);
	MUST(syscall(SYS_setsockopt, -1, SOL_SOCKET, SO_DEBUG, bad, 4), "setsockopt(-1, SOL_SOCKET, SO_DEBUG, %p, 4", bad);
	*member = (struct packet_mreq){1, PACKET_MR_PROMISC, 3, {1, 2, 3}};
	MUST(syscall(SYS_setsockopt, -1, SOL_PACKET, PACKET_DROP_MEMBERSHIP, member, 15), "setsockopt(-1, SOL_PACKET, PACKET_DROP_MEMBERSHIP, %p, 15", member);
	*ring = (struct tpacket_req){1, 2, 3, 0xffffffff};
	MUST(syscall(SYS_setsockopt, -1, SOL_PACKET, PACKET_RX_RING, ring, 16), "setsockopt(-1, SOL_PACKET, PACKET_RX_RING, {tp_block_size=1, tp_block_nr=2, tp_frame_size=3, tp_frame_nr=4294967295}, 16");
	MUST(syscall(SYS_setsockopt, -1, SOL_PACKET, PACKET_TX_RING, ring, 17), "setsockopt(-1, SOL_PACKET, PACKET_TX_RING, %p, 17", ring);
	MUST(syscall(SYS_landlock_restrict_self, -1, upper | 0), "landlock_restrict_self(-1, 0");
	MUST(syscall(SYS_process_mrelease, 0, 0xfacefeed), "process_mrelease(0, 0xfacefeed");
}
