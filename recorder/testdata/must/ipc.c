// SPDX-License-Identifier: Apache-2.0
#include "must.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static void tests(void)
{
	struct sembuf ops[2] = {{0, 1, 0}, {1, -2, SEM_UNDO | IPC_NOWAIT}};
	struct timespec ts = {1, 2};
	struct mq_attr attr = {O_NONBLOCK, 10, 20, 0};
	char *bad = edge;

	MUST(syscall(SYS_shmget, IPC_PRIVATE, 0L, IPC_CREAT | IPC_EXCL | 0600), "shmget(IPC_PRIVATE, 0, IPC_CREAT|IPC_EXCL|0600");
	MUST(syscall(SYS_shmget, 0x1234, 4096L, 0), "shmget(0x1234, 4096, 000");
	MUST(syscall(SYS_shmat, -1, bad, SHM_RDONLY | SHM_RND), "shmat(-1, %p, SHM_RDONLY|SHM_RND", bad);
	MUST(syscall(SYS_shmdt, 1L), "shmdt(0x1");
	MUST(syscall(SYS_shmctl, -1, IPC_RMID, NULL), "shmctl(-1, IPC_RMID, NULL");
	MUST(syscall(SYS_shmctl, -1, IPC_STAT, bad), "shmctl(-1, IPC_STAT, %p", bad);
	MUST(syscall(SYS_shmctl, -1, 77, bad), "shmctl(-1, 0x4d /* SHM_??? */, %p", bad);
	MUST(syscall(SYS_semget, 5, -1, 0777), "semget(0x5, -1, 0777");
	MUST(syscall(SYS_semop, -1, last(ops, sizeof(ops)), 2L), "semop(-1, [{sem_num=0, sem_op=1, sem_flg=0}, {sem_num=1, sem_op=-2, sem_flg=SEM_UNDO|IPC_NOWAIT}], 2");
	MUST(syscall(SYS_semtimedop, -1, bad, 1L, &ts), "semtimedop(-1, %p, 1, {tv_sec=1, tv_nsec=2}", bad);
	MUST(syscall(SYS_semctl, -1, 0, SETVAL, 7L), "semctl(-1, 0, SETVAL, 0x7");
	MUST(syscall(SYS_msgget, 0xffff, IPC_CREAT | 0400), "msgget(0xffff, IPC_CREAT|0400");
	MUST(syscall(SYS_msgsnd, -1, bad, 5L, IPC_NOWAIT), "msgsnd(-1, %p, 5, IPC_NOWAIT", bad);
	MUST(syscall(SYS_msgrcv, -1, bad, 5L, -7L, MSG_NOERROR), "msgrcv(-1, %p, 5, -7, MSG_NOERROR", bad);
	MUST(syscall(SYS_msgctl, -1, MSG_STAT, bad), "msgctl(-1, MSG_STAT, %p", bad);
	MUST(syscall(SYS_mq_open, "none", O_RDWR, 0, NULL), "mq_open(\"none\", O_RDWR");
	attr.mq_flags = 0;
	MUST(syscall(SYS_mq_open, "/none", O_RDWR | O_CREAT, 0, &attr), "mq_open(\"/none\", O_RDWR|O_CREAT, 000, {mq_flags=0, mq_maxmsg=10, mq_msgsize=20, mq_curmsgs=0}");
	MUST(syscall(SYS_mq_unlink, "none"), "mq_unlink(\"none\"");
	MUST(syscall(SYS_mq_timedreceive, -1, bad, 5L, NULL, &ts), "mq_timedreceive(-1, %p, 5, NULL, {tv_sec=1, tv_nsec=2}", bad);
	attr.mq_flags = O_NONBLOCK;
	MUST(syscall(SYS_mq_getsetattr, -1, &attr, NULL), "mq_getsetattr(-1, {mq_flags=O_NONBLOCK, mq_maxmsg=10, mq_msgsize=20, mq_curmsgs=0}, NULL");
}
