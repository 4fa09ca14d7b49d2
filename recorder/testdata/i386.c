// SPDX-License-Identifier: Apache-2.0
// A static 32-bit program, without a C library so that it builds anywhere:
//   gcc -m32 -static -nostdlib -ffreestanding -fno-stack-protector -fno-pie -no-pie
typedef unsigned int u32;

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
	// ebp carries the sixth argument
	struct { long nr, f; } x = {nr, f};

	__asm__ volatile("push %%ebp\n\tmov 4(%%eax), %%ebp\n\tmov (%%eax), %%eax\n\tint $0x80\n\tpop %%ebp"
			 : "=a"(ret) : "a"(&x), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
	return ret;
}

#define C(nr, ...) C_(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define C_(nr, a, b, c, d, e, f, ...) call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static char buf[4096];

void _start(void)
{
	u32 ts[2] = {0, 1000000}, ts64[4] = {0, 0, 1000000, 0}, sv[2], args[6], iov[4];
	long fd, off[2];

	C(122, buf);                                   // uname
	fd = C(5, "/etc/hostname", 0, 0);              // open
	C(3, fd, buf, 64);                             // read
	C(140, fd, 0, 0, off, 0);                      // _llseek
	C(197, fd, buf);                               // fstat64
	C(6, fd);                                      // close
	C(295, -100, "/nonexistent", 0, 0);            // openat
	C(195, "/etc", buf);                           // stat64
	C(162, ts, 0);                                 // nanosleep
	C(407, 1, 0, ts64, 0);                         // clock_nanosleep_time64
	C(265, 1, ts);                                 // clock_gettime
	C(403, 1, ts64);                               // clock_gettime64
	C(192, 0, 4096, 3, 0x22, -1, 0);               // mmap2
	C(45, 0);                                      // brk
	C(359, 1, 1, 0);                               // socket
	C(360, 1, 1, 0, sv);                           // socketpair
	args[0] = 1, args[1] = 1, args[2] = 0;
	C(102, 1, args);                               // socketcall: socket
	iov[0] = (u32)"hello ", iov[1] = 6, iov[2] = (u32)"from 32 bit\n", iov[3] = 12;
	C(146, 1, iov, 2);                             // writev
	C(20);                                         // getpid
	C(199);                                        // getuid32
	C(33, "/etc/shadow", 4);                       // access
	C(91, 0x1000, 4096);                           // munmap
	C(168, 0, 0, 1);                               // poll
	C(9999, 1);                                    // no such call
	C(252, 17);                                    // exit_group
}
