// SPDX-License-Identifier: Apache-2.0
// Sets up io_uring with a kernel thread that polls for submissions, has it write a line to
// a file, and ends with 0 while that thread is still there.
#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	struct io_uring_params p = {.flags = argc > 2 ? 0 : IORING_SETUP_SQPOLL, .sq_thread_idle = 10000};
	int file = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600);
	int ring = syscall(SYS_io_uring_setup, 4, &p);
	struct io_uring_sqe *sqe;
	char *sq;
	_Atomic unsigned *done;

	if (file < 0 || ring < 0)
		die("set up");
	sq = mmap(NULL, p.sq_off.array + 4 * p.sq_entries + p.cq_off.cqes + 16 * p.cq_entries, PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || sqe == MAP_FAILED)
		die("map");
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_WRITE;
	sqe->fd = file;
	sqe->addr = (unsigned long)"by io_uring\n";
	sqe->len = 12;
	((unsigned *)(sq + p.sq_off.array))[0] = 0;
	atomic_store((_Atomic unsigned *)(sq + p.sq_off.tail), 1);
	if (argc > 2 && syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		die("enter");
	done = (_Atomic unsigned *)(sq + p.cq_off.tail);
	for (int i = 0; !atomic_load(done) && i < 50; i++)
		usleep(1000);
	return 0;
}
